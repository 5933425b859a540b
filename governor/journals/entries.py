"""The nouns of a journal: entries that balance, their lines, and the totals that tie them to the bill."""

from __future__ import annotations

import calendar
import hashlib
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from governor import money
from governor.model import Position, Problem, Refused

COMPONENTS = ("direct", "shared", "commitment", "central")  # what a cost center's total is made of
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line: either debit or credit is zero, and neither is ever negative. A clearing line has no component."""

    account: str
    cost_center: str
    component: str
    debit: Decimal
    credit: Decimal
    description: str
    reference: str  # where in the run the amount stands

    @property
    def amount(self) -> Decimal:
        """The line as one signed number: debits are positive."""
        return money.EXACT.subtract(self.debit, self.credit)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What one legal entity posts in one currency: `lines` balance, `memos` are statistical and post nothing."""

    id: str
    period: str
    date: date
    currency: str
    entity: str
    description: str
    run: str
    lines: tuple[JournalLine, ...]
    memos: tuple[JournalLine, ...]


@dataclass(frozen=True, slots=True)
class ControlTotals:
    """Where the period's money went, exactly: ingested = charged + showback + suspense + unallocated.

    `posted` is what the entries move off the clearing account; `rounding` is posted minus charged.
    """

    currency: str
    ingested: Decimal
    charged: Decimal
    showback: Decimal
    suspense: Decimal
    unallocated: Decimal
    posted: Decimal
    rounding: Decimal

    @property
    def on_clearing(self) -> Decimal:
        """What no entry moves: showback, suspense and unallocated cost, and the rounding with its sign turned."""
        return money.EXACT.subtract(self.ingested, self.posted)

    @property
    def recharge_rate(self) -> str:
        """The General Ledger Recharge Rate that posting this draft would give, empty where there is no cost."""
        return recharge_rate(self.posted, self.ingested) or ""


@dataclass(frozen=True, slots=True)
class Journal:
    """The drafted entries of a period.

    `gaps` is what the run could not see. An incomplete draft, of a run whose gaps are beyond the tolerance of
    governor.yaml, isn't ready to be posted. `notes` is what a ledger may refuse.
    """

    period: str
    run: str  # content digest
    run_number: int
    entries: tuple[JournalEntry, ...]
    controls: tuple[ControlTotals, ...]
    incomplete: bool
    gaps: tuple[str, ...]
    notes: tuple[str, ...]


def recharge_rate(journaled: Decimal, cost: Decimal) -> str | None:
    """Compute the KPI General Ledger Recharge Rate of the FinOps Framework: cost journaled / cost in the tool.

    A percentage, of a month, for one cost center or all of them; None where there is no cost to recharge.

    >>> recharge_rate(Decimal(180_000), Decimal(200_000))
    '90.00'
    """
    return money.percentage(journaled, cost)


def last_day(period: str) -> date:
    """Find the day that a period's entries are dated.

    >>> last_day("2024-02")
    datetime.date(2024, 2, 29)
    """
    year, month = int(period[:4]), int(period[5:])
    return date(year, month, calendar.monthrange(year, month)[1])


def external_id(entity: str, period: str, currency: str, run: str) -> str:
    """Name an entry so that a ledger can tell a second posting: equal for equal content, at most 20 characters."""
    text = json.dumps([entity, period, currency, run])
    return "gov-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def balanced(entry: JournalEntry) -> JournalEntry:
    """Hold an entry to the law of journals before it leaves: debits equal credits, and neither is negative."""
    balance = money.total(line.amount for line in entry.lines)
    if balance or any(min(line.debit, line.credit) < 0 for line in entry.lines):
        what = f"the entry {entry.id} is out of balance by {money.text(balance)} {entry.currency}"
        raise Refused(Problem(Position(entry.id), "J006", what, "this is a fault of governor: report it, post nothing"))
    return entry
