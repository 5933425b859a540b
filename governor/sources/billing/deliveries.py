"""Decide which files of a folder are its bill: what its manifests list, the newest delivery of each report and period.

Pure: it gets the manifests and the paths that were found, and answers with some of these paths. Whatever a manifest and
the folder don't agree on is a problem with a name; nothing is read in part, twice, or before it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from governor.model import Position, Problem
from governor.sources.billing.manifests import Manifest, Parts, find_period

NOT_A_BILL = "cost_and_usage_data_status"  # AWS's folder beside a Parquet report: says how far its delivery is

_SHOWN = 5  # names in one message


@dataclass(frozen=True, slots=True)
class Promise:
    """What a manifest says of a file that it lists; None and empty: nothing."""

    manifest: str
    bytes: int | None
    rows: int | None
    columns: Parts
    dataset: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Which files are read, each with what is promised of it, if anything; which are left aside, and why, in words.

    `current` are the manifests that decide, `superseded` those of older deliveries.
    """

    read: Mapping[Parts, Promise | None]
    aside: frozenset[Parts]
    current: tuple[Manifest, ...]
    superseded: tuple[Manifest, ...]
    why: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The manifests that tell of one delivery, and where the files that they list were found.

    `again` are files that a further manifest of the same delivery has found elsewhere: a copy of it.
    """

    manifests: tuple[Manifest, ...]
    found: Mapping[Parts, Parts]  # key -> path
    again: frozenset[Parts]

    @property
    def first(self) -> Manifest:
        return self.manifests[0]

    @property
    def name(self) -> str:
        return f"delivery {self.first.run[:80]}" if self.first.run else f"the delivery of {self.first.name}"


def settle(manifests: Sequence[Manifest], files: Collection[Parts], show: Callable[[Parts], str]) -> Settled:
    """Decide about the data files of one folder, whose name is the first part of every path. `show` names a path.

    Without a manifest every file is read. With manifests, what lies where one of their reports is delivered must be
    listed by one of them; what lies elsewhere is read as if there were none.
    """
    current: list[_Delivery] = []
    superseded: list[_Delivery] = []
    problems: list[Problem] = []
    known = frozenset(files)
    for deliveries in _by_period(manifests, known):
        newest = _newest(deliveries)
        if isinstance(newest, Problem):
            problems.append(newest)
        current += [one for one in deliveries if one is newest]
        superseded += [one for one in deliveries if one is not newest]
    listed: dict[Parts, Promise | None] = {}
    for delivery in current:
        problems += _take(delivery, listed)
    problems += _overlaps(current)
    aside = frozenset(path for one in superseded for path in (*one.found.values(), *one.again)).difference(listed)
    scope = {root for one in (*current, *superseded) for root in _roots(one)}
    inside = {path for path in known if any(path[: len(root)] == root for root in scope)}
    status = {path for path in inside if NOT_A_BILL in path[:-1]} - listed.keys()
    copied = frozenset[Parts]().union(*(one.again for one in current))
    problems += _unlisted(inside - status - aside - copied - listed.keys(), {*listed, *aside}, show)
    return Settled(
        read=listed | dict.fromkeys(known - inside),
        aside=aside | status,
        current=tuple(m for one in current for m in one.manifests),
        superseded=tuple(m for one in superseded for m in one.manifests),
        why=tuple(_why(current, superseded)),
        problems=tuple(problems),
    )


def _by_period(manifests: Sequence[Manifest], files: Collection[Parts]) -> Iterator[list[_Delivery]]:
    """Gather the deliveries of each report and period. The manifest nearest to the top is the first of a delivery."""
    named: dict[str, list[Parts]] = {}
    for path in sorted(files):
        named.setdefault(path[-1], []).append(path)
    groups: dict[tuple[str, Parts, tuple[str, str]], dict[str, list[Manifest]]] = {}
    for one in sorted(manifests, key=lambda one: (len(one.folder), one.name)):
        groups.setdefault((one.kind, one.report, one.period), {}).setdefault(one.run, []).append(one)
    for _, runs in sorted(groups.items()):
        yield [_find(told, named) for told in runs.values()]


def _find(told: Sequence[Manifest], named: Mapping[str, Sequence[Parts]]) -> _Delivery:
    """Find the files that the manifests of one delivery list, among those of each name."""
    found: dict[Parts, Parts] = {}
    again: set[Parts] = set()
    for one in told:
        for listed in one.files:
            key, folder = listed.key, one.folder
            fitting = [path for path in named.get(key[-1], ()) if _fits(path, key, folder)]
            if fitting:
                path = max(fitting, key=lambda path: (_same(path, folder), _same(path[::-1], key[::-1])))
                again |= {path} - {found.setdefault(key, path)}
    return _Delivery(tuple(told), found, frozenset(again))


def _fits(path: Parts, key: Parts, folder: Parts) -> bool:
    """Tell whether a path is the file of a key, for a manifest in `folder`: it ends as the key does.

    What comes before must lead to the manifest, from whatever prefix it was downloaded. Of the key's folders from the
    period's downward none may be left out in between: below `20260901-20261001`, a delivery's file in `a1b2` isn't the
    file of the same name beside `a1b2`. All may, where the file lies below its manifest.
    """
    period = find_period(key[:-1])
    first = period[0] if period else 0
    same = _same(path[::-1], key[::-1])
    rest = path[: len(path) - same]
    near = not rest or len(key) - same <= first or path[: len(folder)] == folder
    return near and folder[: len(rest)] == rest and rest[-1:] not in {(part,) for part in key[first : len(key) - same]}


def _same(one: Parts, other: Parts) -> int:
    """Count the parts with which both begin."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _newest(deliveries: Sequence[_Delivery]) -> _Delivery | Problem:
    """Choose the delivery in force: that of the manifest above all others, or the last that was made."""
    for one in deliveries:
        for other in one.manifests[1:]:
            if other.files != one.first.files or other.columns != one.first.columns:
                what = f"tells of the same {one.name} as {one.first.name}, and lists other files"
                return Problem(Position(other.name), "B256", what, "remove the one that is wrong")
    if len(deliveries) == 1:
        return deliveries[0]
    if deliveries[0].first.period[0]:
        heads = [one for one in deliveries if all(other is one or _leads(one.first, other) for other in deliveries)]
        made = [(one.first.created, at) for at, one in enumerate(deliveries) if one.first.created]
        made.sort(reverse=True)
        if heads:
            return heads[0]
        if len(made) == len(deliveries) and made[0][0] > made[1][0]:
            return deliveries[made[0][1]]
        why = "nothing tells which is the newest"
    else:
        why = "nothing tells their periods"
    names = ", ".join(one.first.name for one in deliveries[1 : _SHOWN + 1])
    what = f"and {names} are deliveries of one report, {deliveries[0].first.shown}: {why}"
    return Problem(Position(deliveries[0].first.name), "B256", what, "keep the newest and remove the others")


def _leads(one: Manifest, other: _Delivery) -> bool:
    size = len(one.folder)
    return one.leads and all(len(m.folder) > size and m.folder[:size] == one.folder for m in other.manifests)


def _take(delivery: _Delivery, listed: dict[Parts, Promise | None]) -> Iterator[Problem]:
    """Add a delivery's files to what is read. Yields a problem where one is missing or is another delivery's too."""
    one = delivery.first
    missing = ["/".join(each.key) for each in one.files if each.key not in delivery.found]
    if missing:
        what = f"lists files that aren't here ({len(missing):,} of {len(one.files):,}): {_names(missing)}"
        yield Problem(Position(one.name), "B252", what, "deliver them again, at the place that the manifest gives")
    if copied := delivery.again.difference(listed):
        what = f"and {_names([m.name for m in delivery.manifests[1:]])} tell of one delivery, and each has its files"
        yield Problem(Position(one.name), "B256", what, f"remove one copy: {len(copied):,} files are here twice")
    for each in one.files:
        path = delivery.found.get(each.key)
        if path and (first := listed.get(path)):
            what = f"lists {'/'.join(each.key)}, and so does {first.manifest}: its charges would count twice"
            yield Problem(Position(one.name), "B256", what, "remove the manifest that is wrong")
        elif path:
            listed[path] = Promise(one.name, each.bytes, each.rows, one.columns, one.dataset)


def _overlaps(current: Sequence[_Delivery]) -> Iterator[Problem]:
    """Find deliveries of one report whose periods have a day in common: it would count twice."""
    dated = sorted((one.first.kind, one.first.report, one.first.period, one.first.name) for one in current)
    for (kind, report, period, name), (kind_, report_, later, name_) in pairwise(dated):
        if (kind, report) == (kind_, report_) and later[0] <= period[1]:
            what = f"tells of {later[0]} to {later[1]}, and {name} of {period[0]} to {period[1]}: some days count twice"
            yield Problem(Position(name_), "B258", what, "keep one delivery for each day")


def _roots(delivery: _Delivery) -> Iterator[Parts]:
    """Name the folders in which a report is delivered: those above its periods, as far as they are here."""
    for one in delivery.manifests:
        period = find_period(one.folder)
        yield one.folder[: period[0]] if period else one.folder
    for key, path in delivery.found.items():
        period = find_period(key[:-1])
        own = len(key) - period[0] if period else 1  # the period's folder and what lies below it
        yield path[: len(path) - min(own, _same(path[::-1], key[::-1]))]


def _unlisted(paths: Collection[Parts], listed: Collection[Parts], show: Callable[[Parts], str]) -> Iterator[Problem]:
    """Refuse data that no manifest lists, once for each folder: files beside listed ones, or a folder without any."""
    folders = {path[:-1] for path in listed}
    strays: dict[Parts, list[Parts]] = {}
    for path in sorted(paths):
        strays.setdefault(path[:-1], []).append(path)
    for folder, found in strays.items():
        names = _names([path[-1] for path in found])
        if folder in folders:
            what = f"holds {names}, which no manifest lists, beside files that one lists"
            yield Problem(Position(show(folder)), "B253", what, "remove it, or deliver the manifest that lists it")
        else:
            what = f"has data ({names}) and no manifest that lists it: the delivery isn't complete yet"
            mend = "run again when its manifest is there, or move the data elsewhere"
            yield Problem(Position(show(folder)), "B255", what, mend)


def _why(current: Sequence[_Delivery], superseded: Sequence[_Delivery]) -> Iterator[str]:
    for deliveries, says in ((current, "manifests decide what is read"), (superseded, "superseded, left aside")):
        told = [f"{one.first.name} ({one.first.shown}: {len(one.found):,} of its files here)" for one in deliveries]
        if told:
            yield f"{says}: {_names(told)}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
