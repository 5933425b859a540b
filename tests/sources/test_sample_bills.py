"""Bills that nobody here wrote are read to the last digit; the sums are those of the standard library."""

from __future__ import annotations

import csv
import gzip
import io
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bills import charges, rejects, take

SPEC_COMMITMENT = {"BillingCurrency": "USD"}
SPEC = {  # the smallest options that read each example of the specification
    "commitment_discount_*.csv": {"defaults": SPEC_COMMITMENT},
    "one_hundred_percent_*.csv": {"defaults": SPEC_COMMITMENT},
    "zero_percent_*.csv": {"defaults": SPEC_COMMITMENT},
    "saas_spend_*.csv": {"dates": "%m/%d/%y"},
    "virtual_currency_*.csv": {"dates": "%m/%d/%y"},
    "simple_saas_*.csv": {"dates": "%m/%d/%y", "numbers": "us"},
}


def _sums(path: Path) -> dict[str, Decimal]:
    """The two costs of a CSV file, added up by the standard library."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    clean = [
        {name: row[name].strip(" $").replace(",", "") for name in ("BilledCost", "EffectiveCost")} for row in table
    ]
    return {
        name: sum((Decimal(row[name]) for row in clean), Decimal(0)) for name in ("BilledCost", "EffectiveCost")
    } | {"rows": Decimal(len(table))}


def _delivered(delivery) -> dict[str, Decimal]:
    """What charges hold, and what the file holds of rejected rows."""
    table = charges(delivery)
    return {
        "BilledCost": sum((row["billed_cost"] for row in table), Decimal(0)),
        "EffectiveCost": sum((row["effective_cost"] for row in table), Decimal(0)),
        "rows": Decimal(len(table)),
    }


@pytest.mark.parametrize("pattern", SPEC)
def test_the_specifications_examples_are_read_to_the_last_cent(pattern, sample_data, tmp_path):
    found = sorted((sample_data / "billing" / "focus_spec_saas").glob(pattern))
    assert found
    for path in found:
        delivery = take(path, tmp_path, **SPEC[pattern])
        bad = rejects(delivery)
        expected = _sums(path)
        got = _delivered(delivery)
        # two examples hold a charge period that ends at hour 30: those rows are set aside, with their cost
        assert {r["value"] for r in bad} <= {"2023-02-01T30:00:00Z"}
        assert got["rows"] + len(bad) == expected["rows"]
        assert got["EffectiveCost"] + sum((r["cost"] for r in bad), Decimal(0)) == expected["EffectiveCost"]
        if not bad:
            assert got == expected


@pytest.mark.parametrize("folder", ["focus_sample_1.0", "focus_data_toolkit"])
def test_real_and_foreign_bills_are_read_to_the_last_digit(folder, sample_data, tmp_path):
    """The public sample of real FOCUS 1.0 rows, and the bills of another project's generator."""
    for path in sorted((sample_data / "billing" / folder).iterdir()):
        delivery = take(path, tmp_path)
        assert _delivered(delivery) == _sums(path)
        assert rejects(delivery) == []
        assert delivery.gaps == ()
