"""Who pays: every charge has one status, pools split to the cent, and every cent is conserved."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from governor.model import Refused
from tests.project import BY_TAG, TAGS, charge, judged, paid

POOLS = """
kind: AllocationPolicy
id: who-pays
title: Direct, then pools
effective_from: 2020-01-01
assign:
  - {{id: by-tag, to: tag.cost_center}}
  - {{id: by-account, to: account.cost_center}}
pools:
{pools}
{rest}
"""


def tagged(cost: str, center: str, **columns: str) -> dict[str, str]:
    return charge(cost, Tags=json.dumps({"cost-center": center}), ResourceId=f"vm-{center}", **columns)


def support(cost: str, **columns: str) -> dict[str, str]:
    return charge(cost, ServiceCategory="Other", ServiceName="Support", ResourceId="", **columns)


def pools(text: str, rest: str = "") -> tuple[str, str]:
    return TAGS, POOLS.format(pools=text, rest=rest)


def statuses(run) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for row in run.rows("allocations"):
        totals[row["status"]] = totals.get(row["status"], Decimal(0)) + row["amount"]
    return totals


def test_the_official_apportionment_example(tmp_path: Path) -> None:
    """FinOps Framework, Usage or Spend Apportionment: 200,000 of shared cost over four departments' spend."""
    direct = {"FINANCE": "225000", "LOGISTICS": "225000", "COMMERCIAL": "300000", "MARKETING": "450000"}
    bill = [tagged(cost, center) for center, cost in direct.items()] + [support("200000")]
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost}}"
    run = judged(tmp_path, bill, policies=pools(shared), centers=direct)
    lines = {row["cost_center"]: row["shared"] for row in run.rows("cost_centers")}
    assert lines == {
        "FINANCE": Decimal(37500),
        "LOGISTICS": Decimal(37500),
        "COMMERCIAL": Decimal(50000),
        "MARKETING": Decimal(75000),
    }
    [total] = [s for s in run.rows("scores") if s["scope"] == "total"]
    assert total["allocatability"] == "100.00"


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("{method: even, targets: [A, B, C]}", {"A": "33.34", "B": "33.33", "C": "33.33"}),
        ("{method: fixed, shares: {A: 50, B: 30, C: 20}}", {"A": "50", "B": "30", "C": "20"}),
        ("{method: even}", {"A": "50", "B": "50"}),
        ("{method: proportional, basis: direct_cost}", {"A": "75", "B": "25"}),
        ("{method: proportional, basis: direct_cost, targets: [B]}", {"B": "100"}),
    ],
)
def test_a_pool_splits_to_the_cent(tmp_path: Path, split: str, expected: dict[str, str]) -> None:
    """The parts add up to the pool exactly, spare cents go by largest remainder, ties by name."""
    bill = [tagged("30", "A"), tagged("10", "B"), support("100.00")]
    shared = f"  - {{id: shared, where: \"service_name = 'Support'\", split: {split}}}"
    run = judged(tmp_path, bill, policies=pools(shared))
    lines = {row["cost_center"]: row["shared"] for row in run.rows("cost_centers") if row["shared"]}
    assert lines == {center: Decimal(amount) for center, amount in expected.items()}


def test_a_credit_in_a_pool_is_split_like_a_charge(tmp_path: Path) -> None:
    """Negative pools split by the same ratios, and no cent changes sign or gets lost."""
    bill = [tagged("30", "A"), tagged("10", "B"), support("-10.01")]
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost}}"
    run = judged(tmp_path, bill, policies=pools(shared))
    assert paid(run) == {"A": Decimal("22.49"), "B": Decimal("7.5")}


def test_a_pool_that_nobody_can_be_charged_stops_the_run(tmp_path: Path) -> None:
    """on_zero is fail by default: the message names the pool, the money and the way out; nothing is committed."""
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost}}"
    with pytest.raises(Refused) as refused:
        judged(tmp_path, [support("12.50")], policies=pools(shared))
    assert "P312 pool shared has nobody to charge" in str(refused.value)
    assert "12.50 USD of 2026-10" in str(refused.value)
    assert not list((tmp_path / "ledger/runs").iterdir())


def test_a_pool_may_fall_to_its_owner_as_suspense(tmp_path: Path) -> None:
    """on_zero: central keeps the money visible as D, not as shared: it does not raise the score."""
    shared = (
        "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost},"
        " on_zero: central, owner: D}"
    )
    run = judged(tmp_path, [support("12.50")], policies=pools(shared))
    assert statuses(run) == {"D": Decimal("12.5")}
    [total] = [s for s in run.rows("scores") if s["scope"] == "total"]
    assert (total["allocatability"], total["unallocated"]) == ("0.00", "100.00")
    [line] = run.rows("cost_centers")
    assert (line["cost_center"], line["total"], line["suspense"]) == ("D", Decimal(0), Decimal("12.5"))


def test_unused_commitments_go_to_their_pool_and_used_ones_to_who_used_them(tmp_path: Path) -> None:
    """Consumption pays for what it used; the unused part is K, whoever's account it stands on; fees are not paid twice."""
    bill = [
        tagged("0", "A", CommitmentDiscountId="c", ChargeCategory="Purchase", PricingCategory="Standard"),
        tagged("60", "B", CommitmentDiscountId="c", CommitmentDiscountStatus="Used"),
        charge("40", CommitmentDiscountId="c", CommitmentDiscountStatus="Unused", ResourceId="", SubAccountId="acct-1"),
    ]
    unused = "  - {id: unused, split: {method: fixed, shares: {A: 25, B: 75}}}"
    run = judged(
        tmp_path,
        bill,
        policies=pools(unused, "commitments: {benefit: consumer, unused: {pool: unused}}"),
        accounts=["acct-1,Cloud,One,A,,,,"],
    )
    assert statuses(run) == {"T": Decimal(60), "K": Decimal(40)}
    assert paid(run) == {"A": Decimal(10), "B": Decimal(90)}


def test_central_cost_has_an_owner_until_it_expires(tmp_path: Path) -> None:
    """C holds through its last day; afterwards the cost is its owner's suspense, and says why."""
    rest = (
        "central:\n  - {id: tooling, where: \"service_name = 'Support'\", owner: C, reason: shared guardrails,"
        " approved_by: cfo@acme.example, expires: 2026-10-20}"
    )
    late = {"ChargePeriodStart": "2026-10-21T00:00:00Z", "ChargePeriodEnd": "2026-10-22T00:00:00Z"}
    bill = [support("1"), support("2", **late), tagged("4", "A")]
    other = "  - {id: none, where: \"service_name = 'Nothing'\", split: {method: even}}"
    run = judged(tmp_path, bill, policies=pools(other, rest))
    assert statuses(run) == {"C": Decimal(1), "D": Decimal(2), "T": Decimal(4)}
    assert {r["reason"] for r in run.rows("allocations") if r["status"] == "D"} == {"central_expired"}


def test_the_order_of_clauses_is_the_policys(tmp_path: Path) -> None:
    """By default a pool that names a charge takes it before its tag does; `order` turns that round."""
    bill = [tagged("10", "A", ServiceName="Support"), tagged("10", "B")]
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost}}"
    assert statuses(judged(tmp_path / "one", bill, policies=pools(shared))) == {"S": Decimal(10), "T": Decimal(10)}
    order = "order: [assign, pools, commitments, central]"
    assert statuses(judged(tmp_path / "two", bill, policies=pools(shared, order))) == {"T": Decimal(20)}


def test_a_cost_center_pays_only_while_it_is_in_force(tmp_path: Path) -> None:
    """A closed cost center's charges fall to the next rule, and what nobody takes says that its owner is closed."""
    closed = "OLD,Old,,,6199,Acme,chargeback,,2026-10-10"
    after = {"ChargePeriodStart": "2026-10-11T00:00:00Z", "ChargePeriodEnd": "2026-10-12T00:00:00Z"}
    bill = [tagged("1", "OLD"), tagged("2", "OLD", **after), tagged("4", "OLD", SubAccountId="acct-2", **after)]
    run = judged(tmp_path, bill, policies=(TAGS, BY_TAG), centers=["A", closed], accounts=["acct-2,Cloud,Two,A,,,,"])
    assert paid(run) == {"OLD": Decimal(1), "A": Decimal(4), None: Decimal(2)}
    assert [r["reason"] for r in run.rows("allocations") if r["status"] == "U"] == ["owner_closed"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"Tags": "{}"}, "tag_missing"),
        ({"Tags": '{"cost-center": "TBD"}'}, "tag_missing"),
        ({"Tags": '{"cost-center": "NOWHERE"}'}, "value_invalid"),
        ({"Tags": "{}", "ResourceId": ""}, "untaggable"),
        ({"Tags": "{}", "ChargeCategory": "Tax"}, "untaggable"),
        ({"Tags": "not json"}, "tags_unread"),
    ],
)
def test_what_nobody_pays_says_why(tmp_path: Path, columns: dict[str, str], reason: str) -> None:
    """Every U has a reason that tells people what would help."""
    run = judged(tmp_path, [charge("5", **columns)])
    assert [(r["status"], r["reason"]) for r in run.rows("allocations")] == [("U", reason)]


def test_currencies_are_never_added_up(tmp_path: Path) -> None:
    """Pools, statements and scores stay within their currency."""
    bill = [
        tagged("30", "A"),
        tagged("30", "B", BillingCurrency="EUR"),
        support("5"),
        support("7", BillingCurrency="EUR"),
    ]
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost}}"
    run = judged(tmp_path, bill, policies=pools(shared))
    lines = {(r["cost_center"], r["currency"]): r["total"] for r in run.rows("cost_centers")}
    assert lines == {("A", "USD"): Decimal(35), ("B", "EUR"): Decimal(37)}
    assert {s["currency"] for s in run.rows("scores") if s["scope"] == "total"} == {"USD", "EUR"}


def test_a_policy_that_names_an_unknown_cost_center_is_refused(tmp_path: Path) -> None:
    """A typo in a pool, a rule or an owner is found before any money moves."""
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: even, targets: [Z]}}"
    with pytest.raises(Refused, match="P311 pool shared charges Z, not in force"):
        judged(tmp_path / "pool", [support("1")], policies=pools(shared))
    with pytest.raises(Refused, match="P310 default default names cost center Z"):
        other = "  - {id: none, where: \"service_name = 'Nothing'\", split: {method: even}}"
        judged(tmp_path / "default", [support("1")], policies=pools(other, "default: {cost_center: Z}"))


def test_late_usage_of_a_closed_cost_center_stops_no_pool(tmp_path: Path) -> None:
    """It pays its own late charge by its own month's register, and takes no share of this month's pools."""
    late = {"ChargePeriodStart": "2026-09-15T00:00:00Z", "ChargePeriodEnd": "2026-09-16T00:00:00Z"}
    bill = [tagged("10", "OLD", ChargeClass="Correction", **late), tagged("30", "B"), support("8")]
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: {method: proportional, basis: direct_cost}}"
    run = judged(tmp_path, bill, policies=pools(shared), centers=["B", "OLD,Old,,,61,Acme,chargeback,,2026-09-30"])
    assert paid(run) == {"OLD": Decimal(10), "B": Decimal(38)}


def test_two_policies_with_one_pool_each_divide_their_own(tmp_path: Path) -> None:
    """A pool that falls to its owner under one policy is still shared under the next one of the same name."""
    shared = "  - {id: shared, where: \"service_name = 'Support'\", split: SPLIT}"
    first = POOLS.format(pools=shared.replace("SPLIT}", "{method: proportional}, on_zero: central, owner: D}"), rest="")
    second = POOLS.format(pools=shared.replace("SPLIT", "{method: even, targets: [A, B]}"), rest="")
    second = second.replace("who-pays", "who-pays-2").replace("2020-01-01", "2026-10-15")
    after = {"ChargePeriodStart": "2026-10-20T00:00:00Z", "ChargePeriodEnd": "2026-10-21T00:00:00Z"}
    run = judged(tmp_path, [support("10"), support("20", **after)], policies=(TAGS, first, second))
    assert paid(run) == {"D": Decimal(10), "A": Decimal(10), "B": Decimal(10)}


def test_an_owner_that_is_closed_keeps_nothing_central(tmp_path: Path) -> None:
    """Central cost needs somebody who is there: without, it is nobody's, and the reason is said."""
    rest = (
        "central:\n  - {id: tooling, where: \"service_name = 'Support'\", owner: OLD, reason: shared,"
        " approved_by: cfo@acme.example, expires: 2026-12-31}"
    )
    other = "  - {id: none, where: \"service_name = 'Nothing'\", split: {method: even}}"
    centers = ["A", "OLD,Old,,,61,Acme,chargeback,,2026-09-30"]
    run = judged(tmp_path, [support("5")], policies=pools(other, rest), centers=centers)
    assert statuses(run) == {"U": Decimal(5)}
