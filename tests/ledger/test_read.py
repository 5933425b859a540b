"""Reading: which run a name means, and that nothing damaged is ever shown."""

from __future__ import annotations

import errno
import itertools
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from governor import tables
from governor.ledger.contract import arrow_schema
from governor.ledger.manifest import content_digest
from governor.ledger.read import first_seen, open_run, runs, seen_before
from governor.ledger.verify import verify
from governor.model import Refused
from tests.ledger.prepared import commit_copy
from tests.run_builder import build_run, default_rows, finding


def refusal(action) -> str:
    with pytest.raises(Refused) as caught:
        action()
    return str(caught.value)


@pytest.fixture(scope="module")
def three(tmp_path_factory, tiny):
    """A ledger of three runs, of which the last two decided the same."""
    ledger = tmp_path_factory.mktemp("three") / "ledger"
    for number in (1, 2, 2):
        commit_copy(ledger, tiny, number)
    return ledger


@pytest.mark.parametrize(
    ("ref", "number"),
    [("latest", 3), ("latest~0", 3), ("previous", 2), ("latest~1", 2), ("latest~2", 1), ("1", 1), ("000002", 2)],
)
def test_a_run_is_found_by_its_name(three, ref, number):
    """A run has a number, a place from the end, and names for the last two."""
    assert open_run(three, ref).number == number


def test_a_run_is_found_by_the_start_of_its_content(three):
    """Four digits of the content digest are enough; of runs that decided the same, the last one is meant."""
    first, _, last = runs(three)
    assert open_run(three, first.content[:4]).number == 1
    assert open_run(three, last.content).number == 3


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("7", "L021 there is no run '7' among the 3 here (the last: 1, 2, 3)"),
        (
            "latest~3",
            "L021 there is no run 'latest~3' among the 3 here (the last: 1, 2, 3); the ledger doesn't go back",
        ),
        ("latset", "did you mean 'latest'?"),
        ("", "L021"),
        ("../1", "L021"),
        ("fff", "L021"),
        ("0" * 64, "L021"),
        ("1" * 400, "L021"),
        ("²", "L021"),
        ("latest~-1", "L021"),
    ],
)
def test_an_unknown_run_is_refused_with_what_there_is(three, ref, says):
    """Any other name is refused, with the runs that there are and the name that was probably meant."""
    assert says in refusal(lambda: open_run(three, ref))


def test_a_start_that_several_runs_share_is_refused(ledger, tiny):
    """Digits that begin the content of two different runs mean neither; more digits do."""
    outputs = commit_copy(ledger.with_name("other"), tiny).manifest["outputs"]
    seen: dict[str, int] = {}
    for number in itertools.count():
        start = content_digest([], {"number": number}, outputs)[:4]
        if start in seen:
            break
        seen[start] = number
    runs_ = [commit_copy(ledger, tiny, n) for n in (seen[start], number)]
    assert f"L023 {start!r} begins the content of runs 1, 2" in refusal(lambda: open_run(ledger, start))
    assert [open_run(ledger, run.content[:12]).number for run in runs_] == [1, 2]


def test_a_ledger_without_a_run_says_how_to_make_one(ledger):
    """An empty ledger lists nothing, and asking for a run says what to do."""
    assert runs(ledger) == []
    assert "L020 the ledger holds no run; make one with `governor run`" in refusal(lambda: open_run(ledger))


def test_tables_come_back_as_they_were_given(ledger):
    """Every table has the contract's columns and types, and the rows that were committed, money exact."""
    run = build_run(ledger)
    given = default_rows()
    for name, columns in tables.RUN.items():
        assert run.table(name).schema.equals(arrow_schema(columns))
        assert len(run.rows(name)) == len(given[name]) == run.manifest["outputs"][name]["rows"]
    amounts = {row["resource_id"]: row["effective_cost"] for row in run.rows("cells")}
    assert amounts["logs-bucket"] == Decimal("88.0000001")
    assert run.table("cells", ["status", "rows"]).column_names == ["status", "rows"]


@pytest.mark.parametrize(("part", "says"), [("table", "did you mean 'totals'?"), ("snapshot", "did you mean 'aws'?")])
def test_an_unknown_table_or_source_is_refused(ledger, part, says):
    """A name that the run doesn't know is refused with the one that was probably meant."""
    run = build_run(ledger)
    ask = (lambda: run.table("total")) if part == "table" else (lambda: run.snapshot_paths("aw"))
    assert f" L022 run 1 has no '{'total' if part == 'table' else 'aw'}'" in (message := refusal(ask))
    assert says in message


def test_a_damaged_table_is_refused_never_shown(ledger):
    """A table that isn't what was committed is not read, not even one that is valid Parquet."""
    build_run(ledger)
    run = open_run(ledger)
    path, other = run.folder / "cells.parquet", run.folder / "totals.parquet"
    path.chmod(0o644)
    path.write_bytes(other.read_bytes())
    assert " L025 is damaged" in refusal(lambda: run.table("cells"))
    assert run.table("totals").num_rows == 2
    path.unlink()
    assert " L024 is missing" in refusal(lambda: run.rows("cells"))


def test_a_file_that_can_not_be_read_is_a_problem(ledger, tiny, monkeypatch):
    """A disk that fails while it is read is said in words."""
    run = commit_copy(ledger, tiny)

    def fail(self, *_args, **_kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))

    monkeypatch.setattr(Path, "open", fail)
    assert " L026 can't be read: Input/output error" in refusal(lambda: run.table("cells"))
    assert " L026 can't be read: Input/output error" in refusal(lambda: open_run(ledger))
    assert {p.code for p in verify(ledger)} == {"L026"}


def test_a_folder_that_can_not_be_read_is_a_problem(ledger, tiny, monkeypatch):
    """A ledger that this user may not look into is said in words, not as an empty one."""
    commit_copy(ledger, tiny)

    def fail(self, *_args, **_kwargs):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "iterdir", fail)
    for action in (runs, open_run, verify, first_seen):
        assert " L026 can't be read: Permission denied" in refusal(lambda action=action: action(ledger))


def test_a_damaged_delivery_is_refused(ledger):
    """The rows of a delivery are compared with the manifest before anybody reads them."""
    build_run(ledger)
    files = open_run(ledger).snapshot_paths("aws")
    files.charges.chmod(0o644)
    files.charges.write_bytes(files.rejects.read_bytes())
    assert " L025 is damaged" in refusal(lambda: open_run(ledger).snapshot_paths("aws"))


def test_a_finding_keeps_the_first_day_it_was_seen(ledger):
    """The earliest day over all runs counts, through gaps in the findings and dates of judgement out of order."""

    def commit_findings(*days: tuple[str, date]) -> None:
        build_run(ledger, rows={"findings": [finding(subject=s, fingerprint=s, first_seen=d) for s, d in days]})

    commit_findings(("a", date(2026, 3, 1)), ("b", date(2026, 3, 1)))
    commit_findings(("b", date(2026, 4, 1)))
    commit_findings(("a", date(2026, 5, 1)), ("b", date(2026, 2, 1)), ("c", date(2026, 5, 1)))
    commit_findings()
    assert first_seen(ledger) == {"a": date(2026, 3, 1), "b": date(2026, 2, 1), "c": date(2026, 5, 1)}
    assert first_seen(ledger, before=3) == {"a": date(2026, 3, 1), "b": date(2026, 3, 1)}
    assert first_seen(ledger, before=1) == {}
    assert seen_before(ledger, 3) == {"a", "b"}
    assert first_seen(ledger.parent / "none") == {}


def test_findings_that_were_damaged_date_nothing(ledger):
    """A history that can't be trusted is refused: a later first day would be a new grace."""
    path = build_run(ledger).folder / "findings.parquet"
    path.chmod(0o644)
    path.write_bytes(b"")
    assert " L025 " in refusal(lambda: first_seen(ledger))


@pytest.mark.parametrize(
    ("gaps", "tolerance", "incomplete"),
    [
        ([], 0, False),
        ([{"reason": "rejected_rows", "rows": 2}], 0, True),
        ([{"reason": "rejected_rows", "rows": 2}], 2, False),
        ([{"reason": "denied", "rows": 0}], 9, True),
        ([{"reason": "rounded_double", "rows": 7}], 0, False),
    ],
)
def test_a_run_says_whether_it_is_the_whole_truth(ledger, gaps, tolerance, incomplete):
    """Rows beyond the tolerance, or a gap of unknown size, make a run incomplete; a mere notice doesn't."""
    rows = [{"source": "aws", "scope": "x", "detail": "x", **gap} for gap in gaps]
    run = build_run(ledger, rows={"gaps": rows}, parameters={"gap_tolerance": tolerance})
    assert run.incomplete is incomplete
