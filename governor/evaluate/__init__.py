"""Policies x facts -> verdicts and findings. Nothing passes that was not seen.

A finding is a check's verdict on one subject (a resource, an account, or a service of an account where the bill names
no resource), with its money; its fingerprint is the same in every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa

from governor.engine.cells import day_literal, join_registers
from governor.engine.duckdb import Engine, identifier
from governor.evaluate.checks import Context, Judged, judge
from governor.evaluate.findings import write_findings, write_verdicts
from governor.model import Gap
from governor.policy.compile import Compiler
from governor.policy.plan import Plan
from governor.policy.predicate import Condition

VIEWS = ("facts", "account_facts")


def evaluate(engine: Engine, plan: Plan, context: Context) -> list[Gap]:
    """Fill the tables `findings`, `verdicts` and `compliance` (cell id -> verdict over all tag requirements).

    Needs `facts`, and `classified` for who pays. Returns a gap for every column whose absence left something unjudged.
    """
    _account_facts(engine, plan, context)
    compilers = {view: Compiler(row="f", judged_on=day_literal(context.as_of)) for view in VIEWS}
    judged = [judge(check, compilers, context) for check in plan.checks]
    _judge_facts(engine, judged, plan, compilers, context)
    _compliance(engine, judged)
    _checks_table(engine, judged)
    engine.register("earlier", _first_seen(context.first_seen))
    write_findings(engine, judged, compilers, plan, context)
    write_verdicts(engine, judged)
    return _unread_gaps(engine, judged, context)


def _account_facts(engine: Engine, plan: Plan, context: Context) -> None:
    """Make one fact per billed account, source, currency, period and stretch, with the account's register row."""
    columns = context.registers.get("accounts", {})
    held = "".join(f", a.{identifier(c)}" for c in sorted(columns) if c != "account_id")
    known = "EXISTS (SELECT 1 FROM known_accounts k WHERE k.key = f.account_id)" if columns else "FALSE"
    join = "LEFT JOIN reg_accounts a ON a.account_id = f.account_id AND a.valid_on = f.valid_on" if columns else ""
    engine.execute(f"""
        CREATE TABLE account_facts AS
        WITH billed AS (
            SELECT sub_account_id AS account_id, source, billing_currency, billing_period, valid_on,
                min(service_provider_name) AS service_provider_name, min(sub_account_name) AS sub_account_name,
                sum(rows)::BIGINT AS rows, sum(positive_cost) AS positive_cost, sum({plan.basis}) AS cost,
                min(first_charge) AS first_charge
            FROM cells WHERE sub_account_id IS NOT NULL GROUP BY ALL
        )
        SELECT row_number() OVER () AS id, f.*, f.account_id AS sub_account_id, NULL::VARCHAR AS service_name,
            NULL::VARCHAR AS region_id, NULL::VARCHAR AS resource_type,
            {"a.account_id IS NOT NULL" if columns else "FALSE"} AS registered, {known} AS known{held}
        FROM billed f {join}""")


def _judge_facts(
    engine: Engine, judged: Sequence[Judged], plan: Plan, compilers: Mapping[str, Compiler], context: Context
) -> None:
    """Judge every fact of a view on every check (`v0` ...) and waiver (`w0` ...), once: `judged_facts` and so on."""
    for view in VIEWS:
        columns = [f"({j.verdict}) AS v{n}" for n, j in enumerate(judged) if j.view == view]
        columns += [f"{_waives(view, where, compilers[view])} AS w{m}" for m, (_, where) in enumerate(plan.waivers)]
        joins = join_registers(compilers[view].joins, context.keys)
        engine.execute(f"CREATE TABLE judged_{view} AS SELECT {', '.join(['f.id', *columns])} FROM {view} f {joins}")


ACCOUNT_COLUMNS = {"source", "billing_currency", "billing_period", "sub_account_id", "sub_account_name"}


def _waives(view: str, where: Condition | None, compiler: Compiler) -> str:
    """Ask whether a waiver covers a fact. One that asks what an account fact doesn't have covers no account."""
    if where is None:
        return "TRUE"
    if view == "account_facts" and (where.tags or where.registers or not where.columns <= ACCOUNT_COLUMNS):
        return "FALSE"
    return f"COALESCE({compiler.sql(where)}, FALSE)"


def _compliance(engine: Engine, judged: Sequence[Judged]) -> None:
    """A cell complies when some tag requirement applied and none failed; conflicts are findings of their own."""
    verdicts = ", ".join(f"v{n}" for n, j in enumerate(judged) if j.check.tag is not None and not j.check.conflict)
    value = "'not_applicable'"
    if verdicts:
        value = (
            f"CASE WHEN 'fail' IN ({verdicts}) THEN 'fail' WHEN 'unknown' IN ({verdicts}) THEN 'unknown'"
            f" WHEN 'pass' IN ({verdicts}) THEN 'pass' ELSE 'not_applicable' END"
        )
    engine.execute(f"CREATE TABLE compliance AS SELECT id, {value} AS compliance FROM judged_facts")


def _checks_table(engine: Engine, judged: Sequence[Judged]) -> None:
    """Put what is the same for every finding of a check into a table."""
    rows = [
        {
            "n": n,
            "requirement": j.check.requirement.id,
            "policy": j.check.requirement.policy,
            "severity": str(j.check.requirement.severity),
            "title": j.check.requirement.title,
            "remedy": j.check.requirement.remedy or None,
            "grace_days": j.check.policy.grace.days if j.check.policy.grace else None,
        }
        for n, j in enumerate(judged)
    ]
    text = ("requirement", "policy", "severity", "title", "remedy")
    schema = pa.schema([("n", pa.int32()), *((c, pa.string()) for c in text), ("grace_days", pa.int32())])
    engine.register("checks", pa.Table.from_pylist(rows, schema))


def _first_seen(earlier: Mapping[str, date]) -> pa.Table:
    prints = sorted(earlier)
    days = pa.array([earlier[p] for p in prints], pa.date32())
    return pa.table({"fingerprint": pa.array(prints, pa.string()), "seen": days})


def _unread_gaps(engine: Engine, judged: Sequence[Judged], context: Context) -> list[Gap]:
    """Say once per source and column which requirements its absence left unknown, and for how many rows.

    A rule whose `where` leaves a source out is not unknown there. Accounts that can't be told are no rows at all.
    """
    gaps = []
    for source, missing in sorted(context.missing.items()):
        for column in sorted(missing):
            blind = {n: j for n, j in enumerate(judged) if column in j.check.reads}
            rows = {n: _unknown_rows(engine, n, j.view, source) for n, j in blind.items()}
            ids = sorted(j.check.requirement.id for n, j in blind.items() if rows[n] or j.view == "account_facts")
            if ids:
                detail = f"column {column} was not delivered, so these are unknown: {', '.join(ids)}"
                gaps.append(Gap(source, column, "missing_column", detail, rows=max(rows.values())))
    return gaps


def _unknown_rows(engine: Engine, number: int, view: str, source: str) -> int:
    [(rows,)] = engine.rows(
        f"SELECT coalesce(sum(f.rows), 0) FROM {view} f JOIN judged_{view} v ON v.id = f.id"
        f" WHERE f.source = ? AND v.v{number} = 'unknown'",
        [source],
    )
    return int(rows)
