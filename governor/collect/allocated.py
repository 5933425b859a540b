"""A committed run as FOCUS 1.4: every charge with who pays for it, and charges of pools split among those who do.

Rows come from the ledger, never from a source. What went into a pool is grouped (GRAIN), and each group is divided
among the pool's targets; these rows replace the group's charges, as FOCUS wants it of a split cost allocation.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor import __version__
from governor.allocate import NotConserved
from governor.collect import SCHEMA, Collected, summary
from governor.collect.folder import MARKER, replacing
from governor.collect.shape import FILLED, TAGS, UNREAD, Notice, Shape, shape
from governor.collect.shares import write_parts
from governor.collect.write import (
    COSTS,
    Scope,
    Sums,
    assert_conserved,
    delivered_sums,
    described,
    to_csv,
    write_file,
    write_metadata,
)
from governor.engine.cells import parquet
from governor.engine.duckdb import MEMORY_MB, Engine, identifier, literal, open_engine
from governor.engine.placed import placed
from governor.evidence import canonical
from governor.ledger.read import Run
from governor.model import Position, Problem, Progress, Refused
from governor.tables import MONEY, TEXT, TIME

# What charges of a pool must have in common to be split as one; and the day on which they begin. Of the other columns a
# group says what all its charges say, and nothing where they differ.
GRAIN = (
    *("BillingPeriodStart", "BillingPeriodEnd", "BillingCurrency", "BillingAccountId", "BillingAccountType"),
    *("SubAccountId", "InvoiceIssuerName", "InvoiceId", "ServiceProviderName", "ServiceCategory", "ServiceSubcategory"),
    *("ServiceName", "ChargeCategory", "ChargeClass", "ChargeFrequency", "PricingCurrency", "CommitmentDiscountId"),
    *("CommitmentDiscountStatus", TAGS, UNREAD, FILLED),
)
DECIDED = ("status", "cost_center", "rule", "pool", "policy", "reason")
_CARRIED = ("billing_period", "file", '"row"', *DECIDED)
_POOL = ("billing_period", "policy", "pool", "status")

# Our columns: who pays, by which rule, why nobody does, and where the charge stands in the bill (`governor explain`).
OURS = {
    "x_CostCenter": "cost_center",
    "x_AllocationStatus": "status",
    "x_AllocationRule": "rule",
    "x_AllocationPolicy": "policy",
    "x_AllocationReason": "reason",
    "x_Charge": "charge",
}
# Columns of the rows that a pool was split into, over the groups g and the parts p.
SPLIT = {
    "AllocatedMethodId": "g.policy || '/' || g.pool",
    "AllocatedMethodDetails": "p.details",
    "AllocatedResourceId": "p.cost_center",
    "AllocatedResourceName": "p.name",
    "AllocatedTags": "p.tags",
    "x_SplitOriginId": "g.pool || '/' || g.id",
    "x_SplitOriginCost": 'g."BilledCost"',
}
_SPLIT_OURS = {
    "x_CostCenter": "p.cost_center",
    "x_AllocationStatus": "g.status",
    "x_AllocationRule": "g.pool",
    "x_AllocationPolicy": "g.policy",
}


def collect_allocated(
    run: Run, folder: Path, *, csv: bool = False, memory_mb: int = MEMORY_MB, progress: Progress | None = None
) -> Collected:
    """Write each source of a committed run into `folder`, which is replaced whole.

    Raises Refused where not one source can be written, NotConserved for a defect of ours: then nothing is written.
    """
    told = progress or (lambda _what, _done, _total: None)
    problems: list[Problem] = []
    sources: list[dict[str, Any]] = []
    notices: list[tuple[str, Notice]] = []
    names = sorted(run.manifest["snapshots"])
    with replacing(folder) as new:
        for at, source in enumerate(names):
            told(f"{source}: write FOCUS", at, len(names))
            place = new / source
            place.mkdir()
            try:
                written, noticed = _write(run, source, place, csv=csv, memory_mb=memory_mb)
            except Refused as refused:
                problems.extend(refused.problems)
                shutil.rmtree(place)
                continue
            sources.append(written)
            notices += [(source, notice) for notice in noticed]
        if not sources:
            raise Refused(*problems)
        incomplete = bool(problems) or run.incomplete
        content = {
            "schema": SCHEMA,
            "governor": __version__,
            "organization": run.manifest["parameters"]["organization"],
            "form": "focus-allocated",
            "run": {"number": run.number, "content": run.content},
            "complete": not incomplete,
            "sources": sources,
            "refused": [summary.problem(problem) for problem in problems],
        }
        (new / MARKER).write_bytes(canonical(content))
    return Collected(folder, content, tuple(notices), (), tuple(problems), incomplete)


def _write(run: Run, source: str, place: Path, *, csv: bool, memory_mb: int) -> tuple[dict[str, Any], Sequence[Notice]]:
    """Write one source's file and metadata, and say what was written."""
    snapshot = run.snapshot_paths(source)
    read = [snapshot.charges.parent, run.folder]
    with open_engine(work=place, read=read, memory_mb=memory_mb, ordered=True) as engine:
        rows = engine.scratch / "placed.parquet"
        parameters = run.manifest["parameters"]
        keys, flags = parameters["keys"], parameters.get("flags", {})
        tables = (snapshot.charges, snapshot.tag_sets, run.path("cells"))
        engine.export(placed(*tables, source, keys=keys, flags=flags, decided=DECIDED), rows)
        totals = _totals(run, source)
        _assert_placed(engine, source, rows, totals)
        shaped = shape(engine, parquet(rows), Position(str(run.folder)))
        pooled = _group(engine, shaped)
        if pooled:
            write_parts(engine, run, source, engine.scratch / "parts.parquet")
        types = _types(shaped, pooled)
        path = write_file(engine, _rows(engine, run, source, shaped, types), types, place)
        found = delivered_sums(engine, path, types)
        assert_conserved(source, _costs_only(totals), _costs_only(found))
        count = sum(sums.rows for sums in found.values())
        committed_at = str(run.receipt["committed_at"]).replace("+00:00", "Z")
        write_metadata(engine, path, source, types, committed_at)
        if csv:
            path = to_csv(engine, path, types)
    file = described(path, place.parent, count)
    return {"source": source} | summary.written(totals, [file], shaped.notices), shaped.notices


def _totals(run: Run, source: str) -> dict[Scope, Sums]:
    """Read what the run says that the source's charges add up to."""
    return {
        (row["billing_period"], row["currency"]): Sums(
            row["rows"],
            row["billed_cost"],
            row["effective_cost"],
            row["list_cost"] or Decimal(0),
            row["contracted_cost"] or Decimal(0),
        )
        for row in run.rows("totals")
        if row["source"] == source and row["rows"]
    }


def _costs_only(sums: Mapping[Scope, Sums]) -> dict[Scope, Sums]:
    return {scope: found._replace(rows=0) for scope, found in sums.items()}


def _assert_placed(engine: Engine, source: str, rows: Path, totals: Mapping[Scope, Sums]) -> None:
    """Check that each charge has found its one cell."""
    [(count,)] = engine.rows(f"SELECT count(*) FROM {parquet(rows)}")
    due = sum(total.rows for total in totals.values())
    if count != due:
        raise NotConserved(f"{source}: {due:,} charges were allocated, {count:,} were found in cells")


def _group(engine: Engine, shaped: Shape) -> bool:
    """Fill the table `groups` with the charges of pools, grouped, with their four costs; say whether there are any."""
    keys = [identifier(name) for name in shaped.columns if name in GRAIN]
    keys += [*_POOL, "date_trunc('day', \"ChargePeriodStart\")"]
    agreed = []
    for name, kind in shaped.types.items():
        column = identifier(name)
        if name in COSTS:
            agreed.append(f"sum({column})::{MONEY} AS {column}")
        elif name in {"ChargePeriodStart", "ChargePeriodEnd"}:
            agreed.append(f"{'min' if name.endswith('Start') else 'max'}({column}) AS {column}")
        elif kind in (MONEY, TIME) and name not in GRAIN:
            agreed.append(f"CAST(NULL AS {kind}) AS {column}")  # quantities and prices are those of single charges
        elif name not in GRAIN:
            same = f"count(*) = count({column}) AND min({column}) = max({column})"
            agreed.append(f"CASE WHEN {same} THEN min({column}) END AS {column}")
    listed = [*(k for k in keys if not k.startswith("date_trunc")), *agreed]
    engine.execute(
        f"CREATE TABLE groups AS WITH grouped AS (SELECT {', '.join([*listed, f'{keys[-1]} AS day'])} "
        f"FROM ({shaped.select(_CARRIED)}) WHERE pool IS NOT NULL GROUP BY {', '.join(keys)}) "
        f"SELECT row_number() OVER (ORDER BY {', '.join([*keys[:-1], 'day'])}) AS id, * EXCLUDE (day) FROM grouped"
    )
    [(count,)] = engine.rows("SELECT count(*) FROM groups")
    return bool(count)


def _types(shaped: Shape, pooled: bool) -> dict[str, str]:
    """List the columns of the file with their types: FOCUS's, then ours."""
    # A pool's share has no exchange rate of its own, and FOCUS lets the column be absent, not empty.
    focus = {n: kind for n, kind in shaped.types.items() if n != "PricingCurrencyEffectiveCost"}
    ours = {name: focus.pop(name) for name in (UNREAD, FILLED) if name in focus}
    split = dict.fromkeys(SPLIT, TEXT) | {"x_SplitOriginCost": MONEY} if pooled else {}
    focus |= {name: kind for name, kind in split.items() if not name.startswith("x_")}
    return focus | ours | dict.fromkeys(OURS, TEXT) | {n: k for n, k in split.items() if n.startswith("x_")}


def _rows(engine: Engine, run: Run, source: str, shaped: Shape, types: Mapping[str, str]) -> str:
    """Write the query of the file: charges as they are, then the parts of pools."""
    [given] = [i for i in run.manifest["inputs"] if i["kind"] == "billing" and i["source"] == source]
    paths = ", ".join(literal(file["path"]) for file in given["files"])
    charge = f"[{paths}][file + 1] || ':' || \"row\""
    direct = {name: identifier(name) for name in shaped.columns} | OURS | {"x_Charge": charge}
    listed = [f"{direct.get(n, f'CAST(NULL AS {k})')} AS {identifier(n)}" for n, k in types.items()]
    select = f"SELECT {', '.join(listed)} FROM ({shaped.select(_CARRIED)}) WHERE pool IS NULL"
    if "x_SplitOriginId" not in types:
        return select
    parts = {name: f"g.{identifier(name)}" for name in shaped.columns} | SPLIT | _SPLIT_OURS
    parts |= {name: f"p.{identifier(name)}" for name in COSTS}
    listed = [f"{parts.get(n, f'CAST(NULL AS {k})')} AS {identifier(n)}" for n, k in types.items()]
    pooled = f"{parquet(engine.scratch / 'parts.parquet')} p JOIN groups g ON g.id = p.id"
    return f"{select} UNION ALL SELECT {', '.join(listed)} FROM {pooled}"
