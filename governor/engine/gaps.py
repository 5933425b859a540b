"""Say what a delivery couldn't show: rejected rows, unread tags, rounded amounts; by currency, with the cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from governor.engine.charges import Part
from governor.engine.duckdb import Engine, literal
from governor.model import Gap

_SHOWN = 5  # files named in a gap's detail


def find_gaps(engine: Engine, parts: Sequence[Part], source: str, charges: Path, rejects: Path) -> tuple[Gap, ...]:
    """List the gaps of a delivery, sorted."""
    gaps = [*_rejected(engine, source, rejects), *_untagged(engine, parts, source, charges)]
    if parts and parts[0].tags.unreadable:
        gaps += _unreadable(engine, parts, source, charges)
    if parts and parts[0].tags.conflicts:
        gaps += _conflicts(engine, parts, source)
    if rounded := sum(part.survey.rounded + sum(read.rounded for read in part.reread.values()) for part in parts):
        detail = "amounts delivered as floating point need more than 24 fractional digits: rounded half to even"
        gaps.append(Gap(source, "", "rounded_double", detail, rows=rounded))
    gaps += _spared(engine, parts, source)
    gaps += _aside(engine, parts, source)
    gaps += _broken_identities(engine, parts, source)
    notices = {notice for part in parts for notice in part.segment.inputs[0].layout.notices}
    gaps += [Gap(source, "", reason, detail) for reason, detail in notices]
    for name in sorted({f.column.note for part in parts for f in part.segment.fields if f.numeric}):
        detail = f"{name} was delivered as a number: zeros in front of an id, if there were any, are lost"
        gaps.append(Gap(source, name, "numeric_ids", detail))
    return tuple(sorted(gaps, key=lambda gap: (gap.reason, gap.scope, gap.currency, gap.detail)))


def _rejected(engine: Engine, source: str, rejects: Path) -> list[Gap]:
    rows = engine.rows(
        "SELECT coalesce(currency, ''), count(*), CASE WHEN count(cost) = count(*) THEN sum(cost) END, "
        "string_agg(DISTINCT code, ', ' ORDER BY code), string_agg(DISTINCT \"column\", ', ' ORDER BY \"column\"), "
        f"list_sort(list(DISTINCT file)) FROM read_parquet({literal(str(rejects))}) GROUP BY 1 ORDER BY 1"
    )
    gaps = []
    for currency, count, cost, codes, columns, names in rows:
        where = f" in {columns}" if columns else ""
        detail = f"rows that can't be used ({codes}){where}, of {_list(names)}"
        gaps.append(Gap(source, "", "rejected_rows", detail, rows=count, cost=cost, currency=currency))
    return gaps


def _untagged(engine: Engine, parts: Sequence[Part], source: str, charges: Path) -> list[Gap]:
    inputs = [one for part in parts if not part.segment.has_tags for one in part.segment.inputs]
    if not inputs:
        return []
    detail = f"there is no column Tags in {_list([one.name for one in inputs])}: tags are unknown there"
    where = f"file IN ({', '.join(str(one.index) for one in inputs)})"
    return _charged(
        engine,
        source,
        "Tags",
        "missing_column",
        detail,
        f"read_parquet({literal(str(charges))})",
        where,
        parts[0].basis,
    )


def _unreadable(engine: Engine, parts: Sequence[Part], source: str, charges: Path) -> list[Gap]:
    files = [str(one.index) for part in parts if part.segment.has_tags for one in part.segment.inputs]
    where = f"tag_set IS NULL AND file IN ({', '.join(files)})"
    detail = "tags that are no JSON object, map or list of key and value"
    return _charged(
        engine,
        source,
        "Tags",
        "unreadable_tags",
        detail,
        f"read_parquet({literal(str(charges))})",
        where,
        parts[0].basis,
    )


def _conflicts(engine: Engine, parts: Sequence[Part], source: str) -> list[Gap]:
    selects = [
        f"SELECT {part.value(part.field('billing_currency'))} AS billing_currency, {part.cost} AS cost "
        f"FROM {part.source} WHERE t.conflict"
        for part in parts
        if part.segment.has_tags
    ]
    detail = "a tag key came twice with different values: the first value counts"
    rows = f"({' UNION ALL '.join(selects)})"
    return _charged(engine, source, "Tags", "duplicate_tag_keys", detail, rows, "TRUE", "cost")


def _spared(engine: Engine, parts: Sequence[Part], source: str) -> list[Gap]:
    """Say which columns lack a value that was delivered and can't be kept, though their charges are."""
    rows: dict[str, int] = {}
    for part in parts:
        for field in part.segment.fields:
            if field.spared and field.column.name in part.reread and part.reread[field.column.name].failed:
                query = f"SELECT count(*) FROM {part.source} WHERE {part.good} AND {part.failed(field)}"
                rows[field.column.note] = rows.get(field.column.note, 0) + engine.rows(query)[0][0]
    detail = "can't be read, or needs more than 14 digits before the decimal point: left empty, the charges are kept"
    return [Gap(source, name, "unreadable_value", detail, rows=count) for name, count in rows.items() if count]


def _aside(engine: Engine, parts: Sequence[Part], source: str) -> list[Gap]:
    """Say which rows were set aside because they are no charges."""
    selects = [
        f"SELECT d.aside, {part.value(part.field('billing_currency'))} AS billing_currency, {part.cost} AS cost "
        f"FROM {part.source} WHERE d.aside IS NOT NULL"
        for part in parts
        if part.segment.inputs[0].layout.aside
    ]
    if not selects:
        return []
    query = (
        f"SELECT aside, billing_currency, count(*), sum(cost) FROM ({' UNION ALL '.join(selects)}) "
        "GROUP BY ALL ORDER BY ALL"
    )
    return [
        Gap(source, "", "set_aside", f"rows that are no charges: {why}", rows=count, cost=cost, currency=currency or "")
        for why, currency, count, cost in engine.rows(query)
    ]


def _broken_identities(engine: Engine, parts: Sequence[Part], source: str) -> list[Gap]:
    """Say where the provider's own amounts, which must add up to nothing, don't."""
    selects = [
        f"SELECT {literal(one.name)} AS name, CAST({one.key.format_map(part.named)} AS VARCHAR) AS key, "
        f"{part.value(part.field('billing_currency'))} AS currency, {one.amount.format_map(part.named)} AS amount "
        f"FROM {part.source} WHERE {part.charged} AND ({one.where.format_map(part.named)})"
        for part in parts
        for one in part.segment.inputs[0].layout.identities
    ]
    if not selects:
        return []
    query = (
        f"WITH sums AS (SELECT name, key, currency, count(*) AS n, sum(amount) AS cost "
        f"FROM ({' UNION ALL '.join(selects)}) GROUP BY ALL) "
        "SELECT name, currency, sum(n), sum(abs(cost)), list_sort(list(coalesce(key, ''))) FROM sums "
        "WHERE cost <> 0 GROUP BY ALL ORDER BY ALL"
    )
    return [
        Gap(source, "", "broken_identity", f"{name}: {_list(keys)}", rows=int(rows), cost=cost, currency=currency or "")
        for name, currency, rows, cost, keys in engine.rows(query)
    ]


def _charged(
    engine: Engine, source: str, scope: str, reason: str, detail: str, rows: str, where: str, cost: str
) -> list[Gap]:
    """Count rows and cost by currency."""
    query = f"SELECT billing_currency, count(*), sum({cost}) FROM {rows} WHERE {where} GROUP BY 1 ORDER BY 1"
    return [
        Gap(source, scope, reason, detail, rows=count, cost=cost, currency=currency or "")
        for currency, count, cost in engine.rows(query)
    ]


def _list(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
