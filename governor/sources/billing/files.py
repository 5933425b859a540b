"""Find the files of a bill, tell what they are by their first bytes, and read a CSV's header. No row is read here.

Nothing is skipped in silence: what isn't data is returned by name, and what may hide data is refused.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import glob
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from governor.model import Position, Problem, Refused

DATA = (".csv", ".parquet", ".gz", ".json", ".jsonl", ".ndjson")
HEADER_BYTES_MAX = 1 << 20
UNPACKED_RATIO_MAX = 200  # a bill's CSV shrinks to a twelfth; a bomb to a thousandth
UNPACKED_FREE_BYTES = 64 << 20  # below this size the ratio doesn't matter
UNPACKED_BYTES_MAX = 64 << 30

_FOREIGN = (".zip", ".xlsx", ".xls", ".ods", ".bz2", ".xz", ".zst", ".7z", ".orc", ".avro", ".tsv")
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a zip archive or a workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_NAMED = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".gz": "gzip",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_BESIDE = re.compile(r"manifest|metadata|schema|collected", re.IGNORECASE)  # JSON that tells of a bill and isn't one


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a source, sorted by path, and the names of what was left aside."""

    files: tuple[Path, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """A CSV file's column names, and how the file is written."""

    names: tuple[str, ...]
    delimiter: str


def shown(path: Path, root: Path) -> str:
    """Name a file as every message and the evidence do: relative to governor.yaml where it lies below it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def find(path: str, root: Path, position: Position) -> Found:
    """List the data files that a source's path means: a file, a folder with all below it, or a glob."""
    base = root / path
    if base.exists():
        named, globbed = [base], None
    elif glob.has_magic(path):
        named = sorted(Path(p) for p in glob.glob(str(base), recursive=True))  # noqa: PTH207 - patterns may be absolute
        globbed = next(p for p in base.parents if not glob.has_magic(str(p)))
    else:
        named, globbed = [], None
    if not named:
        near = [p.name for p in base.parent.iterdir()] if base.parent.is_dir() else []
        close = difflib.get_close_matches(base.name, sorted(near), 1)
        mend = f"did you mean {close[0]!r}?" if close else f"the path is relative to {root}"
        raise Refused(Problem(position, "B001", f"there is no file or folder {path!r}", mend))
    files: list[Path] = []
    ignored: list[str] = []
    problems: list[Problem] = []
    for start in named:
        inside = start if start.is_dir() else globbed
        for entry in _walk(start) if start.is_dir() else [start]:
            problem = _unusable(entry, inside, root)
            if problem:
                problems.append(problem)
            elif inside and _beside(entry.name):
                ignored.append(shown(entry, root))
            else:
                files.append(entry)
    if problems:
        raise Refused(*sorted(problems))
    if not files:
        beside = f"; left aside: {', '.join(sorted(ignored)[:5])}" if ignored else ""
        mend = f"data files end in {', '.join(DATA)}"
        raise Refused(Problem(position, "B001", f"there is no data file in {path!r}{beside}", mend))
    return Found(tuple(sorted(set(files), key=lambda p: shown(p, root))), tuple(sorted(set(ignored))))


def _beside(name: str) -> bool:
    """Whether a file of a folder isn't data, by its name."""
    lower = name.lower()
    return (
        name.startswith((".", "_"))
        or not lower.endswith(DATA)
        or bool(lower.endswith(".json") and _BESIDE.search(lower))
    )


def _walk(folder: Path) -> Iterator[Path]:
    """List everything below a folder but what hidden folders hold. Links to folders are listed, not followed."""
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        yield from (here / name for name in sorted(folders) if (here / name).is_symlink() or name == "_delta_log")
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        yield from (here / name for name in sorted(names))


def _unusable(path: Path, inside: Path | None, root: Path) -> Problem | None:
    """Say why a file or folder that may hold data can't be used; None where nothing is wrong."""
    position = Position(shown(path, root))
    if inside and path.name == "_delta_log":
        return Problem(
            position, "B008", "marks a Delta table", "export it: its folder also holds rows that were deleted"
        )
    if inside and path.name.startswith((".", "_")):
        return None
    if inside and path.is_symlink() and not path.resolve().is_relative_to(inside.resolve()):
        return Problem(position, "B003", f"links to {path.readlink()}, outside of the folder", "name the target itself")
    if inside and path.is_symlink():
        return Problem(position, "B003", f"links to {path.readlink()}, which is read already", "remove the link")
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return Problem(position, "B018", f"can't be read: {error.strerror}")
    if path.name.lower().endswith(_FOREIGN):
        return Problem(position, "B008", "can't be read as it is", "unpack or convert it to CSV, CSV.gz or Parquet")
    if not stat.S_ISREG(mode):
        return Problem(position, "B002", "isn't a regular file", "a bill must lie in a file that can be read twice")
    return None


def kind(path: Path, name: str, *, packed: bool = False) -> str:
    """Tell `csv`, `json` (lines), `parquet` or `gzip` by the first bytes.

    Raises Refused for anything else, or a name that lies. A `packed` file's name says nothing about what was in it.
    """
    position = Position(name)
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise Refused(Problem(position, "B004", "is empty (0 bytes)", "the export broke off: deliver the file again"))
    found = next((what for magic, what in _MAGIC if start.startswith(magic)), "csv")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if found == "csv" and text[:1] == b"<":
        found = "HTML or XML, perhaps the page of a sign-in"
    elif found == "csv" and text[:1] == b"{":
        found = "json"
    elif found == "csv" and text[:1] == b"[":
        found = "one JSON array; a bill as JSON has one object a line"
    elif found == "csv" and b"\x00" in start:
        found = "binary data"
    if found not in _NAMED.values():
        mend = "save it as UTF-8" if found.startswith("UTF-16") else "deliver CSV, CSV.gz, JSON lines or Parquet"
        raise Refused(Problem(position, "B005", f"holds {found}", mend))
    suffix = Path(name).suffix.lower()
    if not packed and _NAMED.get(suffix, found) != found:
        mend = "rename it, or deliver what the name says"
        raise Refused(Problem(position, "B005", f"is named {suffix} and holds {found}", mend))
    return found


def unpack(path: Path, name: str, to: Path) -> None:
    """Unpack a gzip file, all members, in bounded memory. Raises Refused where it is cut off, broken or a bomb."""
    packed, unpacked = path.stat().st_size, 0
    try:
        with gzip.open(path) as source, to.open("wb") as target:
            while block := source.read(1 << 20):
                unpacked += len(block)
                limit = max(UNPACKED_FREE_BYTES, min(UNPACKED_BYTES_MAX, packed * UNPACKED_RATIO_MAX))
                if unpacked > limit:
                    what = f"unpacks to more than {limit:,} bytes from {packed:,}, as no bill does"
                    raise Refused(Problem(Position(name), "B007", what, "split it if it is a bill"))
                target.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        what = f"is a broken gzip file after {unpacked:,} bytes: {error}"
        raise Refused(Problem(Position(name), "B006", what, "deliver the file again")) from error


def read_header(path: Path, name: str) -> Header:
    """Read the column names of a CSV file and tell its delimiter from them."""
    position = Position(name, 1, 1)
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES_MAX)
    if not start:
        raise Refused(Problem(position, "B004", "is empty (0 bytes)", "the export broke off: deliver the file again"))
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError as error:
        if b"\n" not in start[: error.start]:
            raise Refused(Problem(position, "B009", "isn't UTF-8 text", "save it as UTF-8")) from error
        text = start[: error.start].decode("utf-8-sig", "ignore")
    first = text.lstrip("\r\n").splitlines()[:1]
    delimiter = max(",;\t|", key=first[0].count) if first else ","
    try:
        names = next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row), [])
    except csv.Error:
        names = []
    endless = len(start) == HEADER_BYTES_MAX and len(text.splitlines()) == 1
    if not any(names) or endless:
        raise Refused(Problem(position, "B011", "has no line of column names", "the first line must hold them"))
    return Header(tuple(names), delimiter)
