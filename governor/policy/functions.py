"""Calls of functions in a predicate: the right name, number and kind of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from governor.policy import operators, scope
from governor.policy.expression import Call, Expression, Kind, Literal
from governor.policy.scope import Unknown
from governor.policy.source import place, span
from governor.policy.syntax import MARK

if TYPE_CHECKING:
    from governor.policy.resolve import Resolver


def call(resolver: Resolver, node: exp.Expr) -> Expression | None:
    """Resolve a function call, or note why it is refused."""
    name = str(node.this).removeprefix(MARK).lower()
    arguments = node.expressions
    if name not in operators.USAGE:
        mend = scope.suggestion(name, operators.USAGE, f"functions are {', '.join(sorted(operators.USAGE))}")
        resolver.refuse(node, "P033", f'unknown function "{name}"', mend)
        return None
    wanted = operators.USAGE[name].count(",") + 1
    if len(arguments) != wanted and not (name == "coalesce" and len(arguments) > wanted):
        what = f"{name} takes {wanted} {'argument' if wanted == 1 else 'arguments'}, not {len(arguments)}"
        resolver.refuse(node, "P042", what, _usage(name))
        return None
    special = {
        "coalesce": _coalesce,
        "matches": _matches,
        "in_register": _in_register,
        "lookup": _lookup,
        "age_days": _age_days,
    }
    return special[name](resolver, arguments) if name in special else _plain(resolver, name, arguments)


def _usage(name: str) -> str:
    return f"write {operators.USAGE[name]}"


def _plain(resolver: Resolver, name: str, arguments: Sequence[exp.Expr]) -> Expression | None:
    function = operators.FUNCTIONS[name]
    values = [resolver.expression(argument) for argument in arguments]
    resolved = tuple(value for value in values if value is not None)
    if len(resolved) < len(values):
        return None
    wrong = [
        value
        for node, value, kind in zip(arguments, resolved, function.takes, strict=True)
        if not resolver.is_kind(node, value, kind, name)
    ]
    return None if wrong else Call(name, resolved, function.gives)


def _coalesce(resolver: Resolver, arguments: Sequence[exp.Expr]) -> Expression | None:
    values = resolver.alike(arguments)
    return None if values is None else Call("coalesce", values, values[0].kind)


def _matches(resolver: Resolver, arguments: Sequence[exp.Expr]) -> Expression | None:
    """Resolve matches. RE2 judges the pattern later: all patterns of the predicate at once."""
    value = _text(resolver, arguments[0], "matches")
    pattern = _constant(resolver, arguments[1], "matches", bare=False)
    if pattern is not None:
        resolver.patterns.append((place(resolver.predicate, span(arguments[1])[0]), pattern))
    if value is None or pattern is None:
        return None
    return Call("matches", (value, Literal(pattern, Kind.TEXT)), Kind.FLAG)


def _in_register(resolver: Resolver, arguments: Sequence[exp.Expr]) -> Expression | None:
    value = _text(resolver, arguments[0], "in_register")
    register = _constant(resolver, arguments[1], "in_register")
    if register is None:
        return None
    found = scope.known_register(resolver.scope, register)
    if isinstance(found, Unknown):
        return resolver.known(arguments[1], found)
    return None if value is None else Call("in_register", (Literal(register, Kind.TEXT), value), Kind.FLAG)


def _lookup(resolver: Resolver, arguments: Sequence[exp.Expr]) -> Expression | None:
    register = _constant(resolver, arguments[0], "lookup")
    key = _text(resolver, arguments[1], "lookup")
    column = _constant(resolver, arguments[2], "lookup")
    if register is None or column is None:
        return None
    found = scope.lookup(resolver.scope, register, key or Literal("", Kind.TEXT), column)
    if isinstance(found, Unknown):
        return resolver.known(arguments[0 if found.code == "P034" else 2], found)
    return found if key is not None else None


def _age_days(resolver: Resolver, arguments: Sequence[exp.Expr]) -> Expression | None:
    value = resolver.expression(arguments[0])
    if value is not None and value.kind not in (Kind.DAY, Kind.TIME):
        what = f"age_days takes a date, {resolver.shown(arguments[0])} is {value.kind}"
        resolver.refuse(arguments[0], "P036", what, "write age_days(charge_period_start), or another date column")
        return None
    return None if value is None else Call("age_days", (value,), Kind.NUMBER)


def _text(resolver: Resolver, node: exp.Expr, name: str) -> Expression | None:
    value = resolver.expression(node)
    return value if value is not None and resolver.is_kind(node, value, Kind.TEXT, name) else None


def _constant(resolver: Resolver, node: exp.Expr, name: str, *, bare: bool = True) -> str | None:
    """Read an argument that is written out: a text in quotes or, for a register or column, a bare name."""
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
    if bare and isinstance(node, exp.Column) and not node.args.get("table"):
        return node.name.removeprefix(MARK)
    resolver.refuse(node, "P042", f"{resolver.shown(node)} must be a text in single quotes here", _usage(name))
    return None
