"""What `collected.json` says of a source: plain data without floats, money as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from governor.collect.shape import Notice
from governor.collect.write import Scope, Sums
from governor.model import Delivery, Gap, Problem
from governor.money import text

FILE = ("path", "bytes", "sha256", "rows", "rejected", "aside", "format", "version")


def delivered(delivery: Delivery) -> dict[str, Any]:
    """Describe what a source delivered: its files, how they were read, what could not be seen."""
    return {
        "source": delivery.source,
        "format": ", ".join(sorted({file.format for file in delivery.files})),
        "version": delivery.version,
        "why": delivery.why,
        "files": [{name: getattr(file, name) for name in FILE} for file in delivery.files],
        "missing": sorted(delivery.missing),
        "gaps": [_gap(gap) for gap in delivery.gaps],
    }


def written(
    totals: Mapping[Scope, Sums], files: Sequence[Mapping[str, Any]], notices: Sequence[Notice]
) -> dict[str, Any]:
    """Describe what was written of a source: control totals as delivered, the files, what was filled.

    A cost that was not delivered for some charges counts for nothing in its total.
    """
    return {
        "totals": [
            {
                "billing_period": period,
                "currency": currency,
                "rows": total.rows,
                "billed_cost": text(total.billed),
                "effective_cost": text(total.effective),
                "list_cost": text(total.listed),
                "contracted_cost": text(total.contracted),
            }
            for (period, currency), total in sorted(totals.items())
        ],
        "written": list(files),
        "notices": [{"column": n.column, "rows": n.rows, "says": n.says} for n in notices],
    }


def problem(found: Problem) -> dict[str, Any]:
    """Describe why something was refused."""
    position = found.position
    place = {"file": position.file, "line": position.line, "column": position.column}
    return place | {"code": found.code, "what": found.what, "mend": found.mend}


def _gap(gap: Gap) -> dict[str, Any]:
    cost = None if gap.cost is None else text(gap.cost)
    said = {"scope": gap.scope, "reason": gap.reason, "detail": gap.detail, "rows": gap.rows}
    return said | {"cost": cost, "currency": gap.currency}
