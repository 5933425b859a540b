"""What a delivery changed, as the reports say it: a sentence a period, and the lines behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from governor import money
from governor.ledger.read import Run
from governor.reports import display, figures
from governor.reports.figures import ZERO, Row

TABLE = "restatements"
AMOUNTS = ("billed", "effective")


@dataclass(frozen=True, slots=True)
class Restated:
    """One source, billing period and currency against the run that held it until now.

    `period` is its row of the table; amounts of `lines` are the finer view of the same money. `moved` is what equal
    charges of some cost centers others pay now, on the run's cost basis.
    """

    period: Row
    lines: tuple[Row, ...]
    accounts: int  # whose bill changed
    corrections: int  # how many more there are; negative: fewer
    moved: Decimal

    @property
    def told(self) -> bool:
        """Whether there is anything to say: a first or an unchanged delivery is nothing new, a late one is."""
        return bool(self.period["late"] or self.period["kind"] in {"restated", "reassigned", "not_delivered"})


def read(run: Run) -> list[Restated]:
    """Read what a run changed, period by period. A run that was committed without the table says nothing of it."""
    if not run.holds(TABLE):
        return []
    lines: dict[tuple[str, ...], list[Row]] = {}
    periods = []
    for row in run.rows(TABLE):
        if row["level"] == "period":
            periods.append(row)
        else:
            lines.setdefault(_place(row), []).append(row)
    basis = figures.basis(run).removesuffix("_cost")
    return [_restated(period, lines.get(_place(period), []), basis) for period in periods]


def _place(row: Row) -> tuple[str, ...]:
    return row["source"], row["billing_period"], row["currency"]


def _restated(period: Row, lines: Sequence[Row], basis: str) -> Restated:
    accounts: dict[str | None, list[Row]] = {}
    for line in lines:
        accounts.setdefault(line["sub_account_id"], []).append(line)
    changed = [each for each in accounts.values() if rows(each) or any(delta(each, name) for name in AMOUNTS)]
    moved = money.total(max(line[f"{basis}_moved"], ZERO) for line in lines)
    return Restated(period, tuple(lines), len(changed), rows(line for line in lines if line["correction"]), moved)


def delta(lines: Iterable[Row], name: str) -> Decimal:
    """Add up how much more there is than before, `billed` or `effective`; what was not there counts as nothing."""
    return money.total(
        figures.subtract(line[f"{name}_after"] or ZERO, line[f"{name}_before"] or ZERO) for line in lines
    )


def rows(lines: Iterable[Row]) -> int:
    """Count how many more charges there are than before."""
    return sum((line["rows_after"] or 0) - (line["rows_before"] or 0) for line in lines)


def sentences(restated: Sequence[Restated]) -> list[str]:
    """Say what became of each period that there is something to say of; those not delivered in one line a source."""
    said = [_sentence(each) for each in restated if each.told and each.period["kind"] != "not_delivered"]
    absent: dict[str, set[str]] = {}
    for each in restated:
        if each.period["kind"] == "not_delivered":
            absent.setdefault(each.period["source"], set()).add(each.period["billing_period"])
    for source, periods in absent.items():
        span = display.span(sorted(periods))
        count = display.plural(len(periods), "earlier period")
        said.append(f"{source}: {count} not in this delivery ({span}); as their last runs have them")
    return said


def _sentence(each: Restated) -> str:
    period = each.period
    head, currency = f"{period['source']} {period['billing_period']}", period["currency"]
    late = ", late: a later period was delivered before" if period["late"] else ""
    moved = f"{display.amount(each.moved, minus='-')} {currency} changed hands by policies or registers"
    if period["kind"] == "first":
        return f"{head} delivered: {display.amount(period['billed_after'], minus='-')} {currency} billed{late}"
    if period["kind"] == "reassigned":
        return f"{head} reassigned: {moved}; the bill is that of run {period['replaced_run']}"
    parts = [f"{signed(delta([period], 'billed'))} {currency} billed"]
    if each.accounts:
        parts[0] += f" in {display.plural(each.accounts, 'account')}"
    if delta([period], "effective") != delta([period], "billed"):
        parts.append(f"{signed(delta([period], 'effective'))} {currency} effective")
    if period["rows_new"] is not None:
        parts.append(f"{display.plural(period['rows_new'], 'charge')} new, {period['rows_gone']:,} gone")
    if each.corrections:
        fewer = " fewer" if each.corrections < 0 else ""
        parts.append(display.plural(abs(each.corrections), "correction") + fewer)
    if each.moved:
        parts.append(moved)
    return f"{head} restated: {', '.join(parts)}{late}; run {period['replaced_run']} had it before"


def signed(value: Decimal) -> str:
    """Show an amount of change to the cent, with its sign.

    >>> signed(Decimal("12.4")), signed(Decimal("-0.001"))
    ('+12.40', '-<0.01')
    """
    return ("" if value < 0 else "+") + display.amount(value, minus="-")


def summary(run: Run) -> list[dict[str, Any]]:
    """List every period for `--format json`: money as exact text, NULL where there was or is nothing."""
    plain = ("source", "billing_period", "currency", "kind", "late", "replaced_run", "rows_before", "rows_after")
    amounts = [f"{name}_{side}" for name in AMOUNTS for side in ("before", "after")]
    return [
        {name: each.period[name] for name in (*plain, "rows_new", "rows_gone")}
        | {name: None if each.period[name] is None else money.text(each.period[name]) for name in amounts}
        | {"moved": money.text(each.moved), "accounts": each.accounts, "corrections": each.corrections}
        for each in read(run)
    ]


def ranked(restated: Sequence[Restated], basis: str, *, correction: bool) -> list[Row]:
    """List the lines, corrections or the others, the largest change first, each with its differences."""
    name = basis.removesuffix("_cost")
    found = [
        line | {f"{amount}_delta": delta([line], amount) for amount in AMOUNTS} | {"moved": line[f"{name}_moved"]}
        for each in restated
        for line in each.lines
        if line["correction"] == correction
    ]
    keys = ("source", "billing_period", "currency", "sub_account_id", "service_name", "cost_center", "charge_period")
    return sorted(found, key=lambda row: (-abs(row[f"{name}_delta"]), *(row[key] or "" for key in keys)))
