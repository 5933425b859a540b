"""Azure's actual and amortized export, together, alone and in parts: nothing counts twice and nothing is lost."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bills import charges, refused, rejects, rows, tags, take, to_csv
from tests.sources.test_azure import CASES, mca, records

ACTUAL, AMORTIZED = records(CASES / "ea_actual.csv"), records(CASES / "ea_amortized.csv")
REGULAR, BOUGHT, COVERED, UNUSED = ACTUAL[0], ACTUAL[2], AMORTIZED[2], AMORTIZED[4]


def bill(tmp_path: Path, **files: list[dict[str, str]]) -> Path:
    """Write files below the folder `bills`; `__` in a name begins a folder."""
    for name, told in files.items():
        to_csv(tmp_path / "bills" / f"{name.replace('__', '/')}.csv", told)
    return tmp_path / "bills"


def cost(told: list[dict[str, str]], **where: str) -> Decimal:
    """Add up the cost of rows that Azure's cost allocation didn't add and that have these values."""
    own = (r for r in told if not r["CostAllocationRuleName"] and all(r[k] == v for k, v in where.items()))
    return sum((Decimal(row["Cost"]) for row in own), Decimal(0))


def totals(delivery) -> tuple[Decimal, Decimal]:
    found = charges(delivery)
    return sum(c["billed_cost"] for c in found), sum(c["effective_cost"] for c in found)


def gaps(delivery) -> list[tuple[str, int, Decimal | None]]:
    return [(gap.reason, gap.rows, gap.cost) for gap in delivery.gaps]


def test_both_exports_count_once_as_the_case_says(tmp_path):
    """Billed is the actual export, effective the amortized one and what it lacks; Azure's own allocation is aside."""
    for name in ("ea_actual.csv", "ea_amortized.csv"):
        shutil.copy(CASES / name, tmp_path / name)
    delivery = take("ea_a*.csv", tmp_path, format="azure")
    expected = records(CASES / "ea_both.expected.csv")
    found = [charge | {"tags": tag} for charge, tag in zip(charges(delivery), tags(delivery), strict=True)]
    found.sort(key=lambda charge: (charge["file"], charge["row"]))
    assert len(found) == len(expected)
    for charge, row in zip(found, expected, strict=True):
        assert delivery.files[charge["file"]].path == row["file"]
        for key in row.keys() - {"file", "row"}:
            said = Decimal(row[key]) if key.endswith("_cost") and row[key] else row[key]
            assert (charge[key] if charge[key] is not None else "") == said, (row, key)
    only_actual = cost([ACTUAL[8]])
    assert totals(delivery) == (cost(ACTUAL), cost(AMORTIZED) + only_actual)
    assert gaps(delivery) == [("set_aside", 4, 0), ("set_aside", 6, Decimal("103.1138709677419368"))]
    assert [(f.rows, f.rejected, f.aside) for f in delivery.files] == [(11, 0, 8), (10, 0, 2)]


def test_the_actual_export_alone_leaves_the_effective_cost_of_commitments_unknown(tmp_path):
    """Its billed cost is whole, so its invoice can be tied."""
    delivery = take(CASES / "ea_actual.csv", tmp_path, format="azure")
    assert totals(delivery) == (cost(ACTUAL), cost(ACTUAL) - 365 + 30)
    assert gaps(delivery) == [("effective_cost_unknown", 4, 335), ("set_aside", 2, 0)]
    assert "put the amortized export of the same scope and month into this source" in delivery.gaps[0].detail


def test_the_amortized_export_alone_lacks_the_billed_cost_of_purchases(tmp_path):
    delivery = take(CASES / "ea_amortized.csv", tmp_path, format="azure")
    regular = cost(AMORTIZED, PricingModel="OnDemand") + cost(AMORTIZED, PricingModel="")
    assert totals(delivery) == (regular, cost(AMORTIZED))
    assert gaps(delivery) == [("billed_cost_unknown", 4, cost(AMORTIZED) - regular), ("set_aside", 2, 0)]


def test_a_bill_without_commitments_lacks_nothing_in_either_export(tmp_path):
    assert gaps(take(bill(tmp_path, actual=[REGULAR]), tmp_path, format="azure")) == []


def test_another_month_or_account_of_one_export_is_not_taken_for_the_other(tmp_path):
    """Each billing account and month is judged by itself: what has no twin is kept and told."""
    august = REGULAR | {
        "Date": "08/31/2026",
        "BillingPeriodStartDate": "08/01/2026",
        "BillingPeriodEndDate": "08/31/2026",
    }
    others = [august, REGULAR | {"BillingProfileId": "8600002"}, REGULAR | {"SubscriptionId": "other"}]
    bought = BOUGHT | {"BillingPeriodStartDate": "08/01/2026", "Date": "08/02/2026"}
    path = bill(tmp_path, actual=[REGULAR, *others, bought, COVERED | {"Cost": "0"}], amortized=[REGULAR, COVERED])
    delivery = take(path, tmp_path, format="azure")
    assert totals(delivery) == (cost([REGULAR] * 4) + 365, cost([REGULAR] * 4 + [COVERED]))
    assert gaps(delivery) == [("effective_cost_unknown", 1, 365), ("set_aside", 2, cost([REGULAR]))]


@pytest.mark.parametrize("elsewhere", [{"Date": "09/30/2026"}, {"SubscriptionId": "other"}])
@pytest.mark.parametrize(
    ("short", "reason"), [("amortized", "effective_cost_unknown"), ("actual", "billed_cost_unknown")]
)
def test_an_export_that_ends_earlier_or_tells_less_leaves_what_is_covered_unknown(short, reason, elsewhere, tmp_path):
    """Usage that a commitment covers stands in both, so where one has none of it, its own cost is lacking too."""
    told = {"actual": [REGULAR, COVERED | {"Cost": "0"}], "amortized": [REGULAR, COVERED]}
    assert not [gap for gap in gaps(take(bill(tmp_path, **told), tmp_path, format="azure")) if "unknown" in gap[0]]
    longer = "actual" if short == "amortized" else "amortized"
    told[longer].append(told[longer][1] | elsewhere)
    delivery = take(bill(tmp_path, **told), tmp_path, format="azure")
    assert [gap[:2] for gap in gaps(delivery) if "unknown" in gap[0]] == [(reason, 1)]


def test_a_currency_or_case_of_an_id_does_not_hide_a_twin(tmp_path):
    shouted = REGULAR | {"SubscriptionId": REGULAR["SubscriptionId"].upper(), "Date": "2026-09-01"}
    path = bill(tmp_path, actual=[shouted, REGULAR | {"BillingCurrency": "EUR"}], amortized=[REGULAR])
    delivery = take(path, tmp_path, format="azure")
    assert [(c["file"], c["row"], c["billing_currency"]) for c in charges(delivery)] == [(0, 2, "EUR"), (1, 1, "USD")]


def test_equal_rows_stay_two_in_the_export_that_counts(tmp_path):
    delivery = take(bill(tmp_path, actual=[REGULAR] * 2, amortized=[REGULAR] * 2), tmp_path, format="azure")
    assert totals(delivery) == (cost([REGULAR] * 2),) * 2
    assert [f.aside for f in delivery.files] == [2, 0]


def test_exports_that_bill_different_amounts_are_told_with_the_difference(tmp_path):
    """Such as two exports of an open month that were not made at the same time."""
    path = bill(tmp_path, actual=[REGULAR, REGULAR | {"Cost": "1"}], amortized=[REGULAR])
    delivery = take(path, tmp_path, format="azure")
    assert totals(delivery) == (cost([REGULAR]),) * 2
    [gap] = [gap for gap in delivery.gaps if gap.reason == "broken_identity"]
    assert (gap.cost, gap.currency) == (1, "USD")
    assert gap.detail == "the actual export bills other amounts than the amortized one, which counts"


def test_a_row_that_cant_be_read_in_one_export_is_taken_from_the_other(tmp_path):
    """An unreadable row that the amortized export tells is set aside; one that it can't tell either is rejected."""
    broken = REGULAR | {"Cost": "much"}
    delivery = take(bill(tmp_path, actual=[broken], amortized=[REGULAR, COVERED]), tmp_path, format="azure")
    assert (rejects(delivery), totals(delivery)[0]) == ([], cost([REGULAR]))
    delivery = take(bill(tmp_path, actual=[REGULAR], amortized=[broken, COVERED]), tmp_path, format="azure")
    assert [(r["file"].split("/")[-1], r["code"]) for r in rejects(delivery)] == [("amortized.csv", "B040")]
    assert totals(delivery)[0] == cost([REGULAR]), "the amortized export has no good row of it"


def test_parts_of_an_export_are_one_and_so_are_header_generations(tmp_path):
    """Only one part need show which export they are; columns may be in another order in another month."""
    renamed = [{("CostInBillingCurrency" if k == "Cost" else k): v for k, v in reversed(REGULAR.items())}]
    path = bill(
        tmp_path,
        x__part_0_0001=[REGULAR, BOUGHT],
        x__part_0_0002=[REGULAR],
        y__part_0_0001=[REGULAR | {"CostCenter": "2"}],
        y__part_0_0002=[COVERED | {"CostCenter": "1"}],
        z__amortized=renamed,
    )
    delivery = take(path, tmp_path, format="azure")
    assert [f.version for f in delivery.files] == ["EA actual"] * 2 + ["EA amortized"] * 3
    assert totals(delivery) == (cost([REGULAR] * 2) + 365, cost([REGULAR] * 2 + [COVERED]))
    assert "another part says that it is the actual export" in delivery.why
    assert "row 1 says that it is the amortized export" in delivery.why


@pytest.mark.parametrize(
    ("options", "manifest", "name", "version"),
    [
        ({"dataset": "amortized"}, {}, "actual", "EA amortized"),
        ({}, {"exportConfig": {"type": "AmortizedCost"}}, "actual", "EA amortized"),
        ({}, {"exportConfig": {"type": "ActualCost"}}, "x", "EA actual"),
        ({}, {"exportConfig": {"type": "Usage"}}, "x", "EA actual"),
        ({}, {}, "AmortisedCost__part1", "EA amortized"),
        ({}, {}, "amortized__ActualCost", "EA actual"),
        ({}, {}, "amortized__actual-vs-amortized", "EA amortized"),
        ({}, {}, "x", "EA"),
    ],
)
def test_which_export_a_file_is_is_said_by_configuration_manifest_or_the_nearest_name(
    options, manifest, name, version, tmp_path
):
    bill(tmp_path, **{name: [REGULAR]})
    [path] = (tmp_path / "bills").rglob("*.csv")
    (path.parent / "manifest.json").write_text(json.dumps({"blobs": [{"blobName": path.name}], **manifest}))
    assert take("bills", tmp_path, format="azure", options=options).version == version


def test_a_file_that_may_be_either_export_is_refused_beside_another_of_its_month(tmp_path):
    path = bill(tmp_path, a=[REGULAR], amortized=[COVERED])
    [said] = refused("bills", tmp_path, format="azure")
    assert said == (
        "bills/a.csv B234 may be the actual or the amortized export, and so does not go together with "
        "bills/amortized.csv: both tell of 11111111-aaaa-4aaa-8aaa-111111111111 in 2026-09, and charges may count "
        "twice; set `options: {dataset: actual}` or `amortized` for this source, or say it in the folder's name"
    )
    (path / "amortized.csv").unlink()
    bill(tmp_path, b=[REGULAR | {"SubscriptionId": "other"}])
    assert len(charges(take("bills", tmp_path, format="azure"))) == 2, "nothing in common: nothing counts twice"


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        (
            "a",
            [BOUGHT, COVERED],
            "bills/a.csv B232 holds rows of both exports: row 1 only the actual export has, row 2",
        ),
        ("actual", [REGULAR, COVERED], "bills/actual.csv:3:1 B233 is said to be the actual export (actual.csv in its"),
        ("amortized", [BOUGHT], "bills/amortized.csv:2:1 B233 is said to be the amortized export"),
        ("actual", [UNUSED], "bills/actual.csv:2:1 B233 is said to be the actual export"),
    ],
)
def test_rows_that_contradict_what_is_said_of_their_file_are_refused(name, told, said, tmp_path):
    bill(tmp_path, **{name: told})
    [problem] = refused("bills", tmp_path, format="azure")
    assert problem.startswith(said)


def test_azures_own_cost_allocation_is_kept_on_request_and_must_add_up_to_nothing(tmp_path):
    shared = [row for row in ACTUAL if row["CostAllocationRuleName"]]
    path = bill(tmp_path, actual=[REGULAR, *shared], amortized=[REGULAR, *shared])
    delivery = take(path, tmp_path, format="azure", options={"cost_allocation": "keep"})
    found = {c["sub_account_id"][:4]: c["billed_cost"] for c in charges(delivery) if abs(c["billed_cost"]) == 5}
    assert found == {"1111": -5, "2222": 5}
    assert gaps(delivery) == [("set_aside", 3, cost([REGULAR]))]
    (path / "amortized.csv").unlink()
    delivery = take(bill(tmp_path, actual=[shared[0]]), tmp_path, format="azure", options={"cost_allocation": "keep"})
    assert ("broken_identity", 1, 5) in gaps(delivery)


def test_two_runs_of_one_exports_month_are_refused(tmp_path):
    """Each run holds the month so far. Another month is another run, and parts of one run go together."""
    run = "daily__20260901-20260930__20260910"
    bill(tmp_path, **{f"{run}1200__g__01": [REGULAR], f"{run}1200__g__02": [BOUGHT], "daily__20260801-20260831__r__01": [REGULAR | {"Date": "08/01/2026"}]})  # fmt: skip
    assert len(charges(take("bills", tmp_path, format="azure", options={"dataset": "actual"}))) == 3
    bill(tmp_path, **{"daily__20260901-20260930__202609111200__g__01": [REGULAR | {"Quantity": "1"}]})
    [said] = refused("bills", tmp_path, format="azure", options={"dataset": "actual"})
    assert said == (
        "bills/daily/20260901-20260930/202609111200/g/01.csv B235 is another run of bills/daily/20260901-20260930 beside "
        "bills/daily/20260901-20260930/202609101200/g/01.csv: charges would count twice; "
        "keep one run of each month, the newest, or let the export overwrite its data"
    )


def test_two_exports_of_the_same_day_are_refused(tmp_path):
    day, guid = "20260901-20260930", "costs_2d1e2c1a-55c4-4b5f-8a53-6d4f7a3b9c10"
    bill(tmp_path, **{f"daily__{day}__r__01": [REGULAR], f"month__{day}__{guid}": [REGULAR | {"Quantity": "1"}]})
    [said] = refused("bills", tmp_path, format="azure", options={"dataset": "actual"})
    assert said == (
        f"bills/month/{day} B236 and bills/daily/{day} both tell of 11111111-aaaa-4aaa-8aaa-111111111111 on 2026-09-01: "
        "charges would count twice; keep one of the two exports in this source"
    )


def test_cost_details_beside_the_focus_export_of_a_day_are_refused(tmp_path):
    """A container may hold both; another day may come in the other format."""
    focus = rows(
        {"SubAccountId": f"/subscriptions/{REGULAR['SubscriptionId']}", "ChargePeriodStart": "2026-09-01T00:00:00Z"}
    )
    azures = {"x_SkuMeterId": "1", "x_SkuMeterCategory": "Virtual Machines"}
    bill(tmp_path, actual=[REGULAR], focus=[focus[0] | azures])
    [said] = refused("bills", tmp_path, format="auto")
    assert said.startswith(
        "bills/focus.csv B236 and bills/actual.csv both tell of 11111111-aaaa-4aaa-8aaa-111111111111"
    )
    bill(tmp_path, focus=[focus[0] | azures | {"ChargePeriodStart": "2026-09-02"}])
    assert len(charges(take("bills", tmp_path, format="auto"))) == 2


def test_the_same_input_gives_the_same_bytes_for_any_number_of_threads(tmp_path):
    path = bill(tmp_path, actual=ACTUAL * 40, amortized=AMORTIZED * 40)
    one, two = (take(path, tmp_path, format="azure", threads=threads) for threads in (1, 3))
    assert one.charges.read_bytes() == two.charges.read_bytes()


def test_a_customer_agreement_without_the_column_of_benefits_is_judged_by_the_reservation(tmp_path):
    """PricingModel says what a row is; where it is empty, the id of a reservation does."""
    lacking = ("benefitId", "benefitName")
    covered = mca(reservationId="R-1", pricingModel="", chargeType="Usage")
    standard = mca(reservationId="R-1", pricingModel="OnDemand")
    to_csv(
        tmp_path / "amortized.csv",
        [{k: v for k, v in row.items() if k not in lacking} for row in (covered, standard)],
    )
    found = charges(take("amortized.csv", tmp_path, format="azure"))
    assert [(c["billed_cost"], c["commitment_discount_id"], c["commitment_discount_status"]) for c in found] == [
        (0, "r-1", "Used"),
        (Decimal("0.055"), None, None),
    ]
