"""Prove that a ledger is what was committed: every byte has a digest, and every manifest names the one before.

What can't be seen from inside: that the last runs were cut off, or that somebody who may write here rewrote all of it.
So the head, the digest of the last manifest, is kept elsewhere (a ticket, a signed tag, a mail) and given back here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from governor.evidence import digest_file
from governor.ledger import periods
from governor.ledger.manifest import RESTORE, SNAPSHOT_FILES, snapshot_name
from governor.ledger.read import Run, file_problem, is_run_name, load, numbers, run_name, unreadable
from governor.model import Position, Problem, Refused

STAGING = ".staging-"  # folders of runs that are being made; no part of the ledger

Snapshot = tuple[str, tuple[tuple[str, str], ...]]  # folder, then each file's name and digest


def verify(ledger: Path, heads: Collection[str] = ()) -> list[Problem]:
    """Compare every file with its digest and the chain with itself, and say all that is wrong; nothing is repaired.

    `heads` are digests that were noted outside: each must be that of a run's manifest or of a period's closing. A
    ledger without a run is a problem too, because it proves nothing. Staging folders are left alone: they belong to
    runs that are being made.
    """
    known = numbers(ledger)
    if not known:
        return [Problem(Position(str(ledger)), "L020", "the ledger holds no run", "check `ledger:` in governor.yaml")]
    try:
        return _problems(ledger, known, heads)
    except OSError as error:
        return [unreadable(Path(error.filename or ledger), error)]


def _problems(ledger: Path, known: list[int], heads: Collection[str]) -> list[Problem]:
    found = _strangers(ledger, {"lock", "runs", "snapshots", "periods"})
    found += [p for p in _strangers(ledger / "runs", ()) if not is_run_name(Path(p.position.file).name)]
    sound: dict[int, Run] = {}
    for number in known:
        try:
            sound[number] = load(ledger, number)
        except Refused as refused:
            found += refused.problems
    digests = {number: digest_file(path) for number in known if (path := _manifest(ledger, number)).is_file()}
    found += _chain_problems(ledger, sound, digests)
    for run in sound.values():
        found += _run_problems(run)
    named = {_snapshot(entry) for run in sound.values() for entry in run.manifest["snapshots"].values()}
    found += _snapshot_problems(ledger / "snapshots", named)
    closed, closings = periods.problems(ledger, digests)
    found += closed
    found += [
        Problem(Position(str(ledger)), "L044", f"no run has the head {head}: runs were cut off or rewritten", RESTORE)
        for head in sorted(set(heads) - set(digests.values()) - set(closings))
    ]
    return found


def _chain_problems(ledger: Path, sound: dict[int, Run], digests: dict[int, str]) -> list[Problem]:
    """Compare each manifest's `previous` with the digest of the file before it, from run 1 on and without a gap."""
    found = [
        Problem(Position(str(_manifest(ledger, number).parent)), "L040", f"run {number} is missing", RESTORE)
        for number in range(1, max(digests, default=0))
        if not _manifest(ledger, number).parent.is_dir()
    ]
    for number, run in sound.items():
        position, previous = Position(str(run.folder / "manifest.json")), run.manifest["previous"]
        if number == 1 and previous is not None:
            found.append(Problem(position, "L041", "is the first run and names one before it", RESTORE))
        elif number - 1 in digests and previous != digests[number - 1]:
            what = f"breaks the chain: it doesn't follow from run {number - 1} as it stands here"
            found.append(Problem(position, "L042", what, RESTORE))
    return found


def _run_problems(run: Run) -> list[Problem]:
    """Compare a run's tables with its manifest, which has been found sound."""
    outputs = {f"{name}.parquet": output["sha256"] for name, output in run.manifest["outputs"].items()}
    found = (file_problem(run.folder / name, digest) for name, digest in sorted(outputs.items()))
    return [p for p in found if p] + _strangers(run.folder, {"manifest.json", "receipt.json", *outputs})


def _snapshot_problems(folder: Path, named: set[Snapshot]) -> list[Problem]:
    """Compare the snapshots with the runs that name them, and those of interrupted commits with their own names."""
    found: list[Problem] = []
    for name, files in sorted(named):
        problems = (file_problem(folder / name / f"{file}.parquet", digest) for file, digest in files)
        found += [problem for problem in problems if problem]
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found += _strangers(path, {f"{name}.parquet" for name in SNAPSHOT_FILES}) if path.is_dir() else []
        if path.name not in {name for name, _ in named} and not _names_itself(path):
            found.append(_stranger(path))
    return found


def _names_itself(snapshot: Path) -> bool:
    """Tell whether a snapshot that no run names is whole: a commit that was killed leaves it, the next one uses it."""
    paths = {name: snapshot / f"{name}.parquet" for name in SNAPSHOT_FILES}
    if snapshot.is_symlink() or not all(path.is_file() for path in paths.values()):
        return False
    return snapshot.name == snapshot_name({name: digest_file(path) for name, path in paths.items()})


def _strangers(folder: Path, expected: Collection[str]) -> list[Problem]:
    """List what lies in a folder without being named by anything."""
    present: Iterable[Path] = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [_stranger(path) for path in present if path.name not in expected and not path.name.startswith(STAGING)]


def _stranger(path: Path) -> Problem:
    return Problem(Position(str(path)), "L043", "is no part of the ledger: no manifest names it", "move it elsewhere")


def _snapshot(entry: dict[str, Any]) -> Snapshot:
    return entry["folder"], tuple((name, entry[name]) for name in SNAPSHOT_FILES)


def _manifest(ledger: Path, number: int) -> Path:
    return ledger / "runs" / run_name(number) / "manifest.json"
