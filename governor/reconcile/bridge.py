"""From billed to effective cost, line by line; and what each commitment cost and gave.

billed - purchases that cover later use + covered usage + unused commitment + other differences = effective: each charge
stands on one line with its own difference, so the lines add up by construction.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import Any

from governor import money
from governor.engine.duckdb import Engine
from governor.money import EXACT
from governor.tables import MONEY

LINES = ("purchases", "used", "unused", "other")
Row = dict[str, Any]


def build_bridge(engine: Engine) -> Iterator[Row]:
    """Yield the lines of each source, billing period and currency, in order."""
    found = engine.rows(f"""
        SELECT source, billing_period, currency, line, CASE WHEN line = 'other' THEN category END AS category,
            sum(rows)::BIGINT, sum(differing)::BIGINT, sum(billed)::{MONEY}, sum(effective)::{MONEY}
        FROM reckoned GROUP BY ALL ORDER BY ALL NULLS FIRST""")
    for place, group in groupby(found, key=lambda row: row[:3]):
        yield from _numbered(place, list(group))


def _numbered(place: tuple[Any, ...], group: list[tuple[Any, ...]]) -> Iterator[Row]:
    names = dict(zip(("source", "billing_period", "currency"), place, strict=True))
    for position, (line, category, rows, amount) in enumerate(_lines(group), 1):
        yield {
            **names,
            "position": position,
            "line": line,
            "charge_category": category,
            "rows": rows,
            "amount": amount,
        }


def _lines(group: list[tuple[Any, ...]]) -> Iterator[tuple[str, str | None, int, Decimal]]:
    rows = sum(row[5] for row in group)
    by_line = {line: [row for row in group if row[3] == line] for line in LINES}
    yield "billed", None, rows, money.total(row[7] for row in group)
    for line in LINES[:3]:
        parts = by_line[line]
        differences = [EXACT.subtract(row[8], row[7]) for row in parts]
        yield line, None, sum(row[6] for row in parts), money.total(differences)
    for row in by_line["other"]:
        if row[6]:
            yield "other", row[4], row[6], EXACT.subtract(row[8], row[7])
    yield "effective", None, rows, money.total(row[8] for row in group)
    covered = [row for line in ("used", "unused") for row in by_line[line]]
    paid = money.total(row[7] for row in by_line["purchases"])
    given = money.total(EXACT.subtract(row[8], row[7]) for row in covered)
    concerned = sum(row[5] for row in (*covered, *by_line["purchases"]))
    yield "prepaid_drawdown", None, concerned, EXACT.subtract(given, paid)


def build_commitments(engine: Engine) -> Iterator[Row]:
    """Yield each commitment discount and capacity reservation of each period, with the identities that must hold."""
    zero = f"0::{MONEY}"
    for kind in ("commitment", "capacity"):
        status = f"{kind}_status"
        sums = {
            "purchased": ("billed", "category = 'Purchase'"),
            "used": ("effective", f"{status} = 'Used'"),
            "unused": ("effective", f"{status} = 'Unused'"),
            "usage": ("effective", "category = 'Usage'"),
            "covered_billed": ("billed", f"{status} IN ('Used', 'Unused')"),
            "purchase_effective": ("effective_size", "category = 'Purchase'"),
            "unused_billed": ("billed_size", f"{status} = 'Unused'" if kind == "commitment" else "FALSE"),
        }
        columns = ", ".join(
            f"coalesce(sum({amount}) FILTER ({where}), {zero})::{MONEY}" for amount, where in sums.values()
        )
        for source, period, currency, id_, rows, *amounts in engine.rows(
            f"SELECT source, billing_period, currency, {kind}, sum(rows)::BIGINT, {columns}"
            f" FROM reckoned WHERE {kind} IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        ):
            place = {"source": source, "billing_period": period, "currency": currency, "kind": kind, "id": id_}
            yield place | {"rows": rows} | _judged(dict(zip(sums, amounts, strict=True)))


def _judged(sums: dict[str, Decimal]) -> Row:
    given = EXACT.add(sums["used"], sums["unused"])
    paid = EXACT.add(sums["purchased"], sums.pop("covered_billed"))
    difference = EXACT.subtract(sums["usage"], given)
    broken = {
        "status": difference,
        "purchase": sums["purchase_effective"],
        "unused": sums["unused_billed"],
    }
    return {
        **sums,
        "drawdown": EXACT.subtract(given, paid),
        "utilisation": money.percentage(sums["used"], given),
        "broken": ", ".join(name for name, amount in broken.items() if amount) or None,
        "status_difference": difference,
    }
