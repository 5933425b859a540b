"""Follow the charges from one run to another: which changed hands, came or went, and which stayed and grew.

Charges are followed by what the bill says of them (`BILL`), not by their cells: a register change that cuts a month in
two makes two cells of one, and nothing has come or gone.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import groupby
from pathlib import Path
from typing import Any

from governor import money
from governor.engine.cells import parquet
from governor.engine.duckdb import Engine, open_engine
from governor.ledger.read import Run
from governor.ledger.restatement import BILL
from governor.tables import COUNT, MONEY

Row = dict[str, Any]
Place = tuple[str, str | None]  # status and cost center
MEASURES = ("rows_old", "rows_new", "cost_old", "cost_new")
MOVE = ("currency", "status_old", "cost_center_old", "status_new", "cost_center_new")
GROWTH = ("currency", "status", "cost_center")
_SUMS = ", ".join(f"sum({name})::{COUNT if name.startswith('rows') else MONEY} AS {name}" for name in MEASURES)


def moves(old: Run, new: Run) -> tuple[list[Row], list[Row]]:
    """List what moved (`MOVE` and `MEASURES`, no status where it came or went) and what grew or shrank in its place.

    Costs are positive costs, on each run's basis. Together they are all that a status or a cost center gained or lost.
    """
    with tempfile.TemporaryDirectory(prefix="governor-diff-") as scratch:
        folders = [old.folder, new.folder]
        with open_engine(work=Path(scratch), read=folders) as engine:
            _place(engine, old, new)
            moved, grown = _sums(engine.rows(_MOVES), len(MOVE)), _sums(engine.rows(_GROWTH), len(GROWTH))
            with localcontext(money.EXACT):
                for _, places in groupby(engine.rows(_DIVIDED), key=lambda row: row[:2]):
                    _divide([row[2:] for row in places], moved, grown)
    return _rows(MOVE, moved), _rows(GROWTH, grown)


def _place(engine: Engine, old: Run, new: Run) -> None:
    """Make `placed`, one row a bill's charges and place, and `counted`, in how many places they were and are."""
    keys = f"hash({', '.join(BILL)}) AS bill, hash({', '.join(reversed(BILL))}) AS again, currency, status, cost_center"
    sides = (
        f"SELECT {keys}, rows AS rows_old, 0 AS rows_new, positive_cost AS cost_old, 0::{MONEY} AS cost_new"
        f" FROM {parquet(old.path('cells'))}",
        f"SELECT {keys}, 0, rows, 0::{MONEY}, positive_cost FROM {parquet(new.path('cells'))}",
    )
    engine.execute(f"""
        CREATE TABLE placed AS SELECT bill, again, currency, status, cost_center, {_SUMS}
        FROM ({" UNION ALL ".join(sides)}) GROUP BY ALL""")
    engine.execute("""
        CREATE TABLE counted AS SELECT bill, again, count(*) AS places,
            count(*) FILTER (rows_old > 0) AS were, count(*) FILTER (rows_new > 0) AS are
        FROM placed GROUP BY ALL""")


_MOVES = f"""
    SELECT currency, CASE WHEN are = 0 THEN status END, CASE WHEN are = 0 THEN cost_center END,
        CASE WHEN were = 0 THEN status END, CASE WHEN were = 0 THEN cost_center END, {_SUMS}
    FROM placed JOIN counted USING (bill, again) WHERE were = 0 OR are = 0 GROUP BY ALL
    UNION ALL
    SELECT o.currency, o.status, o.cost_center, n.status, n.cost_center, sum(o.rows_old)::{COUNT},
        sum(n.rows_new)::{COUNT}, sum(o.cost_old)::{MONEY}, sum(n.cost_new)::{MONEY}
    FROM placed o JOIN placed n USING (bill, again) JOIN counted USING (bill, again)
    WHERE (places, were, are) = (2, 1, 1) AND o.rows_old > 0 AND n.rows_new > 0 GROUP BY ALL"""
_GROWTH = f"""
    SELECT currency, status, cost_center, {_SUMS} FROM placed JOIN counted USING (bill, again)
    WHERE (places, were, are) = (1, 1, 1) AND (rows_old <> rows_new OR cost_old <> cost_new) GROUP BY ALL"""
_DIVIDED = """
    SELECT p.* FROM placed p JOIN counted USING (bill, again)
    WHERE were > 0 AND are > 0 AND places > 1 AND (places, were, are) <> (2, 1, 1) ORDER BY ALL NULLS FIRST"""


def _sums(rows: Sequence[tuple[Any, ...]], keys: int) -> dict[tuple[Any, ...], list[Any]]:
    found: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0), Decimal(0)])
    for row in rows:
        found[row[:keys]] = list(row[keys:])
    return found


def _divide(places: Sequence[tuple[Any, ...]], moved: dict[Any, list[Any]], grown: dict[Any, list[Any]]) -> None:
    """Follow equal charges that are divided among several places: what one lost another gained, in their order.

    `places` are rows of currency, status, cost center and measures. What is lost or gained beyond that grew or shrank.
    """
    currency = places[0][0]
    for measure in (0, 2):  # rows, then cost
        at = {place[1:3]: [place[3 + measure], place[4 + measure]] for place in places}
        lost = [(key, old - new) for key, (old, new) in at.items() if new < old]
        gained = [(key, new - old) for key, (old, new) in at.items() if new > old]
        while lost and gained:
            (source, given), (target, taken) = lost.pop(), gained.pop()
            much = min(given, taken)
            _add(moved[currency, *source, *target], measure, much, much)
            at[source][0] -= much
            at[target][1] -= much
            lost += [(source, given - much)] if given > much else []
            gained += [(target, taken - much)] if taken > much else []
        for key, (old, new) in at.items():
            if old != new:
                _add(grown[currency, *key], measure, old, new)


def _add(sums: list[Any], measure: int, old: Any, new: Any) -> None:
    sums[measure] += old
    sums[measure + 1] += new


def _rows(keys: Sequence[str], sums: dict[tuple[Any, ...], list[Any]]) -> list[Row]:
    order = sorted(sums, key=lambda key: [(part is not None, part) for part in key])
    return [dict(zip((*keys, *MEASURES), (*key, *sums[key]), strict=True)) for key in order]
