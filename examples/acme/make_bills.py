"""Make the bills and invoices of the example organisation again: the same seeds, the same rows.

    python -m examples.acme.make_bills             Acme's own bills, by bench/generate.py
    python -m examples.acme.make_bills --toolkit   ExampleCorp's too, by the public package focus-data-toolkit 0.14.1

Run it from the top of the repository. Who pays for an account is read from registers/accounts.csv, so the tags on the
bills fit the registers; accounts that the register lacks are on the bills all the same. What was found on the bills
that this script wrote is in bills/truth.json: the tests compare it with what governor says.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench import catalogue as c
from bench.catalogue import Payer
from bench.generate import generate
from bench.world import Account, App, Spec

HERE = Path(__file__).resolve().parent
MONTHS = ("2026-04", "2026-05")
INVOICED = ("aws", "gcp")  # the providers whose invoices have reached us
TOOLKIT_SEED, TOOLKIT_ROWS = 20, 700


class Bill(NamedTuple):
    """One provider's bill: what it is made of, its file format, and its accounts as (id, name, weight, quality)."""

    spec: Spec
    file_format: str
    accounts: tuple[tuple[str, str, float, float], ...]


BILLS = {
    "aws": Bill(
        Spec(
            900,
            31,
            "1.2",
            "map",
            volume=200,
            spread=0.3,
            resource_count=120,
            payers=(Payer("999900000001", c.AWS, "USD", 1, 0.06, 0.0, True),),
        ),
        "parquet",
        (
            ("111100000101", "shop-prod", 0.26, 0.93),
            ("111100000102", "shop-dev", 0.08, 0.55),
            ("111100000103", "payments-prod", 0.17, 0.95),
            ("111100000104", "platform-shared", 0.16, 0.72),
            ("111100000105", "network-hub", 0.05, 0.80),
            ("111100000106", "security-tooling", 0.05, 0.90),
            ("111100000107", "data-lake", 0.10, 0.75),
            ("111100000108", "sandbox-ada", 0.05, 0.20),
            ("111100000109", "campaign-2025", 0.03, 0.40),
            ("111100000110", "migration-factory", 0.05, 0.30),
        ),
    ),
    "azure": Bill(
        Spec(
            500,
            12,
            "1.2",
            dirty=0.01,
            volume=60,
            spread=0.3,
            resource_count=70,
            payers=(
                Payer("/providers/microsoft.billing/billingaccounts/8611537", c.MICROSOFT, "EUR", 1, 0.11, 0.19, False),
            ),
        ),
        "csv.gz",
        (
            ("6f1c0a10-52b1-4d0e-9a5e-0c1d5e6f7a01", "shop-europe", 0.45, 0.85),
            ("6f1c0a10-52b1-4d0e-9a5e-0c1d5e6f7a02", "corporate-it", 0.30, 0.70),
            ("6f1c0a10-52b1-4d0e-9a5e-0c1d5e6f7a03", "europe-shared", 0.15, 0.75),
            ("6f1c0a10-52b1-4d0e-9a5e-0c1d5e6f7a04", "europe-sandbox", 0.10, 0.25),
        ),
    ),
    "gcp": Bill(
        Spec(
            500,
            13,
            "1.3",
            "structlist",
            volume=700,
            spread=0.3,
            resource_count=60,
            payers=(Payer("01A2B3-C4D5E6-F7A8B9", c.GOOGLE, "USD", 1, 0.04, 0.0, True),),
        ),
        "parquet",
        (
            ("retail-search", "retail-search", 0.30, 0.90),
            ("data-prod-4711", "data-prod", 0.35, 0.85),
            ("ml-lab-0815", "ml-lab", 0.15, 0.60),
            ("k8s-shared-0042", "k8s-shared", 0.20, 0.80),
        ),
    ),
    "oracle": Bill(
        Spec(
            120,
            14,
            "1.0",
            volume=300,
            spread=0.3,
            resource_count=15,
            payers=(Payer("20209880", c.ORACLE, "USD", 1, 0.0, 0.0, True),),
        ),
        "csv",
        (("ocid1.compartment.oc1..erp", "erp", 0.7, 0.5), ("ocid1.compartment.oc1..hr", "hr", 0.3, 0.3)),
    ),
    "snowpeak": Bill(
        Spec(
            60,
            15,
            "1.4",
            volume=700,
            spread=0.3,
            resource_count=4,
            payers=(Payer("SPD-4471", c.SNOWPEAK, "USD", 1, 0.08, 0.0825, True),),
        ),
        "csv",
        (("SPA00001", "warehouse", 1.0, 0.9),),
    ),
}


def make_own(bills: Path) -> None:
    """Write Acme's own bills and the truth about them."""
    with (HERE / "registers/accounts.csv").open(encoding="utf-8", newline="") as stream:
        centers = {row["account_id"]: row["cost_center"] for row in reversed(list(csv.DictReader(stream)))}
    with (HERE / "registers/apps.csv").open(encoding="utf-8", newline="") as stream:
        apps = tuple(App(row["app"], row["cost_center"]) for row in csv.DictReader(stream))
    known = tuple(sorted({app.cost_center for app in apps}))
    truth = {}
    for source, bill in sorted(BILLS.items()):
        shutil.rmtree(bills / source, ignore_errors=True)
        accounts = tuple(Account(i, name, 0, centers.get(i, ""), w, q) for i, name, w, q in bill.accounts)
        for number, month in enumerate(MONTHS):
            # One seed for the world and one for its days: the same resources are billed in both months.
            spec = replace(bill.spec, month=month, accounts=accounts, apps=apps, cost_centers=known, days_seed=number)
            truth[f"{source} {month}"] = _make_month(spec, bill, bills / source, month)
        if source in INVOICED:
            write_invoices(
                bill, [truth[f"{source} {month}"] for month in MONTHS], bills.parent / f"invoices/{source}.csv"
            )
    (bills / "truth.json").write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_invoices(bill: Bill, months: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write what a provider asks for, as finance keeps it: a row for each invoice, issued on the third."""
    [payer] = bill.spec.payers
    issuer = c.PROVIDERS[payer.provider].publisher
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["invoice_id", "issuer", "billing_account_id", "billing_period", "currency", "amount", "issue_date"]
        )
        for month, made in zip(MONTHS, months, strict=True):
            year, number = map(int, month.split("-"))
            for one in made["invoices"]:
                amount = [one["billing_account_id"], month, one["currency"], one["amount"]]
                writer.writerow([one["invoice_id"], issuer, *amount, f"{year}-{number + 1:02d}-03"])


def _make_month(spec: Spec, bill: Bill, folder: Path, month: str) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        printed = generate(spec, Path(scratch), bill.file_format)
        for file in sorted(Path(scratch, "data").rglob("part-*")):
            target = folder / f"BILLING_PERIOD={month}" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return {key: printed[key] for key in ("rows", "by_currency", "by_cost_center_tag", "by_tag_status", "invoices")}


def make_toolkit(folder: Path) -> None:
    """Write ExampleCorp's bills by focus-data-toolkit: install it beside what runs this, it is a development need."""
    folder.mkdir(parents=True, exist_ok=True)
    for provider in ("aws", "azure", "gcp"):
        with tempfile.TemporaryDirectory() as scratch:
            size = ["--rows", str(TOOLKIT_ROWS), "--seed", str(TOOLKIT_SEED)]
            what = ["--provider", provider, "--focus-version", "1.2", *size, "--out", scratch]
            subprocess.run([sys.executable, "-m", "focus_data_toolkit", "generate", *what], check=True)
            [written] = Path(scratch).glob("*.csv")
            with (folder / f"{provider}.csv.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
                packed.write(written.read_bytes())


if __name__ == "__main__":
    make_own(HERE / "bills")
    if "--toolkit" in sys.argv:
        make_toolkit(HERE / "bills/examplecorp")
