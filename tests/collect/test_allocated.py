"""governor report focus: a committed run as FOCUS 1.4, with who pays for each charge and every pool split exactly."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given

from governor.allocate import NotConserved
from governor.collect import Collected, allocated
from governor.collect.allocated import collect_allocated
from governor.config import load
from governor.ledger.read import Run, open_run
from governor.model import Refused
from governor.run import Options, run
from tests.bills import take
from tests.collect.judge import COSTS, complaints, moment, period, read, split_complaints, sums
from tests.project import AS_OF, TAGS, charge, run_project, write_project
from tests.property.test_run import ACCOUNTS, POLICY, bills, few
from tests.test_cli import governor

POOLS = """
kind: AllocationPolicy
id: who-pays
title: Direct, then a pool
effective_from: 2020-01-01
assign: [{id: by-tag, to: tag.cost_center}]
pools:
  - {id: support, where: "service_name = 'Support'", split: {method: proportional, basis: direct_cost}}
  - {id: net, where: "service_name = 'Net'", split: {method: fixed, shares: {A: 30, B: 30, C: 40}}}
"""
A, B = ({"Tags": json.dumps({"cost-center": center})} for center in "AB")


def committed(folder: Path, *bill: dict[str, str], policy: str = POOLS) -> Run:
    return run_project(write_project(folder, list(bill), policies=(TAGS, policy), accounts=ACCOUNTS)).run


def export(run_: Run, folder: Path, **options: Any) -> list[dict[str, Any]]:
    """Write the run and read the one file of its source `bill`."""
    [path] = (collect_allocated(run_, folder, **options).folder / "bill").glob("cost_and_usage.*")
    assert complaints(path) == {}
    assert split_complaints(path) == []
    return read(path)


def test_a_charge_keeps_its_row_and_says_who_pays(tmp_path: Path) -> None:
    """Direct and unallocatable charges, in the bill's order: as delivered, with status, rule, policy, reason, address."""
    run_ = committed(tmp_path, charge("3", **A), charge("4", Tags="{}"), charge("5", **B))
    rows = export(run_, tmp_path / "focus")
    ours = ("x_CostCenter", "x_AllocationStatus", "x_AllocationRule", "x_AllocationPolicy", "x_AllocationReason")
    assert [tuple(row[name] for name in ours) for row in rows] == [
        ("A", "T", "by-tag", "who-pays", None),
        (None, "U", None, "who-pays", "tag_missing"),
        ("B", "T", "by-tag", "who-pays", None),
    ]
    assert [row["x_Charge"] for row in rows] == [f"bills/bill.csv:{n}" for n in (1, 2, 3)]
    assert [row["EffectiveCost"] for row in rows] == [3, 4, 5]
    assert "AllocatedMethodId" not in rows[0]


def test_a_pools_charges_are_replaced_by_the_shares_of_its_targets(tmp_path: Path) -> None:
    """4.00 by 30 and 10 is 3.00 and 1.00: method, ratio, weights, target, and the origin that the rows add up to."""
    support = charge("4", ServiceName="Support", ResourceId="s", Tags='{"k":"v"}', BilledCost="2", ListCost="8")
    run_ = committed(tmp_path, charge("30", **A), charge("10", **B), support)
    first, second = [row for row in export(run_, tmp_path / "focus") if row["AllocatedMethodId"]]
    assert [tuple(row[cost] for cost in COSTS) for row in (first, second)] == [
        tuple(map(Decimal, ("1.5", "3", "6", "3"))),
        tuple(map(Decimal, ("0.5", "1", "2", "1"))),
    ]
    assert first["AllocatedMethodId"] == "who-pays/support"
    assert json.loads(first["AllocatedMethodDetails"]) == {
        "Elements": [{"AllocatedRatio": 0.75}],
        "x_Method": "proportional",
        "x_Weight": "30.00",
        "x_WeightTotal": "40.00",
    }
    assert (first["AllocatedResourceId"], first["AllocatedResourceName"]) == ("A", "Center A")
    assert json.loads(first["AllocatedTags"]) == {"governor:cost_center": "A"}
    assert (first["x_CostCenter"], first["x_AllocationStatus"], first["x_AllocationRule"]) == ("A", "S", "support")
    # what all charges of the group say is said of its parts
    assert (first["Tags"], first["ResourceId"], first["SubAccountId"]) == ('{"k":"v"}', "s", "acct-1")
    assert {row["x_SplitOriginId"] for row in (first, second)} == {"support/1"}
    assert {row["x_SplitOriginCost"] for row in (first, second)} == {2}


def test_charges_are_split_together_where_they_are_alike(tmp_path: Path) -> None:
    """Two hours of one day and service are one group, another day or account is another; what differs is left empty."""
    hour = {"ServiceName": "Net", "Tags": "{}"}
    day = {"ChargePeriodStart": "2026-10-05T07:00:00Z", "ChargePeriodEnd": "2026-10-05T08:00:00Z"}
    run_ = committed(
        tmp_path,
        charge("1", **hour, **day, ResourceId="a"),
        charge("1", **hour, ResourceId="b"),
        charge("1", **hour, ChargePeriodStart="2026-10-07T00:00:00Z", ChargePeriodEnd="2026-10-08T00:00:00Z"),
        charge("1", **hour, SubAccountId="acct-9"),
    )
    rows = export(run_, tmp_path / "focus")
    groups = {row["x_SplitOriginId"]: row for row in rows}
    assert len(rows) == 3 * len(groups) == 9
    both = groups["net/1"]
    assert both["x_SplitOriginCost"] == 2
    assert (both["ResourceId"], both["RegionId"]) == (None, "eu-1")
    assert (moment(both["ChargePeriodStart"]).day, moment(both["ChargePeriodEnd"]).hour) == (5, 0)


def test_a_cost_that_was_not_delivered_is_filled_and_still_adds_up(tmp_path: Path) -> None:
    """The rule of the export holds for direct charges and for pools; the run's own totals leave the filled ones out."""
    bill = [charge("3", **A, ListCost=""), charge("4", ServiceName="Net"), charge("5", ServiceName="Net", ListCost="")]
    run_ = committed(tmp_path, *bill)
    rows = export(run_, tmp_path / "focus")
    assert sums(rows)[()]["ListCost"] == 12
    assert sums([row for row in rows if not row["x_Filled"]])[()]["ListCost"] == 4
    assert run_.rows("totals")[0]["list_cost"] == 4


@few
@given(bills)
def test_every_margin_holds_for_any_bill(tmp_path_factory: pytest.TempPathFactory, bill: list[dict[str, str]]) -> None:
    """Any bill: costs per period and currency are the run's; of each pool and target the allocations', to the last
    digit; of each group the origin charges'; and no part has a sign that its group hasn't."""
    folder = tmp_path_factory.mktemp("any")
    run_ = committed(folder, *bill, policy=POLICY)
    path = collect_allocated(run_, folder / "focus").folder / "bill/cost_and_usage.parquet"
    rows = read(path)
    assert split_complaints(path) == []
    assert sums(rows, "BillingCurrency") == {
        (total["currency"],): {
            cost: total[name]
            for cost, name in zip(COSTS, ("billed_cost", "effective_cost", "list_cost", "contracted_cost"), strict=True)
        }
        for total in run_.rows("totals")
    }
    split = [row for row in rows if row.get("AllocatedMethodId")]
    keys = ("BillingCurrency", "AllocatedMethodId", "x_AllocationStatus", "x_CostCenter")
    due = {
        (a["currency"], f"{a['policy']}/{a['pool']}", a["status"], a["cost_center"]): a["amount"]
        for a in run_.rows("allocations")
        if a["pool"]
    }
    assert {key: found["EffectiveCost"] for key, found in sums(split, *keys).items()} == due
    pooled = {cell["pool"] for cell in run_.rows("cells")} - {None}
    origin = [cell for cell in run_.rows("cells") if cell["pool"]]
    for currency in {cell["currency"] for cell in origin}:
        for pool in pooled:
            parts = [r for r in split if r["x_AllocationRule"] == pool and r["BillingCurrency"] == currency]
            cells = [c for c in origin if c["pool"] == pool and c["currency"] == currency]
            for cost, name in zip(
                COSTS, ("billed_cost", "effective_cost", "list_cost", "contracted_cost"), strict=True
            ):
                assert sum((r[cost] for r in parts), Decimal(0)) == sum((c[name] for c in cells), Decimal(0))
    for group, found in sums(split, "x_SplitOriginId").items():
        for row in (r for r in split if r["x_SplitOriginId"] == group[0]):
            assert all(row[cost] == 0 or (row[cost] < 0) == (found[cost] < 0) for cost in COSTS)
    direct = {r["x_CostCenter"]: r for r in rows if r["x_AllocationStatus"] in {"T", "A", "R", "C", "D"}}
    assert None not in direct


@pytest.fixture(scope="module")
def acme(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Collected]:
    """The example, run in a ledger of its own, and its allocated files."""
    folder = tmp_path_factory.mktemp("acme")
    config = load(root / "examples/acme/governor.yaml", {"ledger": str(folder / "ledger"), "out": str(folder / "out")})
    run(config, Options(AS_OF))
    run_ = open_run(folder / "ledger")
    return run_, collect_allocated(run_, folder / "focus")


def test_the_judge_accepts_the_examples_run(acme: tuple[Run, Collected]) -> None:
    """Eight sources: no complaint of any row, direct or split."""
    _, collected = acme
    for source in collected.content["sources"]:
        path = collected.folder / source["written"][0]["path"]
        assert (source["source"], complaints(path), split_complaints(path)) == (source["source"], {}, [])


def test_the_examples_pools_tie_to_the_run(acme: tuple[Run, Collected]) -> None:
    """For every source, period, currency, policy, pool, status and target the parts are the run's allocation exactly."""
    run_, collected = acme
    found: dict[tuple[str, ...], Decimal] = {}
    totals: dict[tuple[str, ...], Decimal] = {}
    for source in run_.manifest["snapshots"]:
        for row in read(collected.folder / source / "cost_and_usage.parquet"):
            scope = (source, period(row), row["BillingCurrency"])
            totals[scope] = totals.get(scope, Decimal(0)) + row["EffectiveCost"]
            paid = (*scope, row["x_AllocationPolicy"], row["x_AllocationRule"], row["x_AllocationStatus"])
            key = (*paid, row["x_CostCenter"])
            found[key] = found.get(key, Decimal(0)) + row["EffectiveCost"]
    due: dict[tuple[str, ...], Decimal] = {}
    for a in run_.rows("allocations"):
        key = tuple(
            a[name] for name in ("source", "billing_period", "currency", "policy", "rule", "status", "cost_center")
        )
        due[key] = due.get(key, Decimal(0)) + a["amount"]
    assert found == due
    assert {key[5] for key in due} >= {"S", "K", "C", "U", "T"}
    assert totals == {
        (t["source"], t["billing_period"], t["currency"]): t["effective_cost"] for t in run_.rows("totals")
    }


def test_the_examples_files_read_back_with_equal_totals(acme: tuple[Run, Collected], tmp_path: Path) -> None:
    """As a bill of format focus: no reject, the run's four costs per period and currency, and the payer as a tag."""
    run_, collected = acme
    costs = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
    for source in run_.manifest["snapshots"]:
        delivery = take(collected.folder / source / "cost_and_usage.parquet", tmp_path)
        found: dict[tuple[str, str], dict[str, Decimal]] = {}
        for row in pq.read_table(delivery.charges).to_pylist():
            totals = found.setdefault(
                (row["billing_period"], row["billing_currency"]), dict.fromkeys(costs, Decimal(0))
            )
            for cost in costs:
                totals[cost] += row[cost]
        assert found == {
            (t["billing_period"], t["currency"]): {cost: t[cost] for cost in costs}
            for t in run_.rows("totals")
            if t["source"] == source
        }
        assert sum(file.rejected for file in delivery.files) == 0


def test_the_same_run_is_the_same_bytes(acme: tuple[Run, Collected], tmp_path: Path) -> None:
    """Written again: every file is what it was, metadata included."""
    run_, collected = acme
    again = collect_allocated(run_, tmp_path / "again").folder
    names = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert names
    assert all((again / name).read_bytes() == (collected.folder / name).read_bytes() for name in names)


def test_a_damaged_split_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a part lost on the way, the sums of the file say so, and what stood there stays."""
    run_ = committed(tmp_path, charge("3", **A), charge("4", ServiceName="Net"))
    whole = allocated.write_parts

    def lossy(engine: Any, run__: Run, source: str, to: Path) -> None:
        whole(engine, run__, source, to)
        pq.write_table(pq.read_table(to).slice(1), to)

    monkeypatch.setattr(allocated, "write_parts", lossy)
    with pytest.raises(NotConserved, match=r"bill 2026-10 USD"):
        collect_allocated(run_, tmp_path / "focus")
    assert not (tmp_path / "focus").exists()


def test_damaged_rows_of_the_ledger_are_refused(tmp_path: Path) -> None:
    """What is exported has been compared with its digest."""
    run_ = committed(tmp_path, charge("3", **A))
    path = run_.snapshot_paths("bill").charges
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Refused, match="L025"):
        collect_allocated(open_run(run_.ledger), tmp_path / "focus")


def test_an_incomplete_run_is_never_exported_as_whole(tmp_path: Path) -> None:
    """A rejected row's money is in no file: the exit code, the message and collected.json say that something lacks."""
    committed(tmp_path, charge("3", **A), charge("4", ChargePeriodStart="someday"))
    done = governor("report", "focus", "-c", tmp_path)
    assert done.returncode == 3
    assert "run 1 is incomplete" in done.stderr
    assert not json.loads((tmp_path / "out/focus-allocated/collected.json").read_text())["complete"]


def test_the_command_writes_a_run(tmp_path: Path) -> None:
    """`report focus`: the files on stdout, CSV where asked; a run number; what can't be is said with what can."""
    run_ = committed(tmp_path, charge("3", **A), charge("4", ServiceName="Net"))
    done = governor("report", "focus", "-c", tmp_path, "--format", "csv", "--run", str(run_.number))
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "out/focus-allocated/bill/cost_and_usage.csv.gz"
    assert done.stdout == f"{path}\n"
    assert sums(read(path))[()]["EffectiveCost"] == 7
    content = json.loads((tmp_path / "out/focus-allocated/collected.json").read_text())
    assert (content["form"], content["run"]["number"]) == ("focus-allocated", run_.number)
    for arguments, message in (
        (["focus", "--format", "html"], "C052 focus can't be written as html: use --format parquet or csv"),
        (["summary", "--format", "parquet"], "C052 summary can't be written as parquet"),
        (["focus", "--run", "7"], "L021"),
    ):
        done = governor("report", *arguments, "-c", tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
