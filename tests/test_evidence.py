"""Evidence: the same content is the same bytes, and nothing that JSON bends is let in."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.evidence import canonical, digest_bytes, digest_file, parse_canonical

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(PLAIN)
def test_what_was_written_is_read_back(value):
    """Reading canonical JSON gives the content, whatever it holds, and writing that gives the bytes."""
    assert parse_canonical(canonical(value)) == value


def test_keys_are_sorted_as_rfc_8785_says():
    """The RFC's own example of sorting, by UTF-16 code units."""
    given_ = {"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
              "\U0001f600": "Emoji: Grinning Face", "\x80": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}  # fmt: skip
    order = ["Carriage Return", "One", "Control", "Latin Small", "Euro Sign", "Emoji", "Hebrew"]
    written = canonical(given_).decode()
    assert sorted(order, key=written.index) == order


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, 1.5]}, "$.a[1] is a float"),
        ({"a": {"b": Decimal("1.50")}}, "$.a.b is a Decimal"),
        ({"day": date(2026, 5, 1)}, "$.day is a date"),
        ((float("nan"),), "$[0] is a float"),
    ],
)
def test_money_and_dates_must_be_text(value, place):
    """A float or a Decimal is refused with its place: money is text before it is digested."""
    with pytest.raises(ValueError, match=place.replace("$", r"\$").replace("[", r"\[")):
        canonical(value)


@pytest.mark.parametrize("value", [2**53, "\ud800", {"\ud800": 1}, {1: "a"}])
def test_what_json_can_not_hold_is_refused(value):
    """Integers that a reader would round, lone surrogates and keys that aren't text raise ValueError."""
    with pytest.raises((ValueError, TypeError)) as caught:
        canonical(value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1}\n', b"1.0", b"1e2", b"NaN", b'"\xff"', b"[" * 100_000,
     b'"\\u0041"', b'\xef\xbb\xbf{"a":1}'],
)  # fmt: skip
def test_every_other_spelling_is_refused(data):
    """One content has one spelling: spaces, other orders, duplicate keys, floats and broken text are not canonical."""
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is the type
        parse_canonical(data)


def test_digests_are_those_of_sha256sum(tmp_path):
    """Digests are sha256 in hex, of bytes and of files alike."""
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert digest_file(tmp_path / "x") == digest_bytes(b"abc" * 100_000) == hashlib.sha256(b"abc" * 100_000).hexdigest()
