"""Run a process and read what it took; what every benchmark needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.generate import generate
from bench.world import Spec

ROOT = Path(__file__).resolve().parent.parent
STAGES = (sys.executable, "-m", "bench.stages")


class Cost(NamedTuple):
    """What a process took: CPU seconds, wall seconds, most memory in MB, and what it printed."""

    cpu: float
    wall: float
    peak_mb: int
    output: str = ""


def measure(command: Sequence[str], log: Path) -> Cost:
    """Run a process to its end and read its own resource usage; one that fails ends the benchmark with its words."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=path)
    start = time.perf_counter()
    with (
        log.open("w+", encoding="utf-8") as words,
        (log.parent / f"{log.name}.out").open("w+", encoding="utf-8") as out,
    ):
        process = subprocess.Popen(command, stdout=out, stderr=words, env=environment, cwd=ROOT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # else Popen would wait for it again
        wall = time.perf_counter() - start
        words.seek(0)
        out.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\nexited with {process.returncode}: {words.read()[-2_000:]}")
        return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss >> 10, out.read())


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(text, file=sys.stderr, flush=True)


def make_bill(spec: Spec, folder: Path, file_format: str) -> None:
    """Generate a bill once; a later run finds it again."""
    if not (folder / "truth.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        generate(spec, folder, file_format, os.cpu_count() or 1)


def rows_of(bill: Path) -> int:
    """Tell how many rows a generated bill has."""
    return int(json.loads((bill / "truth.json").read_text(encoding="utf-8"))["rows"])
