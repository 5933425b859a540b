"""Verdicts that are not a pass become findings: one a check and subject, with waivers, grace and money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from governor import tables
from governor.engine.cells import join_registers
from governor.engine.duckdb import Engine, identifier, literal
from governor.evaluate.checks import Context, Judged
from governor.model import Waiver
from governor.policy.compile import Compiler
from governor.policy.plan import Check, Plan

CHARGE_SUBJECT = (
    "coalesce(f.resource_id, coalesce(f.sub_account_id, f.billing_account_id, 'no account')"
    " || ' / ' || coalesce(f.service_name, 'no service'))"
)
CHARGE_TYPE = "CASE WHEN f.resource_id IS NULL THEN 'service' ELSE 'resource' END"
SUBJECTS = {"facts": (CHARGE_SUBJECT, CHARGE_TYPE), "account_facts": ("f.account_id", "'account'")}
SPOKEN = (
    "provider",
    "sub_account_id",
    "sub_account_name",
    "service_name",
    "region_id",
    "resource_type",
    "owner",
    "observed",
    "observed_from",
    "message",
)


def write_findings(
    engine: Engine, judged: Sequence[Judged], compilers: Mapping[str, Compiler], plan: Plan, context: Context
) -> None:
    """Fill `findings`: group what did not pass by check and subject. The costliest fact speaks for its subject."""
    payers = {
        "facts": _payer(plan, context),
        "account_facts": ("", "NULL::VARCHAR", "f.owner_email" if _has_owner(context, "accounts") else "NULL::VARCHAR"),
    }
    facts = []
    for n, j in enumerate(judged):
        joins, cost_center, owner = payers[j.view]
        subject, subject_type = SUBJECTS[j.view]
        facts.append(f"""
            SELECT {n} AS n, v.v{n} AS verdict, {_waiver(n, j.check, plan, context)} AS waiver, f.source,
                f.billing_currency AS currency, {subject} AS subject, {subject_type} AS subject_type,
                f.service_provider_name AS provider, f.sub_account_id, f.sub_account_name, f.service_name, f.region_id,
                f.resource_type, {cost_center} AS cost_center, {owner} AS owner, ({j.observed})::VARCHAR AS observed,
                {j.observed_from} AS observed_from, {j.message} AS message, f.positive_cost, f.rows, f.first_charge
            FROM {j.view} f JOIN judged_{j.view} v ON v.id = f.id {joins}
                {join_registers(j.joins(compilers[j.view].joins), context.keys)}
            WHERE v.v{n} IN ('fail', 'unknown')""")
    if not facts:
        engine.execute(f"CREATE TABLE findings ({tables.ddl(tables.FINDINGS)}, n INTEGER)")
        return
    spoken = ", ".join(f"first({c} ORDER BY positive_cost DESC, {c} NULLS FIRST) AS {c}" for c in SPOKEN)
    as_of = f"DATE {literal(context.as_of)}"
    engine.execute(f"""
        CREATE TABLE findings AS
        WITH facts AS ({" UNION ALL ".join(facts)}),
        grouped AS (
            SELECT n, CASE WHEN waiver IS NULL THEN verdict ELSE 'waived' END AS verdict, waiver, source, currency,
                subject, subject_type, {spoken},
                CASE WHEN count(DISTINCT cost_center) = 1 AND count(cost_center) = count(*) THEN min(cost_center) END
                    AS cost_center,
                sum(positive_cost)::{tables.MONEY} AS cost, sum(rows)::BIGINT AS rows,
                min(first_charge)::DATE AS first_charge
            FROM facts
            GROUP BY ALL
        ),
        printed AS (
            SELECT substr(sha256(k.requirement || chr(31) || g.subject), 1, 16) AS fingerprint, k.* EXCLUDE (n), g.*
            FROM grouped g JOIN checks k ON k.n = g.n
        ),
        seen AS (
            SELECT p.*, min(least(coalesce(e.seen, p.first_charge), p.first_charge))
                OVER (PARTITION BY p.fingerprint) AS first_seen
            FROM printed p LEFT JOIN earlier e ON e.fingerprint = p.fingerprint
        )
        SELECT * REPLACE (
            CASE WHEN verdict = 'fail' AND first_seen + grace_days::INTEGER > {as_of} THEN 'grace' ELSE verdict END
                AS verdict)
        FROM seen""")


def _payer(plan: Plan, context: Context) -> tuple[str, str, str]:
    """Say how to find who pays for a cell, and its owner: by its tag, else its account's, else its payer's."""
    joins = "LEFT JOIN classified c ON c.id = f.id"
    owners = ["f." + identifier("tag.owner")] if "owner" in plan.tags else []
    if _has_owner(context, "accounts"):
        owners.append("oa.owner_email")
        joins += " LEFT JOIN reg_accounts oa ON oa.account_id = f.sub_account_id AND oa.valid_on = f.valid_on"
    if _has_owner(context, "cost_centers"):
        owners.append("oc.owner_email")
        joins += " LEFT JOIN reg_cost_centers oc ON oc.id = c.cost_center AND oc.valid_on = f.valid_on"
    return joins, "c.cost_center", f"coalesce({', '.join([*owners, 'NULL'])})::VARCHAR"


def _has_owner(context: Context, register: str) -> bool:
    return "owner_email" in context.registers.get(register, {})


def _waiver(n: int, check: Check, plan: Plan, context: Context) -> str:
    """Name the first waiver in force that covers a failed fact, NULL where none does. It covers failures only."""
    branches = [
        f"WHEN v.w{m} THEN {literal(waiver.id)}"
        for m, (waiver, _) in enumerate(plan.waivers)
        if covers(waiver, check.requirement.id) and waiver.starts <= context.as_of <= waiver.expires
    ]
    return f"CASE WHEN v.v{n} <> 'fail' THEN NULL {' '.join(branches)} END" if branches else "NULL::VARCHAR"


def covers(waiver: Waiver, requirement: str) -> bool:
    """Tell whether a waiver names a requirement, by its id or as `policy/*`.

    >>> from governor.model import Position
    >>> from datetime import date
    >>> covers(Waiver("w", ("core/*",), "", "", "", date.max, Position(""), ""), "core/owner")
    True
    """
    return any(p == requirement or (p.endswith("/*") and requirement.startswith(p[:-1])) for p in waiver.requirements)


def write_verdicts(engine: Engine, judged: Sequence[Judged]) -> None:
    """Fill `verdicts`: every check with every verdict it gave, passes included, as evidence of what was judged."""
    selects = [
        f"SELECT {n} AS n, v.v{n} AS verdict, f.billing_currency AS currency, {SUBJECTS[j.view][0]} AS subject, f.rows,"
        f" f.positive_cost AS cost FROM {j.view} f JOIN judged_{j.view} v ON v.id = f.id"
        f" WHERE v.v{n} IN ('pass', 'not_applicable')"
        for n, j in enumerate(judged)
    ]
    selects.append("SELECT n, verdict, currency, subject, rows, cost FROM findings")
    engine.execute(f"""
        CREATE TABLE verdicts AS
        SELECT k.requirement, k.policy, k.severity, k.title, g.verdict, g.currency,
            count(DISTINCT g.subject) AS subjects, sum(g.rows)::BIGINT AS rows, sum(g.cost)::{tables.MONEY} AS cost
        FROM ({" UNION ALL ".join(selects)}) g JOIN checks k ON k.n = g.n
        GROUP BY ALL""")
