"""Processes that commit to one ledger: run as a script by the tests that kill them or let them race.

It forks, and is a program of its own because of that: the test process has threads. Everything is imported once, so a
writer costs milliseconds. Nothing that starts threads happens before the forks.

    writers.py race   LEDGER TEMPLATE WRITERS COMMITS    let writers race; prints what each got acknowledged, as JSON
    writers.py random LEDGER TEMPLATE KILLS SEED         kill a writer at random instants, look at the ledger each time
    writers.py steps  LEDGER TEMPLATE                    kill a writer before and after each of its system calls
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from governor.ledger.read import load, numbers
from governor.ledger.verify import verify
from tests.ledger.prepared import commit_copy

CALLS = ("open", "write", "fsync", "rename", "mkdir", "chmod", "ftruncate")


def fork(work: Callable[[Callable[[str], None]], None]) -> tuple[int, int]:
    """Run work in a child that can acknowledge lines; give its process id and where to read them."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        return child, reading
    code = 1
    try:
        work(lambda line: os.write(writing, f"{line}\n".encode()))
        code = 0
    finally:
        os._exit(code)


def acknowledged(child: int, reading: int) -> tuple[list[str], int]:
    """Read all that a child acknowledged until it ended, and how it ended."""
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    return lines, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def commits(ledger: Path, template: Path, count: int) -> Callable[[Callable[[str], None]], None]:
    """Make a writer that commits so many runs and acknowledges each by number and digest."""

    def work(acknowledge: Callable[[str], None]) -> None:
        for n in range(count):
            run = commit_copy(ledger, template, n)
            acknowledge(f"{run.number} {run.digest}")

    return work


def inspect(ledger: Path, lines: list[str], before: list[int]) -> dict[str, object]:
    """Say what is wrong after a kill: anything partial, lost, broken, or left unusable."""
    now = numbers(ledger)
    lost = [line for line in lines if line not in {f"{n} {load(ledger, n).digest}" for n in now}]
    problems = [str(problem) for problem in verify(ledger)] if now else []
    unacknowledged = len(now) - len(before) - len(lines)  # a kill after the rename, before anyone heard of it
    return {
        "lost": lost,
        "problems": problems,
        "more_than_one": unacknowledged > 1,
        "forgotten": not set(before) <= set(now),
    }


def kill_at_random(ledger: Path, template: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill writers at random instants in the time that about three commits take."""
    rng, wrong, counted = random.Random(seed), [], 0
    start = time.monotonic()
    warm = acknowledged(*fork(commits(ledger, template, 3)))[0]
    span = time.monotonic() - start
    for kill in range(kills):
        before = numbers(ledger)
        child, reading = fork(commits(ledger, template, 1_000_000))
        time.sleep(rng.uniform(0, span))
        os.kill(child, signal.SIGKILL)
        lines, code = acknowledged(child, reading)
        counted += len(lines)
        found = inspect(ledger, lines, before)
        if code != -signal.SIGKILL or any(found.values()):
            wrong.append({"kill": kill, "code": code, **found})
    return {"wrong": wrong, "acknowledged": counted, "warm": len(warm), "next": commit_copy(ledger, template).number}


def kill_at_each_step(ledger: Path, template: Path) -> dict[str, object]:
    """Kill a writer before and after its first, second, ... system call that writes, until it gets through.

    Each has a ledger of its own, so the steps that make one are among them; afterwards the next commit must work.
    """
    wrong: list[dict[str, object]] = []
    step = 0
    while True:
        step += 1
        for after in (False, True):
            fresh = ledger / f"{step}-{after}"
            lines, code = acknowledged(*fork(_dying(commits(fresh, template, 1), step, after=after)))
            found = inspect(fresh, lines, [])
            follows = commit_copy(fresh, template).number - len(numbers(fresh))
            leftover = sorted(path.name for path in fresh.glob(".staging-*"))
            if any(found.values()) or follows or leftover or verify(fresh) or code not in {0, -signal.SIGKILL}:
                wrong.append({"step": step, "after": after, "code": code, "leftover": leftover, **found})
            if code != -signal.SIGKILL:
                return {"wrong": wrong, "steps": step}


def _dying(work: Callable[..., None], step: int, *, after: bool) -> Callable[..., None]:
    """Let a writer kill itself at its Nth system call."""

    def dying(acknowledge: Callable[[str], None]) -> None:
        calls = 0

        def wrap(call):
            def wrapped(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == step and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = call(*args, **kwargs)
                if calls == step and after:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return wrapped

        for name in CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        work(acknowledge)

    return dying


def race(ledger: Path, template: Path, writers: int, count: int) -> dict[str, object]:
    """Let writers race while this process reads; every run that it sees must be whole."""
    children = [fork(commits(ledger, template, count)) for _ in range(writers)]
    seen: set[int] = set()
    while len(seen) < writers * count and _alive(children[-1][0]):
        seen |= {load(ledger, n).number for n in numbers(ledger)}  # raises on anything partial
    ended = [acknowledged(*child) for child in children]
    return {
        "lines": [line for lines, _ in ended for line in lines],
        "codes": [code for _, code in ended],
        "seen": len(seen),
    }


def _alive(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


if __name__ == "__main__":
    mode, ledger_, template_, *rest = sys.argv[1:]
    given = Path(ledger_), Path(template_), *map(int, rest)
    print(json.dumps({"race": race, "random": kill_at_random, "steps": kill_at_each_step}[mode](*given)))  # noqa: T201
