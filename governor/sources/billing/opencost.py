"""OpenCost's and Kubecost's allocations: what the parts of a Kubernetes cluster cost, by their own prices.

Read are the CSV that OpenCost's exporter writes (one row a container and day), and the allocations of the API as JSON
lines or as a CSV of its fields. They are estimates and nobody invoices them: BilledCost is 0, unless the configuration
says `options: {invoiced: true}`. Idle, unallocated and unmounted cost stays a charge of its own, of no resource and
without tags. The billing period is the month of the charge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from governor.model import Position, Problem, Refused
from governor.sources.billing.layout import Asked, Identity, Layout, Own, doubled, fold, raw, tags_of_columns
from governor.sources.billing.tags import SEPARATOR
from governor.tables import MONEY

NAMESPACE_TAG = "k8s-namespace"  # as Google's bills call a namespace

_FORMAT = "OpenCost allocation export"
_TELLING = ("cpuCost", "ramCost")
_NAMES: Mapping[str, tuple[str, ...]] = {  # ours <- theirs, folded
    "start": ("windowstart", "start", "date"),
    "end": ("windowend", "end"),
    "name": ("name",),
    "cluster": ("cluster",),
    "namespace": ("namespace",),
    "controller": ("controller", "controllername"),
    "kind": ("controllerkind",),
    "pod": ("pod",),
    "container": ("container",),
    "total": ("totalcost",),
}
_TEXTS = ("name", "cluster", "namespace", "controller", "kind", "pod")  # of which a resource's name is made
_PARTS = ("cpu", "gpu", "ram", "pv", "network", "loadbalancer")
_COSTS = (*(f"{part}cost{more}" for part in _PARTS for more in ("", "adjustment")), "sharedcost", "externalcost")
_FIELDS = {
    "billing_currency": ("currency",),
    "region_id": ("region",),
    "charge_description": ("container",),
}
_CONSTANTS = {
    "service_provider_name": "'Kubernetes'",
    "service_category": "'Compute'",
    "service_subcategory": "'Containers'",
    "service_name": "'Kubernetes'",
    "sub_account_type": "'Cluster'",
    "charge_category": "'Usage'",
    "charge_frequency": "'Usage-Based'",
    # An estimate corrects no invoice, and knows no commitment and no category of prices.
    **dict.fromkeys(
        ("charge_class", "commitment_discount_id", "commitment_discount_status", "pricing_category"),
        "CAST(NULL AS VARCHAR)",
    ),
}
_NOISE = "0.000001"  # what sums of doubles may differ by, in the currency
_PARTED = (
    "the costs of CPU, memory and so on differ from the total, where load balancers and shared cost have no column; "
    "in namespace"
)
_ESTIMATE = (
    "assumption",
    "these costs are estimates by OpenCost's prices: where the bill of the same nodes is in this run too, they are "
    "charged twice; take one of the two",
)
_NO_LABELS = (
    "missing_column",
    "there are no labels: export them (EXPORT_CSV_LABELS_ALL=true), or say `options: {tags: none}` and have namespaces",
)
_NOBODYS = "__(idle|unallocated|unmounted)__"


def recognise(header: Sequence[str]) -> str:
    """Say by which columns a header is an allocation export; '' where it isn't."""
    has = {_fold(name) for name in header}
    known = has & {"namespace", "name", "pod"}
    return f"it has {', '.join(_TELLING)}" if known and has.issuperset(map(_fold, _TELLING)) else ""


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout. Raises Refused, naming the file."""
    folded = [_fold(name) for name in header]
    _refuse(header, folded, asked.file)
    place = {name: raw(at) for at, name in reversed(list(enumerate(folded)))}
    at = {ours: next((place[name] for name in names if name in place), "") for ours, names in _NAMES.items()}
    fields = {ours: (place[name],) for ours, (name,) in _FIELDS.items() if name in place}
    fields |= {ours: (sql,) for ours, sql in _CONSTANTS.items() if ours not in asked.defaults}
    placed = {"charge_period_start": "start", "charge_period_end": "end", "sub_account_id": "cluster"}
    fields |= {ours: (at[name],) for ours, name in placed.items() if at[name]}
    for wanted in asked.wanted:
        name = fold(wanted).removeprefix("x")
        if given := at.get(name) or place.get(name):
            fields[wanted] = (given,)
    invoiced = asked.options.get("invoiced") is True
    tags = _tags(header, place, at, none=asked.options.get("tags") == "none")
    parts = [name for name in _COSTS if name in place]
    return Layout(
        "",
        recognise(header),
        fields,
        tags,
        format=_FORMAT,
        own={
            **{name: Own(at[name] or "CAST(NULL AS VARCHAR)") for name in _TEXTS},
            **{name: Own(place[name], MONEY) for name in parts},
            "TotalCost": Own(at["total"], MONEY),
        },
        derived=_derived(invoiced=invoiced, daily=at["start"] == place.get("date") and not at["end"]),
        identities=(_add_up(parts),),
        doubles=True,
        notices=(_ESTIMATE, *(() if tags else (_NO_LABELS,))),
    )


def _fold(name: str) -> str:
    """Reduce a column name to what spelling can't change: `properties.namespace` and `Namespace` are one."""
    return fold(name).replace(".", "").removeprefix("properties")


def _refuse(header: Sequence[str], folded: Sequence[str], file: str) -> None:
    position, has = Position(file, 1, 1), set(folded)
    if not recognise(header):
        lacking = [name for name in _TELLING if _fold(name) not in has] or ["Namespace"]
        what = f"isn't an {_FORMAT}: it has no column {', '.join(lacking)}"
        raise Refused(Problem(position, "B013", what, "export it with the column names, one row an allocation"))
    if "totalcost" not in has:
        what = "has no column TotalCost: what a row costs is unknown"
        raise Refused(Problem(position, "B280", what, "export it with the total; parts alone may leave something out"))
    read = {name for names in _NAMES.values() for name in names} | {*_COSTS, "labels", "namespacelabels"}
    if twice := doubled(header, folded, read, file):
        raise Refused(*twice)


def _tags(header: Sequence[str], place: Mapping[str, str], at: Mapping[str, str], *, none: bool) -> str | None:
    """Write SQL for the tags, the weakest first: the namespace, its labels, the pod's; None where no label is told."""
    levels = [f"CAST({place[name]} AS VARCHAR)" for name in ("namespacelabels",) if name in place]
    levels += _label_columns(header, ("properties.namespacelabels.",))
    levels += [f"CAST({place[name]} AS VARCHAR)" for name in ("labels",) if name in place]
    levels += _label_columns(header, ("properties.labels.", "label_"))
    if not levels and not none:
        return None
    if at["namespace"]:
        levels.insert(0, tags_of_columns({NAMESPACE_TAG: at["namespace"]}))
    said = ", ".join(["'{}'", *(f"coalesce({sql}, '')" for sql in levels)])
    names = [f"nullif(CAST({at[name]} AS VARCHAR), '')" for name in ("namespace", "name") if at[name]]
    nobodys = _of_nobody(f"coalesce({', '.join([*names, repr('')])})")
    return f"CASE WHEN {nobodys} THEN '{{}}' ELSE concat_ws(chr({ord(SEPARATOR)}), {said}) END"


def _label_columns(header: Sequence[str], prefixes: tuple[str, ...]) -> list[str]:
    found = {
        name[len(prefix) :]: raw(at)
        for at, name in enumerate(header)
        for prefix in prefixes
        if name.lower().startswith(prefix) and len(name) > len(prefix)
    }
    return [tags_of_columns(found)] if found else []


def _of_nobody(name: str) -> str:
    """Write SQL that is true for cost that no workload has, such as `__idle__` and `cluster-1/__idle__`."""
    return f"coalesce(regexp_matches({name}, '(^|/){_NOBODYS}(/|$)'), FALSE)"


def _derived(*, invoiced: bool, daily: bool) -> dict[str, str]:
    month = "date_trunc('month', {charge_period_start})"
    name = "coalesce({namespace}, {name})"
    nobodys = _of_nobody(name)
    workload = "coalesce({pod}, {controller})"
    path = f"concat_ws('/', {{cluster}}, CASE WHEN {workload} IS NULL THEN {name} ELSE {{namespace}} END, {workload})"
    derived = {
        "billing_period_start": month,
        "billing_period_end": f"{month} + INTERVAL 1 MONTH",
        "billed_cost": "{TotalCost}"
        if invoiced
        else f"CASE WHEN {{TotalCost}} IS NOT NULL THEN CAST(0 AS {MONEY}) END",
        "effective_cost": "{TotalCost}",
        "resource_id": f"CASE WHEN NOT {nobodys} THEN nullif({path}, '') END",
        "resource_name": (
            f"CASE WHEN {nobodys} THEN regexp_extract({name}, '{_NOBODYS}') ELSE coalesce({workload}, {name}) END"
        ),
        "resource_type": (
            f"CASE WHEN {nobodys} THEN NULL WHEN {{pod}} IS NOT NULL THEN 'Pod' "
            "WHEN {controller} IS NOT NULL THEN coalesce({kind}, 'Controller') "
            "WHEN {namespace} IS NOT NULL THEN 'Namespace' END"
        ),
    }
    return derived | ({"charge_period_end": "{charge_period_start} + INTERVAL 1 DAY"} if daily else {})


def _add_up(parts: Sequence[str]) -> Identity:
    rest = " - ".join(["{TotalCost}", *(f"coalesce({{{part}}}, 0)" for part in parts)])
    return Identity(_PARTED, "{namespace}", rest, f"abs({rest}) > {_NOISE}")
