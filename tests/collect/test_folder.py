"""A folder of results is replaced whole or not at all, whoever dies in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from governor.collect.folder import MARKER, replacing
from governor.ledger.lock import try_lock
from governor.model import Refused


def write(folder: Path, text: str) -> None:
    with replacing(folder) as new:
        (new / MARKER).write_text(text)


def test_what_stood_there_is_replaced_whole(tmp_path: Path) -> None:
    """A second collection leaves nothing of the first, and nothing beside itself."""
    folder = tmp_path / "deep" / "out"
    with replacing(folder) as new:
        (new / MARKER).write_text("1")
        (new / "aws").mkdir()
    write(folder, "2")
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [(MARKER, "2")]
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [Refused, KeyboardInterrupt, OSError])
def test_an_interrupted_one_leaves_what_stood_there(tmp_path: Path, error: type[BaseException]) -> None:
    """A refusal, Ctrl-C or a full disk in the middle: the old collection, and no half of the new one."""
    folder = tmp_path / "out"
    write(folder, "1")
    with pytest.raises(error), replacing(folder) as new:
        (new / "half").write_text("x")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (folder / MARKER).read_text() == "1"


@pytest.mark.parametrize("moved_away", [False, True])
def test_what_a_killed_process_left_is_swept(tmp_path: Path, moved_away: bool) -> None:
    """Killed while it wrote, or between the two renames: the next one finds the old collection and replaces it."""
    folder = tmp_path / "out"
    write(folder, "1")
    (tmp_path / ".out.new").mkdir()
    (tmp_path / ".out.new" / "half").write_text("x")
    if moved_away:
        folder.rename(tmp_path / ".out.old")
    with pytest.raises(KeyboardInterrupt), replacing(folder):
        raise KeyboardInterrupt
    assert (folder / MARKER).read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_two_at_once_are_refused_and_two_folders_are_not(tmp_path: Path) -> None:
    """Whoever comes second is told; the first one's files stay whole. A folder beside it is nobody's business."""
    with replacing(tmp_path / "out") as new:
        (new / MARKER).write_text("1")
        with pytest.raises(Refused, match="B311 another process is writing it"), replacing(tmp_path / "out"):
            pass
        write(tmp_path / "other", "2")
    assert (tmp_path / "out" / MARKER).read_text() == "1"
    assert (tmp_path / "other" / MARKER).read_text() == "2"


def test_a_folder_of_somebody_elses_is_never_replaced(tmp_path: Path) -> None:
    """A project, a link, a file: refused, and left as they are."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "governor.yaml").write_text("version: 1")
    (tmp_path / "link").symlink_to(folder)
    for name in ("project", "link", "project/governor.yaml"):
        with pytest.raises(Refused, match="B310"), replacing(tmp_path / name):
            pass
    assert [p.name for p in folder.iterdir()] == ["governor.yaml"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The path leads through a file: the folder, the reason, what to do."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Refused, match=r"B312 can't be written: .*name another folder"),
        replacing(tmp_path / "file" / "x"),
    ):
        pass


def test_the_new_folder_is_locked_while_it_is_filled(tmp_path: Path) -> None:
    """The kernel's lock tells the living from the dead."""
    with replacing(tmp_path / "out") as new:
        descriptor = os.open(new, os.O_RDONLY)
        assert not try_lock(descriptor)
        os.close(descriptor)
