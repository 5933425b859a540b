"""The checked form of a predicate: three frozen records, each knowing its kind of value.

What sqlglot reads becomes this once names are resolved and kinds agree; the compiler needs nothing else. A tag is the
column `tag.NAME`. `AND`, `OR` hold all their terms at once, so a long chain is not a deep tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What a value is. The words are those of the messages."""

    TEXT = "text"
    NUMBER = "a number"
    DAY = "a date"
    TIME = "a point in time"
    FLAG = "a condition"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the row that is judged."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the predicate."""

    value: str | Decimal | date | datetime | bool
    kind: Kind


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function with its arguments. The names are the keys of `operators.SQL`."""

    name: str
    arguments: tuple[Expression, ...]
    kind: Kind


Expression = Column | Literal | Call

TAG = "tag."
CALCULATIONS = ("+", "-", "*")


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and everything in it, outermost first."""
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from walk(argument)


def calculates(expression: Expression) -> bool:
    """Say whether anything in it adds, subtracts or multiplies."""
    return any(isinstance(part, Call) and part.name in CALCULATIONS for part in walk(expression))


def columns(expression: Expression) -> frozenset[str]:
    """Name the columns it reads, tags left out."""
    return frozenset(p.name for p in walk(expression) if isinstance(p, Column) and not p.name.startswith(TAG))


def tags(expression: Expression) -> frozenset[str]:
    """Name the tags it reads."""
    return frozenset(
        p.name.removeprefix(TAG) for p in walk(expression) if isinstance(p, Column) and p.name.startswith(TAG)
    )


def registers(expression: Expression) -> frozenset[str]:
    """Name the registers it looks things up in."""
    calls = (p for p in walk(expression) if isinstance(p, Call) and p.name in ("lookup", "in_register"))
    return frozenset(
        argument.value
        for call in calls
        for argument in call.arguments[:1]
        if isinstance(argument, Literal) and isinstance(argument.value, str)
    )
