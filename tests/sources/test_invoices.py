"""Invoices: FOCUS Invoice Detail and simple CSV, read exactly or refused with their place."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governor.config import InvoicesSource, load
from governor.model import Position, Refused
from governor.sources.invoices import Invoice, read_all

HEAD = "invoice_id,issuer,currency,amount,tax,credits,billing_period,issue_date,status,billing_account_id\n"
FOCUS = (
    "InvoiceId,InvoiceDetailId,InvoiceIssuerName,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargeCategory,BilledCost,InvoiceIssueDate,InvoiceIssueStatus\n"
)
MAY = "2026-05-01T00:00:00Z,2026-06-01T00:00:00Z"


def read(folder: Path, text: str, name: str = "invoices.csv", **given: Any) -> list[Invoice]:
    (folder / name).write_bytes(text.encode())
    source = InvoicesSource("inv", str(folder / name), Position("governor.yaml", 9, 5), **given)
    return list(read_all([source], folder).invoices)


def refused(folder: Path, text: str, **given: Any) -> list[str]:
    with pytest.raises(Refused) as caught:
        read(folder, text, **given)
    return [str(problem) for problem in caught.value.problems]


def test_a_row_is_an_invoice(tmp_path: Path) -> None:
    """Every field is read as written: text stays text, amounts keep every digit, a month is a month."""
    text = HEAD + "0042,Cloud Inc.,USD,112.4000,12.40,-3,2026-05,2026-06-03,issued,000123\n"
    [one] = read(tmp_path, text)
    assert (one.id, one.issuer, one.currency, one.status) == ("0042", "Cloud Inc.", "USD", "Issued")
    assert (one.amount, one.tax, one.credits) == (Decimal("112.40"), Decimal("12.40"), Decimal(-3))
    assert (one.periods, one.issued_on, one.accounts) == (("2026-05",), date(2026, 6, 3), ("000123",))


@pytest.mark.parametrize(
    "header",
    ["Invoice Number,Vendor,Currency Code,Total Amount", "INVOICE_ID,supplier,billingCurrency,invoice total"],
)
def test_headers_are_spelled_as_people_do(tmp_path: Path, header: str) -> None:
    """Case, blanks and the usual names don't matter; a column of another meaning is left aside."""
    [one] = read(tmp_path, f"\ufeff{header},Purchase Order\r\nA-1,Cloud,EUR,10,PO-7\r\n")
    assert (one.id, one.issuer, one.currency, one.amount) == ("A-1", "Cloud", "EUR", Decimal(10))
    assert (one.tax, one.credits, one.periods, one.status) == (None, None, (), "Issued")


def test_a_column_of_any_name_can_be_told(tmp_path: Path) -> None:
    """`columns`, `numbers` and `dates` say what can't be guessed."""
    text = 'Rechnung,currency,Total incl. VAT,total,Datum\nR-1,EUR,"1.234,56","1.000,00",03.06.2026\n'
    columns = {"invoice_id": "Rechnung", "amount": "Total incl. VAT", "issue_date": "Datum"}
    [one] = read(tmp_path, text, columns=columns, numbers="eu", dates="%d.%m.%Y")
    assert (one.id, one.amount, one.issued_on) == ("R-1", Decimal("1234.56"), date(2026, 6, 3))


def test_invoice_detail_adds_up_its_lines(tmp_path: Path) -> None:
    """FOCUS is told by its header; equal lines are lines; tax and credits are those of their category."""
    line = f"INV-1,D1,Cloud,000123,USD,{MAY},Usage,50.005,2026-06-03,Issued\n"
    text = FOCUS + line + line + line.replace("Usage,50.005", "Tax,9.5").replace("D1", "D2")
    text += line.replace("Usage,50.005", "Credit,-1.25") + line.replace("INV-1", "INV-2").replace("Issued", "Open")
    one, other = read(tmp_path, text)
    assert (one.amount, one.tax, one.credits, one.lines) == (Decimal("108.26"), Decimal("9.5"), Decimal("-1.25"), 4)
    assert (one.periods, one.accounts, one.issued_on) == (("2026-05",), ("000123",), date(2026, 6, 3))
    assert (other.id, other.status, other.amount) == ("INV-2", "Open", Decimal("50.005"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",Cloud,USD,1,,,,,,", "invoices.csv:2:1 B133 invoice_id is empty; every invoice has a number; leave out what is none"),
        ("A,Cloud,usd,1,,,,,,", 'invoices.csv:2:1 B133 currency "usd" is not valid; write the three-letter code, as USD'),
        ("A,Cloud,USD,,,,,,,", "invoices.csv:2:1 B133 amount is empty; write what is payable"),
        ("A,Cloud,USD,1,,3,,,,", 'invoices.csv:2:1 B133 credits "3" is not valid; write credits as they are in the amount: below zero'),
        ("A,Cloud,USD,1,,,05/2026,,,", 'invoices.csv:2:1 B133 billing_period "05/2026" is not valid; write YYYY-MM, as 2026-05'),
        ("A,Cloud,USD,1,,,,2026-02-30,,", 'invoices.csv:2:1 B133 issue_date "2026-02-30" is not valid; write YYYY-MM-DD, or say how with `dates:`'),
        ("A,Cloud,USD,1,,,,,paid,", 'invoices.csv:2:1 B133 status "paid" is not valid; write one of Issued, Open, Voided'),
    ],
)  # fmt: skip
def test_a_value_that_can_not_be_read_is_refused_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    """What an invoice says is never guessed."""
    assert refused(tmp_path, f"{HEAD}{row}\n") == [said]


@pytest.mark.parametrize("amount", ['"1,234.56"', "$12.40", "12.4.0", "NaN", "1e99", "1234,56".replace(",", "'")])
def test_an_amount_is_exact_or_refused(tmp_path: Path, amount: str) -> None:
    """Separators and signs of money are read only when `numbers` says whose they are."""
    [said] = refused(tmp_path, f"{HEAD}A,Cloud,USD,{amount},,,,,,\n")
    assert "invoices.csv:2:1 B133 amount" in said
    assert "numbers: us" in said


def test_two_amounts_of_one_invoice_are_refused_and_the_same_row_twice_is_one(tmp_path: Path) -> None:
    """A copied row is no second invoice; which of two amounts is right, nobody but its owner knows."""
    row = "A,Cloud,USD,1,,,,,,\n"
    assert len(read(tmp_path, HEAD + row + row)) == 1
    [said] = refused(tmp_path, HEAD + row + row.replace("USD,1", "USD,2"))
    assert said.startswith("invoices.csv:3:1 B134 invoice A stands already in line 2")


def test_an_invoice_in_two_files_is_refused(tmp_path: Path) -> None:
    """Its lines would count twice."""
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "a.csv").write_text(HEAD + "A,Cloud,USD,1,,,,,,\n")
    (folder / "b.csv").write_text(HEAD + "A,CLOUD,USD,1,,,,,,\n")
    with pytest.raises(Refused, match=r"all/b.csv:2:1 B135 invoice A stands already in all/a.csv:2:1"):
        read_all([InvoicesSource("inv", str(folder), Position("governor.yaml"))], tmp_path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("invoice_id,currency", "invoices.csv:1:1 B132 has no column for amount"),
        ("invoice_id,currency,amount,total", "invoices.csv:1:1 B132 has several columns for amount: amount and total"),
        ("invoice_id;currency;amount", "invoices.csv:1:1 B132 has no column for"),
    ],
)
def test_a_header_that_can_mean_two_things_is_refused(tmp_path: Path, header: str, said: str) -> None:
    """It says which column, and how to tell."""
    assert refused(tmp_path, f"{header}\n")[0].startswith(said)


def test_lines_of_one_invoice_have_one_status(tmp_path: Path) -> None:
    """An invoice that is open and issued at once is an export that went wrong."""
    line = f"INV-1,D1,Cloud,000123,USD,{MAY},Usage,1,2026-06-03,Issued\n"
    [said] = refused(tmp_path, FOCUS + line + line.replace("Issued", "Voided"))
    assert "B136 invoice INV-1 has lines that are Issued and Voided" in said


ROWS = HEAD + "0042,Cloud Inc.,USD,112.4000,12.40,-3,2026-05,2026-06-03,issued,000123\n"


def test_gzipped_csv_and_parquet_say_the_same_as_csv(tmp_path: Path) -> None:
    """Texts, decimals and days of a Parquet file, and what is in a gzip file, are what the CSV holds."""
    [expected] = read(tmp_path, ROWS)
    [unpacked] = read_file(tmp_path, "packed.csv.gz", gzip.compress(ROWS.encode()))
    assert replace(unpacked, position=expected.position) == expected
    names = HEAD.strip().split(",")
    values = ["0042", "Cloud Inc.", "USD", Decimal("112.4000"), 12.4, -3, "2026-05", date(2026, 6, 3), None, "000123"]
    columns = {name: pa.array([value]) for name, value in zip(names, values, strict=True)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    [typed] = read_file(tmp_path, "typed.parquet", buffer.getvalue())
    assert replace(typed, position=expected.position) == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv.gz", gzip.compress(ROWS.encode(), mtime=0)[:-9], "a.csv.gz B006 is a broken gzip file"),
        ("a.csv.gz", gzip.compress(b"PAR1", mtime=0), "a.csv.gz R002 is Parquet, not CSV"),
        ("a.parquet", b"PAR1 and no more", "a.parquet R002 is no readable Parquet file"),
        ("a.json", b"{}", "a.json B132 invoices are read from CSV, CSV.gz and Parquet files"),
    ],
)
def test_a_file_of_invoices_that_can_not_be_read_is_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(Refused) as caught:
        read_file(tmp_path, name, content)
    assert str(caught.value.problems[0]).startswith(said)


def read_file(folder: Path, name: str, content: bytes) -> list[Invoice]:
    (folder / name).write_bytes(content)
    return list(read_all([InvoicesSource("inv", str(folder / name), Position("governor.yaml", 9, 5))], folder).invoices)


def test_governor_yaml_names_invoices_and_tolerances(tmp_path: Path) -> None:
    """A source that doesn't exist is refused with what was meant; so is a second input of the same name."""
    start = "version: 1\norganization: A\nreporting_currency: USD\nbilling:\n  - name: aws\n    format: focus\n    path: b\n"
    start += '    tie_out: {tolerance: "0.05", accept: [tax]}\n'
    path = tmp_path / "governor.yaml"
    path.write_text(f"{start}invoices:\n  - {{name: i, path: inv, source: aws}}\n")
    config = load(path)
    assert config.billing[0].tie_out.tolerance == Decimal("0.05")
    assert (config.invoices[0].source, config.invoices[0].path) == ("aws", str(tmp_path / "inv"))
    path.write_text(f"{start}invoices:\n  - {{name: i, path: inv, source: asw}}\n  - {{name: i, path: inv}}\n")
    with pytest.raises(Refused) as caught:
        load(path)
    assert [problem.code for problem in caught.value.problems] == ["B131", "B130"]
    assert "aws" in caught.value.problems[0].mend
