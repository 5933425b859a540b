"""Tags in every notation become one form; what can't be read is unread, never untagged."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bills import ROW, rows, tags, take, to_csv, to_parquet

TAGS = {
    '{"b": "2", "a": "1"}': '{"a":"1","b":"2"}',
    '{" org": "x", "org": "y"}': '{" org":"x","org":"y"}',
    '{"n": 1.50, "t": true, "f": false, "z": null}': '{"f":"false","n":"1.50","t":"true","z":""}',
    '{"o": {"k": [1, "ü", {}]}}': '{"o":"{\\"k\\":[1,\\"ü\\",{}]}"}',
    '{"k": "<script>\\n\\"x\\""}': '{"k":"<script>\\n\\"x\\""}',
    '{"a.b/c\\\\d": "e"}': '{"a.b/c\\\\d":"e"}',
    "": "{}",
    "NULL": "{}",
    "null": "{}",
    "{}": "{}",
    "[]": "{}",
    '[{"key": "a", "value": "1"}]': '{"a":"1"}',
    '[{"Key": "a", "Value": null}]': '{"a":""}',
    '[{"key":"a","value":"up","x_inherited":true},{"key":"a","value":"own","x_inherited":false}]': '{"a":"own"}',
    '"a": "b","c": "d"': '{"a":"b","c":"d"}',
    '{"a": "", "a": "1"}': '{"a":"1"}',
    "{'a': 'b'}": None,
    '{"a": "b",}': None,
    '{"a": "b"': None,
    '{"a": NaN}': None,
    '"a"': None,
    "a=b": None,
    "5": None,
    '["a"]': None,
    '{"a": "\\ud800"}': None,
    "[" * 100_000: None,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tags_in_every_notation_become_one_form_and_unreadable_is_not_untagged(kind, tmp_path):
    table = rows(*({"Tags": text} for text in TAGS))
    path = to_csv(tmp_path / "b.csv", table) if kind == "csv" else to_parquet(tmp_path / "b.parquet", table)
    delivery = take(path, tmp_path)
    assert tags(delivery) == list(TAGS.values())
    for held in pq.read_table(delivery.tag_sets).to_pylist():
        assert held["tags"] == list(json.loads(held["text"]).items())
    unread = sum(value is None for value in TAGS.values())
    [gap] = delivery.gaps
    assert (gap.reason, gap.rows, gap.cost, gap.currency) == ("unreadable_tags", unread, Decimal("1.5") * unread, "USD")


STRUCT = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string()), ("x_inherited", pa.bool_())]))
TYPED_TAGS = [
    (pa.map_(pa.string(), pa.string()), [("b", "2"), ("a", None)], '{"a":"","b":"2"}'),
    (pa.map_(pa.string(), pa.string()), [], "{}"),
    (pa.map_(pa.string(), pa.string()), None, "{}"),
    (STRUCT, [{"key": "a", "value": "up", "x_inherited": True}, {"key": "a", "value": "own"}], '{"a":"own"}'),
    (STRUCT, None, "{}"),
]


@pytest.mark.parametrize(("kind", "value", "text"), TYPED_TAGS)
def test_tags_as_map_or_list_of_structs_are_read(kind, value, text, tmp_path):
    delivery = take(to_parquet(tmp_path / "b.parquet", rows({"Tags": value}), Tags=kind), tmp_path)
    assert tags(delivery) == [text]
    [held] = pq.read_table(delivery.tag_sets).to_pylist()
    assert held["tags"] == list(json.loads(text).items())


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.string(), '{"a":"1","a":"2"}'), (pa.map_(pa.string(), pa.string()), [("a", "1"), ("a", "2")])],
)
def test_a_key_with_two_values_counts_with_the_first_and_is_said(kind, value, tmp_path):
    delivery = take(to_parquet(tmp_path / "b.parquet", rows({"Tags": value}, {"Tags": None}), Tags=kind), tmp_path)
    assert tags(delivery) == ['{"a":"1"}', "{}"]
    assert [(g.reason, g.rows, g.cost) for g in delivery.gaps] == [("duplicate_tag_keys", 1, Decimal("1.5"))]


def test_allocated_tags_override_the_tags_of_a_split_row(tmp_path):
    split = {"Tags": '{"owner":"a","env":"p"}', "AllocatedTags": '{"owner":"b","ns":"x"}', "AllocatedMethodId": "m"}
    delivery = take(to_csv(tmp_path / "b.csv", rows(split, split | {"AllocatedTags": ""})), tmp_path)
    assert tags(delivery) == ['{"env":"p","ns":"x","owner":"b"}', '{"env":"p","owner":"a"}']


def test_a_file_without_tags_is_unread_not_untagged(tmp_path):
    bare = [{name: value for name, value in ROW.items() if name != "Tags"}]
    to_csv(tmp_path / "bill" / "a.csv", bare)
    to_csv(tmp_path / "bill" / "b.csv", rows({"Tags": ""}))
    delivery = take("bill", tmp_path)
    assert tags(delivery) == [None, "{}"]
    [gap] = delivery.gaps
    assert (gap.scope, gap.reason, gap.rows, gap.cost) == ("Tags", "missing_column", 1, Decimal("1.5"))
    assert "bill/a.csv" in gap.detail
    assert "tag_set" not in delivery.missing
    assert "tag_set" in take("bill/a.csv", tmp_path).missing
