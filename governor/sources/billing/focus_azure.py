"""What Azure's FOCUS exports (1.0, 1.0r2, 1.2-preview, 1.2) mean otherwise than FOCUS says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from governor.sources.billing.azure import drop_cost_allocation, find_snapshot
from governor.sources.billing.layout import Asked, Identity, Layout, Own
from governor.tables import MONEY

_AZURE = {"xskumetercategory", "xskumetersubcategory", "xskumeterid", "xbillingprofileid", "xskuservicefamily"}
_UNKNOWN = ("list_cost", "contracted_cost")
_BOUGHT = "{charge_category} = 'Purchase' AND {commitment_discount_id} IS NOT NULL"


def azure(layout: Layout, place: Mapping[str, str], asked: Asked) -> Layout | None:
    """Read a FOCUS export as Azure means it; None for a header that isn't Azure's.

    - A list or contracted cost of 0 on a row that costs something is not known: 0 would be a discount of everything.
    - Ids differ in case only: they are written in lower case, and a subscription is its GUID, as in the cost details.
    - Where ServiceName is empty, the meter's subcategory or the publisher says it, as Microsoft recommends.
    - A commitment's purchase with an effective cost stays as it is, and is told: it counts twice.
    """
    if len(_AZURE & place.keys()) < 2:  # noqa: PLR2004 - one alone may be anybody's
        return None
    fields, own, derived = dict(layout.fields), dict(layout.own), dict(layout.derived)
    for name in ("resource_id", "commitment_discount_id", "sub_account_id"):
        if name in fields:
            fields[name] = (f"lower(CAST({fields[name][0]} AS VARCHAR))",)
    if "sub_account_id" in fields:
        fields["sub_account_id"] = (f"regexp_replace({fields['sub_account_id'][0]}, '^/subscriptions/', '')",)
    if "sub_account_name" in fields:
        fields["sub_account_name"] = (f"nullif(CAST({fields['sub_account_name'][0]} AS VARCHAR), 'Unassigned')",)
    if "service_name" in fields:
        instead = ("xskumetersubcategory", "publishername")
        fields["service_name"] += tuple(place[name] for name in instead if name in place)
    for name in _UNKNOWN:
        if name in fields:
            own[f"said_{name}"] = Own(fields.pop(name)[0], MONEY)
            costs = "{billed_cost} <> 0 OR {effective_cost} <> 0"
            derived[name] = f"CASE WHEN {{said_{name}}} = 0 AND ({costs}) THEN NULL ELSE {{said_{name}}} END"
    series, snapshot = find_snapshot(asked.file)
    twice = "purchases of commitments have an effective cost, and what uses them has it too"
    return replace(
        layout,
        why=f"{layout.why}; x_ columns say that it is Azure's",
        fields=fields,
        own=own,
        derived=derived,
        aside=drop_cost_allocation(place.get("xcostallocationrulename"), asked),
        identities=(Identity(twice, "{commitment_discount_id}", "{effective_cost}", _BOUGHT),),
        series=series,
        snapshot=snapshot,
    )
