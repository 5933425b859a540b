"""Collect: the bills in one form for other tools, as they were delivered. It judges nothing and commits nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from governor import __version__
from governor.collect import summary
from governor.collect.folder import MARKER, replacing
from governor.collect.shape import Notice, shape
from governor.collect.write import (
    Scope,
    Sums,
    assert_conserved,
    delivered_sums,
    described,
    to_csv,
    write_file,
    write_metadata,
)
from governor.config import BillingSource, Config
from governor.engine.cells import parquet
from governor.engine.delivery import take_delivery
from governor.engine.duckdb import MEMORY_MB, Engine, open_engine
from governor.engine.ingest import EVERY, refuse_shared
from governor.evidence import canonical
from governor.ledger.read import hides
from governor.model import Delivery, Gap, Position, Problem, Progress, Refused
from governor.schema import did_you_mean

SCHEMA = 1  # of collected.json
TABLES = ("charges", "tag_sets", "rejects")
COSTS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")


@dataclass(frozen=True, slots=True)
class Options:
    """How to collect: `to` is parquet (our own tables) or focus (FOCUS 1.4), as Parquet or `csv`.

    `collected_at` is the moment that FOCUS's metadata names.
    """

    to: str = "parquet"
    csv: bool = False
    collected_at: str = ""
    threads: int = 0
    memory_mb: int = MEMORY_MB
    progress: Progress = field(default=lambda what, done, total: None)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was written, and what kept it from being everything."""

    folder: Path
    content: dict[str, Any]  # of collected.json
    notices: tuple[tuple[str, Notice], ...]  # of FOCUS files, by source
    gaps: tuple[Gap, ...]
    refused: tuple[Problem, ...]
    incomplete: bool


def collect(config: Config, folder: Path, names: Sequence[str] = (), options: Options | None = None) -> Collected:
    """Read the named billing sources (all, where none is named) and write them into `folder`, which is replaced whole.

    Each source is a folder of its own. Raises Refused for a name that isn't there, where not one source can be used,
    and for a folder that isn't a collection's.
    """
    options = options or Options()
    sources = _named(config, names)
    refuse_inside(config, folder)
    deliveries: list[Delivery] = []
    problems: list[Problem] = []
    told: list[dict[str, Any]] = []
    notices: list[tuple[str, Notice]] = []
    with replacing(folder) as new:
        for source in sources:
            place = new / source.name
            place.mkdir()
            try:
                delivery = _read(source, config, place, options)
                written, noticed = _write(delivery, place, source.position, options)
            except Refused as refused:
                problems.extend(refused.problems)
                shutil.rmtree(place)
                continue
            deliveries.append(delivery)
            told.append(written)
            notices += [(source.name, notice) for notice in noticed]
        if not deliveries:
            raise Refused(*problems)
        refuse_shared(deliveries)
        gaps = [gap for delivery in deliveries for gap in delivery.gaps]
        incomplete = bool(problems) or hides(((g.reason, g.rows) for g in gaps), config.gap_tolerance)
        content = {
            "schema": SCHEMA,
            "governor": __version__,
            "organization": config.organization,
            "form": options.to,
            "complete": not incomplete,
            "sources": told,
            "refused": [summary.problem(problem) for problem in problems],
        }
        (new / MARKER).write_bytes(canonical(content))
    return Collected(folder, content, tuple(notices), tuple(gaps), tuple(problems), incomplete)


def refuse_inside(config: Config, folder: Path) -> None:
    """Refuse a folder that lies inside a bill's: what is written there would be read as a bill the next time."""
    for source in config.billing:
        path = config.root / source.path
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            what = f"lies inside the bills of {source.name}, so what is written there would be read as one"
            raise Refused(Problem(Position(str(folder)), "B315", what, "name a folder elsewhere with --out"))


def _named(config: Config, names: Sequence[str]) -> list[BillingSource]:
    known = {source.name: source for source in config.billing}
    problems = [
        Problem(
            Position(str(config.file)),
            "C050",
            f"there is no billing source {name!r}",
            did_you_mean(name, known) or f"the billing sources are {', '.join(known)}",
        )
        for name in names
        if name not in known
    ]
    if problems:
        raise Refused(*problems)
    return [source for source in config.billing if not names or source.name in names]


def _read(source: BillingSource, config: Config, place: Path, options: Options) -> Delivery:
    def told(what: str, done: int, total: int) -> None:
        options.progress(f"{source.name}: {what}", done, total)

    return take_delivery(
        source, config, place, told, threads=options.threads, memory_mb=options.memory_mb, columns=EVERY
    )


def _write(
    delivery: Delivery, place: Path, position: Position, options: Options
) -> tuple[dict[str, Any], Sequence[Notice]]:
    """Bring a delivery into the form that is asked for, and say what was written."""
    notices: Sequence[Notice] = ()
    with open_engine(work=place, memory_mb=options.memory_mb, ordered=True) as engine:
        totals = _totals(engine, delivery)
        if options.to == "focus":
            options.progress(f"{delivery.source}: write FOCUS", 0, 0)
            path, notices = _focus(engine, delivery, place, position, options, totals)
            rows = {path: sum(total.rows for total in totals.values())}
        else:
            paths = [place / f"{name}.parquet" for name in TABLES]
            rows = {path: int(engine.rows(f"SELECT count(*) FROM {parquet(path)}")[0][0]) for path in paths}
    files = [described(path, place.parent, count) for path, count in rows.items()]
    return summary.delivered(delivery) | summary.written(totals, files, notices), notices


def _focus(
    engine: Engine,
    delivery: Delivery,
    place: Path,
    position: Position,
    options: Options,
    totals: Mapping[Scope, Sums],
) -> tuple[Path, Sequence[Notice]]:
    """Write the FOCUS file and its metadata in the place of our tables."""
    tag_sets = f"LEFT JOIN {parquet(delivery.tag_sets)} t USING (tag_set)"
    tagged = f"(SELECT c.*, t.text AS tags FROM {parquet(delivery.charges)} c {tag_sets})"
    shaped = shape(engine, tagged, position)
    path = write_file(engine, shaped.select(), shaped.types, place)
    assert_conserved(delivery.source, totals, delivered_sums(engine, path, shaped.types))
    write_metadata(engine, path, delivery.source, shaped.types, options.collected_at)
    if options.csv:
        path = to_csv(engine, path, shaped.types)
    for name in TABLES:
        (place / f"{name}.parquet").unlink()
    return path, shaped.notices


def _totals(engine: Engine, delivery: Delivery) -> dict[Scope, Sums]:
    costs = ", ".join(f"coalesce(sum({name}), 0)" for name in COSTS)
    found = engine.rows(
        f"SELECT billing_period, billing_currency, count(*), {costs} FROM {parquet(delivery.charges)}"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return {(period, currency): Sums(count, *amounts) for period, currency, count, *amounts in found}
