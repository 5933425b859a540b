"""Read each distinct raw tag set once, and number the distinct results in the order of their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from governor.engine.duckdb import Engine, literal
from governor.engine.segments import Segment
from governor.engine.staging import BATCH_ROWS
from governor.sources.billing.tags import read_tags
from governor.tables import TAGS

_SCHEMA = pa.schema(
    [
        ("raw", pa.string()),
        ("text", pa.string()),
        ("conflict", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class TagIds:
    """Where the ids of raw tags stand (Parquet: raw, tag_set, conflict), and whether some need a word."""

    table: Path
    unreadable: int
    conflicts: int


def list_tags(engine: Engine, segments: Sequence[Segment], scratch: Path) -> Path:
    """Write the distinct raw tags of all files, and which of them are canonical as they stand."""
    path = scratch / "tags-raw.parquet"
    parts = []
    for segment in (s for s in segments if s.has_tags):
        canonical = "NOT contains(raw_tags, chr(92))" if segment.inputs[0].layout.canonical_tags else "FALSE"
        parts.append(f"SELECT raw_tags, {canonical} AS canonical FROM ({segment.delivered})")
    parts = parts or ["SELECT CAST(NULL AS VARCHAR) AS raw_tags, FALSE AS canonical WHERE FALSE"]
    engine.export(
        f"SELECT raw_tags AS raw, bool_or(canonical) AS canonical FROM ({' UNION ALL '.join(parts)}) GROUP BY raw_tags",
        path,
    )
    return path


def identify(engine: Engine, raw: Path, scratch: Path, to: Path) -> TagIds:
    """Read the raw tags, write the table tag_sets, and say which raw text has which id (NULL: unreadable)."""
    parsed, table = scratch / "tags-parsed.parquet", scratch / "tag-ids.parquet"
    unreadable = conflicts = 0
    with pq.ParquetWriter(parsed, _SCHEMA) as writer, pq.ParquetFile(raw) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS):
            texts = batch.filter(pc.invert(batch.column(1))).column(0)
            sets = [read_tags(text) for text in texts.to_pylist()]
            unreadable += sum(s is None for s in sets)
            conflicts += sum(s is not None and s.conflict for s in sets)
            canonical = pa.array([None if s is None else s.text for s in sets], pa.string())
            conflict = pa.array([s is not None and s.conflict for s in sets])
            writer.write_table(pa.table([texts, canonical, conflict], schema=_SCHEMA))
    read = (
        f"(FROM read_parquet({literal(str(parsed))}) UNION ALL "
        f"SELECT raw, raw, FALSE FROM read_parquet({literal(str(raw))}) WHERE canonical)"
    )
    engine.export(
        f"WITH sets AS (SELECT DISTINCT text FROM {read} WHERE text IS NOT NULL ORDER BY text) "
        f"SELECT row_number() OVER () - 1 AS tag_set, text, CAST(CAST(text AS JSON) AS {TAGS}) AS tags FROM sets",
        to,
    )
    engine.export(
        f"SELECT p.raw, s.tag_set, p.conflict FROM {read} p LEFT JOIN read_parquet({literal(str(to))}) s USING (text)",
        table,
    )
    return TagIds(table, unreadable, conflicts)
