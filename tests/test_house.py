"""The house law: what keeps this repository readable, checked. Each violation names its file and line.

A limit that a better design breaks is changed here, with the reason in the same commit.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 450
CONTRACTS = {"governor/tables.py"}  # nothing but columns: one look-up beats three files; it grows with every table
FUNCTION_LINES_MAX = 70
BROAD_EXCEPTS_MAX = 1  # the source boundary, where an error becomes a Gap
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "stuff"}
LEFT_BEHIND = {"build", "dist", "out", "ledger", "node_modules", "htmlcov"}  # by tools and runs, at the top

# Spelled in pieces so that this file does not find itself.
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X\\b")))
MACHINE = re.compile("|".join(("/wo" + "rk/", "/tm" + "p/w/", "/ro" + "ot/", "/ho" + "me/[a-z]")))
PACKAGE_HOST = re.compile("|".join(("py" + "pi\\.org", "python" + "hosted", "extra-" + "index-url", "find-" + "links")))


def texts(*suffixes: str, below: str = ".") -> Iterator[tuple[str, str]]:
    """Yield path and text of the files that are kept here, not of what tools and runs leave behind."""
    for folder, folders, names in os.walk(ROOT / below):
        here = Path(folder)
        top = here == ROOT
        folders[:] = sorted(
            name
            for name in folders
            if name != "__pycache__"
            and not (top and name in LEFT_BEHIND)
            and not (name in {"out", "ledger"} and here.parent.name == "examples")
            and (not name.startswith(".") or name in {".github", ".ci"})
        )
        for name in sorted(names):
            path = here / name
            if (not suffixes or path.suffix in suffixes) and path.suffix not in {".parquet", ".gz", ".png"}:
                try:
                    yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue  # bytes on purpose: a hostile input


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path, text in texts(".py", below="governor"):
        yield path, ast.parse(text, path)


def none_of(violations: Iterable[str]) -> None:
    """Fail with every violation on a line of its own, as file:line: what."""
    listed = sorted(violations)
    assert not listed, "\n".join(("", *listed))


def found(pattern: re.Pattern[str], *suffixes: str, below: str = ".") -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts(*suffixes, below=below)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = [(path, len(text.splitlines())) for path, text in texts(".py")]
    assert lengths
    none_of(f"{path}:{n}: {n} lines" for path, n in lengths if n > FILE_LINES_MAX and path not in CONTRACTS)


def test_a_function_fits_on_a_screen() -> None:
    none_of(
        f"{path}:{node.lineno}: {node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    )


def test_a_file_is_named_after_what_it_does() -> None:
    none_of(f"{path}:1: names nothing" for path, _ in texts() if set(Path(path).with_suffix("").parts) & NAMELESS)


def test_every_module_says_what_it_is_for() -> None:
    none_of(
        f"{path}:1: no docstring"
        for path, tree in modules()
        if not ast.get_docstring(tree) and (tree.body or not path.endswith("/__init__.py"))
    )


def test_an_error_is_never_swallowed_wholesale() -> None:
    broad = [
        f"{path}:{node.lineno}: broad except"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & {ast.unparse(n) for n in ast.walk(node.type)})
    ]
    assert len(broad) <= BROAD_EXCEPTS_MAX, broad


def test_no_float_comes_near_money() -> None:
    """Neither `float(...)` nor a literal such as 0.5 where amounts are made, kept or posted."""
    law = ("governor/money.py", "governor/score.py", "governor/allocate/", "governor/journals/", "governor/evaluate/")
    law += ("governor/collect/",)
    none_of(
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in modules()
        if path.startswith(law)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Call) and ast.unparse(node.func) == "float")
    )


def test_decimals_are_added_where_nothing_is_rounded() -> None:
    """Python's own `+` and `sum` round a Decimal to 28 digits, and an amount may have 38.

    They stand within `with localcontext(EXACT)`, or are `EXACT.add`, `EXACT.subtract`, `EXACT.plus`.
    """
    rounding = []
    for path, tree in modules():
        exact = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.With) and any("localcontext" in ast.unparse(item) for item in node.items)
            for inner in ast.walk(node)
        }
        for node in set(ast.walk(tree)) - exact:
            plus_zero = isinstance(node, ast.BinOp) and ast.unparse(node).endswith(" + 0")
            sums = isinstance(node, ast.Call) and re.match(r"sum\(.*, (Decimal\(|ZERO)", ast.unparse(node))
            if plus_zero or sums:
                rounding.append(f"{path}:{node.lineno}: {ast.unparse(node)[:100]}")
    none_of(rounding)


def test_nothing_happens_at_import() -> None:
    """A module defines; it doesn't do. Constants may be computed, but a bare call, loop or file access is an act."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign)
    allowed += (ast.AnnAssign, ast.AugAssign, ast.If)  # `if TYPE_CHECKING`, `if __name__ == "__main__"`
    none_of(
        f"{path}:{node.lineno}: {ast.unparse(node)[:80]}"
        for path, tree in modules()
        for node in tree.body
        if not isinstance(node, allowed) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    )


def test_nothing_is_left_for_later() -> None:
    none_of(found(UNFINISHED))


def test_no_text_names_a_machine_or_a_package_host() -> None:
    none_of(found(MACHINE) + found(PACKAGE_HOST))


def test_the_locks_hold_a_hash_for_every_package() -> None:
    locks = dict(texts(".lock", below="locks"))
    assert sorted(locks) == [f"locks/{name}.lock" for name in ("bench", "build", "dev", "runtime")]
    for path, text in locks.items():
        pins = re.findall(r"^[a-z0-9][^\n]*(?:\n +--hash=[^\n]*)*", text, re.MULTILINE)
        assert pins, path
        none_of(f"{path}: {p}" for p in pins if "--hash=sha256:" not in p or "==" not in p.splitlines()[0])
    none_of(path for path, text in locks.items() if "://" in text)


def test_the_import_law_holds() -> None:
    """Data walks through the house once; the contracts are in pyproject.toml."""
    run = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_link_in_the_documents_leads_somewhere() -> None:
    """Relative links name a file that exists, and `#parts` of a Markdown file name one of its headings."""
    broken = []
    for path, text in texts(".md"):
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue  # another site: not ours to keep
            file, _, part = target.partition("#")
            there = (ROOT / path).parent / file if file else ROOT / path
            if not there.exists() or (part and there.suffix == ".md" and part not in anchors(there)):
                broken.append(f"{path}:{text[: text.find(target)].count(chr(10)) + 1}: {target}")
    none_of(broken)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.*?) *$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_there_are_workflows() -> None:
    assert WORKFLOWS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_nothing_by_default_and_runs_only_pinned_actions(path: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert isinstance(job.get("permissions"), dict), f"{path.name}: {name} says no permissions"
        assert "timeout-minutes" in job, f"{path.name}: {name} may run for ever"
        uses = [step["uses"] for step in job["steps"] if "uses" in step]
        none_of(action for action in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action))
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        none_of(step for step in checkouts if step.get("with", {}).get("persist-credentials") is not False)
