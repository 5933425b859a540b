"""A journal as CSV that any ledger can be taught to import: lines, memos apart from them, control totals."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from governor import money
from governor.journals.entries import Journal, JournalEntry, JournalLine
from governor.journals.plain_text import encode

LINES = (
    "external_id",
    "line",
    "entity",
    "period",
    "posting_date",
    "currency",
    "account",
    "cost_center",
    "debit",
    "credit",
    "component",
    "description",
    "reference",
    "run",
)
MEMOS = (*(name for name in LINES if name not in {"account", "debit", "credit"}), "amount")
CONTROLS = (
    "period",
    "currency",
    "ingested",
    "charged",
    "showback",
    "suspense",
    "unallocated",
    "posted",
    "rounding",
    "on_clearing",
    "recharge_rate",
    "complete",
    "run",
)
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would run


def write(journal: Journal, out: Path) -> list[Path]:
    """Write `journal-PERIOD.csv`, which balances, and beside it the memos and the control totals.

    RFC 4180, every field quoted. The side that isn't used is empty. Memos post nothing, so they are in a file of their
    own that no import meets by mistake.
    """
    out.mkdir(parents=True, exist_ok=True)
    name = f"journal-{journal.period}"
    lines = (_line(e, number, line) for e in journal.entries for number, line in enumerate(e.lines, 1))
    memos = (_memo(e, number, line) for e in journal.entries for number, line in enumerate(e.memos, 1))
    return [
        _write(out / f"{name}.csv", LINES, lines),
        _write(out / f"{name}-memo.csv", MEMOS, memos),
        _write(out / f"{name}-controls.csv", CONTROLS, _controls(journal)),
    ]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _line(entry: JournalEntry, number: int, line: JournalLine) -> list[str]:
    sides = [format(side, "f") if side else "" for side in (line.debit, line.credit)]
    return [*_head(entry, number), _text(line.account), _text(line.cost_center), *sides, *_tail(entry, line)]


def _memo(entry: JournalEntry, number: int, line: JournalLine) -> list[str]:
    return [*_head(entry, number), _text(line.cost_center), *_tail(entry, line), format(line.amount, "f")]


def _head(entry: JournalEntry, number: int) -> list[str]:
    return [entry.id, str(number), _text(entry.entity), entry.period, entry.date.isoformat(), _text(entry.currency)]


def _tail(entry: JournalEntry, line: JournalLine) -> list[str]:
    return [line.component, _text(line.description), _text(line.reference), entry.run]


def _controls(journal: Journal) -> Iterable[list[str]]:
    for total in journal.controls:
        amounts: list[Decimal] = [getattr(total, name) for name in CONTROLS[2:-3]]
        complete = "no" if journal.incomplete else "yes"
        yield [
            journal.period,
            _text(total.currency),
            *map(money.text, amounts),
            total.recharge_rate,
            complete,
            journal.run,
        ]


def _text(text: str) -> str:
    """Keep text to one line, and keep a spreadsheet from running it: no id of a ledger begins like a formula."""
    text = encode(text)
    return "'" + text if text.startswith(_FORMULA) else text
