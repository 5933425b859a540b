"""The tables of a run: brought into the shape of their contract, sorted, and written as Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from governor import tables
from governor.engine.cells import parquet
from governor.engine.duckdb import Engine, identifier
from governor.model import Delivery, Gap, PolicySet, Waiver
from governor.policy.plan import Plan
from governor.sources.registers import BUDGETS, Registers

_ARROW = {
    tables.TEXT: pa.string(),
    tables.COUNT: pa.int64(),
    tables.DAY: pa.date32(),
    tables.TIME: pa.timestamp("us"),
    tables.MONEY: pa.decimal128(38, 24),
}


def load_rows(engine: Engine, name: str, columns: tuple[tables.Column, ...], rows: Iterable[dict[str, Any]]) -> None:
    """Load Python rows as a table that follows its contract."""
    schema = pa.schema([(c.name, _ARROW[c.type]) for c in columns])
    engine.register(name, pa.Table.from_pylist(list(rows), schema))


def load_rejects(engine: Engine, deliveries: Iterable[Delivery]) -> None:
    """Bring every delivery's rejected rows into `rejects`."""
    selects = " UNION ALL ".join(f"SELECT * FROM {parquet(d.rejects)}" for d in deliveries)
    engine.execute(f"CREATE TABLE rejects AS {selects}")


def load_gaps(engine: Engine, gaps: Sequence[Gap]) -> None:
    """Load what could not be seen."""
    rows = [
        {
            "source": g.source,
            "scope": g.scope,
            "reason": g.reason,
            "detail": g.detail,
            "permission": g.permission or None,
            "rows": g.rows,
            "cost": g.cost,
            "currency": g.currency or None,
        }
        for g in gaps
    ]
    load_rows(engine, "gaps", tables.GAPS, rows)


def load_policies(engine: Engine, policies: PolicySet, root: Path) -> None:
    """Load the policies in force, by id and digest."""
    rows = [
        {
            "policy": p.id,
            "kind": type(p).__name__,
            "title": p.reason if isinstance(p, Waiver) else p.title,
            "why": None if isinstance(p, Waiver) else p.why or None,
            "file": _relative(p.position.file, root),
            "digest": p.digest,
        }
        for p in policies.all()
    ]
    load_rows(engine, "policies", tables.POLICIES, rows)


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    if not path.is_absolute():
        return path.as_posix()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def load_register_tables(engine: Engine, registers: Registers) -> None:
    """Load the registers that outputs show, whole: `register_cost_centers`, `register_accounts`, `budgets`."""
    for name, columns in (
        ("cost_centers", tables.REGISTER_COST_CENTERS),
        ("accounts", tables.REGISTER_ACCOUNTS),
    ):
        rows = registers.tables[name].rows if name in registers.tables else ()
        wanted = [{c.name: row.get(c.name) for c in columns} for row in rows]
        load_rows(engine, f"register_{name}", columns, wanted)
    budgets = registers.tables["budgets"].rows if "budgets" in registers.tables else ()
    load_rows(engine, "budgets", BUDGETS, [{c.name: row[c.name] for c in BUDGETS} for row in budgets])


def load_waivers(engine: Engine, waivers: Sequence[Waiver], as_of: date) -> None:
    """Load the waivers with their state on the day of judgement; `build` adds the money each one hides."""
    rows = [
        {
            "waiver": w.id,
            "requirements": ",".join(w.requirements),
            "reason": w.reason,
            "approved_by": w.approved_by,
            "ticket": w.ticket,
            "starts": None if w.starts == date.min else w.starts,
            "expires": w.expires,
            "state": "expired" if w.expires < as_of else "not_started" if w.starts > as_of else "active",
        }
        for w in waivers
    ]
    hidden = ("findings", "currency", "cost")
    load_rows(engine, "declared_waivers", tuple(c for c in tables.WAIVERS if c.name not in hidden), rows)


def build(engine: Engine, plan: Plan) -> None:
    """Make the tables that are sums of others: totals, cost_centers, waivers, and the cells as they are shown."""
    money = tables.MONEY
    engine.execute(f"""
        CREATE TABLE totals AS
        WITH grouped AS (
            SELECT source, billing_period, billing_currency AS currency, sum(billed_cost)::{money} AS billed_cost,
                sum(effective_cost)::{money} AS effective_cost, sum(list_cost)::{money} AS list_cost,
                sum(contracted_cost)::{money} AS contracted_cost
            FROM cells GROUP BY ALL),
        placed AS (
            SELECT source, billing_period, currency,
                coalesce(sum(amount) FILTER (status NOT IN ('D', 'U')), 0)::{money} AS allocated,
                coalesce(sum(amount) FILTER (status IN ('D', 'U')), 0)::{money} AS unallocated
            FROM allocations GROUP BY ALL),
        refused AS (
            SELECT source, coalesce(billing_period, '') AS billing_period, coalesce(currency, '') AS currency,
                count(*) AS rejected
            FROM rejects GROUP BY ALL)
        SELECT source, billing_period, currency, coalesce(rows, 0) AS rows, coalesce(rejected, 0) AS rejected,
            coalesce(billed_cost, 0) AS billed_cost, coalesce(effective_cost, 0) AS effective_cost, list_cost,
            contracted_cost, coalesce(allocated, 0) AS allocated, coalesce(unallocated, 0) AS unallocated
        FROM ingested JOIN grouped USING (source, billing_period, currency)
            JOIN placed USING (source, billing_period, currency)
            FULL JOIN refused USING (source, billing_period, currency)""")
    components = ", ".join(
        f"coalesce(sum(a.amount) FILTER (a.status IN ({statuses})), 0)::{money} AS {name}"
        for name, statuses in _COMPONENTS
    )
    engine.execute(f"""
        CREATE TABLE cost_centers AS
        WITH periods AS (
            SELECT DISTINCT billing_period, last_day((billing_period || '-01')::DATE) AS last FROM allocations),
        named AS (
            SELECT id, name, parent, owner_email, mode, billing_period, row_number() OVER (
                PARTITION BY id, billing_period ORDER BY
                    coalesce(valid_from <= last, TRUE) AND coalesce(valid_to >= last, TRUE) DESC,
                    valid_from DESC NULLS LAST, valid_to DESC NULLS FIRST) AS n
            FROM register_cost_centers, periods)
        SELECT a.cost_center, any_value(n.name) AS name, any_value(n.parent) AS parent,
            any_value(n.owner_email) AS owner_email, any_value(n.mode) AS mode, a.billing_period, a.currency,
            {components},
            any_value(b.amount) AS budget
        FROM allocations a LEFT JOIN named n
                ON n.id = a.cost_center AND n.billing_period = a.billing_period AND n.n = 1
            LEFT JOIN budgets b ON b.cost_center = a.cost_center AND b.period = a.billing_period
                AND b.currency = a.currency
        WHERE a.cost_center IS NOT NULL
        GROUP BY a.cost_center, a.billing_period, a.currency""")
    engine.execute(f"""
        CREATE TABLE waivers AS
        SELECT w.*, count(f.fingerprint) AS findings, f.currency, coalesce(sum(f.cost), 0)::{money} AS cost
        FROM declared_waivers w LEFT JOIN findings f ON f.waiver = w.waiver AND f.verdict = 'waived'
        GROUP BY ALL""")
    engine.execute(f"CREATE VIEW shown_cells AS {_cells(plan)}")


_COMPONENTS = (
    ("direct", "'T', 'A', 'R'"),
    ("shared", "'S'"),
    ("commitment", "'K'"),
    ("central", "'C'"),
    ("total", "'T', 'A', 'R', 'S', 'K', 'C'"),
    ("suspense", "'D'"),
)


def _cells(plan: Plan) -> str:
    """Show the cells by the contract's names; the id is a digest of every key, so it is the same in every run."""
    keys = ["source", "text", *plan.keys, "valid_on", *sorted(plan.flags)]
    digest = ", ".join(f"coalesce({identifier(k)}::VARCHAR, chr(30))" for k in keys)
    renamed = {"currency": "billing_currency", "provider": "service_provider_name", "tags": "text"}
    flags = ", ".join(f"{identifier(f)} := {identifier(f)}" for f in sorted(plan.flags))
    made = {
        "cell": f"substr(sha256(concat_ws(chr(31), {digest})), 1, 16)",
        "flags": f"to_json(struct_pack({flags}))" if flags else "'{}'",
    }
    made |= {c.name: "NULL" for c in tables.CHARGES if c.asked and c.name not in plan.keys}
    columns = [
        f"{made.get(c.name) or identifier(renamed.get(c.name, c.name))} AS {identifier(c.name)}" for c in tables.CELLS
    ]
    return (
        f"SELECT {', '.join(columns)} FROM cells LEFT JOIN tag_sets USING (tag_id)"
        " JOIN classified USING (id) JOIN compliance USING (id)"
    )


# The large tables are sorted by what makes a row of theirs one of a kind.
SORT_KEYS = {"cells": ("cell",), "findings": ("fingerprint", "verdict", "source", "waiver", "currency")}


def export(engine: Engine, folder: Path) -> dict[str, Path]:
    """Write the tables sorted by all their columns, or by a key, so that equal content is equal bytes."""
    files = {}
    for name, columns in tables.RUN.items():
        view = "shown_cells" if name == "cells" else name
        fields = ", ".join(f"{identifier(c.name)}::{c.type} AS {identifier(c.name)}" for c in columns)
        order = ", ".join(f"{identifier(c)} NULLS FIRST" for c in SORT_KEYS.get(name, ())) or "ALL NULLS FIRST"
        files[name] = folder / f"{name}.parquet"
        engine.export(f"SELECT {fields} FROM {identifier(view)} ORDER BY {order}", files[name])
    return files
