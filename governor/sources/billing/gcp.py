"""Google Cloud's standard and detailed usage cost export, taken out of BigQuery as Parquet, JSON lines or CSV.

A row's `cost` is before credits: what the invoice asks is cost and credits together. Discounts lower the row they came
with. Grants, such as a promotion, are a form of payment: they become a charge of their own, so that policies can treat
them. A credit of a kind that isn't known here is taken for a grant: what stays apart can be seen.

Google invoices by the months of Los Angeles, and late usage with the next month: `invoice.month` is the billing period.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

from governor import money
from governor.model import Position, Problem, Refused
from governor.sources.billing import nested
from governor.sources.billing.layout import Also, Asked, Layout, Own, doubled, fold, raw
from governor.sources.billing.tags import SEPARATOR
from governor.sources.billing.values import Reading, read_printed_double
from governor.tables import MONEY, TIME

DISCOUNTS = frozenset(
    {
        "SUSTAINED_USAGE_DISCOUNT",
        "COMMITTED_USAGE_DISCOUNT",
        "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE",
        "FEE_UTILIZATION_OFFSET",
        "DISCOUNT",
        "SPENDING_BASED_DISCOUNT",
        "FREE_TIER",
        "RESELLER_MARGIN",
        "SUBSCRIPTION_BENEFIT",
    }
)

_FORMAT = "Google Cloud usage cost export"
_TELLING = ("billing_account_id", "service.description", "sku.id", "usage_start_time", "cost", "currency")
_NEEDED = {
    "invoice.month": "without it no charge belongs to an invoice",
    "credits": "costs are before credits, so what is billed would be unknown",
}
_UNNESTED = ("credits.amount", "credits.name", "labels.key", "tags.key", "project.labels.key", "system_labels.key")

# Ours <- Google's; the first that isn't missing counts.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "billing_account_id": ("billing_account_id",),
    "billing_currency": ("currency",),
    "charge_period_start": ("usage_start_time",),
    "charge_period_end": ("usage_end_time",),
    "charge_description": ("sku.description",),
    "service_name": ("service.description",),
    "sub_account_id": ("project.id",),
    "sub_account_name": ("project.name",),
    "region_id": ("location.region",),
    "availability_zone": ("location.zone",),
    "resource_id": ("resource.global_name", "resource.name"),
    "resource_name": ("resource.name",),
    "commitment_discount_id": ("subscription.instance_id",),
    "sku_id": ("sku.id",),
    "consumed_quantity": ("usage.amount",),
    "consumed_unit": ("usage.unit",),
    "pricing_quantity": ("usage.amount_in_pricing_units",),
    "pricing_unit": ("usage.pricing_unit", "price.unit"),
    "list_unit_price": ("price.list_price",),
    "contracted_unit_price": ("price.effective_price_default", "price.effective_price"),
}
NOTHING = "CAST(NULL AS VARCHAR)"  # what none of Google's exports says: known to be missing, and so judged
_CONSTANTS = {
    "billing_account_type": "'Billing Account'",
    "service_provider_name": "'Google Cloud'",
    "service_category": "'Other'",  # Google names none, and no table of anybody says which it is
    "invoice_issuer_name": NOTHING,
}
_COLLECTION = r"^//([^/]+)/(?:.+/)?([^/]+)/[^/]+$"  # //compute.googleapis.com/projects/p/zones/z/instances/1


def recognise(header: Sequence[str]) -> str:
    """Say by which columns a header is Google's export; '' where it isn't."""
    has = {_fold(name) for name in header}
    if not has.issuperset(map(_fold, _TELLING)):
        return ""
    return f"it has {', '.join(_TELLING[:4])}"


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout. Raises Refused, naming the file."""
    folded = [_fold(name) for name in header]
    _refuse(header, folded, asked.file)
    place = {name: raw(at) for at, name in reversed(list(enumerate(folded)))}

    def column(name: str) -> str:
        return place.get(_fold(name), "CAST(NULL AS VARCHAR)")

    fields = {
        ours: found
        for ours, names in _FIELDS.items()
        if (found := tuple(place[_fold(name)] for name in names if _fold(name) in place))
    }
    fields |= {ours: (sql,) for ours, sql in _CONSTANTS.items()}
    fields["sub_account_type"] = (f"CASE WHEN {column('project.id')} <> '' THEN 'Project' END",)
    fields["host_provider_name"] = (
        f"CASE WHEN coalesce({column('transaction_type')}, '') NOT LIKE 'THIRD_PARTY%' THEN 'Google Cloud' END",
    )
    if "resourceglobalname" in place:
        name = column("resource.global_name")
        kind = f"regexp_replace({name}, '{_COLLECTION}', '\\1/\\2')"
        fields["resource_type"] = (f"CASE WHEN regexp_matches({name}, '{_COLLECTION}') THEN {kind} END",)
    for wanted in asked.wanted:
        if (given := fold(wanted).removeprefix("x")) in place:
            fields[wanted] = (place[given],)
    grain, why = _grain(place)
    return Layout(
        grain,
        why,
        fields,
        tag_levels(place, ("projectlabels", "tags", "labels")),
        format=_FORMAT,
        own=_own(place),
        derived=_derived(place),
        also=(_grant(),),
        doubles=True,
        grain=grain,
        notices=tuple(
            ("missing_column", f"there is no column {name}: what it says is unknown")
            for name in ("labels", "project.labels")
            if _fold(name) not in place
        ),
    )


def month_start(year: int, month: int) -> datetime:
    """Return when a month begins in Los Angeles, in UTC.

    Summer time begins on a Sunday from the 8th of March on and ends by night on one up to the 7th of November: so on
    the first of a month it is in force from April to November.

    >>> month_start(2026, 11), month_start(2026, 12)
    (datetime.datetime(2026, 11, 1, 7, 0), datetime.datetime(2026, 12, 1, 8, 0))
    """
    return datetime(year, month, 1, 7 if 4 <= month <= 11 else 8)  # noqa: DTZ001, PLR2004 - UTC, kept without zone


def month_end(moment: str) -> str:
    """Write SQL for the end of the Los Angeles month that a moment of its first day is in, in UTC."""
    after = f"(date_trunc('month', {moment}) + INTERVAL 1 MONTH)"
    return f"({after} + CASE WHEN month({after}) BETWEEN 4 AND 11 THEN INTERVAL 7 HOUR ELSE INTERVAL 8 HOUR END)"


def _fold(name: str) -> str:
    """Reduce a column name to what spelling can't change: `service.id`, `service_id` and `Service ID` are one."""
    return fold(name).replace(".", "")


def _refuse(header: Sequence[str], folded: Sequence[str], file: str) -> None:
    position, has = Position(file, 1, 1), set(folded)
    if not recognise(header):
        lacking = [name for name in _TELLING if _fold(name) not in has]
        what = f"isn't a {_FORMAT}: it has no column {', '.join(lacking)}"
        raise Refused(Problem(position, "B013", what, "export the whole table, with its column names"))
    if unnested := [name for name in _UNNESTED if _fold(name) in has]:
        what = f"has {', '.join(unnested)} as columns: the rows were unnested, and a cost may stand in several of them"
        mend = "export one row a charge: as Parquet or JSON, or as CSV with TO_JSON_STRING(credits) AS credits"
        raise Refused(Problem(position, "B191", what, mend))
    names = {_fold(n) for names in _FIELDS.values() for n in names} | {_fold(n) for n in (*_TELLING, *_NEEDED)}
    names |= {"labels", "projectlabels", "tags", "costtype", "costatlist"}
    problems = [
        Problem(position, "B190", f"has no column {name}: {why}", "export it too")
        for name, why in _NEEDED.items()
        if _fold(name) not in has
    ]
    problems += doubled(header, folded, names, file)
    if problems:
        raise Refused(*problems)


def _grain(place: Mapping[str, str]) -> tuple[str, str]:
    if "resourceglobalname" in place or "resourcename" in place:
        return "detailed", "it has columns of resources"
    return "standard", "it has no column of resources"


def tag_levels(place: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Write SQL for the tags of several columns, the weakest first; None where there is none of them."""
    levels = [f"coalesce(CAST({place[name]} AS VARCHAR), '')" for name in names if name in place]
    return f"concat_ws(chr({ord(SEPARATOR)}), {', '.join(levels)})" if levels else None


def _own(place: Mapping[str, str]) -> dict[str, Own]:
    def text(name: str, otherwise: str = "NULL") -> Own:
        return Own(f"CAST({place.get(name, otherwise)} AS VARCHAR)")

    credits_ = f"nullif(CAST({place['credits']} AS VARCHAR), '[]')"
    return {
        "cost": Own(place["cost"], MONEY),
        "invoice_month": Own(f"CAST({place['invoicemonth']} AS VARCHAR)", TIME, _read_month),
        "credits": Own(credits_, MONEY, partial(_read_credits, grants=False)),
        "grants": Own(credits_, MONEY, partial(_read_credits, grants=True)),
        "given": Own(credits_),
        "kind": text("costtype", "'regular'"),
        "sku": text("skudescription"),
        "correction": text("adjustmentinfotype"),
        "mode": text("adjustmentinfomode"),
        "model": text("consumptionmodeldescription"),
    } | {
        ours: Own(place[name], MONEY)
        for ours, name in (("list", "costatlist"), ("default_cost", "costateffectivepricedefault"))
        if name in place
    }


def _derived(place: Mapping[str, str]) -> dict[str, str]:
    kind = "lower(coalesce({kind}, 'regular'))"
    purchase = f"({kind} = 'regular' AND starts_with(lower(coalesce({{sku}}, '')), 'commitment'))"
    spend = "(contains({given}, 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE') OR contains({given}, 'FEE_UTILIZATION_OFFSET'))"
    discounted = "contains({given}, 'COMMITTED_USAGE_DISCOUNT')"
    committed = f"coalesce({purchase} OR {discounted} OR lower({{model}}) <> 'default', FALSE)"
    corrects = (
        "(coalesce({correction}, '') LIKE '%CORRECTION' OR ({correction} IS NULL AND "
        "({mode} LIKE '%CORRECTION' OR {mode} LIKE 'COMPLETE_NEGATION%')))"
    )
    net = "({cost} + coalesce({credits}, 0))"
    derived = {
        "billing_period_start": "{invoice_month}",
        "billing_period_end": month_end("{invoice_month}"),
        "billed_cost": net,
        # Commitments are billed by the hour that they cover: nothing is prepaid, and what is billed is what accrues.
        "effective_cost": net,
        "contracted_cost": "coalesce({default_cost}, {cost})" if "costateffectivepricedefault" in place else "{cost}",
        "charge_category": (
            f"CASE {kind} WHEN 'regular' THEN CASE WHEN {purchase} THEN 'Purchase' ELSE 'Usage' END "
            "WHEN 'tax' THEN 'Tax' WHEN 'adjustment' THEN 'Adjustment' WHEN 'rounding_error' THEN 'Adjustment' "
            "ELSE {kind} END"
        ),
        "charge_class": f"CASE WHEN {corrects} AND {{charge_period_start}} < {{invoice_month}} THEN 'Correction' END",
        "charge_frequency": (
            f"CASE WHEN {purchase} THEN 'Recurring' WHEN {kind} = 'regular' THEN 'Usage-Based' ELSE 'One-Time' END"
        ),
        "pricing_category": (
            f"CASE WHEN {kind} <> 'regular' THEN NULL WHEN {committed} THEN 'Committed' ELSE 'Standard' END"
        ),
        "commitment_discount_category": (
            f"CASE WHEN {spend} OR ({purchase} AND contains({{sku}}, 'dollar based')) THEN 'Spend' "
            f"WHEN {discounted} OR {purchase} THEN 'Usage' END"
        ),
    }
    return derived | ({"list_cost": "{list}"} if "costatlist" in place else {})


def _grant() -> Also:
    """Make the grants of a row a charge of their own; FOCUS wants all its costs to be what is billed."""
    nothing = (
        *("consumed_quantity", "consumed_unit", "pricing_quantity", "pricing_unit", "pricing_category"),
        *("list_unit_price", "contracted_unit_price", "commitment_discount_category"),
    )
    derived = dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), "{grants}")
    derived |= dict.fromkeys(nothing, "NULL")
    derived |= {"charge_category": "'Credit'", "charge_frequency": "'One-Time'"}
    return Also("{grants} <> 0", derived)


def _read_month(text: str) -> Reading:
    """Read an invoice month, YYYYMM, as the moment at which it begins."""
    found = re.fullmatch(r"(20\d\d)(0[1-9]|1[0-2])(\.0)?", text.strip())
    if not found:
        return Reading(code="B192", reason="isn't an invoice month as YYYYMM")
    return Reading(month_start(int(found[1]), int(found[2])))


def _read_credits(text: str, *, grants: bool) -> Reading:
    """Add up the grants among a row's credits, or the discounts."""
    try:
        entries = nested.decode(text.strip())
    except (ValueError, RecursionError) as error:
        return Reading(code="B193", reason=f"the credits can't be read: {str(error)[:80]}")
    if not isinstance(entries, list) or not all(isinstance(entry, nested.Pairs) for entry in entries):
        return Reading(code="B193", reason="the credits are no list of objects")
    amounts: list[Decimal] = []
    rounded = False
    for entry in entries:
        credit = {key.lower(): value for key, value in entry}
        if (str(credit.get("type") or "").upper() in DISCOUNTS) == grants:
            continue
        amount = credit.get("amount")
        if amount is None:
            return Reading(code="B193", reason="a credit has no amount")
        reading = read_printed_double(str(amount))
        if not isinstance(reading.value, Decimal):
            return Reading(code="B193", reason=f"the amount {str(amount)[:40]!r} of a credit {reading.reason}")
        amounts.append(reading.value)
        rounded = rounded or reading.rounded
    total = money.total(amounts)
    if total and total.adjusted() >= money.DIGITS - money.SCALE:
        return Reading(code="B041", reason="the credits add up to more than can be kept exactly")
    return Reading(total, rounded=rounded)
