"""CSV: what a machine reads back is what the run holds; what a spreadsheet opens runs nothing."""

from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path

import pytest

from governor import tables
from governor.ledger.read import Run
from governor.reports import csv as csv_report

GOLDEN = Path(__file__).parent.parent / "golden" / "reports"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.mark.parametrize("name", ["totals", "cost_centers", "allocations", "findings"])
def test_a_table_is_the_golden_file(run: Run, name: str, tmp_path: Path) -> None:
    """What other systems import changes only on purpose. To accept a change: GOVERNOR_ACCEPT=1, and read the diff."""
    [path] = csv_report.render(run, tmp_path, [name])
    if os.environ.get("GOVERNOR_ACCEPT"):
        (GOLDEN / f"{name}.csv").write_bytes(path.read_bytes())
    assert path.read_bytes() == (GOLDEN / f"{name}.csv").read_bytes()


def test_every_table_reads_back_as_it_is(run: Run, tmp_path: Path) -> None:
    """All columns in the contract's order, all rows in the run's order, amounts to the last digit."""
    for path in csv_report.render(run, tmp_path):
        rows, kept = read(path), run.rows(path.stem)
        assert path.read_text(encoding="utf-8").splitlines()[0].split(",") == [
            f'"{column.name}"' for column in tables.RUN[path.stem]
        ]
        assert len(rows) == len(kept)
        for row, original in zip(rows, kept, strict=True):
            for name, value in original.items():
                assert (Decimal(row[name]) if isinstance(value, Decimal) else row[name]) == (
                    value if isinstance(value, Decimal) else "" if value is None else str(value)
                )


@pytest.mark.parametrize(
    ("value", "raw", "guarded"),
    [
        ('=HYPERLINK("x")', '=HYPERLINK("x")', '\'=HYPERLINK("x")'),
        ("+1", "+1", "'+1"),
        ("-1", "-1", "'-1"),
        ("@SUM(A1)", "@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "\t=1", "'\t=1"),
        ("\r=1", "\r=1", "'\r=1"),
        ("\n=1", "\n=1", "'\n=1"),
        ("a=1", "a=1", "a=1"),
        ("000123", "000123", "000123"),
        (Decimal("-12.5"), "-12.50", "-12.50"),
        (Decimal("1E-12"), "0.000000000001", "0.000000000001"),
        (-3, "-3", "-3"),
        (None, "", ""),
    ],
)
def test_text_like_a_formula_is_guarded_and_numbers_stay_numbers(value: object, raw: str, guarded: str) -> None:
    """The apostrophe is for spreadsheets and for text alone: a credit must not become text, an import not break."""
    assert (csv_report.field(value, spreadsheet=False), csv_report.field(value, spreadsheet=True)) == (raw, guarded)
