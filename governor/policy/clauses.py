"""Who pays: the clauses of an allocation policy, and what must hold between them before any money moves by them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import localcontext

from governor.model import AllocationPolicy, Assign, Central, Pool, Problem, Split
from governor.money import EXACT
from governor.policy import parts
from governor.policy.parts import Found
from governor.schema import did_you_mean, place
from governor.strict_yaml import Node, plain, short

_RESERVED = ("commitments", "default")  # what the ledger calls these two where a clause's id would stand
_BARE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def allocation_policy(node: Node, digest: str, found: Found) -> AllocationPolicy:
    """Make the policy of a document whose shape was checked."""
    unused = (node.get("commitments") or node).get("unused") or Node({}, node.position)
    pools = tuple(_pool(pool, found) for pool in parts.items(node, "pools"))
    clauses = (*parts.items(node, "central"), *parts.items(node, "pools"), *parts.items(node, "assign"))
    parts.check_unique(clauses, found)
    _check_reserved(clauses, found)
    _check_pools(node, unused, found)
    base = parts.base(node, digest, found)
    policy = AllocationPolicy(
        **{**base, "title": base["title"] or base["id"]},
        effective_from=parts.day(node, "effective_from"),
        cost=parts.text(node, "cost", "effective"),
        assign=tuple(_assign(entry, found) for entry in parts.items(node, "assign")),
        pools=pools,
        central=tuple(_central(entry) for entry in parts.items(node, "central")),
        unused_pool=parts.text(unused, "pool"),
        unused_cost_center=parts.text(unused, "cost_center"),
        default_cost_center=parts.text(node.get("default") or node, "cost_center"),
    )
    order = parts.texts(node, "order")
    return replace(policy, order=order) if order else policy


def _assign(node: Node, found: Found) -> Assign:
    to = node.entries()["to"]
    text = str(to.value).strip()
    if _BARE_ID.fullmatch(text) and not parts.is_column(text):
        mend = f"""a cost center is written "'{text}'", a tag tag.{text}"""
        found.append(Problem(to.position, "P028", f"{short(text)} is no column of the charges", mend))
    return Assign(parts.text(node, "id"), parts.condition(to), node.position, parts.predicate(node, "where"))


def _central(node: Node) -> Central:
    return Central(
        id=parts.text(node, "id"),
        owner=parts.text(node, "owner"),
        reason=parts.text(node, "reason"),
        approved_by=parts.text(node, "approved_by"),
        expires=parts.day(node, "expires"),
        position=node.position,
        where=parts.condition(node.entries()["where"]),
    )


def _pool(node: Node, found: Found) -> Pool:
    on_zero = parts.text(node, "on_zero", "fail")
    if on_zero == "central" and not node.get("owner"):
        what = f"pool {parts.text(node, 'id')} falls back to central, and nobody owns it"
        found.append(Problem(node.position, "P023", what, "add owner: the cost center that keeps the cost"))
    return Pool(
        id=parts.text(node, "id"),
        split=_split(node.entries()["split"], found),
        position=node.position,
        where=parts.predicate(node, "where"),
        on_zero=on_zero,
        owner=parts.text(node, "owner"),
    )


def _split(node: Node, found: Found) -> Split:
    method = parts.text(node, "method")
    belongs = {"shares": ("fixed",), "targets": ("even", "proportional"), "basis": ("proportional",)}
    for key, methods in belongs.items():
        entry = node.get(key)
        if entry and method not in methods:
            what, mend = f"{key} has no meaning with method {method}", f"it belongs to {' and '.join(methods)}"
            found.append(Problem(place(entry), "P020", what, mend))
    shares = {name: EXACT.create_decimal(plain(share)) for name, share in parts.entries(node, "shares").items()}
    if method == "fixed":
        with localcontext(EXACT):
            total = sum(shares.values())
        entry = node.get("shares")
        if entry is None:
            mend = "add shares: {CC-1: 60, CC-2: 40}"
            found.append(Problem(node.position, "P020", "method fixed needs shares", mend))
        elif total != 100:  # noqa: PLR2004 - per cent
            what = f"the shares add up to {total}, not to 100"
            found.append(Problem(place(entry), "P019", what, "shares are percentages, and add up to 100 exactly"))
    return Split(method, parts.texts(node, "targets"), shares, parts.text(node, "basis", "direct_cost"))


def _check_pools(node: Node, unused: Node, found: Found) -> None:
    """Every pool is fed by something, the pool of unused commitments exists, and no pool pays another."""
    pools = {parts.text(pool, "id"): pool for pool in parts.items(node, "pools")}
    fed = unused.get("pool")
    if fed and fed.value not in pools:
        mend = did_you_mean(str(fed.value), pools) or "add it under pools:"
        found.append(Problem(fed.position, "P021", f"there is no pool {short(fed.value)}", mend))
    for name, pool in pools.items():
        if not pool.get("where") and not (fed and fed.value == name):
            mend = "add where:, or name it under commitments: {unused: {pool: ...}}"
            found.append(Problem(pool.position, "P021", f"nothing feeds pool {name}", mend))
        split = pool.entries()["split"]
        targets = [(str(target.value), target) for target in parts.items(split, "targets")]
        for target, entry in (*targets, *parts.entries(split, "shares").items()):
            if target in pools:
                what = f"pool {name} pays {'itself' if target == name else f'pool {target}'}"
                found.append(Problem(place(entry), "P022", what, "a pool is divided among cost centers"))


def _check_reserved(clauses: Iterable[Node], found: Found) -> None:
    for clause in clauses:
        name = clause.entries()["id"]
        if name.value in _RESERVED:
            what = f"the id {short(name.value)} is taken: reports call a clause of governor's own so"
            found.append(Problem(name.position, "P029", what, "choose another"))
