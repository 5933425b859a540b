"""Amounts in a grid: both margins to the last digit, no part of the wrong sign, whatever the order."""

from __future__ import annotations

import doctest
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.collect import grid
from governor.collect.grid import split_grid
from governor.money import decimals, split, total

amounts = st.one_of(
    st.sampled_from([Decimal(text) for text in ("0", "-0", "0.01", "-0.01", "99999999999999.99", "1E-24", "-1E-24")]),
    st.decimals(min_value=-10_000, max_value=10_000, places=4),
    st.decimals(min_value=0, max_value=3, places=1),
)
weights = st.dictionaries(
    st.sampled_from("abcdefgh"), st.decimals(min_value=Decimal("0.0001"), max_value=1000, places=4), min_size=1
)


@given(st.lists(amounts, min_size=1, max_size=12), weights, st.randoms(use_true_random=False), st.integers(0, 6))
def test_a_grid_keeps_its_promises(rows: list[Decimal], by: dict[str, Decimal], random, scale: int) -> None:
    """Every row and every column adds up, a part has its row's sign or is nothing, and order decides nothing."""
    keyed = dict(enumerate(rows))
    columns = split(total(rows), by, scale)
    found = split_grid(keyed, columns, by, scale)
    assert {key: total(parts.values()) for key, parts in found.items()} == keyed
    assert {name: total(parts[name] for parts in found.values()) for name in by} == columns
    for key, parts in found.items():
        assert all(part == 0 or (part < 0) == (keyed[key] < 0) for part in parts.values())
    finest = max(scale, *(decimals(row) for row in rows), *(decimals(part) for part in columns.values()))
    assert all(decimals(part) <= finest for parts in found.values() for part in parts.values())
    shuffled = list(keyed.items())
    random.shuffle(shuffled)
    assert split_grid(dict(shuffled), columns, dict(reversed(by.items())), scale) == found


def test_amounts_of_38_digits_are_divided_exactly() -> None:
    """As many digits as an amount may have: nothing on the way rounds to fewer."""
    rows = {0: Decimal("99999999999999.99"), 1: Decimal("-1E-24")}
    by = {"a": Decimal(1), "b": Decimal(1)}
    columns = split(total(rows.values()), by)
    found = split_grid(rows, columns, by)
    assert {name: total(parts[name] for parts in found.values()) for name in by} == columns


def test_parts_follow_the_ratios() -> None:
    """No part is farther from its ideal than rounding makes it."""
    rows = {n: Decimal(n) for n in range(1, 50)}
    by = {"a": Decimal(1), "b": Decimal(2), "c": Decimal(4)}
    found = split_grid(rows, split(total(rows.values()), by), by)
    worst = max(abs(found[n][name] - rows[n] * by[name] / 7) for n in rows for name in by)
    assert worst < Decimal("0.05")


def test_margins_that_disagree_are_an_error() -> None:
    """Rows and columns of different sums can't be divided."""
    with pytest.raises(ValueError, match="add up to 1, the columns to 2"):
        split_grid({1: Decimal(1)}, {"a": Decimal(2)}, {"a": Decimal(1)})


def test_the_example_runs() -> None:
    assert doctest.testmod(grid).failed == 0
