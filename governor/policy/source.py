"""Where the parts of a predicate stand in its file, and how they were written there: for messages."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime

from sqlglot import exp

from governor.model import Position, Predicate

_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)Z?)?")


def place(predicate: Predicate, offset: int) -> Position:
    """Say where in the file a character of the predicate stands: exactly in a scalar of one line, else its start."""
    if "\n" in predicate.text or not predicate.position.line:
        return predicate.position
    return replace(predicate.position, column=predicate.position.column + offset)


def span(node: exp.Expr) -> tuple[int, int]:
    """Find where a node's text starts and ends. sqlglot keeps the places of names and literals only."""
    placed = [part.meta for part in node.walk() if "start" in part.meta]
    return min((m["start"] for m in placed), default=0), max((m["end"] for m in placed), default=-1) + 1


def written(predicate: Predicate, node: exp.Expr) -> str:
    """Give a node's text as it was written."""
    start, end = span(node)
    text = predicate.text[start:end]
    return text + ")" * (text.count("(") - text.count(")")) or "this"


def moment(text: str) -> date | datetime | None:
    """Read a date or a point in time (UTC), None for anything else. A date has no time: it is not its midnight.

    >>> moment("2026-01-31"), moment("2026-01-31T12:00Z"), moment("2026-02-30")
    (datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12, 0), None)
    """
    match = _MOMENT.fullmatch(text)
    try:
        if match and match[2]:
            return datetime.fromisoformat(f"{match[1]} {match[2]}")
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None  # the 30th of February
