"""Give sqlglot's tree its meaning: every name resolved, every kind checked, everything unknown refused.

Only the node types listed in `Resolver.handlers` exist; whatever else sqlglot can build is refused. All problems of a
predicate are found in one go: what could not be resolved is None, and nothing more is said about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sqlglot import exp

from governor import money
from governor.model import Position, Predicate, Problem
from governor.policy import functions, operators, scope
from governor.policy.expression import Call, Expression, Kind, Literal, calculates, walk
from governor.policy.scope import Scope, Unknown
from governor.policy.source import moment, place, span, written
from governor.policy.syntax import MARK, read

# What of a node is read here. sqlglot hides meaning in arguments (NOT LIKE is a LIKE with `negate`), so a node that has
# any other is refused.
_ARGUMENTS = frozenset("this expression expressions is_string to table db catalog low high field negate".split())


def plain(value: Literal) -> bool:
    """Say whether a text looks like a number."""
    return str(value.value).strip("-").replace(".", "", 1).isdecimal()


def dotted(node: exp.Expr) -> list[exp.Expr]:
    """Give the identifiers of a dotted name, from left to right."""
    return [node.args[part] for part in ("catalog", "db", "table", "this") if node.args.get(part)]


@dataclass
class Resolver:
    """Resolves one predicate; collects its problems and the patterns that RE2 has yet to accept."""

    predicate: Predicate
    scope: Scope
    problems: list[Problem] = field(default_factory=list)
    patterns: list[tuple[Position, str]] = field(default_factory=list)

    def refuse(self, node: exp.Expr, code: str, what: str, mend: str) -> None:
        """Note a problem at the first character of a node."""
        self.problems.append(Problem(place(self.predicate, span(node)[0]), code, what, mend))

    def shown(self, node: exp.Expr) -> str:
        """Give a node's text as it was written."""
        return written(self.predicate, node)

    # --- expressions --------------------------------------------------------------------------------------------------

    def expression(self, node: exp.Expr) -> Expression | None:
        """Resolve any node, or note why it is refused."""
        resolve = self.handlers().get(type(node))
        if resolve is None or any(value and name not in _ARGUMENTS for name, value in node.args.items()):
            what = f"{self.shown(node)} can't be read as a condition or value"
            self.refuse(node, "P038", what, "write conditions such as service_category = 'Support' AND tag.env IS NULL")
            return None
        value = resolve(node)
        return Call("not", (value,), Kind.FLAG) if value is not None and node.args.get("negate") else value

    def handlers(self) -> Mapping[type[exp.Expr], Callable[[exp.Expr], Expression | None]]:
        """List every node that may be in a predicate."""
        return {
            exp.Paren: lambda n: self.expression(n.this),
            exp.Boolean: lambda n: Literal(bool(n.this), Kind.FLAG),
            exp.Literal: self.literal,
            exp.Null: self.null,
            exp.Cast: self.day,
            exp.Column: self.name,
            exp.Anonymous: lambda n: functions.call(self, n),
            exp.Neg: self.negative,
            exp.Add: lambda n: self.arithmetic("+", n),
            exp.Sub: lambda n: self.arithmetic("-", n),
            exp.Mul: lambda n: self.arithmetic("*", n),
            exp.EQ: lambda n: self.comparison("=", [n.this, n.expression]),
            exp.NEQ: lambda n: self.comparison("<>", [n.this, n.expression]),
            exp.LT: lambda n: self.comparison("<", [n.this, n.expression]),
            exp.LTE: lambda n: self.comparison("<=", [n.this, n.expression]),
            exp.GT: lambda n: self.comparison(">", [n.this, n.expression]),
            exp.GTE: lambda n: self.comparison(">=", [n.this, n.expression]),
            exp.Between: lambda n: self.comparison("between", [n.this, n.args["low"], n.args["high"]]),
            exp.In: self.membership,
            exp.Like: self.like,
            exp.Is: self.is_null,
            exp.And: lambda n: self.connected("and", n),
            exp.Or: lambda n: self.connected("or", n),
            exp.Not: self.negation,
        }

    def condition(self, node: exp.Expr) -> Expression | None:
        """Resolve a node that must be a condition."""
        expression = self.expression(node)
        if expression is None or expression.kind is Kind.FLAG:
            return expression
        shown = self.shown(node)
        mend = f"write {shown} = ... or {shown} IS NOT NULL"
        if isinstance(expression, Literal):
            mend = f"repeat the column (env = 'a' OR env = {shown}), or list values: IN ('a', {shown})"
        self.refuse(node, "P047", f"{shown} is {expression.kind}, not a condition", mend)
        return None

    def literal(self, node: exp.Expr) -> Expression | None:
        """Resolve a text or number."""
        if node.is_string:
            return Literal(str(node.this), Kind.TEXT)
        try:
            return Literal(money.parse(str(node.this)), Kind.NUMBER)
        except ValueError:
            what = f"the number {self.shown(node)} has too many digits"
            self.refuse(node, "P040", what, "write at most 14 digits before and 24 after the point")
            return None

    def negative(self, node: exp.Expr) -> Expression | None:
        """Resolve a minus before a value."""
        value = self.expression(node.this)
        if value is None or not self.is_kind(node.this, value, Kind.NUMBER, "-"):
            return None
        if isinstance(value, Literal) and isinstance(value.value, Decimal):
            return Literal(value.value.copy_negate() if value.value else value.value, Kind.NUMBER)
        return Call("negative", (value,), Kind.NUMBER)

    def day(self, node: exp.Expr) -> Expression | None:
        """Resolve DATE '2026-01-31', the only thing that is a cast to sqlglot here."""
        return self.dated(node.this, Literal(str(node.this.this), Kind.TEXT), Kind.DAY)

    def dated(self, node: exp.Expr, value: Literal, kind: Kind) -> Literal | None:
        """Read a text that is compared with a date."""
        read = moment(str(value.value))
        if kind is Kind.TIME and read is not None and not isinstance(read, datetime):
            read = datetime.combine(read, datetime.min.time())
        if read is None or (kind is Kind.DAY and isinstance(read, datetime)):
            example = "'2026-01-31'" if kind is Kind.DAY else "'2026-01-31' or '2026-01-31 12:00:00'"
            self.refuse(node, "P040", f"{self.shown(node)} is not a date", f"write {example}")
            return None
        return Literal(read, kind)

    def null(self, node: exp.Expr) -> Expression | None:
        """Refuse NULL as a value."""
        self.refuse(node, "P037", "NULL is not a value", "to ask whether something is missing, write x IS NULL")
        return None

    # --- operators ----------------------------------------------------------------------------------------------------

    def connected(self, name: str, node: exp.Expr) -> Expression | None:
        """Resolve AND, OR: all terms of a chain, whatever its length."""
        terms: list[exp.Expr] = []
        while isinstance(node, exp.And if name == "and" else exp.Or):
            terms.append(node.expression)
            node = node.this
        resolved = [self.condition(term) for term in [node, *reversed(terms)]]
        parts = tuple(part for part in resolved if part is not None)
        return Call(name, parts, Kind.FLAG) if len(parts) == len(resolved) else None

    def negation(self, node: exp.Expr) -> Expression | None:
        """Resolve NOT."""
        value = self.condition(node.this)
        return None if value is None else Call("not", (value,), Kind.FLAG)

    def is_null(self, node: exp.Expr) -> Expression | None:
        """Resolve IS NULL; IS takes nothing else."""
        value = self.expression(node.this)
        if not isinstance(node.expression, exp.Null):
            mend = "write IS NULL or IS NOT NULL; a condition needs no IS TRUE, and its opposite is NOT (...)"
            self.refuse(node.expression, "P038", "IS stands only before NULL and NOT NULL", mend)
            return None
        if value is None:
            return None
        self.calculable([node.this], [value])
        return Call("is_null", (value,), Kind.FLAG)

    def like(self, node: exp.Expr) -> Expression | None:
        """Resolve LIKE, whose pattern is a literal."""
        value, wanted = self.expression(node.this), self.expression(node.expression)
        if value is None or wanted is None:
            return None
        sides = ((node.this, value), (node.expression, wanted))
        if [side for side, found in sides if not self.is_kind(side, found, Kind.TEXT, "LIKE")]:
            return None
        if not isinstance(wanted, Literal):
            self.refuse(node.expression, "P042", "the pattern of LIKE must be a text", "write x LIKE 'a%'")
            return None
        return Call("like", (value, wanted), Kind.FLAG)

    def membership(self, node: exp.Expr) -> Expression | None:
        """Resolve IN with a list of literals."""
        values = node.expressions
        if not values:
            mend = "write IN ('a', 'b'); for a register write in_register(x, 'register')"
            self.refuse(node, "P042", "IN needs a list of values in parentheses", mend)
            return None
        literals = (exp.Literal, exp.Cast)
        strange = [v for v in values if not isinstance(v.this if isinstance(v, exp.Neg) else v, literals)]
        for value in strange:
            if isinstance(value, exp.Null):
                what = "NULL in a list never matches, and with it NOT IN is never true"
                self.refuse(node, "P037", what, f"leave it out and add OR {self.shown(node.this)} IS NULL")
            else:
                mend = "put text in single quotes; to compare with another column write a = b OR ..."
                self.refuse(value, "P042", f"{self.shown(value)} is no literal: IN takes literals only", mend)
        return None if strange else self.comparison("in", [node.this, *values])

    def comparison(self, name: str, nodes: Sequence[exp.Expr]) -> Expression | None:
        """Resolve a comparison: both sides of one kind, texts read as dates beside dates."""
        for node in nodes:
            if isinstance(node, exp.Null):
                other = next((self.shown(n) for n in nodes if n is not node), "x")
                mend = f"write {other} IS NULL" if name != "<>" else f"write {other} IS NOT NULL"
                self.refuse(nodes[0], "P037", "a comparison with NULL is never true", mend)
                return None
        resolved = self.alike(nodes)
        if resolved is None:
            return None
        self.calculable(nodes, resolved)
        if resolved[0].kind is Kind.FLAG and name not in ("=", "<>"):
            self.refuse(nodes[0], "P036", "conditions have no order", "write a <= b AND b <= c, or a BETWEEN b AND c")
            return None
        return Call(name, resolved, Kind.FLAG)

    def alike(self, nodes: Sequence[exp.Expr]) -> tuple[Expression, ...] | None:
        """Resolve values that must be of one kind, and make them so where that loses nothing."""
        found = [self.expression(node) for node in nodes]
        pairs = [(node, value) for node, value in zip(nodes, found, strict=True) if value is not None]
        if len(pairs) < len(nodes):
            return None
        kinds = {value.kind for _, value in pairs}
        if kinds & {Kind.DAY, Kind.TIME} and kinds <= {Kind.DAY, Kind.TIME, Kind.TEXT}:
            kind = Kind.TIME if Kind.TIME in kinds else Kind.DAY
            timed_values = [self.as_time(node, value, kind) for node, value in pairs]
            values = tuple(value for value in timed_values if value is not None)
            return values if len(values) == len(pairs) else None
        if len(kinds) > 1:
            self.mismatch(pairs)
            return None
        return tuple(value for _, value in pairs)

    def as_time(self, node: exp.Expr, value: Expression, kind: Kind) -> Expression | None:
        """Turn a literal into the wanted date or time, and a day into its midnight."""
        if isinstance(value, Literal) and isinstance(value.value, str):
            return self.dated(node, value, kind)
        if isinstance(value, Literal):
            return self.dated(node, Literal(str(value.value), Kind.TEXT), kind)
        if value.kind is Kind.TEXT:
            what = f"{self.shown(node)} is text, and is compared with a date"
            self.refuse(node, "P036", what, "only a date written out can be compared with a date: '2026-01-31'")
            return None
        return Call("midnight", (value,), Kind.TIME) if kind is not value.kind else value

    def mismatch(self, pairs: Sequence[tuple[exp.Expr, Expression]]) -> None:
        """Say which two values can't be compared, and how they could."""
        (left, one), (right, other) = pairs[0], next(p for p in pairs if p[1].kind is not pairs[0][1].kind)
        what = f"{self.shown(left)} is {one.kind}, {self.shown(right)} is {other.kind}: they don't go together"
        mend = "compare values of one kind"
        for node, value, against in ((right, other, one), (left, one, other)):
            if isinstance(value, Literal) and value.kind is Kind.NUMBER and against.kind is Kind.TEXT:
                mend = f"write '{self.shown(node)}', in single quotes"
            elif isinstance(value, Literal) and value.kind is Kind.TEXT and against.kind is Kind.NUMBER:
                mend = f"write {value.value}, without quotes" if plain(value) else "write a number, as in 1234.56"
        if {one.kind, other.kind} == {Kind.FLAG, Kind.NUMBER}:
            mend = "for a range write a < b AND b < c, or b BETWEEN a AND c"
        self.refuse(left, "P036", what, mend)

    def is_kind(self, node: exp.Expr, value: Expression, kind: Kind, name: str) -> bool:
        """Check what an operator or function takes."""
        if value.kind is kind:
            return True
        what = f"{name} takes {kind}, {self.shown(node)} is {value.kind}"
        quoted = kind is Kind.TEXT and isinstance(value, Literal)
        self.refuse(
            node, "P036", what, f"write '{self.shown(node)}', in single quotes" if quoted else f"give it {kind}"
        )
        return False

    def arithmetic(self, name: str, node: exp.Expr) -> Expression | None:
        """Resolve + - *, within the limits that keep every engine exact."""
        left = self.expression(node.this)
        right = self.expression(node.expression) if left is not None else None  # tag.cost-center has no right side
        if left is None or right is None:
            return None
        sides = ((node.this, left), (node.expression, right))
        if [side for side, value in sides if not self.is_kind(side, value, Kind.NUMBER, name)]:
            return None
        product = Call(name, (left, right), Kind.NUMBER)
        return product if name != "*" or self.bounded(node, product) else None

    def bounded(self, node: exp.Expr, product: Call) -> bool:
        """Check a product: an amount times a number that is small enough for every engine."""
        factors = [v.value for v in product.arguments if isinstance(v, Literal) and isinstance(v.value, Decimal)]
        products = [p for p in walk(product) if isinstance(p, Call) and p.name == "*"]
        if len(factors) != 1 or len(products) > 1:
            self.refuse(node, "P046", "a product has one amount and one number", "write amount * 1.5, once per term")
            return False
        digits, decimals = operators.FACTOR_DIGITS, operators.FACTOR_DECIMALS
        if abs(factors[0]) >= 10**digits or money.decimals(factors[0]) > decimals:
            what = f"a factor has at most {digits} digits before and {decimals} after the point"
            self.refuse(node, "P046", what, "move the factor to the other side, or round it")
            return False
        return True

    def calculable(self, nodes: Sequence[exp.Expr], values: Sequence[Expression]) -> None:
        """Refuse numbers that are finer than the calculation they stand in."""
        if not any(calculates(value) for value in values):
            return
        most = operators.CALCULATION_DECIMALS
        for node, value in zip(nodes, values, strict=True):
            numbers = [p.value for p in walk(value) if isinstance(p, Literal) and isinstance(p.value, Decimal)]
            if any(money.decimals(number) > most for number in numbers):
                self.refuse(node, "P046", f"a calculation has at most {most} decimals", "round the number")

    # --- names ------------------------------------------------------------------------------------------

    def name(self, node: exp.Expr) -> Expression | None:
        """Resolve a column, tag, account column, or a condition with a name of its own."""
        parts = [part.name.removeprefix(MARK) for part in dotted(node)]
        if text := scope.virtual(self.scope).get(".".join(parts).lower()):
            return self.named(text)
        if len(parts) == 1:
            return self.known(node, scope.column(self.scope, parts[0]))
        if len(parts) == 2:  # noqa: PLR2004 - prefix.name
            return self.known(node, scope.dotted(self.scope, parts[0], parts[1], self.dashed(node, parts[1])))
        self.refuse(node, "P031", f'unknown name "{self.shown(node)}"', "one dot at most: tag.NAME or account.COLUMN")
        return None

    def dashed(self, node: exp.Expr, name: str) -> str:
        """Read on to what a name with dashes would be: tag.cost-center is a subtraction to SQL."""
        rest = re.match(r"(-\w+)+", self.predicate.text[span(node)[1] :])
        return name + rest[0] if rest else name

    def named(self, text: str) -> Expression | None:
        """Resolve the text behind a virtual name."""
        tree, _ = read(Predicate(text, self.predicate.position))
        return None if tree is None else Resolver(self.predicate, self.scope).condition(tree)

    def known(self, node: exp.Expr, found: Expression | Unknown) -> Expression | None:
        """Return what a name means, or note that it means nothing."""
        if isinstance(found, Unknown):
            self.refuse(node, found.code, found.what, found.mend)
            return None
        return found
