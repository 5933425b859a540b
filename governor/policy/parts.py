"""Read the parts that policies are made of, and check what every kind shares: ids, columns, patterns, inline tests.

The document fits the schema when this is called, so a value that is there has the type that the schema says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from governor import tables
from governor.model import Grace, PolicyTest, Position, Predicate, Problem, Severity
from governor.policy.patterns import check
from governor.schema import did_you_mean, place
from governor.strict_yaml import MAX_PROBLEMS, Node, plain, short

Found = list[Problem]

# Values that people write when they have none. They count as absent unless a tag names its own list.
PLACEHOLDERS = ("tbd", "n/a", "na", "none", "null", "unknown", "todo", "-", "changeme", "untagged")

_COLUMNS = ("source", *(c.name for c in tables.CHARGES))
_FOCUS_NAMES = tuple(c.note for c in tables.FOCUS)
_KNOWN = frozenset(_COLUMNS)


def text(node: Node, key: str, default: str = "") -> str:
    """Return the text under a key."""
    entry = node.get(key)
    return default if entry is None else str(entry.value)


def texts(node: Node, key: str) -> tuple[str, ...]:
    """Return the list of texts under a key, empty where there is none."""
    return tuple(str(item.value) for item in items(node, key))


def items(node: Node, key: str) -> tuple[Node, ...]:
    """Return the items of the list under a key."""
    entry = node.get(key)
    return entry.items() if entry else ()


def entries(node: Node, key: str) -> Mapping[str, Node]:
    """Return the entries of the mapping under a key."""
    entry = node.get(key)
    return entry.entries() if entry else {}


def day(node: Node, key: str) -> date:
    """Return the date under a key, the earliest there is without one."""
    entry = node.get(key)
    return date.fromisoformat(str(entry.value)) if entry else date.min


def predicate(node: Node, key: str) -> Predicate | None:
    """Return the condition under a key as written, and the position of its first character."""
    return condition(node.entries()[key]) if node.get(key) else None


def condition(entry: Node) -> Predicate:
    """Take a condition as written. Its position is that of its first character, behind a quote."""
    at = entry.position
    return Predicate(str(entry.value), replace(at, column=at.column + 1) if entry.quoted else at)


def pattern(node: Node, found: Found) -> str | None:
    """Return the regular expression under `matches`, refused where RE2 or another engine can't read it."""
    entry = node.get("matches")
    if entry is None:
        return None
    [wrong] = check([str(entry.value)])
    if wrong:
        found.append(Problem(entry.position, "P018", *wrong))
    return str(entry.value)


def base(node: Node, digest: str, found: Found, *, unread_columns: bool = False) -> dict[str, Any]:
    """Read the fields of PolicyBase."""
    return {
        "id": text(node, "id"),
        "title": text(node, "title"),
        "position": node.position,
        "digest": digest,
        "why": text(node, "why"),
        "tests": inline_tests(node, found, unread_columns=unread_columns),
    }


def judgement(node: Node) -> dict[str, Any]:
    """Read the fields that every policy with requirements has."""
    grace = node.get("grace")
    return {
        "severity": Severity(text(node, "severity", "medium")),
        "grace": Grace(plain(grace)["days"]) if grace else None,
        "on_unknown": text(node, "on_unknown", "fail"),
        "remedy": text(node, "remedy"),
    }


def inline_tests(node: Node, found: Found, *, unread_columns: bool = False) -> tuple[PolicyTest, ...]:
    """Read inline tests. What they give stays plain Python; only the columns that they name are checked."""
    cases = []
    for test in items(node, "tests"):
        for name, value in entries(test, "charge").items():
            check_column(name, place(value), found)
        for item in items(test, "unread") if unread_columns else ():
            check_column(str(item.value), item.position, found)
        given = plain(test)
        cases.append(PolicyTest(given, str(given.pop("expect")), test.position))
    return tuple(cases)


def check_verdicts(node: Node, example: str, found: Found) -> None:
    """Demand a pass, a fail and an unknown: a policy that was never seen to fail, or to admit ignorance, is a guess."""
    cases = node.get("tests")
    expected = {text(test, "expect") for test in items(node, "tests")}
    missing = [verdict for verdict in ("pass", "fail", "unknown") if verdict not in expected]
    if missing:
        what = f"no inline test expects {' or '.join(missing)}"
        mend = f"add such a case under tests:{f', such as {example}' if 'unknown' in missing else ''}"
        found.append(Problem(place(cases) if cases else node.position, "P014", what, mend))


def is_column(name: str) -> bool:
    """Say whether charges have a column of this name, FOCUS or ours; x_ and oci_ columns are a bill's own."""
    return tables.is_custom(name) or tables.snake(name) in _KNOWN


def check_column(name: str, at: Position, found: Found) -> None:
    """Refuse a name that no column of the charges has."""
    if not is_column(name) and len(found) < MAX_PROBLEMS:
        known = _COLUMNS if "_" in name or name.islower() else _FOCUS_NAMES
        mend = did_you_mean(name, known) or "see the columns of charges in FOCUS 1.4"
        found.append(Problem(at, "P016", f"charges have no column {short(name)}", mend))


def check_unique(clauses: Iterable[Node], found: Found) -> None:
    """Refuse an id that two parts of a policy share."""
    seen: dict[str, Position] = {}
    for clause in clauses:
        name = clause.entries()["id"]
        first = seen.setdefault(str(name.value), name.position)
        if first is not name.position:
            what = f"the id {short(name.value)} stands already at {first.line}:{first.column}"
            found.append(Problem(name.position, "P013", what, "give each its own: findings and cents are booked by it"))
