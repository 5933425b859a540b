"""The figures between the tables and the pages: ranking, statement, roll-up, charts, and words for values."""

from __future__ import annotations

import importlib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor import money, tables
from governor.ledger.read import Run
from governor.reports import FORMATS, REPORTS, charts, display, figures, html
from tests.run_builder import DEFAULT_PARAMETERS, build_run, default_rows

AMOUNTS = st.decimals(min_value=-(10**13), max_value=10**13, places=24)


def center(id_: str, parent: str | None, total: str, **values: object) -> dict[str, object]:
    zero = dict.fromkeys(("direct", "shared", "commitment", "central", "suspense"), Decimal(0))
    row = {"cost_center": id_, "parent": parent, "billing_period": "2026-05", "currency": "USD", "budget": None}
    return row | zero | {"direct": Decimal(total), "total": Decimal(total)} | values


def rollup(tmp_path: Path, centers: list[dict[str, object]], register: list[tuple[str, str | None]]) -> list[tuple]:
    rows = [{"id": i, "parent": p} for i, p in register]
    run = build_run(tmp_path / "ledger", {"cost_centers": centers, "register_cost_centers": rows})
    tree = figures.hierarchy(run, figures.statement(run, "USD"))
    return [(n.depth, n.id, n.total) for root in tree for n in root.walk()]


def test_a_parent_is_the_sum_of_what_is_below_it(tmp_path: Path) -> None:
    """Subtotals roll up over parents without cost of their own, which only the register knows; largest first."""
    centers = [center("a", "mid", "5"), center("b", "mid", "7"), center("c", "top", "1"), center("lone", None, "2")]
    assert rollup(tmp_path, centers, [("mid", "top"), ("top", None)]) == [
        (0, "top", 13),
        (1, "mid", 12),
        (2, "b", 7),
        (2, "a", 5),
        (1, "c", 1),
        (0, "lone", 2),
    ]


def test_a_cycle_of_parents_neither_hangs_nor_counts_twice(tmp_path: Path) -> None:
    """Every cost center appears once, and the roots add up to the whole."""
    centers = [center("a", "b", "1"), center("b", "a", "2"), center("c", "c", "4"), center("d", "a", "8")]
    nodes = rollup(tmp_path, centers, [])
    assert sorted(id_ for _, id_, _ in nodes) == ["a", "b", "c", "d"]
    assert sum(total for depth, _, total in nodes if depth == 0) == 15


def test_without_parents_there_is_no_roll_up(tmp_path: Path) -> None:
    """A flat organisation is not told its statement twice."""
    assert rollup(tmp_path, [center("a", None, "1"), center("b", None, "2")], []) == []


def test_a_budget_is_compared_with_the_periods_that_have_one(tmp_path: Path) -> None:
    """A month without a budget neither eats one nor saves one."""
    centers = [
        center("a", None, "70", billing_period="2026-04", budget=Decimal(100)),
        center("a", None, "900", billing_period="2026-05"),
    ]
    [line] = figures.statement(build_run(tmp_path / "ledger", {"cost_centers": centers}), "USD")
    assert (line.total, line.budget, line.variance) == (970, 100, 30)


def test_findings_are_ranked_by_open_then_currency_then_money(run: Run) -> None:
    """People take up the most money first; amounts of two currencies are never compared."""
    ranked = figures.ranked_findings(run).to_pylist()
    keys = [(f["verdict"] == "waived", f["currency"] != "USD", -f["cost"]) for f in ranked]
    assert keys == sorted(keys)
    assert len(ranked) == len(run.rows("findings"))


@pytest.mark.parametrize(
    ("gaps", "tolerance", "incomplete"),
    [
        ([], 0, False),
        ([("rejected_rows", 3)], 3, False),
        ([("rejected_rows", 4)], 3, True),
        ([("denied", 0)], 1000, True),
        ([("rounded_double", 9)], 0, False),
    ],
)
def test_a_run_is_incomplete_beyond_the_tolerance(
    tmp_path: Path, gaps: list[tuple[str, int]], tolerance: int, incomplete: bool
) -> None:
    """Known rows may be tolerated; what has no count never is; a notice hides nothing."""
    rows = [{"source": "aws", "scope": "x", "reason": r, "detail": "d", "rows": n} for r, n in gaps]
    parameters = DEFAULT_PARAMETERS | {"gap_tolerance": tolerance}
    run = build_run(tmp_path / "ledger", {"gaps": rows}, parameters=parameters)
    assert run.incomplete is incomplete


def test_a_rejected_row_of_no_currency_makes_no_statement(tmp_path: Path) -> None:
    """Rows that say neither currency nor period are counted as rejected, not shown as a currency without a name."""
    rows = default_rows()
    nothing = {name: Decimal(0) for name in ("billed_cost", "effective_cost", "allocated", "unallocated")}
    rows["totals"].append({"source": "aws", "billing_period": "", "currency": "", "rows": 0, "rejected": 1, **nothing})
    run = build_run(tmp_path / "ledger", rows)
    assert (figures.currencies(run), figures.periods(run)) == (["USD", "EUR"], ["2026-05"])


@given(st.lists(AMOUNTS, min_size=1, max_size=8))
def test_a_bar_is_as_long_as_its_parts(values: list[Decimal]) -> None:
    """Parts lie side by side without a gap, and the positive ones fill the bar exactly."""
    whole = money.total(v for v in values if v > 0)
    laid = charts.lengths([(str(n), "x", v) for n, v in enumerate(values)], whole)
    end = Decimal(0)
    for _, _, start, length in laid:
        assert Decimal(start) == end
        end += Decimal(length)
    assert end == (100 if laid else 0)


@given(AMOUNTS)
def test_what_is_not_zero_never_reads_as_zero(value: Decimal) -> None:
    """People see two decimals, the right sign, and never 0.00 for money that is there."""
    text = display.amount(value, minus="-")
    assert (text == "0.00") == (not value)
    assert text.startswith("-") == (value < 0)
    if "<" not in text:
        assert abs(Decimal(text.replace(",", "")) - value) <= Decimal("0.005")


@given(AMOUNTS)
def test_exact_is_exact(value: Decimal) -> None:
    """The reconciliation shows every digit."""
    assert money.parse(display.exact(value, minus="-").replace(",", "")) == value


@given(st.text())
def test_visible_text_is_one_line_without_hidden_characters(text: str) -> None:
    """Whatever stands in a tag, what is shown is printable, on one line, and in the order it is read."""
    shown = display.visible(text)
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert len(shown.splitlines()) <= 1
    assert not {"\u202e", "\u200b", "\x1b", "\n"} & set(shown)


def test_long_values_are_cut_and_say_so() -> None:
    """Ten thousand characters don't become ten thousand characters of a page."""
    assert display.visible("x" * 10_000) == "x" * display.LONGEST + "\u2026 (10,000 characters)"


def test_every_format_can_render() -> None:
    """The registry names modules that exist and do what their kind does."""
    for name, module in FORMATS.items():
        assert callable(importlib.import_module(module).render), name
    assert set(html.VIEWS) == set(REPORTS)
    assert {table for names in REPORTS.values() for table in names} <= set(tables.RUN)
