"""Run the tests that policies carry: each one is a charge of its own, judged by the code that judges bills."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from governor import tables
from governor.allocate.classify import classify
from governor.engine.cells import build_cells, build_facts, column_of, load_registers, stretches
from governor.engine.duckdb import Engine, open_engine
from governor.evaluate import evaluate
from governor.evaluate.checks import Context
from governor.evidence import canonical
from governor.model import AccountPolicy, AllocationPolicy, PolicyTest, Problem, RulePolicy, TagPolicy
from governor.money import parse
from governor.policy.plan import Plan
from governor.sources.registers import Registers, RegisterTable, boundaries

UNREAD = {"accounts": "sub_account_id"}  # how a test says that accounts could not be told
_ARROW = {tables.TEXT: pa.string(), tables.COUNT: pa.int64(), tables.TIME: pa.timestamp("us"), "INTEGER": pa.int32()}


@dataclass(frozen=True, slots=True)
class Case:
    """An inline test, with the source name that stands for it and the charge made of it."""

    policy: TagPolicy | AccountPolicy | RulePolicy | AllocationPolicy
    test: PolicyTest
    source: str
    charge: Mapping[str, Any]
    tags: Mapping[str, str] | None
    missing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Result:
    """What the tests showed: how many ran, and a problem for each that got another verdict than it expects."""

    ran: int
    problems: tuple[Problem, ...]


def run_tests(plan: Plan, registers: Registers, as_of: date) -> Result:
    """Judge every inline test of every policy.

    A test's charge is one US dollar of usage on `as_of`, unless the test says otherwise.
    """
    tested = TagPolicy | AccountPolicy | RulePolicy | AllocationPolicy
    policies = [p for p in plan.policies.all() if isinstance(p, tested)]
    written = [(policy, test) for policy in policies for test in policy.tests]
    problems: list[Problem] = []
    cases: list[Case] = []
    for number, (policy, test) in enumerate(written):
        try:
            cases.append(_case(policy, test, f"test-{number}", as_of))
        except ValueError as error:
            problems.append(Problem(test.position, "P401", f"the test can't be run: {error}", "mend its values"))
    if not cases:
        return Result(len(written), tuple(problems))
    registers = _with_test_rows(_with_test_accounts(registers, cases), cases)
    with tempfile.TemporaryDirectory(prefix="governor-tests-") as folder, open_engine(work=Path(folder)) as engine:
        got = _judge(engine, plan, registers, cases, as_of)
    for case in cases:
        said = got[case.source]
        if case.test.expect != said.get("verdict"):
            why = f" ({said['why']})" if said.get("why") else ""
            what = f"{case.policy.id}: expected {case.test.expect}, got {said.get('verdict')}{why}"
            problems.append(Problem(case.test.position, "P402", what, "mend the policy or the test"))
    return Result(len(written), tuple(sorted(problems)))


def _case(policy: Any, test: PolicyTest, source: str, as_of: date) -> Case:
    given = test.given
    day = date.fromisoformat(str(given["date"])) if given.get("date") else as_of
    moment = datetime.combine(day, datetime.min.time())
    charge: dict[str, Any] = {
        "billed_cost": Decimal(1),
        "effective_cost": Decimal(1),
        "list_cost": Decimal(1),
        "contracted_cost": Decimal(1),
        "billing_currency": "USD",
        "billing_period": f"{day:%Y-%m}",
        "billing_period_start": moment.replace(day=1),
        "charge_period_start": moment,
        "charge_category": "Usage",
        "service_name": "Test",
        "resource_id": source,
        "sub_account_id": source,
    }
    for name, value in (given.get("charge") or {}).items():
        column = column_of(tables.snake(str(name)))
        charge[column.name] = _value(column, value)
    tags = given.get("tags", {})
    text = None if tags is None else {str(k): _tag(v) for k, v in tags.items()}
    missing = frozenset(UNREAD.get(str(c), tables.snake(str(c))) for c in given.get("unread") or ())
    if "tags" in missing:
        text = None
    return Case(policy, test, source, charge, text, missing)


def _value(column: tables.Column, value: object) -> object:
    if value is None:
        return None
    if column.type == tables.MONEY:
        return parse(str(value))
    if column.type == tables.TIME:
        return datetime.fromisoformat(str(value)).replace(tzinfo=None)
    return str(value)


def _tag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _with_test_accounts(registers: Registers, cases: Sequence[Case]) -> Registers:
    """Register the accounts that tests describe, each under its test's own id."""
    rows = [
        {k: None if v is None else str(v) for k, v in account.items()} | {"account_id": case.charge["sub_account_id"]}
        for case in cases
        if (account := case.test.given.get("account"))
    ]
    known = registers.tables.get("accounts")
    if known is None and not rows:
        return registers
    columns = dict(known.columns) if known else {c.name: c.type for c in tables.REGISTER_ACCOUNTS}
    typed = [{**row, **_days(row)} for row in rows]
    columns |= {name: tables.TEXT for row in rows for name in row if name not in columns}
    before: list[Mapping[str, Any]] = [*known.rows] if known else []
    merged = tuple({**dict.fromkeys(columns), **row} for row in [*before, *typed])
    if known:
        table = replace(known, columns=columns, rows=merged, lines=(0,) * len(merged))
    else:
        table = RegisterTable("accounts", "account_id", columns, merged, (0,) * len(merged), "", Path(), "tests")
    return replace(registers, tables={**registers.tables, "accounts": table})


def _with_test_rows(registers: Registers, cases: Sequence[Case]) -> Registers:
    """Add the rows that tests bring along, as `registers: {cost_centers: [{id: CC-0042}]}`: so a pack tests itself."""
    changed = dict(registers.tables)
    for case in cases:
        for name, rows in (case.test.given.get("registers") or {}).items():
            if name in changed:
                table = changed[name]
                more = tuple({**dict.fromkeys(table.columns), **row, **_days(row)} for row in rows)
                changed[name] = replace(table, rows=(*table.rows, *more), lines=(*table.lines, *(0,) * len(more)))
    return replace(registers, tables=changed)


def _days(row: Mapping[str, Any]) -> dict[str, date]:
    return {c: date.fromisoformat(row[c]) for c in ("valid_from", "valid_to") if row.get(c)}


def _judge(
    engine: Engine, plan: Plan, registers: Registers, cases: Sequence[Case], as_of: date
) -> dict[str, dict[str, str]]:
    """Judge all cases at once; each is a source of its own, so none can touch another."""
    joined = {name: t for name, t in registers.tables.items() if name not in ("budgets", "fx_rates")}
    keys = {name: t.key for name, t in joined.items()}
    _load(engine, plan, cases)
    policy_days = [a.policy.effective_from for a in plan.allocation]
    days = stretches(engine, [*boundaries(registers), *policy_days])
    build_cells(engine, plan, days, as_of)
    load_registers(engine, joined, days)
    columns = {name: t.columns for name, t in joined.items()}
    build_facts(engine, plan.tags, frozenset(columns.get("accounts", ())))
    missing = {case.source: case.missing for case in cases}
    classify(engine, plan.allocation, days=days, missing=missing, keys=keys)
    evaluate(engine, plan, Context(as_of, missing, keys, columns, {}))
    return {case.source: _verdict(engine, plan, case) for case in cases}


def _load(engine: Engine, plan: Plan, cases: Sequence[Case]) -> None:
    wanted = [c for c in tables.CHARGES if c.core and c.name not in ("tag_set", "file", "row")]
    wanted += [column_of(name) for name in sorted(plan.columns)]
    arrays = {
        c.name: pa.array([case.charge.get(c.name) for case in cases], _ARROW.get(c.type, pa.decimal128(38, 24)))
        for c in wanted
    }
    ids = pa.array([None if case.tags is None else n for n, case in enumerate(cases)], pa.int64())
    sources = pa.array([case.source for case in cases], pa.string())
    engine.register("charges", pa.table({"source": sources, "tag_id": ids, **arrays}))
    sets = [(n, case.tags) for n, case in enumerate(cases) if case.tags is not None]
    engine.register(
        "tag_sets",
        pa.table(
            {
                "tag_id": pa.array([n for n, _ in sets], pa.int64()),
                "text": pa.array([canonical(dict(t)).decode() for _, t in sets], pa.string()),
                "tags": pa.array([list(t.items()) for _, t in sets], pa.map_(pa.string(), pa.string())),
            }
        ),
    )


def _verdict(engine: Engine, plan: Plan, case: Case) -> dict[str, str]:
    """Say what a case got: the worst verdict of its policy's requirements, or who pays."""
    if isinstance(case.policy, AllocationPolicy):
        [(status, center, pool, reason)] = engine.rows(
            "SELECT status, cost_center, c.pool, reason FROM classified c JOIN cells USING (id) WHERE source = ?",
            [case.source],
        )
        return {"verdict": f"{status}:{pool}" if pool else center or status, "why": reason or ""}
    view = "account_facts" if isinstance(case.policy, AccountPolicy) else "facts"
    rule = case.test.given.get("rule")
    numbers = [
        n
        for n, check in enumerate(plan.checks)
        if check.policy is case.policy and (rule is None or check.requirement.id == f"{case.policy.id}/{rule}")
    ]
    if not numbers:
        return {"verdict": "", "why": f"there is no rule {rule}"}
    columns = ", ".join(f"v{n}" for n in numbers)
    rows = engine.rows(f"SELECT {columns} FROM judged_{view} JOIN {view} USING (id) WHERE source = ?", [case.source])
    verdicts = [str(v) for row in rows for v in row]
    for verdict in ("fail", "unknown", "pass"):
        if verdict in verdicts:
            failed = [plan.checks[n].requirement.id for n, v in zip(numbers, verdicts, strict=True) if v == verdict]
            return {"verdict": verdict, "why": ", ".join(failed) if verdict != "pass" else ""}
    return {"verdict": "not_applicable"}
