"""Turn a set of policies into what the engine must ask: conditions parsed and checked, columns and row flags named.

Everything that can be wrong with a policy and the registers it names is found here, before any bill is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches

from governor import tables
from governor.model import (
    AccountPolicy,
    AccountRequirement,
    AllocationPolicy,
    PolicySet,
    Position,
    Predicate,
    Problem,
    Refused,
    Requirement,
    Rule,
    RulePolicy,
    TagPolicy,
    TagRequirement,
    Waiver,
)
from governor.policy.compile import lift
from governor.policy.expression import Literal
from governor.policy.load import requirements
from governor.policy.parts import PLACEHOLDERS
from governor.policy.predicate import Condition, Scope, accounts_scope, charges_scope, parse, parse_value

# What a commitment or reservation left unused. A bill without the column has none: FOCUS makes both conditional.
OPTIONAL = {"commitment_discount_status", "capacity_reservation_status"}
UNUSED = ("commitment_discount_status = 'Unused'", "capacity_reservation_status = 'Unused'")
ROW_COLUMNS = frozenset(c.name for c in tables.CHARGES if not c.cell)
CORE = frozenset(c.name for c in tables.CHARGES if c.core)


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement, ready to be compiled. Exactly one of tag, account and assertion says what must be true."""

    requirement: Requirement
    policy: TagPolicy | AccountPolicy | RulePolicy
    where: Condition | None = None
    tag: TagRequirement | None = None
    conflict: bool = False
    account: AccountRequirement | None = None
    assertion: Condition | None = None
    rule: Rule | None = None

    @property
    def reads(self) -> frozenset[str]:
        """The charge columns this check can't be judged without."""
        if self.account is not None:
            return frozenset({"sub_account_id"})
        conditions = [c for c in (self.where, self.assertion) if c]
        return frozenset[str]().union(*(condition_reads(c) for c in conditions)) - self.optional

    @property
    def optional(self) -> frozenset[str]:
        """The charge columns without which there is nothing to judge."""
        return frozenset(self.rule.if_delivered if self.rule else ())


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of an allocation policy that can claim a charge, in the order in which they try.

    `kind` is commitments | central | pool | assign; `to` is the value an assign clause charges, `owner` the fixed cost
    center of the others, `pool` the pool they feed.
    """

    id: str
    kind: str
    position: Position
    where: Condition | None = None
    to: Condition | None = None
    owner: str = ""
    pool: str = ""
    expires: date | None = None
    reason: str = ""  # why the cost is central, who approved it and until when

    @property
    def reads(self) -> frozenset[str]:
        """The charge columns it claims by. A bill without commitments' columns has none: that decides nothing."""
        conditions = () if self.kind == "commitments" else (self.where, self.to)
        return frozenset[str]().union(*(condition_reads(c) for c in conditions if c))


@dataclass(frozen=True, slots=True)
class AllocationPlan:
    """An allocation policy and its clauses in order."""

    policy: AllocationPolicy
    clauses: tuple[Clause, ...]

    @property
    def reads(self) -> frozenset[str]:
        """The charge columns that decide who pays."""
        return frozenset[str]().union(*(clause.reads for clause in self.clauses))


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run asks of its charges. `flags` are the row-level conditions that become keys of the cells."""

    policies: PolicySet
    tags: Mapping[str, TagRequirement]
    checks: tuple[Check, ...]
    allocation: tuple[AllocationPlan, ...]
    waivers: tuple[tuple[Waiver, Condition | None], ...]
    flags: Mapping[str, Condition]
    basis: str  # effective_cost | billed_cost

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns by which charges are grouped, beside their tags: what outputs show, and what a policy names."""
        conditions = [c for check in self.checks for c in (check.where, check.assertion)]
        conditions += [c for a in self.allocation for clause in a.clauses for c in (clause.where, clause.to)]
        conditions += [where for _, where in self.waivers]
        named = {name for c in conditions if c for name in c.columns}
        named |= {n for check in self.checks if check.rule for n in re.findall(r"\{(\w+)\}", check.rule.message)}
        keys = (c for c in tables.CHARGES if c.cell and c.name != "tag_set")
        return tuple(c.name for c in keys if not c.asked or c.name in named)

    @property
    def columns(self) -> frozenset[str]:
        """The charge columns beyond the core that some policy names."""
        read = frozenset[str]().union(*(c.columns for c in self.flags.values()))
        return read - CORE - {"source"}

    @property
    def deciding(self) -> frozenset[str]:
        """The charge columns that decide who pays: a charge with a value there that can't be read can't be used."""
        return frozenset[str]().union(*(a.reads for a in self.allocation))


def condition_reads(condition: Condition) -> frozenset[str]:
    """Name the charge columns a condition depends on, those behind tags and accounts included."""
    reads = set(condition.columns) - OPTIONAL
    if "accounts" in condition.registers:
        reads.add("sub_account_id")
    return frozenset(reads)


def _undefined_tags(policies: PolicySet, defined: Collection[str]) -> dict[str, TagRequirement]:
    """Define the tags that predicates name and no TagPolicy does: the key as it is written, `_` or `-` alike.

    A name that is nearly a defined one stays undefined: it is a slip, and the predicate's own message says so.
    """
    written: list[Predicate | None] = [p.where for p in policies.tags] + [w.where for w in policies.waivers]
    for rules in policies.rules:
        written += [predicate for rule in rules.rules for predicate in (rule.where, rule.assertion)]
    for allocation in policies.allocation:
        written += [assign.where for assign in allocation.assign] + [pool.where for pool in allocation.pools]
        written += [central.where for central in allocation.central]
        written += [clause.to for clause in allocation.assign]
    found: dict[str, TagRequirement] = {}
    for predicate in filter(None, written):
        for name in re.findall(r"\btag\.([A-Za-z_][A-Za-z0-9_]*)", predicate.text):
            if name not in defined and not get_close_matches(name, defined, n=1, cutoff=0.8):
                keys = tuple(dict.fromkeys((name, name.replace("_", "-"))))
                found[name] = TagRequirement(name, keys, predicate.position, placeholders=PLACEHOLDERS)
    return found


def plan(policies: PolicySet, registers: Mapping[str, Mapping[str, str]], keys: Mapping[str, str]) -> Plan:
    """Check policies against the registers (name -> column -> type) and against each other.

    Raises Refused with every problem found.
    """
    planner = _Planner(policies, registers, keys)
    checks = [*planner.tag_checks(), *planner.account_checks(), *planner.rule_checks()]
    allocation = [planner.allocation(p) for p in policies.allocation]
    waivers = [(w, planner.condition(w.where)) for w in policies.waivers]
    planner.check_waivers({c.requirement.id for c in checks}, policies.waivers)
    if planner.problems:
        raise Refused(*sorted(planner.problems))
    costs = {p.cost for p in policies.allocation} or {"effective"}
    if len(costs) > 1:
        at = policies.allocation[0].position
        raise Refused(Problem(at, "P301", "the allocation policies use different costs", "choose effective or billed"))
    return Plan(
        policies, planner.tags, tuple(checks), tuple(allocation), tuple(waivers), planner.flags, f"{costs.pop()}_cost"
    )


class _Planner:
    """Collects problems and row flags while conditions are parsed."""

    def __init__(
        self, policies: PolicySet, registers: Mapping[str, Mapping[str, str]], keys: Mapping[str, str]
    ) -> None:
        self.policies = policies
        self.registers = registers
        self.problems: list[Problem] = []
        self.flags: dict[str, Condition] = {}
        self.tags = self._merge_tags(policies.tags)
        self.tags |= _undefined_tags(policies, self.tags)
        self.charges = charges_scope(self.tags, registers, keys)
        self.accounts = accounts_scope(registers, keys)

    def _merge_tags(self, policies: Iterable[TagPolicy]) -> dict[str, TagRequirement]:
        """Take each tag's definition once: `tag.x` must mean one thing, whichever policy asks for it."""
        merged: dict[str, TagRequirement] = {}
        for policy in policies:
            for tag in policy.tags:
                first = merged.setdefault(tag.name, tag)
                reading = ("keys", "normalize", "inherit", "allowed", "placeholders")
                if any(getattr(first, field) != getattr(tag, field) for field in reading):
                    what = f"tag {tag.name} is read differently here and at {first.position}"
                    mend = "give it the same keys, normalize, inherit, allowed and placeholders, or another name"
                    self.problems.append(Problem(tag.position, "P302", what, mend))
                self._check_register(tag.in_register, tag.position)
                for level, column in tag.inherit:
                    if level == "account":
                        self._check_column("accounts", column, tag.position)
        return merged

    def _check_register(self, name: str | None, position: Position) -> None:
        if name is not None and name not in self.registers:
            known = ", ".join(sorted(self.registers)) or "none"
            mend = f"name it under registers: in governor.yaml (there: {known})"
            self.problems.append(Problem(position, "P303", f"there is no register {name}", mend))

    def _check_column(self, register: str, column: str, position: Position) -> None:
        self._check_register(register, position)
        if register in self.registers and column not in self.registers[register]:
            columns = ", ".join(sorted(self.registers[register]))
            self.problems.append(
                Problem(position, "P304", f"register {register} has no column {column}", f"it has {columns}")
            )

    def condition(self, predicate: Predicate | None, scope: Scope | None = None) -> Condition | None:
        """Parse a predicate and lift what it asks of single rows into flags."""
        if predicate is None:
            return None
        try:
            condition = parse(predicate, scope or self.charges)
            return condition if scope else self._lifted(condition)
        except Refused as refused:
            self.problems.extend(refused.problems)
            return None

    def value(self, predicate: Predicate) -> Condition | None:
        """Parse the value of a `to:`."""
        try:
            return self._lifted(parse_value(predicate, self.charges))
        except Refused as refused:
            self.problems.extend(refused.problems)
            return None

    def _lifted(self, condition: Condition) -> Condition:
        row_columns = ROW_COLUMNS | {c for c in condition.columns if tables.is_custom(c)}
        lifted, flags = lift(condition, row_columns)
        self.flags.update(flags)
        # What a lifted condition reads is still what the whole one read: a column that was not delivered stays unread.
        return replace(lifted, columns=condition.columns)

    def tag_checks(self) -> Iterable[Check]:
        """Plan every tag requirement and, where a tag has several spellings, its conflict."""
        for policy in self.policies.tags:
            where = self.condition(policy.where)
            by_name = {tag.name: tag for tag in policy.tags}
            for requirement in requirements(policy):
                name = requirement.id.split("/", 1)[1]
                conflict = name.endswith(".conflict")
                tag = by_name[name.removesuffix(".conflict")]
                yield Check(requirement, policy, where, tag=tag, conflict=conflict)

    def account_checks(self) -> Iterable[Check]:
        """Plan every account requirement."""
        for policy in self.policies.accounts:
            self._check_register("accounts", policy.position)
            where = self.condition(policy.where, self.accounts)
            for requirement, account in zip(requirements(policy), policy.require, strict=True):
                if account.column:
                    self._check_column("accounts", account.column, account.position)
                if account.check == "in_register":
                    self._check_register(account.argument, account.position)
                yield Check(requirement, policy, where, account=account)

    def rule_checks(self) -> Iterable[Check]:
        """Plan every rule's condition and assertion."""
        for policy in self.policies.rules:
            for requirement, rule in zip(requirements(policy), policy.rules, strict=True):
                where, assertion = self.condition(rule.where), self.condition(rule.assertion)
                yield Check(requirement, policy, where, assertion=assertion, rule=rule)

    def allocation(self, policy: AllocationPolicy) -> AllocationPlan:
        """Order a policy's clauses as its `order` says."""
        clauses: dict[str, list[Clause]] = {"commitments": [], "central": [], "pools": [], "assign": []}
        if policy.unused_pool or policy.unused_cost_center:
            clauses["commitments"] += [
                Clause(
                    "commitments",
                    "commitments",
                    policy.position,
                    self.condition(Predicate(unused, policy.position)),
                    owner=policy.unused_cost_center,
                    pool=policy.unused_pool,
                )
                for unused in UNUSED
            ]
        for central in policy.central:
            where = self.condition(central.where)
            clauses["central"].append(
                Clause(
                    central.id,
                    "central",
                    central.position,
                    where,
                    owner=central.owner,
                    expires=central.expires,
                    reason=f"{central.reason}; approved by {central.approved_by} until {central.expires}",
                )
            )
        for pool in policy.pools:
            if pool.where is not None:
                clauses["pools"].append(
                    Clause(pool.id, "pool", pool.position, self.condition(pool.where), pool=pool.id)
                )
        for assign in policy.assign:
            where, to = self.condition(assign.where), self.value(assign.to)
            owner = str(to.expression.value) if to and isinstance(to.expression, Literal) else ""
            clauses["assign"].append(
                Clause(assign.id, "assign", assign.position, where, None if owner else to, owner=owner)
            )
        for clause in (c for several in clauses.values() for c in several):
            self._check_lasting(clause)
        return AllocationPlan(policy, tuple(clause for name in policy.order for clause in clauses[name]))

    def _check_lasting(self, clause: Clause) -> None:
        """Refuse age_days where it would decide who pays: the same bill must give the same amounts on every day."""
        if any(c and c.judged for c in (clause.where, clause.to)):
            what = f"{clause.kind} {clause.id} uses age_days, but money must not depend on the day of judgement"
            self.problems.append(Problem(clause.position, "P306", what, "compare charge_period_start with a date"))

    def check_waivers(self, known: set[str], waivers: Iterable[Waiver]) -> None:
        """Refuse a waiver of something that nothing requires: it would hide nothing and look as if it did."""
        for waiver in waivers:
            for pattern in waiver.requirements:
                prefix = pattern.removesuffix("*")
                if not any(k == pattern or (pattern.endswith("/*") and k.startswith(prefix)) for k in known):
                    what = f"waiver {waiver.id} names {pattern}, which no policy requires"
                    self.problems.append(Problem(waiver.position, "P305", what, "see governor policy list"))
