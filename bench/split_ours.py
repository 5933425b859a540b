"""The split by governor: exact decimals, from normalised tables on disk to the table of allocations.

    python -m bench.split_ours N FOLDER

Prints JSON: CPU seconds to ingest the bill, to allocate it (tables read from disk included), peak memory, and what each
service pays.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench.focus_table import decimals
from bench.split_case import MONTH, UNITS, charges, cpu_seconds, keys, peak_mb
from governor.allocate import allocate
from governor.config import load
from governor.engine.cells import build_cells, build_facts, load_charges, load_registers, stretches
from governor.run import Options, ingest_all, prepare, scratch_engine


def measure(folder: Path) -> dict[str, Any]:
    """Ingest and allocate, timed apart."""
    options = Options(date(2026, 8, 1))
    prepared = prepare(load(folder / "governor.yaml"))
    (folder / "tables").mkdir()
    start = cpu_seconds()
    deliveries, _ = ingest_all(prepared, folder / "tables", options)
    ingested = cpu_seconds()
    with scratch_engine(folder, deliveries, options) as engine:
        load_charges(engine, deliveries, prepared.plan.columns, prepared.plan.basis)
        days = stretches(engine, [a.policy.effective_from for a in prepared.plan.allocation])
        build_cells(engine, prepared.plan, days, options.as_of)
        load_registers(engine, prepared.registers.tables, days)
        build_facts(engine, prepared.plan.tags, frozenset())
        allocate(engine, prepared.plan, days=days, missing={}, keys=prepared.keys, in_force=None)
        done = cpu_seconds()
        paid = engine.rows("SELECT cost_center, sum(amount) FROM allocations GROUP BY 1 ORDER BY 1")
    final = {service: str(amount) for service, amount in paid}
    return {"ingest": ingested - start, "allocate": done - ingested, "peak_mb": peak_mb(), "paid": final}


def write_project(n: int, folder: Path) -> None:
    """Write the charges as a FOCUS bill, and the keys as pools with fixed shares."""
    folder.mkdir(parents=True)
    _write_bill(n, folder / "bill.parquet")
    pools = [
        {
            "id": shared,
            "where": f"tag.service = '{shared}'",
            "split": {"method": "fixed", "shares": {service: part / (UNITS / 100) for service, part in parts.items()}},
        }
        for shared, parts in keys().items()
    ]
    tests = [
        {"tags": {"service": "a"}, "expect": "pass"},
        {"tags": {}, "expect": "fail"},
        {"tags": None, "expect": "unknown"},
    ]
    content: dict[str, dict[str, Any]] = {
        "governor.yaml": {
            "version": 1,
            "organization": "Split",
            "reporting_currency": "USD",
            "billing": [{"name": "bill", "format": "focus", "path": "bill.parquet"}],
            "policies": ["split.yaml", "tags.yaml"],
        },
        "split.yaml": {
            "kind": "AllocationPolicy",
            "id": "split",
            "effective_from": "2026-01-01",
            "assign": [{"id": "by-tag", "to": "tag.service"}],
            "pools": pools,
        },
        "tags.yaml": {
            "kind": "TagPolicy",
            "id": "tags",
            "title": "Every charge names its service",
            "tags": {"service": {"keys": ["service"]}},
            "tests": tests,
        },
    }
    for name, values in content.items():
        (folder / name).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def _write_bill(n: int, path: Path) -> None:
    services, environments, cents = zip(*charges(n), strict=True)
    amount = decimals(np.array(cents, np.int64), 2)
    same = {
        "BillingAccountId": "1",
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{MONTH}-01T00:00:00Z",
        "BillingPeriodEnd": "2026-08-01T00:00:00Z",
        "ChargePeriodStart": f"{MONTH}-01T00:00:00Z",
        "ChargePeriodEnd": f"{MONTH}-02T00:00:00Z",
        "ChargeCategory": "Usage",
        "ServiceName": "Service",
    }
    columns = {name: pa.array([value] * n).dictionary_encode() for name, value in same.items()}
    columns |= dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), amount)
    tags = [json.dumps({"service": s, "environment": e}) for s, e in zip(services, environments, strict=True)]
    pq.write_table(pa.table(columns | {"Tags": pa.array(tags)}), path)


if __name__ == "__main__":
    write_project(int(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps(measure(Path(sys.argv[2]))))
