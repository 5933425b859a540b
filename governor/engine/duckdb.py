"""The embedded engine: SQL in, Arrow out, and nothing of the machine within reach of a predicate.

One engine is one DuckDB connection in a scratch folder. It may read and write below the folders it was opened with and
nowhere else, it can't load extensions, and its settings can't be changed from SQL.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

MEMORY_MB = 1_500  # what the engine may hold before it spills to its scratch folder
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"


class Engine:
    """A connection with a scratch folder. Use `open_engine`, which closes both."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
        self._connection = connection
        self.scratch = scratch

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement for its effect."""
        self._connection.execute(sql, list(parameters)).fetchall()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return Python rows. DECIMAL arrives as Decimal."""
        return self._connection.execute(sql, list(parameters)).fetchall()

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query and return an Arrow table."""
        return self._connection.sql(sql, params=list(parameters)).to_arrow_table()

    def register(self, name: str, table: pa.Table) -> None:
        """Copy an Arrow table into the engine under a name, replacing what had it."""
        self._connection.register("_incoming", table)
        self._connection.execute(f"CREATE OR REPLACE TABLE {identifier(name)} AS SELECT * FROM _incoming").fetchall()
        self._connection.unregister("_incoming")

    def export(self, select: str, path: Path) -> int:
        """Write a query as Parquet and return its row count. The query's own ORDER BY decides the bytes."""
        [(count,)] = self.rows(f"COPY ({select}) TO {literal(str(path))} ({PARQUET})")
        return int(count)

    def export_csv(self, select: str, path: Path) -> int:
        """Write a query of texts as gzipped CSV with a header and return its row count. NULL is an empty field."""
        form = "FORMAT csv, HEADER, COMPRESSION gzip, NULLSTR ''"
        [(count,)] = self.rows(f"COPY ({select}) TO {literal(str(path))} ({form})")
        return int(count)


@contextmanager
def open_engine(
    *, work: Path, read: Sequence[Path] = (), threads: int = 0, memory_mb: int = MEMORY_MB, ordered: bool = False
) -> Iterator[Engine]:
    """Open an engine that writes below `work` and reads below `work` and `read`. `threads` 0 means all cores.

    An `ordered` engine writes rows in the order of its input, to the same bytes each time, without sorting: it has one
    thread (with more, the sizes of Parquet's row groups vary) and never turns a left join round.
    """
    scratch = Path(tempfile.mkdtemp(prefix="engine-", dir=work))
    connection = duckdb.connect()
    try:
        settings: dict[str, object] = {
            "TimeZone": "UTC",
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": str(scratch),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "enable_progress_bar": False,
        }
        if ordered:
            settings |= {"threads": 1, "disabled_optimizers": "join_order,build_side_probe_side"}
        elif threads:
            settings["threads"] = threads
        for name, value in settings.items():
            connection.execute(f"SET {name} = {literal(value)}").fetchall()
        folders = sorted({str(p.resolve()) for p in (work, scratch, *read)})
        connection.execute(f"SET allowed_directories = [{', '.join(literal(f) for f in folders)}]").fetchall()
        connection.execute("SET enable_external_access = false").fetchall()
        connection.execute("SET lock_configuration = true").fetchall()
        yield Engine(connection, scratch)
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


def literal(value: object) -> str:
    """Quote a Python value as a SQL literal.

    >>> literal("it's"), literal(True), literal(None)
    ("'it''s'", 'TRUE', 'NULL')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote a name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def versions() -> dict[str, str]:
    """Name what computed, for the manifest."""
    return {"duckdb": duckdb.__version__, "pyarrow": pa.__version__}


ENGINE_ERRORS = duckdb.Error  # out of memory or disk, or a defect of ours: never the way a bad input is reported
