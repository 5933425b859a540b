"""Divide pools among cost centers: exact, by largest remainder, in one small core that no engine has a part in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from governor.model import Pool, Problem, Refused
from governor.money import EXACT, ZeroWeights, split, text, total


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Where money must be conserved: no share ever leaves its source, period or currency."""

    source: str
    billing_period: str
    currency: str


@dataclass(frozen=True, slots=True)
class PoolAmount:
    """What a pool collected in one scope, from charges of one status (S shared, K commitments)."""

    scope: Scope
    pool: str
    status: str
    policy: str
    amount: Decimal
    rows: int


@dataclass(frozen=True, slots=True)
class Share:
    """One target's part of a pool, with the weights that made it. `fallback` marks a pool that fell to its owner."""

    pool: PoolAmount
    method: str
    cost_center: str
    amount: Decimal
    weight: Decimal
    weight_total: Decimal
    fallback: bool = False


def divide(
    amounts: Sequence[PoolAmount],
    pools: Mapping[tuple[str, str], Pool],
    direct: Mapping[tuple[str, str], Mapping[str, Decimal]],
    in_force: Mapping[str, frozenset[str]] | None,
) -> list[Share]:
    """Split every pool amount into shares that add up to it exactly.

    `pools` by (policy, pool id); `direct` is the net direct cost by (billing period, currency), then cost center: the
    basis of proportional splits and the default targets. `in_force` names the cost centers in force in each billing
    period, None without a register. Raises Refused for a target that isn't, and where nobody can be charged and
    `on_zero` is fail: money that can't be placed is never lost.
    """
    shares: list[Share] = []
    problems: list[Problem] = []
    for amount in sorted(amounts, key=lambda a: (a.scope, a.pool, a.status)):
        pool = pools[amount.policy, amount.pool]
        basis = direct.get((amount.scope.billing_period, amount.scope.currency), {})
        try:
            shares += _shares(amount, pool, basis, in_force)
        except Refused as refused:
            problems.extend(refused.problems)
    if problems:
        raise Refused(*dict.fromkeys(problems))
    return shares


def _shares(
    amount: PoolAmount, pool: Pool, direct: Mapping[str, Decimal], in_force: Mapping[str, frozenset[str]] | None
) -> list[Share]:
    active = None if in_force is None else in_force.get(amount.scope.billing_period, frozenset())
    if active is not None:  # who is charged by default must be open; who is named and closed is a mistake to be told
        direct = {center: cost for center, cost in direct.items() if center in active}
    weights = _weights(pool, direct)
    money = f"{text(amount.amount)} {amount.scope.currency} of {amount.scope.billing_period}"
    if active is not None and (closed := sorted(center for center in weights if center not in active)):
        what = f"pool {pool.id} charges {', '.join(closed)}, not in force in that period; {money} can't be placed"
        raise Refused(Problem(pool.position, "P311", what, "name cost centers that the register has in force"))
    method = pool.split.method
    try:
        return _split(amount, method, weights)
    except ZeroWeights:
        if pool.on_zero == "central":
            return [Share(amount, "central", pool.owner, amount.amount, Decimal(1), Decimal(1), fallback=True)]
        if pool.on_zero == "even" and (targets := pool.split.targets or tuple(sorted(direct))):
            return _split(amount, "even", dict.fromkeys(targets, Decimal(1)))
        what = f"pool {pool.id} has nobody to charge: no positive {pool.split.basis}; {money} can't be placed"
        mend = "name targets, or say on_zero: central with an owner"
        raise Refused(Problem(pool.position, "P312", what, mend)) from None


def _split(amount: PoolAmount, method: str, weights: Mapping[str, Decimal]) -> list[Share]:
    parts = split(amount.amount, weights)
    weight_total = total(w for w in weights.values() if w > 0)
    return [
        Share(amount, method, center, part, weights[center], weight_total)
        for center, part in parts.items()
        if weights[center] > 0
    ]


def _weights(pool: Pool, direct: Mapping[str, Decimal]) -> dict[str, Decimal]:
    split_ = pool.split
    if split_.method == "fixed":
        return dict(split_.shares)
    targets = split_.targets or tuple(sorted(center for center, cost in direct.items() if cost > 0))
    if split_.method == "even":
        return dict.fromkeys(targets, Decimal(1))
    return {center: EXACT.plus(max(direct.get(center, Decimal(0)), Decimal(0))) for center in targets}
