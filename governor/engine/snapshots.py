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
    """Refuse two exports of the same costs that tell of one account's same day, such as a daily and a monthly one.

    So are files of two formats, such as Azure's cost details beside its FOCUS export.
    """
    inputs = [one for part in parts for one in part.segment.inputs]
    several = {one.layout.series for one in inputs} - {""}
    formats = {one.layout.format for one in inputs}
    if len(several) < 2 and len(formats) < 2:  # noqa: PLR2004
        return
    told = {
        "file": [one.index for one in inputs],
        "format": [one.layout.format for one in inputs],
        "costs": [f"{one.layout.format} {one.layout.grain}" for one in inputs],
        "series": [one.layout.series for one in inputs],
        "name": [one.layout.series or one.name for one in inputs],
    }
    engine.register("exports", pa.table(told))
    days = (
        "SELECT DISTINCT format, costs, series, name, billing_account_id AS account, sub_account_id AS sub, "
        f"strftime(charge_period_start, '%Y-%m-%d') AS day FROM read_parquet({literal(str(charges))}) "
        "JOIN exports USING (file)"
    )
    found = engine.rows(
        f"WITH days AS ({days}) SELECT arg_min(name, format), arg_max(name, format), sub AS whose, day FROM days "
        "WHERE sub IS NOT NULL GROUP BY sub, day HAVING count(DISTINCT format) > 1 UNION ALL "
        "SELECT min(name), max(name), coalesce(sub, account), day FROM days "
        "WHERE series <> '' GROUP BY costs, account, sub, day HAVING count(DISTINCT series) > 1 ORDER BY ALL LIMIT 1"
    )
    for one, other, whose, day in found:
        what = f"and {one} both tell of {whose} on {day}: charges would count twice"
        raise Refused(Problem(Position(other), "B236", what, "keep one of the two exports in this source"))
