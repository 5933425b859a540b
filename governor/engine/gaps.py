"""Say what a delivery couldn't show: rejected rows, unread tags, rounded amounts; by currency, with the cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from governor.engine.charges import Part
from governor.engine.duckdb import Engine, literal
from governor.engine.pairs import find_pair_gaps
from governor.model import Gap
from governor.tables import MONEY, Column

_SHOWN = 5  # files named in a gap's detail
_PARTITION = re.compile(r"(?:^|/)billing_period=(\d{4}-\d{2})(?:-\d{2})?/", re.IGNORECASE)


def find_gaps(
    engine: Engine, parts: Sequence[Part], source: str, charges: Path, rejects: Path, unread: Mapping[Column, int]
) -> tuple[Gap, ...]:
    """List the gaps of a delivery, sorted; `unread` are its rows with values that can't be kept."""
    gaps = [*_rejected(engine, source, rejects), *_untagged(engine, parts, source, charges)]
    if parts and parts[0].tags.unreadable:
        gaps += _unreadable(engine, parts, source, charges)
    if parts and parts[0].tags.conflicts:
        gaps += _conflicts(engine, parts, source)
    if rounded := sum(part.survey.rounded + sum(read.rounded for read in part.reread.values()) for part in parts):
        detail = "amounts delivered as floating point need more than 24 fractional digits: rounded half to even"
        gaps.append(Gap(source, "", "rounded_double", detail, rows=rounded))
    detail = "can't be read, or needs more than 14 digits before the decimal point: left empty, the charges are kept"
    gaps += [Gap(source, c.note, "unreadable_value", detail, rows=count) for c, count in unread.items()]
    gaps += _split_twice(engine, parts, source, charges)
    gaps += _misplaced(engine, parts, source, charges)
    gaps += _aside(engine, parts, source)
    gaps += _virtual(engine, parts, source, charges)
    gaps += _broken_identities(engine, parts, source)
    gaps += find_pair_gaps(engine, parts, source, charges)
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


def count_unread(engine: Engine, parts: Sequence[Part]) -> dict[Column, int]:
    """Count by column the charges that lack a value of it that was delivered and can't be kept."""
    rows: Counter[Column] = Counter()
    for part in parts:
        for field in part.segment.fields:
            if field.spared and field.column.name in part.reread and part.reread[field.column.name].failed:
                query = f"SELECT count(*) FROM {part.source} WHERE {part.good} AND {part.failed(field)}"
                rows[field.column] += engine.rows(query)[0][0]
    return {column: count for column, count in rows.items() if count}


def _aside(engine: Engine, parts: Sequence[Part], source: str) -> list[Gap]:
    """Say which rows were set aside because they are no charges."""
    selects = [
        f"SELECT {part.aside} AS aside, {part.value(part.field('billing_currency'))} AS billing_currency, "
        f"{part.cost} AS cost FROM {part.source} WHERE {part.aside} IS NOT NULL"
        for part in parts
        if part.aside
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


def _virtual(engine: Engine, parts: Sequence[Part], source: str, charges: Path) -> list[Gap]:
    """Say what is billed in something that isn't money, such as tokens: FOCUS allows it, a ledger may not."""
    detail = "BillingCurrency is no three-letter code of money: these amounts are kept apart and never added to others"
    where = "NOT regexp_full_match(billing_currency, '[A-Z]{3}')"
    table = f"read_parquet({literal(str(charges))})"
    return _charged(engine, source, "BillingCurrency", "assumption", detail, table, where, parts[0].basis)


def _split_twice(engine: Engine, parts: Sequence[Part], source: str, charges: Path) -> list[Gap]:
    """Say which charges stand beside the very rows that they were split into (FOCUS 1.3): they count twice."""
    if not any(part.segment.inputs[0].layout.holds("allocated_method_id") for part in parts):
        return []
    rows = f"read_parquet({literal(str(charges))})"
    whole, split = "FILTER (allocated_method_id IS NULL)", "FILTER (allocated_method_id IS NOT NULL)"
    costs = "sum(billed_cost) {0}, sum(effective_cost) {0}"
    query = f"""
        WITH origins AS (
            SELECT billing_currency AS currency, billing_account_id, sub_account_id, resource_id, charge_period_start,
                charge_period_end, charge_category, charge_description, count(*) {whole} AS n,
                sum({parts[0].basis}) {whole} AS cost,
                ({costs.format(whole)}) = ({costs.format(split)}) AS twice
            FROM {rows} WHERE resource_id IN (SELECT resource_id FROM {rows} WHERE allocated_method_id IS NOT NULL)
            GROUP BY ALL
        )
        SELECT currency, sum(n), sum(cost), list_sort(list(DISTINCT resource_id)) FROM origins
        WHERE twice AND cost <> 0 GROUP BY ALL ORDER BY ALL"""
    return [
        Gap(
            source,
            "",
            "split_twice",
            f"charges beside the rows they were split into count twice: leave one of the two out: {_list(ids)}",
            rows=int(n),
            cost=cost,
            currency=currency or "",
        )
        for currency, n, cost, ids in engine.rows(query)
    ]


def _misplaced(engine: Engine, parts: Sequence[Part], source: str, charges: Path) -> list[Gap]:
    """Say which rows are of another billing period than their folder, such as BILLING_PERIOD=2026-09, says."""
    named = {one.index: (one, m[1]) for p in parts for one in p.segment.inputs if (m := _PARTITION.search(one.name))}
    if not named:
        return []
    cases = " ".join(f"WHEN {index} THEN {literal(month)}" for index, (_, month) in named.items())
    folder = f"CASE file {cases} END"
    query = (
        f"SELECT billing_currency, {folder}, billing_period, count(*), sum({parts[0].basis}), min(file) "
        f"FROM read_parquet({literal(str(charges))}) WHERE billing_period <> {folder} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [
        Gap(
            source,
            "",
            "other_period",
            f"rows of {period} lie in the folder of {month} ({named[file][0].name}): they are charged in {period}",
            rows=count,
            cost=cost,
            currency=currency or "",
        )
        for currency, month, period, count, cost, file in engine.rows(query)
    ]


def _broken_identities(engine: Engine, parts: Sequence[Part], source: str) -> list[Gap]:
    """Say where the provider's own amounts, which must add up to nothing, don't."""
    selects = [
        f"SELECT {literal(one.name)} AS name, CAST({one.key.format_map(part.named)} AS VARCHAR) AS key, "
        f"{part.value(part.field('billing_currency'))} AS currency, {one.amount.format_map(part.named)} AS amount, "
        f"CAST({literal(one.tolerance)} AS {MONEY}) AS tolerance "
        f"FROM {part.source} WHERE {part.charged} AND ({one.where.format_map(part.named)})"
        for part in parts
        for one in part.segment.inputs[0].layout.identities
    ]
    if not selects:
        return []
    query = (
        f"WITH sums AS (SELECT name, key, currency, tolerance, count(*) AS n, sum(amount) AS cost "
        f"FROM ({' UNION ALL '.join(selects)}) GROUP BY ALL) "
        "SELECT name, currency, sum(n), sum(abs(cost)), list_sort(list(coalesce(nullif(key, ''), '(no id)'))) "
        "FROM sums WHERE abs(cost) > tolerance GROUP BY ALL ORDER BY ALL"
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


def find_overlaps(engine: Engine) -> list[Gap]:
    """Say which sources both tell of one provider's accounts at the same time: two exports of a bill count twice.

    Needs `cells`. It may be right, as where a marketplace has an export of its own: so it is told, and hides nothing.
    """
    query = """
        WITH told AS (
            SELECT source, billing_currency AS currency, service_provider_name AS provider, sub_account_id AS account,
                billing_period AS period, min(first_charge) AS first, max(last_charge) AS last, sum(rows) AS rows,
                sum(effective_cost) AS cost
            FROM cells WHERE sub_account_id IS NOT NULL AND service_provider_name IS NOT NULL GROUP BY ALL
        )
        SELECT a.source, b.source, b.currency, b.provider, sum(b.rows), sum(b.cost),
            list_sort(list(DISTINCT b.account)), list_sort(list(DISTINCT b.period))
        FROM told a JOIN told b ON a.source < b.source AND a.currency = b.currency AND a.provider = b.provider
            AND a.account = b.account AND a.period = b.period AND a.first <= b.last AND b.first <= a.last
        GROUP BY 1, 2, 3, 4 ORDER BY ALL"""
    return [
        Gap(
            other,
            "",
            "overlapping_sources",
            f"the source {one} has charges of the same accounts of {provider} in {_list(periods)} too "
            f"({_list(accounts)}): if both are exports of one bill, it counts twice",
            rows=int(rows),
            cost=cost,
            currency=currency or "",
        )
        for one, other, currency, provider, rows, cost, accounts, periods in engine.rows(query)
    ]
