"""Rows as a FOCUS table of a given version, in Arrow: codes become dictionaries, integers become exact decimals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench import catalogue as c
from bench.charges import MONEY_SCALE, QUANTITY_SCALE, Rows, month_bounds, ratios
from bench.world import PRICE_SCALE, Flags, Ints, Spec, World, region_names

_1_0 = (
    "AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd "
    "BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart "
    "CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName CommitmentDiscountStatus "
    "CommitmentDiscountType ConsumedQuantity ConsumedUnit ContractedCost ContractedUnitPrice EffectiveCost "
    "InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingQuantity PricingUnit ProviderName PublisherName "
    "RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName SkuId SkuPriceId "
    "SubAccountId SubAccountName Tags"
)
_1_2 = (
    f"{_1_0} BillingAccountType CapacityReservationId CapacityReservationStatus CommitmentDiscountQuantity "
    "CommitmentDiscountUnit InvoiceId PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost "
    "PricingCurrencyListUnitPrice ServiceSubcategory SkuMeter SkuPriceDetails SubAccountType"
)
_1_3 = (
    f"{_1_2} AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName AllocatedTags "
    "ContractApplied HostProviderName ServiceProviderName"
)
_1_4 = f"{_1_3} CommitmentProgramEligibilityDetails InvoiceDetailId".replace(" ProviderName", "").replace(
    " PublisherName", ""
)
VERSIONS = {"1.0": _1_0.split(), "1.2": _1_2.split(), "1.3": _1_3.split(), "1.4": _1_4.split()}

# Texts that are no JSON object: tags that were delivered and can't be read.
UNREADABLE = ("{'owner': 'single-quoted'}", '{"owner": "trailing",}', '{"owner": "cut')

Columns = dict[str, pa.Array]


def focus_table(world: World, rows: Rows, unread: Flags) -> pa.Table:
    """Build the table. `unread` marks the rows whose tags are delivered as something that can't be read."""
    spec = world.spec
    columns = _who(world, rows) | _what(world, rows) | _when(spec, rows) | _money(spec, rows)
    columns |= _commitment(world, rows) | _resource(world, rows, unread)
    if spec.split:
        columns |= _allocated(world, rows)
    names = sorted(VERSIONS[spec.version])
    if spec.extras:
        columns |= _extras(world, rows)
        names += sorted(n for n in columns if n.startswith("x_"))
    return pa.table({name: columns[name] for name in names})


def decimals(values: Ints, digits: int, null: Flags | None = None) -> pa.Array:
    """Read int64 as DECIMAL(18, digits) without any arithmetic: only the type changes."""
    words = np.empty((len(values), 2), np.int64)
    words[:, 0], words[:, 1] = values, values >> 63
    validity = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little").tobytes())
    buffers = [validity, pa.py_buffer(words.tobytes())]
    return pa.Array.from_buffers(pa.decimal128(18, digits), len(values), buffers, 0 if null is None else -1)


def _amounts(spec: Spec, values: Ints, scale: int, null: Flags | None = None) -> pa.Array:
    if spec.money == "double":
        return pa.array(values / scale, pa.float64(), mask=null)
    return decimals(values, len(str(scale)) - 1, null)


def _coded(codes: NDArray[np.integer], values: Sequence[str | None]) -> pa.Array:
    """Make a dictionary column; code -1, and a value of None, is NULL."""
    missing = np.array([v is None for v in values] or [True])
    null = (codes < 0) | missing[np.maximum(codes, 0)]
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=null), pa.array([v or "" for v in values], pa.string())
    )


def _empty(rows: Rows) -> pa.Array:
    return pa.nulls(len(rows), pa.string())


def _seconds(seconds: Ints) -> pa.Array:
    return pa.array(seconds.astype("datetime64[s]")).cast(pa.timestamp("us", "UTC"))


def _who(world: World, rows: Rows) -> Columns:
    """Name the payer, the account, the provider and the invoice."""
    spec, payer = world.spec, rows.payer
    provider = world.payer_column("provider")[payer].astype(np.int64)
    providers = [p.name for p in c.PROVIDERS]
    publisher = np.where(rows.reseller >= 0, len(c.PROVIDERS) + rows.reseller, provider)
    invoices = [f"INV-{spec.month}-{i:03d}" if p.invoiced else None for i, p in enumerate(spec.payers)]
    details = [f"IND-{i:03d}-{k}" if p.invoiced else None for i, p in enumerate(spec.payers) for k in c.CATEGORIES]
    account = rows.account
    return {
        "BillingAccountId": _coded(payer, [p.id for p in spec.payers]),
        "BillingAccountName": _coded(payer, [f"Payer {i}" for i in range(len(spec.payers))]),
        "BillingAccountType": _coded(np.zeros_like(payer), ["Billing account"]),
        "BillingCurrency": _coded(payer, [p.currency for p in spec.payers]),
        "InvoiceId": _coded(payer, invoices),
        "InvoiceDetailId": _coded(payer * len(c.CATEGORIES) + rows.category, details),
        "InvoiceIssuerName": _coded(provider, [p.publisher for p in c.PROVIDERS]),
        "ProviderName": _coded(provider, providers),
        "ServiceProviderName": _coded(provider, providers),
        "HostProviderName": _coded(np.where(provider == c.SNOWPEAK, c.AWS, provider), providers),
        "PublisherName": _coded(publisher, [*(p.publisher for p in c.PROVIDERS), *c.RESELLERS]),
        "SubAccountId": _coded(account, [a.id for a in world.accounts]),
        "SubAccountName": _coded(account, [a.name for a in world.accounts]),
        "SubAccountType": _coded(np.where(account >= 0, provider, -1), [p.account_type for p in c.PROVIDERS]),
    }


def _what(world: World, rows: Rows) -> Columns:
    """Describe the charge: category, service, SKU."""
    skus = range(len(c.SERVICES) * c.PRICE_POINTS)
    text = np.where(rows.special >= 0, len(skus) + rows.special, rows.sku)
    usage = np.where(rows.sku >= 0, rows.service, -1)
    units = [s.unit for s in c.SERVICES]
    tier = [json.dumps({"x_Tier": i % c.PRICE_POINTS}) for i in skus]
    return {
        "ChargeCategory": _coded(rows.category, c.CATEGORIES),
        "ChargeClass": _coded(rows.correction - 1, ["Correction"]),
        "ChargeDescription": _coded(text, [_sku_text(world, i) for i in skus] + list(c.SPECIAL)),
        "ChargeFrequency": _coded(rows.frequency, c.FREQUENCIES),
        "PricingCategory": _coded(rows.pricing, c.PRICINGS),
        "ServiceName": _coded(rows.service, [s.name for s in c.SERVICES]),
        "ServiceCategory": _coded(rows.service, [s.category for s in c.SERVICES]),
        "ServiceSubcategory": _coded(rows.service, [s.subcategory for s in c.SERVICES]),
        "SkuId": _coded(rows.sku, [f"SKU{i:06d}" for i in skus]),
        "SkuPriceId": _coded(rows.sku, [f"SKU{i:06d}.P1" for i in skus]),
        "SkuMeter": _coded(usage, [f"{s.name} meter" for s in c.SERVICES]),
        "SkuPriceDetails": _coded(rows.sku, tier),
        "ConsumedUnit": _coded(usage, units),
        "PricingUnit": _coded(usage, units),
    }


def _sku_text(world: World, sku: int) -> str:
    service, price = c.SERVICES[sku // c.PRICE_POINTS], world.prices[sku] / PRICE_SCALE
    return f"${price:.6f} per {service.unit} of {service.name} (tier {sku % c.PRICE_POINTS})"


def _when(spec: Spec, rows: Rows) -> Columns:
    first, after = month_bounds(spec.month)
    return {
        "BillingPeriodStart": _seconds(np.full(len(rows), first)),
        "BillingPeriodEnd": _seconds(np.full(len(rows), after)),
        "ChargePeriodStart": _seconds(rows.start),
        "ChargePeriodEnd": _seconds(rows.end),
    }


def _money(spec: Spec, rows: Rows) -> Columns:
    """Write costs with ten decimals, quantities with four, unit prices with six; SaaS prices are in its own credits."""
    unpriced = rows.sku < 0
    currency = [p.currency for p in spec.payers]
    credits_ = np.array([p.provider == c.SNOWPEAK for p in spec.payers])[rows.payer]
    one = np.full(len(rows), PRICE_SCALE)
    in_credits = np.where(credits_ & ~unpriced, rows.quantity * (MONEY_SCALE // QUANTITY_SCALE), rows.effective)
    quantity = _amounts(spec, rows.quantity, QUANTITY_SCALE, unpriced)
    return {
        "BilledCost": _amounts(spec, rows.billed, MONEY_SCALE),
        "EffectiveCost": _amounts(spec, rows.effective, MONEY_SCALE),
        "ListCost": _amounts(spec, rows.listed, MONEY_SCALE),
        "ContractedCost": _amounts(spec, rows.contracted, MONEY_SCALE),
        "ListUnitPrice": _amounts(spec, rows.list_price, PRICE_SCALE, unpriced),
        "ContractedUnitPrice": _amounts(spec, rows.contract_price, PRICE_SCALE, unpriced),
        "PricingQuantity": quantity,
        "ConsumedQuantity": quantity,
        "PricingCurrency": _coded(np.where(credits_, len(currency), rows.payer), [*currency, "Snowpeak Credits"]),
        "PricingCurrencyEffectiveCost": _amounts(spec, in_credits, MONEY_SCALE),
        "PricingCurrencyListUnitPrice": _amounts(spec, np.where(credits_, one, rows.list_price), PRICE_SCALE, unpriced),
        "PricingCurrencyContractedUnitPrice": _amounts(
            spec, np.where(credits_, one, rows.contract_price), PRICE_SCALE, unpriced
        ),
    }


def _commitment(world: World, rows: Rows) -> Columns:
    spec, deals, k = world.spec, world.commitments, rows.commitment
    kind = np.where(k < 0, -1, 1)
    if len(deals.ids):
        kind = np.where(k < 0, -1, np.where(deals.spend[np.maximum(k, 0)], 0, 1))
    spent = np.where(rows.category == c.PURCHASE, rows.billed, rows.effective) // (MONEY_SCALE // QUANTITY_SCALE)
    return {
        "CommitmentDiscountId": _coded(k, deals.ids),
        "CommitmentDiscountName": _coded(k, [f"commitment-{i:03d}" for i in range(len(deals.ids))]),
        "CommitmentDiscountCategory": _coded(kind, ["Spend", "Usage"]),
        "CommitmentDiscountType": _coded(kind, ["Savings Plan", "Reserved"]),
        "CommitmentDiscountUnit": _coded(kind, ["USD", "Hours"]),
        "CommitmentDiscountStatus": _coded(rows.status, c.COMMITMENT_STATUSES),
        "CommitmentDiscountQuantity": _amounts(spec, np.where(kind == 0, spent, rows.quantity), QUANTITY_SCALE, k < 0),
        "CapacityReservationId": _empty(rows),
        "CapacityReservationStatus": _empty(rows),
    }


def _resource(world: World, rows: Rows, unread: Flags) -> Columns:
    """Name the resource and its tags. Fees and unused commitments name the commitment as their resource."""
    res, k = world.resources, rows.resource
    used, code = np.unique(np.maximum(k, 0), return_inverse=True)
    code = np.where(k >= 0, code, -1)
    deal = (rows.commitment >= 0) & (k < 0) & (rows.sku < 0)
    region = np.where(k >= 0, res.region[np.maximum(k, 0)], -1)
    zone = np.where((k >= 0) & (res.provider[np.maximum(k, 0)] == c.AWS), region * 3 + rows.sku % 3, -1)
    kind = np.where(k >= 0, rows.service, np.where(deal, len(c.SERVICES), -1))
    kinds = [s.resource_type or None for s in c.SERVICES]
    regions = region_names()
    return {
        "ResourceId": _coded(
            np.where(deal, len(used) + rows.commitment, code), _pick(res.ids, used) + list(world.commitments.ids)
        ),
        "ResourceName": _coded(code, _pick(res.names, used)),
        "ResourceType": _coded(kind, [*kinds, "commitment"]),
        "RegionId": _coded(region, regions),
        "RegionName": _coded(region, [r.upper() for r in regions]),
        "AvailabilityZone": _coded(zone, [r + z for r in regions for z in "abc"]),
        "Tags": _tags(world, rows, unread),
    }


def _pick(values: Sequence[str], index: Iterable[int]) -> list[str]:
    return [values[i] for i in index]


def _tags(world: World, rows: Rows, unread: Flags) -> pa.Array:
    """Write the tags as JSON text, MAP or list of structs; an untagged row is NULL, as FOCUS has it."""
    res = world.resources
    used, code = np.unique(np.where(rows.tagged > 0, rows.resource, -1), return_inverse=True)
    if world.spec.tags == "json":
        texts = [res.tag_texts[i] if i >= 0 and res.tags[i] else None for i in used]
        broken = len(texts) + np.arange(len(rows)) % len(UNREADABLE)
        return _coded(np.where(unread, broken, code), [*texts, *UNREADABLE])
    sets: list[Mapping[str, str] | None] = [res.tags[i] if i >= 0 and res.tags[i] else None for i in used]
    if world.spec.tags == "map":
        items = [None if s is None else list(s.items()) for s in sets]
        return pa.array(items, pa.map_(pa.string(), pa.string())).take(pa.array(code))
    pairs = [None if s is None else [{"key": key, "value": value} for key, value in s.items()] for s in sets]
    return pa.array(pairs, pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))).take(pa.array(code))


def _allocated(world: World, rows: Rows) -> Columns:
    """Say how split rows were made, as FOCUS 1.3 asks; every other row leaves these NULL."""
    names = rows.namespace
    split = names >= 0
    detail = np.full(len(rows), "", dtype=object)
    detail[split] = [
        json.dumps({"Elements": [{"AllocatedRatio": round(float(r), 6), "UsageUnit": "vCPU-Hours"}]})
        for r in ratios(rows)[split]
    ]
    contract = [
        json.dumps({"Elements": [{"ContractId": "C-1", "ContractCommitmentId": i}]}) for i in world.commitments.ids
    ]
    owners = [json.dumps({"namespace": n, "owner": f"team-{n}@acme.example"}) for n in c.NAMESPACES]
    return {
        "AllocatedMethodId": _coded(np.where(split, 0, -1), ["k8s-cpu-weighted"]),
        "AllocatedMethodDetails": pa.array(detail, pa.string(), mask=~split),
        "AllocatedResourceId": _coded(names, [f"k8s/ns/{n}" for n in c.NAMESPACES]),
        "AllocatedResourceName": _coded(names, c.NAMESPACES),
        "AllocatedTags": _coded(names, owners),
        "ContractApplied": _coded(rows.commitment, contract),
        "CommitmentProgramEligibilityDetails": _empty(rows),
    }


def _extras(world: World, rows: Rows) -> Columns:
    """Add a few provider columns, which every real export has."""
    provider = world.payer_column("provider")[rows.payer].astype(np.int64)
    usage = np.where((provider == c.AWS) & (rows.sku >= 0), rows.sku, -1)
    skus = range(len(c.SERVICES) * c.PRICE_POINTS)
    return {
        "x_ServiceCode": _coded(
            np.where(provider == c.AWS, rows.service, -1), [s.name.replace(" ", "") for s in c.SERVICES]
        ),
        "x_UsageType": _coded(usage, [f"USW2-U{i:04d}" for i in skus]),
        "x_ResourceGroupName": _coded(
            np.where((provider == c.MICROSOFT) & (rows.resource >= 0), rows.resource % 97, -1),
            [f"rg-{i:02d}" for i in range(97)],
        ),
    }
