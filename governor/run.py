"""The whole pipeline, top to bottom: the product's table of contents.

- configuration -> registers, policies -> plan: no bill is read before everything written is known to be right
- bills -> charges -> cells -> facts: sources and engine
- facts -> classified -> allocations, findings, scores: allocate, evaluate, score
- tables -> one committed run: the ledger; outputs are made from it, and from nothing else
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor import __version__, tables
from governor.allocate import allocate, unread_gaps
from governor.config import Config
from governor.engine import cells, outputs
from governor.engine.delivery import take_delivery
from governor.engine.duckdb import MEMORY_MB, Engine, open_engine, versions
from governor.engine.gaps import find_overlaps
from governor.engine.ingest import refuse_shared
from governor.evaluate import evaluate
from governor.evaluate.checks import Context
from governor.ledger.commit import Staging, commit, stage
from governor.ledger.read import NOTICES, Run, SnapshotFiles, first_seen
from governor.ledger.restatement import restate
from governor.model import Delivery, Gap, PolicySet, Problem, Progress, Refused
from governor.policy.compile import Compiler
from governor.policy.load import load_policies
from governor.policy.plan import Plan, plan
from governor.reconcile import reconcile
from governor.score import score
from governor.sources.invoices import Invoices
from governor.sources.invoices import read_all as read_invoices
from governor.sources.registers import Registers, boundaries, read_all, valid_on

STORE_GAPS = {"B291": "denied", "B293": "unreachable", "B294": "denied", "B302": "denied"}  # why nothing was seen
LEGACY = ("1.0", "1.1")  # FOCUS versions that came before InvoiceId
NOT_JOINED = ("budgets", "fx_rates")  # registers with more than one row a key: no predicate looks things up there


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `as_of` is the date of judgement: it decides waivers and grace, never money."""

    as_of: date
    committed_at: str = ""
    threads: int = 0
    memory_mb: int = MEMORY_MB
    progress: Progress = field(default=lambda what, done, total: None)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known before any bill is read."""

    config: Config
    registers: Registers
    plan: Plan
    invoices: Invoices

    @property
    def keys(self) -> dict[str, str]:
        """The key column of every register that can be looked up."""
        return {name: t.key for name, t in self.registers.tables.items() if name not in NOT_JOINED}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A committed run, and what kept it from being complete."""

    run: Run
    gaps: tuple[Gap, ...]
    refused: tuple[Problem, ...]  # of sources that couldn't be used while others could


def run(config: Config, options: Options) -> Outcome:
    """Do the whole job and commit it.

    Raises Refused when nothing can be judged. A source that is refused while others can be used is a gap.
    """
    prepared = prepare(config)
    with stage(config.ledger) as staging:
        deliveries, refused = ingest_all(prepared, staging.folder, options)
        gaps = [gap for delivery in deliveries for gap in delivery.gaps] + [_refusal_gap(p) for p in refused]
        gaps += _legacy_gaps(deliveries)
        snapshots = [SnapshotFiles(d.source, d.charges, d.tag_sets, d.rejects) for d in deliveries]
        read = [delivery.charges.parent for delivery in deliveries]
        read += [config.ledger / "runs", config.ledger / "snapshots"]  # what this run is compared with
        with open_engine(
            work=staging.folder, read=read, threads=options.threads, memory_mb=options.memory_mb
        ) as engine:
            earlier = first_seen(config.ledger)
            gaps += judge(engine, prepared, deliveries, options, earlier)
            options.progress("writing the run", 0, 0)
            build(engine, prepared, gaps, options)
            follows = restate(engine, config.ledger, snapshots)
            files = outputs.export(engine, staging.folder)
        committed = _commit(staging, prepared, deliveries, snapshots, files, gaps, options, follows)
    return Outcome(committed, tuple(gaps), tuple(refused))


def prepare(config: Config) -> Prepared:
    """Read registers and policies and check them against each other. Raises Refused with every problem found."""
    problems: list[Problem] = []
    registers, policies, invoices = Registers({}), PolicySet(), Invoices()
    try:
        registers = read_all(config.registers)
    except Refused as refused:
        problems.extend(refused.problems)
    try:
        invoices = read_invoices(config.invoices, config.root)
    except Refused as refused:
        problems.extend(refused.problems)
    try:
        policies = load_policies(config.policies, config.root)
    except Refused as refused:
        problems.extend(refused.problems)
    if problems:
        raise Refused(*problems)
    joined = {name: t for name, t in registers.tables.items() if name not in NOT_JOINED}
    keys = {name: t.key for name, t in joined.items()}
    plan_ = plan(policies, {name: t.columns for name, t in joined.items()}, keys)
    return Prepared(config, registers, plan_, invoices)


def ingest_all(prepared: Prepared, folder: Path, options: Options) -> tuple[list[Delivery], list[Problem]]:
    """Normalise every billing source below `folder`. Raises Refused when not one of them can be used."""
    deliveries: list[Delivery] = []
    problems: list[Problem] = []
    for number, source in enumerate(prepared.config.billing):
        out = folder / f"source-{number}"
        out.mkdir()
        try:
            delivery = take_delivery(
                source,
                prepared.config,
                out,
                options.progress,
                threads=options.threads,
                memory_mb=options.memory_mb,
                columns=prepared.plan.columns,
                may_fail=prepared.plan.columns - prepared.plan.deciding,
                basis=prepared.plan.basis,
            )
            deliveries.append(delivery)
        except Refused as refused:
            problems.extend(refused.problems)
    if not deliveries:
        raise Refused(*problems)
    refuse_shared(deliveries)
    return deliveries, problems


def judge(
    engine: Engine,
    prepared: Prepared,
    deliveries: Sequence[Delivery],
    options: Options,
    earlier: dict[str, date] | None = None,
) -> list[Gap]:
    """Fill the engine's tables: cells, classified, allocations, findings, verdicts, scores. Returns the gaps found."""
    plan_, registers = prepared.plan, prepared.registers
    options.progress("grouping the charges", 0, 0)
    cells.load_charges(engine, deliveries, plan_.columns, plan_.basis)
    days = cells.stretches(engine, [*boundaries(registers), *_policy_days(plan_)])
    cells.build_cells(engine, plan_, days, options.as_of)
    cells.load_registers(engine, {n: t for n, t in registers.tables.items() if n not in NOT_JOINED}, days)
    columns = {name: t.columns for name, t in registers.tables.items() if name not in NOT_JOINED}
    cells.build_facts(engine, plan_.tags, frozenset(columns.get("accounts", ())))
    missing = {d.source: d.missing for d in deliveries}
    options.progress("allocating", 0, 0)
    in_force = _in_force(engine, registers)
    allocate(engine, plan_, days=days, missing=missing, keys=prepared.keys, in_force=in_force)
    options.progress("evaluating the policies", 0, 0)
    unread = {d.source: d.unread for d in deliveries}
    context = Context(options.as_of, missing, prepared.keys, columns, earlier or {}, unread)
    gaps = [*find_overlaps(engine), *unread_gaps(plan_, missing), *evaluate(engine, plan_, context)]
    options.progress("scoring", 0, 0)
    outputs.load_rejects(engine, deliveries)
    options.progress("tying out the invoices", 0, 0)
    terms = {source.name: source.tie_out for source in prepared.config.billing}
    reconcile(engine, prepared.invoices, terms, deliveries, NOTICES)
    blind = sorted(source for source, columns_ in missing.items() if plan_.deciding & columns_)
    rates = _rates(engine, registers, prepared.config.reporting_currency)
    gaps += _no_rate(engine, registers, rates, prepared.config.reporting_currency)
    score(engine, plan_.basis, blind=blind, rates=rates, reporting_currency=prepared.config.reporting_currency)
    return gaps


def _policy_days(plan_: Plan) -> Iterator[date]:
    """List the days on which an allocation policy begins or a central rule has ended."""
    for allocation in plan_.allocation:
        yield allocation.policy.effective_from
        for central in allocation.policy.central:
            yield cells.day_after(central.expires)


def _in_force(engine: Engine, registers: Registers) -> dict[str, frozenset[str]] | None:
    """Name the cost centers in force on some day of each billing period, None without a register."""
    if "cost_centers" not in registers.tables:
        return None
    periods = [period for (period,) in engine.rows("SELECT DISTINCT billing_period FROM cells ORDER BY ALL")]
    found = {}
    for period in periods:
        first = date.fromisoformat(f"{period}-01")
        last = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        days = [first, *(d for d in boundaries(registers) if first < d < last)]
        table = registers.tables["cost_centers"]
        found[period] = frozenset(str(row[table.key]) for day in days for row in valid_on(table, day))
    return found


def _rates(engine: Engine, registers: Registers, currency: str) -> dict[tuple[str, str], Decimal]:
    """Choose for each currency and billing period the last rate into the reporting currency up to the period's end."""
    if "fx_rates" not in registers.tables:
        return {}
    rates = {}
    rows = sorted((r for r in registers.tables["fx_rates"].rows if r["to"] == currency), key=lambda r: r["date"])
    for billed, period in engine.rows("SELECT DISTINCT billing_currency, billing_period FROM cells ORDER BY ALL"):
        known = [r["rate"] for r in rows if r["currency"] == billed and f"{r['date']:%Y-%m}" <= period]
        if billed == currency or known:
            rates[str(billed), str(period)] = Decimal(1) if billed == currency else known[-1]
    return rates


def _no_rate(
    engine: Engine, registers: Registers, rates: Mapping[tuple[str, str], Decimal], reporting: str
) -> Iterator[Gap]:
    """Say which currency keeps the others from being combined."""
    if "fx_rates" not in registers.tables:
        return
    for currency, period in engine.rows("SELECT DISTINCT billing_currency, billing_period FROM cells ORDER BY ALL"):
        if (currency, period) not in rates:
            detail = f"fx_rates has no rate from {currency} to {reporting} up to {period}: currencies are not combined"
            yield Gap("fx_rates", currency, "no_fx_rate", detail, currency=currency)


def build(engine: Engine, prepared: Prepared, gaps: Sequence[Gap], options: Options) -> None:
    """Bring every table of the run into the shape of its contract, but for what compares it with earlier runs."""
    outputs.load_gaps(engine, gaps)
    outputs.load_policies(engine, prepared.plan.policies, prepared.config.root)
    outputs.load_register_tables(engine, prepared.registers)
    outputs.load_waivers(engine, prepared.plan.policies.waivers, options.as_of)
    outputs.build(engine, prepared.plan)


def _commit(
    staging: Staging,
    prepared: Prepared,
    deliveries: Sequence[Delivery],
    snapshots: Sequence[SnapshotFiles],
    files: dict[str, Path],
    gaps: Sequence[Gap],
    options: Options,
    follows: int,
) -> Run:
    config, compiler = prepared.config, Compiler(judged_on=cells.day_literal(options.as_of))
    return commit(
        staging,
        tables=files,
        snapshots=snapshots,
        inputs=[
            *(_delivery_input(d) for d in deliveries),
            *_register_inputs(prepared.registers),
            *_invoice_inputs(prepared.invoices),
        ],
        policies=[{"id": p.id, "kind": type(p).__name__, "digest": p.digest} for p in prepared.plan.policies.all()],
        parameters={
            "organization": config.organization,
            "reporting_currency": config.reporting_currency,
            "as_of": options.as_of.isoformat(),
            "cost_basis": prepared.plan.basis,
            "gap_tolerance": config.gap_tolerance,
            "order": [list(p.order) for p in prepared.plan.policies.allocation],
            "tables": tables.VERSION,
            "keys": list(prepared.plan.keys),
            "flags": {name: compiler.sql(condition) for name, condition in sorted(prepared.plan.flags.items())},
        },
        gaps=len(gaps),
        engine={"governor": __version__, **versions()},
        committed_at=options.committed_at,
        follows=follows,
    )


def _delivery_input(delivery: Delivery) -> dict[str, Any]:
    return {
        "kind": "billing",
        "source": delivery.source,
        "format": ", ".join(sorted({f.format for f in delivery.files})),
        "version": delivery.version,
        "why": delivery.why,
        "files": [
            {name: getattr(f, name) for name in ("path", "bytes", "sha256", "rows", "rejected", "aside", "version")}
            | ({"stored": f.stored} if f.stored else {})
            for f in (*delivery.files, *delivery.manifests)
        ],
    }


def _register_inputs(registers: Registers) -> Iterator[dict[str, Any]]:
    for name, table in sorted(registers.tables.items()):
        size = table.file.stat().st_size
        file = {"path": table.shown, "bytes": size, "sha256": table.digest, "rows": len(table.rows)}
        file |= {"rejected": 0, "version": ""}
        yield {"kind": "register", "source": name, "format": "csv", "version": "", "why": "", "files": [file]}


def _invoice_inputs(invoices: Invoices) -> Iterator[dict[str, Any]]:
    for given in invoices.inputs:
        names = ("path", "bytes", "sha256", "rows")
        files = [{n: getattr(f, n) for n in names} | {"rejected": 0, "version": ""} for f in given.files]
        why = f"invoices of {given.source}" if given.source else ""
        named = {"kind": "invoices", "source": given.name, "format": given.format}
        yield named | {"version": "", "why": why, "files": files}


def _legacy_gaps(deliveries: Sequence[Delivery]) -> Iterator[Gap]:
    """Say which bills are of a FOCUS version that has no InvoiceId: what is charged can't be tied to an invoice."""
    for delivery in deliveries:
        old = [f for f in delivery.files if f.format == "FOCUS" and f.version in LEGACY and f.rows]
        if old:
            versions = " and ".join(sorted({f.version for f in old}))
            more = f" and {len(old) - 1} more" if len(old) > 1 else ""
            detail = f"{old[0].path}{more}: FOCUS {versions} has no invoice ids; export 1.2 or later where you can"
            yield Gap(delivery.source, "", "legacy_version", detail, rows=sum(f.rows for f in old))


def _refusal_gap(problem: Problem) -> Gap:
    reason = STORE_GAPS.get(problem.code, "malformed")
    return Gap(problem.position.file, str(problem.position), reason, f"{problem.code} {problem.what}")


@contextmanager
def scratch_engine(folder: Path, deliveries: Sequence[Delivery], options: Options) -> Iterator[Engine]:
    """Open an engine over deliveries without a ledger: for tests and measurements of the stages."""
    read = [delivery.charges.parent for delivery in deliveries]
    with open_engine(work=folder, read=read, threads=options.threads, memory_mb=options.memory_mb) as engine:
        yield engine
