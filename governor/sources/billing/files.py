"""Find the files of a bill, tell what they are by their first bytes, and read a CSV's header. No row is read here.

Nothing is skipped in silence: what isn't data is returned by name, and what may hide data is refused. Where a folder
has manifests, they decide what is read (`deliveries`).
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from governor.address import from_mirror
from governor.model import Position, Problem, Refused
from governor.sources.billing import manifests
from governor.sources.billing.deliveries import Promise, settle
from governor.sources.billing.manifests import Manifest

DATA = (".csv", ".parquet", ".gz", ".json", ".jsonl", ".ndjson")
HEADER_BYTES_MAX = 1 << 20
UNPACKED_RATIO_MAX = 200  # a bill's CSV shrinks to a twelfth; a bomb to a thousandth
UNPACKED_FREE_BYTES = 64 << 20  # below this size the ratio doesn't matter
UNPACKED_BYTES_MAX = 64 << 30

FOREIGN = (".zip", ".xlsx", ".xls", ".ods", ".bz2", ".xz", ".zst", ".7z", ".orc", ".avro", ".tsv")
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
    """The files of a source, sorted by path, and the names of what was left aside because it is no data.

    `promised` is what manifests say of the files. `current` manifests decided what is read, `superseded` ones belong to
    older deliveries, whose files aren't read; `why` says so in words.
    """

    files: tuple[Path, ...]
    ignored: tuple[str, ...]
    promised: Mapping[Path, Promise] = field(default_factory=dict)
    current: tuple[Manifest, ...] = ()
    superseded: tuple[Manifest, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """A CSV file's column names, and how the file is written."""

    names: tuple[str, ...]
    delimiter: str


def shown(path: Path, root: Path) -> str:
    """Name a file as every message and the evidence do: relative to governor.yaml where it lies below it.

    Where `root` is the mirror of a store, the object is named, wherever the mirror is.
    """
    return from_mirror(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix())


def find(path: str, root: Path, position: Position) -> Found:
    """List the data files that a source's path means: a file, a folder with all below it, or a glob."""
    starts, top = _starts(path, root, position)
    files: dict[Path, Problem | None] = {}
    ignored: list[str] = []
    told: dict[Path, None] = {}
    for start in starts:
        inside = start if start.is_dir() else top
        for entry in _walk(start) if start.is_dir() else [start]:
            problem = _unusable(entry, inside, root)
            if problem or not inside or not is_beside(entry.name):
                files[entry] = problem
            elif manifests.is_named(entry.name) and not entry.name.startswith((".", "_")):
                told[entry] = None
            else:
                ignored.append(shown(entry, root))
    found = _settle(files, told, ignored, top or starts[0].parent, root)
    if not found.files:
        beside = f"; left aside: {', '.join(found.ignored[:5])}" if found.ignored else ""
        mend = f"data files end in {', '.join(DATA)}"
        raise Refused(Problem(position, "B001", f"there is no data file in {path!r}{beside}", mend))
    return found


def _starts(path: str, root: Path, position: Position) -> tuple[list[Path], Path | None]:
    """List what a path names, and the folder that all of it lies below; None where a file is named itself."""
    base = root / path
    if base.exists():
        return [base], base if base.is_dir() else None
    named: list[Path] = []
    if glob.has_magic(path):
        named = sorted(Path(p) for p in glob.glob(str(base), recursive=True))  # noqa: PTH207 - patterns may be absolute
    if not named:
        near = [p.name for p in base.parent.iterdir()] if base.parent.is_dir() else []
        close = difflib.get_close_matches(base.name, sorted(near), 1)
        mend = f"did you mean {close[0]!r}?" if close else f"the path is relative to {root}"
        raise Refused(Problem(position, "B001", f"there is no file or folder {path!r}", mend))
    return named, next(p for p in base.parents if not glob.has_magic(str(p)))


def _settle(
    files: Mapping[Path, Problem | None], told: Iterable[Path], ignored: Sequence[str], top: Path, root: Path
) -> Found:
    """Let the manifests decide which files are read. Raises Refused with every problem of what is to be read."""
    known: list[Manifest] = []
    others: list[str] = []
    problems: list[Problem] = []
    for path in told:
        name = shown(path, root)
        try:
            one = manifests.read(path, name, path.relative_to(top.parent).parts[:-1])
            if one:
                known.append(one)
            else:
                others.append(name)
        except Refused as refused:
            problems += refused.problems
        except OSError as error:
            problems.append(Problem(Position(name), "B018", f"can't be read: {error.strerror}"))
    paths = {path.relative_to(top.parent).parts: path for path in files}
    settled = settle(known, paths.keys(), lambda parts: shown(top.parent.joinpath(*parts), root))
    # What a manifest that can't be read lists isn't known: no file is blamed for it.
    problems += [each for each in settled.problems if not problems or each.code not in {"B253", "B255"}]
    problems += [problem for parts, path in paths.items() if parts not in settled.aside and (problem := files[path])]
    if problems:
        raise Refused(*sorted(problems))
    read = sorted(settled.read, key=lambda parts: shown(paths[parts], root))
    return Found(
        tuple(paths[parts] for parts in read),
        tuple(sorted({*ignored, *others})),
        {paths[parts]: promise for parts, promise in settled.read.items() if promise},
        settled.current,
        settled.superseded,
        settled.why,
    )


def is_beside(name: str) -> bool:
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
    if path.name.lower().endswith(FOREIGN):
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
