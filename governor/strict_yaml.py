"""YAML without surprises: every value as it is written, with its position, or a refusal that says where and why.

PyYAML is only the parser. What its loaders make of the text (octal account ids, `no` as false, 22:22 as a number, the
last of two equal keys) is decided here: plain scalars follow the rules of JSON, everything else stays text. Anchors,
tags and merge keys are refused, so nothing grows beyond what is written and nothing is constructed. All limits hold
while reading, before anything large is built.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from governor.model import Position, Problem, Refused

MAX_BYTES = 1 << 20
MAX_NODES = 200_000
MAX_DEPTH = 32
MAX_PROBLEMS = 50
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,24}")
_WORDS = {"true": True, "false": False, "null": None}
# Control characters, characters that turn the direction of text, line breaks that editors don't count, halves of pairs.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_LONE_RETURN = re.compile("\r(?!\n)")
_MENDS = {
    "mapping values are not allowed": 'quote a text that holds ": ", and indent the keys of a mapping alike',
    "cannot start any token": "quote a text that starts with @ ` % or another sign",
    "did not find expected key": "indent the keys of a mapping alike, and quote texts that hold quotes or signs",
    "expected <block end>": "indent the keys of a mapping alike, and quote texts that hold quotes or signs",
    "did not find expected ',' or": "close the bracket, and separate its items by commas",
    "expected ',' or": "close the bracket, and separate its items by commas",
    "could not find expected ':'": "write key: value, or indent the rest of a text",
    "unexpected end of stream": "close the quote",
    "unknown escape character": "write a backslash twice, or use single quotes",
}

Scalar = str | int | Decimal | bool | None
Event = Any  # of libyaml's parser or of the one in Python; both have the same attributes


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands. `key` is where its key stands, for a value of a mapping.

    A sequence is a tuple of nodes, a mapping a dict of nodes by key. `quoted` tells "1" from 1, and where text starts.
    """

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    position: Position
    key: Position | None = None
    quoted: bool = False

    def get(self, key: str) -> Node | None:
        """Return the value under a key of a mapping, None where there is none."""
        return self.value.get(key) if isinstance(self.value, Mapping) else None

    def items(self) -> tuple[Node, ...]:
        """Return the items of a sequence, nothing for anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    def entries(self) -> Mapping[str, Node]:
        """Return the entries of a mapping, nothing for anything else."""
        return self.value if isinstance(self.value, Mapping) else {}


def plain(node: Node) -> Any:
    """Turn a node into plain Python: dict, list, str, int, Decimal, bool, None."""
    if isinstance(node.value, Mapping):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    return node.value


def load(path: Path, name: str | None = None, max_nodes: int = MAX_NODES) -> Node:
    """Read one YAML file. `name` is what positions call it, by default its path. Raises Refused."""
    name = str(path) if name is None else name
    return loads(_decode(_read(path, name), name), name, max_nodes)


def loads(text: str, name: str, max_nodes: int = MAX_NODES) -> Node:
    r"""Read one YAML document from text. Raises Refused with every problem found; positions say `name`.

    >>> plain(loads("account: 012345670123\nopen: no\nshare: 33.30\n", "a.yaml"))
    {'account': '012345670123', 'open': 'no', 'share': Decimal('33.30')}
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        raise Refused(_too_large(name))
    _refuse_characters(text, name)
    reading = _Reading(name, max_nodes, _position(text, len(text), name))
    try:
        root = _document(reading, yaml.parse(text, Loader=LOADER))
    except yaml.MarkedYAMLError as error:
        raise Refused(*reading.problems, _syntax(error, text, name)) from None
    # Only the parser without libyaml: escapes beyond Unicode. Its message would name no position.
    except (yaml.YAMLError, ValueError, OverflowError):
        raise Refused(*reading.problems, Problem(Position(name), "Y006", "this is not YAML")) from None
    if reading.problems:
        raise Refused(*reading.problems)
    return root


def short(value: object, limit: int = 60) -> str:
    """Quote a value for a message: on one line, and not longer than a reader bears."""
    text = str(value) if isinstance(value, int | Decimal) else f'"{value}"'
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 2]}…{text[-1]}"


# --- the file ---------------------------------------------------------------------------------------------------------


def _read(path: Path, name: str) -> bytes:
    here = Position(name)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise Refused(Problem(here, "Y001", f"this is {what}", "name a YAML file"))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise Refused(Problem(here, "Y001", f"the file can't be read: {reason}", "check its path and rights")) from None
    if len(content) > MAX_BYTES:
        raise Refused(_too_large(name))
    return content


def _too_large(name: str) -> Problem:
    what = f"the file is larger than {MAX_BYTES:,} bytes"
    return Problem(Position(name), "Y002", what, "split it into several files")


def _decode(content: bytes, name: str) -> str:
    mend = "save it as UTF-8"
    if b"\0" in content[:4] or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Refused(Problem(Position(name, 1, 1), "Y004", "the file is UTF-16 or UTF-32, not UTF-8", mend))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        what = f"the byte 0x{content[error.start]:02X} is not UTF-8"
        raise Refused(Problem(_position(before, len(before), name), "Y004", what, mend)) from None


def _refuse_characters(text: str, name: str) -> None:
    found = [*islice(_FORBIDDEN.finditer(text), MAX_PROBLEMS), *islice(_LONE_RETURN.finditer(text), 1)]
    if found:
        raise Refused(*(_forbidden(match[0], _position(text, match.start(), name)) for match in found))


def _forbidden(character: str, position: Position) -> Problem:
    title = unicodedata.name(character, "a control character").lower()
    return Problem(position, "Y005", f"the character U+{ord(character):04X} ({title}) is not allowed", "remove it")


def _position(text: str, index: int, name: str) -> Position:
    return Position(name, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


# --- the document -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """What was met so far in one document."""

    name: str
    max_nodes: int
    end: Position  # of the text: the parser's own is a line behind the last one
    nodes: int = 0
    problems: list[Problem] = field(default_factory=list)

    def at(self, event: Event) -> Position:
        return min(self.end, Position(self.name, event.start_mark.line + 1, event.start_mark.column + 1))

    def problem(self, position: Position, code: str, what: str, mend: str = "") -> None:
        self.add(Problem(position, code, what, mend))

    def add(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise Refused(*self.problems)

    def stop(self, position: Position, code: str, what: str, mend: str) -> Refused:
        return Refused(*self.problems, Problem(position, code, what, mend))


def _document(reading: _Reading, events: Iterator[Event]) -> Node:
    root = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if event.version or event.tags:
                reading.problem(reading.at(event), "Y018", "directives (%YAML, %TAG) are not allowed", "remove them")
            if root is not None:
                raise reading.stop(
                    reading.at(event), "Y011", "a second document starts here", "put it into a file of its own"
                )
            first = next(events)
            if isinstance(first, yaml.ScalarEvent) and not (first.value or first.style or first.tag or first.anchor):
                break
            root = _node(reading, events, first, 1)
    if root is None:
        raise reading.stop(Position(reading.name), "Y003", "the file is empty", "write something into it")
    return root


def _node(reading: _Reading, events: Iterator[Event], event: Event, depth: int, key: Position | None = None) -> Node:
    """Build the node that an event starts. Recursion is bounded by MAX_DEPTH, work by max_nodes."""
    position = reading.at(event)
    reading.nodes += 1
    if reading.nodes > reading.max_nodes:
        raise reading.stop(position, "Y013", f"more than {reading.max_nodes:,} values", "split it into several files")
    if depth > MAX_DEPTH:
        raise reading.stop(position, "Y012", f"nested deeper than {MAX_DEPTH} levels", "write it flatter")
    if isinstance(event, yaml.AliasEvent):
        reading.problem(position, "Y008", f"the alias {short(event.anchor)} is not allowed", "write the value out")
        return Node(None, position, key)
    _refuse_decoration(reading, event, position)
    if isinstance(event, yaml.ScalarEvent):
        return Node(_scalar(reading, event, position), position, key, quoted=event.style in ("'", '"'))
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_node(reading, events, item, depth + 1))
        return Node(tuple(items), position, key)
    return Node(_mapping(reading, events, depth), position, key)


def _refuse_decoration(reading: _Reading, event: Event, position: Position) -> None:
    if event.anchor is not None:
        reading.problem(position, "Y008", f"the anchor {short(event.anchor)} is not allowed", "write the value out")
    if event.tag is not None:
        reading.problem(position, "Y009", f"the tag {short(event.tag)} is not allowed", "write the plain value")


def _mapping(reading: _Reading, events: Iterator[Event], depth: int) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        at = reading.at(event)
        name = _key(reading, events, event, depth)
        value = _node(reading, events, next(events), depth + 1, at)
        first = entries.setdefault(name, value) if name is not None else value
        if first is not value and first.key:
            where = f"{first.key.line}:{first.key.column}"
            reading.problem(at, "Y014", f"the key {short(name)} stands already at {where}", "keep one of them")
    return entries


def _key(reading: _Reading, events: Iterator[Event], event: Event, depth: int) -> str | None:
    """Read a key; None where it is refused."""
    position = reading.at(event)
    is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and _is_plain(event)
    if isinstance(event, yaml.ScalarEvent) and not event.value:
        reading.problem(position, "Y016", "the key is empty", "give it a name")
        return None
    node = _node(reading, events, event, depth + 1)
    if is_merge:
        reading.problem(position, "Y010", "the merge key << is not allowed", "write the keys out")
    elif isinstance(node.value, str):
        return node.value
    elif isinstance(event, yaml.ScalarEvent):
        reading.problem(position, "Y015", f"the key {event.value} is not text", f'quote it: "{event.value}"')
    elif not isinstance(event, yaml.AliasEvent):  # an alias was refused as such
        reading.problem(position, "Y015", "a list or a mapping can't be a key", "quote a text that starts with { or [")
    return None


def _scalar(reading: _Reading, event: Event, position: Position) -> Scalar:
    text = str(event.value)
    if not _is_plain(event):
        # Escapes such as "\0" put into a value what the text of the file may not hold.
        if event.style == '"' and (match := _FORBIDDEN.search(text)):
            reading.add(_forbidden(match[0], position))
        return text
    if not text:
        reading.problem(position, "Y017", "a value is missing here", 'write it, or null, or "" for an empty text')
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def _is_plain(event: Event) -> bool:
    return not event.style


def _syntax(error: yaml.MarkedYAMLError, text: str, name: str) -> Problem:
    """Say what the parser said, at its place; the common cases, a tab and an empty key, in words of their own."""
    what = (error.problem or "unreadable")[:120]
    # A line that lacks its colon is found out where the next one starts.
    mark = error.context_mark if what.startswith("could not find") else error.problem_mark
    if mark is None:
        return Problem(Position(name), "Y006", f"this is not YAML: {what}")
    line = next(islice(text.split("\n"), mark.line, None), None)
    if line is None:  # the parser's end is a line behind the last one
        return Problem(_position(text, len(text), name), "Y006", f"this is not YAML: {what}", _mend(what))
    position = Position(name, mark.line + 1, mark.column + 1)
    indent = line[: len(line) - len(line.lstrip())]
    at = line[mark.column : mark.column + 1]
    if "\t" in indent or at == "\t":
        column = line.index("\t") + 1
        return Problem(Position(name, mark.line + 1, column), "Y007", "a tab is used to indent", "indent by spaces")
    if at == ":" and "expected" in what:
        return Problem(position, "Y016", "the key is empty", "give it a name")
    return Problem(position, "Y006", f"this is not YAML: {what}", _mend(what))


def _mend(what: str) -> str:
    return next((mend for sign, mend in _MENDS.items() if sign in what), "")
