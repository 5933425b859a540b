"""Read raw tags, as providers write them, into one form: text keys, text values.

A set is read once for each distinct raw text. Keys and values stay exactly as delivered. What can't be read with
certainty is None: unread is not untagged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from governor.sources.billing.layout import MISSING
from governor.sources.billing.nested import Number, Pairs, decode

SYSTEM = "system_label"  # Google's facts about a machine, such as its cores: nobody set them
PREFIXED = "\x1e"  # begins a set whose keys say where each was set, as AWS writes them; JSON text never holds it
SEPARATOR = "\x1f"  # between levels of tags, the weakest first; JSON text never holds it


@dataclass(frozen=True, slots=True)
class TagSet:
    """One distinct set, its keys sorted. `conflict`: a key came with two different values; the first counts."""

    tags: dict[str, str]
    conflict: bool = False

    @property
    def text(self) -> str:
        """The set's canonical JSON: sorted keys, no spaces."""
        return "{" + ",".join([f"{_quote(key)}:{_quote(value)}" for key, value in self.tags.items()]) + "}"


Pair = tuple[str, str]
_quote = json.encoder.encode_basestring  # a JSON string, anything but ASCII as it is


def read_tags(raw: str) -> TagSet | None:
    """Read the raw tags of a row: an object, a list of key and value, or nothing. None: it can't be read.

    Levels of tags, such as a project's and the resource's own, are parted by SEPARATOR, and a later one overrides.
    Azure's pairs without braces are read: putting the braces back can mean one thing only.

    >>> read_tags('{"a": "b", "n": 1.50, "t": true}').text
    '{"a":"b","n":"1.50","t":"true"}'
    >>> read_tags("{'a': 'b'}") is None
    True
    """
    if raw.startswith(PREFIXED):
        return _read(raw[1:], _unprefix)
    first, *later = raw.split(SEPARATOR)
    found = _read(first)
    for level in later:
        over = _read(level) if level else TagSet({})
        if found is None or over is None:
            return None
        if over.tags:
            found = TagSet(dict(sorted((found.tags | over.tags).items())), found.conflict or over.conflict)
    return found


def _read(text: str, arrange: Callable[[list[Pair]], list[Pair]] = list) -> TagSet | None:
    text = text.strip()
    if text in MISSING:
        return TagSet({})
    try:
        value = decode("{" + text + "}" if text.startswith('"') else text)
        pairs = _pairs(value)
        found = None if pairs is None else _keep_first(arrange(pairs))
        if found is not None and ("\\u" in text or "\\U" in text):
            found.text.encode()  # half a character, which only an escape can hide, can't be written anywhere
    except (ValueError, RecursionError):
        return None
    return found


def _pairs(value: Any) -> list[Pair] | None:
    """List the keys and values; what is nearer to the resource hides what is farther (see _distance)."""
    if isinstance(value, Pairs):
        return [(key, item if type(item) is str else _text(item)) for key, item in value]
    if not isinstance(value, list):
        return None
    levels: dict[int, list[Pair]] = {}
    for element in value:
        entry = {key.lower(): item for key, item in element} if isinstance(element, Pairs) else {}
        key = entry.get("key")
        if not isinstance(key, str):
            return None
        if entry.get("x_type") != SYSTEM:
            levels.setdefault(_distance(entry), []).append((key, _text(entry.get("value"))))
    pairs: list[Pair] = []
    for _, level in sorted(levels.items()):
        taken = {key for key, _ in pairs}
        pairs += [pair for pair in level if pair[0] not in taken]
    return pairs


def _unprefix(pairs: list[Pair]) -> list[Pair]:
    """Take AWS's prefixes off: a resource's own tags hide those of its account, and cost categories are no tags.

    What IAM Identity Center says of a user keeps its prefix, for no resource was tagged with it.
    """
    own, account = [], []
    for key, value in pairs:
        where, slash, name = key.partition("/")
        if slash and where == "accountTag":
            account.append((name, value))
        elif slash and where == "resourceTags":
            own.append((name.removeprefix("user:"), value))
        elif not (slash and where == "costCategory"):
            own.append((key.removeprefix("user:").removeprefix("user_"), value))
    taken = {key for key, _ in own}
    return own + [pair for pair in account if pair[0] not in taken]


def _distance(entry: dict[str, Any]) -> int:
    """Say how far from the resource a tag was set: its own label, its own tag, an inherited one, its project's."""
    if any(entry.get(flag) in (True, "true") for flag in ("x_inherited", "inherited")):
        return 3 if entry.get("x_type") == "project_label" else 2
    return 1 if entry.get("x_type") == "tag" else 0


def _keep_first(pairs: list[Pair]) -> TagSet:
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
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{_quote(k)}:{_json(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json(item) for item in value) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
