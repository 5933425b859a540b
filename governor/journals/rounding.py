"""Rounding to what a currency can pay, once, where money is posted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import TypeVar

from governor import money
from governor.money import EXACT, minor_digits

Key = TypeVar("Key", str, tuple[str, str])
Parts = dict[tuple[str, str], Decimal]  # (cost center, component) -> amount


def round_once(amount: Decimal, digits: int) -> Decimal:
    """Round to a number of decimals, half to even.

    >>> round_once(Decimal("0.125"), 2), round_once(Decimal("-0.135"), 2)
    (Decimal('0.12'), Decimal('-0.14'))
    """
    rounded = amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN, context=EXACT)
    return EXACT.plus(rounded)  # no negative zero


def round_lines(parts: Parts, currency: str) -> Parts:
    """Round amounts to the currency's minor unit so that they add up to their rounded total.

    The total is rounded, shared out among the cost centers, and each cost center's among its components; so neither a
    cost center nor a line is off by a whole unit.
    """
    digits = minor_digits(currency)
    by_center: dict[str, Parts] = defaultdict(dict)
    for (center, component), amount in parts.items():
        by_center[center][center, component] = amount
    exact = {center: money.total(amounts.values()) for center, amounts in by_center.items()}
    rounded = round_parts(exact, round_once(money.total(exact.values()), digits), digits)
    lines: Parts = {}
    for center, amounts in by_center.items():
        lines |= round_parts(amounts, rounded[center], digits)
    return lines


def round_parts(parts: Mapping[Key, Decimal], total: Decimal, digits: int) -> dict[Key, Decimal]:
    """Round each part down or up to a unit so that they add up to `total`, which is less than a unit off their sum.

    The largest remainders go up, ties by key, so the result never depends on order. Parts may be negative; no part is
    off by a whole unit, and one that is whole stays as it is.

    >>> round_parts({"a": Decimal("0.335"), "b": Decimal("0.335"), "c": Decimal("-0.17")}, Decimal("0.50"), 2)
    {'a': Decimal('0.34'), 'b': Decimal('0.33'), 'c': Decimal('-0.17')}
    """
    with localcontext(EXACT):
        units = {key: part.scaleb(digits) for key, part in sorted(parts.items())}
        floors = {key: int(unit.to_integral_value(ROUND_FLOOR)) for key, unit in units.items()}
        spare = int(total.scaleb(digits)) - sum(floors.values())
        for key in sorted(units, key=lambda k: (floors[k] - units[k], k))[:spare]:
            floors[key] += 1
        return {key: Decimal(floor).scaleb(-digits) for key, floor in floors.items()}
