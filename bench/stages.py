"""governor's stages as commands, so that each one's CPU and memory can be measured.

    python -m bench.stages ingest PROJECT OUT     normalised tables only, below OUT/source-0
    python -m bench.stages run PROJECT            the whole job but for the report files; prints CPU seconds by stage

This file and split_ours.py are all of the benchmark that knows how governor's stages are called.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

from bench.split_case import cpu_seconds
from governor.config import load
from governor.run import Options, ingest_all, prepare, run

AS_OF = date(2026, 10, 5)
AFTER_INGEST = "grouping the charges"  # what the run says when the normalised tables are written


def ingest_only(project: Path, out: Path) -> None:
    """Normalise the bill: OUT/source-0/ then holds charges, tag sets and rejects."""
    out.mkdir(parents=True)
    ingest_all(prepare(load(project / "governor.yaml")), out, Options(AS_OF))


def run_timed(project: Path) -> dict[str, float]:
    """Do the whole job, and tell what came before the normalised tables stood and what came after."""
    seen: dict[str, float] = {}

    def note(what: str, _done: int, _total: int) -> None:
        seen.setdefault(what, cpu_seconds())

    run(load(project / "governor.yaml"), Options(AS_OF, progress=note))
    return {"ingest": seen[AFTER_INGEST], "judge": cpu_seconds() - seen[AFTER_INGEST]}


if __name__ == "__main__":
    stage, *paths = sys.argv[1:]
    if stage == "ingest":
        ingest_only(Path(paths[0]), Path(paths[1]))
    else:
        print(json.dumps(run_timed(Path(paths[0]))))
