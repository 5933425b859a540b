"""Committed runs whose cost centers a test chooses, and hledger to judge what is made of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from governor import money
from governor.config import JournalSettings
from governor.journals.entries import COMPONENTS
from governor.ledger.read import Run
from tests.run_builder import build_run

SETTINGS = JournalSettings("2190", "6999", "CC-0001")
MakeRun = Callable[..., Run]
Hledger = Callable[..., subprocess.CompletedProcess[str]]


def statement(
    cost_center: str, *amounts: str, currency: str = "USD", period: str = "2026-05", **more: Any
) -> dict[str, Any]:
    """A cost center's line: direct, shared, commitment and central cost, then suspense."""
    values = [Decimal(a) for a in amounts] + [Decimal(0)] * (5 - len(amounts))
    row = dict(zip((*COMPONENTS, "suspense"), values, strict=True))
    total = money.total(values[:4])
    return {"cost_center": cost_center, "billing_period": period, "currency": currency, "total": total, **row, **more}


def center(id_: str, **more: Any) -> dict[str, Any]:
    """A row of the register of cost centers."""
    return {"id": id_, "name": id_, "gl_account": "6100", "entity": "Acme Ltd", "mode": "chargeback", **more}


def totals(statements: Iterable[Mapping[str, Any]], unallocated: str) -> list[dict[str, Any]]:
    """The totals that such statements come from, with as much unallocated cost in each currency and period."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in statements:
        groups.setdefault((row["billing_period"], row["currency"]), []).append(row)
    found = []
    for (period, currency), rows in groups.items():
        allocated = money.total(row["total"] for row in rows)
        left = money.total([*(row["suspense"] for row in rows), Decimal(unallocated)])
        cost = dict.fromkeys(("billed_cost", "effective_cost"), money.total([allocated, left]))
        counts = {"rows": len(rows), "rejected": 0}
        key = {"source": "aws", "billing_period": period, "currency": currency}
        found.append({**key, **cost, **counts, "allocated": allocated, "unallocated": left})
    return found


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Commit a run with these statements; its content digest is fixed, so that files made of it can be compared."""

    def make(
        statements: Sequence[Mapping[str, Any]],
        register: Sequence[Mapping[str, Any]] = (),
        *,
        unallocated: str = "0",
        gaps: Sequence[Mapping[str, Any]] = (),
        **tables: Any,
    ) -> Run:
        rows = {
            "cost_centers": list(statements),
            "register_cost_centers": list(register),
            "totals": totals(statements, unallocated),
            "gaps": list(gaps),
            **tables,
        }
        run = build_run(tmp_path / "ledger", rows, parameters={"gap_tolerance": 2})
        return replace(run, manifest={**run.manifest, "content": "0123456789abcdef" * 4})

    return make


@pytest.fixture
def hledger() -> Hledger:
    """Start hledger with arguments. It is a system program that the tests need: without it they fail, not skip."""
    program = shutil.which("hledger")
    assert program, "hledger is not installed; on Debian: apt-get install hledger"

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [program, *arguments], check=False, capture_output=True, text=True, encoding="utf-8", env=environment
        )

    return start
