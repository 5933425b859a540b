"""What every test may ask for: the sample bills, a seed. And the list of what was not run, at the end of every run."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_DATA = Path(os.environ.get("GOVERNOR_TEST_DATA") or ROOT.parent / "shared" / "data")
NO_SAMPLE_DATA = f"no sample data at {SAMPLE_DATA}; set GOVERNOR_TEST_DATA"

# A failing example is printed with the line that reproduces it. No deadline: a shared machine is slow at times.
settings.register_profile("default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of third-party bills, which the repository doesn't hold. Without it the test is listed as not run."""
    if not SAMPLE_DATA.is_dir():
        pytest.skip(NO_SAMPLE_DATA)
    return SAMPLE_DATA


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's command. A missing program fails the test: `make test` installs it or says how."""
    return _program("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def hledger() -> str:
    """The command of the accounting program that judges our journals."""
    return _program("hledger")


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.fail(f"{names[0]} is missing; run `.ci/programs {names[0]}`")


@pytest.fixture
def seed() -> int:
    """A new seed each run, for tests that draw their own data; it is printed where the test fails."""
    chosen = int(os.environ.get("GOVERNOR_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {chosen}: to run with it again, set GOVERNOR_SEED={chosen}")  # noqa: T201 - pytest shows it on failure
    return chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run and why, or that everything was: a skip is never silent."""
    write, option = terminalreporter.write_line, terminalreporter.config.option
    skipped = sorted({(report.nodeid, _reason(report)) for report in terminalreporter.stats.get("skipped", [])})
    chosen = [f'{flag} "{value}"' for flag, value in (("-m", option.markexpr), ("-k", option.keyword)) if value]
    terminalreporter.section("not run")
    for test, reason in skipped:
        write(f"not run: {test}: {reason}")
    if chosen:
        write(f"not run: the tests that {' and '.join(chosen)} leave out")
    if not skipped and not chosen:
        write("everything ran")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Take the reason out of a skip report, whose long form is (file, line, "Skipped: reason")."""
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
