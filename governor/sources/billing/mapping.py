"""Any other CSV, Parquet or JSON lines, such as on-premises or licence cost: governor.yaml says which column is what.

    columns: {BilledCost: amount, ChargePeriodStart: month, SubAccountId: system, Tags.owner: owner, "Tags.*": "tag_*"}

Nothing is guessed but what can mean one thing only: with one cost mapped the other is the same, the billing period is
the month of the charge, and a charge is usage unless a column says otherwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from governor.model import Position, Problem, Refused
from governor.sources.billing.layout import Asked, Layout, fold, raw, tags_of_columns
from governor.tables import snake

COSTS = ("BilledCost", "EffectiveCost")
TAGS = "Tags"
_SHOWN = 40  # columns of a file named in a message
_NONE, _SEVERAL = -1, -2
_MONTH = "date_trunc('month', {charge_period_start})"


def read_header(header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout, by the mapping. Raises Refused, naming the file and the columns it has."""
    found = _find(header, asked)
    fields = {snake(ours): (raw(at),) for ours, at in found.items() if ours.partition(".")[0] != TAGS}
    said = fields.keys() | asked.defaults
    for one, other in ((snake(a), snake(b)) for a, b in (COSTS, COSTS[::-1])):
        if one not in said and other in fields:
            fields[one] = fields[other]
    if "charge_category" not in said:
        fields["charge_category"] = ("'Usage'",)
    months = {"billing_period_start": _MONTH, "billing_period_end": f"{_MONTH} + INTERVAL 1 MONTH"}
    left = [name for at, name in enumerate(header) if at not in found.values()]
    unread = f"; not mapped: {', '.join(left[:_SHOWN])}" if left else ""
    return Layout(
        "",
        f"governor.yaml maps {len({*found.values()})} of its {len(header)} columns{unread}",
        fields,
        tags=_tags(found, asked),
        format="a mapped file",
        derived={name: sql for name, sql in months.items() if name not in said},
    )


def _find(header: Sequence[str], asked: Asked) -> dict[str, int]:
    """Find the column of each entry of the mapping, by FOCUS name or `Tags.<key>`. Raises Refused."""
    place = _places(header)
    found: dict[str, int] = {}
    problems: list[Problem] = []
    for ours, theirs in asked.columns.items():
        if ours == f"{TAGS}.*":
            found = {f"{TAGS}.{key}": at for key, at in _starred(theirs, header)} | found
            continue
        at = found[ours] = place.get(theirs, place.get(fold(theirs), _NONE))
        if at == _NONE:
            problems.append(_lacking(theirs, ours, header, asked.file))
        elif at == _SEVERAL:
            what = f"has the column {theirs!r} more than once, and {ours} is to come from it"
            problems.append(Problem(Position(asked.file, 1, 1), "B201", what, "give each column a name of its own"))
    if problems:
        raise Refused(*problems)
    return found


def _places(header: Sequence[str]) -> dict[str, int]:
    """Find columns by their exact name, else by their folded one."""
    place: dict[str, int] = {}
    for names in (header, [fold(name) for name in header]):
        seen: dict[str, int] = {}
        for at, name in enumerate(names):
            seen[name] = _SEVERAL if name in seen else at
        place = seen | place
    return place


def _lacking(column: str, ours: str, header: Sequence[str], file: str) -> Problem:
    close = difflib.get_close_matches(fold(column), [fold(name) for name in header], 1)
    near = next((name for name in header if close and fold(name) == close[0]), "")
    more = ", …" if len(header) > _SHOWN else ""
    mend = f"did you mean {near!r}? " if near else ""
    mend += f"the file's columns are {', '.join(header[:_SHOWN])}{more}"
    return Problem(Position(file, 1, 1), "B200", f"has no column {column!r}, which {ours} is to come from", mend)


def _starred(pattern: str, header: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the tag key and the place of each column that a pattern such as `tag_*` means."""
    before, _, after = pattern.partition("*")
    for at, name in enumerate(header):
        key = name[len(before) : len(name) - len(after)]
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
            yield key, at


def _tags(found: Mapping[str, int], asked: Asked) -> str | None:
    """Write SQL for the tags as JSON text: a column of them, columns that are a tag each, or both."""
    column = raw(found[TAGS]) if TAGS in found else None
    tags = {ours.removeprefix(f"{TAGS}."): raw(at) for ours, at in found.items() if ours.startswith(f"{TAGS}.")}
    if not tags:
        return "'{}'" if column is None and asked.options.get("tags") == "none" else column
    own = tags_of_columns(tags)
    return own if column is None else f"(coalesce({column}, '') || chr(31) || {own})"
