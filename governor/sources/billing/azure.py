"""Azure's cost details: the actual and the amortized export of Cost Management, in every generation of their header.

The actual export bills purchases in full and shows the usage that a commitment covers at no cost. The amortized export
has no purchases and shows what the commitment costs where it is used, and what of it is left unused. Row by row:

- usage that a commitment covers, and what is unused of it: BilledCost 0, EffectiveCost the cost;
- the purchase of a commitment, or its refund: BilledCost the cost, EffectiveCost 0;
- every other row: both are the cost.

All other rows stand in both exports: with both, the amortized ones count, and the actual ones are set aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath

from governor.model import Position, Problem, Refused
from governor.sources.billing import azure_names
from governor.sources.billing.azure_costs import ACTUAL, AMORTIZED, derive, pair_exports, read_kind, read_role
from governor.sources.billing.layout import MISSING, Asked, Identity, Layout, Own, doubled, fold, raw
from governor.sources.billing.values import Reading, read_time
from governor.tables import MONEY, TEXT, TIME

_FORMAT = "Azure cost details"
_DATASETS = {"ActualCost": ACTUAL, "Usage": ACTUAL, "AmortizedCost": AMORTIZED}
_TELLING = {"subscription": "SubscriptionId", "date": "Date", "meter_category": "MeterCategory"}

# What we call a column <- what the generations of the header call it, the newest first.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "account": ("BillingProfileId", "BillingAccountId"),
    "account_name": ("BillingProfileName", "BillingAccountName"),
    "benefit": ("BenefitId",),
    "benefit_name": ("BenefitName", "ReservationName"),
    "cost": ("CostInBillingCurrency", "Cost", "PreTaxCost"),
    "currency": ("BillingCurrency", "BillingCurrencyCode", "Currency"),
    "date": ("Date", "UsageDateTime", "UsageDate"),
    "frequency": ("Frequency",),
    "invoice": ("InvoiceId",),
    "list_price": ("PayGPrice",),
    "location": ("ResourceLocation", "ResourceLocationNormalized", "Location"),
    "meter": ("MeterName",),
    "meter_category": ("MeterCategory",),
    "model": ("PricingModel",),
    "partner": ("PartnerName",),
    "payg_cost": ("PaygCostInBillingCurrency",),
    "period_end": ("BillingPeriodEndDate",),
    "period_start": ("BillingPeriodStartDate",),
    "price": ("EffectivePrice", "ResourceRate"),
    "pricing_currency": ("PricingCurrency", "PricingCurrencyCode"),
    "product": ("ProductName", "Product"),
    "provider": ("ConsumedService",),
    "publisher": ("PublisherName",),
    "publisher_type": ("PublisherType",),
    "quantity": ("Quantity", "UsageQuantity"),
    "reservation": ("ReservationId",),
    "resource": ("ResourceId", "InstanceId", "InstanceName"),
    "resource_name": ("ResourceName",),
    "rule": ("CostAllocationRuleName",),
    "sku": ("ProductId", "PartNumber"),
    "subscription": ("SubscriptionId", "SubscriptionGuid"),
    "subscription_name": ("SubscriptionName",),
    "tags": ("Tags",),
    "type": ("ChargeType",),
    "unit": ("UnitOfMeasure",),
    "unit_price": ("UnitPrice",),
    "zone": ("AvailabilityZone",),
}
_SPELLINGS = {  # of columns that policies may name as x_…, where the generations differ
    "invoicesection": "invoicesectionname",
    "invoicesectionname": "invoicesection",
    "resourcegroup": "resourcegroupname",
    "resourcegroupname": "resourcegroup",
}
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}:\d{2})?")
_US = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_YEARS = range(1900, 3000)
_SHARED = Identity(
    "what Azure's cost allocation takes and what it gives differ", "{rule}", "{cost}", "{rule} IS NOT NULL"
)


def recognise(header: Sequence[str]) -> str:
    """Say by which columns a header is Azure's; '' where it isn't."""
    names = [_name(name) for name in header]
    found = [next((s for s in _NAMES[key] if fold(s) in names), "") for key in _TELLING]
    return f"it has {', '.join(found)}" if all(found) else ""


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout. Raises Refused, naming the file."""
    names = [_name(name) for name in header]
    _refuse(header, names, asked.file)
    at = {name: raw(place) for place, name in reversed(list(enumerate(names)))}
    place = {key: found[0] for key, spellings in _NAMES.items() if (found := _found(at, spellings))}
    grain, why = _dataset(asked)
    series, snapshot = find_snapshot(asked.file)
    return Layout(
        _generation(at),
        why,
        _fields(place, at, asked),
        f"nullif({place['tags']}, '\"\"')" if "tags" in place else None,
        format=_FORMAT,
        own=_own(place, asked),
        derived=derive(place),
        aside=drop_cost_allocation(place.get("rule"), asked),
        identities=(_SHARED,) if "rule" in place else (),
        doubles=True,
        grain=grain,
        pair=pair_exports(place) if "type" in place else None,
        series=series,
        snapshot=snapshot,
    )


def find_snapshot(file: str) -> tuple[str, str]:
    """Tell from an export's path what it is a snapshot of and which: `export/20260901-20260930` and the run.

    >>> find_snapshot("bills/daily/20260901-20260930/202609101200/0f1e/part_0_0001.csv")
    ('bills/daily/20260901-20260930', '202609101200/0f1e')
    """
    path = PurePosixPath(file)
    for folder in path.parents:
        if re.fullmatch(r"\d{8}-\d{8}", folder.name):
            run = path.parent.relative_to(folder).as_posix()
            guid = re.search(r"_([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.", path.name, re.IGNORECASE)
            return folder.as_posix(), guid[1] if run == "." and guid else run
    return "", ""


def drop_cost_allocation(rule: str | None, asked: Asked) -> Mapping[str, str]:
    """Set aside what Azure's own cost allocation rules add: the invoice doesn't have it, and policies allocate here."""
    if rule is None or asked.options.get("cost_allocation") == "keep":
        return {}
    missing = ", ".join(f"'{word}'" for word in MISSING)
    return {"Azure's own cost allocation rules add them": f"coalesce(CAST({rule} AS VARCHAR), '') NOT IN ({missing})"}


def _name(header: str) -> str:
    """Fold a column's name; of `Ressourcengruppe (ResourceGroup)` the English one in brackets counts."""
    bracketed = re.fullmatch(r".*\(([A-Za-z0-9_ ]+)\)\s*", header)
    return fold(bracketed[1] if bracketed else header)


def _found(at: Mapping[str, str], spellings: Sequence[str]) -> tuple[str, ...]:
    return tuple(at[fold(name)] for name in spellings if fold(name) in at)


def _refuse(header: Sequence[str], names: Sequence[str], file: str) -> None:
    position, at = Position(file, 1, 1), dict.fromkeys(names, "")
    lacking = [shown for key, shown in _TELLING.items() if not _found(at, _NAMES[key])]
    if lacking:
        what = f"isn't an {_FORMAT} file: it has no column {', '.join(lacking)}"
        raise Refused(Problem(position, "B013", what, "is the first line the column names?"))
    if not _found(at, _NAMES["cost"]):
        what = f"has no column of the cost: {', '.join(_NAMES['cost'][:-1])} or {_NAMES['cost'][-1]}"
        raise Refused(Problem(position, "B231", what, "export it: without it nothing can be charged"))
    read = {fold(name) for spellings in _NAMES.values() for name in spellings}
    if twice := doubled(header, names, read, file):
        raise Refused(*twice)


def _generation(at: Mapping[str, str]) -> str:
    """Name the kind of agreement that writes such a header."""
    if "partnername" in at or "customername" in at:
        return "MPA"
    if "exchangeratepricingtobilling" in at:
        return "MCA"
    return "EA" if "chargetype" in at else "usage details"


def _dataset(asked: Asked) -> tuple[str, str]:
    """Say which export a file is and why: by the configuration, the manifest, or the nearest name in its path."""
    if said := asked.options.get("dataset"):
        return str(said), "governor.yaml says which export it is"
    if told := _DATASETS.get(asked.dataset):
        return told, f"its manifest says {asked.dataset}"
    for name in reversed(PurePosixPath(asked.file).parts):
        words = {word for word, part in ((ACTUAL, "actual"), (AMORTIZED, "amorti")) if part in name.lower()}
        if len(words) == 1:
            return words.pop(), f"{name} in its path says which export it is"
    return "", "told from its columns"


def _fields(place: Mapping[str, str], at: Mapping[str, str], asked: Asked) -> dict[str, tuple[str, ...]]:
    """Say what feeds our columns without a look at other columns' values."""
    plain = {
        "billing_currency": "currency",
        "charge_frequency": "frequency",
        "charge_description": "product",
        "availability_zone": "zone",
        "invoice_id": "invoice",
        "sku_meter": "meter",
        "sku_id": "sku",
        "pricing_quantity": "quantity",
        "pricing_unit": "unit",
    }
    fields: dict[str, tuple[str, ...]] = {ours: (place[key],) for ours, key in plain.items() if key in place}
    for ours, key in (
        ("billing_account_id", "account"),
        ("billing_account_name", "account_name"),
        ("commitment_discount_name", "benefit_name"),
    ):
        if found := _found(at, _NAMES[key]):
            fields[ours] = found
    for ours, key in (("sub_account_name", "subscription_name"), ("service_name", "meter_category")):
        if key in place:
            fields[ours] = (f"nullif(CAST({place[key]} AS VARCHAR), 'Unassigned')",)
    if "publisher" in place:
        fields["service_name"] = (*fields["service_name"], place["publisher"])
    fields["sub_account_id"] = (f"lower(CAST({place['subscription']} AS VARCHAR))",)
    fields |= {
        "sub_account_type": (f"CASE WHEN {place['subscription']} <> '' THEN 'Subscription' END",),
        "service_provider_name": ("'Microsoft'",),
        "invoice_issuer_name": (*((place["partner"],) if "partner" in place else ()), "'Microsoft'"),
    }
    market = f"lower({place['publisher_type']}) = 'marketplace'" if "publisher_type" in place else "FALSE"
    fields["host_provider_name"] = (f"CASE WHEN coalesce({market}, FALSE) THEN NULL ELSE 'Microsoft' END",)
    fields |= _resource(place)
    for wanted in asked.wanted:
        given = fold(wanted).removeprefix("x")
        if column := at.get(given) or at.get(_SPELLINGS.get(given, "")):
            fields[wanted] = (column,)
    return fields


def _resource(place: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Say what a resource's id tells: Azure doesn't mind the case of an id, so it is written in lower case."""
    if "resource" not in place:
        return {"resource_name": (place["resource_name"],)} if "resource_name" in place else {}
    resource = f"lower(CAST({place['resource']} AS VARCHAR))"
    last = f"nullif(regexp_extract({place['resource']}, '([^/]+)$', 1), '')"
    return {
        "resource_id": (resource,),
        "resource_type": (resource_type(resource),),
        "resource_name": (*((place["resource_name"],) if "resource_name" in place else ()), last),
    }


def resource_type(resource: str) -> str:
    """Write SQL for the type in a resource's id: `microsoft.sql/servers/databases` of …/servers/a/databases/b."""
    pattern = r".*/providers/([^/]+/[^/]+)/[^/]+(?:(/[^/]+)/[^/]+)?$"
    found = rf"regexp_replace({resource}, '{pattern}', '\1\2')"
    return f"CASE WHEN regexp_matches({resource}, '{pattern}') THEN {found} END"


def _own(place: Mapping[str, str], asked: Asked) -> dict[str, Own]:
    date = partial(_read_date, pattern=asked.dates)
    texts = ("type", "model", "reservation", "benefit", "pricing_currency", "meter_category", "rule")
    own = {key: Own(f"nullif(CAST({place[key]} AS VARCHAR), 'Unassigned')") for key in texts if key in place}
    own |= {"kind": Own(read_kind(place)), "role": Own(read_role(place))}
    own |= {key: Own(place[key], TIME, date) for key in ("date", "period_start", "period_end") if key in place}
    if "location" in place:
        own["region"] = Own(place["location"], TEXT, azure_names.read_region)
    if "provider" in place:
        own["category"] = Own(place["provider"], TEXT, azure_names.read_category)
    amounts = ("cost", "quantity", "price", "unit_price", "list_price", "payg_cost")
    return own | {key: Own(place[key], MONEY) for key in amounts if key in place}


def _read_date(text: str, pattern: str | None = None) -> Reading:
    """Read a day as Azure writes it: YYYY-MM-DD or MM/DD/YYYY; by the configured pattern where there is one.

    >>> _read_date("9/21/23").value, _read_date("13/05/2023").code
    (datetime.datetime(2023, 9, 21, 0, 0), 'B230')
    """
    text = text.strip()
    try:
        if _ISO.fullmatch(text):
            value = datetime.fromisoformat(text)
            value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            if value.year in _YEARS:
                return Reading(value)
        elif pattern:
            return read_time(text, pattern)
        elif found := _US.fullmatch(text):
            month, day, year, hour, minute, second = (int(part or 0) for part in found.groups())
            year += 2000 * (len(found[3]) == len("26"))
            if year in _YEARS:
                return Reading(datetime(year, month, day, hour, minute, second))  # noqa: DTZ001 - UTC, without zone
    except ValueError:
        pass
    return Reading(code="B230", reason="isn't a day as YYYY-MM-DD or MM/DD/YYYY")
