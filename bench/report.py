"""docs/benchmarks.md from the measurements: targets, figures, the machine, and where we lose."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.deliveries import Converter, Cur, Parts
    from bench.measure import Cost
    from bench.run import Sized

PACKAGES = ("duckdb", "pyarrow", "sqlglot", "numpy", "cloud-cost-allocation", "focus-data-toolkit")
HAND_RATIO, ROWS_PER_5S, CSV_RATE, PARQUET_RATE = 1.5, 1_000_000, 50_000, 300_000
_YES, _NO = "yes", "**no**"
PEAK_MB, INGEST_MB, GROWTH, START, SPLIT_RATIO, PARTS_RATIO = 2_048, 1_536, 11, 0.15, 20, 1.2


@dataclass(frozen=True)
class Measured:
    """All figures of one run of the benchmark."""

    date: str
    command: str
    version: float
    small: Sized
    large: Sized
    csv: tuple[int, Cost]
    cur: Cur
    parts: Parts
    converter: Converter
    split: tuple[dict[str, Any], dict[str, Any]] | None


def page(m: Measured) -> str:
    """Write the page."""
    rows = _targets(m)
    table = "\n".join(
        f"| {what} | {target} | {figure} | {'yes' if met else '**no**'} |" for what, target, figure, met in rows
    )
    lost = [f"- {what}: {figure}, where {target} was the aim." for what, target, figure, met in rows if not met]
    parts = [
        f"# Benchmarks\n\nMeasured on {m.date} by `make bench`, which is `{m.command}` and writes this page.\n\n"
        + _METHOD,
        f"## Targets\n\n| what | target | measured | met |\n|---|---|---|---|\n{table}",
        f"## Figures\n\n{_figures(m)}",
        "## Where we lose\n\n" + "\n".join([*lost, *_ALWAYS]),
        f"## Machine\n\n{_machine()}",
    ]
    return "\n\n".join(parts) + "\n"


def _targets(m: Measured) -> list[tuple[str, str, str, bool]]:
    """List what was aimed at, what was reached, and whether that is enough."""
    large, small = m.large, m.small
    judged = large.rows / large.judge_cpu * 5
    parquet = large.rows / large.ingest.cpu
    csv = m.csv[0] / m.csv[1].cpu
    growth = large.run.cpu / small.run.cpu * (10 * small.rows / large.rows)
    size = f"{large.rows:,} rows"
    found = [
        (
            f"evaluate + allocate + commit, {size}, against hand-written SQL",
            f"<= {HAND_RATIO} x its CPU",
            f"{large.ratio:.2f} x",
            large.ratio <= HAND_RATIO,
        ),
        ("the same, rows per 5 CPU s", f">= {ROWS_PER_5S:,}", f"{judged:,.0f}", judged >= ROWS_PER_5S),
        ("ingest from Parquet, rows per CPU s", f">= {PARQUET_RATE:,}", f"{parquet:,.0f}", parquet >= PARQUET_RATE),
        ("ingest from CSV, rows per CPU s", f">= {CSV_RATE:,}", f"{csv:,.0f}", csv >= CSV_RATE),
        (
            f"peak memory of a whole run, {size}",
            f"<= {PEAK_MB:,} MB",
            f"{large.run.peak_mb:,} MB",
            large.run.peak_mb <= PEAK_MB,
        ),
        *_delivered(m),
        ("CPU of ten times the rows", f"<= {GROWTH} x", f"{growth:.1f} x", growth <= GROWTH),
        ("`governor --version`", f"<= {START} CPU s", f"{m.version:.3f} CPU s", m.version <= START),
    ]
    if m.split:
        ratio = _split_ratio(*m.split)
        found.append(
            (
                "the same split as cloud-cost-allocation 2.3.4, 1,000,000 charges",
                f"{SPLIT_RATIO} x less CPU",
                f"{ratio:.1f} x less",
                ratio >= SPLIT_RATIO,
            )
        )
    return found


def _delivered(m: Measured) -> list[tuple[str, str, str, bool]]:
    """List the targets of reading deliveries."""
    cur, peak = m.cur.rows / m.cur.ingest.cpu, max(m.parts.one.peak_mb, m.parts.many.peak_mb, m.large.ingest.peak_mb)
    rows = f"{m.parts.rows:,} rows"
    return [
        ("ingest of a legacy AWS report (CSV.gz), rows per CPU s", f">= {CSV_RATE:,}", f"{cur:,.0f}", cur >= CSV_RATE),
        (
            f"100 Parquet files against one, {rows}",
            f"<= {PARTS_RATIO} x its CPU",
            f"{m.parts.ratio:.2f} x",
            m.parts.ratio <= PARTS_RATIO,
        ),
        (f"peak memory of ingest, {rows}", f"<= {INGEST_MB:,} MB", f"{peak:,} MB", peak <= INGEST_MB),
    ]


def _split_ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    return float((theirs["build"] + theirs["allocate"]) / ours["allocate"])


def _figures(m: Measured) -> str:
    lines = ["| | CPU s | wall s | peak MB |", "|---|---|---|---|"]
    for sized in (m.small, m.large):
        size = f"{sized.rows:,} rows"
        lines += [
            _line(f"{size}: ingest alone, from Parquet", sized.ingest),
            _line(f"{size}: the whole run, no report files", sized.run),
            f"| {size}: of it, evaluate + allocate + score + commit | {sized.judge_cpu:.2f} | | |",
            _line(f"{size}: hand-written SQL, from the normalised tables", sized.hand),
            f"| {size}: of it, the statements | {sized.hand_cpu:.2f} | | |",
            f"| {size}: ratio of the two | {sized.ratio:.2f} | | |",
        ]
    converted = f"{m.converter.rows:,} rows of FOCUS 1.2 as CSV to FOCUS 1.4"
    lines += [
        _line(f"{m.csv[0]:,} rows: ingest alone, from CSV", m.csv[1]),
        _line(f"{m.cur.rows:,} rows: ingest of a legacy AWS report, 155 columns, CSV.gz", m.cur.ingest),
        _line(f"{m.parts.rows:,} rows: ingest of one Parquet file", m.parts.one),
        _line(f"{m.parts.rows:,} rows: ingest of 100 Parquet files", m.parts.many),
        _line(f"{converted}: focus-data-toolkit", m.converter.theirs),
        _line(f"{converted}: focus-data-toolkit without its checks", m.converter.unchecked),
        _line(f"{converted}: governor, `collect billing --to focus`", m.converter.ours),
    ]
    if m.split is None:
        return "\n".join([*lines, "", "cloud-cost-allocation was not installed, so it was not measured."])
    ours, theirs = m.split
    lines += [
        f"| split: cloud-cost-allocation, items from tuples in memory | {theirs['build']:.2f} | | |",
        f"| split: cloud-cost-allocation, allocation | {theirs['allocate']:.2f} | | {theirs['peak_mb']:,} |",
        f"| split: governor, ingest of the bill | {ours['ingest']:.2f} | | |",
        f"| split: governor, allocation from tables on disk | {ours['allocate']:.2f} | | {ours['peak_mb']:,} |",
    ]
    alone = theirs["allocate"] / ours["allocate"]
    text = (
        "The split: each of 10 shared services is divided among 190 others by fixed keys. Both start from the charges"
        " and end with what each service pays: their items have to be built first, our tables have to be read first."
        f" Their allocation alone, without building, takes {alone:.1f} times our CPU. Their amounts are floats, ours"
        " are exact and in whole cents; the results agree within a cent a pool."
    )
    return "\n".join([*lines, "", text])


def _line(what: str, cost: Cost) -> str:
    return f"| {what} | {cost.cpu:.2f} | {cost.wall:.1f} | {cost.peak_mb:,} |"


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"- {models[0] if models else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB",
        f"- {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "- " + ", ".join(f"{name} {_installed(name)}" for name in PACKAGES),
    ]
    return "\n".join(lines)


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


_METHOD = """Every figure is the CPU time of a process of its own (all threads, user and system, Python's start
included) and the most memory it held; the machine has other guests, so wall time is only shown, and CPU time still
varies by a tenth or two. The bill is made by `bench/generate.py` (FOCUS 1.2, JSON tags, 3 currencies), the
policy set by `bench/policies.py`: 50 assignment rules, 24 tag requirements, 4 pools, one central rule. The hand-written
SQL is `bench/handwritten.py`; it starts from the same normalised tables, gets the same memory, and its allocations
and findings are compared with governor's to the last digit before a ratio is printed."""

_ALWAYS = (
    "- Hand-written SQL answers one question for one policy set. It has no waivers, no history of findings, no digests,"
    " no ledger, no proof of conservation and no tests; that is what a ratio above 1 buys.",
    "- Ingest reads a file more than once: to find what is wrong with it, then to write it. Trust would be faster.",
    "- A bill whose every row carries a tag set of its own makes as many cells as rows; then grouping gains nothing.",
)
