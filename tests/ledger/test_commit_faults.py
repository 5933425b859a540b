"""Committing on a disk that fails: at the Nth call, for every N, once and for good."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest

from governor.ledger.read import numbers
from governor.ledger.verify import verify
from governor.model import Refused
from tests.ledger.prepared import commit_copy

CALLS = ("open", "write", "fsync", "rename", "mkdir", "chmod")


class Disk:
    """The operating system's calls that write, of which the Nth fails; with `for_good` every later one too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int, *, for_good: bool) -> None:
        self.calls = 0
        self.failed: list[str] = []
        for name in CALLS:
            monkeypatch.setattr(os, name, self._failing(name, fail_at, for_good=for_good))

    def _failing(self, name, fail_at, *, for_good):
        call = getattr(os, name)

        def wrapped(*args, **kwargs):
            self.calls += 1
            if self.calls == fail_at or (for_good and self.calls > fail_at):
                self.failed.append(name)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **kwargs)

        return wrapped


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_a_call_that_fails_leaves_the_ledger_whole(ledger, template, monkeypatch, for_good):
    """Whichever call fails, the refusal is said in words, no partial run is seen, and the next commit works.

    A run may be in place without having been acknowledged (the last fsync failed): then the message says so.
    """
    commit_copy(ledger, template)
    for fail_at in itertools.count(1):
        before = numbers(ledger)
        with monkeypatch.context() as patch:
            disk = Disk(patch, fail_at, for_good=for_good)
            try:
                commit_copy(ledger, template, fail_at)
            except Refused as refused:
                said = refused.problems[0]
            else:
                assert numbers(ledger) == [*before, before[-1] + 1]
                if not disk.failed:
                    break
                assert set(disk.failed) == {"open"}, "only clearing up after the acknowledgement may fail unsaid"
                continue
        unconfirmed = [before[-1] + 1] if said.code == "L004" else []
        assert said.code == "L004" or (said.code == "L002" and "No space left" in said.what), said
        assert numbers(ledger) == before + unconfirmed, said
    assert fail_at > 50, "the calls of a commit were not counted"
    assert verify(ledger) == []
    assert commit_copy(ledger, template).number == numbers(ledger)[-1]
    assert sorted(path.name for path in ledger.iterdir()) == ["lock", "runs", "snapshots"]


def test_a_ledger_that_could_not_be_made_can_be_made_later(tmp_path, template, monkeypatch):
    """A disk that fails while the ledger's own folders are made leaves nothing that is in the way of the next try."""
    for fail_at in itertools.count(1):
        ledger = tmp_path / str(fail_at)
        with monkeypatch.context() as patch:
            Disk(patch, fail_at, for_good=True)
            with pytest.raises(Refused, match="L002"):
                commit_copy(ledger, template)
        made = (ledger / "lock").exists()
        assert commit_copy(ledger, template).number == 1
        assert verify(ledger) == []
        if made:
            break


def test_nothing_is_shown_before_it_is_on_disk(ledger, template, monkeypatch):
    """A power cut keeps only what was synced: whatever a rename shows is on disk before, and the new name is after it.

    SIGKILL can't show this, because the operating system keeps what a dead process wrote. Files are told by inode.
    """
    events: list[object] = []
    fsync, rename = os.fsync, os.rename

    def record_fsync(descriptor):
        fsync(descriptor)
        events.append(os.fstat(descriptor).st_ino)

    def record_rename(source, target, **kwargs):
        if Path(source).is_dir():
            shown = {Path(source).stat().st_ino, *(entry.inode() for entry in os.scandir(source))}
            assert shown <= set(events), f"{target} is shown before it is on disk"
        rename(source, target, **kwargs)
        events.append(str(target))

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    run = commit_copy(ledger, template)
    snapshot = str(run.snapshot_paths("aws").charges.parent)
    runs, snapshots = ((ledger / name).stat().st_ino for name in ("runs", "snapshots"))
    shown = events.index(str(run.folder))
    assert snapshots in events[events.index(snapshot) : shown], "a run names a snapshot that a power cut can take away"
    assert events[shown + 1] == runs, "acknowledged before its name is on disk"
