"""What Azure's cost details cost: SQL for what is billed, what is effective, and what a commitment is about.

`place` names the columns that a file has. The SQL is over {name}s of the layout, or over raw columns where a row must
tell which export its file is.
"""

from __future__ import annotations

from collections.abc import Mapping

from governor.sources.billing.layout import Alone, Pair
from governor.tables import MONEY

ACTUAL, AMORTIZED = "actual", "amortized"
IDS = ("benefit", "reservation")  # of commitments; the first that a row has counts

_COVERED = "commitment_discount_status = 'Used'"  # both exports have such usage, with other costs
_ALONE = {
    ACTUAL: Alone(
        "effective_cost_unknown",
        "the actual export alone doesn't say what commitments cost where they are used: put the amortized export of "
        "the same scope and month into this source too",
        "commitment_discount_id IS NOT NULL AND effective_cost = 0",
        "billed_cost",
        each=_COVERED,
    ),
    AMORTIZED: Alone(
        "billed_cost_unknown",
        "the amortized export alone lacks the purchases of commitments, so BilledCost does: put the actual export of "
        "the same scope and month into this source too",
        "commitment_discount_id IS NOT NULL AND billed_cost = 0",
        "effective_cost",
        each=_COVERED,
    ),
}


def read_kind(place: Mapping[str, str]) -> str:
    """Write SQL over raw columns for a row's ChargeType, folded; a file without the column has usage only."""
    return _fold(place, "type") if "type" in place else "'usage'"


def read_role(place: Mapping[str, str]) -> str:
    """Write SQL over raw columns for what a row is to a commitment: unused, covered, bought, or none.

    PricingModel says whether the row is about one; where it is empty, the id of one does: all of them hold a GUID.
    """
    kind, model = read_kind(place), _fold(place, "model")
    ids = " OR ".join(f"contains(CAST({place[key]} AS VARCHAR), '-')" for key in IDS if key in place) or "FALSE"
    committed = (
        f"{model} IN ('reservation', 'savingsplan') OR (coalesce({model}, '') NOT IN ('ondemand', 'spot') AND ({ids}))"
    )
    return (
        f"CASE WHEN {kind} LIKE 'unused%' THEN 'unused' WHEN {committed} THEN "
        f"CASE {kind} WHEN 'usage' THEN 'covered' WHEN 'purchase' THEN 'bought' WHEN 'refund' THEN 'bought' "
        "ELSE 'none' END ELSE 'none' END"
    )


def _fold(place: Mapping[str, str], key: str) -> str:
    return f"lower(replace(CAST({place.get(key, 'NULL')} AS VARCHAR), ' ', ''))"


def derive(place: Mapping[str, str]) -> dict[str, str]:
    """Write SQL over {name}s for the columns that a row's kind and role decide, costs first."""
    rounding = "{kind} IN ('roundingadjustment', 'adjustment')"
    if "meter_category" in place:
        rounding += " OR lower(replace({meter_category}, ' ', '')) = 'roundingadjustment'"
    start, after = "date_trunc('month', {date})", "NULL"
    if "period_start" in place:
        start = f"coalesce({{period_start}}, {start})"
    if "period_end" in place:
        after = "{period_end} + INTERVAL 1 DAY"
    follows = f"CASE WHEN day({start}) = 1 THEN {start} + INTERVAL 1 MONTH END"
    derived = {
        "billed_cost": "CASE WHEN {role} IN ('unused', 'covered') THEN 0 ELSE {cost} END",
        "effective_cost": "CASE WHEN {role} = 'bought' THEN 0 ELSE {cost} END",
        "billing_period_start": start,
        "billing_period_end": f"coalesce({after}, {follows})",
        "charge_period_start": "{date}",
        "charge_period_end": "{date} + INTERVAL 1 DAY",
        "charge_category": (
            f"CASE WHEN {rounding} THEN 'Adjustment' WHEN {{role}} = 'unused' THEN 'Usage' ELSE CASE {{kind}} "
            "WHEN 'usage' THEN 'Usage' WHEN 'purchase' THEN 'Purchase' WHEN 'refund' THEN 'Purchase' "
            "WHEN 'tax' THEN 'Tax' WHEN 'credit' THEN 'Credit' "
            f"ELSE {'{type}' if 'type' in place else '{kind}'} END END"
        ),
        "service_category": "coalesce({category}, 'Other')" if "provider" in place else "'Other'",
        "charge_class": "CASE WHEN {kind} = 'refund' THEN 'Correction' END",
    }
    if {"reservation", "benefit", "model"} & place.keys():
        derived |= _commitment(place)
    if "location" in place:
        derived["region_id"] = "nullif({region}, '')"
    if "quantity" in place:
        derived["consumed_quantity"] = "CASE WHEN {kind} = 'usage' THEN {quantity} END"
        derived["consumed_unit"] = "CASE WHEN {kind} = 'usage' THEN {pricing_unit} END"
    return derived | _prices(place)


def _commitment(place: Mapping[str, str]) -> dict[str, str]:
    ids = ", ".join(f"lower({{{key}}})" for key in IDS if key in place)
    model = "lower(replace({model}, ' ', ''))" if "model" in place else "NULL"
    in_plan = "contains(lower({benefit}), '/microsoft.billingbenefits/')" if "benefit" in place else "FALSE"
    about = "CASE WHEN {role} <> 'none' THEN"
    plan = f"({model} = 'savingsplan' OR {in_plan} OR {{kind}} = 'unusedsavingsplan')"
    derived = {
        "commitment_discount_status": "CASE {role} WHEN 'unused' THEN 'Unused' WHEN 'covered' THEN 'Used' END",
        "commitment_discount_category": f"{about} CASE WHEN {plan} THEN 'Spend' ELSE 'Usage' END END",
        "commitment_discount_type": f"{about} CASE WHEN {plan} THEN 'Savings Plan' ELSE 'Reservation' END END",
        "pricing_category": (
            f"{about} 'Committed' ELSE CASE {model} WHEN 'ondemand' THEN 'Standard' WHEN 'spot' THEN 'Dynamic' END END"
        ),
    }
    return derived | ({"commitment_discount_id": f"{about} coalesce({ids}) END"} if ids else {})


def _prices(place: Mapping[str, str]) -> dict[str, str]:
    """Say what a row would have cost at its contracted and at its list price, only where the row proves it.

    Quantities are rounded in the export. Where quantity x effective price is the cost to the last digit, quantity x
    another price is exact too, and in the currency of the bill; where two prices are one, the costs are one. A price of
    0 means that Azure doesn't say. Of what is unused neither is known.
    """
    derived = {}
    proven = (
        f"{{cost}} <> 0 AND {_times('{quantity}', '{price}')} = {{cost}}"
        if {"quantity", "price"} <= place.keys()
        else "FALSE"
    )
    for ours, price in (("contracted_cost", "unit_price"), ("list_cost", "list_price")):
        cases = ["WHEN {payg_cost} <> 0 THEN {payg_cost}"] if ours == "list_cost" and "payg_cost" in place else []
        if price in place and "price" in place:
            cases.append(f"WHEN {{{price}}} = 0 THEN NULL WHEN {{{price}}} = {{price}} THEN {{cost}}")
            if proven != "FALSE":
                cases.append(f"WHEN {proven} THEN {_times('{quantity}', f'{{{price}}}')}")
        if cases:
            derived[ours] = f"CASE WHEN {{role}} = 'unused' THEN NULL {' '.join(cases)} END"
    same = (
        "coalesce({pricing_currency}, {billing_currency}) = {billing_currency}"
        if "pricing_currency" in place
        else "TRUE"
    )
    for ours, price in (("contracted_unit_price", "unit_price"), ("list_unit_price", "list_price")):
        if price in place:
            derived[ours] = f"CASE WHEN {same} THEN nullif({{{price}}}, 0) END"
    return derived


def _times(quantity: str, price: str) -> str:
    """Write SQL for an exact product; NULL where a factor has more than 10 digits before or 9 after the point."""
    small = {text: f"TRY_CAST({text} AS DECIMAL(19, 9))" for text in (quantity, price)}
    exact = " AND ".join(f"{cast} = {text}" for text, cast in small.items())
    return f"CASE WHEN {exact} THEN TRY_CAST({small[quantity]} * {small[price]} AS {MONEY}) END"


def pair_exports(place: Mapping[str, str]) -> Pair:
    """Say how the actual and the amortized export go together."""
    role, amount = read_role(place), f"split_part(lower(CAST({place['cost']} AS VARCHAR)), 'e', 1)"
    costs = f"coalesce(regexp_matches({amount}, '[1-9]'), FALSE)"
    return Pair(
        leading=AMORTIZED,
        signs={ACTUAL: f"{role} = 'bought'", AMORTIZED: f"{role} = 'unused' OR ({role} = 'covered' AND {costs})"},
        key=("lower({billing_account_id})", "{sub_account_id}", "{date}", "{kind}"),
        repeats="{role} <> 'bought'",
        alone=_ALONE | {"": _ALONE[ACTUAL]},
    )
