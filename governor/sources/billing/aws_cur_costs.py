"""What each line item type of AWS's Cost and Usage Report costs, and what kind of charge it is.

The effective cost is AWS's amortised cost. A fee that covers later usage costs nothing itself; what it covers carries
its part, and what nobody used is a charge of its own. So the fee's row makes two charges: the purchase, which is
billed, and the unused part, which is not.
"""

from __future__ import annotations

from collections.abc import Mapping

from governor.sources.billing.layout import Also, Identity, Own, Unusable
from governor.tables import MONEY

# Line item type -> ChargeCategory, ChargeFrequency, PricingCategory. Any other type stays as delivered.
_ONCE = ("Adjustment", "One-Time", "")
TYPES: Mapping[str, tuple[str, str, str]] = {
    "Usage": ("Usage", "Usage-Based", "Standard"),
    "DiscountedUsage": ("Usage", "Usage-Based", "Committed"),
    "SavingsPlanCoveredUsage": ("Usage", "Usage-Based", "Committed"),
    "SavingsPlanNegation": ("Adjustment", "Usage-Based", "Committed"),
    "SavingsPlanRecurringFee": ("Purchase", "Recurring", "Standard"),
    "SavingsPlanUpfrontFee": ("Purchase", "One-Time", "Standard"),
    "RIFee": ("Purchase", "Recurring", "Standard"),
    "Fee": ("Purchase", "One-Time", "Standard"),
    "Tax": ("Tax", "One-Time", ""),
    "Credit": ("Credit", "One-Time", ""),
    "Refund": _ONCE,
    "Discount": _ONCE,
    "EdpDiscount": _ONCE,
    "PrivateRateDiscount": _ONCE,
    "BundledDiscount": _ONCE,
    "RiVolumeDiscount": _ONCE,
    "SppDiscount": _ONCE,
    "DistributorDiscount": _ONCE,
    "SolutionProviderProgramDiscount": _ONCE,
}
PRICED = ("Usage", "SavingsPlanCoveredUsage")  # what its own rate is asked for; a reservation's usage has a rate of 0
USED = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")  # what has a quantity and a list price
BOUGHT = ("Fee", "RIFee", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee")

_COVERED = ("DiscountedUsage", "SavingsPlanCoveredUsage")
_OFFSET = ("SavingsPlanCoveredUsage", "SavingsPlanNegation")  # together nothing is billed for them
_FEES = ("RIFee", "SavingsPlanRecurringFee")
_OF_PLANS = (*_OFFSET, "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee")

# Line item type -> own column -> the column that holds its amortised cost, after discounts where there is such a one.
AMORTISED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "DiscountedUsage": {"amortised": ("reservation/NetEffectiveCost", "reservation/EffectiveCost")},
    "SavingsPlanCoveredUsage": {
        "amortised": ("savingsPlan/NetSavingsPlanEffectiveCost", "savingsPlan/SavingsPlanEffectiveCost")
    },
    "RIFee": {
        "unused_upfront": (
            "reservation/NetUnusedAmortizedUpfrontFeeForBillingPeriod",
            "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
        ),
        "unused_recurring": ("reservation/NetUnusedRecurringFee", "reservation/UnusedRecurringFee"),
    },
    # What is committed after discounts is said for the whole period only, not for what of it was used.
    "SavingsPlanRecurringFee": {
        "committed": ("", "savingsPlan/TotalCommitmentToDate"),
        "used": ("", "savingsPlan/UsedCommitment"),
    },
}
RETURNED_DAYS = 7  # a savings plan can be given back so long

_UNUSED = "CASE {type} WHEN 'RIFee' THEN {unused_upfront} + {unused_recurring} ELSE {committed} - {used} END"
_ROUNDING = "0.01"  # amounts of thousands of hours are rounded to ten digits each


def listed(words: tuple[str, ...]) -> str:
    """Write SQL's list of words."""
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"


def text(place: Mapping[str, str], *names: str) -> str:
    """Write SQL for the first of these columns that isn't empty, as text; NULL where there is none of them."""
    found = [f"nullif(CAST({place[name]} AS VARCHAR), '')" for name in map(fold_name, names) if name in place]
    if not found:
        return "CAST(NULL AS VARCHAR)"
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def fold_name(name: str) -> str:
    """Reduce a column name to what spelling can't change.

    >>> fold_name("lineItem/LineItemType"), fold_name("line_item_line_item_type")
    ('lineitemlineitemtype', 'lineitemlineitemtype')
    """
    return "".join(c for c in name.lower() if c.isascii() and c.isalnum())


def split_row(place: Mapping[str, str]) -> str:
    """Write SQL that is true for a pod's or task's share of an instance, whose own row bears the cost; '' without.

    A row with a parent and a cost of its own would be a charge: it is none of these.
    """
    if "splitlineitemparentresourceid" not in place:
        return ""
    parent, cost = text(place, "splitLineItem/ParentResourceId"), text(place, "lineItem/UnblendedCost")
    zero = r"[+-]?(0+(\.0*)?|\.0+)([eE][+-]?\d+)?"  # no number is made of it: what a float calls 0 may be a cost
    return f"({parent} IS NOT NULL AND coalesce(regexp_full_match({cost}, '{zero}'), TRUE))"


def _read(place: Mapping[str, str], names: tuple[str, str]) -> tuple[str, ...]:
    """Name the columns of an amortised cost that count: after discounts only where what is billed is after them too.

    Otherwise discounts are rows of their own, and would be taken off twice.
    """
    net, gross = names
    return (net, gross) if net and "lineitemnetunblendedcost" in place else (gross,)


def own(place: Mapping[str, str]) -> dict[str, Own]:
    """Name the columns of the report that decide what a row is and costs. Each amount is read only where it counts."""
    kind = place["lineitemlineitemtype"]
    columns = {"type": Own(f"CAST({kind} AS VARCHAR)"), "commitment": Own(_commitment(place))}
    for name in dict.fromkeys(name for columns_ in AMORTISED.values() for name in columns_):
        cases = [
            f"WHEN '{type_}' THEN {text(place, *_read(place, columns_[name]))}"
            for type_, columns_ in AMORTISED.items()
            if name in columns_
        ]
        columns[name] = Own(f"CASE {kind} {' '.join(cases)} END", MONEY)
    if "pricingpublicondemandcost" in place:
        public = text(place, "pricing/publicOnDemandCost")
        columns["list"] = Own(f"CASE WHEN {kind} IN {listed(USED)} THEN {public} END", MONEY)
    plan = text(place, "savingsPlan/SavingsPlanArn")
    start, end = (
        f"TRY_CAST({text(place, name)} AS TIMESTAMP)" for name in ("savingsPlan/StartTime", "savingsPlan/EndTime")
    )
    columns["returned"] = Own(
        f"CASE WHEN {kind} = 'Refund' AND {plan} IS NOT NULL AND {end} <= {start} + INTERVAL {RETURNED_DAYS} DAY "
        "THEN 'yes' END"
    )
    if "lineitemnetunblendedcost" in place:
        gross = text(place, "lineItem/UnblendedCost")
        columns["gross"] = Own(f"CASE WHEN {kind} IN {listed(_OFFSET)} THEN {gross} END", MONEY)
    if share := split_row(place):
        for name, column in (("share", "splitLineItem/SplitCost"), ("idle", "splitLineItem/UnusedCost")):
            columns[name] = Own(f"CASE WHEN {share} THEN {text(place, column)} END", MONEY)
    return columns


def _commitment(place: Mapping[str, str]) -> str:
    plan, reservation = text(place, "savingsPlan/SavingsPlanArn"), text(place, "reservation/ReservationARN")
    cases = [f"WHEN '{type_}' THEN {plan}" for type_ in _OF_PLANS]
    cases += [f"WHEN '{type_}' THEN {reservation}" for type_ in ("DiscountedUsage", "RIFee", "Fee")]
    return (
        f"CASE {place['lineitemlineitemtype']} {' '.join(cases)} WHEN 'Refund' THEN coalesce({plan}, {reservation}) END"
    )


def derived(place: Mapping[str, str]) -> dict[str, str]:
    """Write SQL for the costs and kinds of a row's charge."""
    refund = "WHEN 'Refund' THEN CASE WHEN {returned} = 'yes' THEN "
    columns = {
        "charge_category": f"CASE {{type}} {refund}'Purchase' ELSE 'Adjustment' END {_cases(0)} ELSE {{type}} END",
        "charge_frequency": f"CASE {{type}} {_cases(1)} ELSE 'One-Time' END",
        "effective_cost": (
            f"CASE {{type}} {' '.join(f'WHEN {_quote(t)} THEN {{amortised}}' for t in _COVERED)} "
            f"{' '.join(f'WHEN {_quote(t)} THEN CASE WHEN {_UNUSED} IS NOT NULL THEN 0 END' for t in _FEES)} "
            "WHEN 'SavingsPlanUpfrontFee' THEN 0 WHEN 'SavingsPlanNegation' THEN 0 "
            "WHEN 'Fee' THEN CASE WHEN {commitment} IS NULL THEN {billed_cost} ELSE 0 END "
            f"{refund}0 ELSE {{billed_cost}} END ELSE {{billed_cost}} END"
        ),
        "contracted_cost": (
            f"CASE {{type}} WHEN 'DiscountedUsage' THEN {_list(place)} WHEN 'SavingsPlanNegation' THEN 0 "
            "ELSE {billed_cost} END"
        ),
        # AWS marks no corrections. What belongs to an earlier month than its invoice is taken for one.
        "charge_class": "CASE WHEN {charge_period_start} < {billing_period_start} THEN 'Correction' END",
        "commitment_discount_id": "{commitment}",
        "commitment_discount_type": _of_commitment("'Savings Plan'", "'Reserved Instance'"),
        "commitment_discount_category": _of_commitment("'Spend'", "'Usage'"),
        "commitment_discount_status": f"CASE WHEN {{type}} IN {listed(('DiscountedUsage', *_OFFSET))} THEN 'Used' END",
    }
    if split_row(place):
        share = "{share} + coalesce({idle}, 0)"
        columns["effective_cost"] = f"CASE WHEN {{share}} IS NOT NULL THEN {share} ELSE {columns['effective_cost']} END"
    if "pricingpublicondemandcost" in place:
        columns["list_cost"] = (
            f"CASE WHEN {{type}} IN {listed(USED)} THEN {{list}} WHEN {{type}} = 'SavingsPlanNegation' THEN 0 "
            "ELSE {billed_cost} END"
        )
    return columns


def unused() -> Also:
    """Make what nobody used of a commitment a charge of its own: it is not billed again, and it is what it cost."""
    nothing = (
        *("consumed_quantity", "consumed_unit", "pricing_quantity", "pricing_unit"),
        *("list_unit_price", "contracted_unit_price", "resource_id", "sku_price_id"),
    )
    columns = dict.fromkeys(nothing, "NULL") | {"effective_cost": _UNUSED}
    columns |= dict.fromkeys(("billed_cost", "list_cost", "contracted_cost"), "0")
    columns |= {
        "charge_category": "'Usage'",
        "charge_frequency": "'Usage-Based'",
        "pricing_category": "'Committed'",
        "commitment_discount_status": "'Unused'",
    }
    return Also(f"{{type}} IN {listed(_FEES)} AND {_UNUSED} <> 0", columns)


def unusable(place: Mapping[str, str]) -> tuple[Unusable, ...]:
    """Name the rows without whose missing columns nobody knows what they cost."""
    kind, found = place["lineitemlineitemtype"], []
    for type_, columns in AMORTISED.items():
        read = {names[1]: _read(place, names) for names in columns.values()}
        if lacking := [gross for gross, names in read.items() if not {*map(fold_name, names)} & place.keys()]:
            what = f"rows are {type_}, and there is no column {' and none '.join(lacking)}: their cost is unknown"
            found.append(Unusable(f"{kind} = '{type_}'", "B210", what, "export it too"))
    return tuple(found)


def identities(place: Mapping[str, str]) -> tuple[Identity, ...]:
    """Say what AWS promises: a plan's negations take away what the usage that it covers would have cost.

    And where what is billed is after discounts, so is what commitments cost: else what they cost is too much, and told.
    """
    amount = "{gross}" if "lineitemnetunblendedcost" in place else "{billed_cost}"
    where = f"{{type}} IN {listed(_OFFSET)}"
    name = "the negations of a savings plan offset the usage that it covers"
    found = [Identity(name, "{commitment}", amount, where, tolerance=_ROUNDING)]
    for type_, columns in AMORTISED.items():
        lacking = [net for net, _ in columns.values() if net and fold_name(net) not in place]
        if lacking and "lineitemnetunblendedcost" in place:
            name = f"there is no column {' and none '.join(lacking)}: what {type_} costs is taken before discounts"
            cost = " + ".join(f"{{{name}}}" for name in columns)
            found.append(Identity(name, "{commitment}", cost, f"{{type}} = '{type_}'"))
    return tuple(found)


def _cases(at: int) -> str:
    return " ".join(f"WHEN '{type_}' THEN '{kinds[at]}'" for type_, kinds in TYPES.items())


def pricing_category(place: Mapping[str, str]) -> str:
    """Write SQL for the pricing category over raw columns; tax, credits and discounts have none."""
    cases = " ".join(
        f"WHEN '{type_}' THEN '{kinds[2]}'" for type_, kinds in TYPES.items() if kinds[2] and type_ != "Usage"
    )
    spot = f"CASE WHEN contains({text(place, 'lineItem/UsageType')}, 'SpotUsage') THEN 'Dynamic' ELSE 'Standard' END"
    return f"CASE {place['lineitemlineitemtype']} WHEN 'Usage' THEN {spot} {cases} END"


def _quote(word: str) -> str:
    return f"'{word}'"


def _list(place: Mapping[str, str]) -> str:
    return "{list}" if "pricingpublicondemandcost" in place else "NULL"


def _of_commitment(plan: str, reservation: str) -> str:
    return (
        f"CASE WHEN {{commitment}} IS NULL THEN NULL WHEN contains({{commitment}}, ':savingsplan') THEN {plan} "
        f"ELSE {reservation} END"
    )
