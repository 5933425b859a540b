"""The run as one JSON object: what `governor run --format json` prints, by the schema in schemas/run-output.json."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from governor import money
from governor.ledger.read import Run
from governor.model import Status
from governor.reports import figures, reconciliation, restated
from governor.reports.figures import Row

TOP = 5  # findings that are spelled out; all of them are in findings.csv
PERCENTAGES = (
    "allocatability",
    "low",
    "high",
    "direct_coverage",
    "allocation_coverage",
    "tag_compliance",
    "unallocated",
    "ceiling",
)
AMOUNTS = ("cost", "positive_cost", "credits", "unknown_cost", "compliant_cost", "taggable_cost")


def render(run: Run) -> str:
    """Print the summary: two spaces of indent, keys in the order of the schema, one newline at the end."""
    return json.dumps(summary(run), indent=2, ensure_ascii=True) + "\n"


def summary(run: Run) -> dict[str, Any]:
    """Gather a run into one object. Money and percentages are text and exact; what was not judged is null."""
    parameters = run.manifest["parameters"]
    found = figures.currencies(run)
    by_currency = {currency: _score(figures.total_score(run, currency), currency) for currency in found}
    reporting = parameters["reporting_currency"]
    combined = figures.combined_score(run)
    return {
        "run": {
            "number": run.manifest["number"],
            "content": run.manifest["content"],
            "manifest": run.digest,
            "previous": run.manifest["previous"],
            "folder": str(run.folder),
            "as_of": parameters["as_of"],
            "organization": parameters["organization"],
            "reporting_currency": reporting,
            "cost_basis": figures.basis(run),
            "governor": run.manifest["engine"]["governor"],
            "complete": not run.incomplete,
        },
        "totals": [_total(row) for row in run.rows("totals")],
        "score": by_currency.get(reporting) or _score(None, reporting),
        "score_by_currency": by_currency,
        "score_combined": _score(combined, combined["currency"]) if combined else None,
        "cost_centers": [entry for currency in found for entry in _cost_centers(run, currency)],
        "findings": {
            **figures.verdict_counts(run),
            "top": [_finding(row) for row in figures.most_expensive(run, TOP)],
        },
        "gaps": [_gap(row) for row in run.rows("gaps")],
        "restatements": restated.summary(run),
        "reconciliation": reconciliation.summary(run),
    }


def _money(value: Decimal | None) -> str | None:
    return None if value is None else money.text(value)


def _total(row: Row) -> Row:
    amounts = ("billed_cost", "effective_cost", "list_cost", "contracted_cost", "allocated", "unallocated")
    plain = ("source", "billing_period", "currency", "rows", "rejected")
    return {name: row[name] for name in plain} | {name: _money(row[name]) for name in amounts}


def _score(row: Row | None, currency: str) -> Row:
    letters = [str(status) for status in Status]
    get = row.get if row is not None else lambda _name: None
    return {
        "currency": currency,
        **{name: get(name) for name in PERCENTAGES},
        "shares": {letter: get(f"share_{letter.lower()}") for letter in letters},
        "by_rows": {letter: get(f"rows_share_{letter.lower()}") for letter in letters},
        "rows": get("rows") or 0,
        **{name: _money(get(name)) for name in AMOUNTS},
    }


def _cost_centers(run: Run, currency: str) -> list[Row]:
    return [
        {
            "cost_center": line.cost_center,
            "name": line.name or None,
            "currency": currency,
            **{part: money.text(getattr(line, part)) for part in (*figures.PARTS, "total", "suspense")},
            "budget": _money(line.budget),
        }
        for line in sorted(figures.statement(run, currency), key=lambda each: each.cost_center)
    ]


def _finding(row: Row) -> Row:
    names = ("fingerprint", "requirement", "severity", "verdict", "subject", "title", "message", "remedy", "owner")
    return {name: row[name] for name in names} | {"currency": row["currency"], "cost": money.text(row["cost"])}


def _gap(row: Row) -> Row:
    return {**row, "cost": _money(row["cost"])}
