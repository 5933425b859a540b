"""The bad-input checklist, items 5 to 10: how files are written, and what their columns are called."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from governor.model import Refused
from tests.checklist import fired, gaps, rejects, tied
from tests.project import BY_TAG, charge, write_csv


def refused(folder: Path, bill: list[dict[str, str]] | Path, **parts: str) -> str:
    with pytest.raises(Refused) as caught:
        tied(folder, bill, effective="0", rows=0, **parts)
    return "\n".join(str(problem) for problem in caught.value.problems)


# --- 5. how a file is written -----------------------------------------------------------------------------------------


def test_05_a_byte_order_mark_windows_line_ends_and_quoted_line_breaks_change_nothing(tmp_path: Path) -> None:
    """Three rows, one of them over three lines: each is read, at its own number."""
    bill = [charge("1.10"), charge("2.20", ChargeDescription='a\r\n"b"\nc'), charge("3.30")]
    path = write_csv(tmp_path / "bill.csv", bill)
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(b"\xef\xbb\xbf" + first + b"\r\n" + rest)
    run = tied(tmp_path / "project", path, rows=3, effective="6.60")
    assert gaps(run) == {}


@pytest.mark.parametrize("word", ["", "NULL", "null", "N/A"])
def test_05_every_word_for_missing_means_missing(word: str, tmp_path: Path) -> None:
    """In a text, an amount and a moment; where a value is needed, its row is rejected and its money is told."""
    missing = dict.fromkeys(("ListCost", "BillingPeriodEnd", "SubAccountId", "ResourceId", "InvoiceId"), word)
    run = tied(tmp_path, [charge("5", **missing), charge("7", BillingCurrency=word)])
    [cell] = run.rows("cells")
    assert [cell[name] for name in ("list_cost", "sub_account_id", "resource_id", "invoice_id")] == [None] * 4
    assert rejects(run) == [(2, "BillingCurrency", "B043")]
    assert gaps(run) == {"rejected_rows": (1, Decimal(7))}


def test_05_a_column_that_is_not_there_is_missing_too(tmp_path: Path) -> None:
    """Tags that were not delivered are unread, not untagged; the gap says for how many rows and how much."""
    bill = [{k: v for k, v in row.items() if k != "Tags"} for row in (charge("5"), charge("7"))]
    assert gaps(tied(tmp_path, bill))["missing_column"] == (2, Decimal(12))


# --- 6. saved by a spreadsheet ----------------------------------------------------------------------------------------


SAVED = {
    "id": ({"SubAccountId": "1.23457E+12"}, "bill.csv:3:1 B020 row 2: SubAccountId is '1.23457E+12'", "digits are lost"),
    "date": ({"ChargePeriodStart": "9/1/2024"}, "bill.csv:3:1 B021 row 2: ChargePeriodStart is '9/1/2024'", "`dates`"),
    "money": ({"BilledCost": "$10,000.00 "}, "bill.csv:3:1 B022 row 2: BilledCost is '$10,000.00 '", "`numbers`"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVED)
def test_06_a_file_that_a_spreadsheet_saved_is_refused_with_place_and_mend(name: str, tmp_path: Path) -> None:
    """Nothing of it is taken: where one id has lost its digits, others may have too."""
    change, says, mend = SAVED[name]
    said = refused(tmp_path, [charge("1"), charge("2", **change)])
    assert says in said
    assert mend in said
    assert list((tmp_path / "ledger" / "runs").iterdir()) == []


def test_06_tags_that_were_cut_off_are_unread_and_their_rows_stay(tmp_path: Path) -> None:
    """A spreadsheet's cell ends after 32,767 characters: half an object is no object, and the money is still there."""
    run = tied(
        tmp_path, [charge("5", Tags='{"cost-center": "A", "owner": "a@b'), charge("7", Tags='{"cost-center":"A"}')]
    )
    assert gaps(run) == {"unreadable_tags": (1, Decimal(5))}
    assert [f["verdict"] for f in run.rows("findings") if f["requirement"] == "core/cost_center"] == ["unknown"]


# --- 7. spellings of column names -------------------------------------------------------------------------------------


def renamed(row: dict[str, str], spell: object) -> dict[str, str]:
    return {spell(name): value for name, value in row.items()}  # type: ignore[operator]


SPELLINGS = {
    "athena": str.lower,
    "upper": str.upper,
    "snake": lambda name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"),
    "spaces": lambda name: "".join(f" {c}" if c.isupper() else c for c in name).strip(),
    "translated": lambda name: f"Übersetzt ({name})",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_07_column_names_are_read_in_any_spelling(name: str, tmp_path: Path) -> None:
    """Athena lower-cases, warehouses use underscores, people write blanks, portals translate."""
    bill = [renamed(charge("5", Tags='{"cost-center":"A"}'), SPELLINGS[name])]
    run = tied(tmp_path, bill, effective="5")
    assert [(a["cost_center"], a["status"]) for a in run.rows("allocations")] == [("A", "T")]
    assert gaps(run) == {}


def test_07_two_generations_of_headers_in_one_folder_are_one_bill(tmp_path: Path) -> None:
    """Each file is read by its own header."""
    write_csv(tmp_path / "bills" / "old.csv", [charge("5")])
    write_csv(tmp_path / "bills" / "new.csv", [renamed(charge("7", SkuMeter="m"), SPELLINGS["snake"])])
    run = tied(tmp_path / "project", tmp_path / "bills", rows=2, effective="12")
    assert gaps(run) == {}


# --- 8. columns that lack, appear, or come twice ----------------------------------------------------------------------


def test_08_a_file_without_the_columns_that_charges_need_is_refused_with_their_names(tmp_path: Path) -> None:
    """Twelve columns are no bill; what lacks is named, with the way to fill it."""
    keep = (
        "BilledCost",
        "BillingAccountId",
        "BillingCurrency",
        "ChargeDescription",
        "ServiceName",
        "SubAccountId",
        "Tags",
    )
    said = refused(tmp_path, [{name: charge("5")[name] for name in keep}])
    for name in ("EffectiveCost", "BillingPeriodStart", "ChargePeriodStart", "ChargeCategory"):
        assert name in said
    assert "B015" in said
    assert "defaults" in said


def test_08_a_bill_without_resources_is_charged_and_says_what_it_can_not_judge(tmp_path: Path) -> None:
    """The option for resource ids was off: every cent is placed, what asks for a resource is unknown."""
    policy = """
kind: RulePolicy
id: named
title: Resources are named
rules:
  - id: resource
    title: Usage names its resource
    assert: resource_id IS NOT NULL
    tests:
      - {charge: {ResourceId: a}, expect: pass}
      - {charge: {ResourceId: null}, expect: fail}
      - {unread: [ResourceId], expect: unknown}
"""
    bill = [{k: v for k, v in charge("5").items() if k != "ResourceId"}]
    run = tied(tmp_path, bill, policies=(policy, BY_TAG))
    assert [f["verdict"] for f in run.rows("findings")] == ["unknown"]
    assert gaps(run) == {"missing_column": (1, None)}


def test_08_columns_that_appear_in_the_month_and_columns_of_nobody_are_no_trouble(tmp_path: Path) -> None:
    """A later file has more columns: of the provider, of Oracle, of nobody."""
    write_csv(tmp_path / "bills" / "a.csv", [charge("5")])
    write_csv(tmp_path / "bills" / "b.csv", [charge("7", x_Team="t", oci_ReferenceNumber="r", Id="17", SkuId="s")])
    assert gaps(tied(tmp_path / "project", tmp_path / "bills", rows=2, effective="12")) == {}


def test_08_names_that_are_one_without_their_case_are_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, [charge("5", billed_cost="6")])
    assert "bill.csv:1:1 B012 has the column BilledCost 2 times: 'BilledCost', 'billed_cost'" in said


# --- 9. columns that were renamed -------------------------------------------------------------------------------------


RENAMED = [
    ({"ProviderName": "Provider"}, "provider", "Cloud"),
    ({"ProviderName": "ServiceProviderName"}, "provider", "Cloud"),
    ({"InvoiceIssuerName": "InvoiceIssuer"}, "invoice_issuer_name", "Cloud"),
    ({"RegionId": "Region"}, "region_id", "eu-1"),
]


@pytest.mark.parametrize(("names", "column", "value"), RENAMED)
def test_09_older_names_are_read_into_the_new_ones(
    names: dict[str, str], column: str, value: str, tmp_path: Path
) -> None:
    run = tied(tmp_path, [{names.get(k, k): v for k, v in charge("5").items()}], pack=True)
    assert [cell[column] for cell in run.rows("cells")] == [value]
    assert fired(run) == {}


def test_09_a_preview_file_is_refused_by_its_name(tmp_path: Path) -> None:
    """Its costs and categories mean other things: ChargeSubcategory without ChargeClass tells it."""
    said = refused(tmp_path, [{{"ChargeClass": "ChargeSubcategory"}.get(k, k): v for k, v in charge("5").items()}])
    assert "bill.csv:1:1 B014 is FOCUS 1.0-preview" in said
    assert "export it again as FOCUS 1.0 or later" in said


@pytest.mark.parametrize("key", ["ContractID", "ContractId"])
def test_09_both_spellings_of_a_contracts_id_are_taken(key: str, tmp_path: Path) -> None:
    """The erratum of 1.3 changed a key within ContractApplied; governor takes the column as it is."""
    bill = [charge("5", ContractApplied=f'{{"Elements":[{{"{key}":"C-1"}}]}}')]
    assert fired(tied(tmp_path, bill, pack=True)) == {}


# --- 10. the version --------------------------------------------------------------------------------------------------


def test_10_an_undeclared_version_is_told_from_the_columns_and_said(tmp_path: Path) -> None:
    """Months of one source may differ in it: each file's is kept as evidence, with why."""
    write_csv(tmp_path / "bills" / "a.csv", [{k: v for k, v in charge("5").items() if k != "InvoiceId"}])
    write_csv(tmp_path / "bills" / "b.csv", [charge("7", AllocatedTags="")])
    run = tied(tmp_path / "project", tmp_path / "bills", rows=2, effective="12")
    [given] = [i for i in run.manifest["inputs"] if i["kind"] == "billing"]
    assert given["version"] == "1.0, 1.3"
    assert [f["version"] for f in given["files"]] == ["1.0", "1.3"]
    assert "it has AllocatedTags, which came with 1.3" in given["why"]


def test_10_a_version_without_invoice_ids_is_told_and_hides_nothing(tmp_path: Path) -> None:
    """FOCUS 1.0 and 1.1 can't be tied to invoices: a notice says so, with the rows."""
    run = tied(tmp_path, [{k: v for k, v in charge("5", SkuMeter="m").items() if k != "InvoiceId"}])
    [notice] = [g for g in run.rows("gaps") if g["reason"] == "legacy_version"]
    assert (notice["source"], notice["rows"]) == ("bill", 1)
    assert "bill.csv: FOCUS 1.1 has no invoice ids; export 1.2 or later" in notice["detail"]
    assert not run.incomplete
