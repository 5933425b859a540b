"""Read a CSV file that the engine refused, row by row: good rows are kept, each bad row is told apart with its reason.

The engine reads whole files or none. This is some ten times slower and only runs where a file has a bad row. Where rows
can't be told from each other any more (a quote that never closes), the file is refused: no row may get lost.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from governor.model import Position, Problem, Refused
from governor.sources.billing.files import Header

VALUE_MAX = 200  # characters of a bad row that are kept as evidence


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be used: its number from 1, and why."""

    row: int
    value: str
    code: str
    reason: str


def read_rows(path: Path, name: str, header: Header) -> Iterator[tuple[int, list[str]] | BadRow]:
    """Yield every row after the header, numbered from 1; empty lines are no rows."""
    width = len(header.names)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        last = [""]
        reader = csv.reader(_watch(file, last), delimiter=header.delimiter, strict=True)
        row, line = -1, 0
        while True:
            fields: list[str] | None
            bad = None
            try:
                fields = next(reader, None)
            except csv.Error as error:
                fields, bad = last[:], ("B045", f"can't be parted into fields: {error}")
            if fields is None:
                return
            lines, line = reader.line_num - line, reader.line_num
            if not fields:
                continue
            row += 1
            if row == 0:
                continue
            if not bad:
                bad = _judge(fields, width)
            if bad and lines > 1:
                first = line - lines + 1
                what = f"row {row}: a quote isn't closed; the rows in lines {first} to {line} can't be told apart"
                raise Refused(Problem(Position(name, first, 1), "B024", what, "mend the quote or export it again"))
            if bad:
                text = header.delimiter.join(fields).encode("utf-8", "replace").decode()
                yield BadRow(row, text[:VALUE_MAX], *bad)
            else:
                yield row, fields[:width]


def _watch(lines: Iterable[str], last: list[str]) -> Iterator[str]:
    """Pass lines on, keeping the last one for the reader's complaint."""
    for line in lines:
        last[0] = line
        yield line


def _judge(fields: list[str], width: int) -> tuple[str, str] | None:
    """Say what is wrong with a row; a single delimiter too many at its end is not."""
    if len(fields) != width and not (len(fields) == width + 1 and not fields[-1]):
        return "B044", f"has {len(fields)} fields, the header has {width}"
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return "B046", "isn't UTF-8 text"
    return None
