"""Coverage and allocatability: how much of the cost lands with whoever causes it, by cost and by rows.

With N the sum of the positive costs: allocatability = (T+A+R+S+K+C)/N, direct coverage = (T+A+R)/N, allocation coverage
= (T+A+R+S+K)/N, unallocated = (D+U)/N, tag compliance = cost that meets every tag requirement / N. Credits are shown
apart. What could not be seen makes the score an interval: `low` counts it as unallocated, `high` as allocated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from governor import tables
from governor.engine.duckdb import Engine, literal
from governor.model import ALLOCATED, DIRECT, Status
from governor.money import EXACT, percentage, percentages, total

LETTERS = tuple(Status)
TAGGABLE = ("tag_missing", "value_invalid", "owner_closed")  # what a right tag would place

SCOPES = {
    "total": "''",
    "account": "coalesce(sub_account_id, '')",
    "service": "coalesce(service_name, '')",
    "source": "source",
    "billing_period": "billing_period",
}


def score(
    engine: Engine,
    basis: str,
    *,
    blind: Collection[str],
    rates: Mapping[tuple[str, str], Decimal],
    reporting_currency: str,
) -> None:
    """Fill the table `scores` from `cells`, `classified`, `compliance`, `allocations` and `rejects`.

    `blind` are the sources that lack a column which decides who pays. `rates` (currency and billing period -> reporting
    currency, exact) add the scope `combined`, where every one has a rate; else currencies are never added up.
    """
    rows = list(_from_cells(engine, basis, blind)) + list(_from_centers(engine, basis))
    periods = [r for r in rows if r["scope"] == "billing_period"]
    if rates and all((r["currency"], r["scope_id"]) in rates for r in periods):
        rows.append(_combined(periods, rates, reporting_currency))
    scored = [_percentages(row) for row in rows]
    schema = pa.schema([(c.name, _arrow(c.type)) for c in tables.SCORES])
    engine.register("scores", pa.Table.from_pylist(scored, schema))


def _arrow(type_: str) -> pa.DataType:
    return {tables.TEXT: pa.string(), tables.COUNT: pa.int64()}.get(type_, pa.decimal128(38, 24))


def _from_cells(engine: Engine, basis: str, blind: Collection[str]) -> Iterable[dict[str, Any]]:
    """Sum the cells once per scope. Rejected rows whose money can be read widen the interval of their currency."""
    unseen = "tag_id IS NULL"
    if blind:
        unseen += f" OR source IN ({', '.join(map(literal, sorted(blind)))})"
    by_status = ", ".join(
        f"coalesce(sum(positive_cost) FILTER (status = '{s}'), 0)::{tables.MONEY} AS cost_{s.lower()},"
        f" coalesce(sum(rows) FILTER (status = '{s}'), 0)::BIGINT AS rows_{s.lower()}"
        for s in LETTERS
    )
    reasons = ", ".join(map(literal, TAGGABLE))
    for scope, scope_id in SCOPES.items():
        table = engine.table(f"""
            SELECT {literal(scope)} AS scope, {scope_id} AS scope_id, billing_currency AS currency,
                sum(rows)::BIGINT AS rows, sum({basis})::{tables.MONEY} AS cost,
                sum(positive_cost)::{tables.MONEY} AS positive_cost,
                sum({basis} - positive_cost)::{tables.MONEY} AS credits,
                coalesce(sum(positive_cost) FILTER (status IN ('D', 'U') AND ({unseen})), 0)::{tables.MONEY}
                    AS unknown_cost,
                coalesce(sum(positive_cost) FILTER (compliance = 'pass'), 0)::{tables.MONEY} AS compliant_cost,
                coalesce(sum(positive_cost) FILTER (status IN ('D', 'U') AND resource_id IS NOT NULL
                    AND reason IN ({reasons})), 0)::{tables.MONEY} AS taggable_cost,
                bool_or(compliance <> 'not_applicable') AS judged, {by_status}
            FROM cells JOIN classified USING (id) JOIN compliance USING (id)
            GROUP BY ALL ORDER BY ALL""")
        rejected = _rejected(engine, scope)
        for row in table.to_pylist():
            place = (row["scope_id"], row["currency"])
            everywhere = [cost for (id_, currency), cost in rejected.items() if _may_be(id_, currency, place)]
            unknown = any(cost is None for cost in everywhere)
            yield row | {"rejected_cost": None if unknown else total(c for c in everywhere if c is not None)}


def _rejected(engine: Engine, scope: str) -> dict[tuple[str | None, str | None], Decimal | None]:
    """Sum the positive cost of rejected rows by where they belong; None where an amount can't be read.

    Of an account or service of a rejected row nothing is known, so those scopes speak of the charges alone.
    """
    places = {"total": "''", "source": "source", "billing_period": "billing_period"}
    if scope not in places:
        return {}
    rows = engine.rows(f"""
        SELECT {places[scope]}, currency, count(*) = count(cost),
            coalesce(sum(cost) FILTER (cost > 0), 0)::{tables.MONEY}
        FROM rejects GROUP BY ALL ORDER BY ALL""")
    return {(place, currency): cost if readable else None for place, currency, readable, cost in rows}


def _may_be(scope_id: str | None, currency: str | None, place: tuple[str, str]) -> bool:
    """Tell whether rejected rows may belong to a place: what they don't say may be anything."""
    return scope_id in (None, place[0]) and currency in (None, place[1])


def _from_centers(engine: Engine, basis: str) -> Iterable[dict[str, Any]]:
    """Score each cost center by what ended there: its direct cells and its shares of pools."""
    by_status = ", ".join(
        f"coalesce(sum(positive) FILTER (status = '{s}'), 0)::{tables.MONEY} AS cost_{s.lower()},"
        f" coalesce(sum(rows) FILTER (status = '{s}'), 0)::BIGINT AS rows_{s.lower()}"
        for s in LETTERS
    )
    table = engine.table(f"""
        WITH placed AS (
            SELECT cost_center, billing_currency AS currency, status, {basis} AS amount, positive_cost AS positive,
                rows, compliance
            FROM cells JOIN classified USING (id) JOIN compliance USING (id)
            WHERE pool IS NULL AND cost_center IS NOT NULL
            UNION ALL
            SELECT cost_center, currency, status, amount, greatest(amount, 0), 0, 'not_applicable'
            FROM allocations WHERE pool IS NOT NULL
        )
        SELECT 'cost_center' AS scope, cost_center AS scope_id, currency, sum(rows)::BIGINT AS rows,
            sum(amount)::{tables.MONEY} AS cost, sum(positive)::{tables.MONEY} AS positive_cost,
            sum(amount - positive)::{tables.MONEY} AS credits, 0::{tables.MONEY} AS unknown_cost,
            coalesce(sum(positive) FILTER (compliance = 'pass'), 0)::{tables.MONEY} AS compliant_cost,
            0::{tables.MONEY} AS taggable_cost, bool_or(compliance <> 'not_applicable') AS judged, {by_status}
        FROM placed GROUP BY ALL ORDER BY ALL""")
    for row in table.to_pylist():
        yield row | {"rejected_cost": Decimal(0)}


def _combined(
    periods: Sequence[dict[str, Any]], rates: Mapping[tuple[str, str], Decimal], currency: str
) -> dict[str, Any]:
    """Add up every currency's billing periods at the rate of each, rounded to the tables' scale."""
    combined: dict[str, Any] = {"scope": "combined", "scope_id": "", "currency": currency, "judged": False}
    unit = Decimal(1).scaleb(-24)
    for row in periods:
        rate = rates[row["currency"], row["scope_id"]]
        combined["judged"] = combined["judged"] or row["judged"]
        for name, value in row.items():
            if name == "rejected_cost" and (value is None or combined.get(name, Decimal(0)) is None):
                combined[name] = None
            elif isinstance(value, Decimal):
                converted = EXACT.quantize(EXACT.multiply(value, rate), unit)
                combined[name] = EXACT.add(combined.get(name, Decimal(0)), converted)
            elif isinstance(value, int) and not isinstance(value, bool):
                combined[name] = combined.get(name, 0) + value
    return combined


def _percentages(row: dict[str, Any]) -> dict[str, Any]:
    costs: dict[str, Decimal] = {s: row.get(f"cost_{s.lower()}", Decimal(0)) for s in LETTERS}
    counts: dict[str, Decimal] = {s: Decimal(row.get(f"rows_{s.lower()}", 0)) for s in LETTERS}
    shares, row_shares = percentages(costs), percentages(counts)
    whole = row["positive_cost"]
    rejected = row["rejected_cost"]
    seen = EXACT.add(whole, rejected or Decimal(0))

    def cost(*statuses: Status) -> Decimal:
        return total(costs[s] for s in statuses)

    allocated = cost(*ALLOCATED)
    unknown = EXACT.add(row["unknown_cost"], rejected or Decimal(0))
    low, high = percentage(allocated, seen), percentage(EXACT.add(allocated, unknown), seen)
    if rejected is None and low is not None:  # an amount that can't be read may be any amount
        low, high = "0.00", "100.00"
    return (
        {name: value for name, value in row.items() if name not in ("judged", "rejected_cost")}
        | {f"share_{s.lower()}": shares[s] for s in LETTERS}
        | {f"rows_share_{s.lower()}": row_shares[s] for s in LETTERS}
        | {
            "allocatability": percentage(allocated, whole),
            "low": low,
            "high": high,
            "direct_coverage": percentage(cost(*DIRECT), whole),
            "allocation_coverage": percentage(cost(*DIRECT, Status.SHARED, Status.COMMITMENT), whole),
            "tag_compliance": percentage(row["compliant_cost"], whole) if row["judged"] else None,
            "unallocated": percentage(cost(Status.SUSPENSE, Status.UNALLOCATABLE), whole),
            "ceiling": percentage(EXACT.add(allocated, row["taggable_cost"]), whole),
        }
    )
