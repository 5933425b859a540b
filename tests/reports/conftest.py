"""Runs to render."""

from __future__ import annotations

import pytest

from governor import tables
from governor.ledger.read import Run
from tests.run_builder import build_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The sample run: two currencies, every status and verdict, pools, waivers, gaps, rejects."""
    return build_run(tmp_path_factory.mktemp("sample") / "ledger")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of nothing: no charge, no policy, no register."""
    return build_run(tmp_path_factory.mktemp("empty") / "ledger", dict.fromkeys(tables.RUN, ()), inputs=[], charges={})
