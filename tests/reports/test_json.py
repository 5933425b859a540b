"""`--format json`: one object by its schema, with exact figures."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from governor.ledger.read import Run
from governor.reports import json as json_report
from tests.run_builder import build_run, default_rows, finding

GOLDEN = Path(__file__).parent.parent / "golden" / "reports" / "summary.json"


@pytest.fixture(scope="module")
def schema(root: Path) -> Draft202012Validator:
    text = (root / "schemas" / "run-output.json").read_text(encoding="utf-8")
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


def test_the_object_is_the_golden_one(run: Run) -> None:
    """What scripts read changes only on purpose. To accept a change, run with GOVERNOR_ACCEPT=1 and read the diff."""
    made = json_report.render(run).replace(str(run.folder), "FOLDER")
    made = re.sub(r'"(content|manifest)": "[0-9a-f]{64}"', r'"\1": "DIGEST"', made)
    if os.environ.get("GOVERNOR_ACCEPT"):
        GOLDEN.write_text(made, encoding="utf-8")
    assert made == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["run", "empty"])
def test_the_object_follows_its_schema(name: str, request: pytest.FixtureRequest, schema: Draft202012Validator) -> None:
    """A script may rely on schemas/run-output.json, for a run of nothing too."""
    assert not [e.message for e in schema.iter_errors(json.loads(json_report.render(request.getfixturevalue(name))))]


def test_the_schema_refuses_floats_and_unknown_fields(run: Run, schema: Draft202012Validator) -> None:
    """The schema says something: a number for money, a missing score or a stray field does not pass."""
    for path, value in ((("totals", 0, "billed_cost"), 1.5), (("score", "allocatability"), 85.0), (("stray",), 1)):
        broken = json_report.summary(run)
        target = broken
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        assert list(schema.iter_errors(broken)), path


def test_money_is_text_exact_and_ties(run: Run) -> None:
    """Totals are the input's own digits, and allocated + unallocated is the whole of it."""
    summary = json_report.summary(run)
    assert summary["totals"][0]["effective_cost"] == "3538.1250001"
    for row in summary["totals"]:
        assert Decimal(row["effective_cost"]) == Decimal(row["allocated"]) + Decimal(row["unallocated"])
    for currency in ("USD", "EUR"):
        allocated = sum(Decimal(r["allocated"]) for r in summary["totals"] if r["currency"] == currency)
        assert allocated == sum(Decimal(r["total"]) for r in summary["cost_centers"] if r["currency"] == currency)


def test_a_run_without_charges_has_no_score(empty: Run) -> None:
    """Nothing judged is null: never 100, never 0."""
    summary = json_report.summary(empty)
    assert summary["score"]["allocatability"] is None
    assert set(summary["score"]["shares"].values()) == {None}
    assert summary["score_by_currency"] == {}


def test_the_score_is_the_reporting_currencys(run: Run) -> None:
    """`score` never mixes currencies; the others stand beside it, each with eight shares that make 100.00."""
    summary = json_report.summary(run)
    assert summary["score"] == summary["score_by_currency"]["USD"] != summary["score_by_currency"]["EUR"]
    for score in summary["score_by_currency"].values():
        for shares in (score["shares"], score["by_rows"]):
            assert sum(map(Decimal, shares.values())) == 100


def test_the_top_five_are_open_and_ranked_by_money(tmp_path: Path) -> None:
    """What costs most comes first; an approved exception is not asked to be mended."""
    costs = [("a", "1"), ("b", "30"), ("c", "2"), ("d", "40"), ("e", "3"), ("f", "5"), ("g", "99")]
    rows = [finding(subject=s, cost=Decimal(c), verdict="waived" if s == "g" else "fail") for s, c in costs]
    top = json_report.summary(build_run(tmp_path / "ledger", {"findings": rows}))["findings"]["top"]
    assert [(f["subject"], f["cost"]) for f in top] == [
        ("d", "40.00"),
        ("b", "30.00"),
        ("f", "5.00"),
        ("e", "3.00"),
        ("c", "2.00"),
    ]


def test_counts_by_verdict_are_those_of_the_run(run: Run) -> None:
    """Every finding counts once; what passed is counted from the evidence."""
    counts = json_report.summary(run)["findings"]
    found = default_rows()["findings"]
    for verdict in ("fail", "unknown", "grace", "waived"):
        assert counts[verdict] == sum(f["verdict"] == verdict for f in found) > 0
    assert counts["pass"] == sum(v["subjects"] for v in default_rows()["verdicts"] if v["verdict"] == "pass") > 0


def test_a_cost_center_is_one_entry_over_all_periods(tmp_path: Path) -> None:
    """The statement's entry adds up the periods of a currency, exactly."""
    rows = default_rows()
    april = [row | {"billing_period": "2026-04"} for row in rows["cost_centers"]]
    summary = json_report.summary(build_run(tmp_path / "ledger", {"cost_centers": rows["cost_centers"] + april}))
    [shop] = [c for c in summary["cost_centers"] if (c["cost_center"], c["currency"]) == ("CC-0042", "USD")]
    [once] = [r for r in rows["cost_centers"] if (r["cost_center"], r["currency"]) == ("CC-0042", "USD")]
    assert Decimal(shop["total"]) == 2 * once["total"]
    assert Decimal(shop["budget"]) == 2 * once["budget"]
