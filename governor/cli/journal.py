"""governor journal: from a committed run to the general ledger."""

from __future__ import annotations

from pathlib import Path

import click

from governor.cli import CLEAN, INCOMPLETE
from governor.cli.options import config_option, open_run, run_option, writable


@click.group("journal")
def command() -> None:
    """Draft journal entries from a committed run."""


@command.command("draft")
@click.option("--period", required=True, metavar="YYYY-MM", help="The billing period to charge.")
@config_option
@run_option
@click.option("--to", "target", type=click.Choice(["all", "csv", "hledger"]), default="all", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Where files are written; default: out of governor.yaml.")
def draft(period: str, config_path: Path | None, ref: str, target: str, out: Path | None) -> int:
    """Write balanced entries of a period: debit each recipient's expense account, credit the clearing account."""
    from governor.journals import FORMATS, draft_journal, write

    config, run = open_run(config_path, ref)
    journal = draft_journal(run, period, config.journal)
    folder = out or config.out
    writable(folder)
    for name in FORMATS if target == "all" else (target,):
        for path in write(journal, name, folder):
            click.echo(str(path))
    return INCOMPLETE if journal.incomplete else CLEAN
