"""From a document that fits the schema to a policy: one function a kind, and what a schema can't say about it.

Every function appends what is wrong to `found` and goes on, so that all problems of a file are reported at once; a
policy made from a document with problems is never used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from governor.model import (
    AccountPolicy,
    AccountRequirement,
    Policy,
    PolicyTest,
    Position,
    Problem,
    Rule,
    RulePolicy,
    Severity,
    TagPolicy,
    TagRequirement,
    Waiver,
)
from governor.policy import parts
from governor.policy.clauses import allocation_policy
from governor.policy.parts import Found
from governor.schema import did_you_mean, place
from governor.strict_yaml import MAX_PROBLEMS, Node, plain, short
from governor.tables import CHARGES, snake

_FIELD = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)\}")
# What a finding's charges have in common, and the sums of their costs.
_SUMS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
_SPOKEN = ("source", *_SUMS, *(c.name for c in CHARGES if c.cell))
_CHECKS = ("present", "format", "matches", "in_register")


def build(kind: str, node: Node, digest: str, found: Found) -> Policy:
    """Make the policy of a document whose shape was checked. Appends to `found` what is wrong with its content."""
    match kind:
        case "TagPolicy":
            return _tag_policy(node, digest, found)
        case "AccountPolicy":
            return _account_policy(node, digest, found)
        case "RulePolicy":
            return _rule_policy(node, digest, found)
        case "AllocationPolicy":
            return allocation_policy(node, digest, found)
        case _:
            return _waiver(node, digest, found)


def _tag_policy(node: Node, digest: str, found: Found) -> TagPolicy:
    scope = node.get("applies_to") or node
    parts.check_verdicts(node, "- {tags: null, expect: unknown}", found)
    return TagPolicy(
        **parts.base(node, digest, found),
        **parts.judgement(node),
        tables=parts.texts(scope, "tables") or ("charges",),
        where=parts.predicate(scope, "where"),
        tags=tuple(_tag(name, entry, found) for name, entry in parts.entries(node, "tags").items()),
    )


def _tag(name: str, node: Node, found: Found) -> TagRequirement:
    allowed = node.get("allowed")
    spellings: dict[str, tuple[str, ...]] | None = None
    if allowed:
        entries = allowed.entries() or {str(item.value): item for item in allowed.items()}
        spellings = {value: tuple(str(s.value) for s in entry.items()) for value, entry in entries.items()}
        _check_spellings(spellings, place(allowed), found)
    inherit = [
        (level, str(column.value)) for item in parts.items(node, "inherit") for level, column in _level(item, name)
    ]
    placeholders = node.get("placeholders")
    return TagRequirement(
        name=name,
        keys=parts.texts(node, "keys") or (name,),
        position=place(node),
        required=node.get("required") is None or plain(node)["required"],
        normalize=parts.texts(node, "normalize"),
        inherit=tuple(inherit),
        in_register=parts.text(node, "in_register") or None,
        format=parts.text(node, "format") or None,
        matches=parts.pattern(node, found),
        allowed=spellings,
        placeholders=parts.PLACEHOLDERS if placeholders is None else tuple(plain(placeholders)),
    )


def _level(item: Node, tag: str) -> Iterator[tuple[str, Node]]:
    """Read one level of `inherit`: a name, or a map that names the register's column."""
    if isinstance(item.value, str):
        yield item.value, Node(tag, item.position)
    else:
        yield from item.entries().items()


def _check_spellings(spellings: Mapping[str, tuple[str, ...]], at: Position, found: Found) -> None:
    """Refuse a spelling of two values, in any case: which one is meant would depend on their order."""
    seen: dict[str, str] = {}
    for value, others in spellings.items():
        for spelling in dict.fromkeys((value, *others)):
            first = seen.setdefault(spelling.lower(), value)
            if first != value:
                what = f"{short(spelling)} is a spelling of both {short(first)} and {short(value)}"
                found.append(Problem(at, "P026", what, "keep it under one of them"))


def _account_policy(node: Node, digest: str, found: Found) -> AccountPolicy:
    parts.check_verdicts(node, "- {unread: [accounts], expect: unknown}", found)
    require = parts.entries(node, "require").items()
    return AccountPolicy(
        **parts.base(node, digest, found),
        **parts.judgement(node),
        where=parts.predicate(node, "where"),
        require=tuple(_account_requirement(name, entry, found) for name, entry in require),
    )


def _account_requirement(name: str, node: Node, found: Found) -> AccountRequirement:
    if node.value is True:  # registered, open
        return AccountRequirement(name, name, place(node))
    checks = [c for c in _CHECKS if node.get(c)]
    if len(checks) != 1:
        what = f"{name} names {' and '.join(checks) or 'nothing that the column must be'}"
        mend = f"name exactly one of {', '.join(_CHECKS)}; another check is a requirement of its own"
        found.append(Problem(place(node), "P025", what, mend))
        return AccountRequirement(name, "present", place(node), parts.text(node, "column"))
    argument = "" if checks == ["present"] else parts.text(node, checks[0])
    parts.pattern(node, found)
    return AccountRequirement(name, checks[0], place(node), parts.text(node, "column"), argument)


def _rule_policy(node: Node, digest: str, found: Found) -> RulePolicy:
    rules = tuple(_rule(rule, found) for rule in parts.items(node, "rules"))
    parts.check_unique(parts.items(node, "rules"), found)
    base = parts.base(node, digest, found, unread_columns=True)
    own = [
        PolicyTest({"rule": rule.id, **test.given}, test.expect, test.position)
        for rule, entry in zip(rules, parts.items(node, "rules"), strict=True)
        for test in parts.inline_tests(entry, found, unread_columns=True)
    ]
    base["tests"] = (*base["tests"], *own)
    _check_rule_tests(node, rules, base["tests"], found)
    return RulePolicy(**base, **parts.judgement(node), table=parts.text(node, "table", "charges"), rules=rules)


def _rule(node: Node, found: Found) -> Rule:
    severity = parts.text(node, "severity")
    message = node.get("message")
    for column in parts.items(node, "if_delivered"):
        parts.check_column(str(column.value), column.position, found)
    return Rule(
        id=parts.text(node, "id"),
        title=parts.text(node, "title"),
        position=node.position,
        assertion=parts.condition(node.entries()["assert"]),
        where=parts.predicate(node, "where"),
        severity=Severity(severity) if severity else None,
        message=_message(message, found) if message else "",
        remedy=parts.text(node, "remedy"),
        why=parts.text(node, "why"),
        if_delivered=tuple(snake(name) for name in parts.texts(node, "if_delivered")),
    )


def _message(node: Node, found: Found) -> str:
    """Allow {column} and nothing else: no attribute, no index, no format, no doubled brace."""
    text = str(node.value)
    if re.search(r"[{}]", _FIELD.sub("", text)):
        what = f"{short(text)} holds a brace that is no {{column}}"
        found.append(Problem(node.position, "P017", what, "only {column} is replaced: a name, nothing else"))
    for name in _FIELD.findall(text):
        parts.check_column(name, node.position, found)
        if parts.is_column(name) and snake(name) not in _SPOKEN:
            what = f"a message can't name {name}: one finding stands for many charges, which differ in it"
            found.append(Problem(node.position, "P017", what, "name what they share, such as {service_name}"))
    return _FIELD.sub(lambda match: f"{{{snake(match[1])}}}", text)


def _check_rule_tests(node: Node, rules: Iterable[Rule], tests: Iterable[PolicyTest], found: Found) -> None:
    """Demand a pass and a fail for every rule, and an unknown somewhere."""
    expected: dict[str, set[str]] = {rule.id: set() for rule in rules}
    for test in tests:
        name = str(test.given["rule"])
        if name not in expected and len(found) < MAX_PROBLEMS:
            mend = did_you_mean(name, expected) or f"its rules are {', '.join(expected)}"
            found.append(Problem(test.position, "P015", f"the policy has no rule {short(name)}", mend))
        expected.setdefault(name, set()).add(test.expect)
    for rule in rules:
        missing = [verdict for verdict in ("pass", "fail") if verdict not in expected[rule.id]]
        if missing:
            what = f"no inline test of rule {rule.id} expects {' or '.join(missing)}"
            found.append(Problem(rule.position, "P014", what, f"add one under tests: {{rule: {rule.id}, ...}}"))
    if not any("unknown" in verdicts for verdicts in expected.values()):
        mend = "add one under tests:, such as - {rule: ..., unread: [resource_id], expect: unknown}"
        found.append(Problem(node.position, "P014", "no inline test expects unknown", mend))


def _waiver(node: Node, digest: str, found: Found) -> Waiver:
    starts, expires = parts.day(node, "starts"), parts.day(node, "expires")
    if expires < starts:
        at = place(node.entries()["expires"])
        found.append(Problem(at, "P024", f"the waiver expires on {expires}, before it starts on {starts}", "swap them"))
    return Waiver(
        id=parts.text(node, "id"),
        requirements=parts.texts(node, "requirements"),
        reason=parts.text(node, "reason"),
        approved_by=parts.text(node, "approved_by"),
        ticket=parts.text(node, "ticket"),
        expires=expires,
        position=node.position,
        digest=digest,
        starts=starts,
        where=parts.predicate(node, "where"),
    )
