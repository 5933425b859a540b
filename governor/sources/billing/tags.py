"""Read raw tags, as providers write them, into one form: text keys, text values.

A set is read once for each distinct raw text. Keys and values stay exactly as delivered. What can't be read with
certainty is None: unread is not untagged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from governor.sources.billing.layout import MISSING

SEPARATOR = "\x1f"  # between the tags and the allocated tags of a split row; JSON text never holds it


@dataclass(frozen=True, slots=True)
class TagSet:
    """One distinct set, its keys sorted. `conflict`: a key came with two different values; the first counts."""

    tags: dict[str, str]
    conflict: bool = False

    @property
    def text(self) -> str:
        """The set's canonical JSON: sorted keys, no spaces."""
        return "{" + ",".join([f"{_quote(key)}:{_quote(value)}" for key, value in self.tags.items()]) + "}"


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, duplicates included."""


class _Number(str):
    """A JSON number exactly as written."""

    __slots__ = ()


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} isn't JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant
)


_quote = json.encoder.encode_basestring  # a JSON string, anything but ASCII as it is


def read_tags(raw: str) -> TagSet | None:
    """Read the raw tags of a row: an object, a list of key and value, or nothing. None: it can't be read.

    A split row's AllocatedTags follow after SEPARATOR and override. Azure's pairs without braces are read: putting the
    braces back can mean one thing only.

    >>> read_tags('{"a": "b", "n": 1.50, "t": true}').text
    '{"a":"b","n":"1.50","t":"true"}'
    >>> read_tags("{'a': 'b'}") is None
    True
    """
    own, _, allocated = raw.partition(SEPARATOR)
    base = _read(own)
    if not allocated:
        return base
    over = _read(allocated)
    if base is None or over is None:
        return None
    return TagSet(dict(sorted((base.tags | over.tags).items())), base.conflict or over.conflict)


def _read(text: str) -> TagSet | None:
    text = text.strip()
    if text in MISSING:
        return TagSet({})
    try:
        value = _DECODER.decode("{" + text + "}" if text.startswith('"') else text)
        pairs = _pairs(value)
        found = None if pairs is None else _keep_first(pairs)
        if found is not None and "\\u" in text:
            found.text.encode()  # half a character, which only an escape can hide, can't be written anywhere
    except (ValueError, RecursionError):
        return None
    return found


def _pairs(value: Any) -> list[tuple[str, str]] | None:
    """List the keys and values; what the resource has itself hides what it inherited."""
    if isinstance(value, _Pairs):
        return [(key, item if type(item) is str else _text(item)) for key, item in value]
    if not isinstance(value, list):
        return None
    own: list[tuple[str, str]] = []
    inherited: list[tuple[str, str]] = []
    for element in value:
        entry = {key.lower(): item for key, item in element} if isinstance(element, _Pairs) else {}
        key = entry.get("key")
        if not isinstance(key, str):
            return None
        below = any(entry.get(flag) in (True, "true") for flag in ("x_inherited", "inherited"))
        (inherited if below else own).append((key, _text(entry.get("value"))))
    taken = {key for key, _ in own}
    return own + [pair for pair in inherited if pair[0] not in taken]


def _keep_first(pairs: list[tuple[str, str]]) -> TagSet:
    tags = dict(sorted(pairs))
    conflict = False
    if len(tags) == len(pairs):
        return TagSet(tags)
    tags = {}
    for key, value in pairs:
        before = tags.get(key)
        if not before:
            tags[key] = value
        elif value and value != before:
            conflict = True
    return TagSet(dict(sorted(tags.items())), conflict)


def _text(value: Any) -> str:
    """Print a value: text as it is, null as nothing, anything else as its JSON text."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{_quote(k)}:{_json(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json(item) for item in value) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
