"""Oracle Cloud's cost report and its FOCUS report become charges whose sum is Oracle's own, to the last digit."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from governor.sources.billing.oci import own_name
from tests.bills import charges, refused, rejects, tags, take, to_csv, to_parquet
from tests.project import BY_TAG, charge, judged, paid

CASES = Path(__file__).parent.parent / "cases/billing/oci"
COMPARED = (
    "charge_category",
    "billing_period",
    "billing_currency",
    "resource_type",
    "oci_compartment_name",
    "pricing_unit",
)
BY_COMPARTMENT = BY_TAG.replace(
    "- {id: by-tag, to: tag.cost_center}", "- {id: by-shop, to: \"'A'\", where: \"oci_compartment_name = 'shop'\"}"
)
NO_OVERAGE = """
kind: RulePolicy
id: oracle
title: The commitment is enough
severity: low
remedy: buy more of it
rules: [{id: overage, title: Nothing is overage, assert: oci_overage_flag = 'N'}]
tests:
  - {rule: overage, charge: {oci_OverageFlag: N}, expect: pass}
  - {rule: overage, charge: {oci_OverageFlag: "Y"}, expect: fail}
  - {rule: overage, unread: [oci_overage_flag], expect: unknown}
"""
# What Oracle calls the columns of its FOCUS report, where the converted sample has FOCUS's names.
ORACLES = {"ProviderName": "Provider", "PublisherName": "Publisher", "InvoiceIssuerName": "InvoiceIssuer", "RegionName": "Region", "ConsumedQuantity": "UsageQuantity", "ConsumedUnit": "UsageUnit", "ChargeClass": "ChargeSubcategory"}  # fmt: skip


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def report(number: int = 1, **changes: str) -> dict[str, str]:
    """A row of the case, with changes by the last part of a column's name."""
    row = records(CASES / "cost_report.csv")[number - 1]
    return row | {next(name for name in row if name.endswith("/" + key)): value for key, value in changes.items()}


def test_every_kind_of_row_becomes_what_the_case_says(tmp_path):
    """Overage is part of the cost, corrections count as they stand, what is attributed to databases isn't added."""
    delivery = take(
        CASES / "cost_report.csv", tmp_path, format="oci", columns=frozenset({"oci_compartment_name", "PricingUnit"})
    )
    expected = records(CASES / "cost_report.expected.csv")
    found = [one | {"tags": tag} for one, tag in zip(charges(delivery), tags(delivery), strict=True)]
    assert [one["row"] for one in found] == [int(row["row"]) for row in expected], "equal rows stay two rows"
    for one, row in zip(found, expected, strict=True):
        assert {key: one[key] or "" for key in (*COMPARED, "tags")} == {key: row[key] for key in (*COMPARED, "tags")}
        for cost in ("billed_cost", "effective_cost", "contracted_cost"):
            assert one[cost] == Decimal(row["billed_cost"]), (row, cost)
        assert (one["list_cost"], one["charge_class"]) == (None, None), "the report says neither"
        assert (one["billing_account_id"], one["sub_account_id"]) == ("0099887766", "ocid1.tenancy.oc1..acme")
    assert [(r["row"], r["column"], r["code"]) for r in rejects(delivery)] == [
        (9, "myCost", "B040"),
        (10, "BilledCost", "B043"),
        (11, "ChargePeriodStart", "B042"),
    ]
    assert [(gap.reason, gap.rows) for gap in delivery.gaps] == [("assumption", 0), ("rejected_rows", 3)]


def test_both_reports_are_told_from_their_columns_and_gzip_is_read(tmp_path):
    (tmp_path / "0001-00001.csv.gz").write_bytes(gzip.compress((CASES / "cost_report.csv").read_bytes()))
    said = {take(path, tmp_path, format="auto").version for path in ("0001-00001.csv.gz", CASES / "focus.csv")}
    assert said == {"proprietary", "FOCUS 1.0"}


@pytest.mark.parametrize("spell", [str.lower, lambda n: n.replace("/", "_"), lambda n: n.replace("/", ".")])
def test_column_names_are_matched_in_any_case_and_with_any_separator(spell, tmp_path):
    to_csv(tmp_path / "a.csv", [{name if "tags/" in name else spell(name): value for name, value in report().items()}])
    delivery = take("a.csv", tmp_path, format="auto")
    assert [c["billed_cost"] for c in charges(delivery)] == [Decimal("0.24")]
    assert '"Finance.CostCenter":"cc-1"' in tags(delivery)[0], "a tag's own name keeps its case"


def test_a_usage_report_is_refused_by_name(tmp_path):
    """It lies in the same bucket and says no cost."""
    for format_ in ("auto", "oci"):
        [said] = refused(CASES / "usage_report.csv", tmp_path, format=format_)
        assert "usage_report.csv:1:1 B270 is Oracle's usage report: it says what was consumed" in said


def test_a_report_without_cost_or_with_a_column_twice_is_refused(tmp_path):
    to_csv(tmp_path / "a.csv", [{name: value for name, value in report().items() if name != "cost/myCost"}])
    assert "B271 has no column cost/myCost" in refused("a.csv", tmp_path, format="oci")[0]
    to_csv(tmp_path / "b.csv", [{**report(), "cost_mycost": "7"}])
    assert (
        "B012 has the column cost/myCost 2 times: 'cost/myCost', 'cost_mycost'"
        in refused("b.csv", tmp_path, format="oci")[0]
    )
    to_csv(tmp_path / "c.csv", [{name: value for name, value in report().items() if name != "product/service"}])
    assert (
        "B013 isn't an Oracle cost report: it has no column product/service"
        in refused("c.csv", tmp_path, format="oci")[0]
    )


def test_a_report_without_a_column_of_tags_has_no_tags(tmp_path):
    """Oracle writes a column for each tag in use: that there is none is an answer."""
    to_csv(tmp_path / "a.csv", [{name: value for name, value in report().items() if not name.startswith("tags/")}])
    delivery = take("a.csv", tmp_path, format="oci")
    assert (tags(delivery), [gap.reason for gap in delivery.gaps]) == (["{}"], ["assumption"])


def test_a_bucket_with_both_reports_of_one_month_is_refused(tmp_path):
    """Both tell the same usage; so do a month's FOCUS report and its cost report."""
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket/focus.csv").write_bytes((CASES / "focus.csv").read_bytes())
    to_csv(tmp_path / "bucket/cost.csv", [report()])
    [said] = refused("bucket", tmp_path, format="auto")
    assert "B194 is a FOCUS Oracle cost report of billing account 0099887766 for 2026-09" in said
    assert "its charges would count twice" in said
    to_csv(tmp_path / "bucket/cost.csv", [report(intervalUsageStart="2026-08-02T10:00Z")])
    assert len(charges(take("bucket", tmp_path, format="auto"))) == 8


def test_oracles_focus_report_is_read_as_oracle_means_it(tmp_path):
    """The preview's names are no reason to refuse it, and what is billed has an effective cost."""
    wanted = {"ConsumedQuantity", "ConsumedUnit", "SkuId", "PricingCategory"}
    delivery = take(CASES / "focus.csv", tmp_path, format="auto", columns=frozenset(wanted))
    found = charges(delivery)
    assert [(c["row"], c["billed_cost"], c["effective_cost"]) for c in found] == [
        (1, Decimal("0.24"), Decimal("0.24")),
        (2, Decimal("0.24"), Decimal("0.24")),
        (3, Decimal("0.24"), Decimal("0.24")),
        (4, Decimal("-0.24"), Decimal("-0.24")),
        (5, 0, 0),
        (6, 3, Decimal("2.9")),
        (8, Decimal("0.24"), Decimal("0.24")),
    ]
    usage, correction = found[0], found[3]
    assert (usage["service_provider_name"], usage["invoice_issuer_name"], usage["host_provider_name"]) == (
        "Oracle",
        "Oracle",
        None,
    )
    assert (usage["region_id"], usage["charge_frequency"], usage["pricing_category"]) == (
        "us-phoenix-1",
        "Usage-Based",
        None,
    )
    assert (usage["consumed_quantity"], usage["consumed_unit"], usage["sku_id"]) == (8, "OCPU Hours", "B97384")
    assert (correction["charge_category"], correction["charge_class"]) == ("Adjustment", None)
    assert (usage["contracted_cost"], usage["list_cost"]) == (Decimal("0.24"), Decimal("0.30")), (
        "the agreed price; the list's"
    )
    assert found[6]["billing_period"] == "2026-10", "Oracle's month, as delivered"
    assert not {"charge_class", "commitment_discount_id", "contracted_cost"} & delivery.missing
    assert (tags(delivery)[0], tags(delivery)[4]) == ('{"Finance.CostCenter":"cc-1","owner":"ann"}', "{}")
    assert [(r["row"], r["column"], r["code"]) for r in rejects(delivery)] == [(7, "EffectiveCost", "B040")]
    [told] = [gap for gap in delivery.gaps if gap.reason == "broken_identity"]
    assert "BilledCost is taken, for billing account: 0099887766" in told.detail


def test_the_focus_report_as_parquet_has_doubles_and_is_read_the_same(tmp_path):
    doubles = ("BilledCost", "EffectiveCost", "ListCost", "oci_AttributedCost")
    table = [row for row in records(CASES / "focus.csv")[:6] if row["EffectiveCost"]]
    typed = [row | {name: float(row[name]) for name in doubles} for row in table]
    to_parquet(tmp_path / "a.parquet", typed, **dict.fromkeys(doubles, pa.float64()))
    to_csv(tmp_path / "a.csv", table)
    wanted = frozenset({"oci_compartment_id", "ConsumedQuantity"})
    parquet, text = (charges(take(name, tmp_path, format="auto", columns=wanted)) for name in ("a.parquet", "a.csv"))
    assert parquet == text
    assert sum(c["effective_cost"] for c in parquet) == Decimal("3.14")


def test_reports_of_a_month_may_differ_in_their_columns_of_tags(tmp_path):
    """A tag's column is there where something in the six hours of a report has it."""
    (tmp_path / "bucket").mkdir()
    to_csv(tmp_path / "bucket/1.csv", [report()])
    to_csv(tmp_path / "bucket/2.csv", [{n: v for n, v in report().items() if "tags/" not in n} | {"tags/Owner": "bob"}])
    assert tags(take("bucket", tmp_path, format="oci"))[1:] == ['{"Owner":"bob"}']


def test_a_focus_report_without_an_effective_cost_takes_the_billed_one(tmp_path):
    row = {name: value for name, value in records(CASES / "focus.csv")[0].items() if name != "EffectiveCost"}
    to_csv(tmp_path / "a.csv", [row])
    assert [c["effective_cost"] for c in charges(take("a.csv", tmp_path))] == [Decimal("0.24")]


@pytest.mark.parametrize(
    "name", ["oci_compartment_name", "oci_CompartmentName", "x_oci_compartment_name", "x_compartment_name"]
)
def test_a_column_of_oracles_own_is_found_by_every_name_in_both_reports(name, tmp_path):
    """Converters call it x_…: a policy is written once."""
    assert own_name(name) == "compartmentname"
    row = records(CASES / "focus.csv")[0]
    to_csv(tmp_path / "converted.csv", [{n.replace("oci_", "x_oci_"): value for n, value in row.items()}])
    for file in ("converted.csv", CASES / "focus.csv", CASES / "cost_report.csv"):
        [*_, column] = charges(take(file, tmp_path, format="auto", columns=frozenset({name})))[0].items()
        assert column[1] == "shop"


def test_attributed_cost_is_kept_as_text_and_never_a_cost(tmp_path):
    found = charges(take(CASES / "cost_report.csv", tmp_path, format="oci", columns=frozenset({"oci_attributed_cost"})))
    databases = [c for c in found if c["service_name"] == "DATABASE"]
    assert [(c["oci_attributed_cost"], c["billed_cost"]) for c in databases] == [("0", 10), ("6", 0), ("4", 0)]


def test_a_policy_may_allocate_by_compartment(tmp_path):
    run = judged(tmp_path, CASES / "cost_report.csv", policies=(BY_COMPARTMENT,), format="oci")
    assert paid(run)["A"] == Decimal("3.6400004480286738351254").normalize() + Decimal("2.2")


def test_a_rule_and_its_inline_tests_may_name_oracles_columns(tmp_path):
    run = judged(tmp_path, CASES / "cost_report.csv", policies=(BY_COMPARTMENT, NO_OVERAGE), format="oci")
    found = [one for one in run.rows("findings") if one["requirement"] == "oracle/overage"]
    assert [(one["verdict"], one["cost"]) for one in found] == [("fail", 3)]


def test_focus_files_of_others_with_one_column_called_like_oracles_stay_as_they_are(tmp_path):
    to_csv(tmp_path / "a.csv", [charge("2", EffectiveCost="0", oci_CompartmentId="c")])
    [one] = charges(take("a.csv", tmp_path, columns=frozenset({"oci_compartment_id"})))
    assert (one["effective_cost"], one["oci_compartment_id"]) == (0, "c")


def oracle_rows(sample_data: Path) -> list[dict[str, str]]:
    rows = records(sample_data / "billing/focus_sample_1.0/focus_sample.csv")
    return [row for row in rows if row["ProviderName"] == "Oracle"]


def totals(rows: list[dict[str, str]], cost: str) -> dict[tuple[str, str, str], Decimal]:
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row["ChargeCategory"], row["SubAccountId"], row["BillingCurrency"]] += Decimal(row[cost])
    return dict(found)


def read_totals(delivery, cost: str) -> dict[tuple[str, str, str], Decimal]:
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for one in charges(delivery):
        found[one["charge_category"], one["sub_account_id"], one["billing_currency"]] += one[cost]
    return dict(found)


def test_the_real_rows_of_oracle_tie_by_category_account_and_currency(sample_data, tmp_path):
    """Seven rows, converted to FOCUS's names by their publisher; then the same under the names that Oracle writes."""
    rows = oracle_rows(sample_data)
    assert len(rows) == 7
    to_csv(tmp_path / "a.csv", rows)
    converted = take("a.csv", tmp_path)
    for cost, ours in (("BilledCost", "billed_cost"), ("EffectiveCost", "effective_cost"), ("ListCost", "list_cost")):
        assert read_totals(converted, ours) == totals(rows, cost)
    own = {f"oci_{name}": "" for name in ("ReferenceNumber", "CompartmentId", "CompartmentName")}
    to_csv(
        tmp_path / "b.csv", [{ORACLES.get(n, n): v for n, v in row.items() if n != "RegionId"} | own for row in rows]
    )
    oracles = take("b.csv", tmp_path, format="auto")
    assert read_totals(oracles, "billed_cost") == read_totals(oracles, "effective_cost") == totals(rows, "BilledCost")
    assert [c["region_id"] for c in charges(oracles)] == [row["RegionName"] for row in rows]
    assert [c["resource_type"] for c in charges(oracles)] == [row["ResourceId"].split(".")[1] for row in rows]
    assert None not in tags(oracles)


def test_a_row_without_a_cost_costs_nothing_only_where_it_is_a_share(tmp_path):
    """Of a pluggable database its cluster has the cost; of anything else nobody knows it, so it is no 0 in silence."""
    unknown = report(1, referenceNo="other", myCost="", attributedCost="7.77")
    to_csv(tmp_path / "a.csv", [report(7), unknown])
    delivery = take("a.csv", tmp_path, format="oci")
    assert [(c["resource_type"], c["billed_cost"]) for c in charges(delivery)] == [("pluggabledatabase", 0)]
    assert [(r["row"], r["column"], r["code"]) for r in rejects(delivery)] == [(2, "BilledCost", "B043")]
