"""governor run: the whole job in one command."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from governor.cli import CLEAN, INCOMPLETE, VIOLATED, printable
from governor.cli.options import as_of_option, config_option, format_option, load_config, progress, writable

if TYPE_CHECKING:
    from governor.ledger.read import Run

SEVERITIES = ("low", "medium", "high", "critical")


@click.command("run")
@config_option
@as_of_option
@format_option("console", "json")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="low",
    show_default=True,
    help="The lowest severity of a failed requirement that exits with 1.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found, while you adopt governor.")
@click.option("--out", type=click.Path(path_type=Path), help="Where reports are written.")
@click.option("--no-reports", is_flag=True, help="Commit the run, write no report files.")
@click.option("--threads", type=click.IntRange(0, 256), default=0, help="0 is all cores. Never changes a result.")
@click.option("--memory-mb", type=click.IntRange(200), default=1_500, show_default=True, help="Memory of the engine.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but problems.")
def command(
    config_path: Path | None,
    as_of: date,
    format_: str,
    fail_on: str,
    exit_zero: bool,
    out: Path | None,
    no_reports: bool,
    threads: int,
    memory_mb: int,
    quiet: bool,
) -> int:
    """Read the bills, judge them by the policies, allocate every cent, commit the run and write its reports."""
    from governor.ledger.periods import differences
    from governor.reports import csv, html, json
    from governor.run import Options, run

    config = load_config(config_path)
    folder = out or config.out
    if not no_reports:
        writable(folder)  # before anything is committed
    with progress(quiet) as show:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        outcome = run(config, Options(as_of, now, threads, memory_mb, show))
        written: list[Path] = []
        if not no_reports:
            show("writing the reports", 0, 0)
            written = [*html.render(outcome.run, folder), *csv.render(outcome.run, folder)]
    for problem in outcome.refused:
        click.echo(str(problem), err=True)
    for difference in differences(outcome.run):
        click.echo(printable(difference), err=True)
    if format_ == "json":
        click.echo(json.render(outcome.run), nl=False)
    elif not quiet:
        _show(outcome.run, written)
    return CLEAN if exit_zero else exit_code(outcome.run, fail_on)


def _show(run: Run, written: list[Path]) -> None:
    from governor.reports import console

    console.show(run, sys.stdout, [p for p in written if p.suffix == ".html"])


def exit_code(run: Run, fail_on: str = "low") -> int:
    """Tell a run's exit code: 3 for gaps beyond the tolerance, else 1 for a failure of that severity, else 0.

    An incomplete run is never clean and never merely violated: what it could not see may be worse.
    """
    if run.incomplete:
        return INCOMPLETE
    blocking = set(SEVERITIES[SEVERITIES.index(fail_on) :])
    failed = run.table("findings", ["verdict", "severity"]).to_pylist()
    if any(f["verdict"] in ("fail", "unknown") and f["severity"] in blocking for f in failed):
        return VIOLATED
    return CLEAN
