"""The rows of one part of a bill, as parallel integer columns: usage, commitments, splits, taxes, credits, corrections.

Money is int64 in units of 1e-10, so these hold exactly:
  ListCost = ListUnitPrice x PricingQuantity on every usage row, and the same for ContractedCost;
  per part and commitment that was not prepaid: EffectiveCost of its usage rows = BilledCost of its purchases;
  per part: EffectiveCost = BilledCost + what prepaid commitments of earlier periods gave;
  a split charge's rows add up to the charge they replace, in cost and in quantity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

import numpy as np

from bench import catalogue as c
from bench.world import Floats, Ints, Spec, World, draw, parts_of

MONEY_SCALE = 10**10
CENT = MONEY_SCALE // 100
QUANTITY_SCALE = 10**4
DAY, HOUR = 86_400, 3_600
REFUNDS, CORRECTIONS, COVERED, ORPHAN_CREDITS = 0.0005, 0.001, 0.45, 0.3  # shares of rows
SUPPORT_SHARE = 0.03
SPLIT_WAYS = 4


@dataclass(frozen=True)
class Rows:
    """Charges as columns. -1 in a code means NULL. Times are epoch seconds, quantities 1e-4, prices 1e-6."""

    account: Ints
    payer: Ints
    service: Ints
    sku: Ints
    special: Ints  # index into SPECIAL; -1 for usage of a SKU
    resource: Ints
    tagged: Ints  # 1: the row carries its resource's tags
    quantity: Ints
    list_price: Ints
    contract_price: Ints
    start: Ints
    end: Ints
    category: Ints
    correction: Ints
    frequency: Ints
    pricing: Ints
    commitment: Ints
    status: Ints
    reseller: Ints
    namespace: Ints
    origin_quantity: Ints
    billed: Ints
    effective: Ints
    listed: Ints
    contracted: Ints

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.billed)

    def take(self, index: Ints) -> Rows:
        """Select rows by position."""
        return Rows(*(getattr(self, f.name)[index] for f in fields(self)))


def month_bounds(month: str) -> tuple[int, int]:
    """Give the first second of a month and of the next one."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    after = (first + timedelta(days=32)).replace(day=1)
    return int(first.timestamp()), int(after.timestamp())


def part_rows(world: World, part: int, count: int) -> Rows:
    """Make one part of the bill: part p of n covers the p-th n-th of the month."""
    g = np.random.default_rng([world.spec.seed, 1000 + part, world.spec.days_seed])
    usage = _apply_commitments(world, _usage(world, part, count, g), g)
    if world.spec.split:
        usage = _split_clusters(world, usage, g)
    special = _fees(world, usage, part, g) + _support(world, usage, part) + _taxes_and_credits(world, usage, part, g)
    rows = concat([usage, records(special)])
    return rows.take(np.lexsort((np.arange(len(rows)), rows.start, rows.payer)))


def rounding_rows(world: World, billed_by_payer: list[int]) -> Rows:
    """Close every invoice to the cent, as providers do: one adjustment a billing account."""
    _, end = month_bounds(world.spec.month)
    made = []
    for payer, billed in enumerate(billed_by_payer):
        missing = to_cents(billed) * CENT - billed
        made.append(
            _record(world, payer=payer, special=c.ROUNDING_TEXT, category=c.ADJUSTMENT, billed=missing, listed=0)
            | {"start": end - DAY, "end": end}
        )
    return records(made)


def to_cents(units: int) -> int:
    """Round to cents, half to even."""
    return round(units / CENT) if abs(units) < 2**52 else (units + CENT // 2) // CENT


def concat(many: list[Rows]) -> Rows:
    """Append rows to rows."""
    return Rows(*(np.concatenate([getattr(r, f.name) for r in many]) for f in fields(Rows)))


def records(made: list[dict[str, int]]) -> Rows:
    """Turn single records into columns."""
    return Rows(*(np.array([r[f.name] for r in made], np.int64) for f in fields(Rows)))


def _window(spec: Spec, part: int) -> tuple[int, int]:
    first, after = month_bounds(spec.month)
    days, parts = (after - first) // DAY, parts_of(spec.rows)
    return first + days * part // parts * DAY, first + max(days * (part + 1) // parts, days * part // parts + 1) * DAY


def _usage(world: World, part: int, n: int, g: np.random.Generator) -> Rows:
    """Draw usage rows: a resource, one of its service's SKUs, a quantity. One in 1,000 is a correction."""
    spec, res = world.spec, world.resources
    first, after = _window(spec, part)
    resource = draw(res.cumulative, n, g)
    provider, service, account = res.provider[resource], res.service[resource], res.account[resource]
    payer = world.account_payer[account]
    sku = service * c.PRICE_POINTS + g.integers(0, c.PRICE_POINTS, n)
    hourly = np.array([p.hourly for p in c.PROVIDERS])[provider]
    day = first + np.sort(g.integers(0, (after - first) // DAY, n)) * DAY
    start = day + np.where(hourly, g.integers(0, 24, n), 0) * HOUR
    timed = np.array([s.unit.lower() in {"hours", "hour"} for s in c.SERVICES])[service]
    limit = np.where(timed, np.where(hourly, 1, 24) * QUANTITY_SCALE, 10_000 * QUANTITY_SCALE)
    median = np.array([s.quantity for s in c.SERVICES])[service]
    drawn = np.round(10 ** (g.normal(0, spec.spread, n) + median) * QUANTITY_SCALE).astype(np.int64)
    luck = g.random(n)
    refund, correction = luck < REFUNDS, (luck >= REFUNDS) & (luck < REFUNDS + CORRECTIONS)
    sign = np.where(refund | (correction & (luck * 1e6 % 2 < 1)), -1, 1)
    quantity = np.minimum(np.maximum(drawn, 1), limit) * sign * spec.volume
    price = world.prices[sku]
    contract = np.round(price * (1 - world.payer_column("discount")[payer].astype(float))).astype(np.int64)
    past = np.where(correction, 35 * DAY, 0)
    named = g.random(n) >= np.where(provider == c.AWS, 0.08, 0.01)
    none, zero = np.full(n, -1), np.zeros(n, np.int64)
    return Rows(
        account=account,
        payer=payer,
        service=service,
        sku=sku,
        special=np.where(refund, c.REFUND_TEXT, np.where(correction, c.CORRECTION_TEXT, -1)),
        resource=np.where(named, resource, -1),
        tagged=(named & (g.random(n) < np.where(provider == c.AWS, 0.9, 1.0))).astype(np.int64),
        quantity=quantity,
        list_price=price,
        contract_price=contract,
        start=start - past,
        end=start + np.where(hourly, HOUR, DAY) - past,
        category=zero,
        correction=correction.astype(np.int64),
        frequency=zero,
        pricing=np.where(provider == c.ORACLE, -1, c.STANDARD),
        commitment=none,
        status=none,
        reseller=none,
        namespace=none,
        origin_quantity=zero,
        billed=contract * quantity,
        effective=contract * quantity,
        listed=price * quantity,
        contracted=contract * quantity,
    )


def _apply_commitments(world: World, rows: Rows, g: np.random.Generator) -> Rows:
    """Cover some compute usage by commitments, a resource always by the same: nothing billed, a discounted cost."""
    deals = world.commitments
    able = (rows.resource >= 0) & world.resources.compute[rows.resource] & (rows.billed > 0) & (rows.correction == 0)
    able &= g.random(len(rows)) < COVERED
    new = {name: getattr(rows, name).copy() for name in ("billed", "effective", "commitment", "status", "pricing")}
    for payer in np.unique(deals.payer):
        offered = np.nonzero(deals.payer == payer)[0]
        at = np.nonzero(able & (rows.payer == payer))[0]
        chosen = offered[rows.resource[at] % len(offered)]
        unit = np.round(rows.contract_price[at] * (1 - deals.discount[chosen])).astype(np.int64)
        new["effective"][at] = unit * rows.quantity[at]
        new["billed"][at] = 0
        new["commitment"][at], new["status"][at], new["pricing"][at] = chosen, c.USED, c.COMMITTED
    return _with(rows, new)


def _split_clusters(world: World, rows: Rows, g: np.random.Generator) -> Rows:
    """Replace every charge of a shared cluster's node by the shares of four namespaces (FOCUS 1.3 and later)."""
    node = (rows.resource >= 0) & (world.resources.cluster[rows.resource] >= 0)
    node &= (rows.quantity >= 2 * SPLIT_WAYS) & (rows.correction == 0)
    at = np.nonzero(node)[0]
    if not len(at):
        return rows
    weights = g.dirichlet(np.full(SPLIT_WAYS, 2.0), len(at))
    shares = np.floor(weights * rows.quantity[at][:, None]).astype(np.int64)
    shares[:, -1] += rows.quantity[at] - shares.sum(1)
    first = g.integers(0, len(c.NAMESPACES), len(at))[:, None]
    origin = rows.take(np.repeat(at, SPLIT_WAYS))
    quantity, unit = shares.ravel(), _unit_effective(origin)
    split = _with(
        origin,
        {
            "quantity": quantity,
            "origin_quantity": origin.quantity,
            "namespace": ((first + np.arange(SPLIT_WAYS)) % len(c.NAMESPACES)).ravel(),
            "billed": np.where(origin.commitment >= 0, 0, origin.contract_price * quantity),
            "effective": unit * quantity,
            "listed": origin.list_price * quantity,
            "contracted": origin.contract_price * quantity,
        },
    )
    return concat([rows.take(np.nonzero(~node)[0]), split])


def _unit_effective(rows: Rows) -> Ints:
    """Undo effective = unit x quantity; exact, because that is how it was made."""
    return rows.effective // rows.quantity


def _fees(world: World, usage: Rows, part: int, g: np.random.Generator) -> list[dict[str, int]]:
    """Bill the commitments for the part's days: a purchase unless prepaid, and what nobody used."""
    deals, (start, end) = world.commitments, _window(world.spec, part)
    used = np.zeros(len(deals.ids), np.int64)
    covered = usage.commitment >= 0
    np.add.at(used, usage.commitment[covered], usage.effective[covered])
    made = []
    for k in range(len(deals.ids)):
        share = min(1.0, deals.utilisation[k] + g.uniform(-0.03, 0.1))
        fee = max(math.ceil(int(used[k]) / share / CENT), 1) * CENT
        fee = fee if fee >= used[k] else fee + CENT
        payer = int(deals.payer[k])
        owner = int(np.nonzero(world.account_payer == payer)[0][0])
        at = {"account": owner, "payer": payer, "commitment": k, "start": start, "end": end}
        if not deals.prepaid[k]:
            text = c.PLAN_FEE_TEXT if deals.spend[k] else c.RESERVATION_FEE_TEXT
            bought = _record(world, special=text, category=c.PURCHASE, billed=fee, effective=0, listed=fee, **at)
            made.append(bought | {"frequency": c.RECURRING, "pricing": c.STANDARD, "contracted": fee})
        if fee > used[k]:
            idle = _record(world, special=c.UNUSED_TEXT, billed=0, effective=fee - int(used[k]), listed=0, **at)
            made.append(idle | {"status": c.UNUSED, "pricing": c.COMMITTED, "frequency": c.USAGE_BASED})
    return made


def _support(world: World, usage: Rows, part: int) -> list[dict[str, int]]:
    """Charge a share of what AWS billed as support, to the payer's first account and to no resource."""
    start, end = _window(world.spec, part)
    made = []
    for payer, terms in enumerate(world.spec.payers):
        spent = int(usage.billed[usage.payer == payer].sum())
        if terms.provider == c.AWS and spent > 0:
            fee = int(spent * SUPPORT_SHARE) // CENT * CENT
            owner = int(np.nonzero(world.account_payer == payer)[0][0])
            at = {"account": owner, "payer": payer, "service": c.SUPPORT, "start": start, "end": end}
            made.append(_record(world, special=c.SUPPORT_TEXT, billed=fee, frequency=c.RECURRING, **at))
    return made


def _taxes_and_credits(world: World, usage: Rows, part: int, g: np.random.Generator) -> list[dict[str, int]]:
    """Tax the accounts that spend most, and give credits (some to no account) and marketplace subscriptions."""
    start, end = _window(world.spec, part)
    spent = np.zeros(len(world.accounts), np.int64)
    np.add.at(spent, usage.account, np.maximum(0, usage.billed))
    top = np.argsort(-spent, kind="stable")[: max(3, int(len(spent) * 0.15))]
    at = {"start": start, "end": start + DAY}
    made = []
    for i in map(int, top):
        payer = int(world.account_payer[i])
        tax = round(int(spent[i]) * world.spec.payers[payer].tax / CENT) * CENT
        if tax:
            made.append(_record(world, account=i, payer=payer, special=c.TAX_TEXT, category=c.TAX, billed=tax, **at))
    for _ in range(max(1, int(len(usage) * 0.002))):
        i = int(top[g.integers(0, len(top))])
        amount = -int(10 ** g.normal(9.6, world.spec.spread)) * world.spec.volume
        whose = -1 if g.random() < ORPHAN_CREDITS else i
        payer = int(world.account_payer[i])
        made.append(
            _record(world, account=whose, payer=payer, special=c.CREDIT_TEXT, category=c.CREDIT, billed=amount, **at)
        )
    for _ in range(max(1, int(len(usage) * 0.0003))):
        i = int(top[g.integers(0, len(top))])
        payer, price = int(world.account_payer[i]), int(g.integers(10, 9000)) * CENT * 10
        bought = _record(
            world, account=i, payer=payer, special=c.MARKETPLACE_TEXT, category=c.PURCHASE, billed=price, **at
        )
        monthly = {"end": end, "frequency": c.RECURRING, "pricing": c.OTHER}
        made.append(bought | monthly | {"reseller": int(g.integers(0, len(c.RESELLERS)))})
    return made


def _record(
    world: World, payer: int, special: int, billed: int, effective: int | None = None, **others: int
) -> dict[str, int]:
    """Fill a charge that is no usage: NULL wherever nothing is said, no price, no quantity."""
    base = {f.name: 0 for f in fields(Rows)} | dict.fromkeys(
        ("account", "sku", "resource", "pricing", "commitment", "status", "reseller", "namespace"), -1
    )
    base |= {"service": c.first_service(world.spec.payers[payer].provider), "frequency": c.ONE_TIME}
    money = {
        "billed": billed,
        "effective": billed if effective is None else effective,
        "listed": billed,
        "contracted": billed,
    }
    return base | money | {"payer": payer, "special": special} | others


def _with(rows: Rows, new: dict[str, Ints]) -> Rows:
    return Rows(*(new.get(f.name, getattr(rows, f.name)) for f in fields(Rows)))


def ratios(rows: Rows) -> Floats:
    """Give each split row its share of the charge it came from."""
    return rows.quantity / np.maximum(1, rows.origin_quantity)
