"""Policy files that want to hurt: each is refused, or harmless, within little time and memory and without a traceback.

Each is read in a process of its own, which is killed when it takes too long; its peak memory is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.model import Refused
from governor.policy.load import load_policies
from governor.strict_yaml import MAX_BYTES

CPU_SECONDS = 4  # twice what is promised: others use this machine too
MEMORY_MB = 512

# Reads each file in a fork with a limit of its own, and prints, per file: exit status, peak memory, problems.
READER = """
import json, os, resource, sys
from pathlib import Path
from governor.model import Refused
from governor.policy.load import load_policies
results = {}
for name in sys.argv[2:]:
    receive, send = os.pipe()
    if child := os.fork():
        os.close(send)
        with open(receive) as pipe:
            said = pipe.read()
        _, status, usage = os.wait4(child, 0)
        results[name] = [status, usage.ru_maxrss // 1024, json.loads(said or "null")]
        continue
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
    try:
        load_policies([Path(name)], Path(name).parent)
        problems = []
    except Refused as refused:
        problems = [str(problem) for problem in refused.problems]
    with open(send, "w") as pipe:
        pipe.write(json.dumps(problems))
    os._exit(0)
print(json.dumps(results))
"""

TAG = "kind: TagPolicy\nid: t\ntitle: T\n"
RULES = "kind: RulePolicy\nid: t\ntitle: T\nrules:\n"
ALLOCATION = "kind: AllocationPolicy\nid: a\neffective_from: 2026-01-01\n"
TESTS = "tests: [{tags: {o: a}, expect: pass}, {tags: {}, expect: fail}, {tags: null, expect: unknown}]\n"


def many(pattern: str, count: int, between: str = ", ") -> str:
    return between.join(pattern.replace("#", str(number)) for number in range(count))


def full(text: str) -> str:
    """Cut a text at the size that is still read."""
    return text[:MAX_BYTES]


BOMBS = {
    "alias bomb": ("a: &a [x, x, x, x, x, x, x, x, x]\n" + many("b#: &b# [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n", 9, ""), "Y008"),
    "brackets": (full("[" * MAX_BYTES), "Y012"),
    "braces": (full("{" * MAX_BYTES), "Y012"),
    "question marks": (full("? " * MAX_BYTES), "Y012"),
    "a value each character": (full("a: [" + "a," * MAX_BYTES), "Y013"),
    "a mapping each line": (full(many("- {a: 1}\n", 120_000, "")), "Y013"),
    "equal keys": (full("{" + "a: 1, " * MAX_BYTES), "Y014"),
    "escapes": (full('a: "' + "\\x41" * MAX_BYTES), "Y006"),
    "one long alias": (full("a: *" + "x" * MAX_BYTES), "Y008"),
    "one long tag": (full("a: !" + "x" * MAX_BYTES), "Y009"),
    "one long key": (full("x" * (MAX_BYTES - 4)) + ": 1", "Y006"),
    "one long number": (TAG + f"severity: {'9' * 5_000}\ntags: {{o: {{}}}}\n" + TESTS, "P004"),
    "one long text": (full(TAG + "why: " + "x" * MAX_BYTES), "P002"),
    "colons": (full("a:" * MAX_BYTES), "Y006"),
    "comments": (full("#\n" * MAX_BYTES), "Y003"),
    "control characters": (full("a: " + "\x01" * MAX_BYTES), "Y005"),
    "unknown keys": (TAG + "tags: {o: {" + many("k#: 1", 19_000) + "}}\n" + TESTS, "P001"),
    "unknown keys of the policy": (TAG + many("k#: 1\n", 19_000, ""), "P001"),
    "too many keys": (TAG + "tags: {o: {keys: [" + many("k#", 39_000) + "]}}\n" + TESTS, "P006"),
    "too many tags": (TAG + "tags: {" + many("t#: {}", 19_000) + "}\n" + TESTS, "P006"),
    "tests without end": (TAG + "tags: {o: {}}\ntests:\n" + many("  - {tags: {}, expect: pass}\n", 6_000, ""), "P006"),
    "tests of unknown columns": (
        TAG + "tags: {o: {}}\ntests:\n" + many("  - {tags: {}, expect: pass, charge: {" + many("BiledCost#: 1", 18) + "}}\n", 900, ""),
        "P014",
    ),
    "messages of unknown columns": (
        RULES + many('  - {id: r#, title: T, assert: "1 = 1", message: "' + "{servce_name}" * 290 + '"}\n', 250, ""),
        "P014",
    ),
    "repetitions": (TAG + "tags:\n" + many("  t#: {matches: '((a{1,100}){1,100}){1,100}'}\n", 190, "") + TESTS, "P018"),
    "exponential elsewhere": (TAG + "tags:\n" + many("  t#: {matches: '(a+)+(a|aa)+$'}\n", 190, "") + TESTS, None),
    "just small enough: values": (TAG + "tags: {o: {allowed: {" + many("v#: [x#]", 9_000) + "}}}\n" + TESTS, None),
    "just small enough: targets": (
        ALLOCATION + "pools:\n" + many("  - {id: p#, where: x, split: {method: even, targets: [" + many("C#", 9_500) + "]}}\n", 4, ""),
        None,
    ),
    "just small enough: shares": (
        ALLOCATION + "pools:\n  - {id: p, where: x, split: {method: fixed, shares: {" + many("C#: 0.01", 10_000) + "}}}\n",
        None,
    ),
    "just small enough: assignments": (ALLOCATION + "assign:\n" + many("  - {id: a#, to: tag.t#}\n", 5_000, ""), None),
}  # fmt: skip


def read(paths: list[Path], root: Path) -> dict[str, list[str]]:
    """Read files apart from each other and return their problems by path."""
    run = subprocess.run(
        [sys.executable, "-c", READER, str(CPU_SECONDS), *map(str, paths)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert run.returncode == 0, run.stderr[-2_000:]
    results = json.loads(run.stdout)
    assert sorted(results) == sorted(map(str, paths))
    for name, (status, memory_mb, problems) in results.items():
        assert (name, status) == (name, 0), run.stderr[-2_000:]
        assert (name, memory_mb < MEMORY_MB) == (name, True)
        results[name] = problems
    return results


@pytest.mark.slow
def test_a_bomb_costs_little_and_says_where(tmp_path: Path, root: Path) -> None:
    paths = {name: tmp_path / f"{number}.yaml" for number, name in enumerate(BOMBS)}
    for name, path in paths.items():
        path.write_text(BOMBS[name][0], encoding="utf-8", newline="")
    said = read(list(paths.values()), root)
    for name, (_, code) in BOMBS.items():
        problems = said[str(paths[name])]
        codes = {problem.split(" ")[1] for problem in problems}
        assert (name, code) in [(name, c) for c in codes or {None}], problems[:3]
        assert all(problem.startswith(paths[name].name) for problem in problems), name
        assert all(len(problem) < 1_000 for problem in problems), name
        assert len(problems) <= 200, name


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, root: Path) -> None:
    """A pipe without a writer would be read for ever, a device without end too."""
    os.mkfifo(tmp_path / "pipe.yaml")
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(50 * MAX_BYTES)  # 50 MB of NUL, none of it on the disk
    paths = [tmp_path / "pipe.yaml", tmp_path / "large.yaml", Path("/dev/zero"), Path("/dev/null")]
    said = [problem.split(" ")[1] for path, problems in read(paths, root).items() for problem in problems]
    assert said == ["Y001", "Y002", "Y001", "Y001"]


def test_a_folder_named_like_a_file_is_walked_like_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(Refused) as refused:
        load_policies([tmp_path], tmp_path)
    assert [problem.code for problem in refused.value.problems] == ["P009"]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("kind: Waiver\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.unlink()  # this user may read anything: a file that vanished must do
    with pytest.raises(Refused) as refused:
        load_policies([path], tmp_path)
    assert [problem.code for problem in refused.value.problems] == ["Y001"]


CASES = Path(__file__).resolve().parent.parent / "cases" / "policies" / "good"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(CASES.glob("*.yaml"))]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good policy with a few pieces cut out, doubled, or replaced by pieces of YAML."""
    text = draw(st.sampled_from(TEXTS))
    pieces = st.sampled_from(
        ["", "null", "[]", "{}", "-1", "1e9", "'", ": ", "\n", "  ", "- ", "true", "x", "{a: [b]}", "é", "*"]
    )
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.one_of(pieces, st.just(text[start:end] * 2))) + text[end:]
    return text


@given(damaged())
def test_a_damaged_policy_is_read_or_refused_at_a_place_within_it(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        load_policies([path], path.parent)
    except Refused as refused:
        written = text.split("\n")
        for problem in refused.problems:
            line, column = problem.position.line, problem.position.column
            assert problem.position.file == "damaged.yaml"
            assert line <= len(written)
            assert line == 0 or column <= len(written[line - 1]) + 1
