"""governor report: a committed run, written again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from governor.cli import CLEAN, INCOMPLETE, printable
from governor.cli.options import config_option, open_run, progress, run_option, writable

if TYPE_CHECKING:
    from governor.config import Config
    from governor.ledger.read import Run


@click.command("report")
@click.argument(
    "name", type=click.Choice(["summary", "compliance", "chargeback", "reconciliation", "focus"]), default="summary"
)
@config_option
@run_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["console", "html", "csv", "json", "parquet"]),
    help="Default: console for the summary, parquet for focus, html for the others.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where files are written; default: out of governor.yaml.")
@click.option("--spreadsheet", is_flag=True, help="CSV for a spreadsheet: text that looks like a formula is quoted.")
@click.option("-q", "--quiet", is_flag=True, help="With focus: print nothing but problems.")
def command(
    name: str,
    config_path: Path | None,
    ref: str,
    format_: str | None,
    out: Path | None,
    spreadsheet: bool,
    quiet: bool,
) -> int | None:
    """Write a report of a committed run: summary, compliance, chargeback or reconciliation.

    The figures are read from the ledger, never computed again. `focus` writes the run's charges with who pays for each
    as FOCUS 1.4 Cost and Usage, pools split among their targets, into a folder of its own that is replaced whole. Its
    exit code is 3 where the run, or what was written of it, is incomplete.
    """
    from governor.reports import REPORTS, console, csv, html, json, reconciliation

    config, run = open_run(config_path, ref)
    format_ = format_ or {"summary": "console", "focus": "parquet"}.get(name, "html")
    if (format_ == "parquet" and name != "focus") or (name == "focus" and format_ not in {"parquet", "csv"}):
        raise click.UsageError(f"C052 {name} can't be written as {format_}: {_WRITTEN_AS.get(name, _OTHERS)}")
    if name == "focus":
        return _focus(config, run, out or config.out / "focus-allocated", csv=format_ == "csv", quiet=quiet)
    if name == "reconciliation" and format_ == "console":
        console.reconciliation_lines(run, sys.stdout)
    elif name == "reconciliation" and format_ == "json":
        click.echo(reconciliation.as_json(run), nl=False)
    elif format_ == "console":
        console.show(run, sys.stdout)
    elif format_ == "json":
        click.echo(json.render(run), nl=False)
    else:
        folder = out or config.out
        writable(folder)
        names = tuple(REPORTS) if name == "summary" else (name,)
        if format_ == "html":
            written = html.render(run, folder, names)
        else:
            tables = tuple(dict.fromkeys(table for n in names for table in REPORTS[n]))
            written = csv.render(run, folder, tables, spreadsheet=spreadsheet)
        for path in written:
            click.echo(str(path))
    return None


_WRITTEN_AS = {"focus": "use --format parquet or csv"}
_OTHERS = "use --format console, html, csv or json; only focus is written as parquet"


def _focus(config: Config, run: Run, folder: Path, *, csv: bool, quiet: bool) -> int:
    from governor.collect import refuse_inside
    from governor.collect.allocated import collect_allocated

    refuse_inside(config, folder)
    with progress(quiet) as show:
        collected = collect_allocated(run, folder, csv=csv, progress=show)
    for problem in collected.refused:
        click.echo(printable(str(problem)), err=True)
    for source, notice in collected.notices:
        click.echo(printable(f"notice {source} {notice}"), err=True)
    if run.incomplete:
        click.echo(
            f"notice run {run.number} is incomplete, and so is what was written: report summary has its gaps", err=True
        )
    if not quiet:
        for source in collected.content["sources"]:
            for file in source["written"]:
                click.echo(str(collected.folder / file["path"]))
    return INCOMPLETE if collected.incomplete else CLEAN
