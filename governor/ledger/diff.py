"""Compare two runs: what moved in money, scores, findings and in what they were made from.

Plain rows, sorted, each with the keys and, for every measure, its old and new value (None where there was none) and the
difference of amounts and counts. Only what differs is listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from typing import Any

from governor import money
from governor.ledger.read import NOTICES, Run, seen_before
from governor.model import Status

Row = dict[str, Any]
PLACE = ("source", "billing_period", "currency")
COSTS = ("rows", "billed_cost", "effective_cost")
PERCENTAGES = (
    "allocatability",
    "low",
    "high",
    "direct_coverage",
    "allocation_coverage",
    "tag_compliance",
    "unallocated",
)
STATEMENT = ("direct", "shared", "commitment", "central", "total", "suspense")
FILE = ("path", "sha256", "rows", "rejected")
FINDING = ("fingerprint", "requirement", "severity", "subject", "source", "currency")
CORRECTION = "Correction"  # FOCUS ChargeClass: a charge that mends an earlier, invoiced period


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from the run `old` to the run `new`, part by part."""

    old: int
    new: int
    same_content: bool
    totals: list[Row]  # by source, period and currency
    corrections: list[Row]  # the part of the totals that is charges with ChargeClass Correction
    accounts: list[Row]  # cost and score by sub account
    services: list[Row]
    cost_centers: list[Row]  # the statements' lines, by period
    scores: list[Row]  # in total, by source and by period
    statuses: list[Row]  # positive cost by status: the parts of the score
    moves: list[Row]  # charges (cells) that changed status or cost center, came or went: from, to, positive cost
    findings: list[Row]  # `change`: new | reopened | fixed | unseen, and still_open where the verdict changed
    finding_counts: dict[str, int]  # new, reopened, still_open, fixed, unseen
    policies: list[Row]
    parameters: list[Row]
    inputs: list[Row]


def diff(old: Run, new: Run) -> Difference:
    """Compare two runs of a ledger."""
    with localcontext(money.EXACT):
        findings, counts = _findings(old, new)
        return Difference(
            old=old.number,
            new=new.number,
            same_content=old.content == new.content,
            totals=_table(old, new, "totals", PLACE, (*COSTS, "rejected", "allocated", "unallocated")),
            corrections=_compare(_corrections(old), _corrections(new), PLACE, COSTS),
            accounts=_scores(old, new, ("account",), PERCENTAGES[:1]),
            services=_scores(old, new, ("service",), PERCENTAGES[:1]),
            cost_centers=_table(old, new, "cost_centers", ("cost_center", "billing_period", "currency"), STATEMENT),
            scores=_scores(old, new, ("total", "combined", "source", "billing_period"), PERCENTAGES),
            statuses=_compare(_statuses(old), _statuses(new), ("currency", "status"), ("cost", "rows")),
            moves=_moves(old, new),
            findings=findings,
            finding_counts=counts,
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
    sums: dict[tuple[str, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for row in run.rows("cells", (*PLACE, "charge_class", *COSTS)):
        if row["charge_class"] == CORRECTION:
            group = tuple(row[key] for key in PLACE)
            sums[group] = [total + row[name] for total, name in zip(sums[group], COSTS, strict=True)]
    return [dict(zip((*PLACE, *COSTS), (*group, *total), strict=True)) for group, total in sums.items()]


def _scores(old: Run, new: Run, scopes: Sequence[str], percentages: Sequence[str]) -> list[Row]:
    columns = ("scope", "scope_id", "currency", "cost", "positive_cost", *percentages)
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


def _moves(old: Run, new: Run) -> list[Row]:
    """Follow each cell from one run to the other; equal keys give a cell the same name in both."""
    before, after = _cells(old), _cells(new)
    nothing = (None, None, None, 0, Decimal(0))
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0), Decimal(0)])
    for cell in before.keys() | after.keys():
        a, b = before.get(cell, nothing), after.get(cell, nothing)
        if a[1:3] != b[1:3]:
            key = (b[0] or a[0], a[1], a[2], b[1], b[2])
            sums[key] = [total + part for total, part in zip(sums[key], (a[3], b[3], a[4], b[4]), strict=True)]
    names = ("currency", "status_old", "cost_center_old", "status_new", "cost_center_new")
    measures = ("rows_old", "rows_new", "cost_old", "cost_new")
    return [dict(zip((*names, *measures), (*key, *sums[key]), strict=True)) for key in sorted(sums, key=_null_first)]


def _cells(run: Run) -> dict[str, tuple[Any, ...]]:
    table = run.table("cells", ("cell", "currency", "status", "cost_center", "rows", "positive_cost"))
    cells, *columns = (column.to_pylist() for column in table.columns)
    return dict(zip(cells, zip(*columns, strict=True), strict=True))


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
