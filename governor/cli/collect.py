"""governor collect: the bills in one form, for other tools."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from governor.cli import CLEAN, INCOMPLETE, printable
from governor.cli.options import config_option, format_option, load_config, progress

if TYPE_CHECKING:
    from governor.collect import Collected


@click.group("collect")
def command() -> None:
    """Read what governor.yaml names into one form, for other tools. It judges nothing and commits nothing."""


@command.command("billing")
@config_option
@click.option("--source", "sources", multiple=True, metavar="NAME", help="A billing source; default: all of them.")
@click.option(
    "--to",
    "target",
    type=click.Choice(["parquet", "focus"]),
    default="parquet",
    show_default=True,
    help="parquet: charges, tag sets and rejects, with all columns of the bill. focus: FOCUS 1.4 Cost and Usage.",
)
@click.option("--csv", "as_csv", is_flag=True, help="With --to focus: gzipped CSV instead of Parquet.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The folder that is replaced whole; default: billing (or focus) below out of governor.yaml.",
)
@format_option("console", "json")
@click.option("--threads", type=click.IntRange(0, 256), default=0, help="0 is all cores. Never changes a result.")
@click.option("--memory-mb", type=click.IntRange(200), default=1_500, show_default=True, help="Memory of the engine.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but problems.")
def billing(
    config_path: Path | None,
    sources: tuple[str, ...],
    target: str,
    as_csv: bool,
    out: Path | None,
    format_: str,
    threads: int,
    memory_mb: int,
    quiet: bool,
) -> int:
    """Write the bills as normalised tables, or as FOCUS 1.4, with the digest of every file that was read.

    Exit codes: 0 clean, 2 could not run, 3 incomplete: a source was refused, or something could not be seen.
    """
    from governor.collect import Options, collect

    if as_csv and target != "focus":
        raise click.UsageError("C051 --csv goes with --to focus: the normalised tables are Parquet")
    config = load_config(config_path)
    folder = out or config.out / ("focus" if target == "focus" else "billing")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with progress(quiet) as show:
        collected = collect(config, folder, sources, Options(target, as_csv, now, threads, memory_mb, show))
    for problem in collected.refused:
        click.echo(printable(str(problem)), err=True)
    for source, notice in collected.notices:
        click.echo(printable(f"notice {source} {notice}"), err=True)
    if format_ == "json":
        click.echo((folder / "collected.json").read_text(encoding="utf-8"))
    elif not quiet:
        _show(collected)
    return INCOMPLETE if collected.incomplete else CLEAN


def _show(collected: Collected) -> None:
    """Print a line for each total, gap and file."""
    for source in collected.content["sources"]:
        rejected, aside = (sum(file[which] for file in source["files"]) for which in ("rejected", "aside"))
        beside = "".join(f", {n:,} {what}" for n, what in ((rejected, "rejected"), (aside, "set aside")) if n)
        what = " ".join(filter(None, (source["format"], source["version"])))
        click.echo(printable(f"source {source['source']}: {what}, {_count(len(source['files']), 'file')}{beside}"))
        for total in source["totals"]:
            amounts = f"billed {total['billed_cost']}, effective {total['effective_cost']}"
            scope = f"{total['billing_period']} {total['currency']}"
            click.echo(printable(f"  {scope}: {_count(total['rows'], 'charge')}, {amounts}"))
        for gap in source["gaps"]:
            where = " ".join(filter(None, (gap["scope"], gap["reason"])))
            rows = f" ({_count(gap['rows'], 'row')})" if gap["rows"] else ""
            click.echo(printable(f"  gap {where}: {gap['detail']}{rows}"))
        for file in source["written"]:
            click.echo(printable(f"  file {collected.folder / file['path']} ({_count(file['rows'], 'row')})"))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
