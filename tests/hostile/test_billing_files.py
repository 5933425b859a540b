"""Bad billing files are refused, or their bad rows set aside: with place, code, reason and mend; no row is ever lost."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governor.config import BillingSource
from governor.engine.ingest import ingest
from governor.model import Position, Refused
from governor.sources.billing import files
from tests.bills import ROW, charges, first, refused, rejects, rows, tags, take, to_csv, to_parquet

HEADER = ",".join(ROW)
GOOD = '1,1,1,1,a,USD,2026-09-01,2026-10-01,2026-09-02,2026-09-03,Usage,d,s,7,"{}"'


def body(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


WHOLE_FILES = {
    "empty.csv": (b"", "empty.csv B004 is empty (0 bytes)"),
    "header.csv": (body(), "governor.yaml:7:5 B023 holds no charge: header.csv has a header only"),
    "page.csv": (b"<!DOCTYPE html><html>sign in</html>", "page.csv B005 holds HTML or XML"),
    "bom_page.csv": (b"\xef\xbb\xbf\n <html>", "bom_page.csv B005 holds HTML or XML"),
    "bill.csv": (b'{"BilledCost": 1}', "bill.csv B005 is named .csv and holds json"),
    "list.json": (b'[{"BilledCost": 1}]', "list.json B005 holds one JSON array; a bill as JSON has one object a line"),
    "wide.csv": ("BilledCost,x\n1,2\n".encode("utf-16"), "wide.csv B005 holds UTF-16 text; save it as UTF-8"),
    "blob.csv": (b"BilledCost\x00\x01\x02", "blob.csv B005 holds binary data"),
    "latin.csv": ("Größe,BilledCost\n1,2\n".encode("latin-1"), "latin.csv:1:1 B009 isn't UTF-8 text"),
    "packed.csv": (gzip.compress(body(GOOD)), "packed.csv B005 is named .csv and holds gzip; rename it"),
    "text.parquet": (body(GOOD), "text.parquet B005 is named .parquet and holds csv"),
    "plain.csv.gz": (body(GOOD), "plain.csv.gz B005 is named .gz and holds csv"),
    "cut.csv.gz": (gzip.compress(body(*[GOOD] * 99))[:-9], "cut.csv.gz B006 is a broken gzip file"),
    "bent.csv.gz": (gzip.compress(body(GOOD))[:20] + b"!" * 50, "bent.csv.gz B006 is a broken gzip file"),
    "page.csv.gz": (gzip.compress(b"<html>"), "page.csv.gz B005 holds HTML or XML"),
    "nothing.csv.gz": (gzip.compress(b""), "nothing.csv.gz B004 is empty (0 bytes)"),
    "cut.parquet": (b"PAR1" + b"x" * 50, "cut.parquet B010 is no readable Parquet file"),
    "words.csv": (b"hello world\n", "words.csv:1:1 B013 isn't a FOCUS file: 0 of its 1 columns have FOCUS names"),
    "endless.csv": (b"a" * (files.HEADER_BYTES_MAX + 10), "endless.csv:1:1 B011 has no line of column names"),
    "typo.csv": (HEADER.replace("BilledCost", "BiledCost").replace("EffectiveCost", "Effective").encode() + b"\n", "'BiledCost' is close to BilledCost"),
    "quote.csv": (body(GOOD, '1,"1,1', GOOD, GOOD), "quote.csv:3:1 B024 row 2: a quote isn't closed; the rows in lines 3 to 4 can't be told apart"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_that_is_no_bill_is_refused_with_the_reason(name, tmp_path):
    content, says = WHOLE_FILES[name]
    (tmp_path / name).write_bytes(content)
    [said] = refused(name, tmp_path)
    assert says in said
    assert "Traceback" not in said


def test_every_bad_file_of_a_source_is_named_at_once(tmp_path):
    for name in ("empty.csv", "page.csv", "cut.parquet"):
        (tmp_path / "bill").mkdir(exist_ok=True)
        (tmp_path / "bill" / name).write_bytes(WHOLE_FILES[name][0])
    to_csv(tmp_path / "bill" / "good.csv", rows({}))
    assert [said.split()[0] for said in refused("bill", tmp_path)] == [
        "bill/cut.parquet",
        "bill/empty.csv",
        "bill/page.csv",
    ]


def test_a_gzip_bomb_is_refused_while_it_unpacks(tmp_path):
    """Only so much is unpacked as it takes to know."""
    with gzip.open(tmp_path / "bomb.csv.gz", "wb") as bomb:
        bomb.write(body(GOOD))
        for _ in range(80):
            bomb.write(b"0" * (1 << 20))
    [said] = refused("bomb.csv.gz", tmp_path)
    assert "bomb.csv.gz B007 unpacks to more than 67,108,864 bytes" in said


def test_a_parquet_file_that_claims_absurd_rows_is_refused(tmp_path):
    nulls = {name: pa.nulls(3_000_000, pa.string()) for name in ROW}
    pq.write_table(pa.table(nulls), tmp_path / "bomb.parquet", row_group_size=3_000_000)
    [said] = refused("bomb.parquet", tmp_path)
    assert "bomb.parquet B007 claims 3,000,000 rows" in said


def test_a_parquet_file_of_another_schema_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "other.parquet")
    assert "other.parquet:1:1 B013 isn't a FOCUS file" in refused("other.parquet", tmp_path)[0]
    path = to_parquet(tmp_path / "types.parquet", rows({"BilledCost": [1]}), BilledCost=pa.list_(pa.int64()))
    assert "types.parquet B016 BilledCost can't be read: it is a BIGINT[] column" in refused(path, tmp_path)[0]
    path = to_parquet(tmp_path / "epoch.parquet", rows({"ChargePeriodStart": 1}), ChargePeriodStart=pa.int64())
    assert "epoch.parquet B016 ChargePeriodStart can't be read: it is a BIGINT column" in refused(path, tmp_path)[0]


def test_broken_pages_of_a_parquet_file_are_found_and_the_file_named(tmp_path):
    table = rows(*({"ChargeDescription": f"line {n} of the bill"} for n in range(2_000)))
    to_parquet(tmp_path / "bill" / "good.parquet", table)
    path = to_parquet(tmp_path / "bill" / "bad.parquet", [row | {"ServiceName": "x"} for row in table])
    content = bytearray(path.read_bytes())
    content[4:2_000] = b"\xff" * 1_996
    path.write_bytes(content)
    [said] = refused("bill", tmp_path)
    assert said.startswith("bill/bad.parquet B010")


def test_a_path_that_leads_nowhere_is_refused_with_a_near_name(tmp_path):
    to_csv(tmp_path / "bill.csv", rows({}))
    assert refused("bil.csv", tmp_path) == [
        "governor.yaml:7:5 B001 there is no file or folder 'bil.csv'; did you mean 'bill.csv'?"
    ]
    assert "B001 there is no file or folder 'x/*.csv'" in refused("x/*.csv", tmp_path)[0]


def test_a_folder_without_data_names_what_it_left_aside(tmp_path):
    (tmp_path / "bill").mkdir()
    assert "B001 there is no data file in 'bill'" in refused("bill", tmp_path)[0]
    (tmp_path / "bill" / "Manifest.json").write_text("{}")
    (tmp_path / "bill" / ".hidden.csv").write_bytes(body(GOOD))
    [said] = refused("bill", tmp_path)
    assert "left aside: bill/.hidden.csv, bill/Manifest.json" in said


def test_what_may_hide_charges_is_refused_not_ignored(tmp_path):
    to_csv(tmp_path / "bill" / "a.csv", rows({}))
    with zipfile.ZipFile(tmp_path / "bill" / "b.csv.zip", "w") as archive:
        archive.writestr("b.csv", "x")
    (tmp_path / "bill" / "c.xlsx").write_bytes(b"PK\x03\x04")
    (tmp_path / "bill" / "_delta_log").mkdir()
    assert [said[:24] for said in refused("bill", tmp_path)] == [
        "bill/_delta_log B008 mar",
        "bill/b.csv.zip B008 can'",
        "bill/c.xlsx B008 can't b",
    ]


def test_pipes_and_links_are_not_followed(tmp_path):
    """A pipe never ends, a link may lead out of the folder, and one inside would count its target twice."""
    to_csv(tmp_path / "else" / "secret.csv", rows({}))
    to_csv(tmp_path / "bill" / "a.csv", rows({}))
    os.mkfifo(tmp_path / "bill" / "pipe.csv")
    (tmp_path / "bill" / "out.csv").symlink_to(tmp_path / "else" / "secret.csv")
    (tmp_path / "bill" / "folder").symlink_to(tmp_path / "else")
    (tmp_path / "bill" / "again.csv").symlink_to(tmp_path / "bill" / "a.csv")
    (tmp_path / "bill" / "broken.csv").symlink_to(tmp_path / "bill" / "gone.csv")
    said = {line.split()[0]: line for line in refused("bill", tmp_path)}
    assert sorted(said) == ["bill/again.csv", "bill/broken.csv", "bill/folder", "bill/out.csv", "bill/pipe.csv"]
    assert "B002 isn't a regular file" in said["bill/pipe.csv"]
    assert "outside of the folder" in said["bill/out.csv"]
    assert "outside of the folder" in said["bill/folder"]
    (tmp_path / "named.csv").symlink_to(tmp_path / "else" / "secret.csv")
    assert len(charges(take("named.csv", tmp_path))) == 1, "a link that the configuration names is meant"
    assert "B002" in refused("bill/pipe.csv", tmp_path)[0]


def test_the_same_bytes_twice_are_refused(tmp_path):
    to_csv(tmp_path / "bill" / "a.csv", rows({}))
    to_csv(tmp_path / "bill" / "b.csv", rows({}))
    [said] = refused("bill", tmp_path)
    assert said.startswith("bill/b.csv B019 holds the same bytes as bill/a.csv")


@pytest.mark.parametrize("other", ["a.csv.gz", "b/a.csv.gz"])
def test_a_packed_copy_of_a_file_is_refused(other, tmp_path):
    """As `gunzip -k` leaves one, or another program packs it; files that only have one size are two."""
    text = to_csv(tmp_path / "bill" / "a.csv", rows({})).read_bytes()
    packed = tmp_path / "bill" / other
    packed.parent.mkdir(exist_ok=True)
    for content in (text, text.replace(b"1.25", b"1.35")):
        packed.write_bytes(gzip.compress(content))
        if content == text:
            [said] = refused("bill", tmp_path)
            assert "B019 holds the same bytes as bill/" in said
        else:
            assert len(charges(take("bill", tmp_path))) == 2
    (tmp_path / "bill" / "a.csv").unlink()
    (tmp_path / "bill" / "c.csv.gz").write_bytes(gzip.compress(text.replace(b"1.25", b"1.35"), 1))
    assert len(refused("bill", tmp_path)) == 1


def test_a_header_without_rows_beside_other_files_is_fine(tmp_path):
    to_csv(tmp_path / "bill" / "a.csv", rows({}))
    (tmp_path / "bill" / "b.csv").write_text(HEADER + "\n")
    to_parquet(tmp_path / "bill" / "c.parquet", rows({}))
    pq.write_table(pq.read_table(tmp_path / "bill" / "c.parquet").slice(1), tmp_path / "bill" / "c.parquet")
    assert [f.rows for f in take("bill", tmp_path).files] == [1, 0, 0]


def _disturbed(tmp_path: Path, when: str, disturb) -> list[str]:
    """Ingest a bill and disturb its files when progress says that a stage begins."""
    (tmp_path / "out").mkdir()
    source = BillingSource("bill", "focus", "bill", Position("governor.yaml", 7, 5))

    def progress(what: str, _done: int, _total: int) -> None:
        if what == when:
            disturb()

    with pytest.raises(Refused) as error:
        ingest(source, tmp_path, tmp_path / "out", progress=progress)
    return [str(problem) for problem in error.value.problems]


def test_a_file_that_disappears_is_refused(tmp_path):
    to_csv(tmp_path / "bill" / "a.csv", rows({}))
    path = to_csv(tmp_path / "bill" / "b.csv", rows({"BilledCost": "2"}))
    said = _disturbed(tmp_path, "read", lambda: path.unlink(missing_ok=True))
    assert said == ["bill/b.csv B018 can't be read: No such file or directory"]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    path = to_csv(tmp_path / "bill" / "a.csv", rows({}))
    said = _disturbed(tmp_path, "write", lambda: path.write_bytes(path.read_bytes() + b"\n"))
    assert said == ["bill/a.csv B018 changed while it was read; run again when it is complete"]


def test_bad_rows_are_set_aside_and_the_others_kept_with_their_numbers(tmp_path):
    """Too few or too many fields, broken quotes, broken UTF-8: each row by its number; empty lines are no rows."""
    lines = [
        GOOD,
        "1,2,3",
        "",
        GOOD,
        GOOD + ",extra,",
        '1,"a"b,1',
        GOOD,
        GOOD.replace(",d,", ",\udce9,"),
        GOOD + ",",
        HEADER,
        GOOD,
    ]
    path = tmp_path / "b.csv"
    path.write_bytes("\n".join([HEADER, *lines]).encode("utf-8", "surrogateescape"))
    delivery = take(path, tmp_path)
    assert [(r["row"], r["code"], r["column"]) for r in rejects(delivery)] == [
        (2, "B044", None),
        (4, "B044", None),
        (5, "B045", None),
        (7, "B046", None),
        (9, "B040", "BilledCost"),
    ]
    assert rejects(delivery)[2]["value"] == '1,"a"b,1\n'
    assert rejects(delivery)[0]["reason"] == f"has 3 fields, the header has {len(ROW)}"
    assert [row["row"] for row in charges(delivery)] == [1, 3, 6, 8, 10]
    assert (delivery.files[0].rows, delivery.files[0].rejected) == (10, 5)
    assert sum(gap.rows for gap in delivery.gaps) == 5


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_line_ends_and_delimiters_are_told_from_the_header(end, delimiter, tmp_path):
    table = rows({"ChargeDescription": f'a{delimiter}b "c"\r\nd'}, {})
    delivery = take(to_csv(tmp_path / "b.csv", table, lineterminator=end, delimiter=delimiter), tmp_path)
    assert [row["charge_description"] for row in charges(delivery)] == [f'a{delimiter}b "c"\r\nd', "an hour"]


def test_mixed_line_ends_lose_nothing(tmp_path):
    (tmp_path / "b.csv").write_bytes((HEADER + "\r\n" + GOOD + "\n" + GOOD + "\r\n" + GOOD).encode())
    assert [row["row"] for row in charges(take("b.csv", tmp_path))] == [1, 2, 3]


def test_values_are_data_whatever_they_say(tmp_path):
    """Quotes, SQL, markup, control characters and bidirectional overrides go through unchanged, and nowhere else."""
    nasty = "'); DROP TABLE charges; --\x1b[31m<script>\u202e=HYPERLINK(1){{x}}[/x]"
    table = rows({"ChargeDescription": nasty, "SubAccountId": nasty, nasty: nasty, "Tags": ""})
    delivery = take(to_csv(tmp_path / "b'; --.csv", table), tmp_path, columns=frozenset({nasty, "c0", 'x_"'}))
    assert first(delivery, "charge_description") == nasty
    assert first(delivery, "sub_account_id") == nasty
    assert delivery.files[0].path == "b'; --.csv"


def test_a_tag_set_of_hostile_keys_stays_as_delivered(tmp_path):
    raw = '{"a\\u0000b": "\\n::error", "\\"": "\\u202e", "": "empty key"}'
    delivery = take(to_csv(tmp_path / "b.csv", rows({"Tags": raw})), tmp_path)
    [text] = tags(delivery)
    assert dict(pq.read_table(delivery.tag_sets)["tags"][0].as_py()) == json.loads(raw)
    assert text == '{"":"empty key","\\"":"\u202e","a\\u0000b":"\\n::error"}'


def test_a_reject_keeps_at_most_two_hundred_characters(tmp_path):
    delivery = take(to_csv(tmp_path / "b.csv", rows({"BilledCost": "x" * 5_000}, {})), tmp_path)
    assert rejects(delivery)[0]["value"] == "x" * 200


def test_a_bill_that_adds_up_to_the_absurd_is_refused(tmp_path):
    """Each amount fits, their sum doesn't."""
    [said] = refused(to_csv(tmp_path / "b.csv", rows(*[{"BilledCost": "9" * 14}] * 3)), tmp_path)
    assert "B041 adds up to more than 14 digits" in said


def test_rejected_rows_are_part_of_the_control_totals(tmp_path):
    """What is kept and what is set aside add up to the file, for every money column."""
    table = rows({}, {"ListCost": "x"}, {"ChargePeriodStart": ""}, {"EffectiveCost": "?"})
    delivery = take(to_csv(tmp_path / "b.csv", table), tmp_path)
    assert [(r["row"], r["column"], r["cost"]) for r in rejects(delivery)] == [
        (2, "ListCost", Decimal("1.5")),
        (3, "ChargePeriodStart", Decimal("1.5")),
        (4, "EffectiveCost", None),
    ]
    assert len(charges(delivery)) == 1
