"""A predicate means in SQL what it means in plain Python, for every row, NULLs included."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from governor.model import Position, Predicate, Refused
from governor.policy.compile import Compiler, Join, lift, violated
from governor.policy.predicate import Condition, charges_scope, parse
from tests.policy.oracle import Node, World, evaluate, write

TEXT = ["service_name", "region_id", "tag.env", "tag.app", "account.environment", "sub_account_id"]
ROW_TEXT = ["charge_description", "x_team"]
AMOUNTS = ["effective_cost", "list_cost"]
ROW_COLUMNS = frozenset({*ROW_TEXT, *AMOUNTS, "charge_period_start"})
REGISTERS = {
    "accounts": {"account_id": "VARCHAR", "environment": "VARCHAR", "valid_to": "DATE"},
    "apps": {"app": "VARCHAR", "cost_center": "VARCHAR"},
    "cost_centers": {"id": "VARCHAR"},
}
KEYS = {"accounts": "account_id", "apps": "app", "cost_centers": "id"}
SCOPE = charges_scope(["env", "app"], REGISTERS, KEYS)
DAY = date(2026, 1, 1)

# Few and strange: quotes, wildcards, a backslash, blanks, a line break, letters of two and four bytes.
WORDS = [
    "",
    "a",
    "b",
    "A",
    "ab",
    "aB",
    "a_b",
    "a%",
    "\\",
    "a\\_b",
    "it's",
    " a ",
    "a\nb",
    "a\n",
    "é",
    "É😀",
    "12",
    "-1",
]
NUMBERS = [Decimal(n) for n in ("0", "1", "-1", "0.1", "2.50", "-12.345", "99999999999999", "0.000000000001")]
EDGES = [Decimal(s + "99999999999999.999999999999999999999999") for s in ("", "-")] + [Decimal("1e-24")]
MOMENTS = [datetime(2026, 1, 1), datetime(2026, 1, 31, 23, 59, 59, 999999), datetime(2025, 12, 31, 12)]
DAYS = [date(2026, 1, 1), date(2026, 1, 31), date(2024, 2, 29)]
PATTERNS = ["", "a+", "[aA].*", "a.b", "(?i)AB|b", r"\d+", "(a|b)?_?b?", "a$", "^a|b$", r".*\n?", "[^a]"]
FACTORS = [Decimal(n) for n in ("0", "2", "-0.5", "9999.999999", "0.000001")]


def rows(seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    some = lambda values: draw.choice([None, *values])  # noqa: E731
    return [
        {
            **{name: some(WORDS) for name in (*TEXT, *ROW_TEXT) if not name.startswith("account.")},
            **{name: some(NUMBERS + EDGES) for name in AMOUNTS},
            "charge_period_start": some(MOMENTS),
            "charge_category": some(["Usage", "Tax"]),
            "commitment_discount_status": some(["Used", "Unused"]),
        }
        for _ in range(150)
    ]


class Table:
    """Rows in DuckDB, the same in Python, and their world. Shown by its seed: `rows(seed)` makes the rows again."""

    def __init__(self, seed: int, connection: duckdb.DuckDBPyConnection, held: list[dict[str, Any]], world: World):
        self.seed, self.connection, self.rows, self.world = seed, connection, held, world

    def __repr__(self) -> str:
        return f"Table(seed={self.seed})"


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """Rows in DuckDB, the same in Python, and the registers."""
    seed = random.SystemRandom().randrange(2**32)
    given_rows = rows(seed)
    world = World(
        {
            "accounts": {
                "a": {"environment": "ab", "valid_to": DAYS[1]},
                "b": {"environment": None, "valid_to": None},
                "": {"environment": "a", "valid_to": DAYS[2]},
            },
            "apps": {"a": {"cost_center": "12"}, "ab": {"cost_center": None}, "it's": {"cost_center": "b"}},
            "cost_centers": {"12": {}, "a": {}, "ab": {}},
        },
        DAY,
    )
    types = {**SCOPE.columns, "x_team": "VARCHAR", "tag.env": "VARCHAR", "tag.app": "VARCHAR"}
    with duckdb.connect() as connection:
        columns = ", ".join(f'"{name}" {types[name]}' for name in given_rows[0])
        connection.execute(f"CREATE TABLE cells (n INTEGER, valid_on DATE, {columns})")
        marks = ", ".join("?" * (len(given_rows[0]) + 2))
        connection.executemany(
            f"INSERT INTO cells VALUES ({marks})", [[n, DAY, *row.values()] for n, row in enumerate(given_rows)]
        )
        for name, held in world.registers.items():
            fields = ", ".join(f'"{c}" {t}' for c, t in REGISTERS[name].items())
            connection.execute(f"CREATE TABLE {name} ({fields}, valid_on DATE)")
            for day in (DAY, date(2020, 1, 1)):  # the same keys on another stretch must not double anything
                for key, values in held.items():
                    marks = ", ".join("?" * (len(values) + 2))
                    connection.execute(f"INSERT INTO {name} VALUES ({marks})", [key, *values.values(), day])
        yield Table(seed, connection, given_rows, world)


def leaf(names: list[str]) -> st.SearchStrategy[Node]:
    return st.sampled_from(names).map(lambda name: ("column", name))


def texts(depth: int) -> st.SearchStrategy[Node]:
    plain = st.one_of(leaf(TEXT), leaf(ROW_TEXT), st.sampled_from(WORDS).map(lambda word: ("text", word)))
    if depth == 0:
        return plain
    inner = texts(depth - 1)
    return st.one_of(
        plain,
        st.tuples(st.sampled_from(["lower", "upper", "trim"]), inner),
        st.tuples(st.just("coalesce"), inner, inner),
        st.tuples(st.just("lookup"), st.just("apps"), inner, st.just("cost_center")),
    )


def numbers(depth: int, products: bool = True) -> st.SearchStrategy[Node]:
    plain = st.one_of(leaf(AMOUNTS), st.sampled_from(NUMBERS).map(lambda number: ("number", number)))
    if depth == 0:
        return plain
    inner = numbers(depth - 1, products)
    options = [
        plain,
        st.tuples(st.sampled_from(["abs", "negative"]), inner),
        st.tuples(st.sampled_from(["+", "-", "coalesce"]), inner, inner),
        st.tuples(st.just("length"), texts(depth - 1)),
        st.tuples(st.just("age_days"), times()),
    ]
    if products:
        factor = st.sampled_from(FACTORS).map(lambda number: ("number", number))
        amount = st.tuples(st.sampled_from(["abs", "+"]), numbers(depth - 1, products=False)).map(_amount)
        options += [st.tuples(st.just("*"), amount, factor), st.tuples(st.just("*"), factor, amount)]
    return st.one_of(options)


def _amount(drawn: tuple[str, Node]) -> Node:
    """Make something that is no literal: a product takes exactly one."""
    name, node = drawn
    return ("abs", node) if name == "abs" else ("+", ("column", "effective_cost"), node)


def times() -> st.SearchStrategy[Node]:
    return st.one_of(leaf(["charge_period_start", "account.valid_to"]), st.sampled_from(DAYS).map(lambda d: ("day", d)))


def conditions(depth: int) -> st.SearchStrategy[Node]:
    text, number = texts(min(depth, 2)), numbers(min(depth, 2))
    comparison = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    word, moment = st.sampled_from(WORDS), st.sampled_from(MOMENTS)
    literal = word.map(lambda value: ("text", value))
    amount = st.sampled_from(NUMBERS).map(lambda value: ("number", value))
    plain = st.one_of(
        st.tuples(comparison, text, text),
        st.tuples(comparison, number, number),
        st.tuples(comparison, times(), times()),
        st.tuples(comparison, leaf(["charge_period_start"]), moment.map(lambda value: ("moment", value))),
        st.tuples(st.just("between"), text, text, text),
        st.tuples(st.just("between"), number, number, number),
        st.lists(literal, min_size=1, max_size=4).flatmap(lambda v: text.map(lambda x: ("in", x, *v))),
        st.lists(amount, min_size=1, max_size=4).flatmap(lambda v: number.map(lambda x: ("in", x, *v))),
        st.tuples(st.just("like"), text, literal),
        st.tuples(st.just("is null"), st.one_of(text, number, times())),
        st.tuples(st.just("matches"), text, st.sampled_from(PATTERNS)),
        st.tuples(st.just("in_register"), text, st.just("cost_centers")),
        st.tuples(st.just("is_product"), number, number, number),
        st.tuples(st.sampled_from(["starts_with", "ends_with", "contains"]), text, text),
        st.just(("column", "billable")),
        st.booleans().map(lambda value: ("flag", value)),
    )
    if depth == 0:
        return plain
    inner = conditions(depth - 1)
    joined = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        plain,
        st.tuples(st.just("not"), inner),
        joined.flatmap(lambda parts: st.sampled_from(["and", "or"]).map(lambda name: (name, *parts))),
        st.tuples(st.sampled_from(["=", "<>"]), inner, inner),
        st.tuples(st.just("is null"), inner),
        st.tuples(st.just("coalesce"), inner, inner),
    )


def joined(joins: tuple[Join, ...]) -> str:
    return " ".join(
        f'LEFT JOIN {j.register} {j.alias} ON {j.alias}."{KEYS[j.register]}" = {j.key}'
        f" AND {j.alias}.valid_on = cells.valid_on"
        for j in joins
    )


def run(connection: duckdb.DuckDBPyConnection, condition: Condition, source: str = "cells") -> list[Any]:
    compiler = Compiler(row="cells", judged_on="DATE '2026-01-01'")
    sql = compiler.sql(condition)
    query = f"SELECT {sql}, {violated(sql)} FROM {source} cells {joined(compiler.joins)} ORDER BY n"
    found = connection.execute(query).fetchall()
    assert [bad for _, bad in found] == [value is not True for value, _ in found]
    return [value for value, _ in found]


@settings(max_examples=max(250, settings.default.max_examples), suppress_health_check=list(HealthCheck))
@given(tree=conditions(3))
def test_sql_and_python_agree_on_every_row(table: Table, tree: Node) -> None:
    """Parsed, compiled and executed, also with its row conditions lifted, a predicate has the oracle's outcome."""
    condition = parse(Predicate(write(tree), Position("p.yaml", 1, 1)), SCOPE)
    expected = [evaluate(tree, row, table.world) for row in table.rows]
    assert run(table.connection, condition) == expected

    try:
        lifted, flags = lift(condition, ROW_COLUMNS)
    except Refused as refused:
        event("row columns beside tags or registers")
        assert {problem.code for problem in refused.problems} == {"P048"}
        return
    event("with row conditions" if flags else "without row conditions")
    assert not lifted.columns & ROW_COLUMNS
    assert all(not flag.tags and not flag.registers for flag in flags.values())
    compiler = Compiler(judged_on="DATE '2026-01-01'")
    keys = "".join(f', {compiler.sql(flag)} AS "{name}"' for name, flag in flags.items())
    kept = [name for name in table.rows[0] if name not in ROW_COLUMNS]
    columns = ", ".join(f'"{name}"' for name in ("n", "valid_on", *kept))
    assert run(table.connection, lifted, f"(SELECT {columns}{keys} FROM cells)") == expected


def test_the_oracle_knows_the_traps() -> None:
    """NULL is neither equal nor unequal, NOT of unknown is unknown, a false term decides, and a missing key is no error."""
    world = World({"cost_centers": {"12": {}}}, DAY)
    null = ("column", "tag.env")
    row = {"tag.env": None}
    unknown = ("=", null, ("text", "a"))
    for tree in (unknown, ("not", unknown), ("<>", null, ("text", "a")), ("in", null, ("text", "a"))):
        assert evaluate(tree, row, world) is None
    assert evaluate(("and", unknown, ("flag", False)), row, world) is False
    assert evaluate(("or", unknown, ("flag", True)), row, world) is True
    assert (
        evaluate(("between", ("number", Decimal(3)), ("number", Decimal(5)), ("column", "tag.env")), row, world)
        is False
    )
    assert evaluate(("in_register", null, "cost_centers"), row, world) is None
    assert evaluate(("in_register", ("text", "13"), "cost_centers"), row, world) is False
