"""Bills in object stores: the same promises on S3, Google Cloud Storage and Azure Blob, each on a real server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from governor.config import BillingSource
from governor.model import Position, Refused
from governor.sources.stores.listing import Patience
from governor.sources.stores.mirror import Local, bring, survey
from tests import object_stores
from tests.object_stores import Bucket, Fault, Proxy

pytestmark = pytest.mark.usefixtures("proxy")
SOON = (0.01,) * 6
BIG = hashlib.shake_256(b"a bill").digest(9_000_000)  # more than two of Azure's chunks, and nothing repeats
PLACE = Position("governor.yaml", 5, 5)


@pytest.fixture(scope="module", params=["s3", "gs", pytest.param("az", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    with object_stores.STORES[request.param]() as bucket:
        yield bucket


@pytest.fixture
def proxy(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What the libraries are led to: the server, behind a proxy that keeps count."""
    with object_stores.proxy(server.port) as made:
        for name, value in server.environment(made.port).items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def bucket(server: Bucket, request: pytest.FixtureRequest) -> Bucket:
    """The server's bucket as seen below a folder of this test's own."""
    folder = re.sub(r"\W+", "-", request.node.name)
    return replace(
        server,
        root=f"{server.root}/{folder}",
        put=lambda key, data: server.put(f"{folder}/{key}", data),
        remove=lambda key: server.remove(f"{folder}/{key}"),
    )


def source(bucket: Bucket, key: str = "") -> BillingSource:
    return BillingSource("bill", "auto", bucket.address(key), PLACE)


def mirror(tmp: Path, bucket: Bucket, key: str = "") -> Local:
    return bring(source(bucket, key), tmp, tmp / "cache", lambda _what, _done, _total: None, Patience(SOON))


def held(local: Local, bucket: Bucket) -> dict[str, bytes]:
    """What lies below the mirror, by the part of the key after the test's folder."""
    top = local.root / bucket.address().replace("://", ":/")
    return {p.relative_to(top).as_posix(): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


def refused(tmp: Path, bucket: Bucket, key: str = "") -> list[str]:
    with pytest.raises(Refused) as caught:
        mirror(tmp, bucket, key)
    return [str(problem) for problem in caught.value.problems]


def fetched(proxy: Proxy) -> list[str]:
    """The names of the objects whose bytes were asked for."""
    lines = [line for line, _, sent in proxy.seen if re.search(r"/[^/?]+\.(csv|json)(\?|$)", line) and sent]
    return [re.search(r"(?:/|%2F)([^/?%]+)(?:\?|$)", line)[1] for line in lines]


def test_a_folder_is_mirrored_with_its_structure(tmp_path: Path, bucket: Bucket) -> None:
    """Data and manifests come, at the places of their keys; what isn't data is named and left."""
    files = {"2026/09/a.csv": b"one", "2026/10/b ü+%20.csv": b"two", "2026/Manifest.json": b"{}", "2026/none.csv": b""}
    for key, data in (files | {"2026/readme.txt": b"hello", "2026-old/c.csv": b"no"}).items():
        bucket.put(key, data)
    for key in ("2026", "2026/"):
        local = mirror(tmp_path, bucket, key)
        assert held(local, bucket) == {key.replace("%", "%25"): data for key, data in files.items()}
        assert local.left == (bucket.address("2026/readme.txt"),)
        assert sorted(local.versions) == sorted(map(bucket.address, files))


def test_what_only_stands_for_a_folder_is_no_object(tmp_path: Path, bucket: Bucket) -> None:
    for key, data in (("x/", b""), ("x/2026/", b""), ("x/2026/a.csv", b"a bill")):
        bucket.put(key, data)
    for key in ("x", "x/"):
        local = mirror(tmp_path, bucket, key)
        assert (held(local, bucket), local.left) == ({"x/2026/a.csv": b"a bill"}, ())


def test_an_object_or_a_pattern_of_the_last_part_may_be_named(tmp_path: Path, bucket: Bucket) -> None:
    for key in ("x/bill-1.csv", "x/bill-2.csv", "x/other.csv", "x/bill-1.csv.sub/bill-3.csv", "x/bill-1.csvx"):
        bucket.put(key, key.encode())
    assert list(held(mirror(tmp_path, bucket, "x/bill-1.csv"), bucket)) == ["x/bill-1.csv"]
    assert list(held(mirror(tmp_path, bucket, "x/bill-*.csv"), bucket)) == ["x/bill-1.csv", "x/bill-2.csv"]


def test_what_is_here_unchanged_is_not_fetched_again(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    for key in ("a.csv", "b.csv", "c.csv", "d.csv"):
        bucket.put(key, key.encode())
    local = mirror(tmp_path, bucket)
    proxy.seen.clear()
    mirror(tmp_path, bucket)
    assert fetched(proxy) == []
    bucket.put("b.csv", b"other")  # changed in the store
    bucket.remove("c.csv")  # vanished from the store
    next(local.root.rglob("d.csv")).write_bytes(b"D.CSV")  # changed here: not what was verified
    local = mirror(tmp_path, bucket)
    assert held(local, bucket) == {"a.csv": b"a.csv", "b.csv": b"other", "d.csv": b"d.csv"}
    assert sorted(set(fetched(proxy))) == ["b.csv", "d.csv"]


def test_a_download_that_is_cut_goes_on_where_it_broke_off(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    """Only the rest is asked for, in the same run. (Azure's library reads chunks, and tries each of them four times.)"""
    bucket.put("big.csv", BIG)
    second = 4 << 20
    if bucket.scheme == "az":
        proxy.faults = [Fault(rf"^GET .*big\.csv .*bytes={second}-", times=6, cut_after=1_000_000)]
    else:
        proxy.faults = [Fault(r"^GET .*big\.csv", cut_after=3_000_000)]
    assert held(mirror(tmp_path, bucket), bucket) == {"big.csv": BIG}
    starts = [int(re.search(r"=(\d+)-|$", asked)[1] or 0) for asked, _ in proxy.bodies("big.csv")]
    if bucket.scheme == "az":
        assert (starts[0], set(starts[1:7])) == (0, {second}), "the chunk that was cut is fetched again, no other"
        assert starts.count(0) == 1
    else:
        assert starts == [0, 3_000_000]
        assert proxy.bodies("big.csv")[1][1] == len(BIG) - 3_000_000


def test_a_download_that_was_interrupted_goes_on_in_the_next_run(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    bucket.put("big.csv", BIG)

    def interrupt(_what: str, done: int, _total: int) -> None:
        if done > 4 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(source(bucket), tmp_path, tmp_path / "cache", interrupt)
    [part] = (tmp_path / "cache/bill/parts").iterdir()
    kept = part.stat().st_size
    assert part.read_bytes() == BIG[:kept]
    assert kept > 4 << 20
    assert not list((tmp_path / "cache").rglob("big.csv")), "no name before it is whole"
    proxy.seen.clear()
    assert held(mirror(tmp_path, bucket), bucket) == {"big.csv": BIG}
    assert sum(sent for _, sent in proxy.bodies("big.csv")) == len(BIG) - kept


def test_a_part_of_an_object_that_was_replaced_since_is_not_gone_on_with(tmp_path: Path, bucket: Bucket) -> None:
    """Never a mixture: of an old and a new version, nor of a part that something else wrote into."""
    bucket.put("big.csv", BIG)

    def interrupt(_what: str, done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(source(bucket), tmp_path, tmp_path / "cache", interrupt)
    bucket.put("big.csv", BIG[::-1])
    assert held(mirror(tmp_path, bucket), bucket) == {"big.csv": BIG[::-1]}
    assert not list((tmp_path / "cache/bill/parts").iterdir())
    bucket.put("big.csv", BIG)
    with pytest.raises(KeyboardInterrupt):
        bring(source(bucket), tmp_path, tmp_path / "cache", interrupt)
    [part] = (tmp_path / "cache/bill/parts").iterdir()
    part.write_bytes(b"?" * part.stat().st_size)
    assert held(mirror(tmp_path, bucket), bucket) == {"big.csv": BIG}


def test_an_object_replaced_while_it_is_read_is_refused(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    bucket.put("a.csv", b"first")
    proxy.faults = [Fault(r"^(GET|HEAD) .*a\.csv", then=lambda: bucket.put("a.csv", b"second"))]
    [problem] = refused(tmp_path, bucket)
    assert problem.startswith(f"{bucket.address('a.csv')} B295 was replaced after it was listed; run again")
    assert held(mirror(tmp_path, bucket), bucket) == {"a.csv": b"second"}
    bucket.put("a.csv", b"third")
    proxy.faults = [Fault(r"^(GET|HEAD) .*a\.csv", then=lambda: bucket.remove("a.csv"))]
    assert re.search("B295 was (removed|replaced) after it was listed", refused(tmp_path, bucket)[0])


def test_bytes_that_do_not_fit_the_stores_checksum_are_refused(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    bucket.put("a.csv", b"a bill")
    bucket.put("b.csv", b"another")
    proxy.faults = [Fault(r"^GET .*a\.csv", flip=3)]
    [problem] = refused(tmp_path, bucket)
    assert re.match(rf"{bucket.address('a.csv')} B296 arrived with another checksum .*\((md5|crc|sha)", problem)
    assert not list((tmp_path / "cache").rglob("a.csv"))
    proxy.seen.clear()
    assert held(mirror(tmp_path, bucket), bucket) == {"a.csv": b"a bill", "b.csv": b"another"}
    assert fetched(proxy) == ["a.csv"], "the other one had arrived"


def test_a_body_shorter_than_the_object_is_not_taken_for_it(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    bucket.put("a.csv", b"a bill of some bytes")
    proxy.faults = [Fault(r"^GET .*a\.csv", short=7)]
    assert held(mirror(tmp_path, bucket), bucket) == {"a.csv": b"a bill of some bytes"}
    proxy.faults = [Fault(r"^GET .*a\.csv", times=99, short=0)]
    bucket.put("a.csv", b"another bill of bytes")
    [problem] = refused(tmp_path, bucket)
    assert problem.startswith(f"{bucket.address('a.csv')} B297 can't be fetched whole: ")


def test_a_store_that_is_busy_is_asked_again_and_refused_in_the_end(
    tmp_path: Path, bucket: Bucket, proxy: Proxy
) -> None:
    bucket.put("a.csv", b"a bill")
    slow = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
    proxy.faults = [Fault("^GET", times=3, status=503, body=slow), Fault(r"^GET .*a\.csv", times=2, status=503)]
    assert held(mirror(tmp_path, bucket), bucket) == {"a.csv": b"a bill"}
    proxy.faults = [Fault("^GET", times=99, status=503, body=slow)]
    [problem] = refused(tmp_path, bucket)
    assert problem.startswith(f"governor.yaml:5:5 B293 {bucket.address()} can't be listed: ")
    bucket.put("a.csv", b"new")
    proxy.faults = [Fault(r"^GET .*a\.csv", times=99, status=503, body=slow)]
    assert " B297 can't be fetched whole: " in refused(tmp_path, bucket)[0]


PERMISSIONS = {
    "s3": ("s3:ListBucket", "s3:GetObject"),
    "gs": ("storage.objects.list", "storage.objects.get"),
    "az": ("the role Storage Blob Data Reader",) * 2,
}


def test_a_denied_store_names_the_permission_and_leaves_the_copies(
    tmp_path: Path, bucket: Bucket, proxy: Proxy
) -> None:
    """Denied is never an empty list: what was here stays here, and isn't read."""
    to_list, to_read = PERMISSIONS[bucket.scheme]
    bucket.put("a.csv", b"a bill")
    local = mirror(tmp_path, bucket)
    proxy.faults = [Fault("^GET .*prefix=", status=403)]
    [problem] = refused(tmp_path, bucket)
    assert f"B291 {bucket.address()} can't be listed: {to_list} is missing" in problem
    assert held(local, bucket) == {"a.csv": b"a bill"}
    bucket.put("b.csv", b"another")
    bucket.put("c.csv", b"a third")
    proxy.faults = [Fault(r"^(GET|HEAD) .*b\.csv", status=403)]
    [problem] = refused(tmp_path, bucket)
    assert problem.startswith(f"{bucket.address('b.csv')} B294 can't be read: {to_read} is missing")
    assert sorted(held(local, bucket)) == ["a.csv", "c.csv"]


def test_nothing_is_not_a_bill(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("x/readme.txt", b"hello")
    [problem] = refused(tmp_path, bucket, "x")
    assert (
        f"B290 there is no data object at {bucket.address('x')}; left aside: {bucket.address('x/readme.txt')}"
        in problem
    )
    assert "B290" in refused(tmp_path, bucket, "typo")[0]
    gone = replace(bucket, root=bucket.root.replace("bills/", "no-such-bucket/"))
    assert f"B292 there is no {bucket.scheme}://" in refused(tmp_path, gone)[0]


@pytest.mark.slow
def test_long_lists_come_whole_or_not_at_all(tmp_path: Path, bucket: Bucket, proxy: Proxy) -> None:
    """1,500 objects are more than a page of any store. A page that fails is a list that fails."""
    keys = [f"many/{number:04}.csv" for number in range(1_500)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: bucket.put(key, b"x"), keys))
    listing = survey(source(bucket, "many/"))
    assert [stored.key.split("/", 1)[1] for stored in listing.objects.values()] == keys
    pages = [line for line, _, _ in proxy.seen if re.search("prefix=", line)]
    assert len(pages) == 2
    again = r"continuation-token|pageToken|marker"
    proxy.faults = [Fault(again, times=99, status=403)]
    assert "B291" in refused(tmp_path, bucket, "many/")[0]
    assert not list((tmp_path / "cache").rglob("*.csv"))


def test_an_object_is_never_taken_for_a_folder(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("bills", b"object")
    bucket.put("bills/a.csv", b"folder")
    assert (
        f"B304 {bucket.address('bills')} is an object, and the folder of 1 others"
        in refused(tmp_path, bucket, "bills")[0]
    )
    assert held(mirror(tmp_path, bucket, "bills/"), bucket) == {"bills/a.csv": b"folder"}
