"""Registers: read exactly, judged all at once, and known for every day of their history."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.config import Register
from governor.model import Position, Refused
from governor.sources import register_checks
from governor.sources.registers import Registers, RegisterTable, as_arrow, boundaries, read, read_all, valid_on

KEYS = {"cost_centers": "id", "accounts": "account_id", "budgets": "cost_center", "fx_rates": "currency"}


def register(folder: Path, name: str, text: str | bytes, key: str = "") -> Register:
    """Write a register's file below a governor.yaml and name it as the configuration does."""
    file = folder / f"{name}.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Register(name, file, key or KEYS.get(name, "id"), Position(str(folder / "governor.yaml"), 4, 3))


def problems(*registers: Register) -> list[str]:
    with pytest.raises(Refused) as refused:
        read_all({r.name: r for r in registers})
    return [str(problem) for problem in refused.value.problems]


def warnings(*registers: Register) -> list[str]:
    return [str(warning) for warning in read_all({r.name: r for r in registers}).warnings]


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_register_is_read_as_text_with_the_days_and_numbers_it_is_known_to_hold(tmp_path: Path) -> None:
    """Ids keep their zeros, empty fields are None, absent columns of the contract are there and empty."""
    text = '\ufeffid,name,gl_account,valid_from,budget_holder\r\n007,"Data, ""R"" & D",06100,2026-01-01,1.50\r\n'
    table = read(register(tmp_path, "cost_centers", text))
    assert table.rows == (
        {
            "id": "007",
            "name": 'Data, "R" & D',
            "parent": None,
            "owner_email": None,
            "gl_account": "06100",
            "entity": None,
            "mode": "chargeback",
            "valid_from": date(2026, 1, 1),
            "valid_to": None,
            "budget_holder": "1.50",
        },
    )
    assert table.columns["valid_to"] == "DATE"
    assert table.columns["budget_holder"] == "VARCHAR"
    assert table.lines == (2,)
    assert table.shown == "cost_centers.csv"
    assert table.digest == hashlib.sha256(text.encode()).hexdigest()


def test_amounts_and_rates_are_exact(tmp_path: Path) -> None:
    budgets = read(register(tmp_path, "budgets", "cost_center,period,currency,amount\nA,2026-01,USD,1000.10\n"))
    rates = read(register(tmp_path, "fx_rates", "currency,to,date,rate\nEUR,USD,2026-01-31,1.0912345678901234567\n"))
    assert budgets.rows[0]["amount"] == Decimal("1000.10")
    assert rates.rows[0]["rate"] == Decimal("1.0912345678901234567")
    assert rates.rows[0]["source"] is None
    assert as_arrow(rates, [date(2026, 1, 1)]).column("rate").type == pa.decimal128(38, 24)


def test_a_lookup_table_may_have_any_columns_and_no_rows(tmp_path: Path) -> None:
    assert read(register(tmp_path, "apps", "app,cost_center,tier 1\n", "app")).rows == ()
    table = read(register(tmp_path, "apps", "app,mode,amount\nshop,anything,1e3\n", "app"))
    assert table.rows == ({"app": "shop", "mode": "anything", "amount": "1e3"},)


def test_blank_lines_and_spaces_around_values_mean_nothing(tmp_path: Path) -> None:
    table = read(register(tmp_path, "apps", "\n app , owner\n\n shop ,ann\n,\n bar, bob \n", "app"))
    assert table.rows == ({"app": "bar", "owner": "bob"}, {"app": "shop", "owner": "ann"})
    assert table.lines == (6, 4)


def test_a_line_break_within_quotes_does_not_shift_the_lines_of_what_follows(tmp_path: Path) -> None:
    text = 'id,name\na,"one\ntwo"\nb,x,y\n'
    assert problems(register(tmp_path, "cost_centers", text)) == [
        "cost_centers.csv:2:1 R006 field 2 holds the invisible character U+000A; take it out",
        "cost_centers.csv:4:1 R005 3 fields where the header has 2; put values that hold a comma between quotes",
    ]


# --- what is refused --------------------------------------------------------------------------------------------------

CASES = Path(__file__).parent.parent / "cases" / "registers" / "refused.txt"


def refused_cases() -> Iterator[tuple[str, str, str]]:
    """Read the cases: `=== register: what is wrong`, the file, `---`, the messages."""
    for block in CASES.read_text(encoding="utf-8").split("=== ")[1:]:
        title, _, rest = block.partition("\n")
        text, _, messages = rest.partition("---\n")
        yield title, text, messages.strip()


@pytest.mark.parametrize(("title", "text", "messages"), [pytest.param(*c, id=c[0]) for c in refused_cases()])
def test_everything_that_is_wrong_is_said_at_once_with_its_line(
    title: str, text: str, messages: str, tmp_path: Path
) -> None:
    assert problems(register(tmp_path, title.partition(":")[0], text)) == messages.splitlines()


def test_an_extra_column_is_kept_where_the_known_one_it_resembles_is_there(tmp_path: Path) -> None:
    """`name` and `names` are both meant; a misspelling is one only where the right spelling is missing."""
    assert read(register(tmp_path, "accounts", "account_id,name,names\n1,a,b\n")).rows[0]["names"] == "b"


def test_a_known_register_has_its_own_key(tmp_path: Path) -> None:
    [problem] = problems(register(tmp_path, "accounts", "account_id\n1\n", "number"))
    what = 'R010 the register "accounts" is keyed by account_id, not by "number"; write key: account_id'
    assert problem == f"{tmp_path}/governor.yaml:4:3 {what}"


def test_the_problems_of_all_registers_come_together(tmp_path: Path) -> None:
    found = problems(
        register(tmp_path, "accounts", "account_id,name\n1,a\n,b\n"),
        register(tmp_path, "cost_centers", "id,mode\nA,x\n"),
    )
    assert [line.split()[:2] for line in found] == [["accounts.csv:3:1", "R017"], ["cost_centers.csv:2:1", "R021"]]


def test_two_cost_centers_may_change_places(tmp_path: Path) -> None:
    """Parents that would run in a circle if they were true on one day are no circle when they are not."""
    text = "id,parent,valid_from,valid_to\nA,B,,2026-03-31\nA,,2026-04-01,\nB,,,2026-03-31\nB,A,2026-04-01,\n"
    assert len(read(register(tmp_path, "cost_centers", text)).rows) == 4


def test_many_problems_are_counted_and_not_all_told(tmp_path: Path) -> None:
    found = problems(register(tmp_path, "cost_centers", "id,mode\n" + "".join(f"A{n},x\n" for n in range(250))))
    assert len(found) == 101
    assert found[-1] == "cost_centers.csv R009 more than 100 problems; mend these first"


# --- what is only said ------------------------------------------------------------------------------------------------


def test_accounts_and_budgets_of_cost_centers_that_are_not_there_are_warnings(tmp_path: Path) -> None:
    """It is data the bill will show as invalid: the run goes on, and says so."""
    centers = register(tmp_path, "cost_centers", "id,valid_to\nCC-0001,\nCC-0002,2026-03-31\n")
    accounts = register(
        tmp_path,
        "accounts",
        "account_id,provider,cost_center,valid_to\n012345678901,AWS,CC-0001,\n12345678901,AWS,CC-0002,2026-04-30\n1,,cc1,\n2,,,\n",
    )
    budgets = register(tmp_path, "budgets", "cost_center,period,currency,amount\nCC-002,2026-01,USD,5\n")
    assert warnings(centers, accounts, budgets) == [
        'accounts.csv:3:1 R031 cost center "CC-0002" is not in force from 2026-04-01, but this row is;'
        " end this row with valid_to, and add one with the successor",
        'accounts.csv:3:1 R032 AWS account id "12345678901" has 11 digits in place of 12;'
        " a spreadsheet may have taken leading zeros: put them back, and format the column as text",
        'accounts.csv:4:1 R030 cost center "cc1" is not registered; add it to the register cost_centers',
        'budgets.csv:2:1 R030 cost center "CC-002" is not registered; did you mean "CC-0002"?',
    ]


# --- the registers on a day -------------------------------------------------------------------------------------------

HISTORY = """\
id,name,valid_from,valid_to
A,new,2026-03-01,
B,always,,
A,old,,2026-02-28
C,short,2026-02-10,2026-02-10
"""


def history(tmp_path: Path) -> RegisterTable:
    return read(register(tmp_path, "cost_centers", HISTORY))


def test_history_is_kept_and_sorted_by_key_and_day(tmp_path: Path) -> None:
    table = history(tmp_path)
    assert [row["id"] + " " + row["name"] for row in table.rows] == ["A old", "A new", "B always", "C short"]
    assert table.lines == (4, 2, 3, 5)


@pytest.mark.parametrize(
    ("day", "names"),
    [
        (date(2026, 2, 9), ["old", "always"]),
        (date(2026, 2, 10), ["old", "always", "short"]),
        (date(2026, 2, 28), ["old", "always"]),
        (date(2026, 3, 1), ["new", "always"]),
    ],
)
def test_both_ends_of_the_validity_belong_to_it(day: date, names: list[str], tmp_path: Path) -> None:
    assert [row["name"] for row in valid_on(history(tmp_path), day)] == names


def test_boundaries_are_the_days_on_which_something_changes(tmp_path: Path) -> None:
    """The end of one row and the beginning of its successor are one boundary; `for ever` as 9999-12-31 is none."""
    forever = read(register(tmp_path, "apps", "id,valid_to\nx,9999-12-31\n"))
    registers = Registers({"cost_centers": history(tmp_path), "apps": forever})
    assert boundaries(registers) == [date(2026, 2, 10), date(2026, 2, 11), date(2026, 3, 1)]


def test_the_engine_gets_one_row_a_key_and_stretch(tmp_path: Path) -> None:
    days = [date(2026, 3, 1), date(2026, 2, 10), date(2026, 2, 10)]
    arrow = as_arrow(history(tmp_path), days)
    assert arrow.column_names[:3] == ["valid_on", "id", "name"]
    assert arrow.schema.field("valid_on").type == arrow.schema.field("valid_from").type == pa.date32()
    assert [(row["valid_on"].day, row["id"], row["name"]) for row in arrow.to_pylist()] == [
        (10, "A", "old"), (10, "B", "always"), (10, "C", "short"), (1, "A", "new"), (1, "B", "always"),
    ]  # fmt: skip
    assert as_arrow(history(tmp_path), []).num_rows == 0


DAYS = st.dates(date(2026, 1, 1), date(2026, 3, 31))
SPANS = st.lists(st.tuples(st.sampled_from("ABC"), DAYS, st.integers(0, 40)), min_size=1, max_size=8)


def rows_of(spans: Iterable[tuple[str, date, int]]) -> list[dict[str, object]]:
    rows = [{"id": key, "valid_from": first, "valid_to": first + timedelta(days=n)} for key, first, n in spans]
    return sorted(rows, key=lambda row: (str(row["id"]), str(row["valid_from"])))


@given(SPANS)
def test_overlap_is_found_exactly_where_a_day_has_two_rows_of_a_key(spans: list[tuple[str, date, int]]) -> None:
    """The oracle counts days one by one."""
    rows = rows_of(spans)
    taken = [(key, first + timedelta(days=d)) for key, first, n in spans for d in range(n + 1)]
    found = list(register_checks.overlapping(rows, range(len(rows)), ["id"], "x"))
    assert bool(found) == (len(taken) != len(set(taken)))


@given(SPANS, DAYS, st.integers(0, 60))
def test_cover_is_complete_exactly_where_every_day_is_covered(
    spans: list[tuple[str, date, int]], first: date, length: int
) -> None:
    times = register_checks.spans(rows_of(spans), "id").get("A", [])
    disjoint = [t for n, t in enumerate(times) if not any(o[1] >= t[0] for o in times[:n])]
    days = [first + timedelta(days=n) for n in range(length + 1)]
    missing = [day for day in days if not any(start <= day <= end for start, end in disjoint)]
    said = register_checks.uncovered(disjoint, days[0], days[-1])
    assert bool(said) == bool(missing)


def test_between_two_boundaries_nothing_changes(tmp_path: Path) -> None:
    """What is in force on the first day of a stretch is in force on all its days."""
    table = history(tmp_path)
    edges = boundaries(Registers({"cost_centers": table}))
    first, last = edges[0] - timedelta(days=3), edges[-1] + timedelta(days=3)
    for n in range((last - first).days):
        day = first + timedelta(days=n)
        start = max([edge for edge in edges if edge <= day], default=first)
        assert valid_on(table, day) == valid_on(table, start)
