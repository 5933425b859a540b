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
from governor.engine.staging import Input
from governor.engine.tagsets import TagIds
from governor.model import Position, Problem, Refused
from governor.money import EXACT, text
from governor.sources.billing.damaged import VALUE_MAX
from governor.sources.billing.layout import Also
from governor.tables import MONEY, REJECTS, TEXT


@dataclass(frozen=True, slots=True)
class Part:
    """A segment with all that is known of it."""

    segment: Segment
    survey: Survey
    reread: Mapping[str, Reread]
    tags: TagIds
    basis: str = "effective_cost"  # what policies allocate
    leading: Path | None = None  # of what the other export of a pair tells: Parquet, k0 … and currency

    def value(self, field: Field) -> str:
        """Write SQL for a column's value, odd texts included."""
        if field.derived:
            return self._derived(field)
        again = field.column.name in self.reread
        return f"coalesce({field.value}, o_{field.column.name}.value)" if again else field.sure

    def _derived(self, field: Field) -> str:
        """Write SQL for a derived column; NULL where something that it is made of can't be read."""
        made_of = [f for f in self.segment.fields if f.name in field.uses]
        value = field.derived.format_map(self.named)
        unread = [self.failed(f) for f in made_of if f.column.name in self.reread and self.reread[f.column.name].failed]
        if unread:
            value = f"CASE WHEN NOT ({' OR '.join(unread)}) THEN {value} END"
        return f"coalesce({value}, {field.default})" if field.default else f"({value})"

    def failed(self, field: Field) -> str:
        """Write SQL that is true where a column holds something that can't be read."""
        return f"({field.alias} IS NOT NULL AND {self.value(field)} IS NULL)"

    @property
    def named(self) -> dict[str, str]:
        """SQL for what derived expressions name: every column that isn't derived itself."""
        return {f.name: self.value(f) for f in self.segment.fields if not f.derived}

    @property
    def aside(self) -> str:
        """SQL for why a row is no charge, NULL where it is one; '' where every row is one."""
        layout = self.segment.inputs[0].layout
        why = ["d.aside"] if layout.aside else []
        if layout.pair and self.leading:
            why.append(f"CASE WHEN {self.repeated} THEN 'the {layout.pair.leading} export tells them too' END")
        return f"coalesce({', '.join(why)})" if why else ""

    @property
    def repeated(self) -> str:
        """SQL that is true for the rows that the other export of a pair tells too."""
        layout = self.segment.inputs[0].layout
        if not layout.pair or not self.leading:
            return "FALSE"
        held = "l.k0 IS NOT NULL AND d.aside IS NULL" if layout.aside else "l.k0 IS NOT NULL"
        return f"({held} AND ({layout.pair.repeats.format_map(self.named)}))"

    @property
    def charged(self) -> str:
        """SQL that is true for the rows that are charges, good or bad."""
        return f"({self.aside}) IS NULL" if self.aside else "TRUE"

    @property
    def good(self) -> str:
        """SQL that is true for the rows that become charges."""
        return " AND ".join([self.charged, *(f"NOT ({condition})" for _, condition, _, _ in self.bad)])

    @property
    def rejected(self) -> str:
        """SQL that is true for the rows that are rejected."""
        return f"{self.charged} AND ({' OR '.join(f'({condition})' for _, condition, _, _ in self.bad) or 'FALSE'})"

    @property
    def bad(self) -> list[tuple[Field, str, str, str]]:
        """List why a row of this part can be bad: column, condition, code and reason, the first that holds counts."""
        unread: list[tuple[Field, str, str, str]] = []
        missing: list[tuple[Field, str, str, str]] = []
        for field in self.segment.fields:
            name = field.column.name
            if name in self.survey.missing:
                alias = self.value(field) if field.derived else field.alias
                lacks = (field, f"{alias} IS NULL", "'B043'", "'the value is missing'")
                (missing if field.derived else unread).append(lacks)
            if name in self.reread and self.reread[name].failed and not field.spared:
                unread.append((field, self.failed(field), f"o_{name}.code", f"o_{name}.reason"))
        return unread + missing  # what is derived lacks a value because of what it is made of

    @property
    def source(self) -> str:
        """Write SQL's FROM: the rows as delivered, with what was read of their odd texts and tags."""
        joins = [
            f"LEFT JOIN read_parquet({literal(str(r.table))}) o_{name} ON o_{name}.text = CAST(d.r_{name} AS VARCHAR)"
            for name, r in self.reread.items()
        ]
        if self.segment.has_tags:
            joins.append(f"LEFT JOIN read_parquet({literal(str(self.tags.table))}) t ON t.raw = d.raw_tags")
        if self.leading:
            keys = (f"l.k{at} IS NOT DISTINCT FROM {key}" for at, key in enumerate(self.keys))
            joins.append(f"LEFT JOIN read_parquet({literal(str(self.leading))}) l ON {' AND '.join(keys)}")
        return f"({self.segment.delivered}) d {' '.join(joins)}"

    @property
    def keys(self) -> tuple[str, ...]:
        """SQL for what rows of both exports of a pair have in common: the currency, never NULL, and the pair's key."""
        pair = self.segment.inputs[0].layout.pair
        keys = (f"CAST(({key.format_map(self.named)}) AS VARCHAR)" for key in (pair.key if pair else ()))
        return (f"coalesce({self.value(self.field('billing_currency'))}, '')", *keys)

    @property
    def also(self) -> tuple[Also, ...]:
        """The second charges that some row may make: by the survey, or by a text that it couldn't read yet."""
        odd = {f.name for f in self.segment.fields if f.column.name in self.reread}
        layout = self.segment.inputs[0].layout
        return tuple(one for at, one in enumerate(layout.also) if at in self.survey.also or odd & one.uses)

    def field(self, name: str) -> Field:
        """Find how a column is read."""
        return next(f for f in self.segment.fields if f.column.name == name)

    @property
    def period(self) -> str:
        """SQL for the billing period, YYYY-MM."""
        if self.survey.month:
            return literal(self.survey.month)
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
        place = f"SELECT d.file, d.row, {part.period} AS billing_period, {tag_set} AS tag_set, "
        where = "" if part.good == "TRUE" else f" WHERE {part.good}"
        kept = {f.column.name: part.value(f) for f in part.segment.fields if f.kept}
        selects.append(f"{place}{_columns(kept)} FROM {part.source}{where}")
        for also in part.also:
            second = kept | {name: value.format_map(part.named) for name, value in also.derived.items() if name in kept}
            selects.append(f"{place}{_columns(second)} FROM {part.source} WHERE {also_where(part, also)}")
    return engine.export(" UNION ALL ".join(selects), to)


def also_where(part: Part, also: Also) -> str:
    """Write SQL that is true for the rows of a part that make a second charge."""
    return f"{part.good} AND coalesce({also.where.format_map(part.named)}, FALSE)"


def _columns(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value} AS {identifier(name)}" for name, value in values.items())


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
        selects.append(
            f"SELECT d.row, {column}, {value}, {code}, {reason}, {part.period}, {currency}, {part.cost}, d.file "
            f"FROM {part.source} WHERE {part.rejected}"
        )
    columns = ", ".join(f"r.{identifier(c.name)}" for c in REJECTS[2:])
    return engine.export(
        f"SELECT {literal(source)} AS source, f.name AS file, {columns} "
        f"FROM ({' UNION ALL '.join(selects)}) r JOIN files f ON f.file = r.file ORDER BY r.file, r.row",
        to,
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a file's rows: rows = charges + rejected + aside; `also` charges came out of a row beside it."""

    rows: int
    rejected: int
    aside: int
    also: int


def reconcile(engine: Engine, parts: Sequence[Part], charges: Path, rejects: Path) -> dict[int, Counts]:
    """Say what became of each file's rows, having checked that they and the control totals tie to the files."""
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
    also, aside = _beside(engine, parts)
    counts = {}
    for one in names.values():
        rows, rejected = (kept[one.index][0] if one.index in kept else 0), refused.get(one.index, 0)
        found = Counts(one.rows, rejected, aside.get(one.index, 0), also.get(one.index, 0))
        if rows - found.also + rejected + found.aside != one.rows:
            what = f"{one.rows:,} rows were delivered, {rows - found.also:,} kept, {rejected:,} rejected"
            raise _lost(one.name, f"{what}, {found.aside:,} set aside")
        counts[one.index] = found
    for at, name in enumerate(sums, start=1):
        delivered = written = Decimal(0)
        for part in parts:
            delivered = EXACT.add(delivered, _delivered(engine, part, name))
            written = EXACT.add(written, _rejected_sum(engine, part, name))
        for sums_of_file in kept.values():
            written = EXACT.add(written, sums_of_file[at] or Decimal(0))
        if delivered != written:
            raise _lost(
                parts[0].segment.inputs[0].name, f"{name}: {text(delivered)} delivered, {text(written)} written"
            )
    return counts


def refuse_twice_told(engine: Engine, parts: Sequence[Part], charges: Path) -> None:
    """Refuse files that tell the same charges in two grains, such as Google's standard and its detailed export."""
    inputs = {one.index: one for part in parts for one in part.segment.inputs if not one.layout.pair}
    if len({(one.layout.format, one.layout.grain) for one in inputs.values() if one.layout.grain}) < 2:  # noqa: PLR2004
        return
    told: dict[tuple[str, str | None, str], Input] = {}
    problems: dict[tuple[str, str], Problem] = {}
    for file, account, period in engine.rows(
        f"SELECT DISTINCT file, billing_account_id, billing_period FROM read_parquet({literal(str(charges))}) "
        "ORDER BY ALL"
    ):
        one = inputs.get(file)
        if one is None:
            continue
        first = told.setdefault((one.layout.format, account, period), one) if one.layout.grain else one
        if first.layout.grain != one.layout.grain:
            what = (
                f"is a {one.layout.grain} {one.layout.format} of billing account {account} for {period}, "
                f"and {first.name} is a {first.layout.grain} one of the same: its charges would count twice"
            )
            problem = Problem(Position(one.name), "B194", what, "keep one of the two in this source")
            problems.setdefault((one.name, first.name), problem)
    if problems:
        raise Refused(*(problem for _, problem in sorted(problems.items())))


def _beside(engine: Engine, parts: Sequence[Part]) -> tuple[dict[int, int], dict[int, int]]:
    """Count by file the charges made beside a row's own, and the rows that are no charges."""
    also: dict[int, int] = {}
    aside: dict[int, int] = {}
    for part in parts:
        wheres = [(also, also_where(part, one)) for one in part.also]
        wheres += [(aside, f"{part.aside} IS NOT NULL")] if part.aside else []
        for counts, where in wheres:
            for file, count in engine.rows(f"SELECT d.file, count(*) FROM {part.source} WHERE {where} GROUP BY d.file"):
                counts[file] = counts.get(file, 0) + count
    return also, aside


def _delivered(engine: Engine, part: Part, name: str) -> Decimal:
    """Add up a column over all rows that are charges, good and bad, and what is made beside them."""
    field = part.field(name)
    named = {f.name: f.column.name for f in part.segment.fields}
    odd = any(named.get(used) in part.reread for used in field.uses)
    if part.aside or odd:
        total = _sum(engine, part, part.value(field), part.charged)
    else:
        total = EXACT.add(
            part.survey.totals.get(name) or Decimal(0),
            part.reread[name].total if name in part.reread else Decimal(0),
        )
    for also in part.also:
        value = also.derived[name].format_map(part.named) if name in also.derived else part.value(field)
        total = EXACT.add(total, _sum(engine, part, value, also_where(part, also)))
    return total


def _sum(engine: Engine, part: Part, value: str, where: str) -> Decimal:
    [(total,)] = engine.rows(f"SELECT sum({value}) FROM {part.source} WHERE {where}")
    return total or Decimal(0)


def _rejected_sum(engine: Engine, part: Part, name: str) -> Decimal:
    if not part.bad:
        return Decimal(0)
    return _sum(engine, part, part.value(part.field(name)), part.rejected)


def _first(bad: Sequence[tuple[Field, str, str, str]], at: int) -> str:
    """Write SQL that picks, for the first condition that holds, the column's name, its text, the code or the reason."""
    cases = []
    for field, condition, code, reason in bad:
        shown = "NULL" if field.derived else f"left(CAST({field.alias} AS VARCHAR), {VALUE_MAX})"
        cases.append(f"WHEN {condition} THEN {(literal(field.column.note), shown, code, reason)[at]}")
    return f"CASE {' '.join(cases)} END"


def _lost(file: str, what: str) -> Refused:
    return Refused(Problem(Position(file), "B050", f"doesn't tie: {what}", "this is a defect of governor: report it"))
