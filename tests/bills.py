"""Small bills for tests: rows as FOCUS names and texts, written as CSV or Parquet, and what ingest made of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from governor.config import BillingSource
from governor.engine.ingest import ingest
from governor.model import Delivery, Position, Refused

ROW = {
    "BilledCost": "1.25",
    "EffectiveCost": "1.50",
    "ListCost": "2",
    "ContractedCost": "1.75",
    "BillingAccountId": "000000000123",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-02T10:00:00Z",
    "ChargePeriodEnd": "2026-09-02T11:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeDescription": "an hour",
    "ServiceName": "Compute",
    "SubAccountId": "007",
    "Tags": '{"owner":"a"}',
}


def rows(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """One row of ROW for each set of changes."""
    return [ROW | change for change in changes]


def to_csv(path: Path, table: list[dict[str, Any]], **form: Any) -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(table[0]), **({"lineterminator": "\n"} | form))
    writer.writeheader()
    writer.writerows(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode())
    return path


def to_parquet(path: Path, table: list[dict[str, Any]], **types: pa.DataType) -> Path:
    columns = {name: pa.array([row[name] for row in table], types.get(name, pa.string())) for name in table[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def take(
    path: Path | str,
    tmp: Path,
    *,
    format: str = "focus",  # noqa: A002 - what governor.yaml calls it
    columns: frozenset[str] = frozenset(),
    threads: int = 1,
    mapping: dict[str, str] | None = None,
    **options: Any,
) -> Delivery:
    """Ingest a path into a fresh folder below tmp."""
    out = tmp / f"out-{len(list(tmp.glob('out-*')))}"
    out.mkdir()
    place = Position("governor.yaml", 7, 5)
    source = BillingSource("bill", format, str(path), place, columns=mapping or {}, **options)
    delivery = ingest(source, tmp, out, columns=columns, threads=threads)
    assert not [p for p in out.iterdir() if p.is_dir()], "scratch is removed"
    return delivery


def refused(path: Path | str, tmp: Path, **options: Any) -> list[str]:
    """The problems for which a path is refused, as they are printed."""
    try:
        take(path, tmp, **options)
    except Refused as error:
        return [str(problem) for problem in error.problems]
    raise AssertionError("it was not refused")


def charges(delivery: Delivery) -> list[dict[str, Any]]:
    return pq.read_table(delivery.charges).to_pylist()


def rejects(delivery: Delivery) -> list[dict[str, Any]]:
    return pq.read_table(delivery.rejects).to_pylist()


def tags(delivery: Delivery) -> list[str | None]:
    """The canonical tags of every charge, in order; None is unread."""
    sets = {row["tag_set"]: row["text"] for row in pq.read_table(delivery.tag_sets).to_pylist()}
    return [None if row["tag_set"] is None else sets[row["tag_set"]] for row in charges(delivery)]


def first(delivery: Delivery, name: str) -> Any:
    return charges(delivery)[0][name]
