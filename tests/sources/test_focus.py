"""FOCUS files of every version, type and spelling become the same charges, exactly."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from governor import money, tables
from governor.sources.billing.focus import CAME_WITH, detect
from governor.sources.billing.layout import fold
from tests.bills import ROW, charges, first, refused, rejects, rows, tags, take, to_csv, to_parquet

VERSIONS = {
    "1.0": {},
    "1.1": {"SkuMeter": "m"},
    "1.2": {"SkuMeter": "m", "InvoiceId": "i"},
    "1.3": {"InvoiceId": "i", "ProviderName": "AWS", "ServiceProviderName": "AWS", "AllocatedTags": ""},
    "1.4": {"InvoiceId": "i", "ServiceProviderName": "AWS"},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_told_from_the_columns(version, tmp_path):
    """Files don't say their version; it is inferred, said, and explained."""
    delivery = take(to_csv(tmp_path / "b.csv", rows(VERSIONS[version])), tmp_path)
    assert delivery.version == version
    assert f"FOCUS {version}" in delivery.why
    assert delivery.files[0].version == version


def test_every_column_that_came_with_a_version_tells_it():
    for version, names in CAME_WITH:
        for name in names:
            older = [] if name == "ServiceProviderName" else ["servicename"]
            assert detect([fold(name), "providername", *older])[0] == version


def test_a_preview_file_is_refused_by_name(tmp_path):
    [said] = refused(to_csv(tmp_path / "b.csv", rows({"ChargeSubcategory": "On-Demand"})), tmp_path)
    assert said.startswith("b.csv:1:1 B014 is FOCUS 1.0-preview")


def test_the_written_tables_follow_the_contract(tmp_path):
    delivery = take(to_csv(tmp_path / "b.csv", rows({})), tmp_path, columns=frozenset({"x_Team", "SkuMeter"}))
    for path, contract in ((delivery.tag_sets, tables.TAG_SETS), (delivery.rejects, tables.REJECTS)):
        described = duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
        assert [(name, kind) for name, kind, *_ in described] == [(c.name, c.type) for c in contract]
    expected = [(c.name, c.type) for c in tables.CHARGES if c.core or c.name == "sku_meter"]
    described = duckdb.sql(f"DESCRIBE SELECT * FROM '{delivery.charges}'").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [*expected, ("x_team", "VARCHAR")]
    assert {"x_team", "sku_meter", "resource_id"} <= delivery.missing
    assert not {"billed_cost", "tag_set"} & delivery.missing


@pytest.mark.parametrize("spell", [str.lower, str.upper, tables.snake, lambda n: tables.snake(n).replace("_", " ")])
def test_column_names_are_matched_in_any_spelling(spell, tmp_path):
    """Athena lower-cases, dbt writes snake_case, people write spaces; a BOM may stand in front."""
    path = to_csv(tmp_path / "b.csv", [{spell(name): value for name, value in ROW.items()}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert first(take(path, tmp_path), "effective_cost") == Decimal("1.5")


def test_names_that_fold_to_one_are_refused(tmp_path):
    [said] = refused(to_csv(tmp_path / "b.csv", rows({"billed_cost": "9"})), tmp_path)
    assert said.startswith("b.csv:1:1 B012 has the column BilledCost 2 times: 'BilledCost', 'billed_cost'")


def test_unknown_columns_are_ignored_unless_a_policy_names_them(tmp_path):
    path = to_csv(tmp_path / "b.csv", rows({"x_UsageType": "BoxUsage", "oci_ref": "r", "Id": "5", "x_usage-type2": ""}))
    assert "x_usage_type" not in charges(take(path, tmp_path))[0]
    kept = charges(take(path, tmp_path, columns=frozenset({"x_UsageType"})))[0]
    assert kept["x_usage_type"] == "BoxUsage"
    assert "oci_ref" not in kept


RENAMED = [
    ({"ProviderName": "AWS"}, "service_provider_name", "AWS"),
    ({"Provider": "Oracle"}, "service_provider_name", "Oracle"),
    ({"ProviderName": "AWS", "ServiceProviderName": "Amazon"}, "service_provider_name", "Amazon"),
    ({"ProviderName": "AWS", "ServiceProviderName": ""}, "service_provider_name", "AWS"),
    ({"InvoiceIssuer": "Oracle"}, "invoice_issuer_name", "Oracle"),
    ({"Region": "us-ashburn-1"}, "region_id", "us-ashburn-1"),
    ({"PublisherName": "Red Hat"}, "host_provider_name", None),
]


@pytest.mark.parametrize(("given_", "name", "value"), RENAMED)
def test_renamed_columns_are_read_and_a_publisher_is_no_host(given_, name, value, tmp_path):
    assert first(take(to_csv(tmp_path / "b.csv", rows(given_)), tmp_path), name) == value


def test_files_of_several_versions_and_kinds_make_one_delivery(tmp_path):
    """Columns that appear later, in another order, in Parquet or CSV: each file is read by its own header."""
    bill = tmp_path / "bill" / "BILLING_PERIOD=2026-09"
    to_csv(bill / "a.csv", rows({}))
    reordered = [dict(reversed(list((ROW | {"InvoiceId": "INV"}).items())))]
    to_csv(bill / "b.csv", reordered)
    to_parquet(bill / "c.parquet", rows({"BilledCost": Decimal("3.1")}), BilledCost=pa.decimal128(18, 10))
    (bill / "d.csv.gz").write_bytes(gzip.compress(to_csv(tmp_path / "d.csv", rows({"BilledCost": "4"})).read_bytes()))
    (bill / "_SUCCESS").touch()
    (bill / "manifest.json").write_text("{}")
    delivery = take("bill", tmp_path)
    assert [
        (row["file"], row["row"], str(row["billed_cost"].normalize()), row["invoice_id"]) for row in charges(delivery)
    ] == [
        (0, 1, "1.25", None),
        (1, 1, "1.25", "INV"),
        (2, 1, "3.1", None),
        (3, 1, "4", None),
    ]
    assert delivery.version == "1.0, 1.2"
    assert [f.path.rpartition("/")[2] for f in delivery.files] == ["a.csv", "b.csv", "c.parquet", "d.csv.gz"]
    assert "left aside, not data: bill/BILLING_PERIOD=2026-09/_SUCCESS" in delivery.why
    assert "manifest.json" in delivery.why


@pytest.mark.parametrize("path", ["bill", "bill/", "bill/*.csv", "b*/**/*.csv", "{absolute}"])
def test_a_source_is_a_file_a_folder_or_a_glob(path, tmp_path):
    to_csv(tmp_path / "bill" / "a.csv", rows({}))
    assert len(charges(take(path.format(absolute=tmp_path / "bill" / "a.csv"), tmp_path))) == 1


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
    cost = Decimal("1.25") if column == "EffectiveCost" else Decimal("1.50")
    assert gap.cost == cost * len(BAD_AMOUNTS)


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


ENUMS = [
    ("ChargeCategory", "usage", "Usage"),
    ("ChargeCategory", "Others", "Others"),
    ("ChargeFrequency", "Usage-based", "Usage-Based"),
    ("ChargeFrequency", "onetime", "One-Time"),
    ("ChargeClass", "CORRECTION", "Correction"),
    ("PricingCategory", "On-Demand", "On-Demand"),
    ("PricingCategory", "committed", "Committed"),
    ("CommitmentDiscountStatus", "unused", "Unused"),
]


@pytest.mark.parametrize(("name", "given_", "kept"), ENUMS)
def test_closed_lists_get_focus_spelling_and_unknown_values_stay(name, given_, kept, tmp_path):
    assert first(take(to_csv(tmp_path / "b.csv", rows({name: given_})), tmp_path), tables.snake(name)) == kept


def test_equal_rows_are_all_kept(tmp_path):
    assert len(charges(take(to_csv(tmp_path / "b.csv", rows({}, {}, {})), tmp_path))) == 3


def test_defaults_fill_missing_columns_and_empty_fields(tmp_path):
    """By FOCUS name; a file that says something is never overruled."""
    table = [
        {k: v for k, v in row.items() if k != "EffectiveCost"}
        for row in rows({"BillingCurrency": ""}, {"BillingCurrency": "EUR"})
    ]
    delivery = take(
        to_csv(tmp_path / "b.csv", table),
        tmp_path,
        defaults={"EffectiveCost": "0", "BillingCurrency": "USD", "InvoiceId": "I-1"},
    )
    assert [(r["effective_cost"], r["billing_currency"], r["invoice_id"]) for r in charges(delivery)] == [
        (Decimal(0), "USD", "I-1"),
        (Decimal(0), "EUR", "I-1"),
    ]
    assert not {"effective_cost", "invoice_id"} & delivery.missing
    assert delivery.gaps == ()


@pytest.mark.parametrize("name", [c.note for c in tables.FOCUS if c.required])
def test_a_missing_mandatory_column_is_refused_with_its_name(name, tmp_path):
    table = [{key: value for key, value in ROW.items() if key != name}]
    [said] = refused(to_csv(tmp_path / "b.csv", table), tmp_path)
    assert said.startswith(f"b.csv B015 has no column {name}")
    assert f"`defaults: {{{name}: …}}`" in said


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("BiledCost", "1", "did you mean BilledCost?"),
        ("BilledCost", "1,5", "the amount is formatted by a spreadsheet"),
        ("BillingPeriodStart", "x", "isn't"),
    ],
)
def test_a_default_that_cant_be_is_refused(name, value, what, tmp_path):
    [said] = refused(to_csv(tmp_path / "b.csv", rows({})), tmp_path, defaults={name: value})
    assert said.startswith("governor.yaml:7:5 B017")
    assert what in said


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


TAGS = {
    '{"b": "2", "a": "1"}': '{"a":"1","b":"2"}',
    '{" org": "x", "org": "y"}': '{" org":"x","org":"y"}',
    '{"n": 1.50, "t": true, "f": false, "z": null}': '{"f":"false","n":"1.50","t":"true","z":""}',
    '{"o": {"k": [1, "ü", {}]}}': '{"o":"{\\"k\\":[1,\\"ü\\",{}]}"}',
    '{"k": "<script>\\n\\"x\\""}': '{"k":"<script>\\n\\"x\\""}',
    '{"a.b/c\\\\d": "e"}': '{"a.b/c\\\\d":"e"}',
    "": "{}",
    "NULL": "{}",
    "null": "{}",
    "{}": "{}",
    "[]": "{}",
    '[{"key": "a", "value": "1"}]': '{"a":"1"}',
    '[{"Key": "a", "Value": null}]': '{"a":""}',
    '[{"key":"a","value":"up","x_inherited":true},{"key":"a","value":"own","x_inherited":false}]': '{"a":"own"}',
    '"a": "b","c": "d"': '{"a":"b","c":"d"}',
    '{"a": "", "a": "1"}': '{"a":"1"}',
    "{'a': 'b'}": None,
    '{"a": "b",}': None,
    '{"a": "b"': None,
    '{"a": NaN}': None,
    '"a"': None,
    "a=b": None,
    "5": None,
    '["a"]': None,
    '{"a": "\\ud800"}': None,
    "[" * 100_000: None,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tags_in_every_notation_become_one_form_and_unreadable_is_not_untagged(kind, tmp_path):
    table = rows(*({"Tags": text} for text in TAGS))
    path = to_csv(tmp_path / "b.csv", table) if kind == "csv" else to_parquet(tmp_path / "b.parquet", table)
    delivery = take(path, tmp_path)
    assert tags(delivery) == list(TAGS.values())
    for held in pq.read_table(delivery.tag_sets).to_pylist():
        assert held["tags"] == list(json.loads(held["text"]).items())
    unread = sum(value is None for value in TAGS.values())
    [gap] = delivery.gaps
    assert (gap.reason, gap.rows, gap.cost, gap.currency) == ("unreadable_tags", unread, Decimal("1.5") * unread, "USD")


STRUCT = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string()), ("x_inherited", pa.bool_())]))
TYPED_TAGS = [
    (pa.map_(pa.string(), pa.string()), [("b", "2"), ("a", None)], '{"a":"","b":"2"}'),
    (pa.map_(pa.string(), pa.string()), [], "{}"),
    (pa.map_(pa.string(), pa.string()), None, "{}"),
    (STRUCT, [{"key": "a", "value": "up", "x_inherited": True}, {"key": "a", "value": "own"}], '{"a":"own"}'),
    (STRUCT, None, "{}"),
]


@pytest.mark.parametrize(("kind", "value", "text"), TYPED_TAGS)
def test_tags_as_map_or_list_of_structs_are_read(kind, value, text, tmp_path):
    delivery = take(to_parquet(tmp_path / "b.parquet", rows({"Tags": value}), Tags=kind), tmp_path)
    assert tags(delivery) == [text]
    [held] = pq.read_table(delivery.tag_sets).to_pylist()
    assert held["tags"] == list(json.loads(text).items())


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.string(), '{"a":"1","a":"2"}'), (pa.map_(pa.string(), pa.string()), [("a", "1"), ("a", "2")])],
)
def test_a_key_with_two_values_counts_with_the_first_and_is_said(kind, value, tmp_path):
    delivery = take(to_parquet(tmp_path / "b.parquet", rows({"Tags": value}, {"Tags": None}), Tags=kind), tmp_path)
    assert tags(delivery) == ['{"a":"1"}', "{}"]
    assert [(g.reason, g.rows, g.cost) for g in delivery.gaps] == [("duplicate_tag_keys", 1, Decimal("1.5"))]


def test_allocated_tags_override_the_tags_of_a_split_row(tmp_path):
    split = {"Tags": '{"owner":"a","env":"p"}', "AllocatedTags": '{"owner":"b","ns":"x"}', "AllocatedMethodId": "m"}
    delivery = take(to_csv(tmp_path / "b.csv", rows(split, split | {"AllocatedTags": ""})), tmp_path)
    assert tags(delivery) == ['{"env":"p","ns":"x","owner":"b"}', '{"env":"p","owner":"a"}']


def test_a_file_without_tags_is_unread_not_untagged(tmp_path):
    bare = [{name: value for name, value in ROW.items() if name != "Tags"}]
    to_csv(tmp_path / "bill" / "a.csv", bare)
    to_csv(tmp_path / "bill" / "b.csv", rows({"Tags": ""}))
    delivery = take("bill", tmp_path)
    assert tags(delivery) == [None, "{}"]
    [gap] = delivery.gaps
    assert (gap.scope, gap.reason, gap.rows, gap.cost) == ("Tags", "missing_column", 1, Decimal("1.5"))
    assert "bill/a.csv" in gap.detail
    assert "tag_set" not in delivery.missing
    assert "tag_set" in take("bill/a.csv", tmp_path).missing


def test_sources_with_several_currencies_keep_their_gaps_apart(tmp_path):
    table = rows({"BilledCost": "x"}, {"BilledCost": "x", "BillingCurrency": "EUR"}, {})
    delivery = take(to_csv(tmp_path / "b.csv", table), tmp_path)
    assert [(g.currency, g.rows, g.cost) for g in delivery.gaps] == [
        ("EUR", 1, Decimal("1.5")),
        ("USD", 1, Decimal("1.5")),
    ]


def test_the_bytes_depend_on_neither_threads_nor_anything_else(tmp_path):
    table = rows(
        *(
            {"Tags": f'{{"k":"{n % 97}"}}', "BilledCost": str(n / 7), "ChargeDescription": "x" * (n % 50)}
            for n in range(9_000)
        )
    )
    for at in range(3):
        to_csv(tmp_path / "bill" / f"{at}.csv", table[at * 3_000 : (at + 1) * 3_000])
        to_parquet(tmp_path / "bill" / f"{at}.parquet", table[at * 3_000 : (at + 1) * 3_000])
    made = [take("bill", tmp_path, threads=threads) for threads in (1, 2, 5)]
    for name in ("charges", "tag_sets", "rejects"):
        assert len({getattr(delivery, name).read_bytes() for delivery in made}) == 1


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


FIELD = st.text(st.sampled_from('ab,"\n\r; é\u2028'), max_size=6)


@settings(max_examples=25)
@given(
    fields=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_csv_fields_are_read_as_pythons_reader_reads_them(fields, end, quoting, tmp_path_factory):
    """Quotes, delimiters and line ends within fields: the fast and the slow reader agree with the standard library."""
    assume(quoting == csv.QUOTE_ALL or not any("\r" in a + b for a, b in fields))  # the writer doesn't quote it
    tmp = tmp_path_factory.mktemp("bill")
    table = rows(*({"ChargeDescription": a, "ServiceName": b} for a, b in fields))
    path = to_csv(tmp / "b.csv", table, lineterminator=end, quoting=quoting)
    expected = [
        (r["ChargeDescription"] or None, r["ServiceName"] or None)
        for r in csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    ]
    got = [(row["charge_description"], row["service_name"]) for row in charges(take(path, tmp))]
    assert got == expected


# --- bills that nobody here wrote ---------------------------------------------------------------------------------------

SPEC_COMMITMENT = {"BillingCurrency": "USD"}
SPEC = {  # the smallest options that read each example of the specification
    "commitment_discount_*.csv": {"defaults": SPEC_COMMITMENT},
    "one_hundred_percent_*.csv": {"defaults": SPEC_COMMITMENT},
    "zero_percent_*.csv": {"defaults": SPEC_COMMITMENT},
    "saas_spend_*.csv": {"dates": "%m/%d/%y"},
    "virtual_currency_*.csv": {"dates": "%m/%d/%y"},
    "simple_saas_*.csv": {"dates": "%m/%d/%y", "numbers": "us"},
}


def _sums(path: Path) -> dict[str, Decimal]:
    """The two costs of a CSV file, added up by the standard library."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    clean = [
        {name: row[name].strip(" $").replace(",", "") for name in ("BilledCost", "EffectiveCost")} for row in table
    ]
    return {
        name: sum((Decimal(row[name]) for row in clean), Decimal(0)) for name in ("BilledCost", "EffectiveCost")
    } | {"rows": Decimal(len(table))}


def _delivered(delivery) -> dict[str, Decimal]:
    """What charges hold, and what the file holds of rejected rows."""
    table = charges(delivery)
    return {
        "BilledCost": sum((row["billed_cost"] for row in table), Decimal(0)),
        "EffectiveCost": sum((row["effective_cost"] for row in table), Decimal(0)),
        "rows": Decimal(len(table)),
    }


@pytest.mark.parametrize("pattern", SPEC)
def test_the_specifications_examples_are_read_to_the_last_cent(pattern, sample_data, tmp_path):
    found = sorted((sample_data / "billing" / "focus_spec_saas").glob(pattern))
    assert found
    for path in found:
        delivery = take(path, tmp_path, **SPEC[pattern])
        bad = rejects(delivery)
        expected = _sums(path)
        got = _delivered(delivery)
        # two examples hold a charge period that ends at hour 30: those rows are set aside, with their cost
        assert {r["value"] for r in bad} <= {"2023-02-01T30:00:00Z"}
        assert got["rows"] + len(bad) == expected["rows"]
        assert got["EffectiveCost"] + sum((r["cost"] for r in bad), Decimal(0)) == expected["EffectiveCost"]
        if not bad:
            assert got == expected


@pytest.mark.parametrize("folder", ["focus_sample_1.0", "focus_data_toolkit"])
def test_real_and_foreign_bills_are_read_to_the_last_digit(folder, sample_data, tmp_path):
    """The public sample of real FOCUS 1.0 rows, and the bills of another project's generator."""
    for path in sorted((sample_data / "billing" / folder).iterdir()):
        delivery = take(path, tmp_path)
        assert _delivered(delivery) == _sums(path)
        assert rejects(delivery) == []
        assert delivery.gaps == ()
