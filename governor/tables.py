"""The contract of every table: names, types, keys. Sources write these tables, everything later reads only them.

Column names are the FOCUS 1.4 names in snake_case (`EffectiveCost` is `effective_cost`); a predicate may use either
spelling. Money is DECIMAL(38,24) and never a float. Timestamps are UTC without a zone. Account ids are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from governor.money import DIGITS, SCALE

VERSION = 2  # of these contracts; raised when one changes

TEXT, MONEY, COUNT, TIME, DAY, FLAG = "VARCHAR", f"DECIMAL({DIGITS},{SCALE})", "BIGINT", "TIMESTAMP", "DATE", "BOOLEAN"
TAGS = "MAP(VARCHAR, VARCHAR)"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `core` ones are always kept; the others only where a policy names them.

    `cell` marks the keys by which charges are grouped into cells: all that classification can depend on. Those `asked`
    are keys only where a policy names them: no output needs them otherwise.
    """

    name: str
    type: str
    note: str = ""
    required: bool = False
    core: bool = True
    cell: bool = False
    asked: bool = False


def snake(name: str) -> str:
    """Turn a FOCUS name into ours.

    >>> snake("EffectiveCost"), snake("x_UsageType"), snake("SkuId")
    ('effective_cost', 'x_usage_type', 'sku_id')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("__", "_").lower()


def _focus(name: str, type_: str = TEXT, **flags: bool) -> Column:
    return Column(snake(name), type_, name, **flags)


# What begins like this is a column of the provider's or the organisation's own: FOCUS says x_, and Oracle writes oci_.
CUSTOM = ("x_", "oci_")


def is_custom(name: str) -> bool:
    """Whether a charge column is a provider's own, which is always text and kept only where a policy names it.

    >>> is_custom("x_UsageType"), is_custom("oci_compartment_name"), is_custom("x_"), is_custom("resource_id")
    (True, True, False, False)
    """
    return any(name.lower().startswith(prefix) and len(name) > len(prefix) for prefix in CUSTOM)


# The 65 columns of FOCUS 1.4 Cost and Usage, and the two of earlier versions that 1.4 replaced are read into these.
FOCUS = (
    _focus("BilledCost", MONEY, required=True),
    _focus("EffectiveCost", MONEY, required=True),
    _focus("ListCost", MONEY),
    _focus("ContractedCost", MONEY),
    _focus("BillingAccountId", cell=True),
    _focus("BillingAccountName"),
    _focus("BillingCurrency", required=True, cell=True),
    _focus("BillingPeriodStart", TIME, required=True),
    _focus("BillingPeriodEnd", TIME),
    _focus("ChargePeriodStart", TIME, required=True),
    _focus("ChargePeriodEnd", TIME),
    _focus("ChargeCategory", required=True, cell=True),
    _focus("ChargeClass", cell=True),
    _focus("ChargeDescription"),
    _focus("ChargeFrequency", cell=True, asked=True),
    _focus("ServiceProviderName", cell=True),
    _focus("HostProviderName", cell=True, asked=True),
    _focus("InvoiceIssuerName", cell=True, asked=True),
    _focus("InvoiceId", cell=True),
    _focus("SubAccountId", cell=True),
    _focus("SubAccountName", cell=True),
    _focus("ServiceName", cell=True),
    _focus("ServiceCategory", cell=True),
    _focus("ServiceSubcategory", cell=True, asked=True),
    _focus("RegionId", cell=True),
    _focus("ResourceId", cell=True),
    _focus("ResourceName", cell=True),
    _focus("ResourceType", cell=True),
    _focus("PricingCategory", cell=True),
    _focus("CommitmentDiscountId", cell=True),
    _focus("CommitmentDiscountStatus", cell=True),
    _focus("CommitmentDiscountType", cell=True, asked=True),
    _focus("CapacityReservationStatus", cell=True, asked=True),
    _focus("CapacityReservationId"),
    _focus("AllocatedMethodId", cell=True, asked=True),
    _focus("AllocatedResourceId", cell=True, asked=True),
    _focus("AllocatedResourceName", core=False),
    _focus("AllocatedMethodDetails", core=False),
    _focus("AvailabilityZone", core=False),
    _focus("BillingAccountType", core=False),
    _focus("SubAccountType", core=False),
    _focus("CommitmentDiscountName", core=False),
    _focus("CommitmentDiscountCategory", core=False),
    _focus("CommitmentDiscountQuantity", MONEY, core=False),
    _focus("CommitmentDiscountUnit", core=False),
    _focus("CommitmentProgramEligibilityDetails", core=False),
    _focus("ContractApplied", core=False),
    _focus("InvoiceDetailId", core=False),
    _focus("ContractedUnitPrice", MONEY, core=False),
    _focus("ListUnitPrice", MONEY, core=False),
    _focus("PricingCurrency", core=False),
    _focus("PricingCurrencyEffectiveCost", MONEY, core=False),
    _focus("PricingCurrencyContractedUnitPrice", MONEY, core=False),
    _focus("PricingCurrencyListUnitPrice", MONEY, core=False),
    _focus("PricingQuantity", MONEY, core=False),
    _focus("PricingUnit", core=False),
    _focus("ConsumedQuantity", MONEY, core=False),
    _focus("ConsumedUnit", core=False),
    _focus("RegionName", core=False),
    _focus("SkuId", core=False),
    _focus("SkuPriceId", core=False),
    _focus("SkuMeter", core=False),
    _focus("SkuPriceDetails", core=False),
)

# charges: one row a charge, as delivered. `x_*` columns follow where a policy names them (VARCHAR, core=False).
# `file` is the index of the file in Delivery.files, `row` its 1-based data row: together the charge's address.
# `tag_set` points into tag_sets; NULL: the source delivered no readable tags for this row (unknown, not untagged).
CHARGES = (
    Column("file", "INTEGER", "index of the input file", required=True),
    Column("row", COUNT, "1-based data row within the file", required=True),
    Column("billing_period", TEXT, "YYYY-MM of BillingPeriodStart", required=True, cell=True),
    Column("tag_set", COUNT, "key into tag_sets; NULL is unread, not untagged", cell=True),
    *FOCUS,
)

# tag_sets: each distinct set of tags once. An untagged charge points to the empty set. Keys and values exactly as
# delivered (AllocatedTags first, where the row is a split one). Ids count from 0 in the order of `text`.
TAG_SETS = (
    Column("tag_set", COUNT, required=True),
    Column("text", TEXT, "canonical JSON object: sorted keys, no spaces", required=True),
    Column("tags", TAGS, required=True),
)

REJECTS = (
    Column("source", TEXT, required=True),
    Column("file", TEXT, required=True),
    Column("row", COUNT, "1-based data row; with a header line, a CSV's line is at least row + 1", required=True),
    Column("column", TEXT),
    Column("value", TEXT, "at most 200 characters"),
    Column("code", TEXT, required=True),
    Column("reason", TEXT, required=True),
    Column("billing_period", TEXT),
    Column("currency", TEXT),
    Column("cost", MONEY, "the row's cost on the policy's basis, where it can be read"),
)

# --- tables of a committed run: every output is made from these, and from nothing else --------------------------------

TOTALS = (
    Column("source", TEXT, required=True),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("rows", COUNT, required=True),
    Column("rejected", COUNT, required=True),
    Column("billed_cost", MONEY, required=True),
    Column("effective_cost", MONEY, required=True),
    Column("list_cost", MONEY),
    Column("contracted_cost", MONEY),
    Column("allocated", MONEY, "on the policy's cost basis", required=True),
    Column("unallocated", MONEY, "on the policy's cost basis", required=True),
)

# cells: the charges grouped by everything classification can depend on; `cell` is a digest of the keys.
CELLS = (
    Column("cell", TEXT, "first 16 hex digits of the sha256 of the keys", required=True),
    Column("source", TEXT, required=True),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("valid_on", DAY, "the registers and policies in force: the first day of that stretch", required=True),
    Column("billing_account_id", TEXT),
    Column("sub_account_id", TEXT),
    Column("sub_account_name", TEXT),
    Column("provider", TEXT, "ServiceProviderName"),
    Column("invoice_id", TEXT),
    Column("service_name", TEXT),
    Column("service_category", TEXT),
    Column("region_id", TEXT),
    Column("resource_id", TEXT),
    Column("resource_name", TEXT),
    Column("resource_type", TEXT),
    Column("charge_category", TEXT),
    Column("charge_class", TEXT),
    Column("pricing_category", TEXT),
    Column("commitment_discount_id", TEXT),
    Column("commitment_discount_status", TEXT),
    Column("tags", TEXT, "canonical JSON; NULL is unread"),
    Column("rows", COUNT, required=True),
    Column("rows_positive", COUNT, required=True),
    Column("billed_cost", MONEY, required=True),
    Column("effective_cost", MONEY, required=True),
    Column("list_cost", MONEY),
    Column("contracted_cost", MONEY),
    Column("positive_cost", MONEY, "sum of the positive costs, on the policy's basis", required=True),
    Column("first_charge", TIME),
    Column("last_charge", TIME),
    Column("status", TEXT, "T A R S K C D U", required=True),
    Column("cost_center", TEXT, "NULL for S, K in a pool, and U"),
    Column("rule", TEXT, "what decided: an assign, pool or central id, `commitments`, `default`"),
    Column("pool", TEXT),
    Column("reason", TEXT, "why U or D"),
    Column("compliance", TEXT, "pass | fail | unknown | not_applicable, over all tag requirements", required=True),
    Column("policy", TEXT, "the allocation policy that decided"),
    Column("charge_frequency", TEXT),
    Column("host_provider_name", TEXT),
    Column("invoice_issuer_name", TEXT),
    Column("service_subcategory", TEXT),
    Column("commitment_discount_type", TEXT),
    Column("capacity_reservation_status", TEXT),
    Column("allocated_method_id", TEXT),
    Column("allocated_resource_id", TEXT),
    Column("flags", TEXT, "JSON: the outcome of each predicate that reads a row's own amounts; see the manifest"),
)

# allocations: who pays what. Direct ones by account and service; shared ones by pool and target, with the weights that
# made the share: amount = pool_amount x weight / weight_total, by largest remainder.
ALLOCATIONS = (
    Column("source", TEXT, required=True),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("cost_center", TEXT, "NULL: unallocatable"),
    Column("status", TEXT, required=True),
    Column("policy", TEXT),
    Column("rule", TEXT),
    Column("pool", TEXT),
    Column("method", TEXT, "direct | even | fixed | proportional | central | default | none", required=True),
    Column("sub_account_id", TEXT, "NULL on shares of a pool"),
    Column("service_name", TEXT, "NULL on shares of a pool"),
    Column("charge_category", TEXT, "NULL on shares of a pool"),
    Column("amount", MONEY, required=True),
    Column("rows", COUNT, "charges; 0 on shares of a pool", required=True),
    Column("pool_amount", MONEY),
    Column("weight", MONEY),
    Column("weight_total", MONEY),
    Column("reason", TEXT),
)

# cost_centers: the statement's lines. total = direct + shared + commitment + central (suspense stands beside it).
COST_CENTERS = (
    Column("cost_center", TEXT, required=True),
    Column("name", TEXT),
    Column("parent", TEXT),
    Column("owner_email", TEXT),
    Column("mode", TEXT, "chargeback | showback"),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("direct", MONEY, required=True),
    Column("shared", MONEY, required=True),
    Column("commitment", MONEY, required=True),
    Column("central", MONEY, required=True),
    Column("total", MONEY, required=True),
    Column("suspense", MONEY, "status D: placed here for want of an owner, not allocated", required=True),
    Column("budget", MONEY, "from the budgets register, where there is one"),
)

FINDINGS = (
    Column("fingerprint", TEXT, "first 16 hex digits of the sha256 of requirement and subject", required=True),
    Column("requirement", TEXT, required=True),
    Column("policy", TEXT, required=True),
    Column("severity", TEXT, required=True),
    Column("title", TEXT, required=True),
    Column("verdict", TEXT, "fail | unknown | waived | grace", required=True),
    Column("subject", TEXT, "resource id, account id, or `account / service` without a resource", required=True),
    Column("subject_type", TEXT, "resource | account | service", required=True),
    Column("source", TEXT, required=True),
    Column("provider", TEXT),
    Column("sub_account_id", TEXT),
    Column("sub_account_name", TEXT),
    Column("service_name", TEXT),
    Column("region_id", TEXT),
    Column("resource_type", TEXT),
    Column("cost_center", TEXT, "who pays for the subject now, where one cost center does"),
    Column("owner", TEXT, "owner tag, else the account's, else the cost center's owner"),
    Column("observed", TEXT, "the value that was judged; NULL: none was found"),
    Column("observed_from", TEXT, "tag key or register level it came from"),
    Column("message", TEXT, "what is wrong, in a sentence", required=True),
    Column("remedy", TEXT),
    Column("waiver", TEXT),
    Column("currency", TEXT, required=True),
    Column("cost", MONEY, "positive cost at stake in this run's periods, on the policy's basis", required=True),
    Column("rows", COUNT, required=True),
    Column("first_seen", DAY, required=True),
)

# verdicts: every requirement with every verdict, `pass` and `not_applicable` included: the evidence of what was judged.
VERDICTS = (
    Column("requirement", TEXT, required=True),
    Column("policy", TEXT, required=True),
    Column("severity", TEXT, required=True),
    Column("title", TEXT, required=True),
    Column("verdict", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("subjects", COUNT, required=True),
    Column("rows", COUNT, required=True),
    Column("cost", MONEY, required=True),
)

_BY_STATUS = tuple(
    column
    for letter in "TARSKCDU"
    for column in (
        Column(f"cost_{letter.lower()}", MONEY, f"positive cost of status {letter}", required=True),
        Column(f"share_{letter.lower()}", TEXT, "percentage of positive_cost; the eight add up to 100.00"),
        Column(f"rows_{letter.lower()}", COUNT, required=True),
        Column(f"rows_share_{letter.lower()}", TEXT, "percentage of rows; the eight add up to 100.00"),
    )
)

# scores: one row a currency and scope: total, account (sub account), service, source, billing_period, and for
# cost_center the costs that ended there (its shares of pools included). `combined` adds the currencies' totals up in
# the reporting currency, only where the register fx_rates says how.
SCORES = (
    Column("scope", TEXT, "total combined account service source billing_period cost_center", required=True),
    Column("scope_id", TEXT, "'' for total", required=True),
    Column("currency", TEXT, required=True),
    Column("rows", COUNT, required=True),
    Column("cost", MONEY, "net cost on the policy's basis", required=True),
    Column("positive_cost", MONEY, "N: the denominator of every percentage", required=True),
    Column("credits", MONEY, "sum of the negative costs", required=True),
    Column("unknown_cost", MONEY, "unallocated positive cost that unread evidence may place", required=True),
    Column("compliant_cost", MONEY, required=True),
    Column("taggable_cost", MONEY, "unallocated positive cost that a tag could place", required=True),
    Column("allocatability", TEXT, "percentage; NULL where positive_cost is zero"),
    Column("low", TEXT),
    Column("high", TEXT),
    Column("direct_coverage", TEXT),
    Column("allocation_coverage", TEXT),
    Column("tag_compliance", TEXT, "NULL where no tag requirement applied"),
    Column("unallocated", TEXT),
    Column("ceiling", TEXT, "allocatability if all taggable cost were tagged"),
    *_BY_STATUS,
)

GAPS = (
    Column("source", TEXT, required=True),
    Column("scope", TEXT, required=True),
    Column("reason", TEXT, required=True),
    Column("detail", TEXT, required=True),
    Column("permission", TEXT),
    Column("rows", COUNT, required=True),
    Column("cost", MONEY, "NULL: not known"),
    Column("currency", TEXT),
)

POLICIES = (
    Column("policy", TEXT, required=True),
    Column("kind", TEXT, required=True),
    Column("title", TEXT, required=True),
    Column("why", TEXT),
    Column("file", TEXT, required=True),
    Column("digest", TEXT, required=True),
)

WAIVERS = (
    Column("waiver", TEXT, required=True),
    Column("requirements", TEXT, "comma separated", required=True),
    Column("reason", TEXT, required=True),
    Column("approved_by", TEXT, required=True),
    Column("ticket", TEXT, required=True),
    Column("starts", DAY),
    Column("expires", DAY, required=True),
    Column("state", TEXT, "active | expired | not_started", required=True),
    Column("findings", COUNT, "how many it hides", required=True),
    Column("currency", TEXT),
    Column("cost", MONEY, "the money it hides", required=True),
)

# restatements: what this delivery changed, against the latest earlier run that held the same source and billing period.
# A `period` row says what became of a period, in totals; its `line` rows, only where something differs, are a finer
# view of the same money, so the two levels are never added. before + restated + moved = after; restated is the rest.
RESTATEMENTS = (
    Column("source", TEXT, required=True),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("level", TEXT, "period | line", required=True),
    Column("kind", TEXT, "first | restated | reassigned | unchanged | not_delivered, of the period", required=True),
    Column("late", FLAG, "first or restated, though the source had delivered a later period already", required=True),
    Column("replaced_run", COUNT, "the run that held the period until now; NULL: none did"),
    Column("correction", FLAG, "ChargeClass Correction; NULL on periods"),
    Column("charge_period", TEXT, "of corrections: the month they belong to, or `YYYY-MM to YYYY-MM`"),
    Column("sub_account_id", TEXT, "NULL on periods"),
    Column("service_name", TEXT, "NULL on periods"),
    Column("cost_center", TEXT, "who pays directly; NULL on periods, and for pools and what nobody pays"),
    Column("rows_before", COUNT, "NULL: never delivered before"),
    Column("rows_after", COUNT, "NULL: not in this delivery"),
    Column("billed_before", MONEY),
    Column("billed_after", MONEY),
    Column("effective_before", MONEY),
    Column("effective_after", MONEY),
    Column("billed_moved", MONEY, "of the difference: equal charges that the policies or registers gave to another"),
    Column("effective_moved", MONEY),
    Column("rows_new", COUNT, "charges that the former delivery didn't hold; NULL on lines, or it is no longer kept"),
    Column("rows_gone", COUNT, "charges of the former delivery that this one doesn't hold"),
)

# registers as they were: the cost centers with what a journal needs, the accounts with what a report shows.
REGISTER_COST_CENTERS = (
    Column("id", TEXT, required=True),
    Column("name", TEXT),
    Column("parent", TEXT),
    Column("owner_email", TEXT),
    Column("gl_account", TEXT),
    Column("entity", TEXT),
    Column("mode", TEXT, "chargeback | showback"),
    Column("valid_from", DAY, "inclusive; NULL: always"),
    Column("valid_to", DAY, "inclusive; NULL: for ever"),
)
REGISTER_ACCOUNTS = (
    Column("account_id", TEXT, required=True),
    Column("provider", TEXT),
    Column("name", TEXT),
    Column("cost_center", TEXT),
    Column("owner_email", TEXT),
    Column("environment", TEXT),
    Column("valid_from", DAY, "inclusive; NULL: always"),
    Column("valid_to", DAY, "inclusive; NULL: for ever"),
)

# tie_out: every invoice against the charges that carry its id, and every charge that no invoice covers: the sum of
# `billed` over a currency is the bill. residual = invoiced - billed = tax + credits + marketplace + not_yet_invoiced +
# rounding + unexplained, exactly. NULL amounts: there is no invoice to compare with.
TIE_OUT = (
    Column("source", TEXT, "'': an invoice that no source has charges of; several are joined by `, `", required=True),
    Column("issuer", TEXT, "InvoiceIssuerName"),
    Column("invoice_id", TEXT, "NULL: charges without an InvoiceId"),
    Column("billing_account_id", TEXT, "NULL: none or several"),
    Column("currency", TEXT, required=True),
    Column("billing_periods", TEXT, "YYYY-MM, joined by `, `; '': nothing says which", required=True),
    Column("invoice_status", TEXT, "Issued | Open | Voided; NULL: in no invoices input"),
    Column("issued_on", DAY, "where the invoice says so"),
    Column("status", TEXT, "tied within_tolerance not_tied not_invoiced no_charges not_checked unknown", required=True),
    Column("rows", COUNT, "charges", required=True),
    Column("invoiced", MONEY, "the payable amount"),
    Column("billed", MONEY, "sum of BilledCost", required=True),
    Column("residual", MONEY, "invoiced less billed"),
    Column("tax", MONEY, "the invoice's tax less that of the charges"),
    Column("credits", MONEY, "the invoice's credits less those of the charges"),
    Column("marketplace", MONEY, "charges of another issuer or seller that stand on one side only"),
    Column("not_yet_invoiced", MONEY, "charges without an InvoiceId of the invoice's account and period"),
    Column("rounding", MONEY, "what rounding the invoice's lines to its minor unit can explain"),
    Column("unexplained", MONEY),
    Column("tolerance", MONEY, "what the residual may be"),
    Column("accepted", TEXT, "reasons that the source accepts, joined by `, `"),
    Column("detail", TEXT, "why it is unknown, or which near miss was seen"),
)

# bridge: from billed to effective cost, line by line in the order of `position`: the lines between add up to the
# difference exactly. `prepaid_drawdown` stands below the line: used and unused, less what was purchased.
BRIDGE = (
    Column("source", TEXT, required=True),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("position", COUNT, required=True),
    Column("line", TEXT, "billed | purchases | used | unused | other | effective | prepaid_drawdown", required=True),
    Column("charge_category", TEXT, "on the lines `other`"),
    Column(
        "rows",
        COUNT,
        "charges whose billed and effective cost differ; all of them on the first and last line",
        required=True,
    ),
    Column("amount", MONEY, required=True),
)

# commitments: what each commitment discount or capacity reservation cost and gave in a period, and whether the
# identities of the specification hold: the three columns after `broken` are zero.
COMMITMENTS = (
    Column("source", TEXT, required=True),
    Column("billing_period", TEXT, required=True),
    Column("currency", TEXT, required=True),
    Column("kind", TEXT, "commitment | capacity", required=True),
    Column("id", TEXT, required=True),
    Column("rows", COUNT, required=True),
    Column("purchased", MONEY, "BilledCost of its Purchase rows", required=True),
    Column("used", MONEY, "EffectiveCost of its rows with status Used", required=True),
    Column("unused", MONEY, "EffectiveCost of its rows with status Unused", required=True),
    Column("usage", MONEY, "EffectiveCost of its Usage rows", required=True),
    Column(
        "drawdown",
        MONEY,
        "used + unused, less what is billed for them and for purchases: paid in another period",
        required=True,
    ),
    Column("utilisation", TEXT, "percentage: used of used + unused; NULL of nothing"),
    Column("broken", TEXT, "which identities don't hold: status, purchase, unused; NULL: all hold"),
    Column("status_difference", MONEY, "usage - used - unused", required=True),
    Column("purchase_effective", MONEY, "EffectiveCost of Purchase rows, without signs", required=True),
    Column("unused_billed", MONEY, "BilledCost of Unused rows, without signs; not of capacity", required=True),
)

# The tables of a run folder, by file name (`NAME.parquet`). Rows are sorted by all columns from left to right unless a
# table says otherwise, NULL first, so that the same content is the same bytes. Cells are sorted by `cell`, findings by
# fingerprint, verdict, source, waiver and currency.
RUN = {
    "totals": TOTALS,
    "cells": CELLS,
    "allocations": ALLOCATIONS,
    "cost_centers": COST_CENTERS,
    "findings": FINDINGS,
    "verdicts": VERDICTS,
    "scores": SCORES,
    "gaps": GAPS,
    "rejects": REJECTS,
    "policies": POLICIES,
    "waivers": WAIVERS,
    "restatements": RESTATEMENTS,
    "register_cost_centers": REGISTER_COST_CENTERS,
    "register_accounts": REGISTER_ACCOUNTS,
    "tie_out": TIE_OUT,
    "bridge": BRIDGE,
    "commitments": COMMITMENTS,
}


def ddl(columns: tuple[Column, ...]) -> str:
    """Write the columns as SQL: `"name" TYPE, ...`."""
    return ", ".join(f'"{c.name}" {c.type}' for c in columns)
