"""Google Cloud's exports, standard, detailed and FOCUS, become charges that add up to cost and credits."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governor.sources.billing import FORMATS
from governor.sources.billing.gcp import month_start
from governor.sources.billing.nested import decode
from tests.bills import charges, refused, rejects, tags, take, to_csv

CASES = Path(__file__).parent.parent / "cases/billing/gcp"
KEYS = ("charge_category", "charge_class", "billing_period", "pricing_category", "commitment_discount_category")


def records(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def standard(**changes: str) -> list[dict[str, str]]:
    """The first row of the case, with changes by column name (`__` for a dot)."""
    return [records(CASES / "standard.csv")[0] | {name.replace("__", "."): value for name, value in changes.items()}]


def table_of_detailed() -> pa.Table:
    """The detailed case as BigQuery writes it to Parquet: structs, lists of structs, doubles."""
    lines = [json.loads(line) for line in (CASES / "detailed.jsonl").read_text().splitlines()]
    text = pa.string()
    pair = pa.list_(pa.struct([("key", text), ("value", text)]))
    credit = pa.struct([("name", text), ("amount", pa.float64()), ("full_name", text), ("id", text), ("type", text)])
    types = {
        "labels": pair,
        "system_labels": pair,
        "tags": pa.list_(pa.struct([("key", text), ("value", text), ("inherited", pa.bool_()), ("namespace", text)])),
        "credits": pa.list_(credit),
        "adjustment_info": pa.struct([("mode", text), ("type", text)]),
        "seller_name": text,
    }
    return pa.table({name: pa.array([line[name] for line in lines], types.get(name)) for name in lines[0]})


def test_every_kind_of_row_becomes_what_the_case_says(tmp_path):
    """Discounts lower their row, grants and unknown credits stand apart, and nothing is lost."""
    delivery = take(CASES / "standard.csv", tmp_path, format="gcp", columns=frozenset({"CommitmentDiscountCategory"}))
    expected = records(CASES / "standard.expected.csv")
    found = [charge | {"tags": tag} for charge, tag in zip(charges(delivery), tags(delivery), strict=True)]
    found.sort(key=lambda charge: (charge["row"], charge["charge_category"] == "Credit"))
    assert len(found) == len(expected)
    for charge, row in zip(found, expected, strict=True):
        assert charge["row"] == int(row["row"])
        assert {key: charge[key] or "" for key in (*KEYS, "tags")} == {key: row[key] for key in (*KEYS, "tags")}, row
        assert (charge["sub_account_id"] or "") == row["sub_account_id"]
        for cost in ("billed_cost", "contracted_cost", "list_cost"):
            assert charge[cost] == (Decimal(row[cost]) if row[cost] else None), (row, cost)
        assert charge["effective_cost"] == charge["billed_cost"]
    assert [(r["row"], r["column"], r["code"]) for r in rejects(delivery)] == [
        (17, "credits", "B193"),
        (18, "credits", "B193"),
        (19, "invoice_month", "B192"),
        (20, "cost", "B040"),
    ]
    assert [(gap.reason, gap.rows) for gap in delivery.gaps] == [("rejected_rows", 4), ("rounded_double", 1)]


def test_a_billing_period_is_a_month_of_los_angeles(tmp_path):
    """Winter time begins within November and summer time within March: never on a first."""
    months = ("202602", "202603", "202604", "202611", "202612")
    to_csv(tmp_path / "a.csv", [standard(invoice__month=month)[0] for month in months])
    found = charges(take("a.csv", tmp_path, format="gcp"))
    assert [(c["billing_period_start"].hour, c["billing_period_end"].hour) for c in found] == [
        (8, 8),
        (8, 7),
        (7, 7),
        (7, 8),
        (8, 8),
    ]
    assert found[4]["billing_period_end"] == datetime(2027, 1, 1, 8) == month_start(2027, 1)
    assert [c["billing_period"].replace("-", "") for c in found] == list(months)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_detailed_export_is_read_from_json_lines_and_from_parquet_alike(kind, tmp_path):
    """Nested records are taken apart; a double is its shortest decimal; a grant beside a discount is parted from it."""
    if kind == "parquet":
        pq.write_table(table_of_detailed(), tmp_path / "a.parquet")
    else:
        (tmp_path / "a.jsonl").write_bytes((CASES / "detailed.jsonl").read_bytes())
    wanted = frozenset({"ContractedUnitPrice", "ConsumedQuantity", "x_project_number", "x_price_tier_start_amount"})
    delivery = take(f"a.{kind}", tmp_path, format="auto", columns=wanted)
    assert delivery.why == f"1 file is Google Cloud usage cost export detailed (a.{kind}): it has columns of resources"
    found = sorted(charges(delivery), key=lambda c: (c["row"], c["charge_category"] == "Credit"))
    assert [(c["row"], c["charge_category"], c["billed_cost"]) for c in found] == [
        (1, "Usage", Decimal("0.20000000000000004")),
        (1, "Credit", Decimal("-1e-7")),
        (2, "Usage", Decimal("0.30000000000000004")),
        (3, "Purchase", Decimal("0.30000000000000004")),
    ]
    usage, credit, sold, fee = found
    assert usage["resource_id"].endswith("/instances/4711")
    assert (usage["resource_type"], usage["resource_name"]) == ("compute.googleapis.com/instances", "web-1")
    assert (usage["consumed_quantity"], credit["consumed_quantity"]) == (3600, None)
    assert (usage["x_project_number"], usage["x_price_tier_start_amount"]) == ("000123456789", "0")
    assert usage["list_cost"] == Decimal("0.31")
    assert (sold["resource_id"], sold["host_provider_name"]) == ("job-9", None), "another host's, sold by Google"
    assert (fee["commitment_discount_id"], fee["charge_frequency"]) == ("b8c1-77", "Recurring")
    assert set(tags(delivery)) == {'{"cost-center":"cc-web"}'}


@pytest.mark.parametrize("spell", [lambda n: n.replace(".", "_"), lambda n: n.replace(".", " ").title(), str.upper])
def test_column_names_are_matched_with_dots_underscores_or_spaces(spell, tmp_path):
    to_csv(tmp_path / "a.csv", [{spell(name): value for name, value in standard()[0].items()}])
    [charge] = charges(take("a.csv", tmp_path, format="auto"))
    assert (charge["billed_cost"], charge["sub_account_id"]) == (Decimal("0.1"), "shop-prod")


def test_an_amount_finer_than_a_double_is_refused_not_rounded(tmp_path):
    """Only what a double can be is rounded to 24 digits, and said; an exact amount that is too fine is rejected."""
    to_csv(tmp_path / "a.csv", [*standard(cost="0.1234567890123456789012345"), *standard(cost="1e-30")])
    delivery = take("a.csv", tmp_path, format="gcp")
    assert [(r["row"], r["code"]) for r in rejects(delivery)] == [(1, "B041")]
    assert [g.rows for g in delivery.gaps if g.reason == "rounded_double"] == [1]


@pytest.mark.parametrize(
    "given",
    [
        "[{'amount': -1.5, 'type': __import__('os')}]",
        "[{'amount': -1.5} {'amount': 1}]",
        "[{'amount': [x for x in y]}]",
        '{"amount": -1}',
        '[{"type": "DISCOUNT", "amount": NaN}]',
        "[{'type': 'DISCOUNT', 'amount': 'much'}]",
        "[{'a': " + "[" * 5000,
        '["DISCOUNT"]',
    ],
)
def test_credits_that_cant_be_read_reject_their_row(given, tmp_path):
    """A cost without its credits is not what is billed; and nothing in a bill is ever run."""
    to_csv(tmp_path / "a.csv", [*standard(credits=given), *standard()])
    delivery = take("a.csv", tmp_path, format="gcp")
    assert [(r["row"], r["code"], r["cost"]) for r in rejects(delivery)] == [(1, "B193", None)]
    assert [c["row"] for c in charges(delivery)] == [2]


def test_a_list_as_python_prints_it_keeps_its_numbers():
    text = "[{'name': \"it's\", 'amount': -1.10e-05, 'id': None, 'n': Decimal('0.1234567890123456789012'), 'ü': 2}]"
    assert decode(text) == [
        [("name", "it's"), ("amount", "-1.10e-05"), ("id", None), ("n", "0.1234567890123456789012"), ("ü", "2")]
    ]


def test_unnested_rows_are_refused(tmp_path):
    """One row a credit repeats the cost in each of them."""
    to_csv(tmp_path / "a.csv", [{**standard()[0], "credits.amount": "-1"}])
    [said] = refused("a.csv", tmp_path, format="auto")
    assert said.startswith("a.csv:1:1 B191 has credits.amount as columns: the rows were unnested")


def test_a_file_without_credits_or_invoice_month_is_refused(tmp_path):
    row = {k: v for k, v in standard()[0].items() if k not in ("credits", "invoice.month")}
    to_csv(tmp_path / "a.csv", [row])
    assert [said.split(":")[2][:27] for said in refused("a.csv", tmp_path, format="gcp")] == [
        "1 B190 has no column invoic",
        "1 B190 has no column credit",
    ]
    to_csv(tmp_path / "b.csv", [{**standard()[0], "invoice_month": "202609"}])
    [said] = refused("b.csv", tmp_path, format="gcp")
    assert "B012 has the column invoice.month 2 times" in said


def test_the_standard_and_the_detailed_export_of_one_account_and_month_are_refused(tmp_path):
    """Both tell the same charges. Another month, or another account, may come in the other export."""
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills/detailed.jsonl").write_bytes((CASES / "detailed.jsonl").read_bytes())
    to_csv(tmp_path / "bills/standard.csv", standard())
    [said] = refused("bills", tmp_path, format="gcp")
    assert said == (
        "bills/standard.csv B194 is a standard Google Cloud usage cost export of billing account 01AB23-CD45EF-678901 "
        "for 2026-09, and bills/detailed.jsonl is a detailed one of the same: its charges would count twice; "
        "keep one of the two in this source"
    )
    to_csv(tmp_path / "bills/standard.csv", standard(invoice__month="202608"))
    assert len(charges(take("bills", tmp_path, format="gcp"))) == 5


def test_googles_focus_view_is_read_as_google_means_it(tmp_path):
    """The project is the sub account, the period's last day is part of it, and system labels are no tags."""
    delivery = take(CASES / "focus_view.csv", tmp_path, format="auto")
    found = charges(delivery)
    assert [(c["sub_account_id"], c["sub_account_name"]) for c in found] == [
        ("shop-prod", "Shop"), ("shop-prod", "Shop"), (None, None), ("shop-prod", "Shop"), ("shop-prod", "Shop"),
    ]  # fmt: skip
    october, december = datetime(2026, 10, 1, 7), datetime(2026, 12, 1, 8)
    assert [c["billing_period_end"] for c in found] == [october, october, october, december, october]
    assert [c["billing_period"] for c in found] == ["2026-09"] * 3 + ["2026-11", "2026-09"]
    assert [c["charge_category"] for c in found] == ["Usage", "Usage", "Tax", "Usage", "Usage"]
    assert (found[1]["charge_class"], found[1]["pricing_category"]) == ("Correction", "Committed")
    assert Counter(tags(delivery)) == {'{"env":"web","owner":"a"}': 4, "{}": 1}
    assert not [gap for gap in delivery.gaps if gap.reason == "duplicate_tag_keys"]
    assert "x_ columns say that it is Google's" in delivery.why


def test_googles_focus_table_has_its_tags_and_labels_in_lists_of_its_own(tmp_path):
    """The table that Google fills itself has no Tags; its labels are nearer to the resource than its tags."""
    text, at = pa.string(), pa.timestamp("us", "UTC")
    pair = [("Key", text), ("Value", text)]
    tag = pa.list_(pa.struct([*pair, ("x_Inherited", pa.bool_()), ("x_Namespace", text)]))
    money = pa.decimal128(38, 9)
    columns = {
        "BilledCost": pa.array([Decimal("1.5")], money),
        "EffectiveCost": pa.array([Decimal("1.5")], money),
        "BillingAccountId": ["01AB23-CD45EF-678901"],
        "BillingCurrency": ["EUR"],
        "BillingPeriodStart": pa.array([datetime(2026, 9, 1, 7)], at),
        "BillingPeriodEnd": pa.array([datetime(2026, 10, 1, 7)], at),
        "ChargeCategory": ["Usage"],
        "ChargePeriodStart": pa.array([datetime(2026, 9, 2)], at),
        "ProviderName": ["Google Cloud"],
        "SubAccountId": ["shop-prod"],
        "SubAccountName": ["Shop"],
        "x_CostType": ["regular"],
        "x_ExportTime": pa.array([datetime(2026, 9, 3)], at),
        "x_Project": pa.array([{"Id": "shop-prod", "Name": "Shop"}]),
        "x_SubscriptionInstanceId": ["b8c1-77"],
        "x_ProjectLabels": pa.array([[{"Key": "env", "Value": "prod"}, {"Key": "a", "Value": "1"}]], pa.list_(pa.struct(pair))),
        "x_Tags": pa.array([[{"Key": "env", "Value": "t", "x_Inherited": False, "x_Namespace": "8"}]], tag),
        "x_Labels": pa.array([[{"Key": "env", "Value": "web"}]], pa.list_(pa.struct(pair))),
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    delivery = take("a.parquet", tmp_path, format="auto")
    [charge] = charges(delivery)
    assert tags(delivery) == ['{"a":"1","env":"web"}']
    assert (charge["sub_account_id"], charge["commitment_discount_id"]) == ("shop-prod", "b8c1-77")
    assert charge["billing_period_end"] == datetime(2026, 10, 1, 7)


def test_no_two_formats_take_a_header_for_theirs():
    for path in sorted((CASES.parent).rglob("*.csv")):
        if not path.name.endswith(".expected.csv"):
            header = next(csv.reader(path.read_text(encoding="utf-8-sig", errors="replace").splitlines()), [])
            taken = [name for name, one in FORMATS.items() if one.recognise(header)]
            assert len(taken) <= 1, (path, taken)


# Rows; cost; credits; by project, of the public samples: added up with csv and Decimal, apart from what is tested.
def sums(path: Path) -> tuple[int, dict[tuple[str, str, str], Decimal]]:
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    rows = records(path)
    for row in rows:
        key = (row["project.id"], row["currency"], row["invoice.month"])
        found[key] += Decimal(row["cost"])
        found[key] += sum(map(Decimal, re.findall(r"'amount': ([^,]+),", row["credits"])), start=Decimal(0))
    return len(rows), dict(found)


SAMPLES = {
    "koku/koku_gcp_202011_30c31bca571d9b7f3b2c8459dd8bc34a_2020-11-08_2020-11-11.csv": (25, {"Usage": "0.000032", "Credit": "-0.000032"}),
    "koku/koku_gcp_2022-08-01_5.csv": (9, {"Usage": "0.000012"}),
    "nise_generated/gcp_billing_export_1.csv.gz": (8928, {"Usage": "37.79979239074419194048"}),
    "nise_generated/gcp_billing_export_2.csv.gz": (6432, {"Usage": "27.22070975142833596784"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_public_samples_tie_to_the_last_digit(name, sample_data, tmp_path):
    """Every row is a charge, and each project's billed cost is its cost and credits."""
    path = sample_data / "billing" / name
    rows, categories = SAMPLES[name]
    counted, expected = sums(path)
    delivery = take(path, tmp_path, format="auto")
    billed: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    by_category: dict[str, Decimal] = defaultdict(Decimal)
    for charge in charges(delivery):
        key = (charge["sub_account_id"] or "", charge["billing_currency"], charge["billing_period"].replace("-", ""))
        billed[key] += charge["billed_cost"]
        by_category[charge["charge_category"]] += charge["billed_cost"]
    assert (counted, delivery.files[0].rows, delivery.files[0].rejected) == (rows, rows, 0)
    assert billed == expected
    assert by_category == {category: Decimal(cost) for category, cost in categories.items()}
    assert None not in tags(delivery), "labels are JSON in some columns and as Python prints them in others"


@pytest.mark.parametrize("name", ["standard.csv", "focus_view.csv"])
def test_who_sends_the_invoice_is_known_not_to_be_said_until_a_default_says_it(name, tmp_path):
    """A column that Google never has is no gap in what was delivered: a rule judges it, and a default fills it."""
    assert "invoice_issuer_name" not in take(CASES / name, tmp_path, format="auto").missing
    named = take(CASES / name, tmp_path, format="auto", defaults={"InvoiceIssuerName": "Google LLC"})
    assert {charge["invoice_issuer_name"] for charge in charges(named)} == {"Google LLC"}
