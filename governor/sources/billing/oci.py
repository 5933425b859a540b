"""Oracle Cloud's own cost report, CSV from the tenancy's reports bucket: a row a resource, meter and hour.

What a row costs is `cost/myCost`, as in Oracle's FOCUS report; overage is a part of it and attributed cost a second
view of it: neither is added. Corrections are rows of their own that name the row they amend.
The report names no billing period: it is the month of the row's interval, in UTC. Each tag is a column of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from governor.model import Position, Problem, Refused
from governor.sources.billing.layout import Asked, Layout, Own, doubled, fold, raw, tags_of_columns
from governor.tables import MONEY

# Oracle writes its FOCUS report and this one for the same usage: both have this name, so that both in one source are
# told from each other by their grain, and refused.
FORMAT = "Oracle cost report"
COST = (
    "assumption",
    "costs are what Oracle's FOCUS report calls BilledCost, cost/myCost: without tax; and under a commitment "
    "(Universal Credits) the invoice asks for the commitment and the overage, and not for these costs",
)

_TELLING = ("lineItem/tenantId", "lineItem/intervalUsageStart", "product/service", "product/compartmentId")
_TAG = "tags/"

# Ours <- Oracle's; the first that isn't missing counts.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "billing_account_id": ("cost/subscriptionId",),
    "billing_currency": ("cost/currencyCode",),
    "charge_period_start": ("lineItem/intervalUsageStart",),
    "charge_period_end": ("lineItem/intervalUsageEnd",),
    "charge_description": ("product/Description",),
    "service_name": ("product/service",),
    "sub_account_id": ("lineItem/tenantId",),
    "region_id": ("product/region",),
    "availability_zone": ("product/availabilityDomain",),
    "resource_id": ("product/resourceId",),
    "sku_id": ("cost/productSku",),
    "consumed_quantity": ("usage/billedQuantity",),
    "consumed_unit": ("cost/skuUnitDescription", "cost/billingUnitReadable"),
    "pricing_quantity": ("usage/billedQuantity",),
    "pricing_unit": ("cost/skuUnitDescription", "cost/billingUnitReadable"),
    "contracted_unit_price": ("cost/unitPrice",),
}
_CONSTANTS = {
    "billing_account_type": "'Subscription'",
    "sub_account_type": "'Tenancy'",
    "service_provider_name": "'Oracle'",
    "host_provider_name": "'Oracle'",
    "invoice_issuer_name": "'Oracle'",
    "charge_frequency": "'Usage-Based'",
    "service_category": "'Other'",  # the report names none
}

# What is nothing in every row, and so is known: Oracle has no reserved instances, its FOCUS report leaves the pricing
# category empty, and a correction that stands in the month it corrects has no ChargeClass.
NOTHING = ("charge_class", "commitment_discount_id", "commitment_discount_status", "pricing_category")

# What Oracle's FOCUS report calls oci_<name>; policies name it alike for both reports.
_OWN = {
    "referencenumber": ("lineItem/referenceNo",),
    "backreferencenumber": ("lineItem/backreferenceNo", "lineItem/backreference"),
    "compartmentid": ("product/compartmentId",),
    "compartmentname": ("product/compartmentName",),
    "overageflag": ("cost/overageFlag",),
    "unitpriceoverage": ("cost/unitPriceOverage",),
    "billedquantityoverage": ("usage/billedQuantityOverage",),
    "costoverage": ("cost/myCostOverage",),
    "attributedusage": ("usage/attributedUsage",),
    "attributedcost": ("cost/attributedCost",),
}
_OCID = r"^ocid\d+\.([a-z0-9_]+)\."  # ocid1.instance.oc1.phx.…: the kind of resource is its second part


def recognise(header: Sequence[str]) -> str:
    """Say by which columns a header is a cost report or a usage report of Oracle's; '' where it is neither."""
    has = {_fold(name) for name in header}
    return f"it has {', '.join(_TELLING[:3])}" if has.issuperset(map(_fold, _TELLING)) else ""


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout. Raises Refused, naming the file."""
    folded = [_fold(name) for name in header]
    _refuse(header, folded, asked.file)
    place = {name: raw(at) for at, name in reversed(list(enumerate(folded)))}

    def found(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(place[_fold(name)] for name in names if _fold(name) in place)

    fields = {ours: sql for ours, names in _FIELDS.items() if (sql := found(names))}
    fields |= {ours: (sql,) for ours, sql in (_CONSTANTS | dict.fromkeys(NOTHING, "CAST(NULL AS VARCHAR)")).items()}
    if resource := found(("product/resourceId",)):
        fields["resource_type"] = (f"regexp_extract({resource[0]}, '{_OCID}', 1)",)
    for wanted in asked.wanted:
        if sql := found(_OWN.get(own_name(wanted), (fold(wanted).removeprefix("x"),))):
            fields[wanted] = sql
    tags = {name[len(_TAG) :]: raw(at) for at, name in enumerate(header) if name.lower().startswith(_TAG)}
    return Layout(
        "proprietary",  # as Oracle calls it
        recognise(header),
        fields,
        # Oracle writes a column for each tag that anything in the report has: without one, nothing has a tag.
        tags_of_columns(tags) if tags else "'{}'",
        format=FORMAT,
        own=_own(found),
        derived=_derived(),
        grain="proprietary",
        notices=(COST,),
    )


def own_name(wanted: str) -> str:
    """Reduce a name that a policy gives a column of Oracle's own to what both reports have in common.

    >>> own_name("oci_compartment_name"), own_name("x_oci_CompartmentName"), own_name("x_compartment_name")
    ('compartmentname', 'compartmentname', 'compartmentname')
    """
    return fold(wanted).removeprefix("x").removeprefix("oci")


def _fold(name: str) -> str:
    """Reduce a column name to what spelling can't change: `lineItem/tenantId` and `lineitem_tenantid` are one."""
    return fold(name).replace("/", "").replace(".", "")


def _refuse(header: Sequence[str], folded: Sequence[str], file: str) -> None:
    position, has = Position(file, 1, 1), set(folded)
    if not recognise(header):
        lacking = [name for name in _TELLING if _fold(name) not in has]
        what = f"isn't an {FORMAT}: it has no column {', '.join(lacking)}"
        raise Refused(Problem(position, "B013", what, "deliver the report as it lies in the bucket, with its header"))
    if "costmycost" not in has and "usageconsumedquantity" in has:
        what = "is Oracle's usage report: it says what was consumed and not what it costs"
        raise Refused(Problem(position, "B270", what, "take the cost report, which lies beside it under cost-csv"))
    if "costmycost" not in has:
        what = "has no column cost/myCost: what a row costs is unknown"
        raise Refused(Problem(position, "B271", what, "deliver the report as it lies in the bucket"))
    read = {_fold(name) for names in (*_FIELDS.values(), *_OWN.values()) for name in names}
    if twice := doubled(header, folded, read | {"costmycost", "lineitemiscorrection"}, file):
        raise Refused(*twice)


def _own(found: Callable[[Sequence[str]], tuple[str, ...]]) -> dict[str, Own]:
    def column(*names: str) -> str:
        return next(iter(found(names)), "CAST(NULL AS VARCHAR)")

    return {
        "myCost": Own(column("cost/myCost"), MONEY),
        "attributedCost": Own(column("cost/attributedCost"), MONEY),
        "resource": Own(column("product/resourceId")),
        "correction": Own(column("lineItem/isCorrection")),
        "corrected": Own(column(*_OWN["backreferencenumber"])),
    }


def _derived() -> dict[str, str]:
    month = "date_trunc('month', {charge_period_start})"
    # A pluggable database's row tells its share of what stands in its cluster's row, and costs nothing itself. What any
    # other row without a cost costs isn't known.
    share = "{attributedCost} IS NOT NULL AND contains(lower({resource}), '.pluggabledatabase.')"
    cost = f"coalesce({{myCost}}, CASE WHEN {share} THEN CAST(0 AS {MONEY}) END)"
    corrects = "lower({correction}) IN ('true', 'y', 'yes', '1') OR {corrected} IS NOT NULL"
    return {
        "billing_period_start": month,
        "billing_period_end": f"{month} + INTERVAL 1 MONTH",
        "billed_cost": cost,
        "effective_cost": cost,  # Oracle has no commitment whose fee is spread over what it covers
        "contracted_cost": cost,
        "charge_category": f"CASE WHEN {corrects} THEN 'Adjustment' ELSE 'Usage' END",
    }
