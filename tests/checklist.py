"""What every item of the bad-input checklist asserts beside its own: whatever came in, the totals tie."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from governor.ledger.read import Run
from tests.project import BY_TAG, TAGS, run_project, write_project

PACK = 'policies: [policies, "pack:focus-quality"]'
_FOCUS = {"effective_cost": "EffectiveCost", "billed_cost": "BilledCost"}
ACCOUNTS = ("acct-1,Cloud,One,A,one@acme.example,prod,,",)


def tied(
    folder: Path,
    bill: list[dict[str, str]] | Path,
    *,
    effective: str | None = None,
    rows: int | None = None,
    pack: bool = False,
    basis: str = "effective_cost",
    **parts: Any,
) -> Run:
    """Run a bill for real, and check that nothing of it was lost: rows = charges + rejects, and each cent is placed.

    `effective` is what the bill's effective cost adds up to over all currencies; left out, it is added up here from the
    rows, as plain decimals. `rows` is how many there are, where `bill` is a file. `basis` is the cost that is allocated.
    """
    parts.setdefault("policies", (TAGS, BY_TAG))
    parts.setdefault("accounts", ACCOUNTS)
    config = write_project(folder, bill, **parts)
    if pack:
        config.write_text(config.read_text(encoding="utf-8").replace("policies: [policies]", PACK), encoding="utf-8")
    run = run_project(config).run
    totals = run.rows("totals")
    assert sum(t["rows"] + t["rejected"] for t in totals) == (len(bill) if isinstance(bill, list) else rows)
    assert all(t["allocated"] + t["unallocated"] == t[basis] for t in totals)
    placed = sum((a["amount"] for a in run.rows("allocations")), Decimal(0))
    lost = sum((r["cost"] or Decimal(0) for r in run.rows("rejects")), Decimal(0))
    expected = (
        sum((Decimal(row[_FOCUS[basis]]) for row in bill), Decimal(0)) if effective is None else Decimal(effective)
    )
    assert placed + lost == expected
    return run


def rejects(run: Run) -> list[tuple[int, str, str]]:
    """The rejected rows: row, column, code."""
    return [(r["row"], r["column"], r["code"]) for r in run.rows("rejects")]


def gaps(run: Run) -> dict[str, tuple[int, Decimal | None]]:
    """The gaps by reason: rows and cost."""
    return {g["reason"]: (g["rows"], g["cost"]) for g in run.rows("gaps")}


def fired(run: Run) -> dict[str, tuple[int, Decimal]]:
    """The failed requirements of the pack: rows and cost at stake."""
    found: dict[str, tuple[int, Decimal]] = {}
    for f in run.rows("findings"):
        if f["verdict"] == "fail" and f["requirement"].startswith("focus-"):
            rows, cost = found.get(f["requirement"], (0, Decimal(0)))
            found[f["requirement"]] = (rows + f["rows"], cost + f["cost"])
    return found
