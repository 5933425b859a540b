"""Tie each invoice to the charges that carry its id, and say what stands between them.

The unit is the invoice: issuer, id and currency. Its residual is invoiced less billed, and the reasons add up to it
exactly. Tax and credits are compared where the invoice states them. The others are candidates, taken one after the
other: sums of charges that one side has and the other may not. A candidate counts in full, and only while it is no more
than what is left; what is left in the end is rounding where rounding can make it, else unexplained.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from governor import money
from governor.config import TieOut
from governor.money import EXACT
from governor.sources.invoices import Invoice, Invoices, plain

REASONS = ("tax", "credits", "marketplace", "not_yet_invoiced", "rounding", "unexplained")
ZERO = Decimal(0)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A sum of charges that agree in all that an invoice can tell apart."""

    source: str
    issuer: str | None
    invoice_id: str | None
    account: str | None
    currency: str
    period: str
    category: str
    seller: str | None
    rows: int
    billed: Decimal


@dataclass(frozen=True, slots=True)
class Sight:
    """What could not be seen, and why, by source and billing period; period '' may be any."""

    hidden: Mapping[tuple[str, str], str]

    def blind(self, sources: Iterable[str], periods: Iterable[str]) -> str | None:
        """Say what keeps a sum from being the whole truth. No source may be any of them, and so may no period."""
        sources, periods = set(sources), set(periods)
        found = {
            why
            for (source, period), why in self.hidden.items()
            if (not sources or source in sources) and (not periods or not period or period in periods)
        }
        return "; ".join(sorted(found)) or None


@dataclass(frozen=True, slots=True)
class Group:
    """The charges of one source with one issuer and invoice id; or without an id, of one account and period."""

    key: tuple[str | None, ...]
    parts: tuple[Part, ...]

    @property
    def source(self) -> str:
        """The billing source."""
        return self.parts[0].source

    @property
    def invoice_id(self) -> str | None:
        """The invoice id that they carry."""
        return self.parts[0].invoice_id

    @property
    def issuer(self) -> str:
        """The issuer, reduced to what spelling can't change; empty where it isn't named."""
        return plain(self.parts[0].issuer)

    @property
    def billed(self) -> Decimal:
        """The billed cost, exactly."""
        return money.total(part.billed for part in self.parts)


def tie_out(parts: Sequence[Part], invoices: Invoices, terms: Mapping[str, TieOut], sight: Sight) -> Iterator[Row]:
    """Yield the rows of the table `tie_out`: every invoice that counts, then all charges that no invoice covers."""
    groups, free = _groups(parts)
    counting = [one for one in invoices.invoices if one.status != "Voided"]
    stated: dict[str, list[Invoice]] = defaultdict(list)
    for one in invoices.invoices:
        stated[one.id].append(one)
    carrying: dict[str | None, list[Group]] = defaultdict(list)
    for group in groups:
        carrying[group.invoice_id].append(group)
    matched = [
        _matching(one, carrying[one.id], [other for other in stated[one.id] if other.status != "Voided"])
        for one in counting
    ]
    claims = _claims(counting, matched, free)
    claimants = Counter(group.key for claimed in claims for group in claimed)
    for one, found, claimed in zip(counting, matched, claims, strict=True):
        near = [group for group in carrying[one.id] if group not in found]
        sole = [group for group in claimed if claimants[group.key] == 1]
        yield _invoice_row(one, found, near, sole, terms, sight)
    covered = {group.key for found in matched for group in found}
    for group in (*groups, *free):
        if group.key not in covered:
            yield _charges_row(group, invoices.covers(group.source), stated[group.invoice_id or ""])


def _groups(parts: Sequence[Part]) -> tuple[list[Group], list[Group]]:
    """Group the charges by invoice, and those without an invoice id by account and period."""
    found: dict[tuple[str | None, ...], list[Part]] = defaultdict(list)
    for part in parts:
        whose = (part.invoice_id, "", "") if part.invoice_id else (None, part.account, part.period)
        found[part.source, plain(part.issuer), part.currency, *whose].append(part)
    groups = [Group(key, tuple(members)) for key, members in found.items()]
    return [group for group in groups if group.invoice_id], [group for group in groups if not group.invoice_id]


def _matching(invoice: Invoice, groups: Sequence[Group], invoices: Sequence[Invoice]) -> list[Group]:
    """Find, among the charges with an invoice's id, its own: by issuer, or without where nothing else can be meant.

    `invoices` are all that have this id.
    """
    candidates = [
        group
        for group in groups
        if group.parts[0].currency == invoice.currency and invoice.source in ("", group.source)
    ]
    issuer = plain(invoice.issuer)
    exact = [group for group in candidates if issuer and group.issuer == issuer]
    loose = [group for group in candidates if not issuer or not group.issuer]
    rivals = [
        other
        for other in invoices
        if other is not invoice
        and other.currency == invoice.currency
        and (not other.source or not invoice.source or other.source == invoice.source)
    ]
    kinds = {(group.source, group.issuer) for group in loose}
    sources = {group.source for group in exact} | {group.source for group in loose}
    if rivals or len(kinds) != 1 or len(sources) > 1:
        return exact
    return exact + loose


def _claims(
    invoices: Sequence[Invoice], matched: Sequence[Sequence[Group]], free: Sequence[Group]
) -> list[list[Group]]:
    """Find for each invoice the charges without an id that are of its account, period, currency and issuer."""
    of_account: dict[str | None, list[Group]] = defaultdict(list)
    for group in free:
        of_account[group.parts[0].account].append(group)
    claims = []
    for one, found in zip(invoices, matched, strict=True):
        parts = [part for group in found for part in group.parts]
        sources = {part.source for part in parts} or {one.source}
        accounts = set(one.accounts) or {part.account for part in parts if part.account}
        periods = set(one.periods) or {part.period for part in parts}
        issuer = plain(one.issuer)
        claims.append(
            [
                group
                for account in sorted(accounts)
                for group in of_account[account]
                if (group.source in sources or sources == {""})
                and group.parts[0].currency == one.currency
                and group.parts[0].period in periods
                and (not issuer or group.issuer in ("", issuer))
            ]
        )
    return claims


def _invoice_row(
    one: Invoice,
    groups: Sequence[Group],
    near: Sequence[Group],
    claimed: Sequence[Group],
    terms: Mapping[str, TieOut],
    sight: Sight,
) -> Row:
    parts = [part for group in groups for part in group.parts]
    sources = sorted({part.source for part in parts}) or ([one.source] if one.source else [])
    periods = sorted({part.period for part in parts}.union(one.periods))
    billed = money.total(part.billed for part in parts)
    residual = EXACT.subtract(one.amount, billed)
    reasons = _reasons(one, parts, residual, [g for g in near if _elsewhere(g, one)], claimed)
    tolerance, accepted = _terms(one, sources, terms)
    left = EXACT.subtract(residual, money.total(reasons[name] for name in accepted))
    detail = sight.blind(sources, periods)
    if one.status == "Open":
        status = "not_invoiced"
    elif detail:
        status = "unknown"
    elif not residual:
        status = "tied"
    elif abs(left) <= tolerance:
        status = "within_tolerance"
    else:
        status = "not_tied" if parts or reasons["not_yet_invoiced"] else "no_charges"
    accounts = {part.account for part in parts} or set(one.accounts)
    return {
        "source": ", ".join(sources),
        "issuer": one.issuer or next((part.issuer for part in parts if part.issuer), None),
        "invoice_id": one.id,
        "billing_account_id": accounts.pop() if len(accounts) == 1 else None,
        "currency": one.currency,
        "billing_periods": ", ".join(periods),
        "invoice_status": one.status,
        "issued_on": one.issued_on,
        "status": status,
        "rows": sum(part.rows for part in parts),
        "invoiced": one.amount,
        "billed": billed,
        "residual": residual,
        **reasons,
        "tolerance": tolerance,
        "accepted": ", ".join(accepted) or None,
        "detail": detail or (None if parts else _near(near, one)),
    }


def _reasons(
    one: Invoice, parts: Sequence[Part], residual: Decimal, elsewhere: Sequence[Group], claimed: Sequence[Group]
) -> dict[str, Decimal]:
    """Part a residual into its reasons, which add up to it exactly."""
    bound = rounding_bound(one)
    reasons = dict.fromkeys(REASONS, ZERO)
    left = residual
    for name, stated, category in (("tax", one.tax, "Tax"), ("credits", one.credits, "Credit")):
        if stated is not None:
            charged = money.total(part.billed for part in parts if part.category == category)
            difference = EXACT.subtract(stated, charged)
            if abs(difference) > bound:
                reasons[name], left = difference, EXACT.subtract(left, difference)
    candidates = (
        ("marketplace", money.total(group.billed for group in elsewhere)),
        ("marketplace", EXACT.minus(money.total(part.billed for part in _of_other_sellers(parts)))),
        ("not_yet_invoiced", money.total(group.billed for group in claimed)),
    )
    for name, amount in candidates:
        if abs(left) > bound and amount and (amount > 0) == (left > 0) and abs(amount) <= EXACT.add(abs(left), bound):
            reasons[name], left = EXACT.add(reasons[name], amount), EXACT.subtract(left, amount)
    reasons["rounding" if abs(left) <= bound else "unexplained"] = left
    return reasons


def rounding_bound(one: Invoice) -> Decimal:
    """Say how far rounding can take an invoice from its charges: half a unit of its last decimal for every line."""
    digits = max(money.minor_digits(one.currency), money.decimals(one.amount))
    return EXACT.multiply(Decimal(one.lines), Decimal(5).scaleb(-digits - 1))


def _of_other_sellers(parts: Sequence[Part]) -> list[Part]:
    """Find the charges whose seller isn't the one that most of the invoice's money goes to."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        if part.seller:
            sums[part.seller] = EXACT.add(sums[part.seller], part.billed)
    first = min(sums, key=lambda seller: (-sums[seller], seller), default=None)
    return [part for part in parts if part.seller and part.seller != first]


def _elsewhere(group: Group, one: Invoice) -> bool:
    """Whether charges carry the invoice's id and currency, under the name of another issuer."""
    return (
        group.parts[0].currency == one.currency
        and one.source in ("", group.source)
        and bool(group.issuer and plain(one.issuer) and group.issuer != plain(one.issuer))
    )


def _terms(one: Invoice, sources: Sequence[str], terms: Mapping[str, TieOut]) -> tuple[Decimal, tuple[str, ...]]:
    """Give the tolerance and the accepted reasons; of several sources the strictest."""
    unit = Decimal(1).scaleb(-money.minor_digits(one.currency))
    known = [terms[source] for source in sources if source in terms] or [TieOut()]
    tolerance = min(unit if each.tolerance is None else each.tolerance for each in known)
    return tolerance, tuple(sorted(set.intersection(*(set(each.accept) for each in known))))


def _near(near: Sequence[Group], one: Invoice) -> str | None:
    """Say why charges that carry the id of an invoice without charges are not its own."""
    if not near:
        return None
    first = near[0].parts[0]
    if first.currency != one.currency:
        return f"charges with this id are in {first.currency}"
    if one.source not in ("", first.source):
        return f"charges with this id are in the source {first.source}"
    if first.issuer and plain(first.issuer) != plain(one.issuer):
        return f"charges with this id name the issuer {first.issuer}"
    return "more than one invoice has this id, and the issuer is not named on both sides"


def _charges_row(group: Group, covered: bool, stated: Sequence[Invoice]) -> Row:
    """Describe charges that no invoice covers. `stated` are the invoices that have their id."""
    first = group.parts[0]
    same = [one for one in stated if one.currency == first.currency]
    voided = any(one.status == "Voided" and plain(one.issuer) in ("", group.issuer) for one in same)
    accounts = {part.account for part in group.parts}
    others = sorted({one.issuer for one in same if one.status != "Voided" and one.issuer})
    return {
        "source": group.source,
        "issuer": first.issuer,
        "invoice_id": first.invoice_id,
        "billing_account_id": accounts.pop() if len(accounts) == 1 else None,
        "currency": first.currency,
        "billing_periods": ", ".join(sorted({part.period for part in group.parts})),
        "invoice_status": "Voided" if voided else None,
        "status": "not_invoiced" if covered else "not_checked",
        "rows": sum(part.rows for part in group.parts),
        "billed": group.billed,
        "detail": f"the invoice of this id is issued by {' and by '.join(others)}" if others else None,
    }
