"""What the compliance page shows: how much cost has a known owner, what breaks which requirement, how to mend it."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from governor import money
from governor.ledger.read import Run
from governor.model import SEVERITIES, Status, Verdict
from governor.reports import figures
from governor.reports.figures import Row
from governor.reports.shown import Shown, shown, shown_table

FEW = 300  # rows of the side tables


def view(run: Run, limit: int) -> dict[str, Any]:
    """Gather the page's tables, none with more rows than the limit."""
    findings = figures.ranked_findings(run)
    conflicts = findings.filter(pc.ends_with(findings["requirement"], ".conflict"))
    few = min(limit, FEW)
    return {
        "blocks": [*(_block(run, currency, few) for currency in figures.currencies(run)), *_combined(run)],
        "counts": figures.verdict_counts(run),
        "requirements": _requirements(run),
        "findings": shown_table("findings", findings, limit, "cost"),
        "conflicts": shown_table("findings", conflicts, few, "cost"),
        "waivers": run.rows("waivers"),
        "rejects": shown("rejects", run.rows("rejects"), few),
    }


def _block(run: Run, currency: str, limit: int) -> dict[str, Any]:
    return _scored(figures.total_score(run, currency), currency, currency) | {
        "accounts": _scope(run, "account", currency, limit),
        "services": _scope(run, "service", currency, limit),
    }


def _combined(run: Run) -> list[dict[str, Any]]:
    """The score over all currencies, where a register of exchange rates says how to add them up."""
    score = figures.combined_score(run)
    if score is None:
        return []
    currency = score["currency"]
    return [_scored(score, currency, f"all currencies in {currency} at the register's rates") | {"accounts": None}]


def _scored(score: Row | None, currency: str, label: str) -> dict[str, Any]:
    return {"currency": currency, "label": label, "score": score, "shares": _shares(score) if score else []}


def _shares(score: Row) -> list[Row]:
    return [
        {
            "status": str(status),
            "cost": score[f"cost_{status.lower()}"],
            "share": score[f"share_{status.lower()}"],
            "rows": score[f"rows_{status.lower()}"],
            "rows_share": score[f"rows_share_{status.lower()}"],
        }
        for status in Status
    ]


def _scope(run: Run, scope: str, currency: str, limit: int) -> Shown:
    names = figures.account_names(run) if scope == "account" else {}
    rows = [
        row
        | {
            "name": names.get(row["scope_id"], ""),
            "unallocated_cost": money.total((row["cost_d"], row["cost_u"])),
        }
        for row in figures.scores(run, scope, currency)
    ]
    return shown("scores", rows, limit, "positive_cost")


def _requirements(run: Run) -> list[Row]:
    """One row a requirement and currency, with the subjects and the money of every verdict; the worst first."""
    groups: dict[tuple[str, str], Row] = {}
    for row in run.rows("verdicts"):
        group = groups.setdefault(
            (row["requirement"], row["currency"]),
            {
                "requirement": row["requirement"],
                "title": row["title"],
                "severity": row["severity"],
                "currency": row["currency"],
                "subjects": dict.fromkeys((str(v) for v in Verdict), 0),
                "cost": dict.fromkeys((str(v) for v in Verdict), figures.ZERO),
            },
        )
        group["subjects"][row["verdict"]] += row["subjects"]
        group["cost"][row["verdict"]] = money.total((group["cost"][row["verdict"]], row["cost"]))
    places = {currency: place for place, currency in enumerate(figures.currencies(run))}
    for group in groups.values():
        group["open"] = money.total(group["cost"][v] for v in (Verdict.FAIL, Verdict.UNKNOWN, Verdict.GRACE))
        group["judged"] = money.total(cost for v, cost in group["cost"].items() if v != Verdict.NOT_APPLICABLE)
    return sorted(
        groups.values(),
        key=lambda g: (
            places.get(g["currency"], len(places)),
            -g["open"],
            -SEVERITIES.index(g["severity"]),
            g["requirement"],
        ),
    )
