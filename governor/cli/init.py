"""governor init: a project that runs."""

from __future__ import annotations

from pathlib import Path

import click

from governor.cli.options import progress


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--bill", help="Your bill: a file, a folder, s3://…, gs://… or az://…; default: a small example.")
@click.option("--organization", default="My organization", show_default=True)
def command(folder: Path, bill: str | None, organization: str) -> None:
    """Write a starter project into FOLDER: governor.yaml, policies, and registers drawn from the bill itself."""
    from governor.starter import write_starter

    with progress(quiet=False) as show:
        written = write_starter(folder, bill, organization, show)
    for path in written:
        click.echo(f"wrote {path}", err=True)
    click.echo(f"next: governor run -c {folder / 'governor.yaml'}", err=True)
