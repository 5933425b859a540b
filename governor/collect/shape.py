"""Bring charges into the shape of FOCUS 1.4: SQL for each column, and a word on everything that was filled."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from governor.collect.focus import FILLS, LISTS, MANDATORY, NEEDED, WHOLE, Fill
from governor.engine.duckdb import Engine, identifier, literal
from governor.model import Position, Problem, Refused
from governor.tables import FLAG, FOCUS, MONEY, TEXT, TIME, Column

TAGS, FILLED, UNREAD = "Tags", "x_Filled", "x_TagsUnread"
_NOTES = {column.name: column.note for column in FOCUS}


@dataclass(frozen=True, slots=True)
class Notice:
    """What a reader of the file must know: how many rows of which column are not as they were delivered, and why."""

    column: str
    rows: int
    says: str

    def __str__(self) -> str:
        return f"{self.column} {self.says} ({self.rows:,} row{'' if self.rows == 1 else 's'})"


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of the file, by FOCUS name: their type, and SQL over `rows`, which is SQL itself."""

    rows: str
    types: Mapping[str, str]
    columns: Mapping[str, str]
    notices: tuple[Notice, ...]

    def select(self, more: Iterable[str] = ()) -> str:
        """Write the query of the file's rows, in the order of the charges; `more` are columns of `rows` to carry on."""
        listed = [f"{sql} AS {identifier(name)}" for name, sql in self.columns.items()]
        return f"SELECT {', '.join([*listed, *more])} FROM ({self.rows})"


def shape(engine: Engine, table: str, position: Position) -> Shape:
    """Shape the charges of `table`, which follows the contract and has their `tags` as text, all in one scan.

    Raises Refused where FOCUS asks for a value that the charges don't have and nothing honest stands in for.
    """
    held = {str(name) for name, *_ in engine.rows(f"DESCRIBE SELECT * FROM {table}")}
    rows = _rows(table, held)
    counted = {"rows": "count(*)", TAGS: "count(tags)"}
    counted |= {f"has {c.name}": f"count({c.name})" for c in FOCUS}
    counted |= {f"said {name}": f"count({_said(name)})" for name in LISTS if name in held}
    counted |= {f"fill {at}": f"count(*) FILTER ({_applies(fill)})" for at, fill in enumerate(FILLS)}
    [found] = engine.rows(f"SELECT {', '.join(counted.values())} FROM ({rows})")
    counts = dict(zip(counted, found, strict=True))
    if problems := list(_lacking(counts, position)):
        raise Refused(*problems)
    written = [c for c in FOCUS if c.name in MANDATORY or counts[f"has {c.name}"]]
    left_out = [c for c in written if c.name in WHOLE and counts[f"has {c.name}"] < counts["rows"]]
    written = [c for c in written if c not in left_out]
    names = {c.name for c in written}
    used = [fill for at, fill in enumerate(FILLS) if counts[f"fill {at}"] and fill.column in names]
    columns = {c.note: _value(c, used) for c in written}
    if counts[TAGS]:
        columns[TAGS] = "tags"
        if counts[TAGS] < counts["rows"]:
            columns[UNREAD] = "tags IS NULL"
    if used:
        filled = {f.column: f"CASE WHEN {f.column} IS NULL THEN {literal(_NOTES[f.column])} END" for f in used}
        columns[FILLED] = f"nullif(concat_ws(',', {', '.join(filled.values())}), '')"
    kinds = {c.note: c.type for c in written} | {UNREAD: FLAG}
    types = {name: kinds.get(name, TEXT) for name in columns}
    return Shape(rows, types, columns, tuple(_notices(counts, used, left_out, columns)))


def _rows(table: str, held: Collection[str]) -> str:
    """Write SQL for the charges with every FOCUS column, values of closed lists spelled as FOCUS does."""
    cast = [f"CAST(NULL AS {c.type}) AS {c.name}" for c in FOCUS if c.name not in held]
    spelled = [f"{_spelled(name)} AS {name}" for name in LISTS if name in held]
    said = [f"{name} AS {_said(name)}" for name in LISTS if name in held]
    replaced = f" REPLACE ({', '.join(spelled)})" if spelled else ""
    return f"SELECT {', '.join([f'*{replaced}', *said, *cast])} FROM {table}"


def _said(name: str) -> str:
    return f"said_{name}"


def _spelled(name: str) -> str:
    values = LISTS[name]
    cases = " ".join(f"WHEN {literal(_folded(v))} THEN {literal(v)}" for v in values)
    folded = f"lower(replace(replace(replace({name}, '-', ''), '_', ''), ' ', ''))"
    return f"CASE WHEN {name} IN ({', '.join(map(literal, values))}) THEN {name} ELSE CASE {folded} {cases} END END"


def _folded(value: str) -> str:
    return re.sub("[-_ ]", "", value).lower()


def _applies(fill: Fill) -> str:
    """Write SQL that is true where a value is missing and this fill, and none before it, stands in."""
    before = [f"NOT coalesce({f.where}, FALSE)" for f in FILLS[: FILLS.index(fill)] if f.column == fill.column]
    return " AND ".join([f"{fill.column} IS NULL", *before, f"coalesce({fill.where}, FALSE)"])


def _value(column: Column, used: Collection[Fill]) -> str:
    fills = [f"WHEN {fill.where} THEN {fill.value}" for fill in used if fill.column == column.name]
    return f"coalesce({column.name}, CASE {' '.join(fills)} END)" if fills else column.name


def _lacking(counts: Mapping[str, int], position: Position) -> Iterable[Problem]:
    """Say which values nothing can stand in for."""
    rows = counts["rows"]
    for name in NEEDED:
        missing = rows - counts[f"has {name}"]
        if missing and counts.get(f"said {name}", 0) > counts[f"has {name}"]:
            what = f"{_NOTES[name]} holds a value that FOCUS doesn't list, in {missing:,} of {rows:,} rows"
            yield Problem(position, "B314", what, f"FOCUS lists {', '.join(LISTS[name])}: correct the bill")
        elif missing:
            what = f"{_NOTES[name]} was not delivered for {missing:,} of {rows:,} rows, and FOCUS allows no row without"
            mend = f"give the source a default in governor.yaml: `defaults: {{{_NOTES[name]}: …}}`"
            yield Problem(position, "B313", what, mend)


def _notices(
    counts: Mapping[str, int], used: Collection[Fill], left_out: Collection[Column], columns: Mapping[str, str]
) -> Iterable[Notice]:
    for at, fill in enumerate(FILLS):
        if fill in used:
            yield Notice(_NOTES[fill.column], counts[f"fill {at}"], f"was not delivered: {fill.says}")
    for name in LISTS:
        if strange := counts.get(f"said {name}", counts[f"has {name}"]) - counts[f"has {name}"]:
            yield Notice(_NOTES[name], strange, "held a value that FOCUS doesn't list: it counts as not delivered")
    for column in left_out:
        missing = counts["rows"] - counts[f"has {column.name}"]
        yield Notice(column.note, missing, "is left out: FOCUS allows no empty value in it, and some rows have none")
    if UNREAD in columns:
        yield Notice(TAGS, counts["rows"] - counts[TAGS], f"could not be read: empty, and {UNREAD} is true")
    elif TAGS not in columns and counts["rows"]:
        yield Notice(TAGS, counts["rows"], "was not delivered: the column is left out")


def as_text(name: str, kind: str) -> str:
    """Write SQL that prints a column of the file for a CSV: plain decimals, moments as FOCUS writes them."""
    column = identifier(name)
    if kind == MONEY:
        return f"rtrim(rtrim(CAST({column} AS VARCHAR), '0'), '.')"
    if kind == TIME:
        whole = f"strftime({column}, '%Y-%m-%dT%H:%M:%S')"
        fraction = f"CASE WHEN microsecond({column}) % 1000000 <> 0 THEN strftime({column}, '.%f') ELSE '' END"
        return f"{whole} || {fraction} || 'Z'"
    return f"CAST({column} AS VARCHAR)"
