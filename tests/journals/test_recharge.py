"""The official worked example of the General Ledger Recharge Rate, in total and per cost center."""

from __future__ import annotations

from decimal import Decimal

import pytest

from governor.journals.entries import ControlTotals, recharge_rate


@pytest.mark.parametrize(
    ("journaled", "cost", "rate"),
    [("1000000", "1000000", "100.00"), ("180000", "200000", "90.00"), ("0", "10", "0.00"), ("1", "0", None)],
)
def test_the_official_example(journaled: str, cost: str, rate: str | None) -> None:
    """FinOps Framework: 1,000,000 of 1,000,000 is 100 %; Finance posted 180,000 of 200,000: 90 %."""
    assert recharge_rate(Decimal(journaled), Decimal(cost)) == rate


def test_a_rate_is_never_rounded_up_to_everything() -> None:
    """A cent left on clearing is not a full recharge."""
    left = ControlTotals("USD", Decimal(1_000_000), *[Decimal(0)] * 4, posted=Decimal("999999.99"), rounding=Decimal(0))
    assert left.recharge_rate == "99.99"
