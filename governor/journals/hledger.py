"""A journal as an hledger file: declared throughout, so that `hledger check --strict` finds what was never meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from governor import money
from governor.journals.entries import ControlTotals, Journal, JournalEntry, JournalLine
from governor.journals.plain_text import encode
from governor.money import minor_digits

PAYEE = "governor"
TAGS = ("run", "external_id", "entity", "component", "cost_center", "reference")
# What means something to hledger: the account separator, comments, tags and their ends, payee and note, virtual
# postings, marks, quotes; and the percent sign, so that no two names become one.
RESERVED = '%:;,|[]()*!"='


def write(journal: Journal, out: Path) -> list[Path]:
    """Write `journal-PERIOD.journal`: one pending transaction an entry, the memos and control totals as comments."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"journal-{journal.period}.journal"
    path.write_text("\n".join(_text(journal)) + "\n", encoding="utf-8", newline="\n")
    return [path]


def account_name(account: str, cost_center: str) -> str:
    """Name an account, with the cost center below it. Colons in the account itself stay levels.

    >>> account_name("Expenses:Cloud", "CC-0042"), account_name("6100", "a:b  c")
    ('Expenses:Cloud:CC-0042', '6100:a%3Ab %20c')
    """
    levels = account.split(":")
    if not all(level.strip() for level in levels):
        levels = [account]
    return ":".join(_name(level) for level in (*levels, cost_center) if level)


def _text(journal: Journal) -> Iterator[str]:
    yield f"; Draft of {journal.period} from run {journal.run_number}, content {journal.run}"
    if journal.incomplete:
        yield "; INCOMPLETE: the run could not see everything, this draft is not ready to be posted"
    yield from (f"; Gap: {encode(gap)}" for gap in journal.gaps)
    yield from (f"; Note: {encode(note)}" for note in journal.notes)
    for total in journal.controls:
        yield from _controls(total)
    yield from ("", "decimal-mark .", f"payee {PAYEE}", *(f"tag {tag}" for tag in TAGS))
    for currency in sorted({entry.currency for entry in journal.entries}):
        yield f"commodity 1000.{'0' * minor_digits(currency)} {_commodity(currency)}"
    lines = [line for entry in journal.entries for line in entry.lines]
    yield from (f"account {name}" for name in sorted({account_name(line.account, line.cost_center) for line in lines}))
    for entry in journal.entries:
        yield ""
        yield from _transaction(entry)


def _controls(total: ControlTotals) -> Iterator[str]:
    yield f"; {encode(total.currency)} ingested {money.text(total.ingested)}"
    yield f";   charged {money.text(total.charged)}, posted {money.text(total.posted)}"
    yield f";   showback {money.text(total.showback)}"
    yield f";   suspense {money.text(total.suspense)}, unallocated {money.text(total.unallocated)}"
    yield f";   rounding {money.text(total.rounding)}, stays on clearing {money.text(total.on_clearing)}"


def _transaction(entry: JournalEntry) -> Iterator[str]:
    if entry.lines:
        yield f"{entry.date} ! ({entry.id}) {PAYEE} | {encode(entry.description, '%;|')}"
        yield f"    ; run:{entry.run}, external_id:{entry.id}, entity:{_name(entry.entity)}"
        yield from (_posting(line, entry.currency) for line in entry.lines)
    if entry.memos:
        yield ""
        yield f"; Memo of {encode(entry.entity) or 'showback'}, posted nowhere"
        for memo in entry.memos:
            yield f";   {encode(memo.cost_center)} {memo.component} {_amount(memo, entry.currency)}"


def _posting(line: JournalLine, currency: str) -> str:
    tags = [f"{name}:{_name(value)}" for name, value in _tags(line) if value]
    return f"    {account_name(line.account, line.cost_center)}  {_amount(line, currency)}  ; {', '.join(tags)}"


def _tags(line: JournalLine) -> Iterator[tuple[str, str]]:
    yield "component", line.component
    yield "cost_center", line.cost_center
    yield "reference", line.reference


def _amount(line: JournalLine, currency: str) -> str:
    return f"{line.amount:f} {_commodity(currency)}"


def _commodity(currency: str) -> str:
    return currency if re.fullmatch("[A-Za-z]+", currency) else f'"{_name(currency)}"'


def _name(text: str) -> str:
    """Encode what hledger would read as more than a name; single spaces within it stay."""
    return re.sub(r"^ |(?<= ) | $|^#", lambda match: encode(match.group(), " #"), encode(text, RESERVED))
