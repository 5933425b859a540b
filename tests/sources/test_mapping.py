"""Any other file, by the mapping that a person writes into governor.yaml: what it becomes, and what is said of slips."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from governor.config import load
from governor.model import Refused
from tests.bills import charges, refused, rejects, tags, take

ONPREM = (
    "\ufeffMonat;Betrag;System;Produkt;kst;tag_owner;tag_env;Notiz\r\n"
    '01.09.2026;"1.234,50";007;SAP;CC-1;a@b.example;;"mehr\r\nals eine Zeile"\r\n'
    "15.09.2026;-0,10;sys-2;Oracle;;;prod;x\r\n"
    '01.10.2026;7;sys-3;SAP;NULL;"o""q";N/A;\r\n'
)
COLUMNS = {
    "BilledCost": "Betrag",
    "ChargePeriodStart": "Monat",
    "SubAccountId": "System",
    "ServiceName": "Produkt",
    "Tags.cost-center": "kst",
    "Tags.*": "tag_*",
    "x_Note": "Notiz",
}
GERMAN = {
    "format": "columns",
    "mapping": COLUMNS,
    "defaults": {"BillingCurrency": "EUR"},
    "dates": "%d.%m.%Y",
    "numbers": "eu",
}


def read(tmp_path, text=ONPREM, **changes):
    (tmp_path / "onprem.csv").write_bytes(text.encode())
    return take("onprem.csv", tmp_path, **(GERMAN | changes))


def test_a_mapped_file_becomes_charges_to_the_last_digit(tmp_path):
    delivery = read(tmp_path, mapping={**COLUMNS, "ChargeDescription": "Notiz"}, columns=frozenset({"x_Note"}))
    found = charges(delivery)
    assert [(r["billed_cost"], r["effective_cost"]) for r in found] == [
        (Decimal(c), Decimal(c)) for c in ("1234.50", "-0.10", "7")
    ]
    assert [r["billing_period"] for r in found] == ["2026-09", "2026-09", "2026-10"]
    assert [f"{r['billing_period_start']:%m-%d} {r['billing_period_end']:%m-%d}" for r in found] == [
        "09-01 10-01",
        "09-01 10-01",
        "10-01 11-01",
    ]
    assert [r["sub_account_id"] for r in found] == ["007", "sys-2", "sys-3"]
    assert {(r["charge_category"], r["billing_currency"]) for r in found} == {("Usage", "EUR")}
    assert found[0]["charge_description"] == "mehr\r\nals eine Zeile"
    assert found[1]["x_note"] == "x"
    assert found[0]["list_cost"] is None, "what no column says isn't known"


def test_each_tag_has_a_column_and_an_empty_cell_is_no_tag(tmp_path):
    assert tags(read(tmp_path)) == [
        '{"cost-center":"CC-1","owner":"a@b.example"}',
        '{"env":"prod"}',
        '{"owner":"o\\"q"}',
    ]


def test_a_column_of_tags_is_overridden_by_columns_of_single_ones(tmp_path):
    text = 'day,cost,labels,team\n2026-09-01,1,"{""team"":""a"",""x"":""y""}",b\n2026-09-02,1,,b\n'
    columns = {"BilledCost": "cost", "ChargePeriodStart": "day", "Tags": "labels", "Tags.team": "team"}
    assert tags(read(tmp_path, text, mapping=columns)) == ['{"team":"b","x":"y"}', '{"team":"b"}']


def test_a_bill_without_tags_is_unknown_unless_it_is_said_to_have_none(tmp_path):
    columns = {"BilledCost": "Betrag", "ChargePeriodStart": "Monat"}
    unread, none = read(tmp_path, mapping=columns), read(tmp_path, mapping=columns, options={"tags": "none"})
    assert tags(unread) == [None] * 3
    assert [g.reason for g in unread.gaps] == ["missing_column"]
    assert tags(none) == ["{}"] * 3
    assert not none.gaps


def test_it_is_said_what_was_mapped_and_what_was_not(tmp_path):
    columns = {"BilledCost": "Betrag", "ChargePeriodStart": "Monat"}
    assert read(tmp_path, mapping=columns).why == (
        "1 file is a mapped file (onprem.csv): governor.yaml maps 2 of its 8 columns; "
        "not mapped: System, Produkt, kst, tag_owner, tag_env, Notiz"
    )


def test_a_month_alone_is_read_where_the_pattern_says_so(tmp_path):
    text = "month,cost\n2026-09,5\n2026-9,1\nSeptember,2\n"
    delivery = read(
        tmp_path, text, mapping={"EffectiveCost": "cost", "ChargePeriodStart": "month"}, dates="%Y-%m", numbers=None
    )
    assert [(f"{r['charge_period_start']:%Y-%m-%d}", r["billed_cost"]) for r in charges(delivery)] == [
        ("2026-09-01", 5),
        ("2026-09-01", 1),
    ]
    assert [(r["row"], r["column"], r["code"]) for r in rejects(delivery)] == [(3, "ChargePeriodStart", "B042")]


def test_numbers_that_could_mean_two_things_are_refused_until_the_notation_is_said(tmp_path):
    [said] = refused_onprem(tmp_path, numbers=None)
    assert said.startswith(
        "onprem.csv:2:1 B022 row 1: BilledCost is '1.234,50': the amount is formatted by a spreadsheet"
    )
    assert "set `numbers` of this source to `us` or `eu`" in said


def test_defaults_speak_where_no_column_does(tmp_path):
    defaults = {"BillingCurrency": "CHF", "ChargeCategory": "Purchase", "BillingPeriodStart": "01.08.2026"}
    found = charges(read(tmp_path, defaults=defaults))
    assert {(r["billing_currency"], r["charge_category"], r["billing_period"]) for r in found} == {
        ("CHF", "Purchase", "2026-08")
    }


def refused_onprem(tmp_path, text=ONPREM, **changes):
    (tmp_path / "onprem.csv").write_bytes(text.encode())
    return refused("onprem.csv", tmp_path, **(GERMAN | changes))


def test_a_column_that_the_file_lacks_is_refused_with_the_columns_it_has(tmp_path):
    [said] = refused_onprem(tmp_path, mapping={**COLUMNS, "BilledCost": "Betrga"})
    assert said == (
        "onprem.csv:1:1 B200 has no column 'Betrga', which BilledCost is to come from; "
        "did you mean 'Betrag'? the file's columns are Monat, Betrag, System, Produkt, kst, tag_owner, tag_env, Notiz"
    )


def test_a_column_that_is_there_twice_is_refused_only_where_it_is_asked_for(tmp_path):
    text = "day,cost,cost,note\n2026-09-01,1,2,x\n"
    columns = {"BilledCost": "cost", "ChargePeriodStart": "day"}
    [said] = refused_onprem(tmp_path, text, mapping=columns)
    assert "B201 has the column 'cost' more than once, and BilledCost is to come from it" in said
    twice = text.replace("cost,cost", "cost,other").replace(",note", ",other")
    assert charges(read(tmp_path, twice, mapping=columns))[0]["billed_cost"] == 1


CONFIG = """version: 1
organization: A
reporting_currency: EUR
billing:
  - name: datacenter
    format: columns
    path: onprem.csv
    columns: {BilledCost: Betrag, ChargePeriodStart: Monat, Tags.owner: owner, x_Any: thing}
    defaults: {BillingCurrency: EUR}
"""
WRONG = {
    "no mapping": (
        ("    columns: {BilledCost: Betrag, ChargePeriodStart: Monat, Tags.owner: owner, x_Any: thing}\n", ""),
        "5:5 C016",
    ),
    "another format": (("format: columns", "format: focus"), "8:5 C016"),
    "a slip": (("BilledCost:", "BiledCost:"), "8:15 C017"),
    "no cost": (("BilledCost: Betrag, ", ""), "8:5 C018"),
    "no time": (("ChargePeriodStart: Monat, ", ""), "8:5 C018"),
    "no currency": (("    defaults: {BillingCurrency: EUR}\n", ""), "8:5 C018"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mapping_that_cannot_be_is_refused_at_its_place(name, tmp_path: Path):
    (old, new), where = WRONG[name]
    file = tmp_path / "governor.yaml"
    file.write_text(CONFIG.replace(old, new))
    with pytest.raises(Refused) as error:
        load(file)
    said = [f"{p.position.line}:{p.position.column} {p.code}" for p in error.value.problems]
    assert where in said
    assert all(p.mend for p in error.value.problems)
    file.write_text(CONFIG)
    assert load(file).billing[0].columns["Tags.owner"] == "owner"
