"""The arithmetic of the charts: amounts into percentages of a bar's length, exact and as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from governor import money
from governor.reports import display
from governor.reports.figures import Row

Part = tuple[str, str, Decimal]  # label, class, value
STEP = Decimal("0.001")  # percent: finer than a pixel of any screen


def lengths(parts: Iterable[Part], whole: Decimal) -> list[tuple[str, str, str, str]]:
    """Lay parts side by side: label, class, start and length, in percent of the whole; only what is above zero.

    >>> lengths([("a", "x", Decimal(1)), ("b", "y", Decimal(-1)), ("c", "z", Decimal(3))], Decimal(4))
    [('a', 'x', '0.000', '25.000'), ('c', 'z', '25.000', '75.000')]
    """
    laid = []
    start = Decimal(0)
    for label, class_, value in parts:
        if value > 0 and whole > 0:
            end = money.EXACT.add(start, value)
            left, right = _percent(start, whole), _percent(end, whole)
            laid.append((label, class_, str(left), str(right - left)))
            start = end
    return laid


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    return money.EXACT.quantize(money.EXACT.divide(part.scaleb(2, money.EXACT), whole), STEP)


def middle(start: str, length: str) -> str:
    """Find the middle of a part that `lengths` has laid."""
    return str((Decimal(start) + Decimal(length) / 2).quantize(STEP))


def status_parts(shares: Sequence[Row], name: str) -> list[Part]:
    """Turn the eight shares into parts of a bar, by `cost` or by `rows`."""
    return [
        (f"{each['status']} {display.STATUS_WORDS[each['status']][0]}", f"s{each['status']}", Decimal(each[name]))
        for each in shares
    ]
