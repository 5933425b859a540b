"""Values for people's eyes: amounts with separators, percentages with money, and text that can't play tricks.

Files carry exact decimals (`governor.money.text`); what is here is for reading, never for reckoning.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from governor import money

MINUS = "\N{MINUS SIGN}"
LONGEST = 2_000  # characters of one value that a page or a terminal shows; the files beside it hold all of it
CENT = Decimal("0.01")

# What each status letter means, said once in every report. The order is that of the score.
STATUS_WORDS: Mapping[str, tuple[str, str]] = {
    "T": ("Direct by tag", "the charge's own tag names the cost center"),
    "A": ("Direct by account", "the account it was billed to belongs to a cost center"),
    "R": ("Direct by rule", "a written rule or a lookup names the cost center"),
    "S": ("Shared pool", "divided among cost centers by a stated method"),
    "K": ("Commitment", "savings plans and reservations, placed by the commitment policy"),
    "C": ("Central by policy", "kept central on purpose: somebody owns it, somebody approved it, and it ends"),
    "D": ("Suspense", "parked with a default owner: not allocated"),
    "U": ("Unallocated", "nobody could be charged, and the reason is said"),
}
METHOD_WORDS: Mapping[str, str] = {
    "direct": "charged directly",
    "even": "in equal parts",
    "fixed": "by fixed percentages",
    "proportional": "in proportion to direct cost",
    "central": "kept central by its owner",
    "default": "parked with the default owner",
    "none": "charged to nobody",
}
VERDICT_WORDS: Mapping[str, str] = {
    "pass": "Passed",
    "fail": "Failed",
    "unknown": "Unknown",
    "grace": "In grace",
    "waived": "Waived",
    "not_applicable": "Not applicable",
}


def visible(value: object, longest: int = LONGEST) -> str:
    r"""Show a value as one line of text in which nothing is hidden.

    Control, bidirectional, zero-width and unassigned characters turn into their escapes, so a tag value can neither
    steer a terminal nor reorder a line; what is longer than `longest` is cut, and the cut says how long it was.

    >>> visible("a\x1b[31mb\u202e")
    'a\\x1b[31mb\\u202e'
    """
    text = "" if value is None else str(value)
    if len(text) > longest:
        text = f"{text[:longest]}\N{HORIZONTAL ELLIPSIS} ({len(text):,} characters)"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if _hidden(c) else c for c in text)


def safe(row: Mapping[str, Any]) -> dict[str, Any]:
    """Make every text of a row visible, once, before any of it is written."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in row.items()}


def _hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in {"Zl", "Zp"}


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def amount(value: Decimal, minus: str = MINUS) -> str:
    """Show money to the cent with separators; what is not zero never reads as zero.

    >>> amount(Decimal("-1234.565")), amount(Decimal("0.0004")), amount(Decimal(0))
    ('−1,234.56', '<0.01', '0.00')
    """
    cents = money.EXACT.quantize(value.copy_abs(), CENT)  # half to even
    sign = minus if value < 0 else ""
    if value and not cents:
        return f"{sign}<0.01"
    return f"{sign}{cents:,}"


def adding_up(parts: Sequence[Decimal]) -> list[Decimal]:
    """Round amounts to two decimals so that they add up to their rounded sum: largest remainders get the spare cents.

    >>> adding_up([Decimal("883.925"), Decimal("99.5000000004")])
    [Decimal('883.93'), Decimal('99.50')]
    """
    cents = [part.scaleb(2, money.EXACT) for part in parts]
    floors = [int(each.to_integral_value(ROUND_FLOOR)) for each in cents]
    spare = int(money.total(cents).to_integral_value(ROUND_HALF_EVEN)) - sum(floors)
    by_remainder = sorted(range(len(parts)), key=lambda n: (floors[n] - cents[n], n))
    for n in by_remainder[: max(0, spare)]:
        floors[n] += 1
    return [Decimal(floor).scaleb(-2) for floor in floors]


def exact(value: Decimal, minus: str = MINUS) -> str:
    """Show money to its last digit, with separators.

    >>> exact(Decimal("-1234.5678"))
    '−1,234.5678'
    """
    whole, _, fraction = money.text(value.copy_abs()).partition(".")
    return f"{minus if value < 0 else ''}{int(whole):,}.{fraction}"


def share(part: Decimal, whole: Decimal) -> str:
    """Show part of whole as a percentage; a dash of nothing."""
    text = money.percentage(part.copy_abs(), whole) if whole > 0 else None
    return percent(text if text is None or part >= 0 else MINUS + text)


def percent(text: str | None) -> str:
    """Show a stored percentage, or a dash where there is none."""
    return "\N{EN DASH}" if text is None else f"{text}\N{NO-BREAK SPACE}%"


def count(value: int) -> str:
    """Show a number of things with separators."""
    return f"{value:,}"


def day(value: date | datetime | None) -> str:
    """Show a date as ISO writes it; nothing where there is none, or where a register means `always`."""
    return "" if value is None or value.year in {1, 9999} else value.isoformat()[:10]


def words(code: str) -> str:
    """Show a code word as words.

    >>> words("unreadable_tags")
    'unreadable tags'
    """
    return code.replace("_", " ")


def method(code: str) -> str:
    """Say how money was placed."""
    return METHOD_WORDS.get(code, code)


def span(periods: Sequence[str]) -> str:
    """Say which billing periods there are.

    >>> span(["2026-01", "2026-02", "2026-03"])
    '2026-01 to 2026-03'
    """
    return " to ".join(dict.fromkeys([*periods[:1], *periods[-1:]])) or "none"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Count a noun.

    >>> plural(1, "finding"), plural(1200, "finding")
    ('1 finding', '1,200 findings')
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
