"""The command line: parse, call one function, print, exit. Commands are imported when they are called."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TypeGuard

import click

from governor import __version__

# Exit codes, a stable promise: 0 clean, 1 policy violated, 2 could not run, 3 ran but incomplete, 130 interrupted.
CLEAN, VIOLATED, COULD_NOT_RUN, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130

COMMANDS = {
    "init": "write a starter project that runs",
    "doctor": "say what is missing, and where each setting comes from",
    "run": "read the bills, judge, allocate, score, commit a run, write the reports",
    "collect": "write the bills in one form for other tools: normalised Parquet, or FOCUS 1.4",
    "report": "write a committed run as HTML, CSV, JSON or FOCUS 1.4",
    "explain": "say why: a charge, a resource, a finding, a requirement, a cost center, a pool",
    "journal": "draft journal entries from a committed run",
    "policy": "list, validate, test, write policies",
    "ledger": "list, show, compare and verify committed runs; close billing periods",
}


class _Lazy(click.Group):
    """Imports a command's module when it is asked for, so that `--version` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"governor.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - each module has one
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; one of {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="governor")
@click.option("--debug", is_flag=True, help="Show where in governor's code an error arose.")
def governor(debug: bool) -> None:
    """Decide who pays for the cloud: one policy for the bill, the account, the pull request and the ledger.

    Exit codes: 0 clean, 1 policy violated, 2 could not run, 3 ran but incomplete.
    """
    if debug:
        os.environ["GOVERNOR_DEBUG"] = "1"


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code. Every refusal is a line that says where, what and how to mend."""
    try:
        code = governor.main(args=list(args) if args is not None else None, standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else CLEAN)
    except click.ClickException as error:
        error.show()
        sys.exit(COULD_NOT_RUN)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; nothing was committed", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CLEAN)
    except _known_errors() as error:
        if os.environ.get("GOVERNOR_DEBUG"):
            traceback.print_exc()
        said = (
            f"{error.filename or 'governor'} C043 {error.strerror}; check the path" if _is_path(error) else str(error)
        )
        click.echo(printable(said), err=True)
        sys.exit(COULD_NOT_RUN)
    except Exception as error:  # noqa: BLE001 - Python would exit with 1, which means that a policy is violated
        if os.environ.get("GOVERNOR_DEBUG"):
            traceback.print_exc()
        what = (
            f"governor failed: {type(error).__name__}: {error}; nothing was committed. This is a defect of governor's:"
        )
        click.echo(printable(f"{what} please report it with what `governor --debug ...` prints"), err=True)
        sys.exit(COULD_NOT_RUN)


def _is_path(error: BaseException) -> TypeGuard[OSError]:
    """Tell the errors that the file system gives from those that say themselves where, what and how to mend."""
    return isinstance(error, OSError) and error.strerror is not None


def _known_errors() -> tuple[type[BaseException], ...]:
    from governor.model import Refused

    errors: list[type[BaseException]] = [Refused, OSError]
    if allocate := sys.modules.get("governor.allocate"):
        errors.append(allocate.NotConserved)
    if engine := sys.modules.get("governor.engine.duckdb"):
        errors.append(engine.ENGINE_ERRORS)
    return tuple(errors)


def printable(text: str) -> str:
    """Make control and direction-changing characters visible: what a bill says must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)
