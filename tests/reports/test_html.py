"""Two self-contained pages: what they say, what they hold, and what they leave to the CSV."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest

from governor.ledger.read import Run
from governor.reports import REPORTS, html
from tests.reports.pages import Reader, normal, strange
from tests.run_builder import build_run, default_rows, finding

GOLDEN = Path(__file__).parent.parent / "golden" / "reports"
LONG = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/k8s-{}-checkout/50dc6c495c0c9188"


@pytest.fixture(scope="module")
def pages(run: Run) -> dict[str, str]:
    return {name: html.page(run, name)[0] for name in REPORTS}


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_the_golden_one(pages: dict[str, str], name: str) -> None:
    """To accept a change, run with GOVERNOR_ACCEPT=1, read the diff, and look at the page."""
    made, file = normal(pages[name]), GOLDEN / f"{name}.html"
    if os.environ.get("GOVERNOR_ACCEPT"):
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_asks_for_nothing_and_runs_nothing_else(pages: dict[str, str], name: str) -> None:
    """No address leads out of the page, and its security policy admits its own style and script alone, by hash."""
    page = pages[name]
    assert not list(strange(page))
    assert not re.search(r"(https?:|//[a-z]|@import|url\()", page)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src &#39;none&#39;; style-src")
    for tag in ("style", "script"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest.replace('+', '&#43;')}" in policy.replace("+", "&#43;")
    assert " style=" not in page


@pytest.mark.parametrize("name", REPORTS)
def test_every_table_has_a_caption_and_scopes(pages: dict[str, str], name: str) -> None:
    """A reader with a screen reader knows which table and which column."""
    page = pages[name]
    assert page.count("<table") == page.count("<caption") == page.count("</thead>") > 5
    assert re.findall(r"<th(?! scope)(?!ead)", page) == []
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "<title" in svg
        assert "<desc" in svg


@pytest.mark.parametrize("name", REPORTS)
def test_rendering_twice_gives_the_same_bytes(run: Run, pages: dict[str, str], name: str) -> None:
    """A page that was shown can be shown again."""
    assert html.page(run, name)[0] == pages[name]


def test_chargeback_reconciles_to_the_last_digit(pages: dict[str, str]) -> None:
    """Ingested = allocated + unallocated stands on the page, every digit of it, for each currency on its own."""
    page = Reader(pages["chargeback"])
    for table, amounts in (
        ("reconciliation-c0", ["3,538.1250001", "3,000.1850001", "537.94"]),
        ("reconciliation-c1", ["1,105.875", "1,085.675", "20.20"]),
    ):
        for row in page.tables[table][1:]:
            assert [*row[5:8], row[8]] == [*amounts, "yes"]
    assert "It ties." in page.text


def test_a_statement_that_does_not_tie_says_so_in_capitals(tmp_path: Path) -> None:
    """Nobody sends out a statement that lost a digit without having been told."""
    rows = default_rows()
    rows["totals"][0]["unallocated"] -= Decimal("1E-24")
    page = html.page(build_run(tmp_path / "ledger", rows), "chargeback")[0]
    assert "IT DOES NOT TIE" in page
    assert ">NO</td>" in page


def test_the_statement_adds_up(pages: dict[str, str]) -> None:
    """Its columns are the run's, line by line, and the last line is their sum."""
    table = Reader(pages["chargeback"]).tables["statement-table-c0"]
    assert table[0][2:7] == ["Direct", "Shared", "Commitment", "Central", "Total"]
    assert table[1][:1] + table[1][2:7] == ["CC-0042Checkout", "1,638.63", "160.36", "76.97", "0.00", "1,875.96"]
    assert table[1][8:10] == ["2,000.00", "124.04"]
    assert table[-1][2:7] == ["2,554.68", "250.01", "120.00", "75.50", "3,000.19"]


def test_pools_show_the_weights_that_made_the_shares(pages: dict[str, str]) -> None:
    """Whoever is charged a share can work it out again: pool, weight, all weights."""
    page = Reader(pages["chargeback"])
    assert page.tables["pool-c0-1-1"][1:] == [
        ["CC-0042", "proportional", "1,638.6250001", "64.14\N{NO-BREAK SPACE}%", "160.36"],
        ["CC-0077", "proportional", "916.05", "35.86\N{NO-BREAK SPACE}%", "89.65"],
        ["All", "", "2,554.6750001", "100.00\N{NO-BREAK SPACE}%", "250.01"],
    ]


def test_compliance_shows_score_interval_and_eight_shares(pages: dict[str, str]) -> None:
    """Percent and money stand together; the shares are those of the run; missing evidence is an interval."""
    page = Reader(pages["compliance"])
    assert "Between 85.01\N{NO-BREAK SPACE}% and 85.49\N{NO-BREAK SPACE}%" in page.text
    assert [row[0][0] for row in page.tables["shares-1"][1:9]] == list("TARSKCDU")
    assert page.tables["shares-1"][1][1:3] == ["2,456.02", "68.44\N{NO-BREAK SPACE}%"]


def test_findings_are_shown_whole_and_ranked(pages: dict[str, str], run: Run) -> None:
    """Every finding with its money, fix, owner and the day it was first seen; the subject in full."""
    table = Reader(pages["compliance"]).tables["findings"]
    assert [row[3] for row in table[1:]][:3] == ["333333333333", "nb-1", "i-web-2"]
    assert len(table) - 1 == len(run.rows("findings"))
    assert "Fix: set cost-center to an id of the register" in table[2][2]


def test_a_run_of_nothing_is_a_page_of_words(empty: Run) -> None:
    """No charge, no policy, no finding: each page says so, and scores nothing."""
    text = Reader(html.page(empty, "compliance")[0]).text
    assert "there is nothing to score" in text
    assert "nothing was judged" in text
    assert "100.00" not in text
    assert "nobody is charged" in Reader(html.page(empty, "chargeback")[0]).text


def test_what_does_not_fit_is_counted_and_in_the_csv(tmp_path: Path) -> None:
    """A page stays below 2 MB whatever the run; the most money is on it, the rest is named and written beside it."""
    rows = [finding(subject=LONG.format(n), cost=Decimal(n), message="x" * 200) for n in range(6_000)]
    run = build_run(tmp_path / "ledger", {"findings": rows})
    paths = html.render(run, tmp_path / "out", ["compliance"])
    assert [path.name for path in paths] == ["compliance.html", "findings.csv"]
    page = paths[0].read_text(encoding="utf-8")
    assert len(page.encode()) <= 2_000_000
    shown = len(Reader(page).tables["findings"]) - 1
    assert 1_000 < shown < 5_000
    left = 6_000 - shown
    assert f"{left:,} more rows are not shown here (USD {left * (left - 1) // 2:,}.00)" in page
    assert "0 more rows" not in page.replace(f"{left:,} more rows", "")


def test_no_table_has_more_than_five_thousand_rows(tmp_path: Path) -> None:
    """Short rows are cut too: a browser has to open it."""
    rows = [
        finding(subject=f"i{n}", message="m", title="t", remedy=None, provider=None, region_id=None)
        for n in range(5_100)
    ]
    run = build_run(tmp_path / "ledger", {"findings": rows})
    page, cut = html.page(run, "compliance")
    assert len(Reader(page).tables["findings"]) - 1 <= 5_000
    assert cut == ["findings"]


def test_several_periods_have_a_table_of_their_own(tmp_path: Path) -> None:
    """Totals by month, and the head names the span."""
    rows = default_rows()
    for name in ("totals", "cost_centers", "allocations"):
        rows[name] += [row | {"billing_period": "2026-04"} for row in rows[name]]
    page = Reader(html.page(build_run(tmp_path / "ledger", rows), "chargeback")[0])
    assert page.tables["periods-c0"][0] == ["Cost center", "2026-04", "2026-05"]
    assert page.tables["periods-c0"][-1] == ["Allocated", "3,000.19", "3,000.19"]
    assert "2026-04 to 2026-05" in page.text


def test_conflicting_spellings_are_a_list_of_their_own(tmp_path: Path) -> None:
    """One tag, two values: the value that counts and where it came from are shown."""
    row = finding(requirement="core-tags/owner.conflict", subject="i-7", observed="a@b.example", observed_from="owner")
    page = Reader(html.page(build_run(tmp_path / "ledger", {"findings": [row]}), "compliance")[0])
    assert page.tables["conflicts"][1][1] == "i-7"
    assert page.tables["conflicts"][1][3] == "a@b.examplefrom owner"
