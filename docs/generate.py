"""Write the documents that are made from the code, or with --check say which are stale.

docs/commands.md   every command with its options, from the command line's own help
docs/rules.md      every requirement of the shipped packs
docs/tables.md     the tables of a committed run, column by column
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["COLUMNS"] = "100"

import click

from governor import tables
from governor._data import data
from governor.cli import COMMANDS, governor
from governor.policy.load import load_policies, requirements

DOCS = Path(__file__).parent
NOTE = "<!-- Written by `make docs`; do not edit. -->\n"


def commands() -> str:
    """Lay out the help of every command."""
    parts = [NOTE, "# Commands\n"]
    for path, command in _walk(governor, "governor", [*COMMANDS]):
        context = click.Context(
            command,
            info_name=path,
            max_content_width=100,
            terminal_width=100,
            help_option_names=["-h", "--help"],
        )
        parts.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _walk(group: click.Group, path: str, names: list[str]) -> Iterator[tuple[str, click.Command]]:
    yield path, group
    for name in names:
        command = group.get_command(click.Context(group), name) or group
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path} {name}", sorted(command.commands))
        else:
            yield f"{path} {name}", command


def rules() -> str:
    """List what every shipped pack requires."""
    how = 'Name a pack under `policies:` in governor.yaml, as `"pack:tagging-core"`.\n'
    parts = [NOTE, "# Shipped policy packs\n", how]
    for folder in sorted(p for p in data("rules").iterdir() if p.is_dir()):
        parts.append(f"## {folder.name}\n")
        for policy in load_policies([Path(f"pack:{folder.name}")]).all():
            why = f" {policy.why.strip()}" if getattr(policy, "why", "") else ""
            parts.append(f"**{policy.id}**: {getattr(policy, 'title', '')}.{why}\n")
            lines = ["| requirement | severity | what it asks | remedy |", "|---|---|---|---|"]
            lines += [
                f"| `{r.id}` | {r.severity} | {_cell(r.title)} | {_cell(r.remedy)} |" for r in requirements(policy)
            ]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def run_tables() -> str:
    """List the columns of a run's tables."""
    parts = [NOTE, "# The tables of a run\n", "Parquet files in `ledger/runs/NNNNNN/`. Money is DECIMAL(38,24).\n"]
    for name, columns in tables.RUN.items():
        lines = [f"## {name}\n", "| column | type | note |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {c.type} | {_cell(c.note)} |" for c in columns]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write or check every document."""
    stale = []
    for name, text in (("commands.md", commands()), ("rules.md", rules()), ("tables.md", run_tables())):
        path = DOCS / name
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"stale: {', '.join(stale)}; run make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
