"""governor collect billing: all that a bill holds, in one form; nothing judged, nothing committed."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest

from governor.collect import Collected, Options, collect
from governor.config import load
from governor.evidence import canonical
from governor.model import Refused
from governor.schema import read_schema
from tests.bills import rejects, rows, to_csv, to_parquet
from tests.bills import take as ingested
from tests.test_cli import governor


def project(folder: Path, *sources: str, extra: str = "") -> Path:
    """Write a governor.yaml with these billing sources."""
    listed = "\n".join(f"  - {source}" for source in sources)
    config = folder / "governor.yaml"
    config.write_text(f"version: 1\norganization: Acme\nreporting_currency: USD\nbilling:\n{listed}\n{extra}")
    return config


def take(config: Path, *names: str, **options: Any) -> Collected:
    return collect(load(config), config.parent / "collected", names, Options(**options))


def test_every_column_of_the_bill_is_kept(tmp_path: Path) -> None:
    """FOCUS columns that no policy names and the provider's own; what the bill lacks isn't made, a name twice is none."""
    own = {"x_UsageType": "u", "oci_Compartment": "c", "x_Twice": "1", "X_twice": "2", "Comment": "nobody's column"}
    to_csv(tmp_path / "bill.csv", rows({"SkuId": "S1", "PricingQuantity": "7", **own}))
    collected = take(project(tmp_path, "{name: aws, path: bill.csv}"))
    [charge] = pq.read_table(collected.folder / "aws/charges.parquet").to_pylist()
    assert (charge["sku_id"], charge["pricing_quantity"]) == ("S1", Decimal(7))
    assert {name: charge[name] for name in charge if name.startswith(("x_", "oci_"))} == {
        "x_usage_type": "u",
        "oci_compartment": "c",
    }
    assert not {"comment", "consumed_quantity", "sku_meter"} & charge.keys()


def test_a_column_beside_the_core_loses_no_charge(tmp_path: Path) -> None:
    """A quantity that is none, and one too large to keep: the charges and their cost stand, the gap says what is empty.

    Quantities whose sum is beyond all money are no reason to refuse a bill; a run that decides by one who pays is as strict as ever.
    """
    huge = {"ConsumedQuantity": "99999999999999"}
    bill = rows(huge, huge, {"ConsumedQuantity": "1234567890123456"}, {"ConsumedQuantity": "many"})
    to_csv(tmp_path / "a.csv", bill)
    collected = take(project(tmp_path, "{name: aws, path: a.csv}"))
    charges = pq.read_table(collected.folder / "aws/charges.parquet").to_pylist()
    kept = Decimal(99999999999999)
    assert [charge["consumed_quantity"] for charge in charges] == [kept, kept, None, None]
    assert [(g.scope, g.reason, g.rows) for g in collected.gaps] == [("ConsumedQuantity", "unreadable_value", 2)]
    assert collected.incomplete
    asked = ingested(tmp_path / "a.csv", tmp_path, columns=frozenset({"ConsumedQuantity"}))
    assert [(reject["row"], reject["code"]) for reject in rejects(asked)] == [(3, "B041"), (4, "B040")]


def test_the_summary_is_evidence(tmp_path: Path) -> None:
    """collected.json is canonical, follows its schema, and names the bytes that were read and written."""
    bill = to_csv(
        tmp_path / "bill.csv", rows({"BilledCost": "1.10"}, {"BilledCost": "oops"}, {"BillingCurrency": "EUR"})
    )
    collected = take(project(tmp_path, "{name: aws, path: bill.csv}"))
    data = (collected.folder / "collected.json").read_bytes()
    content = json.loads(data)
    assert canonical(content) == data
    jsonschema.validate(content, read_schema("collected.json"))
    [source] = content["sources"]
    [file] = source["files"]
    assert file["sha256"] == hashlib.sha256(bill.read_bytes()).hexdigest()
    assert (file["rows"], file["rejected"]) == (3, 1)
    totals = {t["currency"]: (t["rows"], t["billed_cost"], t["effective_cost"]) for t in source["totals"]}
    assert totals == {"USD": (1, "1.10", "1.50"), "EUR": (1, "1.25", "1.50")}
    assert [gap["reason"] for gap in source["gaps"]] == ["rejected_rows"]
    assert content["complete"] is False
    for written in source["written"]:
        path = collected.folder / written["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == written["sha256"]
        assert pq.read_metadata(path).num_rows == written["rows"]


def test_the_same_bill_is_the_same_bytes(tmp_path: Path) -> None:
    """Collected twice, with another number of threads: not a byte differs."""
    to_csv(tmp_path / "bill.csv", rows(*({"BilledCost": str(n)} for n in range(50))))
    config = project(tmp_path, "{name: aws, path: bill.csv}")
    seen = []
    for threads in (1, 2):
        folder = take(config, threads=threads).folder
        seen.append({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert seen[0] == seen[1]


def test_a_refused_source_is_said_and_the_others_are_written(tmp_path: Path) -> None:
    """Exit 3 of the command: what could be read is there, what couldn't is named, no folder of it stays."""
    to_csv(tmp_path / "good.csv", rows({}))
    (tmp_path / "bad.csv").write_text("<html>")
    sources = ("{name: good, path: good.csv}", "{name: bad, path: bad.csv}")
    collected = take(project(tmp_path, *sources))
    assert collected.incomplete
    assert sorted(p.name for p in collected.folder.iterdir()) == ["collected.json", "good"]
    assert [p["code"] for p in collected.content["refused"]] == ["B005"]
    assert [s["source"] for s in collected.content["sources"]] == ["good"]


def test_when_nothing_can_be_read_what_stood_there_stays(tmp_path: Path) -> None:
    """Exit 2 of the command: refused with the reason, and the last good collection is untouched."""
    to_csv(tmp_path / "bill.csv", rows({}))
    config = project(tmp_path, "{name: aws, path: bill.csv}")
    before = (take(config).folder / "collected.json").read_bytes()
    (tmp_path / "bill.csv").write_text("")
    with pytest.raises(Refused, match="B004"):
        take(config)
    assert (tmp_path / "collected/collected.json").read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_sources_can_be_named(tmp_path: Path) -> None:
    """Only what is asked for is read, and the folder holds that; a typo is answered with the name that was meant."""
    to_csv(tmp_path / "a.csv", rows({}))
    config = project(tmp_path, "{name: aws, path: a.csv}", "{name: gone, path: nowhere.csv}")
    assert [s["source"] for s in take(config, "aws").content["sources"]] == ["aws"]
    with pytest.raises(Refused, match=r'C050 there is no billing source .asw.; did you mean "aws"'):
        take(config, "asw")


def test_one_file_of_two_sources_is_refused(tmp_path: Path) -> None:
    """Its charges would stand twice in what other tools add up."""
    to_csv(tmp_path / "a.csv", rows({}))
    with pytest.raises(Refused, match="B025"):
        take(project(tmp_path, "{name: one, path: a.csv}", "{name: two, path: a.csv}"))


def test_nothing_is_written_where_it_would_be_read_as_a_bill(tmp_path: Path) -> None:
    """A folder below a bill's folder is refused: the next run would count its charges twice."""
    to_csv(tmp_path / "bills/a.csv", rows({}))
    config = load(project(tmp_path, "{name: aws, path: bills}"))
    with pytest.raises(Refused, match="B315 lies inside the bills of aws"):
        collect(config, tmp_path / "bills" / "out")
    assert [p.name for p in (tmp_path / "bills").iterdir()] == ["a.csv"]


def test_gaps_within_the_tolerance_are_no_reason_to_stop(tmp_path: Path) -> None:
    """`gap_tolerance` of governor.yaml counts here as it does for a run."""
    to_csv(tmp_path / "a.csv", rows({}, {"Tags": "{unreadable"}))
    source = "{name: aws, path: a.csv}"
    assert take(project(tmp_path, source)).incomplete
    assert not take(project(tmp_path, source, extra="gap_tolerance: 1\n")).incomplete


def test_the_real_sample_is_collected_to_the_last_digit(sample_data: Path, tmp_path: Path) -> None:
    """Costs per category, account and currency are those that the standard library adds up."""
    [path] = sorted((sample_data / "billing/focus_sample_1.0").iterdir())
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8-sig")
    due: dict[tuple[str, ...], list[Decimal]] = {}
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in table:
        sums = due.setdefault((row["ChargeCategory"], row["SubAccountId"], row["BillingCurrency"]), [Decimal(0)] * 2)
        sums[0] += Decimal(row["BilledCost"])
        sums[1] += Decimal(row["EffectiveCost"])
    collected = take(project(tmp_path, f"{{name: sample, path: '{path}'}}"))
    found: dict[tuple[str, ...], list[Decimal]] = {}
    charges = pq.read_table(collected.folder / "sample/charges.parquet").to_pylist()
    for charge in charges:
        key = (charge["charge_category"], charge["sub_account_id"], charge["billing_currency"])
        sums = found.setdefault(key, [Decimal(0)] * 2)
        sums[0] += charge["billed_cost"]
        sums[1] += charge["effective_cost"]
    assert found == due
    for name, ours in (("SkuId", "sku_id"), ("RegionName", "region_name"), ("ConsumedUnit", "consumed_unit")):
        assert [charge[ours] for charge in charges] == [
            None if row[name] in {"", "NULL", "null", "N/A"} else row[name] for row in table
        ]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_keeps_its_promises(tmp_path: Path) -> None:
    """Exit 0, 3 and 2; data on stdout; --format json prints the file; nothing is committed."""
    to_parquet(tmp_path / "a.parquet", rows({}))
    config = project(tmp_path, "{name: aws, path: a.parquet}")
    done = governor("collect", "billing", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2026-09 USD: 1 charge, billed 1.25, effective 1.50" in done.stdout
    done = governor("collect", "billing", "-c", config, "--format", "json")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out/billing/collected.json").read_text())
    assert not (tmp_path / "ledger").exists()
    project(tmp_path, "{name: aws, path: a.parquet}", "{name: gone, path: gone.csv}")
    done = governor("collect", "billing", "-c", config, "-q")
    assert (done.returncode, done.stdout) == (3, "")
    assert "governor.yaml:6:5 B001 there is no file or folder" in done.stderr
    done = governor("collect", "billing", "-c", config, "--source", "gone")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["billing", "--source", "asw"], 'did you mean "aws"?'),
        (["billing", "--csv"], "C051 --csv goes with --to focus"),
        (["billing", "--to", "fokus"], "'focus'"),
        (["billing", "--out", "."], "B310 holds files and no collected.json"),
        (["inventory"], "No such command 'inventory'"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit 2, a line that helps, no traceback, nothing written."""
    to_csv(tmp_path / "a.csv", rows({}))
    project(tmp_path, "{name: aws, path: a.csv}")
    done = governor("collect", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "governor.yaml"]
