"""The command line as its users meet it: exit codes, streams, typos, wrong files, an impatient Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import BY_TAG, TAGS, charge, write_csv, write_project

ROOT = Path(__file__).resolve().parent.parent
GOOD = '{"cost-center": "A"}'


def governor(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without a terminal."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "governor", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120)


def project(folder: Path, tags: str = GOOD, **columns: str) -> Path:
    return write_project(folder, [charge("10", Tags=tags, **columns)], policies=(TAGS, BY_TAG))


@pytest.mark.parametrize(
    ("tags", "options", "code"),
    [
        (GOOD, [], 0),
        ("{}", [], 1),
        ("{}", ["--fail-on", "critical"], 0),
        ("{}", ["--fail-on", "high"], 1),
        ("{}", ["--exit-zero"], 0),
        ("broken", [], 3),
        ("broken", ["--fail-on", "critical"], 3),
    ],
)
def test_exit_codes_are_a_promise(tmp_path: Path, tags: str, options: list[str], code: int) -> None:
    """0 clean, 1 violated, 3 incomplete whatever else was found."""
    done = governor("run", "-c", project(tmp_path, tags), "--no-reports", *options)
    assert done.returncode == code, done.stderr


def test_json_is_one_object_on_stdout_and_nothing_else(tmp_path: Path) -> None:
    """What the issue of the run is stands on stdout, whole, with money as exact text."""
    bill = [charge("10.000000000001", Tags=GOOD), charge("2.5", Tags="{}"), charge("bad", Tags=GOOD)]
    done = governor("run", "-c", write_project(tmp_path, bill), "--format", "json")
    answer = json.loads(done.stdout)
    [total] = answer["totals"]
    assert (total["effective_cost"], total["allocated"], total["unallocated"]) == (
        "12.500000000001",
        "10.000000000001",
        "2.50",
    )
    assert (total["rows"], total["rejected"]) == (2, 1)
    assert answer["score"]["shares"] == {
        "T": "80.00", "A": "0.00", "R": "0.00", "S": "0.00", "K": "0.00", "C": "0.00", "D": "0.00", "U": "20.00",
    }  # fmt: skip
    assert answer["findings"]["fail"] == 1
    assert [g["reason"] for g in answer["gaps"]] == ["rejected_rows"]
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "did you mean run?"),
        (["run", "--as-off", "2026-01-01"], "--as-of"),
        (["run", "--as-of", "1.1.2026"], "write YYYY-MM-DD"),
        (["run", "-c", "nowhere.yaml"], "nowhere.yaml"),
        (["journal", "draft"], "--period"),
        (["policy", "new", "TagPolice", "x.yaml"], "TagPolicy"),
        (["report", "complience"], "compliance"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit 2, a line that helps, no traceback."""
    done = governor(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_project_the_way_to_one_is_shown(tmp_path: Path) -> None:
    """No governor.yaml upward from here: say so, and how to begin."""
    done = governor("run", cwd=tmp_path)
    assert done.returncode == 2
    assert "governor init" in done.stderr


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("html", "bill.csv"),
        ("missing", "bill.csv"),
        ("empty", "bill.csv"),
        ("id", "1.23457E+12"),
    ],
)
def test_a_bill_that_cannot_be_used_is_refused_by_name(tmp_path: Path, damage: str, message: str) -> None:
    """Wrong file, no file, nothing in it, spreadsheet damage: exit 2, the file, the reason; no run, no traceback."""
    config = project(tmp_path)
    bill = tmp_path / "bills/bill.csv"
    if damage == "html":
        bill.write_text("<!doctype html><html><body>Sign in</body></html>")
    elif damage == "missing":
        bill.unlink()
    elif damage == "empty":
        bill.write_text("")
    else:
        write_csv(bill, [charge("1", SubAccountId="1.23457E+12")])
    done = governor("run", "-c", config)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "ledger").glob("runs/*"))


def test_one_refused_source_among_others_is_a_gap(tmp_path: Path) -> None:
    """The other sources are judged; the run is incomplete and says which source is missing."""
    config = project(tmp_path)
    (tmp_path / "bills/bad.csv").write_text("nonsense\n1\n")
    text = config.read_text().replace("policies:", "  - {name: other, format: focus, path: bills/bad.csv}\npolicies:")
    config.write_text(text)
    done = governor("run", "-c", config, "--format", "json")
    assert done.returncode == 3
    answer = json.loads(done.stdout)
    assert [t["source"] for t in answer["totals"]] == ["bill"]
    assert any("bad.csv" in gap["scope"] for gap in answer["gaps"])


def test_a_starter_project_runs_and_explains_itself(tmp_path: Path) -> None:
    """init, policy test, run, report, explain, journal, ledger: a newcomer's first ten minutes."""
    config = tmp_path / "demo/governor.yaml"
    assert governor("init", tmp_path / "demo").returncode == 0
    assert governor("policy", "test", "-c", config).returncode == 0
    assert governor("policy", "validate", "-c", config).returncode == 0
    ran = governor("run", "-c", config, "--as-of", "2026-11-15")
    assert ran.returncode == 1, ran.stderr
    assert "88.98%" in ran.stdout
    assert (tmp_path / "demo/out/compliance.html").exists()
    assert "vm-lab-7" in governor("explain", "core-tags/cost_center", "-c", config).stdout
    drafted = governor("journal", "draft", "--period", "2026-10", "-c", config)
    assert drafted.returncode == 0, drafted.stderr
    assert "the ledger is whole" in governor("ledger", "verify", "-c", config).stdout
    again = governor("init", tmp_path / "demo")
    assert again.returncode == 2
    assert "nothing was written" in again.stderr


def test_a_bill_in_tokens_becomes_a_project_that_runs(tmp_path: Path) -> None:
    """What isn't a currency is no reporting currency, even where it has the most cost."""
    for name, costs in (("tokens", {"Snowpeak: Credits": "9"}), ("both", {"Snowpeak: Credits": "9", "EUR": "1"})):
        rows = [charge(cost, BillingCurrency=currency) for currency, cost in costs.items()]
        bill = write_csv(tmp_path / f"{name}.csv", rows)
        assert governor("init", tmp_path / name, "--bill", bill).returncode == 0
        config = tmp_path / name / "governor.yaml"
        assert f"reporting_currency: {'EUR' if 'EUR' in costs else 'USD'}" in config.read_text()
        assert governor("run", "-c", config).returncode in {1, 3}


def test_the_same_bill_again_changes_nothing(tmp_path: Path) -> None:
    """A second run of the same input has the same content; the ledger says that nothing changed."""
    config = project(tmp_path)
    for _ in range(2):
        assert governor("run", "-c", config, "--as-of", "2026-11-15").returncode == 0
    runs = json.loads(governor("ledger", "list", "-c", config, "--format", "json").stdout)
    assert runs[0]["content"] == runs[1]["content"]
    assert governor("ledger", "diff", "1", "2", "-c", config).stdout.strip() == "nothing changed"


def test_a_policy_is_written_with_tests_that_pass(tmp_path: Path) -> None:
    """policy new gives every kind a file that validates as it is."""
    config = project(tmp_path)
    for kind in ("TagPolicy", "AccountPolicy", "RulePolicy"):
        assert governor("policy", "new", kind, tmp_path / f"policies/my-{kind.lower()}.yaml").returncode == 0
    done = governor("policy", "validate", "-c", config)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_leaves_no_run_and_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C while a bill is read: exit 130, one line, nothing committed, and the next run works."""
    rows = [
        charge(f"{n}.25", ResourceId=f"vm-{n}", Tags=json.dumps({"cost-center": "A", "n": str(n)}))
        for n in range(60_000)
    ]
    config = write_project(tmp_path, rows)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-m", "governor", "run", "-c", str(config), "-q"], env=env, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("ledger/.staging-*/source-0/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("ledger/runs/*"))
    assert not list(tmp_path.glob("ledger/.staging-*"))


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`| head` may stop reading whenever it likes."""
    config = project(tmp_path)
    governor("run", "-c", config, "-q")
    command = f"{sys.executable} -m governor ledger show -c {config} --format json | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_a_plain_terminal_gets_plain_text(tmp_path: Path) -> None:
    """A C locale and forty columns: no colour codes, no crash on a tag that is not ASCII."""
    tags = json.dumps({"cost-center": "Ünï\u202e[/red]"})
    done = governor(
        "run", "-c", project(tmp_path, tags), LC_ALL="C", COLUMNS="40", PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert done.returncode == 1, done.stderr
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


def test_help_names_every_command() -> None:
    """--help is the table of contents, and imports no engine."""
    done = governor("--help")
    for command in ("init", "doctor", "run", "report", "explain", "journal", "policy", "ledger"):
        assert command in done.stdout
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "governor", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    for heavy in ("duckdb", "pyarrow", "sqlglot", "jinja2", "rich", "jsonschema", "yaml"):
        assert f" {heavy}\n" not in imported.stderr


def test_one_file_under_two_sources_is_refused(tmp_path: Path) -> None:
    """It would be paid twice, and every total would still tie."""
    config = project(tmp_path)
    text = config.read_text().replace("policies:", "  - {name: again, format: focus, path: bills}\npolicies:")
    config.write_text(text)
    done = governor("run", "-c", config)
    assert done.returncode == 2
    assert "bill.csv B025 is delivered by the sources bill and again" in done.stderr


def test_a_folder_that_can_not_take_reports_is_told_before_anything_is_committed(tmp_path: Path) -> None:
    """--out names a file: refused with a way out, and there is no run."""
    config = project(tmp_path)
    (tmp_path / "taken").write_text("")
    done = governor("run", "-c", config, "--out", tmp_path / "taken")
    assert done.returncode == 2
    assert "C042" in done.stderr
    assert not list(tmp_path.glob("ledger/runs/*"))
