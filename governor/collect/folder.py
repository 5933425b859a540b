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

    Both folders are hidden names beside the target, and the parent folder is locked while they exist; so what a killed
    process left is swept, and a target that it had moved away is moved back. Raises Refused for a folder that holds
    anything but an earlier collection, while another process writes there, and where the disk refuses.
    """
    folder = folder.absolute()
    new, old = (folder.with_name(f".{folder.name}.{which}") for which in ("new", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.parent, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        if not try_lock(lock):
            what = "another process is writing beside it"
            raise Refused(Problem(Position(str(folder)), "B311", what, "wait for it, or name another folder"))
        _refuse_foreign(folder)
        try:
            _recover(folder, new, old)
            new.mkdir()
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            yield new
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        finally:
            _recover(folder, new, old)
    finally:
        os.close(lock)


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


def _unwritable(folder: Path, error: OSError) -> Refused:
    what = f"can't be written: {error.strerror}"
    return Refused(Problem(Position(str(folder)), "B312", what, "name another folder with --out, or mend the disk"))
