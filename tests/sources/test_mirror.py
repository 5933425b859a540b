"""A mirror on this disk: nothing leads out of it, nothing of it is trusted, and what it can't hold is refused."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.address import Address, from_mirror, to_mirror
from governor.config import BillingSource
from governor.model import Position, Refused
from governor.sources.billing import files
from governor.sources.stores import Failed, Store, StoredObject, listing, s3
from governor.sources.stores.listing import Patience, list_bill
from governor.sources.stores.mirror import _read_on, bring
from tests import object_stores
from tests.object_stores import Bucket

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = Position("governor.yaml", 5, 5)


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with object_stores.s3() as bucket:
        yield bucket


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in server.environment(server.port).items():
        monkeypatch.setenv(name, value)
    return server


def source(bucket: Bucket, key: str) -> BillingSource:
    return BillingSource("bill", "auto", bucket.address(key), PLACE)


def problems(do: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        do()
    return [str(problem) for problem in refused.value.problems]


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def fake(pages: list[list[StoredObject]], tokens: list[str]) -> Store:
    """A store that lists these pages, as a hostile or broken one may."""

    def list_page(prefix: str, token: str) -> tuple[list[StoredObject], str]:
        at = tokens.index(token) + 1 if token else 0
        return [o for o in pages[at] if o.key.startswith(prefix)], tokens[at]

    return Store(list_page, lambda *_: None, lambda _: {}, s3._checksum, "to list", "to read")


def listed(*keys: str | StoredObject, key: str = "x/") -> dict[str, StoredObject]:
    objects = [StoredObject(one, 1, "v1") if isinstance(one, str) else one for one in keys]
    return dict(list_bill(fake([objects], [""]), Address("s3", "bucket", key), PLACE, Patience(())).objects)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_key_leads_nowhere_else_and_can_be_told_from_its_place(key: str) -> None:
    name = f"s3://bucket/{key}"
    path = to_mirror(name)
    assert from_mirror(path) == name
    assert os.path.normpath(path) == path, "no part of it moves"
    assert path.startswith("s3:/bucket/")
    assert "\0" not in path
    assert files.shown(Path("/mirror") / path, Path("/mirror")) == name


HOSTILE = [
    "x/../../../etc/passwd.csv",
    "x//tmp/a.csv",
    "x/./a.csv",
    "x/\0nul.csv",
    "x/a\\b.csv",
    "x/\n.csv",
    "x/[a]*.csv",
]


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_key_stays_inside(tmp_path: Path, key: str) -> None:
    """Hidden folders (`..` begins with a dot) are left; the others lie below the bucket's folder."""
    paths = list(listed("x/b.csv", key))
    assert len(paths) == (1 if "/." in key else 2)
    for path in paths:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"")
        assert target.resolve().is_relative_to(tmp_path / "s3:/bucket/x")


@pytest.mark.parametrize(
    ("keys", "code", "says"),
    [
        (
            ["x/Bill.csv", "x/bill.csv"],
            "B300",
            "s3://bucket/x/bill.csv B300 differs from s3://bucket/x/Bill.csv in case",
        ),
        (["x/\u00e9.csv", "x/e\u0301.csv"], "B300", "in case only"),
        (["x/a.csv", "x/a.csv/part-0.csv"], "B300", "lies in a folder with the name of the object s3://bucket/x/a.csv"),
        (["x/" + "a" * 300 + ".csv"], "B300", "has a name too long for a disk"),
        (["x/" + "a/" * 2_000 + "a.csv"], "B300", "has a name too long for a disk"),
        (["x/\ud800.csv"], "B300", "has a name that is no text"),
        ([StoredObject("x/a.csv", 1 << 40, "v")], "B298", "1,099,511,627,776 bytes, more than"),
        ([StoredObject(f"x/{n}.csv", 60 << 30, "v") for n in range(20)], "B298", "s3://bucket/x/ holds"),
        (
            [StoredObject("x/a.csv", 1, "v1"), StoredObject("x/a.csv", 1, "v2")],
            "B295",
            "was replaced while it was listed",
        ),
        (["x/_delta_log/0.json", "x/a.parquet"], "B008", "marks a Delta table"),
        (["x/a.csv", "x/b.zip"], "B008", "s3://bucket/x/b.zip B008 can't be read as it is; unpack"),
        (["x/manifest.json"], "B290", "there is no data object at s3://bucket/x/"),
        (["x/_hidden/a.csv", "x/.b.csv"], "B290", "left aside: s3://bucket/x/_hidden/a.csv, s3://bucket/x/.b.csv"),
    ],
)
def test_what_a_disk_or_a_run_cannot_use_is_refused_by_name(keys: list[str], code: str, says: str) -> None:
    found = problems(lambda: listed(*keys))
    assert any(f" {code} " in problem and says in problem for problem in found), found


def test_a_list_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that leads in circles, and a bucket larger than any bill."""
    pages = [[StoredObject("x/a.csv", 1, "v")], [StoredObject("x/b.csv", 1, "v")]]
    address = Address("s3", "bucket", "x/")
    circle = fake(pages, ["again", "again"])
    assert "B293" in problems(lambda: list_bill(circle, address, PLACE, Patience(())))[0]
    monkeypatch.setattr(listing, "OBJECTS_MAX", 1)
    endless = fake(pages, ["more", ""])
    [problem] = problems(lambda: list_bill(endless, address, PLACE, Patience(())))
    assert "B298 s3://bucket/x/ has more than 1 objects; name a folder with fewer" in problem


def test_a_store_that_sends_more_than_the_rest_leaves_no_part_behind(tmp_path: Path) -> None:
    """A server that ignores where to begin must not spoil every later try."""
    part = tmp_path / "part"
    part.write_bytes(b"abc")
    whole = replace(fake([], []), read=lambda _stored, _start, write: [write(b"ab"), write(b"cde")])
    with pytest.raises(Failed, match="other"):
        _read_on(whole, StoredObject("a.csv", 5, "v"), part, lambda _done: None, Patience(()))
    assert part.read_bytes() == b""


def test_patience_counts_from_the_last_progress_and_ends() -> None:
    tried: list[int] = []

    def fail() -> None:
        tried.append(len(tried))
        raise Failed("busy", "later")

    with pytest.raises(Failed):
        Patience((0, 0)).persist(fail)
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(Failed):
        Patience((0, 0)).persist(fail, lambda: min(len(tried), 5))
    assert len(tried) == 7, "two more after the fifth and last that moved"
    tried.clear()
    with pytest.raises(Failed):
        Patience((0, 0), deadline=0).persist(fail)
    assert len(tried) == 1


def test_links_in_the_cache_are_not_followed(tmp_path: Path, bucket: Bucket) -> None:
    """What a repository from elsewhere may hold must not make governor write or remove outside of its cache."""
    bucket.put("links/a.csv", b"a bill")
    outside = tmp_path / "outside"
    (outside / "parts").mkdir(parents=True)
    (outside / "keep.csv").write_text("mine")
    cache = tmp_path / "cache"
    cache.mkdir()
    for link in (cache / "bill", cache / "bill" / "s3:", cache / "bill" / "parts"):
        shutil.rmtree(cache / "bill", ignore_errors=True)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(outside)
        [problem] = problems(lambda: bring(source(bucket, "links"), tmp_path, cache, silent))
        assert f"B303 {link} is a link to {outside}" in problem
        link.unlink()
    inner = cache / "bill/s3:/bills"
    inner.mkdir(parents=True)
    (inner / "links").symlink_to(outside)
    local = bring(source(bucket, "links"), tmp_path, cache, silent)
    assert [p.name for p in local.root.rglob("*.csv")] == ["a.csv"]
    assert sorted(p.name for p in outside.iterdir()) == ["keep.csv", "parts"]


def test_files_that_are_not_the_mirrors_are_not_removed(tmp_path: Path, bucket: Bucket) -> None:
    """A cache that was set to a folder of somebody's own loses nothing of it."""
    bucket.put("own/a.csv", b"a bill")
    for name in ("bill/notes.csv", "bill/parts/mine.csv", "bill/known/list.txt", "other.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    bring(source(bucket, "own"), tmp_path, tmp_path, silent)
    for name in ("bill/notes.csv", "bill/parts/mine.csv", "bill/known/list.txt", "other.csv"):
        assert (tmp_path / name).read_text() == "mine"


def test_two_downloads_do_not_write_into_one_another(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("lock/a.csv", b"a bill")
    bring(source(bucket, "lock"), tmp_path, tmp_path / "cache", silent)
    with (tmp_path / "cache/bill/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        [problem] = problems(lambda: bring(source(bucket, "lock"), tmp_path, tmp_path / "cache", silent))
    assert f"B303 another governor downloads into {tmp_path / 'cache/bill'}; wait for it, or end it" in problem


def test_what_the_disk_cannot_hold_is_refused_before_the_first_byte(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("full/a.csv", b"a bill")
    free = shutil.disk_usage(tmp_path)._replace(free=(1 << 30) + 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    [problem] = problems(lambda: bring(source(bucket, "full"), tmp_path, tmp_path / "cache", silent))
    assert f"B299 6 bytes are to be downloaded, and 5 are free at {tmp_path / 'cache/bill'}" in problem
    assert not list((tmp_path / "cache").rglob("*.csv"))


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("taken/a.csv", b"a bill")
    (tmp_path / "cache").write_text("a file")
    [problem] = problems(lambda: bring(source(bucket, "taken"), tmp_path, tmp_path / "cache", silent))
    assert "B303 the copy of s3://bills/taken can't be kept: " in problem
    assert "GOVERNOR_CACHE" in problem


@pytest.mark.parametrize(
    ("scheme", "library", "extra"),
    [("s3", "boto3", "aws"), ("gs", "google.cloud.storage", "gcp"), ("az", "azure.storage.blob", "azure")],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(scheme: str, library: str, extra: str) -> None:
    program = f"""
import sys
sys.modules[{library.split(".", maxsplit=1)[0]!r}] = None
from governor.address import parse
from governor.model import Position, Refused
from governor.sources.stores import open_store
place = Position("governor.yaml", 5, 5)
try:
    open_store(parse("{scheme}://account/container/x", place), {{}}, place)
except Refused as refused:
    print(refused)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        f"governor.yaml:5:5 B301 {scheme}:// needs a library that isn't installed ({library.split('.', maxsplit=1)[0]}"
        in done.stdout
    )
    assert f"pip install 'finops-governor[{extra}]'" in done.stdout


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32", "CRC32C", "CRC64NVME", ""])
def test_s3_objects_are_held_against_the_checksum_that_s3_keeps(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """Whatever it is; without one, against the ETag."""
    key = f"sums/{algorithm}/a.csv"
    given = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    object_stores.s3_client(bucket.port).put_object(Bucket="bills", Key=key, Body=b"a bill", **given)
    with object_stores.proxy(bucket.port) as proxy:
        for name, value in bucket.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        proxy.faults = [object_stores.Fault("^GET /bills/sums", flip=2)]
        [problem] = problems(lambda: bring(source(bucket, key), tmp_path, tmp_path / "cache", silent))
        assert (
            f"B296 arrived with another checksum than the store keeps of it ({algorithm.lower() or 'md5'})" in problem
        )
        local = bring(source(bucket, key), tmp_path, tmp_path / "cache", silent)
        assert next(local.root.rglob("a.csv")).read_bytes() == b"a bill"


MD5 = "0cc175b9c0f1b6a831c399e269772661"


@pytest.mark.parametrize(
    ("head", "etag", "algorithms"),
    [
        ({}, MD5, ["md5"]),
        ({"ServerSideEncryption": "AES256"}, MD5, ["md5"]),
        ({"ServerSideEncryption": "aws:kms"}, MD5, []),
        ({"SSECustomerAlgorithm": "AES256"}, MD5, []),
        ({}, f"{MD5}-12", []),
        ({"ChecksumCRC32": "AAAAAA==-12", "ChecksumType": "COMPOSITE"}, f"{MD5}-12", []),
        ({"ChecksumCRC64NVME": "AAAAAAAAAAA=", "ChecksumType": "FULL_OBJECT"}, f"{MD5}-12", ["crc64nvme"]),
        ({"ChecksumSHA256": "AAAA", "ServerSideEncryption": "aws:kms"}, MD5, ["sha256"]),
    ],
)
def test_what_says_nothing_of_the_whole_object_is_no_checksum_of_it(
    head: dict[str, str], etag: str, algorithms: list[str]
) -> None:
    """An ETag is an MD5 only of an object in one piece that no other key encrypts; parts' checksums need the parts."""
    assert list(s3._checksums(head, etag)) == algorithms


def test_a_cache_is_not_to_be_committed(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("git/a.csv", b"a bill")
    local = bring(source(bucket, "git"), tmp_path, tmp_path / "cache", silent)
    assert (tmp_path / "cache/.gitignore").read_text() == "*\n"
    assert replace(local.source, path="") == replace(source(bucket, "git"), path="")
