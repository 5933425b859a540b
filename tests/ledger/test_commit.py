"""Committing: what lands in the ledger, and what is refused before it does."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from governor import tables
from governor.evidence import canonical, digest_file, parse_canonical
from governor.ledger.commit import stage
from governor.ledger.contract import arrow_schema, problems
from governor.ledger.lock import locked
from governor.ledger.read import numbers, open_run, runs
from governor.ledger.verify import verify
from governor.model import Refused
from tests.ledger.prepared import commit_copy
from tests.run_builder import build_run, charge, default_rows, finding


def refusal(action) -> str:
    """Say why something is refused."""
    with pytest.raises(Refused) as caught:
        action()
    return str(caught.value)


def test_runs_are_numbered_chained_and_whole(ledger, template):
    """Runs count from 1 without a gap, and each names the digest of the manifest before it."""
    made = [commit_copy(ledger, template, n) for n in range(3)]
    assert [run.number for run in made] == [1, 2, 3]
    assert [run.manifest["previous"] for run in made] == [None, made[0].digest, made[1].digest]
    assert [digest_file(run.folder / "manifest.json") for run in made] == [run.digest for run in made]
    assert runs(ledger) == made
    assert verify(ledger) == []


def test_a_ledger_holds_what_the_layout_says_and_nothing_else(ledger):
    """Runs hold their tables, manifest and receipt; deliveries lie beside them; staging leaves nothing behind."""
    run = build_run(ledger)
    snapshot = run.manifest["snapshots"]["aws"]["folder"]
    expected = {f"runs/000001/{name}.parquet" for name in tables.RUN}
    expected |= {"runs/000001/manifest.json", "runs/000001/receipt.json", "lock"}
    expected |= {f"snapshots/{snapshot}/{name}.parquet" for name in ("charges", "rejects", "tag_sets")}
    files = [path for path in ledger.rglob("*") if path.is_file()]
    assert {path.relative_to(ledger).as_posix() for path in files} == expected
    assert {stat.S_IMODE(path.stat().st_mode) for path in files if path.name != "lock"} == {0o444}


def test_the_manifest_is_the_golden_one(ledger, root):
    """The manifest's form is a promise to auditors. Digests and sizes of Parquet, which its writer decides, are masked."""
    manifest = parse_canonical((build_run(ledger).folder / "manifest.json").read_bytes())
    masked = {
        **manifest,
        "content": "-",
        "outputs": {name: {**output, "sha256": "-", "bytes": 0} for name, output in manifest["outputs"].items()},
        "snapshots": {
            source: {**dict.fromkeys(snapshot, "-"), "periods": snapshot["periods"]}
            for source, snapshot in manifest["snapshots"].items()
        },
    }
    golden = root / "tests" / "golden" / "ledger" / "manifest.json"
    assert canonical(masked) + b"\n" == golden.read_bytes()


def test_the_manifest_follows_its_schema(ledger, root):
    """`schemas/manifest.json` describes every manifest and lets nothing else in."""
    validator = Draft202012Validator(json.loads((root / "schemas" / "manifest.json").read_text()))
    for manifest in (build_run(ledger).manifest, build_run(ledger, hostile=True).manifest):
        validator.validate(manifest)
        for name in manifest:
            assert not validator.is_valid({key: value for key, value in manifest.items() if key != name})
        assert not validator.is_valid({**manifest, "clock": "2026"})


def test_the_receipt_says_who_and_when(ledger):
    """The clock is in the receipt, taken from the argument, and nowhere in the manifest."""
    run = build_run(ledger, committed_at="2031-02-03T04:05:06+00:00")
    assert run.receipt["committed_at"] == "2031-02-03T04:05:06+00:00"
    assert (run.receipt["host"], run.receipt["pid"], run.receipt["governor"]) == (
        socket.gethostname(),
        os.getpid(),
        "0.1.0",
    )
    assert b"2031" not in (run.folder / "manifest.json").read_bytes()


def test_a_user_without_a_name_is_a_number(ledger, template, monkeypatch):
    """Containers run as users that no file names; the receipt says the number."""
    monkeypatch.setattr(os, "getuid", lambda: 4_200_042)
    assert commit_copy(ledger, template).receipt["user"] == "4200042"


def test_equal_input_is_equal_content(tmp_path):
    """Two ledgers given the same get the same manifest, byte for byte, whenever they are written."""
    one = build_run(tmp_path / "one", committed_at="2026-06-02T08:00:00+00:00")
    two = build_run(tmp_path / "two", committed_at="2027-01-01T00:00:00+00:00")
    assert one.digest == two.digest
    again = build_run(tmp_path / "one")
    assert (again.content, again.digest == one.digest) == (one.content, False)


@pytest.mark.parametrize(
    "change",
    [
        {"policies": [{"id": "acme", "kind": "AllocationPolicy", "digest": "0" * 64}]},
        {"parameters": {"as_of": "2026-06-03"}},
        {"rows": {"findings": [finding(subject="other")]}},
    ],
)
def test_other_policies_parameters_or_outputs_are_other_content(ledger, change):
    """The content digest covers policies, parameters and every table."""
    assert build_run(ledger).content != build_run(ledger, **change).content


def test_deliveries_are_kept_once(ledger):
    """A delivery that runs share is stored once; one that differs in a tag only is another delivery."""
    same = [build_run(ledger).manifest["snapshots"]["aws"]["folder"] for _ in range(2)]
    other = build_run(ledger, charges={"aws": [charge(row=2)]}).manifest["snapshots"]["aws"]["folder"]
    assert same[0] == same[1] != other
    assert {path.name for path in (ledger / "snapshots").iterdir()} == {same[0], other}


def test_a_corrected_tag_is_another_delivery(ledger, template, tmp_path):
    """Charges point to tag sets by number, so their bytes can stay when a tag changes; the delivery is still another."""
    corrected = tmp_path / "corrected"
    shutil.copytree(template, corrected)
    row = pa.Table.from_pylist(
        [{"tag_set": 0, "text": '{"a":"b"}', "tags": [("a", "b")]}], arrow_schema(tables.TAG_SETS)
    )
    pq.write_table(row, corrected / "aws-tag_sets.parquet")
    before, after = (commit_copy(ledger, folder).snapshot_paths("aws") for folder in (template, corrected))
    assert digest_file(before.charges) == digest_file(after.charges)
    assert pq.read_table(before.tag_sets)["text"].to_pylist() == ["{}"]
    assert pq.read_table(after.tag_sets)["text"].to_pylist() == ['{"a":"b"}']
    assert verify(ledger) == []


def test_a_damaged_delivery_is_not_shared(ledger, template):
    """A run isn't built on a stored delivery that no longer is what it was."""
    path = commit_copy(ledger, template).snapshot_paths("aws").tag_sets
    path.chmod(0o644)
    path.write_bytes(b"")
    assert " L025 is damaged" in refusal(lambda: commit_copy(ledger, template))
    assert numbers(ledger) == [1]


def test_nothing_is_chained_to_a_damaged_run(ledger, template):
    """A commit refuses to make a damaged manifest part of the chain."""
    path = commit_copy(ledger, template).folder / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"gaps":0', b'"gaps":1'))
    assert " L036 " in refusal(lambda: commit_copy(ledger, template))
    assert numbers(ledger) == [1]


def _damage(name):
    """Break one table in one way."""
    schema = arrow_schema(tables.GAPS)
    row = {"source": "aws", "scope": "s", "reason": "malformed", "detail": "d", "rows": 1}
    good = pa.Table.from_pylist([row], schema)
    return {
        "L011": None,
        "L012": good.drop_columns(["currency"]),
        "L012 order": good.select(schema.names[::-1]),
        "L012 extra": good.append_column("more", pa.array(["x"])),
        "L013": good.set_column(5, "rows", pa.array([1], pa.int32())),
        "L014": pa.Table.from_pylist([{**row, "reason": None}], schema),
    }[name]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("L011", "table gaps can't be read as Parquet"),
        ("L012", "columns of gaps differ from the contract: currency"),
        ("L012 order", "columns of gaps differ from the contract: their order"),
        ("L012 extra", "columns of gaps differ from the contract: more"),
        ("L013", "column gaps.rows is int32, not int64"),
        ("L014", "column gaps.reason holds NULL"),
    ],
)
def test_a_table_that_breaks_its_contract_is_refused(ledger, template, tmp_path, how, says):
    """A run holds exactly the contract's tables: what readers rely on is checked where it can't be mended later."""
    broken = tmp_path / "broken"
    shutil.copytree(template, broken)
    if (table := _damage(how)) is None:
        (broken / "gaps.parquet").write_bytes(b"PAR1 but not really")
    else:
        pq.write_table(table, broken / "gaps.parquet")
    message = refusal(lambda: commit_copy(ledger, broken))
    assert f" {how[:4]} {says}" in message
    assert numbers(ledger) == []


def test_a_missing_and_an_unknown_table_are_refused(template):
    """Every table of the contract is there, and no other."""
    files = {name: template / f"{name}.parquet" for name in tables.RUN if name != "gaps"}
    found = problems({**files, "extra": template / "gaps.parquet"})
    assert [(p.code, p.what) for p in found] == [
        ("L010", "table gaps is missing"),
        ("L010", "table extra is not in the contract"),
    ]


@pytest.mark.parametrize("parameters", [{"tolerance": 0.5}, {"file": "bills/\udcff.csv"}, {"rows": 2**60}])
def test_a_manifest_that_json_would_bend_is_refused(ledger, parameters):
    """Floats, undecodable names and integers beyond 2^53 don't get into a manifest."""
    assert " L015 " in refusal(lambda: build_run(ledger, parameters=parameters))
    assert numbers(ledger) == []


def test_a_ledger_that_is_a_file_is_refused(tmp_path, template):
    """The path of the ledger must be a folder or free."""
    (tmp_path / "file").write_text("x")
    assert " L001 the ledger is not a folder" in refusal(lambda: commit_copy(tmp_path / "file", template))
    assert " L001 " in refusal(lambda: open_run(tmp_path / "file"))
    assert " L002 the ledger can't be written: Not a directory" in refusal(
        lambda: commit_copy(tmp_path / "file" / "x", template)
    )


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.EROFS, "the file system is read-only"), (errno.EACCES, "allow this user"), (errno.ENOSPC, "make room")],
)
def test_a_disk_that_refuses_is_a_problem_with_a_way_out(ledger, template, monkeypatch, number, mend):
    """A read-only, forbidden or full disk is said in words, not as a traceback."""

    def fail(path, *_args, **_kwargs):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "mkdir", fail)
    message = refusal(lambda: commit_copy(ledger, template))
    assert " L002 the ledger can't be written: " in message
    assert mend in message


def test_a_locked_ledger_names_the_holder(ledger, template):
    """Whoever waits in vain learns which process on which machine has the lock, and since when."""
    commit_copy(ledger, template)
    with locked(ledger):
        message = refusal(lambda: commit_copy(ledger, template, wait_s=0))
    assert f" L003 the ledger is locked by pid {os.getpid()} on {socket.gethostname()} since 20" in message
    assert commit_copy(ledger, template).number == 2


def test_readers_need_no_lock(ledger, template):
    """A reader isn't held up by a writer and doesn't see what it is making."""
    commit_copy(ledger, template)
    with stage(ledger) as staging, locked(ledger):
        shutil.copytree(template, staging.folder / "run")
        assert open_run(ledger).table("totals").num_rows == 2
        assert verify(ledger) == []


def test_staging_folders_of_the_dead_are_swept_and_those_of_the_living_stay(ledger):
    """The next writer clears what a killed one left; a writer at work keeps its folder, whatever its process id."""
    with stage(ledger) as living:
        dead = ledger / f".staging-{os.getpid()}-dead"
        dead.mkdir()
        (dead / "charges.parquet").write_bytes(b"half")
        with stage(ledger) as second:
            assert not dead.exists()
            assert living.folder.is_dir()
            assert second.folder.is_dir()
    assert sorted(path.name for path in ledger.iterdir()) == ["lock", "runs", "snapshots"]


def test_what_can_not_be_swept_is_left_alone(ledger):
    """Something in the place of a staging folder that can't be opened as one stops nobody."""
    ledger.mkdir()
    (ledger / ".staging-file").write_text("x")
    with stage(ledger) as staging:
        assert staging.folder.is_dir()
    assert (ledger / ".staging-file").exists()


def test_an_error_while_a_run_is_made_leaves_nothing(ledger):
    """What goes wrong before the commit is the caller's, unchanged, and the staging folder goes."""
    with pytest.raises(FileNotFoundError, match="mine"), stage(ledger) as staging:
        (staging.folder / "half").write_bytes(b"x")
        raise FileNotFoundError("mine")
    assert sorted(path.name for path in ledger.iterdir()) == ["lock", "runs", "snapshots"]


def test_hostile_text_is_kept_as_it_is(ledger):
    """What a bill says is evidence: it is stored unchanged; escaping is done where it is shown."""
    run = build_run(ledger, hostile=True)
    subjects = {row["subject"] for row in run.rows("findings")}
    assert {row["subject"] for row in default_rows(hostile=True)["findings"]} == subjects
    assert canonical(run.manifest) == (run.folder / "manifest.json").read_bytes()
