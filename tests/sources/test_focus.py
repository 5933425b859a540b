"""FOCUS files of every version, spelling and kind become the same charges; nothing is lost or invented."""

from __future__ import annotations

import csv
import gzip
import io
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from governor import tables
from governor.sources.billing.focus import CAME_WITH, detect
from governor.sources.billing.layout import fold
from tests.bills import ROW, charges, first, refused, rows, take, to_csv, to_parquet

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


def test_sources_with_several_currencies_keep_their_gaps_apart(tmp_path):
    table = rows({"BilledCost": "x"}, {"BilledCost": "x", "BillingCurrency": "EUR"}, {})
    delivery = take(to_csv(tmp_path / "b.csv", table), tmp_path)
    assert [(g.currency, g.rows, g.cost) for g in delivery.gaps] == [
        ("EUR", 1, Decimal("1.5")),
        ("USD", 1, Decimal("1.5")),
    ]


@pytest.mark.parametrize(
    "second", ["v12/data/BILLING_PERIOD=2026-09/b.csv", "v10/data/BILLING_PERIOD=2026-09/run2/a.csv"]
)
def test_two_of_awss_exports_of_one_month_are_refused(second, tmp_path):
    """Such as FOCUS 1.0 and 1.2 beside each other; parts of one, other accounts and other months are no matter."""
    to_csv(tmp_path / "bills/v10/data/BILLING_PERIOD=2026-09/a-1.csv", rows({}))
    to_csv(tmp_path / "bills/v10/data/BILLING_PERIOD=2026-09/a-2.csv", rows({}, {}))
    assert len(charges(take("bills", tmp_path))) == 3
    to_csv(tmp_path / "bills" / second, rows({"SkuMeter": "m"}))
    said = refused("bills", tmp_path)
    assert said
    assert all(" B194 is a bills/v1" in one and "its charges would count twice" in one for one in said)
    for other in ({"BillingAccountId": "9"}, {"BillingPeriodStart": "2026-08-01T00:00:00Z"}):
        to_csv(tmp_path / "bills" / second, rows({"SkuMeter": "m"} | other))
        assert len(charges(take("bills", tmp_path))) == 4


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
