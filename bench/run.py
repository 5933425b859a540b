"""Measure governor and write docs/benchmarks.md.

    python bench/run.py [--rows 10_000_000] [--csv-rows 1_000_000] [--work .cache/bench] [--date 2026-01-31]

`make bench` runs it. Every figure is CPU seconds of a process of its own (all its threads, user and system), with the
most memory it held; wall time says more about the machine's other guests. Generated bills are kept below --work.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import statistics
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it runs as a script from anywhere

import pyarrow.parquet as pq  # noqa: E402 - after the path

from bench import deliveries, report  # noqa: E402
from bench.measure import STAGES, Cost, make_bill, measure, rows_of, say  # noqa: E402
from bench.policies import write_project  # noqa: E402
from bench.split_case import SHARED  # noqa: E402
from bench.world import Spec  # noqa: E402

SEED, SMALL, VERSION_RUNS, SPLIT_CHARGES, CONVERTED = 7, 1_000_000, 10, 1_000_000, 100_000
ALLOCATOR = "cloud_cost_allocation"


@dataclass(frozen=True)
class Sized:
    """The measurements that depend on the size of the bill."""

    rows: int
    ingest: Cost
    run: Cost
    hand: Cost

    @property
    def judge_cpu(self) -> float:
        """CPU of evaluate + allocate + score + commit within the run, from the moment its normalised tables stand."""
        return float(json.loads(self.run.output)["judge"])

    @property
    def hand_cpu(self) -> float:
        """CPU of the hand-written statements, without the start of their process."""
        return float(json.loads(self.hand.output)["cpu"])

    @property
    def ratio(self) -> float:
        """Times the CPU of the hand-written SQL."""
        return self.judge_cpu / self.hand_cpu


def measure_size(rows: int, work: Path) -> Sized:
    """Ingest, run, and answer by hand, all on one Parquet bill."""
    say(f"{rows:,} rows")
    bill, project, tables = work / f"bill-{rows}", work / f"project-{rows}", work / f"tables-{rows}"
    make_bill(Spec(rows, SEED), bill, "parquet")
    for stale in (project, tables):
        shutil.rmtree(stale, ignore_errors=True)
    write_project(project, bill / "data", bill / "registers")
    ingest = measure([*STAGES, "ingest", str(project), str(tables)], work / "ingest.log")
    say(f"  ingest {ingest.cpu:.1f} CPU s")
    run = measure([*STAGES, "run", str(project)], work / "run.log")
    say(f"  whole run {run.cpu:.1f} CPU s")
    charges, tags = tables / "source-0" / "charges.parquet", tables / "source-0" / "tag_sets.parquet"
    arguments = [str(p) for p in (charges, tags, project, bill / "registers", work / f"hand-{rows}")]
    hand = measure([sys.executable, "-m", "bench.handwritten", *arguments], work / "hand.log")
    say(f"  by hand {hand.cpu:.1f} CPU s")
    same_answer(project / "ledger", work / f"hand-{rows}")
    shutil.rmtree(tables)
    return Sized(rows_of(bill), ingest, run, hand)


def measure_csv(rows: int, work: Path) -> tuple[int, Cost]:
    """Ingest a CSV bill."""
    say(f"{rows:,} rows of CSV")
    bill, project, tables = work / f"csv-{rows}", work / f"project-csv-{rows}", work / f"tables-csv-{rows}"
    make_bill(Spec(rows, SEED), bill, "csv")
    shutil.rmtree(tables, ignore_errors=True)
    write_project(project, bill / "data", bill / "registers")
    cost = measure([*STAGES, "ingest", str(project), str(tables)], work / "csv.log")
    shutil.rmtree(tables)
    return rows_of(bill), cost


def measure_version(work: Path) -> float:
    """Give the median CPU of `governor --version`."""
    command = [sys.executable, "-m", "governor", "--version"]
    return statistics.median(measure(command, work / "version.log").cpu for _ in range(VERSION_RUNS))


def measure_split(work: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Divide the same charges by governor and by cloud-cost-allocation; None where that isn't installed."""
    if importlib.util.find_spec(ALLOCATOR) is None:
        say("cloud-cost-allocation is not installed: its comparison is left out")
        return None
    say(f"{SPLIT_CHARGES:,} charges, two allocators")
    shutil.rmtree(work / "split", ignore_errors=True)
    arguments = [str(SPLIT_CHARGES), str(work / "split")]
    ours = measure([sys.executable, "-m", "bench.split_ours", *arguments], work / "ours.log")
    theirs = measure([sys.executable, "-m", "bench.split_theirs", arguments[0]], work / "theirs.log")
    our, their = json.loads(ours.output), json.loads(theirs.output)
    for service, amount in our["paid"].items():
        if abs(Decimal(amount) - Decimal(their["paid"][service])) > SHARED * Decimal(
            "0.01"
        ):  # ours are whole cents, a pool
            raise SystemExit(f"{service} pays {amount} by governor, {their['paid'][service]} by the other")
    return our, their


def same_answer(ledger: Path, hand: Path) -> None:
    """Compare who pays what and what failed: a ratio of two different answers would be worth nothing."""
    for name, key, amount in (("allocations", "cost_center", "amount"), ("findings", "requirement", "cost")):
        [run] = sorted(ledger.rglob(f"{name}.parquet"))[-1:]
        ours = _sums(run, "currency", key, amount)
        theirs = _sums(hand / f"{name}.parquet", "billing_currency", key, amount)
        wrong = [(k, ours.get(k), theirs.get(k)) for k in ours | theirs if ours.get(k) != theirs.get(k)]
        if wrong:
            raise SystemExit(f"{len(wrong)} {name} differ, such as {wrong[0]}: the two do not say the same")


def _sums(path: Path, currency: str, key: str, amount: str) -> dict[tuple[str, str], Decimal]:
    table = pq.read_table(path, columns=[currency, key, amount])
    sums = table.group_by([currency, key]).aggregate([(amount, "sum")]).to_pylist()
    found = {(r[currency], str(r[key]).removeprefix("core-tags/")): r[f"{amount}_sum"] for r in sums}
    return {k: v for k, v in found.items() if not k[1].endswith(".conflict")}  # by hand, nobody looks for these


def _size(text: str) -> int:
    return int(float(text.replace("_", "")))


def main() -> None:
    """Measure everything, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_size, default=10_000_000)
    parser.add_argument("--csv-rows", type=_size, default=SMALL)
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "bench")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), help="the date on the page")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    version = measure_version(work)
    small = measure_size(min(SMALL, given.rows // 10), work)
    large = measure_size(given.rows, work)
    csv = measure_csv(given.csv_rows, work)
    cur = deliveries.measure_cur(given.csv_rows, work)
    parts = deliveries.measure_parts(work / f"bill-{given.rows}", work)
    converter = deliveries.measure_converter(CONVERTED, work)
    split = measure_split(work)
    command = f"python bench/run.py --rows {given.rows} --csv-rows {given.csv_rows}"
    text = report.page(report.Measured(given.date, command, version, small, large, csv, cur, parts, converter, split))
    given.output.write_text(text, encoding="utf-8")
    say(f"wrote {given.output}")


if __name__ == "__main__":
    main()
