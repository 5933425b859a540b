"""Find the cell of every charge: from a delivery's kept rows and a run's cells back to who pays for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from governor.engine.duckdb import identifier, literal

_RENAMED = {"billing_currency": "currency", "service_provider_name": "provider"}  # in the table cells


def placed(
    charges: Path,
    tag_sets: Path,
    cells: Path,
    source: str,
    *,
    keys: Sequence[str],
    flags: Mapping[str, str],
    decided: Sequence[str] = (),
) -> str:
    """Write SQL for the charges of a source, each with its `tags` (text), `cell`, `valid_on` and what was `decided`.

    `keys` and `flags` are the parameters of the run: the columns that make a cell, and the SQL of each predicate that
    reads a row's own amounts. Cells that differ in `valid_on` alone don't overlap in time, so a charge has one cell.
    """
    same = " AND ".join(f"x.{identifier(_RENAMED.get(k, k))} IS NOT DISTINCT FROM c.{identifier(k)}" for k in keys)
    made = ", ".join(f"{identifier(name)} := ({sql})" for name, sql in sorted(flags.items()))
    told = "".join(f", x.{identifier(name)}" for name in decided)
    return f"""
        WITH c AS (SELECT *, {f"to_json(struct_pack({made}))" if made else "'{}'"}::VARCHAR AS asked
            FROM read_parquet({literal(str(charges))})),
        x AS (SELECT * FROM read_parquet({literal(str(cells))}) WHERE source = {literal(source)})
        SELECT c.* EXCLUDE (asked), t.text AS tags, x.cell, x.valid_on{told}
        FROM c LEFT JOIN read_parquet({literal(str(tag_sets))}) t USING (tag_set)
        JOIN x ON {same} AND x.tags IS NOT DISTINCT FROM t.text AND x.flags = c.asked
            AND c.charge_period_start >= x.first_charge AND c.charge_period_start <= x.last_charge"""
