"""What a billing format says about one file: which of its columns feeds which of ours.

A format module (focus.py, and its neighbours) turns a header into a `Layout`. It opens no file and runs no query:
`engine.ingest` executes the layout. Formats speak of columns by their place, so that no name from a file becomes SQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from governor.model import Position, Problem
from governor.sources.billing.values import Reading
from governor.tables import TEXT

MISSING = ("", "NULL", "null", "N/A")  # all four are seen in real exports, and all mean that nothing was said


@dataclass(frozen=True, slots=True)
class Asked:
    """What a format is asked about one file, beside its column names.

    `kinds` say what each column holds, in the header's order: text, number, time, flag, map or list; a list of structs
    is JSON text. `wanted` are our names of `x_` columns to keep, `options` and `columns` what governor.yaml says of the
    source, and so `dates`. `defaults` are our names of columns that governor.yaml gives a value. `dataset` is what
    the delivery's manifest says that the file holds, such as Azure's AmortizedCost.
    """

    file: str
    kinds: Sequence[str] = ()
    wanted: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    defaults: frozenset[str] = frozenset()
    dates: str | None = None
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Own:
    """A column of the format's own: read as exactly as ours, for `derived`, and not kept.

    `sql` is over the raw columns. A `type` of MONEY makes an unreadable amount reject its row. `read`, where given,
    reads each distinct text once, instead of the reading that belongs to the type.
    """

    sql: str
    type: str = TEXT
    read: Callable[[str], Reading] | None = None


@dataclass(frozen=True, slots=True)
class Also:
    """A second charge out of the same row, such as the credit that came inside it.

    Made where `where` holds; it is the row's charge but for the columns in `derived`. Both are SQL over {name}s.
    """

    where: str
    derived: Mapping[str, str]

    @property
    def uses(self) -> frozenset[str]:
        """The names that decide whether there is one."""
        return frozenset(re.findall(r"\{(\w+)\}", self.where))


@dataclass(frozen=True, slots=True)
class Identity:
    """An amount that must be zero for each `key`, by the provider's own rules. Both are SQL over {name}s.

    `tolerance` is what the rounding of delivered amounts may leave of it, in the currency.
    """

    name: str
    key: str
    amount: str
    where: str = "TRUE"
    tolerance: str = "0"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Rows that make a file unusable, such as ones whose cost is in a column that it lacks.

    `where` is SQL over raw columns, `what` continues the number of such rows.
    """

    where: str
    code: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Alone:
    """What is unknown where one export of a pair comes without the other: the gap's reason and detail.

    `where` and `cost` say over our columns, in SQL, which charges it concerns and how much money: those of an account
    and month that the other export doesn't tell, and of them `each` whose day and sub account it doesn't tell.
    """

    reason: str
    detail: str
    where: str
    cost: str
    each: str = "FALSE"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two exports that tell the same charges, such as Azure's actual and amortized cost. Together they count once.

    A layout's `grain` says which of the two its file is; where it is empty, `signs` may: for each export, what only a
    row of it fulfils, as SQL over raw columns. Where files of both tell of the same `key` (SQL over {name}s), those
    rows of the other for which `repeats` holds are set aside, and what is billed there must be what `leading` bills.
    """

    leading: str
    signs: Mapping[str, str]
    key: tuple[str, ...]
    repeats: str
    alone: Mapping[str, Alone]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files with one header are read.

    `fields` holds, for each of our columns, SQL over the raw columns c0, c1, …: the first expression that isn't missing
    counts. The engine finds out the type of each and normalises it; a layout never converts. `derived` holds columns of
    ours that are computed instead: SQL over {name}s of `own` columns and of fields, each already read. Amounts in it
    are exact decimals that may be added, subtracted and chosen, and are NULL where the row says nothing.

    `tags` is the raw tags as text, map or list of structs, and `allocated_tags` what overrides them; None where the
    file has no such column. `aside` names rows that are no charges, such as copies: reason -> condition over raw
    columns. They are counted and added up apart. `identities` are checked, and what breaks them is said with its money.
    A file with rows that are `unusable` is refused.
    """

    version: str
    why: str
    fields: Mapping[str, tuple[str, ...]]
    tags: str | None = None
    allocated_tags: str | None = None
    canonical_tags: bool = False  # `tags` writes sets as they are kept, keys sorted, where it writes no backslash
    format: str = "FOCUS"
    own: Mapping[str, Own] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    also: tuple[Also, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict)
    identities: tuple[Identity, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    # (reason, detail): what a reader of the totals must know of this file. `assumption`: told, and hides nothing; any
    # reason that isn't among the ledger's NOTICES makes the run incomplete.
    doubles: bool = False  # its text amounts are printed doubles: too fine ones are rounded, and that is told
    grain: str = ""  # files of one source that differ in it tell the same charges twice where they overlap
    pair: Pair | None = None  # how two grains go together; without it they are refused
    series: str = ""  # what the file is a snapshot of, such as an export's month; `snapshot` is which one
    snapshot: str = ""
    notices: tuple[tuple[str, str], ...] = ()

    def read(self, kept: Container[str] | None) -> tuple[int, ...]:
        """List the places of the raw columns that any expression names, but for columns of ours that aren't kept."""
        wheres = (*self.aside.values(), *(one.where for one in self.unusable))
        texts = (*self.texts(kept), *wheres, *(self.pair.signs.values() if self.pair else ()))
        return tuple(sorted({int(n) for text in texts for n in re.findall(r"\bc(\d+)\b", text)}))

    def texts(self, kept: Container[str] | None) -> tuple[str, ...]:
        """List every expression over raw columns whose type matters."""
        texts = [
            text for name, expressions in self.fields.items() if kept is None or name in kept for text in expressions
        ]
        texts += [own.sql for own in self.own.values()]
        return (*texts, *(text for text in (self.tags, self.allocated_tags) if text))

    def holds(self, name: str) -> bool:
        """Whether a column of ours has anything to come from."""
        return name in self.fields or name in self.derived


def raw(place: int) -> str:
    """Name the raw column at a place of the header (from 0)."""
    return f"c{place}"


def fold(name: str) -> str:
    r"""Reduce a column name to what spelling can't change.

    >>> fold("\ufeffBilled Cost"), fold("billed_cost"), fold("BilledCost")
    ('billedcost', 'billedcost', 'billedcost')
    """
    return re.sub(r"[\s_\-\ufeff]", "", name).lower()


def doubled(header: Sequence[str], folded: Sequence[str], read: Collection[str], file: str) -> list[Problem]:
    """List the columns that stand more than once in a header, of those folded names that are read."""
    return [
        Problem(
            Position(file, 1, 1),
            "B012",
            f"has the column {header[folded.index(key)]} {folded.count(key)} times: "
            + ", ".join(repr(name[:60]) for name, k in zip(header, folded, strict=True) if k == key),
            "keep one; names are compared without case, punctuation and spaces",
        )
        for key in sorted(set(read) & set(folded))
        if folded.count(key) > 1
    ]


def tags_of_columns(tags: Mapping[str, str]) -> str:
    """Write SQL for the tags as JSON text where each is a column: key -> SQL. A cell that says nothing is no tag."""
    missing = ", ".join(f"'{word}'" for word in MISSING)
    pairs = ", ".join(
        f"CASE WHEN coalesce(CAST({sql} AS VARCHAR), '') NOT IN ({missing}) "
        f"THEN {_quoted(json.dumps(key) + ':')} || CAST(to_json(CAST({sql} AS VARCHAR)) AS VARCHAR) END"
        for key, sql in tags.items()
    )
    return f"('{{' || concat_ws(',', {pairs}) || '}}')"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
