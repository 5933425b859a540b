"""governor init: a project that runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--bill", type=click.Path(path_type=Path), help="Your bill, a file or folder; default: a small example.")
@click.option("--organization", default="My organization", show_default=True)
def command(folder: Path, bill: Path | None, organization: str) -> None:
    """Write a starter project into FOLDER: governor.yaml, policies, and registers drawn from the bill itself."""
    from governor.starter import write_starter

    for path in write_starter(folder, bill, organization):
        click.echo(f"wrote {path}", err=True)
    click.echo(f"next: governor run -c {folder / 'governor.yaml'}", err=True)
