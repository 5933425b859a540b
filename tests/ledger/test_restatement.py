"""What a delivery changed: every (source, billing period) against the latest earlier run that held it."""

from __future__ import annotations

import os
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor import money
from governor.evidence import canonical, digest_bytes, parse_canonical
from governor.ledger.commit import commit, stage
from governor.ledger.diff import diff
from governor.ledger.manifest import content_digest, seal
from governor.ledger.read import load, numbers
from governor.ledger.restatement import in_force
from governor.ledger.verify import verify
from governor.model import Refused
from governor.reports import console, csv, json, restated
from tests.project import BY_TAG, TAGS, charge, run_project, write_csv, write_project
from tests.run_builder import DEFAULT_ENGINE, DEFAULT_PARAMETERS, build_run, default_rows, write_files

A, B = '{"cost-center":"A"}', '{"cost-center":"B"}'
BILL = [charge("10", Tags=A), charge("5", Tags=B, SubAccountId="acct-2"), charge("5", Tags=B, SubAccountId="acct-2")]
BY_ACCOUNT = BY_TAG.replace("  - {id: by-tag, to: tag.cost_center}\n", "")
OWNER = ["acct-1,Cloud,One,C,,,,"]


def month(start: str, end: str) -> dict[str, str]:
    """The billing and charge period columns of a month."""
    bill = {"BillingPeriodStart": f"{start}-01T00:00:00Z", "BillingPeriodEnd": f"{end}-01T00:00:00Z"}
    return {**bill, "ChargePeriodStart": f"{start}-05T00:00:00Z", "ChargePeriodEnd": f"{start}-06T00:00:00Z"}


AUGUST, SEPTEMBER = month("2026-08", "2026-09"), month("2026-09", "2026-10")
CORRECTION = charge(
    "-3", Tags=A, ChargeClass="Correction", **{k: v for k, v in AUGUST.items() if k.startswith("Charge")}
)


@pytest.fixture
def deliver(tmp_path):
    """Deliver a bill to one ledger, run after run."""
    return lambda bill, **parts: run_project(write_project(tmp_path, bill, **parts)).run


def periods(run) -> dict[str, tuple]:
    """What became of each period: kind, whether late, the run replaced, rows new and gone."""
    names = ("kind", "late", "replaced_run", "rows_new", "rows_gone")
    rows = [row for row in run.rows("restatements") if row["level"] == "period"]
    return {row["billing_period"]: tuple(row[name] for name in names) for row in rows}


def lines(run) -> list[tuple]:
    """Each line: account, cost center, rows more, billed more, and which part of that moved."""
    return [
        (
            row["sub_account_id"],
            row["cost_center"],
            restated.rows([row]),
            restated.delta([row], "billed"),
            row["billed_moved"],
        )
        for row in run.rows("restatements")
        if row["level"] == "line"
    ]


def test_the_same_delivery_twice_changes_nothing(deliver):
    """Unchanged, no line, the same content digest, the same snapshot; the first time there is nothing to compare with."""
    first, again = deliver(BILL), deliver(BILL)
    assert periods(first) == {"2026-10": ("first", False, None, None, None)}
    assert periods(again) == {"2026-10": ("unchanged", False, 1, 0, 0)}
    assert lines(first) == lines(again) == []
    assert again.content == first.content
    assert again.manifest["snapshots"] == first.manifest["snapshots"]
    assert restated.sentences(restated.read(again)) == []


def test_two_identical_rows_are_two_rows(deliver):
    """One more of a charge that was there twice is one new charge and its cost."""
    deliver(BILL)
    run = deliver([*BILL, BILL[1]])
    assert periods(run) == {"2026-10": ("restated", False, 1, 1, 0)}
    assert lines(run) == [("acct-2", "B", 1, Decimal(5), Decimal(0))]


def test_rows_and_files_in_another_order_are_the_same_delivery(tmp_path):
    """Neither the order of rows nor how they are spread over files restates anything."""
    write_csv(tmp_path / "bills/1.csv", BILL[:1])
    write_csv(tmp_path / "bills/2.csv", BILL[1:])
    config = write_project(tmp_path, tmp_path / "bills")
    run_project(config)
    write_csv(tmp_path / "bills/1.csv", BILL[:0:-1])
    write_csv(tmp_path / "bills/2.csv", BILL[:1])
    assert periods(run_project(config).run) == {"2026-10": ("unchanged", False, 1, 0, 0)}


def test_what_no_money_hangs_on_is_restated_too(deliver):
    """A changed description is a charge gone and one new, with no line, because no amount differs."""
    deliver(BILL)
    run = deliver([{**BILL[0], "RegionId": "eu-2"}, *BILL[1:]])
    assert periods(run) == {"2026-10": ("restated", False, 1, 1, 1)}
    assert lines(run) == []


def test_a_changed_tag_is_the_bills_doing(deliver):
    """The provider filled a tag in afterwards: cost centers change because the delivery did, not the policies."""
    deliver(BILL)
    run = deliver([{**BILL[0], "Tags": B}, *BILL[1:]])
    assert lines(run) == [("acct-1", "A", -1, Decimal(-10), Decimal(0)), ("acct-1", "B", 1, Decimal(10), Decimal(0))]


def test_policies_alone_reassign_and_restate_nothing(deliver):
    """The same bill under other rules: what moved is said to have moved, and sums to nothing; the bill is the same."""
    deliver(BILL[:1])
    run = deliver(BILL[:1], policies=(TAGS, BY_ACCOUNT), accounts=OWNER)
    assert periods(run) == {"2026-10": ("reassigned", False, 1, 0, 0)}
    assert lines(run) == [("acct-1", "A", -1, Decimal(-10), Decimal(-10)), ("acct-1", "C", 1, Decimal(10), Decimal(10))]
    assert restated.sentences(restated.read(run)) == [
        "bill 2026-10 reassigned: 10.00 USD changed hands by policies or registers; the bill is that of run 1"
    ]


def test_a_bill_and_a_policy_that_change_at_once_are_told_apart(deliver):
    """Of a charge that grew and changed hands, the former amount moved and only the growth is the bill's."""
    deliver(BILL[:1])
    run = deliver([{**BILL[0], "BilledCost": "12.5"}], policies=(TAGS, BY_ACCOUNT), accounts=OWNER)
    assert lines(run) == [
        ("acct-1", "A", -1, Decimal(-10), Decimal(-10)),
        ("acct-1", "C", 1, Decimal("12.5"), Decimal(10)),
    ]


def test_a_register_that_cuts_the_month_moves_and_restates_nothing(deliver):
    """An owner from the middle of the month on: the later half moved; no charge came or went, here and in a diff."""
    days = [{**charge("10"), "ChargePeriodStart": f"2026-10-{day:02}T00:00:00Z"} for day in (5, 20)]
    by_account = {"policies": (TAGS, BY_ACCOUNT)}
    old = deliver(days, **by_account, accounts=["acct-1,Cloud,One,A,,,,"])
    halves = ["acct-1,Cloud,One,A,,,,2026-10-15", "acct-1,Cloud,One,B,,,2026-10-16,"]
    run = deliver(days, **by_account, accounts=halves)
    assert periods(run)["2026-10"][0] == "reassigned"
    assert lines(run) == [("acct-1", "A", -1, Decimal(-10), Decimal(-10)), ("acct-1", "B", 1, Decimal(10), Decimal(10))]
    found = diff(old, run)
    [move] = found.moves
    assert (move["cost_center_old"], move["cost_center_new"], move["rows_old"], move["cost_new"]) == (
        "A",
        "B",
        1,
        Decimal(10),
    )
    assert found.growth == []


def test_a_register_that_cuts_the_month_without_effect_moves_nothing(deliver):
    """The same owner on both sides of the cut: two cells of one, and nothing to tell."""
    days = [{**charge("10"), "ChargePeriodStart": f"2026-10-{day:02}T00:00:00Z"} for day in (5, 20)]
    old = deliver(days, policies=(TAGS, BY_ACCOUNT), accounts=["acct-1,Cloud,One,A,,,,"])
    halves = ["acct-1,Cloud,One,A,,,,2026-10-15", "acct-1,Cloud,One,A,,,2026-10-16,"]
    run = deliver(days, policies=(TAGS, BY_ACCOUNT), accounts=halves)
    assert len(run.rows("cells")) == 2
    assert periods(run) == {"2026-10": ("unchanged", False, 1, 0, 0)}
    assert (diff(old, run).moves, diff(old, run).growth) == ([], [])


def test_corrections_stand_apart_with_the_month_they_mend(deliver):
    """A correction has a line of its own, which says where it is posted and which month it belongs to."""
    deliver(BILL)
    run = deliver([*BILL, CORRECTION])
    [line] = [row for row in run.rows("restatements") if row["level"] == "line"]
    assert (line["correction"], line["billing_period"], line["charge_period"]) == (True, "2026-10", "2026-08")
    assert restated.sentences(restated.read(run)) == [
        "bill 2026-10 restated: -3.00 USD billed in 1 account, 1 charge new, 0 gone, 1 correction; run 1 had it before"
    ]
    [row] = diff(load(run.ledger, 1), run).corrections
    assert (row["charge_period"], row["billed_cost_new"]) == ("2026-08", Decimal(-3))


def test_a_late_file_is_taken_and_flagged_and_what_is_not_delivered_has_not_vanished(deliver):
    """A first delivery of an older period is late; a period of an earlier run that is lacking keeps its totals, unclaimed."""
    deliver(BILL)
    run = deliver([charge("7", **SEPTEMBER)])
    assert periods(run) == {
        "2026-09": ("first", True, None, None, None),
        "2026-10": ("not_delivered", False, 1, None, None),
    }
    [absent] = [row for row in run.rows("restatements") if row["kind"] == "not_delivered"]
    assert (absent["rows_before"], absent["billed_before"]) == (3, Decimal(20))
    assert (absent["rows_after"], absent["billed_after"], absent["effective_after"]) == (None, None, None)
    assert restated.sentences(restated.read(run)) == [
        "bill 2026-09 delivered: 7.00 USD billed, late: a later period was delivered before",
        "bill: 1 earlier period not in this delivery (2026-10); as their last runs have them",
    ]


def test_a_closed_month_that_is_restated_is_compared_with_the_run_that_held_it(deliver):
    """Not with the last run, which holds another month: the month's own former delivery is replaced, and it is late."""
    deliver([charge("7", **SEPTEMBER)])
    deliver(BILL)
    run = deliver([charge("8", **SEPTEMBER), *BILL])
    assert periods(run) == {"2026-09": ("restated", True, 1, 1, 1), "2026-10": ("unchanged", False, 2, 0, 0)}
    assert [(each[3], each[4]) for each in lines(run)] == [(Decimal(1), Decimal(0))]


def test_a_currency_more_is_a_restatement_of_its_period(deliver):
    """Currencies never meet: the new one begins at nothing, the other is unchanged."""
    deliver(BILL)
    run = deliver([*BILL, charge("9", BillingCurrency="EUR")])
    kinds = {
        row["currency"]: (row["kind"], row["billed_before"])
        for row in run.rows("restatements")
        if row["level"] == "period"
    }
    assert kinds == {"EUR": ("restated", Decimal(0)), "USD": ("unchanged", Decimal(20))}


def test_sources_are_compared_each_with_itself(tmp_path):
    """Of two sources only the one that changed is restated; one that is no longer read is not delivered."""
    write_csv(tmp_path / "other.csv", [charge("1", Tags=A)])
    config = write_project(tmp_path, BILL)
    alone = config.read_text()
    config.write_text(
        alone.replace("policies:", f'  - {{name: other, format: focus, path: "{tmp_path}/other.csv"}}\npolicies:', 1)
    )
    run_project(config)
    write_csv(tmp_path / "other.csv", [charge("2", Tags=A)])

    def kinds() -> dict[str, str]:
        rows = run_project(config).run.rows("restatements")
        return {row["source"]: row["kind"] for row in rows if row["level"] == "period"}

    assert kinds() == {"bill": "unchanged", "other": "restated"}
    config.write_text(alone)
    assert kinds() == {"bill": "unchanged", "other": "not_delivered"}


def test_a_former_delivery_that_is_no_longer_kept_leaves_the_counts_unknown(deliver):
    """Somebody made room: amounts are still compared, and how many charges are new is not known, never zero."""
    run = deliver(BILL)
    shutil.rmtree(run.snapshot_paths("bill").charges.parent)
    again = deliver([*BILL, BILL[1]])
    assert periods(again) == {"2026-10": ("restated", False, 1, None, None)}
    assert lines(again) == [("acct-2", "B", 1, Decimal(5), Decimal(0))]


def test_the_manifest_names_the_periods_of_each_delivery(deliver):
    """What replaces what can be seen without reading Parquet: rows and costs by period and currency, money as text."""
    run = deliver([*BILL, charge("0.1", **SEPTEMBER)])
    sums = [("2026-09", 1, "0.10"), ("2026-10", 3, "20.00")]
    assert run.manifest["snapshots"]["bill"]["periods"] == [
        {"billing_period": period, "currency": "USD", "rows": rows, "billed_cost": cost, "effective_cost": cost}
        for period, rows, cost in sums
    ]
    assert [(row["source"], row["billed_cost"]) for row in run.periods()] == [
        ("bill", Decimal("0.1")),
        ("bill", Decimal(20)),
    ]


def test_a_commit_that_fails_leaves_the_former_snapshot_in_force(deliver, tmp_path, monkeypatch):
    """Until the one rename that shows a run, every period is still that of the run before; then all are the new one's."""
    deliver(BILL)
    rename = os.rename

    def failing(source, target, **kwargs):
        if Path(target).parent.name == "runs":
            raise OSError(5, os.strerror(5))
        rename(source, target, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(Refused, match="L002"):
            deliver([*BILL, charge("7", **SEPTEMBER)])
    ledger = tmp_path / "ledger"
    assert {key: held.run.number for key, held in in_force(ledger).items()} == {("bill", "2026-10"): 1}
    assert periods(deliver([*BILL, BILL[0]])) == {"2026-10": ("restated", False, 1, 1, 0)}
    assert {key: held.run.number for key, held in in_force(ledger).items()} == {("bill", "2026-10"): 2}
    assert verify(ledger) == []


def test_a_run_that_another_overtook_is_refused(ledger):
    """It compared with a run that is no longer the latest of its source; a run of other sources is in nobody's way."""

    def late(sources: dict[str, list], follows: int):
        with stage(ledger) as staging:
            files, snapshots = write_files(staging.folder, {**default_rows(), "totals": []}, sources)
            given = {
                "inputs": [],
                "policies": [],
                "parameters": DEFAULT_PARAMETERS,
                "gaps": 0,
                "engine": DEFAULT_ENGINE,
            }
            return commit(
                staging, tables=files, snapshots=snapshots, committed_at="2026-06-02", follows=follows, **given
            )

    build_run(ledger)
    with pytest.raises(Refused, match="L045 run 1 with aws was committed while"):
        late({"aws": []}, 0)
    assert numbers(ledger) == [1]
    assert late({"gcp": []}, 0).number == 2
    assert late({"aws": []}, 1).number == 3


def _downgrade(run) -> None:
    """Make of a run one that the governor before committed: manifest schema 1, tables 1."""
    manifest = parse_canonical((run.folder / "manifest.json").read_bytes())
    for name in ("restatements", "tie_out", "bridge", "commitments"):
        (run.folder / f"{name}.parquet").unlink()
        del manifest["outputs"][name]
    for snapshot in manifest["snapshots"].values():
        del snapshot["periods"]
    manifest |= {"schema": 1, "parameters": {**manifest["parameters"], "tables": 1}}
    manifest["content"] = content_digest(manifest["policies"], manifest["parameters"], manifest["outputs"])
    data = canonical(manifest)
    receipt = seal({**run.receipt, "manifest": digest_bytes(data)})
    for name, content in (("manifest.json", data), ("receipt.json", canonical(receipt))):
        (run.folder / name).chmod(0o644)
        (run.folder / name).write_bytes(content)


def test_a_run_of_the_version_before_is_read_verified_reported_and_compared(deliver, tmp_path):
    """It holds no restatements and its manifest no periods; its totals say what it held, and the next run compares."""
    _downgrade(deliver(BILL))
    old = load(tmp_path / "ledger", 1)
    assert verify(old.ledger) == []
    assert [(row["billing_period"], row["rows"]) for row in old.periods()] == [("2026-10", 3)]
    assert (restated.read(old), json.summary(old)["restatements"]) == ([], [])
    assert "total bill 2026-10" in console.render(old)
    assert "restatements.csv" not in {path.name for path in csv.render(old, tmp_path / "csv")}
    run = deliver([*BILL, BILL[1]])
    assert periods(run) == {"2026-10": ("restated", False, 1, 1, 0)}
    [grown] = diff(old, run).growth
    assert (grown["cost_center"], grown["rows_new"] - grown["rows_old"]) == ("B", 1)
    assert verify(old.ledger) == []


cents = st.sampled_from(["1", "-2.5", "0.000000000000000000000001", "7.25", "0"])
bills = st.lists(
    st.builds(
        lambda cost, billed, when, tags, class_, account: charge(
            cost, BilledCost=billed, Tags=tags, ChargeClass=class_, SubAccountId=account, **when
        ),
        cents, cents, st.sampled_from([AUGUST, SEPTEMBER]), st.sampled_from([A, B, "{}"]),
        st.sampled_from(["", "Correction"]), st.sampled_from(["acct-1", "acct-2"]),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(bills, st.booleans()), min_size=2, max_size=4))
def test_all_that_was_ever_restated_adds_up_to_the_latest_totals(deliveries):
    """Whatever is delivered in whatever order, under changing policies: the sum of all changes is what is in force.

    And each period's lines add up to its own change, of which what only changed hands sums to nothing.
    """
    sums: dict[tuple, Decimal] = {}
    with tempfile.TemporaryDirectory() as folder:
        for bill, by_account in deliveries:
            policies = (TAGS, BY_ACCOUNT if by_account else BY_TAG)
            run = run_project(write_project(Path(folder), bill, policies=policies, accounts=OWNER)).run
            for each in (e for e in restated.read(run) if e.period["kind"] != "not_delivered"):
                for name in restated.AMOUNTS:
                    change = restated.delta([each.period], name)
                    key = (each.period["billing_period"], name)
                    sums[key] = money.total((sums.get(key, Decimal(0)), change))
                    assert each.period["kind"] == "first" or restated.delta(each.lines, name) == change
                    assert money.total(line[f"{name}_moved"] for line in each.lines) == 0
        latest = {
            (period, name): row[f"{name}_cost"]
            for (_, period), held in in_force(run.ledger).items()
            for row in held.totals
            for name in restated.AMOUNTS
        }
    assert sums == latest
