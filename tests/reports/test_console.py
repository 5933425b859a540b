"""The terminal: the score, totals that tie, what costs most; plain lines in a pipe."""

from __future__ import annotations

import io
import re
from decimal import Decimal
from pathlib import Path

import pytest

from governor.ledger.read import Run
from governor.reports import console
from tests.run_builder import build_run, default_rows, finding


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(run: Run, monkeypatch: pytest.MonkeyPatch, *, columns: int, **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    console.show(run, stream, [Path("out/compliance.html")])
    return stream.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_pipe_gets_one_line_a_fact(run: Run) -> None:
    """Scripts and logs can grep: every line says what it is, no colour, no wrapping, amounts that tie exactly."""
    stream = io.StringIO()
    console.show(run, stream, [Path("out/compliance.html")])
    lines = stream.getvalue().splitlines()
    assert {line.split()[0] for line in lines} == {
        "run",
        "score",
        "shares",
        "total",
        "invoices",
        "finding",
        "gap",
        "report",
    }
    assert sum(line.startswith("finding ") for line in lines) == 5
    assert "\x1b" not in stream.getvalue()
    assert (
        "total aws 2026-05 USD: 3864 rows, 2 rejected, "
        "ingested 3538.1250001 = allocated 3000.1850001 + unallocated 537.94" in lines
    )


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Forty columns are enough; nothing is cut off by the edge."""
    text = plain(shown(run, monkeypatch, columns=columns))
    assert max(map(len, text.splitlines())) <= columns
    for needed in ("85.01%", "3,538.1", "= allocated", "437.95", "out/compliance.html", "USD 520.74"):
        assert needed in text


def test_no_color_is_obeyed_and_colour_carries_nothing_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR leaves no colour; the bar is made of letters, so it says the same without."""
    coloured = shown(run, monkeypatch, columns=100)
    bare = shown(run, monkeypatch, columns=100, NO_COLOR="1")
    assert re.search(r"\x1b\[[0-9;]*[34][0-9]", coloured)
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]", bare)
    assert plain(coloured) == plain(bare)
    assert re.search(r"^T{60,}A+R+S+K+C+D+U+$", plain(bare), re.MULTILINE)


def test_the_interval_is_shown_where_evidence_is_missing(run: Run) -> None:
    """A score with gaps is not a point."""
    text = console.render(run)
    assert "score USD 85.01% allocatable (between 85.01% and 85.49%: evidence is missing)" in text
    assert "score EUR 98.17% allocatable\n" in text


def test_nothing_to_score_is_said(tmp_path: Path) -> None:
    """Zero positive cost is neither 0 % nor 100 %."""
    rows = default_rows()
    rows["scores"] = [row | dict.fromkeys(("allocatability", "low", "high")) for row in rows["scores"]]
    assert "score USD no positive cost: nothing to score" in console.render(build_run(tmp_path / "ledger", rows))


def test_totals_that_do_not_tie_are_never_shown_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One digit off at the far end is said in both forms."""
    rows = default_rows()
    rows["totals"][0]["allocated"] += Decimal("1E-20")
    run = build_run(tmp_path / "ledger", rows)
    assert "DOES NOT TIE" in console.render(run)
    assert "DOES NOT TIE" in plain(shown(run, monkeypatch, columns=80))


def test_rows_that_did_not_say_their_month_are_called_so(tmp_path: Path) -> None:
    """A rejected row without a readable month or currency has a line of its own, and no hole in it."""
    rows = default_rows()
    amounts = dict.fromkeys(("billed_cost", "effective_cost", "allocated", "unallocated"), Decimal(0))
    rows["totals"].append(
        rows["totals"][0] | amounts | {"billing_period": "", "currency": "", "rows": 0, "rejected": 2}
    )
    text = console.render(build_run(tmp_path / "ledger", rows))
    assert "(no month) (no currency): 0 rows, 2 rejected, ingested 0.00 = allocated 0.00 + unallocated 0.00" in text


def test_a_stream_that_holds_ascii_only_is_served(tmp_path: Path) -> None:
    """A C locale never fails on a tag value."""
    run = build_run(tmp_path / "ledger", {"findings": [finding(subject="vm-\N{SNOWMAN}", cost=Decimal(1))]})
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console.show(run, stream)
    stream.flush()
    assert b"vm-\\u2603" in raw.getvalue()


def test_findings_are_listed_with_money_and_mend_and_the_rest_is_counted(run: Run) -> None:
    """A cut list says that it is cut."""
    lines = console.findings_lines(run, 2)
    assert lines[1] == (
        "nb-1 core-tags/cost_center critical: has no cost_center tag (USD 420.75 at stake); "
        "fix: set cost-center to an id of the register"
    )
    assert lines[2].startswith(f"and {len(run.rows('findings')) - 2} more findings")
    assert len(console.findings_lines(run, 1_000)) == len(run.rows("findings"))
