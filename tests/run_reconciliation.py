"""The reconciliation of the sample run: an invoice of every kind, two bridges, commitments that hold and one that doesn't."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from governor.reconcile.tie_out import REASONS

Row = dict[str, Any]
PERIOD = "2026-05"


def invoice(status: str, invoiced: str | None, billed: str, **values: Any) -> Row:
    """One row of tie_out; what stands between is unexplained unless reasons are given."""
    row: Row = {
        "source": "aws", "issuer": "AWS", "invoice_id": "INV-1", "billing_account_id": "999999999999", "currency": "USD",
        "billing_periods": PERIOD, "status": status, "rows": 10, "billed": Decimal(billed),
    }  # fmt: skip
    if invoiced is not None:
        residual = Decimal(invoiced) - Decimal(billed)
        reasons = {name: Decimal(values.get(name, 0)) for name in REASONS}
        reasons["unexplained"] = residual - sum(reasons[name] for name in REASONS if name != "unexplained")
        row |= {"invoice_status": "Issued", "issued_on": date(2026, 6, 3), "invoiced": Decimal(invoiced)}
        row |= {"residual": residual, "tolerance": Decimal("0.01"), **reasons}
    return row | {name: value for name, value in values.items() if name not in REASONS}


def tie_out() -> list[Row]:
    """One row of every status in dollars, and euros that no invoice covers."""
    return [
        invoice("tied", "1900.00", "1900.00"),
        invoice("within_tolerance", "500.01", "500.0025", invoice_id="INV-2", rounding="0.0025"),
        invoice("not_tied", "712.40", "700.00", invoice_id="INV-7", tax="10.00"),
        invoice("no_charges", "25.00", "0", invoice_id="INV-8", rows=0, billing_account_id=None),
        invoice("unknown", "40.00", "40.00", invoice_id="INV-9", detail="2 rejected rows of aws"),
        invoice("not_invoiced", None, "398.1225001", invoice_id=None, issuer=None),
        invoice("not_checked", None, "1105.875", source="azure", issuer="Microsoft", invoice_id="G1", currency="EUR"),
    ]


def bridge() -> list[Row]:
    """A bridge in dollars with every line, and one in euros without a difference."""
    lines = [
        ("billed", None, 40, "3538.1250001"),
        ("purchases", None, 1, "-300.00"),
        ("used", None, 5, "250.00"),
        ("unused", None, 1, "120.00"),
        ("other", "Usage", 2, "-70.00"),
        ("effective", None, 40, "3538.1250001"),
        ("prepaid_drawdown", None, 7, "70.00"),
    ]
    flat = [("billed", None, 5, "1105.875"), *((n, None, 0, "0") for n in ("purchases", "used", "unused"))]
    flat += [("effective", None, 5, "1105.875"), ("prepaid_drawdown", None, 0, "0")]
    return [
        {"source": source, "billing_period": PERIOD, "currency": currency, "position": position, "line": line,
         "charge_category": category, "rows": rows, "amount": Decimal(amount)}
        for source, currency, found in (("aws", "USD", lines), ("azure", "EUR", flat))
        for position, (line, category, rows, amount) in enumerate(found, 1)
    ]  # fmt: skip


def commitments() -> list[Row]:
    """A commitment whose identities hold, one whose purchase has an effective cost, a capacity reservation."""
    return [
        _commitment("ri-0001", "300.00", "180.00", "120.00", "60.00"),
        _commitment("ri-0002", "0", "70.00", "0", "100.00", broken="purchase", purchase_effective=Decimal("5.25")),
        _commitment("cr-1", "0", "12.00", "3.00", "80.00", kind="capacity", drawdown=Decimal(0)),
    ]


def _commitment(id_: str, purchased: str, used: str, unused: str, utilisation: str, **values: Any) -> Row:
    given = Decimal(used) + Decimal(unused)
    return {
        "source": "aws", "billing_period": PERIOD, "currency": "USD", "kind": "commitment", "id": id_, "rows": 3,
        "purchased": Decimal(purchased), "used": Decimal(used), "unused": Decimal(unused), "usage": given,
        "drawdown": given - Decimal(purchased), "utilisation": utilisation, "status_difference": Decimal(0),
        "purchase_effective": Decimal(0), "unused_billed": Decimal(0), **values,
    }  # fmt: skip
