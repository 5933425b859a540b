"""Registers: the reference tables that say who pays, as they were on every day.

A row is in force from `valid_from` to `valid_to`, both included; an empty date is open. The same key may stand there
several times as long as only one row is in force on any day: that is its history, and a bill of last March is judged by
the rows of last March.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from governor import money
from governor.config import Register
from governor.model import Position, Problem, Refused
from governor.sources import csv_records, register_checks
from governor.sources.register_checks import Row, Span, in_force, span
from governor.tables import DAY, MONEY, REGISTER_ACCOUNTS, REGISTER_COST_CENTERS, TEXT, Column

BUDGETS = (
    Column("cost_center", TEXT, required=True),
    Column("period", TEXT, "YYYY-MM", required=True),
    Column("currency", TEXT, required=True),
    Column("amount", MONEY, required=True),
)
FX_RATES = (
    Column("currency", TEXT, "what is converted", required=True),
    Column("to", TEXT, "into what", required=True),
    Column("date", DAY, required=True),
    Column("rate", MONEY, "how much of `to` one unit of `currency` is", required=True),
    Column("source", TEXT),
)
VALIDITY = (Column("valid_from", DAY), Column("valid_to", DAY))

# The registers whose columns mean something to governor, and what makes a row of each one of a kind.
KNOWN: Mapping[str, tuple[tuple[Column, ...], tuple[str, ...]]] = {
    "cost_centers": (REGISTER_COST_CENTERS, ("id",)),
    "accounts": (REGISTER_ACCOUNTS, ("account_id",)),
    "budgets": (BUDGETS, ("cost_center", "period", "currency")),
    "fx_rates": (FX_RATES, ("currency", "to", "date")),
}
RESERVED = "valid_on"  # the column that `as_arrow` adds

_PATTERNS = {
    "mode": (re.compile("chargeback|showback"), "write chargeback or showback"),
    "period": (re.compile(r"\d{4}-(0[1-9]|1[0-2])"), "write YYYY-MM, as 2026-01"),
    "currency": (re.compile("[A-Z]{3}"), "write the three-letter code, as USD"),
    "to": (re.compile("[A-Z]{3}"), "write the three-letter code, as USD"),
}
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ARROW = {TEXT: pa.string(), DAY: pa.date32(), MONEY: pa.decimal128(money.DIGITS, money.SCALE)}
_AWS_DIGITS = 12
_MOST_COMPARED = 500  # names among which a likeness is looked for: it costs tens of microseconds each


@dataclass(frozen=True, slots=True)
class RegisterTable:
    """A register as it was read. `columns` maps names to the SQL types of `tables.py`; empty fields are None.

    `rows` are sorted by key, then by valid_from; `lines` has the line of each row in the file.
    """

    name: str
    key: str
    columns: Mapping[str, str]
    rows: tuple[Row, ...]
    lines: tuple[int, ...]
    digest: str
    file: Path
    shown: str


@dataclass(frozen=True, slots=True)
class Registers:
    """All registers of a project by name, and what looks wrong between them but refuses nothing."""

    tables: Mapping[str, RegisterTable]
    warnings: tuple[Problem, ...] = ()


def read_all(registers: Mapping[str, Register]) -> Registers:
    """Read every register. Raises Refused with the problems of all of them."""
    tables: dict[str, RegisterTable] = {}
    problems: list[Problem] = []
    for name in sorted(registers):
        try:
            tables[name] = read(registers[name])
        except Refused as refused:
            problems += refused.problems
    if problems:
        raise Refused(*problems)
    return Registers(tables, tuple(_doubtful(tables)))


def read(register: Register) -> RegisterTable:
    """Read and check one register. Raises Refused with every problem found, each with its line."""
    shown = _shown(register)
    sheet = csv_records.read(register.file, shown)
    problems = [*sheet.problems, *_header_problems(register, sheet, shown)]
    if any(problem.position.line == sheet.header_line for problem in problems):  # then no field means anything
        raise Refused(*csv_records.capped(problems, shown))
    damaged = {problem.position.line for problem in problems}
    columns, found = _columns(register, sheet.header), []
    for line, fields in sheet.records:
        if line not in damaged and len(problems) <= csv_records.MOST_PROBLEMS:
            row, wrong = _row(register, columns, dict(zip(sheet.header, fields, strict=True)), Position(shown, line, 1))
            found.append((row, line))
            problems += wrong
    unique = KNOWN[register.name][1] if register.name in KNOWN else (register.key,)
    found.sort(key=lambda pair: (*(str(pair[0][name]) for name in unique), span(pair[0]), pair[1]))
    rows, lines = tuple(row for row, _ in found), tuple(line for _, line in found)
    # What compares rows needs rows that are right in themselves.
    if problems := csv_records.capped(problems or _between(register, rows, lines, unique, shown), shown):
        raise Refused(*problems)
    return RegisterTable(register.name, register.key, columns, rows, lines, sheet.sha256, register.file, shown)


def _between(
    register: Register, rows: Sequence[Row], lines: Sequence[int], unique: Sequence[str], shown: str
) -> Iterator[Problem]:
    yield from register_checks.overlapping(rows, lines, unique, shown)
    if register.name == "cost_centers":
        yield from register_checks.hierarchy(rows, lines, shown)
        if not rows:
            mend = "write a row for every cost center that can be charged"
            yield Problem(Position(shown), "R008", "no cost center is registered", mend)


def _shown(register: Register) -> str:
    """Name the file relative to governor.yaml where it lies below it, so that messages are the same everywhere."""
    root = Path(register.position.file).absolute().parent
    file = register.file.absolute()
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(register.file)


def _columns(register: Register, header: Sequence[str]) -> dict[str, str]:
    """Give every column its type: the known ones first and always, then the others as text in the file's order."""
    known = KNOWN[register.name][0] if register.name in KNOWN else ()
    types = {c.name: c.type for c in known} | {c.name: c.type for c in VALIDITY if c.name in header}
    return types | {name: types.get(name, TEXT) for name in header}


def _header_problems(register: Register, sheet: csv_records.Records, shown: str) -> Iterator[Problem]:
    header, place = sheet.header, Position(shown, sheet.header_line, 1)
    if any(problem.position == place for problem in sheet.problems):
        return
    known, unique = KNOWN.get(register.name, ((Column(register.key, TEXT, required=True), *VALIDITY), ()))
    if unique and register.key not in unique:
        what = f'the register "{register.name}" is keyed by {unique[0]}, not by "{register.key}"'
        yield Problem(register.position, "R010", what, f"write key: {unique[0]}")
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            yield Problem(place, "R011", f"the fields are separated by {name}", "save the file with commas")
            return
    seen: dict[str, str] = {}
    for number, name in enumerate(header, 1):
        if not name:
            yield Problem(place, "R012", f"column {number} has no name", "name it, or take the column out")
        elif name.lower() in seen:
            what = f'two columns are called "{name}"'
            if seen[name.lower()] != name:
                what = f'the columns "{seen[name.lower()]}" and "{name}" differ only by case'
            yield Problem(place, "R013", what, "rename one")
        elif name.lower() == RESERVED:
            yield Problem(place, "R014", f'the column name "{name}" is reserved', "rename it")
        seen.setdefault(name.lower(), name)
    yield from _misspelled(register, [c.name for c in known], {c.name for c in known if c.required}, header, place)


def _misspelled(
    register: Register, known: Sequence[str], required: set[str], header: Sequence[str], place: Position
) -> Iterator[Problem]:
    absent = {name: name for name in known if name not in header}
    for name in header:
        plain = re.sub(r"[\s-]+", "_", name.lower())
        if name not in (*known, RESERVED) and (near := difflib.get_close_matches(plain, absent, n=1, cutoff=0.8)):
            what = f'unknown column "{name}" in the register "{register.name}"'
            yield Problem(place, "R015", what, f'did you mean "{near[0]}"?')
            del absent[near[0]]
    for name in (name for name in known if name in absent and name in required):
        what = f'the column "{name}" is missing from the register "{register.name}"'
        yield Problem(place, "R016", what, f"the header has: {', '.join(header)}")


def _row(
    register: Register, columns: Mapping[str, str], fields: Mapping[str, str], place: Position
) -> tuple[dict[str, Any], list[Problem]]:
    row: dict[str, Any] = {name: fields.get(name) or None for name in columns}
    problems = []
    known = KNOWN[register.name][0] if register.name in KNOWN else ()
    for name, type_ in columns.items():
        if row[name] is not None and (type_ != TEXT or (known and name in _PATTERNS)):
            row[name] = _value(name, type_, row[name], place)
            if isinstance(row[name], Problem):
                problems.append(row[name])
                row[name] = None
    required = [c.name for c in known if c.required] or [register.key]
    problems += [
        Problem(place, "R017", f'"{name}" is empty', "every row needs it") for name in required if not fields[name]
    ]
    if register.name == "cost_centers":
        row["mode"] = row["mode"] or "chargeback"
    start, end = span(row)
    if start > end:
        what = f"valid_to {end} is before valid_from {start}"
        problems.append(Problem(place, "R018", what, "both days belong to the time in which the row is in force"))
    return row, problems


def _value(name: str, type_: str, text: str, place: Position) -> str | date | Decimal | Problem:
    if type_ == DAY:
        return _day(name, text, place)
    if type_ == MONEY:
        return _number(name, text, place)
    pattern, mend = _PATTERNS[name]
    return text if pattern.fullmatch(text) else Problem(place, "R021", f'{name} "{text}" is not valid', mend)


def _day(name: str, text: str, place: Position) -> date | Problem:
    wrong = Problem(place, "R019", f'{name} "{text}" is not a date', "write YYYY-MM-DD, as 2026-01-31")
    if not _ISO_DAY.fullmatch(text):
        return wrong
    try:
        return date.fromisoformat(text)
    except ValueError:
        return wrong


def _number(name: str, text: str, place: Position) -> Decimal | Problem:
    try:
        value = money.parse(text)
    except ValueError:
        mend = "write digits and a point, as 1234.56, without separators or currency"
        return Problem(place, "R020", f'{name} "{text}" is not a number that fits', mend)
    if name == "rate" and value <= 0:
        return Problem(place, "R020", f"{name} {text} is not positive", "a rate is more than zero")
    return value


def _doubtful(tables: Mapping[str, RegisterTable]) -> Iterator[Problem]:
    """Find what the bill will show as invalid: it is data, so it is said and not refused."""
    for name in sorted({"accounts", "budgets"} & set(tables)):
        found = [_short_ids(tables[name])] if name == "accounts" else []
        if "cost_centers" in tables:
            found.append(_strangers(tables[name], register_checks.spans(tables["cost_centers"].rows, "id")))
        yield from csv_records.capped(chain(*found), tables[name].shown)


def _short_ids(accounts: RegisterTable) -> Iterator[Problem]:
    for row, line in zip(accounts.rows, accounts.lines, strict=True):
        id_, provider = row["account_id"], (row["provider"] or "").lower()
        if ("aws" in provider or "amazon" in provider) and id_.isdecimal() and len(id_) < _AWS_DIGITS:
            what = f'AWS account id "{id_}" has {len(id_)} digits in place of {_AWS_DIGITS}'
            mend = "a spreadsheet may have taken leading zeros: put them back, and format the column as text"
            yield Problem(Position(accounts.shown, line, 1), "R032", what, mend)


def _strangers(table: RegisterTable, centers: Mapping[str, Sequence[Span]]) -> Iterator[Problem]:
    """Find rows that name a cost center which is not registered (each once), or not for all of their time."""
    unknown: set[str] = set()
    for row, line in zip(table.rows, table.lines, strict=True):
        place, center = Position(table.shown, line, 1), row["cost_center"]
        if center is None or center in unknown:
            continue
        if center not in centers:
            unknown.add(center)
            near = difflib.get_close_matches(center, centers, n=1) if len(centers) <= _MOST_COMPARED else []
            mend = f'did you mean "{near[0]}"?' if near else "add it to the register cost_centers"
            yield Problem(place, "R030", f'cost center "{center}" is not registered', mend)
        elif table.name == "accounts" and (when := register_checks.uncovered(centers[center], *span(row))):
            what = f'cost center "{center}" is not in force {when}, but this row is'
            yield Problem(place, "R031", what, "end this row with valid_to, and add one with the successor")


# --- the registers on a day -------------------------------------------------------------------------------------------


def valid_on(table: RegisterTable, day: date) -> tuple[Row, ...]:
    """List the rows in force on a day: at most one a key (one a key, period and currency in budgets, and so on)."""
    return tuple(row for row in table.rows if in_force(row, day))


def boundaries(registers: Registers) -> list[date]:
    """List the days on which some row begins to count or has ceased to; between two of them nothing changes."""
    days = set()
    for table in registers.tables.values():
        for row in table.rows:
            if row.get("valid_from"):
                days.add(row["valid_from"])
            if row.get("valid_to") and row["valid_to"] < date.max:
                days.add(row["valid_to"] + timedelta(days=1))
    return sorted(days)


def as_arrow(table: RegisterTable, days: Iterable[date]) -> pa.Table:
    """Lay the register out for joining: for each day the rows in force on it, the day in the column `valid_on`."""
    arrays = [pa.array([row[name] for row in table.rows], _ARROW[type_]) for name, type_ in table.columns.items()]
    everything = pa.Table.from_arrays(arrays, names=list(table.columns))
    stretches, chosen = [], []
    for day in sorted(set(days)):
        here = [number for number, row in enumerate(table.rows) if in_force(row, day)]
        stretches += [day] * len(here)
        chosen += here
    rows = everything.take(pa.array(chosen, pa.int64()))
    return rows.add_column(0, RESERVED, pa.array(stretches, pa.date32()))
