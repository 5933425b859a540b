"""Write the tables charges and rejects, and check against the files that nothing was lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from governor.engine.columns import Field
from governor.engine.duckdb import Engine, identifier, literal
from governor.engine.segments import Reread, Segment, Survey
from governor.engine.tagsets import TagIds
from governor.model import Position, Problem, Refused
from governor.money import EXACT, text
from governor.sources.billing.damaged import VALUE_MAX
from governor.tables import MONEY, REJECTS, TEXT


@dataclass(frozen=True, slots=True)
class Part:
    """A segment with all that is known of it."""

    segment: Segment
    survey: Survey
    reread: Mapping[str, Reread]
    tags: TagIds
    basis: str = "effective_cost"  # what policies allocate

    def value(self, field: Field) -> str:
        """Write SQL for a column's value, odd texts included."""
        again = field.column.name in self.reread
        return f"coalesce({field.value}, o_{field.column.name}.value)" if again else field.sure

    @property
    def bad(self) -> list[tuple[Field, str, str, str]]:
        """List why a row of this part can be bad: column, condition, code and reason, the first that holds counts."""
        found = []
        for field in self.segment.fields:
            name = field.column.name
            if name in self.survey.missing:
                found.append((field, f"{field.alias} IS NULL", "'B043'", "'the value is missing'"))
            if name in self.reread and self.reread[name].failed:
                failed = f"{field.alias} IS NOT NULL AND {self.value(field)} IS NULL"
                found.append((field, failed, f"o_{name}.code", f"o_{name}.reason"))
        return found

    @property
    def source(self) -> str:
        """Write SQL's FROM: the rows as delivered, with what was read of their odd texts and tags."""
        joins = [
            f"LEFT JOIN read_parquet({literal(str(r.table))}) o_{name} ON o_{name}.text = CAST(d.r_{name} AS VARCHAR)"
            for name, r in self.reread.items()
        ]
        if self.segment.has_tags:
            joins.append(f"LEFT JOIN read_parquet({literal(str(self.tags.table))}) t ON t.raw = d.raw_tags")
        return f"({self.segment.delivered}) d {' '.join(joins)}"

    def field(self, name: str) -> Field:
        """Find how a column is read."""
        return next(f for f in self.segment.fields if f.column.name == name)

    @property
    def period(self) -> str:
        """SQL for the billing period, YYYY-MM."""
        return f"strftime({self.value(self.field('billing_period_start'))}, '%Y-%m')"

    @property
    def cost(self) -> str:
        """SQL for the row's cost on the policies' basis; NULL where it can't be read."""
        return self.value(self.field(self.basis))


def write_charges(engine: Engine, parts: Sequence[Part], to: Path) -> int:
    """Write every good row, in the order of the files."""
    selects = []
    for part in parts:
        tag_set = "t.tag_set" if part.segment.has_tags else "CAST(NULL AS BIGINT)"
        columns = [f"{part.value(f)} AS {identifier(f.column.name)}" for f in part.segment.fields]
        where = f" WHERE {' AND '.join(f'NOT ({condition})' for _, condition, _, _ in part.bad)}" if part.bad else ""
        selects.append(
            f"SELECT d.file, d.row, {part.period} AS billing_period, {tag_set} AS tag_set, {', '.join(columns)} "
            f"FROM {part.source}{where}"
        )
    return engine.export(" UNION ALL ".join(selects), to)


def write_rejects(engine: Engine, parts: Sequence[Part], source: str, to: Path) -> int:
    """Write every row that can't be used, with the reason. The scan is spared where nothing can be bad."""
    inputs = [one for part in parts for one in part.segment.inputs]
    engine.register("files", pa.table({"file": [i.index for i in inputs], "name": [i.name for i in inputs]}))
    none = ", ".join(f"CAST(NULL AS {c.type}) AS {identifier(c.name)}" for c in REJECTS[2:])
    selects = [f"SELECT {none}, 0 AS file WHERE FALSE"]
    nothing = f"CAST(NULL AS {TEXT})"
    selects += [
        f"SELECT row, {nothing}, value, code, reason, {nothing}, {nothing}, CAST(NULL AS {MONEY}), {one.index} "
        f"FROM read_parquet({literal(str(one.bad_rows))})"
        for one in inputs
        if one.bad
    ]
    for part in (p for p in parts if p.bad):
        column, value, code, reason = (_first(part.bad, at) for at in range(4))
        currency = part.value(part.field("billing_currency"))
        some = " OR ".join(f"({condition})" for _, condition, _, _ in part.bad)
        selects.append(
            f"SELECT d.row, {column}, {value}, {code}, {reason}, {part.period}, {currency}, {part.cost}, d.file "
            f"FROM {part.source} WHERE {some}"
        )
    columns = ", ".join(f"r.{identifier(c.name)}" for c in REJECTS[2:])
    return engine.export(
        f"SELECT {literal(source)} AS source, f.name AS file, {columns} "
        f"FROM ({' UNION ALL '.join(selects)}) r JOIN files f ON f.file = r.file ORDER BY r.file, r.row",
        to,
    )


def reconcile(engine: Engine, parts: Sequence[Part], charges: Path, rejects: Path) -> dict[int, tuple[int, int]]:
    """Return rows and rejected rows of each file, having checked that they and the control totals tie to the files."""
    sums = sorted({name for part in parts for name in part.survey.totals})
    total = ", ".join(f"sum({identifier(name)})" for name in sums)
    kept = {
        row[0]: row[1:]
        for row in engine.rows(
            f"SELECT file, count(*), {total or '0'} FROM read_parquet({literal(str(charges))}) GROUP BY file"
        )
    }
    names = {one.name: one for part in parts for one in part.segment.inputs}
    refused = {
        names[name].index: count
        for name, count in engine.rows(
            f"SELECT file, count(*) FROM read_parquet({literal(str(rejects))}) GROUP BY file"
        )
    }
    counts = {}
    for one in names.values():
        rows, rejected = (kept[one.index][0] if one.index in kept else 0), refused.get(one.index, 0)
        if rows + rejected != one.rows:
            raise _lost(one.name, f"{one.rows:,} rows were delivered, {rows:,} kept and {rejected:,} rejected")
        counts[one.index] = (one.rows, rejected)
    for at, name in enumerate(sums, start=1):
        delivered = written = Decimal(0)
        for part in parts:
            delivered = EXACT.add(delivered, part.survey.totals.get(name) or Decimal(0))
            delivered = EXACT.add(delivered, part.reread[name].total if name in part.reread else Decimal(0))
            written = EXACT.add(written, _rejected_sum(engine, part, name))
        for sums_of_file in kept.values():
            written = EXACT.add(written, sums_of_file[at] or Decimal(0))
        if delivered != written:
            raise _lost(
                parts[0].segment.inputs[0].name, f"{name}: {text(delivered)} delivered, {text(written)} written"
            )
    return counts


def _rejected_sum(engine: Engine, part: Part, name: str) -> Decimal:
    if not part.bad:
        return Decimal(0)
    some = " OR ".join(f"({condition})" for _, condition, _, _ in part.bad)
    [(total,)] = engine.rows(f"SELECT sum({part.value(part.field(name))}) FROM {part.source} WHERE {some}")
    return total or Decimal(0)


def _first(bad: Sequence[tuple[Field, str, str, str]], at: int) -> str:
    """Write SQL that picks, for the first condition that holds, the column's name, its text, the code or the reason."""
    cases = []
    for field, condition, code, reason in bad:
        shown = f"left(CAST({field.alias} AS VARCHAR), {VALUE_MAX})"
        cases.append(f"WHEN {condition} THEN {(literal(field.column.note), shown, code, reason)[at]}")
    return f"CASE {' '.join(cases)} END"


def _lost(file: str, what: str) -> Refused:
    return Refused(Problem(Position(file), "B050", f"doesn't tie: {what}", "this is a defect of governor: report it"))
