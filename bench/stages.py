"""governor's stages as commands, so that each one's CPU and memory can be measured from outside.

    python -m bench.stages PROJECT OUT     ingest only: normalised tables below OUT

This file and split_ours.py are all of the benchmark that knows how governor's stages are called.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from governor.config import load
from governor.run import Options, ingest_all, prepare

AS_OF = "2026-10-05"


def ingest(project: Path, out: Path) -> None:
    """Normalise the bill: OUT/source-0/ then holds charges, tag sets and rejects."""
    out.mkdir(parents=True)
    ingest_all(prepare(load(project / "governor.yaml")), out, Options(date.fromisoformat(AS_OF)))


def run_command(project: Path) -> list[str]:
    """Give the command that does the whole job: ingest, evaluate, allocate, score, commit; no report files."""
    config = ["-c", str(project / "governor.yaml"), "--as-of", AS_OF]
    return [sys.executable, "-m", "governor", "run", *config, "--no-reports", "--quiet", "--exit-zero"]


if __name__ == "__main__":
    ingest(Path(sys.argv[1]), Path(sys.argv[2]))
