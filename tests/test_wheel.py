"""The wheel is the product: installed in a clean environment, without this repository, it does the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, expect: tuple[int, ...] = (0,)) -> str:
    """Run a program as a stranger would: nothing of this checkout in its environment. Return its standard output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_", "COVERAGE", "GOVERNOR"))}
    command = tuple(map(str, command))
    done = subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode in expect, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, as an installer that finds no wheel would: what the sdist forgets, it lacks."""
    built = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", built, cwd=root)
    [sdist] = built.glob("*.tar.gz")
    run(sys.executable, "-m", "tarfile", "-e", sdist, built / "unpacked", cwd=built)
    [source] = (built / "unpacked").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built, cwd=source)
    [made] = built.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def governor(wheel: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, installed with the locked runtime dependencies and nothing else."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=venv.parent)
    python = venv / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "-r", root / "locks" / "runtime.lock", cwd=venv.parent)
    run(*pip, "--no-deps", wheel, cwd=venv.parent)
    run(python, "-m", "pip", "check", cwd=venv.parent)
    return venv / "bin" / "governor"


def test_the_wheel_carries_the_data_folders_and_nothing_that_a_run_left_behind(wheel: Path, root: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {n.removeprefix("governor/_shipped/") for n in names if n.startswith("governor/_shipped/")}
    for folder in ("rules", "schemas", "reports", "examples"):
        kept = {
            path.relative_to(root).as_posix()
            for path in (root / folder).rglob("*")
            if path.is_file() and not {"__pycache__", "out", "ledger"} & set(path.relative_to(root).parts)
        }
        assert kept
        assert {n for n in shipped if n.startswith(f"{folder}/")} == kept
    top = {name.split("/")[0] for name in names}
    assert {t for t in top if not t.endswith(".dist-info")} == {"governor"}
    assert [n for n in names if n.endswith((".pyc", ".lock"))] == []


def test_the_installed_command_says_its_version(governor: Path, wheel: Path, tmp_path: Path) -> None:
    said = run(governor, "--version", cwd=tmp_path)
    assert wheel.name.split("-")[1] in said


def test_the_installed_command_does_the_main_job(governor: Path, tmp_path: Path) -> None:
    """A new user's first minute: a starter project, then one object that accounts for every cent of its bill."""
    run(governor, "init", "demo", cwd=tmp_path)
    out = run(governor, "run", "-c", "demo/governor.yaml", "--format", "json", cwd=tmp_path, expect=(0, 1))
    result = json.loads(out)
    assert {"run", "totals", "score", "score_by_currency", "cost_centers", "findings", "gaps"} <= set(result)
    assert result["totals"]
    for total in result["totals"]:
        assert Decimal(total["allocated"]) + Decimal(total["unallocated"]) == Decimal(total["effective_cost"])
    assert sum(map(Decimal, result["score"]["shares"].values())) == 100
    run(governor, "ledger", "verify", "-c", "demo/governor.yaml", cwd=tmp_path)
