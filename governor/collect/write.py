"""Write a FOCUS file and the metadata beside it, and say what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from governor import __version__
from governor.allocate import NotConserved
from governor.collect.focus import VERSION
from governor.collect.shape import FILLED, TAGS, as_text
from governor.engine.duckdb import Engine, identifier, literal
from governor.evidence import canonical, digest_bytes, digest_file
from governor.money import DIGITS, SCALE
from governor.tables import COUNT, MONEY, TIME

PARQUET, CSV = "cost_and_usage.parquet", "cost_and_usage.csv.gz"
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
Scope = tuple[str, str]  # billing period (YYYY-MM) and currency


class Sums(NamedTuple):
    """What stands in a file for one billing period and currency."""

    rows: int
    billed: Decimal
    effective: Decimal
    listed: Decimal
    contracted: Decimal


_TYPES = {MONEY: "DECIMAL", TIME: "DATETIME", COUNT: "INTEGER", "BOOLEAN": "BOOLEAN"}
_JSON = (
    TAGS,
    "AllocatedTags",
    "AllocatedMethodDetails",
    "SkuPriceDetails",
    "ContractApplied",
    "CommitmentProgramEligibilityDetails",
)


def write_file(engine: Engine, select: str, types: Mapping[str, str], folder: Path) -> Path:
    """Write the rows of a query whose columns have these names and types, in its order, as Parquet."""
    path = folder / PARQUET
    moments = [f"CAST({identifier(n)} AS TIMESTAMPTZ) AS {identifier(n)}" for n, kind in types.items() if kind == TIME]
    engine.export(f"SELECT * REPLACE ({', '.join(moments)}) FROM ({select})", path)
    return path


def to_csv(engine: Engine, path: Path, types: Mapping[str, str]) -> Path:
    """Turn the written Parquet file into gzipped CSV."""
    listed = ", ".join(f"{as_text(name, kind)} AS {identifier(name)}" for name, kind in types.items())
    csv = path.with_name(CSV)
    engine.export_csv(f"SELECT {listed} FROM read_parquet({literal(str(path))})", csv)
    path.unlink()
    return csv


def delivered_sums(engine: Engine, path: Path, types: Mapping[str, str]) -> dict[Scope, Sums]:
    """Count the rows of a written file and add up its costs, but for those that something else stands in for."""
    filled = f"coalesce(list_contains(string_split({FILLED}, ','), '{{}}'), FALSE)" if FILLED in types else "FALSE"
    return sums(engine, f"read_parquet({literal(str(path))})", {name: filled.format(name) for name in COSTS})


def sums(engine: Engine, rows: str, without: Mapping[str, str]) -> dict[Scope, Sums]:
    """Count rows and add up their costs, exactly; `without` says by cost which rows are left out of its sum."""
    costs = ", ".join(f"coalesce(sum({name}) FILTER (NOT {without.get(name, 'FALSE')}), 0)" for name in COSTS)
    found = engine.rows(
        "SELECT strftime(CAST(BillingPeriodStart AS TIMESTAMP), '%Y-%m'), BillingCurrency, count(*), "
        f"{costs} FROM {rows} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return {(period, currency): Sums(count, *amounts) for period, currency, count, *amounts in found}


def assert_conserved(source: str, due: Mapping[Scope, Sums], found: Mapping[Scope, Sums]) -> None:
    """Compare the sums that were due with those of a file, to the last digit. Raises NotConserved."""
    for scope in sorted({*due, *found}):
        one, other = due.get(scope), found.get(scope)
        if one != other:
            raise NotConserved(f"{source} {' '.join(scope)}: {one} was to be written, but {other} was")


def write_metadata(engine: Engine, path: Path, name: str, types: Mapping[str, str], written_at: str) -> None:
    """Write beside a file the metadata that FOCUS asks for: its instance, its schema, how recent it is."""
    periods = engine.rows(
        "SELECT DISTINCT strftime(CAST(BillingPeriodStart AS TIMESTAMP), '%Y-%m-%dT%H:%M:%SZ'), "
        "strftime(CAST(BillingPeriodEnd AS TIMESTAMP), '%Y-%m-%dT%H:%M:%SZ') "
        f"FROM read_parquet({literal(str(path))}) ORDER BY 1, 2"
    )
    definitions = [_definition(column, kind) for column, kind in types.items()]
    instance = digest_bytes(canonical({"name": name}))[:32]
    described = {
        "DataGenerator": "governor",
        "DatasetInstance": [
            {"DatasetInstanceId": instance, "DatasetInstanceName": name, "FocusDatasetId": "CostAndUsage"}
        ],
        "Recency": [
            {
                "DatasetInstanceId": instance,
                "DatasetInstanceLastUpdated": written_at,
                "TimeSectors": [
                    {
                        "TimeSectorStart": start,
                        "TimeSectorEnd": end,
                        "TimeSectorLastUpdated": written_at,
                        "TimeSectorComplete": False,  # nobody but the provider knows that no more will come
                    }
                    for start, end in periods
                ],
            }
        ],
        "Schema": [
            {
                "SchemaId": digest_bytes(canonical(definitions))[:32],
                "DatasetInstanceId": instance,
                "FocusVersion": VERSION,
                "DataGeneratorVersion": __version__,
                "CreationDate": written_at,
                "ColumnDefinition": definitions,
            }
        ],
    }
    path.with_name("metadata.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _definition(column: str, kind: str) -> dict[str, Any]:
    if column in _JSON:
        return {"ColumnName": column, "DataType": "JSON"}
    numeric = {"NumericPrecision": DIGITS, "NumberScale": SCALE} if kind == MONEY else {}
    text = {"StringEncoding": "UTF-8"} if kind not in _TYPES else {}
    return {"ColumnName": column, "DataType": _TYPES.get(kind, "STRING"), **numeric, **text}


def described(path: Path, root: Path, rows: int) -> dict[str, Any]:
    """Say what a written file is: its path below the folder, bytes, digest and rows."""
    size = path.stat().st_size
    return {"path": path.relative_to(root).as_posix(), "bytes": size, "sha256": digest_file(path), "rows": rows}
