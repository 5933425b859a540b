"""Closing a period: refused while something stands in the way, for good once done, and proved by verify."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from governor.cli.ledger import command
from governor.evidence import canonical
from governor.ledger.periods import close, closings, differences, obstacles
from governor.ledger.read import Run
from governor.ledger.verify import verify
from governor.model import Refused
from tests.project import charge, run_project, write_csv, write_project
from tests.run_builder import build_run, default_rows
from tests.run_reconciliation import invoice

ROW = {"invoice_id": "INV-1", "issuer": "Cloud", "currency": "USD", "amount": "100", "billing_period": "2026-10"}
WHO = {"closed_at": "2026-11-16T09:00:00+00:00", "version": "0.1.0"}


def project(folder: Path, *bill: dict[str, str], invoices: bool = True) -> Path:
    """Run a project with an invoice of 100.00 for October 2026."""
    write_csv(folder / "invoices.csv", [ROW])
    extra = "invoices: [{name: inv, path: invoices.csv}]" if invoices else ""
    config = write_project(folder, bill, extra=extra)
    run_project(config)
    return config


def closed(config: Path, *arguments: str, period: str = "2026-10") -> Result:
    return CliRunner().invoke(command, ["close", period, "-c", str(config), *arguments], standalone_mode=False)


def with_rows(folder: Path, tie_out: list[dict[str, Any]], **tables: Any) -> Run:
    rows = default_rows() | {"gaps": [], "rejects": [], "tie_out": tie_out} | tables
    return build_run(folder / "ledger", rows)


def test_a_period_whose_invoices_are_tied_is_closed(tmp_path: Path) -> None:
    """The closing names the run by its manifest; verify accepts it and list shows it; a head of it can be noted."""
    config = project(tmp_path, charge("100"))
    done = closed(config)
    assert (done.return_value, done.exception) == (0, None)
    [closing] = closings(tmp_path / "ledger")
    assert (closing.period, closing.run, closing.record["invoices"]) == ("2026-10", 1, {"tied": 1})
    assert closing.record["totals"][0]["billed_cost"] == "100.00"
    assert closing.digest in done.output
    assert verify(tmp_path / "ledger", [closing.digest]) == []
    listed = CliRunner().invoke(command, ["list", "-c", str(config)]).output
    assert "closed 2026-10" in listed
    assert {path.stat().st_mode & 0o777 for path in closing.folder.iterdir()} == {0o444}


def test_one_altered_charge_keeps_it_open(tmp_path: Path) -> None:
    """A cent too many is said with its money and its reasons, and nothing is written."""
    config = project(tmp_path, charge("60"), charge("52.40"))
    done = closed(config)
    assert done.return_value == 1
    said = "bill: INV-1 of Cloud: invoiced 100.00 USD, billed 112.40 USD: -12.40 USD not tied (unexplained -12.40)\n"
    assert done.output.startswith(said)
    assert closings(tmp_path / "ledger") == []
    assert json.loads(closed(config, "--format", "json").output)["obstacles"][0]["amount"] == "-12.40"


def test_charges_that_are_not_invoiced_need_a_reason(tmp_path: Path) -> None:
    """An invoice that only charges without an id would complete is passed over with them; the reason is kept."""
    config = project(tmp_path, charge("60"), charge("40", InvoiceId=""))
    done = closed(config)
    assert done.return_value == 1
    assert done.output.count("--not-invoiced-ok REASON") == 2
    assert closed(config, "--not-invoiced-ok", "the export has no ids").return_value == 0
    [excused] = closings(tmp_path / "ledger")[0].record["excused"]
    assert (excused["kind"], excused["reason"], len(excused["obstacles"])) == (
        "not_invoiced",
        "the export has no ids",
        2,
    )


def test_without_invoices_a_reason_is_needed(tmp_path: Path) -> None:
    """Nothing is closed on a bill that was held against nothing, unless somebody says why."""
    config = project(tmp_path, charge("100"), invoices=False)
    assert closed(config).return_value == 1
    assert closed(config, "--not-invoiced-ok", "x").return_value == 1
    assert "say why" in str(closed(config, "--no-invoices", " ").exception)
    assert closed(config, "--no-invoices", "paid by card").return_value == 0


def test_what_could_not_be_seen_keeps_it_open_with_exit_3(tmp_path: Path) -> None:
    """A rejected row makes the invoice unknown, and no reason passes that over."""
    config = project(tmp_path, charge("100"), charge("x"))
    done = closed(config, "--not-invoiced-ok", "x", "--no-invoices", "x")
    assert done.return_value == 3
    assert "unknown, 1 rejected row of bill" in done.output


def test_a_period_is_closed_once(tmp_path: Path) -> None:
    """The second one is told who closed it, when, and on which run; the first stays as it is."""
    config = project(tmp_path, charge("100"))
    closed(config)
    before = (tmp_path / "ledger/periods/2026-10/close.json").read_bytes()
    run_project(config, threads=1)
    with pytest.raises(Refused, match=r"L038 2026-10 is closed already, on run 1, by .+ at 20"):
        raise closed(config, "--run", "2").exception or AssertionError
    assert (tmp_path / "ledger/periods/2026-10/close.json").read_bytes() == before


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (invoice("tied", "5", "5"), None),
        (invoice("within_tolerance", "5", "5.001"), None),
        (invoice("not_tied", "5", "4"), "not_tied"),
        (invoice("not_tied", "5", "4", not_yet_invoiced="1"), "not_invoiced"),
        (invoice("no_charges", "5", "0"), "not_tied"),
        (invoice("no_charges", "5", "0", billing_periods=""), "not_tied"),
        (invoice("no_charges", "5", "0", billing_periods="2026-04"), None),
        (invoice("unknown", "5", "5", detail="why"), "unknown"),
        (invoice("not_invoiced", None, "5"), "not_invoiced"),
        (invoice("not_invoiced", None, "0"), None),
        (invoice("not_invoiced", "5", "5", invoice_status="Open"), "not_invoiced"),
        (invoice("not_checked", None, "5"), "not_checked"),
    ],
)  # fmt: skip
def test_each_status_stands_in_the_way_or_does_not(tmp_path: Path, row: dict[str, Any], kind: str | None) -> None:
    """Only what is tied, of another period, or bills nothing lets a period be closed."""
    found = obstacles(with_rows(tmp_path, [row]), "2026-05")
    assert [each.kind for each in found] == ([kind] if kind else [])


def test_gaps_count_by_period_and_tolerance(tmp_path: Path) -> None:
    """A gap without a count may hide anything; rejected rows of another month hide nothing of this one."""
    gap = {"source": "aws", "scope": "x", "reason": "denied", "detail": "d", "rows": 0}
    reject = {"source": "aws", "file": "f", "row": 1, "code": "B040", "reason": "r", "billing_period": "2026-04"}
    tied = [invoice("tied", "5", "5")]
    assert obstacles(with_rows(tmp_path / "a", tied, rejects=[reject]), "2026-05") == []
    [found] = obstacles(with_rows(tmp_path / "b", tied, gaps=[gap]), "2026-05")
    assert (found.kind, found.what) == ("gaps", "aws denied: d")
    [found] = obstacles(with_rows(tmp_path / "c", tied, rejects=[reject | {"billing_period": None}]), "2026-05")
    assert found.kind == "gaps"


def test_a_period_without_charges_is_refused(tmp_path: Path) -> None:
    """Closing nothing would look like closing something."""
    with pytest.raises(Refused, match="L037 run 1 has no charge of 2026-07; it has 2026-05"):
        obstacles(build_run(tmp_path / "ledger"), "2026-07")


def test_verify_finds_what_was_done_to_a_closing(tmp_path: Path) -> None:
    """A changed, missing, renamed or foreign file is found; so is a closing that was taken out of the chain."""
    ledger = tmp_path / "ledger"
    rows = default_rows()
    rows["totals"] += [row | {"billing_period": "2026-06"} for row in rows["totals"]]
    run = build_run(ledger, rows)
    first, second = (close(run, period, {}, **WHO) for period in ("2026-05", "2026-06"))
    assert second.record["previous"] == first.digest
    assert verify(ledger, [first.digest, second.digest]) == []
    path = first.folder / "close.json"
    whole = path.read_bytes()
    for spoiled, code in (
        (whole.replace(b"2026-05", b"2026-04", 1), "L039"),
        (whole[:-1], "L030"),
        (canonical({"schema": 1}), "L039"),
    ):
        path.chmod(0o644)
        path.write_bytes(spoiled)
        assert code in {problem.code for problem in verify(ledger)}
    path.write_bytes(whole)
    stranger = first.folder / "note.txt"
    stranger.write_text("x")
    assert [problem.code for problem in verify(ledger)] == ["L043"]
    stranger.unlink()
    for file in first.folder.iterdir():
        file.unlink()
    first.folder.rmdir()
    assert {problem.code for problem in verify(ledger, [first.digest])} == {"L039", "L044"}


def test_a_kill_before_the_rename_closes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the process, a period is closed whole or not at all, and can be closed afterwards."""
    run = build_run(tmp_path / "ledger")

    def die(*_: object) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            close(run, "2026-05", {}, **WHO)
    assert (closings(run.ledger), verify(run.ledger)) == ([], [])
    assert close(run, "2026-05", {}, **WHO).receipt["pid"] == os.getpid()


def test_a_later_run_says_what_it_changes_of_a_closed_period(tmp_path: Path) -> None:
    """A closed month can be run again; the run says on which run it is closed, and by how much it differs."""
    ledger = tmp_path / "ledger"
    close(build_run(ledger), "2026-05", {}, **WHO)
    assert list(differences(build_run(ledger))) == ["2026-05 is closed on run 1"]
    rows = default_rows()
    rows["totals"][0]["billed_cost"] += Decimal("12.40")
    rows["cost_centers"][0]["total"] += Decimal(1)
    [said] = differences(build_run(ledger, rows))
    center = rows["cost_centers"][0]["cost_center"]
    assert said == f"2026-05 is closed on run 1; this run differs by 12.40 USD billed, the statements of {center}"


def test_a_difference_says_which_invoice_came_to_tie(tmp_path: Path) -> None:
    """An invoice that was not tied and now is stands in the difference with both residuals; the others don't."""
    project(tmp_path, charge("112.40"))
    config = project(tmp_path, charge("100"))
    shown = CliRunner().invoke(command, ["diff", "-c", str(config), "--format", "json"], standalone_mode=False)
    [row] = json.loads(shown.output)["invoices"]
    assert (row["invoice_id"], row["status_old"], row["status_new"]) == ("INV-1", "not_tied", "tied")
    assert (row["residual_old"], row["residual_new"], row["residual_delta"]) == ("-12.40", "0.00", "12.40")
