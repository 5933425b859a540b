"""Bring every file of a bill to one shape: Parquet with raw columns, a layout, and a row number.

Parquet is read where it lies. CSV is written as Parquet text first, so that everything later knows one kind of input
and can afford a second scan. A CSV file with a bad row is read again row by row, so that only that row is rejected.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from governor.engine.duckdb import Engine, identifier, literal
from governor.model import Position, Problem, Progress, Refused
from governor.sources.billing import damaged, files, json_lines
from governor.sources.billing.layout import Layout, raw
from governor.tables import TEXT

BATCH_ROWS = 20_000
ROWS_A_BYTE_MAX = 10  # a Parquet file that claims more, and is large, is a bomb
ROWS_FREE = 1_000_000
ReadLayout = Callable[[Sequence[str], Sequence[str], str], Layout]  # column names, their kinds, file


@dataclass(frozen=True, slots=True)
class Input:
    """One file, ready to be read: `scan` is SQL's list of its raw columns, `row` SQL for its 1-based row number."""

    index: int
    name: str
    path: Path
    bytes: int
    changed_ns: int
    sha256: str
    rows: int
    layout: Layout
    header: tuple[str, ...]
    types: Mapping[str, str]
    data: Path
    raws: tuple[str, ...]
    row: str
    text: bool
    flat: tuple[str, ...] = ()  # SQL of the raw columns, where structs are taken apart
    bad: int = 0
    bad_rows: Path | None = None
    unpacked: int | None = None  # bytes, of a gzip file

    @property
    def shape(self) -> str:
        """What files must have in common to be read by one query."""
        return repr((self.header, self.layout, sorted(self.types.items()), self.raws, self.flat, self.row, self.text))

    def position(self, row: int) -> Position:
        """The place of a row: a CSV's line, where no field before it spans several."""
        return Position(self.name, row + 1, 1) if self.text else Position(self.name)


@dataclass(slots=True)
class Stage:
    """Stages the files of one source into a scratch folder. Of our columns, only those `kept` are read; None: all."""

    engine: Engine
    scratch: Path
    root: Path
    read_layout: ReadLayout
    kept: Container[str] | None
    _types: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def stage(self, paths: Sequence[Path], progress: Progress) -> tuple[Input, ...]:
        """Stage every file, in order. Raises Refused with the problems of all of them."""
        inputs: list[Input] = []
        problems: list[Problem] = []
        for index, path in enumerate(paths):
            name = files.shown(path, self.root)
            progress("read", index, len(paths))
            try:
                inputs.append(self._file(index, path, name))
            except Refused as refused:
                problems += refused.problems
            except OSError as error:
                problems.append(Problem(Position(name), "B018", f"can't be read: {error.strerror or error}"))
        problems += _same(inputs)
        if problems:
            raise Refused(*problems)
        return tuple(inputs)

    def _file(self, index: int, path: Path, name: str) -> Input:
        before = path.stat()
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        common = {"index": index, "name": name, "path": path, "bytes": before.st_size, "sha256": sha256}
        common["changed_ns"] = before.st_mtime_ns
        kind = files.kind(path, name)
        if kind == "parquet":
            return self._parquet(path, name, common)
        if kind == "gzip":
            plain = self.scratch / f"unpacked-{index}.csv"
            try:
                files.unpack(path, name, plain)
                common["unpacked"] = plain.stat().st_size
                return self._text(files.kind(plain, name, packed=True), plain, name, common)
            finally:
                plain.unlink(missing_ok=True)
        return self._text(kind, path, name, common)

    def _text(self, kind: str, path: Path, name: str, common: dict[str, object]) -> Input:
        if kind not in ("csv", "json"):
            raise Refused(Problem(Position(name), "B005", f"holds {kind}", "deliver CSV.gz or Parquet"))
        return self._csv(path, name, common) if kind == "csv" else self._json(path, name, common)

    def _parquet(self, path: Path, name: str, common: dict[str, object]) -> Input:
        try:
            meta = pq.read_metadata(path)
            schema = meta.schema.to_arrow_schema().remove_metadata()
        except (pa.ArrowException, OSError) as error:
            what = f"is no readable Parquet file: {str(error).splitlines()[0][:160]}"
            raise Refused(Problem(Position(name), "B010", what, "deliver the file again")) from error
        if meta.num_rows > ROWS_FREE and meta.num_rows > ROWS_A_BYTE_MAX * path.stat().st_size:
            raise Refused(
                Problem(Position(name), "B007", f"claims {meta.num_rows:,} rows, as no bill of its size does")
            )
        header, kinds, flat = flatten(schema)
        layout = self.read_layout(header, kinds, name)
        raws = tuple(raw(at) for at in range(len(schema.names)))
        shape = repr((str(schema), layout))
        if shape not in self._types:
            self._types[shape] = self._describe(layout, scan([path], raws, flat), name)
        return Input(
            **common,  # type: ignore[arg-type]
            rows=meta.num_rows,
            layout=layout,
            header=header,
            types=self._types[shape],
            data=path,
            raws=raws,
            row="file_row_number + 1",
            text=False,
            flat=flat,
        )

    def _describe(self, layout: Layout, source: str, name: str) -> Mapping[str, str]:
        texts = list(dict.fromkeys(layout.texts(self.kept)))
        try:
            described = self.engine.rows(f"DESCRIBE SELECT {', '.join(texts)} FROM {source}")
        except duckdb.Error as error:
            what = f"is no readable Parquet file: {said(error)}"
            raise Refused(Problem(Position(name), "B010", what, "deliver the file again")) from error
        return {text: str(row[1]) for text, row in zip(texts, described, strict=True)}

    def _csv(self, path: Path, name: str, common: dict[str, object]) -> Input:
        header = files.read_header(path, name)
        layout = self.read_layout(header.names, ["text"] * len(header.names), name)
        places = layout.read(self.kept)
        raws = tuple(raw(place) for place in places)
        staged = self.scratch / f"staged-{common['index']}.parquet"
        row, bad, bad_rows = "file_row_number + 1", 0, None
        try:
            rows = self._copy(path, header, raws, staged)
        except duckdb.Error:
            bad_rows = self.scratch / f"bad-{common['index']}.parquet"
            good, bad = _write_rows(damaged.read_rows(path, name, header), places, staged, bad_rows)
            rows, row, raws = good + bad, "n", (*raws, "n")
        return Input(
            **common,  # type: ignore[arg-type]
            rows=rows,
            layout=layout,
            header=header.names,
            types=self._describe(layout, scan([staged], raws), name),
            data=staged,
            raws=raws,
            row=row,
            text=True,
            bad=bad,
            bad_rows=bad_rows,
        )

    def _json(self, path: Path, name: str, common: dict[str, object]) -> Input:
        header = json_lines.read_header(path, name)
        layout = self.read_layout(header, ["text"] * len(header), name)
        staged, bad_rows = (self.scratch / f"{kind}-{common['index']}.parquet" for kind in ("staged", "bad"))
        places = layout.read(self.kept)
        good, bad = _write_rows(json_lines.read_rows(path, name, header), places, staged, bad_rows)
        raws = (*(raw(place) for place in places), "n")
        return Input(
            **common,  # type: ignore[arg-type]
            rows=good + bad,
            layout=layout,
            header=header,
            types=self._describe(layout, scan([staged], raws), name),
            data=staged,
            raws=raws,
            row="n",
            text=True,
            bad=bad,
            bad_rows=bad_rows,
        )

    def _copy(self, path: Path, header: files.Header, raws: Sequence[str], to: Path) -> int:
        named = ", ".join(f"'{raw(place)}': 'VARCHAR'" for place in range(len(header.names)))
        options = f"delim = {literal(header.delimiter)}, quote = '\"', escape = '\"', header = true, strict_mode = true"
        options += f", auto_detect = false, compression = 'none', columns = {{{named}}}"
        source = f"read_csv({literal(str(path))}, {options})"
        copy = (
            f"COPY (SELECT {', '.join(raws)} FROM {source}) TO {literal(str(to))} (FORMAT parquet, COMPRESSION lz4_raw)"
        )
        return int(self.engine.rows(copy)[0][0])


def scan(paths: Sequence[Path], raws: Sequence[str], flat: Sequence[str] = ()) -> str:
    """Write SQL that reads raw columns by their place, so that a hostile column name is never spoken."""
    listed = ", ".join(literal(str(path)) for path in paths)
    read = f"read_parquet([{listed}], hive_partitioning = false, binary_as_string = true) AS raw({', '.join(raws)})"
    if not flat:
        return read
    columns = ", ".join(f"{expression} AS {raw(place)}" for place, expression in enumerate(flat))
    return f"(SELECT file_index, file_row_number, {columns} FROM {read})"


def flatten(schema: pa.Schema) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Name the columns of a Parquet file, structs taken apart (`service.id`); say each one's kind and how to reach it.

    Lists of structs become JSON text with every value as text, so that no amount in them passes through a float. The
    third part is empty where every column is reached by its own name.
    """
    found: list[tuple[str, str, str]] = []

    def add(name: str, sql: str, kind: pa.DataType) -> None:
        if pa.types.is_struct(kind):
            for at in range(kind.num_fields):
                add(f"{name}.{kind.field(at).name}", f"{sql}.{identifier(kind.field(at).name)}", kind.field(at).type)
        elif pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
            found.append((name, "list", f"CAST(to_json(CAST({sql} AS {_as_text(kind)})) AS VARCHAR)"))
        else:
            found.append((name, _kind(kind), sql))

    for place, column in enumerate(schema):
        add(column.name, raw(place), column.type)
    names, kinds, sqls = zip(*found, strict=True) if found else ((), (), ())
    plain = len(names) == len(schema.names) and all(sql == raw(place) for place, sql in enumerate(sqls))
    return names, kinds, () if plain else sqls


def _as_text(kind: pa.DataType) -> str:
    """Write the SQL type of a nested column with text in the place of every value."""
    if pa.types.is_list(kind):
        return f"{_as_text(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = (kind.field(at) for at in range(kind.num_fields))
        return f"STRUCT({', '.join(f'{identifier(field.name)} {_as_text(field.type)}' for field in fields)})"
    return TEXT


def _kind(kind: pa.DataType) -> str:
    known = (
        (pa.types.is_map, "map"),
        (pa.types.is_boolean, "flag"),
        (pa.types.is_temporal, "time"),
        (pa.types.is_integer, "number"),
        (pa.types.is_floating, "number"),
        (pa.types.is_decimal, "number"),
        (pa.types.is_list, "list"),
    )
    return next((name for test, name in known if test(kind)), "text")


def said(error: duckdb.Error) -> str:
    """Cut an engine's message to its first line."""
    return str(error).splitlines()[0][:160]


def _write_rows(
    read: Iterable[tuple[int, Sequence[str | None]] | damaged.BadRow], places: Sequence[int], to: Path, bad_to: Path
) -> tuple[int, int]:
    """Write rows read one by one, the good and the bad apart, and return how many there are of each."""
    good_schema = pa.schema([(raw(place), pa.string()) for place in places] + [("n", pa.int64())])
    bad_schema = pa.schema([("row", pa.int64())] + [(n, pa.string()) for n in ("value", "code", "reason")])
    good = bad = 0
    with pq.ParquetWriter(to, good_schema) as kept, pq.ParquetWriter(bad_to, bad_schema) as refused:
        for batch in _batches(read):
            rejected = [r for r in batch if isinstance(r, damaged.BadRow)]
            rows = [r for r in batch if not isinstance(r, damaged.BadRow)]
            fields = [pa.array([f[place] for _, f in rows], pa.string()) for place in places]
            numbers = pa.array([n for n, _ in rows], pa.int64())
            kept.write_table(pa.table([*fields, numbers], schema=good_schema))
            columns = [[getattr(r, name) for r in rejected] for name in bad_schema.names]
            arrays = [pa.array(c, t) for c, t in zip(columns, bad_schema.types, strict=True)]
            refused.write_table(pa.table(arrays, schema=bad_schema))
            good, bad = good + len(rows), bad + len(rejected)
    return good, bad


def _batches(
    rows: Iterable[tuple[int, Sequence[str | None]] | damaged.BadRow],
) -> Iterator[list[tuple[int, Sequence[str | None]] | damaged.BadRow]]:
    batch: list[tuple[int, Sequence[str | None]] | damaged.BadRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def _same(inputs: Sequence[Input]) -> list[Problem]:
    """Find files delivered twice. Equal rows are kept wherever they are; equal files would count a bill twice.

    Packed and unpacked, or packed by two programs, a file is the same one.
    """
    sizes = Counter(one.unpacked or one.bytes for one in inputs)
    first: dict[tuple[str, str], Input] = {}
    problems = []
    for one in inputs:  # a month without commitments is the same in both exports of a pair, which count once
        sha256 = _unpacked_sha256(one.path) if one.unpacked and sizes[one.unpacked] > 1 else one.sha256
        other = first.setdefault((sha256, one.layout.grain if one.layout.pair else ""), one)
        if other is not one and one.rows:
            what = f"holds the same bytes as {other.name}: its charges would count twice"
            problems.append(Problem(Position(one.name), "B019", what, "remove one of them"))
    return problems


def _unpacked_sha256(path: Path) -> str:
    with gzip.open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
