"""AWS's exports of others: public samples of its Cost and Usage Report, and the shape of its own FOCUS export."""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from datetime import datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bills import charges, refused, rejects, tags, take

COSTS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")


def test_aws_own_focus_export_is_read_as_focus(tmp_path):
    """Its Parquet: costs as doubles, moments in milliseconds, maps for tags and discounts, an issuer that may be null."""
    text = pa.map_(pa.string(), pa.string())
    start, end = datetime(2026, 9, 1), datetime(2026, 10, 1)
    times = {"BillingPeriodStart": start, "BillingPeriodEnd": end, "ChargePeriodStart": start, "ChargePeriodEnd": end}
    double = {"BilledCost": 0.1, "EffectiveCost": 0.30000000000000004, "ListCost": 0.5, "ContractedCost": 4e-07}
    words = {"BillingAccountId": "000123456789", "SubAccountId": "000000000042", "BillingCurrency": "USD"}
    words |= {"ChargeCategory": "Usage", "ProviderName": "AWS", "PublisherName": "AWS", "x_ServiceCode": "AmazonEC2"}
    words |= {"InvoiceIssuerName": None, "InvoiceId": "1234567890", "x_Operation": "RunInstances", "SkuId": None}
    columns: dict[str, Any] = {name: pa.array([value], pa.timestamp("ms")) for name, value in times.items()}
    columns |= {name: pa.array([value], pa.float64()) for name, value in double.items()}
    columns |= {name: pa.array([value], pa.string()) for name, value in words.items()}
    columns["Tags"] = pa.array([[("owner", "web"), ("aws:createdBy", "ann")]], text)
    columns["x_Discounts"] = pa.array([[("EdpDiscount", -0.1)]], pa.map_(pa.string(), pa.float64()))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    delivery = take("a.parquet", tmp_path, format="auto", columns=frozenset({"x_ServiceCode", "x_Discounts"}))
    [charge] = charges(delivery)
    assert delivery.version == "1.2"
    assert [charge[name] for name in COSTS] == [
        Decimal(str(double[n])) for n in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
    ]
    assert (charge["billing_period_start"], charge["billing_period"]) == (start, "2026-09")
    assert (charge["invoice_issuer_name"], charge["service_provider_name"]) == (None, "AWS")
    assert (charge["x_service_code"], charge["x_discounts"]) == ("AmazonEC2", '{"EdpDiscount":-0.1}')
    assert tags(delivery) == ['{"aws:createdBy":"ann","owner":"web"}']
    assert not delivery.gaps


# Rows and billed cost by category, of the public samples.
SAMPLES = {
    "koku/koku_aws_2022-07-01-alt-columns.csv": (2, {"Usage": "0"}),
    "koku/koku_aws_2023-06-01.csv": (3, {"Usage": "30"}),
    "koku/koku_local_cur_13380.csv.gz": (13_380, {"Usage": "143227.763678187615017991050"}),
    "nise_generated/aws_legacy_cur_October-2026-None-*.csv.gz": (243_288, {"Usage": "2342729.3356788005804831450626"}),
}


def sums(paths: list[Path]) -> tuple[int, dict[tuple[str, str], Decimal], dict[tuple[str, str], Decimal]]:
    """Rows, and what is billed and amortised by account and currency, with csv and Decimal only."""
    billed, effective = (defaultdict(Decimal) for _ in range(2))
    counted = 0
    for path in paths:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        at = {re.sub("[/_]", "", name).lower(): place for place, name in enumerate(header)}
        for row in rows:
            key = (row[at["lineitemusageaccountid"]], row[at["lineitemcurrencycode"]])
            covered = row[at["lineitemlineitemtype"]] == "SavingsPlanCoveredUsage"
            billed[key] += Decimal(row[at["lineitemunblendedcost"]])
            name = "savingsplansavingsplaneffectivecost" if covered else "lineitemunblendedcost"
            effective[key] += Decimal(row[at[name]])
        counted += len(rows)
    return counted, billed, effective


@pytest.mark.parametrize("name", SAMPLES)
def test_public_samples_tie_to_the_last_digit(name, sample_data, tmp_path):
    """Every row is a charge, billed with its unblended cost; covered usage costs what its savings plan says."""
    rows, categories = SAMPLES[name]
    with localcontext(prec=60):
        counted, billed, effective = sums(sorted((sample_data / "billing").glob(name)))
    delivery = take(sample_data / "billing" / name, tmp_path, format="auto")
    found = pq.read_table(delivery.charges).group_by(["sub_account_id", "billing_currency", "charge_category"])
    totals = found.aggregate([("billed_cost", "sum"), ("effective_cost", "sum")]).to_pylist()
    assert (counted, sum(f.rows for f in delivery.files), sum(f.rejected for f in delivery.files)) == (rows, rows, 0)
    assert {(t["sub_account_id"], t["billing_currency"]): t["billed_cost_sum"] for t in totals} == billed
    assert {(t["sub_account_id"], t["billing_currency"]): t["effective_cost_sum"] for t in totals} == effective
    by_category: dict[str, Decimal] = defaultdict(Decimal)
    with localcontext(prec=60):
        for total in totals:
            by_category[total["charge_category"]] += total["billed_cost_sum"]
    assert by_category == {category: Decimal(cost) for category, cost in categories.items()}


def test_a_sample_whose_rows_dont_fit_its_header_is_rejected_row_by_row(sample_data, tmp_path):
    """Its header has a column more than its rows: which one, nobody can say."""
    delivery = take(sample_data / "billing/koku/koku_test_cur.csv", tmp_path, format="auto")
    assert {(r["code"], r["reason"]) for r in rejects(delivery)} == {("B044", "has 130 fields, the header has 131")}
    assert len(rejects(delivery)) == 19


def test_a_report_of_a_header_only_is_no_bill(sample_data, tmp_path):
    path = sample_data / "billing/koku/koku_aws_empty_frame.csv"
    [said] = refused(path, tmp_path, format="auto")
    assert "B023 holds no charge" in said
