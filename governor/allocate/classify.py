"""Who pays for each cell: the first clause that claims it, in the policy's own order (docs/adr/0002).

One CASE yields the number of the clause, a second short one looks the target up from it. A clause that reads tags or a
column which the source did not deliver claims nothing there: what was not seen proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from governor.engine.cells import join_registers
from governor.engine.duckdb import Engine, identifier, literal
from governor.model import Problem, Refused, Status
from governor.policy.compile import Compiler
from governor.policy.plan import AllocationPlan, Clause, condition_reads
from governor.policy.predicate import Condition

CENTERS = "cost_centers"


@dataclass(frozen=True, slots=True)
class Claim:
    """A clause as SQL: when it claims a cell, and what the cell becomes."""

    when: str
    status: str
    cost_center: str
    rule: str
    policy: str
    pool: str = ""
    reason: str = ""


def classify(
    engine: Engine,
    plans: Sequence[AllocationPlan],
    *,
    days: Sequence[date],
    missing: Mapping[str, Collection[str]],
    keys: Mapping[str, str],
) -> None:
    """Fill the table `classified`: cell id, clause, status, cost_center, rule, pool, policy, reason.

    `days` are the first days of the stretches, `missing` the columns each source did not deliver. Raises Refused where
    a clause names a cost center that the register never has.
    """
    compiler = Compiler(row="f")
    registered = CENTERS in keys
    centers = _centers(engine) if registered else None
    claims: list[Claim] = []
    problems: list[Problem] = []
    for plan, (start, end) in zip(plans, _terms(plans), strict=True):
        term = _term(start, end, days)
        if term == "FALSE":
            continue
        for clause in plan.clauses:
            problems += _unknown_owner(clause, centers)
            claims.append(_claim(clause, plan, term, compiler, missing, centers, days))
        claims += [_expired(c, plan, term, compiler, missing) for c in plan.clauses if c.kind == "central"]
        if owner := plan.policy.default_cost_center:
            default = Clause("default", "default", plan.policy.position, owner=owner)
            problems += _unknown_owner(default, centers)
            reason = _reason(plan, registered)
            claims.append(Claim(term, literal("D"), literal(owner), "default", plan.policy.id, reason=reason))
        else:
            claims.append(Claim(term, literal("U"), "NULL", "", plan.policy.id, reason=_reason(plan, registered)))
    if problems:
        raise Refused(*problems)
    _write(engine, claims, join_registers(compiler.joins, keys))


def _centers(engine: Engine) -> dict[str, set[date]]:
    """Read from the loaded register on which stretches each cost center is in force (none: known, but not now)."""
    centers: dict[str, set[date]] = {key: set() for (key,) in engine.rows("SELECT key FROM known_cost_centers")}
    for key, day in engine.rows("SELECT id, valid_on FROM reg_cost_centers"):
        centers[key].add(day)
    return centers


def _terms(plans: Sequence[AllocationPlan]) -> list[tuple[date, date]]:
    """Give each policy the days from its effective_from to the next one's."""
    starts = [plan.policy.effective_from for plan in plans]
    return list(zip(starts, [*starts[1:], date.max][: len(starts)], strict=True))


def _term(start: date, end: date, days: Sequence[date]) -> str:
    within = [day for day in days if start <= day < end]
    if len(within) == len(days):
        return "TRUE"
    return f"f.valid_on IN ({_dates(within)})" if within else "FALSE"


def _dates(days: Collection[date]) -> str:
    return ", ".join(f"DATE {literal(day)}" for day in sorted(days))


def _unknown_owner(clause: Clause, centers: Mapping[str, Collection[date]] | None) -> list[Problem]:
    if centers is None or not clause.owner or clause.owner in centers:
        return []
    what = f"{clause.kind} {clause.id} names cost center {clause.owner}, which the register cost_centers does not have"
    return [Problem(clause.position, "P310", what, "add it to the register or name another")]


def _claim(
    clause: Clause,
    plan: AllocationPlan,
    term: str,
    compiler: Compiler,
    missing: Mapping[str, Collection[str]],
    centers: Mapping[str, Collection[date]] | None,
    days: Sequence[date],
) -> Claim:
    """Compile one clause. It claims only where the cost center that would pay is in force on that day."""
    terms = [term] if term != "TRUE" else []
    terms += _seen(clause.where, compiler, {} if clause.kind == "commitments" else missing)
    if clause.expires:
        terms.append(f"f.valid_on <= DATE {literal(clause.expires)}")
    status = {"commitments": "K", "central": "C", "pool": "S", "assign": "R"}[clause.kind]
    target, sql_status = "NULL", literal(status)
    if clause.owner:
        target = literal(clause.owner)
        if centers is not None:
            in_force = set(centers.get(clause.owner, ()))
            if in_force != set(days):
                terms.append(f"f.valid_on IN ({_dates(in_force)})" if in_force else "FALSE")
    elif clause.to is not None:
        terms += _readable(clause.to, missing)
        target = compiler.sql(clause.to)
        terms.append(compiler.found(CENTERS, target) if centers is not None else f"{target} IS NOT NULL")
        sql_status = _level(clause.to)
    reason = literal(clause.reason) if clause.reason else ""
    return Claim(" AND ".join(terms) or "TRUE", sql_status, target, clause.id, plan.policy.id, clause.pool, reason)


def _seen(where: Condition | None, compiler: Compiler, missing: Mapping[str, Collection[str]]) -> list[str]:
    if where is None:
        return []
    return [*_readable(where, missing), f"COALESCE({compiler.sql(where)}, FALSE)"]


def _readable(condition: Condition, missing: Mapping[str, Collection[str]]) -> list[str]:
    """Demand that what a condition reads was delivered."""
    terms = ["f.tag_id IS NOT NULL"] if condition.tags else []
    reads = condition_reads(condition)
    if blind := sorted(source for source, columns in missing.items() if reads & set(columns)):
        terms.append(f"f.source NOT IN ({', '.join(map(literal, blind))})")
    return terms


def _level(to: Condition) -> str:
    """Say how direct a value is: the charge's own tag, its account (a tag inherited from it too), or a rule."""
    if tag := re.fullmatch(r"tag\.(\w+)", to.text.strip()):
        return f"CASE WHEN f.{identifier('inherited.' + tag[1])} THEN 'A' ELSE 'T' END"
    return literal("A" if re.fullmatch(r"account\.\w+", to.text.strip()) else "R")


def _expired(
    clause: Clause, plan: AllocationPlan, term: str, compiler: Compiler, missing: Mapping[str, Collection[str]]
) -> Claim:
    """Keep with its last owner, as suspense, what an expired central rule held and nobody else claims."""
    terms = [term, *_seen(clause.where, compiler, missing), f"f.valid_on > DATE {literal(clause.expires)}"]
    status, owner = literal(Status.SUSPENSE), literal(clause.owner)
    return Claim(" AND ".join(terms), status, owner, clause.id, plan.policy.id, reason=literal("central_expired"))


def _reason(plan: AllocationPlan, registered: bool) -> str:
    """Say why nobody pays, from the first tag that the assignment rules read."""
    names = [name for c in plan.clauses if c.to for name in sorted(c.to.tags)]
    untaggable = (
        "f.charge_category IS DISTINCT FROM 'Usage' OR f.resource_id IS NULL"
        " OR coalesce(f.commitment_discount_status, '') = 'Unused'"
    )
    if not names:
        return "'no_rule'"
    value = f"f.{identifier('tag.' + names[0])}"
    closed = f"EXISTS (SELECT 1 FROM known_cost_centers k WHERE k.key = {value})" if registered else "FALSE"
    return (
        f"CASE WHEN f.tag_id IS NULL THEN 'tags_unread'"
        f" WHEN {value} IS NOT NULL AND {closed} THEN 'owner_closed'"
        f" WHEN {value} IS NOT NULL THEN 'value_invalid'"
        f" WHEN {untaggable} THEN 'untaggable' ELSE 'tag_missing' END"
    )


def _write(engine: Engine, claims: Sequence[Claim], joins: str) -> None:
    """Run the two CASEs. Where no policy is in force, nobody pays."""
    numbered = list(enumerate(claims, 1))
    clause = "CASE " + " ".join(f"WHEN {c.when} THEN {n}" for n, c in numbered) + " ELSE 0 END" if claims else "0"

    def pick(values: Sequence[tuple[int, str]], otherwise: str) -> str:
        branches = " ".join(f"WHEN {n} THEN {sql}" for n, sql in values)
        return f"CASE clause {branches} ELSE {otherwise} END" if branches else otherwise

    looked_up = [(n, c.cost_center) for n, c in numbered if not _LITERAL.fullmatch(c.cost_center)]
    targets = "".join(f", {sql} AS target_{n}" for n, sql in looked_up)
    owners = {n: f"target_{n}" for n, _ in looked_up}
    texts = {field: [(n, literal(getattr(c, field))) for n, c in numbered if getattr(c, field)] for field in _TEXTS}
    reasons = [(n, c.reason) for n, c in numbered if c.reason]
    engine.execute(f"""
        CREATE TABLE classified AS
        WITH claimed AS (SELECT f.*, {clause} AS clause{targets} FROM facts f {joins})
        SELECT f.id, clause,
            {pick([(n, c.status) for n, c in numbered], "'U'")} AS status,
            ({pick([(n, owners.get(n, c.cost_center)) for n, c in numbered], "NULL")})::VARCHAR AS cost_center,
            {", ".join(f"({pick(values, 'NULL')})::VARCHAR AS {field}" for field, values in texts.items())},
            ({pick(reasons, "CASE WHEN clause = 0 THEN 'no_policy' END")})::VARCHAR AS reason
        FROM claimed f""")


_TEXTS = ("rule", "pool", "policy")
_LITERAL = re.compile(r"NULL|'(?:[^']|'')*'")
