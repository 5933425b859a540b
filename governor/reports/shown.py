"""The rows of a table that a page shows, and what it says of those it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from governor import money
from governor.reports import figures


@dataclass(frozen=True, slots=True)
class Shown:
    """The first rows of a ranked table. `left` rows are only in `TABLE.csv`; `left_money` is what they add up to."""

    table: str
    rows: Sequence[Any]
    left: int = 0
    left_money: tuple[tuple[str, Decimal], ...] = ()


def shown(table: str, rows: Sequence[figures.Row], limit: int, amount: str = "") -> Shown:
    """Cut a ranked list at the limit. `amount` names the one by which it is ranked, added up per currency."""
    left = rows[limit:]
    sums = [
        (currency, money.total(row[amount] or figures.ZERO for row in left if row["currency"] == currency))
        for currency in sorted({row["currency"] or "" for row in left} if amount else ())
    ]
    return Shown(table, rows[:limit], len(left), tuple(sums))


def shown_table(name: str, ranked: pa.Table, limit: int, money: str) -> Shown:
    """Cut a ranked table at the limit, and make rows only of what is shown."""
    left = ranked.slice(limit).select(["currency", money])
    cut = shown(name, left.to_pylist(), 0, money)
    return Shown(name, ranked.slice(0, limit).to_pylist(), cut.left, cut.left_money)
