"""An outside judge of what we write: focus-data-toolkit's linter, which has the FOCUS 1.4 model; and a plain reader."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from focus_data_toolkit.io.row_source import read_source_rows
from focus_data_toolkit.model.validator import lint_focus_1_4_structure
from focus_data_toolkit.validate.allocation import validate_split_allocation

DATASET = "Cost and Usage"
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def complaints(path: Path) -> dict[tuple[str, str], int]:
    """Count what the judge has against a file, by rule and column."""
    report = lint_focus_1_4_structure(DATASET, read_source_rows(path, dataset=DATASET))
    return dict(Counter((violation.rule, violation.column or "") for violation in report.violations))


def split_complaints(path: Path) -> list[str]:
    """List what the judge has against the split rows: ratios, sums, methods, targets."""
    return [f"{found.code} {found.message}" for found in validate_split_allocation(read_source_rows(path))]


def read(path: Path) -> list[dict[str, Any]]:
    """Read a FOCUS file with no code of ours: Parquet's typed values, or a CSV's texts (None for an empty field)."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def sums(rows: list[dict[str, Any]], *by: str) -> dict[tuple[Any, ...], dict[str, Decimal]]:
    """Add up the four costs with Python's decimals."""
    found: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    for row in rows:
        totals = found.setdefault(tuple(row[name] for name in by), dict.fromkeys(COSTS, Decimal(0)))
        for cost in COSTS:
            totals[cost] += Decimal(row[cost])
    return found


def period(row: Mapping[str, Any]) -> str:
    """The billing period of a row, YYYY-MM."""
    start = row["BillingPeriodStart"]
    return start[:7] if isinstance(start, str) else start.astimezone(UTC).strftime("%Y-%m")


def moment(value: str | datetime) -> datetime:
    """A moment of either file format, UTC."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
