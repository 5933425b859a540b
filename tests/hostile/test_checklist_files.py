"""The field's checklist of bad deliveries, items 1 to 4: each a test that carries its number.

1 a manifest and the folder disagree; 2 parts, packings and empty files; 3 a month delivered twice; 4 two equal rows.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.bills import charges, refused, rows, take, to_csv, to_parquet
from tests.deliveries import CUR, CUR_MAPPING, aws_report, azure_export, costs, data_export, lines, write
from tests.project import charge, write_csv, write_project

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"format": "columns", "mapping": CUR_MAPPING}
# How each provider delivers two parts: what does it, how the parts are read, and where they lie.
PROVIDERS = {
    "aws report": (
        lambda top: aws_report(top, "b1", lines("1"), lines("2")),
        OPTIONS,
        "cur/20260901-20261001/b1/cur-{}.csv.gz",
        "cur/20260901-20261001/cur-Manifest.json",
    ),
    "aws report, overwritten": (
        lambda top: aws_report(top, "", lines("1"), lines("2"), copies=["period"]),
        OPTIONS,
        "cur/20260901-20261001/cur-{}.csv.gz",
        "cur/20260901-20261001/cur-Manifest.json",
    ),
    "aws data export": (
        lambda top: data_export(top, "2026-10-01T08:15:04.123Z-3f1c", costs("1"), costs("2")),
        {},
        "focus/data/BILLING_PERIOD=2026-09/2026-10-01T08:15:04.123Z-3f1c/focus-0000{}.csv.gz",
        "focus/metadata/BILLING_PERIOD=2026-09/focus-Manifest.json",
    ),
    "aws data export, overwritten": (
        lambda top: data_export(top, "", costs("1"), costs("2")),
        {},
        "focus/data/BILLING_PERIOD=2026-09/focus-0000{}.csv.gz",
        "focus/metadata/BILLING_PERIOD=2026-09/focus-Manifest.json",
    ),
    "azure": (
        lambda top: azure_export(top, "r1", costs("1"), costs("2")),
        {},
        "costs/20260901-20260930/r1/part_{}_0001.csv",
        "costs/20260901-20260930/r1/manifest.json",
    ),
}


@pytest.fixture(params=PROVIDERS)
def delivered(request, tmp_path):
    """A delivery of two parts: the bill's folder, how to read it, where part n lies, and its manifest."""
    deliver, options, part, manifest = PROVIDERS[request.param]
    deliver(tmp_path / "bill")
    first = 0 if request.param == "azure" else 1
    return options, lambda n: tmp_path / "bill" / part.format(first + n), tmp_path / "bill" / manifest


def test_01_whole_deliveries_are_read(delivered, tmp_path):
    """What the tests below spoil is in order before."""
    options, _, _ = delivered
    assert [str(row["billed_cost"].normalize()) for row in charges(take("bill", tmp_path, **options))] == ["1", "2"]


def test_01_a_listed_file_that_is_missing(delivered, tmp_path):
    options, part, manifest = delivered
    part(1).unlink()
    [said] = refused("bill", tmp_path, **options)
    assert said.startswith(f"{manifest.relative_to(tmp_path)} B252 lists files that aren't here (1 of 2): ")
    assert part(1).name in said
    assert said.endswith("; deliver them again, at the place that the manifest gives")


def test_01_a_file_that_no_manifest_lists(delivered, tmp_path):
    options, part, _ = delivered
    part(7).write_bytes(part(0).read_bytes())
    [said] = refused("bill", tmp_path, **options)
    folder = part(0).parent.relative_to(tmp_path)
    assert said == (
        f"{folder} B253 holds {part(7).name}, which no manifest lists, beside files that one lists; "
        "remove it, or deliver the manifest that lists it"
    )


@pytest.mark.parametrize("name", PROVIDERS)
def test_01_data_before_its_manifest(name, tmp_path):
    """A month whose manifest isn't there yet is refused by its folder, not read as far as it came."""
    deliver, options, part, _ = PROVIDERS[name]
    deliver(tmp_path / "bill")
    later = part.replace("2026-09", "2026-10").replace("20260901-20261001", "20261001-20261101")
    later = tmp_path / "bill" / later.replace("20260901-20260930", "20261001-20261031").format(1)
    write(later, lines("9") if options else costs("9"))
    [said] = refused("bill", tmp_path, **options)
    assert said == (
        f"{later.parent.relative_to(tmp_path)} B255 has data ({later.name}) and no manifest that lists it: "
        "the delivery isn't complete yet; "
        "run again when its manifest is there, or move the data elsewhere"
    )


@pytest.mark.parametrize("name", ["aws report", "aws data export", "azure"])
def test_01_a_new_delivery_before_its_manifest(name, tmp_path):
    """In create-new mode the next delivery of the same month begins beside the one in force."""
    deliver, options, part, _ = PROVIDERS[name]
    deliver(tmp_path / "bill")
    path = tmp_path / "bill" / part.format(1)
    write(path.parent.with_name("2026-10-03-next") / path.name, lines("9") if options else costs("9"))
    [said] = refused("bill", tmp_path, **options)
    assert "2026-10-03-next B255 has data" in said


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_01_a_row_count_that_differs(ending, tmp_path):
    """Counted are all rows of the file, the bad ones too."""
    path = azure_export(tmp_path / "bill", "r1", costs("1", "x"), costs("2"), ending=ending)
    assert len(charges(take("bill", tmp_path))) == 2
    said = json.loads(path.read_text())
    said["blobs"][0]["dataRowCount"], said["dataRowCount"] = 3, 4
    path.write_text(json.dumps(said))
    assert refused("bill", tmp_path) == [
        f"bill/costs/20260901-20260930/r1/part_0_0001.{ending} B254 has 2 rows, and "
        "bill/costs/20260901-20260930/r1/manifest.json says 3; deliver both again: one of them is cut off or old"
    ]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_01_a_byte_count_that_differs(ending, tmp_path):
    path = azure_export(tmp_path / "bill", "r1", costs("1"), ending=ending)
    said = json.loads(path.read_text())
    said["blobs"][0]["byteCount"] += 1
    said["byteCount"] += 1
    path.write_text(json.dumps(said))
    [problem] = refused("bill", tmp_path)
    assert f"part_0_0001.{ending} B254 has " in problem
    assert f"bytes, and bill/costs/20260901-20260930/r1/manifest.json says {said['byteCount']:,}" in problem


def test_01_the_bytes_of_a_packed_file_may_be_meant_unpacked(tmp_path):
    """The documentation doesn't say which, so either is taken; its checksum is gzip's own."""
    path = azure_export(tmp_path / "bill", "r1", costs("1"), ending="csv.gz")
    said = json.loads(path.read_text())
    size = len(gzip.decompress((path.parent / "part_0_0001.csv.gz").read_bytes()))
    said["blobs"][0]["byteCount"] = said["byteCount"] = size
    path.write_text(json.dumps(said))
    assert len(charges(take("bill", tmp_path))) == 1


def test_01_a_file_cut_off_between_two_rows(tmp_path):
    """Nothing in a CSV says that it ends too early; its manifest does."""
    path = azure_export(tmp_path / "bill", "r1", costs("1", "2", "3"))
    part = path.parent / "part_0_0001.csv"
    part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[:-1]))
    [said] = refused("bill", tmp_path)
    assert "part_0_0001.csv B254 has " in said


def test_01_columns_that_differ_from_the_manifest(tmp_path):
    """AWS's report lists its columns; tag keys come and go with the months, and the file must be of the manifest."""
    month = aws_report(tmp_path / "bill", "b1", lines("1"))
    renamed = {"resourceTags/user:team" if name.endswith("owner") else name: value for name, value in CUR.items()}
    write(month / "b1/cur-1.csv.gz", [renamed])
    [said] = refused("bill", tmp_path, format="columns", mapping=CUR_MAPPING | {"Tags.owner": "resourceTags/user:team"})
    assert said == (
        "bill/cur/20260901-20261001/b1/cur-1.csv.gz:1:1 B257 has other columns than "
        "bill/cur/20260901-20261001/cur-Manifest.json says: it lacks resourceTags/user:owner; "
        "it adds resourceTags/user:team; deliver both again: one of them is old"
    )


def test_01_every_disagreement_is_said_at_once(tmp_path):
    """Three months, three defects, three lines."""
    old = azure_export(tmp_path / "bill", "r1", costs("1"), costs("2"))
    (old.parent / "part_1_0001.csv").unlink()
    new = azure_export(tmp_path / "bill", "r2", costs("3"), days="20261001-20261031")
    write(new.parent / "extra.csv", costs("4"))
    write(tmp_path / "bill/costs/20261101-20261130/r3/part_0_0001.csv", costs("5"))
    assert [said.split()[:2] for said in refused("bill", tmp_path)] == [
        ["bill/costs/20260901-20260930/r1/manifest.json", "B252"],
        ["bill/costs/20261001-20261031/r2", "B253"],
        ["bill/costs/20261101-20261130/r3", "B255"],
    ]


def test_02_each_part_has_a_header_of_its_own(tmp_path):
    """A header is no charge, in whichever part; and columns may stand in another order."""
    to_csv(tmp_path / "bill/1.csv", costs("1", "2"))
    to_csv(tmp_path / "bill/2.csv", [dict(reversed(row.items())) for row in costs("3")])
    to_csv(tmp_path / "bill/3.csv", costs("4"))
    delivery = take("bill", tmp_path)
    assert [str(row["billed_cost"].normalize()) for row in charges(delivery)] == ["1", "2", "3", "4"]
    assert [one.rows for one in delivery.files] == [2, 1, 1]


def test_02_csv_gzip_and_parquet_in_one_export(tmp_path):
    write(tmp_path / "bill/1.csv", costs("1"))
    write(tmp_path / "bill/2.csv.gz", costs("2"))
    write(tmp_path / "bill/3.parquet", costs("3"))
    assert [str(row["billed_cost"].normalize()) for row in charges(take("bill", tmp_path))] == ["1", "2", "3"]


@pytest.mark.parametrize("listed", [False, True])
def test_02_zip_is_refused_by_name(listed, tmp_path):
    """AWS's report may be packed as zip: it is named with what to do, whether a manifest lists it or not."""
    path = tmp_path / "bill/costs/20260901-20260930/r1/part_0_0001.csv.zip"
    azure_export(tmp_path / "bill", "r1", costs("1"))
    path.parent.joinpath("part_0_0001.csv").unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("part_0_0001.csv", "BilledCost\n1\n")
    manifest = path.with_name("manifest.json")
    if listed:
        said = json.loads(manifest.read_text().replace("0001.csv", "0001.csv.zip"))
        manifest.write_text(json.dumps(said))
    else:
        manifest.unlink()
    assert refused("bill", tmp_path) == [
        "bill/costs/20260901-20260930/r1/part_0_0001.csv.zip B008 can't be read as it is; "
        "unpack or convert it to CSV, CSV.gz or Parquet"
    ]


def test_02_a_header_only_part_is_no_charge_and_no_defect(tmp_path):
    """A part without rows is legitimate beside others, where its manifest says so."""
    path = azure_export(tmp_path / "bill", "r1", costs("1"), costs("2"))
    part = path.parent / "part_1_0001.csv"
    part.write_bytes(part.read_bytes().splitlines(keepends=True)[0])
    assert "B254" in refused("bill", tmp_path)[0], "the manifest promised a row"
    said = json.loads(path.read_text())
    said["blobs"][1] |= {"dataRowCount": 0, "byteCount": part.stat().st_size}
    said["dataRowCount"], said["byteCount"] = 1, sum(blob["byteCount"] for blob in said["blobs"])
    path.write_text(json.dumps(said))
    assert [one.rows for one in take("bill", tmp_path).files] == [1, 0]


def test_02_a_bill_of_headers_only_is_refused(tmp_path):
    """No charges is no proof of no cost."""
    (tmp_path / "bill").mkdir()
    for name in ("1.csv", "2.csv"):
        (tmp_path / "bill" / name).write_text(",".join(costs("1")[0]) + "\n")
    [said] = refused("bill", tmp_path)
    assert "B023 holds no charge: bill/1.csv, bill/2.csv have a header only" in said


def test_02_a_zero_byte_part_is_refused(delivered, tmp_path):
    """The export broke off while it wrote: by its name, with every kind of manifest."""
    options, part, _ = delivered
    part(1).write_bytes(b"")
    [said] = refused("bill", tmp_path, **options)
    assert f"{part(1).relative_to(tmp_path)} B004 is empty (0 bytes); the export broke off: deliver" in said


def test_03_a_month_delivered_twice_counts_once(tmp_path):
    """Create-new mode with each provider: the newest delivery, never both; the older is told by name."""
    aws_report(tmp_path / "a", "b1", lines("1"))
    aws_report(tmp_path / "a", "b2", lines("2"))
    data_export(tmp_path / "b", "2026-10-01T00:00:00Z-aa", costs("1"))
    data_export(tmp_path / "b", "2026-10-02T00:00:00Z-bb", costs("2"))
    azure_export(tmp_path / "c", "r1", costs("1"), submitted="2026-09-05T00:00:00Z")
    azure_export(tmp_path / "c", "r2", costs("2"), submitted="2026-09-06T00:00:00Z")
    for bill, options, old in (("a", OPTIONS, "b1"), ("b", {}, "2026-10-01T00:00:00Z-aa"), ("c", {}, "r1")):
        delivery = take(bill, tmp_path, **options)
        assert [str(row["billed_cost"].normalize()) for row in charges(delivery)] == ["2"]
        told = delivery.why.partition("superseded, left aside: ")[2]
        assert f"/{old}/" in told


def test_03_the_same_bytes_delivered_twice_without_manifests(tmp_path):
    """Nothing says that one replaces the other: refused, never added up."""
    to_csv(tmp_path / "bill/first/a.csv", costs("1"))
    to_csv(tmp_path / "bill/second/a.csv", costs("1"))
    [said] = refused("bill", tmp_path)
    assert said.startswith("bill/second/a.csv B019 holds the same bytes as bill/first/a.csv")


@pytest.mark.parametrize("to", [to_csv, to_parquet])
def test_04_two_identical_rows_are_two_charges(to, tmp_path):
    path = to(tmp_path / f"bill.{'csv' if to is to_csv else 'parquet'}", rows({}, {}))
    delivery = take(path, tmp_path)
    assert charges(delivery)[0] | {"row": 2} == charges(delivery)[1]


def test_04_two_identical_rows_in_two_parts_are_two_charges(tmp_path):
    to_csv(tmp_path / "bill/1.csv", costs("1", "2"))
    to_csv(tmp_path / "bill/2.csv", costs("1", "3"))
    assert [str(row["billed_cost"].normalize()) for row in charges(take("bill", tmp_path))] == ["1", "2", "1", "3"]


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        for _ in range(80):
            file.write(b"0" * (1 << 20))


def _cut_off(path: Path) -> None:
    write(path, costs(*map(str, range(99))))
    path.write_bytes(path.read_bytes()[:-9])


DAMAGES = {
    "a gzip bomb": ("b.csv.gz", _bomb, "b.csv.gz B007 unpacks to more than 67,108,864 bytes"),
    "a truncated gzip": ("b.csv.gz", _cut_off, "b.csv.gz B006 is a broken gzip file"),
    "a zero-byte part": ("b.csv", lambda path: path.write_bytes(b""), "b.csv B004 is empty (0 bytes)"),
    "another schema": (
        "b.parquet",
        lambda path: write(path, [{"Pod": "x", "CPU": "1"}]),
        "b.parquet:1:1 B013 isn't a FOCUS file",
    ),
    "a missing part": (
        "manifest.json",
        lambda path: path.write_text('{"blobs": [{"blobName": "x/a.csv"}, {"blobName": "x/b.csv"}]}'),
        "manifest.json B252 lists files that aren't here (1 of 2): x/b.csv",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_source_is_named_and_the_others_go_on(damage, tmp_path):
    """Through the command line: exit 3, the file by its name, the other source judged and committed."""
    name, spoil, says = DAMAGES[damage]
    config = write_project(tmp_path, [charge("10", Tags='{"cost-center":"A"}')])
    write_csv(tmp_path / "bills/other/a.csv", [charge("7")])
    spoil(tmp_path / "bills/other" / name)
    text = config.read_text().replace("policies:", "  - {name: other, format: focus, path: bills/other}\npolicies:")
    config.write_text(text)
    command = [sys.executable, "-m", "governor", "run", "-c", str(config), "--format", "json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert [(total["source"], total["effective_cost"]) for total in answer["totals"]] == [("bill", "10.00")]
    [gap] = answer["gaps"]
    assert f"bills/other/{says}" in f"{gap['scope']} {gap['detail']}"
    assert "Traceback" not in done.stderr
