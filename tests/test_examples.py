"""The example organisation runs to the end, ties to the cent with its own bills, and shows what its README says."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parent.parent
ACME = ROOT / "examples" / "acme"
AS_OF = "2026-06-05"
VIOLATED = 1  # what examples/acme/README.md promises
MOST_BYTES = 1_500_000
Totals = dict[tuple[str, str, str], tuple[int, Decimal, Decimal]]


def governor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "governor", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("acme")
    config = ["-c", str(ACME / "governor.yaml"), "--as-of", AS_OF, "--out", str(folder / "out")]
    return governor("run", *config, "--format", "json", GOVERNOR_LEDGER=str(folder / "ledger"))


@pytest.fixture(scope="module")
def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == VIOLATED, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def charges(source: str) -> Iterator[dict[str, Any]]:
    """Read a source's bill without governor: csv and pyarrow, text and decimals."""
    below = ACME / "bills"
    company, _, provider = source.rpartition("-")
    files = [below / company / f"{provider}.csv.gz"] if company else sorted((below / source).rglob("part-*"))
    for file in files:
        if file.suffix == ".parquet":
            yield from pq.read_table(file, partitioning=None).to_pylist()
            continue
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        yield from csv.DictReader(io.StringIO(content.decode(), newline=""))


def own_sums(source: str) -> Totals:
    found: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for row in charges(source):
        total = found[source, str(row["BillingPeriodStart"])[:7], row["BillingCurrency"]]
        total[0] += 1
        total[1] += Decimal(row["BilledCost"])
        total[2] += Decimal(row["EffectiveCost"])
    return {key: (rows, billed, effective) for key, (rows, billed, effective) in found.items()}


SOURCES = ("aws", "azure", "gcp", "oracle", "snowpeak", "examplecorp-aws", "examplecorp-azure", "examplecorp-gcp")


def test_totals_tie_to_the_files(answer: dict[str, Any]) -> None:
    """Every source, period and currency has the rows and the exact money that its files have, and nothing more."""
    expected: Totals = {}
    for source in SOURCES:
        expected |= own_sums(source)
    said = {
        (t["source"], t["billing_period"], t["currency"]): (
            t["rows"],
            Decimal(t["billed_cost"]),
            Decimal(t["effective_cost"]),
        )
        for t in answer["totals"]
    }
    assert said == expected
    assert all(t["rejected"] == 0 for t in answer["totals"])


def test_every_cent_is_placed(answer: dict[str, Any]) -> None:
    """Allocated and unallocated add up to the effective cost, exactly, for each source, period and currency."""
    for total in answer["totals"]:
        placed = Decimal(total["allocated"]) + Decimal(total["unallocated"])
        assert placed == Decimal(total["effective_cost"]), total


def test_own_bills_are_the_generators(answer: dict[str, Any]) -> None:
    """The totals are those the generator added up while it made the bills, before anything was written or read."""
    truth = json.loads((ACME / "bills" / "truth.json").read_text(encoding="utf-8"))
    said = {(t["source"], t["billing_period"], t["currency"]): Decimal(t["effective_cost"]) for t in answer["totals"]}
    for name, month in truth.items():
        source, period = name.split()
        for total in month["by_currency"]:
            assert said[source, period, total["currency"]] == Decimal(total["effective_cost"]), name


def test_all_eight_statuses_are_shown(answer: dict[str, Any]) -> None:
    """The example shows each way a charge can end, with money, and its shares are a whole."""
    shares = {letter: Decimal(share) for letter, share in answer["score"]["shares"].items()}
    assert set(shares) == set("TARSKCDU")
    assert all(share > 0 for share in shares.values()), shares
    assert sum(shares.values()) == Decimal("100.00")
    assert Decimal(75) <= Decimal(answer["score"]["allocatability"]) <= Decimal(90)


def test_unread_tags_make_an_interval(answer: dict[str, Any]) -> None:
    """Tags that nobody can read widen the score of their currency instead of vanishing from it."""
    euro = answer["score_by_currency"]["EUR"]
    assert Decimal(euro["low"]) < Decimal(euro["high"])
    assert any(gap["reason"] == "unreadable_tags" for gap in answer["gaps"])


def test_waivers_show_what_they_hide(answer: dict[str, Any]) -> None:
    """Findings fail, and some are waived: the waiver that has not expired."""
    assert answer["findings"]["fail"] > 0
    assert answer["findings"]["waived"] > 0


def test_policies_are_valid_and_tested() -> None:
    """Every policy of the example loads, and its own tests pass."""
    done = governor("policy", "validate", "-c", str(ACME / "governor.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_demo_ends_with_the_reports(tmp_path: Path) -> None:
    """`make demo` ends well, shows the score and names HTML files that are there."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "allocatab" in done.stdout.lower()
    assert list((ROOT / "out" / "demo").glob("*.html"))


@pytest.mark.slow
def test_demo_runs_ones_own_bill(tmp_path: Path) -> None:
    """`make demo BILL=PATH` runs a bill that nobody prepared anything for."""
    bill = tmp_path / "mine.csv.gz"
    bill.write_bytes((ACME / "bills" / "examplecorp" / "gcp.csv.gz").read_bytes())
    script = str(ROOT / "examples" / "demo.py")
    done = subprocess.run([sys.executable, script, str(bill)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [project] = re.findall(r"Your project is (out/demo-mine-\w+):", done.stdout)
    assert (ROOT / project / "governor.yaml").is_file()
    shutil.rmtree(ROOT / project)


def test_example_stays_small() -> None:
    """The example ships with the repository, so it stays below 1.5 MB."""
    files = [f for f in ACME.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert sum(f.stat().st_size for f in files) <= MOST_BYTES


def test_bills_can_be_made_again(tmp_path: Path) -> None:
    """The same seeds give the same rows: the bills that are there are those the script makes."""
    pytest.importorskip("numpy")
    code = "import sys, pathlib, examples.acme.make_bills as m; m.make_own(pathlib.Path(sys.argv[1]))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env, check=True)
    again = sorted(f.relative_to(tmp_path) for f in tmp_path.rglob("part-*"))
    assert again == sorted(f.relative_to(ACME / "bills") for f in (ACME / "bills").rglob("part-*"))
    for file in again:
        old, new = ACME / "bills" / file, tmp_path / file
        if file.suffix == ".parquet":
            assert pq.read_table(old, partitioning=None).equals(pq.read_table(new, partitioning=None)), file
        elif file.suffix == ".gz":
            assert gzip.decompress(old.read_bytes()) == gzip.decompress(new.read_bytes()), file
        else:
            assert old.read_bytes() == new.read_bytes(), file
