"""Write an accounting-consistent FOCUS Cost and Usage bill of any size, with the exact truth beside it.

    python -m bench.generate OUT --rows 10_000_000 --seed 1 [--version 1.3] [--tags map] [--format csv.gz] ...

    OUT/data/BILLING_PERIOD=YYYY-MM/part-*.parquet   the charges (about --rows of them); CSV without a folder
    OUT/registers/cost_centers.csv, accounts.csv     registers that fit the bill, as governor.yaml expects them
    OUT/invoices.csv                                 what each billing account has to pay, to the cent
    OUT/truth.json                                   exact totals: by currency, provider, account, category, tags ...

The same arguments give the same rows, whatever --procs is. `charges.py` says what holds exactly.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bench import charges, truth
from bench.focus_table import UNREADABLE, VERSIONS, focus_table
from bench.world import Account, Spec, World, build_world, parts_of

FORMATS = ("parquet", "csv", "csv.gz")
SPECIAL_SHARE = 1.004  # fees, taxes and credits come on top of usage
UNMANAGED_EVERY, ORPHANED_EVERY = 29, 13  # accounts that are in no register; accounts that nobody owns
PartResult = tuple[dict[str, truth.Totals], list[int]]


def generate(spec: Spec, out: Path, file_format: str = "parquet", procs: int = 1) -> dict[str, object]:
    """Write bill, registers, invoices and truth below `out`, and return the truth."""
    if file_format != "parquet":
        spec = replace(spec, tags="json")  # a CSV has no maps
    world = build_world(spec)
    folder = out / "data" / f"BILLING_PERIOD={spec.month}" if file_format == "parquet" else out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    results = _write_parts(world, folder, file_format, procs)
    totals: dict[str, truth.Totals] = {}
    billed = [0] * len(spec.payers)
    for part, by_payer in results:
        truth.merge(totals, part)
        billed = [a + b for a, b in zip(billed, by_payer, strict=True)]
    closing, _ = _write(world, charges.rounding_rows(world, billed), "part-rounding", folder, file_format, dirty=False)
    truth.merge(totals, closing)
    printed = truth.print_truth(totals, spec.month)
    printed["invoices"] = _invoices(spec, billed)
    write_csv(out / "invoices.csv", printed["invoices"])  # type: ignore[arg-type]
    write_registers(world, out / "registers")
    (out / "truth.json").write_text(json.dumps(printed, indent=1) + "\n", encoding="utf-8")
    return printed


def write_registers(world: World, folder: Path) -> None:
    """Write registers that fit the bill; some accounts are in none, some have no owner, as in real life."""
    folder.mkdir(parents=True, exist_ok=True)
    centers = world.spec.cost_centers
    write_csv(
        folder / "cost_centers.csv",
        [
            {
                "id": center,
                "name": f"Cost center {center}",
                "parent": "" if i % 10 == 0 else centers[i - i % 10],
                "owner_email": f"lead-{i:03d}@acme.example",
                "gl_account": str(640_000 + i),
                "entity": ("ACME-US", "ACME-DE")[i % 2],
                "mode": "showback" if i % 5 == 0 else "chargeback",
                "valid_from": "",
                "valid_to": "",
            }
            for i, center in enumerate(centers)
        ],
    )
    known = [(i, a) for i, a in enumerate(world.accounts) if i % UNMANAGED_EVERY != UNMANAGED_EVERY - 1]
    write_csv(folder / "accounts.csv", [_account_record(world, i, account) for i, account in known])


def write_csv(path: Path, records: Sequence[dict[str, str]]) -> None:
    """Write records as CSV with LF line ends."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def _account_record(world: World, i: int, account: Account) -> dict[str, str]:
    owned = i % ORPHANED_EVERY != ORPHANED_EVERY - 1
    payer = world.spec.payers[account.payer]
    return {
        "account_id": account.id,
        "provider": ("aws", "azure", "gcp", "oci", "snowpeak")[payer.provider],
        "name": account.name,
        "cost_center": account.cost_center if owned else "",
        "owner_email": f"{account.name}@acme.example" if owned else "",
        "environment": ("prod", "dev", "stage")[i % 3],
        "valid_from": "",
        "valid_to": "",
    }


def _invoices(spec: Spec, billed: list[int]) -> list[dict[str, str]]:
    return [
        {
            "invoice_id": f"INV-{spec.month}-{i:03d}" if payer.invoiced else "",
            "billing_account_id": payer.id,
            "currency": payer.currency,
            "amount": f"{charges.to_cents(units) / 100:.2f}",
        }
        for i, (payer, units) in enumerate(zip(spec.payers, billed, strict=True))
    ]


def _write_parts(world: World, folder: Path, file_format: str, procs: int) -> Iterable[PartResult]:
    parts = parts_of(world.spec.rows)
    job = partial(_part, world, folder, file_format)
    if procs == 1 or parts == 1:
        return [job(part) for part in range(parts)]
    with ProcessPoolExecutor(procs, mp_context=multiprocessing.get_context("fork")) as pool:
        return list(pool.map(job, range(parts)))


def _part(world: World, folder: Path, file_format: str, part: int) -> PartResult:
    count = round(world.spec.rows / SPECIAL_SHARE / parts_of(world.spec.rows) / _split_growth(world))
    rows = charges.part_rows(world, part, max(1, count))
    return _write(world, rows, f"part-{part:04d}", folder, file_format, dirty=True)


def _split_growth(world: World) -> float:
    """Say how many rows one drawn row becomes on average: cluster nodes are split."""
    if not world.spec.split:
        return 1.0
    weights = np.diff(world.resources.cumulative, prepend=0.0)
    nodes = float(weights[world.resources.cluster >= 0].sum() / weights.sum())
    return 1 + (charges.SPLIT_WAYS - 1) * nodes


def _write(world: World, rows: charges.Rows, name: str, folder: Path, file_format: str, *, dirty: bool) -> PartResult:
    spec = world.spec
    unread = np.zeros(len(rows), bool)
    if dirty and spec.dirty and spec.tags == "json":
        unread = np.random.default_rng([spec.seed, 3, len(rows)]).random(len(rows)) < spec.dirty
    table = focus_table(world, rows, unread)
    if file_format == "parquet":
        _write_parquet(table, folder / f"{name}.parquet")
    else:
        _write_csv_table(table, folder / f"{name}.{file_format}")
    billed = np.zeros(len(spec.payers), np.int64)
    np.add.at(billed, rows.payer, rows.billed)
    return truth.part_totals(world, rows, unread), [int(v) for v in billed]


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=262_144)


def _write_csv_table(table: pa.Table, path: Path) -> None:
    """Write as providers do: ISO times with Z, tags as JSON, empty for NULL. A fixed gzip header keeps bytes equal."""
    columns = [_as_text(column.combine_chunks()) for column in table.columns]
    text = pa.table(dict(zip(table.column_names, columns, strict=True)))
    options = pa_csv.WriteOptions(quoting_style="needed")
    if path.suffix == ".gz":
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
            pa_csv.write_csv(text, packed, options)
    else:
        pa_csv.write_csv(text, path, options)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        packed = column.dictionary_encode()
        column = pa.DictionaryArray.from_arrays(
            packed.indices, pc.strftime(packed.dictionary.cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
        )
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column.cast(pa.string())


def _size(text: str) -> int:
    return int(float(text.replace("_", "")))


def main() -> None:
    """Read the command line and generate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=_size, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--version", choices=list(VERSIONS), default="1.2")
    parser.add_argument("--tags", choices=["json", "map", "structlist"], default="json")
    parser.add_argument("--money", choices=["decimal", "double"], default="decimal")
    parser.add_argument("--format", choices=FORMATS, default="parquet", dest="file_format")
    parser.add_argument("--month", default="2026-09")
    parser.add_argument("--accounts", type=int, default=300, dest="account_count")
    parser.add_argument(
        "--dirty", type=float, default=0.0, help=f"share of rows with unreadable tags, as {UNREADABLE[0]}"
    )
    parser.add_argument("--volume", type=int, default=1, help="multiply every quantity")
    parser.add_argument("--procs", type=int, default=os.cpu_count() or 1)
    given = vars(parser.parse_args())
    out, file_format, procs = given.pop("out"), given.pop("file_format"), given.pop("procs")
    printed = generate(Spec(**given), out, file_format, procs)
    print(f"{printed['rows']} rows below {out}")


if __name__ == "__main__":
    main()
