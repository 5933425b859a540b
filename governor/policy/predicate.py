"""Predicates: from text that anyone may have written to a condition that is safe to run.

    text -> syntax (limits, words, sqlglot) -> resolve (names, kinds) -> patterns (RE2) -> Condition -> compile (SQL)

A policy may come from an untrusted pull request. So nothing passes that isn't listed: about twenty operators, the
functions of `operators.USAGE`, the names of the scope. docs/predicates.md is the author's reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from governor.model import Position, Predicate, Problem, Refused
from governor.policy import patterns
from governor.policy.expression import Call, Expression, Kind, columns, registers, tags, walk
from governor.policy.resolve import Resolver
from governor.policy.scope import Scope, accounts_scope, charges_scope
from governor.policy.syntax import deep_stack, read

__all__ = ["Condition", "Scope", "accounts_scope", "charges_scope", "parse", "parse_value"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked predicate, and what it reads.

    `columns` are columns of the charge (custom ones and the key behind `account.` included, tags not), `registers` are
    what it looks things up in. Conditions with equal `expression` ask the same.
    """

    expression: Expression
    columns: frozenset[str]
    tags: frozenset[str]
    registers: frozenset[str]
    position: Position
    text: str

    @property
    def judged(self) -> bool:
        """Whether the date of judgement decides (age_days): money must not depend on it."""
        return any(isinstance(part, Call) and part.name == "age_days" for part in walk(self.expression))


def parse(predicate: Predicate, scope: Scope) -> Condition:
    """Check a condition (`where`, `assert`). Raises Refused with every problem found."""
    return _checked(predicate, scope, Kind.FLAG)


def parse_value(predicate: Predicate, scope: Scope) -> Condition:
    """Check a text value (`to`), such as `tag.cost_center`. Raises Refused with every problem found."""
    return _checked(predicate, scope, Kind.TEXT)


def condition_of(expression: Expression, position: Position, text: str) -> Condition:
    """Make a condition of an expression, with what it reads."""
    return Condition(expression, columns(expression), tags(expression), registers(expression), position, text)


def _checked(predicate: Predicate, scope: Scope, kind: Kind) -> Condition:
    with deep_stack():
        expression, problems = _resolved(predicate, scope, kind)
    if expression is None or problems:
        raise Refused(*sorted(set(problems)))
    return condition_of(expression, predicate.position, predicate.text)


def _resolved(predicate: Predicate, scope: Scope, kind: Kind) -> tuple[Expression | None, list[Problem]]:
    tree, problems = read(predicate)
    if tree is None:
        return None, problems
    resolver = Resolver(predicate, scope)
    expression = resolver.condition(tree) if kind is Kind.FLAG else resolver.expression(tree)
    problems = resolver.problems
    verdicts = patterns.check([pattern for _, pattern in resolver.patterns])
    for (position, _), wrong in zip(resolver.patterns, verdicts, strict=True):
        if wrong:
            problems.append(Problem(position, "P041", *wrong))
    if expression is not None and expression.kind is not kind:
        mend = "write tag.NAME, account.COLUMN, lookup(...) or a cost center in single quotes"
        what = f"{predicate.text.strip()} is {expression.kind}, where a text is needed"
        problems.append(Problem(predicate.position, "P047", what, mend))
    return expression, problems
