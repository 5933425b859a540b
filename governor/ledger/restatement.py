"""What a delivery changed: each (source, billing period) against the latest earlier run that held it.

Runs are only added, so the snapshot in force for a period is the one of the latest run that holds it: committing a run
replaces it, in one rename. Money that moved because the bill changed is kept apart from money that moved because the
policies or registers changed: charges are compared by what the bill says of them, whoever pays (`BILL`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from governor import tables
from governor.engine.cells import parquet
from governor.engine.duckdb import Engine, identifier, literal
from governor.evidence import digest_file
from governor.ledger import contract
from governor.ledger.manifest import COSTS, PLACE
from governor.ledger.read import Run, SnapshotFiles, load, numbers

Row = dict[str, Any]

# The keys of a cell that the bill decides. Not the stretch of days, which registers cut, nor the invoice's id and the
# names, which a bill gains or changes without being another charge; nor what is a key only where a policy asks.
BILL = tuple(
    c.name
    for c in tables.CELLS[1 : [c.name for c in tables.CELLS].index("rows")]
    if c.name not in {"valid_on", "invoice_id", "sub_account_name", "resource_name"}
)
_LINE = ("correction", "charge_period", "sub_account_id", "service_name", "cost_center")
_MEASURES = {"rows": tables.COUNT, "billed": tables.MONEY, "effective": tables.MONEY}
_PLACE = ", ".join(PLACE)
_AMOUNTS = ("billed", "effective")
_SIDES = ("before", "after")
_MONTHS = """CASE WHEN charge_class = 'Correction' THEN strftime(first_charge, '%Y-%m')
    || CASE WHEN date_trunc('month', first_charge) = date_trunc('month', last_charge) THEN ''
    ELSE strftime(last_charge, ' to %Y-%m') END END"""


@dataclass(frozen=True, slots=True)
class Held:
    """A billing period of a source as the latest run that holds it has it: a row of totals for each currency."""

    run: Run
    totals: tuple[Row, ...]


def in_force(ledger: Path) -> dict[tuple[str, str], Held]:
    """Find for every (source, billing period) the run whose snapshot is in force: the latest that holds it."""
    found: dict[tuple[str, str], Held] = {}
    for run in (load(ledger, number) for number in numbers(ledger)):
        by_period: dict[tuple[str, str], list[Row]] = {}
        for row in run.periods():
            by_period.setdefault((row["source"], row["billing_period"]), []).append(row)
        found |= {key: Held(run, tuple(rows)) for key, rows in by_period.items()}
    return found


def restate(engine: Engine, ledger: Path, snapshots: Sequence[SnapshotFiles]) -> int:
    """Make the table `restatements` of the run that is being made. Returns the number of the last run it looked at.

    The engine holds the new run's `totals` and `shown_cells` and may read the ledger's folders; `snapshots` are the
    deliveries. Raises Refused when an earlier run is damaged; a snapshot that is no longer kept leaves counts unknown.
    """
    known = numbers(ledger)
    former = in_force(ledger)
    delivered = {
        (str(source), str(period))
        for source, period in engine.rows(
            "SELECT DISTINCT source, billing_period FROM totals WHERE billing_period <> '' AND currency <> ''"
        )
    }
    _load_former(engine, former)
    replaced = _by_run({key: held.run for key, held in former.items() if key in delivered})
    _build_placed(engine, replaced)
    _build_lines(engine)
    _build_turnover(engine, replaced, snapshots)
    _build_restatements(engine)
    for scratch in ("former", "placed", "lines", "turnover"):
        engine.execute(f"DROP TABLE {scratch}")
    return known[-1] if known else 0


def _by_run(runs: Mapping[tuple[str, str], Run]) -> list[tuple[Run, list[tuple[str, str]]]]:
    """Gather the periods that each run holds, so that its files are read once."""
    numbered = {run.number: run for run in runs.values()}
    return [(run, sorted(key for key, r in runs.items() if r.number == n)) for n, run in sorted(numbered.items())]


def _load_former(engine: Engine, former: Mapping[tuple[str, str], Held]) -> None:
    """Load the totals in force as `former`: with the run of each row and whether its delivery is kept."""
    names = (*PLACE, *COSTS)
    rows = [
        {name: row[name] for name in names} | {"run": held.run.number, "kept": _kept(held.run, source)}
        for (source, _), held in former.items()
        for row in held.totals
    ]
    columns = [next(c for c in tables.TOTALS if c.name == name) for name in names]
    more = (tables.Column("run", tables.COUNT), tables.Column("kept", tables.FLAG))
    engine.register("former", pa.Table.from_pylist(rows, contract.arrow_schema((*columns, *more))))


def _kept(run: Run, source: str) -> bool:
    """Tell whether the rows of a delivery still lie in the ledger: somebody may have removed old ones to make room."""
    folder: Path = run.ledger / "snapshots" / run.manifest["snapshots"][source]["folder"]
    return folder.is_dir()


def _build_placed(engine: Engine, replaced: Sequence[tuple[Run, Sequence[tuple[str, str]]]]) -> None:
    """Make `placed`: the charges of both sides by what the bill says of them (`bill`, `again`) and by who pays.

    The two are hashes of the keys in both orders: a fingerprint that is compared within this engine only.
    """
    keys = f"""{_PLACE}, coalesce(charge_class = 'Correction', FALSE) AS correction, {_MONTHS} AS charge_period,
        sub_account_id, service_name, cost_center, hash({", ".join(BILL)}, {_MONTHS}) AS bill,
        hash({_MONTHS}, {", ".join(reversed(BILL))}) AS again"""
    sides = [_side(keys, "shown_cells", "after", "SELECT source, billing_period FROM former")]
    for run, periods in replaced:
        wanted = ", ".join(f"({literal(source)}, {literal(period)})" for source, period in periods)
        sides.append(_side(keys, parquet(run.path("cells")), "before", f"VALUES {wanted}"))
    measures = {f"{name}_{side}": type_ for name, type_ in _MEASURES.items() for side in _SIDES}
    engine.execute(f"""
        CREATE TABLE placed AS
        SELECT {", ".join((*PLACE, *_LINE))}, bill, again, {_sums(measures)}
        FROM ({" UNION ALL ".join(sides)}) GROUP BY ALL""")


def _side(keys: str, cells: str, side: str, wanted: str) -> str:
    """Write SQL for the cells of one side: its measures, and zeros for those of the other."""
    measures = ", ".join(
        f"({column if here == side else 0})::{type_} AS {name}_{here}"
        for (name, type_), column in zip(_MEASURES.items(), COSTS, strict=True)
        for here in _SIDES
    )
    return f"SELECT {keys}, {measures} FROM {cells} WHERE (source, billing_period) IN ({wanted})"


def _sums(measures: Mapping[str, str]) -> str:
    return ", ".join(f"sum({name})::{type_} AS {name}" for name, type_ in measures.items())


def _build_lines(engine: Engine) -> None:
    """Make `lines`: what differs by account, service and cost center, and which part of it only changed hands.

    Equal charges that one cost center paid and another pays now have moved, at their former amount. Where charges are
    divided among several (registers cut the month), all have moved if they still add up to the same; if they don't,
    nobody can say which part did, and it is the bill's.
    """
    moved = ", ".join(
        f"""(CASE WHEN d.bill IS NULL THEN 0 WHEN d.same THEN p.{m}_after - p.{m}_before WHEN NOT d.single THEN 0
            WHEN p.rows_after > 0 THEN d.{m}_before ELSE -p.{m}_before END)::{tables.MONEY} AS {m}_moved"""
        for m in _AMOUNTS
    )
    measures = {f"{name}_{side}": type_ for name, type_ in _MEASURES.items() for side in _SIDES}
    moves = {f"{m}_moved": tables.MONEY for m in _AMOUNTS}
    differs = " OR ".join([*(f"{m}_before <> {m}_after" for m in _MEASURES), *(f"{m} <> 0" for m in moves)])
    engine.execute(f"""
        CREATE TABLE lines AS
        WITH divided AS (
            SELECT bill, again, {" AND ".join(f"sum({m}_before) = sum({m}_after)" for m in _MEASURES)} AS same,
                (count(*), count(*) FILTER (rows_before > 0), count(*) FILTER (rows_after > 0)) = (2, 1, 1) AS single,
                {_sums({f"{m}_before": tables.MONEY for m in _AMOUNTS})}
            FROM placed GROUP BY bill, again
            HAVING count(*) > 1 AND sum(rows_before) > 0 AND sum(rows_after) > 0),
        moved AS (SELECT p.*, {moved} FROM placed p LEFT JOIN divided d ON d.bill = p.bill AND d.again = p.again),
        grouped AS (SELECT {", ".join((*PLACE, *_LINE))}, {_sums(measures | moves)} FROM moved GROUP BY ALL)
        SELECT * FROM grouped WHERE {differs}""")


def _build_turnover(
    engine: Engine, replaced: Sequence[tuple[Run, Sequence[tuple[str, str]]]], snapshots: Sequence[SnapshotFiles]
) -> None:
    """Make `turnover`: how many charges of each place are new or gone, as multisets: two equal rows are two rows.

    The address of a charge (file and row) is no part of it, and only columns that both deliveries keep are compared.
    """
    columns = "source VARCHAR, billing_period VARCHAR, currency VARCHAR, rows_new BIGINT, rows_gone BIGINT"
    engine.execute(f"CREATE TABLE turnover ({columns})")
    for run, keys in replaced:
        for new in snapshots:
            periods = [period for source, period in keys if source == new.source]
            if periods and _kept(run, new.source):
                old = run.snapshot_paths(new.source)
                if not all(_same(getattr(old, name), getattr(new, name)) for name in ("charges", "tag_sets")):
                    engine.execute(f"INSERT INTO turnover {_turnover(engine, old, new, periods)}")


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and digest_file(one) == digest_file(other)


def _turnover(engine: Engine, old: SnapshotFiles, new: SnapshotFiles, periods: Sequence[str]) -> str:
    """Write SQL that adds up the charges of two deliveries by content, one plus and the other minus."""
    described = [engine.rows(f"DESCRIBE SELECT * FROM {parquet(files.charges)}") for files in (old, new)]
    types = [{str(name): type_ for name, type_, *_ in columns} for columns in described]
    both = [c for c in types[1] if types[0].get(c) == types[1][c] and c not in {"file", "row", "tag_set"}]
    forward = ", ".join(["text", *map(identifier, both)])
    backward = ", ".join([*map(identifier, reversed(both)), "text"])
    wanted = ", ".join(map(literal, periods))
    sides = " UNION ALL ".join(
        f"SELECT {sign} AS n, billing_period, billing_currency, hash({forward}) AS one, hash({backward}) AS other"
        f" FROM {parquet(files.charges)} LEFT JOIN {parquet(files.tag_sets)} USING (tag_set)"
        f" WHERE billing_period IN ({wanted})"
        for sign, files in ((1, new), (-1, old))
    )
    return f"""
        SELECT {literal(new.source)}, billing_period, billing_currency, sum(greatest(n, 0)), sum(greatest(-n, 0))
        FROM (SELECT billing_period, billing_currency, one, other, sum(n) AS n FROM ({sides}) GROUP BY ALL)
        WHERE n <> 0 GROUP BY ALL"""


def _build_restatements(engine: Engine) -> None:
    """Make `restatements`: what became of each period, then its lines."""
    restated = " OR ".join(f"p.{m}_before <> p.{m}_after" for m in _MEASURES)
    before, after = (
        ", ".join(f"{expression} AS {m}_{side}" for m, expression in zip(_MEASURES, expressions, strict=True))
        for side, expressions in (
            ("before", [f"CASE WHEN k.run IS NOT NULL THEN coalesce(f.{c}, 0) END" for c in COSTS]),
            ("after", [f"CASE WHEN d.source IS NOT NULL THEN coalesce(t.{c}, 0) END" for c in COSTS]),
        )
    )
    nothing = ", ".join(f"NULL AS {name}" for name in (*_LINE, "billed_moved", "effective_moved"))
    sums = _sums({f"{m}_{side}": type_ for m, type_ in _MEASURES.items() for side in _SIDES})
    engine.execute(f"""
        CREATE TABLE restatements AS
        WITH known AS (SELECT DISTINCT source, billing_period, run, kept FROM former),
        newest AS (SELECT source, max(billing_period) AS newest FROM former GROUP BY ALL),
        present AS (SELECT * FROM totals WHERE billing_period <> '' AND currency <> ''),
        delivered AS (SELECT DISTINCT source, billing_period FROM present),
        periods AS (
            SELECT source, billing_period, currency, k.run AS replaced_run, {before}, {after},
                CASE WHEN k.kept AND d.source IS NOT NULL THEN coalesce(u.rows_new, 0) END AS rows_new,
                CASE WHEN k.kept AND d.source IS NOT NULL THEN coalesce(u.rows_gone, 0) END AS rows_gone,
                d.source IS NULL AS lacking
            FROM present t FULL JOIN former f USING (source, billing_period, currency)
                LEFT JOIN known k USING (source, billing_period) LEFT JOIN delivered d USING (source, billing_period)
                LEFT JOIN turnover u USING (source, billing_period, currency)),
        billed AS (
            SELECT {_PLACE}, bool_or({restated}) AS differs
            FROM (SELECT {_PLACE}, bill, again, {sums} FROM placed GROUP BY ALL) p GROUP BY ALL),
        moved AS (SELECT DISTINCT {_PLACE}, TRUE AS moved FROM lines),
        judged AS (
            SELECT p.* EXCLUDE (lacking), CASE WHEN lacking THEN 'not_delivered' WHEN replaced_run IS NULL THEN 'first'
                WHEN rows_new + rows_gone > 0 OR differs OR {restated} THEN 'restated'
                WHEN moved THEN 'reassigned' ELSE 'unchanged' END AS kind
            FROM periods p LEFT JOIN billed USING ({_PLACE}) LEFT JOIN moved USING ({_PLACE})),
        flagged AS (
            SELECT *, kind IN ('first', 'restated') AND coalesce(billing_period < newest, FALSE) AS late
            FROM judged LEFT JOIN newest USING (source))
        SELECT * EXCLUDE (newest), 'period' AS level, {nothing} FROM flagged
        UNION ALL BY NAME
        SELECT l.*, f.kind, f.late, f.replaced_run, 'line' AS level, NULL AS rows_new, NULL AS rows_gone
        FROM lines l JOIN flagged f USING ({_PLACE})""")
