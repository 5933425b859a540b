"""Commit a run so that a kill at any instant leaves no partial run, and loses none that was acknowledged.

The order is the whole point. Everything is written, digested and brought to disk in a staging folder that no reader
looks at. Then, under the lock: the manifest to disk, its folder to disk, one rename, the parent folder to disk; only
then is the run acknowledged.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from governor import money
from governor.evidence import canonical, digest_bytes, digest_file, parse_canonical
from governor.ledger import contract
from governor.ledger.disk import READ_ONLY, sync, user, write, writing
from governor.ledger.lock import WAIT_S, locked, try_lock
from governor.ledger.manifest import COSTS, PLACE, SCHEMA, SNAPSHOT_FILES, content_digest, seal, snapshot_name
from governor.ledger.read import Run, RunInfo, SnapshotFiles, file_problem, load, numbers, run_name
from governor.model import Position, Problem, Refused

STAGING = ".staging-"


@dataclass(frozen=True, slots=True)
class Staging:
    """A folder on the ledger's file system, where a run is made before it is committed. It is removed afterwards."""

    ledger: Path
    folder: Path


@contextmanager
def stage(ledger: Path, wait_s: float = WAIT_S) -> Iterator[Staging]:
    """Give a staging folder, in a ledger that is made when missing. Sweeps the folders of processes that died.

    The folder is made and its own lock is taken under the ledger's lock, so a folder that can be locked is a dead one:
    no process id has to be trusted, across containers and machines either.
    """
    with writing(ledger):
        _make_ledger(ledger)
        with locked(ledger, wait_s):
            for folder in sorted(ledger.glob(STAGING + "*")):
                _sweep(folder)
            folder = Path(tempfile.mkdtemp(prefix=f"{STAGING}{os.getpid()}-", dir=ledger))
            alive = os.open(folder / "alive", os.O_RDWR | os.O_CREAT, 0o600)
            try_lock(alive)
    try:
        yield Staging(ledger, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(alive)


def commit(  # noqa: PLR0913 - a run's evidence, each part by name
    staging: Staging,
    *,
    tables: Mapping[str, Path],
    snapshots: Sequence[SnapshotFiles],
    inputs: Sequence[Mapping[str, Any]],
    policies: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    gaps: int,
    engine: Mapping[str, Any],
    committed_at: str,
    wait_s: float = WAIT_S,
    follows: int | None = None,
) -> RunInfo:
    """Commit the tables and snapshots, files below the staging folder, as the next run. They are moved, not copied.

    `tables` are all of `governor.tables.RUN`. What goes into the manifest is plain data without floats; money is text.
    `engine` names versions (`governor` among them), `committed_at` goes to the receipt, which no digest covers.
    `follows` is the last run that the tables were compared with: a run of the same source since then is refused.
    Returning is the acknowledgement. Raises Refused, leaving the ledger as it was, when another process holds the lock
    for longer than `wait_s`, when a table breaks its contract, and when the disk fails.
    """
    if found := contract.problems(tables):
        raise Refused(*found)
    _encode(staging.ledger, {"inputs": inputs, "policies": policies, "parameters": parameters, "engine": engine})
    folder = staging.folder / "run"
    with writing(staging.ledger):
        folder.mkdir()
        outputs = {name: _output(tables[name], folder / f"{name}.parquet") for name in sorted(tables)}
        staged = {f.source: _stage_snapshot(f, staging.folder / f"snapshot-{n}") for n, f in enumerate(snapshots)}
        periods = _periods(folder / "totals.parquet")
        draft = {
            "schema": SCHEMA,
            "content": content_digest(policies, parameters, outputs),
            "inputs": inputs,
            "policies": policies,
            "parameters": parameters,
            "gaps": gaps,
            "engine": engine,
            "outputs": outputs,
            "snapshots": {s: {**files, "periods": periods.get(s, [])} for s, files in staged.items()},
        }
        with locked(staging.ledger, wait_s):
            _refuse_overtaken(staging.ledger, follows, staged)
            for snapshot in staged.values():
                _place_snapshot(staging, snapshot)
            sync(staging.ledger / "snapshots")
            return _append(staging.ledger, folder, draft, committed_at)


def _append(ledger: Path, folder: Path, draft: Mapping[str, Any], committed_at: str) -> RunInfo:
    """Number the run, chain it to the last one and bring it into sight. The caller holds the lock."""
    known = numbers(ledger)
    number = known[-1] + 1 if known else 1
    previous = load(ledger, known[-1]).digest if known else None  # refuses to build on a damaged run
    manifest = _encode(ledger, {**draft, "number": number, "previous": previous})
    receipt = {
        "committed_at": committed_at,
        "governor": str(draft["engine"].get("governor", "")),
        "host": socket.gethostname(),
        "manifest": digest_bytes(manifest),
        "pid": os.getpid(),
        "user": user(),
    }
    sealed = seal(receipt)
    write(folder / "manifest.json", manifest)
    write(folder / "receipt.json", canonical(sealed))
    sync(folder)
    target = ledger / "runs" / run_name(number)
    folder.rename(target)
    try:
        sync(target.parent)
    except OSError as error:
        what = f"run {number} is in place, but the disk did not confirm it: {error.strerror}"
        mend = "check the disk, then `governor ledger verify`"
        raise Refused(Problem(Position(str(target)), "L004", what, mend)) from error
    return Run(ledger, number, target, parse_canonical(manifest), sealed)


def _refuse_overtaken(ledger: Path, follows: int | None, sources: Mapping[str, object]) -> None:
    """Refuse a run that another one of the same source overtook: what it says of restatements is out of date."""
    for number in numbers(ledger) if follows is not None else ():
        if number > (follows or 0) and (shared := sorted(sources.keys() & load(ledger, number).manifest["snapshots"])):
            what = f"run {number} with {', '.join(shared)} was committed while this run was made"
            raise Refused(Problem(Position(str(ledger)), "L045", what, "run again; nothing was committed"))


def _periods(totals: Path) -> dict[str, list[dict[str, Any]]]:
    """Say which billing periods each delivery holds, with rows and costs, so that no Parquet need be read to see it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(totals, columns=[*PLACE, *COSTS]).to_pylist():
        if row["billing_period"] and row["currency"]:  # a reject may not say
            amounts = {name: money.text(row[name]) for name in COSTS[1:]}
            found.setdefault(row.pop("source"), []).append(row | amounts)
    return found


def _output(source: Path, target: Path) -> dict[str, Any]:
    digest = _seal_file(source, target)
    return {"sha256": digest, "rows": pq.read_metadata(target).num_rows, "bytes": target.stat().st_size}


def _stage_snapshot(files: SnapshotFiles, gathering: Path) -> dict[str, str]:
    """Gather a delivery's files in a folder named by their content, and say what the manifest says of them."""
    gathering.mkdir()
    digests = {name: _seal_file(getattr(files, name), gathering / f"{name}.parquet") for name in SNAPSHOT_FILES}
    sync(gathering)
    folder = gathering.with_name(snapshot_name(digests))
    if not folder.exists():  # two sources that delivered the same share it
        gathering.rename(folder)
    return {"folder": folder.name, **digests}


def _place_snapshot(staging: Staging, snapshot: Mapping[str, str]) -> None:
    """Move a delivery's rows to where runs share them, unless an equal delivery is there already."""
    target = staging.ledger / "snapshots" / snapshot["folder"]
    if target.exists():
        found = [file_problem(target / f"{name}.parquet", snapshot[name]) for name in SNAPSHOT_FILES]
        if damaged := [problem for problem in found if problem]:
            raise Refused(*damaged)
    else:
        (staging.folder / snapshot["folder"]).rename(target)


def _seal_file(source: Path, target: Path) -> str:
    """Move a finished file, make it read-only, bring it to disk, and digest it."""
    source.rename(target)
    target.chmod(READ_ONLY)
    sync(target)
    return digest_file(target)


def _make_ledger(ledger: Path) -> None:
    numbers(ledger)  # refuses a ledger that is a file
    if not (ledger / "snapshots").is_dir():
        for folder in (ledger, ledger / "runs", ledger / "snapshots"):
            folder.mkdir(parents=True, exist_ok=True)
        sync(ledger)
        sync(ledger.parent)


def _sweep(folder: Path) -> None:
    """Remove a staging folder unless the process that made it lives: it holds the folder's own lock."""
    try:
        alive = os.open(folder / "alive", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return  # another user's, or not a folder: no business of ours
    if try_lock(alive):
        shutil.rmtree(folder, ignore_errors=True)
    os.close(alive)


def _encode(ledger: Path, obj: object) -> bytes:
    try:
        return canonical(obj)
    except ValueError as error:
        raise Refused(Problem(Position(str(ledger)), "L015", f"the manifest can't be written: {error}")) from error
