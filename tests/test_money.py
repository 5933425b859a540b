"""Money is exact: what is read is what was written, and the parts of a split add up to the whole."""

from __future__ import annotations

import doctest
from decimal import Decimal, localcontext

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from governor import money
from governor.money import EXACT, ZeroWeights, decimals, parse, percentage, percentages, split, text

amounts = st.decimals(min_value=-(10**13), max_value=10**13, allow_nan=False, allow_infinity=False, places=24) | (
    st.decimals(min_value=-(10**6), max_value=10**6, allow_nan=False, allow_infinity=False, places=2)
)
weights = st.dictionaries(st.text(max_size=3), st.decimals(-1_000, 1_000, places=6), min_size=1, max_size=12)
scales = st.integers(0, 6)


def has_positive(parts: dict[str, Decimal]) -> bool:
    return any(weight > 0 for weight in parts.values())


def total(parts: dict[str, Decimal]) -> Decimal:
    with localcontext(EXACT):
        return sum(parts.values(), Decimal(0))


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(money)
    assert results.attempted > 0
    assert results.failed == 0


@given(amounts, weights, scales)
@example(Decimal("-0.01"), {"a": Decimal(1), "b": Decimal(1)}, 2)
@example(Decimal(0), {"a": Decimal(1)}, 2)
def test_a_split_loses_and_makes_no_money(amount: Decimal, parts: dict[str, Decimal], scale: int) -> None:
    assume(has_positive(parts))
    assert total(split(amount, parts, scale)) == amount


@given(amounts, weights, st.randoms())
def test_a_split_does_not_depend_on_the_order_of_its_weights(
    amount: Decimal, parts: dict[str, Decimal], random: st.RandomType
) -> None:
    assume(has_positive(parts))
    items = list(parts.items())
    random.shuffle(items)
    result = split(amount, dict(items))
    assert result == split(amount, parts)
    assert list(result) == sorted(parts)


@given(amounts, weights)
def test_a_credit_is_split_as_the_charge_it_offsets(amount: Decimal, parts: dict[str, Decimal]) -> None:
    assume(has_positive(parts))
    with localcontext(EXACT):
        assert split(-amount, parts) == {key: -part for key, part in split(amount, parts).items()}


@given(amounts, weights, scales)
def test_a_part_is_within_one_unit_of_its_exact_share(amount: Decimal, parts: dict[str, Decimal], scale: int) -> None:
    assume(has_positive(parts))
    with localcontext(EXACT):
        unit = Decimal(1).scaleb(-max(scale, decimals(amount)))
        positive = {key: max(weight, Decimal(0)) for key, weight in parts.items()}
        whole = total(positive)
        for key, part in split(amount, parts, scale).items():
            # |part - amount x weight / whole| < unit, without a division
            assert abs(part * whole - amount * positive[key]) < unit * whole


@given(amounts, weights)
def test_who_has_no_positive_weight_gets_nothing(amount: Decimal, parts: dict[str, Decimal]) -> None:
    assume(has_positive(parts))
    result = split(amount, parts)
    assert set(result) == set(parts)
    assert all(result[key] == 0 for key, weight in parts.items() if weight <= 0)


@given(amounts, weights, scales)
def test_a_part_has_the_digits_of_the_scale_or_of_the_amount(
    amount: Decimal, parts: dict[str, Decimal], scale: int
) -> None:
    assume(has_positive(parts))
    assert all(decimals(part) <= max(scale, decimals(amount)) for part in split(amount, parts, scale).values())


@given(amounts, weights, st.decimals("0.000001", 1_000, places=6))
def test_only_the_ratio_of_the_weights_matters(amount: Decimal, parts: dict[str, Decimal], factor: Decimal) -> None:
    assume(has_positive(parts))
    with localcontext(EXACT):
        scaled = {key: weight * factor for key, weight in parts.items()}
    assert split(amount, scaled) == split(amount, parts)


def test_no_part_is_a_negative_zero() -> None:
    parts = split(Decimal("-0.01"), {"a": Decimal(2), "b": Decimal(1), "c": Decimal(0)})
    assert {key: str(part) for key, part in parts.items()} == {"a": "-0.01", "b": "0.00", "c": "0"}


@pytest.mark.parametrize("parts", [{}, {"a": Decimal(0)}, {"a": Decimal(-1), "b": Decimal(0)}])
def test_a_split_among_nobody_is_refused(parts: dict[str, Decimal]) -> None:
    with pytest.raises(ZeroWeights):
        split(Decimal("1.00"), parts)


@given(st.dictionaries(st.text(max_size=3), st.decimals(0, 10**12, places=12), min_size=1, max_size=8))
def test_percentages_add_up_to_a_hundred(parts: dict[str, Decimal]) -> None:
    shares = {key: Decimal(share) for key, share in percentages(parts).items()}
    assert set(shares) == set(parts)
    assert total(shares) == (100 if has_positive(parts) else 0)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        ("0", "5", "0.00"),
        ("5", "5", "100.00"),
        ("4.99999", "5", "99.99"),  # not all, so not 100
        ("0.00001", "5", "0.01"),  # not nothing, so not 0
        ("1", "3", "33.33"),
        ("1", "8", "12.50"),
        ("0.00125", "10", "0.01"),  # half to even
        ("1", "0", None),
        ("1", "-1", None),
    ],
)
def test_a_percentage_keeps_nothing_and_everything_apart_from_nearly(part: str, whole: str, shown: str | None) -> None:
    assert percentage(Decimal(part), Decimal(whole)) == shown


@given(amounts, st.sampled_from(["{:f}", "{:+f}", "{:E}", "{:.40e}"]))
def test_what_is_read_is_what_was_written(amount: Decimal, form: str) -> None:
    assert parse(form.format(amount)) == amount


@given(amounts)
def test_what_is_printed_reads_back_as_the_same_amount(amount: Decimal) -> None:
    printed = text(amount)
    assert parse(printed) == amount
    assert "e" not in printed.lower()
    assert printed.partition(".")[2][2:].endswith("0") is False
    assert len(printed.partition(".")[2]) >= 2


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("1.", "1"),
        (".5", "0.5"),
        ("1.50E-3", "0.0015"),
        ("+7", "7"),
        ("1e13", "10000000000000"),
        ("0.000000000000000000000001", "1E-24"),
        ("99999999999999.999999999999999999999999", "99999999999999.999999999999999999999999"),
        ("0.1000000000000000000000000000000", "0.1"),
    ],
)
def test_a_plain_number_is_read_exactly(written: str, value: str) -> None:
    assert parse(written) == Decimal(value)
    assert not parse(written).is_signed() or value.startswith("-")


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "1 ", " 1", "1,5", "1,234.56", "$1", "1_000", "0x10", "--1", "1-", "e5", ".", "1e", "1e1000"),
        *("nan", "NaN", "inf", "-Infinity", "None", "١٢", "1\n", "1\x00"),  # the digits are of another script
        "100000000000000",  # 15 digits before the point
        "1e14",
        "1e999",
        "0.0000000000000000000000001",  # 25 after it
        "1e-25",
        "1." + "0" * 450 + "1",
    ],
)
def test_what_is_no_plain_number_or_does_not_fit_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"is not a plain number|needs more than"):
        parse(written)
