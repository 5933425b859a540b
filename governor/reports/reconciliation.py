"""What the reconciliation shows: invoices against charges, billed against effective cost, and each commitment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from governor import money
from governor.ledger.periods import explained
from governor.ledger.read import Run
from governor.reports import display, figures
from governor.reports.display import safe, visible
from governor.reports.figures import ZERO, Row
from governor.reports.shown import shown

TABLES = ("tie_out", "bridge", "commitments")
LINES = ("billed", "purchases", "used", "unused", "other", "effective", "prepaid_drawdown")
# What each status means, and the kind of badge that it wears; the worst first.
STATUSES: Mapping[str, tuple[str, str]] = {
    "not_tied": ("not tied", "expired"),
    "no_charges": ("no charges", "expired"),
    "unknown": ("unknown", "expired"),
    "not_invoiced": ("not invoiced", "medium"),
    "not_checked": ("not checked", "low"),
    "within_tolerance": ("within tolerance", "active"),
    "tied": ("tied", "active"),
}
NAMED = 3  # invoices that a sentence names
FEW = 5  # open rows in the summary; all of them are in tie_out.csv
NONE_HELD = "this run holds no reconciliation: an earlier governor committed it; run again"
NONE_GIVEN = "no invoices are given: the bill is tied to none"


def held(run: Run) -> bool:
    """Whether the run holds a reconciliation: one that an earlier governor committed has none."""
    return all(run.holds(name) for name in TABLES)


def ranked(run: Run) -> list[Row]:
    """Order the rows of `tie_out`: the worst status first, then the most money."""
    order = list(STATUSES)
    return sorted(
        run.rows("tie_out"),
        key=lambda r: (order.index(r["status"]), -abs(_open(r)), r["source"], r["issuer"] or "", r["invoice_id"] or ""),
    )


def _open(row: Row) -> Decimal:
    amount: Decimal = row["billed"] if row["residual"] is None else row["residual"]
    return amount


def sentences(run: Run) -> list[str]:
    """Say in a line or three how the invoices stand; nothing of a run that holds no reconciliation."""
    if not held(run):
        return []
    rows = ranked(run)
    by_status = {status: [row for row in rows if row["status"] == status] for status in STATUSES}
    if not any(by_status[status] for status in STATUSES if status != "not_checked"):
        return [NONE_GIVEN] if rows else []
    return [*_compared(by_status), *_uncompared(by_status)]


def _compared(by_status: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    parts = []
    tied, near = (len(by_status[status]) for status in ("tied", "within_tolerance"))
    if tied or not near:
        parts.append(f"{display.plural(tied, 'invoice')} tied")
    if near:
        parts.append(f"{near} within tolerance")
    for status in ("not_tied", "no_charges", "unknown"):
        rows = by_status[status]
        for currency in sorted({row["currency"] for row in rows}):
            mine = [row for row in rows if row["currency"] == currency]
            ids = ", ".join(str(row["invoice_id"]) for row in mine[:NAMED]) + (", ..." if len(mine) > NAMED else "")
            size = f"{money.text(money.total(abs(_open(row)) for row in mine))} {currency}"
            said = {"not_tied": f"not tied by {size}", "no_charges": f"without charges ({size})", "unknown": "unknown"}
            parts.append(f"{len(mine)} {said[status]}: {ids}")
    yield ", ".join(parts)


def _uncompared(by_status: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    waiting = by_status["not_invoiced"]
    sums = [
        f"{money.text(money.total(row['billed'] for row in waiting if row['currency'] == currency))} {currency}"
        for currency in sorted({row["currency"] for row in waiting})
    ]
    if sums:
        yield f"not invoiced: {', '.join(sums)}"
    if sources := sorted({row["source"] for row in by_status["not_checked"]}):
        yield f"not checked, because no invoices are given: {', '.join(sources)}"


def summary(run: Run) -> Row | None:
    """Gather how the invoices stand for the summary as JSON; None where the run holds no reconciliation."""
    if not held(run):
        return None
    rows = ranked(run)
    left = [row for row in rows if row["status"] not in ("tied", "within_tolerance", "not_checked")]
    return {
        "invoices": {status: sum(row["status"] == status for row in rows) for status in STATUSES},
        "open": [_plain(row) for row in left[:FEW]],
    }


def as_json(run: Run) -> str:
    """Print the three tables as one object, amounts as exact text; null where the run holds no reconciliation."""
    tables = {name: [_plain(row) for row in run.rows(name)] if held(run) else None for name in TABLES}
    return json.dumps({"run": run.number, **tables}, indent=2, ensure_ascii=True) + "\n"


def _plain(row: Row) -> Row:
    def one(value: Any) -> Any:
        if isinstance(value, Decimal):
            return money.text(value)
        return value.isoformat() if isinstance(value, date) else value

    return {name: one(value) for name, value in row.items()}


def lines(run: Run) -> Iterator[str]:
    """Print the reconciliation as text, one line a fact, each line beginning with what it is."""
    if not held(run):
        yield NONE_HELD
        return
    yield from (f"invoices {visible(line)}" for line in sentences(run))
    for row in map(safe, ranked(run)):
        yield f"invoice {_invoice(row)}"
    for row in map(safe, _bridges(run)):
        amounts = [f"{name} {money.text(row[name])}" for name in LINES[1:5] if row[name]]
        ends = f"billed {money.text(row['billed'])} -> effective {money.text(row['effective'])}"
        drawn = f"; prepaid drawdown {money.text(row['prepaid_drawdown'])}"
        where = f"{row['source']} {row['billing_period']} {row['currency']}"
        yield f"bridge {where}: {ends}: {', '.join(amounts) or 'no difference'}{drawn}"
    for row in map(safe, _commitments(run)):
        used = "" if row["utilisation"] is None else f" {row['utilisation']}% used,"
        broken = f"; DOESN'T HOLD: {row['broken']}" if row["broken"] else ""
        amounts = [f"{name} {money.text(row[name])}" for name in ("purchased", "used", "unused", "drawdown")]
        where = f"{row['source']} {row['billing_period']} {row['currency']} {row['id']}"
        yield f"{row['kind']} {where}:{used} {', '.join(amounts)}{broken}"


def _invoice(row: Row) -> str:
    whose = f"{row['invoice_id'] or '(no invoice id)'}" + (f" of {row['issuer']}" if row["issuer"] else "")
    where = f"{row['source'] or '(no source)'} {row['billing_periods'] or '(no period)'} {whose}"
    billed = f"billed {money.text(row['billed'])} {row['currency']}"
    detail = f"; {row['detail']}" if row["detail"] else ""
    if row["invoiced"] is None:
        return f"{where}: {STATUSES[row['status']][0]}, {billed}{detail}"
    amounts = f"invoiced {money.text(row['invoiced'])}, {billed}"
    apart = f", residual {money.text(row['residual'])} ({explained(row)})" if row["residual"] else ""
    return f"{where}: {STATUSES[row['status']][0]}, {amounts}{apart}{detail}"


def _bridges(run: Run) -> list[Row]:
    """Lay each bridge out as one row, its lines as columns; `others` keeps the other differences by category."""
    found: dict[tuple[str, ...], Row] = {}
    for row in run.rows("bridge"):
        place = {name: row[name] for name in ("source", "billing_period", "currency")}
        line = found.setdefault(tuple(place.values()), place | dict.fromkeys(LINES, ZERO) | {"others": [], "rows": 0})
        line[row["line"]] = money.total((line[row["line"]], row["amount"]))
        if row["line"] == "other":
            line["others"].append(row)
        if row["line"] == "billed":
            line["rows"] = row["rows"]
    return list(found.values())


def _commitments(run: Run) -> list[Row]:
    """Order the commitments: those whose identities don't hold first, then the most unused money."""
    rows = run.rows("commitments")
    return sorted(rows, key=lambda r: (r["broken"] is None, -r["unused"], r["source"], r["billing_period"], r["id"]))


def view(run: Run, limit: int) -> dict[str, Any]:
    """Gather the page's tables, none with more rows than the limit."""
    if not held(run):
        return {"held": False, "sentences": [NONE_HELD], "blocks": [], "statuses_": STATUSES}
    rows, bridges, commitments = ranked(run), _bridges(run), _commitments(run)
    currencies = figures.currencies(run)
    currencies += sorted({row["currency"] for row in rows} - set(currencies))  # an invoice without a charge
    blocks = []
    for number, currency in enumerate(currencies):
        mine, across, deals = (
            [row for row in table if row["currency"] == currency] for table in (rows, bridges, commitments)
        )
        invoices = [row | {"why": _why(row)} for row in mine]
        blocks.append(
            {
                "currency": currency,
                "anchor": f"c{number}",
                "invoices": shown("tie_out", invoices, limit, "billed"),
                "bridges": across[:limit],
                "sums": {name: money.total(row[name] for row in across) for name in LINES},
                "others": [other for row in across for other in row["others"]][:limit],
                "commitments": shown("commitments", deals, limit, "unused"),
                "broken": sum(row["broken"] is not None for row in deals),
            }
        )
    return {"held": True, "sentences": sentences(run), "blocks": blocks, "statuses_": STATUSES}


def _why(row: Row) -> str:
    """Say what stands between an invoice and its charges, or why nothing was compared."""
    reasons = explained(row) if row["residual"] else ""
    return "; ".join(filter(None, [reasons, row["detail"]]))
