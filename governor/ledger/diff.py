"""Compare two runs: what moved in money, scores, findings and in what they were made from.

Plain rows, sorted, each with the keys and, for every measure, its old and new value (None where there was none) and the
difference of amounts and counts. Only what differs is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from typing import Any

from governor import money
from governor.ledger.manifest import COSTS, PLACE
from governor.ledger.moves import moves
from governor.ledger.read import NOTICES, Run, seen_before
from governor.model import Status

Row = dict[str, Any]
PERCENTAGES = (
    "allocatability",
    "low",
    "high",
    "direct_coverage",
    "allocation_coverage",
    "tag_compliance",
    "unallocated",
)
LINE = ("cost_center", "billing_period", "currency")
STATEMENT = ("direct", "shared", "commitment", "central", "total", "suspense")
FILE = ("path", "sha256", "rows", "rejected")
INVOICE = ("source", "issuer", "invoice_id", "billing_account_id", "currency", "billing_periods")
TIED = ("status", "invoiced", "billed", "residual")
FINDING = ("fingerprint", "requirement", "severity", "subject", "source", "currency")
CORRECTION = "Correction"  # FOCUS ChargeClass: a charge that mends an earlier, invoiced period


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from the run `old` to the run `new`, part by part."""

    old: int
    new: int
    same_content: bool
    totals: list[Row]  # by source, period and currency
    corrections: list[Row]  # the part of the totals with ChargeClass Correction, by the month that it mends
    accounts: list[Row]  # rows, cost and score by sub account
    services: list[Row]
    cost_centers: list[Row]  # the statements' lines, by period; rows are those placed directly, shares have none
    scores: list[Row]  # in total, by source and by period
    statuses: list[Row]  # positive cost by status: the parts of the score
    moves: list[Row]  # charges that changed status or cost center, came or went: from, to, positive cost
    growth: list[Row]  # charges that stayed where they were and became more or less
    findings: list[Row]  # `change`: new | reopened | fixed | unseen, and still_open where the verdict changed
    finding_counts: dict[str, int]  # new, reopened, still_open, fixed, unseen
    invoices: list[Row]  # the tie-outs; none where an earlier governor committed one of the runs
    policies: list[Row]
    parameters: list[Row]
    inputs: list[Row]


def diff(old: Run, new: Run) -> Difference:
    """Compare two runs of a ledger."""
    with localcontext(money.EXACT):
        findings, counts = _findings(old, new)
        moved, grown = moves(old, new)
        return Difference(
            old=old.number,
            new=new.number,
            same_content=old.content == new.content,
            totals=_table(old, new, "totals", PLACE, (*COSTS, "rejected", "allocated", "unallocated")),
            corrections=_compare(_corrections(old), _corrections(new), (*PLACE, "charge_period"), COSTS),
            accounts=_scores(old, new, ("account",), PERCENTAGES[:1]),
            services=_scores(old, new, ("service",), PERCENTAGES[:1]),
            cost_centers=_compare(_statement(old), _statement(new), LINE, ("rows", *STATEMENT)),
            scores=_scores(old, new, ("total", "combined", "source", "billing_period"), PERCENTAGES),
            statuses=_compare(_statuses(old), _statuses(new), ("currency", "status"), ("cost", "rows")),
            moves=moved,
            growth=grown,
            findings=findings,
            finding_counts=counts,
            invoices=_table(old, new, "tie_out", INVOICE, TIED)
            if old.holds("tie_out") and new.holds("tie_out")
            else [],
            policies=_table(old, new, "policies", ("policy", "kind"), ("digest",)),
            parameters=_compare(_parameters(old), _parameters(new), ("parameter",), ("value",)),
            inputs=_compare(_inputs(old), _inputs(new), ("kind", "source", "path"), ("sha256", "rows", "rejected")),
        )


def as_json(difference: Difference) -> dict[str, Any]:
    """Write a difference as plain JSON data: amounts as exact text."""
    return {f.name: _plain(getattr(difference, f.name)) for f in fields(difference)}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money.text(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _table(old: Run, new: Run, name: str, keys: Sequence[str], measures: Sequence[str]) -> list[Row]:
    columns = (*keys, *measures)
    return _compare(old.rows(name, columns), new.rows(name, columns), keys, measures)


def _compare(old: Iterable[Row], new: Iterable[Row], keys: Sequence[str], measures: Sequence[str]) -> list[Row]:
    """Join two tables by their keys and list the rows whose measures differ."""
    before, after = ({tuple(row[key] for key in keys): row for row in rows} for rows in (old, new))
    found = []
    for key in sorted(before.keys() | after.keys(), key=_null_first):
        row, a, b = dict(zip(keys, key, strict=True)), before.get(key, {}), after.get(key, {})
        if all(a.get(name) == b.get(name) for name in measures):
            continue
        for name in measures:
            row |= {f"{name}_old": a.get(name), f"{name}_new": b.get(name)}
            if any(isinstance(side.get(name), Decimal | int) for side in (a, b)):
                row[f"{name}_delta"] = (b.get(name) or 0) - (a.get(name) or 0)
        found.append(row)
    return found


def _corrections(run: Run) -> list[Row]:
    """Add up the corrections by the bill that they are posted in and the month, or months, that they mend."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in run.rows("cells", (*PLACE, "charge_class", "first_charge", "last_charge", *COSTS)):
        if row["charge_class"] == CORRECTION:
            months = dict.fromkeys(f"{day:%Y-%m}" for day in (row["first_charge"], row["last_charge"]) if day)
            groups.setdefault((*(row[key] for key in PLACE), " to ".join(months)), []).append(row)
    return [
        dict(zip((*PLACE, "charge_period"), key, strict=True))
        | {name: sum(row[name] for row in rows) for name in COSTS}
        for key, rows in groups.items()
    ]


def _statement(run: Run) -> list[Row]:
    """List the statements' lines with the charges that were placed there directly."""
    counts: dict[tuple[str, ...], int] = {}
    for row in run.rows("allocations", (*LINE, "rows")):
        key = tuple(row[name] for name in LINE)
        counts[key] = counts.get(key, 0) + row["rows"]
    lines = run.rows("cost_centers", (*LINE, *STATEMENT))
    return [row | {"rows": counts.get(tuple(row[name] for name in LINE), 0)} for row in lines]


def _scores(old: Run, new: Run, scopes: Sequence[str], percentages: Sequence[str]) -> list[Row]:
    columns = ("scope", "scope_id", "currency", "rows", "cost", "positive_cost", *percentages)
    before, after = ([row for row in run.rows("scores", columns) if row["scope"] in scopes] for run in (old, new))
    return _compare(before, after, columns[:3], columns[3:])


def _statuses(run: Run) -> list[Row]:
    """Turn the score in total into a row for each status."""
    totals = [row for row in run.rows("scores") if row["scope"] == "total"]
    return [
        {
            "currency": row["currency"],
            "status": s.value,
            **{part: row[f"{part}_{s.lower()}"] for part in ("cost", "rows")},
        }
        for row in totals
        for s in Status
    ]


def _findings(old: Run, new: Run) -> tuple[list[Row], dict[str, int]]:
    """Say what became of each finding. Fixed needs evidence: where nobody looked it is `unseen`, with the reason."""
    before, after = _open(old), _open(new)
    earlier = seen_before(old.ledger, min(old.number, new.number)) if after.keys() - before.keys() else frozenset()
    sight = _sight(old, new)
    counts = dict.fromkeys(("new", "reopened", "still_open", "fixed", "unseen"), 0)
    found = []
    for key in before.keys() | after.keys():
        a, b = before.get(key, {}), after.get(key, {})
        why = None if b else _why_unseen(a, sight)
        if a and b:
            change = "still_open"
        elif b:
            change = "reopened" if b["fingerprint"] in earlier else "new"
        else:
            change = "unseen" if why else "fixed"
        counts[change] += 1
        if change != "still_open" or a["verdict"] != b["verdict"]:
            row: Row = {"change": change, **{name: (b or a)[name] for name in FINDING}}
            row |= {"verdict_old": a.get("verdict"), "verdict_new": b.get("verdict")}
            row |= {"cost_old": a.get("cost"), "cost_new": b.get("cost"), "why": why}
            found.append(row)
    order = ("change", "requirement", "subject", "fingerprint")
    return sorted(found, key=lambda row: [row[name] for name in order]), counts


def _open(run: Run) -> dict[tuple[str, ...], Row]:
    """Take the open findings, one a subject: what failed in some of its charges and is unknown in others is one."""
    found: dict[tuple[str, ...], Row] = {}
    for row in sorted(run.rows("findings", (*FINDING, "verdict", "cost")), key=lambda row: row["verdict"]):
        first = found.setdefault(tuple(row[name] for name in ("fingerprint", "source", "currency")), row)
        if first is not row:
            first["cost"] += row["cost"]
            first["verdict"] += "" if row["verdict"] in first["verdict"].split(", ") else f", {row['verdict']}"
    return found


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the new run could see."""

    everything: bool  # False: it has a gap that belongs to no one source
    sources: frozenset[str]
    gaps: frozenset[str]
    requirements: frozenset[str]


def _sight(old: Run, new: Run) -> _Sight:
    sources = frozenset(new.manifest["snapshots"])
    gaps = frozenset(row["source"] for row in new.rows("gaps", ("source", "reason")) if row["reason"] not in NOTICES)
    requirements = frozenset(row["requirement"] for row in new.rows("verdicts", ("requirement",)))
    return _Sight(gaps <= sources.union(old.manifest["snapshots"]), sources, gaps, requirements)


def _why_unseen(finding: Row, sight: _Sight) -> str | None:
    if finding["source"] not in sight.sources:
        return "its source is not in the new run"
    if finding["requirement"] not in sight.requirements:
        return "its requirement is not in the new run"
    if finding["source"] in sight.gaps or not sight.everything:
        return "the new run has gaps there"
    return None


def _parameters(run: Run) -> list[Row]:
    return [{"parameter": name, "value": value} for name, value in run.manifest["parameters"].items()]


def _inputs(run: Run) -> list[Row]:
    """List the input files. An input without `files` counts as one file itself."""
    return [
        {**{key: entry.get(key) for key in ("kind", "source")}, **{key: file.get(key) for key in FILE}}
        for entry in run.manifest["inputs"]
        for file in entry.get("files", [entry])
    ]


def _null_first(key: Sequence[Any]) -> list[tuple[bool, Any]]:
    return [(part is not None, part) for part in key]
