"""One writer at a time: an advisory lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from governor.model import Position, Problem, Refused

WAIT_S = 60  # how long a writer waits for another: a commit holds the lock for well under a second
POLL_S = 0.02


@contextmanager
def locked(ledger: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the ledger's lock. Refuses, naming the holder, when another process has it for longer than `wait_s`.

    The lock is flock on LEDGER/lock. The file is never removed (two processes could then hold two locks); what stands
    in it only helps the message.
    """
    descriptor = os.open(ledger / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + wait_s
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise Refused(_held(ledger, descriptor))
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take an exclusive lock on an open file unless somebody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(ledger: Path, descriptor: int) -> Problem:
    holder = os.pread(descriptor, 300, 0).decode(errors="replace") or "another process"
    since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC).isoformat(timespec="seconds")
    return Problem(
        Position(str(ledger / "lock")),
        "L003",
        f"the ledger is locked by {holder} since {since}",
        "wait for it, or end that process; the lock goes with it",
    )
