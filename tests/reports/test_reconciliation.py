"""The reconciliation as people and machines read it, and what is said of a run that holds none."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from governor.ledger.read import Run
from governor.reports import console, csv, html, reconciliation
from governor.reports import json as json_report
from tests.reports.pages import Reader
from tests.run_builder import build_run, default_rows
from tests.run_reconciliation import invoice


@pytest.fixture
def old(run: Run) -> Run:
    """The sample run as an earlier governor would have committed it: without the tables that came later."""
    outputs = {n: o for n, o in run.manifest["outputs"].items() if n not in reconciliation.TABLES}
    return replace(run, manifest=run.manifest | {"outputs": outputs})


def test_a_few_sentences_say_how_the_invoices_stand(run: Run) -> None:
    """Tied ones are counted, the others named with their money; currencies are never added."""
    assert reconciliation.sentences(run) == [
        "1 invoice tied, 1 within tolerance, 1 not tied by 12.40 USD: INV-7, 1 without charges (25.00 USD): INV-8, "
        "1 unknown: INV-9",
        "not invoiced: 398.1225001 USD",
        "not checked, because no invoices are given: azure",
    ]
    text = console.render(run)
    assert all(f"\ninvoices {line}\n" in text for line in reconciliation.sentences(run))
    assert "1 not tied by 12.40 USD: INV-7" in Reader(html.page(run, "chargeback")[0]).text


def test_without_invoices_it_says_so(tmp_path: Path) -> None:
    """A bill that was held against nothing is not passed off as tied."""
    rows = default_rows() | {"tie_out": [invoice("not_checked", None, "5")]}
    assert reconciliation.sentences(build_run(tmp_path / "ledger", rows)) == [reconciliation.NONE_GIVEN]


def test_the_worst_come_first(run: Run) -> None:
    """Whoever closes the month sees what keeps it open before what is in order."""
    statuses = [row["status"] for row in reconciliation.ranked(run)]
    assert statuses == ["not_tied", "no_charges", "unknown", "not_invoiced", "not_checked", "within_tolerance", "tied"]


def test_the_page_shows_invoices_bridge_and_commitments(run: Run) -> None:
    """Reasons stand beside the residual, the bridge adds up, a broken identity is named with its money."""
    page = Reader(html.page(run, "reconciliation")[0])
    first = page.tables["tie-out-c0"][1]
    assert first[0].startswith("INV-7")
    assert first[5:] == ["712.40", "700.00", "12.40", "tax 10.00, unexplained 2.40tolerance 0.01"]
    bridge = page.tables["bridge-table-c0"]
    assert bridge[1] == ["aws", "2026-05", "3,538.13", "−300.00", "250.00", "120.00", "−70.00", "3,538.13", "70.00"]
    assert "broken: purchase" in page.tables["commitment-table-c0"][1][8]
    assert "effective on purchases 5.25" in page.tables["commitment-table-c0"][1][8]


def test_text_has_a_line_for_each_fact(run: Run) -> None:
    """Each begins with what it is, so that a script can pick it."""
    stream = io.StringIO()
    console.reconciliation_lines(run, stream)
    lines = stream.getvalue().splitlines()
    assert {line.split()[0] for line in lines} == {"invoices", "invoice", "bridge", "commitment", "capacity"}
    assert (
        "invoice aws 2026-05 INV-7 of AWS: not tied, invoiced 712.40, billed 700.00 USD, residual 12.40 "
        "(tax 10.00, unexplained 2.40)"
    ) in lines


def test_json_holds_every_row_with_exact_text(run: Run) -> None:
    """Amounts are text, dates ISO, what was not compared null."""
    made = json.loads(reconciliation.as_json(run))
    assert [len(made[name]) for name in reconciliation.TABLES] == [len(run.rows(n)) for n in reconciliation.TABLES]
    [row] = [r for r in made["tie_out"] if r["invoice_id"] == "INV-7"]
    assert (row["residual"], row["issued_on"], row["tax"]) == ("12.40", "2026-06-03", "10.00")
    summary = json_report.summary(run)["reconciliation"]
    assert summary["invoices"] == dict.fromkeys(reconciliation.STATUSES, 1)
    assert [row["invoice_id"] for row in summary["open"]] == ["INV-7", "INV-8", "INV-9", None]


def test_a_run_of_an_earlier_governor_says_that_it_holds_none(old: Run, tmp_path: Path) -> None:
    """It can be read, reported and shown as ever: the reconciliation is not made up, and not left out in silence."""
    assert reconciliation.sentences(old) == []
    assert list(reconciliation.lines(old)) == [reconciliation.NONE_HELD]
    assert "holds no reconciliation" in Reader(html.page(old, "reconciliation")[0]).text
    assert json.loads(reconciliation.as_json(old))["tie_out"] is None
    assert json_report.summary(old)["reconciliation"] is None
    assert "bridge.csv" not in {path.name for path in csv.render(old, tmp_path)}
    assert "invoices " not in console.render(old)


def test_the_bridge_of_the_page_adds_up_by_currency(run: Run) -> None:
    """The last line of a currency is the sum of its sources and periods, and still a bridge."""
    block = reconciliation.view(run, 100)["blocks"][0]
    sums = block["sums"]
    parts = [sums[name] for name in ("billed", "purchases", "used", "unused", "other")]
    assert sum(parts, Decimal(0)) == sums["effective"]
