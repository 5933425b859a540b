"""Real and normative bills of others go through the main job, and every total is the file's own sum.

The bills are not in this repository (see `sample_data`). What is expected is computed here with csv and Decimal alone,
apart from the answers that the FOCUS specification itself gives.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from governor.cli.run import exit_code
from governor.config import load
from governor.ledger.read import Run
from governor.model import Refused
from governor.reports import html
from governor.run import Options, run
from governor.starter import write_starter
from tests.project import AS_OF, BY_TAG, TAGS, judged

BY_ACCOUNT = """
kind: AllocationPolicy
id: who-pays
title: Everything to its billing account's cost center
effective_from: 2000-01-01
assign: [{id: all, to: "'A'", where: "charge_category <> 'Credit'"}]
pools: [{id: unused, split: {method: even, targets: [B]}}]
commitments: {benefit: consumer, unused: {pool: unused}}
"""
SPREADSHEET = ", dates: '%m/%d/%y', numbers: us"
DEFAULTS = ", defaults: {BillingCurrency: USD, BillingAccountId: none, ServiceName: none}"


def sums(text: str, numbers: bool = False) -> dict[str, Decimal]:
    """Add up a CSV's costs with nothing but csv and Decimal."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")):
        for name in ("BilledCost", "EffectiveCost"):
            value = (row[name] or "").strip()
            totals[name] += Decimal(value.replace("$", "").replace(",", "") if numbers else value)
        totals["rows"] += 1
    return totals


def assert_ties(run_: Run, expected: dict[str, Decimal]) -> None:
    """Rows, billed and effective cost of the run are the file's; what was allocated and what was not add up to it."""
    totals = run_.rows("totals")
    assert sum(t["rows"] + t["rejected"] for t in totals) == expected["rows"]
    assert sum(t["billed_cost"] for t in totals) == expected["BilledCost"]
    assert sum(t["effective_cost"] for t in totals) == expected["EffectiveCost"]
    assert all(t["allocated"] + t["unallocated"] == t["effective_cost"] for t in totals)


def start(folder: Path, bill: Path) -> Run:
    """Do what a newcomer does: init with the own bill, run."""
    write_starter(folder, bill)
    return run(load(folder / "governor.yaml"), Options(AS_OF, "2026-11-15T00:00:00+00:00")).run


def test_the_real_focus_sample(sample_data: Path, tmp_path: Path) -> None:
    """1,000 real rows of three providers: init, run, report, to the last of eleven digits."""
    bill = sample_data / "billing/focus_sample_1.0/focus_sample.csv"
    done = start(tmp_path, bill)
    assert_ties(done, sums(bill.read_text(encoding="utf-8")))
    [given] = [i for i in done.manifest["inputs"] if i["kind"] == "billing"]
    assert given["version"] == "1.0"
    [score] = [s for s in done.rows("scores") if s["scope"] == "total"]
    assert (score["low"], score["high"]) == (score["allocatability"],) * 2
    pages = html.render(done, tmp_path / "out")
    assert all(page.stat().st_size < 2_000_000 for page in pages)
    assert exit_code(done) in (1, 3)


def test_three_generated_bills_of_a_public_tool(sample_data: Path, tmp_path: Path) -> None:
    """FOCUS 1.2 of three providers, written by nobody here, in one folder."""
    folder = sample_data / "billing/focus_data_toolkit"
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for file in folder.glob("*.csv.gz"):
        for name, value in sums(gzip.decompress(file.read_bytes()).decode()).items():
            expected[name] += value
    done = start(tmp_path, folder)
    assert_ties(done, expected)


SAAS = sorted(
    ["saas_spend_agreements_a1", "saas_spend_agreements_a2", "saas_spend_agreements_b1", "saas_spend_agreements_b2"]
    + [f"simple_saas_agreements_{n}" for n in ("a1", "a2", "a3", "b", "c")]
    + [f"virtual_currency_pricing_model_{n}" for n in ("a1", "a2", "b1", "b2", "b3", "c")]
)


@pytest.mark.parametrize("name", SAAS)
def test_the_specifications_saas_examples(sample_data: Path, tmp_path: Path, name: str) -> None:
    """Saved by a spreadsheet, so refused; read once governor.yaml says how dates and numbers are written."""
    bill = sample_data / f"billing/focus_spec_saas/{name}.csv"
    with pytest.raises(Refused, match="spreadsheet"):
        judged(tmp_path / "undeclared", bill, policies=(TAGS, BY_TAG))
    done = judged(tmp_path / "declared", bill, policies=(BY_ACCOUNT,), source=SPREADSHEET)
    assert_ties(done, sums(bill.read_text(encoding="utf-8-sig"), numbers=True))


# What the FOCUS appendix says: rows, rows whose time is impossible (30:00), billed, effective, used, unused cost.
COMMITMENTS = {
    "commitment_discount_purchase_scenario_1": (1, 0, "8760", "0", "0", "0"),
    "commitment_discount_purchase_scenario_2": (3, 1, "2", "0", "0", "0"),
    "commitment_discount_purchase_scenario_3": (4, 1, "4381", "0", "0", "0"),
    "commitment_discount_usage_scenario_1": (1, 0, "0", "1", "1", "0"),
    "commitment_discount_usage_scenario_2": (1, 0, "0", "1", "0", "1"),
    "commitment_discount_usage_scenario_3": (2, 0, "0", "1", "0.75", "0.25"),
    "commitment_discount_usage_scenario_4": (2, 0, "0.5", "1.5", "1", "0"),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource": (
        3, 0, "2.75", "2.75", "0.5", "0"),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources": (3, 0, "2", "2", "2", "0"),
    "one_hundred_percent_utilization_without_commitment_discount_flexibility": (2, 0, "1.5", "1.5", "1.5", "0"),
    "zero_percent_utilization_without_commitment_discount_flexibility": (3, 0, "3.5", "3.5", "0", "1.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(COMMITMENTS))
def test_the_specifications_commitment_examples(sample_data: Path, tmp_path: Path, name: str) -> None:
    """What was used goes to who used it, what was not to its pool, and both add up to the effective cost."""
    rows, unusable, billed, effective, used, unused = COMMITMENTS[name]
    bill = sample_data / f"billing/focus_spec_saas/{name}.csv"
    done = judged(tmp_path, bill, policies=(BY_ACCOUNT,), source=DEFAULTS)
    [total] = done.rows("totals")
    assert (total["rows"] + total["rejected"], total["rejected"]) == (rows, unusable)
    assert (total["billed_cost"], total["effective_cost"]) == (Decimal(billed), Decimal(effective))
    cells = done.rows("cells")
    assert sum(c["effective_cost"] for c in cells if c["commitment_discount_status"] == "Used") == Decimal(used)
    paid = {c["cost_center"]: c["commitment"] for c in done.rows("cost_centers")}
    assert paid.get("B", Decimal(0)) == Decimal(unused)
    assert total["allocated"] == Decimal(effective)
