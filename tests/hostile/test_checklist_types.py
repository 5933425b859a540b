"""The bad-input checklist, items 11 to 14: numbers, account ids, moments, closed lists."""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governor.model import Refused
from tests.checklist import fired, gaps, rejects, tied
from tests.project import charge

# --- 11. numbers ------------------------------------------------------------------------------------------------------


EXACT = ["1e-11", "1.5E-3", "8E-7", "0.123456789012345678", "-0", "-0.00", "0e5", "1234567.000000000000001", ".5", "5."]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_11_amounts_are_exact_whatever_their_notation(kind: str, tmp_path: Path) -> None:
    """Scientific notation, 18 digits after the point, a negative zero; as text in Parquet too. Nothing becomes 0."""
    bill = [charge(text, ResourceId=f"vm-{n}") for n, text in enumerate(EXACT)]
    given: list[dict[str, str]] | Path = bill
    if kind == "parquet":
        given = tmp_path / "bill.parquet"
        pq.write_table(pa.Table.from_pylist(bill), given)
    total = sum(map(Decimal, EXACT), Decimal(0))
    run = tied(tmp_path / "project", given, rows=len(bill), effective=format(total, "f"))
    amounts = {cell["resource_id"]: cell["effective_cost"] for cell in run.rows("cells")}
    assert amounts == {f"vm-{n}": Decimal(text) for n, text in enumerate(EXACT)}
    assert not any(amount.is_signed() for amount in amounts.values() if not amount)
    assert gaps(run) == {}


def test_11_an_amount_that_is_none_or_too_fine_rejects_its_row_and_is_never_rounded(tmp_path: Path) -> None:
    """NaN, Infinity, hexadecimal, 25 decimals, 15 digits before the point: place, value and reason."""
    bad = {"NaN": "B040", "Infinity": "B040", "0x10": "B040", "1e-25": "B041", "100000000000000": "B041"}
    run = tied(tmp_path, [charge("5"), *(charge("1", ListCost=text) for text in bad)])
    assert rejects(run) == [(n, "ListCost", code) for n, code in enumerate(bad.values(), 2)]
    assert [r["value"] for r in run.rows("rejects")] == list(bad)
    assert gaps(run) == {"rejected_rows": (5, Decimal(5))}


@pytest.mark.parametrize(
    ("text", "numbers", "read"),
    [
        ("1,234.56", "us", "1234.56"),
        ("-$1,234.50", "us", "-1234.50"),
        ("1.234,56", "eu", "1234.56"),
        ("12,50", "eu", "12.50"),
    ],
)
def test_11_thousands_separators_and_comma_decimals_are_exact_or_refused(
    text: str, numbers: str, read: str, tmp_path: Path
) -> None:
    """Without a word in governor.yaml 1,234 may be a thousand or one: refused. With it, exact."""
    row = charge("0", BilledCost=text, EffectiveCost=text, ListCost="", ContractedCost="")
    with pytest.raises(Refused, match="B022"):
        tied(tmp_path / "unsaid", [row], effective="0")
    tied(tmp_path / "said", [row], effective=read, source=f", numbers: {numbers}")


def test_11_a_number_in_the_other_notation_is_rejected_not_guessed(tmp_path: Path) -> None:
    bill = [charge("1"), charge("1", ListCost="1.234,56")]
    run = tied(tmp_path, bill, source=", numbers: us")
    assert rejects(run) == [(2, "ListCost", "B040")]


# --- 12. account ids --------------------------------------------------------------------------------------------------


def test_12_account_ids_are_text_and_each_spelling_is_an_account(tmp_path: Path) -> None:
    """Zeros in front stay; ids that differ in case, or that are an ARN beside its number, are not made one."""
    ids = ["000000000123", "123", "abc-DEF", "abc-def", "arn:aws:iam::000000000123:root"]
    accounts = [f"{i},Cloud,{i},{c},o@acme.example,prod,," for i, c in zip(ids, "ABCDA", strict=True)]
    bill = [charge(str(n), SubAccountId=i, ResourceId=f"vm-{n}") for n, i in enumerate(ids, 1)]
    run = tied(tmp_path, bill, accounts=accounts)
    paid = {a["sub_account_id"]: a["cost_center"] for a in run.rows("allocations")}
    assert paid == dict(zip(ids, "ABCDA", strict=True))


def test_12_ids_in_a_column_of_numbers_are_read_and_the_doubt_is_told(tmp_path: Path) -> None:
    """Zeros in front may be lost: a notice. A column of floats is refused: digits may be."""
    for kind, value in ((pa.int64(), 123456789012), (pa.float64(), 123456789012.0)):
        columns = {name: pa.array([text]) for name, text in charge("5").items()}
        columns["SubAccountId"] = pa.array([value], kind)
        path = tmp_path / f"{kind}.parquet"
        pq.write_table(pa.table(columns), path)
    run = tied(tmp_path / "int", tmp_path / "int64.parquet", rows=1, effective="5")
    assert [a["sub_account_id"] for a in run.rows("allocations")] == ["123456789012"]
    assert gaps(run) == {"numeric_ids": (0, None)}
    with pytest.raises(Refused, match="B016 SubAccountId can't be read: it is a DOUBLE column"):
        tied(tmp_path / "double", tmp_path / "double.parquet", rows=1, effective="5")


# --- 13. moments ------------------------------------------------------------------------------------------------------


MOMENTS = {
    "2026-10-05T01:02:03Z": datetime(2026, 10, 5, 1, 2, 3),
    "2026-10-05 01:02:03": datetime(2026, 10, 5, 1, 2, 3),
    "2026-10-05T10:00Z": datetime(2026, 10, 5, 10),
    "2026-10-05T01:02:03.250Z": datetime(2026, 10, 5, 1, 2, 3, 250_000),
    "2026-10-05": datetime(2026, 10, 5),
    "2026-10-04T18:02:03-07:00": datetime(2026, 10, 5, 1, 2, 3),
    "2026-10-25T02:30:00+02:00": datetime(2026, 10, 25, 0, 30),  # the hour that comes twice in Berlin, told apart
    "2026-10-25T02:30:00+01:00": datetime(2026, 10, 25, 1, 30),
}


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_13_moments_are_utc_whatever_their_notation_and_wherever_it_runs(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without T, Z, offset, seconds, time: the machine's own zone decides nothing."""
    bill = [charge("1", ChargePeriodStart=text, ResourceId=text) for text in MOMENTS]
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", zone)
        time.tzset()
        run = tied(tmp_path, bill)
    time.tzset()
    assert {cell["resource_id"]: cell["first_charge"] for cell in run.rows("cells")} == MOMENTS


def test_13_a_typed_day_is_its_midnight(tmp_path: Path) -> None:
    columns = {name: pa.array([text]) for name, text in charge("5").items()}
    columns["ChargePeriodStart"] = pa.array([datetime(2026, 10, 5).date()], pa.date32())
    pq.write_table(pa.table(columns), tmp_path / "bill.parquet")
    run = tied(tmp_path / "project", tmp_path / "bill.parquet", rows=1, effective="5")
    assert [cell["first_charge"] for cell in run.rows("cells")] == [datetime(2026, 10, 5)]


def test_13_an_end_that_is_the_last_day_is_found_by_the_pack(tmp_path: Path) -> None:
    """An end is the day after. `2026-10-31` as the end of October leaves its last day outside: a finding with its money."""
    last = {"BillingPeriodEnd": "2026-10-31", "ChargePeriodStart": "2026-10-31", "ChargePeriodEnd": "2026-10-31"}
    run = tied(tmp_path, [charge("5"), charge("7", **last)], pack=True)
    assert fired(run) == {
        "focus-completeness/charge-period": (1, Decimal(7)),
        "focus-completeness/billing-period": (1, Decimal(7)),
    }
    assert [t["billing_period"] for t in run.rows("totals")] == ["2026-10"]


def test_13_a_month_of_los_angeles_is_the_month_it_begins_in(tmp_path: Path) -> None:
    """October there is 2026-10-01T07:00Z to 2026-11-01T07:00Z; its last evening is November in UTC, and October's bill."""
    pacific = {"BillingPeriodStart": "2026-10-01T00:00:00-07:00", "BillingPeriodEnd": "2026-11-01T00:00:00-07:00"}
    evening = {"ChargePeriodStart": "2026-10-31T23:00:00-07:00", "ChargePeriodEnd": "2026-11-01T00:00:00-07:00"}
    run = tied(tmp_path, [charge("5", **pacific, **evening)], pack=True)
    assert [(t["billing_period"], t["rows"]) for t in run.rows("totals")] == [("2026-10", 1)]
    assert fired(run) == {}


def test_13_what_is_no_moment_rejects_its_row(tmp_path: Path) -> None:
    bad = ["2026-02-30", "2026-10-05T30:00:00Z", "soon", "0025-05-01", "1756684800"]
    run = tied(tmp_path, [charge("5"), *(charge("1", ChargePeriodEnd=text) for text in bad)])
    assert rejects(run) == [(n, "ChargePeriodEnd", "B042") for n in range(2, 7)]
    assert gaps(run) == {"rejected_rows": (5, Decimal(5))}


# --- 14. closed lists -------------------------------------------------------------------------------------------------


SPELLED = [
    ({"ChargeCategory": "usage"}, None),
    ({"ChargeFrequency": "Usage-based"}, None),
    ({"ChargeClass": "correction"}, None),
    ({"PricingCategory": "standard"}, None),
    ({"ChargeCategory": "Others"}, "focus-vocabulary/charge-category"),
    ({"PricingCategory": "On-Demand"}, "focus-vocabulary/pricing-category"),
    ({"ChargeFrequency": "Monthly"}, "focus-vocabulary/charge-frequency"),
]


@pytest.mark.parametrize(("change", "rule"), SPELLED)
def test_14_case_and_hyphens_are_mended_and_other_words_are_findings(
    change: dict[str, str], rule: str | None, tmp_path: Path
) -> None:
    """`usage` is Usage. `On-Demand` is no word of FOCUS: it stays as delivered, and the pack says so with its money."""
    run = tied(tmp_path, [charge("5", **change)], pack=True)
    assert fired(run) == ({rule: (1, Decimal(5))} if rule else {})


def test_14_a_savings_plan_is_one_however_it_is_spelled(tmp_path: Path) -> None:
    """CommitmentDiscountType is the provider's own word: it decides nothing, and stays."""
    used = {"CommitmentDiscountId": "sp-1", "CommitmentDiscountStatus": "used", "PricingCategory": "COMMITTED"}
    bill = [charge("5", BilledCost="0", CommitmentDiscountType=t, **used) for t in ("Savings Plan", "Savings plan")]
    run = tied(tmp_path, bill, pack=True)
    assert {cell["commitment_discount_status"] for cell in run.rows("cells")} == {"Used"}
    assert fired(run) == {}
