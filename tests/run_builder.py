"""Make a small committed run from Python rows, for tests of everything that reads the ledger.

`build_run(ledger)` commits a plausible and consistent run: four cost centers, two sources with a currency each, every status,
a support pool and unused commitments, findings of every verdict, waivers, gaps and rejects. Totals, allocations,
statements and scores are computed from the cells, so the figures tie. `hostile=True` puts hostile strings where a bill
or a register can put them. `rows` replaces whole tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from governor import tables
from governor.ledger.commit import commit, stage
from governor.ledger.contract import arrow_schema
from governor.ledger.read import RunInfo, SnapshotFiles
from tests import run_reconciliation
from tests.run_figures import Row, allocate, first_deliveries, group_by, scores, statements, total, totals

DEFAULT_PARAMETERS = {
    "organization": "Acme", "reporting_currency": "USD", "as_of": "2026-06-02", "cost_basis": "effective", "gap_tolerance": 0,
    "order": [["commitments", "central", "pools", "assign"]], "tables": tables.VERSION, "flags": {},
}  # fmt: skip
DEFAULT_ENGINE = {"duckdb": "2.0.0", "governor": "0.1.0"}
PERIOD = "2026-05"
HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil.example","x")',
    "]]>\x1b[2J::error::|`*_[a](javascript:alert(1))",
)

# source, currency, account, service, category, resource, charge category, class, rows, effective cost, status, cost center, rule, pool,
# reason, compliance, tags
_CELLS = """
aws   USD 111111111111 AmazonEC2      Compute    i-web-1      Usage    -          744  1240.50      T CC-0042 by-tag      -                  -          pass    {"cost-center":"cc-0042","env":"prod"}
aws   USD 111111111111 AmazonEC2      Compute    i-web-2      Usage    -          744  310.125      T CC-0042 by-tag      -                  -          fail    {"cost-center":"CC-0042","env":"qa"}
aws   USD 111111111111 AmazonS3       Storage    logs-bucket  Usage    -          62   88.0000001   A CC-0042 by-account  -                  -          fail    {}
aws   USD 222222222222 AmazonRDS      Databases  db-orders    Usage    -          744  905.40       T CC-0077 by-tag      -                  -          pass    {"cost-center":"CC-0077","env":"prod"}
aws   USD 222222222222 AmazonRDS      Databases  db-orders    Credit   -          1    -45.40       T CC-0077 by-tag      -                  -          pass    {"cost-center":"CC-0077","env":"prod"}
aws   USD 222222222222 AmazonRDS      Databases  db-orders    Usage    Correction 1    -5.25        T CC-0077 by-tag      -                  -          pass    {"cost-center":"CC-0077","env":"prod"}
aws   USD 222222222222 AWSLambda      Compute    fn-orders    Usage    -          31   61.30        R CC-0077 by-app      -                  -          fail    {"app":"orders"}
aws   USD 111111111111 AWSSupport     Other      -            Purchase -          1    250.01       S -       support     support            -          not_applicable {}
aws   USD 111111111111 AmazonEC2      Compute    ri-0001      Usage    -          744  120.00       K -       commitments unused-commitments -          not_applicable {}
aws   USD 111111111111 AmazonGuardDuty Security  -            Usage    -          31   75.50        C CC-0001 security    -                  -          fail    {"app":"guardrails"}
aws   USD 333333333333 AmazonEC2      Compute    i-lost       Usage    -          744  99.99        D CC-0099 default     -                  no_rule    fail    {}
aws   USD 333333333333 AmazonSageMaker AI        nb-1         Usage    -          12   420.75       U -       -           -                  no_owner   fail    {"team":"ml"}
aws   USD 444444444444 AmazonEC2      Compute    i-unread     Usage    -          5    17.20        U -       -           -                  tags_unread unknown null
azure EUR sub-checkout  VirtualMachines Compute  vm-1         Usage    -          720  640.00       T CC-0042 by-tag      -                  -          pass    {"cost-center":"CC-0042"}
azure EUR sub-checkout  Bandwidth      Networking -           Usage    -          30   12.345       A CC-0042 by-account  -                  -          fail    {}
azure EUR sub-data      SqlDatabase    Databases sql-1        Usage    -          720  333.33       T CC-0077 by-tag      -                  -          pass    {"cost-center":"CC-0077"}
azure EUR sub-data      Support        Other     -            Purchase -          1    100.00       S -       support     support            -          not_applicable {}
azure EUR sub-lost      StorageAccounts Storage  st-1         Usage    -          30   20.20        U -       -           -                  no_owner   fail    {}
"""
_CELL_FIELDS = (
    "source currency sub_account_id service_name service_category resource_id charge_category charge_class rows "
    "effective_cost status cost_center rule pool reason compliance tags"
).split()
_NAMES = {
    "111111111111": "acme-shop",
    "222222222222": "acme-data",
    "333333333333": "acme-sandbox",
    "444444444444": "acme-unread",
    "sub-checkout": "Checkout",
    "sub-data": "Data",
    "sub-lost": "Lost",
}


def build_run(  # noqa: PLR0913 - every part of a run can be replaced by name
    ledger: Path,
    rows: Mapping[str, Sequence[Row]] | None = None,
    *,
    hostile: bool = False,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    policies: Sequence[Mapping[str, Any]] | None = None,
    parameters: Mapping[str, Any] | None = None,
    engine: Mapping[str, Any] | None = None,
    charges: Mapping[str, Sequence[Row]] | None = None,
    committed_at: str = "2026-06-02T08:00:00+00:00",
    wait_s: float = 60,
) -> RunInfo:
    """Commit a run whose tables are the default ones with `rows` in place of those it names.

    `charges` are rows of the snapshots by source; the sources of the default cells have a row each.
    """
    content = {**default_rows(hostile=hostile), **(rows or {})}
    with stage(ledger, wait_s) as staging:
        files, snapshots = write_files(staging.folder, content, charges)
        return commit(
            staging,
            tables=files,
            snapshots=snapshots,
            inputs=default_inputs() if inputs is None else inputs,
            policies=default_policies(content["policies"]) if policies is None else policies,
            parameters=DEFAULT_PARAMETERS if parameters is None else parameters,
            gaps=len(content["gaps"]),
            engine=DEFAULT_ENGINE if engine is None else engine,
            committed_at=committed_at,
            wait_s=wait_s,
        )


def write_files(
    folder: Path, content: Mapping[str, Sequence[Row]], charges: Mapping[str, Sequence[Row]] | None = None
) -> tuple[dict[str, Path], list[SnapshotFiles]]:
    """Write the tables of a run and the snapshots of its sources below a folder, without committing them."""
    files = {name: folder / f"{name}.parquet" for name in tables.RUN}
    for name, columns in tables.RUN.items():
        write_table(files[name], columns, content[name])
    sources = {source: [charge()] for source in ("aws", "azure")} if charges is None else charges
    return files, [_snapshot(folder, source, sources[source]) for source in sorted(sources)]


def write_table(path: Path, columns: tuple[tables.Column, ...], rows: Iterable[Row]) -> None:
    """Write rows as the contract's Parquet, sorted by all columns, NULL first; columns that a row lacks are NULL."""
    names = [c.name for c in columns]
    whole = [{name: row.get(name) for name in names} for row in rows]
    strange = {key for row in rows for key in row} - set(names)
    assert not strange, f"{path.name} has no columns {sorted(strange)}"
    whole.sort(
        key=lambda row: [(v is not None, v if v is not None else 0) for v in row.values() if not isinstance(v, list)]
    )
    pq.write_table(
        pa.Table.from_pylist(whole, schema=arrow_schema(columns)), path, compression="zstd", store_schema=False
    )


def default_policies(rows: Sequence[Row]) -> list[Row]:
    """Name the policies as a manifest does."""
    return [{"id": row["policy"], "kind": row["kind"], "digest": row["digest"]} for row in rows]


def default_inputs() -> list[Row]:
    """Name two input files as a manifest does."""
    return [
        {"kind": "billing", "source": s, "format": "focus", "version": "1.2", "why": "it has x", "files": [
            {"path": f"bills/{s}.csv", "bytes": 1000, "sha256": sha256(s.encode()).hexdigest(), "rows": n, "rejected": r, "version": "1.2"}
        ]}
        for s, n, r in (("aws", 3866, 2), ("azure", 1501, 0))
    ]  # fmt: skip


def charge(**values: Any) -> Row:
    """One row of charges."""
    start = datetime(2026, 5, 1)
    return {
        "file": 0, "row": 1, "billing_period": PERIOD, "tag_set": 0, "billed_cost": Decimal("1240.50"),
        "effective_cost": Decimal("1240.50"), "billing_currency": "USD", "billing_period_start": start,
        "charge_period_start": start, "charge_category": "Usage", **values,
    }  # fmt: skip


def default_rows(*, hostile: bool = False) -> dict[str, list[Row]]:
    """Give the rows of every table of a run."""
    cells = _cells(hostile)
    rejects = _rejects(hostile)
    centers = _register_cost_centers(hostile)
    allocations = allocate(cells)
    findings = _findings(hostile)
    sums = totals(cells, rejects, allocations)
    return {
        "totals": sums,
        "cells": cells,
        "allocations": allocations,
        "cost_centers": statements(allocations, centers),
        "findings": findings,
        "verdicts": _verdicts(findings),
        "scores": scores(cells, allocations),
        "gaps": _gaps(hostile),
        "rejects": rejects,
        "policies": _policies(),
        "waivers": _waivers(),
        "restatements": first_deliveries(sums),
        "register_cost_centers": centers,
        "register_accounts": _register_accounts(),
        "tie_out": run_reconciliation.tie_out(),
        "bridge": run_reconciliation.bridge(),
        "commitments": run_reconciliation.commitments(),
    }


def _cells(hostile: bool) -> list[Row]:
    rows = []
    for line in _CELLS.strip().splitlines():
        row: Row = {
            k: None if v == "-" else v
            for k, v in zip(_CELL_FIELDS, line.split(None, len(_CELL_FIELDS) - 1), strict=True)
        }
        row["tags"] = None if row["tags"] == "null" else row["tags"]
        row["rows"], row["effective_cost"] = int(row["rows"]), Decimal(row["effective_cost"])
        if hostile and row["resource_id"] in {"i-web-1", "i-lost", "vm-1"}:
            row["resource_id"] = HOSTILE[("i-web-1", "i-lost", "vm-1").index(row["resource_id"])]
            row["service_name"] = HOSTILE[0]
            row["tags"] = json.dumps({"owner": HOSTILE[1], HOSTILE[2]: "x"}, separators=(",", ":"), sort_keys=True)
        rows.append(cell(**row))
    return rows


def cell(**values: Any) -> Row:
    """One cell; what isn't given is filled in, the digest from the keys."""
    row: Row = {
        "source": "aws", "billing_period": PERIOD, "currency": "USD", "valid_on": date(2026, 5, 1), "status": "T",
        "billing_account_id": "999999999999", "provider": {"aws": "AWS", "azure": "Microsoft"}.get(values.get("source", "aws")),
        "sub_account_name": _NAMES.get(values.get("sub_account_id", "")), "region_id": "eu-west-1", "charge_category": "Usage",
        "rows": 1, "compliance": "pass", **values,
    }  # fmt: skip
    cost = row["effective_cost"]
    given = {name: row.setdefault(name, cost) for name in ("billed_cost", "list_cost", "contracted_cost")}
    row.setdefault("positive_cost", max(cost, Decimal(0)))
    row.setdefault("rows_positive", row["rows"] if cost > 0 else 0)
    keys = [
        c.name
        for c in tables.CELLS[1:]
        if c.name in row and c.name not in {*given, *_CELL_FIELDS[8:16], "positive_cost", "rows_positive"}
    ]
    row.setdefault("cell", sha256(repr([row[k] for k in keys]).encode()).hexdigest()[:16])
    row.setdefault("first_charge", datetime(2026, 5, 1))
    row.setdefault("last_charge", datetime(2026, 5, 31, 23))
    return row


def finding(**values: Any) -> Row:
    """One finding; its fingerprint from requirement and subject."""
    row: Row = {
        "requirement": "core-tags/cost_center", "policy": "core-tags", "severity": "high", "title": "Every billable resource names who pays",
        "verdict": "fail", "subject": "i-lost", "subject_type": "resource", "source": "aws", "provider": "AWS", "region_id": "eu-west-1",
        "message": "has no cost_center tag", "remedy": "set cost-center to an id of the register", "currency": "USD",
        "cost": Decimal(0), "rows": 1, "first_seen": date(2026, 6, 2), **values,
    }  # fmt: skip
    row.setdefault("fingerprint", sha256(f"{row['requirement']}|{row['subject']}".encode()).hexdigest()[:16])
    return row


def _findings(hostile: bool) -> list[Row]:
    sandbox = {"sub_account_id": "333333333333", "sub_account_name": "acme-sandbox"}
    web = {"subject": "i-web-2", "cost_center": "CC-0042", "owner": "ann@acme.example"}
    env: Row = {"requirement": "core-tags/env", "severity": "medium", "observed": "qa", "observed_from": "env"}
    ec2 = {"service_name": "AmazonEC2", "resource_type": "Instance"}
    found = [
        finding(**sandbox, **ec2, cost=Decimal("99.99"), rows=744, cost_center="CC-0099", first_seen=date(2026, 4, 1)),
        finding(**sandbox, subject="nb-1", service_name="AmazonSageMaker", cost=Decimal("420.75"), rows=12, severity="critical"),
        finding(**web, **ec2, **env, cost=Decimal("310.125"), rows=744, message="env is `qa`, which is not allowed"),
        finding(subject="i-unread", verdict="unknown", sub_account_id="444444444444", cost=Decimal("17.20"), rows=5, message="tags were not read"),
        finding(subject="fn-orders", verdict="waived", waiver="WV-7", cost=Decimal("61.30"), rows=31, cost_center="CC-0077"),
        finding(subject="logs-bucket", verdict="grace", cost=Decimal("88.0000001"), rows=62, cost_center="CC-0042"),
        finding(subject="333333333333", subject_type="account", requirement="accounts/registered", policy="accounts", severity="low",
                title="Every account is registered", message="is in no register", cost=Decimal("520.74"), rows=756),
        finding(subject="st-1", source="azure", provider="Microsoft", currency="EUR", cost=Decimal("20.20"), rows=30),
        finding(subject="sub-checkout / Bandwidth", subject_type="service", source="azure", currency="EUR", cost=Decimal("12.345"), rows=30),
    ]  # fmt: skip
    if hostile:
        found += [
            finding(subject=text, message=text, observed=text, owner=text, title=text, remedy=text, cost=Decimal(n))
            for n, text in enumerate(HOSTILE)
        ]
    return found


def _verdicts(findings: Sequence[Row]) -> list[Row]:
    keys = ("requirement", "policy", "severity", "title", "verdict", "currency")
    found = [
        {
            **dict(zip(keys, key, strict=True)),
            "subjects": len(group),
            "rows": sum(r["rows"] for r in group),
            "cost": total(group, "cost"),
        }
        for key, group in group_by(findings, *keys).items()
    ]
    passed = ("core-tags/cost_center", "core-tags", "high", "Every billable resource names who pays", "pass")
    found += [
        {**dict(zip(keys, (*passed, currency), strict=True)), "subjects": 2, "rows": rows, "cost": Decimal(cost)}
        for currency, rows, cost in (("USD", 1490, "2145.90"), ("EUR", 1440, "973.33"))
    ]
    return found


def _gaps(hostile: bool) -> list[Row]:
    found: list[Row] = [
        {
            "source": "aws",
            "scope": "444444444444",
            "reason": "unreadable_tags",
            "detail": "Tags is not JSON",
            "rows": 5,
            "cost": Decimal("17.20"),
            "currency": "USD",
        },
        {"source": "aws", "scope": "bills/aws.csv", "reason": "rejected_rows", "detail": "2 rows", "rows": 2},
    ]
    if hostile:
        found.append({"source": "aws", "scope": HOSTILE[0], "reason": "malformed", "detail": HOSTILE[1], "rows": 0})
    return found


def _rejects(hostile: bool) -> list[Row]:
    file = HOSTILE[1] if hostile else "bills/aws.csv"
    return [
        {"source": "aws", "file": file, "row": 17, "column": "EffectiveCost", "value": HOSTILE[0] if hostile else "1.2.3", "code": "B020",
         "reason": "is not a plain number", "billing_period": PERIOD, "currency": "USD", "cost": Decimal("1.20")},
        {"source": "aws", "file": file, "row": 99, "column": "BillingPeriodStart", "value": "", "code": "B021", "reason": "is empty"},
    ]  # fmt: skip


def _policies() -> list[Row]:
    named = (
        ("acme-2026", "AllocationPolicy", "Who pays in 2026"),
        ("core-tags", "TagPolicy", "Every billable resource names who pays"),
        ("accounts", "AccountPolicy", "Every account is registered"),
        ("WV-7", "Waiver", "Orders is being moved"),
    )
    return [
        {
            "policy": i,
            "kind": k,
            "title": t,
            "file": f"policies/{i}.yaml",
            "digest": sha256(i.encode()).hexdigest(),
            "why": "who pays decides",
        }
        for i, k, t in named
    ]


def _waivers() -> list[Row]:
    shared = {"requirements": "core-tags/*", "approved_by": "cfo@acme.example", "starts": date(2026, 5, 1)}
    return [
        {"waiver": "WV-7", "reason": "orders is being moved", "ticket": "FIN-7", "expires": date(2026, 12, 31), "state": "active",
         "findings": 1, "currency": "USD", "cost": Decimal("61.30"), **shared},
        {"waiver": "WV-3", "reason": "old", "ticket": "FIN-3", "expires": date(2026, 5, 31), "state": "expired", "findings": 0,
         "cost": Decimal(0), **shared},
    ]  # fmt: skip


def _register_cost_centers(hostile: bool) -> list[Row]:
    names = (
        ("CC-0001", "Platform", None, "showback"),
        ("CC-0042", HOSTILE[0] if hostile else "Checkout", "CC-0001", "chargeback"),
        ("CC-0077", HOSTILE[1] if hostile else "Data & Insight", "CC-0001", "chargeback"),
        ("CC-0099", "Suspense", None, "showback"),
    )
    return [
        {"id": i, "name": n, "parent": p, "owner_email": f"{i.lower()}@acme.example", "gl_account": f"6{i[-4:]}", "entity": "Acme Ltd", "mode": m,
         "valid_from": date(2025, 1, 1)}
        for i, n, p, m in names
    ]  # fmt: skip


def _register_accounts() -> list[Row]:
    owners = {"111111111111": "CC-0042", "222222222222": "CC-0077", "sub-checkout": "CC-0042", "sub-data": "CC-0077"}
    return [
        {
            "account_id": i,
            "provider": "Microsoft" if i.startswith("sub") else "AWS",
            "name": n,
            "cost_center": owners.get(i),
            "environment": "prod",
        }
        for i, n in _NAMES.items()
        if i not in {"333333333333", "sub-lost"}
    ]


def _snapshot(folder: Path, source: str, charges: Sequence[Row]) -> SnapshotFiles:
    files = {name: folder / f"{source}-{name}.parquet" for name in ("charges", "tag_sets", "rejects")}
    write_table(files["charges"], tuple(c for c in tables.CHARGES if c.core), charges)
    write_table(files["tag_sets"], tables.TAG_SETS, [{"tag_set": 0, "text": "{}", "tags": []}])
    write_table(files["rejects"], tables.REJECTS, [])
    return SnapshotFiles(source, **files)
