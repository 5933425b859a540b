"""Options that several commands share, and what they turn into."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from governor.config import Config
    from governor.ledger.read import Run

F = TypeVar("F", bound=Callable[..., Any])


def config_option(function: F) -> F:
    """Add -c/--config."""
    return click.option(
        "-c",
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        help="governor.yaml; by default the nearest one upward from here.",
    )(function)


def run_option(function: F) -> F:
    """Add --run."""
    return click.option(
        "--run",
        "ref",
        default="latest",
        show_default=True,
        metavar="RUN",
        help="A run's number, latest, previous, latest~N, or the start of its content digest.",
    )(function)


def format_option(*formats: str) -> Callable[[F], F]:
    """Add --format; the first format is the default."""
    return click.option(
        "--format", "format_", type=click.Choice(formats), default=formats[0], show_default=True, help="What to print."
    )


def as_of_option(function: F) -> F:
    """Add --as-of."""
    return click.option(
        "--as-of",
        metavar="DATE",
        callback=_date,
        help="The date of judgement, YYYY-MM-DD: it decides waivers and grace. Default: today.",
    )(function)


def _date(ctx: click.Context, param: click.Parameter, value: str | None) -> date:
    if value is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date; write YYYY-MM-DD", ctx, param) from None


def load_config(path: Path | None) -> Config:
    """Find and load governor.yaml."""
    from governor.config import load

    return load(path)


def open_run(config_path: Path | None, ref: str) -> tuple[Config, Run]:
    """Open a committed run of the configured ledger."""
    from governor.ledger import read

    config = load_config(config_path)
    return config, read.open_run(config.ledger, ref)


def writable(folder: Path) -> None:
    """Make the folder for reports, or refuse: before a run is committed, not after."""
    from governor.model import Position, Problem, Refused

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = f"reports can't be written there: {error.strerror}"
        mend = "name another folder with --out, or out: in governor.yaml"
        raise Refused(Problem(Position(str(folder)), "C042", what, mend)) from error


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show what is being done, on a terminal only; elsewhere nothing moves and nothing is printed."""
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what.replace("[", "("), completed=done, total=total or None)

        yield show
