"""A generated bill of any shape is read and allocated to the last digit of a truth that was added up as integers."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest

from bench.generate import generate
from bench.world import Spec
from tests.project import BY_TAG, TAGS, run_project, write_project

SHAPES = [
    {"version": "1.0", "tags": "json", "file_format": "csv"},
    {"version": "1.2", "tags": "map", "file_format": "parquet"},
    {"version": "1.3", "tags": "structlist", "file_format": "parquet"},
    {"version": "1.4", "tags": "json", "file_format": "csv.gz"},
]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s['version']}-{s['tags']}-{s['file_format']}")
def test_a_generated_bill_ties_to_its_truth(shape: dict[str, str], tmp_path: Path, seed: int) -> None:
    """Rows, all four costs, money by account and by tag status, in every currency, on a seed nobody chose."""
    rows = random.Random(seed).randrange(2_000, 6_000)
    spec = Spec(rows=rows, seed=seed, version=shape["version"], tags=shape["tags"])
    truth = generate(spec, tmp_path / "bill", shape["file_format"])
    config = write_project(tmp_path / "project", tmp_path / "bill" / "data", policies=(TAGS, BY_TAG))
    registers = tmp_path / "bill" / "registers"
    for name in ("cost_centers", "accounts"):
        (tmp_path / f"project/registers/{name}.csv").write_bytes((registers / f"{name}.csv").read_bytes())
    run = run_project(config).run
    totals = {t["currency"]: t for t in run.rows("totals")}
    for expected in truth["by_currency"]:
        found = totals.pop(expected["currency"])
        assert found["rows"] == expected["rows"]
        for cost in ("billed_cost", "effective_cost", "list_cost", "contracted_cost"):
            assert found[cost] == Decimal(expected[cost])
        assert found["allocated"] + found["unallocated"] == found["effective_cost"]
    assert not totals
    cells = run.rows("cells", ["sub_account_id", "currency", "effective_cost", "tags"])
    for expected in truth["by_account"]:
        mine = [
            c
            for c in cells
            if (c["sub_account_id"] or "", c["currency"]) == (expected["sub_account_id"], expected["currency"])
        ]
        assert sum(c["effective_cost"] for c in mine) == Decimal(expected["effective_cost"])
    if shape["version"] < "1.3":  # later, AllocatedTags count too, and the truth knows only of Tags
        for expected in truth["by_tag_status"]:
            mine = [c for c in cells if tag_status(c["tags"]) == expected["tag_status"]]
            cost = sum(c["effective_cost"] for c in mine if c["currency"] == expected["currency"])
            assert cost == Decimal(expected["effective_cost"])


def tag_status(tags: str | None) -> str:
    return "unreadable" if tags is None else "untagged" if tags == "{}" else "tagged"
