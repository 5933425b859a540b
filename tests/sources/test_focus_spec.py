"""The FOCUS specification's own examples, all of them, and bills in a virtual currency: read to the last digit.

The examples are not in this repository (see `sample_data`). Most were saved by a spreadsheet; the table says what each
needs to be read. What is expected is added up here with csv and Decimal alone.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.bills import charges, refused, rejects, rows, take, to_csv
from tests.project import BY_TAG, TAGS, charge, judged

COSTS = {
    "BilledCost": "billed_cost",
    "EffectiveCost": "effective_cost",
    "ListCost": "list_cost",
    "ContractedCost": "contracted_cost",
}
UNSAID = {"defaults": {"BillingCurrency": "USD"}}
DATES = {"dates": "%m/%d/%y"}
SHEET = {"dates": "%m/%d/%y", "numbers": "us"}
NEEDS: Mapping[str, dict[str, Any]] = {
    "commitment_discount_purchase_scenario_1": UNSAID,
    "commitment_discount_purchase_scenario_2": UNSAID,
    "commitment_discount_purchase_scenario_3": UNSAID,
    "commitment_discount_usage_scenario_1": UNSAID,
    "commitment_discount_usage_scenario_2": UNSAID,
    "commitment_discount_usage_scenario_3": UNSAID,
    "commitment_discount_usage_scenario_4": UNSAID,
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource": UNSAID,
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources": UNSAID,
    "one_hundred_percent_utilization_without_commitment_discount_flexibility": UNSAID,
    "saas_spend_agreements_a1": DATES,
    "saas_spend_agreements_a2": DATES,
    "saas_spend_agreements_b1": DATES,
    "saas_spend_agreements_b2": DATES,
    "simple_saas_agreements_a1": SHEET,
    "simple_saas_agreements_a2": SHEET,
    "simple_saas_agreements_a3": SHEET,
    "simple_saas_agreements_b": SHEET,
    "simple_saas_agreements_c": SHEET,
    "virtual_currency_pricing_model_a1": DATES,
    "virtual_currency_pricing_model_a2": DATES,
    "virtual_currency_pricing_model_b1": DATES,
    "virtual_currency_pricing_model_b2": DATES,
    "virtual_currency_pricing_model_b3": DATES,
    "virtual_currency_pricing_model_c": DATES,
    "zero_percent_utilization_without_commitment_discount_flexibility": UNSAID,
}
CODES = {"defaults": "B015", "dates": "B021", "numbers": "B022"}  # what is said where the need isn't met
PRICED = frozenset({"PricingCurrency", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "ListUnitPrice"})


def examples(sample_data: Path) -> Path:
    return sample_data / "billing/focus_spec_saas"


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def amount(text: str | None) -> Decimal:
    return Decimal((text or "0").replace("$", "").replace(",", "").strip() or 0)


def test_every_example_is_in_the_table(sample_data):
    assert {path.stem for path in examples(sample_data).glob("*.csv")} == set(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_the_totals_of_an_example_are_its_own_by_category_and_currency(name, sample_data, tmp_path):
    """A row whose period ends at 30:00 o'clock, as two examples have one, is rejected with its cost, not guessed."""
    path = examples(sample_data) / f"{name}.csv"
    delivery = take(path, tmp_path, **NEEDS[name])
    expected: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    refused_rows = []
    for number, row in enumerate(records(path), 1):
        if "T30:00" in row["ChargePeriodEnd"]:
            refused_rows.append((number, "B042", amount(row["EffectiveCost"])))
            continue
        for cost in COSTS:
            expected[row["ChargeCategory"], row.get("BillingCurrency") or "USD", cost] += amount(row.get(cost))
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for one in charges(delivery):
        for cost, ours in COSTS.items():
            found[one["charge_category"], one["billing_currency"], cost] += one[ours] or 0
    assert found == expected
    assert [(r["row"], r["code"], r["cost"]) for r in rejects(delivery)] == refused_rows
    assert len(charges(delivery)) + len(refused_rows) == len(records(path))


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_is_refused_without_what_it_needs(name, sample_data, tmp_path):
    for need in NEEDS[name]:
        rest = {key: value for key, value in NEEDS[name].items() if key != need}
        said = refused(examples(sample_data) / f"{name}.csv", tmp_path, **rest)
        assert any(CODES[need] in one for one in said), said


@pytest.mark.parametrize("name", [name for name in NEEDS if name.startswith("virtual")])
def test_prices_in_tokens_are_kept_beside_the_money(name, sample_data, tmp_path):
    path = examples(sample_data) / f"{name}.csv"
    found = charges(take(path, tmp_path, columns=PRICED, **NEEDS[name]))
    for one, row in zip(found, records(path), strict=True):
        assert (one["billing_currency"], one["pricing_currency"]) == (row["BillingCurrency"], row["PricingCurrency"])
        assert one["pricing_currency_effective_cost"] == amount(row["PricingCurrencyEffectiveCost"])
        assert one["list_unit_price"] == amount(row["ListUnitPrice"])


TOKENS = [
    charge("100", EffectiveCost="0", ChargeCategory="Purchase", ChargeFrequency="One-Time", PricingCurrency="USD", Tags='{"cost-center":"A"}'),
    charge("0", EffectiveCost="25.5", PricingCurrency="TOKENS", PricingCurrencyEffectiveCost="51", Tags='{"cost-center":"A"}'),
    charge("12", BillingCurrency="TOKENS", PricingCurrency="TOKENS", PricingCurrencyEffectiveCost="12", Tags='{"cost-center":"A"}'),
]  # fmt: skip


def test_what_is_billed_in_tokens_is_read_told_and_never_added_to_money(tmp_path):
    """FOCUS lets an issuer bill in a unit of its own; a sum with dollars would be neither."""
    keys = list(TOKENS[1])
    run = judged(tmp_path, [{key: row.get(key, "") for key in keys} for row in TOKENS], policies=(TAGS, BY_TAG))
    assert {t["currency"]: (t["billed_cost"], t["effective_cost"], t["allocated"]) for t in run.rows("totals")} == {
        "TOKENS": (12, 12, 12),
        "USD": (100, Decimal("25.5"), Decimal("25.5")),
    }
    assert {(a["currency"], a["amount"]) for a in run.rows("allocations")} >= {("TOKENS", 12)}
    assert {s["currency"] for s in run.rows("scores")} == {"TOKENS", "USD"}
    [told] = [gap for gap in run.rows("gaps") if gap["reason"] == "assumption"]
    assert (told["currency"], told["rows"], told["cost"]) == ("TOKENS", 1, 12)
    assert "no three-letter code of money" in told["detail"]


def test_money_in_small_letters_is_told_because_it_is_kept_apart(tmp_path):
    to_csv(tmp_path / "a.csv", rows({}, {"BillingCurrency": "usd"}))
    told = [(gap.currency, gap.rows) for gap in take("a.csv", tmp_path).gaps if gap.reason == "assumption"]
    assert told == [("usd", 1)]
