"""A check as SQL: which verdict a fact gets, what was observed, and what to say of it.

Facts stand under the alias `f`: cells of charges with their effective tags (`facts`), or billed accounts with their
register row (`account_facts`). All checks of a view share one compiler, so a register is joined once for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from governor.engine.duckdb import identifier, literal
from governor.model import AccountRequirement, Rule, TagRequirement
from governor.policy.compile import Compiler, Join
from governor.policy.plan import Check, condition_reads

EMAIL = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
FORMATS = {"email": EMAIL, "date": DATE, "integer": r"[+-]?\d+"}
NOTHING = "NULL::VARCHAR"


@dataclass(frozen=True, slots=True)
class Context:
    """What evaluation needs beside the facts.

    `missing` are, per source, the charge columns it did not deliver, and `unread` those of which it delivered a value
    that nobody could read; `keys` the key column of each register and
    `registers` its columns; `first_seen` the day each fingerprint was first found by an earlier run.
    """

    as_of: date
    missing: Mapping[str, Collection[str]]
    keys: Mapping[str, str]
    registers: Mapping[str, Mapping[str, str]]
    first_seen: Mapping[str, date]
    unread: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A check as SQL expressions over one fact view."""

    check: Check
    view: str  # facts | account_facts
    verdict: str
    observed: str
    observed_from: str
    message: str

    def joins(self, joins: Collection[Join]) -> list[Join]:
        """Choose the register joins that these expressions need, in order, nested ones included."""
        text, needed = f"{self.verdict} {self.observed} {self.message}", list[Join]()
        for join in reversed(list(joins)):
            if re.search(rf"\b{join.alias}\.", text):
                needed.insert(0, join)
                text += f" {join.key}"
        return needed


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The branches of a check after the ones that every check has."""

    branches: str
    observed: str
    observed_from: str
    message: str


def judge(check: Check, compilers: Mapping[str, Compiler], context: Context) -> Judged:
    """Compile a check. What reads a column that a source did not deliver, or that nobody could read, is unknown."""
    view = "account_facts" if check.account is not None else "facts"
    compiler = compilers[view]
    if check.tag is not None:
        outcome = _conflict(check.tag) if check.conflict else _tag(check.tag, compiler)
    elif check.account is not None:
        outcome = _account(check.account, compiler)
    else:
        outcome = _rule(check, compiler)
    applies = f"COALESCE({compiler.sql(check.where)}, FALSE)" if check.where else "TRUE"
    where_unread, unread = "FALSE", _unread(False, _blind(check, context))
    if view == "facts":
        where_unread = _unread(check.where is not None and bool(check.where.tags), _blind(check, context, where=True))
        reads_tags = check.tag is not None or (check.assertion is not None and bool(check.assertion.tags))
        unread = _unread(reads_tags, _blind(check, context))
    absent = (source for source, columns in context.missing.items() if check.optional & set(columns))
    nothing = _unread(False, sorted(absent))
    verdict = (
        f"CASE WHEN {nothing} THEN 'not_applicable' WHEN {where_unread} THEN 'unknown'"
        f" WHEN NOT {applies} THEN 'not_applicable' WHEN {unread} THEN 'unknown' {outcome.branches} END"
    )
    unseen = f"{unread} OR {where_unread}"
    message = f"CASE WHEN {unseen} THEN 'could not be judged: it was not read' ELSE {outcome.message} END"
    return Judged(check, view, verdict, outcome.observed, outcome.observed_from, message)


def _blind(check: Check, context: Context, *, where: bool = False) -> list[str]:
    """Name the sources that lack a column which the check (or only its `where`) reads, or values of it."""
    reads = check.reads | check.optional
    if where:
        reads = condition_reads(check.where) if check.where else frozenset()
    blind = {source for source, columns in context.missing.items() if (reads - check.optional) & set(columns)}
    return sorted(blind | {source for source, columns in context.unread.items() if reads & set(columns)})


def _unread(tags: bool, sources: Collection[str]) -> str:
    terms = ["f.tag_id IS NULL"] if tags else []
    if sources:
        terms.append(f"f.source IN ({_list(sources)})")
    return f"({' OR '.join(terms)})" if terms else "FALSE"


def _conflict(tag: TagRequirement) -> _Outcome:
    column = f"f.{identifier(f'conflict.{tag.name}')}"
    message = literal(f"{tag.name}: several spellings ({', '.join(tag.keys)}) with different values")
    value, origin = f"f.{identifier(f'tag.{tag.name}')}", f"f.{identifier(f'from.{tag.name}')}"
    return _Outcome(f"WHEN {column} THEN 'fail' ELSE 'pass'", value, origin, message)


def _tag(tag: TagRequirement, compiler: Compiler) -> _Outcome:
    value, raw = f"f.{identifier(f'tag.{tag.name}')}", f"f.{identifier(f'raw.{tag.name}')}"
    wrong: list[tuple[str, str]] = []  # what fails, and how a sentence about it ends
    if tag.allowed is not None:
        wrong.append((f"{value} NOT IN ({_list(tag.allowed)})", literal(f" is not one of {', '.join(tag.allowed)}")))
    if tag.format is not None:
        wrong.append((_mismatch(value, FORMATS[tag.format]), literal(f" is not a valid {tag.format}")))
    if tag.matches is not None:
        wrong.append((_mismatch(value, tag.matches), literal(f" does not match {tag.matches}")))
    if register := tag.in_register:
        known = f"EXISTS (SELECT 1 FROM {identifier('known_' + register)} k WHERE k.key = {value})"
        closed, unknown = f" is in {register}, but not in force on the day of the charge", f" is not in {register}"
        ending = f"CASE WHEN {known} THEN {literal(closed)} ELSE {literal(unknown)} END"
        wrong.append((f"NOT {compiler.found(register, value)}", ending))
    start, spellings = literal(f"{tag.name}: "), " or ".join(tag.keys)
    fails = " ".join(f"WHEN {condition} THEN 'fail'" for condition, _ in wrong)
    said = " ".join(f"WHEN {condition} THEN {start} || {value} || {ending}" for condition, ending in wrong)
    message = (
        f"CASE WHEN {value} IS NULL AND {raw} IS NOT NULL THEN {start} || {raw} || ' is only a placeholder'"
        f" WHEN {value} IS NULL THEN {literal(f'{tag.name}: no tag {spellings}')} {said} ELSE {literal(tag.name)} END"
    )
    absent = "'fail'" if tag.required else "'not_applicable'"
    branches = f"WHEN {value} IS NULL THEN {absent} {fails} ELSE 'pass'"
    return _Outcome(branches, f"coalesce({value}, {raw})", f"f.{identifier(f'from.{tag.name}')}", message)


def _mismatch(value: str, pattern: str) -> str:
    return f"NOT regexp_full_match({value}, {literal(pattern)})"


def _account(need: AccountRequirement, compiler: Compiler) -> _Outcome:
    if need.check == "registered":
        branches = "WHEN f.known THEN 'pass' ELSE 'fail'"
        return _Outcome(branches, "f.sub_account_name", "'accounts'", "'the account is not in the accounts register'")
    if need.check == "open":
        branches = "WHEN NOT f.known THEN 'not_applicable' WHEN f.registered THEN 'pass' ELSE 'fail'"
        message = "'spend on a day when the accounts register does not have the account in force'"
        return _Outcome(branches, "strftime(f.valid_on, '%Y-%m-%d')", "'accounts'", message)
    column = f"f.{identifier(need.column)}"
    empty = f"nullif(trim({column}), '') IS NULL"
    wrong, said = {
        "present": ("FALSE", ""),
        "format": (_mismatch(column, FORMATS.get(need.argument, "")), f"is not a valid {need.argument}"),
        "matches": (_mismatch(column, need.argument), f"does not match {need.argument}"),
        "in_register": ("", f"is not in {need.argument}"),
    }[need.check]
    wrong = wrong or f"NOT {compiler.found(need.argument, column)}"
    branches = f"WHEN NOT f.registered THEN 'not_applicable' WHEN {empty} OR {wrong} THEN 'fail' ELSE 'pass'"
    message = (
        f"CASE WHEN {empty} THEN {literal(f'{need.column} of the account is empty')}"
        f" ELSE {literal(f'{need.column} of the account: ')} || {column} || {literal(' ' + said)} END"
    )
    return _Outcome(branches, column, "'accounts'", message)


def _rule(check: Check, compiler: Compiler) -> _Outcome:
    assert check.assertion is not None  # noqa: S101 - a check is a tag, an account or an assertion
    assert check.rule is not None  # noqa: S101
    branches = f"WHEN COALESCE({compiler.sql(check.assertion)}, FALSE) THEN 'pass' ELSE 'fail'"
    return _Outcome(branches, NOTHING, NOTHING, _filled(check.rule))


def _filled(rule: Rule) -> str:
    """Write a rule's message with `{column}` filled where the cell has that column."""
    parts = re.split(r"\{(\w+)\}", rule.message or rule.title)
    sql = [literal(part) if n % 2 == 0 else _shown(part) for n, part in enumerate(parts) if part]
    return " || ".join(sql)


def _shown(name: str) -> str:
    """Show a value as people write it: an amount without the zeros of its scale."""
    value = f"f.{identifier(name)}::VARCHAR"
    if name.endswith("_cost"):
        value = f"rtrim(rtrim({value}, '0'), '.')"
    return f"coalesce({value}, 'none')"


def _list(values: Collection[str]) -> str:
    return ", ".join(literal(v) for v in values)
