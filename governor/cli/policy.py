"""governor policy: list, validate, test, write policies."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from governor.cli import CLEAN, COULD_NOT_RUN, VIOLATED
from governor.cli.options import as_of_option, config_option, format_option, load_config

if TYPE_CHECKING:
    from governor.policy_tests import Result
    from governor.run import Prepared

KINDS = ("TagPolicy", "AccountPolicy", "RulePolicy", "AllocationPolicy", "Waiver")


@click.group("policy")
def command() -> None:
    """List, validate, test and write policies."""


def _prepare(config_path: Path | None) -> Prepared:
    from governor.run import prepare

    return prepare(load_config(config_path))


def _test(prepared: Prepared, as_of: date) -> Result:
    from governor.policy_tests import run_tests

    return run_tests(prepared.plan, prepared.registers, as_of)


@command.command("list")
@config_option
@format_option("console", "json")
def list_(config_path: Path | None, format_: str) -> None:
    """List every requirement, allocation policy and waiver in force, with its file."""
    prepared = _prepare(config_path)
    rows = [
        {
            "id": c.requirement.id,
            "kind": c.requirement.kind,
            "severity": str(c.requirement.severity),
            "title": c.requirement.title,
            "at": str(c.requirement.position),
        }
        for c in prepared.plan.checks
    ]
    policies = prepared.plan.policies
    rows += [
        {"id": p.id, "kind": type(p).__name__, "severity": "", "title": p.title, "at": str(p.position)}
        for p in policies.allocation
    ]
    rows += [
        {"id": w.id, "kind": "Waiver", "severity": "", "title": f"{w.reason}, until {w.expires}", "at": str(w.position)}
        for w in policies.waivers
    ]
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(r["id"]) for r in rows), default=0)
    for row in rows:
        click.echo(f"{row['id']:<{width}}  {row['severity'] or row['kind']:<16}  {row['title']}  ({row['at']})")


@command.command("validate")
@config_option
@as_of_option
def validate(config_path: Path | None, as_of: date) -> int:
    """Check configuration, registers and policies, and run the policies' own tests. Exit 2 when one is wrong."""
    prepared = _prepare(config_path)
    for warning in prepared.registers.warnings:
        click.echo(f"warning: {warning}", err=True)
    result = _test(prepared, as_of)
    for problem in result.problems:
        click.echo(str(problem), err=True)
    if result.problems:
        return COULD_NOT_RUN
    policies = prepared.plan.policies.all()
    click.echo(f"{len(policies)} policies, {len(prepared.plan.checks)} requirements, {result.ran} tests: all is well")
    return CLEAN


@command.command("test")
@config_option
@as_of_option
def test(config_path: Path | None, as_of: date) -> int:
    """Run the tests that policies carry. Exit 1 when one fails."""
    result = _test(_prepare(config_path), as_of)
    for problem in result.problems:
        click.echo(str(problem))
    click.echo(f"{result.ran - len(result.problems)} passed, {len(result.problems)} failed")
    return VIOLATED if result.problems else CLEAN


@command.command("new")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("file", type=click.Path(path_type=Path))
def new(kind: str, file: Path) -> int:
    """Write a policy of KIND with its tests to FILE, to start from."""
    from governor._data import data

    if file.exists():
        click.echo(f"{file} P050 it is there already; name a new file", err=True)
        return COULD_NOT_RUN
    template = data("examples", "policies", f"{kind}.yaml").read_text(encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        template.replace("new-policy", re.sub(r"[^a-z0-9-]+", "-", file.stem.lower()).strip("-") or "new-policy"),
        encoding="utf-8",
    )
    click.echo(f"wrote {file}; now: governor policy test", err=True)
    return CLEAN


@command.command("schema")
@click.argument("name", type=click.Choice(["policy", "config"]), default="policy")
def schema(name: str) -> None:
    """Print the JSON Schema of policies or of governor.yaml, for an editor."""
    from governor._data import data

    click.echo(data("schemas", f"{name}.json").read_text(encoding="utf-8"), nl=False)
