"""Reconciliation: invoices against charges, billed against effective cost, and the identities of commitments."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generate import generate
from bench.world import Spec
from governor.config import TieOut
from governor.ledger.read import Run
from governor.model import Position
from governor.money import total
from governor.reconcile.tie_out import REASONS, Part, Sight, tie_out
from governor.sources.invoices import Invoice, Invoices, InvoicesInput
from tests.project import BY_TAG, TAGS, charge, judged, run_project, write_csv, write_project

ALL = "invoices: [{name: inv, path: invoices.csv}]"
COMMITMENT = {"CommitmentDiscountId": "ri-1", "CommitmentDiscountStatus": "Used"}

QUANTITY = """
kind: RulePolicy
id: quantities
title: Usage says how much
severity: low
table: charges
rules:
  - id: consumed
    title: Usage says how much
    where: charge_category = 'Usage'
    assert: consumed_quantity IS NOT NULL
    remedy: ask for it
tests:
  - {rule: consumed, charge: {ConsumedQuantity: 1}, expect: pass}
  - {rule: consumed, charge: {ConsumedQuantity: null}, expect: fail}
  - {rule: consumed, charge: {}, unread: [ConsumedQuantity], expect: unknown}
"""


def reconciled(folder: Path, bill: Sequence[Mapping[str, str]], *invoices: Mapping[str, Any], **parts: Any) -> Run:
    """Run a bill with invoices, as a user does."""
    if invoices:
        write_csv(folder / "invoices.csv", [{**dict.fromkeys(ROW, ""), **ROW, **row} for row in invoices])
        parts.setdefault("extra", ALL)
    return judged(folder, bill, **parts)


ROW = {
    "invoice_id": "INV-1", "issuer": "Cloud", "currency": "USD", "amount": "100", "tax": "", "credits": "",
    "billing_period": "2026-10", "status": "", "billing_account_id": "payer",
}  # fmt: skip


def row(run: Run, invoice_id: str | None = "INV-1") -> dict[str, Any]:
    [found] = [r for r in run.rows("tie_out") if r["invoice_id"] == invoice_id]
    return found


def reasons(found: Mapping[str, Any]) -> dict[str, str]:
    """The reasons of a residual that are not zero."""
    return {name: format(found[name].normalize(), "f") for name in REASONS if found[name]}


def test_an_invoice_that_equals_its_charges_is_tied(tmp_path: Path) -> None:
    """Ten charges of 10.00 are an invoice of 100.00, to the last digit."""
    found = row(reconciled(tmp_path, [charge("10")] * 10, {}))
    assert (found["status"], found["rows"], found["billed"], found["residual"]) == ("tied", 10, 100, 0)
    assert (found["source"], found["issuer"], found["billing_periods"]) == ("bill", "Cloud", "2026-10")


@pytest.mark.parametrize(
    ("bill", "invoice", "status", "expected"),
    [
        ([charge("87.60")], {}, "not_tied", {"unexplained": "12.4"}),
        ([charge("99.996")], {}, "within_tolerance", {"rounding": "0.004"}),
        ([charge("99.991")], {}, "within_tolerance", {"unexplained": "0.009"}),
        ([charge("90")], {"tax": "10"}, "not_tied", {"tax": "10"}),
        ([charge("90"), charge("8", ChargeCategory="Tax")], {"tax": "10"}, "not_tied", {"tax": "2"}),
        ([charge("105")], {"credits": "-5"}, "not_tied", {"credits": "-5"}),
        ([charge("60"), charge("40", InvoiceId="")], {}, "not_tied", {"not_yet_invoiced": "40"}),
        ([charge("60"), charge("41", InvoiceId="")], {}, "not_tied", {"unexplained": "40"}),
        ([charge("60"), charge("40", InvoiceId="", BillingAccountId="x")], {}, "not_tied", {"unexplained": "40"}),
        ([charge("60"), charge("40", InvoiceIssuerName="Seller")], {}, "not_tied", {"marketplace": "40"}),
        ([charge("100"), charge("30", ProviderName="Seller")], {}, "not_tied", {"marketplace": "-30"}),
        ([charge("80")], {"tax": "10", "credits": "-2"}, "not_tied", {"tax": "10", "credits": "-2", "unexplained": "12"}),
    ],
)  # fmt: skip
def test_a_residual_has_its_reasons(
    tmp_path: Path, bill: list[dict[str, str]], invoice: dict[str, str], status: str, expected: dict[str, str]
) -> None:
    """What the invoice states is compared; what one side lacks counts in full or not at all; the rest is unexplained."""
    found = row_of_issuer(reconciled(tmp_path, bill, invoice), "Cloud")
    assert (found["status"], reasons(found)) == (status, expected)


def row_of_issuer(run: Run, issuer: str) -> dict[str, Any]:
    [found] = [r for r in run.rows("tie_out") if (r["invoice_id"], r["issuer"]) == ("INV-1", issuer)]
    return found


def test_a_tolerance_and_accepted_reasons_are_the_sources(tmp_path: Path) -> None:
    """A source whose export holds no tax says so; what is left may be as large as its tolerance."""
    source = ', tie_out: {tolerance: "0.05", accept: [tax]}'
    bill = [charge("89.96")]
    found = row(reconciled(tmp_path / "a", bill, {"tax": "10"}, source=source))
    assert (found["status"], found["tolerance"], found["accepted"]) == ("within_tolerance", Decimal("0.05"), "tax")
    assert row(reconciled(tmp_path / "b", bill, {"tax": "9.99"}, source=source))["status"] == "within_tolerance"
    assert row(reconciled(tmp_path / "c", bill, {"tax": "9.90"}, source=source))["status"] == "not_tied"


def test_a_yen_is_a_yen(tmp_path: Path) -> None:
    """The default tolerance and the rounding are those of the currency's minor unit."""
    found = row(reconciled(tmp_path, [charge("100.4", BillingCurrency="JPY")], {"currency": "JPY"}))
    assert (found["status"], found["tolerance"]) == ("within_tolerance", 1)


def test_the_issuer_tells_invoices_with_one_id_apart(tmp_path: Path) -> None:
    """Two vendors that count from one do not pay for each other; spelling of case and blanks is no other issuer."""
    bill = [charge("100"), charge("7", InvoiceIssuerName="Other Inc.")]
    run = reconciled(tmp_path, bill, {}, {"issuer": "other  INC.", "amount": "7"})
    assert sorted(r["status"] for r in run.rows("tie_out")) == ["tied", "tied"]


@pytest.mark.parametrize(("charged", "stated"), [("", "Cloud"), ("Cloud", "")])
def test_without_an_issuer_the_id_decides_where_nothing_rivals(tmp_path: Path, charged: str, stated: str) -> None:
    """Where two could be meant, neither is."""
    bill = [charge("100", InvoiceIssuerName=charged)]
    assert row(reconciled(tmp_path / "a", bill, {"issuer": stated}))["status"] == "tied"
    rival = [*bill, charge("1", InvoiceIssuerName="Third")]
    run = reconciled(tmp_path / "b", rival, {"issuer": stated}, *([{"issuer": "Rival"}] if stated else []))
    statuses = {r["issuer"]: r["status"] for r in run.rows("tie_out") if r["billed"] == 100}
    assert set(statuses.values()) == {"not_invoiced"}


def test_every_charge_and_every_invoice_is_a_row(tmp_path: Path) -> None:
    """What no invoice covers and what no charge belongs to stand there too, and the rows add up to the bill."""
    bill = [
        charge("100"),
        charge("5", InvoiceId="INV-9"),
        charge("3", InvoiceId=""),
        charge("4", BillingCurrency="EUR"),
    ]
    run = reconciled(
        tmp_path, bill, {}, {"invoice_id": "INV-5", "amount": "8"}, {"invoice_id": "V", "status": "voided"}
    )
    rows = {(r["invoice_id"], r["currency"]): r for r in run.rows("tie_out")}
    assert {key: r["status"] for key, r in rows.items()} == {
        ("INV-1", "USD"): "tied",
        ("INV-5", "USD"): "no_charges",  # those without an id may be of either invoice: they are of none
        ("INV-9", "USD"): "not_invoiced",
        (None, "USD"): "not_invoiced",
        ("INV-1", "EUR"): "not_invoiced",
    }
    assert sum(r["billed"] for r in rows.values()) == 112
    assert reasons(rows["INV-5", "USD"]) == {"unexplained": "8"}


def test_an_open_or_a_void_invoice_covers_nothing(tmp_path: Path) -> None:
    """Not yet issued is not invoiced, and neither is what was voided."""
    bill = [charge("100"), charge("5", InvoiceId="INV-2")]
    run = reconciled(tmp_path, bill, {"status": "Open"}, {"invoice_id": "INV-2", "amount": "5", "status": "Voided"})
    assert (row(run)["status"], row(run)["residual"]) == ("not_invoiced", 0)
    assert (row(run, "INV-2")["status"], row(run, "INV-2")["invoice_status"]) == ("not_invoiced", "Voided")


def test_without_invoices_nothing_is_called_tied(tmp_path: Path) -> None:
    """A source without an invoices input is not checked; one that is bound to another source covers only that one."""
    run = reconciled(tmp_path, [charge("100")])
    assert (row(run)["status"], row(run)["invoiced"], row(run)["billed"]) == ("not_checked", None, 100)
    write_csv(tmp_path / "b/other.csv", [charge("1")])
    extra = "invoices: [{name: inv, path: invoices.csv, source: bill}]"
    more = '"}\n  - {name: other, format: focus, path: "' + str(tmp_path / "b/other.csv")
    both = reconciled(tmp_path / "b", [charge("100")], {}, extra=extra, source="")
    assert row(both)["status"] == "tied"
    config = tmp_path / "b/governor.yaml"
    config.write_text(config.read_text().replace('bill.csv"}', f"bill.csv{more}" + '"}'))
    statuses = {r["source"]: r["status"] for r in run_project(config).run.rows("tie_out")}
    assert statuses == {"bill": "tied", "other": "not_checked"}


def test_a_rejected_row_makes_it_unknown(tmp_path: Path) -> None:
    """Sums that agree prove nothing while a row of the period could not be read; another period's row is no matter."""
    bill = [charge("100"), charge("one hundred")]
    found = row(reconciled(tmp_path, bill, {}))
    assert (found["status"], found["residual"], found["detail"]) == ("unknown", 0, "1 rejected row of bill")
    september = {"BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z"}
    assert row(reconciled(tmp_path / "b", [charge("100"), charge("x", **september)], {}))["status"] == "tied"


def test_a_quantity_that_nobody_can_read_unties_no_invoice(tmp_path: Path) -> None:
    """Its charge is there, with all that was billed; what it lacks decides nothing about money."""
    bill = [charge("100", ConsumedQuantity="1234567890123456", ConsumedUnit="byte-seconds")]
    run = reconciled(tmp_path, bill, {}, policies=(TAGS, BY_TAG, QUANTITY))
    assert [gap["reason"] for gap in run.rows("gaps")] == ["unreadable_value"]
    assert row(run)["status"] == "tied"


def test_a_refused_source_leaves_its_invoices_unknown(tmp_path: Path) -> None:
    """An invoice without charges is not called so while the bill that may hold them could not be used."""
    run = reconciled(tmp_path, [charge("100")], {}, {"invoice_id": "INV-2"}, source="")
    assert row(run, "INV-2")["status"] == "no_charges"
    config = tmp_path / "governor.yaml"
    config.write_text(
        config.read_text().replace('bill.csv"}', 'bill.csv"}\n  - {name: gone, format: focus, path: gone}')
    )
    again = run_project(config).run
    assert (row(again, "INV-2")["status"], row(again, "INV-2")["detail"]) == ("unknown", "the source gone was refused")
    assert row(again)["status"] == "tied"


amounts = st.decimals(min_value=-1000, max_value=1000, places=6)
parts = st.builds(
    Part,
    source=st.sampled_from(["a", "b"]),
    issuer=st.sampled_from(["X", "Y", None]),
    invoice_id=st.sampled_from(["1", "2", None]),
    account=st.sampled_from(["p", "q", None]),
    currency=st.just("USD"),
    period=st.sampled_from(["2026-05", "2026-06"]),
    category=st.sampled_from(["Usage", "Tax", "Credit"]),
    seller=st.sampled_from(["X", "Z"]),
    rows=st.just(1),
    billed=amounts,
)
stated = st.builds(
    Invoice,
    id=st.sampled_from(["1", "2", "3"]),
    issuer=st.sampled_from(["X", "y", ""]),
    currency=st.just("USD"),
    status=st.sampled_from(["Issued", "Open", "Voided"]),
    amount=amounts,
    position=st.just(Position("i.csv")),
    tax=st.none() | amounts,
    credits=st.none() | amounts,
    lines=st.integers(1, 5),
    periods=st.sampled_from([(), ("2026-05",)]),
    accounts=st.sampled_from([(), ("p",)]),
)


@given(st.lists(parts, max_size=12), st.lists(stated, max_size=4, unique_by=lambda one: (one.id, one.issuer)))
def test_rows_are_the_bill_and_reasons_the_residual(found: list[Part], invoices: list[Invoice]) -> None:
    """Whatever comes: no charge is in two rows or in none, and the reasons add up to the residual exactly."""
    given_ = Invoices(tuple(invoices), (InvoicesInput("i", "", "csv", ()),))
    rows = list(tie_out(found, given_, {"a": TieOut(), "b": TieOut()}, Sight({})))
    assert total(r["billed"] for r in rows) == total(part.billed for part in found)
    assert sum(r["rows"] for r in rows) == len(found)
    compared = [r for r in rows if "residual" in r]
    assert len(compared) == sum(one.status != "Voided" for one in invoices)
    for r in compared:
        assert total(r[name] for name in REASONS) == r["residual"] == r["invoiced"] - r["billed"]
        assert r["status"] != "tied" or r["residual"] == 0


# --- the bridge and the commitments -----------------------------------------------------------------------------------


def bridge(run: Run) -> dict[str, str]:
    lines: dict[str, Decimal] = {}
    for r in run.rows("bridge"):
        name = r["line"] + (f" {r['charge_category']}" if r["charge_category"] else "")
        lines[name] = lines.get(name, Decimal(0)) + r["amount"]
    return {name: format(amount.normalize(), "f") for name, amount in lines.items()}


def test_the_bridge_leads_from_billed_to_effective(tmp_path: Path) -> None:
    """Each charge stands on one line: purchases, covered usage, unused, and what else differs by its category."""
    bill = [
        charge("100"),
        charge("300", ChargeCategory="Purchase", EffectiveCost="0", CommitmentDiscountId="ri-1"),
        charge("0", EffectiveCost="180", **COMMITMENT),
        charge("0", EffectiveCost="140", **COMMITMENT | {"CommitmentDiscountStatus": "Unused"}),
        charge("10", EffectiveCost="7.5", ChargeCategory="Credit"),
    ]
    run = reconciled(tmp_path, bill)
    assert bridge(run) == {
        "billed": "410", "purchases": "-300", "used": "180", "unused": "140", "other Credit": "-2.5",
        "effective": "427.5", "prepaid_drawdown": "20",
    }  # fmt: skip
    assert [r["line"] for r in run.rows("bridge")][:2] == ["billed", "purchases"]
    [deal] = run.rows("commitments")
    assert (deal["purchased"], deal["used"], deal["unused"], deal["drawdown"]) == (300, 180, 140, 20)
    assert (deal["utilisation"], deal["broken"]) == ("56.25", None)


@pytest.mark.parametrize(
    ("change", "broken", "column", "amount"),
    [
        ({"CommitmentDiscountStatus": ""}, "status", "status_difference", "180"),
        ({"ChargeCategory": "Purchase"}, "status, purchase", "purchase_effective", "180"),
        ({"CommitmentDiscountStatus": "Unused", "BilledCost": "1"}, "unused", "unused_billed", "1"),
    ],
)
def test_an_identity_that_breaks_is_named_with_its_money(
    tmp_path: Path, change: dict[str, str], broken: str, column: str, amount: str
) -> None:
    """Used and unused are the usage; a purchase has no effective cost; what is unused is not billed."""
    [deal] = reconciled(tmp_path, [charge("0", EffectiveCost="180", **COMMITMENT) | change]).rows("commitments")
    assert (deal["broken"], deal[column]) == (broken, Decimal(amount))


def test_a_capacity_reservation_is_reckoned_like_a_commitment(tmp_path: Path) -> None:
    """Its unused part is billed, as the provider does; its used and unused parts are its usage."""
    reserved = {"CapacityReservationId": "cr-1", "CapacityReservationStatus": "Used"}
    bill = [charge("12", **reserved), charge("3", **reserved | {"CapacityReservationStatus": "Unused"})]
    [deal] = reconciled(tmp_path, bill).rows("commitments")
    assert (deal["kind"], deal["id"], deal["used"], deal["unused"], deal["utilisation"]) == (
        "capacity",
        "cr-1",
        12,
        3,
        "80.00",
    )
    assert (deal["broken"], deal["drawdown"]) == (None, 0)


# What the FOCUS appendix says of its examples: purchased, used, unused, other; usable rows only.
SPECIFICATION = {
    "commitment_discount_purchase_scenario_1": ("8760", "0", "0", None),
    "commitment_discount_usage_scenario_3": ("0", "0.75", "0.25", "75.00"),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources": ("2", "2", "0", "100.00"),
    "one_hundred_percent_utilization_without_commitment_discount_flexibility": ("1.5", "1.5", "0", "100.00"),
    "zero_percent_utilization_without_commitment_discount_flexibility": ("1.5", "0", "1.5", "0.00"),
}
DEFAULTS = ", defaults: {BillingCurrency: USD, BillingAccountId: none, ServiceName: none}"


@pytest.mark.parametrize("name", sorted(SPECIFICATION))
def test_the_specifications_examples_hold(sample_data: Path, tmp_path: Path, name: str) -> None:
    """The appendix of the specification is its own oracle: the figures are its, and no identity breaks."""
    run = judged(
        tmp_path, sample_data / f"billing/focus_spec_saas/{name}.csv", policies=(TAGS, BY_TAG), source=DEFAULTS
    )
    [deal] = run.rows("commitments")
    purchased, used, unused, utilisation = SPECIFICATION[name]
    assert (deal["purchased"], deal["used"], deal["unused"]) == tuple(map(Decimal, (purchased, used, unused)))
    assert (deal["utilisation"], deal["broken"]) == (utilisation, None)


@pytest.mark.parametrize("version", ["1.2", "1.4"])
def test_a_generated_bill_ties_to_its_invoices(tmp_path: Path, seed: int, version: str) -> None:
    """Every invoice of the generator is tied to the cent, and the bridge has the drawdown and the unused of its truth."""
    truth = generate(Spec(rows=2_000, seed=seed, version=version), tmp_path / "bill", "parquet")
    issued = [one for one in truth["invoices"] if one["invoice_id"]]
    write_csv(tmp_path / "project/invoices.csv", [one | {"period": truth["billing_period"]} for one in issued])
    run = run_project(write_project(tmp_path / "project", tmp_path / "bill/data", extra=ALL)).run
    rows = run.rows("tie_out")
    assert {r["invoice_id"]: r["status"] for r in rows if r["invoice_id"]} == {i["invoice_id"]: "tied" for i in issued}
    waiting = {r["billing_account_id"]: r["billed"] for r in rows if not r["invoice_id"]}
    unnumbered = {
        one["billing_account_id"]: Decimal(one["amount"]) for one in truth["invoices"] if not one["invoice_id"]
    }
    assert waiting == unnumbered
    lines = run.rows("bridge")
    for currency in truth["by_currency"]:
        mine = {r["line"]: r["amount"] for r in lines if r["currency"] == currency["currency"] and r["line"] != "other"}
        apart = Decimal(currency["effective_cost"]) - Decimal(currency["billed_cost"])
        assert mine["prepaid_drawdown"] == apart == mine["purchases"] + mine["used"] + mine["unused"]
    unused = sum(
        Decimal(r["effective_cost"])
        for r in truth["by_commitment_status"]
        if r["commitment_discount_status"] == "Unused"
    )
    assert sum(r["amount"] for r in lines if r["line"] == "unused") == unused
    assert not [deal for deal in run.rows("commitments") if deal["broken"]]


def test_threads_and_row_order_change_nothing(tmp_path: Path) -> None:
    """The same charges in another order are the same tables, byte for byte, for any number of threads."""
    bill = [charge(f"{n}.{n}", InvoiceId=f"INV-{n % 3}", SubAccountId=f"a{n}") for n in range(30)]
    write_csv(tmp_path / "invoices.csv", [ROW])
    folders = [tmp_path / name for name in ("x", "y")]
    digests = []
    for folder, rows, threads in zip(folders, (bill, bill[::-1]), (1, 3), strict=True):
        config = write_project(folder, rows, extra=f"invoices: [{{name: inv, path: '{tmp_path / 'invoices.csv'}'}}]")
        outputs = run_project(config, threads=threads).run.manifest["outputs"]
        digests.append({name: outputs[name]["sha256"] for name in ("tie_out", "bridge", "commitments")})
    assert digests[0] == digests[1]


def test_invoices_are_evidence(tmp_path: Path) -> None:
    """The manifest names the invoices file with its digest, as it names every bill and register."""
    manifest = reconciled(tmp_path, [charge("100")], {}).manifest
    [given_] = [each for each in manifest["inputs"] if each["kind"] == "invoices"]
    assert (given_["source"], given_["format"], given_["files"][0]["path"]) == ("inv", "csv", "invoices.csv")
    assert json.dumps(given_)
    with (tmp_path / "invoices.csv").open() as file:
        assert given_["files"][0]["rows"] == len(list(csv.DictReader(file)))
