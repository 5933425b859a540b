"""Folders as the clouds deliver them, for tests: files of a few rows and the manifests that belong to them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bills import ROW

Rows = Sequence[dict[str, str]]

# A line of AWS's Cost and Usage Report, and the mapping by which it is read where a test isn't about its own format.
CUR = {
    "identity/LineItemId": "line",
    "bill/BillingPeriodStartDate": "2026-09-01T00:00:00Z",
    "lineItem/UsageAccountId": "007",
    "lineItem/UsageStartDate": "2026-09-02T10:00:00Z",
    "lineItem/ProductCode": "AmazonEC2",
    "lineItem/CurrencyCode": "USD",
    "lineItem/UnblendedCost": "1.25",
    "resourceTags/user:owner": "a",
}
CUR_MAPPING = {
    "BilledCost": "lineItem/UnblendedCost",
    "BillingPeriodStart": "bill/BillingPeriodStartDate",
    "ChargePeriodStart": "lineItem/UsageStartDate",
    "BillingCurrency": "lineItem/CurrencyCode",
    "SubAccountId": "lineItem/UsageAccountId",
    "ServiceName": "lineItem/ProductCode",
    "Tags.owner": "resourceTags/user:owner",
}


def costs(*amounts: str, **columns: str) -> Rows:
    """FOCUS rows with these costs."""
    return [ROW | {"BilledCost": cost, "EffectiveCost": cost} | columns for cost in amounts]


def lines(*amounts: str) -> Rows:
    """Lines of AWS's report with these costs."""
    return [CUR | {"lineItem/UnblendedCost": cost} for cost in amounts]


def write(path: Path, rows: Rows) -> int:
    """Write rows as the file's name says (csv, csv.gz, parquet), and return its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}), path)
        return path.stat().st_size
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path.stat().st_size


def write_manifest(path: Path, said: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said, indent=1), encoding="utf-8")
    return path


def aws_report(
    top: Path, run: str, *parts: Rows, month: str = "2026-09", copies: Sequence[str] = ("period", "run"), **fields: Any
) -> Path:
    """Deliver AWS's report in create-new mode below `top`: files in the run's folder, the manifest there and above."""
    year, number = map(int, month.split("-"))
    days = f"{year}{number:02}01-{year + number // 12}{number % 12 + 1:02}01"
    period = top / "cur" / days
    keys = []
    for at, rows in enumerate(parts, 1):
        write(period / run / f"cur-{at}.csv.gz", rows)
        keys.append("/".join(("", "exports", "cur", days, *filter(None, [run]), f"cur-{at}.csv.gz")))
    said = {
        "assemblyId": run or "overwritten",
        "account": "000000000123",
        "columns": [dict(zip(("category", "name"), name.split("/"), strict=False)) for name in parts[0][0]],
        "compression": "GZIP",
        "contentType": "text/csv",
        "reportName": "cur",
        "billingPeriod": {"start": f"{days[:8]}T000000.000Z", "end": f"{days[9:]}T000000.000Z"},
        "reportKeys": keys,
    }
    for copy in copies:
        write_manifest((period if copy == "period" else period / run) / "cur-Manifest.json", said | fields)
    return period


def data_export(
    top: Path, run: str, *parts: Rows, month: str = "2026-09", ending: str = "csv.gz", **fields: Any
) -> Path:
    """Deliver an AWS data export below `top`: with a run in create-new mode, without one overwritten in place."""
    folder = f"focus/data/BILLING_PERIOD={month}" + (f"/{run}" if run else "")
    names = [f"{folder}/focus-{at:05}.{ending}" for at in range(1, len(parts) + 1)]
    for name, rows in zip(names, parts, strict=True):
        write(top / name, rows)
    said = {"executionId": run or "overwritten", "dataFiles": [f"s3://acme/exports/{name}" for name in names], **fields}
    metadata = top / f"focus/metadata/BILLING_PERIOD={month}"
    if run:
        write_manifest(metadata / run / "focus-Manifest.json", said)
    return write_manifest(metadata / "focus-Manifest.json", said)


def azure_export(
    top: Path,
    run: str,
    *parts: Rows,
    days: str = "20260901-20260930",
    submitted: str = "2026-09-05T09:19:01.9013967Z",
    ending: str = "csv",
    **fields: Any,
) -> Path:
    """Deliver an Azure export below `top`: partitions and their manifest in the folder of the run."""
    folder = "/".join(filter(None, ("costs", days, run)))
    blobs = [
        {
            "blobName": f"{folder}/part_{at}_0001.{ending}",
            "byteCount": write(top / folder / f"part_{at}_0001.{ending}", rows),
            "dataRowCount": len(rows),
        }
        for at, rows in enumerate(parts)
    ]
    said = {
        "manifestVersion": "2024-04-01",
        "blobCount": len(blobs),
        "byteCount": sum(blob["byteCount"] for blob in blobs),
        "dataRowCount": sum(blob["dataRowCount"] for blob in blobs),
        "exportConfig": {"exportName": "costs", "type": "FocusCost"},
        "runInfo": {"submittedTime": submitted, "runId": run or "overwritten"},
        "blobs": blobs,
        **fields,
    }
    return write_manifest(top / folder / "manifest.json", said)
