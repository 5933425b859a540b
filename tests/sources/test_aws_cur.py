"""AWS's Cost and Usage Report, legacy and 2.0, becomes charges that add up to what the invoice asks."""

from __future__ import annotations

import csv
import gzip
import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.engine.duckdb import open_engine
from governor.sources.billing import aws_cur
from governor.sources.billing.aws_services import CATEGORIES
from governor.sources.billing.layout import Asked
from governor.sources.billing.tags import PREFIXED, read_tags
from tests.bills import charges, refused, rejects, tags, take, to_csv

CASES = Path(__file__).parent.parent / "cases/billing/aws_cur"
COSTS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
TYPE, COST = "lineItem/LineItemType", "lineItem/UnblendedCost"
PLAN = "arn:aws:savingsplans::000123456789:savingsplan/5f5a0e3c-1111"


def records(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def legacy(*changes: dict[str, str]) -> list[dict[str, str]]:
    """The first row of the legacy case, once for each set of changes."""
    return [records(CASES / "legacy.csv")[0] | change for change in changes]


def snake(name: str) -> str:
    """Spell a legacy column as Parquet and Athena do: `savingsPlan/SavingsPlanARN` has an underscore a letter."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z])", "_", name)
    return re.sub(r"[^A-Za-z0-9]+", "_", parts).lower()


def typed(rows: list[dict[str, str]], numbers: str, maps: tuple[str, ...] = ()) -> pa.Table:
    """Rows as AWS writes them to Parquet: amounts as doubles, moments without a zone, maps of text."""
    table: dict[str, Any] = {}
    for name in rows[0]:
        cells = [row[name] or None for row in rows]
        if name in maps:
            pairs = [list(json.loads(cell or "{}").items()) for cell in cells]
            texts = [[(key, str(value)) for key, value in row] for row in pairs]
            table[name] = pa.array(texts, pa.map_(pa.string(), pa.string()))
        elif re.search(numbers, name):
            table[name] = pa.array([None if c in (None, "None", "much") else float(c) for c in cells], pa.float64())
        elif name.endswith("_date"):
            table[name] = pa.array([datetime.fromisoformat(c[:19]) for c in cells if c], pa.timestamp("ms"))
        else:
            table[name] = pa.array(cells, pa.string())
    return pa.table(table)


AMOUNTS = r"cost$|commitment|unused_|split_usage|usage_amount|effective_cost|recurring_fee|upfront_cost"
MAPS = ("product", "resource_tags", "cost_category", "discount")


def costs(path: Path | str, tmp: Path, **options: Any) -> list[tuple[Any, ...]]:
    found = charges(take(path, tmp, format="auto", **options))
    return sorted((c["row"], *(c[name] for name in COSTS), c["commitment_discount_status"] or "") for c in found)


def test_every_line_item_type_becomes_what_the_case_says(tmp_path):
    """Fees make a purchase and an unused part; covered usage carries its amortised cost; nothing is lost."""
    delivery = take(CASES / "legacy.csv", tmp_path, format="aws_cur")
    expected = records(CASES / "legacy.expected.csv")
    found = [charge | {"tags": tag} for charge, tag in zip(charges(delivery), tags(delivery), strict=True)]
    found.sort(key=lambda charge: (charge["row"], charge["commitment_discount_status"] == "Unused"))
    assert [charge["row"] for charge in found] == [int(row["row"]) for row in expected]
    for charge, row in zip(found, expected, strict=True):
        for name, value in row.items():
            wanted = (Decimal(value) if value else None) if name in COSTS else value
            assert (charge[name] if name in COSTS else str(charge[name] or "")) == wanted, (row, name)
    assert [(r["row"], r["column"], r["code"]) for r in rejects(delivery)] == [
        (30, "EffectiveCost", "B043"),
        (31, "amortised", "B040"),
        (32, "EffectiveCost", "B043"),
        (33, "BilledCost", "B040"),
    ]
    told = {(gap.reason, gap.rows, gap.cost) for gap in delivery.gaps}
    assert told == {("rejected_rows", 4, None), ("set_aside", 2, Decimal("0.06"))}, "a pod's share is in its instance"
    first = found[0]
    assert (first["billing_account_id"], first["sub_account_id"]) == ("000123456789", "000000000042")
    assert (first["resource_id"], first["region_id"], first["invoice_id"]) == ("i-0abc", "us-east-1", "1234567890")
    assert first["charge_period_start"] == datetime(2026, 9, 2, 10)
    used = [charge for charge in found if charge["commitment_discount_status"] == "Used"]
    assert sum(charge["billed_cost"] for charge in used) == 0, "what a commitment covers is billed with its fees"
    market = next(charge for charge in found if charge["row"] == 8)
    assert (market["host_provider_name"], market["service_provider_name"]) == (None, "AWS")
    assert (market["service_name"], market["invoice_id"]) == ("Red Hat Enterprise Linux", "M-77")


def test_what_belongs_to_an_earlier_month_is_a_correction(tmp_path):
    """AWS marks none; usage, refunds and credits of a closed month come with a later invoice."""
    august = {"lineItem/UsageStartDate": "2026-08-31T23:00:00Z", "lineItem/UsageEndDate": "2026-09-01T00:00:00Z"}
    to_csv(tmp_path / "a.csv", legacy({}, august))
    delivery = take("a.csv", tmp_path, format="aws_cur", columns=frozenset({"x_costCategory_LineOfBusiness"}))
    assert [c["charge_class"] for c in charges(delivery)] == [None, "Correction"]
    assert [c["billing_period"] for c in charges(delivery)] == ["2026-09", "2026-09"]
    assert {c["x_cost_category_line_of_business"] for c in charges(delivery)} == {"Retail"}


def test_what_was_bought_at_a_price_has_a_quantity(tmp_path):
    """FOCUS wants one of purchases too; a fee without a price, a negation and an unused part have none."""
    amount = {"lineItem/UsageAmount": "744", "pricing/RateCode": "A.B.C", "pricing/unit": "Hrs"}
    unused = {"reservation/UnusedRecurringFee": "1", "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": "0"}
    changes = [
        amount | {"lineItem/LineItemType": "RIFee"} | unused,
        amount | {"lineItem/LineItemType": "Fee"},
        amount | {"lineItem/LineItemType": "Fee", "pricing/RateCode": ""},
        amount | {"lineItem/LineItemType": "SavingsPlanNegation"},
    ]
    to_csv(tmp_path / "a.csv", legacy(*changes))
    delivery = take("a.csv", tmp_path, format="aws_cur", columns=frozenset({"PricingQuantity", "ConsumedQuantity"}))
    found = [(c["row"], c["pricing_quantity"], c["consumed_quantity"]) for c in charges(delivery)]
    assert sorted(found, key=str) == [(1, 744, None), (1, None, None), (2, 744, None), (3, None, None), (4, None, None)]


def test_what_is_billed_is_the_sum_of_the_unblended_costs(tmp_path):
    """Whatever a row is: charges and rejected rows together ask what the report asks."""
    delivery = take(CASES / "legacy.csv", tmp_path, format="aws_cur")
    rejected = {r["row"] for r in rejects(delivery)}
    rows = [row for at, row in enumerate(records(CASES / "legacy.csv"), 1) if at not in rejected]
    assert sum(c["billed_cost"] for c in charges(delivery)) == sum(Decimal(row[COST] or 0) for row in rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_spelling_of_athena_and_parquet_is_read_alike(kind, tmp_path):
    """Doubles and moments come typed there. What a tag's column lost of its key can't be turned back."""
    rows = [{snake(name): value for name, value in row.items()} for row in records(CASES / "legacy.csv")]
    assert "savings_plan_savings_plan_a_r_n" in rows[0]
    if kind == "csv":
        to_csv(tmp_path / "a.csv", rows)
    else:
        pq.write_table(typed(rows, AMOUNTS), tmp_path / "a.parquet")
    delivery = take(f"a.{kind}", tmp_path, format="auto")
    assert delivery.version == "legacy"
    assert costs(f"a.{kind}", tmp_path) == costs(CASES / "legacy.csv", tmp_path)
    assert tags(delivery)[0] == '{"aws_created_by":"IAMUser:AIDA:ann","cost_center":"cc-7","owner":"web@a.example"}'


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_2_0_is_read_with_its_maps_and_after_its_discounts(kind, tmp_path):
    """What is billed is after discounts; a discount's own row then costs nothing. One that doesn't say so is rejected."""
    rows = records(CASES / "cur2.csv")
    if kind == "csv":
        to_csv(tmp_path / "a.csv", rows)
    else:
        pq.write_table(typed(rows, AMOUNTS + "|discount$", MAPS), tmp_path / "a.parquet")
    wanted = frozenset(
        {"x_CostCategory_CostCenter", "x_cost_category_line_of_business", "x_product_instance_type_family"}
    )
    delivery = take(f"a.{kind}", tmp_path, format="auto", columns=wanted | {"SubAccountName"})
    assert delivery.version == "2.0"
    assert delivery.why.endswith("it has product, resource_tags, cost_category, which came with 2.0")
    found = sorted(charges(delivery), key=lambda c: (c["row"], c["commitment_discount_status"] == "Unused"))
    assert [(c["row"], c["charge_category"], str(c["billed_cost"].normalize()), str(c["effective_cost"].normalize())) for c in found] == [
        (1, "Usage", "0.0963", "0.0963"),
        (2, "Adjustment", "0", "0"),
        (3, "Usage", "0.25", "0.25"),
        (4, "Usage", "0", "0.063"),
        (5, "Purchase", "18", "0"),
        (5, "Usage", "0", "2.7"),
        (6, "Usage", "0.2", "0.108"),
        (7, "Adjustment", "-0.2", "0"),
        (8, "Purchase", "0.135", "0"),
        (8, "Usage", "0", "0.03"),
    ]  # fmt: skip
    assert [(r["row"], r["column"]) for r in rejects(delivery)] == [(9, "BilledCost")]
    one, storage = found[0], found[2]
    assert (one["service_name"], one["region_id"]) == ("Amazon Elastic Compute Cloud", "eu-west-1")
    assert (storage["service_name"], storage["service_category"]) == ("Amazon Simple Storage Service", "Storage")
    assert (one["sub_account_name"], one["billing_account_name"]) == ("shop", "Payer")
    assert one["invoice_issuer_name"] == "Amazon Web Services EMEA SARL"
    assert [one[name] for name in ("x_cost_category_cost_center", "x_cost_category_line_of_business")] == [
        "Shop",
        "Retail",
    ]
    assert (one["x_product_instance_type_family"], storage["x_product_instance_type_family"]) == ("m5", None)
    assert tags(delivery)[:2] == [
        '{"aws_created_by":"IAMUser:AIDA:ann","cost_center":"cc-7","owner":"web@a.example"}',
        "{}",
    ]
    assert {g.reason for g in delivery.gaps} == {"rejected_rows", "assumption"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"user_owner":"a","aws_created_by":"b","user:team":"c","owner_x":"d"}',
         {"aws_created_by": "b", "owner": "a", "owner_x": "d", "team": "c"}),
        ('{"resourceTags/department":"A","resourceTags/aws:createdBy":"x","userAttribute/department":"B",'
         '"accountTag/department":"C","accountTag/app":"3","costCategory/department":"D"}',
         {"app": "3", "aws:createdBy": "x", "department": "A", "userAttribute/department": "B"}),
        ('{"resourceTags/user_name":"kept"}', {"user_name": "kept"}),
        ("", {}),
        ("{}", {}),
        ("{user_owner=a}", None),
        ('["user_owner"]', None),
    ],
)  # fmt: skip
def test_prefixes_of_a_tag_map_say_where_a_tag_was_set(raw, expected):
    """The resource's own tags hide its account's; cost categories are no tags; what can't be read is unread."""
    found = read_tags(PREFIXED + raw)
    assert (found and found.tags) == expected


def test_two_tags_that_become_one_key_are_told(tmp_path):
    """Neither overwrites the other in silence: the first that isn't empty counts, and a gap says so."""
    assert read_tags(PREFIXED + '{"user_owner":"a","user:owner":"b"}').conflict
    to_csv(tmp_path / "a.csv", legacy({"resourceTags/owner": "other"}))
    delivery = take("a.csv", tmp_path, format="aws_cur")
    assert '"owner":"other"' in tags(delivery)[0] or '"owner":"web@a.example"' in tags(delivery)[0]
    assert [gap.rows for gap in delivery.gaps if gap.reason == "duplicate_tag_keys"] == [1]


def test_the_map_of_all_tags_is_read_instead_of_that_of_resources(tmp_path):
    """It has all the other has, with keys as they really are; cost categories can be asked for all the same."""
    rows = [
        {name: value for name, value in row.items() if name != "cost_category"}
        | {"tags": json.dumps({"resourceTags/cost-center": "cc-7", "costCategory/Line of Business": "Retail"})}
        for row in records(CASES / "cur2.csv")[:1]
    ]
    to_csv(tmp_path / "a.csv", rows)
    pq.write_table(typed(rows, AMOUNTS, (*MAPS, "tags")), tmp_path / "a.parquet")
    for kind in ("csv", "parquet"):
        delivery = take(f"a.{kind}", tmp_path, format="auto", columns=frozenset({"x_CostCategory_LineOfBusiness"}))
        assert tags(delivery) == ['{"cost-center":"cc-7"}']
        assert charges(delivery)[0]["x_cost_category_line_of_business"] == "Retail"


TAG_COLUMNS = ("resourceTags/user:b", "resourceTags/aws:z", 'resourceTags/user:a"q', "resourceTags/user:ü")


def test_tags_of_columns_are_written_as_they_would_be_read(tmp_path):
    """So the engine need not read them again: whatever stands in the cells."""
    other = [name for name in legacy({})[0] if not name.startswith("resourceTags/")]
    layout = aws_cur.read_header((*TAG_COLUMNS, *other), Asked("a", ["text"] * 100))
    keys, columns = ("b", "aws:z", 'a"q', "ü"), ", ".join(f"? AS c{at}" for at in range(len(TAG_COLUMNS)))
    with open_engine(work=tmp_path) as engine:

        @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=4, max_size=4))
        def holds(values: list[str]) -> None:
            [(raw,)] = engine.rows(f"SELECT {layout.tags} FROM (SELECT {columns})", values)
            found = read_tags(raw)
            assert found is not None
            assert found.tags == {key: value for key, value in zip(keys, values, strict=True) if value}
            assert list(found.tags) == sorted(found.tags)
            assert "\\" in raw or found.text == raw

        holds()
    assert layout.canonical_tags


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        ("DiscountedUsage", ["reservation/EffectiveCost"]),
        ("SavingsPlanCoveredUsage", ["savingsPlan/SavingsPlanEffectiveCost"]),
        ("RIFee", ["reservation/UnusedRecurringFee"]),
        ("SavingsPlanRecurringFee", ["savingsPlan/TotalCommitmentToDate", "savingsPlan/UsedCommitment"]),
    ],
)
def test_rows_whose_amortised_cost_has_no_column_make_the_file_unusable(kind, lacking, tmp_path):
    """Nobody knows what they cost, and the cost before amortisation is another one. Without such rows nothing is amiss."""
    rows = [{k: v for k, v in row.items() if k not in lacking} for row in legacy({}, {TYPE: kind}, {TYPE: kind})]
    to_csv(tmp_path / "a.csv", rows)
    [said] = refused("a.csv", tmp_path, format="aws_cur")
    assert said == (
        f"a.csv B210 2 rows are {kind}, and there is no column {' and none '.join(lacking)}: "
        "their cost is unknown; export it too"
    )
    to_csv(tmp_path / "a.csv", rows[:1])
    assert len(charges(take("a.csv", tmp_path, format="aws_cur"))) == 1


def test_a_report_of_nothing_but_its_least_columns_is_read(tmp_path):
    """The columns change each month: what isn't there is missing, and tags that have no column are unknown."""
    needed = (TYPE, COST, "lineItem/UsageAccountId", "bill/PayerAccountId", "lineItem/CurrencyCode")
    needed += ("bill/BillingPeriodStartDate", "lineItem/UsageStartDate")
    to_csv(
        tmp_path / "a.csv", [{name: row[name] for name in needed} for row in legacy({}, {TYPE: "Fee"}, {TYPE: "Tax"})]
    )
    delivery = take("a.csv", tmp_path, format="auto")
    assert [(c["charge_category"], c["effective_cost"], c["service_category"]) for c in charges(delivery)] == [
        (category, Decimal("0.096"), "Other") for category in ("Usage", "Purchase", "Tax")
    ]
    assert {"list_cost", "resource_id", "service_name", "tag_set"} - {"service_name"} <= delivery.missing
    assert [(gap.reason, gap.scope) for gap in delivery.gaps] == [("assumption", ""), ("missing_column", "Tags")]
    for lacking in needed[4:]:
        to_csv(tmp_path / "b.csv", [{k: v for k, v in legacy({})[0].items() if k != lacking}])
        [said] = refused("b.csv", tmp_path, format="auto")
        assert said == (
            f"b.csv:1:1 B211 isn't an AWS Cost and Usage Report that can be read: it has no column {lacking}; export it too"
        )


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (["line_item_net_unblended_cost"], "missing_column"),
        (
            ["line_item_net_unblended_cost", "discount", "discount_bundled_discount", "discount_total_discount"],
            "assumption",
        ),
    ],
)
def test_costs_that_may_be_before_discounts_are_told(lacking, reason, tmp_path):
    """2.0 has discounts in a map: without the cost after them more may be billed than the invoice asks."""
    row = {name: value for name, value in records(CASES / "cur2.csv")[2].items() if name not in lacking}
    to_csv(tmp_path / "a.csv", [row])
    delivery = take("a.csv", tmp_path, format="auto")
    assert [gap.reason for gap in delivery.gaps if "NetUnblendedCost" in gap.detail] == [reason]


PLAN_USAGE = {TYPE: "SavingsPlanCoveredUsage", COST: "0", "savingsPlan/SavingsPlanARN": PLAN}
BOTH = {"savingsPlan/SavingsPlanEffectiveCost": "1", "savingsPlan/NetSavingsPlanEffectiveCost": "0.9"}


def test_discounts_are_taken_off_once(tmp_path):
    """Of what commitments cost as of what is billed: where discounts are rows of their own, both are before them."""
    discount = {TYPE: "EdpDiscount", COST: "-0.1"}
    to_csv(
        tmp_path / "a.csv",
        [
            row | dict.fromkeys(BOTH, "") | own
            for own in (BOTH, {})
            for row in legacy(PLAN_USAGE | own if own else discount)
        ],
    )
    assert sum(c["effective_cost"] for c in charges(take("a.csv", tmp_path, format="aws_cur"))) == Decimal("0.9")
    net = {"lineItem/NetUnblendedCost": "0"}
    to_csv(
        tmp_path / "b.csv",
        [
            row | dict.fromkeys(BOTH, "") | net | own
            for own in (BOTH, {})
            for row in legacy(PLAN_USAGE | own if own else discount)
        ],
    )
    assert sum(c["effective_cost"] for c in charges(take("b.csv", tmp_path, format="aws_cur"))) == Decimal("0.9")


def test_the_contracted_price_is_that_of_what_is_billed(tmp_path):
    """After discounts where the cost is; where only the price before them is known, there is none."""
    net = {"lineItem/NetUnblendedCost": "0.0912"}
    for own, price in (({}, "0.096"), (net | {"lineItem/NetUnblendedRate": "0.0912"}, "0.0912"), (net, None)):
        to_csv(tmp_path / "a.csv", legacy(own))
        wanted = frozenset({"ContractedUnitPrice"})
        [charge] = charges(take("a.csv", tmp_path, format="aws_cur", columns=wanted))
        assert charge["contracted_unit_price"] == (price and Decimal(price))


@pytest.mark.parametrize(("lacking", "cost"), [(0, "0.9"), (1, "1")])
def test_what_commitments_cost_before_discounts_is_told(lacking, cost, tmp_path):
    """Beside costs after discounts their amortised cost must be after them too; either column alone is read."""
    gone = [*BOTH][lacking]
    rows = legacy(PLAN_USAGE | BOTH | {"lineItem/NetUnblendedCost": "0"}, {"lineItem/NetUnblendedCost": "0.09"} | BOTH)
    to_csv(tmp_path / "a.csv", [{name: value for name, value in row.items() if name != gone} for row in rows])
    delivery = take("a.csv", tmp_path, format="aws_cur")
    assert charges(delivery)[0]["effective_cost"] == Decimal(cost)
    told = [(gap.rows, gap.cost) for gap in delivery.gaps if "is taken before discounts" in gap.detail]
    assert [one for one in told if one[0]] == ([(1, Decimal(1))] if lacking else [])


def test_fees_that_may_be_of_reservations_make_a_run_incomplete(tmp_path):
    """A report that tells what reservations cost and not their ARN: an upfront fee would count beside its usage."""
    gone = "reservation/ReservationARN"
    to_csv(tmp_path / "a.csv", [{k: v for k, v in row.items() if k != gone} for row in legacy({TYPE: "Fee"})])
    found = take("a.csv", tmp_path, format="aws_cur").gaps
    assert [gap.reason for gap in found if gone in gap.detail] == ["missing_column"]


def test_a_column_twice_and_another_format_are_refused(tmp_path):
    to_csv(tmp_path / "a.csv", [legacy({})[0] | {"line_item_unblended_cost": "1"}])
    [said] = refused("a.csv", tmp_path, format="auto")
    assert "B012 has the column lineItem/UnblendedCost 2 times" in said
    to_csv(tmp_path / "a.csv", legacy({}))
    [said] = refused("a.csv", tmp_path, format="focus")
    assert "isn't FOCUS: it looks like an AWS Cost and Usage Report (it has lineItem/LineItemType" in said
    assert said.endswith("set `format: aws_cur`, or leave `format` out")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("20260901-20261001/5a1e/cur-1.csv", "20260901-20261001/77bc/cur-1.csv"),
        (
            "data/BILLING_PERIOD=2026-09/2026-10-01T08_00-a/cur.csv",
            "data/BILLING_PERIOD=2026-09/2026-10-02T08_00-b/cur.csv",
        ),
        ("hourly/20260901-20261001/hourly-1.csv", "daily/20260901-20261001/daily-1.csv"),
        ("a/data/BILLING_PERIOD=2026-09/a-00001.csv", "b/data/BILLING_PERIOD=2026-09/b-00001.csv"),
        ("hourly/hourly/year=2026/month=9/hourly-00001.csv", "daily/daily/year=2026/month=9/daily-00001.csv"),
    ],
)
def test_two_deliveries_of_one_month_are_refused(first, second, tmp_path):
    """Kept beside each other, or of two reports of one account: the month would count twice. Other months don't matter."""
    to_csv(tmp_path / "bills" / first, legacy({}))
    to_csv(tmp_path / "bills" / second, legacy({}, {}))
    [said] = refused("bills", tmp_path, format="auto")
    assert " B194 is a legacy " in said
    assert "its charges would count twice; keep one of the two in this source" in said
    october = {"bill/BillingPeriodStartDate": "2026-10-01T00:00:00Z"}
    to_csv(tmp_path / "bills" / second, legacy(october, october))
    assert len(charges(take("bills", tmp_path, format="auto"))) == 3


def test_the_parts_of_one_delivery_are_one_bill(tmp_path):
    for part in ("1", "2"):
        to_csv(tmp_path / f"bills/20260901-20261001/5a1e/cur-{part}.csv", legacy(*[{}] * int(part)))
    assert len(charges(take("bills", tmp_path, format="auto"))) == 3


def test_negations_that_dont_offset_what_a_savings_plan_covers_are_told(tmp_path):
    """Each is rounded to ten digits, so what is less than a cent is rounding."""

    def plan(cost: str, kind: str) -> dict[str, str]:
        return {TYPE: kind, COST: cost, "savingsPlan/SavingsPlanARN": PLAN, "savingsPlan/SavingsPlanEffectiveCost": "1"}

    for negation, told in (("-2.0000000001", []), ("-1.98", [Decimal("0.02")])):
        to_csv(tmp_path / "a.csv", legacy(plan("2", "SavingsPlanCoveredUsage"), plan(negation, "SavingsPlanNegation")))
        delivery = take("a.csv", tmp_path, format="aws_cur")
        assert [gap.cost for gap in delivery.gaps if gap.reason == "broken_identity"] == told
        assert sum(c["billed_cost"] for c in charges(delivery)) == 2 + Decimal(negation)


def test_every_product_code_has_a_category_of_focus():
    assert CATEGORIES["AmazonEC2"] == "Compute"
    assert len(CATEGORIES) == len({code.lower() for code in CATEGORIES}), "no code stands under two categories"
    assert set(CATEGORIES.values()) <= {
        "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools",
        "Multicloud", "Identity", "Integration", "Internet of Things", "Management and Governance", "Media",
        "Migration", "Mobile", "Networking", "Security", "Storage", "Web", "Other",
    }  # fmt: skip
