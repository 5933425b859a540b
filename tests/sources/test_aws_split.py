"""AWS's split cost allocation rows are shares of an instance whose own row bears the cost: no charges, and never lost."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.bills import charges, take, to_csv

CASE = Path(__file__).parent.parent / "cases/billing/aws_cur/legacy.csv"


@pytest.mark.parametrize(
    ("cost", "charged"),
    [
        ("0", 0),
        ("0.0000000000", 0),
        ("0E-10", 0),
        ("", 0),
        ("-0.0", 0),
        ("0.000000000000000000000001", 1),
        ("1E-400", 1),
    ],
)
def test_a_split_row_with_a_cost_of_its_own_is_a_charge(cost, charged, tmp_path):
    """Only what is written as nothing is nothing: an amount too small for a float is not."""
    split = {"splitLineItem/ParentResourceId": "i-1", "splitLineItem/SplitCost": "0.5", "lineItem/UnblendedCost": cost}
    row = next(csv.DictReader(CASE.read_text(encoding="utf-8").splitlines()))
    to_csv(tmp_path / "a.csv", [row, row | split])
    delivery = take("a.csv", tmp_path, format="aws_cur")
    assert len(charges(delivery)) - 1 == charged
    assert delivery.files[0].aside == 1 - charged
