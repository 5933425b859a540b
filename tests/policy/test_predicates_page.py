"""docs/predicates.md is the reference of the language: its examples do what they say, and it names everything there is."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from governor.model import Position, Predicate
from governor.policy import operators, scope
from governor.policy.compile import Compiler
from governor.policy.predicate import charges_scope, parse

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "predicates.md").read_text(encoding="utf-8")
REGISTERS = {
    "accounts": {"account_id": "VARCHAR", "environment": "VARCHAR"},
    "apps": {"app": "VARCHAR", "cost_center": "VARCHAR"},
    "cost_centers": {"id": "VARCHAR"},
}
KEYS = {"accounts": "account_id", "apps": "app", "cost_centers": "id"}
HELD = {
    "accounts": "SELECT '012345678901' AS account_id, 'prod' AS environment",
    "apps": "SELECT 'shop' AS app, 'CC-1' AS cost_center",
    "cost_centers": "SELECT 'CC-1' AS id",
}
SCOPE = charges_scope(["env", "app", "cost_center"], REGISTERS, KEYS)
EXAMPLES = re.findall(r"\| `([^`]+)` \| ((?:`[\w.]+`: [^|]+)?) ?\| (true|false|NULL) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("predicate", "row", "outcome"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_examples_do_what_they_say(predicate: str, row: str, outcome: str) -> None:
    """Each example of the page, on its row, has its outcome."""
    compiler = Compiler(row="cells", judged_on="DATE '2026-06-30'")
    sql = compiler.sql(parse(Predicate(predicate, Position("docs/predicates.md", 1, 1)), SCOPE))
    values = dict(re.findall(r"`([\w.]+)`: ('[^']*'|NULL|-?[\d.]+)", row)) | {"sub_account_id": "'012345678901'"}
    cells = ", ".join(f'{value}::{SCOPE.columns.get(name, "VARCHAR")} AS "{name}"' for name, value in values.items())
    joins = " ".join(
        f'LEFT JOIN ({HELD[j.register]}, 1 AS valid_on) {j.alias} ON {j.alias}."{KEYS[j.register]}" = {j.key}'
        for j in compiler.joins
    )
    [(found,)] = duckdb.sql(f"SELECT {sql} FROM (SELECT {cells}) cells {joins}").fetchall()
    assert str(found).lower() == {"NULL": "none"}.get(outcome, outcome)


def test_the_page_names_everything() -> None:
    """Every function, alias and virtual name stands on the page, and no example is written so that it isn't run."""
    assert len(EXAMPLES) == len(re.findall(r"\| (?:true|false|NULL) \|$", PAGE, re.MULTILINE))
    examples = " ".join(predicate for predicate, _, _ in EXAMPLES)
    assert not [name for name in operators.USAGE if f"{name}(" not in examples]
    assert not [usage for usage in operators.USAGE.values() if f"`{usage}`" not in PAGE]
    assert not [name for name in (*scope.ALIASES, *scope.VIRTUAL) if f"`{name}`" not in PAGE]
    assert not [text for text in scope.VIRTUAL.values() if f"`{text}`" not in PAGE]


def test_the_page_lists_every_code() -> None:
    """A code that a predicate can be refused with is explained, and none is explained that doesn't exist."""
    files = ("syntax", "scope", "resolve", "functions", "predicate", "compile")
    sources = "".join((ROOT / "governor" / "policy" / f"{name}.py").read_text(encoding="utf-8") for name in files)
    assert set(re.findall(r"\| (P\d{3}) \|", PAGE)) == set(re.findall(r'"(P\d{3})"', sources))
