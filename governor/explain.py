"""Why: from any id that a report shows to the rows, rules and policies behind it.

Answers come from a committed run and the deliveries kept beside it, so they are those of the day it was committed.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor.engine.duckdb import Engine, literal, open_engine
from governor.engine.placed import placed
from governor.ledger.read import Run
from governor.model import Position, Problem, Refused
from governor.money import total

Row = dict[str, Any]
MANY = 10  # rows shown of each kind
LONGEST = 200  # characters of an id that a message repeats


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that an id means: a kind, what it is, and the rows that explain it, each under a heading."""

    kind: str
    subject: str
    facts: Row
    because: tuple[tuple[str, tuple[Row, ...]], ...] = ()


def explain(run: Run, subject: str) -> list[Answer]:
    """Say what a subject is and why.

    It is a charge (`FILE:ROW`), resource, finding, cell, requirement, policy, cost center, pool, rule, account, waiver.
    Raises Refused with near names when it is none of them.
    """
    answers = list(_charges(run, subject))
    for find in (_findings, _requirements, _cells, _cost_centers, _pools, _waivers):
        answers += find(run, subject)
    if not answers:
        near = difflib.get_close_matches(subject, _names(run), n=3)
        mend = (
            f"did you mean {' or '.join(near)}?"
            if near
            else ("name a fingerprint, requirement, resource, cost center, pool, account, or a charge as FILE:ROW")
        )
        shown = subject if len(subject) <= LONGEST else subject[:LONGEST] + "…"
        raise Refused(Problem(Position(str(run.folder)), "L050", f"nothing here is called {shown!r}", mend))
    return answers


def _names(run: Run) -> list[str]:
    names = {str(r["requirement"]) for r in run.rows("verdicts", ["requirement"])}
    names |= {str(r["cost_center"]) for r in run.rows("cost_centers", ["cost_center"])}
    names |= {str(r["subject"]) for r in run.rows("findings", ["subject"])}
    names |= {str(r["policy"]) for r in run.rows("policies", ["policy"])}
    names |= {str(r[k]) for r in run.rows("allocations", ["pool", "rule"]) for k in ("pool", "rule") if r[k]}
    names |= {str(f["path"]) + ":1" for i in run.manifest["inputs"] if i["kind"] == "billing" for f in i["files"]}
    return sorted(names)


# --- charges and cells ------------------------------------------------------------------------------------------------


def _charges(run: Run, subject: str) -> Iterator[Answer]:
    """Find `FILE:ROW` (the path as the manifest has it, or its end) and the cell the row went into."""
    match = re.fullmatch(r"(.+):([0-9]{1,12})", subject)
    if not match:
        return
    for given in run.manifest["inputs"]:
        if given["kind"] != "billing":
            continue
        for number, file in enumerate(given["files"]):
            path = str(file["path"])
            if path == match[1] or path.endswith("/" + match[1]):
                with _rows(run, given["source"]) as engine:
                    yield from _charge(run, engine, given["source"], path, number, int(match[2]))


class _rows:  # noqa: N801 - reads as a function: with _rows(run, source) as engine
    """An engine over one source's charges and the run's cells, each row with its cell's keys."""

    def __init__(self, run: Run, source: str) -> None:
        self.run = run
        self.source = source

    def __enter__(self) -> Engine:
        files = self.run.snapshot_paths(self.source)
        self._folder = tempfile.TemporaryDirectory(prefix="governor-explain-")
        read = [files.charges.parent, self.run.folder]
        self._opened = open_engine(work=Path(self._folder.name), read=read)
        engine = self._opened.__enter__()
        asked = self.run.manifest["parameters"]
        rows = placed(
            files.charges,
            files.tag_sets,
            self.run.path("cells"),
            self.source,
            keys=asked["keys"],
            flags=asked.get("flags", {}),
        )
        engine.execute(f"CREATE VIEW placed AS {rows}")
        return engine

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(None, None, None)
        self._folder.cleanup()


def _charge(run: Run, engine: Engine, source: str, path: str, file: int, row: int) -> Iterator[Answer]:
    found = engine.table(f"SELECT * FROM placed WHERE file = {file} AND row = {row}").to_pylist()
    if not found:
        rejected = [r for r in run.rows("rejects") if r["source"] == source and r["file"] == path and r["row"] == row]
        for reject in rejected:
            yield Answer("rejected charge", f"{path}:{row}", reject)
        return
    cells = {c["cell"]: c for c in run.rows("cells") if c["cell"] in {f["cell"] for f in found}}
    for charge in found:
        cell = cells[charge["cell"]]
        yield Answer("charge", f"{path}:{row}", _given(charge), tuple(_why(run, cell)))


def _why(run: Run, cell: Row) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Explain a cell's status: the clause that claimed it, the policy with its digest, and its pool's shares."""
    policies = {p["policy"]: p for p in run.rows("policies")}
    decided = {k: cell[k] for k in ("cell", "status", "cost_center", "rule", "pool", "reason", "policy", "valid_on")}
    policy = policies.get(cell["policy"] or "", {})
    decided |= {"policy_file": policy.get("file"), "policy_digest": policy.get("digest")}
    yield "decided", (_given(decided),)
    if cell["pool"]:
        same = ("policy", "status", "source", "billing_period", "currency")
        shares = [
            a for a in run.rows("allocations") if a["pool"] == cell["pool"] and all(a[k] == cell[k] for k in same)
        ]
        yield f"shares of pool {cell['pool']}: amount = pool_amount x weight / weight_total", tuple(map(_given, shares))
    findings = [
        f
        for f in run.rows("findings")
        if f["subject"] == _subject(cell) and f["source"] == cell["source"] and f["currency"] == cell["currency"]
    ]
    if findings:
        yield "findings on the same subject, of all its charges", tuple(_brief(f) for f in findings)


def _subject(cell: Row) -> str:
    if cell["resource_id"]:
        return str(cell["resource_id"])
    account = cell["sub_account_id"] or cell["billing_account_id"] or "no account"
    return f"{account} / {cell['service_name'] or 'no service'}"


def _cells(run: Run, subject: str) -> Iterator[Answer]:
    """Find a cell by its id, and the cells of a resource or of an account."""
    keys = ("cell", "resource_id", "sub_account_id")
    for key in keys:
        cells = [c for c in run.rows("cells") if c[key] == subject]
        if not cells:
            continue
        kind = {"cell": "cell", "resource_id": "resource", "sub_account_id": "account"}[key]
        facts = {"cells": len(cells), "rows": sum(c["rows"] for c in cells)}
        for name in ("billed_cost", "effective_cost"):
            facts |= {f"{name} {currency}": amount for currency, amount in _sums(cells, name)}
        ranked = sorted(cells, key=lambda c: (-c["positive_cost"], c["cell"]))[:MANY]
        because: list[tuple[str, tuple[Row, ...]]] = [("cells by cost", tuple(_given(c) for c in ranked))]
        if kind != "account":
            because += list(_why(run, ranked[0]))
            because.append((f"its charges (at most {MANY})", tuple(_addresses(run, ranked))))
        yield Answer(kind, subject, facts, tuple(because))


def _sums(rows: Sequence[Row], name: str) -> list[tuple[str, Decimal]]:
    currencies = sorted({r["currency"] for r in rows})
    return [(c, total(r[name] for r in rows if r["currency"] == c)) for c in currencies]


def _addresses(run: Run, cells: Sequence[Row]) -> Iterator[Row]:
    """Name the rows behind cells, as FILE:ROW."""
    ids = ", ".join(literal(c["cell"]) for c in cells)
    for source in sorted({c["source"] for c in cells}):
        [given] = [i for i in run.manifest["inputs"] if i["kind"] == "billing" and i["source"] == source]
        with _rows(run, source) as engine:
            for file, row, billed, effective, cell in engine.rows(
                f"SELECT file, row, billed_cost, effective_cost, cell FROM placed WHERE cell IN ({ids})"
                f" ORDER BY effective_cost DESC, file, row LIMIT {MANY}"
            ):
                address = f"{given['files'][file]['path']}:{row}"
                yield {"charge": address, "billed_cost": billed, "effective_cost": effective, "cell": cell}


# --- what policies said -----------------------------------------------------------------------------------------------


def _findings(run: Run, subject: str) -> Iterator[Answer]:
    for finding in run.rows("findings"):
        if finding["fingerprint"] == subject:
            policy = [p for p in run.rows("policies") if p["policy"] == finding["policy"]]
            verdicts = [v for v in run.rows("verdicts") if v["requirement"] == finding["requirement"]]
            yield Answer(
                "finding",
                subject,
                _given(finding),
                (
                    ("the policy", tuple(_given(p) for p in policy)),
                    ("what the requirement said of everything", tuple(_given(v) for v in verdicts)),
                ),
            )


def _requirements(run: Run, subject: str) -> Iterator[Answer]:
    """Find a requirement (`policy/name`) or all of a policy."""
    verdicts = [v for v in run.rows("verdicts") if subject in (v["requirement"], v["policy"])]
    mine = {subject, *(v["policy"] for v in verdicts)}
    policies = [p for p in run.rows("policies") if p["policy"] in mine]
    if not verdicts and not policies:
        return
    findings = [f for f in run.rows("findings") if subject in (f["requirement"], f["policy"])]
    findings.sort(key=lambda f: (-f["cost"], f["fingerprint"]))
    remedies = sorted({f["remedy"] for f in findings if f["remedy"]})
    named = [v["title"] for v in verdicts if v["requirement"] == subject] or [p["title"] for p in policies]
    facts = {"title": named[0] if named else ""}
    facts |= {"remedy": "; ".join(remedies)} if remedies else {}
    yield Answer(
        "requirement" if any(v["requirement"] == subject for v in verdicts) else "policy",
        subject,
        facts,
        (
            ("the policy", tuple(_given(p) for p in policies)),
            ("verdicts", tuple(_given(v) for v in verdicts)),
            ("its costliest findings", tuple(_brief(f) for f in findings[:MANY])),
        ),
    )


def _waivers(run: Run, subject: str) -> Iterator[Answer]:
    for waiver in run.rows("waivers"):
        if waiver["waiver"] == subject:
            hidden = [_brief(f) for f in run.rows("findings") if f["waiver"] == subject]
            yield Answer("waiver", subject, _given(waiver), (("findings it hides", tuple(hidden[:MANY])),))


# --- who pays ---------------------------------------------------------------------------------------------------------


def _cost_centers(run: Run, subject: str) -> Iterator[Answer]:
    lines = [c for c in run.rows("cost_centers") if c["cost_center"] == subject]
    registered = [c for c in run.rows("register_cost_centers") if c["id"] == subject]
    if not lines and not registered:
        return
    parts = [a for a in run.rows("allocations") if a["cost_center"] == subject]
    parts.sort(key=lambda a: (-a["amount"], str(a["rule"]), str(a["service_name"])))
    yield Answer(
        "cost center",
        subject,
        _given(registered[0]) if registered else {},
        (
            ("charged", tuple(_given(line) for line in lines)),
            ("its largest parts", tuple(_given(a) for a in parts[:MANY])),
        ),
    )


def _pools(run: Run, subject: str) -> Iterator[Answer]:
    """Find a pool or an assignment, central or default rule by its id."""
    parts = [a for a in run.rows("allocations") if subject in (a["pool"], a["rule"])]
    if not parts:
        return
    kind = "pool" if any(a["pool"] == subject for a in parts) else "rule"
    facts: Row = {f"placed {cur}": placed for cur, placed in _sums(parts, "amount")}
    policies = {a["policy"] for a in parts}
    largest = tuple(_given(a) for a in sorted(parts, key=_by_amount)[:MANY])
    because = (
        ("shares" if kind == "pool" else "its largest parts", largest),
        ("the policy", tuple(_given(p) for p in run.rows("policies") if p["policy"] in policies)),
    )
    yield Answer(kind, subject, facts, because)


def _by_amount(row: Row) -> tuple[Decimal, str]:
    return -row["amount"], str(row["cost_center"])


def _given(row: Row) -> Row:
    return {k: v for k, v in row.items() if v is not None}


def _brief(finding: Row) -> Row:
    said = ("fingerprint", "requirement", "verdict", "subject", "cost", "currency", "message")
    return _given({k: finding[k] for k in said})
