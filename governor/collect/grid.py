"""Divide a table of amounts when both its margins are given: rows are charges, columns are who pays for them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from governor.money import EXACT, decimals, split, total

Row = TypeVar("Row", bound=Hashable)


def split_grid(
    rows: Mapping[Row, Decimal], columns: Mapping[str, Decimal], weights: Mapping[str, Decimal], scale: int = 2
) -> dict[Row, dict[str, Decimal]]:
    """Divide each row among the columns so that every row and every column adds up to its amount, exactly.

    `columns` are shares of one total, so none of them has the other sign; `weights` say in which ratio they share.
    Parts have at least `scale` fractional digits. A part never has another sign than its row. Rows are taken in the
    order of their keys, which must compare, so the result doesn't depend on the order they come in.
    Rows of the other sign than the total, such as credits, are divided by the weights first: what they give raises what
    the columns still have to take. The others are divided by just that, so that the last one leaves nothing over.
    Raises ValueError when rows and columns don't add up to the same amount.

    >>> grid = split_grid({1: Decimal("0.03"), 2: Decimal("0.01")}, {"a": Decimal("0.02"), "b": Decimal("0.02")},
    ...                   {"a": Decimal(1), "b": Decimal(1)})
    >>> [list(map(str, parts.values())) for parts in grid.values()]
    [['0.02', '0.01'], ['0', '0.01']]
    """
    whole = total(columns.values())
    if total(rows.values()) != whole:
        raise ValueError(f"the rows add up to {total(rows.values())}, the columns to {whole}")
    scale = max([scale, *(decimals(amount) for amount in (*rows.values(), *columns.values()))])
    ordered: list[Any] = sorted(rows, key=lambda key: ((rows[key] < 0) == (whole < 0), key))
    left = dict(columns)
    grid: dict[Row, dict[str, Decimal]] = {}
    for key in ordered:
        amount = rows[key]
        alike = amount != 0 and (amount < 0) == (whole < 0)
        by = {name: EXACT.abs(rest) for name, rest in left.items()} if alike else weights
        grid[key] = split(amount, by, scale)
        left = {name: EXACT.subtract(rest, grid[key][name]) for name, rest in left.items()}
    return {key: grid[key] for key in rows}
