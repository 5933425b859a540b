"""Draft the journal of a billing period from a committed run.

An entry debits the recipients' expense accounts and credits the clearing account, where the providers' invoices stand.
A showback cost center is told what it costs and posts nothing. What nobody was charged for stays on the clearing
account. The same run gives the same entries with the same ids, so drafting twice posts once.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from governor import money
from governor.config import JournalSettings
from governor.journals.entries import (
    COMPONENTS,
    ZERO,
    ControlTotals,
    Journal,
    JournalEntry,
    JournalLine,
    balanced,
    external_id,
    last_day,
)
from governor.journals.rounding import Parts, round_lines
from governor.ledger.read import Run
from governor.model import Position, Problem, Refused

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Recipient:
    """A cost center as the register had it in the period."""

    account: str
    entity: str
    charged: bool  # else it is shown its cost, and posts nothing
    owing: bool  # some cost was allocated to it; else it only holds suspense
    note: str


def draft_journal(run: Run, period: str, settings: JournalSettings | None) -> Journal:
    """Draft the entries of a billing period. Raises Refused where the period, the settings or an account is missing."""
    _check_period(run, period)
    if settings is None or not settings.clearing_account:
        what = "no clearing account is named"
        mend = "write journal: {clearing_account: ...}, the account that the providers' invoices are booked on"
        raise Refused(Problem(Position("governor.yaml"), "J003", what, mend))
    centers = [row for row in run.rows("cost_centers") if row["billing_period"] == period]
    recipients = _recipients(centers, run.rows("register_cost_centers"), last_day(period), settings)
    _check_accounts(run, recipients)
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in centers:
        grouped[recipients[row["cost_center"]].entity, row["currency"]].append(row)
    drafted = (_entry(run.content, period, *key, rows, recipients, settings) for key, rows in sorted(grouped.items()))
    entries = tuple(entry for entry in drafted if entry.lines or entry.memos)
    totals = [row for row in run.rows("totals") if row["billing_period"] == period and row["currency"]]
    gaps = run.rows("gaps")
    return Journal(
        period=period,
        run=run.content,
        run_number=run.number,
        entries=entries,
        controls=tuple(_controls(run, totals, centers, recipients, entries)),
        incomplete=run.incomplete,
        gaps=tuple(f"{gap['source']}, {gap['scope']}: {gap['reason']}: {gap['detail']}" for gap in gaps),
        notes=tuple(recipient.note for _, recipient in sorted(recipients.items()) if recipient.note),
    )


def _check_period(run: Run, period: str) -> None:
    place = Position(str(run.folder))
    if not re.fullmatch(r"[1-9]\d{3}-(0[1-9]|1[0-2])", period):
        raise Refused(Problem(place, "J001", f"{period!r} is not a billing period", "write YYYY-MM, as 2026-01"))
    known = sorted({row["billing_period"] for row in run.rows("totals")} - {""})
    if period not in known:
        near = difflib.get_close_matches(period, known, n=1)
        mend = f"it has {', '.join(known) or 'none'}" + (f"; did you mean {near[0]}?" if near else "")
        raise Refused(Problem(place, "J002", f"the run has no charges of {period}", mend))


def _recipients(
    centers: Sequence[Row], register: Iterable[Row], day: date, settings: JournalSettings
) -> dict[str, _Recipient]:
    """Find how each cost center is charged: its account, entity and mode in that period, not as they are today."""
    registered = _registered(register, day)
    owing = {row["cost_center"] for row in centers if any(row[component] for component in COMPONENTS)}
    recipients = {}
    for row in centers:
        center = row["cost_center"]
        found = registered.get(center, {"mode": row["mode"]})
        charged = found["mode"] != "showback"
        account = found.get("gl_account") or settings.expense_account
        note = _note(center, registered.get(center), day) if charged and center in owing else ""
        recipients[center] = _Recipient(account, found.get("entity") or "", charged, center in owing, note)
    return recipients


def _registered(register: Iterable[Row], day: date) -> dict[str, Row]:
    """Pick each cost center's row: the one in force on the day, else the last before it, else the first after it.

    A charge can be billed after its cost center was closed; the money then goes by the last row there was.
    """

    def nearness(row: Row) -> tuple[bool, int]:
        start = row["valid_from"] or date.min
        return start <= day, start.toordinal() * (1 if start <= day else -1)

    chosen: dict[str, Row] = {}
    for row in register:
        if row["id"] not in chosen or nearness(row) > nearness(chosen[row["id"]]):
            chosen[row["id"]] = row
    return chosen


def _note(center: str, row: Row | None, day: date) -> str:
    """Say why a ledger may refuse a cost center on the posting date; nothing where it won't."""
    if row is None:
        return f'cost center "{center}" is not in the register'
    if row["valid_to"] and row["valid_to"] < day:
        return f'cost center "{center}" ended on {row["valid_to"]}, before the posting date {day}'
    if row["valid_from"] and row["valid_from"] > day:
        return f'cost center "{center}" begins on {row["valid_from"]}, after the posting date {day}'
    return ""


def _check_accounts(run: Run, recipients: Mapping[str, _Recipient]) -> None:
    lacking = sorted(center for center, r in recipients.items() if r.charged and r.owing and not r.account)
    mend = "fill gl_account in the register cost_centers, or set journal.expense_account in governor.yaml"
    if lacking:
        place = Position(str(run.folder))
        what = 'cost center "{}" has no expense account'
        raise Refused(*(Problem(place, "J004", what.format(center), mend) for center in lacking))


def _entry(
    run: str,
    period: str,
    entity: str,
    currency: str,
    rows: Sequence[Row],
    recipients: Mapping[str, _Recipient],
    settings: JournalSettings,
) -> JournalEntry:
    charged, shown = (
        round_lines(_parts(row for row in rows if recipients[row["cost_center"]].charged is side), currency)
        for side in (True, False)
    )
    lines = [
        _line(recipients[key[0]].account, key, amount, period, run) for key, amount in _in_order(charged) if amount
    ]
    memos = [_line("", key, amount, period, run) for key, amount in _in_order(shown) if amount]
    if total := money.total(charged.values()):
        account, center = settings.clearing_account, settings.clearing_cost_center
        credit, debit = _sides(total)
        description = f"Cloud cost {period}, charged to cost centers, run {run[:12]}"
        lines.append(JournalLine(account, center, "", debit, credit, description, f"cost_centers/{period}/{currency}"))
    return balanced(
        JournalEntry(
            id=external_id(entity, period, currency, run),
            period=period,
            date=last_day(period),
            currency=currency,
            entity=entity,
            description=f"Cloud cost {period}" + (f", {entity}" if entity else ""),
            run=run,
            lines=tuple(lines),
            memos=tuple(memos),
        )
    )


def _parts(rows: Iterable[Row]) -> Parts:
    parts: Parts = {}
    for row in rows:
        for component in COMPONENTS:
            key = (row["cost_center"], component)
            parts[key] = money.total([parts.get(key, ZERO), row[component]])
    return parts


def _in_order(parts: Parts) -> list[tuple[tuple[str, str], Decimal]]:
    return sorted(parts.items(), key=lambda part: (part[0][0], COMPONENTS.index(part[0][1])))


def _line(account: str, key: tuple[str, str], amount: Decimal, period: str, run: str) -> JournalLine:
    center, component = key
    description = f"Cloud cost {period}, {component}, run {run[:12]}"
    return JournalLine(account, center, component, *_sides(amount), description, f"cost_centers/{center}/{component}")


def _sides(amount: Decimal) -> tuple[Decimal, Decimal]:
    """Put an amount on its side: what would be a negative debit is a credit."""
    return (amount, ZERO) if amount > 0 else (ZERO, money.EXACT.minus(amount))


def _controls(
    run: Run,
    totals: Sequence[Row],
    centers: Sequence[Row],
    recipients: Mapping[str, _Recipient],
    entries: Sequence[JournalEntry],
) -> Iterable[ControlTotals]:
    """Reconcile the period per currency. A run whose cost centers don't add up to its totals is refused."""
    for currency in sorted({row["currency"] for row in (*totals, *centers)}):
        allocated, left = (
            money.total(row[column] for row in totals if row["currency"] == currency)
            for column in ("allocated", "unallocated")
        )
        here = [row for row in centers if row["currency"] == currency]
        charged, showback = (
            money.total(row[c] for row in here if recipients[row["cost_center"]].charged is side for c in COMPONENTS)
            for side in (True, False)
        )
        if allocated != money.total([charged, showback]):
            what = (
                f"the totals say that {money.text(allocated)} {currency} is allocated in this period, the cost centers"
                f" that {money.text(charged)} is charged and {money.text(showback)} shown"
            )
            mend = "nothing was drafted; run `governor ledger verify`, and make the run again"
            raise Refused(Problem(Position(str(run.folder)), "J005", what, mend))
        lines = [line for entry in entries if entry.currency == currency for line in entry.lines if line.component]
        suspense, posted = money.total(row["suspense"] for row in here), money.total(line.amount for line in lines)
        yield ControlTotals(
            currency=currency,
            ingested=money.total([allocated, left]),
            charged=charged,
            showback=showback,
            suspense=suspense,
            unallocated=money.EXACT.subtract(left, suspense),
            posted=posted,
            rounding=money.EXACT.subtract(posted, charged),
        )
