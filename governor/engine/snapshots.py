"""Refuse exports that tell the same charges again: two runs of one export's month, two exports of one day."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from governor.engine.charges import Part
from governor.engine.duckdb import Engine, literal
from governor.engine.staging import Input
from governor.model import Position, Problem, Refused


def refuse_runs(inputs: Sequence[Input]) -> None:
    """Refuse runs of one export's month beside each other: each holds the month so far."""
    first: dict[str, Input] = {}
    found: dict[tuple[str, str], Problem] = {}
    for one in (one for one in inputs if one.layout.series and one.rows):
        other = first.setdefault(one.layout.series, one)
        if other.layout.snapshot != one.layout.snapshot:
            what = f"is another run of {one.layout.series} beside {other.name}: charges would count twice"
            mend = "keep one run of each month, the newest, or let the export overwrite its data"
            found.setdefault((one.layout.series, one.layout.snapshot), Problem(Position(one.name), "B235", what, mend))
    if found:
        raise Refused(*found.values())


def refuse_overlaps(engine: Engine, parts: Sequence[Part], charges: Path) -> None:
    """Refuse two exports that tell of one account's same day, such as a daily and a monthly one of the same costs."""
    inputs = [one for part in parts for one in part.segment.inputs if one.layout.series]
    if len({(one.layout.series, one.layout.grain) for one in inputs}) < 2:  # noqa: PLR2004
        return
    series = [f"{one.layout.format} {one.layout.grain}" for one in inputs], [one.layout.series for one in inputs]
    engine.register("series", pa.table({"file": [i.index for i in inputs], "kind": series[0], "series": series[1]}))
    found = engine.rows(
        "SELECT kind, min(series), max(series), billing_account_id, sub_account_id, "
        "strftime(charge_period_start, '%Y-%m-%d') AS day "
        f"FROM read_parquet({literal(str(charges))}) JOIN series USING (file) "
        "GROUP BY ALL HAVING count(DISTINCT series) > 1 ORDER BY ALL LIMIT 1"
    )
    for _, one, other, account, sub_account, day in found:
        what = f"and {one} both tell of {sub_account or account} on {day}: charges would count twice"
        mend = "keep one of the two exports in this source"
        raise Refused(Problem(Position(other), "B236", what, mend))
