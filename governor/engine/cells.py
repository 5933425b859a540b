"""From normalised charges to cells and facts: the tables that policies are judged on (docs/adr/0001).

`cells` holds the charges grouped by every key; the view `facts` adds to each cell the effective tags and where they
came from. Registers stand beside them as `reg_NAME`, one row a key and stretch of days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from governor import tables
from governor.engine.duckdb import Engine, identifier, literal
from governor.model import Delivery, TagRequirement
from governor.policy.compile import Compiler, Join
from governor.policy.plan import Plan
from governor.sources.registers import RegisterTable, as_arrow

ALWAYS = date(1, 1, 1)  # the first stretch has no first day


def load_charges(engine: Engine, deliveries: Iterable[Delivery], columns: Iterable[str], basis: str) -> None:
    """Make of all deliveries the view `charges`, the table `tag_sets` (`tag_id` is unique over all), and `ingested`.

    `ingested` holds the control totals of the rows themselves, on the cost basis: what allocation must add up to.
    """
    wanted = [c for c in tables.CHARGES if c.core and c.name != "tag_set"]
    wanted += [column_of(name) for name in sorted(columns)]
    engine.execute(f"CREATE TABLE tag_sets (tag_id BIGINT, text VARCHAR, tags {tables.TAGS})")
    selects = []
    for delivery in deliveries:
        [(offset,)] = engine.rows("SELECT count(*) FROM tag_sets")
        path = parquet(delivery.tag_sets)
        engine.execute(f"INSERT INTO tag_sets SELECT {offset} + tag_set, text, tags FROM {path}")
        held = {str(name) for name, *_ in engine.rows(f"DESCRIBE SELECT * FROM {parquet(delivery.charges)}")}
        fields = [identifier(c.name) if c.name in held else f"NULL::{c.type} AS {identifier(c.name)}" for c in wanted]
        selects.append(
            f"SELECT {literal(delivery.source)} AS source, {offset} + tag_set AS tag_id, {', '.join(fields)}"
            f" FROM {parquet(delivery.charges)}"
        )
    engine.execute(f"CREATE VIEW charges AS {' UNION ALL '.join(selects)}")
    engine.execute(f"""
        CREATE TABLE ingested AS
        SELECT source, billing_period, billing_currency AS currency, count(*) AS rows,
            sum({basis})::{tables.MONEY} AS cost
        FROM charges GROUP BY ALL""")


def column_of(name: str) -> tables.Column:
    """Find a charge column of the contract; a provider's own (`x_*`) is text."""
    known = {c.name: c for c in tables.CHARGES}
    return known.get(name) or tables.Column(name, tables.TEXT, core=False)


def parquet(path: Path) -> str:
    """Write the SQL that reads one Parquet file."""
    return f"read_parquet({literal(str(path))})"


def stretches(engine: Engine, boundaries: Iterable[date]) -> list[date]:
    """Keep of all days on which something changes those that cut the charges' days, the first stretch's day first."""
    [(first, last)] = engine.rows("SELECT min(charge_period_start)::DATE, max(charge_period_start)::DATE FROM charges")
    if first is None:
        return [ALWAYS]
    days = sorted(set(boundaries))
    before = [day for day in days if day <= first]
    return [before[-1] if before else ALWAYS, *(day for day in days if first < day <= last)]


def day_literal(day: date) -> str:
    """Write a date as SQL."""
    return f"DATE {literal(day)}"


def day_after(day: date) -> date:
    """Give the day on which something that is valid through `day` has ended."""
    return day + timedelta(days=1) if day < date.max else day


def build_cells(engine: Engine, plan: Plan, days: Sequence[date], as_of: date) -> None:
    """Group the charges into the table `cells`. Everything is an exact sum, a count, a minimum or a maximum."""
    cuts = " ".join(
        f"WHEN charge_period_start >= TIMESTAMP {literal(day)} THEN DATE {literal(day)}" for day in days[:0:-1]
    )
    base = f"DATE {literal(days[0])}"
    valid_on = f"CASE {cuts} ELSE {base} END"
    compiler = Compiler(judged_on=day_literal(as_of))
    flags = [f"({compiler.sql(condition)}) AS {identifier(name)}" for name, condition in sorted(plan.flags.items())]
    keys = ["source", "tag_id", *map(identifier, plan.keys), *flags]
    outside = f", {base} AS valid_on"  # a single stretch is no key
    if cuts:
        keys, outside = [*keys, f"{valid_on} AS valid_on"], ""
    basis = identifier(plan.basis)
    engine.execute(f"""
        CREATE TABLE cells AS
        WITH grouped AS (
            SELECT {", ".join(keys)},
                count(*) AS rows,
                count(*) FILTER ({basis} > 0) AS rows_positive,
                sum(billed_cost) AS billed_cost,
                sum(effective_cost) AS effective_cost,
                sum(list_cost) AS list_cost,
                sum(contracted_cost) AS contracted_cost,
                sum(CASE WHEN {basis} > 0 THEN {basis} ELSE 0 END) AS positive_cost,
                min(charge_period_start) AS first_charge,
                max(charge_period_start) AS last_charge
            FROM charges
            GROUP BY ALL
        )
        SELECT row_number() OVER () AS id, *{outside} FROM grouped""")


def load_registers(engine: Engine, registers: Mapping[str, RegisterTable], days: Sequence[date]) -> None:
    """Load each register: its rows in force per stretch as `reg_NAME`, the keys it ever had as `known_NAME`."""
    for name, table in registers.items():
        engine.register(f"reg_{name}", as_arrow(table, days))
        keys = pa.array(sorted({row[table.key] for row in table.rows}), pa.string())
        engine.register(f"known_{name}", pa.table({"key": keys}))


def build_facts(engine: Engine, tags: Mapping[str, TagRequirement], account_columns: frozenset[str]) -> None:
    """Make the view `facts`: cells with `tag.X`, `from.X`, `raw.X`, `conflict.X` and `inherited.X` of every tag.

    A tag is read once per distinct tag set. Of several spellings the first that has a value counts; a placeholder is no
    value. Where the tags were not read, nothing is inherited either: the charge's own tag might say otherwise.
    """
    _build_tag_values(engine, tags)
    columns = ["c.*"]
    inherits = False
    for name, tag in sorted(tags.items()):
        own, inherited = f't."value.{name}"', "NULL"
        if sources := [column for level, column in tag.inherit if level == "account" and column in account_columns]:
            inherits = True
            held = [f"nullif({_trimmed(f'a.{identifier(column)}')}, '')" for column in sources]
            read = [_canonical(_normal(_meaningful(value, tag), tag), tag) for value in held]
            value = f"coalesce({', '.join(read)})" if len(read) > 1 else read[0]
            inherited = f"CASE WHEN c.tag_id IS NOT NULL THEN {value} END"
        columns += [
            f"coalesce({own}, {inherited}) AS {identifier('tag.' + name)}",
            f"coalesce(t.{identifier('key.' + name)}, CASE WHEN {inherited} IS NOT NULL THEN 'account' END)"
            f" AS {identifier('from.' + name)}",
            f"t.{identifier('raw.' + name)}",
            f"t.{identifier('conflict.' + name)}",
            f"({own} IS NULL AND {inherited} IS NOT NULL) AS {identifier('inherited.' + name)}",
        ]
    joins = "LEFT JOIN tag_values t ON t.tag_id = c.tag_id"
    if inherits:
        joins += " LEFT JOIN reg_accounts a ON a.account_id = c.sub_account_id AND a.valid_on = c.valid_on"
    engine.execute(f"CREATE VIEW facts AS SELECT {', '.join(columns)} FROM cells c {joins}")


def _build_tag_values(engine: Engine, tags: Mapping[str, TagRequirement]) -> None:
    raw, read, chosen = ["tag_id"], ["*"], ["tag_id"]
    for name, tag in sorted(tags.items()):
        spelled = [identifier(f"{name}/{n}") for n in range(len(tag.keys))]
        values = [identifier(f"{name}={n}") for n in range(len(tag.keys))]
        for key, cell, value in zip(tag.keys, spelled, values, strict=True):
            raw.append(f"nullif({_trimmed(f'tags[{literal(key)}]')}, '') AS {cell}")
            read.append(f"{_canonical(_normal(_meaningful(cell, tag), tag), tag)} AS {value}")
        keys = " ".join(f"WHEN {v} IS NOT NULL THEN {literal(k)}" for k, v in zip(tag.keys, values, strict=True))
        chosen += [
            f"coalesce({', '.join(values)}) AS {identifier('value.' + name)}",
            f"CASE {keys} END AS {identifier('key.' + name)}",
            f"coalesce({', '.join(spelled)}) AS {identifier('raw.' + name)}",
            f"len(list_distinct([{', '.join(values)}])) > 1 AS {identifier('conflict.' + name)}",
        ]
    engine.execute(
        f"CREATE TABLE tag_values AS WITH raw AS (SELECT {', '.join(raw)} FROM tag_sets),"
        f" read AS (SELECT {', '.join(read)} FROM raw) SELECT {', '.join(chosen)} FROM read"
    )


def _trimmed(value: str) -> str:
    """Take off what people can't see at the ends of a value: blanks, tabs, line breaks, fixed blanks."""
    return f"trim({value}, ' ' || chr(9) || chr(10) || chr(13) || chr(160))"


def _meaningful(value: str, tag: TagRequirement) -> str:
    if not tag.placeholders:
        return value
    words = ", ".join(literal(p.strip().lower()) for p in tag.placeholders)
    return f"CASE WHEN lower({value}) NOT IN ({words}) THEN {value} END"


def _normal(value: str, tag: TagRequirement) -> str:
    for step in tag.normalize:
        value = f"{step}({value})"
    return value


def _canonical(value: str, tag: TagRequirement) -> str:
    """Turn any accepted spelling into the canonical value, whatever its case."""
    if not tag.allowed:
        return value
    branches = " ".join(
        f"WHEN lower(trim({value})) IN ({', '.join(literal(s.lower()) for s in (canonical, *spellings))})"
        f" THEN {literal(canonical)}"
        for canonical, spellings in tag.allowed.items()
    )
    return f"CASE {branches} ELSE {value} END"


def join_registers(joins: Iterable[Join], keys: Mapping[str, str], view: str = "f") -> str:
    """Write the joins that a compiled condition needs: at most one register row per key and stretch."""
    return " ".join(
        f"LEFT JOIN {identifier('reg_' + join.register)} {join.alias}"
        f" ON {join.alias}.{identifier(keys[join.register])} = {join.key}"
        f" AND {join.alias}.valid_on = {view}.valid_on"
        for join in joins
    )
