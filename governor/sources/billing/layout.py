"""What a billing format says about one file: which of its columns feeds which of ours.

A format module (focus.py, and its neighbours) turns a header into a `Layout`. It opens no file and runs no query:
`engine.ingest` executes the layout. Formats speak of columns by their place, so that no name from a file becomes SQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MISSING = ("", "NULL", "null", "N/A")  # all four are seen in real exports, and all mean that nothing was said


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files with one header are read.

    `fields` holds, for each of our columns, SQL over the raw columns c0, c1, …: the first expression that isn't missing
    counts. The engine finds out the type of each and normalises it; a layout never converts. `tags` is the raw tags as
    text, map or list of structs, and `allocated_tags` what overrides them; None where the file has no such column.
    `read` are the header's places that are needed.
    """

    version: str
    why: str
    fields: Mapping[str, tuple[str, ...]]
    tags: str | None = None
    allocated_tags: str | None = None

    @property
    def read(self) -> tuple[int, ...]:
        """The places of the raw columns that any expression names."""
        texts = [text for expressions in self.fields.values() for text in expressions]
        texts += [text for text in (self.tags, self.allocated_tags) if text]
        return tuple(sorted({int(n) for text in texts for n in re.findall(r"\bc(\d+)\b", text)}))


def raw(place: int) -> str:
    """Name the raw column at a place of the header (from 0)."""
    return f"c{place}"


def fold(name: str) -> str:
    r"""Reduce a column name to what spelling can't change.

    >>> fold("\ufeffBilled Cost"), fold("billed_cost"), fold("BilledCost")
    ('billedcost', 'billedcost', 'billedcost')
    """
    return re.sub(r"[\s_\-\ufeff]", "", name).lower()
