"""Comparing runs: what moved, and that nobody calls mended what nobody looked at."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

import pytest

from governor.ledger.diff import as_json, diff
from tests.run_builder import build_run, cell, default_inputs, default_policies, default_rows, finding
from tests.run_figures import allocate, scores, statements, totals


def rows_of(cells, **more):
    """The tables that follow from cells."""
    base = default_rows()
    allocations = allocate(cells)
    return {
        "cells": cells,
        "allocations": allocations,
        "totals": totals(cells, base["rejects"], allocations),
        "cost_centers": statements(allocations, base["register_cost_centers"]),
        "scores": scores(cells, allocations),
        **more,
    }


def mended_cells():
    """The default cells after somebody tagged i-lost, gave nb-1's account an owner, a bucket grew and azure credited."""
    grown = dict.fromkeys(("effective_cost", "positive_cost"), Decimal("90.0000002"))
    tagged = {
        "tags": '{"cost-center":"CC-0077"}',
        "status": "T",
        "cost_center": "CC-0077",
        "rule": "by-tag",
        "cell": "tagged",
    }
    owned = {"status": "A", "cost_center": "CC-0077", "rule": "by-account", "reason": None}
    changed = {"i-lost": tagged, "nb-1": owned, "logs-bucket": grown}
    azure = {"source": "azure", "currency": "EUR", "sub_account_id": "sub-data", "service_name": "SqlDatabase"}
    credit = {
        "charge_class": "Correction",
        "charge_category": "Credit",
        "effective_cost": Decimal(-40),
        "rule": "by-tag",
    }
    cells = [{**row, **changed.get(row["resource_id"], {})} for row in default_rows()["cells"]]
    return [*cells, cell(**azure, **credit, status="T", cost_center="CC-0077", tags="{}", resource_id="sql-1")]


def compared(ledger, **second):
    """Compare a run of the default content with another."""
    return diff(build_run(ledger), build_run(ledger, **second))


@pytest.fixture
def difference(ledger):
    return compared(ledger, rows=rows_of(mended_cells()))


def test_a_run_does_not_differ_from_itself(ledger):
    """Equal runs have equal content, and every part of the difference is empty."""
    found = compared(ledger)
    assert found.same_content
    assert {name: value for name, value in as_json(found).items() if isinstance(value, list) and value} == {}
    assert found.finding_counts == {"new": 0, "reopened": 0, "still_open": 9, "fixed": 0, "unseen": 0}


def test_totals_say_what_moved_by_source_period_and_currency(difference):
    """Amounts are exact, old and new stand beside their difference, and what is equal isn't listed."""
    [aws, azure] = difference.totals
    assert (aws["source"], aws["effective_cost_delta"]) == ("aws", Decimal("2.0000001"))
    assert (aws["unallocated_old"], aws["unallocated_delta"]) == (Decimal("537.94"), Decimal("-520.74"))
    assert (azure["currency"], azure["effective_cost_delta"], azure["rows_delta"]) == ("EUR", Decimal(-40), 1)


def test_corrections_stand_apart(difference):
    """Charges that mend an earlier period are a part of the totals that is shown by itself; equal ones are not."""
    [row] = difference.corrections
    assert (row["source"], row["effective_cost_old"], row["effective_cost_new"]) == ("azure", None, Decimal(-40))


def test_accounts_services_and_cost_centers(difference):
    """Cost is compared by account, by service and by cost center."""
    assert {row["scope_id"]: row["cost_delta"] for row in difference.accounts} == {
        "111111111111": Decimal("2.0000001"),
        "333333333333": Decimal(0),
        "sub-data": Decimal(-40),
    }
    assert {row["scope_id"] for row in difference.services} == {
        "AmazonS3",
        "AmazonEC2",
        "AmazonSageMaker",
        "SqlDatabase",
    }
    moved = {(row["cost_center"], row["currency"]): row["direct_delta"] for row in difference.cost_centers}
    assert moved["CC-0077", "USD"] == Decimal("520.74")
    assert moved["CC-0077", "EUR"] == Decimal(-40)


def test_scores_before_and_after(difference):
    """The score in total stands before and after, each with its interval."""
    [row] = [row for row in difference.scores if row["scope"] == "total" and row["currency"] == "USD"]
    assert (row["allocatability_old"], row["high_old"]) == ("85.01", "85.49")
    assert row["allocatability_new"] > "99"


def test_moves_account_for_every_status(difference):
    """Charges that moved, came and went, with those that stayed and grew, are all that each status gained or lost."""
    gained = defaultdict(Decimal)
    for move in difference.moves:
        gained[move["currency"], move["status_old"]] -= move["cost_old"]
        gained[move["currency"], move["status_new"]] += move["cost_new"]
    expected = {(row["currency"], row["status"]): row["cost_delta"] for row in difference.statuses if row["cost_delta"]}
    for grown in difference.growth:
        gained[grown["currency"], grown["status"]] += grown["cost_new"] - grown["cost_old"]
    assert [(g["cost_center"], g["cost_old"]) for g in difference.growth] == [("CC-0042", Decimal("88.0000001"))]
    assert {key: amount for key, amount in gained.items() if key[1] and amount} == expected
    to_account = [m for m in difference.moves if (m["status_old"], m["status_new"]) == ("U", "A")]
    assert [(m["cost_center_new"], m["cost_old"], m["cost_new"]) for m in to_account] == [
        ("CC-0077", Decimal("420.75"), Decimal("420.75"))
    ]


def _without(rows, *subjects):
    return [row for row in rows if row["subject"] not in subjects]


def changes(found):
    return {row["subject"]: (row["change"], row["why"]) for row in found.findings}


def test_findings_are_new_fixed_or_reopened(ledger):
    """A finding that is gone where the run looked is fixed; one that came is new, or reopened where it stood before."""
    findings, judged = default_rows()["findings"], {"gaps": []}
    build_run(ledger, rows={**judged, "findings": findings})
    old = build_run(ledger, rows={**judged, "findings": _without(findings, "nb-1")})
    now = [*_without(findings, "i-web-2"), finding(subject="i-new")]
    now = [{**row, "verdict": "fail", "waiver": None} if row["subject"] == "fn-orders" else row for row in now]
    found = diff(old, build_run(ledger, rows={**judged, "findings": now}))
    assert changes(found) == {
        "i-web-2": ("fixed", None),
        "nb-1": ("reopened", None),
        "i-new": ("new", None),
        "fn-orders": ("still_open", None),
    }
    assert found.finding_counts == {"new": 1, "reopened": 1, "still_open": 7, "fixed": 1, "unseen": 0}
    [waived] = [row for row in found.findings if row["subject"] == "fn-orders"]
    assert (waived["verdict_old"], waived["verdict_new"]) == ("waived", "fail")


def test_a_subject_with_several_verdicts_is_one_finding(ledger):
    """What failed in some charges of a subject and was unknown in others is one finding; a currency more is one more."""
    parts = [finding(subject="x", verdict=verdict, cost=Decimal(3)) for verdict in ("unknown", "fail")]
    old = build_run(ledger, rows={"findings": [*parts, finding(subject="x", currency="EUR")], "gaps": []})
    found = diff(old, build_run(ledger, rows={"findings": parts[1:], "gaps": []}))
    assert [
        (r["change"], r["currency"], r["verdict_old"], r["verdict_new"], r["cost_old"], r["cost_new"])
        for r in found.findings
    ] == [
        ("fixed", "EUR", "fail", None, Decimal(0), None),
        ("still_open", "USD", "fail, unknown", "fail", Decimal(6), Decimal(3)),
    ]


GAP = {"scope": "x", "reason": "malformed", "detail": "x", "rows": 1}


@pytest.mark.parametrize(
    ("second", "change", "why"),
    [
        ({"gaps": []}, "fixed", None),
        ({"gaps": [{**GAP, "source": "azure"}]}, "fixed", None),
        ({"gaps": [{**GAP, "source": "aws", "reason": "rounded_double"}]}, "fixed", None),
        ({"gaps": [{**GAP, "source": "aws"}]}, "unseen", "the new run has gaps there"),
        ({"gaps": [{**GAP, "source": "registers/cost_centers.csv"}]}, "unseen", "the new run has gaps there"),
        ({"gaps": [], "verdicts": []}, "unseen", "its requirement is not in the new run"),
    ],
)
def test_a_finding_is_fixed_only_where_the_new_run_looked(ledger, second, change, why):
    """A gap in a finding's source, or one that may concern all, and a requirement that is no more, mend nothing."""
    found = compared(ledger, rows={**second, "findings": _without(default_rows()["findings"], "i-lost")})
    assert changes(found)["i-lost"] == (change, why)


def test_a_finding_of_a_source_that_was_not_read_is_not_fixed(ledger):
    """A bill that didn't come closes no finding."""
    findings = [row for row in default_rows()["findings"] if row["source"] != "azure"]
    found = compared(ledger, rows={"findings": findings, "gaps": []}, charges={"aws": []})
    assert changes(found)["st-1"] == ("unseen", "its source is not in the new run")


def test_policies_parameters_and_inputs(ledger):
    """What a run was made from is compared by digest: policies, files, and each parameter."""
    policies = default_rows()["policies"]
    changed = [{**policies[0], "digest": "0" * 64}, *policies[2:]]
    inputs = default_inputs()
    inputs[0]["files"][0] |= {"sha256": "1" * 64, "rows": 9}
    found = compared(
        ledger,
        rows={"policies": changed},
        policies=default_policies(changed),
        inputs=inputs,
        parameters={"as_of": "2026-07-01", "order": [["assign"]]},
    )
    assert [(row["policy"], row["digest_new"]) for row in found.policies] == [
        ("acme-2026", "0" * 64),
        ("core-tags", None),
    ]
    assert {row["parameter"]: row["value_new"] for row in found.parameters}["as_of"] == "2026-07-01"
    [file] = found.inputs
    assert (file["path"], file["rows_old"], file["rows_new"], file["rows_delta"]) == (
        "bills/aws.csv",
        3866,
        9,
        9 - 3866,
    )
    assert not found.same_content


def test_a_difference_is_plain_json_with_money_as_text(difference):
    """As JSON every amount is exact text, and nothing is a float."""
    written = json.dumps(as_json(difference), allow_nan=False)
    assert json.loads(written, parse_float=pytest.fail) == as_json(difference)
    assert '"effective_cost_delta": "2.0000001"' in written


def test_charges_that_change_hands_are_moves_too(ledger):
    """A charge that another cost center pays for moved, though its status is the same."""
    cells = [
        {**row, "cost_center": "CC-0077"} if row["resource_id"] == "vm-1" else row for row in default_rows()["cells"]
    ]
    [move] = compared(ledger, rows=rows_of(cells)).moves
    assert (move["status_old"], move["cost_center_old"], move["status_new"], move["cost_center_new"]) == (
        "T",
        "CC-0042",
        "T",
        "CC-0077",
    )
    assert (move["cost_old"], move["cost_new"], move["rows_new"]) == (Decimal(640), Decimal(640), 720)
