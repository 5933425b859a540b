"""Every defect that the pack focus-quality finds: which clean rows can have it, and what it does to a row."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

Row = dict[str, str]


class Defect(NamedTuple):
    """`fits` says of a clean row whether the defect can be injected into it; `injected` are the columns it changes."""

    fits: Callable[[Row], bool]
    injected: Callable[[Row], Row]


def half(amount: str) -> str:
    return format(Decimal(amount) / 2, "f")


def priced(row: Row) -> bool:
    """Usage at a price, that no commitment covers."""
    covered = row["CommitmentDiscountId"] or row["AllocatedMethodId"]
    return row["ChargeCategory"] == "Usage" and not covered and Decimal(row["BilledCost"]) > 1 and row["SkuId"] != ""


def of(category: str) -> Callable[[Row], bool]:
    return lambda row: row["ChargeCategory"] == category


def committed(status: str) -> Callable[[Row], bool]:
    return lambda row: row["CommitmentDiscountStatus"] == status


def bought(row: Row) -> bool:
    return row["ChargeCategory"] == "Purchase" and row["CommitmentDiscountId"] != ""


def split(row: Row) -> bool:
    return row["AllocatedMethodId"] != ""


def given(**changes: str) -> Callable[[Row], Row]:
    return lambda _row: changes


DEFECTS = {
    "focus-amounts/list-below-contracted": Defect(
        priced,
        lambda row: {
            "ListCost": half(row["ContractedCost"]),
            "ListUnitPrice": half(row["ContractedUnitPrice"]),
        },
    ),
    "focus-amounts/contracted-below-effective": Defect(
        priced,
        lambda row: {
            "ContractedCost": half(row["ContractedCost"]),
            "ContractedUnitPrice": half(row["ContractedUnitPrice"]),
        },
    ),
    "focus-amounts/list-missing": Defect(priced, given(ListCost="0", ListUnitPrice="")),
    "focus-amounts/contracted-missing": Defect(priced, given(ContractedCost="0", ContractedUnitPrice="")),
    "focus-amounts/effective-is-billed": Defect(priced, lambda row: {"EffectiveCost": half(row["BilledCost"])}),
    "focus-amounts/list-is-price": Defect(priced, lambda row: {"ListUnitPrice": row["ListUnitPrice"] + "e4"}),
    "focus-amounts/contracted-is-price": Defect(
        priced, lambda row: {"ContractedUnitPrice": half(row["ContractedUnitPrice"])}
    ),
    "focus-commitments/purchase-effective": Defect(bought, lambda row: {"EffectiveCost": row["BilledCost"]}),
    "focus-commitments/unused-billed": Defect(
        committed("Unused"),
        lambda row: {
            "BilledCost": row["EffectiveCost"],
            "ListCost": row["EffectiveCost"],
            "ContractedCost": row["EffectiveCost"],
        },
    ),
    "focus-commitments/status-without-id": Defect(committed("Used"), given(CommitmentDiscountId="")),
    "focus-commitments/id-without-status": Defect(committed("Used"), given(CommitmentDiscountStatus="")),
    "focus-commitments/status-vocabulary": Defect(committed("Used"), given(CommitmentDiscountStatus="Partly")),
    "focus-commitments/category-vocabulary": Defect(
        committed("Used"), given(CommitmentDiscountCategory="Savings Plan")
    ),
    "focus-commitments/committed-pricing": Defect(committed("Used"), given(PricingCategory="Standard")),
    "focus-commitments/unused-consumed": Defect(committed("Unused"), given(ConsumedQuantity="1", ConsumedUnit="Hours")),
    "focus-commitments/purchase-resource": Defect(bought, given(ResourceId="")),
    "focus-commitments/reservation-status": Defect(
        priced, given(CapacityReservationId="cr-1", CapacityReservationStatus="idle")
    ),
    "focus-commitments/reservation-without-id": Defect(priced, given(CapacityReservationStatus="Used")),
    "focus-completeness/invoice-issuer": Defect(priced, given(InvoiceIssuerName="")),
    "focus-completeness/provider": Defect(priced, given(ProviderName="", ServiceProviderName="")),
    "focus-completeness/billing-account": Defect(priced, given(BillingAccountId="")),
    "focus-completeness/service-name": Defect(priced, given(ServiceName="")),
    "focus-completeness/service-category": Defect(priced, given(ServiceCategory="")),
    "focus-completeness/tax-resource": Defect(of("Tax"), given(ResourceId="vm-1")),
    "focus-completeness/charge-period": Defect(priced, lambda row: {"ChargePeriodEnd": row["ChargePeriodStart"]}),
    "focus-completeness/period-ends": Defect(priced, given(ChargePeriodEnd="")),
    "focus-completeness/billing-period-order": Defect(
        priced, lambda row: {"BillingPeriodEnd": row["BillingPeriodStart"]}
    ),
    "focus-completeness/billing-period": Defect(
        priced, given(ChargePeriodStart="2026-10-02T00:00:00Z", ChargePeriodEnd="2026-10-02T01:00:00Z")
    ),
    "focus-quantities/pricing-quantity": Defect(priced, given(PricingQuantity="")),
    "focus-quantities/pricing-unit": Defect(priced, given(PricingUnit="")),
    "focus-quantities/consumed-quantity": Defect(priced, given(ConsumedQuantity="")),
    "focus-quantities/consumed-unit": Defect(priced, given(ConsumedUnit="")),
    "focus-splits/resource": Defect(split, given(AllocatedResourceId="")),
    "focus-splits/method": Defect(split, given(AllocatedMethodId="")),
    "focus-vocabulary/charge-category": Defect(priced, given(ChargeCategory="Others")),
    "focus-vocabulary/charge-class": Defect(priced, given(ChargeClass="Refund")),
    "focus-vocabulary/charge-frequency": Defect(priced, given(ChargeFrequency="Monthly")),
    "focus-vocabulary/purchase-frequency": Defect(of("Purchase"), given(ChargeFrequency="Usage-Based")),
    "focus-vocabulary/pricing-category": Defect(priced, given(PricingCategory="On-Demand")),
    "focus-vocabulary/service-category": Defect(priced, given(ServiceCategory="Database", ServiceSubcategory="")),
    "focus-vocabulary/service-subcategory": Defect(priced, given(ServiceSubcategory="Docker")),
    "focus-vocabulary/currency": Defect(priced, given(BillingCurrency="QQQ")),
    "focus-vocabulary/sku-price-details": Defect(priced, given(SkuPriceDetails='"x_Tier": 1')),
    "focus-vocabulary/allocated-method-details": Defect(split, given(AllocatedMethodDetails="[0.25]")),
    "focus-vocabulary/contract-applied": Defect(committed("Used"), given(ContractApplied="C-1")),
}
