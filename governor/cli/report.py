"""governor report: a committed run, written again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from governor.cli.options import config_option, open_run, run_option, writable


@click.command("report")
@click.argument("name", type=click.Choice(["summary", "compliance", "chargeback", "reconciliation"]), default="summary")
@config_option
@run_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["console", "html", "csv", "json"]),
    help="Default: console for the summary, html for the others.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where files are written; default: out of governor.yaml.")
@click.option("--spreadsheet", is_flag=True, help="CSV for a spreadsheet: text that looks like a formula is quoted.")
def command(
    name: str, config_path: Path | None, ref: str, format_: str | None, out: Path | None, spreadsheet: bool
) -> None:
    """Write a report of a committed run: summary, compliance, chargeback or reconciliation.

    The figures are read from the ledger, never computed again.
    """
    from governor.reports import REPORTS, console, csv, html, json, reconciliation

    config, run = open_run(config_path, ref)
    format_ = format_ or ("console" if name == "summary" else "html")
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
