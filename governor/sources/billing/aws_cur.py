"""AWS's Cost and Usage Report: the legacy report, and CUR 2.0 of Data Exports, as CSV or Parquet.

The column set changes with each month, so a column that is missing is nothing unusual: what can't be known without it
is missing too, and only rows whose cost would be unknown make a file unusable. The legacy CSV, its Parquet, what Athena
makes of them and CUR 2.0 spell the same names in different ways (`lineItem/UsageType`, `line_item_usage_type`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from governor.model import Position, Problem, Refused
from governor.sources.billing import aws_cur_costs as costs
from governor.sources.billing.aws_cur_costs import fold_name, text
from governor.sources.billing.aws_exports import find_export
from governor.sources.billing.aws_services import CATEGORIES
from governor.sources.billing.layout import Asked, Layout, doubled, raw
from governor.sources.billing.tags import PREFIXED

_FORMAT = "AWS Cost and Usage Report"
_TELLING = ("lineItem/LineItemType", "lineItem/UnblendedCost", "lineItem/UsageAccountId", "bill/PayerAccountId")
_NEEDED = ("lineItem/CurrencyCode", "bill/BillingPeriodStartDate", "lineItem/UsageStartDate")
_MAPS = ("product", "resource_tags", "cost_category", "discount", "tags")  # of CUR 2.0: columns that hold many values
_OF_2_0 = (*_MAPS, "bill_payer_account_name", "line_item_usage_account_name")

# Ours <- the report's; the first that isn't missing counts.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "billing_account_id": ("bill/PayerAccountId",),
    "billing_account_name": ("bill/PayerAccountName",),
    "billing_currency": ("lineItem/CurrencyCode",),
    "billing_period_start": ("bill/BillingPeriodStartDate",),
    "billing_period_end": ("bill/BillingPeriodEndDate",),
    "charge_period_start": ("lineItem/UsageStartDate",),
    "charge_period_end": ("lineItem/UsageEndDate",),
    "charge_description": ("lineItem/LineItemDescription",),
    "invoice_id": ("bill/InvoiceId",),
    "invoice_issuer_name": ("bill/InvoicingEntity", "lineItem/LegalEntity"),
    "sub_account_id": ("lineItem/UsageAccountId",),
    "sub_account_name": ("lineItem/UsageAccountName",),
    "availability_zone": ("lineItem/AvailabilityZone",),
    "resource_id": ("lineItem/ResourceId",),
    "sku_id": ("product/sku",),
    "sku_price_id": ("pricing/RateCode",),
    "sku_meter": ("lineItem/UsageType",),
    "pricing_unit": ("pricing/unit",),
    "capacity_reservation_id": ("capacityReservation/CapacityReservationArn",),
    "capacity_reservation_status": ("capacityReservation/CapacityReservationStatus",),
}
_USED = {  # said of usage only: a negation repeats them
    "consumed_quantity": "lineItem/UsageAmount",
    "consumed_unit": "pricing/unit",
    "pricing_quantity": "lineItem/UsageAmount",
    "list_unit_price": "pricing/publicOnDemandRate",
}
# Ours <- columns, or what the map `product` holds.
_PRODUCT = {
    "service_name": ("product_name", "servicename", "servicecode"),
    "region_id": ("region_code", "region"),
}
_COLUMN_OF_TAG = re.compile(r"resourceTags/(?:user:)?(.+)|resource_tags[_.](?:user_)?(.+)", re.IGNORECASE)


def recognise(header: Sequence[str]) -> str:
    """Say by which columns a header is a Cost and Usage Report; '' where it isn't."""
    has = {fold_name(name) for name in header}
    return f"it has {', '.join(_TELLING)}" if has.issuperset(map(fold_name, _TELLING)) else ""


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout. Raises Refused, naming the file."""
    _refuse(header, asked.file)
    place = {fold_name(name): raw(at) for at, name in reversed(list(enumerate(header)))}
    maps = {
        name.lower(): (raw(at), asked.kinds[at] == "map") for at, name in enumerate(header) if name.lower() in _MAPS
    }
    share = costs.split_row(place)
    version, why = _version(header)
    return Layout(
        version,
        why,
        _fields(place, maps, asked),
        _tags(header, maps),
        canonical_tags=not maps.keys() & {"tags", "resource_tags"} and _distinct(header),
        format=_FORMAT,
        own=costs.own(place),
        derived=costs.derived(place),
        also=(costs.unused(),),
        aside={"what pods and tasks cost of instances that are charged as a whole": share} if share else {},
        identities=costs.identities(place),
        unusable=costs.unusable(place),
        doubles=True,
        grain=f"{version} {find_export(asked.file)}".strip(),
        notices=_notices(place, version),
    )


def _version(header: Sequence[str]) -> tuple[str, str]:
    has = {name.lower() for name in header}
    if names := [name for name in _OF_2_0 if name in has]:
        return "2.0", f"it has {', '.join(names[:3])}, which came with 2.0"
    return "legacy", "it has no column that came with 2.0"


def _refuse(header: Sequence[str], file: str) -> None:
    folded = [fold_name(name) for name in header]
    lacking = [name for name in (*_TELLING, *_NEEDED) if fold_name(name) not in folded]
    position = Position(file, 1, 1)
    if lacking:
        code, mend = ("B211", "export it too") if recognise(header) else ("B013", "is the first line the column names?")
        what = f"isn't an {_FORMAT} that can be read: it has no column {', '.join(lacking)}"
        raise Refused(Problem(position, code, what, mend))
    read = {fold_name(n) for names in _FIELDS.values() for n in names} | {fold_name(n) for n in (*_TELLING, *_NEEDED)}
    read |= {fold_name(n) for columns in costs.AMORTISED.values() for pair in columns.values() for n in pair if n}
    read |= {fold_name(n) for n in (*_USED.values(), *_MAPS, "lineItem/NetUnblendedCost", "lineItem/ProductCode")}
    if twice := doubled(header, folded, read, file):
        raise Refused(*twice)


def _fields(place: Mapping[str, str], maps: Mapping[str, tuple[str, bool]], asked: Asked) -> dict[str, tuple[str, ...]]:
    fields = {
        ours: found
        for ours, names in _FIELDS.items()
        if (found := tuple(place[fold_name(name)] for name in names if fold_name(name) in place))
    }
    kind, code = place["lineitemlineitemtype"], text(place, "lineItem/ProductCode")
    cost = place["lineitemunblendedcost"]
    if net := place.get("lineitemnetunblendedcost"):
        # After discounts. These are rows of their own beside it, which then cost nothing: never count them twice.
        fields["billed_cost"] = (net, f"CASE WHEN {kind} NOT LIKE '%Discount' THEN {cost} END")
    else:
        fields["billed_cost"] = (cost,)
    for ours, name in _USED.items():
        if column := place.get(fold_name(name)):
            kinds = f"{kind} IN {costs.listed(costs.USED)}"
            if ours == "pricing_quantity" and (price := place.get("pricingratecode")):  # what was bought at a price
                kinds += f" OR ({kind} IN {costs.listed(costs.BOUGHT)} AND {price} <> '')"
            fields[ours] = (f"CASE WHEN {kinds} THEN {column} END",)
    if rate := place.get("lineitemnetunblendedrate" if net else "lineitemunblendedrate"):  # the price of what is billed
        fields["contracted_unit_price"] = (f"CASE WHEN {kind} IN {costs.listed(costs.PRICED)} THEN {rate} END",)
    fields |= {ours: found for ours, names in _PRODUCT.items() if (found := _of_product(names, place, maps))}
    fields["service_name"] = (*fields.get("service_name", ()), code)
    fields["service_category"] = (_category(place, code),)
    fields["service_provider_name"] = ("'AWS'",)
    entity = text(place, "bill/BillingEntity")
    fields["host_provider_name"] = (f"CASE WHEN coalesce({entity}, '') <> 'AWS Marketplace' THEN 'AWS' END",)
    fields["pricing_category"] = (costs.pricing_category(place),)
    for wanted in asked.wanted:
        if column := _wanted(fold_name(wanted).removeprefix("x"), place, maps):
            fields[wanted] = (column,)
    return fields


def _of_product(
    names: Sequence[str], place: Mapping[str, str], maps: Mapping[str, tuple[str, bool]]
) -> tuple[str, ...]:
    """List where something that is said of the product may stand: in a column of its own, or in the map."""
    found: list[str] = []
    for name in names:
        if (folded := f"product{fold_name(name)}") in place:
            found.append(place[folded])
        if "product" in maps:
            found.append(_value(*maps["product"], name))
    return tuple(found)


def _wanted(folded: str, place: Mapping[str, str], maps: Mapping[str, tuple[str, bool]]) -> str:
    """Write SQL for a column that policies name as x_…, or for what a map holds under the rest of its name."""
    if folded in place:
        return place[folded]
    for name, (column, typed) in maps.items():
        prefix = fold_name(name)
        if folded.startswith(prefix):
            return _like(column, typed, folded.removeprefix(prefix))
    if folded.startswith("costcategory") and "tags" in maps:
        return _like(*maps["tags"], folded)  # "costCategory/Team"
    return ""


def _value(column: str, typed: bool, key: str) -> str:
    """Write SQL for what a map, or a JSON object as text, holds under a key."""
    if typed:
        return f"{column}['{key}']"
    return f"CASE WHEN json_valid({column}) THEN json_extract_string({column}, '$.{key}') END"


def _like(column: str, typed: bool, folded: str) -> str:
    """Write SQL for what a map holds under the first key that is spelled like this but for case and punctuation."""
    same = f"regexp_replace(lower(e), '[^a-z0-9]', '', 'g') = '{folded}'"
    if typed:
        return f"{column}[list_filter(map_keys({column}), lambda e: {same})[1]]"
    keys = f"list_filter(json_keys({column}), lambda e: {same})[1]"
    path = f"'$.\"' || replace({keys}, '\"', '\\\"') || '\"'"
    return f"CASE WHEN json_valid({column}) THEN json_extract_string({column}, {path}) END"


def _category(place: Mapping[str, str], code: str) -> str:
    cases = " ".join(f"WHEN '{product}' THEN '{category}'" for product, category in CATEGORIES.items())
    disks = f"contains({text(place, 'lineItem/UsageType')}, 'EBS:')"  # EC2 bills its disks too
    return f"CASE WHEN {code} = 'AmazonEC2' AND {disks} THEN 'Storage' ELSE CASE {code} {cases} ELSE 'Other' END END"


def _tags(header: Sequence[str], maps: Mapping[str, tuple[str, bool]]) -> str | None:
    """Write SQL for the tags: of one map, or of columns that are a tag each.

    The map `tags` has all that `resource_tags` has, as the keys really are.
    """
    for name in ("tags", "resource_tags"):
        if name in maps:
            column, typed = maps[name]
            shown = f"CAST(to_json({column}) AS VARCHAR)" if typed else column
            return f"(chr({ord(PREFIXED)}) || coalesce({shown}, ''))"
    columns = sorted(_tag_columns(header))
    pairs = ", ".join(
        f"CASE WHEN {value} <> '' THEN {shown} || CAST(to_json({value}) AS VARCHAR) END"
        for key, at in columns
        if (shown := "'" + json.dumps(key, ensure_ascii=False).replace("'", "''") + ":'")
        and (value := f"CAST({raw(at)} AS VARCHAR)")
    )
    return f"('{{' || concat_ws(',', {pairs}) || '}}')" if columns else None


def _tag_columns(header: Sequence[str]) -> list[tuple[str, int]]:
    """List the key and the place of each column that is a tag."""
    found = ((_COLUMN_OF_TAG.fullmatch(name.strip("\ufeff ")), at) for at, name in enumerate(header))
    return [(match[1] or match[2], at) for match, at in found if match]


def _distinct(header: Sequence[str]) -> bool:
    keys = [key for key, _ in _tag_columns(header)]
    return len(keys) == len({*keys})


def _notices(place: Mapping[str, str], version: str) -> tuple[tuple[str, str], ...]:
    notices = []
    if "reservationreservationarn" not in place:
        detail = "there is no column reservation/ReservationARN: no fee is taken for one of a reservation"
        # A report that tells what reservations cost has some, and their fees would count beside what they cover.
        notices.append(("missing_column" if "reservationeffectivecost" in place else "assumption", detail))
    if "lineitemnetunblendedcost" not in place:
        detail = (
            "there is no column lineItem/NetUnblendedCost: what is billed lacks discounts without rows of their own"
        )
        if any(name.startswith("discount") for name in place):
            notices.append(("missing_column", detail))
        elif version != "legacy":
            notices.append(("assumption", detail))
    if {"lineitemnetunblendedcost", "savingsplanusedcommitment"} <= place.keys():
        detail = "what is unused of savings plans is taken before discounts: the report doesn't say it after them"
        notices.append(("assumption", detail))
    return tuple(notices)
