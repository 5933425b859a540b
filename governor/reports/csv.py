"""The run's tables as CSV: raw for machines, or guarded for spreadsheets.

Raw is RFC 4180 with every field quoted and every value as it is: what a machine reads back is what the run holds. A
spreadsheet would run a tag value such as `=HYPERLINK(...)`, so its flavour puts an apostrophe before text that begins
like a formula. Numbers are numbers in both: a credit of -12.50 is not text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor import money, tables
from governor.ledger.read import Run
from governor.reports import REPORTS

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
EVERY = tuple(dict.fromkeys(name for names in REPORTS.values() for name in names))


def render(run: Run, out: Path, names: Sequence[str] = EVERY, *, spreadsheet: bool = False) -> list[Path]:
    """Write tables of the run as `NAME.csv`, all columns of the contract in its order, rows in the run's order.

    A run that an earlier governor committed has no tables that came later: they are left out.
    """
    out.mkdir(parents=True, exist_ok=True)
    return [_write(run, name, out / f"{name}.csv", spreadsheet) for name in names if run.holds(name)]


def _write(run: Run, name: str, path: Path, spreadsheet: bool) -> Path:
    columns = [column.name for column in tables.RUN[name]]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(_fields(run.rows(name), columns, spreadsheet))
    return path


def _fields(rows: Iterable[dict[str, Any]], columns: Sequence[str], spreadsheet: bool) -> Iterable[list[str]]:
    for row in rows:
        yield [field(row[column], spreadsheet) for column in columns]


def field(value: object, spreadsheet: bool) -> str:
    """Print one value; nothing for NULL.

    >>> field("=1+1", True), field("=1+1", False), field(Decimal("-12.5"), True)
    ("'=1+1", '=1+1', '-12.50')
    """
    match value:
        case None:
            return ""
        case Decimal():
            return money.text(value)
        case datetime():
            return value.isoformat() + "Z"
        case date():
            return value.isoformat()
        case str() if spreadsheet and value.startswith(DANGEROUS):
            return "'" + value
        case _:
            return str(value)
