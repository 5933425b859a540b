"""FOCUS Cost and Usage, versions 1.0 to 1.4: which columns there are, how they were renamed, how a version is told.

Files don't declare their version, so it is inferred from the columns. Names are matched in any case, with underscores
or spaces, or in brackets after a translated one. ProviderName became ServiceProviderName in 1.3 and is read into it.
PublisherName is not read into HostProviderName: the publisher made the software (Red Hat), the host runs the machine it
is on (AWS).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from governor.model import Position, Problem, Refused
from governor.sources.billing.focus_dialects import adapt
from governor.sources.billing.focus_oracle import is_oracles
from governor.sources.billing.layout import Asked, Layout, doubled, fold, raw
from governor.tables import FOCUS

# Older and other spellings, after the right one: earlier FOCUS versions, Oracle's exports, early converters.
ALIASES = {
    "ServiceProviderName": ("ProviderName", "Provider"),
    "InvoiceIssuerName": ("InvoiceIssuer",),
    "RegionId": ("Region",),
}

# Columns that came with a version, newest first. 1.4 brought few and dropped ProviderName, so its absence counts too.
CAME_WITH = (
    ("1.4", ("InvoiceDetailId", "CommitmentProgramEligibilityDetails")),
    (
        "1.3",
        (
            "ServiceProviderName",
            "HostProviderName",
            "AllocatedMethodId",
            "AllocatedMethodDetails",
            "AllocatedResourceId",
            "AllocatedResourceName",
            "AllocatedTags",
            "ContractApplied",
        ),
    ),
    (
        "1.2",
        (
            "InvoiceId",
            "BillingAccountType",
            "SubAccountType",
            "PricingCurrency",
            "PricingCurrencyContractedUnitPrice",
            "PricingCurrencyEffectiveCost",
            "PricingCurrencyListUnitPrice",
        ),
    ),
    (
        "1.1",
        (
            "CapacityReservationId",
            "CapacityReservationStatus",
            "CommitmentDiscountQuantity",
            "CommitmentDiscountUnit",
            "ServiceSubcategory",
            "SkuMeter",
            "SkuPriceDetails",
        ),
    ),
)

# 1.0-preview's names, and what replaced them: a file with the old name and without the new one is a preview file.
PREVIEW = {"ChargeSubcategory": "ChargeClass", "UsageQuantity": "ConsumedQuantity", "UsageUnit": "ConsumedUnit"}

_KNOWN = {fold(column.note): column.note for column in FOCUS} | {
    fold(alias): alias for aliases in ALIASES.values() for alias in aliases
}
_READ = frozenset(_KNOWN) | {"tags", "allocatedtags"}
_ENOUGH = 5  # a header with fewer FOCUS columns, or without a cost, is something else


def recognise(header: Sequence[str]) -> str:
    """Say by which columns a header is FOCUS; '' where it isn't."""
    has = set(_folded(header))
    if len(has & set(_KNOWN)) < _ENOUGH or not has & {"billedcost", "effectivecost"}:
        return ""
    return f"{len(has & set(_KNOWN))} of its {len(header)} columns have FOCUS names"


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout. Raises Refused, naming the file."""
    folded = _folded(header)
    _refuse(header, folded, asked.wanted, asked.file)
    place = {name: at for at, name in reversed(list(enumerate(folded)))}
    fields = {}
    for column in FOCUS:
        spellings = (column.note, *ALIASES.get(column.note, ()))
        if found := tuple(raw(place[fold(s)]) for s in spellings if fold(s) in place):
            fields[column.name] = found
    for name in sorted(asked.wanted):
        if fold(name) in place and fold(name) not in _KNOWN:
            fields[name] = (raw(place[fold(name)]),)
    version, why = detect(folded)
    tags, allocated = place.get("tags"), place.get("allocatedtags")
    layout = Layout(
        version,
        why,
        fields,
        None if tags is None else raw(tags),
        None if allocated is None else raw(allocated),
    )
    return adapt(layout, header, asked)


def _folded(header: Sequence[str]) -> list[str]:
    """Reduce names to what spelling can't change; of a translated one, its English name in brackets counts.

    >>> _folded(["Abgerechnete Kosten (BilledCost)", "billed_cost", "Menge (Stück)"])
    ['billedcost', 'billedcost', 'menge(stück)']
    """
    inside = (re.search(r"\(([^()]+)\)\s*$", name) for name in header)
    return [fold(m[1]) if m and fold(m[1]) in _READ else fold(name) for name, m in zip(header, inside, strict=True)]


def detect(folded: Sequence[str]) -> tuple[str, str]:
    """Tell the version from the columns, and say why in words.

    >>> detect(["billedcost", "skumeter", "invoiceid"])
    ('1.2', 'it has InvoiceId, which came with 1.2')
    """
    has = set(folded)
    if "serviceprovidername" in has and "providername" not in has:
        return "1.4", "it has ServiceProviderName and no ProviderName, which 1.4 dropped"
    for version, columns in CAME_WITH:
        if names := [name for name in columns if fold(name) in has]:
            return version, f"it has {', '.join(names[:3])}, which came with {version}"
    return "1.0", "it has no column that came later"


def _refuse(header: Sequence[str], folded: Sequence[str], wanted: frozenset[str], file: str) -> None:
    position, has = Position(file, 1, 1), set(folded)
    read = (has & _READ) | {fold(name) for name in wanted}
    if not recognise(header):
        near = [
            f"{name[:60]!r} is close to {_KNOWN[close[0]]}"
            for name, key in zip(header, folded, strict=True)
            if key not in _KNOWN and (close := difflib.get_close_matches(key[:60], _KNOWN, 1, 0.85))
        ]
        what = f"isn't a FOCUS file: {len(has & set(_KNOWN))} of its {len(header)} columns have FOCUS names"
        mend = (
            "; ".join(near[:3]) or "the first line must hold the column names, such as BilledCost and ChargePeriodStart"
        )
        raise Refused(Problem(position, "B013", what, mend))
    for old, new in PREVIEW.items():
        if fold(old) in has and fold(new) not in has and not is_oracles(has):
            raise Refused(
                Problem(
                    position,
                    "B014",
                    f"is FOCUS 1.0-preview: it has {old} and no {new}",
                    "export it again as FOCUS 1.0 or later; the preview's costs and categories mean other things",
                )
            )
    if twice := doubled(header, folded, read, file):
        raise Refused(*twice)
