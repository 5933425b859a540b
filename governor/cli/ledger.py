"""governor ledger: the committed runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from governor.cli import CLEAN, INCOMPLETE, VIOLATED, printable
from governor.cli.options import config_option, format_option, load_config, open_run, run_option

if TYPE_CHECKING:
    from governor.ledger.periods import Closing, Obstacle


@click.group("ledger")
def command() -> None:
    """List, show, compare and verify committed runs; close billing periods."""


@command.command("list")
@config_option
@format_option("console", "json")
def list_(config_path: Path | None, format_: str) -> None:
    """List the committed runs, the last one last."""
    from governor.ledger.periods import closings
    from governor.ledger.read import runs

    ledger = load_config(config_path).ledger
    closed: dict[int, list[str]] = {}
    for closing in closings(ledger):
        closed.setdefault(closing.run, []).append(closing.period)
    rows = [
        {
            "number": r.number,
            "committed_at": r.receipt["committed_at"],
            "as_of": r.manifest["parameters"]["as_of"],
            "content": r.manifest["content"],
            "manifest": r.digest,
            "gaps": r.manifest["gaps"],
            "closed": closed.get(r.number, []),
        }
        for r in runs(ledger)
    ]
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no runs yet; make one with governor run", err=True)
    for row in rows:
        gaps = f"  {row['gaps']} gaps" if row["gaps"] else ""
        periods = f"  closed {', '.join(row['closed'])}" if row["closed"] else ""
        line = f"{row['number']:>6}  {row['committed_at']}  as of {row['as_of']}  {row['content'][:12]}{gaps}{periods}"
        click.echo(line)


@command.command("show")
@click.argument("ref", default="latest")
@config_option
@format_option("console", "json")
def show(ref: str, config_path: Path | None, format_: str) -> None:
    """Show what a run was made of: its inputs, billing periods, policies, parameters and tables, with digests."""
    from governor.money import text

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
            held = file["version"] if file["version"].endswith("manifest") else f"{file['rows']:>9} rows{rejected}"
            click.echo(printable(f"  {file['sha256'][:12]}  {held:>14}  {file['path']}"))
    click.echo("\nbilling periods")
    for row in run.periods():
        costs = f"billed {text(row['billed_cost'])}, effective {text(row['effective_cost'])} {row['currency']}"
        click.echo(printable(f"  {row['source']} {row['billing_period']}: {row['rows']} rows, {costs}"))
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


@command.command("close")
@click.argument("period")
@config_option
@run_option
@format_option("console", "json")
@click.option(
    "--not-invoiced-ok", metavar="REASON", help="Close although charges are not invoiced yet; the reason is recorded."
)
@click.option(
    "--no-invoices", metavar="REASON", help="Close although sources have no invoices input; the reason is recorded."
)
def close(
    period: str, config_path: Path | None, ref: str, format_: str, not_invoiced_ok: str | None, no_invoices: str | None
) -> int:
    """Close a billing period, YYYY-MM, on a run whose invoices are tied: for good, and with who and when.

    Refused with exit 1 while an invoice of the period isn't tied or charges are not invoiced, each with its money, and
    with exit 3 while something of it could not be seen.
    """
    from governor import __version__
    from governor.ledger import periods

    if not periods.PERIOD.fullmatch(period):
        raise click.BadParameter(f"{period!r} is no billing period; write YYYY-MM", param_hint="PERIOD")
    given = {"not_invoiced": not_invoiced_ok, "not_checked": no_invoices}
    if empty := [kind for kind, reason in given.items() if reason is not None and not reason.strip()]:
        raise click.BadParameter("say why: it is recorded", param_hint=_EXCUSES[empty[0]])
    reasons = {kind: reason for kind, reason in given.items() if reason}
    _, run = open_run(config_path, ref)
    periods.refuse_second(periods.closings(run.ledger), period)
    found = periods.obstacles(run, period)
    standing = [each for each in found if each.kind not in reasons]
    closing = None
    if not standing:
        excused = {kind: (reason, [each for each in found if each.kind == kind]) for kind, reason in reasons.items()}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        closing = periods.close(run, period, excused, closed_at=now, version=__version__)
    if format_ == "json":
        click.echo(json.dumps(_closing(period, run.number, closing, standing), indent=2))
    elif closing:
        click.echo(f"{period} is closed on run {run.number}; its closing is {closing.digest}")
    else:
        for each in standing:
            mend = f"; pass it over with {_EXCUSES[each.kind]} REASON" if each.kind in _EXCUSES else ""
            click.echo(printable(f"{each.what}{mend}"))
        click.echo(f"{period} is not closed", err=True)
    if closing:
        return CLEAN
    return INCOMPLETE if any(each.kind in periods.NOT_SEEN for each in standing) else VIOLATED


_EXCUSES = {"not_invoiced": "--not-invoiced-ok", "not_checked": "--no-invoices"}


def _closing(period: str, run: int, closing: Closing | None, standing: Sequence[Obstacle]) -> dict[str, Any]:
    from governor.money import text

    return {
        "period": period,
        "run": run,
        "closed": closing is not None,
        "closing": closing.digest if closing else None,
        "obstacles": [
            {
                "kind": each.kind,
                "what": each.what,
                "amount": None if each.amount is None else text(each.amount),
                "currency": each.currency or None,
            }
            for each in standing
        ],
    }


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
