"""The contract of the tables holds together: names, types and keys that SQL and readers can rely on."""

from __future__ import annotations

import doctest
import re

import duckdb
import pytest

from governor import tables
from governor.model import Status

EVERY = {
    "charges": tables.CHARGES,
    "tag_sets": tables.TAG_SETS,
    **tables.RUN,
}


def test_the_examples_in_the_docstrings_are_true() -> None:
    results = doctest.testmod(tables)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("name", EVERY)
def test_a_table_has_plain_names_each_once(name: str) -> None:
    names = [column.name for column in EVERY[name]]
    assert len(names) == len(set(names))
    assert [n for n in names if not re.fullmatch(r"[a-z][a-z0-9_]*", n)] == []


@pytest.mark.parametrize("name", EVERY)
def test_the_engine_makes_the_table_with_the_types_of_the_contract(name: str) -> None:
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t ({tables.ddl(EVERY[name])})")
    made = connection.execute("SELECT name, type FROM pragma_table_info('t') ORDER BY cid").fetchall()
    assert made == [(column.name, column.type) for column in EVERY[name]]


def test_money_is_never_a_float() -> None:
    types = {column.type for columns in EVERY.values() for column in columns}
    assert [t for t in types if re.search("FLOAT|DOUBLE|REAL", t)] == []
    costs = [c for columns in EVERY.values() for c in columns if re.search(r"(^|_)(cost|amount|price)$", c.name)]
    assert costs
    assert [c.name for c in costs if c.type != tables.MONEY] == []


def test_every_column_of_focus_is_there_once_under_its_own_name() -> None:
    """The name in the specification is the note of the column, and turns into the column's name."""
    assert [c.name for c in tables.FOCUS if tables.snake(c.note) != c.name] == []
    assert {"EffectiveCost", "SubAccountId", "CommitmentDiscountStatus", "SkuPriceId"} <= {c.note for c in tables.FOCUS}


def test_a_cell_holds_what_it_is_grouped_by() -> None:
    """Whatever is printed of a cell was a key: a key that can be NULL in a charge can be NULL in a cell."""
    cells = {column.name: column for column in tables.CELLS}
    shared = [column for column in tables.CHARGES if column.cell and column.name in cells]
    assert shared
    assert [c.name for c in shared if c.type != cells[c.name].type or cells[c.name].required > c.required] == []


def test_a_score_has_four_figures_for_each_status() -> None:
    letters = {status.value.lower() for status in Status}
    for prefix in ("cost_", "share_", "rows_", "rows_share_"):
        found = {c.name.removeprefix(prefix) for c in tables.SCORES if re.fullmatch(f"{prefix}[a-z]", c.name)}
        assert found == letters
