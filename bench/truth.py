"""What a reader of a generated bill must find: exact totals, added up as integers while the rows are made.

Nothing here is read back from a file, so a mistake in writing shows as a difference.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from bench import catalogue as c
from bench.charges import MONEY_SCALE, Rows
from bench.world import TAG_STATES, Flags, Ints, World

COSTS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
Totals = dict[tuple[str, ...], list[int]]  # key -> rows, billed, effective, listed, contracted
TABLES = {
    "by_provider": ("provider", "currency"),
    "by_billing_account": ("billing_account_id", "currency"),
    "by_category": ("category", "class", "currency"),
    "by_account": ("sub_account_id", "currency"),
    "by_tag_status": ("tag_status", "currency"),
    "by_cost_center_tag": ("state", "currency"),
    "by_commitment_status": ("commitment_discount_status", "currency"),
}


def part_totals(world: World, rows: Rows, unread: Flags) -> dict[str, Totals]:
    """Add up one part, once for every grouping."""
    payers = world.spec.payers
    state = world.resources.tag_state[np.maximum(rows.resource, 0)]
    state = np.where((rows.tagged > 0) & ~unread, state, TAG_STATES.index("missing"))
    has_tags = np.array([bool(t) for t in world.resources.tags])[np.maximum(rows.resource, 0)] & (rows.tagged > 0)
    codes: dict[str, tuple[list[tuple[str, ...]], Ints]] = {
        "by_provider": ([(c.PROVIDERS[p.provider].name,) for p in payers], rows.payer),
        "by_billing_account": ([(p.id,) for p in payers], rows.payer),
        "by_category": (
            [(category, kind) for category in c.CATEGORIES for kind in ("", "Correction")],
            rows.category * 2 + rows.correction,
        ),
        "by_account": ([*((a.id,) for a in world.accounts), ("",)], rows.account % (len(world.accounts) + 1)),
        "by_tag_status": ([("untagged",), ("tagged",), ("unreadable",)], np.where(unread, 2, has_tags)),
        "by_cost_center_tag": ([(s,) for s in TAG_STATES], state),
        "by_commitment_status": ([("",), ("Used",), ("Unused",)], rows.status + 1),
    }
    return {table: _group(world, rows, labels, code) for table, (labels, code) in codes.items()}


def merge(into: dict[str, Totals], more: dict[str, Totals]) -> None:
    """Add one part's totals to those so far, as Python integers, which have no limit."""
    for table, totals in more.items():
        for key, values in totals.items():
            _add(into.setdefault(table, {}), key, values)


def print_truth(totals: dict[str, Totals], month: str) -> dict[str, object]:
    """Print every table as a sorted list of records, money as exact decimal text."""
    printed: dict[str, object] = {"billing_period": month}
    printed["rows"] = sum(values[0] for values in totals["by_provider"].values())
    by_currency: Totals = {}
    for (_, currency), values in totals["by_provider"].items():
        _add(by_currency, (currency,), values)
    for table, names in {"by_currency": ("currency",), **TABLES}.items():
        found = by_currency if table == "by_currency" else totals[table]
        printed[table] = [
            dict(zip(names, key, strict=True)) | {"rows": v[0]} | dict(zip(COSTS, map(exact, v[1:]), strict=True))
            for key, v in sorted(found.items())
        ]
    return printed


def exact(units: int) -> str:
    """Print integer units of 1e-10 as a decimal.

    >>> exact(-15_000_000_000)
    '-1.5000000000'
    """
    return format(Decimal(units).scaleb(1 - len(str(MONEY_SCALE))), "f")


def _group(world: World, rows: Rows, labels: list[tuple[str, ...]], code: Ints) -> Totals:
    """Sum the costs by code and currency, in int64: a part's total stays far below its limit, which is asserted."""
    currencies = sorted({p.currency for p in world.spec.payers})
    currency = np.array([currencies.index(p.currency) for p in world.spec.payers])[rows.payer]
    cell = code * len(currencies) + currency
    size = len(labels) * len(currencies)
    counts = np.bincount(cell, minlength=size)
    sums = []
    for amounts in (rows.billed, rows.effective, rows.listed, rows.contracted):
        if float(np.abs(amounts).astype(float).sum()) >= 2**62:
            raise OverflowError("one part holds more money than int64 can add up; generate smaller parts")
        total = np.zeros(size, np.int64)
        np.add.at(total, cell, amounts)
        sums.append(total)
    totals: Totals = {}
    for i in np.nonzero(counts)[0]:
        key = (*labels[i // len(currencies)], currencies[i % len(currencies)])
        _add(totals, key, [int(counts[i]), *(int(s[i]) for s in sums)])
    return totals


def _add(totals: Totals, key: tuple[str, ...], values: list[int]) -> None:
    old = totals.get(key, [0] * len(values))
    totals[key] = [a + b for a, b in zip(old, values, strict=True)]
