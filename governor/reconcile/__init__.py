"""Hold the bill against the invoices, and billed against effective cost: the tables tie_out, bridge and commitments.

Every figure is a sum of charges. What separates two sums is given line by line, so that the lines add up to it exactly;
what no line explains is a line of its own, never spread over the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa

from governor import tables
from governor.config import TieOut
from governor.engine.duckdb import Engine
from governor.model import Delivery
from governor.reconcile.bridge import build_bridge, build_commitments
from governor.reconcile.tie_out import Part, Sight, tie_out
from governor.sources.invoices import Invoices

# Gaps about who pays, or about what accrues: they hide no billed amount.
NOT_BILLED = ("unreadable_tags", "unreadable_value", "duplicate_tag_keys", "effective_cost_unknown")

_ARROW = {
    tables.TEXT: pa.string(),
    tables.COUNT: pa.int64(),
    tables.DAY: pa.date32(),
    tables.MONEY: pa.decimal128(38, 24),
}


def reconcile(
    engine: Engine,
    invoices: Invoices,
    terms: Mapping[str, TieOut],
    deliveries: Collection[Delivery],
    notices: Collection[str] = (),
) -> None:
    """Fill the tables `tie_out`, `bridge` and `commitments` from `charges` and `rejects`.

    `terms` are those of every billing source that is configured: one without a delivery was refused, and nothing of it
    can be called tied. `notices` are the reasons of gaps that hide nothing.
    """
    _reckon(engine)
    rows = tie_out(_parts(engine), invoices, terms, _sight(engine, terms, deliveries, notices))
    _load(engine, "tie_out", tables.TIE_OUT, rows)
    _load(engine, "bridge", tables.BRIDGE, build_bridge(engine))
    _load(engine, "commitments", tables.COMMITMENTS, build_commitments(engine))


def _reckon(engine: Engine) -> None:
    """Group the charges once, by all that invoices, the bridge and commitments ask of them."""
    engine.execute(f"""
        CREATE TABLE reckoned AS
        SELECT source, billing_period, billing_currency AS currency, invoice_issuer_name AS issuer, invoice_id,
            billing_account_id AS account, service_provider_name AS seller, charge_category AS category,
            commitment_discount_id AS commitment, commitment_discount_status AS commitment_status,
            capacity_reservation_id AS capacity, capacity_reservation_status AS capacity_status,
            CASE
                WHEN charge_category = 'Purchase' AND (commitment_discount_id IS NOT NULL OR effective_cost = 0)
                    THEN 'purchases'
                WHEN coalesce(commitment_discount_status, capacity_reservation_status) = 'Used' THEN 'used'
                WHEN coalesce(commitment_discount_status, capacity_reservation_status) = 'Unused' THEN 'unused'
                ELSE 'other'
            END AS line,
            count(*) AS rows,
            count(*) FILTER (billed_cost <> effective_cost) AS differing,
            sum(billed_cost)::{tables.MONEY} AS billed,
            sum(effective_cost)::{tables.MONEY} AS effective,
            sum(abs(billed_cost))::{tables.MONEY} AS billed_size,
            sum(abs(effective_cost))::{tables.MONEY} AS effective_size
        FROM charges GROUP BY ALL""")


def _parts(engine: Engine) -> list[Part]:
    rows = engine.rows(f"""
        SELECT source, issuer, invoice_id, account, currency, billing_period, category, seller, sum(rows)::BIGINT,
            sum(billed)::{tables.MONEY}
        FROM reckoned GROUP BY ALL ORDER BY ALL NULLS FIRST""")
    return [Part(*row) for row in rows]


def _sight(
    engine: Engine, terms: Mapping[str, TieOut], deliveries: Collection[Delivery], notices: Collection[str]
) -> Sight:
    """Gather what could not be seen of the billed cost: refused sources, gaps, and rejected rows by period."""
    hidden: dict[tuple[str, str], str] = {}
    for source in terms.keys() - {delivery.source for delivery in deliveries}:
        hidden[source, ""] = f"the source {source} was refused"
    for delivery in deliveries:
        for gap in delivery.gaps:
            billed = gap.reason in NOT_BILLED or (gap.reason == "missing_column" and gap.scope == "Tags")
            if not billed and gap.reason not in ("rejected_rows", *notices):
                hidden[delivery.source, ""] = f"{gap.reason.replace('_', ' ')}: {gap.detail}"
    rejected = "SELECT source, coalesce(billing_period, ''), count(*) FROM rejects GROUP BY ALL ORDER BY ALL"
    for source, period, count in engine.rows(rejected):
        hidden.setdefault((source, period), f"{count} rejected row{'s' if count > 1 else ''} of {source}")
    return Sight(hidden)


def _load(engine: Engine, name: str, columns: tuple[tables.Column, ...], rows: Iterable[Mapping[str, Any]]) -> None:
    schema = pa.schema([(c.name, _ARROW[c.type]) for c in columns])
    engine.register(name, pa.Table.from_pylist(list(rows), schema))
