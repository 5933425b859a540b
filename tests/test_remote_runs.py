"""Bills in a bucket, as a user of the command line meets them: init, doctor, run, a denied source, an impatient Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests import object_stores
from tests.object_stores import Bucket, Fault
from tests.project import charge, write_csv, write_project

ROOT = Path(__file__).resolve().parent.parent
GOOD = '{"cost-center": "A"}'


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with object_stores.s3() as made:
        yield made


def governor(bucket: Bucket, *arguments: str | Path, port: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with credentials in its environment and nowhere else."""
    command = [sys.executable, "-m", "governor", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **bucket.environment(port or bucket.port), **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def bill(tmp: Path, *rows: dict[str, str]) -> bytes:
    return write_csv(tmp / "bill.csv", rows).read_bytes()


def project(folder: Path, *addresses: str) -> Path:
    """A project whose sources lie at these addresses."""
    config = write_project(folder, [charge("1")])
    lines = "\n".join(f'  - {{name: bill{n}, format: focus, path: "{one}"}}' for n, one in enumerate(addresses))
    text = config.read_text()
    start = text.index("  - {name: bill, ")
    config.write_text(text[:start] + lines + text[text.index("\n", start) :])
    return config


def manifest(config: Path) -> dict[str, Any]:
    [run] = (config.parent / "ledger" / "runs").iterdir()
    made: dict[str, Any] = json.loads((run / "manifest.json").read_bytes())
    return made


def test_a_run_names_the_objects_and_is_the_same_wherever_the_cache_is(tmp_path: Path, bucket: Bucket) -> None:
    data = bill(tmp_path, charge("10", Tags=GOOD), charge("bad", Tags=GOOD))
    bucket.put("same/2026/a.csv", data)
    bucket.put("same/readme.txt", b"hello")
    one, two = (project(tmp_path / name, "s3://bills/same") for name in ("one", "two"))
    done = governor(bucket, "run", "-c", one)
    assert done.returncode == 3, done.stderr
    assert governor(bucket, "run", "-c", two, GOVERNOR_CACHE=str(tmp_path / "elsewhere")).returncode == 3
    assert (one.parent / ".governor-cache/bill0/s3:/bills/same/2026/a.csv").read_bytes() == data
    assert (tmp_path / "elsewhere/bill0/s3:/bills/same/2026/a.csv").read_bytes() == data
    assert not (two.parent / ".governor-cache").exists()
    first, second = manifest(one), manifest(two)
    assert first["inputs"] == second["inputs"]
    assert first["outputs"] == second["outputs"]
    [delivery] = [given for given in first["inputs"] if given["kind"] == "billing"]
    [file] = delivery["files"]
    etag = object_stores.s3_client(bucket.port).head_object(Bucket="bills", Key="same/2026/a.csv")["ETag"].strip('"')
    assert (file["path"], file["stored"]) == ("s3://bills/same/2026/a.csv", etag)
    assert delivery["why"].endswith("; not fetched, not data: s3://bills/same/readme.txt")
    [reject] = pq.read_table(one.parent / "ledger/runs/000001/rejects.parquet").to_pylist()
    assert reject["file"] == "s3://bills/same/2026/a.csv"


def test_a_public_bill_in_a_bucket_becomes_the_charges_it_is(tmp_path: Path, bucket: Bucket, sample_data: Path) -> None:
    """Every total, held against an independent sum over the file."""
    sample = sample_data / "billing/focus_sample_1.0/focus_sample.csv"
    bucket.put("public/focus_sample.csv", sample.read_bytes())
    config = project(tmp_path / "project", "s3://bills/public/focus_sample.csv")
    governor(bucket, "run", "-c", config, "--no-reports")
    expected: Counter[tuple[str, ...]] = Counter()
    with sample.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            key = (row["ChargeCategory"], row["SubAccountId"], row["BillingCurrency"])
            expected[key] += Decimal(row["BilledCost"])
    [snapshot] = manifest(config)["snapshots"].values()
    rows = pq.read_table(config.parent / "ledger/snapshots" / snapshot["folder"] / "charges.parquet").to_pylist()
    found: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        found[row["charge_category"], row["sub_account_id"], row["billing_currency"]] += row["billed_cost"]
    assert found == expected


def test_a_source_that_is_denied_leaves_the_others_and_is_never_clean(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("good/a.csv", bill(tmp_path, charge("10", Tags=GOOD)))
    bucket.put("denied/b.csv", bill(tmp_path, charge("20", Tags=GOOD)))
    with object_stores.proxy(bucket.port) as proxy:
        proxy.faults = [Fault("prefix=denied", times=99, status=403)]
        config = project(tmp_path / "project", "s3://bills/good/", "s3://bills/denied/")
        done = governor(bucket, "run", "-c", config, "--no-reports", port=proxy.port)
        assert done.returncode == 3, done.stderr
        assert "B291 s3://bills/denied/ can't be listed: s3:ListBucket is missing" in done.stderr
        assert "not-a-secret" not in done.stdout + done.stderr
        gaps = pq.read_table(config.parent / "ledger/runs/000001/gaps.parquet").to_pylist()
        assert [gap["reason"] for gap in gaps] == ["denied"]
        alone = project(tmp_path / "alone", "s3://bills/denied/")
        assert governor(bucket, "run", "-c", alone, "--no-reports", port=proxy.port).returncode == 2
        assert not list((alone.parent / "ledger/runs").iterdir())


@pytest.mark.slow
def test_ctrl_c_in_a_download_leaves_what_had_come_and_commits_nothing(tmp_path: Path, bucket: Bucket) -> None:
    """The next run asks for the rest, and for nothing else."""
    data = bill(tmp_path, *[charge("1", Tags=GOOD, ResourceId=f"vm-{n}") for n in range(20_000)])
    bucket.put("long/a.csv", data)
    config = project(tmp_path / "project", "s3://bills/long/a.csv")
    half = len(data) // 2
    with object_stores.proxy(bucket.port) as proxy:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **bucket.environment(proxy.port)}
        command = [sys.executable, "-m", "governor", "run", "-c", str(config)]
        ended = threading.Event()
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:

            def interrupt() -> None:
                while not [p for p in config.parent.glob(".governor-cache/bill0/parts/*") if p.stat().st_size]:
                    time.sleep(0.01)
                running.send_signal(signal.SIGINT)
                ended.wait(60)

            proxy.faults = [Fault("^GET /bills/long/a.csv", cut_after=half, cutting=interrupt)]
            said = running.stderr.read()
            code = running.wait(60)
            ended.set()
        assert (code, "interrupted; nothing was committed" in said) == (130, True), said
        [part] = (config.parent / ".governor-cache/bill0/parts").iterdir()
        kept = part.read_bytes()
        assert data.startswith(kept)
        assert 0 < len(kept) <= half
        proxy.seen.clear()
        assert governor(bucket, "run", "-c", config, "--no-reports", port=proxy.port).returncode == 0
        assert proxy.bodies("long/a.csv") == [(f"bytes={len(kept)}-", len(data) - len(kept))]


def test_init_and_doctor_know_buckets(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("new/a.csv", bill(tmp_path, charge("10", Tags=GOOD)))
    folder = tmp_path / "project"
    done = governor(bucket, "init", folder, "--bill", "s3://bills/new")
    assert done.returncode == 0, done.stderr
    assert 'path: "s3://bills/new"' in (folder / "governor.yaml").read_text()
    with object_stores.proxy(bucket.port) as proxy:
        assert governor(bucket, "run", "-c", folder, "--no-reports", port=proxy.port).returncode in (0, 1)
        assert not proxy.bodies("new/a.csv"), "what init fetched is there for the run"
        done = governor(bucket, "doctor", "-c", folder, port=proxy.port)
        assert "ok    bill bill: 1 objects, " in done.stdout
        assert "  cache: default" in done.stdout
        proxy.faults = [Fault("prefix=", times=99, status=403)]
        done = governor(bucket, "doctor", "-c", folder, port=proxy.port)
        assert (done.returncode, "B291" in done.stdout) == (2, True)
    for address, code in (("s3://bills/typo", "B290"), ("s3://bucket-that-is-not", "B292"), ("ftp://x/y", "C009")):
        done = governor(bucket, "init", tmp_path / "other", "--bill", address)
        assert (done.returncode, code in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "other" / "governor.yaml").exists()
    secret = "https://account.blob.core.windows.net/bills/x.csv?sig=c2VjcmV0"
    assert "c2VjcmV0" not in governor(bucket, "init", tmp_path / "other", "--bill", secret).stderr


def test_nobody_signed_in_is_said_with_how_to_sign_in(tmp_path: Path, bucket: Bucket) -> None:
    config = project(tmp_path / "project", "s3://bills/x")
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = governor(bucket, "run", "-c", config, **nobody)
    assert done.returncode == 2
    assert "B302 no valid credentials for s3://bills/x: Unable to locate credentials; sign in with" in done.stderr


def test_a_source_may_name_its_server_and_its_profile(tmp_path: Path, bucket: Bucket) -> None:
    """For what speaks S3's protocol elsewhere, and for more than one account."""
    bucket.put("own/a.csv", bill(tmp_path, charge("10", Tags=GOOD)))
    (tmp_path / "credentials").write_text("[billing]\naws_access_key_id = x\naws_secret_access_key = not-a-secret\n")
    clean = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_ENDPOINT_URL": ""}
    clean |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    config = project(tmp_path / "project", "s3://bills/own")
    told = config.read_text()
    s3 = f'"s3://bills/own", s3: {{profile: billing, endpoint: "http://127.0.0.1:{bucket.port}"}}'
    config.write_text(told.replace('"s3://bills/own"', s3))
    assert governor(bucket, "run", "-c", config, "--no-reports", **clean).returncode == 0
    config.write_text(told.replace('"s3://bills/own"', s3.replace("billing", "biling")))
    done = governor(bucket, "run", "-c", config, "--no-reports", **clean)
    assert "B302 no valid credentials for s3://bills/own: The config profile (biling) could not be found" in done.stderr


def test_no_cloud_library_is_loaded_where_no_bill_is_remote(tmp_path: Path) -> None:
    config = write_project(tmp_path, [charge("10", Tags=GOOD)])
    program = f"""
import sys
from governor.cli import main
try:
    main(["run", "-c", {str(config)!r}, "--no-reports", "-q"])
except SystemExit as ended:
    assert ended.code == 0, ended.code
loaded = {{"boto3", "botocore", "google.cloud.storage", "azure.core", "requests", "urllib3"}} & set(sys.modules)
assert not loaded, loaded
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
