"""A journal balances, ties to the bill, is the same every time, and refuses what could not be posted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from governor.config import JournalSettings
from governor.journals import Journal, draft_journal
from governor.journals.entries import JournalEntry, JournalLine, balanced
from governor.model import Refused
from tests.journals.conftest import SETTINGS, MakeRun, center, statement

TOLD = {"source": "aws", "scope": "bills/aws.csv", "reason": "rejected_rows", "detail": "2 rows", "rows": 2}


def shown(entry: JournalEntry) -> list[str]:
    return [f"{x.account} {x.cost_center or '-'} {x.component or '-'} {x.debit} {x.credit}" for x in entry.lines]


def memos(entry: JournalEntry) -> list[str]:
    return [f"{x.cost_center} {x.component} {x.amount}" for x in entry.memos]


def refused(run: Any, period: str = "2026-05", settings: JournalSettings | None = SETTINGS) -> list[str]:
    with pytest.raises(Refused) as refusal:
        draft_journal(run, period, settings)
    return [f"{p.code} {p.what}; {p.mend}" for p in refusal.value.problems]


def test_an_entry_debits_each_component_and_credits_clearing_with_the_sum(make_run: MakeRun) -> None:
    run = make_run(
        [statement("B", "1.004", "2", "0", "4"), statement("A", "10.006", "0", "3.333", "0")],
        [center("A", gl_account="6200"), center("B", gl_account=None)],
    )
    [entry] = draft_journal(run, "2026-05", SETTINGS).entries
    assert shown(entry) == [
        "6200 A direct 10.01 0",
        "6200 A commitment 3.33 0",
        "6999 B direct 1.00 0",
        "6999 B shared 2.00 0",
        "6999 B central 4.00 0",
        "2190 CC-0001 - 0 20.34",
    ]
    assert (entry.date, entry.currency, entry.entity) == (date(2026, 5, 31), "USD", "Acme Ltd")
    assert entry.lines[0].reference == "cost_centers/A/direct"


def test_credits_change_sides_and_no_amount_is_negative(make_run: MakeRun) -> None:
    run = make_run([statement("A", "-30", "10"), statement("B", "5")], [center("A"), center("B")])
    [entry] = draft_journal(run, "2026-05", SETTINGS).entries
    assert shown(entry) == [
        "6100 A direct 0 30.00",
        "6100 A shared 10.00 0",
        "6100 B direct 5.00 0",
        "2190 CC-0001 - 15.00 0",
    ]


def test_lines_that_cancel_out_need_no_clearing_line(make_run: MakeRun) -> None:
    run = make_run([statement("A", "7"), statement("B", "-7")], [center("A"), center("B")])
    [entry] = draft_journal(run, "2026-05", SETTINGS).entries
    assert shown(entry) == ["6100 A direct 7.00 0", "6100 B direct 0 7.00"]


def test_nothing_to_charge_is_no_entry(make_run: MakeRun) -> None:
    """Zero, and what rounds to zero; the control totals still say it."""
    run = make_run([statement("A", "0.001"), statement("B", "0")], [center("A"), center("B")])
    journal = draft_journal(run, "2026-05", SETTINGS)
    assert journal.entries == ()
    [control] = journal.controls
    assert (control.charged, control.posted, control.rounding) == (Decimal("0.001"), 0, Decimal("-0.001"))


def test_no_entry_crosses_a_legal_entity_or_a_currency(make_run: MakeRun) -> None:
    register = [center("A"), center("B", entity="Acme KK"), center("C", entity=None)]
    currencies = {"A": ("USD", "KWD"), "B": ("JPY", "USD"), "C": ("USD",)}
    rows = [statement(c, "100.4567", currency=currency) for c, found in currencies.items() for currency in found]
    journal = draft_journal(make_run(rows, register), "2026-05", SETTINGS)
    assert [(e.entity, e.currency, str(e.lines[0].debit)) for e in journal.entries] == [
        ("", "USD", "100.46"),
        ("Acme KK", "JPY", "100"),
        ("Acme KK", "USD", "100.46"),
        ("Acme Ltd", "KWD", "100.457"),
        ("Acme Ltd", "USD", "100.46"),
    ]
    assert len({entry.id for entry in journal.entries}) == 5


def test_showback_is_told_and_never_posted(make_run: MakeRun) -> None:
    run = make_run(
        [statement("A", "10"), statement("S", "20.005", "-1", "0.004")],
        [center("A"), center("S", mode="showback", gl_account=None)],
    )
    journal = draft_journal(run, "2026-05", replace(SETTINGS, expense_account=""))
    [entry] = journal.entries
    assert shown(entry) == ["6100 A direct 10.00 0", "2190 CC-0001 - 0 10.00"]
    assert memos(entry) == ["S direct 20.01", "S shared -1.00"]


def test_the_control_totals_account_for_every_cent_of_the_bill(make_run: MakeRun) -> None:
    """ingested = charged + showback + suspense + unallocated, exactly; what isn't posted stays on clearing."""
    run = make_run(
        [
            statement("A", "10.005", "0", "0", "0", "3.3"),
            statement("S", "20"),
            statement("D", "0", "0", "0", "0", "4.4"),
        ],
        [center("A"), center("S", mode="showback")],
        unallocated="5.123456789",
    )
    journal = draft_journal(run, "2026-05", SETTINGS)
    [control] = journal.controls
    assert control.charged == Decimal("10.005")
    assert control.showback == 20
    assert control.suspense == Decimal("7.7")
    assert control.unallocated == Decimal("5.123456789")
    assert control.ingested == control.charged + control.showback + control.suspense + control.unallocated
    assert control.posted == Decimal("10.00")
    assert control.rounding == Decimal("-0.005")
    assert control.on_clearing == control.ingested - control.posted == Decimal("32.828456789")
    assert journal.notes == ()  # D only holds suspense: nothing is posted to it


def test_a_run_whose_cost_centers_do_not_add_up_is_refused(make_run: MakeRun) -> None:
    rows = [statement("A", "10")]
    [wrong] = make_run(rows, [center("A")]).rows("totals")
    run = make_run(rows, [center("A")], totals=[{**wrong, "allocated": Decimal("10.01")}])
    assert refused(run) == [
        "J005 the totals say that 10.01 USD is allocated in this period, the cost centers that 10.00 is charged and"
        " 0.00 shown; nothing was drafted; run `governor ledger verify`, and make the run again"
    ]


HISTORY = [
    center("A", gl_account="1", entity="Old", mode="showback", valid_to=date(2026, 4, 30)),
    center("A", gl_account="2", entity="Mid", valid_from=date(2026, 5, 1), valid_to=date(2026, 5, 20)),
    center("A", gl_account="3", entity="New", valid_from=date(2026, 7, 1)),
]


@pytest.mark.parametrize(
    ("period", "account", "entity", "note"),
    [
        ("2026-04", "", "Old", []),
        ("2026-05", "2", "Mid", ['cost center "A" ended on 2026-05-20, before the posting date 2026-05-31']),
        ("2026-06", "2", "Mid", ['cost center "A" ended on 2026-05-20, before the posting date 2026-06-30']),
        ("2026-07", "3", "New", []),
    ],
)
def test_account_entity_and_mode_are_those_of_the_period(
    period: str, account: str, entity: str, note: list[str], make_run: MakeRun
) -> None:
    """A journal drafted late is the journal of its period; a cost center that has ended is charged as it last was."""
    journal = draft_journal(make_run([statement("A", "9", period=period)], HISTORY), period, SETTINGS)
    [entry] = journal.entries
    assert entry.entity == entity
    assert [line.account for line in entry.lines] == ([account, "2190"] if account else [])
    assert list(journal.notes) == note


def test_a_cost_center_that_begins_later_is_charged_as_it_first_was(make_run: MakeRun) -> None:
    register = [
        center("A", gl_account="8", valid_from=date(2026, 8, 1)),
        center("A", gl_account="6", valid_from=date(2026, 6, 1), valid_to=date(2026, 7, 31)),
    ]
    [entry] = draft_journal(make_run([statement("A", "9")], register), "2026-05", SETTINGS).entries
    assert entry.lines[0].account == "6"


def test_what_a_ledger_may_refuse_is_noted(make_run: MakeRun) -> None:
    run = make_run([statement("A", "1"), statement("N", "1")], [center("A", valid_from=date(2026, 6, 1))])
    assert draft_journal(run, "2026-05", SETTINGS).notes == (
        'cost center "A" begins on 2026-06-01, after the posting date 2026-05-31',
        'cost center "N" is not in the register',
    )


@pytest.mark.parametrize(
    ("gaps", "incomplete"),
    [
        ([], False),
        ([TOLD], False),  # within the tolerance of two rows
        ([{**TOLD, "rows": 3}], True),
        ([{**TOLD, "rows": 0, "reason": "missing_column"}], True),
        ([{**TOLD, "rows": 0, "reason": "rounded_double"}], False),
    ],
)
def test_a_draft_says_what_the_run_could_not_see(gaps: list[Any], incomplete: bool, make_run: MakeRun) -> None:
    journal = draft_journal(make_run([statement("A", "1")], [center("A")], gaps=gaps), "2026-05", SETTINGS)
    assert journal.incomplete is incomplete
    assert len(journal.gaps) == len(gaps)


def test_what_cannot_be_drafted_is_refused_with_the_mend(make_run: MakeRun) -> None:
    run = make_run([statement("A", "1"), statement("B", "1"), statement("Z", "0")], [center("A", gl_account=None)])
    assert refused(run, "2026-5") == ["J001 '2026-5' is not a billing period; write YYYY-MM, as 2026-01"]
    assert refused(run, "2026-13") == ["J001 '2026-13' is not a billing period; write YYYY-MM, as 2026-01"]
    assert refused(run, "2026-06") == ["J002 the run has no charges of 2026-06; it has 2026-05; did you mean 2026-05?"]
    mend = "write journal: {clearing_account: ...}, the account that the providers' invoices are booked on"
    assert refused(run, settings=None) == [f"J003 no clearing account is named; {mend}"]
    assert refused(run, settings=JournalSettings("")) == [f"J003 no clearing account is named; {mend}"]
    mend = "fill gl_account in the register cost_centers, or set journal.expense_account in governor.yaml"
    assert refused(run, settings=JournalSettings("2190")) == [
        f'J004 cost center "A" has no expense account; {mend}',
        f'J004 cost center "B" has no expense account; {mend}',
    ]


def test_the_id_of_an_entry_is_that_of_its_content(make_run: MakeRun) -> None:
    """Drafting twice gives the same entries; another run's content gives other ids, so nothing is posted twice."""

    def draft(content: str = "") -> Journal:
        run = make_run([statement("A", "1")], [center("A")])
        return draft_journal(
            replace(run, number=1, manifest={**run.manifest, "content": content or run.content}), "2026-05", SETTINGS
        )

    assert draft() == draft()
    assert draft().entries[0].id != draft("f" * 64).entries[0].id
    assert len(draft().entries[0].id) == 20  # what the narrowest reference field of a ledger holds is 21


def test_an_entry_that_does_not_balance_never_leaves() -> None:
    line = JournalLine("6100", "A", "direct", Decimal("1.00"), Decimal(0), "", "")
    clearing = JournalLine("2190", "", "", Decimal(0), Decimal("1.00"), "", "")
    entry = JournalEntry("gov-1", "2026-05", date(2026, 5, 31), "USD", "", "", "", (line, clearing), ())
    assert balanced(entry) is entry
    negative = replace(line, debit=Decimal(0), credit=Decimal(-1))
    for lines in ((line,), (line, replace(clearing, credit=Decimal("0.99"))), (negative, clearing)):
        with pytest.raises(Refused, match="J006 the entry gov-1 is out of balance"):
            balanced(replace(entry, lines=lines))
