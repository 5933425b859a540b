"""A run's files, made once and copied: for tests that commit hundreds of times."""

from __future__ import annotations

from pathlib import Path

from governor import tables
from governor.ledger.commit import commit, stage
from governor.ledger.read import RunInfo, SnapshotFiles

SOURCES = ("aws", "azure")


def commit_copy(ledger: Path, template: Path, number: int = 0, wait_s: float = 60) -> RunInfo:
    """Commit a copy of the files of `write_files`. `number` makes the content another one."""
    with stage(ledger, wait_s) as staging:
        folder = staging.folder
        for file in template.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return commit(
            staging,
            tables={name: folder / f"{name}.parquet" for name in tables.RUN},
            snapshots=[
                SnapshotFiles(s, *(folder / f"{s}-{name}.parquet" for name in ("charges", "tag_sets", "rejects")))
                for s in SOURCES
            ],
            inputs=[],
            policies=[],
            parameters={"number": number},
            gaps=0,
            engine={"governor": "0.1.0"},
            committed_at="2026-06-02T08:00:00+00:00",
            wait_s=wait_s,
        )
