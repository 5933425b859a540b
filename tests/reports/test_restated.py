"""What a delivery changed, as reports show it: only where there is something, each figure in its place."""

from __future__ import annotations

import json as json_module
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from governor.ledger.diff import as_json, diff
from governor.ledger.read import Run
from governor.reports import console, csv, html, json
from tests.reports.pages import Reader
from tests.run_builder import build_run
from tests.run_figures import restated

SAID = (
    "aws 2026-05 restated: +12.40 USD billed in 2 accounts, +7.15 USD effective, 2 charges new, 0 gone, 1 correction, "
    "20.00 USD changed hands by policies or registers, late: a later period was delivered before; run 1 had it before",
    "aws: 1 earlier period not in this delivery (2026-04); as their last runs have them",
)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that restated a month."""
    return build_run(tmp_path_factory.mktemp("changed") / "ledger", {"restatements": restated()})


def test_the_summary_says_it_in_a_line_each(changed: Run, run: Run) -> None:
    """A period that changed has a line, periods that didn't come have one a source; a first delivery has none."""
    said = [line for line in console.render(changed).splitlines() if line.startswith("delivery ")]
    assert said == [f"delivery {each}" for each in SAID]
    assert "\ndelivery " not in console.render(run)


def test_the_page_has_the_section_only_where_something_changed(changed: Run, run: Run) -> None:
    """Sentences, periods, corrections apart with the month they belong to, then the other lines, largest change first."""
    page = Reader(html.page(changed, "chargeback")[0])
    assert all(each in page.text for each in SAID)
    [_, period] = page.tables["restated-periods"]
    assert period == [
        "aws",
        "2026-05",
        "restated, late",
        "100 → 102",
        "2",
        "0",
        "USD",
        "900.00",
        "12.40",
        "7.15",
        "20.00",
    ]
    [_, correction] = page.tables["restated-corrections"]
    assert correction[1:3] == ["2026-05", "2026-03"]
    assert correction[-4:] == ["USD", "−5.25", "−10.50", "0.00"]
    [_, first, second] = page.tables["restated-lines"]
    assert (first[4], first[-3:]) == ("CC-0077", ["20.00", "20.00", "20.00"])
    assert (second[4], second[-3:]) == ("CC-0042", ["−2.35", "−2.35", "−20.00"])
    assert 'id="restated"' not in html.page(run, "chargeback")[0]


def test_machines_get_every_period_and_every_line(changed: Run, root: Path, tmp_path: Path) -> None:
    """JSON has the periods by its schema, with exact text for money and null for what isn't there; CSV has the lines too."""
    found = json.summary(changed)
    Draft202012Validator(json_module.loads((root / "schemas/run-output.json").read_text())).validate(found)
    absent, period = found["restatements"]
    assert (absent["kind"], absent["billed_before"], absent["billed_after"]) == ("not_delivered", "70.00", None)
    assert (period["accounts"], period["corrections"], period["moved"]) == (2, 1, "20.00")
    [path] = csv.render(changed, tmp_path, ["restatements"])
    assert len(path.read_text().splitlines()) == 6


def test_a_difference_follows_its_schema(changed: Run, run: Run, root: Path) -> None:
    """`schemas/difference.json` describes what `ledger diff --format json` prints, changed or not."""
    validator = Draft202012Validator(json_module.loads((root / "schemas/difference.json").read_text()))
    other = build_run(changed.ledger, {"cells": [], "scores": [], "totals": [], "cost_centers": [], "allocations": []})
    for old, new in ((run, run), (changed, other)):
        validator.validate(as_json(diff(old, new)))
    assert diff(changed, other).moves
