"""Compiled predicates: golden SQL per dialect, shared joins, decimals that stay decimals, conditions lifted to rows."""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from governor.model import Position, Predicate, Refused
from governor.policy import operators
from governor.policy.compile import Compiler, Join, lift, violated
from governor.policy.predicate import Condition, charges_scope, parse, parse_value

GOLDEN = Path(__file__).parent.parent / "golden" / "predicates"
REGISTERS = {
    "accounts": {"account_id": "VARCHAR", "environment": "VARCHAR", "cost_center": "VARCHAR", "valid_to": "DATE"},
    "apps": {"app": "VARCHAR", "cost_center": "VARCHAR", "budget": "DECIMAL(38,24)"},
    "cost_centers": {"id": "VARCHAR"},
}
KEYS = {"accounts": "account_id", "apps": "app", "cost_centers": "id"}
SCOPE = charges_scope(["env", "app"], REGISTERS, KEYS)
HERE = Position("policies/a.yaml", 3, 9)

# Every operator, function and kind of literal once, and what dialects are known to get wrong.
CONDITIONS = (
    "service_name = 'Amazon S3'",
    "service_name <> 'it''s'",
    "region_id < 'b' AND region_id <= 'b'",
    "effective_cost > 0.1 AND effective_cost >= -5",
    "service_name IN ('a', 'b')",
    "service_name NOT IN ('a', 'b')",
    "effective_cost IN (1, 0.5)",
    "effective_cost BETWEEN 0 AND 10",
    "effective_cost NOT BETWEEN 0 AND 10",
    r"service_name LIKE 'a\_b%'",
    "service_name NOT LIKE '%x'",
    "tag.env IS NULL",
    "tag.env IS NOT NULL",
    "NOT (tag.env = 'a' OR tag.env = 'b') AND TRUE OR FALSE",
    "(tag.env = 'a') = (tag.app = 'b')",
    "list_cost - effective_cost > 100",
    "list_cost + 1 > 2 * effective_cost",
    "- effective_cost > 5",
    "abs(effective_cost) > 5",
    "lower(tag.env) = 'a'",
    "upper(tag.env) = 'A'",
    "trim(tag.env) = 'a'",
    "length(tag.env) > 3",
    "coalesce(tag.env, tag.app, 'none') = 'none'",
    r"matches(resource_id, 'i-[0-9a-f]+\.x')",
    "starts_with(resource_id, 'arn:')",
    "ends_with(resource_id, '/')",
    "contains(resource_id, '%')",
    r"contains(resource_id, 'a\b')",
    "in_register(tag.app, 'cost_centers')",
    "lookup(apps, tag.app, 'cost_center') = 'CC-1'",
    "lookup(apps, tag.app, 'budget') * 2 > effective_cost",
    "account.environment = 'prod'",
    "charge_period_start >= '2026-01-31'",
    "charge_period_start < '2026-01-31 12:30:00'",
    "account.valid_to >= DATE '2026-01-31'",
    "account.valid_to < charge_period_start",
    "age_days(charge_period_start) > 30",
    "is_product(list_cost, list_unit_price, pricing_quantity)",
    "billable",
    "taggable",
    "x_CostTeam = 'é'",
)


def condition(text: str) -> Condition:
    return parse(Predicate(text, HERE), SCOPE)


def golden(dialect: str) -> str:
    parts = []
    for text in CONDITIONS:
        compiler = Compiler(dialect, judged_on="DATE '2026-06-30'")
        sql = compiler.sql(condition(text))
        joins = "".join(f"-- join {j.alias} = {j.register} by {j.key}\n" for j in compiler.joins)
        parts.append(f"-- {text}\n{joins}{sql}\n")
    return "\n".join(parts)


@pytest.mark.parametrize("dialect", operators.DIALECTS)
def test_every_operator_has_its_sql_in_every_dialect(dialect: str) -> None:
    """The SQL is what was last read by a human. To accept a change, run with GOVERNOR_ACCEPT=1 and read the diff."""
    file, made = GOLDEN / f"{dialect}.sql", golden(dialect)
    if os.environ.get("GOVERNOR_ACCEPT"):
        file.write_text(made, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == made


@pytest.mark.parametrize("dialect", operators.DIALECTS)
def test_the_sql_of_a_dialect_is_sql_of_that_dialect(dialect: str) -> None:
    """A parser of each dialect reads the SQL, and reads the texts that the author wrote, however they are escaped there."""
    for text in CONDITIONS:
        mine, theirs = (
            texts_of(Compiler().sql(condition(text)), "duckdb"),
            texts_of(Compiler(dialect).sql(condition(text)), dialect),
        )
        assert "LIKE" in text or "matches" in text or mine <= theirs, text  # patterns are escaped once more


def texts_of(sql: str, dialect: str) -> set[str]:
    return {
        literal.this
        for literal in sqlglot.parse_one(sql, dialect=dialect).find_all(sqlglot.exp.Literal)
        if literal.is_string
    }


def test_the_catalogue_is_complete() -> None:
    """No operator or function is without golden SQL."""
    text = " ".join(CONDITIONS)
    assert not [name for name in operators.USAGE if f"{name}(" not in text]
    with pytest.raises(ValueError, match="no SQL for 'mysql'"):
        Compiler("mysql")


def test_look_ups_share_their_joins() -> None:
    """One register row is joined once, however many conditions ask; a nested key reads an earlier alias."""
    compiler = Compiler()
    first = compiler.sql(condition("account.environment = 'prod' AND account.cost_center IS NOT NULL"))
    second = compiler.sql(condition("in_register(lookup(apps, tag.app, 'cost_center'), 'cost_centers')"))
    third = compiler.sql(condition("lookup('accounts', sub_account_id, environment) = 'dev'"))
    assert first == """((r1."environment" = 'prod') AND (NOT (r1."cost_center" IS NULL)))"""
    assert second == '(CASE WHEN r2."cost_center" IS NULL THEN NULL ELSE (r3."valid_on" IS NOT NULL) END)'
    assert third == """(r1."environment" = 'dev')"""
    assert compiler.joins == (
        Join("r1", "accounts", '"sub_account_id"'),
        Join("r2", "apps", '"tag.app"'),
        Join("r3", "cost_centers", 'r2."cost_center"'),
    )
    assert compiler.found("apps", '"tag.app"') == '(r2."valid_on" IS NOT NULL)'


def test_columns_can_be_qualified() -> None:
    """With an alias for the judged table, a register may have columns of the same names."""
    compiler = Compiler(row="f")
    assert compiler.sql(condition("account.environment = tag.env")) == '(r1."environment" = f."tag.env")'
    assert compiler.joins == (Join("r1", "accounts", 'f."sub_account_id"'),)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("effective_cost > 0.1", False),  # 0.1 as a float would be a little more than 0.1
        ("effective_cost = 0.1", True),
        ("effective_cost + list_cost = 0.3", True),  # 0.1 + 0.2 as floats is 0.30000000000000004
        ("effective_cost * 3 = 0.3", True),
        ("effective_cost IN (0.1, 7)", True),
        ("effective_cost BETWEEN 0.1 AND 0.1", True),
        ("effective_cost < 0.100000000000000000000001", True),  # the 24th decimal counts
        ("contracted_cost * 9999 > 1", True),  # the largest amount there is
        ("contracted_cost + contracted_cost + contracted_cost > 99999999999999", True),
        ("contracted_cost < 99999999999999", False),
    ],
)
def test_numbers_are_decimals(text: str, outcome: bool) -> None:
    """No amount becomes a float, and none is too large to be calculated with."""
    sql = Compiler().sql(condition(text))
    amounts = "0.1::DECIMAL(38,24) AS effective_cost, 0.2::DECIMAL(38,24) AS list_cost"
    largest = f"{'9' * 14}.{'9' * 24}::DECIMAL(38,24) AS contracted_cost"
    assert duckdb.sql(f"SELECT {sql} FROM (SELECT {amounts}, {largest})").fetchall() == [(outcome,)]
    plan = duckdb.sql(f"EXPLAIN SELECT {sql} FROM (SELECT {amounts}, {largest} FROM range(2) t(n))").fetchall()
    assert "DOUBLE" not in str(plan)


def test_a_hundred_terms_stay_within_38_digits() -> None:
    """The longest sum that may be written, of the largest amounts times the largest factor, doesn't overflow."""
    text = " + ".join(["effective_cost * 9999.999999"] * 60) + " > 0"
    sql = Compiler().sql(condition(text))
    largest = f"{'9' * 14}.{'9' * 24}::DECIMAL(38,24) AS effective_cost"
    assert duckdb.sql(f"SELECT {sql} FROM (SELECT {largest})").fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("pattern", "value", "outcome"),
    [
        ("a|b", "ab", False),
        ("a|b", "b", True),
        ("a", "a\n", False),
        ("a.b", "a\nb", False),
        ("(?i)prod", "PROD", True),
        ("", "", True),
        (r"a\\d", r"a\d", True),
    ],
)
def test_matches_means_the_whole_value(pattern: str, value: str, outcome: bool) -> None:
    """A pattern never matches a part of the value, whatever alternatives it has."""
    sql = Compiler().sql(condition(f"matches(tag.env, '{pattern}')"))
    assert duckdb.execute(f'SELECT {sql} FROM (SELECT ? AS "tag.env")', [value]).fetchall() == [(outcome,)]


def test_violated_counts_what_is_unknown() -> None:
    """An assertion over a missing value fails, and `IS NOT TRUE`, which some dialects get wrong, is not used."""
    sql = violated(Compiler().sql(condition("tag.env = 'prod'")))
    assert sql == """NOT COALESCE(("tag.env" = 'prod'), FALSE)"""
    assert duckdb.sql(f'SELECT {sql} FROM (SELECT NULL AS "tag.env")').fetchall() == [(True,)]


def lifted(text: str, *columns: str) -> tuple[str, dict[str, str]]:
    rest, flags = lift(condition(text), frozenset(columns))
    return Compiler().sql(rest), {name: Compiler().sql(flag) for name, flag in flags.items()}


def test_only_what_reads_rows_is_lifted() -> None:
    """The smallest conditions on row columns become flags of their own; the rest stays, and NULL stays NULL."""
    text = "tag.env = 'prod' AND (effective_cost > 5 OR NOT charge_description LIKE 'Tax%') AND service_name = 'a'"
    sql, flags = lifted(text, "effective_cost", "charge_description")
    by_sql = {made: name for name, made in flags.items()}
    cost, tax = by_sql['("effective_cost" > 5)'], by_sql["""("charge_description" LIKE 'Tax%')"""]
    assert sql == f"""(("tag.env" = 'prod') AND ("{cost}" OR (NOT "{tax}")) AND ("service_name" = 'a'))"""
    rest, conditions = lift(condition(text), {"effective_cost", "charge_description"})
    assert rest.columns == {"service_name", cost, tax}
    assert rest.tags == {"env"}
    assert {c.columns for c in conditions.values()} == {
        frozenset({"effective_cost"}),
        frozenset({"charge_description"}),
    }


def test_equal_conditions_share_a_flag_and_others_do_not() -> None:
    """A flag is named after what it asks, not after how it was written or in which policy."""
    one, first = lifted("effective_cost > 5 OR EffectiveCost  >  5", "effective_cost")
    other, second = lifted("effective_cost > 5.5", "effective_cost")
    assert len(first) == len(second) == 1
    assert set(first).isdisjoint(second)
    assert lifted("tag.env IS NULL OR effective_cost > 5", "effective_cost")[1] == first
    assert one != other


def test_nothing_is_lifted_where_no_row_column_is_read() -> None:
    """A condition on keys alone stays as it is."""
    whole = condition("tag.env = 'prod' AND length(service_name) > 3")
    assert lift(whole, {"effective_cost"}) == (whole, {})


def test_a_row_column_beside_a_tag_is_refused() -> None:
    """One comparison can't read rows and tags at once; the message says how to write it."""
    with pytest.raises(Refused) as refused:
        lift(
            condition("contains(charge_description, tag.app) AND charge_description = account.environment"),
            {"charge_description"},
        )
    assert [str(p) for p in refused.value.problems] == [
        "policies/a.yaml:3:9 P048 one comparison reads charge_description, which differs from charge to charge, and"
        " register accounts; compare each with a literal, and join the two by AND or OR",
        "policies/a.yaml:3:9 P048 one comparison reads charge_description, which differs from charge to charge, and"
        " tag app; compare each with a literal, and join the two by AND or OR",
    ]


def test_a_row_column_is_no_value() -> None:
    """`to: x_team` would need a cell per row; the message names what can stand there."""
    value = parse_value(Predicate("coalesce(tag.app, x_team)", HERE), SCOPE)
    with pytest.raises(Refused, match="P049 x_team differs from charge to charge"):
        lift(value, {"x_team"})
    assert Compiler().sql(lift(value, set())[0]) == 'COALESCE("tag.app", "x_team")'


def test_ages_count_to_the_date_of_judgement() -> None:
    """age_days counts whole days to the date that the caller names, never to a clock."""
    aged = condition("age_days(charge_period_start) = 31")
    sql = Compiler(judged_on="DATE '2026-02-01'").sql(aged)
    assert duckdb.sql(
        f"SELECT {sql} FROM (SELECT TIMESTAMP '2026-01-01 23:59:59' AS charge_period_start)"
    ).fetchall() == [(True,)]
    assert aged.judged
    assert not condition("effective_cost > 1").judged


@pytest.mark.parametrize("value", [Decimal("-0.5"), date(2026, 1, 31), True, "a\nb'c\\"])
def test_literals_come_back_as_written(value: Any) -> None:
    """What is quoted reads back as the same value."""
    kinds = {Decimal: "NUMBER", date: "DAY", bool: "FLAG", str: "TEXT"}
    literal = operators.literal(operators.Literal(value, operators.Kind[kinds[type(value)]]))
    assert duckdb.sql(f"SELECT {literal}").fetchall() == [(value,)]
