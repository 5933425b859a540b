"""What must hold for any bill: money is conserved, order doesn't matter, and evidence only ever helps."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from governor.ledger.read import Run
from tests.project import TAGS, charge, judged, run_project, write_project

POLICY = """
kind: AllocationPolicy
id: who-pays
title: Everything
effective_from: 2020-01-01
assign:
  - {id: by-tag, to: tag.cost_center}
  - {id: by-account, to: account.cost_center}
pools:
  - id: support
    where: "service_name = 'Support'"
    split: {method: proportional, basis: direct_cost}
    on_zero: central
    owner: D
  - {id: large, where: "effective_cost > 5000 and billed_cost <> 0", split: {method: even, targets: [A, B, C]}}
  - {id: unused, split: {method: fixed, shares: {A: 33, B: 67}}}
commitments: {benefit: consumer, unused: {pool: unused}}
central:
  - id: guard
    where: "tag.cost_center = 'C' and service_name = 'Guard'"
    owner: C
    reason: guardrails
    approved_by: cfo@acme.example
    expires: 2026-10-15
"""
ACCOUNTS = ["acct-1,Cloud,One,A,,,,", "acct-2,Cloud,Two,NOWHERE,,,,"]

costs = st.one_of(
    st.sampled_from(["0", "-0", "0.000000000001", "1E-7", "5000.01", "-12.345", "99999999.99"]),
    st.decimals(min_value=-9999, max_value=9999, places=6).map(str),
)
tags = st.sampled_from(
    ["{}", '{"cost-center":"A"}', '{"cost-center":"b "}', '{"CostCenter":"C"}', '{"cost-center":"","CostCenter":"B"}',
     '{"cost-center":"A","CostCenter":"B"}', '{"cost-center":"TBD"}', '{"cost-center":"X"}', "broken"]
)  # fmt: skip


@st.composite
def charges(draw: st.DrawFn) -> dict[str, str]:
    """Draw a charge among a few resources, accounts and services, so that rows meet in cells and pools."""
    effective = draw(costs)
    return charge(
        effective,
        BilledCost=draw(st.sampled_from([effective, "0", "1.5"])),
        Tags=draw(tags),
        SubAccountId=draw(st.sampled_from(["acct-1", "acct-2", "acct-3", ""])),
        ServiceName=draw(st.sampled_from(["Compute", "Support", "Guard"])),
        ResourceId=draw(st.sampled_from(["vm-1", "vm-2", ""])),
        ChargeCategory=draw(st.sampled_from(["Usage", "Usage", "Tax", "Credit", "Purchase"])),
        CommitmentDiscountStatus=draw(st.sampled_from(["", "", "Used", "Unused"])),
        BillingCurrency=draw(st.sampled_from(["USD", "USD", "EUR"])),
        ChargePeriodStart=draw(
            st.sampled_from(["2026-10-05T00:00:00Z", "2026-10-15T23:59:59Z", "2026-10-16T00:00:00Z"])
        ),
    )


UNOWNED = ("{}", '{"cost-center":"TBD"}', '{"cost-center":"X"}', "broken")
bills = st.lists(charges(), min_size=1, max_size=12)
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pytestmark = pytest.mark.slow


def judge(bill: Sequence[Mapping[str, str]], *policies: str, centers: Sequence[str] = "ABCD", **options: int) -> Run:
    """Run a bill in a folder of its own; what is asked of the run is read before the folder goes."""
    folder = Path(tempfile.mkdtemp(prefix="governor-property-"))
    config = write_project(folder, bill, policies=policies or (TAGS, POLICY), centers=centers, accounts=ACCOUNTS)
    return run_project(config, **options).run


def bounds(run: Run) -> dict[str, Decimal]:
    """Read each currency's proven share."""
    return {s["currency"]: Decimal(s["low"] or 0) for s in run.rows("scores") if s["scope"] == "total"}


@few
@given(bills)
def test_money_is_conserved_to_the_last_digit(bill: list[dict[str, str]]) -> None:
    """Ingested = allocated + unallocated per source, period and currency, and totals are the file's own sums."""
    run = judge(bill)
    sums: dict[str, Decimal] = {}
    for row in bill:
        sums[row["BillingCurrency"]] = sums.get(row["BillingCurrency"], Decimal(0)) + Decimal(row["EffectiveCost"])
    totals = run.rows("totals")
    assert {t["currency"]: t["effective_cost"] for t in totals} == sums
    assert all(t["allocated"] + t["unallocated"] == t["effective_cost"] for t in totals)
    placed: dict[str, Decimal] = {}
    for row in run.rows("allocations"):
        placed[row["currency"]] = placed.get(row["currency"], Decimal(0)) + row["amount"]
    assert placed == sums
    centers = {c: sum((r["total"] for r in run.rows("cost_centers") if r["currency"] == c), Decimal(0)) for c in sums}
    assert centers == {t["currency"]: t["allocated"] for t in totals}


@few
@given(bills)
def test_the_eight_shares_add_up(bill: list[dict[str, str]]) -> None:
    """By cost and by rows, the shares of the eight statuses are exactly 100.00, or nothing of nothing."""
    for score in judge(bill).rows("scores"):
        for prefix, whole in (("share_", score["positive_cost"]), ("rows_share_", score["rows"])):
            shares = sum(Decimal(score[f"{prefix}{s}"]) for s in "tarskcdu")
            assert shares == (100 if whole > 0 else 0)
        assert sum(score[f"cost_{s}"] for s in "tarskcdu") == score["positive_cost"]
        assert score["positive_cost"] + score["credits"] == score["cost"]


@few
@given(bills, st.randoms(use_true_random=False), st.sampled_from([1, 3]))
def test_order_and_threads_change_no_byte(bill: list[dict[str, str]], random, threads: int) -> None:
    """Equal charges in any order on any number of threads give equal tables, digest by digest."""
    shuffled = list(bill)
    random.shuffle(shuffled)
    one, other = judge(bill, threads=1), judge(shuffled, threads=threads)
    assert one.manifest["outputs"] == other.manifest["outputs"]
    assert one.content == other.content


@few
@given(bills, st.integers(0, 11))
def test_a_valid_tag_never_lowers_coverage(bill: list[dict[str, str]], index: int) -> None:
    """Naming a cost center in force on one more cost that named none keeps or raises the score of its currency.

    A credit is no such cost: it lowers its owner's direct cost, by which pools are divided, and may leave nobody to pay.
    """
    unowned = [n for n, row in enumerate(bill) if row["Tags"] in UNOWNED and Decimal(row["EffectiveCost"]) > 0]
    assume(unowned)
    better = [dict(row) for row in bill]
    better[unowned[index % len(unowned)]]["Tags"] = '{"cost-center":"A"}'
    before, after = bounds(judge(bill)), bounds(judge(better))
    assert all(after[currency] >= before[currency] for currency in before)


WAIVER = """
kind: Waiver
id: accepted
requirements: [core/*]
reason: being mended
approved_by: cto@acme.example
ticket: T-1
expires: 2026-12-31
"""


@few
@given(bills)
def test_a_waiver_moves_no_money(bill: list[dict[str, str]]) -> None:
    """With a waiver of everything, amounts and scores are the same to the byte; only findings change their verdict."""
    plain, waived = judge(bill), judge(bill, TAGS, POLICY, WAIVER)
    for table in ("totals", "allocations", "cost_centers", "scores"):
        assert plain.manifest["outputs"][table] == waived.manifest["outputs"][table]
    assert "fail" not in {f["verdict"] for f in waived.rows("findings")}
    assert len(plain.rows("findings")) == len(waived.rows("findings"))


@few
@given(bills, st.integers(0, 11), st.sampled_from(["tag", "tags", "account", "center"]))
def test_dropping_evidence_never_raises_the_score(bill: list[dict[str, str]], index: int, dropped: str) -> None:
    """Unreadable tags, a missing column, a lost register row: what is proven can only shrink."""
    worse, centers = [dict(row) for row in bill], "ABCD"
    if dropped == "tag":
        worse[index % len(bill)]["Tags"] = "{unreadable"
    elif dropped == "center":
        centers = "ABCD"  # pools name A to D; what goes is the account that only A's rule knew
        for row in worse:
            row["SubAccountId"] = "acct-3"
    else:
        for row in worse:
            row.pop({"tags": "Tags", "account": "SubAccountId"}[dropped])
    before, after = bounds(judge(bill)), bounds(judge(worse, centers=centers))
    assert all(after[currency] <= before[currency] for currency in before)


def test_two_identical_rows_stay_two_rows(tmp_path: Path) -> None:
    """Nothing is ever de-duplicated: two equal charges are two charges."""
    row = charge("1.10", Tags=json.dumps({"cost-center": "A"}))
    run = judged(tmp_path, [row, row])
    [total] = run.rows("totals")
    assert (total["rows"], total["effective_cost"]) == (2, Decimal("2.2"))
