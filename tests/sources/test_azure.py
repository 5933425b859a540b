"""Azure's cost details, in every generation of their header, become charges that add up to the files."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bills import charges, refused, rejects, tags, take, to_csv

CASES = Path(__file__).parent.parent / "cases/billing/azure"


def records(path: Path) -> list[dict[str, str]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def mca(**changes: str) -> dict[str, str]:
    """The first row of the Microsoft Customer Agreement's case, with changes."""
    return records(CASES / "mca.csv")[0] | changes


def test_every_kind_of_row_becomes_what_the_case_says(tmp_path):
    """Reject rows are told apart, and what Azure calls a charge that nobody knows stays as it is."""
    delivery = take(CASES / "mca.csv", tmp_path, format="azure")
    found = [(c["row"], c["charge_category"], c["pricing_category"], c["billed_cost"]) for c in charges(delivery)]
    assert found == [
        (1, "Usage", "Standard", Decimal("0.055")),
        (2, "Usage", "Dynamic", Decimal("0.001")),
        (3, "Tax", None, Decimal("0.21")),
        (4, "Credit", None, -1),
        (5, "Levy", None, Decimal("0.07")),
        (11, "Usage", "Standard", Decimal("0.055")),
        (12, "Usage", "Standard", Decimal("0.055")),
    ]
    assert all(c["effective_cost"] == c["billed_cost"] for c in charges(delivery))
    assert [(r["row"], r["column"], r["value"], r["code"]) for r in rejects(delivery)] == [
        (6, "date", "13/05/2026", "B230"),
        (7, "date", "46000", "B230"),
        (8, "cost", "n. a.", "B040"),
        (9, "ChargeCategory", None, "B043"),
        (10, "ChargePeriodStart", None, "B043"),
    ]
    assert tags(delivery) == ['{"cost-center":"cc-web"}'] * 6 + [None], "what Python prints of a mapping is unread"
    assert [(g.reason, g.rows, g.currency) for g in delivery.gaps] == [
        ("rejected_rows", 5, "EUR"),
        ("unreadable_tags", 1, "USD"),
    ]


def test_a_customer_agreement_is_billed_by_its_profile_and_in_its_own_currency(tmp_path):
    wanted = frozenset({"ListUnitPrice", "PricingQuantity", "x_resource_group", "x_invoice_section", "SubAccountType"})
    delivery = take(CASES / "mca.csv", tmp_path, format="auto", columns=wanted)
    charge = charges(delivery)[0]
    assert (charge["billing_account_id"], charge["billing_account_name"]) == ("NF5V-BI6B-BG7-PGB", "Shop EU")
    assert (charge["invoice_id"], charge["invoice_issuer_name"]) == ("G012345678", "Microsoft")
    assert charge["list_cost"] == Decimal("0.0605"), "in the bill's currency"
    assert charge["list_unit_price"] is None, "prices are in another currency than the bill"
    assert (charge["x_resource_group"], charge["x_invoice_section"]) == ("Shop-RG", "IT")
    assert (charge["sub_account_type"], charge["pricing_quantity"]) == ("Subscription", 3)
    assert delivery.files[0].version == "MCA"


def test_the_last_day_of_a_billing_period_is_part_of_it(tmp_path):
    """Where the file doesn't say the period, it is the month of the charge."""
    found = {c["row"]: c for c in charges(take(CASES / "mca.csv", tmp_path, format="azure"))}
    periods = [(found[row]["billing_period_start"], found[row]["billing_period_end"]) for row in (1, 11, 12)]
    assert periods == [(datetime(2026, 9, 1), datetime(2026, 10, 1))] * 3
    assert [found[row]["charge_period_start"].day for row in (1, 12)] == [10, 5]
    assert found[12]["charge_period_end"] == datetime(2026, 9, 6)


@pytest.mark.parametrize(
    ("written", "pattern", "read"),
    [
        ("09/21/2026", None, datetime(2026, 9, 21)),
        ("3/1/26", None, datetime(2026, 3, 1)),
        ("2026-09-21", None, datetime(2026, 9, 21)),
        ("2026-09-21T00:00:00Z", None, datetime(2026, 9, 21)),
        ("2026-09-21T02:00:00+02:00", None, datetime(2026, 9, 21)),
        ("09/21/2026 00:00", None, datetime(2026, 9, 21)),
        ("21.09.2026", "%d.%m.%Y", datetime(2026, 9, 21)),
        ("2026-09-21", "%d.%m.%Y", datetime(2026, 9, 21)),
        ("13/05/2026", None, "B230"),
        ("02/30/2026", None, "B230"),
        ("2026-13-01", None, "B230"),
        ("9-21-2026", None, "B230"),
        ("09/21/0026", None, "B230"),
        ("2026-W05-1", None, "B230"),
        ("09/21/2026", "%d.%m.%Y", "B042"),
    ],
)
def test_a_day_is_read_in_one_way_or_not_at_all(written, pattern, read, tmp_path):
    to_csv(tmp_path / "a.csv", [mca(date=written)])
    delivery = take("a.csv", tmp_path, format="azure", dates=pattern)
    told = [c["charge_period_start"] for c in charges(delivery)] + [r["code"] for r in rejects(delivery)]
    assert told == [read]


def test_localised_headers_are_read_by_the_english_name_in_brackets(tmp_path):
    [charge] = charges(take(CASES / "usage_german.csv", tmp_path, format="auto"))
    assert (charge["billed_cost"], charge["billing_currency"], charge["region_id"]) == (
        Decimal("0.075"),
        "EUR",
        "eastus",
    )
    assert charge["sub_account_id"] == "11111111-aaaa-4aaa-8aaa-111111111111", "subscriptions are in lower case"


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ({"costInBillingCurrency"}, "a.csv:1:1 B231 has no column of the cost: CostInBillingCurrency, Cost or PreTaxCost"),
        ({"billingCurrency"}, "a.csv B015 has no column BillingCurrency"),
        ({"date"}, "a.csv:1:1 B013 isn't an Azure cost details file: it has no column Date"),
    ],
)  # fmt: skip
def test_a_file_that_cant_be_charged_is_refused_by_name(gone, said, tmp_path):
    to_csv(tmp_path / "a.csv", [{k: v for k, v in mca().items() if k not in gone}])
    [problem] = refused("a.csv", tmp_path, format="azure")
    assert problem.startswith(said)


def test_a_default_gives_the_currency_that_a_file_lacks(tmp_path):
    to_csv(tmp_path / "a.csv", [{k: v for k, v in mca().items() if k != "billingCurrency"}])
    [charge] = charges(take("a.csv", tmp_path, format="azure", defaults={"BillingCurrency": "SEK"}))
    assert charge["billing_currency"] == "SEK"


def test_a_column_given_twice_is_refused(tmp_path):
    to_csv(tmp_path / "a.csv", [{**mca(), "Kosten (costInBillingCurrency)": "1"}])
    [problem] = refused("a.csv", tmp_path, format="azure")
    assert (
        "B012 has the column costInBillingCurrency 2 times: 'costInBillingCurrency', 'Kosten (costInBillingCurrency)'"
        in problem
    )


def test_a_partner_issues_the_invoice_and_another_host_is_not_microsoft(tmp_path):
    to_csv(tmp_path / "a.csv", [mca(partnerName="Reseller Inc", customerName="Shop", publisherType="Marketplace")])
    delivery = take("a.csv", tmp_path, format="azure")
    [charge] = charges(delivery)
    assert (charge["invoice_issuer_name"], charge["host_provider_name"]) == ("Reseller Inc", None)
    assert delivery.files[0].version == "MPA"


def test_costs_at_other_prices_are_only_said_where_the_row_proves_them(tmp_path):
    """Quantities are rounded in the export, and a price of 0 is no price."""
    one = {"pricingCurrency": "EUR", "paygCostInBillingCurrency": "", "quantity": "3", "effectivePrice": "0.5"}
    rows = [
        mca(**one, costInBillingCurrency="1.5", unitPrice="0.6", PayGPrice="1"),
        mca(**one, costInBillingCurrency="1.50001", unitPrice="0.6", PayGPrice="0.5"),
        mca(**one, costInBillingCurrency="1.5", unitPrice="0", PayGPrice="0.1234567891"),
    ]
    to_csv(tmp_path / "a.csv", rows)
    found = [(c["contracted_cost"], c["list_cost"]) for c in charges(take("a.csv", tmp_path, format="azure"))]
    assert found == [(Decimal("1.8"), 3), (None, Decimal("1.50001")), (None, None)]


@pytest.mark.parametrize(
    ("named", "region"),
    [
        ("US West 2", "westus2"),
        ("EU North", "northeurope"),
        ("Mars East", "marseast"),
        ("Unassigned", None),
        ("", None),
    ],
)
def test_a_region_is_named_by_its_id(named, region, tmp_path):
    to_csv(tmp_path / "a.csv", [mca(resourceLocation=named)])
    [charge] = charges(take("a.csv", tmp_path, format="azure"))
    assert charge["region_id"] == region


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("/subscriptions/a/resourceGroups/b/providers/Microsoft.Sql/servers/C", "microsoft.sql/servers"),
        ("/subscriptions/a/resourceGroups/b/providers/Microsoft.Sql/servers/c/databases/D", "microsoft.sql/servers/databases"),
        ("/subscriptions/a/resourceGroups/b", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_resource_has_the_type_that_its_id_says(resource, kind, tmp_path):
    to_csv(tmp_path / "a.csv", [mca(ResourceId=resource, consumedService="")])
    [charge] = charges(take("a.csv", tmp_path, format="azure"))
    assert (charge["resource_type"], charge["resource_id"] or "") == (kind, resource.lower())
    assert charge["service_category"] == "Other", "no provider is named"


# Rows and rejected rows of the public samples; billed and effective cost are added up apart from what is tested.
SAMPLES = {
    "finops_toolkit_azure_ea/EA_ActualCost_Small.csv": (11, 0, {"Purchase": "3.25", "Usage": "5.2950077867419368"}),
    "finops_toolkit_azure_ea/EA_AmortizedCost_Small.csv": (28, 0, {"Usage": "15.797780136168644627485419"}),
    "koku/koku_azure_azure_camelCased.csv": (3, 0, {"Usage": "0.00011016"}),
    "koku/koku_azure_azure_version_2.csv": (5, 0, {"Purchase": "0", "Usage": "19.998413754"}),
    "koku/koku_azure_camel_azure_version_2.csv": (4, 0, {"Usage": "0.0000262412"}),
    "koku/koku_azure_costreport_a243c6f2-199f-4074-9a2c-40e671cf1584.csv": (3, 0, {"Usage": "0.00011016"}),
    "nise_generated/azure_costreport_737b75f4-41b3-4c90-866a-60e9086fb219.csv.gz": (184, 0, {"Usage": "27.586451858930636967"}),
    "nise_generated/azure_costreport_d818c757-97b6-42a0-b6b6-3d0dd5e3750c.csv.gz": (248, 0, {"Usage": "33.8421130403070628286"}),
    "opencost_azure/BOM.csv": (1, 1, {}),
    "opencost_azure/Enterprise.csv": (1, 0, {"Usage": "0"}),
    "opencost_azure/EnterpriseCamel.csv": (1, 0, {"Usage": "0.012"}),
    "opencost_azure/German.csv": (1, 0, {"Usage": "0.075"}),
    "opencost_azure/PayAsYouGo.csv": (1, 0, {"Usage": "0.075"}),
    "opencost_azure/YA.csv": (1, 0, {"Usage": "0.075"}),
}  # fmt: skip
COSTS = ("costinbillingcurrency", "cost", "pretaxcost")
CURRENCIES = ("billingcurrency", "billingcurrencycode", "currency")
ACCOUNTS = ("subscriptionid", "subscriptionguid")


def sums(path: Path) -> dict[tuple[str, str, str, str], Decimal]:
    """Add up a file by cost, category, currency and subscription, with csv and Decimal, as the export's rules are."""
    found: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for record in records(path):
        row = {key.split("(")[-1].rstrip(")").lower(): value for key, value in record.items()}
        cost, currency, account = (next(row[k] for k in keys if k in row) for keys in (COSTS, CURRENCIES, ACCOUNTS))
        model = row.get("pricingmodel") or ("Reservation" if row.get("reservationid") else "")
        kind, committed = row.get("chargetype") or "Usage", model in ("Reservation", "SavingsPlan")
        found["billed", kind, currency, account] += Decimal(cost) * (not (committed and kind == "Usage"))
        found["effective", kind, currency, account] += Decimal(cost) * (not (committed and kind == "Purchase"))
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_public_samples_tie_to_the_last_digit(name, sample_data, tmp_path):
    """By category, currency and subscription: what is billed, and what is effective."""
    path = sample_data / "billing" / name
    rows, rejected, categories = SAMPLES[name]
    delivery = take(path, tmp_path, format="auto")
    found: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    by_category: dict[str, Decimal] = defaultdict(Decimal)
    for charge in charges(delivery):
        by_category[charge["charge_category"]] += charge["billed_cost"]
        for cost in ("billed", "effective"):
            key = (cost, charge["charge_category"], charge["billing_currency"], charge["sub_account_id"])
            found[key] += charge[f"{cost}_cost"]
    assert (delivery.files[0].rows, delivery.files[0].rejected, delivery.files[0].aside) == (rows, rejected, 0)
    assert by_category == {category: Decimal(cost) for category, cost in categories.items()}
    assert found == ({} if rejected else sums(path))
    assert None not in tags(delivery)


@pytest.mark.parametrize("name", ["MissingBrackets", "VirtualMachine", "Template"])
def test_public_samples_without_a_currency_are_refused_until_it_is_said(name, sample_data, tmp_path):
    path = sample_data / "billing/opencost_azure" / f"{name}.csv"
    [problem] = refused(path, tmp_path, format="auto")
    assert problem.endswith("or give this source a default: `defaults: {BillingCurrency: …}`")
    text = path.read_text(encoding="utf-8").replace(",resourcelocation", "")  # its rows have no such field
    (tmp_path / "a.csv").write_text(text if name == "Template" else path.read_text(encoding="utf-8"), encoding="utf-8")
    delivery = take("a.csv", tmp_path, format="auto", defaults={"BillingCurrency": "USD"})
    expected = sum((Decimal(row["costinbillingcurrency"]) for row in records(tmp_path / "a.csv")), Decimal(0))
    assert sum(c["billed_cost"] for c in charges(delivery)) == expected > 0
    assert not rejects(delivery)


@pytest.mark.parametrize("name", ["koku/koku_azure_empty_frame.csv", "finops_toolkit_azure_ea/EA_NoRows.csv"])
def test_a_header_without_rows_is_no_proof_of_no_cost(name, sample_data, tmp_path):
    [problem] = refused(sample_data / "billing" / name, tmp_path, format="azure")
    assert "B023 holds no charge" in problem
