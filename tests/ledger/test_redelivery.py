"""A month that is delivered again, by its manifests: what changed is in the ledger, and what didn't changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deliveries import aws_report, azure_export, data_export
from tests.project import charge, write_project

ROOT = Path(__file__).resolve().parents[2]
A = '{"cost-center":"A"}'


def month(start: str, end: str, *amounts: str) -> list[dict[str, str]]:
    dates = {f"{name}Period{side}": f"{day}-01T00:00:00Z" for name in ("Billing", "Charge") for side, day in (("Start", start), ("End", end))}  # fmt: skip
    return [charge(amount, Tags=A, **dates) for amount in amounts]


def october(*amounts: str) -> list[dict[str, str]]:
    return month("2026-10", "2026-11", *amounts)


def september(*amounts: str) -> list[dict[str, str]]:
    return month("2026-09", "2026-10", *amounts)


@pytest.fixture
def governor(tmp_path):
    """Run the command line on a project whose bill is the folder `bills`, empty as yet."""
    (tmp_path / "bills").mkdir()
    config = write_project(tmp_path, tmp_path / "bills")

    def run(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "governor", *arguments, "-c", str(config)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, done.stderr
        return done.stdout

    return run


def ran(governor) -> str:
    """Run, and return the content digest of what was committed."""
    governor("run", "--as-of", "2026-11-15", "--no-reports")
    return json.loads(governor("ledger", "list", "--format", "json"))[-1]["content"]


def deliveries(governor) -> list[str]:
    """What a run of the console says of deliveries."""
    text = governor("run", "--as-of", "2026-11-15", "--no-reports")
    return [line.removeprefix("delivery ") for line in text.splitlines() if line.startswith("delivery ")]


def test_a_month_delivered_again_shows_in_the_diff(governor, tmp_path):
    """Create-new mode: the second execution replaces the first, and the ledger says what it changed."""
    data_export(tmp_path / "bills", "2026-11-01T00:00:00Z-aa", october("10", "5"), month="2026-10")
    ran(governor)
    data_export(tmp_path / "bills", "2026-11-02T00:00:00Z-bb", october("10", "7.5"), month="2026-10")
    assert deliveries(governor) == [
        "bill 2026-10 restated: +2.50 USD billed in 1 account, 1 charge new, 1 gone; run 1 had it before"
    ]
    diff = governor("ledger", "diff", "1", "2")
    assert "bill  2026-10  USD  billed cost 15.00 -> 17.50 (2.50)" in diff
    folder = "bills/focus/data/BILLING_PERIOD=2026-10"
    assert f"{folder}/2026-11-01T00:00:00Z-aa/focus-00001.csv.gz  sha256 " in diff
    assert f"{folder}/2026-11-02T00:00:00Z-bb/focus-00001.csv.gz  sha256 none -> " in diff
    shown = json.loads(governor("ledger", "show", "--format", "json"))["manifest"]["inputs"][0]
    assert {file["path"].rpartition("BILLING_PERIOD=2026-10/")[2]: file["version"] for file in shown["files"]} == {
        "2026-11-02T00:00:00Z-bb/focus-00001.csv.gz": "1.2",
        "focus-Manifest.json": "manifest",
        "2026-11-02T00:00:00Z-bb/focus-Manifest.json": "manifest",
        "2026-11-01T00:00:00Z-aa/focus-Manifest.json": "superseded manifest",
    }


def test_the_same_delivery_twice_changes_nothing(governor, tmp_path):
    """Run again on the same folder, and on a new execution with the same charges: one content, nothing restated."""
    data_export(tmp_path / "bills", "2026-11-01T00:00:00Z-aa", october("10", "5"), month="2026-10")
    first = ran(governor)
    again = ran(governor)
    data_export(tmp_path / "bills", "2026-11-02T00:00:00Z-bb", october("10"), october("5"), month="2026-10")
    anew = ran(governor)
    assert first == again == anew
    assert governor("ledger", "diff", "1", "2").strip() == "nothing changed"
    assert deliveries(governor) == []


def test_a_late_delivery_for_an_old_period_is_accepted_and_flagged(governor, tmp_path):
    """September comes when October is known already: it is charged, and the run says that it is late."""
    azure_export(tmp_path / "bills", "r1", october("10"), days="20261001-20261031")
    ran(governor)
    azure_export(tmp_path / "bills", "r0", september("3"), days="20260901-20260930")
    assert deliveries(governor) == [
        "bill 2026-09 delivered: 3.00 USD billed, late: a later period was delivered before"
    ]


def test_a_restated_old_period_is_late_too(governor, tmp_path):
    azure_export(tmp_path / "bills", "r1", september("3"), submitted="2026-10-05T00:00:00Z")
    azure_export(tmp_path / "bills", "r2", october("10"), days="20261001-20261031")
    ran(governor)
    azure_export(tmp_path / "bills", "r3", september("4"), submitted="2026-11-05T00:00:00Z")
    [said] = deliveries(governor)
    assert said.startswith("bill 2026-09 restated")
    assert "+1.00 USD billed" in said
    assert "late" in said


def test_a_delivery_taken_back_is_the_one_before_it(governor, tmp_path):
    """Remove the newest delivery with its manifests and the one before is in force again, without a trace of it."""
    aws_report(tmp_path / "bills", "20261101T000000Z", october("10"), month="2026-10", copies=["run"], columns=[])
    first = ran(governor)
    aws_report(tmp_path / "bills", "20261102T000000Z", october("99"), month="2026-10", copies=["run"], columns=[])
    assert ran(governor) != first
    shutil.rmtree(tmp_path / "bills/cur/20261001-20261101/20261102T000000Z")
    assert ran(governor) == first


def test_doctor_shows_what_a_run_would_read(governor, tmp_path):
    data_export(tmp_path / "bills", "2026-11-01T00:00:00Z-aa", october("10"), month="2026-10")
    data_export(tmp_path / "bills", "2026-11-02T00:00:00Z-bb", october("7"), month="2026-10")
    said = governor("doctor")
    assert "ok    bill bill: 1 files" in said
    assert "BILLING_PERIOD=2026-10/focus-Manifest.json (AWS data export focus 2026-10: 1 of its files here)" in said
    assert "superseded, left aside: bills/focus/metadata/BILLING_PERIOD=2026-10/2026-11-01T00:00:00Z-aa/" in said
    (tmp_path / "bills/focus/data/BILLING_PERIOD=2026-10/2026-11-02T00:00:00Z-bb/focus-00001.csv.gz").unlink()
    assert "fail  bills/focus/metadata/BILLING_PERIOD=2026-10/focus-Manifest.json B252" in governor("doctor", code=2)
