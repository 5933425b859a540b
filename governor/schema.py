"""Judge a YAML document by a JSON Schema, and say what is wrong in our words, at the place where it is wrong.

The schemas in `schemas/` have two readers: editors, which show their descriptions, and this module, which turns each
violation into a Problem. A property's `patternErrorMessage` (editors know it too) says what a pattern means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from governor._data import data
from governor.model import Position, Problem
from governor.strict_yaml import MAX_PROBLEMS, Node, plain, short

# The number of each kind of violation, behind the letter of whose file it is: P001 in a policy, C001 in governor.yaml.
UNKNOWN_KEY, MISSING_KEY, WRONG_TYPE, WRONG_VALUE, WRONG_FORM, WRONG_SIZE = "001", "002", "003", "004", "005", "006"
LATER = "008"  # in the design, not in this version: named in a schema's `x-later`, refused instead of ignored

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}
_LATER_KEY = "x-later"
_FORMATS = FormatChecker(formats=["date"])


def read_schema(name: str) -> Any:
    """Read a shipped schema, such as `read_schema("policy.json")`."""
    return json.loads(data("schemas", name).read_text(encoding="utf-8"), object_hook=_in_python)


def _in_python(part: dict[str, Any]) -> dict[str, Any]:
    """Turn a pattern of ECMAScript, where `$` is the end, into Python's, where it is also before a last line break."""
    if isinstance(part.get("pattern"), str):
        part["pattern"] = re.sub(r"\$$", r"\\Z", part["pattern"])
    return part


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, as the end of a sentence; nothing where none is near.

    >>> did_you_mean("serverity", ["severity", "title"])
    'did you mean "severity"?'
    """
    folded = {k.casefold(): k for k in sorted(known)}
    near = get_close_matches(name.casefold()[:100], folded, n=1, cutoff=0.6)
    return f'did you mean "{folded[near[0]]}"?' if near else ""


def violations(node: Node, schema: Mapping[str, Any], letter: str) -> list[Problem]:
    """Return what is wrong with a document, sorted by place. A list or mapping far too long ends the search."""
    found: set[Problem] = set()
    for error in Draft202012Validator(schema, format_checker=_FORMATS).iter_errors(plain(node)):
        for at, code, what, mend in _wrongs(node, error):
            found.add(Problem(at, letter + code, what, mend))
            if len(found) >= MAX_PROBLEMS:
                return sorted(found)
        if error.validator in ("maxItems", "maxProperties") and len(error.instance) > MAX_PROBLEMS:
            break
    return sorted(found)


def place(node: Node) -> Position:
    """Return where a reader looks for an entry: its key, or itself where it has none."""
    return node.key or node.position


def later(name: str) -> tuple[str, str]:
    """Say that something of the design is not in this version: to ignore it would be a silent gap."""
    return f"{name} is not supported yet by this version", "remove it"


def _wrongs(root: Node, error: ValidationError) -> Iterator[tuple[Position, str, str, str]]:
    """Translate one violation, the ones about keys here: each key has its place."""
    node = _at(root, error)
    value: Any = error.validator_value
    schema: Any = error.schema
    properties = schema.get("properties", {})
    if "propertyNames" in error.relative_schema_path:
        at = place(node.entries()[str(error.instance)])
        yield at, WRONG_FORM, f"{short(error.instance)} can't be a key here", schema["patternErrorMessage"]
    elif error.validator == "additionalProperties":
        for name, entry in node.entries().items():
            if name in schema.get(_LATER_KEY, ()):
                yield place(entry), LATER, *later(name)
            elif name not in properties:
                mend = did_you_mean(name, properties) or f"known here: {', '.join(properties)}"
                yield place(entry), UNKNOWN_KEY, f"unknown key {short(name)}", mend
    elif error.validator == "required":
        for name in value:
            if name not in node.entries():
                says = properties.get(name, {}).get("description", "")
                yield node.position, MISSING_KEY, f'"{name}" is missing', f"add {name}: {_first(says)}"
    else:
        yield node.position, *_wrong_value(node, str(error.validator), value, schema)


def _wrong_value(node: Node, keyword: str, value: Any, schema: Any) -> tuple[str, str, str]:
    """Translate a violation by one value. The branches are the keywords that our schemas use."""
    if keyword == "type":
        types = [value] if isinstance(value, str) else value
        expected = " or ".join(_TYPES[t] for t in types)
        return WRONG_TYPE, f"{expected} is expected here, not {_shown(node)}", _type_mend(node, types)
    if node.value in schema.get(_LATER_KEY, ()):
        return LATER, *later(str(node.value))
    if keyword in ("enum", "const"):
        known = [v if isinstance(v, str) else json.dumps(v) for v in (value if keyword == "enum" else [value])]
        mend = did_you_mean(str(node.value), known) or f"choose from {', '.join(known)}"
        return WRONG_VALUE, f"{_shown(node)} is not accepted here", mend
    if keyword == "format":
        return WRONG_FORM, f"{_shown(node)} is no date", "write a day that exists as YYYY-MM-DD"
    if keyword == "pattern":
        return WRONG_FORM, f"{_shown(node)} is not accepted here", schema["patternErrorMessage"]
    return WRONG_SIZE, *_size(node, keyword, value)


def _at(root: Node, error: ValidationError) -> Node:
    """Walk an error's path into the positioned nodes."""
    node = root
    for step in error.absolute_path:
        node = node.items()[step] if isinstance(step, int) else node.entries()[step]
    return node


def _shown(node: Node) -> str:
    if isinstance(node.value, tuple):
        return "a list"
    if isinstance(node.value, Mapping):
        return "a mapping"
    return json.dumps(node.value) if isinstance(node.value, bool) or node.value is None else short(node.value)


def _type_mend(node: Node, types: list[str]) -> str:
    if "string" in types and not isinstance(node.value, tuple | Mapping):
        return f'quote it: "{_shown(node)}"'
    if "array" in types and not isinstance(node.value, Mapping):
        return "write a list: [a, b]"
    if node.quoted and "string" not in types:
        return "remove the quotes"
    return "write a mapping: {key: value}" if "object" in types else "write it so"


def _size(node: Node, keyword: str, limit: object) -> tuple[str, str]:
    """Say what a limit asks for."""
    words = {
        "maxLength": (f"the text is longer than {limit} characters", "shorten it"),
        "minItems": ("the list is too short", f"list at least {limit}"),
        "maxItems": (f"the list has more than {limit} items", "shorten it"),
        "minProperties": ("the mapping is empty", f"name at least {limit}"),
        "maxProperties": (f"{limit} of these keys may stand here, not more", "remove the others"),
        "minimum": (f"{_shown(node)} is too small", f"write at least {limit}"),
        "maximum": (f"{_shown(node)} is too large", f"write at most {limit}"),
        "exclusiveMinimum": (f"{_shown(node)} is too small", f"write more than {limit}"),
        "uniqueItems": ("an item of the list is there twice", "keep one of them"),
    }
    return words[keyword]


def _first(description: str) -> str:
    """Return the first sentence of a description, as part of a longer one."""
    sentence = description.split(". ", 1)[0].removesuffix(".")
    return sentence[:1].lower() + sentence[1:]
