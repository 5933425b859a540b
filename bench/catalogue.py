"""What the imagined providers sell, and to whom: the fixed part of every generated bill.

Prices and quantities are log-normal, as on real bills, where row costs spread over ten decades: `price` and `quantity`
are the log10 of the medians, `free` the share of price points that cost nothing (a third of real AWS rows).
"""

from __future__ import annotations

from typing import NamedTuple


class Provider(NamedTuple):
    """A provider and how it names things. `hourly` providers bill by the hour, the others by the day."""

    name: str
    publisher: str
    account_type: str
    hourly: bool
    regions: tuple[str, ...]


class Service(NamedTuple):
    """A service with its FOCUS category, the unit it is priced in and the spread of its prices."""

    provider: int
    name: str
    category: str
    subcategory: str
    resource_type: str
    weight: float
    unit: str
    price: float
    quantity: float
    free: float


class Payer(NamedTuple):
    """A billing account: its currency, negotiated discount and tax rate, and whether it gets invoice ids."""

    id: str
    provider: int
    currency: str
    weight: float
    discount: float
    tax: float
    invoiced: bool


PROVIDERS = (
    Provider(
        "AWS",
        "Amazon Web Services, Inc.",
        "Member account",
        True,
        ("us-west-2", "us-east-1", "eu-west-1", "ap-south-1", "ca-central-1"),
    ),
    Provider("Microsoft", "Microsoft", "Subscription", False, ("eastus", "westeurope", "uksouth")),
    Provider("Google Cloud", "Google Cloud", "Project", True, ("us-central1", "europe-west4", "asia-south1")),
    Provider("Oracle", "Oracle", "Compartment", True, ("us-sanjose-1", "eu-frankfurt-1")),
    Provider("Snowpeak Data", "Snowpeak Data", "Account", False, ("aws:us-east-1",)),
)
AWS, MICROSOFT, GOOGLE, ORACLE, SNOWPEAK = range(len(PROVIDERS))
RESELLERS = ("Red Hat Inc.", "Datadog")  # publishers of marketplace charges

_GOVERN, _NET, _DATA, _AI = "Management and Governance", "Networking", "Databases", "AI and Machine Learning"
_Offer = tuple[str, str, str, str, float, str, float, float, float]
# fmt: off
_OFFERS: dict[int, tuple[_Offer, ...]] = {
    AWS: (
        ("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines", "instance", 0.55, "Hours", -0.25, -0.15, 0.24),
        ("Elastic Load Balancing", _NET, "Application Networking", "loadbalancer", 0.10, "LCU-Hours", -2.1, -2.0, 0.4),
        ("AmazonCloudWatch", _GOVERN, "Observability", "log-group", 0.08, "GB-Mo", -1.6, -3.0, 0.1),
        ("Amazon Virtual Private Cloud", _NET, "Network Infrastructure", "natgateway", 0.06, "Hours", -2.0, -0.3, 0.15),
        ("Amazon Elastic Container Service", "Compute", "Containers", "task", 0.04, "vCPU-Hours", -1.5, -1.6, 0.3),
        ("Amazon Simple Storage Service", "Storage", "Object Storage", "bucket", 0.06, "GB-Mo", -1.7, -2.2, 0.12),
        ("Amazon Relational Database Service", _DATA, "Relational Databases", "db", 0.03, "Hours", 0.0, -0.1, 0.15),
        ("AWS Lambda", "Compute", "Serverless Compute", "function", 0.03, "Requests", -4.8, 1.0, 0.1),
        ("Amazon Simple Queue Service", "Integration", "Messaging", "queue", 0.03, "Requests", -5.5, 1.0, 0.0),
        ("AWS Support (Enterprise)", _GOVERN, "Support", "", 0.0, "Months", 1.6, -1.0, 0.0),
    ),
    MICROSOFT: (
        ("Virtual Machines", "Compute", "Virtual Machines", "Virtual machine", 0.30, "Hours", -1.1, 0.8, 0.0),
        ("Storage Accounts", "Storage", "Object Storage", "Storage account", 0.40, "GB/Month", -2.6, -1.0, 0.02),
        ("Azure Kubernetes Service", "Compute", "Containers", "Kubernetes service", 0.10, "Hours", -1.0, 1.2, 0.05),
        ("Azure SQL Database", _DATA, "Relational Databases", "SQL database", 0.08, "Hours", -0.9, 0.9, 0.0),
        ("Azure Machine Learning", _AI, "Machine Learning", "Workspace", 0.07, "Hours", -0.5, 0.2, 0.0),
        ("Bandwidth", _NET, "Network Connectivity", "", 0.05, "GB", -1.2, -2.0, 0.4),
    ),
    GOOGLE: (
        ("Compute Engine", "Compute", "Virtual Machines", "instances", 0.45, "hour", -0.7, -0.2, 0.1),
        ("BigQuery", "Analytics", "Data Processing", "datasets", 0.12, "tebibyte", 0.7, -3.0, 0.1),
        ("Cloud Storage", "Storage", "Object Storage", "buckets", 0.20, "gibibyte month", -1.7, -2.0, 0.05),
        ("Kubernetes Engine", "Compute", "Containers", "clusters", 0.10, "hour", -1.0, -0.1, 0.0),
        ("Networking", _NET, "Network Connectivity", "", 0.13, "gibibyte", -1.1, -2.5, 0.3),
    ),
    ORACLE: (
        ("COMPUTE", "Compute", "Virtual Machines", "instance", 0.6, "OCPU Hours", -1.2, 0.4, 0.1),
        ("BLOCK_STORAGE", "Storage", "Block Storage", "volume", 0.3, "GB Months", -1.6, -1.2, 0.0),
        ("NETWORK", _NET, "Network Connectivity", "vnic", 0.1, "GB Months", -2.0, -2.0, 0.5),
    ),
    SNOWPEAK: (
        ("Snowpeak Warehouse", "Analytics", "Analytics Platforms", "warehouse", 1.0, "Credits", 0.45, -1.4, 0.0),
    ),
}
# fmt: on
SERVICES = tuple(Service(provider, *offer) for provider, offers in _OFFERS.items() for offer in offers)
PRICE_POINTS = 12  # SKUs per service

PAYERS = (
    Payer("999900000001", AWS, "USD", 0.38, 0.06, 0.0, True),
    Payer("999900000002", AWS, "USD", 0.17, 0.0, 0.0825, True),
    Payer("/providers/microsoft.billing/billingaccounts/8611537", MICROSOFT, "EUR", 0.14, 0.11, 0.20, False),
    Payer("/providers/microsoft.billing/billingaccounts/77aa", MICROSOFT, "USD", 0.09, 0.0, 0.0825, True),
    Payer("01A2B3-C4D5E6-F7A8B9", GOOGLE, "USD", 0.14, 0.04, 0.0, True),
    Payer("018984-D0AAA4-940B88", GOOGLE, "INR", 0.04, 0.0, 0.18, True),
    Payer("20209880", ORACLE, "USD", 0.03, 0.0, 0.0, True),
    Payer("SPD-4471", SNOWPEAK, "USD", 0.01, 0.08, 0.0825, True),
)

CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
USAGE, PURCHASE, TAX, CREDIT, ADJUSTMENT = range(len(CATEGORIES))
FREQUENCIES = ("Usage-Based", "Recurring", "One-Time")
USAGE_BASED, RECURRING, ONE_TIME = range(len(FREQUENCIES))
PRICINGS = ("Standard", "Dynamic", "Committed", "Other")
STANDARD, DYNAMIC, COMMITTED, OTHER = range(len(PRICINGS))
COMMITMENT_STATUSES = ("Used", "Unused")
USED, UNUSED = range(len(COMMITMENT_STATUSES))

# Descriptions of charges that are no usage of a SKU.
SPECIAL = (
    "Tax",
    "Credit",
    "Refund of usage",
    "Rounding adjustment",
    "Savings plan recurring fee",
    "Reservation recurring fee",
    "Unused commitment",
    "Marketplace subscription",
    "Correction of prior period usage",
    "Support fee",
)
(
    TAX_TEXT,
    CREDIT_TEXT,
    REFUND_TEXT,
    ROUNDING_TEXT,
    PLAN_FEE_TEXT,
    RESERVATION_FEE_TEXT,
    UNUSED_TEXT,
    MARKETPLACE_TEXT,
    CORRECTION_TEXT,
    SUPPORT_TEXT,
) = range(len(SPECIAL))

SUPPORT = next(i for i, s in enumerate(SERVICES) if s.subcategory == "Support")
NAMESPACES = ("payments", "search", "checkout", "ml-train", "observability", "kube-system")
BUSINESS_UNITS = ("Retail", "Payments", "Data", "Platform", "Marketing", "Corporate")


def first_service(provider: int) -> int:
    """Find the provider's main service: fees and taxes are booked on it."""
    return next(i for i, s in enumerate(SERVICES) if s.provider == provider)
