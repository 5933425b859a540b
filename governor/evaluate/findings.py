"""Verdicts that are not a pass become findings: one a check and subject, with waivers, grace and money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
NAMED = ("provider", "sub_account_id", "sub_account_name", "service_name", "region_id", "resource_type")
SPOKEN = ("owner", "observed", "observed_from", "message")


def write_findings(
    engine: Engine, judged: Sequence[Judged], compilers: Mapping[str, Compiler], plan: Plan, context: Context
) -> None:
    """Fill `findings`: group what did not pass by check and subject. The costliest fact speaks for its subject."""
    if not judged:
        engine.execute(f"CREATE TABLE findings ({tables.ddl(tables.FINDINGS)}, n INTEGER)")
        return
    _write_failed(engine, judged, compilers, plan, context)
    as_of = f"DATE {literal(context.as_of)}"
    engine.execute(f"""
        CREATE TABLE findings AS
        WITH grouped AS (
            SELECT n, CASE WHEN waiver IS NULL THEN verdict ELSE 'waived' END AS verdict, waiver, source, currency,
                subject, subject_type, {", ".join(f"min({c}) AS {c}" for c in NAMED)},
                max(struct_pack(positive_cost, {", ".join(SPOKEN)})) AS spoken,
                CASE WHEN min(cost_center) = max(cost_center) AND count(cost_center) = count(*)
                    THEN min(cost_center) END AS cost_center,
                sum(positive_cost)::{tables.MONEY} AS cost, sum(rows)::BIGINT AS rows,
                min(first_charge)::DATE AS first_charge
            FROM failed
            GROUP BY ALL
        ),
        printed AS (
            SELECT substr(sha256(k.requirement || chr(31) || g.subject), 1, 16) AS fingerprint, k.* EXCLUDE (n),
                g.* EXCLUDE (spoken), {", ".join(f"g.spoken.{c}" for c in SPOKEN)}
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


def _write_failed(
    engine: Engine, judged: Sequence[Judged], compilers: Mapping[str, Compiler], plan: Plan, context: Context
) -> None:
    """Fill `failed`: one row a fact and check that did not pass. A view is read once for all its checks."""
    payers = {
        "facts": _payer(plan, context),
        "account_facts": ("", "NULL::VARCHAR", "f.owner_email" if _has_owner(context, "accounts") else "NULL::VARCHAR"),
    }
    selects = []
    for view, (subject, subject_type) in SUBJECTS.items():
        mine = _checks_of(view, judged)
        if not mine:
            continue
        joins, cost_center, owner = payers[view]
        selects.append(f"""
            SELECT u.n, u.verdict,
                {_by_check({n: _waiver(n, j.check, plan, context) for n, j in mine.items()})} AS waiver,
                f.source, f.billing_currency AS currency, {subject} AS subject, {subject_type} AS subject_type,
                f.service_provider_name AS provider, f.sub_account_id, f.sub_account_name, f.service_name, f.region_id,
                f.resource_type, {cost_center} AS cost_center, {owner} AS owner,
                {_by_check({n: f"({j.observed})::VARCHAR" for n, j in mine.items()})} AS observed,
                {_by_check({n: j.observed_from for n, j in mine.items()})} AS observed_from,
                {_by_check({n: j.message for n, j in mine.items()})} AS message, f.positive_cost, f.rows, f.first_charge
            FROM ({_unpivot("id", f"judged_{view}", mine)}) u
                JOIN {view} f ON f.id = u.id JOIN judged_{view} v ON v.id = f.id {joins}
                {join_registers(compilers[view].joins, context.keys)}
            WHERE u.verdict IN ('fail', 'unknown')""")
    engine.execute(f"CREATE TABLE failed AS {' UNION ALL '.join(selects)}")


def _checks_of(view: str, judged: Sequence[Judged]) -> dict[int, Judged]:
    return {n: j for n, j in enumerate(judged) if j.view == view}


def _by_check(texts: Mapping[int, str]) -> str:
    return f"CASE u.n {' '.join(f'WHEN {n} THEN {text}' for n, text in texts.items())} END"


def _unpivot(columns: str, table: str, checks: Iterable[int]) -> str:
    """Turn the verdict columns `v0`, `v1` ... into rows of n and verdict."""
    numbers = list(checks)
    verdicts = ", ".join(f"v{n}" for n in numbers)
    return (
        f"SELECT {columns}, unnest([{', '.join(map(str, numbers))}]) AS n, unnest([{verdicts}]) AS verdict FROM {table}"
    )


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
    """Fill `verdicts`: every check with every verdict it gave, passes included, as evidence of what was judged.

    Facts of one subject with the same verdicts are added up, and subjects numbered, before verdicts become rows.
    """
    selects = []
    for view, (subject, _) in SUBJECTS.items():
        if not (mine := _checks_of(view, judged)):
            continue
        verdicts = ", ".join(f"v{n}" for n in mine)
        summed = f"""
            SELECT currency, dense_rank() OVER (ORDER BY subject) AS subject, * EXCLUDE (currency, subject) FROM (
                SELECT billing_currency AS currency, {subject} AS subject, {verdicts}, sum(f.rows) AS rows,
                    sum(f.positive_cost) AS cost
                FROM {view} f JOIN judged_{view} v ON v.id = f.id GROUP BY ALL)"""
        unpivoted = _unpivot("currency, subject, rows, cost", f"({summed})", mine)
        selects.append(f"""
            SELECT n, verdict, currency, count(DISTINCT subject) AS subjects, sum(rows) AS rows, sum(cost) AS cost
            FROM ({unpivoted}) WHERE verdict IN ('pass', 'not_applicable') GROUP BY ALL""")
    selects.append("""
        SELECT n, verdict, currency, count(DISTINCT fingerprint) AS subjects, sum(rows) AS rows, sum(cost) AS cost
        FROM findings GROUP BY ALL""")
    engine.execute(f"""
        CREATE TABLE verdicts AS
        SELECT k.requirement, k.policy, k.severity, k.title, g.verdict, g.currency, g.subjects, g.rows::BIGINT AS rows,
            g.cost::{tables.MONEY} AS cost
        FROM ({" UNION ALL ".join(selects)}) g JOIN checks k ON k.n = g.n""")
