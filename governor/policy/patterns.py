"""Regular expressions: RE2 only, because it is linear in time whatever the pattern and whatever the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

MAX_PATTERN = 500

# What authors expect of other engines, by what RE2 says of it.
_MENDS = (
    (
        re.compile(r"invalid perl operator: \(\?<?[=!]"),
        "RE2 can't look ahead or behind; write a second condition, AND NOT matches(...)",
    ),
    (re.compile(r"invalid escape sequence: \\(\d|g|k)"), "RE2 has no references back to a group: write aa|bb|cc"),
    (re.compile(r"bad repetition operator|invalid repetition size"), "repeat less, at most 1,000 times in all"),
    (re.compile(r"missing|unexpected"), "close every ( and [, or write \\( and \\[ for the characters themselves"),
)
# RE2 takes these, other engines take them otherwise or not at all; a policy must mean the same everywhere.
_NOT_PORTABLE = (
    (re.compile(r"(?<!\\)\(\?P"), "a named group", "write a plain group ( )"),
    (re.compile(r"(?<!\\)\(\?[a-z]*U"), "the flag U", "write *? for a short match"),
    (re.compile(r"\\[QEC]"), r"\Q, \E or \C", r"put a backslash before each special character: \."),
    (re.compile(r"(?<!\\)\[\^?\[:"), "a POSIX class", "write the range: [A-Za-z]"),
    (re.compile(r"(?<!\\)\[(?:\\.|[^\]\\\[])*?(?:\[|&&)"), "[ or && within [ ]", r"put a backslash before it: [\[\&]"),
)


def check(patterns: Sequence[str]) -> list[tuple[str, str] | None]:
    """Say for each pattern what is wrong with it and how to mend that, or None. RE2 itself, in DuckDB, is the judge."""
    if not patterns:
        return []
    import duckdb  # noqa: PLC0415 - most predicates have no pattern, and listing policies shouldn't load an engine

    # A cursor of DuckDB's own default connection: opening a database for every predicate takes fifty times longer.
    with duckdb.default_connection().cursor() as cursor:

        def refusal(pattern: str) -> str:
            try:
                cursor.execute("SELECT regexp_full_match('', ?)", [pattern]).fetchall()
            except duckdb.Error as error:
                return str(error).removeprefix("Invalid Input Error: ")
            return ""

        return [_wrong(pattern, refusal) for pattern in patterns]


def _wrong(pattern: str, refusal: Callable[[str], str]) -> tuple[str, str] | None:
    if len(pattern) > MAX_PATTERN:
        what = f"the pattern has {len(pattern):,} characters, more than {MAX_PATTERN}"
        return what, "list the values in a register and use in_register"
    if said := refusal(pattern):
        mend = next((mend for sign, mend in _MENDS if sign.search(said)), "see the syntax of RE2")
        return f"the pattern is not valid RE2: {said}", mend
    bare = pattern.replace(r"\\", "")
    for construct, name, mend in _NOT_PORTABLE:
        if construct.search(bare):
            return f"the pattern uses {name}, which engines read differently", mend
    return None
