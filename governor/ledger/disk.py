"""Write to the ledger's disk so that what was acknowledged stays, and say what the disk refuses."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from governor.model import Position, Problem, Refused

READ_ONLY = 0o444


def write(path: Path, data: bytes) -> None:
    """Write a new, read-only file and bring it to disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def user() -> str:
    """Name who we are, for a receipt."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run as users that no file names
        return str(os.getuid())


@contextmanager
def writing(ledger: Path) -> Iterator[None]:
    """Turn what the disk refuses into a problem with a way out."""
    try:
        yield
    except OSError as error:
        place = Position(str(error.filename or ledger))
        what = f"the ledger can't be written: {error.strerror}"
        raise Refused(Problem(place, "L002", what, _mend(error.errno))) from error


def _mend(number: int | None) -> str:
    known = {
        errno.ENOSPC: "make room; nothing was committed",
        errno.EDQUOT: "make room; nothing was committed",
        errno.EROFS: "the file system is read-only; set `ledger:` to a folder elsewhere",
        errno.EACCES: "allow this user to write there, or set `ledger:` to another folder",
        errno.EPERM: "allow this user to write there, or set `ledger:` to another folder",
        errno.ENOLCK: "the file system has no locks; set `ledger:` to a local folder",
        errno.ENOTSUP: "the file system has no locks; set `ledger:` to a local folder",
        errno.EXDEV: "the tables of a run must be made in its staging folder",
    }
    return known.get(number or 0, "mend the disk; nothing was committed")
