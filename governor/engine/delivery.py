"""Take a delivery: bring a source's files to this disk where they aren't, read them, and keep the store's evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from governor.config import BillingSource, Config
from governor.engine.duckdb import MEMORY_MB
from governor.engine.ingest import ingest
from governor.model import Delivery, Progress
from governor.sources.stores.mirror import Local, bring

_SHOWN = 5  # objects named, as ingest names files


def take_delivery(
    source: BillingSource,
    config: Config,
    out: Path,
    progress: Progress,
    *,
    threads: int = 0,
    memory_mb: int = MEMORY_MB,
    **asked: Any,
) -> Delivery:
    """Read one source, wherever it lies, into `out`; `asked` are columns and basis. Raises Refused as ingest does."""
    local = bring(source, config.root, config.cache, progress)
    delivery = ingest(local.source, local.root, out, threads=threads, memory_mb=memory_mb, progress=progress, **asked)
    return _as_stored(delivery, local)


def _as_stored(delivery: Delivery, local: Local) -> Delivery:
    """Add to the evidence what the object store said: each object's version, and what wasn't fetched."""
    files, manifests = (
        tuple(replace(file, stored=local.versions.get(file.path, "")) for file in given)
        for given in (delivery.files, delivery.manifests)
    )
    shown = ", ".join(local.left[:_SHOWN]) + (", …" if len(local.left) > _SHOWN else "")
    why = f"{delivery.why}; not fetched, not data: {shown}" if shown else delivery.why
    return replace(delivery, files=files, manifests=manifests, why=why)
