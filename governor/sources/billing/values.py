"""Read the odd texts of a bill: what the engine's fast and strict reading didn't take.

Each distinct text comes here once. A value is read exactly or not at all; nothing is guessed. `damaged` marks what only
a spreadsheet writes: the file was opened and saved there, so its other values can't be trusted either. `rounded` marks
an amount that was finer than money is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from governor import money
from governor.money import DIGITS, SCALE

ACCOUNT_DAMAGE = r"\d(\.\d+)?E\+\d{2,}"  # 1.23457E+12: the other digits of the account are gone
DOUBLE_DIGITS = 17  # a double's shortest decimal never has more
_DATE_DAMAGE = re.compile(r"\d{1,4}[/.]\d{1,2}[/.]\d{2,4}([ T].*)?")
_MONEY_DAMAGE = re.compile(r"[^\w+.\-]*-?[$€£¥₹]|.*\d\s?[$€£¥₹]\s*$|.*\d,\d|\(.*\d.*\)$|.*\d[\s'\u00a0\u202f]\d")
_CURRENCY = "$€£¥₹ \u00a0\u202f\t"
_US = re.compile(r"\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?|\d+(\.\d*)?|\.\d+")
_EU = re.compile(r"\d{1,3}([.\u00a0\u202f ]\d{3})+(,\d*)?|\d+(,\d*)?|,\d+")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text turned out to be: a value, or a code and the reason why there is none."""

    value: Decimal | datetime | str | None = None
    code: str = ""
    reason: str = ""
    damaged: bool = False
    rounded: bool = False


def read_money(text: str, numbers: str | None = None) -> Reading:
    """Read an amount exactly: plain or scientific; `us` and `eu` notations only where the configuration names them.

    >>> read_money("1.5E-3").value, read_money("$1,234.50 ", "us").value, read_money("1.234,5", "eu").value
    (Decimal('0.0015'), Decimal('1234.50'), Decimal('1234.5'))
    """
    plain = _plain(text, numbers) if numbers else text.strip()
    if plain is not None:
        try:
            return Reading(money.parse(plain))
        except ValueError as error:
            if "digits" in str(error):
                fits = f"more than {DIGITS - SCALE} digits before or {SCALE} after the decimal point"
                return Reading(code="B041", reason=f"an amount of {fits} can't be kept exactly")
    if not numbers and _MONEY_DAMAGE.match(text.strip()):
        return Reading(code="B022", reason="the amount is formatted by a spreadsheet", damaged=True)
    return Reading(code="B040", reason="isn't an amount" + (f" in `{numbers}` notation" if numbers else ""))


def read_double(text: str) -> Reading:
    """Read the shortest decimal of a double, rounded half to even where it needs more than 24 fractional digits."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite():
        return Reading(code="B040", reason="isn't an amount")
    if value and value.adjusted() >= DIGITS - SCALE:
        return Reading(code="B041", reason=f"an amount of more than {DIGITS - SCALE} digits before the decimal point")
    rounded = value.quantize(Decimal(1).scaleb(-SCALE), ROUND_HALF_EVEN, money.EXACT)
    return Reading(money.EXACT.plus(rounded))


def read_printed_double(text: str, numbers: str | None = None) -> Reading:
    """Read an amount that its source keeps as a double: exactly, or rounded where it is finer than money is kept.

    >>> read_printed_double("5.5511151231257827e-17")
    Reading(value=Decimal('5.5511151E-17'), code='', reason='', damaged=False, rounded=True)
    """
    reading = read_money(text, numbers)
    if reading.code != "B041" or sum(c.isdigit() for c in re.split("[eE]", text)[0].lstrip("+-0.")) > DOUBLE_DIGITS:
        return reading
    return replace(read_double(text.strip()), rounded=True)


def read_time(text: str, pattern: str | None = None) -> Reading:
    """Read a moment that isn't ISO 8601, by the configured strptime pattern; without one nothing is guessed.

    >>> read_time("5/1/25", "%m/%d/%y").value
    datetime.datetime(2025, 5, 1, 0, 0)
    """
    if pattern:
        try:
            value = datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - a bill's moments are UTC, kept without zone
            return Reading(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value)
        except ValueError:
            return Reading(code="B042", reason=f"isn't a date of the pattern {pattern}")
    if _DATE_DAMAGE.fullmatch(text.strip()):
        return Reading(code="B021", reason="the date is formatted by a spreadsheet", damaged=True)
    return Reading(code="B042", reason="isn't a moment as ISO 8601 writes it")


def _plain(text: str, numbers: str) -> str | None:
    """Turn us or eu notation into a plain number; None where it is neither."""
    body, sign = text.strip(_CURRENCY), ""
    if body.startswith("(") and body.endswith(")"):
        body, sign = body[1:-1].strip(_CURRENCY), "-"
    if not sign and body[:1] in "+-" and body[:1]:
        body, sign = body[1:].strip(_CURRENCY), body[0]
    pattern, group, point = (_US, ",", ".") if numbers == "us" else (_EU, ".\u00a0\u202f ", ",")
    if not pattern.fullmatch(body):
        # scientific notation is nobody's grouping: it reads the same in both where it has no separator
        return text.strip() if numbers == "us" else None
    return sign + body.translate({ord(c): None for c in group}).replace(point, ".")
