"""What must be true between the rows of a register: one row a key and day, a hierarchy without holes or circles."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from typing import Any

from governor.model import Position, Problem

Row = Mapping[str, Any]
Span = tuple[date, date]  # from and to, both included
History = dict[str, list[tuple[date, date, str | None, int]]]  # from, to, parent, line: sorted, and never overlapping


def span(row: Row) -> Span:
    """Say from when to when a row is in force; open ends are the first and the last day there are."""
    return row.get("valid_from") or date.min, row.get("valid_to") or date.max


def in_force(row: Row, day: date) -> bool:
    """Say whether a row is in force on a day."""
    first, last = span(row)
    return first <= day <= last


def spans(rows: Iterable[Row], key: str) -> dict[str, list[Span]]:
    """Map each key to the times it is in force, in order."""
    found: dict[str, list[Span]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(span(row))
    return {name: sorted(times) for name, times in found.items()}


def uncovered(times: Sequence[Span], start: date, end: date) -> str:
    """Say in words where a time isn't covered by others (disjoint and in order); nothing where all of it is.

    >>> uncovered([(date(2026, 1, 1), date(2026, 3, 31))], date(2026, 1, 1), date(2026, 12, 31))
    'from 2026-04-01'
    """
    day = start
    for first, last in times:
        if first > day:
            return f"before {first}" if day == start else f"from {day} to {first - timedelta(days=1)}"
        if last >= end:
            return ""
        if last >= day:
            day = last + timedelta(days=1)
    return f"from {day}"


def overlapping(rows: Sequence[Row], lines: Sequence[int], unique: Sequence[str], shown: str) -> Iterator[Problem]:
    """Find rows with equal keys that are in force on the same day. The rows are sorted by key and valid_from."""
    last_key: tuple[Any, ...] | None = None
    last_day, last_line = date.min, 0
    for row, line in zip(rows, lines, strict=True):
        key, (start, end) = tuple(row[name] for name in unique), span(row)
        if key == last_key and start <= last_day:
            named = ", ".join(f'{name} "{value}"' for name, value in zip(unique, key, strict=True))
            first, second = sorted((line, last_line))
            mend = "keep one row, or end one with valid_to before the other begins with valid_from"
            yield Problem(Position(shown, second, 1), "R022", f"{named} is already in force by line {first}", mend)
        if key != last_key or end > last_day:
            last_key, last_day, last_line = key, end, line


def hierarchy(rows: Sequence[Row], lines: Sequence[int], shown: str) -> Iterator[Problem]:
    """Find cost centers whose parent isn't there for all of their time, and circles of parents."""
    known = spans(rows, "id")
    for row, line in zip(rows, lines, strict=True):
        place, child, parent = Position(shown, line, 1), row["id"], row["parent"]
        if parent is None:
            continue
        if parent not in known:
            what = f'"{child}" has the parent "{parent}", which is not registered'
            yield Problem(place, "R023", what, "register it, or leave the parent empty")
        elif when := uncovered(known[parent], *span(row)):
            what = f'"{child}" has the parent "{parent}", which is not in force {when}'
            yield Problem(place, "R024", what, f"end this row there with valid_to, or extend {parent}")
    yield from _circles(rows, lines, shown)


def _circles(rows: Sequence[Row], lines: Sequence[int], shown: str) -> Iterator[Problem]:
    """Find the circles of each day, and name each once.

    Parents change with time, so each day has its own tree; but what has no circle over all time never has one, and a
    circle begins on the day on which its last row does: so each row is followed on its own first day only.
    """
    ever: dict[str, set[str]] = {}
    history: History = {}
    for row, line in zip(rows, lines, strict=True):  # sorted by id and day
        ever.setdefault(row["id"], set()).update([row["parent"]] if row["parent"] else [])
        history.setdefault(row["id"], []).append((*span(row), row["parent"], line))
    if not _has_circle(ever):
        return

    named: set[tuple[str, ...]] = set()
    starts = sorted((times[0], center) for center, found in history.items() for times in found)
    for day, group in groupby(starts, key=lambda start: start[0]):
        parent = partial(_parent, history, day)
        for circle in _rings([center for _, center in group], parent):
            if circle not in named:
                named.add(circle)
                what = f"the parents run in a circle: {' > '.join((*circle, circle[0]))}"
                what += f" (on {day})" if day > date.min else ""
                place = Position(shown, parent(circle[0])[1], 1)
                yield Problem(place, "R025", what, "give one of them another parent, or none")


def _parent(history: History, day: date, center: str) -> tuple[str | None, int]:
    """Find a cost center's parent on a day, and the line that says so."""
    times = history.get(center, [])
    number = bisect_right(times, day, key=lambda time: time[0]) - 1
    return times[number][2:] if number >= 0 and times[number][1] >= day else (None, 0)


def _has_circle(graph: Mapping[str, set[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False


def _rings(starts: Iterable[str], parent: Callable[[str], tuple[str | None, int]]) -> Iterator[tuple[str, ...]]:
    """Follow parents from each start, and yield each circle met, beginning with its smallest id."""
    done: set[str] = set()
    for start in starts:
        path: dict[str, int] = {}
        at: str | None = start
        while at is not None and at not in done and at not in path:
            path[at] = len(path)
            at, _ = parent(at)
        if at in path:
            ring = list(path)[path[at] :]
            smallest = ring.index(min(ring))
            yield tuple(ring[smallest:] + ring[:smallest])
        done.update(path)
