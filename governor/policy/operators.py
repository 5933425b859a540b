"""Every operator and function a predicate may use: what it takes, what it gives, and its SQL per dialect.

The SQL is ours, not sqlglot's: what sqlglot doesn't know it passes through untranslated, and some of what it knows it
translates into something else. In a template `{0}`, `{1}` are the arguments, `{all}` all of them, `{rest}` all but the
first. Where a dialect has no template of its own, that of `ANY` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from governor.policy.expression import Kind, Literal

DIALECTS = ("duckdb", "spark", "trino", "bigquery", "snowflake", "athena")
ANY = ""

# A calculation is done with 12 decimals, and its parts are kept so small that no engine overflows or turns to floats:
# an amount of DECIMAL(27, 12) times a factor of 4 digits and 6 decimals, in at most 64 terms, fits into 38 digits.
CALCULATION_DECIMALS = 12
FACTOR_DIGITS = 4
FACTOR_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Function:
    """A function as authors see it: how it is written, what it takes, what it gives."""

    usage: str
    takes: tuple[Kind, ...]
    gives: Kind


# The functions whose arguments have one kind each. The others are read by hand in `resolve`.
FUNCTIONS: Mapping[str, Function] = {
    "lower": Function("lower(text)", (Kind.TEXT,), Kind.TEXT),
    "upper": Function("upper(text)", (Kind.TEXT,), Kind.TEXT),
    "trim": Function("trim(text)", (Kind.TEXT,), Kind.TEXT),
    "length": Function("length(text)", (Kind.TEXT,), Kind.NUMBER),
    "abs": Function("abs(number)", (Kind.NUMBER,), Kind.NUMBER),
    "starts_with": Function("starts_with(text, 'start')", (Kind.TEXT, Kind.TEXT), Kind.FLAG),
    "ends_with": Function("ends_with(text, 'end')", (Kind.TEXT, Kind.TEXT), Kind.FLAG),
    "contains": Function("contains(text, 'part')", (Kind.TEXT, Kind.TEXT), Kind.FLAG),
    "is_product": Function("is_product(amount, price, quantity)", (Kind.NUMBER,) * 3, Kind.FLAG),
}
USAGE: Mapping[str, str] = {
    **{name: function.usage for name, function in FUNCTIONS.items()},
    "coalesce": "coalesce(value, otherwise)",
    "matches": "matches(text, 'pattern')",
    "in_register": "in_register(text, 'register')",
    "lookup": "lookup(register, key, 'column')",
    "age_days": "age_days(date)",
}

_PRODUCT = (
    "(ABS(CAST({{0}} AS {0}) - CAST({{1}} AS {0}) * CAST({{2}} AS {0}))"
    " <= ABS(CAST({{0}} AS {0})) * 0.001 + 0.00000001)"
)
SQL: Mapping[str, Mapping[str, str]] = {
    "and": {ANY: "({and})"},
    "or": {ANY: "({or})"},
    "not": {ANY: "(NOT {0})"},
    "=": {ANY: "({0} = {1})"},
    "<>": {ANY: "({0} <> {1})"},
    "<": {ANY: "({0} < {1})"},
    "<=": {ANY: "({0} <= {1})"},
    ">": {ANY: "({0} > {1})"},
    ">=": {ANY: "({0} >= {1})"},
    "in": {ANY: "({0} IN ({rest}))"},
    "between": {ANY: "({0} BETWEEN {1} AND {2})"},
    "like": {ANY: "({0} LIKE {1})"},
    "is_null": {ANY: "({0} IS NULL)"},
    "+": {ANY: "({0} + {1})"},
    "-": {ANY: "({0} - {1})"},
    "*": {ANY: "({0} * {1})"},
    "negative": {ANY: "(- {0})"},
    "lower": {ANY: "LOWER({0})"},
    "upper": {ANY: "UPPER({0})"},
    "trim": {  # blanks only: some engines' plain TRIM takes tabs and line breaks too
        ANY: "TRIM({0}, ' ')",
        "spark": "TRIM(BOTH ' ' FROM {0})",
        "trino": "TRIM(BOTH ' ' FROM {0})",
        "athena": "TRIM(BOTH ' ' FROM {0})",
    },
    "length": {ANY: "LENGTH({0})"},
    "abs": {ANY: "ABS({0})"},
    "coalesce": {ANY: "COALESCE({all})"},
    "matches": {  # the whole value: \z, because $ also matches before a last line break
        ANY: "REGEXP_LIKE({0}, {1})",
        "duckdb": "REGEXP_FULL_MATCH({0}, {1})",
        "spark": "({0} RLIKE {1})",
        "bigquery": "REGEXP_CONTAINS({0}, {1})",
    },
    "starts_with": {ANY: "STARTS_WITH({0}, {1})", "spark": "STARTSWITH({0}, {1})", "snowflake": "STARTSWITH({0}, {1})"},
    "ends_with": {
        ANY: "ENDS_WITH({0}, {1})",
        "spark": "ENDSWITH({0}, {1})",
        "snowflake": "ENDSWITH({0}, {1})",
        "trino": "STARTS_WITH(REVERSE({0}), REVERSE({1}))",
        "athena": "STARTS_WITH(REVERSE({0}), REVERSE({1}))",
    },
    "contains": {  # of text; BigQuery's and Trino's CONTAINS mean something else
        ANY: "CONTAINS({0}, {1})",
        "trino": "(STRPOS({0}, {1}) > 0)",
        "athena": "(STRPOS({0}, {1}) > 0)",
        "bigquery": "(STRPOS({0}, {1}) > 0)",
    },
    # A judgement, not an amount: nothing that is calculated here is kept or added up. Two decimals of 38 digits have no
    # exact product in any engine, and the tolerance of a thousandth is 10^12 times what a double is off.
    "is_product": {ANY: _PRODUCT.format("DOUBLE"), "bigquery": _PRODUCT.format("FLOAT64")},
    "age_days": {
        ANY: "DATE_DIFF('day', CAST({0} AS DATE), {judged_on})",
        "spark": "DATEDIFF({judged_on}, CAST({0} AS DATE))",
        "bigquery": "DATE_DIFF({judged_on}, CAST({0} AS DATE), DAY)",
        "snowflake": "DATEDIFF('day', CAST({0} AS DATE), {judged_on})",
    },
    # Made by the compiler, not written by authors.
    "midnight": {  # a day compared with a point in time
        ANY: "CAST({0} AS TIMESTAMP)",
        "spark": "CAST({0} AS TIMESTAMP_NTZ)",
        "bigquery": "CAST({0} AS DATETIME)",
        "snowflake": "CAST({0} AS TIMESTAMP_NTZ)",
    },
    "calculable": {
        ANY: f"CAST({{0}} AS DECIMAL(27, {CALCULATION_DECIMALS}))",
        "bigquery": f"ROUND(CAST({{0}} AS BIGNUMERIC), {CALCULATION_DECIMALS})",
    },
    "in_register": {ANY: "(CASE WHEN {0} IS NULL THEN NULL ELSE {1} END)"},
}

_BACKSLASHED = ("spark", "bigquery", "snowflake")  # where a backslash in a literal escapes what follows
_BACKTICKED = ("spark", "bigquery")
_LIKE_ESCAPES = ("spark", "bigquery")  # where LIKE takes a backslash as an escape, which DuckDB's doesn't


def template(name: str, dialect: str) -> str:
    """Find the SQL of an operator or function."""
    spellings = SQL[name]
    return spellings.get(dialect, spellings[ANY])


def identifier(name: str, dialect: str = "duckdb") -> str:
    """Quote a name."""
    quote = "`" if dialect in _BACKTICKED else '"'
    return quote + name.replace(quote, quote * 2) + quote


def text(value: str, dialect: str = "duckdb") -> str:
    r"""Quote a text.

    >>> print(text("it's"), text("it's", "spark"))
    'it''s' 'it\'s'
    """
    if dialect in _BACKSLASHED:
        value = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
        return f"'{value}'"
    return "'" + value.replace("'", "''") + "'"


def pattern(value: str, operator: str, dialect: str) -> str:
    """Write the pattern of LIKE or matches so that the dialect reads it as DuckDB does."""
    if operator == "like" and dialect in _LIKE_ESCAPES:
        return value.replace("\\", "\\\\")
    if operator == "matches" and dialect not in ("duckdb", "snowflake"):  # those two always match the whole value
        return rf"\A(?:{value})\z"
    return value


def literal(value: Literal, dialect: str = "duckdb") -> str:
    """Write a literal. Numbers stay decimals: BigQuery alone reads 0.1 as a float."""
    content = value.value
    if isinstance(content, bool):
        return "TRUE" if content else "FALSE"
    if isinstance(content, Decimal):
        number = format(content, "f")
        if dialect == "bigquery":
            return f"BIGNUMERIC '{number}'"
        return f"({number})" if content < 0 else number
    if isinstance(content, datetime):
        return _TIMES.get(dialect, _TIMES[ANY])(content.isoformat(" "))
    if isinstance(content, date):
        return f"DATE '{content.isoformat()}'"
    return text(content, dialect)


_TIMES: Mapping[str, Callable[[str], str]] = {
    ANY: "TIMESTAMP '{}'".format,
    "spark": "TIMESTAMP_NTZ '{}'".format,
    "bigquery": "DATETIME '{}'".format,
    "snowflake": "CAST('{}' AS TIMESTAMP_NTZ)".format,
}
