"""Committing while processes are killed, and while they race: no partial run, none lost, one chain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from governor.ledger.read import numbers, runs
from governor.ledger.verify import verify

KILLS, LEDGERS = 20, 10


def writers(root: Path, *arguments: object) -> dict:
    """Run the script of writers and read its report."""
    command = [sys.executable, str(root / "tests" / "ledger" / "writers.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(LEDGERS))
def test_random_kills_leave_no_partial_run_and_lose_none(root, ledger, template, seed, part):
    """After each of 200 SIGKILLs at random instants: every acknowledged run is there, all verifies, the next commit works."""
    report = writers(root, "random", ledger, template, KILLS, seed + part)
    assert report["wrong"] == [], f"seed {seed}, part {part}"
    assert report["next"] == numbers(ledger)[-1] > report["warm"]
    assert verify(ledger) == []


@pytest.mark.slow
def test_a_kill_at_any_step_is_harmless(root, ledger, template):
    """A writer that is killed before or after any of its system calls harms nothing, from the first run on."""
    report = writers(root, "steps", ledger, template)
    assert report["wrong"] == []
    assert report["steps"] > 50, "the steps of a commit were not counted"


def test_eight_writers_at_once_take_turns(root, ledger, template):
    """Eight processes that commit to one ledger get a number each, in one chain, and readers see whole runs only."""
    report = writers(root, "race", ledger, template, 8, 3)
    assert report["codes"] == [0] * 8
    assert sorted(report["lines"]) == sorted(f"{run.number} {run.digest}" for run in runs(ledger))
    assert numbers(ledger) == list(range(1, 25))
    assert verify(ledger) == []
    assert sorted(path.name for path in ledger.iterdir()) == ["lock", "runs", "snapshots"]
