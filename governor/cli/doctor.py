"""governor doctor: what is missing, and where each setting comes from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import click

from governor import __version__
from governor.cli import CLEAN, COULD_NOT_RUN, printable
from governor.cli.options import config_option

LIBRARIES = ("duckdb", "pyarrow", "sqlglot", "pyyaml", "jsonschema", "jinja2", "rich", "click", "rfc8785")


@click.command("doctor")
@config_option
def command(config_path: Path | None) -> int:
    """Check the installation and the project, and say how to mend what is wrong. Exit 2 when a run could not start."""
    click.echo(f"governor {__version__}, Python {platform.python_version()} on {platform.system()}")
    click.echo("libraries  " + "  ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES))
    wrong = _project(config_path)
    click.echo("all is well" if not wrong else f"{wrong} to mend")
    return COULD_NOT_RUN if wrong else CLEAN


def _project(config_path: Path | None) -> int:
    """Check configuration, registers, policies, bills and ledger in turn; each part says what it found."""
    from governor.config import load, origins
    from governor.ledger.verify import verify
    from governor.model import Refused
    from governor.policy_tests import run_tests
    from governor.run import prepare

    try:
        config = load(config_path)
    except Refused as refused:
        return _say(refused)
    click.echo(printable(f"\nsettings of {config.file}"))
    for name, origin in origins(config).items():
        click.echo(printable(f"  {name}: {origin}"))
    click.echo()
    wrong = 0
    try:
        prepared = prepare(config)
        for warning in prepared.registers.warnings:
            click.echo(printable(f"warn  {warning}"))
        click.echo(f"ok    {len(prepared.registers.tables)} registers, {len(prepared.plan.policies.all())} policies")
        result = run_tests(prepared.plan, prepared.registers, datetime.now(UTC).date())
        for problem in result.problems:
            click.echo(printable(f"fail  {problem}"))
        click.echo(f"{'fail' if result.problems else 'ok  '}  {result.ran} policy tests")
        wrong += len(result.problems)
    except Refused as refused:
        wrong += _say(refused)
    wrong += _bills(config_path)
    for name, folder in (("ledger", config.ledger), ("out", config.out)):
        nearest = next(f for f in (folder, *folder.parents) if f.exists())
        if not os.access(nearest, os.W_OK):
            click.echo(
                printable(f"fail  {nearest} C042 {name} can't be written there; allow it, or name another folder")
            )
            wrong += 1
    if config.ledger.exists():
        problems = verify(config.ledger)
        for problem in problems:
            click.echo(printable(f"fail  {problem}"))
        click.echo("ok    the ledger is whole" if not problems else f"fail  {len(problems)} problems in the ledger")
        wrong += len(problems)
    else:
        click.echo(printable(f"ok    {config.ledger} will be made by the first run"))
    return wrong


def _bills(config_path: Path | None) -> int:
    """Look whether each bill's files are there; what they hold is judged by a run."""
    from governor.address import is_address
    from governor.config import load
    from governor.model import Refused
    from governor.sources.billing import files
    from governor.sources.stores.mirror import survey

    config, wrong = load(config_path), 0
    for source in config.billing:
        try:
            why: tuple[str, ...] = ()
            if is_address(source.path):
                listing = survey(source)
                said = f"{len(listing.objects)} objects, {listing.bytes:,} bytes"
            else:
                found = files.find(source.path, config.root, source.position)
                said = f"{len(found.files)} files, {sum(path.stat().st_size for path in found.files):,} bytes"
                why = found.why
            click.echo(printable(f"ok    bill {source.name}: {said} at {source.path}"))
            for each in why:
                click.echo(printable(f"      {each}"))
        except Refused as refused:
            wrong += _say(refused)
    return wrong


def _say(refused: Exception) -> int:
    lines = str(refused).splitlines()
    for line in lines:
        click.echo(printable(f"fail  {line}"))
    return len(lines)
