"""Strict YAML: what is written is what is read, and whatever could surprise is refused with its place."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from governor import strict_yaml
from governor.model import Position, Refused
from governor.strict_yaml import Node, load, loads, plain

AS_WRITTEN = {
    "012345670123": "012345670123",  # an account id, not an octal number
    "12345678901": 12345678901,
    "123456789012345678": 123456789012345678,
    "1234567890123456789": "1234567890123456789",  # nineteen digits: nobody counts so far
    "9" * 5_000: "9" * 5_000,
    "no": "no",
    "on": "on",
    "y": "y",
    "No": "No",
    "True": "True",
    "~": "~",
    "Null": "Null",
    "22:22": "22:22",
    "2024-13-45": "2024-13-45",
    "2026-01-31": "2026-01-31",
    "1_000": "1_000",
    "0x1F": "0x1F",
    "0o17": "0o17",
    "+1": "+1",
    "01": "01",
    "1.": "1.",
    ".5": ".5",
    "1e3": "1e3",
    ".nan": ".nan",
    ".inf": ".inf",
    "-.inf": "-.inf",
    "=": "=",
    "true": True,
    "false": False,
    "null": None,
    "0": 0,
    "-7": -7,
    "1.10": Decimal("1.10"),
    "-0.5": Decimal("-0.5"),
    "0.100000000000000000000001": Decimal("0.100000000000000000000001"),
    '"1"': "1",
    "'true'": "true",
    '""': "",
    '"a\\tb"': "a\tb",
}


@pytest.mark.parametrize("written", AS_WRITTEN, ids=lambda text: text[:30])
def test_a_plain_value_is_what_json_would_make_of_it_and_text_otherwise(written: str) -> None:
    value = plain(loads(f"a: {written}\n", "f.yaml"))["a"]
    assert value == AS_WRITTEN[written]
    assert type(value) is type(AS_WRITTEN[written])


def test_every_value_and_key_keeps_its_place() -> None:
    node = loads("a: 1\nb:\n  - x: 'y'\n    long key: |\n      text\n", "f.yaml")
    items = node.entries()["b"].items()
    assert node.position == Position("f.yaml", 1, 1)
    assert node.entries()["b"].key == Position("f.yaml", 2, 1)
    assert items[0].position == Position("f.yaml", 3, 5)
    assert items[0].entries()["x"] == Node("y", Position("f.yaml", 3, 8), Position("f.yaml", 3, 5), quoted=True)
    assert items[0].entries()["long key"].key == Position("f.yaml", 4, 5)
    assert plain(node) == {"a": 1, "b": [{"x": "y", "long key": "text\n"}]}


def test_places_count_characters_not_bytes_and_a_byte_order_mark_is_none() -> None:
    node = loads("\ufeffgrüße: {né: 1}\n", "f.yaml")
    assert node.entries()["grüße"].entries()["né"].position == Position("f.yaml", 1, 13)


REFUSED = {
    "alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", ["1:4 Y008", "2:4 Y008", "2:8 Y008", "2:12 Y008", "3:5 Y008", "3:9 Y008"]),
    "self-reference": ("a: &a [*a]\n", ["1:4 Y008", "1:8 Y008"]),
    "python object": ('a: !!python/object/apply:os.system ["true"]\n', ["1:4 Y009"]),
    "unknown tag": ("a: !secret x\n", ["1:4 Y009"]),
    "undeclared tag": ("a: !x!y z\n", ["1:4 Y006"]),
    "tag on a key": ("!!str a: 1\n", ["1:1 Y009"]),
    "duplicate key, block": ("a: 1\nb: 2\na: 3\n", ["3:1 Y014"]),
    "duplicate key, flow": ("x: {a: 1, b: 2, a: 3}\n", ["1:17 Y014"]),
    "duplicate key, quoted": ("a: 1\n'a': 2\n", ["2:1 Y014"]),
    "merge key": ("a:\n  <<: {b: 1}\n", ["2:3 Y010"]),
    "deep, flow": ("[" * 3_000 + "]" * 3_000, ["1:33 Y012"]),
    "deep, block": ("".join(" " * depth + "a:\n" for depth in range(500)), ["32:32 Y012"]),
    "deep, one line": ("- " * 3_000, ["1:65 Y012"]),
    "two documents": ("a: 1\n---\nb: 2\n", ["2:1 Y011"]),
    "directive": ("%YAML 1.1\n---\na: 1\n", ["1:1 Y018"]),
    "empty": ("", ["0:0 Y003"]),
    "blank": (" \n\n", ["0:0 Y003"]),
    "comment only": ("# nothing\n", ["0:0 Y003"]),
    "marker only": ("---\n...\n", ["0:0 Y003"]),
    "value missing": ("a:\nb: 1\n", ["1:3 Y017"]),
    "value missing, flow": ("{a: , b: [1, ]}\n", ["1:5 Y017"]),
    "key without value": ("{a}\n", ["1:3 Y017"]),
    "template": ("a: {{ secret }}\n", ["1:5 Y015", "1:14 Y017", "1:15 Y017"]),
    "key empty": ('"": 1\n', ["1:1 Y016"]),
    "key nothing": (": 1\n", ["1:1 Y016"]),
    "key nothing, flow": ("{: 1}\n", ["1:2 Y016"]),
    "key nothing, long form": ("? \n: 1\n", ["1:2 Y016"]),
    "keys not text": ("1: a\ntrue: b\nnull: c\n1.5: d\n[x]: e\n{x: y}: f\n", [f"{n}:1 Y015" for n in range(1, 7)]),
    "tab indents": ("a:\n\tb: 1\n", ["2:1 Y007"]),
    "tab after spaces": ("a:\n  b:\n  \t- c\n", ["3:3 Y007"]),
    "NUL": ("a: \0\n", ["1:4 Y005"]),
    "escape character": ("a: \x1b[31m\n", ["1:4 Y005"]),
    "next line": ("a: b\x85c: d\n", ["1:5 Y005"]),
    "line separator": ("a: b\u2028c: d\n", ["1:5 Y005"]),
    "lone carriage return": ("a: 1\rb: 2\n", ["1:5 Y005"]),
    "bidi override": ("a: 'x\u202ey'\nb: \u2066\n", ["1:6 Y005", "2:4 Y005"]),
    "byte order mark inside": ("a: x\ufeff\n", ["1:5 Y005"]),
    "lone surrogate": ("a: \ud800\n", ["1:4 Y005"]),
    "escaped NUL": ('a: "\\0"\n', ["1:4 Y005"]),
    "escaped bidi override": ('a: "\\u202e"\n', ["1:4 Y005"]),
    "not YAML: colon": ("a: b: c\n", ["1:5 Y006"]),
    "not YAML: sign": ("a: @x\n", ["1:4 Y006"]),
    "not YAML: indent": ("  a: 1\nb: 2\n", ["2:1 Y006"]),
    "not YAML: no colon": ("a: 1\nb\n", ["2:1 Y006"]),
    "not YAML: no colon at the end": ("a: 1\nb", ["2:1 Y006"]),
    "not YAML: open bracket": ("a: [1, 2", ["1:9 Y006"]),
    "all at once": ("a: &x 1\na: *x\n2: !t b\n", ["1:4 Y008", "2:1 Y014", "2:4 Y008", "3:1 Y015", "3:4 Y009"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_trap_is_refused_at_its_place(name: str) -> None:
    text, expected = REFUSED[name]
    with pytest.raises(Refused) as refused:
        loads(text, "f.yaml")
    problems = refused.value.problems
    assert sorted(f"{p.position.line}:{p.position.column} {p.code}" for p in problems) == sorted(expected)
    assert all(p.position.file == "f.yaml" and p.what for p in problems)


def test_a_message_says_how_to_mend() -> None:
    with pytest.raises(Refused) as refused:
        loads("a:\n\tb: 1\n", "p.yaml")
    assert str(refused.value) == "p.yaml:2:1 Y007 a tab is used to indent; indent by spaces"
    with pytest.raises(Refused) as refused:
        loads("x: 1\n1001: 2\n", "p.yaml")
    assert str(refused.value) == 'p.yaml:2:1 Y015 the key 1001 is not text; quote it: "1001"'


BYTES = {
    "UTF-8 with mark": ("a: é\n".encode("utf-8-sig"), None),
    "Windows line ends": (b"a: 1\r\nb: 2\r\n", None),
    "UTF-16 with mark": ("a: 1\n".encode("utf-16"), "1:1 Y004"),
    "UTF-16 without mark": ("a: 1\n".encode("utf-16-le"), "1:1 Y004"),
    "UTF-32": ("a: 1\n".encode("utf-32-be"), "1:1 Y004"),
    "Latin-1": (b"a: 1\nb: x\xe9\n", "2:5 Y004"),
    "encoded surrogate": (b"a: \xed\xa0\x80\n", "1:4 Y004"),
    "overlong": (b"a: \xc0\x80\n", "1:4 Y004"),
    "too large": (b"# " + b"x" * strict_yaml.MAX_BYTES, "0:0 Y002"),
    "just small enough": (b"a: 1 # " + b"x" * (strict_yaml.MAX_BYTES - 7), None),
    "nothing": (b"", "0:0 Y003"),
}


@pytest.mark.parametrize("name", BYTES)
def test_a_file_is_utf8_and_of_bounded_size(name: str, tmp_path: Path) -> None:
    content, expected = BYTES[name]
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    try:
        found = plain(load(path, "f.yaml")) and None
    except Refused as refused:
        [problem] = refused.problems
        found = f"{problem.position.line}:{problem.position.column} {problem.code}"
    assert found == expected


def test_a_file_that_is_none_is_refused_and_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml", tmp_path / "a\0b"):
        with pytest.raises(Refused) as refused:
            load(path)
        assert [(p.position, p.code) for p in refused.value.problems] == [(Position(str(path)), "Y001")]


def test_a_document_of_thousands_of_problems_reports_the_first_ones() -> None:
    with pytest.raises(Refused) as refused:
        loads("{" + "a: 1, " * 100_000 + "}", "f.yaml")
    assert len(refused.value.problems) == strict_yaml.MAX_PROBLEMS


YAMLISH = st.text(alphabet=st.sampled_from(list("ab1.-:?,[]{}&*!|>'\"%@`#\\ \t\n<=~0\r\ufeff\ud800é")), max_size=60)


@given(st.one_of(st.text(max_size=200), YAMLISH))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        node = loads(text, "f.yaml")
    except Refused as refused:
        assert refused.problems
        assert all(p.code.startswith("Y") and p.what for p in refused.problems)
    else:
        assert node.position.line >= 1


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        load(path)
    except Refused as refused:
        assert refused.problems


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**18) + 1, 10**18 - 1),
        st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(alphabet="abcdefghij", min_size=1, max_size=8), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1))
def test_what_another_writer_quotes_is_read_as_it_was(value: object) -> None:
    """PyYAML quotes whatever its own YAML 1.1 would misread; unquoted text is text to us too."""
    written = yaml.safe_dump(value, default_flow_style=False, allow_unicode=True)
    try:
        assert plain(loads(written, "f.yaml")) == value
    except Refused as refused:  # PyYAML writes equal containers once and refers to them
        assert {p.code for p in refused.problems} == {"Y008"}


@given(YAMLISH)
def test_the_parser_in_python_refuses_nothing_by_a_traceback(text: str) -> None:
    """Where PyYAML was built without libyaml, its own parser stands in."""
    libyaml = strict_yaml.LOADER
    strict_yaml.LOADER = yaml.SafeLoader
    try:
        loads(text, "f.yaml")
    except Refused as refused:
        assert refused.problems
    finally:
        strict_yaml.LOADER = libyaml


def test_a_value_that_is_missing_at_the_very_end_has_its_place_in_the_file() -> None:
    """The parser's end lies a line behind the last one; a message names a place that an editor can go to."""
    with pytest.raises(Refused) as refused:
        loads("a: {b: [c],null", "a.yaml")
    assert {(p.position.line, p.position.column) for p in refused.value.problems} == {(1, 12), (1, 16)}
