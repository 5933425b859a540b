"""OpenCost's allocations become charges of namespaces and pods: estimates, which nobody invoices."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bills import charges, refused, rejects, tags, take, to_csv
from tests.project import TAGS, judged, paid

CASES = Path(__file__).parent.parent / "cases/billing/opencost"
DEFAULTS = {"BillingCurrency": "USD", "SubAccountId": "cluster-1"}
# The header and the row that OpenCost's own test of its exporter expects, with its sum of doubles.
HEADER = "Date,Namespace,ControllerKind,ControllerName,Pod,Container,CPUCoreUsageAverage,CPUCoreRequestAverage,RAMBytesUsageAverage,RAMBytesRequestAverage,NetworkReceiveBytes,NetworkTransferBytes,GPUs,PVBytes,CPUCost,RAMCost,NetworkCost,PVCost,GPUCost,TotalCost"
ROW = "2021-01-01,test-namespace,test-controller-kind,test-controller-name,test-pod,test-container,0.1,0.2,0.4,0.5,11,10,2,2,0.3,0.6,0.9,2,0.8,4.6000000000000005"
# Shares of two namespaces and what is idle, aggregated as the API does it.
BY_NAMESPACE = """
kind: AllocationPolicy
id: who-pays
title: Namespaces pay for themselves, and together for what is idle
effective_from: 2020-01-01
assign: [{id: by-tag, to: tag.cost_center}]
pools: [{id: idle, where: "resource_name = '__idle__'", split: {method: proportional, basis: direct_cost}, on_zero: fail}]
"""


def export(**changes: str) -> dict[str, str]:
    """The first row of the exporter's case, with changes."""
    return next(csv.DictReader((CASES / "export.csv").read_text().splitlines())) | changes


def test_a_row_of_the_exporter_is_a_charge_of_its_pod_and_day(tmp_path):
    delivery = take(CASES / "export.csv", tmp_path, format="auto", defaults=DEFAULTS)
    found = [
        (c["row"], c["effective_cost"], c["resource_id"], c["resource_name"], c["resource_type"], tag)
        for c, tag in zip(charges(delivery), tags(delivery), strict=True)
    ]
    shop, plain = (
        '{"app":"web","k8s-namespace":"shop","team":"shop-team"}',
        '{"app":"web","k8s-namespace":"shop","team":"x"}',
    )
    total = Decimal("4.6000000000000005")
    assert found == [
        (1, total, "shop/web-7d9f", "web-7d9f", "Pod", shop),
        (2, Decimal("0.1"), "shop/web-7d9f", "web-7d9f", "Pod", plain),
        (3, Decimal("5.1"), "shop/web-9xk2", "web-9xk2", "Pod", shop),
        (4, Decimal("1.5"), None, "__unmounted__", None, "{}"),
        (5, 0, "data/db-0", "db-0", "Pod", '{"k8s-namespace":"data","team":"shop-team"}'),
        (8, total, "shop/web-7d9f", "web-7d9f", "Pod", shop),
        (9, total, "shop/web-7d9f", "web-7d9f", "Pod", None),
    ]  # fmt: skip
    first, august = charges(delivery)[0], charges(delivery)[5]
    assert (first["charge_period_end"] - first["charge_period_start"]).days == 1
    assert (first["billing_period"], august["billing_period"]) == ("2026-09", "2026-08")
    assert {c["billed_cost"] for c in charges(delivery)} == {0}, "nobody invoices an estimate"
    assert {(c["sub_account_id"], c["service_name"], c["billing_currency"]) for c in charges(delivery)} == {
        ("cluster-1", "Kubernetes", "USD")
    }
    assert [(r["row"], r["code"]) for r in rejects(delivery)] == [(6, "B040"), (7, "B043")]
    gaps = {gap.reason: gap for gap in delivery.gaps}
    assert set(gaps) == {"assumption", "broken_identity", "rejected_rows", "rounded_double", "unreadable_tags"}
    assert "charged twice" in gaps["assumption"].detail
    assert (gaps["broken_identity"].rows, gaps["broken_identity"].cost) == (1, Decimal("0.5")), (
        "not the noise of doubles"
    )


def test_costs_that_somebody_is_charged_are_billed_where_the_configuration_says_so(tmp_path):
    delivery = take(CASES / "export.csv", tmp_path, format="opencost", defaults=DEFAULTS, options={"invoiced": True})
    assert [c["billed_cost"] for c in charges(delivery)] == [c["effective_cost"] for c in charges(delivery)]


def test_the_row_of_opencosts_own_test_is_read_and_its_missing_labels_are_unknown(tmp_path):
    """Without labels the namespace alone would make every pod look untagged; who wants that, says so."""
    (tmp_path / "a.csv").write_text(f"{HEADER}\n{ROW}\n")
    unread = take("a.csv", tmp_path, format="auto", defaults=DEFAULTS)
    assert tags(unread) == [None]
    assert ["EXPORT_CSV_LABELS_ALL=true" in gap.detail for gap in unread.gaps if gap.reason == "missing_column"].count(
        True
    ) == 1
    read = take("a.csv", tmp_path, format="auto", defaults=DEFAULTS, options={"tags": "none"})
    assert (tags(read), [gap.reason for gap in read.gaps]) == (['{"k8s-namespace":"test-namespace"}'], ["assumption"])
    assert charges(read)[0]["effective_cost"] == Decimal("4.6000000000000005")


def test_allocations_of_the_api_are_read_from_json_lines(tmp_path):
    """Adjustments and shared cost count among the parts; idle cost has no resource; labels go before the namespace's."""
    wanted = frozenset({"x_name", "x_controller", "x_controller_kind", "x_namespace"})
    delivery = take(CASES / "allocations.jsonl", tmp_path, format="auto", defaults=DEFAULTS, columns=wanted)
    found = [(c["effective_cost"], c["resource_id"], c["resource_name"], c["resource_type"]) for c in charges(delivery)]
    assert found == [
        (Decimal("1.6"), "prod/shop/web-7d9f", "web-7d9f", "Pod"),
        (Decimal("0.75"), None, "__idle__", None),
        (Decimal("0.5"), "prod/batch", "batch", "Namespace"),
        (Decimal("0.3"), "prod/team-a", "team-a", None),
    ]
    assert tags(delivery) == ['{"app":"web","k8s-namespace":"shop","owner":"ann","team":"shop-team"}', "{}", '{"k8s-namespace":"batch"}', "{}"]  # fmt: skip
    pod = charges(delivery)[0]
    assert (pod["sub_account_id"], pod["x_controller"], pod["x_controller_kind"], pod["x_namespace"]) == (
        "prod",
        "web",
        "deployment",
        "shop",
    )
    assert [gap.reason for gap in delivery.gaps] == ["assumption"]


@pytest.mark.parametrize(
    "spell",
    [
        lambda n: n,  # as a table of the API's fields calls them
        lambda n: n.removeprefix("properties.").replace(".", " ").title(),
        lambda n: n.replace(".", "_"),
    ],
)
def test_a_csv_of_the_apis_fields_is_read_in_every_spelling(spell, tmp_path):
    line = json.loads((CASES / "allocations.jsonl").read_text().splitlines()[0])
    flat = {f"properties.{k}": v for k, v in line["properties"].items() if isinstance(v, str)}
    flat |= {"window.start": line["window"]["start"], "window.end": line["window"]["end"]}
    flat |= {name: value for name, value in line.items() if not isinstance(value, dict)}
    table = [{spell(name): value for name, value in flat.items()} | {"properties.labels.team": "shop-team"}]
    to_csv(tmp_path / "a.csv", table)
    delivery = take("a.csv", tmp_path, format="auto", defaults=DEFAULTS)
    [one] = charges(delivery)
    assert (one["effective_cost"], one["resource_id"]) == (Decimal("1.6"), "prod/shop/web-7d9f")
    assert tags(delivery) == ['{"k8s-namespace":"shop","team":"shop-team"}']


@pytest.mark.parametrize("name", ["__idle__", "prod/__idle__", "prod/__unallocated__", "__unmounted__/__unmounted__"])
def test_what_no_workload_has_is_no_resource_and_has_no_tags(name, tmp_path):
    to_csv(tmp_path / "a.csv", [export(Namespace="", Pod="", ControllerName="") | {"Name": name}])
    delivery = take("a.csv", tmp_path, format="auto", defaults=DEFAULTS)
    [one] = charges(delivery)
    assert (one["resource_id"], one["resource_name"], tags(delivery)) == (None, name.split("/")[-1], ["{}"])


def test_a_namespace_that_only_sounds_like_it_is_a_workload(tmp_path):
    to_csv(tmp_path / "a.csv", [export(Namespace="my__idle__space")])
    [one] = charges(take("a.csv", tmp_path, format="auto", defaults=DEFAULTS))
    assert one["resource_id"] == "my__idle__space/web-7d9f"


def test_what_the_file_leaves_unsaid_is_asked_for(tmp_path):
    """No currency, no day and no total: each is refused with what to write."""
    to_csv(tmp_path / "a.csv", [{name: value for name, value in export().items() if name != "Date"}])
    said = refused("a.csv", tmp_path, format="auto")
    for name in ("BillingCurrency", "ChargePeriodStart"):
        assert any(f"B015 has no column {name}" in one and f"`defaults: {{{name}: …}}`" in one for one in said)
    [one] = charges(take("a.csv", tmp_path, format="auto", defaults={**DEFAULTS, "ChargePeriodStart": "2026-09-01"}))
    assert one["billing_period"] == "2026-09"
    to_csv(tmp_path / "b.csv", [{name: value for name, value in export().items() if name != "TotalCost"}])
    assert "b.csv:1:1 B280 has no column TotalCost" in refused("b.csv", tmp_path, format="auto")[0]
    to_csv(tmp_path / "c.csv", [export() | {"total_cost": "1"}])
    assert "B012 has the column TotalCost 2 times" in refused("c.csv", tmp_path, format="auto")[0]
    to_csv(tmp_path / "d.csv", [{"Namespace": "a", "TotalCost": "1"}])
    assert (
        "B013 isn't an OpenCost allocation export: it has no column cpuCost, ramCost"
        in refused("d.csv", tmp_path, format="opencost")[0]
    )


def test_namespaces_pay_for_themselves_and_for_what_is_idle(tmp_path):
    rows = [
        export(Label_team="", Labels='{"cost-center":"A"}', TotalCost="3"),
        export(Labels='{"cost-center":"B"}', TotalCost="1"),
    ]
    idle = export(Namespace="__idle__", Pod="", Labels="", TotalCost="2")
    path = to_csv(tmp_path / "bill.csv", [*rows, idle])
    run = judged(
        tmp_path, path, policies=(TAGS, BY_NAMESPACE), format="opencost", source=", defaults: {BillingCurrency: USD}"
    )
    assert paid(run) == {"A": Decimal("4.5"), "B": Decimal("1.5")}
    [total] = run.rows("totals")
    assert (total["billed_cost"], total["effective_cost"]) == (0, 6)
