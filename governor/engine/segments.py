"""Survey the files of a bill: count, add up and find every odd text, in one scan; then read each odd text once.

A segment is a run of files, in order, that one query can read: the same columns, types and layout.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from governor.config import BillingSource
from governor.engine.columns import IDS, Field, needs_rounding, tag_text
from governor.engine.duckdb import Engine, literal
from governor.engine.staging import BATCH_ROWS, Input, said, scan
from governor.model import Position, Problem, Refused
from governor.money import EXACT
from governor.sources.billing import values
from governor.tables import MONEY, TEXT, TIME

_PERIOD = "billing_period_start"
_ARROW = {MONEY: pa.decimal128(38, 24), TIME: pa.timestamp("us"), TEXT: pa.string()}


@dataclass(frozen=True, slots=True)
class Segment:
    """Files that are read by one query, and how each column is read."""

    inputs: tuple[Input, ...]
    fields: tuple[Field, ...]

    @property
    def has_tags(self) -> bool:
        """Whether the files have a column of tags."""
        return self.inputs[0].layout.tags is not None

    @property
    def delivered(self) -> str:
        """Write SQL for the rows as delivered: file, row, r_<column> for each column, and the raw tags.

        p_<column> is the same without a look at the words that mean missing.
        """
        first = self.inputs[0]
        columns = [f"{f.raw} AS {f.alias}" for f in self.fields if f.present]
        columns += [f"{f.plain} AS p_{f.column.name}" for f in self.fields if f.plain]
        columns.append(f"{tag_text(first.layout, first.types)} AS raw_tags")
        if first.layout.aside:
            cases = " ".join(f"WHEN {where} THEN {literal(why)}" for why, where in first.layout.aside.items())
            columns.append(f"CASE {cases} END AS aside")
        columns += [f"{one.where} AS unusable_{at}" for at, one in enumerate(first.layout.unusable)]
        return (
            f"SELECT CAST(file_index + {first.index} AS INTEGER) AS file, {first.row} AS row, "
            f"{', '.join(columns)} FROM {scan([i.data for i in self.inputs], first.raws, first.flat)}"
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """What one scan of a segment found. `odd` and `missing` name the columns some of whose rows need a second look.

    `totals` are the control totals of the costs over all rows, odd texts included once they are read.
    """

    rows: int
    totals: Mapping[str, Decimal]
    odd: frozenset[str]
    missing: frozenset[str]
    rounded: int
    damaged_ids: tuple[str, ...]
    worded: frozenset[str]  # columns some of whose texts may be words for missing
    also: frozenset[int] = frozenset()  # the second charges that some rows make, as far as they were read
    month: str = ""  # the billing period of every row, where it is one


@dataclass(frozen=True, slots=True)
class Reread:
    """The odd texts of one column, read: a Parquet file (text, value, code, reason)."""

    table: Path
    total: Decimal  # of the amounts among them, times their rows
    failed: bool  # some text has no value
    rounded: int = 0  # rows with an amount that was finer than money is kept


def survey(engine: Engine, segment: Segment) -> Survey:
    """Count, add up and check every row of a segment in one scan. Raises Refused where a file can't be read."""
    read = [f"{f.value} AS v_{f.column.name}" for f in segment.fields if f.present and (f.reader or f.default)]
    checks = _checks(segment)
    query = (
        f"SELECT {', '.join(f'{text} AS {name}' for name, text in checks.items())} "
        f"FROM (SELECT {', '.join(['*', *read])} FROM ({segment.delivered}))"
    )
    try:
        [row] = engine.rows(query)
    except duckdb.Error as error:
        raise Refused(*_blame(engine, segment, error)) from error
    found = dict(zip(checks, row, strict=True))
    _refuse_unusable(engine, segment, found)

    def named(prefix: str) -> list[str]:
        return [name.removeprefix(prefix) for name, value in found.items() if name.startswith(prefix) and value]

    return Survey(
        rows=found["rows"],
        totals={name: found[f"sum_{name}"] for name in named("sum_")},
        odd=frozenset(named("odd_")),
        missing=frozenset(named("missing_")),
        rounded=found.get("rounded", 0),
        damaged_ids=tuple(named("damaged_")),
        worded=frozenset(named("worded_")),
        also=frozenset(map(int, named("also_"))),
        month="" if any(found.get(f"{why}_{_PERIOD}") for why in ("odd", "missing")) else found["month"] or "",
    )


def _refuse_unusable(engine: Engine, segment: Segment, found: Mapping[str, Any]) -> None:
    """Raise Refused where a file has rows that its layout can't do with."""
    problems = []
    for at, one in enumerate(segment.inputs[0].layout.unusable):
        if found[f"unusable_{at}"]:
            query = f"SELECT file, count(*) FROM ({segment.delivered}) WHERE unusable_{at} GROUP BY file ORDER BY file"
            names = {i.index: i.name for i in segment.inputs}
            problems += [
                Problem(Position(names[file]), one.code, f"{count:,} {one.what}", one.mend)
                for file, count in engine.rows(query)
            ]
    if problems:
        raise Refused(*problems)


def spare(segment: Segment, surveyed: Survey) -> Segment:
    """Read without a look at words for missing where no text is that short: texts that repeat then stay cheap."""
    plain = (f.plain and f.column.name not in surveyed.worded for f in segment.fields)
    fields = (replace(f, raw=f.plain) if clean else f for f, clean in zip(segment.fields, plain, strict=True))
    return replace(segment, fields=tuple(fields))


def spared(segment: Segment, names: Collection[str]) -> Segment:
    """Let no column of these names that is beside the core reject a row; `*` names them all."""
    spare = (f.kept and not f.column.core and ("*" in names or f.column.name in names) for f in segment.fields)
    fields = (replace(f, spared=one) for f, one in zip(segment.fields, spare, strict=True))
    return replace(segment, fields=tuple(fields))


def _checks(segment: Segment) -> dict[str, str]:
    """Write SQL for everything that the survey asks of the rows, by name."""
    checks = {"rows": "count(*)"}
    for field in (f for f in segment.fields if f.present):
        name, alias = field.column.name, field.alias
        if field.cost:
            exact = not field.reader and not field.default
            checks[f"sum_{name}"] = f"CAST(sum({alias if exact else f'v_{name}'}) AS {MONEY})"
        if field.plain:
            checks[f"worded_{name}"] = field.worded
        if field.reader:
            failed = f"count(*) FILTER ({alias} IS NOT NULL AND v_{name} IS NULL) > 0"
            checks[f"odd_{name}"] = failed if field.default else field.doubt or failed
        if field.column.required and not field.default:
            checks[f"missing_{name}"] = f"count(*) FILTER ({alias} IS NULL)"
        if name in IDS and not field.numeric:
            checks[f"damaged_{name}"] = (
                f"count(*) FILTER (contains({alias}, 'E+') AND regexp_full_match({alias}, '{values.ACCOUNT_DAMAGE}'))"
            )
    for at in range(len(segment.inputs[0].layout.unusable)):
        checks[f"unusable_{at}"] = f"count(*) FILTER (unusable_{at})"
    named = {f.name: f"v_{f.column.name}" if f.reader or f.default else f.value for f in segment.fields}
    checks |= _derived_checks(segment, named)
    for at, also in enumerate(segment.inputs[0].layout.also):
        checks[f"also_{at}"] = f"count(*) FILTER ({also.where.format_map(named)})"
    checks["month"] = _month(named[_PERIOD] or "CAST(NULL AS TIMESTAMP)")
    if doubles := [f for f in segment.fields if f.reader == "double"]:
        some = " OR ".join(f"({needs_rounding(f.alias)})" for f in doubles)
        checks["rounded"] = f"count(*) FILTER ({some})"
    return checks


def _derived_checks(segment: Segment, named: Mapping[str, str]) -> dict[str, str]:
    checks = {}
    for field in (f for f in segment.fields if f.derived):
        name, value = field.column.name, field.derived.format_map(named)
        if field.cost:
            checks[f"sum_{name}"] = f"CAST(sum({value}) AS {MONEY})"
        if field.column.required and not field.default:
            checks[f"missing_{name}"] = f"count(*) FILTER (({value}) IS NULL)"
    return checks


def _month(start: str) -> str:
    """Write an aggregate that is the one billing period of all rows; NULL where there are several."""
    first, last = (f"strftime({end}({start}), '%Y-%m')" for end in ("min", "max"))
    return f"CASE WHEN {first} = {last} THEN {first} END"


def look_up(
    engine: Engine, segment: Segment, surveyed: Survey, source: BillingSource, scratch: Path
) -> dict[str, Reread]:
    """Read every distinct odd text once. Raises Refused where a spreadsheet damaged a file."""
    problems = []
    for field in segment.fields:
        if field.column.name in surveyed.damaged_ids:
            problems += _damaged_ids(engine, segment, field)
    reread = {}
    for field in segment.fields:
        if field.column.name in surveyed.odd:
            reread[field.column.name], found = _reread(engine, segment, field, source, scratch)
            problems += found
    if problems:  # one cause marks many columns: the first of each kind is enough to find it
        first = {(p.position.file, p.code): p for p in sorted(problems, reverse=True)}
        raise Refused(*sorted(first.values()))
    return reread


def _reread(
    engine: Engine, segment: Segment, field: Field, source: BillingSource, scratch: Path
) -> tuple[Reread, list[Problem]]:
    name = field.column.name
    texts, table = (scratch / f"{kind}-{segment.inputs[0].index}-{name}.parquet" for kind in ("odd", "read"))
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("value", _ARROW[field.column.type]),
            ("code", pa.string()),
            ("reason", pa.string()),
        ]
    )
    engine.export(
        f"SELECT CAST({field.alias} AS VARCHAR) AS text, count(*) AS n, min((file, row)) AS at "
        f"FROM ({segment.delivered}) WHERE {field.alias} IS NOT NULL AND ({field.value}) IS NULL GROUP BY 1",
        texts,
    )
    total, failed, rounded = Decimal(0), False, 0
    first_damage: dict[str, tuple[Any, ...]] = {}
    with pq.ParquetWriter(table, schema) as writer, pq.ParquetFile(texts) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS):
            rows = batch.to_pylist()
            read = [field.read(row["text"]) if field.read else _read(field.reader, row["text"], source) for row in rows]
            for row, reading in zip(rows, read, strict=True):
                failed = failed or reading.value is None
                rounded += row["n"] if reading.rounded else 0
                if isinstance(reading.value, Decimal):
                    total = EXACT.add(total, EXACT.multiply(reading.value, row["n"]))
                at = tuple(row["at"].values())
                if reading.damaged and (reading.code not in first_damage or at < first_damage[reading.code][0]):
                    first_damage[reading.code] = (at, row["text"], reading.reason)
            columns = ([row["text"] for row in rows], *zip(*((r.value, r.code, r.reason) for r in read), strict=True))
            arrays = [pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))
    problems = [_damage(segment, field, code, *found) for code, found in sorted(first_damage.items())]
    return Reread(table, total, failed, rounded), problems


def _read(reader: str, text: str, source: BillingSource) -> values.Reading:
    if reader == "time":
        return values.read_time(text, source.dates)
    if reader == "printed double":
        return values.read_printed_double(text, source.numbers)
    return values.read_double(text) if reader == "double" else values.read_money(text, source.numbers)


def _damage(segment: Segment, field: Field, code: str, at: tuple[int, int], text: str, reason: str) -> Problem:
    """Say where a spreadsheet left its mark, and how the file can be read all the same."""
    one = segment.inputs[at[0] - segment.inputs[0].index]
    mend = {
        "B020": "export the bill again and don't save it in a spreadsheet: the digits are lost",
        "B021": "export the bill again, or set `dates` of this source to its pattern, such as '%m/%d/%Y'",
        "B022": "export the bill again, or set `numbers` of this source to `us` or `eu`",
    }[code]
    return Problem(one.position(at[1]), code, f"row {at[1]}: {field.column.note} is {text[:60]!r}: {reason}", mend)


def _damaged_ids(engine: Engine, segment: Segment, field: Field) -> list[Problem]:
    rows = engine.rows(
        f"SELECT file, min(row), arg_min({field.alias}, row) FROM ({segment.delivered}) "
        f"WHERE regexp_full_match({field.alias}, '{values.ACCOUNT_DAMAGE}') GROUP BY file ORDER BY file"
    )
    reason = "a spreadsheet turned the id into a number"
    return [_damage(segment, field, "B020", (file, row), text, reason) for file, row, text in rows]


def _blame(engine: Engine, segment: Segment, error: duckdb.Error) -> list[Problem]:
    """Find the files that make a query fail, by reading each alone."""
    if isinstance(error, duckdb.OutOfRangeException):
        what = "adds up to more than 14 digits before the decimal point"
        return [Problem(Position(segment.inputs[0].name), "B041", what, "check the amounts: no bill is that large")]
    problems = []
    for one in segment.inputs:
        alone = Segment((one,), segment.fields)
        every = ", ".join(f"count({f.alias})" for f in segment.fields if f.present)
        try:
            engine.rows(f"SELECT {every}, count(raw_tags) FROM ({alone.delivered})")
        except duckdb.Error as own:
            problems.append(
                Problem(Position(one.name), "B010", f"can't be read: {said(own)}", "deliver the file again")
            )
    return problems or [Problem(Position(segment.inputs[0].name), "B010", f"can't be read: {said(error)}")]


def blame(engine: Engine, segments: Sequence[Segment], error: duckdb.Error) -> list[Problem]:
    """Find the files of several segments that make a query fail."""
    return [problem for segment in segments for problem in _blame(engine, segment, error)][:10]
