"""FOCUS 1.4 Cost and Usage as we write it: which columns, which may be empty, and what stands in for what is missing.

Nothing is filled in silence: every rule of FILLS that is used is counted and told, and a row says in `x_Filled` which
of its columns were not delivered. Where nothing honest can stand in, the export of the source is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from governor.engine.columns import SPELLINGS
from governor.tables import snake

VERSION = "1.4"

# The columns that a file must have. Others are written where some row has a value.
MANDATORY = frozenset(
    snake(name)
    for name in (
        "BilledCost EffectiveCost ListCost ContractedCost BillingAccountId BillingAccountName BillingCurrency "
        "BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd ChargeCategory ChargeClass "
        "ChargeDescription HostProviderName InvoiceIssuerName PricingQuantity PricingUnit ServiceCategory ServiceName "
        "ServiceProviderName"
    ).split()
)
# Those without which a row says nothing true, and which nothing else in the row can tell.
NEEDED = ("billing_account_id", "charge_category", "invoice_issuer_name", "service_provider_name")
# May be left out, but where it stands every row must have it.
WHOLE = ("billing_account_type", "pricing_currency", "pricing_currency_effective_cost")


@dataclass(frozen=True, slots=True)
class Fill:
    """What stands in for a value that was not delivered: the first whose `where` holds. SQL is over delivered columns.

    `says` ends the sentence "ListCost was not delivered for 7 rows: …".
    """

    column: str
    value: str
    says: str
    where: str = "TRUE"


_PRICED = "charge_category IN ('Usage', 'Purchase')"
FILLS = (
    Fill("billing_period_end", "billing_period_start + INTERVAL 1 MONTH", "a month after BillingPeriodStart stands in"),
    Fill(
        "charge_period_end",
        "date_trunc('month', charge_period_start) + INTERVAL 1 MONTH",
        "the end of the month of ChargePeriodStart stands in",
    ),
    # FOCUS: without negotiated prices, what is contracted is what is listed.
    Fill("contracted_cost", "list_cost", "ListCost stands in", f"{_PRICED} AND list_cost IS NOT NULL"),
    Fill("contracted_cost", "effective_cost", "EffectiveCost stands in", "charge_category = 'Usage'"),
    Fill("contracted_cost", "billed_cost", "BilledCost stands in"),
    Fill("list_cost", "contracted_cost", "ContractedCost stands in", f"{_PRICED} AND contracted_cost IS NOT NULL"),
    Fill("list_cost", "effective_cost", "EffectiveCost stands in", "charge_category = 'Usage'"),
    Fill("list_cost", "billed_cost", "BilledCost stands in"),  # FOCUS asks for it where there is no unit price
    Fill("service_name", "service_provider_name", "ServiceProviderName stands in"),
    Fill("service_category", "'Other'", "'Other' stands in"),
    Fill(
        "service_subcategory",
        "'Other (' || coalesce(service_category, 'Other') || ')'",
        "the category's 'Other (…)' stands in",
    ),
    Fill("charge_frequency", "'Usage-Based'", "'Usage-Based' stands in for usage", "charge_category = 'Usage'"),
    Fill("charge_frequency", "'One-Time'", "'One-Time' stands in"),
)

# ServiceCategory and its ServiceSubcategories; each category has `Other (category)` beside these.
SUBCATEGORIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": (
        "AI Platforms",
        "Bots",
        "Generative AI",
        "Machine Learning",
        "Natural Language Processing",
    ),
    "Analytics": ("Analytics Platforms", "Business Intelligence", "Data Processing", "Search", "Streaming Analytics"),
    "Business Applications": ("Productivity and Collaboration",),
    "Compute": ("Containers", "End User Computing", "Quantum Compute", "Serverless Compute", "Virtual Machines"),
    "Databases": (
        "Caching",
        "Data Warehouses",
        "Ledger Databases",
        "NoSQL Databases",
        "Relational Databases",
        "Time Series Databases",
    ),
    "Developer Tools": (
        "Continuous Integration and Deployment",
        "Developer Platforms",
        "Development Environments",
        "Quality Assurance",
        "Source Code Management",
    ),
    "Multicloud": ("Multicloud Integration",),
    "Identity": ("Identity and Access Management",),
    "Integration": ("API Management", "Messaging", "Workflow Orchestration"),
    "Internet of Things": ("IoT Analytics", "IoT Platforms"),
    "Management and Governance": (
        "Architecture",
        "Compliance",
        "Cost Management",
        "Data Governance",
        "Disaster Recovery",
        "Endpoint Management",
        "Observability",
        "Support",
    ),
    "Media": ("Content Creation", "Gaming", "Media Streaming", "Mixed Reality"),
    "Migration": ("Data Migration", "Resource Migration"),
    "Mobile": (),
    "Networking": (
        "Application Networking",
        "Content Delivery",
        "Network Connectivity",
        "Network Infrastructure",
        "Network Routing",
        "Network Security",
    ),
    "Security": ("Secret Management", "Security Posture Management", "Threat Detection and Response"),
    "Storage": ("Backup Storage", "Block Storage", "File Storage", "Object Storage", "Storage Platforms"),
    "Web": ("Application Platforms",),
    "Other": (),
}

# The closed lists. A value that differs in case, hyphens or spaces only gets this spelling; any other is no value.
LISTS: Mapping[str, tuple[str, ...]] = {
    **SPELLINGS,
    "commitment_discount_category": ("Spend", "Usage"),
    "capacity_reservation_status": ("Used", "Unused"),
    "service_category": tuple(SUBCATEGORIES),
    "service_subcategory": tuple(
        name for category, names in SUBCATEGORIES.items() for name in (*names, f"Other ({category})")
    ),
}
