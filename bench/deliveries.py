"""Measure how deliveries are read: a legacy AWS report, many files against one, and beside the open FOCUS converter."""

from __future__ import annotations

import json
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bench.cur import write_report
from bench.measure import STAGES, Cost, make_bill, measure, rows_of, say
from bench.policies import write_project
from bench.world import Spec

SEED, PARTS, GROUP_ROWS = 7, 100, 100_000
REGISTERS = Spec(10_000, SEED)  # whose registers the projects here get: ingest alone asks none


class Cur(NamedTuple):
    """A legacy AWS report as CSV.gz, read."""

    rows: int
    ingest: Cost


class Parts(NamedTuple):
    """The same rows in one Parquet file and in many."""

    rows: int
    one: Cost
    many: Cost

    @property
    def ratio(self) -> float:
        """Times the CPU of one file."""
        return self.many.cpu / self.one.cpu


class Converter(NamedTuple):
    """One FOCUS CSV brought to FOCUS 1.4: theirs as it comes, theirs without its own checks, ours."""

    rows: int
    theirs: Cost
    unchecked: Cost
    ours: Cost


def measure_cur(rows: int, work: Path) -> Cur:
    """Ingest a legacy AWS report, and compare its sums with the truth beside it."""
    say(f"{rows:,} rows of a legacy AWS report")
    folder = work / f"cur-{rows}"
    if not (folder / "truth.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_report(rows, folder)
    cost, charges = _ingest("cur", folder / "data", work)
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    found = pq.read_table(charges, columns=["billed_cost", "effective_cost"])
    for column, name in (("billed_cost", "unblended"), ("effective_cost", "amortised")):
        total = pc.sum(found[column]).as_py()
        if total != Decimal(truth[name]):
            raise SystemExit(f"{column} adds up to {total}, the report's {name} cost to {truth[name]}")
    shutil.rmtree(work / "tables-cur")
    return Cur(rows, cost)


def measure_parts(bill: Path, work: Path) -> Parts:
    """Ingest the rows of a Parquet bill out of one file, and out of a hundred."""
    rows = rows_of(bill)
    say(f"{rows:,} rows in one file and in {PARTS}")
    one, many = work / "parts-1", work / f"parts-{PARTS}"
    for folder, count in ((one, 1), (many, PARTS)):
        if not folder.exists():
            _write_parts(bill, folder, count, rows)
    costs = []
    for folder in (one, many):
        cost, charges = _ingest(folder.name, folder, work)
        if pq.read_metadata(charges).num_rows != rows:
            raise SystemExit(f"{folder} lost rows")
        shutil.rmtree(work / f"tables-{folder.name}")
        costs.append(cost)
    return Parts(rows, *costs)


def measure_converter(rows: int, work: Path) -> Converter:
    """Bring one FOCUS 1.2 CSV to FOCUS 1.4, by focus-data-toolkit, which wrote it, and by governor."""
    say(f"{rows:,} rows to FOCUS 1.4, two converters")
    folder, project = work / f"toolkit-{rows}", work / f"project-convert-{rows}"
    toolkit = str(Path(sys.executable).with_name("focus-toolkit"))
    if not folder.exists():
        made = ["--provider", "aws", "--focus-version", "1.2", "--rows", str(rows), "--seed", str(SEED)]
        measure([toolkit, "generate", *made, "--out", str(folder)], work / "generate.log")
    [file] = folder.rglob("*cost_and_usage*.csv")
    convert = [toolkit, "convert", "--cost-and-usage", str(file), "--stream", "--exit-policy", "pipeline"]
    convert += ["--on-exists", "replace", "--out", str(work / "theirs")]
    theirs = measure(convert, work / "theirs.log")
    unchecked = measure([*convert, "--no-validate"], work / "theirs.log")
    shutil.rmtree(project, ignore_errors=True)
    make_bill(REGISTERS, work / "registers", "parquet")
    write_project(project, file, work / "registers" / "registers")
    collect = [sys.executable, "-m", "governor", "collect", "billing", "-c", str(project / "governor.yaml")]
    ours = measure([*collect, "--to", "focus", "--csv", "--out", str(work / "ours")], work / "ours.log")
    for made_here in ("theirs", "ours"):
        shutil.rmtree(work / made_here)
    return Converter(rows, theirs, unchecked, ours)


def _ingest(name: str, data: Path, work: Path) -> tuple[Cost, Path]:
    project, tables, bill = work / f"project-{name}", work / f"tables-{name}", work / "registers"
    make_bill(REGISTERS, bill, "parquet")
    for stale in (project, tables):
        shutil.rmtree(stale, ignore_errors=True)
    write_project(project, data, bill / "registers")
    cost = measure([*STAGES, "ingest", str(project), str(tables)], work / f"{name}.log")
    say(f"  {cost.cpu:.1f} CPU s, {cost.peak_mb:,} MB")
    return cost, tables / "source-0" / "charges.parquet"


def _write_parts(bill: Path, folder: Path, count: int, rows: int) -> None:
    """Write the bill's rows, in order, as `count` files of equal size and with row groups of one size."""
    folder.mkdir(parents=True)
    data, size, written, writer = (
        ds.dataset(bill / "data", format="parquet", partitioning=None),
        -(-rows // count),
        0,
        None,
    )
    for batch in data.to_batches(batch_size=GROUP_ROWS, fragment_readahead=1):
        at = 0
        while at < len(batch):
            part, used = divmod(written, size)
            if not used:
                if writer:
                    writer.close()
                writer = pq.ParquetWriter(folder / f"part-{part:04d}.parquet", data.schema, compression="zstd")
            taken = batch.slice(at, size - used)
            writer.write_batch(taken)
            at, written = at + len(taken), written + len(taken)
    if writer:
        writer.close()
