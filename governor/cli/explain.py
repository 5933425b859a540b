"""governor explain: why."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from governor.cli import printable
from governor.cli.options import config_option, format_option, open_run, run_option


@click.command("explain")
@click.argument("subject")
@config_option
@run_option
@format_option("console", "json")
def command(subject: str, config_path: Path | None, ref: str, format_: str) -> None:
    """Say why.

    SUBJECT is a charge (FILE:ROW), resource, finding, requirement, policy, cost center, pool, rule, account, waiver or
    cell, as any report shows it.
    """
    from governor.explain import explain

    _, run = open_run(config_path, ref)
    answers = explain(run, subject)
    if format_ == "json":
        plain = [
            {
                "kind": a.kind,
                "subject": a.subject,
                "facts": a.facts,
                "because": [{"what": what, "rows": rows} for what, rows in a.because],
            }
            for a in answers
        ]
        click.echo(json.dumps(plain, indent=2, default=_text))
        return
    for answer in answers:
        click.echo(printable(f"{answer.kind} {answer.subject}"))
        _lines(answer.facts)
        for what, rows in answer.because:
            click.echo(f"\n  {what}")
            for row in rows:
                click.echo("    " + printable("  ".join(f"{k}: {_text(v)}" for k, v in row.items())))
        click.echo()


def _lines(facts: dict[str, Any]) -> None:
    width = max((len(k) for k in facts), default=0)
    for key, value in facts.items():
        click.echo(printable(f"  {key:<{width}}  {_text(value)}"))


def _text(value: object) -> str:
    from governor.money import text

    if isinstance(value, Decimal):
        return text(value)
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
