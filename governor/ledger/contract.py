"""Hold the tables of a run to their contract before they are committed for good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from governor import tables
from governor.model import Position, Problem
from governor.money import DIGITS, SCALE
from governor.tables import Column


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Write a contract as an Arrow schema: what the engine exports, and what a reader gets."""
    types = {
        tables.TEXT: pa.string(),
        tables.MONEY: pa.decimal128(DIGITS, SCALE),
        tables.COUNT: pa.int64(),
        tables.TIME: pa.timestamp("us"),
        tables.DAY: pa.date32(),
        tables.FLAG: pa.bool_(),
        tables.TAGS: pa.map_(pa.string(), pa.string()),
        "INTEGER": pa.int32(),
    }
    return pa.schema([pa.field(c.name, types[c.type]) for c in columns])


def problems(files: Mapping[str, Path]) -> list[Problem]:
    """Compare the files of a run with `tables.RUN`: every table, exactly its columns, no NULL where one is required."""
    found = [
        Problem(Position(name), "L010", f"table {name} is {wrong}", "a run holds exactly the tables of governor.tables")
        for wrong, names in (("missing", tables.RUN.keys() - files), ("not in the contract", files.keys() - tables.RUN))
        for name in sorted(names)
    ]
    for name, columns in tables.RUN.items():
        if name in files:
            found += _table_problems(files[name], name, columns)
    return found


def _table_problems(path: Path, name: str, columns: tuple[Column, ...]) -> list[Problem]:
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError) as error:
        return [Problem(Position(str(path)), "L011", f"table {name} can't be read as Parquet: {error}")]
    wanted, got = arrow_schema(columns), metadata.schema.to_arrow_schema()
    if got.names != wanted.names:
        strange = ", ".join(sorted(set(got.names) ^ set(wanted.names))) or "their order"
        return [Problem(Position(str(path)), "L012", f"columns of {name} differ from the contract: {strange}")]
    return [
        Problem(Position(str(path)), "L013", f"column {name}.{w.name} is {g.type}, not {w.type}")
        for w, g in zip(wanted, got, strict=True)
        if w.type != g.type
    ] + [
        Problem(Position(str(path)), "L014", f"column {name}.{column.name} holds NULL; the contract requires a value")
        for column in columns
        if column.required and _holds_null(metadata, column.name)
    ]


def _holds_null(metadata: pq.FileMetaData, column: str) -> bool:
    """Ask the footer's statistics, which cost nothing; a file written without them isn't accused."""
    index = metadata.schema.names.index(column)
    statistics = (metadata.row_group(group).column(index).statistics for group in range(metadata.num_row_groups))
    return any(s is not None and s.has_null_count and s.null_count for s in statistics)
