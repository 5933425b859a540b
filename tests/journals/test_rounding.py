"""Money is rounded once, to what the currency can pay, and nothing is lost or made on the way."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor import money
from governor.journals.entries import COMPONENTS
from governor.journals.rounding import Parts, round_lines, round_once, round_parts
from governor.money import minor_digits

CURRENCIES = st.sampled_from(["USD", "JPY", "KWD", "CLF", "XYZ"])
# Up to 14 digits before the point and 24 after it: all that a charge can hold.
AMOUNTS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(n).scaleb(-24)),
    st.integers(-1000, 1000).map(lambda n: Decimal(n).scaleb(-3)),
    st.integers(-50, 50).map(Decimal),
)
PARTS = st.dictionaries(
    st.tuples(st.sampled_from(["A", "B", "C", "D"]), st.sampled_from(COMPONENTS)), AMOUNTS, max_size=16
)


@given(PARTS, CURRENCIES)
def test_lines_add_up_to_the_rounded_total_and_none_is_off_by_a_unit(parts: Parts, currency: str) -> None:
    """For any cost centers, signs and sizes: the sum is exact, and so is each cost center to less than a unit."""
    digits = minor_digits(currency)
    unit = Fraction(1, 10**digits)
    lines = round_lines(parts, currency)
    assert lines.keys() == parts.keys()
    exact = sum(map(Fraction, parts.values()), Fraction(0))
    assert sum(map(Fraction, lines.values()), Fraction(0)) == Fraction(round(exact / unit)) * unit
    for key, line in lines.items():
        assert abs(Fraction(line) - Fraction(parts[key])) < unit
        assert line == round_once(line, digits)
    for center in {center for center, _ in parts}:
        mine = [key for key in parts if key[0] == center]
        off = sum((Fraction(lines[key]) - Fraction(parts[key]) for key in mine), Fraction(0))
        assert abs(off) < unit


@given(PARTS, CURRENCIES)
def test_what_can_be_paid_as_it_is_stays_as_it_is(parts: Parts, currency: str) -> None:
    whole = {key: round_once(amount, minor_digits(currency)) for key, amount in parts.items()}
    assert round_lines(whole, currency) == whole


@given(PARTS, CURRENCIES, st.randoms(use_true_random=False))
def test_the_order_of_the_lines_decides_nothing(parts: Parts, currency: str, random: object) -> None:
    shuffled = list(parts.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert round_lines(dict(shuffled), currency) == round_lines(parts, currency)


@pytest.mark.parametrize(
    ("currency", "amounts", "rounded"),
    [
        ("USD", "0.335 0.335 0.33", "0.34 0.33 0.33"),  # ties go by key
        ("USD", "0.005 0.005", "0.01 0.00"),
        ("USD", "-0.005 -0.005", "0.00 -0.01"),
        ("USD", "10.006 -10.003", "10.00 -10.00"),
        ("USD", "10.009 -10.001", "10.01 -10.00"),
        ("USD", "0.125", "0.12"),
        ("USD", "99999999999999.999999999999999999999999", "100000000000000.00"),
        ("JPY", "1.4 1.4 1.4", "2 1 1"),
        ("KWD", "0.0006 0.0006", "0.001 0.000"),
    ],
)
def test_the_spare_unit_goes_to_the_largest_remainder(currency: str, amounts: str, rounded: str) -> None:
    parts = {(str(n), "direct"): Decimal(a) for n, a in enumerate(amounts.split())}
    assert [str(line) for line in round_lines(parts, currency).values()] == rounded.split()


def test_parts_may_share_out_a_total_on_either_side_of_their_sum() -> None:
    parts = {"a": Decimal("0.504"), "b": Decimal("0.503")}
    assert round_parts(parts, Decimal("1.01"), 2) == {"a": Decimal("0.51"), "b": Decimal("0.50")}
    assert round_parts(parts, Decimal("1.00"), 2) == {"a": Decimal("0.50"), "b": Decimal("0.50")}


def test_sums_are_exact_beyond_28_digits() -> None:
    """Python's own context would round here, silently."""
    amounts = [Decimal("99999999999999.999999999999999999999999")] * 3
    assert str(money.total(amounts)) == "299999999999999.999999999999999999999997"
