"""Everything of a generated bill that doesn't depend on the day: accounts, prices, resources with tags, commitments."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.catalogue import (
    AWS,
    BUSINESS_UNITS,
    MICROSOFT,
    PAYERS,
    PRICE_POINTS,
    PROVIDERS,
    SERVICES,
    Payer,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PRICE_SCALE = 10**6  # unit prices carry six decimals
SHARED_RANK = 2  # every payer's third account is the platform's
NODES, PLANS, GOOD_OWNERS, PREPAID_EVERY = 0.8, 0.6, 0.9, 9
COMMITMENTS = 56  # of all payers; small bills have 16

# What may be wrong with the tag that names the cost center. Only the first three are right once spellings are folded.
TAG_STATES = ("valid", "spelled", "sloppy", "conflict", "placeholder", "unregistered", "foreign_key", "missing")
VALID, SPELLED, SLOPPY, CONFLICT, PLACEHOLDER, UNREGISTERED, FOREIGN_KEY, MISSING = range(len(TAG_STATES))
PLACEHOLDERS = ("TBD", "n/a", "unknown", "none", "")
KEY, OTHER_KEYS, FOREIGN_KEY_NAME = "cost-center", ("CostCenter", "cost_center"), "kostenstelle"


class App(NamedTuple):
    """An application and the cost center that runs it."""

    name: str
    cost_center: str


class Account(NamedTuple):
    """A sub account as the bill names it. `cost_center` empty: a shared account, where any application runs."""

    id: str
    name: str
    payer: int
    cost_center: str
    weight: float
    quality: float  # share of its resources that somebody tagged at all


@dataclass(frozen=True)
class Spec:
    """What to generate. The same values give the same rows, however many processes write them.

    `volume` multiplies every quantity, so that a small bill shows amounts that somebody would care about. `dirty` is
    the share of rows whose tags can't be read. `accounts` and `apps` empty: invented, as many as `account_count`.
    """

    rows: int = 1_000_000
    seed: int = 1
    version: str = "1.2"
    tags: str = "json"  # json | map | structlist
    money: str = "decimal"  # decimal | double
    month: str = "2026-09"
    account_count: int = 300
    dirty: float = 0.0
    volume: int = 1
    spread: float = 0.95  # standard deviation of log10(quantity)
    resource_count: int = 0  # 0: one for 300 rows
    days_seed: int = 0  # another month of the same world
    extras: bool = True  # provider columns, `x_...`
    payers: tuple[Payer, ...] = PAYERS
    accounts: tuple[Account, ...] = ()
    apps: tuple[App, ...] = ()
    cost_centers: tuple[str, ...] = field(default=tuple(f"CC-{1000 + 10 * i}" for i in range(120)))

    @property
    def split(self) -> bool:
        """Whether shared clusters arrive as split rows: FOCUS knows them since 1.3."""
        return self.version in {"1.3", "1.4"}


@dataclass(frozen=True)
class Resources:
    """Parallel columns, one entry a resource; `tag_state` says what its cost center tag is worth."""

    account: Ints
    provider: Ints
    service: Ints
    region: Ints  # index into `region_names`
    compute: Flags
    cluster: Ints  # the account of the Kubernetes cluster it is a node of, else -1
    cumulative: Floats  # probability of being billed, cumulated
    tag_state: Ints
    tags: tuple[dict[str, str], ...]
    tag_texts: tuple[str, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Commitments:
    """Parallel columns, one entry a commitment; a prepaid one was bought in an earlier period."""

    ids: tuple[str, ...]
    payer: Ints
    spend: Flags  # a savings plan; else a reservation
    discount: Floats
    utilisation: Floats
    prepaid: Flags


@dataclass(frozen=True)
class World:
    """The tables that rows point into."""

    spec: Spec
    accounts: tuple[Account, ...]
    account_payer: Ints
    prices: Ints
    resources: Resources
    commitments: Commitments

    def payer_column(self, name: str) -> NDArray[np.generic]:
        """Read one field of every payer as an array, to be indexed by payer."""
        return np.array([getattr(p, name) for p in self.spec.payers])


def region_names() -> tuple[str, ...]:
    """List every provider's regions, in the order that `Resources.region` counts in."""
    return tuple(region for provider in PROVIDERS for region in provider.regions)


def parts_of(rows: int) -> int:
    """Say how many files hold that many rows."""
    return max(1, round(rows / 350_000))


def build_world(spec: Spec) -> World:
    """Draw the world of a seed. One generator, drawn from in a fixed order: the order is part of the result."""
    g = np.random.default_rng([spec.seed, 7])
    apps = spec.apps or _invent_apps(spec)
    accounts = spec.accounts or _invent_accounts(spec, g)
    payer = np.array([a.payer for a in accounts], np.int64)
    return World(spec, accounts, payer, _prices(g), _resources(spec, accounts, apps, g), _commitments(spec, g))


def draw(cumulative: Floats, n: int, g: np.random.Generator) -> Ints:
    """Draw n indexes by cumulated weights."""
    return np.searchsorted(cumulative / cumulative[-1], g.random(n)).clip(0, len(cumulative) - 1).astype(np.int64)


def _invent_apps(spec: Spec) -> tuple[App, ...]:
    return tuple(App(f"app-{i:04d}", spec.cost_centers[i % len(spec.cost_centers)]) for i in range(250))


def _invent_accounts(spec: Spec, g: np.random.Generator) -> tuple[Account, ...]:
    """Spread accounts over the payers; within each, a few dominate, and the third is the shared platform's."""
    accounts: list[Account] = []
    for payer, terms in enumerate(spec.payers):
        count = max(1, round(terms.weight * spec.account_count))
        weights = 1 / (np.arange(count) + 1.0) ** 1.25
        for rank, weight in enumerate(weights / weights.sum() * terms.weight):
            i, shared = len(accounts), rank == SHARED_RANK
            center = "" if shared else spec.cost_centers[i * 7 % len(spec.cost_centers)]
            name = f"platform-shared-{i:03d}" if shared else f"team-{i:03d}"
            accounts.append(
                Account(_account_id(terms.provider, i), name, payer, center, float(weight), float(g.beta(4.0, 1.8)))
            )
    return tuple(accounts)


def _account_id(provider: int, i: int) -> str:
    return (
        f"{100000000019 + i * 7919:012d}",
        f"{i * 2654435761 % 2**32:08x}-997c-491d-b0c1-8414dccfcf42",
        f"proj-{BUSINESS_UNITS[i % len(BUSINESS_UNITS)].lower()}-{i:04d}",
        f"ocid1.compartment.oc1..{i:06d}",
        f"SPA{i:05d}",
    )[provider]


def _prices(g: np.random.Generator) -> Ints:
    """Draw the unit price of every SKU, in millionths."""
    prices = np.zeros((len(SERVICES), PRICE_POINTS), np.int64)
    for i, service in enumerate(SERVICES):
        price = 10 ** g.normal(service.price, 0.45, PRICE_POINTS)
        price[g.random(PRICE_POINTS) < service.free] = 0
        prices[i] = np.round(price * PRICE_SCALE)
    return prices.ravel()


def _resources(spec: Spec, accounts: tuple[Account, ...], apps: tuple[App, ...], g: np.random.Generator) -> Resources:
    count = spec.resource_count or max(1200, spec.rows // 300)
    account = draw(np.cumsum([a.weight for a in accounts]), count, g)
    provider = np.array([spec.payers[a.payer].provider for a in accounts])[account]
    service = _services_of(provider, g)
    shared = np.array([not a.cost_center for a in accounts])[account]
    compute = np.array([s.category == "Compute" for s in SERVICES])[service]
    cluster = np.where(compute & shared & (g.random(count) < NODES), account, -1)
    regions = np.array([len(p.regions) for p in PROVIDERS])
    first = np.concatenate([[0], np.cumsum(regions)[:-1]])
    region = first[provider] + (g.random(count) * regions[provider]).astype(np.int64)
    popularity = 1 / (1 + np.arange(count)[g.permutation(count)]) ** 0.55
    state, tags = _tag_sets(spec, [accounts[i] for i in account], apps, g)
    clustered = [t | {"cluster": f"k8s-{c:02d}"} if t and c >= 0 else t for t, c in zip(tags, cluster, strict=True)]
    return Resources(
        account=account,
        provider=provider,
        service=service,
        region=region,
        compute=compute,
        cluster=cluster,
        cumulative=np.cumsum(popularity),
        tag_state=state,
        tags=tuple(clustered),
        tag_texts=tuple(json.dumps(t, ensure_ascii=False) for t in clustered),
        ids=tuple(_resource_id(p, accounts[a].id, i) for i, (p, a) in enumerate(zip(provider, account, strict=True))),
        names=tuple(f"{SERVICES[s].resource_type or 'res'}-{i:05d}" for i, s in enumerate(service)),
    )


def _services_of(provider: Ints, g: np.random.Generator) -> Ints:
    service = np.zeros(len(provider), np.int64)
    for p in range(len(PROVIDERS)):
        mine = np.nonzero(provider == p)[0]
        offered = np.array([i for i, s in enumerate(SERVICES) if s.provider == p])
        service[mine] = offered[draw(np.cumsum([SERVICES[i].weight for i in offered]), len(mine), g)]
    return service


def _resource_id(provider: int, account: str, i: int) -> str:
    return (
        f"arn:aws:::{account}:i-{i * 2654435761 % 2**40:017x}",
        f"/subscriptions/{account}/resourcegroups/rg-{i % 97:02d}/providers/microsoft.compute/r{i:08d}",
        f"//compute.googleapis.com/projects/{account}/instances/{i * 2654435761 + 977}",
        f"ocid1.instance.oc1..{i:024x}",
        f"wh_{i:05d}",
    )[provider]


def _tag_sets(
    spec: Spec, accounts: list[Account], apps: tuple[App, ...], g: np.random.Generator
) -> tuple[Ints, list[dict[str, str]]]:
    """Tag every resource, with the faults of the real world: spellings, blanks, placeholders, strangers."""
    by_center: dict[str, list[App]] = {}
    for app in apps:
        by_center.setdefault(app.cost_center, []).append(app)
    draws = g.random((len(accounts), 8))
    states, sets = np.full(len(accounts), MISSING), []
    for i, (account, u) in enumerate(zip(accounts, draws, strict=True)):
        mine = by_center.get(account.cost_center) or apps
        app = mine[int(u[0] * len(mine))]
        tags: dict[str, str] = {}
        if u[1] < account.quality:
            states[i], pairs = _center_tags(spec, account.cost_center or app.cost_center, u[2], int(u[3] * 997))
            tags |= pairs
        if u[4] < 0.9 * account.quality + 0.1:
            tags["app"] = app.name
        if u[5] < 0.8 * account.quality:
            tags["owner" if u[3] < GOOD_OWNERS else "Owner"] = (
                f"{app.name}@acme.example" if u[6] < GOOD_OWNERS else "someone"
            )
        if u[7] < 0.85 * account.quality:
            tags["env"] = ("prod", "dev", "stage", "Prod", "production")[int(u[6] * 5)]
        sets.append(tags)
    return states, sets


def _center_tags(spec: Spec, center: str, u: float, pick: int) -> tuple[int, dict[str, str]]:
    """Write the cost center as people write it: u chooses the state, `pick` what within it."""
    other = spec.cost_centers[pick % len(spec.cost_centers)]
    cases: tuple[tuple[float, int, dict[str, str]], ...] = (
        (0.80, VALID, {KEY: center}),
        (0.87, SPELLED, {OTHER_KEYS[pick % 2]: center}),
        (0.91, SLOPPY, {KEY: center.lower() + " "}),
        (0.93, CONFLICT, {KEY: center, OTHER_KEYS[pick % 2]: other}),
        (0.96, PLACEHOLDER, {KEY: PLACEHOLDERS[pick % len(PLACEHOLDERS)]}),
        (0.98, UNREGISTERED, {KEY: f"CC-{8000 + pick % 7}"}),
        (1.00, FOREIGN_KEY, {FOREIGN_KEY_NAME: center}),
    )
    state, tags = next((state, tags) for limit, state, tags in cases if u < limit)
    return (VALID if state == CONFLICT and other == center else state), tags


def _commitments(spec: Spec, g: np.random.Generator) -> Commitments:
    count = COMMITMENTS if parts_of(spec.rows) > 1 else 16
    able = [i for i, p in enumerate(spec.payers) if PROVIDERS[p.provider].hourly or p.provider == MICROSOFT]
    payer = np.array([able[i % len(able)] for i in range(count)]) if able else np.zeros(0, np.int64)
    ids = tuple(
        f"arn:aws:savingsplans::{spec.payers[p].id}:savingsplan/{i * 40503:08x}"
        if spec.payers[p].provider == AWS
        else f"/commitments/{spec.payers[p].id}/{i * 40503:08x}"
        for i, p in enumerate(payer)
    )
    n = len(ids)
    return Commitments(
        ids,
        payer,
        g.random(n) < PLANS,
        g.uniform(0.15, 0.45, n),
        g.uniform(0.72, 1.0, n),
        np.arange(1, n + 1) % PREPAID_EVERY == 0,
    )
