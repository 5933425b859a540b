"""Read a file of JSON lines, one object a line, as rows of text: amounts exactly as they are written.

Objects inside are taken apart (`service.id`); lists stay JSON text. A line that is no object is a bad row, not the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from governor.model import Position, Problem, Refused
from governor.sources.billing.damaged import VALUE_MAX, BadRow

LINE_BYTES_MAX = 16 << 20  # a bill's line has some kilobytes
COLUMNS_MAX = 5_000


class _Number(str):
    """A number exactly as written."""

    __slots__ = ()


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} isn't JSON")


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_refuse)


def read_header(path: Path, name: str) -> tuple[str, ...]:
    """Name every column that some line has, in the order in which they appear. Raises Refused where no line has one."""
    names: dict[str, None] = {}
    for _, line in _lines(path, name):
        row = _read(line)
        names |= dict.fromkeys(row if isinstance(row, dict) else ())
        if len(names) > COLUMNS_MAX:
            raise Refused(Problem(Position(name), "B011", f"has more than {COLUMNS_MAX:,} columns, as no bill does"))
    if not names:
        mend = "write one JSON object a line, as BigQuery's export does"
        raise Refused(Problem(Position(name, 1, 1), "B011", "holds no JSON object on a line of its own", mend))
    return tuple(names)


def read_rows(path: Path, name: str, header: Sequence[str]) -> Iterator[tuple[int, list[str | None]] | BadRow]:
    """Yield every line's values in the header's order, numbered from 1; empty lines are no rows."""
    for number, line in _lines(path, name):
        row = _read(line)
        if isinstance(row, dict):
            yield number, [row.get(column) for column in header]
        else:
            yield BadRow(number, line[:VALUE_MAX].decode("utf-8", "replace"), "B047", f"is no JSON object: {row}")


def _lines(path: Path, name: str) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_BYTES_MAX):
            if len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
                what = f"has a line of more than {LINE_BYTES_MAX:,} bytes, as no bill does"
                mend = "write one JSON object a line"
                raise Refused(Problem(Position(name, number + 1, 1), "B011", what, mend))
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                number += 1
                yield number, line


def _read(line: bytes) -> dict[str, str | None] | str:
    """Read a line as flat names and texts, or say why it can't be."""
    try:
        value = _DECODER.decode(line.decode("utf-8-sig").strip())
        if not isinstance(value, dict):
            return "a value that is no object"
        found: dict[str, str | None] = {}
        _flatten("", value, found)
        "".join(text for text in found.values() if text).encode()
    except (ValueError, RecursionError) as error:
        return str(error)[:80]
    return found


def _flatten(prefix: str, value: dict[str, Any], into: dict[str, str | None]) -> None:
    for key, item in value.items():
        if isinstance(item, dict):
            _flatten(f"{prefix}{key}.", item, into)
        else:
            into[prefix + key] = _text(item)


def _text(item: Any) -> str | None:
    if item is None or isinstance(item, str):
        return item if item is None else str(item)
    return json.dumps(item, ensure_ascii=False)
