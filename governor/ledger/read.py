"""Read committed runs. What a reader gets has been compared with its digest; what is damaged is refused, never shown.

Readers take no lock: a run appears by one rename, whole or not at all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from governor import money, tables
from governor.evidence import digest_bytes, digest_file, parse_canonical
from governor.ledger import contract
from governor.ledger.manifest import COSTS, PLACE, RESTORE, SNAPSHOT_FILES, manifest_problems, receipt_problems
from governor.model import Position, Problem, Refused

FIRST_SEEN = ("fingerprint", "first_seen")
LISTED = 10  # runs named in a message
NOTICES = (  # gaps that are told, and hide nothing
    "rounded_double",
    "numeric_ids",
    "duplicate_tag_keys",
    "no_fx_rate",
    "set_aside",
    "broken_identity",
    "assumption",
    "legacy_version",
    "overlapping_sources",
)


@dataclass(frozen=True, slots=True)
class SnapshotFiles:
    """The normalised rows of one source's delivery."""

    source: str
    charges: Path
    tag_sets: Path
    rejects: Path


@dataclass(frozen=True, slots=True)
class Run:
    """A committed run. `manifest` is what it promises, `receipt` when, where and by whom it was committed."""

    ledger: Path
    number: int
    folder: Path
    manifest: dict[str, Any]
    receipt: dict[str, Any]
    _checked: set[Path] = field(default_factory=set, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """The sha256 of manifest.json: it fixes this run and, through `previous`, every run before it."""
        return str(self.receipt["manifest"])

    @property
    def incomplete(self) -> bool:
        """Whether gaps beyond the tolerance keep this run from being the whole truth."""
        tolerance = int(self.manifest["parameters"].get("gap_tolerance", 0))
        return hides(((gap["reason"], gap["rows"]) for gap in self.rows("gaps", ["reason", "rows"])), tolerance)

    @property
    def content(self) -> str:
        """The digest of policies, parameters and outputs: equal for equal input, whenever and wherever it ran."""
        return str(self.manifest["content"])

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table, or some of its columns, after comparing the file with the manifest."""
        found = pq.read_table(self.path(name), columns=None if columns is None else list(columns))
        return found.cast(pa.schema([column.with_nullable(True) for column in found.schema]))  # one schema for all runs

    def path(self, name: str) -> Path:
        """Find the file of a table, after comparing it with the manifest."""
        output = self._named("outputs", name)
        path = self.folder / f"{name}.parquet"
        self._check(path, output["sha256"])
        return path

    def holds(self, name: str) -> bool:
        """Tell whether the run has a table: one that an earlier governor committed lacks those that came later."""
        return name in self.manifest["outputs"]

    def rows(self, name: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Read a table as Python rows; DECIMAL is Decimal, NULL is None."""
        rows: list[dict[str, Any]] = self.table(name, columns).to_pylist()
        return rows

    def snapshot_paths(self, source: str) -> SnapshotFiles:
        """Find the rows of a source as this run saw them, after comparing the files with the manifest."""
        snapshot = self._named("snapshots", source)
        folder = self.ledger / "snapshots" / snapshot["folder"]
        paths = {name: folder / f"{name}.parquet" for name in SNAPSHOT_FILES}
        for name, path in paths.items():
            self._check(path, snapshot[name])
        return SnapshotFiles(source, **paths)

    def periods(self) -> list[dict[str, Any]]:
        """List what each source delivered: source, billing_period, currency, rows and costs."""
        if self.manifest["schema"] == 1:
            return [row for row in self.rows("totals", (*PLACE, *COSTS)) if row["billing_period"] and row["currency"]]
        return [
            {"source": source, **period, **{name: money.parse(period[name]) for name in COSTS[1:]}}
            for source, snapshot in self.manifest["snapshots"].items()
            for period in snapshot["periods"]
        ]

    def _named(self, part: str, name: str) -> Any:
        if name in self.manifest[part]:
            return self.manifest[part][name]
        what = f"run {self.number} has no {name!r} among its {part}"
        raise Refused(Problem(Position(str(self.folder)), "L022", what, _did_you_mean(name, self.manifest[part])))

    def _check(self, path: Path, digest: str) -> None:
        """Compare a file with its digest the first time it is read."""
        if path not in self._checked:
            if problem := file_problem(path, digest):
                raise Refused(problem)
            self._checked.add(path)


def hides(gaps: Iterable[tuple[str, int]], tolerance: int) -> bool:
    """Tell whether gaps, each its reason and rows, keep what was read from being the whole truth."""
    return any(rows == 0 or rows > tolerance for reason, rows in gaps if reason not in NOTICES)


RunInfo = Run  # what a listing shows and what reads tables is one record


def runs(ledger: Path) -> list[Run]:
    """List the committed runs, oldest first. Raises Refused when one can't be trusted."""
    return [load(ledger, number) for number in numbers(ledger)]


def open_run(ledger: Path, ref: str = "latest") -> Run:
    """Open the run that `ref` means: a number, `latest`, `previous`, `latest~2`, or the start of a content digest."""
    known = numbers(ledger)
    if not known:
        raise Refused(Problem(Position(str(ledger)), "L020", "the ledger holds no run", "make one with `governor run`"))
    if match := re.fullmatch(r"(previous)|latest(?:~([0-9]{1,6}))?", ref):
        back = 1 if match[1] else int(match[2] or 0)
        if back < len(known):
            return load(ledger, known[-1 - back])
    elif re.fullmatch(r"[0-9]{1,15}", ref) and int(ref) in known:
        return load(ledger, int(ref))
    elif re.fullmatch(r"[0-9a-f]{4,64}", ref):
        found = {run.content: run for run in runs(ledger) if run.content.startswith(ref)}
        if len(found) == 1:  # equal input gives equal content, run after run; the last of them stands for all
            return found.popitem()[1]
        if found:
            what = f"{ref!r} begins the content of runs {', '.join(str(run.number) for run in found.values())}"
            raise Refused(Problem(Position(str(ledger)), "L023", what, "write more digits, or a number"))
    last = ", ".join(map(str, known[-LISTED:]))
    what = f"there is no run {ref!r} among the {len(known)} here (the last: {last})"
    mend = _did_you_mean(ref, ("latest", "previous")) or "write a number, `latest`, `previous` or `latest~2`"
    if match:  # rightly written, and further back than the ledger goes
        mend = "the ledger doesn't go back that far: it takes another `governor run`"
    raise Refused(Problem(Position(str(ledger)), "L021", what, mend))


def first_seen(ledger: Path, before: int | None = None) -> dict[str, date]:
    """Find the day each finding was first seen, over all runs (before one), by fingerprint.

    All runs, not only the last: a finding that went away and came back keeps its first day, so nobody gets a second
    grace by mending something for a day. There is no other store of findings.
    """
    schema = contract.arrow_schema(tuple(c for c in tables.FINDINGS if c.name in FIRST_SEEN))
    days, read = schema.empty_table(), set()
    for run in (load(ledger, number) for number in numbers(ledger) if before is None or number < before):
        digest = run.manifest["outputs"]["findings"]["sha256"]
        if digest not in read:  # the same findings again, as when the same bill is run twice
            read.add(digest)
            both = pa.concat_tables([days, run.table("findings", FIRST_SEEN)])
            days = both.group_by("fingerprint").aggregate([("first_seen", "min")]).rename_columns(FIRST_SEEN)
    return dict(zip(*(days[name].to_pylist() for name in FIRST_SEEN), strict=True))


def seen_before(ledger: Path, before: int) -> frozenset[str]:
    """Collect the fingerprints of every finding of the runs before one: what is among them and new has reopened."""
    return frozenset(first_seen(ledger, before))


def numbers(ledger: Path) -> list[int]:
    """List the numbers of the committed runs, ascending; none where there is no ledger yet."""
    try:
        if ledger.exists() and not ledger.is_dir():
            raise Refused(
                Problem(Position(str(ledger)), "L001", "the ledger is not a folder", "name a folder: `ledger:`")
            )
        folder = ledger / "runs"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise Refused(unreadable(ledger, error)) from error
    return sorted(int(name) for name in names if is_run_name(name))


def run_name(number: int) -> str:
    """Name the folder of a run.

    >>> run_name(7)
    '000007'
    """
    return f"{number:06d}"


def is_run_name(name: str) -> bool:
    """Tell the folder of a run from anything else."""
    return re.fullmatch(r"[0-9]{6,15}", name) is not None and run_name(int(name)) == name != run_name(0)


def load(ledger: Path, number: int) -> Run:
    """Read a run's manifest and receipt. Raises Refused when they are damaged or written by a later governor."""
    folder = ledger / "runs" / run_name(number)
    files = folder / "manifest.json", folder / "receipt.json"
    data = [_read(path) for path in files]
    manifest, receipt = (_parse(path, content) for path, content in zip(files, data, strict=True))
    found = manifest_problems(Position(str(files[0])), manifest, number)
    found += (unsound := receipt_problems(Position(str(files[1])), receipt))
    if not unsound and receipt["manifest"] != digest_bytes(data[0]):
        what = f"is damaged, or another one: its receipt is for the manifest with sha256 {receipt['manifest']}"
        found.append(Problem(Position(str(files[0])), "L036", what, RESTORE))
    if found:
        raise Refused(*found)
    return Run(ledger, number, folder, manifest, receipt)


def file_problem(path: Path, digest: str) -> Problem | None:
    """Compare a file with its digest; None when it is as it was written."""
    try:
        if path.is_symlink() or not path.is_file():
            return Problem(Position(str(path)), "L024", "is missing, or not a plain file", RESTORE)
        if digest_file(path) != digest:
            return Problem(Position(str(path)), "L025", f"is damaged: its sha256 is no longer {digest}", RESTORE)
    except OSError as error:
        return unreadable(path, error)
    return None


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise Refused(Problem(Position(str(path)), "L024", "is missing, or not a plain file", RESTORE))
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(unreadable(path, error)) from error


def _parse(path: Path, data: bytes) -> Any:
    try:
        return parse_canonical(data)
    except ValueError as error:
        raise Refused(Problem(Position(str(path)), "L030", f"is damaged: it is {error}", RESTORE)) from error


def unreadable(path: Path, error: OSError) -> Problem:
    """Say that the disk, or its permissions, kept something from being read."""
    return Problem(Position(str(path)), "L026", f"can't be read: {error.strerror}", "mend the permissions or the disk")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
