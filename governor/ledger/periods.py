"""Close a billing period on a run, and say what stands in the way.

A closing is a folder below the ledger, `periods/YYYY-MM`: close.json (canonical JSON without a clock) names the run by
the digest of its manifest and the closing before it, receipt.json says who and when. Nothing changes it afterwards.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor import money
from governor.evidence import canonical, digest_bytes, parse_canonical
from governor.ledger.commit import stage
from governor.ledger.disk import sync, user, write, writing
from governor.ledger.lock import WAIT_S, locked
from governor.ledger.manifest import RESTORE, seal
from governor.ledger.read import NOTICES, Run, load, numbers, unreadable
from governor.model import Position, Problem, Refused
from governor.money import EXACT

SCHEMA = 1
FILES = ("close.json", "receipt.json")
PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
SHOWN = 5  # cost centers that a message names
NOT_SEEN = ("gaps", "unknown")  # obstacles of what could not be seen: exit code 3
_FIELDS = {"schema", "number", "previous", "period", "run", "totals", "invoices", "excused"}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a period open, with its money. `kind`: gaps unknown not_tied not_invoiced not_checked."""

    kind: str
    what: str
    amount: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """A closed period. `record` is what was closed, `receipt` when, where and by whom."""

    folder: Path
    record: dict[str, Any]
    receipt: dict[str, Any]

    @property
    def period(self) -> str:
        """The billing period, YYYY-MM."""
        return str(self.record["period"])

    @property
    def run(self) -> int:
        """The number of the run that it was closed on."""
        return int(self.record["run"]["number"])

    @property
    def digest(self) -> str:
        """The sha256 of close.json: it fixes this closing and every one before it."""
        return str(self.receipt["closing"])


# --- what stands in the way -------------------------------------------------------------------------------------------


def obstacles(run: Run, period: str) -> list[Obstacle]:
    """List all that keeps a period from being closed on a run. Raises Refused when the run has no charge of it."""
    if not any(row["billing_period"] == period for row in run.rows("totals")):
        periods = ", ".join(sorted({row["billing_period"] for row in run.rows("totals")} - {""})) or "no period"
        what = f"run {run.number} has no charge of {period}; it has {periods}"
        raise Refused(Problem(Position(str(run.folder)), "L037", what, "name another run with --run"))
    if not run.holds("tie_out"):
        what = f"run {run.number} holds no reconciliation: an earlier governor committed it; run again"
        return [*_gaps(run, period), Obstacle("not_checked", what)]
    rows = [row for row in run.rows("tie_out") if period in row["billing_periods"] or not row["billing_periods"]]
    found = (_obstacle(row) for row in rows)
    return [*_gaps(run, period), *(each for each in found if each)]


def _gaps(run: Run, period: str) -> Iterator[Obstacle]:
    """Find the gaps that may touch the period, beyond the run's tolerance: rejected rows are of a period or of any."""
    tolerance = int(run.manifest["parameters"].get("gap_tolerance", 0))
    for gap in run.rows("gaps"):
        if gap["reason"] in (*NOTICES, "rejected_rows"):
            continue
        if gap["rows"] == 0 or gap["rows"] > tolerance:
            what = f"{gap['source']} {gap['reason'].replace('_', ' ')}: {gap['detail']}"
            yield Obstacle("gaps", what, gap["cost"], gap["currency"] or "")
    rejects = [row for row in run.rows("rejects") if row["billing_period"] in (None, "", period)]
    for source in sorted({row["source"] for row in rejects}):
        mine = [row for row in rejects if row["source"] == source]
        if len(mine) > tolerance:
            yield Obstacle("gaps", f"{source}: {len(mine)} rejected row{'s' if len(mine) > 1 else ''}")


def _obstacle(row: Mapping[str, Any]) -> Obstacle | None:
    """Say whether a row of `tie_out` keeps its periods open."""
    whose = " of ".join(filter(None, [row["invoice_id"] or "charges without an invoice id", row["issuer"]]))
    where = f"{row['source'] or 'no source'}: {whose}"
    currency, billed = row["currency"], row["billed"]
    if row["status"] in ("tied", "within_tolerance"):
        return None
    if row["status"] in ("not_invoiced", "not_checked"):
        if not billed and row["invoiced"] is None:
            return None
        why = {"Open": "the invoice is not issued yet", "Voided": "the invoice is void"}.get(
            row["invoice_status"] or "",
            "no invoice covers it" if row["status"] == "not_invoiced" else "no invoices are given for this source",
        )
        return Obstacle(row["status"], f"{where}: billed {_money(billed, currency)}: {why}", billed, currency)
    compared = f"invoiced {_money(row['invoiced'], currency)}, billed {_money(billed, currency)}"
    if row["status"] == "unknown":
        return Obstacle("unknown", f"{where}: {compared}: unknown, {row['detail']}", row["residual"], currency)
    open_ = f"{_money(row['residual'], currency)} not tied ({explained(row)})"
    detail = f"; {row['detail']}" if row["detail"] else ""
    if not row["billing_periods"]:
        detail += "; the invoice names no billing period, so it may be of this one: say it in the invoices input"
    kind = "not_invoiced" if _waits(row) else "not_tied"
    return Obstacle(kind, f"{where}: {compared}: {open_}{detail}", row["residual"], currency)


def explained(row: Mapping[str, Any]) -> str:
    """Name the reasons of a residual that are not zero, each with its amount."""
    reasons = ("tax", "credits", "marketplace", "not_yet_invoiced", "rounding", "unexplained")
    return ", ".join(f"{name.replace('_', ' ')} {money.text(row[name])}" for name in reasons if row[name]) or "nothing"


def _waits(row: Mapping[str, Any]) -> bool:
    """Whether an invoice would be tied if the charges that are not yet invoiced were."""
    passed = {"not_yet_invoiced", *(row["accepted"] or "").split(", ")} & row.keys()
    left = EXACT.subtract(row["residual"], money.total(row[name] for name in sorted(passed)))
    return bool(row["not_yet_invoiced"] and abs(left) <= row["tolerance"])


def _money(amount: Decimal, currency: str) -> str:
    return f"{money.text(amount)} {currency}"


# --- closing ----------------------------------------------------------------------------------------------------------


def close(
    run: Run,
    period: str,
    excused: Mapping[str, tuple[str, Iterable[Obstacle]]],
    *,
    closed_at: str,
    version: str,
    wait_s: float = WAIT_S,
) -> Closing:
    """Record that a period is closed on a run. `excused` are the obstacles passed over, by kind, each with the reason.

    Returning is the acknowledgement. Raises Refused when the period is closed already; the ledger stays as it was.
    """
    ledger = run.ledger
    draft = {
        "schema": SCHEMA,
        "period": period,
        "run": {"number": run.number, "manifest": run.digest, "content": run.content},
        "totals": _totals(run, period),
        "invoices": _statuses(run, period),
        "excused": [
            {"kind": kind, "reason": reason, "obstacles": [each.what for each in passed]}
            for kind, (reason, passed) in sorted(excused.items())
        ],
    }
    with stage(ledger, wait_s) as staging, writing(ledger), locked(ledger, wait_s):
        before = closings(ledger)
        refuse_second(before, period)
        previous = before[-1].digest if before else None
        data = canonical(draft | {"number": len(before) + 1, "previous": previous})
        host = {"host": socket.gethostname(), "pid": os.getpid(), "user": user()}
        receipt = seal({"closed_at": closed_at, "closing": digest_bytes(data), "governor": version, **host})
        folder = staging.folder / period
        folder.mkdir()
        write(folder / FILES[0], data)
        write(folder / FILES[1], canonical(receipt))
        sync(folder)
        target = ledger / "periods" / period
        if not target.parent.is_dir():
            target.parent.mkdir()
            sync(ledger)
        folder.rename(target)
        sync(target.parent)
    return Closing(target, parse_canonical(data), receipt)


def refuse_second(before: Iterable[Closing], period: str) -> None:
    """Refuse to close a period that is closed, by the name of who did."""
    for closing in before:
        if closing.period == period:
            receipt = closing.receipt
            what = f"{period} is closed already, on run {closing.run}, by {receipt['user']} at {receipt['closed_at']}"
            raise Refused(Problem(Position(str(closing.folder)), "L038", what, "a period is closed once"))


def _totals(run: Run, period: str) -> list[dict[str, Any]]:
    names = ("source", "currency", "rows")
    return [
        {name: row[name] for name in names}
        | {name: money.text(row[name]) for name in ("billed_cost", "effective_cost")}
        for row in run.rows("totals")
        if row["billing_period"] == period
    ]


def _statuses(run: Run, period: str) -> dict[str, int]:
    rows = run.rows("tie_out") if run.holds("tie_out") else []
    found = sorted(row["status"] for row in rows if period in row["billing_periods"])
    return {status: found.count(status) for status in dict.fromkeys(found)}


# --- reading ----------------------------------------------------------------------------------------------------------


def closings(ledger: Path) -> list[Closing]:
    """List the closed periods in the order of their closing. Raises Refused when one can't be trusted."""
    folder = ledger / "periods"
    found = [_load(path) for path in sorted(folder.iterdir()) if PERIOD.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda closing: closing.record["number"])


def _load(folder: Path) -> Closing:
    parsed = []
    for name in FILES:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise Refused(Problem(Position(str(path)), "L024", "is missing, or not a plain file", RESTORE))
        try:
            data = path.read_bytes()
            parsed.append((data, parse_canonical(data)))
        except OSError as error:
            raise Refused(unreadable(path, error)) from error
        except ValueError as error:
            raise Refused(Problem(Position(str(path)), "L030", f"is damaged: it is {error}", RESTORE)) from error
    (data, record), (_, receipt) = parsed
    sound = isinstance(receipt, dict) and receipt == seal(receipt) and receipt.get("closing") == digest_bytes(data)
    if not sound or not isinstance(record, dict) or record.keys() != _FIELDS or record["period"] != folder.name:
        what = "is damaged, or another one: its receipt or its place doesn't fit"
        raise Refused(Problem(Position(str(folder / FILES[0])), "L039", what, RESTORE))
    return Closing(folder, record, receipt)


def problems(ledger: Path, manifests: Mapping[int, str]) -> tuple[list[Problem], list[str]]:
    """Say what is wrong with the closed periods, and give their digests. `manifests` are the digests of the runs."""
    folder = ledger / "periods"
    strangers = [
        Problem(Position(str(path)), "L043", "is no part of the ledger: nothing names it", "move it elsewhere")
        for each in (sorted(folder.iterdir()) if folder.is_dir() else ())
        for path in (sorted(each.iterdir()) if PERIOD.fullmatch(each.name) and each.is_dir() else [each])
        if path.name not in FILES or path == each
    ]
    try:
        known = closings(ledger)
    except Refused as refused:
        return [*strangers, *refused.problems], []
    found, previous = strangers, None
    for number, closing in enumerate(known, 1):
        place = Position(str(closing.folder / FILES[0]))
        if (closing.record["number"], closing.record["previous"]) != (number, previous):
            what = "breaks the chain: it doesn't follow from the closing before it as it stands here"
            found.append(Problem(place, "L039", what, RESTORE))
        if manifests.get(closing.run) != closing.record["run"]["manifest"]:
            found.append(Problem(place, "L039", f"was closed on another run {closing.run} than stands here", RESTORE))
        previous = closing.digest
    return found, [closing.digest for closing in known]


def differences(run: Run) -> Iterator[str]:
    """Say for each closed period that a run has charges of on which run it is closed, and by how much they differ."""
    totals = run.rows("totals")
    for closing in closings(run.ledger):
        if closing.run == run.number or not any(row["billing_period"] == closing.period for row in totals):
            continue
        moved = list(_moved(closing, totals))
        if closing.run in numbers(run.ledger):
            then, now = (_statement(each, closing.period) for each in (load(run.ledger, closing.run), run))
            names = sorted({center for (center, _), _ in then.items() ^ now.items()})
            shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
            moved += [f"the statements of {shown}"] if names else []
        differs = f"; this run differs by {', '.join(moved)}" if moved else ""
        yield f"{closing.period} is closed on run {closing.run}{differs}"


def _moved(closing: Closing, totals: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    now = [row for row in totals if row["billing_period"] == closing.period]
    closed = closing.record["totals"]
    for currency in sorted({row["currency"] for row in (*now, *closed)}):
        for name in ("billed_cost", "effective_cost"):
            before = money.total(Decimal(row[name]) for row in closed if row["currency"] == currency)
            after = money.total(row[name] for row in now if row["currency"] == currency)
            if before != after:
                yield f"{money.text(EXACT.subtract(after, before))} {currency} {name.removesuffix('_cost')}"


def _statement(run: Run, period: str) -> dict[tuple[str, str], Decimal]:
    rows = run.rows("cost_centers", ("cost_center", "billing_period", "currency", "total"))
    return {(row["cost_center"], row["currency"]): row["total"] for row in rows if row["billing_period"] == period}
