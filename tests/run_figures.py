"""The figures of a run, computed from its cells: what governor computes in SQL, in as few lines of Python as it takes.

Only for tests that need a consistent run; pools are split by direct cost and everything is on the effective cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from governor.money import percentage, percentages, split

Row = dict[str, Any]
LETTERS = "TARSKCDU"


def allocate(cells: Sequence[Row]) -> list[Row]:
    """Allocate cells: direct ones by account and service, pools by direct cost."""
    direct: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    pools: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    base: dict[tuple[Any, ...], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    keys = (
        "source",
        "billing_period",
        "currency",
        "cost_center",
        "status",
        "rule",
        "reason",
        "sub_account_id",
        "service_name",
        "charge_category",
    )
    for row in cells:
        place = tuple(row[k] for k in keys[:3])
        if row.get("pool"):
            pools[(*place, row["status"], row["pool"])].append(row)
        else:
            direct[tuple(row.get(k) for k in keys)].append(row)
            if row["status"] in "TAR":
                base[place][row["cost_center"]] += row["effective_cost"]
    methods = {"C": "central", "D": "default", "U": "none"}
    found = [
        {**dict(zip(keys, key, strict=True)), "policy": "acme-2026", "method": methods.get(key[4], "direct"),
         "amount": total(group), "rows": sum(r["rows"] for r in group)}
        for key, group in direct.items()
    ]  # fmt: skip
    for (*place, status, pool), group in pools.items():
        weights, amount = base[tuple(place)], total(group)
        found += [
            {**dict(zip(keys[:3], place, strict=True)), "cost_center": center, "status": status, "policy": "acme-2026", "rule": pool,
             "pool": pool, "method": "proportional", "amount": share, "rows": 0, "pool_amount": amount, "weight": weights[center],
             "weight_total": sum(weights.values(), Decimal(0))}
            for center, share in split(amount, weights).items()
        ]  # fmt: skip
    return found


def totals(cells: Sequence[Row], rejects: Sequence[Row], allocations: Sequence[Row]) -> list[Row]:
    """Add up cells by source, period and currency."""
    groups = group_by(cells, "source", "billing_period", "currency")
    shares = group_by(allocations, "source", "billing_period", "currency")
    return [
        {
            "source": key[0], "billing_period": key[1], "currency": key[2], "rows": sum(r["rows"] for r in group),
            "rejected": sum(r["source"] == key[0] for r in rejects),
            **{name: total(group, name) for name in ("billed_cost", "effective_cost", "list_cost", "contracted_cost")},
            "allocated": total((r for r in shares[key] if r["status"] in "TARSKC"), "amount"),
            "unallocated": total((r for r in shares[key] if r["status"] in "DU"), "amount"),
        }
        for key, group in groups.items()
    ]  # fmt: skip


def first_deliveries(totals_: Sequence[Row]) -> list[Row]:
    """Say of every period that no earlier run held it."""
    return [
        {
            **{name: row[name] for name in ("source", "billing_period", "currency")}, "level": "period", "kind": "first", "late": False,
            "rows_after": row["rows"], "billed_after": row["billed_cost"], "effective_after": row["effective_cost"],
        }
        for row in totals_
    ]  # fmt: skip


def restated(**hostile: str) -> list[Row]:
    """Say that aws restated 2026-05: one charge more in a, a correction for 2026-03, 20.00 that changed hands; and a gap."""
    place = {"source": "aws", "billing_period": "2026-05", "currency": "USD", **hostile}
    period = {**place, "level": "period", "kind": "restated", "late": True, "replaced_run": 1}
    line = {
        **period,
        "level": "line",
        "correction": False,
        "sub_account_id": "111111111111",
        "service_name": "AmazonEC2",
    } | hostile
    absent = {**period, "billing_period": "2026-04", "kind": "not_delivered", "late": False}
    sums = ("rows_before", "rows_after", "billed_before", "billed_after", "effective_before", "effective_after")
    moves = ("billed_moved", "effective_moved")
    figures = [
        (period | {"rows_new": 2, "rows_gone": 0}, (100, 102, "900", "912.40", "1000", "1007.15"), ()),
        (line | {"cost_center": "CC-0042"}, (10, 10, "50", "47.65", "60", "57.65"), ("-20", "-20")),
        (line | {"cost_center": "CC-0077"}, (1, 2, "5", "25", "5", "25"), ("20", "20")),
        (
            line
            | {
                "correction": True,
                "charge_period": "2026-03",
                "sub_account_id": "222222222222",
                "cost_center": "CC-0077",
            },
            (0, 1, "0", "-5.25", "0", "-10.50"),
            ("0", "0"),
        ),
        (absent, (7, None, "70", None, "70", None), ()),
    ]
    return [
        row
        | dict(zip(sums, (v if v is None or isinstance(v, int) else Decimal(v) for v in values), strict=True))
        | dict(zip(moves, map(Decimal, moved), strict=bool(moved)))
        for row, values, moved in figures
    ]  # fmt: skip


def statements(allocations: Sequence[Row], centers: Sequence[Row]) -> list[Row]:
    """Write the statements' lines."""
    register = {row["id"]: row for row in centers}
    found = []
    for (center, period, currency), group in group_by(allocations, "cost_center", "billing_period", "currency").items():
        if center is None:
            continue
        row = {
            "cost_center": center,
            "billing_period": period,
            "currency": currency,
            **pick(register[center], "name", "parent", "owner_email", "mode"),
        }
        parts = (("direct", "TAR"), ("shared", "S"), ("commitment", "K"), ("central", "C"), ("suspense", "D"))
        row |= {name: total((r for r in group if r["status"] in letters), "amount") for name, letters in parts}
        row["total"] = sum((row[name] for name, _ in parts[:4]), Decimal(0))
        row["budget"] = Decimal(2000) if (center, currency) == ("CC-0042", "USD") else None
        found.append(row)
    return found


def scores(cells: Sequence[Row], allocations: Sequence[Row]) -> list[Row]:
    """Score the cells in every scope."""
    scopes: list[tuple[str, Callable[[Row], Any]]] = [
        ("total", lambda r: ""),
        ("account", lambda r: r["sub_account_id"]),
        ("service", lambda r: r["service_name"]),
        ("source", lambda r: r["source"]),
        ("billing_period", lambda r: r["billing_period"]),
    ]
    found = []
    for scope, name in scopes:
        groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in cells:
            groups[(name(row) or "", row["currency"])].append(row)
        found += [_score(scope, scope_id, currency, group) for (scope_id, currency), group in groups.items()]
    for (center, currency), group in group_by(allocations, "cost_center", "currency").items():
        if center is not None:
            ended = [
                {"status": r["status"], "rows": r["rows"], "rows_positive": r["rows"], "effective_cost": r["amount"],
                 "positive_cost": max(r["amount"], Decimal(0)), "compliance": "not_applicable", "tags": "{}"}
                for r in group
            ]  # fmt: skip
            found.append(_score("cost_center", center, currency, ended))
    return found


def _score(scope: str, scope_id: str, currency: str, cells: Sequence[Row]) -> Row:
    cost = {letter: total((r for r in cells if r["status"] == letter), "positive_cost") for letter in LETTERS}
    rows = {letter: sum(r["rows"] for r in cells if r["status"] == letter) for letter in LETTERS}
    whole = sum(cost.values(), Decimal(0))
    unknown = total((r for r in cells if r["status"] in "DU" and r["tags"] is None), "positive_cost")
    taggable = total((r for r in cells if r["status"] in "DU" and r["tags"] is not None), "positive_cost")
    good, judged = (
        total((r for r in cells if r["compliance"] in verdicts), "positive_cost")
        for verdicts in (("pass",), ("pass", "fail", "unknown"))
    )
    done = {
        name: sum((cost[x] for x in letters), Decimal(0))
        for name, letters in (("all", "TARSKC"), ("direct", "TAR"), ("allocation", "TARSK"))
    }
    row: Row = {
        "scope": scope, "scope_id": scope_id, "currency": currency, "rows": sum(rows.values()), "cost": total(cells),
        "positive_cost": whole, "credits": total(r for r in cells if r["effective_cost"] < 0), "unknown_cost": unknown,
        "compliant_cost": good, "taggable_cost": taggable, "allocatability": percentage(done["all"], whole),
        "low": percentage(done["all"], whole), "high": percentage(done["all"] + unknown, whole),
        "direct_coverage": percentage(done["direct"], whole), "allocation_coverage": percentage(done["allocation"], whole),
        "tag_compliance": percentage(good, judged), "unallocated": percentage(cost["D"] + cost["U"], whole),
        "ceiling": percentage(done["all"] + taggable, whole),
    }  # fmt: skip
    shares, row_shares = percentages(cost), percentages({k: Decimal(v) for k, v in rows.items()})
    for letter in LETTERS:
        x = letter.lower()
        row |= {
            f"cost_{x}": cost[letter],
            f"share_{x}": shares[letter],
            f"rows_{x}": rows[letter],
            f"rows_share_{x}": row_shares[letter],
        }
    return row


def group_by(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Collect rows by the values of some columns."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[k] for k in keys)].append(row)
    return groups


def total(rows: Iterable[Row], column: str = "effective_cost") -> Decimal:
    """Add up a column."""
    return sum((row[column] for row in rows), Decimal(0))


def pick(row: Mapping[str, Any], *names: str) -> Row:
    """Keep some columns of a row."""
    return {name: row[name] for name in names}
