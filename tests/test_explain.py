"""Any id that a report shows can be asked why, down to the rows of the bill."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from governor.explain import Answer, explain
from governor.ledger.read import Run
from governor.model import Refused
from tests.project import TAGS, charge, judged

POLICY = """
kind: AllocationPolicy
id: who-pays
title: Direct, then a pool
effective_from: 2020-01-01
assign: [{id: by-tag, to: tag.cost_center}]
pools:
  - {id: support, where: "service_name = 'Support' and effective_cost > 1", split: {method: proportional, basis: direct_cost}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    tags = {center: json.dumps({"cost-center": center}) for center in "AB"}
    bill = [
        charge("30", Tags=tags["A"], ResourceId="vm-a"),
        charge("10", Tags=tags["B"], ResourceId="vm-b"),
        charge("4", ServiceName="Support", ResourceId=""),
        charge("1", ServiceName="Support", ResourceId=""),
        charge("oops", Tags=tags["A"]),
    ]
    return judged(tmp_path, bill, policies=(TAGS, POLICY))


def because(answer: Answer) -> dict[str, tuple]:
    return {what.split(":")[0]: rows for what, rows in answer.because}


def test_a_charge_says_which_rule_and_policy_placed_it(run: Run) -> None:
    """FILE:ROW leads to the status, the clause, the policy's digest."""
    [answer] = explain(run, "bill.csv:1")
    [decided] = because(answer)["decided"]
    assert (decided["status"], decided["cost_center"], decided["rule"]) == ("T", "A", "by-tag")
    digests = {p["policy"]: p["digest"] for p in run.rows("policies")}
    assert decided["policy_digest"] == digests["who-pays"]


def test_a_shared_charge_shows_how_its_pool_was_divided(run: Run) -> None:
    """Amount = pool x weight / total weight, checked by hand: 4.00 by 30 and 10."""
    [answer] = explain(run, "bill.csv:3")
    shares = because(answer)["shares of pool support"]
    assert {s["cost_center"]: s["amount"] for s in shares} == {"A": Decimal(3), "B": Decimal(1)}
    assert all(s["weight_total"] == 40 and s["pool_amount"] == 4 for s in shares)


def test_equal_looking_rows_that_a_predicate_tells_apart_have_different_answers(run: Run) -> None:
    """Row 4 is too small for the pool: what only the amount decides is explained as exactly as the rest."""
    [answer] = explain(run, "bill.csv:4")
    [decided] = because(answer)["decided"]
    assert (decided["status"], decided["reason"]) == ("U", "untaggable")


def test_a_rejected_row_says_why(run: Run) -> None:
    """A row that was refused is not lost: it can be asked for."""
    [answer] = explain(run, "bill.csv:5")
    assert answer.kind == "rejected charge"
    assert answer.facts["value"] == "oops"


def test_a_cell_names_its_rows(run: Run) -> None:
    """From a resource to its cells to the addresses of its charges."""
    [answer] = explain(run, "vm-a")
    [address] = [rows for what, rows in answer.because if what.startswith("its charges")]
    assert [r["charge"].rsplit("/", 1)[-1] for r in address] == ["bill.csv:1"]


@pytest.mark.parametrize("kind", ["finding", "requirement", "policy", "cost center", "pool", "rule", "account"])
def test_every_kind_of_id_is_answered(run: Run, kind: str) -> None:
    """What a report prints, explain takes."""
    ids = {
        "finding": run.rows("findings")[0]["fingerprint"],
        "requirement": "core/cost_center",
        "policy": "who-pays",
        "cost center": "A",
        "pool": "support",
        "rule": "by-tag",
        "account": "acct-1",
    }
    assert kind in {a.kind for a in explain(run, ids[kind])}


def test_an_unknown_id_is_answered_with_near_ones(run: Run) -> None:
    """A typo gets a suggestion."""
    with pytest.raises(Refused, match="did you mean core/cost_center"):
        explain(run, "core/cost_centre")
