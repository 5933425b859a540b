"""governor collect billing --to focus: a FOCUS 1.4 file that an outside judge accepts and that reads back unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from focus_data_toolkit.model.validator import load_model

from governor.collect import Collected, Options, collect
from governor.collect.focus import LISTS, MANDATORY, SUBCATEGORIES
from governor.config import load
from governor.engine.ingest import EVERY
from governor.model import Refused
from governor.tables import FOCUS
from tests.bills import charges, rows, tags, take, to_csv, to_parquet
from tests.collect.judge import DATASET, complaints, read
from tests.collect.test_collect import project
from tests.test_cli import governor

FULL = {
    "InvoiceIssuerName": "Cloud Inc.",
    "ProviderName": "Cloud",
    "PublisherName": "Cloud",
    "ServiceCategory": "Compute",
    "ChargeFrequency": "Usage-Based",
}


def write(tmp: Path, table: list[dict[str, Any]], source: str = "", **options: Any) -> Collected:
    """Write a bill and collect it as FOCUS."""
    to_csv(tmp / "bill.csv", table)
    return focus(tmp, f"{{name: aws, path: bill.csv{source}}}", **options)


def focus(tmp: Path, *sources: str, **options: Any) -> Collected:
    return collect(load(project(tmp, *sources)), tmp / "focus", (), Options(to="focus", **options))


def written(collected: Collected, source: str = "aws") -> Path:
    [path] = (collected.folder / source).glob("cost_and_usage.*")
    return path


def test_the_judges_model_and_ours_are_one() -> None:
    """Mandatory columns and closed lists, compared with the FOCUS 1.4 model of somebody else."""
    model = load_model()
    columns = model["datasets"][DATASET]["columns"]
    names = {c.name: c.note for c in FOCUS}
    assert {names[name] for name in MANDATORY} == {n for n, c in columns.items() if c["feature_level"] == "Mandatory"}
    assert {*names.values(), "Tags", "AllocatedTags"} == set(columns)
    assert {names[name]: set(values) for name, values in LISTS.items()} == {
        name: set(column["allowed_values"]) for name, column in columns.items() if column["allowed_values"]
    }
    parents = {sub: category for category, subs in SUBCATEGORIES.items() for sub in (*subs, f"Other ({category})")}
    assert parents == model["service_subcategory_parents"]


def test_columns_have_focus_names_and_only_those_that_the_source_has(tmp_path: Path) -> None:
    """Every mandatory column, optional ones with a value, none of the provider's, no ProviderName."""
    names = set(read(written(write(tmp_path, rows(FULL | {"SkuId": "S1", "SkuMeter": "", "x_UsageType": "u"}))))[0])
    notes = {c.name: c.note for c in FOCUS}
    assert names == {notes[name] for name in MANDATORY} | {"ChargeFrequency", "SubAccountId", "SkuId", "Tags"}


def test_values_are_written_as_focus_writes_them(tmp_path: Path) -> None:
    """Plain decimals, UTC moments with T and Z, enumerations by their names, tags as JSON, missing as nothing."""
    row = FULL | {
        "BilledCost": "1.2E-10", "EffectiveCost": "-0", "ListCost": "100", "ChargePeriodStart": "2026-09-02 12:00+02:00",
        "ChargeCategory": "usage", "ServiceCategory": "ai and machine-learning", "ChargeFrequency": "usage based",
        "Tags": "[{'key': 'a', 'value': 'ü'}]", "ChargeDescription": 'a, "b"\nc',
    }  # fmt: skip
    [csv] = read(written(write(tmp_path, rows(row), csv=True)))
    assert csv["BilledCost"] == "0.00000000012"
    assert (csv["EffectiveCost"], csv["ListCost"]) == ("0", "100")
    assert (csv["ChargePeriodStart"], csv["BillingPeriodEnd"]) == ("2026-09-02T10:00:00Z", "2026-10-01T00:00:00Z")
    assert (csv["ChargeCategory"], csv["ServiceCategory"]) == ("Usage", "AI and Machine Learning")
    assert (csv["ChargeFrequency"], csv["Tags"], csv["ChargeClass"]) == ("Usage-Based", '{"a":"ü"}', None)
    assert csv["ChargeDescription"] == 'a, "b"\nc'
    [typed] = read(written(write(tmp_path, rows(row))))
    assert typed["BilledCost"] == Decimal("1.2E-10")
    assert typed["ChargePeriodStart"] == datetime(2026, 9, 2, 10, tzinfo=UTC)
    schema = pq.read_schema(written(focus(tmp_path, "{name: aws, path: bill.csv}")))
    assert schema.field("BilledCost").type == pa.decimal128(38, 24)
    assert schema.field("ChargePeriodStart").type == pa.timestamp("us", tz="UTC")


# what is changed in the row, what the file then says, and what is told of it
FILLS = {
    "no price at all": (
        {"ListCost": "", "ContractedCost": ""},
        {"ListCost": "1.5", "ContractedCost": "1.5"},
        ["ContractedCost was not delivered: EffectiveCost stands in", "ListCost was not delivered: EffectiveCost stands in"],
    ),
    "no negotiated price": (
        {"ContractedCost": ""}, {"ContractedCost": "2"}, ["ContractedCost was not delivered: ListCost stands in"],
    ),
    "no list price": ({"ListCost": ""}, {"ListCost": "1.75"}, ["ListCost was not delivered: ContractedCost stands in"]),
    "a credit's prices": (
        {"ChargeCategory": "Credit", "ListCost": "", "ContractedCost": ""},
        {"ListCost": "1.25", "ContractedCost": "1.25"},
        ["ContractedCost was not delivered: BilledCost stands in", "ListCost was not delivered: BilledCost stands in"],
    ),
    "a purchase's prices": (
        {"ChargeCategory": "Purchase", "EffectiveCost": "0", "ListCost": "", "ContractedCost": ""},
        {"ListCost": "1.25", "ContractedCost": "1.25", "EffectiveCost": "0"},
        ["ContractedCost was not delivered: BilledCost stands in", "ListCost was not delivered: BilledCost stands in"],
    ),
    "no ends": (
        {"BillingPeriodEnd": "", "ChargePeriodEnd": ""},
        {"BillingPeriodEnd": "2026-10-01T00:00:00Z", "ChargePeriodEnd": "2026-10-01T00:00:00Z"},
        [
            "BillingPeriodEnd was not delivered: a month after BillingPeriodStart stands in",
            "ChargePeriodEnd was not delivered: the end of the month of ChargePeriodStart stands in",
        ],
    ),
    "no service": (
        {"ServiceName": "", "ServiceCategory": ""},
        {"ServiceName": "Cloud", "ServiceCategory": "Other"},
        [
            "ServiceName was not delivered: ServiceProviderName stands in",
            "ServiceCategory was not delivered: 'Other' stands in",
        ],
    ),
    "a category that FOCUS doesn't list": (
        {"ServiceCategory": "Ovens"},
        {"ServiceCategory": "Other"},
        [
            "ServiceCategory was not delivered: 'Other' stands in",
            "ServiceCategory held a value that FOCUS doesn't list: it counts as not delivered",
        ],
    ),
    "no subcategory": (
        {"ServiceSubcategory": ""},
        {"ServiceSubcategory": "Other (Compute)"},
        ["ServiceSubcategory was not delivered: the category's 'Other (…)' stands in"],
    ),
    "no frequency": (
        {"ChargeFrequency": ""},
        {"ChargeFrequency": "Usage-Based"},
        ["ChargeFrequency was not delivered: 'Usage-Based' stands in for usage"],
    ),
    "no frequency of a tax": (
        {"ChargeFrequency": "", "ChargeCategory": "Tax"},
        {"ChargeFrequency": "One-Time"},
        ["ChargeFrequency was not delivered: 'One-Time' stands in"],
    ),
    "a pricing category that FOCUS doesn't list": (
        {"PricingCategory": "On-Demand"},
        {"PricingCategory": None},
        ["PricingCategory held a value that FOCUS doesn't list: it counts as not delivered"],
    ),
    "a column that must be whole": (
        {"BillingAccountType": ""},
        {"BillingAccountType": None},
        ["BillingAccountType is left out: FOCUS allows no empty value in it, and some rows have none"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILLS)
def test_what_stands_in_for_what_is_missing_is_counted_and_told(case: str, tmp_path: Path) -> None:
    """One row of two lacks something: the rule says what stands there instead, the notice for how many rows."""
    change, due, says = FILLS[case]
    whole = FULL | {"PricingCategory": "Standard", "ServiceSubcategory": "Containers", "BillingAccountType": "Payer"}
    collected = write(tmp_path, rows(whole, whole | change), csv=True)
    first, second = read(written(collected))
    assert {name: second.get(name) for name in due} == due
    assert sorted(f"{n.column} {n.says}" for _, n in collected.notices) == sorted(says)
    assert {n.rows for _, n in collected.notices} == {1}
    told = {n.column for _, n in collected.notices if "stands in" in n.says}
    assert set((second.get("x_Filled") or "").split(",")) - {""} == told
    assert not first.get("x_Filled")
    assert first["ListCost"] == "2"
    assert collected.content["sources"][0]["notices"] == [
        {"column": n.column, "rows": n.rows, "says": n.says} for _, n in collected.notices
    ]


@pytest.mark.parametrize(
    ("change", "code", "column"),
    [
        ({"InvoiceIssuerName": ""}, "B313", "InvoiceIssuerName"),
        ({"ProviderName": ""}, "B313", "ServiceProviderName"),
        ({"BillingAccountId": ""}, "B313", "BillingAccountId"),
        ({"ChargeCategory": "Fee"}, "B314", "ChargeCategory"),
    ],
)
def test_where_nothing_honest_can_stand_in_the_source_is_refused(
    change: dict[str, str], code: str, column: str, tmp_path: Path
) -> None:
    """The column, for how many rows, where in governor.yaml; and the default it asks for mends it."""
    table = rows(FULL, FULL | change)
    with pytest.raises(Refused) as refused:
        write(tmp_path, table)
    [problem] = refused.value.problems
    assert str(problem).startswith(f"{tmp_path}/governor.yaml:5:5 {code} {column} ")
    assert "1 of 2 rows" in problem.what
    if code == "B313":
        assert problem.mend.endswith(f"`defaults: {{{column}: …}}`")
        mended = write(tmp_path, table, source=f", defaults: {{{column}: Named}}")
        assert [row[column] for row in read(written(mended))][1] == "Named"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tags_that_nobody_could_read_stay_unread(form: str, tmp_path: Path) -> None:
    """Untagged is `{}`, unread is empty and marked: reading the file again keeps the three apart."""
    table = rows(FULL, FULL | {"Tags": "{}"}, FULL | {"Tags": "{unreadable"})
    collected = write(tmp_path, table, csv=form == "csv")
    again = take(written(collected), tmp_path)
    assert tags(again) == ['{"owner":"a"}', "{}", None]
    assert [(g.reason, g.rows) for g in again.gaps] == [("unreadable_tags", 1)]


def test_a_bill_without_tags_has_none_here(tmp_path: Path) -> None:
    """No column Tags: read again they are unknown, and that is told."""
    collected = write(tmp_path, [{k: v for k, v in rows(FULL)[0].items() if k != "Tags"}])
    assert [str(n) for _, n in collected.notices] == ["Tags was not delivered: the column is left out (1 row)"]
    assert tags(take(written(collected), tmp_path)) == [None]


def test_metadata_says_what_the_file_is(tmp_path: Path) -> None:
    """FOCUS version, generator, every column in its order with its type, the billing periods, the moment."""
    collected = write(tmp_path, rows(FULL), collected_at="2026-10-02T08:00:00Z")
    path = written(collected)
    told = json.loads(path.with_name("metadata.json").read_text())
    [schema], [recency] = told["Schema"], told["Recency"]
    assert (schema["FocusVersion"], told["DataGenerator"], schema["CreationDate"]) == (
        "1.4",
        "governor",
        "2026-10-02T08:00:00Z",
    )
    assert [c["ColumnName"] for c in schema["ColumnDefinition"]] == pq.read_schema(path).names
    kinds = {c["ColumnName"]: c for c in schema["ColumnDefinition"]}
    assert kinds["BilledCost"] == {
        "ColumnName": "BilledCost",
        "DataType": "DECIMAL",
        "NumericPrecision": 38,
        "NumberScale": 24,
    }
    assert (kinds["Tags"]["DataType"], kinds["ChargePeriodEnd"]["DataType"]) == ("JSON", "DATETIME")
    [sector] = recency["TimeSectors"]
    assert sector["TimeSectorComplete"] is False
    assert (sector["TimeSectorStart"], sector["TimeSectorEnd"]) == ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")


def test_hostile_texts_pass_through_unharmed(tmp_path: Path) -> None:
    """Quotes, line breaks, separators, formulas and other scripts come out as they went in, in both forms."""
    nasty = "=cmd|' /C calc'!A0, \"q\" \r\n\t'; DROP TABLE charges; -- \u202e\u0000x".replace("\u0000", "")
    table = rows(FULL | {"ChargeDescription": nasty, "ServiceName": "ünï,cödé", "Tags": json.dumps({'k,"': nasty})})
    to_parquet(tmp_path / "bill.parquet", table)
    for csv in (False, True):
        [row] = read(written(focus(tmp_path, "{name: aws, path: bill.parquet}", csv=csv)))
        assert (row["ChargeDescription"], row["ServiceName"]) == (nasty, "ünï,cödé")
        assert json.loads(row["Tags"]) == {'k,"': nasty}


# --- the outside judge, and reading back ------------------------------------------------------------------------------

# What the judge still says of each file. Nothing here is of our making: values stand as they were delivered.
ACME: Mapping[str, dict[tuple[str, str], int]] = {
    "aws": {},
    "azure": {},
    "examplecorp-aws": {},
    "examplecorp-azure": {},
    "examplecorp-gcp": {},
    "gcp": {("invalid_contract_applied", "ContractApplied"): 383},  # the bill's objects name no metric
    "oracle": {},
    "snowpeak": {
        ("bad_currency", "PricingCurrency"): 128
    },  # credits, a virtual currency: FOCUS allows it, the judge not
}
SAMPLE = {  # the published sample's costs were rounded to whole dollars, its prices not
    ("cost_not_unit_price_times_quantity", "ContractedCost"): 18,
    ("cost_not_unit_price_times_quantity", "ListCost"): 31,
    ("negative_decimal", "ContractedUnitPrice"): 1,
    ("effective_cost_differs_from_billed", "EffectiveCost"): 1,
    ("consumption_not_applicable", "ConsumedQuantity"): 2,
    ("consumption_not_applicable", "ConsumedUnit"): 2,
}


@pytest.fixture(scope="module")
def acme(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """The example's eight bills as FOCUS 1.4."""
    config = load(root / "examples/acme/governor.yaml")
    return collect(config, tmp_path_factory.mktemp("acme") / "focus", (), Options(to="focus"))


def test_the_judge_accepts_the_examples_bills(acme: Collected) -> None:
    """Eight bills of four FOCUS versions, CSV and Parquet: an exact list of what is still said of them."""
    assert {source: complaints(written(acme, source)) for source in ACME} == ACME


def test_the_examples_bills_read_back_unchanged(acme: Collected, root: Path, tmp_path: Path) -> None:
    """Every charge of every bill, in order: every FOCUS column and the tags, to the last digit."""
    for source in load(root / "examples/acme/governor.yaml").billing:
        options = {"defaults": source.defaults, "format": source.format}
        assert_same(source.path, written(acme, source.name), tmp_path, options)


@pytest.mark.parametrize("csv", [False, True])
def test_foreign_bills_are_accepted_and_read_back(csv: bool, sample_data: Path, tmp_path: Path) -> None:
    """The real sample and another project's bills, in both forms."""
    [sample] = sorted((sample_data / "billing/focus_sample_1.0").iterdir())
    paths = {"sample": sample}
    paths |= {p.name.split("_")[-1].split(".")[0]: p for p in (sample_data / "billing/focus_data_toolkit").iterdir()}
    collected = focus(tmp_path, *(f"{{name: {name}, path: '{path}'}}" for name, path in paths.items()), csv=csv)
    assert {name: complaints(written(collected, name)) for name in paths} == {
        name: SAMPLE if name == "sample" else {} for name in paths
    }
    assert [f"{source} {notice}" for source, notice in collected.notices] == [
        "sample ContractedCost was not delivered: ListCost stands in (5 rows)",
        "sample ContractedCost was not delivered: BilledCost stands in (2 rows)",
    ]
    for name, path in paths.items():
        assert_same(path, written(collected, name), tmp_path, {})


def assert_same(delivered: Path | str, exported: Path, tmp: Path, options: Mapping[str, Any]) -> None:
    """Compare the charges of a bill with those of its export, but for what was filled."""
    one = take(delivered, tmp, columns=EVERY, **options)
    other = take(exported, tmp, columns=EVERY)
    assert tags(one) == tags(other)
    assert other.version == "1.4"
    before, after = charges(one), charges(other)
    assert len(before) == len(after)
    names = [c.name for c in FOCUS if c.core or c.name in before[0]]
    for was, became in zip(before, after, strict=True):
        filled = set((became.get("x_filled") or "").split(","))
        assert {c.note for c in FOCUS if c.name in names and was.get(c.name) is None} >= filled - {""}
        kept = [c.name for c in FOCUS if c.name in names and c.note not in filled]
        assert {name: was[name] for name in kept} == {name: became.get(name) for name in kept}


def test_the_command_tells_what_it_filled(tmp_path: Path) -> None:
    """Notices on stderr, the file's path on stdout; a source that FOCUS can't hold beside one that it can is exit 3."""
    to_csv(tmp_path / "a.csv", rows(FULL | {"ListCost": ""}))
    to_csv(tmp_path / "b.csv", rows({}))
    config = project(tmp_path, "{name: a, path: a.csv}", "{name: b, path: b.csv}")
    done = governor("collect", "billing", "--to", "focus", "--csv", "-c", config)
    assert done.returncode == 3
    assert "notice a ListCost was not delivered: ContractedCost stands in (1 row)" in done.stderr
    assert "governor.yaml:6:5 B313 InvoiceIssuerName was not delivered for 1 of 1 rows" in done.stderr
    assert "focus/a/cost_and_usage.csv.gz (1 row)" in done.stdout
    assert complaints(tmp_path / "out/focus/a/cost_and_usage.csv.gz") == {}
