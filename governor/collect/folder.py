"""Replace a folder of files as a whole: what stood there stays until what is new is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from governor.ledger.lock import try_lock
from governor.model import Position, Problem, Refused

MARKER = "collected.json"  # says what a folder holds, and that it is ours to replace


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`, which takes its place when the block ends without an error.

    Hidden names beside the target hold what is new, and for an instant what is old. The new folder is locked while it
    is filled, so what a killed process left is known for dead: it is swept, and a target that it had moved away is
    moved back. Raises Refused for a folder that holds anything but an earlier collection, while another process fills
    it, and where the disk refuses.
    """
    folder = folder.absolute()
    new, old = (folder.with_name(f".{folder.name}.{which}") for which in ("new", "old"))
    _refuse_foreign(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = _claim(folder, new, old)
    except OSError as error:
        what = f"can't be written: {error.strerror}"
        mend = "name another folder with --out, or mend the disk"
        raise Refused(Problem(Position(str(folder)), "B312", what, mend)) from error
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        _recover(folder, new, old)
        os.close(lock)


def _claim(folder: Path, new: Path, old: Path) -> int:
    """Make the new folder, locked, after sweeping what a dead process left. Returns the lock."""
    if new.exists():
        os.close(_lock(folder, new))
    _recover(folder, new, old)
    new.mkdir()
    return _lock(folder, new)


def _lock(folder: Path, new: Path) -> int:
    lock = os.open(new, os.O_RDONLY)
    if try_lock(lock):
        return lock
    os.close(lock)
    what = "another process is writing it"
    raise Refused(Problem(Position(str(folder)), "B311", what, "wait for it, or name another folder with --out"))


def _recover(folder: Path, new: Path, old: Path) -> None:
    """Move back what was moved away when nothing has taken its place, and remove what nobody looks at."""
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)


def _refuse_foreign(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        what = "is not a folder"
    elif folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        what = f"holds files and no {MARKER}: a collection replaces its folder whole, and these are not its own"
    else:
        return
    raise Refused(Problem(Position(str(folder)), "B310", what, "name an empty or a new folder with --out"))
