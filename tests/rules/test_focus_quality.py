"""The pack focus-quality: silent on clean bills, and each defect is found by its rule, with its rows and its money."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from bench.generate import generate
from bench.world import Spec
from governor.ledger.read import Run
from governor.model import RulePolicy
from governor.policy.load import load_policies, requirements
from governor.policy.plan import plan
from governor.policy_tests import run_tests
from governor.sources.registers import Registers
from tests.project import AS_OF, BY_TAG, run_project, write_csv, write_project
from tests.rules.defects import DEFECTS, Row

PACK = "pack:focus-quality"
INJECTED = 4  # rows of each defect; beside them stand as many clean ones
Money = dict[str, tuple[int, Decimal]]  # by requirement or currency: rows and positive effective cost


def judged_by_the_pack(folder: Path, sources: Mapping[str, Path], source: str = "") -> Run:
    """Run bills, each a source of its own, with the pack alone beside an allocation policy."""
    config = write_project(folder, next(iter(sources.values())), policies=(BY_TAG,))
    text = config.read_text(encoding="utf-8")
    head, _, tail = text.partition("billing:\n")
    named = "".join(f'  - {{name: "{name}", path: "{path}"{source}}}\n' for name, path in sources.items())
    tail = tail[tail.index("policies:") :].replace("[policies]", f'[policies, "{PACK}"]')
    config.write_text(f"{head}billing:\n{named}{tail}", encoding="utf-8")
    return run_project(config).run


def fired(run: Run, verdict: str = "fail") -> dict[str, Money]:
    """Add up the findings of each source by requirement."""
    found: dict[str, Money] = {}
    for finding in run.rows("findings"):
        if finding["verdict"] == verdict:
            by_rule = found.setdefault(finding["source"], {})
            rows, cost = by_rule.get(finding["requirement"], (0, Decimal(0)))
            by_rule[finding["requirement"]] = (rows + finding["rows"], cost + finding["cost"])
    return found


def rows_of(path: Path) -> list[Row]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def at_stake(rows: Sequence[Row]) -> tuple[int, Decimal]:
    """Count rows and add up their positive effective cost, with csv and Decimal alone."""
    costs = [Decimal(row["EffectiveCost"]) for row in rows]
    return len(rows), sum((cost for cost in costs if cost > 0), Decimal(0))


# --- clean bills ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.3", "1.4"])
def test_a_clean_bill_fires_nothing(version: str, tmp_path: Path) -> None:
    """Five providers with commitments, splits, refunds, corrections, taxes, credits and a currency of their own."""
    generate(Spec(4_000, 11, version=version, volume=1_000), tmp_path / "made")
    run = judged_by_the_pack(tmp_path / "project", {"bill": tmp_path / "made" / "data"})
    assert fired(run) == {}
    assert [gap["reason"] for gap in run.rows("gaps")] == (["legacy_version"] if version == "1.0" else [])
    judged = {v["requirement"] for v in run.rows("verdicts") if v["verdict"] == "pass"}
    assert {"focus-amounts/list-is-price", "focus-commitments/purchase-effective"} <= judged


def test_what_conforms_and_looks_strange_fires_nothing(tmp_path: Path) -> None:
    """What other validators flag: free tiers, missing invoices, tax without a price, a purchase that covers nothing."""
    [row] = clean(tmp_path, 1)
    nothing = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), "0")
    unpriced = dict.fromkeys(
        ("PricingQuantity", "PricingUnit", "ListUnitPrice", "ContractedUnitPrice", "PricingCategory", "SkuPriceId"), ""
    )
    unpriced |= {"ConsumedQuantity": "", "ConsumedUnit": "", "SkuId": ""}
    strange = [
        row | nothing | {"ListUnitPrice": "0", "ContractedUnitPrice": "0"},  # a free tier
        row | nothing | {"PricingQuantity": "0"},
        row | {"InvoiceId": ""},  # not issued yet
        row | unpriced | {"ChargeCategory": "Tax", "ResourceId": "", "ChargeFrequency": "One-Time"},
        row | {"ChargeCategory": "Purchase", "ChargeFrequency": "Recurring", "ConsumedQuantity": ""},
        row | {"PricingCurrency": "Snowpeak Credits", "PricingCurrencyListUnitPrice": "1"},  # a virtual currency
        row | {"InvoiceIssuerName": "A Reseller Ltd."},  # another name than the provider's
        row | {"SubAccountId": "", "ResourceId": "", "Tags": ""},
        row | {name: f"-{row[name]}" for name in (*nothing, "PricingQuantity")},  # a refund in an open period
        row | {"ChargePeriodStart": "2026-08-30T00:00:00Z"},  # late usage, or a charge that spans months
        row | {"BilledCost": "0"},  # prepaid: it was billed with its purchase
        row | unpriced | nothing | {"ChargeCategory": "Adjustment", "BilledCost": "0.01", "EffectiveCost": "0.01"},
    ]
    run = judged_by_the_pack(tmp_path / "project", {"bill": write_csv(tmp_path / "strange.csv", strange)})
    assert fired(run) == {}
    assert run.rows("gaps") == []


def test_a_bill_without_prices_is_not_judged_by_them_and_no_gap_is_told(tmp_path: Path) -> None:
    """FOCUS lets a provider leave unit prices out. Beside it, a bill that has them is judged all the same."""
    [row] = clean(tmp_path, 1)
    bad = row | {"ListUnitPrice": row["ListUnitPrice"] + "e4"}
    plain = {name: value for name, value in bad.items() if name != "ListUnitPrice"} | {"SubAccountId": "200000000000"}
    sources = {name: write_csv(tmp_path / f"{name}.csv", [r]) for name, r in (("priced", bad), ("plain", plain))}
    run = judged_by_the_pack(tmp_path / "project", sources)
    assert fired(run) == {"priced": {"focus-amounts/list-is-price": at_stake([bad])}}
    assert run.rows("gaps") == []
    rows = {v["verdict"]: v["rows"] for v in run.rows("verdicts") if v["requirement"] == "focus-amounts/list-is-price"}
    assert rows == {"fail": 1, "not_applicable": 1}


def test_a_quantity_that_cant_be_kept_loses_no_charge_and_passes_nothing(tmp_path: Path) -> None:
    """Byte-seconds have more than 14 digits. A clause that decides who pays by such a column still rejects the row."""
    [row] = clean(tmp_path, 1)
    bill = write_csv(tmp_path / "big.csv", [row, row | {"ConsumedQuantity": "1234567890123456"}])
    run = judged_by_the_pack(tmp_path / "project", {"bill": bill})
    [total] = run.rows("totals")
    assert (total["rows"], total["rejected"], total["effective_cost"]) == (2, 0, 2 * Decimal(row["EffectiveCost"]))
    assert [(gap["reason"], gap["scope"], gap["rows"]) for gap in run.rows("gaps")] == [
        ("unreadable_value", "ConsumedQuantity", 1)
    ]
    assert fired(run) == {}
    asked = {"focus-quantities/consumed-quantity", "focus-quantities/consumed-unit"}
    assert asked == set(fired(run, "unknown")["bill"])
    assert not asked & {v["requirement"] for v in run.rows("verdicts") if v["verdict"] == "pass"}
    by_quantity = BY_TAG.replace("to: tag.cost_center", "to: tag.cost_center, where: consumed_quantity > 1")
    assert by_quantity != BY_TAG
    config = write_project(tmp_path / "by-quantity", bill, policies=(by_quantity,))
    [total] = run_project(config).run.rows("totals")
    assert (total["rows"], total["rejected"]) == (1, 1)


# --- one defect at a time ---------------------------------------------------------------------------------------------


def clean(folder: Path, count: int = 0) -> list[Row]:
    """Generate a clean FOCUS 1.3 bill as CSV rows; with `count`, that many of priced usage."""
    generate(Spec(3_000, 5, version="1.3", volume=1_000, extras=False), folder / "clean", "csv")
    rows = [row for path in sorted((folder / "clean" / "data").rglob("*.csv")) for row in rows_of(path)]
    priced = DEFECTS["focus-amounts/list-is-price"].fits
    return [row for row in rows if priced(row)][:count] if count else rows


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Row]], dict[str, Money]]:
    """Inject every defect into rows of a source of its own, and judge all sources in one run."""
    folder = tmp_path_factory.mktemp("defects")
    rows = clean(folder)
    bad: dict[str, list[Row]] = {}
    sources = {}
    for rule, defect in DEFECTS.items():
        fitting = [row for row in rows if defect.fits(row)][: 2 * INJECTED]
        bad[rule] = [row | defect.injected(row) for row in fitting[:INJECTED]]
        name = rule.replace("/", "-")
        sources[name] = write_csv(folder / f"{name}.csv", [*bad[rule], *fitting[INJECTED:]])
    return bad, fired(judged_by_the_pack(folder / "project", sources))


@pytest.mark.parametrize("rule", DEFECTS)
def test_a_defect_is_found_by_its_rule_with_its_rows_and_money(
    rule: str, injected: tuple[dict[str, list[Row]], dict[str, Money]]
) -> None:
    """Exactly its rule, exactly the rows that have it, exactly the positive effective cost of these rows."""
    bad, found = injected
    assert len(bad[rule]) == INJECTED
    assert found[rule.replace("/", "-")] == {rule: at_stake(bad[rule])}


def pack() -> list[RulePolicy]:
    return list(load_policies([Path(PACK)]).rules)


def test_every_rule_of_the_pack_is_proven() -> None:
    """A rule without a defect that it finds is a guess."""
    assert {r.id for policy in pack() for r in requirements(policy)} == set(DEFECTS)


def test_the_packs_own_tests_pass_without_registers_or_tags() -> None:
    """It can be named in any project: it needs no register, no tag policy and no column that FOCUS leaves optional."""
    planned = plan(load_policies([Path(PACK)]), {}, {})
    result = run_tests(planned, Registers({}), AS_OF)
    assert result.problems == ()
    assert result.ran > 2 * len(planned.checks)


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    for rule in (rule for policy in pack() for rule in policy.rules):
        assert rule.title, rule.id
        assert rule.message, rule.id
        assert rule.remedy, rule.id
    assert all(policy.why for policy in pack())


# --- what the lists are made of ---------------------------------------------------------------------------------------


def assertion(rule: str) -> str:
    """What a rule asserts, on one line."""
    policy, _, name = rule.partition("/")
    [text] = [r.assertion.text for p in pack() if p.id == policy for r in p.rules if r.id == name]
    return " ".join(text.split())


def quoted(text: str) -> list[str]:
    return text.split("'")[1::2]


def model(name: str) -> object:
    """A file of the FOCUS 1.4 model that focus-data-toolkit carries."""
    return json.loads(files("focus_data_toolkit").joinpath("model", name).read_text(encoding="utf-8"))


def test_the_service_categories_are_those_of_focus() -> None:
    """82 subcategories, each with its one parent, as the FOCUS 1.4 model has them."""
    parents: dict[str, str] = model("focus_1_4_servicesubcategory.json")  # type: ignore[assignment]
    assert sorted(quoted(assertion("focus-vocabulary/service-category"))) == sorted(set(parents.values()))
    clauses = re.findall(
        r"service_category = '([^']*)' AND service_subcategory IN \((.*?)\)(?= OR |$)",
        assertion("focus-vocabulary/service-subcategory"),
    )
    assert {child: parent for parent, children in clauses for child in quoted(children)} == parents
    assert len(parents) == 82


def test_the_currencies_are_those_of_iso_4217() -> None:
    """Those in use, but for `no currency` and the code for tests; and four withdrawn since 2020: old bills are bills."""
    codes = set(model("iso_4217_currencies.json")["codes"])  # type: ignore[index]
    no_currency = {"X" * 3, "XTS"}
    assert sorted(quoted(assertion("focus-vocabulary/currency"))) == sorted(
        codes - no_currency | {"CUC", "HRK", "SLL", "ZWL"}
    )


# --- bills of others --------------------------------------------------------------------------------------------------


def value(row: Row, name: str) -> Decimal:
    return Decimal(0 if row[name] in ("", "NULL") else row[name])


def off(row: Row, cost: str, price: str) -> bool:
    """Whether a cost isn't its price x quantity, give or take a thousandth; a price that is missing says nothing."""
    difference = abs(value(row, price) * value(row, "PricingQuantity") - value(row, cost))
    priced = row[price] not in ("", "NULL") and row["PricingQuantity"] not in ("", "NULL")
    return priced and difference > abs(value(row, cost)) / 1000 + Decimal("1e-8")


def test_the_defects_of_the_real_sample_are_found(sample_data: Path, tmp_path: Path) -> None:
    """Costs that were rounded to whole dollars, prices per block of units: what csv and Decimal find, and nothing else."""
    path = sample_data / "billing/focus_sample_1.0/focus_sample.csv"
    rows = rows_of(path)
    usage = [row for row in rows if row["ChargeCategory"] == "Usage"]
    billed = [row for row in usage if value(row, "BilledCost")]
    free = [row for row in usage if row["CommitmentDiscountStatus"] in ("", "NULL")]
    expected = {
        "effective-is-billed": [r for r in free if 0 != value(r, "BilledCost") != value(r, "EffectiveCost")],
        "contracted-missing": [r for r in billed if not value(r, "ContractedCost")],
        "contracted-below-effective": [r for r in free if abs(value(r, "EffectiveCost")) > abs(value(r, "ContractedCost")) > 0],
        "list-below-contracted": [r for r in usage if 0 < value(r, "ListCost") < value(r, "ContractedCost")],
        "list-is-price": [r for r in rows if off(r, "ListCost", "ListUnitPrice")],
        "contracted-is-price": [r for r in rows if off(r, "ContractedCost", "ContractedUnitPrice")],
    }  # fmt: skip
    run = judged_by_the_pack(tmp_path, {"bill": path})
    assert fired(run) == {"bill": {f"focus-amounts/{name}": at_stake(bad) for name, bad in expected.items()}}
    of_blocks = [r["ProviderName"] for r in expected["list-is-price"]]
    assert of_blocks == ["Microsoft"] * 31
    rounded = [r for r in expected["effective-is-billed"] if r["ProviderName"] == "AWS"]
    assert all(value(r, "EffectiveCost") % 1 == 0 for r in rounded)
    assert rounded == [r for r in free if r["ProviderName"] == "AWS" and value(r, "BilledCost") % 1]  # cents, all lost


def test_the_generated_bills_of_a_public_tool_fire_nothing(sample_data: Path, tmp_path: Path) -> None:
    """3,000 rows of FOCUS 1.2 of three providers that nobody here wrote."""
    folder = sample_data / "billing/focus_data_toolkit"
    run = judged_by_the_pack(tmp_path, {p.name.split(".")[0]: p for p in sorted(folder.glob("*.csv.gz"))})
    assert fired(run) == {}
    assert run.rows("gaps") == []


SPREADSHEET = ", dates: '%m/%d/%y', numbers: us"
DEFAULTS = ", defaults: {BillingCurrency: USD, BillingAccountId: none, ServiceName: none}"


# The examples of the specification contradict it here and there: Database is no service category, 0.333 x 3.00 isn't
# 3.00, fees for what was not used are Usage that nobody consumed, and an unused commitment consumed something.
def of_agreements(rows: int, unused: int) -> Money:
    """What the examples of spend agreements fire: all their rows, and the fees for what was not used."""
    named = {f"focus-vocabulary/{name}": (rows, Decimal(1200)) for name in ("service-category", "service-subcategory")}
    return named | {"focus-quantities/consumed-quantity": (unused, Decimal(972))}


SPECIFICATION: dict[str, Money] = {
    "saas_spend_agreements_a1": of_agreements(4, 1),
    "saas_spend_agreements_a2": of_agreements(13, 10),
    "saas_spend_agreements_b1": of_agreements(4, 1),
    "saas_spend_agreements_b2": of_agreements(13, 10),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource": {
        "focus-amounts/list-is-price": (1, Decimal("0.5"))
    },
    "zero_percent_utilization_without_commitment_discount_flexibility": {
        "focus-commitments/unused-consumed": (1, Decimal("1.5"))
    },
}


def test_the_specifications_examples_fire_only_where_they_contradict_it(sample_data: Path, tmp_path: Path) -> None:
    """26 examples of purchases, commitments, agreements and virtual currencies."""
    paths = sorted((sample_data / "billing/focus_spec_saas").glob("*.csv"))
    assert len(paths) == 26
    found = {}
    for form, saas in ((SPREADSHEET, True), (DEFAULTS, False)):
        chosen = {f"n{n}": p for n, p in enumerate(paths) if ("saas" in p.stem or "virtual" in p.stem) is saas}
        run = judged_by_the_pack(tmp_path / str(saas), chosen, form)
        found |= {chosen[source].stem: money for source, money in fired(run).items()}
    assert found == SPECIFICATION
