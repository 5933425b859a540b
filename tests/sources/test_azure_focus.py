"""Azure's FOCUS exports: what they mean otherwise than FOCUS says, is read as Azure means it."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bills import charges, refused, rows, take, to_csv

GUID = "1CAAA5A3-2b66-438e-8ab4-bce37d518c5d"
ORDER = "/providers/Microsoft.Capacity/reservationOrders/A/reservations/B"
AZURE = {
    "SubAccountId": f"/subscriptions/{GUID}",
    "ProviderName": "Microsoft",
    "PublisherName": "Microsoft",
    "CommitmentDiscountId": "",
    "CommitmentDiscountStatus": "",
    "x_BillingProfileId": "NF5V",
    "x_CostAllocationRuleName": "",
    "x_SkuMeterCategory": "Virtual Machines",
    "x_SkuMeterSubcategory": "BS Series",
    "x_ResourceGroupName": "shop-rg",
}
COVERED = {
    "BilledCost": "0",
    "EffectiveCost": "0.5",
    "ListCost": "0",
    "ContractedCost": "0",
    "CommitmentDiscountId": ORDER,
    "CommitmentDiscountStatus": "Used",
}


def azure(*changes: dict[str, str]) -> list[dict[str, str]]:
    """One row of Azure's FOCUS export for each set of changes."""
    return [row | change for row, change in zip(rows(*[AZURE] * len(changes)), changes, strict=True)]


def test_a_list_or_contracted_cost_of_nothing_is_not_known(tmp_path):
    """Where the row costs nothing either, nothing is what it would have cost."""
    free = {"BilledCost": "0", "EffectiveCost": "0", "ListCost": "0", "ContractedCost": "0"}
    to_csv(tmp_path / "a.csv", azure({}, COVERED, free))
    delivery = take("a.csv", tmp_path, format="auto")
    found = [(c["list_cost"], c["contracted_cost"]) for c in charges(delivery)]
    assert found == [(2, Decimal("1.75")), (None, None), (0, 0)]
    assert delivery.why.endswith("x_ columns say that it is Azure's")


def test_ids_are_in_one_case_and_a_subscription_is_its_guid_as_in_the_cost_details(tmp_path):
    to_csv(tmp_path / "a.csv", azure(COVERED | {"ServiceName": ""}, {"ServiceName": "", "x_SkuMeterSubcategory": ""}))
    one, other = charges(take("a.csv", tmp_path, format="focus", columns=frozenset({"x_ResourceGroupName"})))
    assert (one["sub_account_id"], one["commitment_discount_id"]) == (GUID.lower(), ORDER.lower())
    assert one["x_resource_group_name"] == "shop-rg"
    assert (one["service_name"], other["service_name"]) == ("BS Series", "Microsoft")


def test_a_purchase_with_an_effective_cost_stays_and_is_told_with_its_money(tmp_path):
    """Azure has such rows; what the provider says is not changed, but nobody should charge it twice unawares."""
    bought = {"ChargeCategory": "Purchase", "CommitmentDiscountId": ORDER, "BilledCost": "365", "EffectiveCost": "365"}
    to_csv(tmp_path / "a.csv", azure(bought, COVERED))
    delivery = take("a.csv", tmp_path, format="focus")
    assert sum(c["effective_cost"] for c in charges(delivery)) == Decimal("365.5")
    [gap] = [gap for gap in delivery.gaps if gap.reason == "broken_identity"]
    assert (gap.rows, gap.cost, gap.detail) == (
        1,
        365,
        f"purchases of commitments have an effective cost, and what uses them has it too: {ORDER.lower()}",
    )


def test_azures_own_cost_allocation_is_set_aside_in_focus_too(tmp_path):
    to_csv(tmp_path / "a.csv", azure({}, {"x_CostAllocationRuleName": "Share", "BilledCost": "-1"}))
    assert len(charges(take("a.csv", tmp_path, format="focus"))) == 1
    assert len(charges(take("a.csv", tmp_path, format="focus", options={"cost_allocation": "keep"}))) == 2


def test_two_runs_of_a_focus_export_are_refused(tmp_path):
    for run in ("r1", "r2"):
        to_csv(tmp_path / f"bills/focus/20260901-20260930/{run}/part_0_0001.csv", azure({"x_BillingProfileId": run}))
    [said] = refused("bills", tmp_path, format="focus")
    assert "B235 is another run of bills/focus/20260901-20260930" in said


def test_every_column_of_the_published_schema_is_read(sample_data, tmp_path):
    """The 104 columns of Azure's FOCUS 1.2 export, typed as it types them."""
    schema = json.loads(
        (sample_data / "billing/finops_toolkit_azure_ea/focuscost_1.2.schema.json").read_text("utf-8-sig")
    )
    kinds = {m["source"]["name"]: m["source"]["type"] for m in schema["translator"]["mappings"]}
    types = {"Decimal": pa.decimal128(38, 18), "DateTime": pa.timestamp("ms", "UTC")}
    [row] = azure(COVERED)
    columns = {}
    for name, kind in kinds.items():
        value = row.get(name) or None
        typed = (
            pa.array([value]).cast(types.get(kind, pa.string())) if value else pa.nulls(1, types.get(kind, pa.string()))
        )
        columns[name] = typed
    pq.write_table(pa.table(columns), tmp_path / "part_0_0001.parquet")
    delivery = take("part_0_0001.parquet", tmp_path, format="auto")
    [charge] = charges(delivery)
    assert (len(kinds), delivery.version) == (104, "1.2")
    assert (charge["effective_cost"], charge["list_cost"]) == (Decimal("0.5"), None)
    assert (charge["sub_account_id"], charge["service_provider_name"]) == (GUID.lower(), "Microsoft")
