"""A provider's manifest is read for what it says; what it can't mean is refused by name; any other JSON is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from governor.model import Refused
from governor.sources.billing import manifests

CASES = Path(__file__).resolve().parents[1] / "cases/billing/deliveries"
EXPECTED = json.loads((CASES / "expected.json").read_text())


def read(path: Path, *folder: str) -> manifests.Manifest | None:
    return manifests.read(path, path.name, folder)


def said(tmp_path: Path, content: str | bytes | dict, name: str = "manifest.json") -> str:
    """What is said of a manifest that is refused."""
    path = tmp_path / name
    text = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(Refused) as error:
        read(path)
    [problem] = error.value.problems
    return str(problem)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_kind_says_its_report_period_delivery_and_files(name):
    one, expected = read(CASES / name), EXPECTED[name]
    assert one
    assert {
        "shown": one.shown,
        "report": list(one.report),
        "run": one.run,
        "created": one.created and one.created.isoformat(),
        "files": [[each.key[-1], each.bytes, each.rows] for each in one.files],
        "columns": list(one.columns),
    } == expected


def test_the_samples_of_others_are_read(sample_data):
    """The two manifests in a public project's tests: a report of one file, an export of one partition."""
    report = read(sample_data / "billing/koku/aws_cur_manifest.json")
    assert report
    assert report.shown == "AWS report koku-local 2018-08"
    assert report.files == (
        manifests.Listed(
            ("koku-local", "20180801-20180901", "16e57707-f9e3-49be-8be6-b84e684b5194", "koku-local-1.csv.gz")
        ),
    )
    assert (len(report.columns), report.columns[0], report.columns[-1]) == (
        57,
        "identity/LineItemId",
        "reservation/UpfrontValue",
    )
    export = read(sample_data / "billing/koku/azure_export_manifest.json")
    assert export
    assert export.shown == "Azure export partitioned 2023-01-01 to 2023-01-31"
    assert [(one.bytes, one.rows) for one in export.files] == [(423869, 490)]
    assert export.created
    assert export.created.isoformat() == "2023-01-04T14:42:00+00:00"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", "{}"),
        ("manifest.json", "[1]"),
        ("manifest.json", '"text"'),
        ("cur-RedshiftManifest.json", '{"entries": [{"url": "s3://x/y.csv.gz", "mandatory": true}]}'),
        ("my-manifesto.json", "no JSON"),
    ],
)
def test_any_other_json_is_no_manifest(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    assert read(tmp_path / name) is None


KEY = "x/20260901-20260930/run/a.csv"
MALFORMED = {
    "no list": ({"blobs": {}}, "has no list in blobs"),
    "no files": ({"reportKeys": []}, "lists no file"),
    "no object": ({"blobs": ["a.csv"]}, "has an entry that is no object: 'a.csv'"),
    "no name": ({"blobs": [{}]}, "lists '', which is no object key"),
    "a number for a key": ({"reportKeys": [1]}, "lists '1', which is no object key"),
    "a key twice": ({"blobs": [{"blobName": KEY}, {"blobName": "/" + KEY}]}, f"lists '{KEY}' twice"),
    "upward": ({"reportKeys": ["x/../../secret.csv"]}, "lists 'x/../../secret.csv', which is no object key"),
    "here": ({"dataFiles": ["s3://b/./a.csv"]}, "which is no object key"),
    "NUL": ({"dataFiles": ["s3://b/a\0.csv"]}, "which is no object key"),
    "control characters": ({"dataFiles": ["s3://b/\x1b[31ma.csv"]}, "which is no object key"),
    "half a character": ({"dataFiles": ["s3://b/\ud800.csv"]}, "which is no object key"),
    "endless key": ({"dataFiles": ["a/" * 600 + "b.csv"]}, "which is no object key"),
    "no text": ({"dataFiles": [KEY], "executionId": 7}, "has no text in executionId: '7'"),
    "a negative count": ({"blobs": [{"blobName": KEY, "byteCount": -1}]}, "has no count in byteCount: '-1'"),
    "half a row": ({"blobs": [{"blobName": KEY, "dataRowCount": 1.5}]}, "has no count in dataRowCount: '1.5'"),
    "true rows": ({"blobs": [{"blobName": KEY, "dataRowCount": True}]}, "has no count in dataRowCount: 'True'"),
    "blobs that don't add up": ({"blobs": [{"blobName": KEY}], "blobCount": 2}, "says blobCount 2, and its blobs add up to 1"),
    "rows that don't add up": (
        {"blobs": [{"blobName": KEY, "dataRowCount": 3}], "dataRowCount": 1_000},
        "says dataRowCount 1,000, and its blobs add up to 3",
    ),
    "two folders": ({"reportKeys": [KEY, KEY.replace("run", "other")]}, "lists files of one delivery in two folders"),
    "a period that is none": ({"reportKeys": [KEY], "billingPeriod": "2026"}, "has an entry that is no object: '2026'"),
    "too many files": ({"dataFiles": [""] * (manifests.FILES_MAX + 1)}, "has 100,001 entries in dataFiles"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_manifest_with_a_field_that_can_not_be_is_refused(name, tmp_path):
    content, what = MALFORMED[name]
    message = said(tmp_path, content)
    assert message.startswith("manifest.json B251 is a manifest that ")
    assert what in message
    assert message.endswith("; deliver it again, or remove it with its files")
    assert message.isprintable()


@pytest.mark.parametrize(
    "content",
    [b"", b'{"blobs": [', b"\xff\xfe{\x00", b"<html>", b"[" * 100_000, b'{"byteCount": ' + b"9" * 5_000 + b"}"],
    ids=["empty", "cut off", "UTF-16", "a page", "deep", "an endless number"],
)
@pytest.mark.parametrize("name", ["manifest.json", "cur-Manifest.json"])
def test_what_is_named_as_a_providers_manifest_and_is_no_json_is_refused(name, content, tmp_path):
    message = said(tmp_path, content, name)
    assert message.startswith(f"{name} B250 is no manifest that can be read: ")


def test_a_manifest_of_endless_bytes_is_not_read_to_its_end(tmp_path):
    message = said(tmp_path, b" " * (manifests.BYTES_MAX + 2))
    assert "B250" in message
    assert "more than 33,554,432 bytes" in message


def test_a_byte_order_mark_is_no_defect(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"\xef\xbb\xbf" + (CASES / "azure_2021.json").read_bytes())
    assert read(tmp_path / "manifest.json")
