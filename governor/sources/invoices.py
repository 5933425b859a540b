"""Read what the providers' invoices say: FOCUS Invoice Detail, or a table with a row for each invoice.

An invoice is what the bill is held against, so nothing of it is guessed: a value that can't be read, an invoice that
stands there twice with two amounts, a column that could be two things are refused with their place.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from governor import money
from governor.config import InvoicesSource
from governor.model import Position, Problem, Refused
from governor.sources import csv_records
from governor.sources.billing import files, values
from governor.sources.billing.layout import MISSING, fold

# The spellings of a CSV's columns, reduced by `fold`. Any other column is left aside.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "invoice_id": ("invoiceid", "invoice", "invoicenumber", "invoiceno"),
    "issuer": ("issuer", "invoiceissuer", "invoiceissuername", "supplier", "vendor"),
    "currency": ("currency", "currencycode", "billingcurrency", "invoicecurrency"),
    "amount": ("amount", "total", "totalamount", "invoiceamount", "invoicetotal", "payableamount"),
    "tax": ("tax", "taxamount", "totaltax", "vat"),
    "credits": ("credits", "credit", "creditamount"),
    "billing_period": ("billingperiod", "period", "month", "billingmonth"),
    "issue_date": ("issuedate", "invoicedate", "invoiceissuedate", "date"),
    "status": ("status", "invoicestatus", "invoiceissuestatus"),
    "billing_account_id": ("billingaccountid", "billingaccount", "accountid", "account"),
}
REQUIRED = ("invoice_id", "currency", "amount")
# FOCUS Invoice Detail: what each of ours is called there.
FOCUS: Mapping[str, str] = {
    "invoice_id": "InvoiceId",
    "issuer": "InvoiceIssuerName",
    "currency": "BillingCurrency",
    "amount": "BilledCost",
    "category": "ChargeCategory",
    "billing_period": "BillingPeriodStart",
    "issue_date": "InvoiceIssueDate",
    "status": "InvoiceIssueStatus",
    "billing_account_id": "BillingAccountId",
}
FOCUS_REQUIRED = ("invoice_id", "issuer", "currency", "amount", "category")
STATUSES = {"issued": "Issued", "open": "Open", "voided": "Voided", "void": "Voided"}
CATEGORIES = {c.lower(): c for c in ("Usage", "Purchase", "Tax", "Credit", "Adjustment")}

_PERIOD = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(-\d{2}([T ].*)?)?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice in one currency: what is payable, and of that tax and credits where the invoice says so.

    `source` is the billing source it is bound to, empty for any. `lines` is how many amounts it adds up, `periods` are
    YYYY-MM and `accounts` billing accounts, as far as it names them.
    """

    id: str
    issuer: str
    currency: str
    status: str  # Issued | Open | Voided
    amount: Decimal
    position: Position
    tax: Decimal | None = None
    credits: Decimal | None = None
    source: str = ""
    lines: int = 1
    periods: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    issued_on: date | None = None


@dataclass(frozen=True, slots=True)
class InvoiceFile:
    """One file that was read, as evidence."""

    path: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class InvoicesInput:
    """One entry of `invoices:` as it was read."""

    name: str
    source: str
    format: str  # focus | csv
    files: tuple[InvoiceFile, ...]


@dataclass(frozen=True, slots=True)
class Invoices:
    """All invoices, by issuer, id and currency, and the inputs they come from."""

    invoices: tuple[Invoice, ...] = ()
    inputs: tuple[InvoicesInput, ...] = ()

    def covers(self, source: str) -> bool:
        """Whether any input can hold the invoices of a billing source."""
        return any(each.source in ("", source) for each in self.inputs)


@dataclass(slots=True)
class _Reader:
    """Reads one file's records by their columns; gathers what is wrong."""

    given: InvoicesSource
    shown: str
    places: Mapping[str, int]
    names: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def text(self, name: str, fields: Sequence[str]) -> str:
        """A field's text; empty where the file has no such column, or nothing is said."""
        value = fields[self.places[name]] if name in self.places else ""
        return "" if value in MISSING else value

    def wrong(self, name: str, fields: Sequence[str], place: Position, mend: str) -> None:
        """Note a value that can't be used."""
        text = self.text(name, fields)
        what = f'{self.names[name]} "{text}" is not valid' if text else f"{self.names[name]} is empty"
        self.problems.append(Problem(place, "B133", what, mend))

    def money(self, name: str, fields: Sequence[str], place: Position) -> Decimal | None:
        """Read an amount; None where there is none."""
        text = self.text(name, fields)
        if not text:
            return None
        reading = values.read_money(text, self.given.numbers)
        if not isinstance(reading.value, Decimal):
            told = "" if self.given.numbers else ", or say `numbers: us` (1,234.56) or `numbers: eu` (1.234,56)"
            self.wrong(name, fields, place, f"write digits and a point, as 1234.56{told}")
            return None
        return reading.value

    def period(self, fields: Sequence[str], place: Position) -> str:
        """Read a billing period as YYYY-MM: written so, or as its first day."""
        text = self.text("billing_period", fields)
        if not text:
            return ""
        if match := _PERIOD.fullmatch(text):
            return match[1]
        if day := self._patterned(text):
            return f"{day:%Y-%m}"
        self.wrong("billing_period", fields, place, "write YYYY-MM, as 2026-05")
        return ""

    def day(self, fields: Sequence[str], place: Position) -> date | None:
        """Read the day of issue."""
        text = self.text("issue_date", fields)
        if not text:
            return None
        if day := self._patterned(text):
            return day
        if _DAY.fullmatch(text):
            with suppress(ValueError):
                return date.fromisoformat(text[:10])
        self.wrong("issue_date", fields, place, "write YYYY-MM-DD, or say how with `dates:`")
        return None

    def _patterned(self, text: str) -> date | None:
        reading = values.read_time(text, self.given.dates) if self.given.dates else values.Reading()
        return reading.value.date() if isinstance(reading.value, datetime) else None

    def coded(self, name: str, fields: Sequence[str], place: Position, known: Mapping[str, str], default: str) -> str:
        """Read one of a few words, whatever its case."""
        text = self.text(name, fields)
        found = known.get(text.lower()) if text else default
        if not found:
            self.wrong(name, fields, place, f"write one of {', '.join(dict.fromkeys(known.values()))}")
        return found or default

    def currency(self, fields: Sequence[str], place: Position) -> str:
        """Read a currency's three letters."""
        text = self.text("currency", fields)
        if not re.fullmatch("[A-Z]{3}", text):
            self.wrong("currency", fields, place, "write the three-letter code, as USD")
        return text


def read_all(inputs: Iterable[InvoicesSource], root: Path) -> Invoices:
    """Read every input of `invoices:`. Raises Refused with the problems of all of them."""
    read: list[InvoicesInput] = []
    found: list[Invoice] = []
    problems: list[Problem] = []
    for given in inputs:
        try:
            described, invoices = _read_input(given, root.resolve())
            read.append(described)
            found += invoices
        except Refused as refused:
            problems += refused.problems
    problems += _twice(found)
    if problems:
        raise Refused(*sorted(problems))
    order = sorted(found, key=lambda one: (one.source, one.issuer, one.id, one.currency))
    return Invoices(tuple(order), tuple(read))


def plain(issuer: str | None) -> str:
    """Reduce an issuer's name to what spelling can't change: case and blanks.

    >>> plain("Amazon Web  Services, Inc. ")
    'amazon web services, inc.'
    """
    return " ".join((issuer or "").split()).casefold()


def _read_input(given: InvoicesSource, root: Path) -> tuple[InvoicesInput, list[Invoice]]:
    invoices: list[Invoice] = []
    problems: list[Problem] = []
    described = []
    formats = set()
    for path in files.find(given.path, root, given.position).files:
        shown = files.shown(path, root)
        try:
            format_, rows, sha256, made = _read_file(given, path, shown)
        except Refused as refused:
            problems += refused.problems
            continue
        formats.add(format_)
        described.append(InvoiceFile(shown, path.stat().st_size, sha256, rows))
        invoices += made
    if problems:
        raise Refused(*problems)
    return InvoicesInput(given.name, given.source, ", ".join(sorted(formats)), tuple(described)), invoices


def _read_file(given: InvoicesSource, path: Path, shown: str) -> tuple[str, int, str, list[Invoice]]:
    sheet = _sheet(path, shown)
    header = Position(shown, sheet.header_line, 1)
    folded = [fold(name) for name in sheet.header]
    wanted = {fold(FOCUS[name]) for name in FOCUS_REQUIRED}
    is_focus = given.format == "focus" or (given.format == "detect" and wanted <= set(folded))
    places = _focus_places(folded, header) if is_focus else _csv_places(given, sheet.header, folded, header)
    names = {name: sheet.header[place] for name, place in places.items()}
    reader = _Reader(given, shown, places, names, list(sheet.problems))
    read = _focus_invoices if is_focus else _csv_invoices
    invoices = list(read(reader, sheet.records))
    if reader.problems:
        raise Refused(*csv_records.capped(reader.problems, shown))
    return "focus" if is_focus else "csv", len(sheet.records), sheet.sha256, invoices


def _sheet(path: Path, shown: str) -> csv_records.Records:
    """Read the records of a CSV, gzipped CSV or Parquet file; of Parquet, a record's line is its row."""
    name = path.name.lower()
    if name.endswith(".csv"):
        return csv_records.read(path, shown)
    if name.endswith(".csv.gz"):
        with tempfile.TemporaryDirectory(prefix="governor-invoices-") as scratch:
            plain = Path(scratch) / "invoices.csv"
            files.unpack(path, shown, plain)
            return replace(csv_records.read(plain, shown), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    if name.endswith(".parquet"):
        return csv_records.read_parquet(path, shown)
    what = "invoices are read from CSV, CSV.gz and Parquet files"
    raise Refused(Problem(Position(shown), "B132", what, "deliver it as CSV in UTF-8"))


def _focus_places(folded: Sequence[str], header: Position) -> dict[str, int]:
    places = {name: folded.index(fold(focus)) for name, focus in FOCUS.items() if fold(focus) in folded}
    if lacking := [FOCUS[name] for name in FOCUS_REQUIRED if name not in places]:
        what = f"has no column {', '.join(lacking)}, which FOCUS Invoice Detail has"
        raise Refused(Problem(header, "B132", what, "export it again, or take out `format: focus`"))
    return places


def _csv_places(given: InvoicesSource, header: Sequence[str], folded: Sequence[str], place: Position) -> dict[str, int]:
    places: dict[str, int] = {}
    problems = []
    for name, spellings in SPELLINGS.items():
        told = given.columns.get(name)
        fitting = [n for n, column in enumerate(folded) if column == fold(told)] if told else []
        fitting = fitting or ([] if told else [n for n, column in enumerate(folded) if column in spellings])
        if len(fitting) > 1:
            columns = " and ".join(header[n] for n in fitting)
            what = f"has several columns for {name}: {columns}"
            problems.append(Problem(place, "B132", what, f"say which: `columns: {{{name}: {header[fitting[0]]}}}`"))
        elif fitting:
            places[name] = fitting[0]
        elif told:
            what = f'has no column "{told}", which `columns:` names for {name}'
            problems.append(Problem(place, "B132", what, f"the header has: {', '.join(header)}"))
        elif name in REQUIRED:
            what = f"has no column for {name}"
            mend = f"name it {name}, or say which it is: `columns: {{{name}: …}}`; the header has: {', '.join(header)}"
            problems.append(Problem(place, "B132", what, mend))
    if problems:
        raise Refused(*problems)
    return places


Records = Iterable[tuple[int, tuple[str, ...]]]


def _csv_invoices(reader: _Reader, records: Records) -> Iterator[Invoice]:
    """Read a row for each invoice. The same row twice is one invoice; two amounts of one invoice are refused."""
    seen: dict[tuple[str, str, str], Invoice] = {}
    for line, fields in records:
        place = Position(reader.shown, line, 1)
        known = len(reader.problems)
        if not reader.text("invoice_id", fields):
            reader.wrong("invoice_id", fields, place, "every invoice has a number; leave out what is none")
        amount = reader.money("amount", fields, place)
        if amount is None and not reader.text("amount", fields):
            reader.wrong("amount", fields, place, "write what is payable")
        credits_ = reader.money("credits", fields, place)
        if credits_ is not None and credits_ > 0:
            reader.wrong("credits", fields, place, "write credits as they are in the amount: below zero")
        period, account = reader.period(fields, place), reader.text("billing_account_id", fields)
        invoice = Invoice(
            id=reader.text("invoice_id", fields),
            issuer=reader.text("issuer", fields),
            currency=reader.currency(fields, place),
            status=reader.coded("status", fields, place, STATUSES, "Issued"),
            amount=amount or Decimal(0),
            position=place,
            tax=reader.money("tax", fields, place),
            credits=credits_,
            source=reader.given.source,
            periods=(period,) if period else (),
            accounts=(account,) if account else (),
            issued_on=reader.day(fields, place),
        )
        if len(reader.problems) > known:
            continue
        first = seen.setdefault((plain(invoice.issuer), invoice.id, invoice.currency), invoice)
        if first is invoice:
            yield invoice
        elif _stated(first) != _stated(invoice):
            what = f"invoice {invoice.id} stands already in line {first.position.line}, and says something else"
            reader.problems.append(Problem(place, "B134", what, "keep the row that is right"))


def _stated(invoice: Invoice) -> tuple[object, ...]:
    return (invoice.amount, invoice.tax, invoice.credits, invoice.status, invoice.periods, invoice.accounts)


def _focus_invoices(reader: _Reader, records: Records) -> Iterator[Invoice]:
    """Add up the lines of FOCUS Invoice Detail. Two equal lines are two lines, as two equal charges are two charges."""
    lines: dict[tuple[str, str, str], list[_Line]] = {}
    for line, fields in records:
        place = Position(reader.shown, line, 1)
        known = len(reader.problems)
        for name in ("invoice_id", "issuer"):
            if not reader.text(name, fields):
                reader.wrong(name, fields, place, "a line without it belongs to no invoice: export it again")
        amount = reader.money("amount", fields, place)
        if amount is None and not reader.text("amount", fields):
            reader.wrong("amount", fields, place, "every line has its BilledCost: export it again")
        made = _Line(
            amount or Decimal(0),
            reader.coded("category", fields, place, CATEGORIES, ""),
            reader.coded("status", fields, place, STATUSES, "Issued"),
            reader.period(fields, place),
            reader.text("billing_account_id", fields),
            reader.day(fields, place),
            place,
        )
        if not made.category and len(reader.problems) == known:
            reader.wrong("category", fields, place, "every line has its ChargeCategory: export it again")
        currency = reader.currency(fields, place)
        if len(reader.problems) == known:
            key = (reader.text("issuer", fields), reader.text("invoice_id", fields), currency)
            lines.setdefault(key, []).append(made)
    for (issuer, id_, currency), parts in lines.items():
        statuses = sorted({part.status for part in parts})
        if len(statuses) > 1:
            what = f"invoice {id_} has lines that are {' and '.join(statuses)}"
            reader.problems.append(
                Problem(parts[0].position, "B136", what, "an invoice has one status: export it again")
            )
            continue
        yield Invoice(
            id=id_,
            issuer=issuer,
            currency=currency,
            status=statuses[0],
            amount=_sum(parts, lambda part: True),
            position=parts[0].position,
            tax=_sum(parts, lambda part: part.category == "Tax"),
            credits=_sum(parts, lambda part: part.category == "Credit"),
            source=reader.given.source,
            lines=len(parts),
            periods=tuple(sorted({part.period for part in parts} - {""})),
            accounts=tuple(sorted({part.account for part in parts} - {""})),
            issued_on=max((part.issued_on for part in parts if part.issued_on), default=None),
        )


@dataclass(frozen=True, slots=True)
class _Line:
    amount: Decimal
    category: str
    status: str
    period: str
    account: str
    issued_on: date | None
    position: Position


def _sum(lines: Iterable[_Line], which: Callable[[_Line], bool]) -> Decimal:
    return money.total(line.amount for line in lines if which(line))


def _twice(invoices: Iterable[Invoice]) -> Iterator[Problem]:
    """Find an invoice that two files hold: it would be compared twice, or its lines would count twice."""
    seen: dict[tuple[str, str, str], list[Invoice]] = {}
    for one in invoices:
        others = seen.setdefault((plain(one.issuer), one.id, one.currency), [])
        if same := [other for other in others if "" in (one.source, other.source) or one.source == other.source]:
            what = f"invoice {one.id} stands already in {same[0].position}"
            yield Problem(one.position, "B135", what, "deliver an invoice in one file")
        others.append(one)
