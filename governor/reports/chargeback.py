"""What the chargeback page shows: who pays what, why, and that it adds up to the bill to the last digit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from governor import money
from governor.ledger.read import Run
from governor.model import Status
from governor.reports import display, figures, reconciliation, restated
from governor.reports.figures import Line, Row
from governor.reports.shown import Shown, shown

CHARTED = 12  # bars of a chart; the rest is one bar
Bar = tuple[str, str, list[tuple[str, str, Decimal]], Decimal]  # label, hint, parts, total
MOST_PERIODS = 13  # columns of the table by period: a year and the month before it


def view(run: Run, limit: int) -> dict[str, Any]:
    """Gather the page's tables, none with more rows than the limit."""
    return {
        "blocks": [_block(run, currency, number, limit) for number, currency in enumerate(figures.currencies(run))],
        "orders": _orders(run),
        "restated": _restated(run, limit),
        "invoices": reconciliation.sentences(run),
    }


def _restated(run: Run, limit: int) -> dict[str, Any] | None:
    """What the deliveries changed; None where nothing did, so that the page has no such section."""
    told = [each for each in restated.read(run) if each.told]
    if not told:
        return None
    basis = figures.basis(run)
    lines, corrections = (restated.ranked(told, basis, correction=correction) for correction in (False, True))
    periods = [each.period | {"moved": each.moved} for each in told if each.period["kind"] != "not_delivered"]
    return {
        "sentences": restated.sentences(told),
        "periods": [row | {f"{a}_delta": restated.delta([row], a) for a in restated.AMOUNTS} for row in periods],
        "lines": shown(restated.TABLE, lines, limit, f"{basis.removesuffix('_cost')}_delta"),
        "corrections": shown(restated.TABLE, corrections, limit, f"{basis.removesuffix('_cost')}_delta"),
        "names": figures.account_names(run),
    }


def _block(run: Run, currency: str, number: int, limit: int) -> dict[str, Any]:
    totals = [row for row in run.rows("totals") if row["currency"] == currency]
    lines = figures.statement(run, currency)
    sums = _sum(lines)
    chart = _chart(lines)
    services = figures.net(run, "service", currency)
    allocations = [row for row in run.rows("allocations") if row["currency"] == currency]
    ingested = money.total(row[figures.basis(run)] for row in totals)
    return {
        "currency": currency,
        "anchor": f"c{number}",
        "totals": totals,
        "billed": money.total(row["billed_cost"] for row in totals),
        "ingested": ingested,
        "headline": display.adding_up(
            [money.total(row[name] for row in totals) for name in ("allocated", "unallocated")]
        ),
        "allocated": money.total(row["allocated"] for row in totals),
        "unallocated": money.total(row["unallocated"] for row in totals),
        "ties": all(figures.ties(run, row) for row in totals),
        "rows": sum(row["rows"] for row in totals),
        "rejected": sum(row["rejected"] for row in totals),
        "lines": Shown("cost_centers", lines[:limit], max(0, len(lines) - limit)),
        "sum": sums,
        "suspended": any(each.suspense for each in lines),
        "chart": chart,
        "largest": max((total for *_, parts, total in chart if parts), default=figures.ZERO),
        **_parts(sums, allocations),
        "tree": [node for root in figures.hierarchy(run, lines) for node in root.walk()][:limit],
        "periods": _periods(run, currency, lines[:limit]),
        "pools": _pools(allocations, limit),
        "central": _grouped(allocations, (Status.CENTRAL,), ("cost_center", "policy", "rule", "reason"), limit),
        "waiting": _grouped(
            allocations,
            (Status.SUSPENSE, Status.UNALLOCATABLE),
            ("status", "reason", "cost_center", "sub_account_id", "service_name"),
            limit,
        ),
        "rules": _rules(allocations),
        "services": shown("scores", services, limit, "cost"),
        "accounts": shown("scores", figures.net(run, "account", currency), limit, "cost"),
        "service_chart": _service_chart(services),
        "largest_service": max((row["cost"] for row in services), default=figures.ZERO),
        "names": figures.account_names(run),
    }


def _sum(lines: Sequence[Line]) -> Row:
    names = (*figures.PARTS, "total", "suspense")
    sums: Row = {name: money.total(getattr(each, name) for each in lines) for name in names}
    budgets = [each.budget for each in lines if each.budget is not None]
    variances = [each.variance for each in lines if each.variance is not None]
    return sums | {
        "budget": money.total(budgets) if budgets else None,
        "variance": money.total(variances) if variances else None,
    }


def _chart(lines: Sequence[Line]) -> list[Bar]:
    """The largest cost centers as bars of their four parts; the others as an amount, whose bar would dwarf all."""
    bars: list[Bar] = [
        (each.cost_center, each.name, [(part, f"p{part}", getattr(each, part)) for part in figures.PARTS], each.total)
        for each in lines[:CHARTED]
    ]
    if rest := lines[CHARTED:]:
        bars.append((display.plural(len(rest), "other"), "", [], money.total(each.total for each in rest)))
    return bars


def _service_chart(rows: Sequence[Row]) -> list[Bar]:
    """The costliest services as bars; the table below the chart has the others."""
    costly = [row for row in rows[:CHARTED] if row["cost"] > 0]
    return [(row["scope_id"] or "(none named)", "", [("cost", "pcost", row["cost"])], row["cost"]) for row in costly]


def _parts(sums: Row, allocations: Iterable[Row]) -> Row:
    """What the whole of a currency is made of: the statement's parts, suspense, and what nobody pays."""
    nobody = money.total(row["amount"] for row in allocations if row["status"] == Status.UNALLOCATABLE)
    parts = [(name, f"p{name}", sums[name]) for name in (*figures.PARTS, "suspense")]
    parts.append(("unallocated", "punallocated", nobody))
    return {"parts": parts, "parts_total": money.total(max(value, figures.ZERO) for *_, value in parts)}


def _orders(run: Run) -> list[list[str]]:
    """The orders in which the clauses of the allocation policies try, each once."""
    orders = run.manifest["parameters"]["order"]
    return [order for place, order in enumerate(orders) if order not in orders[:place]]


def _periods(run: Run, currency: str, lines: Sequence[Line]) -> Row | None:
    """The totals by billing period, where there are several: the latest thirteen."""
    rows = [row for row in run.rows("cost_centers") if row["currency"] == currency]
    periods = sorted({row["billing_period"] for row in rows})
    if len(periods) < 2:  # noqa: PLR2004 - one period is the statement itself
        return None
    columns = periods[-MOST_PERIODS:]
    cells = {(row["cost_center"], row["billing_period"]): row["total"] for row in rows}
    return {
        "columns": columns,
        "left": len(periods) - len(columns),
        "rows": [(each, [cells.get((each.cost_center, period)) for period in columns]) for each in lines],
        "sums": [money.total(row["total"] for row in rows if row["billing_period"] == period) for period in columns],
    }


def _pools(allocations: Sequence[Row], limit: int) -> list[Row]:
    """Each pool with its divisions: one a source and period, because weights are those of the period."""
    pools: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in allocations:
        if row["pool"] is not None:
            pools.setdefault(row["pool"], {}).setdefault((row["billing_period"], row["source"]), []).append(row)
    return [
        {
            "pool": pool,
            "policy": next(iter(divisions.values()))[0]["policy"],
            "methods": sorted({row["method"] for rows in divisions.values() for row in rows}),
            "amount": money.total(row["amount"] for rows in divisions.values() for row in rows),
            "divisions": [_division(*key, rows, limit) for key, rows in sorted(divisions.items())],
        }
        for pool, divisions in sorted(pools.items())
    ]


def _division(period: str, source: str, rows: Sequence[Row], limit: int) -> Row:
    totals = {row["weight_total"] for row in rows}
    ranked = sorted(rows, key=lambda r: (-abs(r["amount"]), r["cost_center"] or "", r["status"]))
    return {
        "period": period,
        "source": source,
        "amount": money.total(row["amount"] for row in rows),
        "weight_total": totals.pop() if len(totals) == 1 else None,
        "shares": shown("allocations", ranked, limit, "amount"),
    }


def _grouped(allocations: Iterable[Row], statuses: Sequence[Status], keys: Sequence[str], limit: int) -> Shown:
    """Add the allocations of some statuses by their keys, the largest first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in allocations:
        if row["status"] in statuses and row["pool"] is None:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    rows = [
        dict(zip(keys, values, strict=True))
        | {
            "currency": members[0]["currency"],
            "amount": money.total(row["amount"] for row in members),
            "rows": sum(row["rows"] for row in members),
        }
        for values, members in groups.items()
    ]
    rows.sort(key=lambda r: (-abs(r["amount"]), *(r[key] or "" for key in keys)))
    return shown("allocations", rows, limit, "amount")


def _rules(allocations: Iterable[Row]) -> list[Row]:
    """What placed the money, clause by clause, in the order of the statuses: the method as it was applied."""
    groups: dict[tuple[str, str, str, str], Row] = {}
    for row in allocations:
        key = (row["status"], row["policy"] or "", row["rule"] or "", row["method"])
        group = groups.setdefault(key, {"amount": Decimal(0), "rows": 0, "pooled": row["pool"] is not None})
        group["amount"] = money.total((group["amount"], row["amount"]))
        group["rows"] += row["rows"]
    order = [str(status) for status in Status]
    ranked = sorted(groups, key=lambda k: (order.index(k[0]), -abs(groups[k]["amount"]), k))
    return [{"status": k[0], "policy": k[1], "rule": k[2], "method": k[3]} | groups[k] for k in ranked]
