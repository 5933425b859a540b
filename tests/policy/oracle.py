"""What a predicate means, in plain Python: the oracle that compiled SQL is compared with.

A predicate is a tree of tuples, `("=", ("column", "service_name"), ("text", "S3"))`. `write` spells it as an author would,
with no more parentheses than needed; `evaluate` works it out on one row by three-valued logic: None is NULL, unknown.
Nothing here is shared with governor.policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

Node = tuple[Any, ...]
Row = Mapping[str, Any]

PRECEDENCE = {"or": 1, "and": 2, "not": 3, "+": 5, "-": 5, "*": 6, "negative": 7}
COMPARISON, VALUE, ATOM = 4, 5, 8
FUNCTIONS = (
    "lower",
    "upper",
    "trim",
    "length",
    "abs",
    "coalesce",
    "starts_with",
    "ends_with",
    "contains",
    "age_days",
    "is_product",
)


BILLABLE = (
    "and",
    ("=", ("column", "charge_category"), ("text", "Usage")),
    ("<>", ("coalesce", ("column", "commitment_discount_status"), ("text", "")), ("text", "Unused")),
)


@dataclass(frozen=True)
class World:
    """What a row is judged against: registers by name and key, and the date of judgement."""

    registers: Mapping[str, Mapping[str, Row]]
    judged_on: date


def level(node: Node) -> int:
    if node[0] in PRECEDENCE:
        return PRECEDENCE[node[0]]
    if node[0] in {"=", "<>", "<", "<=", ">", ">=", "in", "between", "like", "is null"}:
        return COMPARISON
    return PRECEDENCE["negative"] if node[0] == "number" and node[1] < 0 else ATOM


def write(node: Node, above: int = 0) -> str:
    """Spell a tree; `above` is the level from which it needs no parentheses."""
    text = _spell(node)
    return f"({text})" if level(node) < above else text


def _spell(node: Node) -> str:
    name, *rest = node
    match name:
        case "column":
            return rest[0]
        case "text":
            return "'" + rest[0].replace("'", "''") + "'"
        case "number":
            return format(rest[0], "f")
        case "flag":
            return str(rest[0]).upper()
        case "day":
            return f"DATE '{rest[0].isoformat()}'"
        case "moment":
            return f"'{rest[0].isoformat(' ')}'"
        case "and" | "or":
            return f" {name.upper()} ".join(write(part, level(node) + 1) for part in rest)
        case "not":
            return f"NOT {write(rest[0], level(node))}"
        case "negative":
            return f"- {write(rest[0], ATOM)}"
        case "+" | "-" | "*":
            return f"{write(rest[0], level(node))} {name} {write(rest[1], level(node) + 1)}"
        case "in":
            return f"{write(rest[0], VALUE)} IN ({', '.join(map(write, rest[1:]))})"
        case "between":
            return f"{write(rest[0], VALUE)} BETWEEN {write(rest[1], VALUE)} AND {write(rest[2], VALUE)}"
        case "is null":
            return f"{write(rest[0], VALUE)} IS NULL"
        case "like":
            return f"{write(rest[0], VALUE)} LIKE {write(rest[1], VALUE)}"
        case "matches" | "in_register":
            return f"{name}({write(rest[0])}, {write(('text', rest[1]))})"
        case "lookup":
            return f"lookup({rest[0]}, {write(rest[1])}, {write(('text', rest[2]))})"
        case _ if name in FUNCTIONS:
            return f"{name}({', '.join(map(write, rest))})"
    return f"{write(rest[0], VALUE)} {name} {write(rest[1], VALUE)}"


def evaluate(node: Node, row: Row, world: World, *, calculated: bool = False) -> Any:
    """Work a tree out on a row: True, False or None for a condition, else the value or None.

    A comparison that adds, subtracts or multiplies sees all its amounts with 12 decimals.
    """
    name, *rest = node
    match name:
        case "text" | "flag" | "day" | "moment" | "number":
            return rest[0]
        case "column":
            return _rounded(_column(rest[0], row, world), calculated)
        case "and" | "or":
            parts = {evaluate(part, row, world) for part in rest}
            decisive = name == "or"
            return decisive if decisive in parts else None if None in parts else not decisive
        case "is null":
            return evaluate(rest[0], row, world, calculated=calculates(rest[0])) is None
        case "coalesce":
            values = [evaluate(part, row, world, calculated=calculated) for part in rest]
            return next((value for value in values if value is not None), None)
        case "lookup":
            found = world.registers[rest[0]].get(evaluate(rest[1], row, world))
            return found[rest[2]] if found else None
        case "in_register":
            key = evaluate(rest[0], row, world)
            return None if key is None else key in world.registers[rest[1]]
        case "matches":
            value = evaluate(rest[0], row, world)
            return None if value is None else re.fullmatch(rest[1], value) is not None
    if name in {"length", "age_days"}:
        inner = evaluate(rest[0], row, world)
        return None if inner is None else _measure(name, inner, world)
    if name in {"=", "<>", "<", "<=", ">", ">=", "in", "between"}:
        calculated = any(map(calculates, rest))
    values = [evaluate(part, row, world, calculated=calculated) for part in rest]
    if name == "between":
        low, high = _strict("<=", values[1], values[0]), _strict("<=", values[0], values[2])
        return False if False in {low, high} else None if None in {low, high} else True
    return _strict(name, *values)


def calculates(node: Node) -> bool:
    return isinstance(node, tuple) and (node[0] in {"+", "-", "*"} or any(map(calculates, node[1:])))


def _column(name: str, row: Row, world: World) -> Any:
    if name.startswith("account."):
        found = world.registers["accounts"].get(row["sub_account_id"])
        return found[name.removeprefix("account.")] if found else None
    if name == "billable":
        return evaluate(BILLABLE, row, world)
    return row[name]


def _measure(name: str, value: Any, world: World) -> Decimal:
    if name == "length":
        return Decimal(len(value))
    return Decimal((world.judged_on - (value.date() if isinstance(value, datetime) else value)).days)


def _rounded(value: Any, calculated: bool) -> Any:
    if not (calculated and isinstance(value, Decimal)):
        return value
    with localcontext(Context(prec=400)):
        return value.quantize(Decimal("1e-12"), ROUND_HALF_UP)


def _strict(name: str, *values: Any) -> Any:
    """Everything that is NULL as soon as one argument is."""
    if None in values:
        return None
    dated = {type(value) for value in values} == {date, datetime}
    one, *others = (datetime.combine(v, time()) if dated and type(v) is date else v for v in values)
    other = others[0] if others else None
    with localcontext(Context(prec=400)):
        match name:
            case "=" | "<>":
                return (one == other) is (name == "=")
            case "<" | "<=":
                return one < other or (name == "<=" and one == other)
            case ">" | ">=":
                return one > other or (name == ">=" and one == other)
            case "in":
                return one in others
            case "not":
                return not one
            case "like":
                parts = {"%": ".*", "_": "."}
                return re.fullmatch("".join(parts.get(c, re.escape(c)) for c in other), one, re.DOTALL) is not None
            case "+":
                return one + other
            case "-":
                return one - other
            case "*":
                return one * other
            case "negative":
                return -one
            case "abs":
                return abs(one)
            case "lower" | "upper":
                return getattr(one, name)()
            case "trim":
                return one.strip(" ")
            case "starts_with":
                return one.startswith(other)
            case "ends_with":
                return one.endswith(other)
            case "contains":
                return other in one
            case "is_product":
                return abs(one - other * others[1]) <= abs(one) / 1000 + Decimal("1e-8")
    raise ValueError(name)
