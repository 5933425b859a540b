"""The bad-input checklist, items 15 to 18: notations of tags, keys that come twice, strange keys, worthless values."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import bills
from tests.checklist import gaps, tied
from tests.project import BY_TAG, charge, paid, write_csv

# --- 15. notations ----------------------------------------------------------------------------------------------------


READ = {
    "object": ('{"cost-center": "A", "n": 1.50, "t": true, "z": null}', {"cost-center": "A", "n": "1.50", "t": "true", "z": ""}),
    "nested": ('{"cost-center": "A", "o": {"k": [1]}}', {"cost-center": "A", "o": '{"k":[1]}'}),
    "list": ('[{"key": "cost-center", "value": "A"}]', {"cost-center": "A"}),
    "python": ("[{'key': 'cost-center', 'value': 'A'}]", {"cost-center": "A"}),
    "no braces": ('"cost-center": "A","b": "c"', {"cost-center": "A", "b": "c"}),
}  # fmt: skip
UNTAGGED = ["", "{}", "[]", "NULL"]
UNREAD = ["{'cost-center': 'A'}", '{"cost-center": "A",}', '{"cost-center": NaN}', "cost-center=A", '"A"']


@pytest.mark.parametrize("name", READ)
def test_15_tags_in_every_known_notation_are_the_same_tags(name: str, tmp_path: Path) -> None:
    """Numbers stay as written, a null is an empty text; the cost center is found in all of them."""
    raw, tags = READ[name]
    run = tied(tmp_path, [charge("5", Tags=raw)])
    assert [json.loads(cell["tags"]) for cell in run.rows("cells")] == [tags]
    assert [(a["cost_center"], a["status"]) for a in run.rows("allocations")] == [("A", "T")]


@pytest.mark.parametrize("kind", ["map", "structs"])
def test_15_typed_tags_are_the_same_tags(kind: str, tmp_path: Path) -> None:
    types = {
        "map": (pa.map_(pa.string(), pa.string()), [("cost-center", "A")]),
        "structs": (pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])), [{"key": "cost-center", "value": "A"}]),
    }  # fmt: skip
    columns = {name: pa.array([text]) for name, text in charge("5").items()}
    columns["Tags"] = pa.array([types[kind][1]], types[kind][0])
    pq.write_table(pa.table(columns), tmp_path / "bill.parquet")
    run = tied(tmp_path / "project", tmp_path / "bill.parquet", rows=1, effective="5")
    assert [a["cost_center"] for a in run.rows("allocations")] == ["A"]


def test_15_one_column_a_tag_is_a_tag_a_column(tmp_path: Path) -> None:
    """`tag_*` in a mapping: every column gives its key; an empty cell is no tag."""
    rows = [{"day": "2026-10-05", "amount": "5", "tag_env": "prod", "tag_user:app": "shop", "tag_empty": ""}]
    mapping = {"BilledCost": "amount", "ChargePeriodStart": "day", "Tags.*": "tag_*"}
    given = {"format": "columns", "mapping": mapping, "defaults": {"BillingCurrency": "EUR"}}
    delivery = bills.take(write_csv(tmp_path / "b.csv", rows), tmp_path, **given)
    assert bills.tags(delivery) == ['{"env":"prod","user:app":"shop"}']
    assert bills.first(delivery, "billed_cost") == Decimal(5)


def test_15_nothing_written_is_untagged_and_what_can_not_be_read_is_unread(tmp_path: Path) -> None:
    """The two are kept apart from file to score: untagged fails, unread is unknown, and its money is told."""
    bill = [charge("1", Tags=text, ResourceId=f"vm-{n}") for n, text in enumerate([*UNTAGGED, *UNREAD])]
    run = tied(tmp_path, bill)
    assert gaps(run) == {"unreadable_tags": (5, Decimal(5))}
    verdicts = {f["subject"]: f["verdict"] for f in run.rows("findings") if f["requirement"] == "core/cost_center"}
    assert [verdicts[f"vm-{n}"] for n in range(9)] == ["fail"] * 4 + ["unknown"] * 5


# --- 16. keys that come twice -----------------------------------------------------------------------------------------


def test_16_of_a_key_that_comes_twice_the_first_value_counts_on_every_engine_and_it_is_told(tmp_path: Path) -> None:
    """Parsers disagree: one takes the first, another the last. Here it is the first that says something, always."""
    twice = ['{"cost-center":"A","cost-center":"B"}', '{"cost-center":"","cost-center":"A"}', '{"cost-center":"A","cost-center":"A"}']  # fmt: skip
    run = tied(tmp_path, [charge("5", Tags=text) for text in twice])
    assert {(a["cost_center"], a["amount"]) for a in run.rows("allocations")} == {("A", Decimal(15))}
    assert gaps(run) == {"duplicate_tag_keys": (1, Decimal(5))}
    assert not run.incomplete


# --- 17. strange keys -------------------------------------------------------------------------------------------------


KEYS = [
    "a.b",
    'a"b',
    "a/b",
    "a\\b",
    "größe",
    "aws:createdBy",
    "hidden-title",
    "goog-label",
    "user:x",
    "$.a[0]",
    "a'b",
    " org",
]


def by_key(key: str) -> str:
    """A tag policy whose tag has this key."""
    return f"""
kind: TagPolicy
id: core
title: Every charge names who pays
tags:
  cost_center: {{keys: [{json.dumps(key)}], in_register: cost_centers}}
tests:
  - {{tags: {{{json.dumps(key)}: A}}, expect: pass}}
  - {{tags: {{}}, expect: fail}}
  - {{tags: null, expect: unknown}}
"""


@pytest.mark.parametrize("key", KEYS)
def test_17_a_key_is_itself_whatever_it_holds(key: str, tmp_path: Path) -> None:
    """Dots, quotes, slashes, backslashes, letters of any alphabet and reserved prefixes are found by policies as written."""
    tags = json.dumps({key: "A", "org": "B", "a": "C"}, ensure_ascii=False)
    run = tied(tmp_path, [charge("5", Tags=tags)], policies=(by_key(key), BY_TAG))
    assert [json.loads(cell["tags"])[key] for cell in run.rows("cells")] == ["A"]
    assert [(a["cost_center"], a["status"]) for a in run.rows("allocations")] == [("A", "T")]


def test_17_keys_that_differ_in_case_or_blanks_are_two_and_a_policy_may_name_both(tmp_path: Path) -> None:
    """` org` beside `org` is on real bills. Of several spellings that a policy accepts, two values are a conflict."""
    policy = by_key("org").replace('["org"]', '["org", " org", "ORG"]')
    bill = [charge("5", Tags='{" org":"A"}'), charge("7", Tags='{"org":"A"," org":"B","ORG":"A"}', ResourceId="vm-2")]
    run = tied(tmp_path, bill, policies=(policy, BY_TAG))
    assert {a["cost_center"] for a in run.rows("allocations")} == {"A"}
    conflicts = [f for f in run.rows("findings") if f["requirement"] == "core/cost_center.conflict"]
    assert [(f["subject"], f["verdict"], f["cost"]) for f in conflicts] == [("vm-2", "fail", Decimal(7))]


def test_17_the_nearest_level_of_a_key_counts(tmp_path: Path) -> None:
    """A resource's own tag goes before its account's; without one the account's counts, and the finding says so."""
    policy = by_key("cc").replace("in_register", "inherit: [{account: cost_center}], in_register")
    bill = [charge("5", Tags='{"cc":"B"}', ResourceId="own"), charge("7", Tags="{}", ResourceId="inherited")]
    run = tied(tmp_path, bill, policies=(policy, BY_TAG))
    assert {(a["cost_center"], a["amount"]) for a in run.rows("allocations")} == {("B", Decimal(5)), ("A", Decimal(7))}


# --- 18. worthless values ---------------------------------------------------------------------------------------------


VALUES = {
    "A": ("A", "pass"),
    " a ": ("A", "pass"),
    "a\t": ("A", "pass"),
    "TBD": (None, "fail"),
    "n/a": (None, "fail"),
    "Unknown": (None, "fail"),
    "   ": (None, "fail"),
    "RETIRED": (None, "fail"),
    "Z9": (None, "fail"),
}


def test_18_placeholders_name_nobody_and_blanks_and_case_are_no_difference(tmp_path: Path) -> None:
    """What is no cost center in force is charged to nobody; each cent of it is in the unallocated part."""
    retired = "RETIRED,Closed,,,,,chargeback,,2026-06-30"
    bill = [
        charge("5", Tags=json.dumps({"cost-center": value}), ResourceId=f"vm-{n}", SubAccountId="unknown")
        for n, value in enumerate(VALUES)
    ]
    run = tied(tmp_path, bill, centers=("A", retired))
    assert paid(run) == {"A": Decimal(15), None: Decimal(30)}
    failed = {f["subject"]: f["message"] for f in run.rows("findings") if f["requirement"] == "core/cost_center"}
    assert set(failed) == {f"vm-{n}" for n, (_, verdict) in enumerate(VALUES.values()) if verdict == "fail"}
    assert "not in force on the day of the charge" in failed["vm-7"]
    assert "is only a placeholder" in failed["vm-3"]
