"""The bad-input checklist, items 19 to 24: costs that contradict each other, and charges that stand there twice."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.checklist import fired, gaps, tied
from tests.project import BY_TAG, TAGS, charge, paid, write_csv

NOBODY = dict.fromkeys(("SubAccountId", "SubAccountName", "ResourceId", "RegionId", "Tags"), "")
BY_BILLED = BY_TAG.replace("assign:", "cost: billed\nassign:")

# --- 19. costs and categories that contradict each other --------------------------------------------------------------


BOUGHT = {"ChargeCategory": "Purchase", "CommitmentDiscountId": "sp-1", "ChargeFrequency": "Recurring"}
USED = {"CommitmentDiscountId": "sp-1", "CommitmentDiscountStatus": "Used", "BilledCost": "0"}
PRICED = {"ListUnitPrice": "0.05", "PricingQuantity": "0.03", "PricingUnit": "10K"}
CONTRADICTIONS = {
    "a purchase that is consumed when it is bought": (BOUGHT, "focus-commitments/purchase-effective", 100),
    "covered usage priced as standard": (USED, "focus-commitments/committed-pricing", 100),
    "a contracted cost of zero": ({"ContractedCost": "0"}, "focus-amounts/contracted-missing", 100),
    "a list cost of zero": ({"ListCost": "0"}, "focus-amounts/list-missing", 100),
    "a price for a block of 10,000": (PRICED | {"ListCost": "100"}, "focus-amounts/list-is-price", 100),
    "no service": ({"ServiceName": ""}, "focus-completeness/service-name", 100),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_19_what_contradicts_itself_is_charged_as_delivered_and_found_with_its_money(name: str, tmp_path: Path) -> None:
    """governor never corrects a bill: the money stays where the provider put it, and the finding says how much."""
    change, rule, cost = CONTRADICTIONS[name]
    run = tied(tmp_path, [charge("100", **change)], pack=True)
    assert fired(run) == {rule: (1, Decimal(cost))}


def test_19_one_service_in_two_categories_stays_in_both(tmp_path: Path) -> None:
    """Real bills have it (a virtual machine service with its disks): each row keeps its own category."""
    run = tied(tmp_path, [charge("5"), charge("7", ServiceCategory="Storage")], pack=True)
    assert {(c["service_category"], c["effective_cost"]) for c in run.rows("cells")} == {
        ("Compute", Decimal(5)),
        ("Storage", Decimal(7)),
    }
    assert fired(run) == {}


# --- 20. charges of nobody --------------------------------------------------------------------------------------------


def test_20_charges_without_an_account_a_resource_or_tags_are_unallocated_not_lost(tmp_path: Path) -> None:
    """Tax, support, a payer's credit, an unused commitment: each is in the unallocated part, to the cent."""
    unused = {"CommitmentDiscountId": "sp-1", "CommitmentDiscountStatus": "Unused", "BilledCost": "0", "PricingCategory": "Committed"}  # fmt: skip
    bill = [
        charge("100", Tags='{"cost-center":"A"}'),
        charge("7", ChargeCategory="Tax", **NOBODY),
        charge("5", ServiceCategory="Management and Governance", ServiceName="Support", **NOBODY),
        charge("-30", ChargeCategory="Credit", **NOBODY),
        charge("3", **NOBODY | unused),
    ]
    run = tied(tmp_path, bill, pack=True)
    [total] = run.rows("totals")
    assert (total["allocated"], total["unallocated"]) == (Decimal(100), Decimal(-15))
    assert fired(run) == {}


def test_20_an_account_may_cost_less_than_nothing(tmp_path: Path) -> None:
    """A refund in a month without usage: its cost center gets the money back, and no percentage is made of it."""
    run = tied(tmp_path, [charge("100", Tags='{"cost-center":"B"}'), charge("-40", SubAccountId="acct-1", Tags="{}")])
    assert {a["cost_center"]: a["amount"] for a in run.rows("allocations")} == {"B": Decimal(100), "A": Decimal(-40)}
    [score] = [s for s in run.rows("scores") if s["scope"] == "total"]
    assert (score["positive_cost"], score["credits"], score["allocatability"]) == (Decimal(100), Decimal(-40), "100.00")


def test_20_what_costs_nothing_is_no_coverage(tmp_path: Path) -> None:
    """Nine tagged rows that cost nothing and one untagged of 10.00: nothing of the cost is covered, 90 % of the rows are."""
    free = [charge("0", Tags='{"cost-center":"A"}', ResourceId=f"vm-{n}") for n in range(9)]
    run = tied(tmp_path, [*free, charge("10", SubAccountId="unknown")])
    [score] = [s for s in run.rows("scores") if s["scope"] == "total"]
    assert (score["allocatability"], score["share_t"], score["rows_share_t"]) == ("0.00", "0.00", "90.00")


# --- 21. periods that don't fit ---------------------------------------------------------------------------------------


LONG_AGO = {"ChargePeriodStart": "2026-03-05T00:00:00Z", "ChargePeriodEnd": "2026-03-06T00:00:00Z"}


def test_21_a_correction_of_a_month_that_was_never_delivered_is_charged_where_it_is_billed(tmp_path: Path) -> None:
    """It is October's money, for usage of March: no month is invented, and the charge keeps its own days."""
    run = tied(tmp_path, [charge("100"), charge("-40", ChargeClass="Correction", **LONG_AGO)], pack=True)
    assert [(t["billing_period"], t["effective_cost"]) for t in run.rows("totals")] == [("2026-10", Decimal(60))]
    assert {c["first_charge"].month for c in run.rows("cells")} == {3, 10}
    assert fired(run) == {}


def test_21_a_charge_over_several_months_stays_whole(tmp_path: Path) -> None:
    """A year's support, billed in October: one charge of October."""
    run = tied(tmp_path, [charge("1200", ChargePeriodStart="2026-10-01", ChargePeriodEnd="2027-10-01")], pack=True)
    assert [(t["billing_period"], t["rows"]) for t in run.rows("totals")] == [("2026-10", 1)]
    assert fired(run) == {}


def test_21_rows_of_another_month_than_their_folder_are_told(tmp_path: Path) -> None:
    """The row decides, not the folder. But a month delivered in two folders counts twice, so nobody should miss it."""
    write_csv(tmp_path / "bills" / "BILLING_PERIOD=2026-09" / "a.csv", [charge("5"), charge("7")])
    write_csv(tmp_path / "bills" / "BILLING_PERIOD=2026-10" / "a.csv", [charge("11")])
    run = tied(tmp_path / "project", tmp_path / "bills", rows=3, effective="23")
    [gap] = run.rows("gaps")
    assert (gap["reason"], gap["rows"], gap["cost"]) == ("other_period", 2, Decimal(12))
    assert gap["detail"].endswith("BILLING_PERIOD=2026-09/a.csv): they are charged in 2026-10")
    assert gap["detail"].startswith("rows of 2026-10 lie in the folder of 2026-09")
    assert run.incomplete


INVOICES = "invoices: [{name: inv, path: invoices.csv}]"


def tie_out(folder: Path, bill: list[dict[str, str]], *invoices: tuple[str, str, str]) -> list[tuple[object, ...]]:
    """Run with invoices (id, currency, amount); give invoice, status and residual of every line."""
    head = ("invoice_id", "currency", "amount")
    write_csv(folder / "invoices.csv", [dict(zip(head, one, strict=True)) | {"issuer": "Cloud"} for one in invoices])
    run = tied(folder, bill, extra=INVOICES)
    return sorted((r["invoice_id"] or "", r["currency"], r["status"], r["residual"]) for r in run.rows("tie_out"))


def test_21_a_charge_after_the_invoice_was_issued_unties_it(tmp_path: Path) -> None:
    """The invoice says 100.00, the bill now 102.00 for it: the 2.00 are told, and the month can't be closed unseen."""
    bill = [charge("100"), charge("2", ChargeDescription="came later")]
    assert tie_out(tmp_path, bill, ("INV-1", "USD", "100")) == [("INV-1", "USD", "not_tied", Decimal(-2))]


# --- 22. currencies and invoices --------------------------------------------------------------------------------------


def test_22_currencies_are_never_added_up(tmp_path: Path) -> None:
    """One file, three currencies: each has its own totals, and each ties."""
    bill = [charge("5"), charge("7", BillingCurrency="EUR"), charge("11", BillingCurrency="INR"), charge("13")]
    run = tied(tmp_path, bill, pack=True)
    totals = {t["currency"]: t["effective_cost"] for t in run.rows("totals")}
    assert totals == {"USD": Decimal(18), "EUR": Decimal(7), "INR": Decimal(11)}
    assert fired(run) == {}


def test_22_an_invoice_ties_in_its_own_currency_whatever_it_is_paid_in(tmp_path: Path) -> None:
    """EUR 100.00, paid as USD 108.00: the bill's currency is compared; the other one is no charge."""
    bill = [charge("100", BillingCurrency="EUR")]
    assert tie_out(tmp_path, bill, ("INV-1", "EUR", "100")) == [("INV-1", "EUR", "tied", Decimal(0))]


def test_22_a_virtual_currency_prices_and_does_not_bill(tmp_path: Path) -> None:
    """Tokens as PricingCurrency are as FOCUS has it; as BillingCurrency they are found, and are never mixed with money."""
    prices = {"PricingCurrency": "Tokens", "PricingCurrencyListUnitPrice": "1"}
    run = tied(tmp_path, [charge("490", **prices), charge("3", BillingCurrency="Tokens", **prices)], pack=True)
    assert fired(run) == {"focus-vocabulary/currency": (1, Decimal(3))}
    assert {t["currency"] for t in run.rows("totals")} == {"USD", "Tokens"}


def test_22_a_charge_without_an_invoice_is_not_invoiced_and_a_rounding_row_closes_one(tmp_path: Path) -> None:
    """3 x 33.3333 and a row of 0.0001 are an invoice of 100.00, exactly; what names no invoice stands apart."""
    rounding = charge("0.0001", ChargeCategory="Adjustment", ChargeDescription="Rounding", **NOBODY)
    bill = [*[charge("33.3333")] * 3, rounding, charge("5", InvoiceId="")]
    assert tie_out(tmp_path, bill, ("INV-1", "USD", "100")) == [
        ("", "USD", "not_invoiced", None),
        ("INV-1", "USD", "tied", Decimal(0)),
    ]


# --- 23. split charges ------------------------------------------------------------------------------------------------


def split(cost: str, namespace: str, ratio: str = "0.5", **columns: str) -> dict[str, str]:
    """A part of a shared node's charge, as FOCUS 1.3 has it."""
    allocated = {
        "AllocatedMethodId": "cpu",
        "AllocatedResourceId": f"ns/{namespace}",
        "AllocatedTags": f'{{"cost-center":"{namespace}"}}',
        "AllocatedMethodDetails": f'{{"Elements":[{{"AllocatedRatio":{ratio}}}]}}',
    }
    return charge(cost, ResourceId="node-1", Tags='{"cost-center":"C","env":"prod"}') | allocated | columns


def whole(cost: str, **columns: str) -> dict[str, str]:
    """The charge of the node itself, not split."""
    return split(cost, "") | dict.fromkeys(("AllocatedMethodId", "AllocatedResourceId", "AllocatedTags", "AllocatedMethodDetails"), "") | columns  # fmt: skip


def test_23_parts_beside_the_charge_they_were_made_of_are_told_as_counted_twice(tmp_path: Path) -> None:
    """Which of the two is right, the provider knows: nothing is left out, the double money is named, exit 3."""
    run = tied(tmp_path, [whole("10"), split("6", "A"), split("4", "B"), whole("3", ChargeDescription="network")])
    [gap] = run.rows("gaps")
    assert (gap["reason"], gap["rows"], gap["cost"]) == ("split_twice", 1, Decimal(10))
    assert "node-1" in gap["detail"]
    assert run.incomplete
    assert paid(run) == {"A": Decimal(6), "B": Decimal(4), "C": Decimal(13)}


def test_23_parts_alone_are_charged_by_their_own_tags(tmp_path: Path) -> None:
    """AllocatedTags go before the node's Tags, key by key; other charges of the node are no doubles."""
    run = tied(tmp_path, [split("6", "A"), split("4", "B"), whole("3", ChargeDescription="network")], pack=True)
    assert gaps(run) == {}
    assert paid(run) == {"A": Decimal(6), "B": Decimal(4), "C": Decimal(3)}
    assert fired(run) == {}


def test_23_ratios_are_not_believed_and_a_negative_origin_is_split_like_any_other(tmp_path: Path) -> None:
    """Ratios of 0.5 and 0.7 add up to nonsense: the amounts of the rows count, and they add up to the refund."""
    run = tied(tmp_path, [split("-6", "A", "0.5"), split("-4", "B", "0.7")])
    assert paid(run) == {"A": Decimal(-6), "B": Decimal(-4)}
    assert gaps(run) == {}


# --- 24. resellers ----------------------------------------------------------------------------------------------------


def test_24_a_charge_that_a_reseller_repeats_without_billing_it_is_billed_once(tmp_path: Path) -> None:
    """Both rows are kept. By billed cost it is charged once; by effective cost twice, and the bridge shows the second."""
    repeated = charge("10", BilledCost="0", InvoiceIssuerName="A Reseller Ltd.", InvoiceId="R-1")
    run = tied(tmp_path / "billed", [charge("10"), repeated], basis="billed_cost", policies=(TAGS, BY_BILLED))
    [total] = run.rows("totals")
    assert (total["rows"], total["billed_cost"], total["effective_cost"]) == (2, Decimal(10), Decimal(20))
    run = tied(tmp_path / "effective", [charge("10"), repeated])
    other = [(line["charge_category"], line["amount"]) for line in run.rows("bridge") if line["line"] == "other"]
    assert other == [("Usage", Decimal(10))]
