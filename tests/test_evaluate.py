"""Verdicts: a pass needs evidence, spellings and placeholders are seen through, exceptions are shown with their money."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from governor.cli.run import exit_code
from governor.ledger.read import Run
from governor.model import Refused
from tests.project import BY_TAG, TAGS, charge, judged, run_project, write_project

RICH = """
kind: TagPolicy
id: core
title: Every billable charge says who pays
severity: high
applies_to: {tables: [charges], where: billable}
tags:
  cost_center:
    keys: [cost-center, CostCenter, cost_center]
    normalize: [trim, upper]
    inherit: [account]
    in_register: cost_centers
  owner: {keys: [owner], format: email, inherit: [{account: owner_email}]}
  env: {keys: [env, environment], allowed: {prod: [production, prd], dev: [development]}}
  ticket: {keys: [ticket], required: false, matches: 'T-\\d+'}
remedy: tag it
tests:
  - {tags: {cost-center: A, owner: a@b.example, env: Production}, expect: pass}
  - {tags: {}, expect: fail}
  - {tags: null, expect: unknown}
"""
GOOD = {"cost-center": "A", "owner": "a@b.example", "env": "prod"}


def verdicts(run: Run) -> dict[str, str]:
    """Give each requirement's only verdict."""
    return {v["requirement"].split("/")[1]: v["verdict"] for v in run.rows("verdicts")}


def messages(run: Run) -> dict[str, str]:
    return {f["requirement"].split("/")[1]: f["message"] for f in run.rows("findings")}


def tagged(tags: Any, **columns: str) -> dict[str, str]:
    return charge("10", Tags=tags if isinstance(tags, str) else json.dumps(tags), **columns)


@pytest.mark.parametrize(
    ("tags", "failed", "message"),
    [
        (GOOD, None, ""),
        (GOOD | {"cost-center": " a "}, None, ""),
        (GOOD | {"env": "PRODUCTION"}, None, ""),
        ({"cost_center": "A", "owner": "a@b.example", "environment": "dev"}, None, ""),
        (GOOD | {"cost-center": "", "CostCenter": "B"}, None, ""),
        (GOOD | {"cost-center": "TBD", "CostCenter": "B"}, None, ""),
        (GOOD | {"cost-center": "TBD"}, "cost_center", "cost_center: TBD is only a placeholder"),
        (GOOD | {"cost-center": "Z9"}, "cost_center", "cost_center: Z9 is not in cost_centers"),
        (GOOD | {"owner": "nobody"}, "owner", "owner: nobody is not a valid email"),
        (GOOD | {"owner": "a@b.example; x"}, "owner", "owner: a@b.example; x is not a valid email"),
        (GOOD | {"env": "qa"}, "env", "env: qa is not one of prod, dev"),
        (GOOD | {"ticket": "XT-1"}, "ticket", "ticket: XT-1 does not match T-\\d+"),
        ({k: v for k, v in GOOD.items() if k != "env"}, "env", "env: no tag env or environment"),
        (GOOD | {"COST-CENTER": "B"}, None, ""),
    ],
)
def test_a_tag_is_judged_by_its_effective_value(
    tmp_path: Path, tags: dict[str, str], failed: str | None, message: str
) -> None:
    """The first accepted spelling with a value counts; what is wrong is said with the value that was found."""
    run = judged(tmp_path, [tagged(tags)], policies=(RICH, BY_TAG))
    assert messages(run) == ({failed: message} if failed else {})
    assert exit_code(run) == (1 if failed else 0)
    assert verdicts(run)["ticket"] == ("not_applicable" if "ticket" not in tags else "fail")


def test_spellings_that_contradict_each_other_are_a_finding_of_their_own(tmp_path: Path) -> None:
    """The first spelling counts, its requirement passes, and the conflict is told beside it."""
    run = judged(tmp_path, [tagged(GOOD | {"CostCenter": "B"})], policies=(RICH, BY_TAG))
    [finding] = run.rows("findings")
    assert (finding["requirement"], finding["observed"]) == ("core/cost_center.conflict", "A")
    assert verdicts(run)["cost_center"] == "pass"
    assert {r["cost_center"] for r in run.rows("allocations")} == {"A"}


def test_spellings_that_agree_once_normalised_are_no_conflict(tmp_path: Path) -> None:
    """`a ` and `A` are the same cost center."""
    run = judged(tmp_path, [tagged(GOOD | {"CostCenter": "a "})], policies=(RICH, BY_TAG))
    assert run.rows("findings") == []


def test_an_inherited_value_counts_and_says_where_it_came_from(tmp_path: Path) -> None:
    """An account's cost center makes the tag pass, and the money direct by account (A), not by tag (T)."""
    accounts = ["acct-1,Cloud,One,B,lead@b.example,,,"]
    run = judged(tmp_path, [tagged({"env": "dev"})], policies=(RICH, BY_TAG), accounts=accounts)
    assert run.rows("findings") == []
    [row] = run.rows("allocations")
    assert (row["cost_center"], row["status"]) == ("B", "A")


@pytest.mark.parametrize("tags", ["not json", "{'cost-center': 'A'}", '{"cost-center": "A",}'])
def test_tags_that_cannot_be_read_are_unknown_never_untagged(tmp_path: Path, tags: str) -> None:
    """Unreadable tags make requirements unknown, open a gap with its money, and the run exits 3."""
    accounts = ["acct-1,Cloud,One,B,lead@b.example,,,"]
    run = judged(tmp_path, [tagged(tags)], policies=(RICH, BY_TAG), accounts=accounts)
    assert set(verdicts(run).values()) == {"unknown"}
    [gap] = run.rows("gaps")
    assert (gap["reason"], gap["rows"], gap["cost"]) == ("unreadable_tags", 1, Decimal(10))
    assert exit_code(run) == 3


def test_without_a_tags_column_nothing_is_untagged(tmp_path: Path) -> None:
    """A bill without tags is unread: unknown verdicts, and a score that is an interval."""
    row = tagged(GOOD)
    del row["Tags"]
    run = judged(tmp_path, [row], policies=(RICH, BY_TAG))
    assert set(verdicts(run).values()) == {"unknown"}
    [total] = [s for s in run.rows("scores") if s["scope"] == "total"]
    assert (total["low"], total["high"]) == ("0.00", "100.00")
    assert exit_code(run) == 3


def test_nothing_judged_is_not_compliant(tmp_path: Path) -> None:
    """Where no requirement applied to any cost, compliance is not a number, least of all 100."""
    run = judged(tmp_path, [tagged({}, ChargeCategory="Tax")], policies=(RICH, BY_TAG))
    [total] = [s for s in run.rows("scores") if s["scope"] == "total"]
    assert total["tag_compliance"] is None


WAIVER = """
kind: Waiver
id: lab
requirements: ["core/*"]
where: "sub_account_id = 'acct-2'"
reason: closes this year
approved_by: cto@acme.example
ticket: T-7
expires: 2026-11-15
"""


def test_a_waiver_hides_findings_and_shows_their_money_until_it_expires(tmp_path: Path) -> None:
    """It holds through its last day, for what its `where` says, and reports show what it costs."""
    bill = [tagged({"cost-center": "A"}, ResourceId="x"), tagged({}, SubAccountId="acct-2", ResourceId="y")]
    config = write_project(tmp_path, bill, policies=(TAGS, BY_TAG, WAIVER))
    run = run_project(config, as_of=date(2026, 11, 15)).run
    [finding] = run.rows("findings")
    assert (finding["verdict"], finding["waiver"]) == ("waived", "lab")
    [waiver] = run.rows("waivers")
    assert (waiver["state"], waiver["findings"], waiver["cost"]) == ("active", 1, Decimal(10))
    assert exit_code(run) == 0
    late = run_project(config, as_of=date(2026, 11, 16)).run
    assert [f["verdict"] for f in late.rows("findings")] == ["fail"]
    assert [(w["state"], w["findings"]) for w in late.rows("waivers")] == [("expired", 0)]
    assert exit_code(late) == 1


def test_grace_runs_from_the_first_day_a_finding_was_seen(tmp_path: Path) -> None:
    """A finding is in grace for so many days from the first charge that shows it, then it fails."""
    policy = TAGS.replace("remedy: tag it", "remedy: tag it\ngrace: {days: 14, from: first_seen}")
    config = write_project(tmp_path, [tagged({})], policies=(policy, BY_TAG))
    early = run_project(config, as_of=date(2026, 10, 18)).run
    late = run_project(config, as_of=date(2026, 10, 19)).run
    assert [f["verdict"] for f in early.rows("findings")] == ["grace"]
    assert [f["verdict"] for f in late.rows("findings")] == ["fail"]
    assert {f["first_seen"] for f in late.rows("findings")} == {date(2026, 10, 5)}


ACCOUNT = """
kind: AccountPolicy
id: accounts
title: Accounts are owned
severity: medium
require:
  registered: true
  open: true
  owner: {column: owner_email, format: email}
  payer: {column: cost_center, in_register: cost_centers}
tests:
  - {account: {owner_email: a@b.example, cost_center: A}, expect: pass}
  - {account: null, expect: fail}
  - {account: {owner_email: a@b.example, cost_center: A}, unread: [accounts], expect: unknown}
"""


def test_accounts_on_the_bill_are_judged_by_the_register(tmp_path: Path) -> None:
    """Unregistered, closed with spend, without an owner, with an unknown cost center: each is a finding with its money."""
    bill = [tagged(GOOD, SubAccountId=f"acct-{n}", ResourceId=f"vm-{n}") for n in range(1, 6)]
    accounts = [
        "acct-1,Cloud,One,A,a@b.example,,,",
        "acct-2,Cloud,Two,A,a@b.example,,,2026-10-01",
        "acct-3,Cloud,Three,A,,,,",
        "acct-4,Cloud,Four,NOWHERE,a@b.example,,,",
    ]
    run = judged(
        tmp_path, bill, policies=(ACCOUNT, BY_TAG.replace("tag.cost_center", "account.cost_center")), accounts=accounts
    )
    found = {(f["subject"], f["requirement"].split("/")[1]) for f in run.rows("findings")}
    assert found == {("acct-2", "open"), ("acct-3", "owner"), ("acct-4", "payer"), ("acct-5", "registered")}
    assert {f["cost"] for f in run.rows("findings")} == {Decimal(10)}


RULES = """
kind: RulePolicy
id: sane
title: The bill adds up
severity: low
rules:
  - id: list-covers
    title: List cost is no less than contracted cost
    where: "charge_category = 'Usage' and list_cost is not null"
    assert: "list_cost >= contracted_cost"
    message: "{service_name} in {region_id}"
  - id: sku-known
    title: Usage names its SKU
    assert: "sku_id is not null"
tests:
  - {rule: list-covers, charge: {ListCost: 2, ContractedCost: 1}, expect: pass}
  - {rule: list-covers, charge: {ListCost: 1, ContractedCost: 2}, expect: fail}
  - {rule: sku-known, charge: {SkuId: x}, expect: pass}
  - {rule: sku-known, expect: fail}
  - {rule: sku-known, unread: [SkuId], expect: unknown}
"""


def test_rules_judge_single_rows_though_cells_are_grouped(tmp_path: Path) -> None:
    """An assertion on amounts is asked of each row: equal rows but for their prices don't hide one another."""
    bill = [tagged(GOOD, ListCost="12"), tagged(GOOD, ListCost="9"), tagged(GOOD, ListCost="")]
    run = judged(tmp_path, bill, policies=(RULES, BY_TAG))
    [finding] = [f for f in run.rows("findings") if f["requirement"] == "sane/list-covers"]
    assert (finding["rows"], finding["cost"], finding["message"]) == (1, Decimal(10), "Compute in eu-1")


def test_a_rule_over_a_column_that_was_not_delivered_is_unknown(tmp_path: Path) -> None:
    """A missing column proves nothing: unknown, with a gap that names column and requirement, and exit 3."""
    run = judged(tmp_path, [tagged(GOOD)], policies=(RULES, BY_TAG))
    assert verdicts(run)["sku-known"] == "unknown"
    [gap] = run.rows("gaps")
    assert (gap["scope"], gap["reason"]) == ("sku_id", "missing_column")
    assert "sane/sku-known" in gap["detail"]
    assert exit_code(run) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("in_register: cost_centers", "in_register: cost_centres"), "there is no register cost_centres"),
        (("where: billable", "where: billabel"), 'did you mean "billable"'),
        (("{keys: [cost-center, CostCenter]", "{keyes: [cost-center]"), "keyes"),
    ],
)
def test_a_wrong_policy_is_refused_before_any_bill_is_read(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    """Where, what and how to mend: and no run is committed."""
    with pytest.raises(Refused) as refused:
        judged(tmp_path, [tagged(GOOD)], policies=(TAGS.replace(*change), BY_TAG))
    assert "policies/policy-0.yaml:" in str(refused.value)
    assert message in str(refused.value)
    assert not (tmp_path / "ledger").exists()


FX = "currency,to,date,rate,source\nEUR,USD,2026-09-30,1.05,ECB\nEUR,USD,2026-10-02,1.10,ECB\nEUR,USD,2026-12-01,9.99,ECB\n"


@pytest.mark.parametrize(
    ("rates", "reporting", "combined", "gaps"),
    [
        (FX, "USD", Decimal(21), set()),
        (FX.replace("EUR,", "SEK,"), "USD", None, {"EUR"}),
        (FX, "GBP", None, {"EUR", "USD"}),
        ("", "USD", None, set()),
    ],
)
def test_currencies_are_combined_only_where_the_register_says_how(
    tmp_path: Path, rates: str, reporting: str, combined: Decimal | None, gaps: set[str]
) -> None:
    """The last rate up to the last charge counts; a currency without a rate keeps all apart, and that is told."""
    config = write_project(tmp_path, [tagged(GOOD), tagged(GOOD, BillingCurrency="EUR")])
    text = config.read_text().replace("reporting_currency: USD", f"reporting_currency: {reporting}")
    if rates:
        (tmp_path / "registers/fx.csv").write_text(rates)
        text = text.replace("billing:\n", "  fx_rates: {file: registers/fx.csv, key: currency}\nbilling:\n")
    config.write_text(text)
    run = run_project(config).run
    found = [s["positive_cost"] for s in run.rows("scores") if s["scope"] == "combined"]
    assert found == ([combined] if combined else [])
    assert {g["scope"] for g in run.rows("gaps") if g["reason"] == "no_fx_rate"} == gaps
    assert not run.incomplete


def test_a_column_that_nobody_there_is_judged_by_leaves_no_gap(tmp_path: Path) -> None:
    """Where a rule's `where` leaves every row of a source out, what the source lacks hides nothing."""
    rules = RULES.replace(
        '    assert: "sku_id is not null"', '    where: "provider = \'Other\'"\n    assert: "sku_id is not null"'
    )
    rules = rules.replace("charge: {SkuId: x}", "charge: {SkuId: x, ServiceProviderName: Other}")
    rules = rules.replace("{rule: sku-known, expect", "{rule: sku-known, charge: {ServiceProviderName: Other}, expect")
    rules = rules.replace("{rule: sku-known, unread", "{rule: sku-known, charge: {ServiceProviderName: Other}, unread")
    run = judged(tmp_path, [tagged(GOOD)], policies=(rules, BY_TAG))
    assert run.rows("gaps") == []
    assert verdicts(run)["sku-known"] == "not_applicable"


def test_a_bill_without_commitments_is_judged_all_the_same(tmp_path: Path) -> None:
    """CommitmentDiscountStatus is conditional in FOCUS: a bill without the column has no commitments, and no gap."""
    row = {k: v for k, v in tagged({}).items() if not k.startswith("CommitmentDiscount")}
    run = judged(tmp_path, [row])
    assert verdicts(run)["cost_center"] == "fail"
    assert run.rows("gaps") == []


@pytest.mark.parametrize(
    ("cost", "basis", "low", "high"),
    [
        ({"BilledCost": "90", "EffectiveCost": "0"}, "billed", "10.00", "100.00"),
        ({"BilledCost": "0", "EffectiveCost": "90"}, "effective", "10.00", "100.00"),
        ({"BilledCost": "5", "EffectiveCost": "abc"}, "effective", "0.00", "100.00"),
    ],
)
def test_rejected_rows_make_the_score_an_interval(
    tmp_path: Path, cost: dict[str, str], basis: str, low: str, high: str
) -> None:
    """What a rejected row costs may be anybody's; what can't be read may be any amount. Per source and period too."""
    bad = tagged(GOOD, **cost, **({} if "abc" in cost.values() else {"ChargePeriodStart": "garbage"}))
    policy = BY_TAG.replace("assign:", f"cost: {basis}\nassign:")
    run = judged(tmp_path, [tagged(GOOD), bad], policies=(TAGS, policy))
    scores = [s for s in run.rows("scores") if s["scope"] in ("total", "source", "billing_period")]
    assert {(s["allocatability"], s["low"], s["high"]) for s in scores} == {("100.00", low, high)}


def test_what_people_can_not_see_around_a_value_does_not_count(tmp_path: Path) -> None:
    """Tabs, line breaks and fixed blanks around a tag's value are no part of it."""
    run = judged(tmp_path, [tagged({"cost-center": "\t A\n"}), tagged({"cost-center": "A\u00a0"}, ResourceId="vm-2")])
    assert run.rows("findings") == []
