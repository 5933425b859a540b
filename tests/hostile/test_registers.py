"""Registers that a spreadsheet, an editor or an enemy has made: refused with place, code and mend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from governor.config import Register
from governor.model import Position, Refused
from governor.sources import csv_records
from governor.sources.registers import read, read_all

CENTERS = "id,name\nCC-1,Shop\n"
NOT_CSV = "the record that begins here is not CSV: "
DAMAGE = ": a spreadsheet has put that in place of the value"

BAD_BYTES = [
    (b"", "R003", "the file is empty"),
    (b"\xef\xbb\xbf\n \n,\n", "R003", "the file is empty"),
    (CENTERS.encode("utf-16"), "R002", "is UTF-16 or UTF-32, not UTF-8"),
    (CENTERS.encode("utf-16-be"), "R002", "is UTF-16 or UTF-32, not UTF-8"),
    (CENTERS.encode("utf-32"), "R002", "is UTF-16 or UTF-32, not UTF-8"),
    ("id,name\nCC-1,Shöp\n".encode("latin-1"), "R002", "is not UTF-8: byte 0xf6"),
    (b"PK\x03\x04rest", "R002", "is a zip archive or an Excel workbook, not CSV"),
    (b"\x1f\x8b\x08rest", "R002", "is gzip-compressed, not CSV"),
    (b"PAR1rest", "R002", "is Parquet, not CSV"),
    (b'"id,name\nCC-1,Shop\n', "R004", NOT_CSV + "unexpected end of data"),
    (b'id,name\nCC-1,"Shop\nCC-2,x\n', "R004", NOT_CSV + "unexpected end of data"),
    (b'id,name\nCC-1,"Shop" x\n', "R004", NOT_CSV + "',' expected after '\"'"),
    (b"id,name\nCC-1," + b"x" * 200_000, "R004", NOT_CSV + "a line of more than 100,000 characters"),
    (b"id,name\nCC-1," + b"x" * 10_000, "R026", "field 2 has 10,000 characters; a value has at most 1,000"),
    (b"id,name\nCC-1,Sh\x00op\n", "R006", "field 2 holds the invisible character U+0000"),
    (b"id,name\nCC-1,\x1b]8;;http://evil.example\x07x\n", "R006", "field 2 holds the invisible character U+001B"),
    ("id,name\nCC-1,\u202epohS\n".encode(), "R006", "field 2 holds the invisible character U+202E"),
    ("id,name\nCC\u200b-1,Shop\n".encode(), "R006", "field 1 holds the invisible character U+200B"),
    ("id,na\u2066me\nCC-1,Shop\n".encode(), "R006", "field 2 holds the invisible character U+2066"),
    (b"id,name\n1.23457E+12,Shop\n", "R007", 'field 1 is "1.23457E+12"' + DAMAGE),
    (b'id,name\n"1,23457E+12",Shop\n', "R007", 'field 1 is "1,23457E+12"' + DAMAGE),
    (b"id,name\nCC-1,#N/A\n", "R007", 'field 2 is "#N/A"' + DAMAGE),
    (b"id,name\nCC-1,########\n", "R007", 'field 2 is "########"' + DAMAGE),
    (b"id,name\n46023\n", "R005", "1 field where the header has 2"),
]  # fmt: skip


def cost_centers(file: Path) -> Register:
    return Register("cost_centers", file, "id", Position(str(file.parent / "governor.yaml"), 3, 1))


@pytest.mark.parametrize(("data", "code", "what"), BAD_BYTES, ids=[f"{n}-{e[1]}" for n, e in enumerate(BAD_BYTES)])
def test_bytes_that_are_no_register_are_refused_with_the_reason(
    data: bytes, code: str, what: str, tmp_path: Path
) -> None:
    file = tmp_path / "centers.csv"
    file.write_bytes(data)
    with pytest.raises(Refused) as refused:
        read(cost_centers(file))
    [problem] = refused.value.problems
    assert (problem.code, problem.what, problem.position.file) == (code, what, "centers.csv")
    assert problem.mend


def test_ids_that_only_look_like_numbers_are_kept(tmp_path: Path) -> None:
    """`1e5` and `12E4` are the beginnings of hashes as often as numbers; a spreadsheet writes a plus."""
    file = tmp_path / "centers.csv"
    file.write_text("id,name\n1e5,a\n12E4,b\n-,c\n=1+1,d\n")
    assert [row["id"] for row in read(cost_centers(file)).rows] == ["-", "12E4", "1e5", "=1+1"]


def test_what_is_not_a_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(csv_records.MOST_BYTES + 1)
    many = tmp_path / "many"
    many.write_text("id,name\n" + "\n" * csv_records.MOST_LINES)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    said = {}
    for file in (tmp_path / "absent", folder, pipe, big, many, loop):
        with pytest.raises(Refused) as refused:
            read(cost_centers(file))
        [said[file.name]] = [(p.code, p.what) for p in refused.value.problems]
    assert said == {
        "absent": ("R001", "no such file"),
        "folder": ("R001", "is a folder"),
        "pipe": ("R001", "is not a regular file"),
        "big": ("R001", "has 16,777,217 bytes; a register has at most 16 MB"),
        "many": ("R001", "has more than 300,000 lines"),
        "loop": ("R001", "can't be read: Too many levels of symbolic links"),
    }


def test_a_deep_chain_of_parents_is_walked_without_recursion(tmp_path: Path) -> None:
    file = tmp_path / "centers.csv"
    depth = 5_000
    chain = "".join(f"C{n},C{n + 1}\n" for n in range(depth))
    file.write_text(f"id,parent\n{chain}C{depth},\n")
    assert len(read(cost_centers(file)).rows) == depth + 1
    file.write_text(f"id,parent\n{chain}C{depth},C0\n")
    with pytest.raises(Refused) as refused:
        read(cost_centers(file))
    [problem] = refused.value.problems
    assert problem.code == "R025"
    assert problem.what.startswith("the parents run in a circle: C0 > C1 > C2")


def test_a_bad_file_of_the_largest_size_is_refused_without_filling_the_memory(tmp_path: Path) -> None:
    """Bad records are told to the hundredth and read no further, and so are accounts of unknown cost centers."""
    file = tmp_path / "centers.csv"
    file.write_text("id,name\n" + "x\n" * 299_000)
    with pytest.raises(Refused) as refused:
        read(cost_centers(file))
    assert len(refused.value.problems) == csv_records.MOST_PROBLEMS + 1
    file.write_text(CENTERS + "".join(f"CC-{n:06d},Shop\n" for n in range(5_000)))
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("account_id,cost_center\n" + "".join(f"{n},CC_{n % 200:06d}\n" for n in range(50_000)))
    registers = {
        "cost_centers": cost_centers(file),
        "accounts": Register("accounts", accounts, "account_id", Position(str(tmp_path / "governor.yaml"), 3, 1)),
    }
    assert len(read_all(registers).warnings) == csv_records.MOST_PROBLEMS + 1
