"""Charges x allocation policies -> who pays what. Every cent is conserved; that is asserted before anything returns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal

import pyarrow as pa

from governor import tables
from governor.allocate.classify import classify
from governor.allocate.pools import PoolAmount, Scope, Share, divide
from governor.engine.duckdb import Engine
from governor.model import DIRECT, Gap
from governor.money import EXACT, text
from governor.policy.plan import Plan

DIRECT_LIST = ", ".join(f"'{s}'" for s in DIRECT)


class NotConserved(AssertionError):
    """Money went missing or appeared inside governor: a defect of ours, never of the input. Nothing is committed."""


def allocate(
    engine: Engine,
    plan: Plan,
    *,
    days: Sequence[date],
    missing: Mapping[str, Collection[str]],
    keys: Mapping[str, str],
    in_force: Mapping[str, frozenset[str]] | None,
) -> None:
    """Fill the tables `classified` (each cell's status and payer) and `allocations`, and prove that nothing was lost.

    `days` are the stretches' first days, `missing` the columns each source did not deliver, `keys` the registers' key
    columns, `in_force` the cost centers in force per billing period. Raises Refused for a pool that can't be divided,
    NotConserved for a defect of ours.
    """
    classify(engine, plan.allocation, days=days, missing=missing, keys=keys)
    pools = {(a.policy.id, pool.id): pool for a in plan.allocation for pool in a.policy.pools}
    shares = divide(_pool_amounts(engine, plan.basis), pools, _direct(engine, plan.basis), in_force)
    _fall_back(engine, shares)
    _write(engine, plan.basis, shares)
    _assert_conserved(engine)


def unread_gaps(plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Gap]:
    """Say once per source and column which clauses its absence kept from claiming anything."""
    gaps = []
    for source, columns in sorted(missing.items()):
        for column in sorted(columns):
            blind = [f"{a.policy.id}/{c.id}" for a in plan.allocation for c in a.clauses if column in c.reads]
            if blind:
                detail = f"column {column} was not delivered, so these claim nothing: {', '.join(blind)}"
                gaps.append(Gap(source, column, "missing_column", detail))
    return gaps


def _pool_amounts(engine: Engine, basis: str) -> list[PoolAmount]:
    rows = engine.rows(f"""
        SELECT source, billing_period, billing_currency, pool, status, policy, sum({basis}), sum(rows)::BIGINT
        FROM cells JOIN classified USING (id) WHERE pool IS NOT NULL GROUP BY ALL ORDER BY ALL""")
    return [PoolAmount(Scope(*r[:3]), r[3], r[4], r[5], EXACT.plus(r[6]), r[7]) for r in rows]


def _direct(engine: Engine, basis: str) -> dict[tuple[str, str], dict[str, Decimal]]:
    """Sum the net direct cost of every cost center: what proportional splits go by."""
    direct: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for period, currency, center, cost in engine.rows(f"""
        SELECT billing_period, billing_currency, cost_center, sum({basis})
        FROM cells JOIN classified USING (id) WHERE status IN ({DIRECT_LIST}) GROUP BY ALL ORDER BY ALL"""):
        direct[period, currency][center] = cost
    return direct


def _fall_back(engine: Engine, shares: Sequence[Share]) -> None:
    """Turn the cells of a pool that fell to its owner into suspense: shared with nobody, they aren't allocated."""
    for share in shares:
        if share.fallback:
            engine.execute(
                """UPDATE classified SET status = 'D', cost_center = ?, reason = 'driver_zero', pool = NULL
                WHERE pool = ? AND policy = ? AND status = ? AND id IN (
                    SELECT id FROM cells WHERE source = ? AND billing_period = ? AND billing_currency = ?)""",
                [
                    share.cost_center,
                    share.pool.pool,
                    share.pool.policy,
                    share.pool.status,
                    share.pool.scope.source,
                    share.pool.scope.billing_period,
                    share.pool.scope.currency,
                ],
            )


def _write(engine: Engine, basis: str, shares: Sequence[Share]) -> None:
    """Fill `allocations`: direct ones from the cells, shares of pools from the split."""
    money = pa.decimal128(38, 24)
    fields = {"source": pa.string(), "billing_period": pa.string(), "currency": pa.string(), "cost_center": pa.string()}
    fields |= {"status": pa.string(), "policy": pa.string(), "pool": pa.string(), "method": pa.string()}
    fields |= {"amount": money, "pool_amount": money, "weight": money, "weight_total": money}
    rows = [
        {
            "source": s.pool.scope.source,
            "billing_period": s.pool.scope.billing_period,
            "currency": s.pool.scope.currency,
            "cost_center": s.cost_center,
            "status": s.pool.status,
            "policy": s.pool.policy,
            "pool": s.pool.pool,
            "method": s.method,
            "amount": s.amount,
            "pool_amount": s.pool.amount,
            "weight": s.weight,
            "weight_total": s.weight_total,
        }
        for s in shares
        if not s.fallback
    ]
    engine.register("shares", pa.Table.from_pylist(rows, pa.schema(fields)))
    engine.execute(f"""
        CREATE TABLE allocations AS
        SELECT source, billing_period, billing_currency AS currency, cost_center, status, policy, rule,
            NULL::VARCHAR AS pool,
            CASE status WHEN 'U' THEN 'none' WHEN 'D' THEN 'default' WHEN 'C' THEN 'central' ELSE 'direct' END
                AS method,
            sub_account_id, service_name, charge_category, sum({basis})::{tables.MONEY} AS amount,
            sum(rows)::BIGINT AS rows, NULL::{tables.MONEY} AS pool_amount, NULL::{tables.MONEY} AS weight,
            NULL::{tables.MONEY} AS weight_total, reason
        FROM cells JOIN classified USING (id) WHERE pool IS NULL GROUP BY ALL
        UNION ALL
        SELECT source, billing_period, currency, cost_center, status, policy, pool AS rule, pool, method, NULL, NULL,
            NULL, amount, 0, pool_amount, weight, weight_total, NULL
        FROM shares""")


def _assert_conserved(engine: Engine) -> None:
    """Compare what was ingested with what was allocated, per source, period and currency, to the last digit."""
    rows = engine.rows("""
        WITH placed AS (SELECT source, billing_period, currency, sum(amount) AS amount FROM allocations GROUP BY ALL)
        SELECT source, billing_period, currency, i.cost, p.amount
        FROM ingested i FULL JOIN placed p USING (source, billing_period, currency)
        WHERE i.cost IS DISTINCT FROM p.amount""")
    for source, period, currency, ingested, placed in rows:
        amounts = " but ".join(text(a or Decimal(0)) for a in (ingested, placed))
        raise NotConserved(f"{source} {period} {currency}: ingested {amounts} allocated")
