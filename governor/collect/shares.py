"""Divide the groups of every pool among its targets: all four costs, exactly, in the shares that the run committed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from governor.allocate import NotConserved
from governor.collect.grid import split_grid
from governor.collect.write import COSTS
from governor.engine.duckdb import Engine
from governor.ledger.read import Run
from governor.money import decimals, split, text, total
from governor.tables import snake

TAG = "governor:cost_center"  # a tag scheme of our own, as FOCUS asks for: it names who pays
BATCH_ROWS = 20_000
RATIO_DIGITS = 12
DIGITS_MIN = 10  # of a part: a bill of whole cents would else give each small group to few of its targets
_AMOUNT = pa.decimal128(38, 24)
_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        *((name, pa.string()) for name in ("cost_center", "name", "tags", "details")),
        *((name, _AMOUNT) for name in COSTS),
    ]
)
_SCOPE = ("billing_period", "currency", "policy", "pool", "status")


def write_parts(engine: Engine, run: Run, source: str, to: Path) -> None:
    """Divide the table `groups` and write one row a group and target. Raises NotConserved for a defect of ours.

    Of the cost that policies allocate each target gets what the run gave it, to the last digit; of the other costs its
    ratio of the pool's sum.
    """
    basis = COSTS[[snake(name) for name in COSTS].index(run.manifest["parameters"]["cost_basis"])]
    shares: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in run.rows("allocations"):
        if row["source"] == source and row["pool"]:
            shares.setdefault(tuple(row[name] for name in _SCOPE), []).append(row)
    names = _names(run)
    listed = ", ".join(f'"{name}"' for name in COSTS)
    groups = engine.rows(
        f'SELECT billing_period, "BillingCurrency", policy, pool, status, id, {listed} FROM groups ORDER BY ALL'
    )
    with pq.ParquetWriter(to, _SCHEMA) as writer:
        for scope, rows in groupby(groups, key=lambda row: row[: len(_SCOPE)]):
            amounts = {row[len(_SCOPE)]: dict(zip(COSTS, row[len(_SCOPE) + 1 :], strict=True)) for row in rows}
            targets = shares.pop(scope, [])
            parts = _divide(" ".join((source, *scope)), amounts, targets, basis)
            for table in _as_arrow(parts, targets, names):
                writer.write_table(table)
    if shares:
        raise NotConserved(f"{source}: no charge was found for the shares of {min(shares)}")


def _divide(
    scope: str, amounts: Mapping[int, Mapping[str, Decimal]], targets: Sequence[Mapping[str, Any]], basis: str
) -> dict[str, dict[int, dict[str, Decimal]]]:
    """Divide each cost of each group: cost -> group -> target -> amount.

    Where a group's cost is its basis, so are the parts: a tax that was billed as it is effective stays so.
    """
    weights = {row["cost_center"]: row["weight"] for row in targets}
    due = {row["cost_center"]: row["amount"] for row in targets}
    scale = max([DIGITS_MIN, *(decimals(amount) for costs in amounts.values() for amount in costs.values())])
    whole, given = total(costs[basis] for costs in amounts.values()), total(due.values())
    if whole != given:
        raise NotConserved(f"{scope}: charges of {text(whole)} went in, {text(given)} was shared")
    allocated = split_grid({group: costs[basis] for group, costs in amounts.items()}, due, weights, scale)
    parts = {}
    for cost in COSTS:
        rows = {group: costs[cost] for group, costs in amounts.items() if costs[cost] != costs[basis]}
        columns = split(total(rows.values()), weights, scale)
        parts[cost] = allocated | split_grid(rows, columns, weights, scale)
    return parts


def _as_arrow(
    parts: Mapping[str, Mapping[int, Mapping[str, Decimal]]],
    targets: Sequence[Mapping[str, Any]],
    names: Mapping[tuple[str, str], str],
) -> Iterator[pa.Table]:
    """Lay the parts out, group after group and target after target."""
    ratios = split(Decimal(1), {row["cost_center"]: row["weight"] for row in targets}, RATIO_DIGITS)
    ordered = sorted(targets, key=lambda row: str(row["cost_center"]))
    told = [
        {
            "cost_center": row["cost_center"],
            "name": names.get((row["cost_center"], row["billing_period"])),
            "tags": json.dumps({TAG: row["cost_center"]}, ensure_ascii=False, separators=(",", ":")),
            "details": _details(row, ratios[row["cost_center"]]),
        }
        for row in ordered
    ]
    rows = (
        {"id": group, **target, **{cost: parts[cost][group][target["cost_center"]] for cost in COSTS}}
        for group in parts[COSTS[0]]
        for target in told
    )
    while batch := list(islice(rows, BATCH_ROWS)):
        yield pa.Table.from_pylist(batch, _SCHEMA)


def _details(share: Mapping[str, Any], ratio: Decimal) -> str:
    """Write FOCUS's AllocatedMethodDetails: the ratio as a JSON number that is exact, and what it was made of."""
    ours = {
        "x_Method": share["method"],
        "x_Weight": text(share["weight"]),
        "x_WeightTotal": text(share["weight_total"]),
    }
    rest = json.dumps(ours, separators=(",", ":"))[1:]
    return f'{{"Elements":[{{"AllocatedRatio":{text(ratio)}}}],{rest}'


def _names(run: Run) -> dict[tuple[str, str], str]:
    """Name each cost center as the run's statement of a billing period does."""
    rows = run.rows("cost_centers", ["cost_center", "billing_period", "name"])
    return {(row["cost_center"], row["billing_period"]): row["name"] for row in rows}
