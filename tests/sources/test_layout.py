"""What a layout may say, each part executed on a small file of a format that exists only here."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governor.sources import billing
from governor.sources.billing import Format, json_lines
from governor.sources.billing.damaged import BadRow
from governor.sources.billing.layout import Also, Identity, Layout, Own, Unusable, raw
from governor.sources.billing.values import Reading
from governor.tables import MONEY
from tests.bills import charges, refused, rejects, tags, take, to_csv

ROW = {"kind": "use", "fee": "1.10", "part": "0.40", "gift": "", "day": "2026-09-02", "note": "", "key": "a"}


def _gift(text: str) -> Reading:
    """Reads `3 apples` as 3."""
    number, _, what = text.partition(" ")
    return Reading(Decimal(number)) if what == "apples" else Reading(code="B040", reason="isn't apples")


def _layout(header, _asked):
    at = {name: raw(place) for place, name in enumerate(header)}
    return Layout(
        "7",
        "it is of this test",
        format="Toy",
        fields={
            "billing_currency": ("'USD'",),
            "billing_period_start": ("'2026-09-01'",),
            "charge_period_start": (at["day"],),
            "charge_description": (at["note"],),
        },
        own={
            "kind": Own(at["kind"]),
            "fee": Own(at["fee"], MONEY),
            "part": Own(at["part"], MONEY),
            "gift": Own(at["gift"], MONEY, _gift),
        },
        derived={
            "charge_category": "CASE {kind} WHEN 'buy' THEN 'Purchase' ELSE 'Usage' END",
            "billed_cost": "{fee}",
            "effective_cost": "CASE {kind} WHEN 'buy' THEN 0 ELSE {fee} + coalesce({part}, 0) END",
            "contracted_cost": "{fee} - {part}",
        },
        also=(
            Also(
                "{gift} <> 0",
                {
                    "charge_category": "'Credit'",
                    "billed_cost": "-{gift}",
                    "effective_cost": "-{gift}",
                    "contracted_cost": "NULL",
                },
            ),
        ),
        aside={"a copy": f"{at['kind']} = 'copy'"},
        identities=(Identity("fees cancel", "{kind}", "{fee}", "{kind} = 'zero'", tolerance="0.001"),),
        unusable=(Unusable(f"{at['kind']} = 'rot'", "B210", "apples are rotten", "throw them away"),),
        notices=(("assumption", "all apples are ripe"),),
    )


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(
        billing.FORMATS, "toy", Format("Toy", lambda header: "toy" if "gift" in header else "", _layout)
    )


def bill(tmp_path, *changes):
    to_csv(tmp_path / "toy.csv", [ROW | change for change in changes])
    return take("toy.csv", tmp_path, format="toy")


def test_derived_columns_are_exact_sums_and_choices_of_what_was_read(tmp_path):
    found = charges(bill(tmp_path, {}, {"kind": "buy", "fee": "1e-20"}, {"part": ""}))
    assert [(r["charge_category"], r["billed_cost"], r["effective_cost"]) for r in found] == [
        ("Usage", Decimal("1.10"), Decimal("1.50")),
        ("Purchase", Decimal("1e-20"), 0),
        ("Usage", Decimal("1.10"), Decimal("1.10")),
    ]
    assert found[2]["contracted_cost"] is None, "what isn't known stays unknown"
    assert not {"own_fee", "own_kind"} & set(found[0]), "columns of the format's own are not kept"


def test_an_unreadable_part_rejects_its_row_and_no_other(tmp_path):
    delivery = bill(tmp_path, {}, {"part": "much"}, {"fee": "many", "gift": "3 apples"}, {"kind": "copy", "fee": "no"})
    assert [r["row"] for r in charges(delivery)] == [1]
    assert [(r["row"], r["column"], r["value"], r["code"], r["cost"]) for r in rejects(delivery)] == [
        (2, "part", "much", "B040", None),
        (3, "fee", "many", "B040", None),
    ]


def test_a_row_can_make_a_second_charge_and_both_are_counted_and_summed(tmp_path):
    delivery = bill(tmp_path, {"gift": "3 apples"}, {"gift": "2 pears"}, {"fee": "7"})
    found = [(r["row"], r["charge_category"], r["billed_cost"]) for r in charges(delivery)]
    assert sorted(found) == [(1, "Credit", -3), (1, "Usage", Decimal("1.1")), (3, "Usage", 7)]
    assert [r["value"] for r in rejects(delivery)] == ["2 pears"]
    assert [(f.rows, f.rejected) for f in delivery.files] == [(3, 1)]


def test_rows_set_aside_are_told_with_their_money_and_are_no_charges(tmp_path):
    delivery = bill(tmp_path, {}, {"kind": "copy"}, {"kind": "copy", "fee": "2", "gift": "1 apples"})
    assert [r["row"] for r in charges(delivery)] == [1]
    assert delivery.files[0].aside == 2
    [gap] = [g for g in delivery.gaps if g.reason == "set_aside"]
    assert (gap.detail, gap.rows, gap.cost, gap.currency) == (
        "rows that are no charges: a copy",
        2,
        Decimal("3.90"),
        "USD",
    )


def test_a_broken_identity_is_told_with_its_money(tmp_path):
    whole = bill(tmp_path, {"kind": "zero", "fee": "5"}, {"kind": "zero", "fee": "-5"})
    broken = bill(tmp_path, {"kind": "zero", "fee": "5"}, {"kind": "zero", "fee": "-4.99"})
    assert not [g for g in whole.gaps if g.reason == "broken_identity"]
    [gap] = [g for g in broken.gaps if g.reason == "broken_identity"]
    assert (gap.detail, gap.rows, gap.cost) == ("fees cancel: zero", 2, Decimal("0.01"))
    assert [g.detail for g in broken.gaps if g.reason == "assumption"] == ["all apples are ripe"]


def test_an_identity_may_leave_what_rounding_leaves(tmp_path):
    delivery = bill(tmp_path, {"kind": "zero", "fee": "5"}, {"kind": "zero", "fee": "-4.999"})
    assert not [g for g in delivery.gaps if g.reason == "broken_identity"]


def test_rows_that_make_a_file_unusable_refuse_it_with_their_number(tmp_path):
    to_csv(tmp_path / "toy.csv", [ROW, ROW | {"kind": "rot"}, ROW | {"kind": "rot"}])
    assert refused("toy.csv", tmp_path, format="toy") == ["toy.csv B210 2 apples are rotten; throw them away"]


def test_a_source_without_a_format_is_told_from_its_columns(tmp_path):
    to_csv(tmp_path / "toy.csv", [ROW])
    delivery = take("toy.csv", tmp_path, format="auto")
    assert delivery.why == "1 file is Toy 7 (toy.csv): it is of this test"
    to_csv(tmp_path / "other.csv", [{"a": 1}])
    [said] = refused("other.csv", tmp_path, format="auto")
    assert "other.csv:1:1 B026 has 1 columns and is none of the formats" in said
    [said] = refused("toy.csv", tmp_path)
    assert said == "toy.csv:1:1 B013 isn't FOCUS: it looks like Toy (toy); set `format: toy`, or leave `format` out"


def test_json_lines_are_read_as_they_are_written(tmp_path):
    lines = [{**ROW, "fee": 1}, {"kind": "use", "day": "2026-09-03", "fee": 2, "part": None, "gift": "", "note": "é"}]
    text = "\n".join(json.dumps(line) for line in lines).replace('"fee": 1', '"fee": 0.1000000000000000055')
    (tmp_path / "toy.json").write_text(text + "\n[1]\n\n{broken\n", encoding="utf-8")
    delivery = take("toy.json", tmp_path, format="toy")
    assert [(r["row"], r["billed_cost"]) for r in charges(delivery)] == [(1, Decimal("0.1000000000000000055")), (2, 2)]
    assert [(r["row"], r["code"]) for r in rejects(delivery)] == [(3, "B047"), (4, "B047")]
    assert [(f.rows, f.rejected) for f in delivery.files] == [(4, 2)]


def test_json_objects_are_taken_apart_and_lists_stay_text(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": {"b": {"c": 1.50}}, "l": [{"x": 0.10, "y": null}], "t": true}\n{"z": "\\ud800"}\n')
    assert json_lines.read_header(path, "a.json") == ("a.b.c", "l", "t")
    one, two = json_lines.read_rows(path, "a.json", ("a.b.c", "l", "t"))
    assert one == (1, ["1.50", '[{"x": "0.10", "y": null}]', "true"])
    assert isinstance(two, BadRow), "half a character can't be written anywhere"


def test_structs_and_lists_of_parquet_are_reached_by_dotted_names(tmp_path, monkeypatch):
    amount = Decimal("0.123456789012345678901234")
    entry = pa.struct([("key", pa.string()), ("value", pa.decimal128(38, 24))])
    table = pa.table(
        {
            "kind": ["use"],
            "gift": [""],
            "money": pa.array(
                [{"fee": 0.1, "part": amount}], pa.struct([("fee", pa.float64()), ("part", pa.decimal128(38, 24))])
            ),
            "note": ["n"],
            "day": ["2026-09-02"],
            "tags": pa.array([[{"key": "k", "value": amount}]], pa.list_(entry)),
        }
    )
    pq.write_table(table, tmp_path / "toy.parquet")

    def layout(header, asked):
        assert list(zip(header, asked.kinds, strict=True)) == [
            ("kind", "text"), ("gift", "text"), ("money.fee", "number"), ("money.part", "number"), ("note", "text"), ("day", "text"), ("tags", "list"),
        ]  # fmt: skip
        found = _layout([name.removeprefix("money.") for name in header], asked)
        return Layout(**{name: getattr(found, name) for name in found.__slots__} | {"tags": raw(header.index("tags"))})

    monkeypatch.setitem(billing.FORMATS, "toy", Format("Toy", lambda header: "", layout))
    delivery = take("toy.parquet", tmp_path, format="toy")
    [charge] = charges(delivery)
    assert charge["effective_cost"] == Decimal("0.1") + amount
    assert tags(delivery) == [f'{{"k":"{amount}"}}']
