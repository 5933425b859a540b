"""The figures that more than one report shows, taken from a run's tables: never computed anew, only gathered.

Amounts of different currencies never meet: every function that adds takes or returns one currency at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from governor import money
from governor.ledger.read import Run
from governor.model import SEVERITIES, Verdict

Row = dict[str, Any]
FOUND = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.GRACE, Verdict.WAIVED)
ZERO = Decimal(0)


def subtract(amount: Decimal, less: Decimal) -> Decimal:
    """Subtract amounts of one currency, exactly."""
    return money.EXACT.subtract(amount, less)


def currencies(run: Run) -> list[str]:
    """List the run's currencies: the reporting currency first, the others by name."""
    reporting = run.manifest["parameters"]["reporting_currency"]
    found = {row["currency"] for row in run.rows("totals")} - {""}  # '': a rejected row did not say
    return sorted(found, key=lambda c: (c != reporting, c))


def periods(run: Run) -> list[str]:
    """List the billing periods of the run."""
    return sorted({row["billing_period"] for row in run.rows("totals")} - {""})


def account_names(run: Run) -> dict[str, str]:
    """Name the accounts as the register does."""
    return {row["account_id"]: _name(row["name"], row["account_id"]) for row in run.rows("register_accounts")}


def basis(run: Run) -> str:
    """Name the column of `totals` that the policy allocates."""
    return f"{run.manifest['parameters']['cost_basis'].removesuffix('_cost')}_cost"


def ties(run: Run, row: Row) -> bool:
    """Tell whether ingested = allocated + unallocated in a row of `totals`, to the last digit."""
    return bool(row[basis(run)] == money.total((row["allocated"], row["unallocated"])))


def scores(run: Run, scope: str, currency: str) -> list[Row]:
    """List the scores of a scope in one currency, the costliest first."""
    rows = [r for r in run.rows("scores") if r["scope"] == scope and r["currency"] == currency]
    return sorted(rows, key=lambda r: (-r["positive_cost"], r["scope_id"]))


def net(run: Run, scope: str, currency: str) -> list[Row]:
    """List the scores of a scope in one currency by net cost, the largest first."""
    return sorted(scores(run, scope, currency), key=lambda r: (-r["cost"], r["scope_id"]))


def total_score(run: Run, currency: str) -> Row | None:
    """Find the score of the whole run in one currency; None where nothing was billed in it."""
    return next(iter(scores(run, "total", currency)), None)


def combined_score(run: Run) -> Row | None:
    """Find the score over all currencies at the register's rates; None without such a register."""
    return next((row for row in run.rows("scores") if row["scope"] == "combined"), None)


def ranked_findings(run: Run) -> pa.Table:
    """Order the findings as people should take them up: open before waived, the most money first.

    The reporting currency comes before the others, because amounts of two currencies can't be compared; equal money is
    ordered by severity, then by requirement and subject. A table, not rows: a run may have very many.
    """
    table = run.table("findings")
    table = table.append_column("waived", pc.equal(table["verdict"], Verdict.WAIVED))
    table = table.append_column("place", pc.index_in(table["currency"], pa.array(currencies(run), pa.string())))
    table = table.append_column("weight", pc.index_in(table["severity"], pa.array(SEVERITIES, pa.string())))
    first, most = "ascending", "descending"
    order = [("waived", first), ("place", first), ("cost", most), ("weight", most)]
    order += [(name, first) for name in ("requirement", "subject", "source", "fingerprint")]
    return table.take(pc.sort_indices(table, order))


def most_expensive(run: Run, limit: int) -> list[Row]:
    """List the most expensive findings that nobody has waived."""
    ranked = ranked_findings(run)
    rows: list[Row] = ranked.filter(pc.invert(ranked["waived"])).slice(0, limit).to_pylist()
    return rows


def verdict_counts(run: Run) -> dict[str, int]:
    """Count what was judged by verdict: findings one by one, and from the evidence those that are no finding."""
    counts = dict.fromkeys((str(v) for v in Verdict), 0)
    for each in pc.value_counts(run.table("findings", ("verdict",))["verdict"]).to_pylist():
        counts[each["values"]] += each["counts"]
    for row in run.rows("verdicts"):
        if row["verdict"] not in FOUND:
            counts[row["verdict"]] += row["subjects"]
    return counts


# --- the statement ----------------------------------------------------------------------------------------------------

PARTS = ("direct", "shared", "commitment", "central")


@dataclass(frozen=True, slots=True)
class Line:
    """A cost center's line of the statement in one currency, over all periods of the run.

    total = direct + shared + commitment + central; suspense stands beside it. `budget` is the sum of the budgets that
    the register gives, None where it gives none; `budgeted` is the total of the periods that have one.
    """

    cost_center: str
    name: str
    parent: str
    owner: str
    mode: str
    direct: Decimal
    shared: Decimal
    commitment: Decimal
    central: Decimal
    total: Decimal
    suspense: Decimal
    budget: Decimal | None
    budgeted: Decimal

    @property
    def variance(self) -> Decimal | None:
        """Budget less cost, over the periods that have a budget: negative is overspent."""
        return None if self.budget is None else subtract(self.budget, self.budgeted)


def line(rows: Sequence[Row]) -> Line:
    """Add the rows of one cost center and one currency, or of any set of them, into a line named by the last."""
    last = max(rows, key=lambda r: r["billing_period"])
    budgeted = [r for r in rows if r["budget"] is not None]
    return Line(
        cost_center=last["cost_center"],
        name=_name(last["name"], last["cost_center"]),
        parent=last["parent"] or "",
        owner=last["owner_email"] or "",
        mode=last["mode"] or "",
        total=money.total(r["total"] for r in rows),
        suspense=money.total(r["suspense"] for r in rows),
        budget=money.total(r["budget"] for r in budgeted) if budgeted else None,
        budgeted=money.total(r["total"] for r in budgeted),
        **{part: money.total(r[part] for r in rows) for part in PARTS},
    )


def _name(name: str | None, id_: str) -> str:
    """Give the name of a cost center or account where it says more than the id."""
    return name if name and name != id_ else ""


def statement(run: Run, currency: str) -> list[Line]:
    """List what each cost center pays in one currency, the largest first."""
    groups: dict[str, list[Row]] = {}
    for row in run.rows("cost_centers"):
        if row["currency"] == currency:
            groups.setdefault(row["cost_center"], []).append(row)
    return sorted((line(rows) for rows in groups.values()), key=lambda each: (-each.total, each.cost_center))


@dataclass(frozen=True, slots=True)
class Node:
    """A cost center in the hierarchy: its own line where it has one, and the sum of everything at and below it."""

    id: str
    name: str
    own: Line | None
    depth: int
    direct: Decimal
    shared: Decimal
    commitment: Decimal
    central: Decimal
    total: Decimal
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterable[Node]:
        """Yield this node and those below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def hierarchy(run: Run, lines: Sequence[Line]) -> list[Node]:
    """Roll the statement up by parent. A parent without cost of its own comes from the register; empty without parents.

    A cycle of parents can't be rolled up: whoever closes it is taken as a root, so no money is counted twice or lost.
    """
    own = {each.cost_center: each for each in lines}
    names = {r["id"]: _name(r["name"], r["id"]) for r in run.rows("register_cost_centers")} | {
        i: o.name for i, o in own.items()
    }
    registered = {r["id"]: r["parent"] or "" for r in run.rows("register_cost_centers")}
    parents = registered | {i: o.parent for i, o in own.items()}
    children: dict[str, set[str]] = {}
    for cost_center in own:
        path = [cost_center]
        while (parent := parents.get(path[-1], "")) and parent not in path:
            children.setdefault(parent, set()).add(path[-1])
            path.append(parent)
    below = {child for each in children.values() for child in each}
    if not below:
        return []
    roots = sorted({*own, *children} - below) or sorted(own)[:1]
    seen: set[str] = set()
    nodes = [_node(root, 0, own, names, children, seen) for root in roots]
    nodes += [_node(rest, 0, own, names, children, seen) for rest in sorted(own) if rest not in seen]
    return sorted(nodes, key=lambda n: (-n.total, n.id))


def _node(
    id_: str, depth: int, own: dict[str, Line], names: dict[str, str], children: dict[str, set[str]], seen: set[str]
) -> Node:
    seen.add(id_)
    below = [_node(c, depth + 1, own, names, children, seen) for c in sorted(children.get(id_, ())) if c not in seen]
    mine = own.get(id_)
    sums = {
        p: money.total([getattr(mine, p) if mine else ZERO, *(getattr(c, p) for c in below)]) for p in (*PARTS, "total")
    }
    children_ = tuple(sorted(below, key=lambda n: (-n.total, n.id)))
    return Node(id_, names.get(id_, ""), mine, depth, children=children_, **sums)
