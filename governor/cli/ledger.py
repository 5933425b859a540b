"""governor ledger: the committed runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from governor.cli import CLEAN, VIOLATED, printable
from governor.cli.options import config_option, format_option, load_config, open_run


@click.group("ledger")
def command() -> None:
    """List, show, compare and verify committed runs."""


@command.command("list")
@config_option
@format_option("console", "json")
def list_(config_path: Path | None, format_: str) -> None:
    """List the committed runs, the last one last."""
    from governor.ledger.read import runs

    rows = [
        {
            "number": r.number,
            "committed_at": r.receipt["committed_at"],
            "as_of": r.manifest["parameters"]["as_of"],
            "content": r.manifest["content"],
            "manifest": r.digest,
            "gaps": r.manifest["gaps"],
        }
        for r in runs(load_config(config_path).ledger)
    ]
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no runs yet; make one with governor run", err=True)
    for row in rows:
        gaps = f"  {row['gaps']} gaps" if row["gaps"] else ""
        click.echo(f"{row['number']:>6}  {row['committed_at']}  as of {row['as_of']}  {row['content'][:12]}{gaps}")


@command.command("show")
@click.argument("ref", default="latest")
@config_option
@format_option("console", "json")
def show(ref: str, config_path: Path | None, format_: str) -> None:
    """Show what a run was made of: its inputs, policies, parameters and tables, with their digests."""
    _, run = open_run(config_path, ref)
    if format_ == "json":
        click.echo(json.dumps({"manifest": run.manifest, "receipt": run.receipt}, indent=2, sort_keys=True))
        return
    manifest: dict[str, Any] = run.manifest
    click.echo(f"run {run.number}, committed {run.receipt['committed_at']}")
    click.echo(f"content  {manifest['content']}\nmanifest {run.digest}\nprevious {manifest['previous'] or 'none'}")
    for given in manifest["inputs"]:
        click.echo(printable(f"\n{given['kind']} {given['source']} {given['format']} {given['version']}".rstrip()))
        for file in given["files"]:
            rejected = f", {file['rejected']} rejected" if file.get("rejected") else ""
            click.echo(printable(f"  {file['sha256'][:12]}  {file['rows']:>9} rows{rejected}  {file['path']}"))
    click.echo("\npolicies")
    for policy in manifest["policies"]:
        click.echo(f"  {policy['digest'][:12]}  {policy['kind']} {policy['id']}")
    click.echo("\nparameters")
    for name, value in manifest["parameters"].items():
        click.echo(f"  {name}: {value}")
    click.echo("\ntables")
    for name, output in manifest["outputs"].items():
        click.echo(f"  {output['sha256'][:12]}  {output['rows']:>9} rows  {name}")


@command.command("verify")
@config_option
@format_option("console", "json")
@click.option("--head", "heads", multiple=True, metavar="DIGEST", help="A head noted earlier that must still be there.")
def verify(config_path: Path | None, format_: str, heads: tuple[str, ...]) -> int:
    """Prove that no committed run was changed, removed or put in: exit 1 when one was.

    That the last runs were not cut off or written anew can be seen only against a head noted elsewhere: --head.
    """
    from governor.ledger.read import runs
    from governor.ledger.verify import verify as check

    if wrong := [head for head in heads if not re.fullmatch("[0-9a-f]{64}", head)]:
        raise click.BadParameter(
            f"{wrong[0]!r} is no digest of 64 hex digits; verify prints the head", param_hint="--head"
        )
    ledger = load_config(config_path).ledger
    problems = check(ledger, heads)
    head = None if problems else next((r.digest for r in reversed(runs(ledger))), None)
    if format_ == "json":
        click.echo(json.dumps({"valid": not problems, "problems": [str(p) for p in problems], "head": head}, indent=2))
    elif problems:
        for problem in problems:
            click.echo(printable(str(problem)))
    else:
        click.echo(f"the ledger is whole; its head is {head}")
    return VIOLATED if problems else CLEAN


@command.command("diff")
@click.argument("old", default="previous")
@click.argument("new", default="latest")
@config_option
@format_option("console", "json")
def diff(old: str, new: str, config_path: Path | None, format_: str) -> None:
    """Show what changed between two runs: money by account, service and cost center, scores, findings, policies."""
    from governor.ledger.diff import as_json
    from governor.ledger.diff import diff as compare
    from governor.ledger.read import open_run as open_

    ledger = load_config(config_path).ledger
    difference = as_json(compare(open_(ledger, old), open_(ledger, new)))
    if format_ == "json":
        click.echo(json.dumps(difference, indent=2))
        return
    for line in _lines(difference):
        click.echo(printable(line))


def _lines(difference: dict[str, Any]) -> list[str]:
    """Lay a difference out as text: a heading for each part that changed, a line for each change."""
    if not any(isinstance(value, list) and value for value in difference.values()):
        return ["nothing changed"]
    lines = []
    for part, value in difference.items():
        if isinstance(value, dict) and any(value.values()):
            counts = "  ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items() if v)
            lines.append(f"{part.replace('_', ' ')}: {counts}")
        if isinstance(value, list) and value:
            lines.append(f"{part.replace('_', ' ')} ({len(value)})")
            lines += [f"  {_change(row)}" for row in value[:20]]
            if len(value) > 20:  # noqa: PLR2004 - a screenful
                lines.append(f"  ... and {len(value) - 20} more: --format json has all")
    return lines


def _change(row: dict[str, Any]) -> str:
    """Write a row of a difference: what it is of, then each value that differs as old -> new (delta)."""
    sides = ("_old", "_new", "_delta")
    of = [str(v) for k, v in row.items() if v not in (None, "") and not k.endswith(sides)]
    names = dict.fromkeys(k.removesuffix("_old").removesuffix("_new") for k in row if k.endswith(sides[:2]))
    changes = []
    for name in names:
        old, new, delta = ("none" if row.get(name + side) is None else row[name + side] for side in sides)
        if old != new:
            apart = f" ({delta})" if delta != "none" else ""
            changes.append(f"{name.replace('_', ' ')} {old} -> {new}{apart}")
    return "  ".join([*of, *changes])
