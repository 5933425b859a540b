"""Exact money: parse, print, split. Decimals and integers only; no float ever enters or leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, localcontext
from fractions import Fraction

DIGITS = 38  # what a DECIMAL holds
SCALE = 24  # fractional digits of a charge: ten decades below a cent's cent, fourteen digits before the point
EXACT = Context(prec=400)  # wide enough that no sum or product here is ever rounded

# ISO 4217: the currencies whose minor unit is not a hundredth.
_DIGITS: Mapping[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")  # \d would also match other scripts


class ZeroWeights(ValueError):
    """No weight is positive, so nobody can be charged: the caller's policy says what happens then."""


def parse(text: str) -> Decimal:
    """Read a number as written, exactly. Raises ValueError for anything that isn't one or doesn't fit.

    >>> parse("1.50E-3")
    Decimal('0.00150')
    """
    if not _PLAIN.fullmatch(text) or len(text) > EXACT.prec:
        raise ValueError(f"{text!r} is not a plain number")
    value = Decimal(text)
    if value and (value.adjusted() >= DIGITS - SCALE or decimals(value) > SCALE):
        raise ValueError(f"{text!r} needs more than {DIGITS - SCALE} digits before or {SCALE} after the point")
    return EXACT.plus(Decimal(format(value, "f")))  # a bare `+ 0` would round to the 28 digits of the default context


def decimals(value: Decimal) -> int:
    """Count the fractional digits that carry something.

    >>> decimals(Decimal("1.2300"))
    2
    """
    exponent = EXACT.normalize(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def minor_digits(currency: str) -> int:
    """Say how many decimals an amount of a currency has on an invoice and in a ledger.

    >>> minor_digits("USD"), minor_digits("JPY"), minor_digits("KWD")
    (2, 0, 3)
    """
    return next((digits for digits, codes in _DIGITS.items() if currency in codes.split()), 2)


def text(value: Decimal) -> str:
    """Print an amount exactly: no exponent, no negative zero, at least two decimals, no padding beyond.

    >>> text(Decimal("1E+1")), text(Decimal("-0.000")), text(Decimal("0.1250"))
    ('10.00', '0.00', '0.125')
    """
    if not value:
        return "0.00"
    digits = max(2, decimals(value))
    return format(EXACT.quantize(value, Decimal(1).scaleb(-digits)), "f")


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts exactly: the built-in sum rounds to the 28 digits of Python's own context."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))


def split(amount: Decimal, weights: Mapping[str, Decimal], scale: int = 2) -> dict[str, Decimal]:
    """Divide an amount by weights so that the parts add up to it exactly.

    The parts carry `scale` fractional digits, or as many as the amount itself has. Largest remainders get the spare
    units, ties by key, so the result never depends on order. Works for negative amounts (credits): the parts are those
    of the positive amount with the sign turned. Weights that are zero or negative get nothing.
    Raises ZeroWeights when no weight is positive.

    >>> split(Decimal("1.00"), {"a": Decimal(1), "b": Decimal(1), "c": Decimal(1)})
    {'a': Decimal('0.34'), 'b': Decimal('0.33'), 'c': Decimal('0.33')}
    """
    scale = max(scale, decimals(amount))
    positive = {key: Fraction(weight) for key, weight in sorted(weights.items()) if weight > 0}
    if not positive:
        raise ZeroWeights
    total = sum(positive.values())
    with localcontext(EXACT):
        units = int(abs(amount).scaleb(scale))
        exact = {key: units * weight / total for key, weight in positive.items()}
        floors = {key: int(share) for key, share in exact.items()}
        spare = units - sum(floors.values())
        for key in sorted(exact, key=lambda k: (floors[k] - exact[k], k))[:spare]:
            floors[key] += 1
        sign = -1 if amount < 0 else 1
        parts = {key: Decimal(sign * n).scaleb(-scale) + 0 for key, n in floors.items()}
    return {key: parts.get(key, Decimal(0)) for key in sorted(weights)}


def percentages(parts: Mapping[str, Decimal]) -> dict[str, str]:
    """Print parts as percentages of their sum with two decimals, adding up to exactly 100.00 (all 0.00 for no money).

    >>> percentages({"a": Decimal(1), "b": Decimal(2)})
    {'a': '33.33', 'b': '66.67'}
    """
    try:
        shares = split(Decimal(100), parts)
    except ZeroWeights:
        shares = dict.fromkeys(parts, Decimal(0))
    return {key: text(share) for key, share in shares.items()}


def percentage(part: Decimal, whole: Decimal) -> str | None:
    """Print part of whole as a percentage with two decimals, rounded half to even; None of nothing.

    100.00 and 0.00 are kept for the exact whole and the exact nothing: 99.999 % reads 99.99.
    """
    if whole <= 0:
        return None
    with localcontext(EXACT):
        hundredths = round(Fraction(part) * 10_000 / Fraction(whole))
        if hundredths == 10_000 and part < whole:  # noqa: PLR2004 - 100.00 in hundredths
            hundredths = 9_999
        if hundredths == 0 and part > 0:
            hundredths = 1
    return text(Decimal(hundredths).scaleb(-2))
