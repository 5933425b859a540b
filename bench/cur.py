"""Write a legacy AWS Cost and Usage Report of any size: CSV.gz parts of 100,000 rows, as AWS delivers them.

    python -m bench.cur OUT --rows 1_000_000

The header has the 190-odd columns of a real report, most of them empty in most rows. Savings plans cover part of the
usage and negate it, reservations have fees, and tags have a column each. `truth.json` holds the exact sum of
UnblendedCost, which is what the invoice asks, and of the amortised cost.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from bench.focus_table import decimals

PART_ROWS = 100_000
DIGITS = 10  # of an amount, as AWS prints them
PAYER, MONTH = "099999999999", datetime(2026, 10, 1, tzinfo=UTC)
SERVICES = (
    ("AmazonEC2", "Amazon Elastic Compute Cloud", "BoxUsage:m5.large", "RunInstances", "Compute Instance"),
    ("AmazonS3", "Amazon Simple Storage Service", "TimedStorage-ByteHrs", "StandardStorage", "Storage"),
    ("AmazonRDS", "Amazon Relational Database Service", "InstanceUsage:db.r5", "CreateDBInstance", "Database Instance"),
    ("AWSLambda", "AWS Lambda", "Lambda-GB-Second", "Invoke", "Serverless"),
    ("AWSDataTransfer", "AWS Data Transfer", "DataTransfer-Out-Bytes", "RunInstances", "Data Transfer"),
)
REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2")
TAGS = ("aws:createdBy", "user:CostCenter", "user:app", "user:environment", "user:owner", "user:stack", "user:version")
# The product columns that a report carries along, empty in all rows but those of one service.
PRODUCT = (
    "accountAssistance architecturalReview architectureSupport availability availabilityZone bestPractices "
    "capacitystatus caseSeverityresponseTimes classicnetworkingsupport clockSpeed comments contentType "
    "currentGeneration customerServiceAndCommunities databaseEngine dedicatedEbsThroughput deploymentOption "
    "description directorySize directoryType durability ebsOptimized ecu edition endpointType engineCode "
    "enhancedNetworkingSupported feeCode feeDescription fromLocation fromLocationType fromRegionCode group "
    "groupDescription includedServices instanceFamily instanceType instanceTypeFamily intelAvx2Available "
    "intelAvxAvailable intelTurboAvailable isshadow iswebsocket launchSupport licenseModel location locationType "
    "marketoption maxIopsBurstPerformance maxIopsvolume maxThroughputvolume maxVolumeSize memory memoryGib "
    "messageDeliveryFrequency messageDeliveryOrder minVolumeSize networkPerformance normalizationSizeFactor "
    "operatingSystem operation operationsSupport origin physicalProcessor platousagetype platovolumetype "
    "preInstalledSw proactiveGuidance processorArchitecture processorFeatures programmaticCaseManagement protocol "
    "provisioned queueType recipient requestDescription requestType resourceEndpoint routingTarget routingType "
    "softwareType storage storageClass storageMedia storageType subscriptionType technicalSupport tenancy "
    "thirdpartySoftwareSupport toLocation toLocationType toRegionCode training transferType usagetype vcpu version "
    "virtualInterfaceType volumeApiName volumeType vpcnetworkingsupport whoCanOpenCases"
).split()

USAGE, COVERED, NEGATION, DISCOUNTED, RI_FEE, TAX = range(6)
TYPES = ("Usage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "DiscountedUsage", "RIFee", "Tax")
PLAN = f"arn:aws:savingsplans::{PAYER}:savingsplan/0f9c2d3e"
RESERVATION = f"arn:aws:ec2:us-east-1:{PAYER}:reserved-instances/7f1c"


def write_report(rows: int, folder: Path, seed: int = 7) -> dict[str, object]:
    """Write the parts below `folder`/data and truth.json beside them, and return the truth."""
    (folder / "data").mkdir(parents=True)
    unblended = amortised = done = 0
    for part in range(-(-rows // PART_ROWS)):
        count = min(PART_ROWS, rows - done)
        table, billed, effective = _part(count, part, np.random.default_rng([seed, part]))
        path = folder / "data" / f"report-{part + 1:05d}.csv.gz"
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
            pa_csv.write_csv(table, packed, pa_csv.WriteOptions(quoting_style="needed"))
        unblended, amortised, done = unblended + billed, amortised + effective, done + count
    truth = {
        "rows": done,
        "unblended": str(Decimal(unblended).scaleb(-DIGITS)),
        "amortised": str(Decimal(amortised).scaleb(-DIGITS)),
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return truth


def _part(n: int, part: int, g: np.random.Generator) -> tuple[pa.Table, int, int]:
    """Draw one part; its last rows are the negation, the fee and the tax."""
    kind = g.choice([USAGE, COVERED, DISCOUNTED], n, p=[0.88, 0.09, 0.03])
    kind[-3:] = NEGATION, RI_FEE, TAX
    cost = (10 ** (g.normal(0.0, 2.0, n)) * 1e6).astype(np.int64) + 1
    cost[kind == DISCOUNTED] = 0
    public = np.where(kind == DISCOUNTED, 5_000_000_000, cost)
    cost[kind == NEGATION] = -int(cost[kind == COVERED].sum())
    plan = np.where(kind == COVERED, cost * 7 // 10, 0)
    reserved = np.where(kind == DISCOUNTED, 3_000_000_000, 0)
    effective = np.where(kind == COVERED, plan, np.where(kind == DISCOUNTED, reserved, cost))
    effective[kind == NEGATION] = 0
    effective[kind == RI_FEE] = 0  # nothing of the reservation was left unused
    text = _texts(n, part, kind, g)
    amounts = {
        "lineItem/UnblendedCost": cost,
        "lineItem/BlendedCost": cost,
        "pricing/publicOnDemandCost": np.where(kind < TAX, public, 0),
        "reservation/EffectiveCost": reserved,
        "savingsPlan/SavingsPlanEffectiveCost": plan,
    }
    columns = text | {name: decimals(values, DIGITS).cast(pa.string()) for name, values in amounts.items()}
    zeros = pa.array(["0"] * n)
    for name in ("UnusedAmortizedUpfrontFeeForBillingPeriod", "UnusedRecurringFee"):
        columns[f"reservation/{name}"] = zeros
    for name in ("TotalCommitmentToDate", "UsedCommitment"):
        columns[f"savingsPlan/{name}"] = zeros
    empty = pa.array([""] * n)
    columns |= {f"product/{name}": empty for name in PRODUCT}
    return pa.table({name: columns[name] for name in sorted(columns)}), int(cost.sum()), int(effective.sum())


def _texts(n: int, part: int, kind: np.ndarray, g: np.random.Generator) -> dict[str, pa.Array]:
    service, region = g.integers(0, len(SERVICES), n), g.integers(0, len(REGIONS), n)
    account, resource, hour = g.integers(0, 60, n), g.integers(0, 4_000, n), g.integers(0, 31 * 24, n)
    starts = [MONTH + timedelta(hours=h) for h in range(31 * 24 + 1)]
    stamps = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in starts]
    covered, fee = np.isin(kind, (COVERED, NEGATION)), np.isin(kind, (DISCOUNTED, RI_FEE))
    tagged = resource % 5 > 0

    def pick(values: list[str], codes: np.ndarray, where: np.ndarray | None = None) -> pa.Array:
        codes = codes if where is None else np.where(where, codes, len(values))
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), [*values, ""]).dictionary_decode()

    def same(value: str) -> pa.Array:
        return pick([value], np.zeros(n, np.int32))

    def of_service(place: int) -> pa.Array:
        return pick([s[place] for s in SERVICES], service)

    found = {
        "identity/LineItemId": pa.array([f"{part:04x}{i:048x}" for i in range(n)]),
        "identity/TimeInterval": pick([f"{a}/{b}" for a, b in itertools.pairwise(stamps)], hour),
        "bill/InvoiceId": same("1234567890"),
        "bill/BillingEntity": same("AWS"),
        "bill/BillType": same("Anniversary"),
        "bill/PayerAccountId": same(PAYER),
        "bill/InvoicingEntity": same("Amazon Web Services, Inc."),
        "bill/BillingPeriodStartDate": same("2026-10-01T00:00:00Z"),
        "bill/BillingPeriodEndDate": same("2026-11-01T00:00:00Z"),
        "lineItem/UsageAccountId": pick([f"0{i:011d}" for i in range(60)], account),
        "lineItem/LineItemType": pick(list(TYPES), kind),
        "lineItem/UsageStartDate": pick(stamps, hour),
        "lineItem/UsageEndDate": pick(stamps, hour + 1),
        "lineItem/ProductCode": of_service(0),
        "product/ProductName": of_service(1),
        "product/servicecode": of_service(0),
        "lineItem/UsageType": of_service(2),
        "lineItem/Operation": of_service(3),
        "product/productFamily": of_service(4),
        "lineItem/AvailabilityZone": pick([f"{r}a" for r in REGIONS], region, service == 0),
        "lineItem/ResourceId": pick([f"i-{i:017x}" for i in range(4_000)], resource, kind != TAX),
        "lineItem/UsageAmount": pick([f"{i / 16:.10f}" for i in range(64)], g.integers(0, 64, n)),
        "lineItem/CurrencyCode": same("USD"),
        "lineItem/LegalEntity": same("Amazon Web Services, Inc."),
        "lineItem/UnblendedRate": same("0.0960000000"),
        "lineItem/LineItemDescription": pick([f"$0.{i:03d} per unit of a service" for i in range(96)], resource % 96),
        "lineItem/TaxType": same(""),
        "pricing/term": pick(["OnDemand", "Reserved"], fee.astype(np.int32)),
        "pricing/unit": same("Hrs"),
        "pricing/currency": same("USD"),
        "pricing/publicOnDemandRate": same("0.0960000000"),
        "pricing/RateId": pick([f"{i:010d}" for i in range(300)], resource % 300),
        "product/region": pick(list(REGIONS), region),
        "product/regionCode": pick(list(REGIONS), region),
        "product/sku": pick([f"SKU{i:09d}" for i in range(300)], resource % 300),
        "reservation/ReservationARN": pick([RESERVATION], np.zeros(n, np.int32), fee),
        "savingsPlan/SavingsPlanArn": pick([PLAN], np.zeros(n, np.int32), covered),
    }
    for at, key in enumerate(TAGS):
        found[f"resourceTags/{key}"] = pick([f"v{at}-{i}" for i in range(40)], resource % 40, tagged)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=lambda text: int(float(text.replace("_", ""))), default=1_000_000)
    given = parser.parse_args()
    print(json.dumps(write_report(given.rows, given.out)))
