"""Verifying: whatever is changed, removed, put in or moved about in a ledger is found and named."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from governor.evidence import canonical, digest_bytes, parse_canonical
from governor.ledger.manifest import content_digest, seal
from governor.ledger.read import numbers, open_run, runs
from governor.ledger.verify import verify
from governor.model import Refused
from tests.ledger.prepared import commit_copy
from tests.run_builder import default_rows, write_files


@pytest.fixture(scope="module")
def original(tmp_path_factory, tiny) -> Path:
    """A ledger of three small runs that share their deliveries."""
    ledger = tmp_path_factory.mktemp("original") / "ledger"
    for number in range(3):
        commit_copy(ledger, tiny, number)
    return ledger


@pytest.fixture
def copy(original, tmp_path) -> Path:
    """A copy of it that may be harmed: files of a copy can be written."""
    ledger = tmp_path / "ledger"
    shutil.copytree(original, ledger)
    for path in ledger.rglob("*"):
        path.chmod(0o755)
    return ledger


def named(ledger: Path) -> set[str]:
    """Verify, and name the files that are complained of."""
    return {Path(p.position.file).relative_to(ledger).as_posix() for p in verify(ledger)}


def codes(ledger: Path) -> set[str]:
    return {p.code for p in verify(ledger)}


def test_a_whole_ledger_has_no_problem(original, copy):
    """What was committed verifies, and so does a copy of it."""
    assert verify(original) == verify(copy) == []


@pytest.mark.parametrize(
    "stride", [pytest.param(1, marks=pytest.mark.slow, id="each byte"), pytest.param(61, id="some")]
)
@pytest.mark.parametrize(
    ("count", "pattern"),
    [
        (1, "runs/000001/*.parquet"),
        (1, "snapshots/*/*.parquet"),
        (1, "runs/000001/manifest.json"),
        (2, "runs/000001/manifest.json"),
        (1, "runs/000001/receipt.json"),
    ],
)
def test_any_flipped_bit_is_found(tmp_path, tiny, count, pattern, stride):
    """No byte of any file can change: a file with one flipped bit is named.

    One bit in each of the files at once, byte after byte: a verification names everything that it finds.
    """
    ledger = tmp_path / "ledger"
    for number in range(count):
        commit_copy(ledger, tiny, number)
    whole = {path: path.read_bytes() for path in ledger.glob(pattern)}
    for path in whole:
        path.chmod(0o644)
    for offset in range(0, max(map(len, whole.values())), stride):
        flipped = [path for path, data in whole.items() if offset < len(data)]
        for path in flipped:
            data = bytearray(whole[path])
            data[offset] ^= 1 << (offset % 8)
            path.write_bytes(data)
        assert {path.relative_to(ledger).as_posix() for path in flipped} <= named(ledger), offset
        for path in flipped:
            path.write_bytes(whole[path])
    assert verify(ledger) == []


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_a_truncated_or_longer_file_is_found(copy, cut):
    """Every file, emptied, a byte shorter or a byte longer, is named."""
    for path in sorted(p for p in copy.rglob("*") if p.is_file() and p.name != "lock"):
        data = path.read_bytes()
        path.write_bytes(data[:-1] if cut == -1 else data[:0] if cut == 0 else data + b"\n")
        assert path.relative_to(copy).as_posix() in named(copy)
        path.write_bytes(data)


def test_a_removed_file_is_found(copy):
    """Every file is needed, and the one that is missing is named."""
    for path in sorted(p for p in copy.rglob("*") if p.is_file() and p.name != "lock"):
        data = path.read_bytes()
        path.unlink()
        assert path.relative_to(copy).as_posix() in named(copy)
        path.write_bytes(data)
    assert verify(copy) == []


@pytest.mark.parametrize(
    "where",
    ["extra", "runs/extra", "runs/000000", "runs/4", "runs/000002/extra.parquet", "runs/000002/.hidden", "snapshots/extra", "snapshots/{}/x"],
)  # fmt: skip
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_an_added_file_is_found(copy, where, folder):
    """A ledger holds nothing that no manifest names."""
    path = copy / where.format(next((copy / "snapshots").iterdir()).name)
    path.mkdir() if folder else path.write_text("x")
    assert path.relative_to(copy).as_posix() in named(copy)


def test_a_link_in_place_of_a_file_is_found(copy):
    """A file that lies elsewhere can be changed elsewhere: a link with the right content is not the file."""
    for path in (copy / "runs/000002/cells.parquet", copy / "runs/000002/manifest.json"):
        outside = copy.parent / path.name
        path.rename(outside)
        path.symlink_to(outside)
        assert path.relative_to(copy).as_posix() in named(copy)
        path.unlink()
        outside.rename(path)


def test_swapped_tables_and_swapped_runs_are_found(copy):
    """Two tables, or two whole runs, in each other's place are both named."""
    first, second = copy / "runs/000002/cells.parquet", copy / "runs/000002/findings.parquet"
    _swap(first, second)
    assert named(copy) == {"runs/000002/cells.parquet", "runs/000002/findings.parquet"}
    _swap(first, second)
    _swap(copy / "runs/000001", copy / "runs/000002")
    assert {"runs/000001/manifest.json", "runs/000002/manifest.json"} <= named(copy)


def _swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_a_run_renumbered_with_all_its_digests_is_found(copy):
    """Nor does changing the number in the manifest: the run doesn't follow from the one before."""
    shutil.rmtree(copy / "runs/000002")
    (copy / "runs/000003").rename(copy / "runs/000002")
    _rewrite(copy / "runs/000002", number=2)
    assert codes(copy) == {"L042"}


@pytest.mark.parametrize("number", [1, 2])
def test_a_removed_run_is_found(copy, number):
    """A hole in the numbers is a run that was taken out."""
    shutil.rmtree(copy / "runs" / f"{number:06d}")
    assert f"runs/{number:06d}" in named(copy)


def test_a_run_taken_out_and_the_rest_renumbered_is_found(copy):
    """Closing the hole doesn't help: the manifest says which number it has."""
    shutil.rmtree(copy / "runs/000002")
    (copy / "runs/000003").rename(copy / "runs/000002")
    assert codes(copy) == {"L033"}


def test_a_repeated_run_is_found(copy):
    """A run can't stand twice in the chain."""
    shutil.copytree(copy / "runs/000003", copy / "runs/000004")
    assert codes(copy) == {"L033"}


def _rewrite(folder: Path, **changes) -> None:
    """Change a manifest as somebody would who knows how: content and receipt fit again."""
    manifest = {**parse_canonical((folder / "manifest.json").read_bytes()), **changes}
    manifest["content"] = content_digest(manifest["policies"], manifest["parameters"], manifest["outputs"])
    data = canonical(manifest)
    (folder / "manifest.json").write_bytes(data)
    receipt = parse_canonical((folder / "receipt.json").read_bytes())
    (folder / "receipt.json").write_bytes(canonical(seal({**receipt, "manifest": digest_bytes(data)})))


def test_a_rewritten_run_breaks_the_chain(copy):
    """A run that was rewritten with all its digests no longer fits the next one, which is named."""
    _rewrite(copy / "runs/000002", parameters={"number": 99})
    assert named(copy) == {"runs/000003/manifest.json"}


def test_a_run_before_the_first_is_found(copy):
    """The first run has no run before it."""
    _rewrite(copy / "runs/000001", previous="0" * 64)
    assert "L041" in codes(copy)


def test_what_can_not_be_seen_from_inside_is_seen_with_a_noted_head(copy):
    """A ledger whose last run was cut off or rewritten looks whole; the head that was noted elsewhere tells."""
    heads = [run.digest for run in runs(copy)]
    assert verify(copy, heads) == []
    _rewrite(copy / "runs/000003", parameters={"number": 99})
    assert verify(copy) == []
    assert [p.code for p in verify(copy, heads)] == ["L044"]
    shutil.rmtree(copy / "runs/000003")
    assert verify(copy) == []
    assert [p.code for p in verify(copy, heads[-1:])] == ["L044"]
    assert verify(copy, heads[:2]) == []


@pytest.mark.parametrize("remove", ["runs", "."])
def test_a_ledger_without_a_run_proves_nothing(copy, remove):
    """Nothing to verify is not verified."""
    shutil.rmtree(copy / remove)
    assert "L020" in codes(copy)


def test_what_an_interrupted_commit_left_is_no_problem_but_can_not_be_used_to_hide(copy):
    """A delivery whose run was never committed is whole by its own name; with one byte changed it is a stranger."""
    for number in (3, 2, 1):
        shutil.rmtree(copy / "runs" / f"{number:06d}")
    (folder,) = (copy / "snapshots").iterdir()
    template = copy.parent / "made"
    template.mkdir()
    write_files(template, default_rows())
    commit_copy(copy, template)
    assert verify(copy) == []
    path = folder / "tag_sets.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert named(copy) == {f"snapshots/{folder.name}"}


def test_staging_folders_are_no_part_of_the_ledger(copy):
    """A run that is being made, or was being made when somebody pulled the plug, changes nothing."""
    (copy / ".staging-1-x").mkdir()
    (copy / ".staging-1-x" / "half").write_text("x")
    assert verify(copy) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema": 3}, "L031"),
        ({"schema": 3, "new": {"anything": 1}}, "L031"),
        ({"schema": 0}, "L032"),
        ({"schema": 1}, "L032"),  # of its form, but for the periods of its snapshots
        ({"schema": "1"}, "L032"),
        ({"more": 1}, "L032"),
        ({"gaps": "none"}, "L032"),
        ({"outputs": {"../../x": {"sha256": "0" * 64, "rows": 0, "bytes": 0}}}, "L032"),
        ({"outputs": {"x": {"sha256": "0" * 64, "rows": 0}}}, "L032"),
        (
            {
                "snapshots": {
                    "aws": {"folder": "../../../etc", "charges": "0" * 64, "rejects": "0" * 64, "tag_sets": "0" * 64}
                }
            },
            "L032",
        ),
        ({"previous": 7}, "L032"),
        ({"inputs": ["x"]}, "L032"),
        ({"number": 7}, "L033"),
    ],
)
def test_a_manifest_of_another_form_is_refused(copy, change, code):
    """A manifest of a later version, with other fields or with names that lead elsewhere, is said to be so, and not used."""
    _rewrite(copy / "runs/000003", **change)
    assert code in codes(copy)
    with pytest.raises(Refused) as caught:
        open_run(copy)
    assert caught.value.problems[0].code == code


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_garbage_in_place_of_a_manifest_is_refused(copy, data):
    """Whatever stands there instead of a manifest or a receipt, the answer is a problem with a place."""
    for name in ("manifest.json", "receipt.json"):
        path = copy / "runs/000003" / name
        whole = path.read_bytes()
        path.write_bytes(data)
        assert f"runs/000003/{name}" in named(copy)
        path.write_bytes(whole)


def test_an_auditor_needs_sha256sum_alone(copy, root):
    """The commands of docs/ledger.md, as they stand there, find a whole ledger whole and a changed one changed."""
    text = (root / "docs" / "ledger.md").read_text()
    scripts = re.findall(r"```sh\n(.*?)```", text.partition("## How an auditor verifies")[2], re.DOTALL)
    script = "set -euo pipefail\n" + "".join(scripts)

    def audit() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-c", script], cwd=copy, capture_output=True, text=True, check=False)

    good = audit()
    assert good.returncode == 0, good.stdout + good.stderr
    assert "FAILED" not in good.stdout
    assert "broken" not in good.stdout
    assert runs(copy)[-1].digest in good.stdout
    for path in (
        "runs/000002/cells.parquet",
        next((copy / "snapshots").glob("*/charges.parquet")),
        "runs/000001/manifest.json",
    ):
        target = copy / path
        data = target.read_bytes()
        target.write_bytes(data[:-2] + b"!" + data[-1:])
        bad = audit()
        assert bad.returncode != 0 or "FAILED" in bad.stdout or "broken" in bad.stdout, path
        target.write_bytes(data)
    assert numbers(copy) == [1, 2, 3]
