"""Small tables as people save them, mostly CSV: every record with its line, every trace of damage with its place.

Registers are edited by hand and in spreadsheets, so what is wrong is said all at once, in words that name the mend.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from governor import money
from governor.model import Position, Problem, Refused

MOST_BYTES = 16 * 1024 * 1024
MOST_CHARACTERS = 1_000  # of one value
MOST_IN_LINE = 100_000  # characters: 500 columns of 200
MOST_LINES = 300_000
MOST_PROBLEMS = 100  # told of one file

# Control characters (a line break within a value included), line and paragraph separators, bidirectional overrides and
# invisible characters: two values that look alike must be alike.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]")
# What a spreadsheet makes of long numbers and of broken formulas. Nobody writes an id like this.
DAMAGED = re.compile(r"\d([.,]\d+)?E\+\d+|#(N/A|REF!|NAME\?|VALUE!|DIV/0!|NUM!|NULL!)|#{3,}")
_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "gzip-compressed",
    b"PAR1": "Parquet",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True, slots=True)
class Records:
    """A CSV file: its header, its records with the line each begins on, and what is wrong with single records."""

    sha256: str
    header_line: int
    header: tuple[str, ...]
    records: tuple[tuple[int, tuple[str, ...]], ...]
    problems: tuple[Problem, ...]


def read(path: Path, shown: str) -> Records:
    """Read a CSV file with a header into trimmed text fields. Blank lines and lines of empty fields are skipped.

    `shown` is how problems name the file. Raises Refused where there is nothing to read; what is wrong with single
    records is returned, so that the caller can add its own findings.
    """
    data = _bytes(path, shown)
    problems: list[Problem] = []
    records = _records(_text(data, shown), shown, problems)
    header_line, header = next(records, (0, ()))
    if not header:
        empty = Problem(Position(shown), "R003", "the file is empty", "the first line names the columns")
        raise Refused(*(problems or [empty]))
    whole = []
    for line, fields in records:
        if len(fields) == len(header):
            whole.append((line, fields))
        else:
            what = f"{_count(len(fields))} where the header has {len(header)}"
            more = len(fields) > len(header)
            mend = "put values that hold a comma between quotes" if more else "a line has every field, empty ones too"
            problems.append(Problem(Position(shown, line, 1), "R005", what, mend))
        if len(problems) > MOST_PROBLEMS:
            break
    return Records(hashlib.sha256(data).hexdigest(), header_line, header, tuple(whole), tuple(problems))


def read_parquet(path: Path, shown: str) -> Records:
    """Read a Parquet file's rows as the texts that a CSV would hold, numbered from 1. Decimals stay as they are."""
    data = _bytes(path, shown)
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        what = f"is no readable Parquet file: {str(error).splitlines()[0][:160]}"
        raise Refused(Problem(Position(shown), "R002", what, "deliver the file again")) from error
    if table.num_rows > MOST_LINES:
        what = f"has more than {MOST_LINES:,} rows"
        raise Refused(Problem(Position(shown), "R001", what, "leave out what is not needed"))
    columns = [[_printed(value) for value in column.to_pylist()] for column in table.columns]
    records = tuple((row, fields) for row, fields in enumerate(zip(*columns, strict=True), 1) if any(fields))
    return Records(hashlib.sha256(data).hexdigest(), 1, tuple(table.column_names), records, ())


def _printed(value: object) -> str:
    """Print a value as a CSV holds it; a double as the shortest decimal that reads back to it."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return money.text(value)
    return value.isoformat() if isinstance(value, date) else str(value).strip(" \t")


def capped(problems: Iterable[Problem], shown: str) -> list[Problem]:
    """Sort the problems of a file; of very many, tell the first found and that there are more."""
    first = list(islice(problems, MOST_PROBLEMS + 1))
    more = [Problem(Position(shown), "R009", f"more than {MOST_PROBLEMS} problems", "mend these first")]
    return sorted(first[:MOST_PROBLEMS]) + more[: len(first) - MOST_PROBLEMS]


def _bytes(path: Path, shown: str) -> bytes:
    def refused(what: str, mend: str) -> Refused:
        return Refused(Problem(Position(shown), "R001", what, mend))

    try:
        if path.is_dir():
            raise refused("is a folder", "name a CSV file")
        if path.exists() and not path.is_file():
            raise refused("is not a regular file", "name a CSV file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            limit = MOST_BYTES // 1024 // 1024
            raise refused(f"has {size:,} bytes; a register has at most {limit} MB", "leave out what no policy looks up")
        return path.read_bytes()
    except FileNotFoundError:
        raise refused("no such file", "check `file:` under registers: in governor.yaml") from None
    except OSError as error:
        raise refused(f"can't be read: {error.strerror}", "check the path and its permissions") from None


def _text(data: bytes, shown: str) -> str:
    save = "save it as CSV in UTF-8"
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            raise Refused(Problem(Position(shown), "R002", f"is {kind}, not CSV", save))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        raise Refused(Problem(Position(shown), "R002", "is UTF-16 or UTF-32, not UTF-8", save))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise Refused(Problem(Position(shown, line, 1), "R002", what, save)) from None
    if max(text.count("\n"), text.count("\r")) > MOST_LINES:
        what = f"has more than {MOST_LINES:,} lines"
        raise Refused(Problem(Position(shown), "R001", what, "leave out what no policy looks up"))
    return text


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        if len(line) > MOST_IN_LINE:
            raise csv.Error(f"a line of more than {MOST_IN_LINE:,} characters")
        yield line


def _records(text: str, shown: str, problems: list[Problem]) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(_lines(text), strict=True)
    line = 1
    try:
        for record in reader:
            fields = tuple(field.strip(" \t") for field in record)
            if any(fields):
                problems += _damage(fields, Position(shown, line, 1))
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        what = f"the record that begins here is not CSV: {error}"
        mend = 'write a quote within a quoted value twice (""), and close every quote'
        problems.append(Problem(Position(shown, line, 1), "R004", what, mend))


def _damage(fields: tuple[str, ...], position: Position) -> Iterator[Problem]:
    whole = ",".join(fields)
    if not HIDDEN.search(whole) and "#" not in whole and "E+" not in whole and len(whole) <= MOST_CHARACTERS:
        return  # nearly every record: one look in place of one a field
    for number, value in enumerate(fields, 1):
        if hidden := HIDDEN.search(value):
            what = f"field {number} holds the invisible character U+{ord(hidden.group()):04X}"
            yield Problem(position, "R006", what, "take it out")
        elif DAMAGED.fullmatch(value):
            what = f'field {number} is "{value}": a spreadsheet has put that in place of the value'
            yield Problem(position, "R007", what, "restore the value, and format the column as text")
        elif len(value) > MOST_CHARACTERS:
            what = f"field {number} has {len(value):,} characters; a value has at most {MOST_CHARACTERS:,}"
            yield Problem(position, "R026", what, "shorten it, or leave the column out")


def _count(fields: int) -> str:
    return f"{fields} field" + ("s" if fields != 1 else "")
