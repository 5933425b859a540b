"""What the ledger's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run_builder import default_rows, write_files


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small run, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    write_files(folder, default_rows())
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run without a row: the smallest ledger, for tests that look at every byte."""
    folder = tmp_path_factory.mktemp("tiny")
    write_files(folder, dict.fromkeys(default_rows(), ()), charges={"aws": [], "azure": []})
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Where a ledger may be made."""
    return tmp_path / "ledger"
