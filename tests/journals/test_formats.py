"""Both formats: golden files, hledger's own judgement, and ids that try to be more than text."""

from __future__ import annotations

import csv
import random
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from governor import money
from governor.config import JournalSettings
from governor.journals import FORMATS, Journal, draft_journal, write
from governor.money import minor_digits
from tests.journals.conftest import SETTINGS, Hledger, MakeRun, center, statement

GOLDEN = Path(__file__).parent.parent / "golden" / "journals"
CHECKS = ("check", "--strict", "payees", "ordereddates")


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture
def acme(make_run: MakeRun) -> Journal:
    """Two entities, three currencies, a credit, showback, suspense, a gap and a note."""
    register = [
        center("CC-0042", gl_account="Expenses:Cloud"),
        center("CC-0077", gl_account="6200", entity="Acme, Inc."),
        center("CC-0100", mode="showback"),
        center("CC-0200", valid_to=date(2026, 5, 20)),
    ]
    rows = [
        statement("CC-0042", "1638.6250001", "160.355", "76.97", "0"),
        statement("CC-0042", "10000.5", currency="JPY"),
        statement("CC-0077", "-5.25", "89.6549999", "0", "43.03", "99.99"),
        statement("CC-0077", "1.2345", currency="KWD"),
        statement("CC-0100", "75.50", "0.125"),
        statement("CC-0200", "0.004", "12"),
    ]
    gap = {
        "source": "aws",
        "scope": "444444444444",
        "reason": "unreadable_tags",
        "detail": "Tags is not JSON",
        "rows": 5,
    }
    run = make_run(rows, register, unallocated="437.95", gaps=[gap])
    return draft_journal(run, "2026-05", SETTINGS)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_format_writes_the_golden_files(format_: str, acme: Journal, tmp_path: Path) -> None:
    paths = write(acme, format_, tmp_path / "out")
    assert {p.name for p in paths} <= {p.name for p in GOLDEN.iterdir()}
    for path in paths:
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes(), path.name


@pytest.mark.parametrize("format_", FORMATS)
def test_drafting_twice_gives_the_same_bytes(format_: str, acme: Journal, tmp_path: Path) -> None:
    first = {path: path.read_bytes() for path in write(acme, format_, tmp_path)}
    assert {path: path.read_bytes() for path in write(acme, format_, tmp_path)} == first


def test_the_csv_of_lines_balances_and_holds_no_memo(acme: Journal, tmp_path: Path) -> None:
    paths = write(acme, "csv", tmp_path)
    balance: dict[tuple[str, str], Decimal] = {}
    for row in lines_of(paths[0]):
        assert (row["debit"] == "") != (row["credit"] == "")
        key = row["external_id"], row["currency"]
        balance[key] = balance.get(key, Decimal(0)) + Decimal(row["debit"] or 0) - Decimal(row["credit"] or 0)
    assert balance == {(entry.id, entry.currency): 0 for entry in acme.entries}
    assert [(row["cost_center"], row["amount"]) for row in lines_of(paths[1])] == [
        ("CC-0100", "75.50"),
        ("CC-0100", "0.12"),
    ]


# --- hledger ----------------------------------------------------------------------------------------------------------


def test_hledger_accepts_the_file_and_finds_the_same_balances(acme: Journal, tmp_path: Path, hledger: Hledger) -> None:
    [path] = write(acme, "hledger", tmp_path)
    checked = hledger("-f", str(path), *CHECKS)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    balances = hledger("-f", str(path), "balance", "--flat", "-N", "-O", "csv", "--layout=bare").stdout.splitlines()
    assert sorted(balances[1:]) == [
        '"2190:CC-0001","JPY","-10000"',
        '"2190:CC-0001","KWD","-1.234"',
        '"2190:CC-0001","USD","-2015.38"',
        '"6100:CC-0200","USD","12.00"',
        '"6200:CC-0077","KWD","1.234"',
        '"6200:CC-0077","USD","127.43"',
        '"Expenses:Cloud:CC-0042","JPY","10000"',
        '"Expenses:Cloud:CC-0042","USD","1875.95"',
    ]
    assert hledger("-f", str(path), "tags", "cost_center", "--values").stdout.split() == [
        "CC-0001",
        "CC-0042",
        "CC-0077",
        "CC-0200",
    ]


def test_hledger_refuses_a_cent_too_much_and_what_is_not_declared(
    acme: Journal, tmp_path: Path, hledger: Hledger
) -> None:
    """The check bites: else its acceptance would prove nothing."""
    [path] = write(acme, "hledger", tmp_path)
    text = path.read_text(encoding="utf-8")
    broken = {
        "cent": (text.replace("  12.00 USD", "  12.01 USD", 1), "could not balance this transaction"),
        "account": (text.replace("account 6200:CC-0077\n", "", 1), "undeclared account"),
        "commodity": (text.replace("commodity 1000.000 KWD\n", "", 1), "undeclared commodity"),
        "payee": (text.replace("payee governor\n", "", 1), "undeclared payee"),
    }
    for name, (changed, message) in broken.items():
        assert changed != text, name
        path.write_text(changed, encoding="utf-8")
        checked = hledger("-f", str(path), *CHECKS)
        assert checked.returncode == 1, name
        assert message in checked.stderr, name


def test_hledger_accepts_a_year_of_random_cost_centers(
    make_run: MakeRun, tmp_path: Path, hledger: Hledger, seed: int
) -> None:
    """Any amounts, signs, currencies and entities, drafted month by month and read as one ledger."""
    draw = random.Random(seed)
    currencies = ("USD", "EUR", "JPY", "KWD", "CLF")
    register = [
        center(f"CC-{n}", entity=draw.choice(["", "Acme Ltd", "Acme KK"]), mode=draw.choice(["chargeback", "showback"]))
        for n in range(8)
    ]

    def amount() -> str:
        digits, scale = draw.choice([(0, 0), (1, 3), (3, 3), (12, 2), (30, 18)])
        return str(Decimal(draw.randint(-(10**digits), 10**digits)).scaleb(-scale))

    periods = [f"2026-{month:02d}" for month in range(1, 13)]
    rows = [
        statement(row["id"], *(amount() for _ in range(5)), currency=currency, period=period)
        for period in periods
        for currency in draw.sample(currencies, 3)
        for row in draw.sample(register, 5)
    ]
    run = make_run(rows, register, unallocated="0.123456789")
    journals = [draft_journal(run, period, SETTINGS) for period in periods]
    files = [f"-f{path}" for journal in journals for path in write(journal, "hledger", tmp_path)]
    assert len(files) == 12
    checked = hledger(*files, *CHECKS)
    assert (checked.returncode, checked.stderr) == (0, "")
    posted: dict[str, Decimal] = {}
    for entry in (entry for journal in journals for entry in journal.entries):
        for line in entry.lines:
            if line.component:
                posted[entry.currency] = posted.get(entry.currency, Decimal(0)) + line.amount
    clearing = hledger(*files, "balance", "--flat", "-N", "-E", "-O", "csv", "--layout=bare", "2190").stdout
    found = {row["commodity"]: -Decimal(row["balance"]) for row in csv.DictReader(clearing.splitlines())}
    assert found == posted
    for journal in journals:
        for control in journal.controls:
            whole = money.total([control.charged, control.showback, control.suspense, control.unallocated])
            assert whole == control.ingested
            entities = sum(entry.currency == control.currency for entry in journal.entries)
            assert abs(control.rounding) <= Decimal("0.5").scaleb(-minor_digits(control.currency)) * max(entities, 1)


# --- hostile text -----------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "[/x]",
    "[click](http://evil.example) ![](http://tracker.example)",
    "@org/all",
    "x\n::add-mask::secret\n::error::x",
    "x\r\n2026-01-01 evil\r\n    a  1 USD",
    "\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "x" * 10_000,
    "two  spaces",
    " before and after ",
    "\ttab",
    "no\u00a0\u00a0break",
    "a:b::c:",
    "a%3Ab%3A%3Ac%3A",  # what the one before must not become
    ":",
    "; comment",
    "x  ; run:forged, external_id:forged",
    "(virtual)",
    "[balanced]",
    "[2026-01-01=2026-02-02]",
    "* cleared",
    "! pending",
    "~ periodic",
    "= auto",
    "# heading",
    "% percent %41 %0A",
    "comma, run:forged",
    "1,234.56",
    "1.234,56 €",
    "USD 5 @ 3 EUR",
    "include /etc/passwd",
    "comment",
    "end comment",
    "apply account x",
    "日本 事業部",
    "O'Brien \"quoted\" 'x'",
    "{0.__class__} {{ 7*7 }} ${x} `x`",
    "\ud7ff\ue000\U0010ffff",
]


@pytest.fixture
def hostile(make_run: MakeRun) -> Journal:
    """Each text as a cost center's id, its account and its legal entity; half of them are showback."""
    register = [center(text, gl_account=text, entity=text) for text in HOSTILE]
    register += [center("memo" + text, entity=text, mode="showback") for text in HOSTILE]
    rows = [statement(row["id"], "12.34", "5") for row in register]
    gaps = [{"source": text, "scope": text, "reason": text, "detail": text, "rows": 0} for text in HOSTILE]
    run = make_run(rows, register, gaps=gaps)
    return draft_journal(run, "2026-05", JournalSettings("2190"))


def test_hostile_text_stays_text_in_hledger(hostile: Journal, tmp_path: Path, hledger: Hledger) -> None:
    """One account a cost center, no directive, posting, tag or comment of its own making, and no two names become one."""
    [path] = write(hostile, "hledger", tmp_path)
    checked = hledger("-f", str(path), *CHECKS)
    assert (checked.returncode, checked.stderr) == (0, "")
    accounts = hledger("-f", str(path), "accounts", "--used").stdout.splitlines()
    declared = re.findall(r"^account (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(accounts) == sorted(declared)
    assert len(accounts) == len(HOSTILE) + 1
    assert len(hledger("-f", str(path), "print", "-O", "csv").stdout.splitlines()) == 1 + 3 * len(HOSTILE)
    tags = hledger("-f", str(path), "tags").stdout.split()
    assert tags == ["component", "cost_center", "entity", "external_id", "reference", "run"]
    runs = hledger("-f", str(path), "tags", "run", "--values").stdout.split()
    assert runs == [hostile.run]
    assert len(hledger("-f", str(path), "tags", "cost_center", "--values").stdout.splitlines()) == len(HOSTILE)


@pytest.mark.parametrize("format_", FORMATS)
def test_hostile_text_can_neither_steer_a_terminal_nor_run_in_a_spreadsheet(
    format_: str, hostile: Journal, tmp_path: Path
) -> None:
    for path in write(hostile, format_, tmp_path):
        text = path.read_bytes().decode("utf-8")
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", text)
        if path.suffix == ".csv":
            assert text.count("\r\n") == text.count("\n") == text.count("\r") == len(lines_of(path)) + 1
            cells = [cell for row in lines_of(path) for cell in row.values()]
            formulas = [cell for cell in cells if cell.startswith(("=", "+", "@")) or re.match(r"-[^0-9]", cell)]
            assert formulas == []
        else:
            assert not re.search(
                r"^(?![;]|    |20|account |commodity |payee |tag |decimal-mark |$)", text, re.MULTILINE
            )


def test_the_csv_keeps_every_id_apart(hostile: Journal, tmp_path: Path) -> None:
    centers = {row["cost_center"] for row in lines_of(write(hostile, "csv", tmp_path)[0])} - {""}
    assert len(centers) == len(HOSTILE)


def test_a_currency_that_is_no_code_is_quoted(make_run: MakeRun, tmp_path: Path, hledger: Hledger) -> None:
    """FOCUS allows virtual currencies such as `Token 1`."""
    rows = [statement("A", "12.345", currency=currency) for currency in ("Token 1", 'x"; y', "CREDITS")]
    journal = draft_journal(make_run(rows, [center("A")]), "2026-05", SETTINGS)
    [path] = write(journal, "hledger", tmp_path)
    checked = hledger("-f", str(path), *CHECKS)
    assert (checked.returncode, checked.stderr) == (0, "")
    commodities = hledger("-f", str(path), "commodities").stdout.splitlines()
    assert sorted(commodities) == ["CREDITS", "Token 1", "x%22%3B y"]


def test_files_are_named_by_the_period_alone(acme: Journal, tmp_path: Path) -> None:
    """No text of a bill ever becomes a path."""
    names = [
        path.name for name in FORMATS for path in write(replace(acme, notes=("../x",)), name, tmp_path / "a" / "b")
    ]
    assert names == [
        "journal-2026-05.csv",
        "journal-2026-05-memo.csv",
        "journal-2026-05-controls.csv",
        "journal-2026-05.journal",
    ]
