"""Two exports of one bill under two sources would be paid twice, with every total tied: it is told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.project import charge, run_project, write_csv, write_project

FIRST = [charge("10", SubAccountId="111"), charge("20", SubAccountId="222")]


def overlaps(folder: Path, *second: dict[str, str]) -> list[dict[str, Any]]:
    """Run two sources and return what is said of their overlap; the run is complete all the same."""
    write_csv(folder / "other.csv", second)
    config = write_project(folder, FIRST, accounts=("111,cloud,a,A,,,,", "222,cloud,b,A,,,,", "333,cloud,c,A,,,,"))
    more = f'  - {{name: other, path: "{folder}/other.csv"}}\npolicies:'
    config.write_text(config.read_text().replace("policies:", more, 1))
    run = run_project(config).run
    return [gap for gap in run.rows("gaps") if gap["reason"] == "overlapping_sources"]


def test_the_same_account_in_two_sources_is_told_with_the_money_of_the_second(tmp_path: Path) -> None:
    [gap] = overlaps(tmp_path, charge("10.00", SubAccountId="111", ServiceName="Same"), charge("5", SubAccountId="333"))
    assert (gap["source"], gap["rows"], gap["cost"], gap["currency"]) == ("other", 1, Decimal(10), "USD")
    assert gap["detail"].startswith("the source bill has charges of the same accounts of Cloud in 2026-10 too (111)")


@pytest.mark.parametrize(
    "apart",
    [
        {"SubAccountId": "333"},
        {"SubAccountId": "111", "ProviderName": "Licences Ltd"},
        {"SubAccountId": "111", "BillingCurrency": "EUR"},
        {
            "SubAccountId": "111",
            "BillingPeriodStart": "2026-09-01T00:00:00Z",
            "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        },
    ],
)
def test_another_account_provider_currency_or_month_is_no_overlap(apart: dict[str, str], tmp_path: Path) -> None:
    assert overlaps(tmp_path, charge("10.00", **apart)) == []
