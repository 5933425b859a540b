"""From a checked predicate to SQL, per dialect. What is emitted here is all the SQL a policy can ever cause."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from governor.model import Problem, Refused
from governor.policy import operators
from governor.policy.expression import Call, Column, Expression, Kind, Literal, calculates, columns, registers, tags
from governor.policy.predicate import Condition, condition_of

_PATTERNS = ("like", "matches")


@dataclass(frozen=True, slots=True)
class Join:
    """A register row that a condition reads: `LEFT JOIN register alias ON alias.<its key> = key`, one row at most."""

    alias: str
    register: str
    key: str


class Compiler:
    """Compiles conditions over one table; equal look-ups share one join, however many conditions ask.

    `row` is the alias of the judged table: without it columns are not qualified, and a register's column of the same
    name makes them ambiguous. `judged_on` is the SQL of the date that age_days counts to.
    """

    def __init__(self, dialect: str = "duckdb", *, row: str = "", judged_on: str = '"judged_on"') -> None:
        if dialect not in operators.DIALECTS:
            raise ValueError(f"no SQL for {dialect!r}: dialects are {', '.join(operators.DIALECTS)}")
        self.dialect = dialect
        self._row = f"{row}." if row else ""
        self._judged_on = judged_on
        self._joins: dict[tuple[str, str], Join] = {}

    @property
    def joins(self) -> tuple[Join, ...]:
        """The joins that the compiled conditions need, in an order in which each key reads earlier aliases only."""
        return tuple(self._joins.values())

    def sql(self, condition: Condition) -> str:
        """Write a condition, or the value of a `to:`, as SQL. Its joins are added to `joins`."""
        return self._sql(condition.expression, calculated=False)

    def found(self, register: str, key: str) -> str:
        """Ask whether a register has a key, given as SQL. Never NULL: an unknown key is not found."""
        return f"({self._join(register, key)}.{self._name('valid_on')} IS NOT NULL)"

    def _join(self, register: str, key: str) -> str:
        joins = self._joins
        return joins.setdefault((register, key), Join(f"r{len(joins) + 1}", register, key)).alias

    def _name(self, name: str) -> str:
        return operators.identifier(name, self.dialect)

    def _sql(self, expression: Expression, *, calculated: bool) -> str:
        """Write an expression. In a comparison that calculates, all amounts are `calculable`: of 12 decimals."""
        if isinstance(expression, Literal):
            return operators.literal(expression, self.dialect)
        if isinstance(expression, Column):
            sql = self._row + self._name(expression.name)
            return self._calculable(sql) if calculated and expression.kind is Kind.NUMBER else sql
        inside = calculates(expression) if expression.kind is Kind.FLAG else calculated
        sql = self._call(expression, calculated=inside)
        measured = expression.kind is Kind.NUMBER and expression.name in ("length", "age_days", "lookup")
        return self._calculable(sql) if measured and calculated else sql

    def _calculable(self, sql: str) -> str:
        return operators.template("calculable", self.dialect).format(sql)

    def _call(self, call: Call, *, calculated: bool) -> str:
        arguments = call.arguments
        if call.name in ("lookup", "in_register"):
            return self._looked_up(call)
        if call.name in _PATTERNS and isinstance(arguments[1], Literal):
            wanted = operators.pattern(str(arguments[1].value), call.name, self.dialect)
            arguments = (arguments[0], Literal(wanted, Kind.TEXT))
        parts = [self._sql(argument, calculated=calculated) for argument in arguments]
        if call.name in ("and", "or"):
            return f"({f' {call.name.upper()} '.join(parts)})"
        return operators.template(call.name, self.dialect).format(
            *parts, all=", ".join(parts), rest=", ".join(parts[1:]), judged_on=self._judged_on
        )

    def _looked_up(self, call: Call) -> str:
        register, key, *column = call.arguments
        assert isinstance(register, Literal)  # noqa: S101 - `resolve` made it so
        sql = self._sql(key, calculated=False)
        if call.name == "in_register":
            found = self.found(str(register.value), sql)
            return operators.template("in_register", self.dialect).format(sql, found)
        assert isinstance(column[0], Literal)  # noqa: S101
        return f"{self._join(str(register.value), sql)}.{self._name(str(column[0].value))}"


def violated(sql: str) -> str:
    """Ask whether an assertion fails; NULL fails too. Never IS NOT TRUE, which some dialects get as plain NOT.

    >>> violated("(a > 1)")
    'NOT COALESCE((a > 1), FALSE)'
    """
    return f"NOT COALESCE({sql}, FALSE)"


def lift(condition: Condition, row_columns: Collection[str]) -> tuple[Condition, Mapping[str, Condition]]:
    """Take what a condition asks of single rows out of it, so that the rest can be asked of cells (docs/adr/0001).

    Each smallest condition that reads a row column becomes a boolean column `row_<hash>`; returns the condition with
    those in place, and what each of them asks. A NULL outcome stays NULL. Raises Refused where a row column meets a tag
    or register within one comparison, or is itself the value of a `to:`.
    """
    lifter = _Lifter(condition, frozenset(row_columns))
    expression = lifter.lifted(condition.expression)
    if lifter.problems:
        raise Refused(*sorted(set(lifter.problems)))
    return condition_of(expression, condition.position, condition.text), lifter.flags


@dataclass
class _Lifter:
    """Walks one condition; collects what was taken out of it and what could not be."""

    whole: Condition
    row_columns: frozenset[str]
    flags: dict[str, Condition] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def lifted(self, expression: Expression) -> Expression:
        read = sorted(columns(expression) & self.row_columns)
        if not read:
            return expression
        if expression.kind is not Kind.FLAG:
            what = f"{read[0]} differs from charge to charge and can't be a value here"
            return self._refused(expression, "P049", what, "name a tag, account column or lookup; ask for it in where:")
        if isinstance(expression, Call) and all(argument.kind is Kind.FLAG for argument in expression.arguments):
            return Call(expression.name, tuple(self.lifted(a) for a in expression.arguments), Kind.FLAG)
        if others := sorted({f"tag {t}" for t in tags(expression)} | {f"register {r}" for r in registers(expression)}):
            what = f"one comparison reads {read[0]}, which differs from charge to charge, and {others[0]}"
            return self._refused(expression, "P048", what, "compare each with a literal, and join the two by AND or OR")
        asked = condition_of(expression, self.whole.position, "")
        text = Compiler().sql(asked)
        name = f"row_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self.flags[name] = replace(asked, text=text)
        return Column(name, Kind.FLAG)

    def _refused(self, expression: Expression, code: str, what: str, mend: str) -> Expression:
        self.problems.append(Problem(self.whole.position, code, what, mend))
        return expression
