"""Small projects for tests: a bill of a few rows, policies as text, registers as rows; run as a user runs them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor.config import load
from governor.ledger.read import Run
from governor.run import Options, Outcome, run

AS_OF = date(2026, 11, 15)
MONTH = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-05T00:00:00Z",
    "ChargePeriodEnd": "2026-10-06T00:00:00Z",
}
CENTERS = "id,name,parent,owner_email,gl_account,entity,mode,valid_from,valid_to"
ACCOUNTS = "account_id,provider,name,cost_center,owner_email,environment,valid_from,valid_to"

BY_TAG = """
kind: AllocationPolicy
id: who-pays
title: By tag
effective_from: 2020-01-01
assign:
  - {id: by-tag, to: tag.cost_center}
  - {id: by-account, to: account.cost_center}
"""
TAGS = """
kind: TagPolicy
id: core
title: Every billable charge names who pays
severity: high
applies_to: {tables: [charges], where: billable}
tags:
  cost_center: {keys: [cost-center, CostCenter], normalize: [trim, upper], in_register: cost_centers}
remedy: tag it
tests:
  - {tags: {cost-center: A}, expect: pass}
  - {tags: {}, expect: fail}
  - {tags: null, expect: unknown}
"""


def charge(cost: str | Decimal, **columns: str) -> dict[str, str]:
    """Make a charge of the FOCUS columns that tests need; keywords override any of them."""
    row = {
        "BilledCost": str(cost),
        "EffectiveCost": str(cost),
        "ListCost": str(cost),
        "ContractedCost": str(cost),
        "BillingAccountId": "payer",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": "hours",
        "ChargeFrequency": "Usage-Based",
        "CommitmentDiscountId": "",
        "CommitmentDiscountStatus": "",
        "InvoiceIssuerName": "Cloud",
        "InvoiceId": "INV-1",
        "ProviderName": "Cloud",
        "PublisherName": "Cloud",
        "PricingCategory": "Standard",
        "ServiceCategory": "Compute",
        "ServiceName": "Compute",
        "SubAccountId": "acct-1",
        "SubAccountName": "One",
        "ResourceId": "vm-1",
        "RegionId": "eu-1",
        "Tags": "{}",
    }
    return {**row, **MONTH, **columns}


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows with the first one's columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_project(
    folder: Path,
    bill: Sequence[Mapping[str, str]] | Path,
    *,
    policies: Iterable[str] = (TAGS, BY_TAG),
    centers: Iterable[str] = ("A", "B", "C", "D"),
    accounts: Iterable[str] = (),
    extra: str = "",
    source: str = "",
    format: str = "focus",  # noqa: A002 - what governor.yaml calls it
) -> Path:
    """Write governor.yaml and what it names; returns its path. Lines of registers may be whole CSV lines."""
    folder.mkdir(parents=True, exist_ok=True)
    path = bill if isinstance(bill, Path) else write_csv(folder / "bills" / "bill.csv", bill)
    (folder / "registers").mkdir(exist_ok=True)
    lines = [
        c if "," in c else f"{c},Center {c},,owner@{c.lower()}.example,61{n:02},Acme,chargeback,,"
        for n, c in enumerate(centers)
    ]
    (folder / "registers/cost_centers.csv").write_text("\n".join([CENTERS, *lines]) + "\n")
    (folder / "registers/accounts.csv").write_text("\n".join([ACCOUNTS, *accounts]) + "\n")
    (folder / "policies").mkdir(exist_ok=True)
    for number, text in enumerate(policies):
        (folder / f"policies/policy-{number}.yaml").write_text(text)
    (folder / "governor.yaml").write_text(f"""version: 1
organization: Acme
reporting_currency: USD
registers:
  cost_centers: {{file: registers/cost_centers.csv, key: id}}
  accounts: {{file: registers/accounts.csv, key: account_id}}
billing:
  - {{name: bill, format: {format}, path: "{path}"{source}}}
policies: [policies]
ledger: ledger
journal: {{clearing_account: "1990", expense_account: "6100"}}
{extra}
""")
    return folder / "governor.yaml"


def run_project(config: Path, **options: Any) -> Outcome:
    """Run a project as the command line does."""
    return run(load(config), Options(**{"as_of": AS_OF, "committed_at": "2026-11-15T00:00:00+00:00", **options}))


def judged(folder: Path, bill: Sequence[Mapping[str, str]], **parts: Any) -> Run:
    """Write a project, run it, and return the committed run."""
    return run_project(write_project(folder, bill, **parts)).run


def paid(run_: Run) -> dict[str | None, Decimal]:
    """Sum the allocations by cost center; None is unallocatable."""
    totals: dict[str | None, Decimal] = {}
    for row in run_.rows("allocations"):
        center = row["cost_center"]
        totals[center] = totals.get(center, Decimal(0)) + row["amount"]
    return {center: amount.normalize() for center, amount in totals.items()}
