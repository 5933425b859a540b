"""Oracle Cloud's FOCUS report: FOCUS 1.0 with names of the preview, and columns of its own called oci_… instead of x_….

It has ChargeSubcategory, UsageQuantity, UsageUnit and Region, and means what 1.0 means: the preview's names alone are
no reason to refuse it. Its EffectiveCost is 0 in files of 2024, where Oracle's own description says that both costs are
cost/myCost: a row that is billed and has no effective cost is read with the billed one, and that is told. BilledCost is
quantity times the agreed price, cost/unitPrice, and so is ContractedCost, which the report leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from governor.sources.billing import oci
from governor.sources.billing.layout import Identity, Layout, Own
from governor.tables import MONEY

_TELLING = {f"{x}oci{name}" for x in ("", "x") for name in ("referencenumber", "compartmentid", "compartmentname")}
_RENAMED = {"consumed_quantity": "usagequantity", "consumed_unit": "usageunit"}
_NO_EFFECTIVE = (
    "EffectiveCost is 0 where BilledCost isn't, and Oracle means both to be the same: BilledCost is taken, for "
    "billing account"
)


def is_oracles(folded: AbstractSet[str]) -> bool:
    """Whether folded column names are those of Oracle's report."""
    return len(folded & _TELLING) > 1  # one alone may be anybody's


def oracle(layout: Layout, place: Mapping[str, str], wanted: AbstractSet[str]) -> Layout | None:
    """Read Oracle's FOCUS report; None for a header that isn't. `wanted` are our names of its own columns to keep."""
    if not is_oracles(place.keys()):
        return None
    fields, own, derived = dict(layout.fields), dict(layout.own), dict(layout.derived)
    fields |= {ours: (place[name],) for ours, name in _RENAMED.items() if name in place and ours not in fields}
    if "regionname" in place:
        fields["region_id"] = (*fields.get("region_id", ()), place["regionname"])
    for name in wanted - fields.keys():
        both = (f"oci{oci.own_name(name)}", f"xoci{oci.own_name(name)}")
        if sql := tuple(place[spelled] for spelled in both if spelled in place):
            fields[name] = sql
    fields |= {ours: ("CAST(NULL AS VARCHAR)",) for ours in oci.NOTHING if ours not in fields}
    if contracted := fields.pop("contracted_cost", None):
        own["ContractedCost"] = Own(contracted[0], MONEY)
    derived["contracted_cost"] = "coalesce({ContractedCost}, {billed_cost})" if contracted else "{billed_cost}"
    identities = layout.identities
    if effective := fields.pop("effective_cost", None):
        own["EffectiveCost"] = Own(effective[0], MONEY)
        without = "coalesce({EffectiveCost}, 0) = 0"
        derived["effective_cost"] = f"CASE WHEN {without} THEN {{billed_cost}} ELSE {{EffectiveCost}} END"
        billed = f"{without} AND {{billed_cost}} <> 0"
        identities = (*identities, Identity(_NO_EFFECTIVE, "{billing_account_id}", "{billed_cost}", billed))
    elif "billed_cost" in fields:
        derived["effective_cost"] = "{billed_cost}"
    return replace(
        layout,
        version=f"FOCUS {layout.version}",
        why=f"{layout.why}; oci_ columns say that it is Oracle's",
        fields=fields,
        own=own,
        derived=derived,
        identities=identities,
        format=oci.FORMAT,
        grain="FOCUS",
        notices=(*layout.notices, oci.COST),
    )
