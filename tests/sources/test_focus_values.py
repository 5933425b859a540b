"""Amounts, moments and ids are read exactly or not at all, from text and from every type."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from governor import money, tables
from tests.bills import ROW, charges, first, refused, rejects, rows, take, to_csv, to_parquet

AMOUNTS = {
    "0.00000000001": "1E-11",
    "1.5E-10": "1.5E-10",
    "8e-07": "8E-7",
    "-1.25e3": "-1250",
    "+7": "7",
    ".5": "0.5",
    "5.": "5",
    "-0": "0",
    "-0.00": "0",
    "0e5": "0",
    " 1.5 ": "1.5",
    "000000000000000000001.5": "1.5",
    "0.123456789012345678901234": "0.123456789012345678901234",
    "0.1234567890123456789012340000": "0.123456789012345678901234",
    "99999999999999.999999999999999999999999": "99999999999999.999999999999999999999999",
    "-99999999999999": "-99999999999999",
    "9.99999999999999999999999999999e13": "99999999999999.9999999999999999",
    "1E+13": "10000000000000",
    "-9.9999999999999e13": "-99999999999999",  # the sum, too, must have 14 digits at most
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_amounts_are_read_exactly_as_written(kind, tmp_path):
    """Scientific notation, 24 digits after the point and 14 before it: exact, and never through a float."""
    table = rows(*({"BilledCost": text} for text in AMOUNTS))
    path = to_csv(tmp_path / "b.csv", table) if kind == "csv" else to_parquet(tmp_path / "b.parquet", table)
    got = [row["billed_cost"] for row in charges(take(path, tmp_path))]
    assert got == [Decimal(value) for value in AMOUNTS.values()]
    assert not any(value.is_signed() for value, text in zip(got, AMOUNTS, strict=True) if not value), "no negative zero"


BAD_AMOUNTS = {
    "NaN": "B040", "Infinity": "B040", "-inf": "B040", "-": "B040", "abc": "B040", "1_000": "B040", "0x10": "B040",
    "1e": "B040", "1.2.3": "B040", "１": "B040", "1e-25": "B041", "0.1234567890123456789012345": "B041",
    "100000000000000": "B041", "1e400": "B041",
}  # fmt: skip


@pytest.mark.parametrize("column", ["BilledCost", "EffectiveCost", "ListCost"])
def test_amounts_that_are_none_or_cant_be_kept_reject_their_row(column, tmp_path):
    """Nothing is guessed or rounded: the row is set aside with file, row, column, value and reason, and the rest stands."""
    table = rows({}, *({column: text} for text in BAD_AMOUNTS), {})
    delivery = take(to_csv(tmp_path / "b.csv", table), tmp_path)
    assert [(r["file"], r["row"], r["column"], r["value"], r["code"]) for r in rejects(delivery)] == [
        ("b.csv", at, column, text, code) for at, (text, code) in enumerate(BAD_AMOUNTS.items(), start=2)
    ]
    assert [row["row"] for row in charges(delivery)] == [1, len(table)]
    assert (delivery.files[0].rows, delivery.files[0].rejected) == (len(table), len(BAD_AMOUNTS))
    [gap] = delivery.gaps
    assert (gap.reason, gap.rows, gap.currency) == ("rejected_rows", len(BAD_AMOUNTS), "USD")
    unknown = column == "EffectiveCost"  # the cost that policies allocate is the one that can't be read
    assert gap.cost == (None if unknown else Decimal("1.50") * len(BAD_AMOUNTS))


@pytest.mark.parametrize("word", ["", "NULL", "null", "N/A"])
def test_every_word_for_missing_means_missing(word, tmp_path):
    """In any column: text, money, time; a column without which a charge means nothing rejects the row."""
    names = ("ListCost", "BillingPeriodEnd", "SubAccountId")
    delivery = take(to_csv(tmp_path / "b.csv", rows(dict.fromkeys(names, word), {"BillingCurrency": word})), tmp_path)
    assert [charges(delivery)[0][tables.snake(name)] for name in names] == [None] * 3
    [reject] = rejects(delivery)
    assert (reject["row"], reject["column"], reject["code"], reject["currency"]) == (2, "BillingCurrency", "B043", None)


MOMENTS = {
    "2026-09-01 01:02:03": (1, 2, 3, 0),
    "2026-09-01T01:02:03Z": (1, 2, 3, 0),
    "2026-09-01T01:02Z": (1, 2, 0, 0),
    "2026-09-01 01:02:03 UTC": (1, 2, 3, 0),
    "2026-09-01T03:02:03+02:00": (1, 2, 3, 0),
    "2026-08-31 18:02:03-07": (1, 2, 3, 0),
    "2026-09-01T01:02:03.123456789Z": (1, 2, 3, 123456),
    "2026-09-01": (0, 0, 0, 0),
    "2026-08-31T24:00:00Z": (0, 0, 0, 0),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_moments_become_utc_whatever_their_notation(kind, tmp_path):
    """T or space, Z, offset or nothing, minutes or nanoseconds, a date alone."""
    table = rows(*({"ChargePeriodStart": text} for text in MOMENTS))
    path = to_csv(tmp_path / "b.csv", table) if kind == "csv" else to_parquet(tmp_path / "b.parquet", table)
    got = [row["charge_period_start"] for row in charges(take(path, tmp_path))]
    assert got == [datetime(2026, 9, 1, h, m, s, u) for h, m, s, u in MOMENTS.values()]


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2023-02-01T30:00:00Z", "soon", "0025-05-01", "infinity", "20260901", "1756684800"]
)
def test_what_is_no_moment_rejects_its_row(text, tmp_path):
    delivery = take(to_csv(tmp_path / "b.csv", rows({}, {"ChargePeriodEnd": text})), tmp_path)
    [reject] = rejects(delivery)
    assert (reject["row"], reject["column"], reject["value"], reject["code"]) == (2, "ChargePeriodEnd", text, "B042")
    assert (reject["cost"], reject["currency"], reject["billing_period"]) == (Decimal("1.5"), "USD", "2026-09")


TYPED_MOMENTS = [
    (pa.timestamp("us", "UTC"), datetime(2026, 9, 1, 5, tzinfo=UTC)),
    (pa.timestamp("us", "America/Los_Angeles"), datetime(2026, 9, 1, 5, tzinfo=UTC)),
    (pa.timestamp("ms"), datetime(2026, 9, 1, 5)),
    (pa.timestamp("ns"), datetime(2026, 9, 1, 5)),
    (pa.date32(), date(2026, 9, 1)),
]


@pytest.mark.parametrize(("kind", "value"), TYPED_MOMENTS)
def test_typed_moments_are_read_as_utc(kind, value, tmp_path):
    table = rows({"ChargePeriodStart": value})
    got = first(
        take(to_parquet(tmp_path / "b.parquet", table, ChargePeriodStart=kind), tmp_path), "charge_period_start"
    )
    assert got == datetime(2026, 9, 1, 0 if kind == pa.date32() else 5)


def test_int96_moments_are_read(tmp_path):
    table = pa.table({name: pa.array([value]) for name, value in ROW.items()})
    at = table.schema.get_field_index("ChargePeriodStart")
    table = table.set_column(at, "ChargePeriodStart", pa.array([datetime(2026, 9, 1, 5)], pa.timestamp("ns")))
    pq.write_table(table, tmp_path / "b.parquet", use_deprecated_int96_timestamps=True)
    assert first(take(tmp_path / "b.parquet", tmp_path), "charge_period_start") == datetime(2026, 9, 1, 5)


TYPED_AMOUNTS = [
    (pa.decimal128(18, 10), Decimal("-0.0000000001")),
    (pa.decimal128(38, 0), Decimal(12345678901234)),
    (pa.decimal128(38, 18), Decimal("1.000000000000000001")),
    (pa.decimal128(38, 30), Decimal("0.123456789012345678901234")),
    (pa.int32(), -5),
    (pa.int64(), 12345678901234),
    (pa.float64(), 0.1),
    (pa.float64(), 1.605990000001e-05),
    (pa.float64(), -0.0),
    (pa.float32(), 0.1),
]


@pytest.mark.parametrize(("kind", "value"), TYPED_AMOUNTS)
def test_typed_amounts_are_exact_and_a_double_is_its_shortest_decimal(kind, value, tmp_path):
    delivery = take(to_parquet(tmp_path / "b.parquet", rows({"BilledCost": value}), BilledCost=kind), tmp_path)
    assert first(delivery, "billed_cost") == Decimal(repr(value) if isinstance(value, float) else value)
    assert delivery.gaps == ()


def test_doubles_too_fine_are_rounded_half_even_and_counted(tmp_path):
    """A double may need more than 24 digits after the point; the loss is said once, with its rows."""
    given_ = [1.25e-24, 2.5e-24, 3.5e-24, 1.2345678901234567e-10, 0.5]
    table = rows(*({"BilledCost": value} for value in given_))
    delivery = take(to_parquet(tmp_path / "b.parquet", table, BilledCost=pa.float64()), tmp_path)
    got = [row["billed_cost"] for row in charges(delivery)]
    assert got == [Decimal(v) for v in ("1E-24", "2E-24", "4E-24", "1.23456789012346E-10", "0.5")]
    assert [(gap.reason, gap.rows) for gap in delivery.gaps] == [("rounded_double", 4)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e14, -1e300])
def test_doubles_that_are_no_amount_reject_their_row(value, tmp_path):
    path = to_parquet(tmp_path / "b.parquet", rows({"BilledCost": value}, {"BilledCost": 1.0}), BilledCost=pa.float64())
    assert [reject["row"] for reject in rejects(take(path, tmp_path))] == [1]


def test_decimals_too_large_or_too_fine_reject_their_row(tmp_path):
    for scale, value in ((10, "123456789012345.5"), (30, "1E-30")):
        table = rows({"BilledCost": Decimal(value)}, {"BilledCost": Decimal(1)})
        path = to_parquet(tmp_path / f"{scale}.parquet", table, BilledCost=pa.decimal128(38, scale))
        assert [reject["code"] for reject in rejects(take(path, tmp_path))] == ["B041"]


def test_account_ids_are_text_with_their_zeros(tmp_path):
    delivery = take(to_csv(tmp_path / "b.csv", rows({"SubAccountId": "000000000007"})), tmp_path)
    assert first(delivery, "sub_account_id") == "000000000007"


def test_numeric_account_ids_are_read_and_said(tmp_path):
    table = rows({"SubAccountId": 7})
    delivery = take(to_parquet(tmp_path / "b.parquet", table, SubAccountId=pa.int64()), tmp_path)
    assert first(delivery, "sub_account_id") == "7"
    assert [(gap.reason, gap.scope) for gap in delivery.gaps] == [("numeric_ids", "SubAccountId")]
    path = to_parquet(tmp_path / "c.parquet", rows({"SubAccountId": 7.0}), SubAccountId=pa.float64())
    [said] = refused(path, tmp_path)
    assert "c.parquet B016 SubAccountId can't be read: it is a DOUBLE column" in said


SPREADSHEET = [
    ({"SubAccountId": "1.23457E+12"}, "B020", "SubAccountId is '1.23457E+12'"),
    ({"BillingPeriodStart": "9/1/2024"}, "B021", "'%m/%d/%Y'"),
    ({"ChargePeriodStart": "5/1/25"}, "B021", "`dates`"),
    ({"BilledCost": "$10,000.00 "}, "B022", "`numbers`"),
    ({"BilledCost": "1.234,56"}, "B022", "`numbers`"),
    ({"EffectiveCost": "1,234.56"}, "B022", "EffectiveCost is '1,234.56'"),
    ({"EffectiveCost": "12,50 €"}, "B022", "row 2"),
    ({"EffectiveCost": "(1.50)"}, "B022", "row 2"),
]


@pytest.mark.parametrize(("change", "code", "says"), SPREADSHEET)
def test_a_file_that_a_spreadsheet_damaged_is_refused(change, code, says, tmp_path):
    """Ids have lost digits and dates are ambiguous: the whole file is refused, with row, reason and mend."""
    [said] = refused(to_csv(tmp_path / "b.csv", rows({}, change)), tmp_path)
    assert said.startswith(f"b.csv:3:1 {code} row 2: ")
    assert says in said


NUMBERS = [
    ("us", "$10,000.00 ", "10000"),
    ("us", "-$1.50", "-1.5"),
    ("us", "(1,234.56)", "-1234.56"),
    ("us", "1,00,000.5", "100000.5"),
    ("us", "1.5e-3", "0.0015"),
    ("us", "12.5", "12.5"),
    ("eu", "1.234,56 €", "1234.56"),
    ("eu", "1.234", "1234"),
    ("eu", "-0,5", "-0.5"),
    ("eu", "1 234,5", "1234.5"),
    ("eu", "12", "12"),
]


@pytest.mark.parametrize(("numbers", "text", "value"), NUMBERS)
def test_spreadsheet_amounts_are_read_exactly_where_the_notation_is_named(numbers, text, value, tmp_path):
    table = rows({"BilledCost": text, "EffectiveCost": "1", "ListCost": "", "ContractedCost": ""})
    assert first(take(to_csv(tmp_path / "b.csv", table), tmp_path, numbers=numbers), "billed_cost") == Decimal(value)


@pytest.mark.parametrize(("numbers", "text"), [("us", "1.234,56"), ("us", "1,23"), ("eu", "1,234.56"), ("eu", "12.50")])
def test_an_amount_in_the_other_notation_is_not_guessed(numbers, text, tmp_path):
    good = {"BilledCost": "1", "EffectiveCost": "1", "ListCost": "", "ContractedCost": ""}
    path = to_csv(tmp_path / "b.csv", rows(good, good | {"BilledCost": text}))
    assert [r["value"] for r in rejects(take(path, tmp_path, numbers=numbers))] == [text]


def test_dates_of_a_named_pattern_are_read(tmp_path):
    path = to_csv(tmp_path / "b.csv", rows({"BillingPeriodStart": "5/1/25", "ChargePeriodStart": "5/31/25"}))
    delivery = take(path, tmp_path, dates="%m/%d/%y")
    assert first(delivery, "billing_period") == "2025-05"
    assert first(delivery, "charge_period_start") == datetime(2025, 5, 31)


AMOUNT_TEXTS = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.decimals(min_value=-(10**15), max_value=10**15, places=26).map(str),
    st.floats().map(repr),
    st.sampled_from([*AMOUNTS, *BAD_AMOUNTS, "", "NULL"]),
    st.from_regex(r"[+-]?[0-9]{0,3}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,2})?", fullmatch=True),
)


def _exact(text: str) -> Decimal | None:
    try:
        return money.parse(text.strip())
    except ValueError:
        return None


@settings(max_examples=15)
@given(
    texts=st.lists(AMOUNT_TEXTS, min_size=1, max_size=40),
    kind=st.sampled_from(["csv", "parquet"]),
    seed=st.integers(0, 99),
)
def test_no_row_and_no_digit_is_lost_whatever_the_amounts(texts, kind, seed, tmp_path_factory):
    """Rows in the file = charges + rejects, each with its exact amount, in any order of the rows."""
    tmp = tmp_path_factory.mktemp("bill")
    table = rows({"BilledCost": "1"}, *({"BilledCost": text} for text in texts))
    amounts = [value for row in table if (value := _exact(row["BilledCost"])) is not None]
    assume(sum(map(abs, amounts)) < Decimal(10) ** 14)
    kept = Counter(amounts)
    write = {"csv": to_csv, "parquet": to_parquet}[kind]
    for name in ("a", "b"):
        delivery = take(write(tmp / f"{name}.{kind}", table), tmp)
        assert Counter(row["billed_cost"] for row in charges(delivery)) == kept
        assert len(rejects(delivery)) == len(table) - kept.total()
        random.Random(seed).shuffle(table)
