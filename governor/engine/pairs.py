"""Count once what two exports of one provider both tell.

Azure's actual export has what is billed, its amortized export what commitments cost where they are used; most rows
stand in both. Which export a file is may only show in its rows; where it doesn't show and matters, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from governor.engine.charges import Part
from governor.engine.duckdb import Engine, literal
from governor.engine.staging import Input, scan
from governor.model import Gap, Position, Problem, Refused
from governor.sources.billing.layout import Pair


def tell_exports(engine: Engine, inputs: Sequence[Input]) -> tuple[Input, ...]:
    """Say of each file of a pair which export it is. Raises Refused where its rows contradict what was said of it."""
    problems: list[Problem] = []
    told = []
    for one in inputs:
        try:
            told.append(_by_rows(engine, one, one.layout.pair) if one.layout.pair else one)
        except Refused as refused:
            problems += refused.problems
    if problems:
        raise Refused(*problems)
    parts: dict[tuple[object, ...], set[str]] = {}
    for one in told:
        parts.setdefault(_export(one), set()).add(one.layout.grain)
    return tuple(_called(_by_parts(one, parts[_export(one)] - {""})) if one.layout.pair else one for one in told)


def list_leading(engine: Engine, parts: Sequence[Part], scratch: Path) -> list[Part]:
    """Write what the leading exports tell, by key, with what they bill; give it to the parts of the other export."""
    leading = [part for part in parts if (pair := _pair(part)) and _grain(part) == pair.leading]
    other = [part for part in parts if (pair := _pair(part)) and _grain(part) not in ("", pair.leading)]
    if not leading or not other:
        return list(parts)
    path = scratch / "leading.parquet"
    rows = " UNION ALL ".join(
        f"SELECT {_keys(part)}, {_billed(part)} FROM {part.source} WHERE {part.good}" for part in leading
    )
    engine.export(f"SELECT * EXCLUDE (billed), sum(billed) AS billed FROM ({rows}) GROUP BY ALL", path)
    return [replace(part, leading=path) if part in other else part for part in parts]


def refuse_untold(engine: Engine, parts: Sequence[Part], charges: Path) -> None:
    """Refuse a file that may be either export of a pair, where another file tells of the same account and month."""
    inputs = {one.index: one for part in parts if _pair(part) for one in part.segment.inputs}
    if all(one.layout.grain for one in inputs.values()):
        return
    told: dict[tuple[str | None, ...], list[Input]] = {}
    for file, *key in engine.rows(
        "SELECT DISTINCT file, billing_account_id, sub_account_id, billing_period "
        f"FROM read_parquet({literal(str(charges))}) ORDER BY ALL"
    ):
        if file in inputs:
            told.setdefault(tuple(key), []).append(inputs[file])
    problems: dict[str, Problem] = {}
    for (_, account, period), files in told.items():
        for one in files if len(files) > 1 else ():
            if not one.layout.grain:
                other = next(file for file in files if file is not one)
                what = (
                    f"may be the actual or the amortized export, and so does not go together with {other.name}: "
                    f"both tell of {account} in {period}, and charges may count twice"
                )
                mend = "set `options: {dataset: actual}` or `amortized` for this source, or say it in the folder's name"
                problems.setdefault(one.name, Problem(Position(one.name), "B234", what, mend))
    if problems:
        raise Refused(*(problem for _, problem in sorted(problems.items())))


def find_pair_gaps(engine: Engine, parts: Sequence[Part], source: str, charges: Path) -> Iterator[Gap]:
    """Say where two exports bill different amounts for the same charges, and what is unknown where one is alone."""
    paired = [part for part in parts if _pair(part)]
    if repeating := [part for part in paired if part.leading]:
        yield from _differences(engine, repeating, source)
    if not paired:
        return
    delivered = " UNION ALL ".join(
        f"SELECT DISTINCT {literal(_grain(part))} AS grain, {part.value(part.field('billing_account_id'))} AS account, "
        f"{part.value(part.field('sub_account_id'))} AS sub, {part.period} AS period, "
        f"{part.value(part.field('charge_period_start'))} AS start FROM {part.source}"
        for part in paired
    )
    for grain in sorted({_grain(part) for part in paired}):
        of_grain = [part for part in paired if _grain(part) == grain]
        pair = _pair(of_grain[0])
        alone = pair.alone.get(grain) if pair else None
        if not pair or not alone:
            continue
        files = ", ".join(str(one.index) for part in of_grain for one in part.segment.inputs)
        told = (
            f"EXISTS (SELECT 1 FROM delivered d WHERE d.grain {'<>' if grain == pair.leading else '='} "
            f"{literal(pair.leading)} AND d.account IS NOT DISTINCT FROM c.billing_account_id "
            "AND d.period = c.billing_period"
        )
        on_its_day = f"{told} AND d.sub IS NOT DISTINCT FROM c.sub_account_id AND d.start = c.charge_period_start)"
        for currency, rows, cost in engine.rows(
            f"WITH delivered AS ({delivered}) SELECT billing_currency, count(*), sum({alone.cost}) "
            f"FROM read_parquet({literal(str(charges))}) c WHERE file IN ({files}) AND ({alone.where}) "
            f"AND (NOT {told}) OR ({alone.each}) AND NOT {on_its_day}) GROUP BY 1 ORDER BY 1"
        ):
            yield Gap(source, "", alone.reason, alone.detail, rows=rows, cost=cost, currency=currency or "")


def _by_rows(engine: Engine, one: Input, pair: Pair) -> Input:
    """Tell the export from rows that only one of the two can have. Raises Refused where they contradict."""
    firsts = ", ".join(f"min({one.row}) FILTER ({sign})" for sign in pair.signs.values())
    [row] = engine.rows(f"SELECT {firsts} FROM {scan([one.data], one.raws, one.flat)}")
    shown = {grain: first for grain, first in zip(pair.signs, row, strict=True) if first is not None}
    if len(shown) > 1:
        rows = ", ".join(f"row {first} only the {grain} export has" for grain, first in shown.items())
        what = f"holds rows of both exports: {rows}"
        raise Refused(Problem(Position(one.name), "B232", what, "deliver the two exports as two files"))
    for grain, first in shown.items():
        if one.layout.grain not in ("", grain):
            said = f"is said to be the {one.layout.grain} export ({one.layout.why})"
            what, mend = f"{said}, but row {first} only the {grain} one has", "call it what it is, or leave it unsaid"
            raise Refused(Problem(one.position(first), "B233", what, mend))
        if not one.layout.grain:
            why = f"{one.layout.why}; row {first} says that it is the {grain} export"
            return replace(one, layout=replace(one.layout, grain=grain, why=why))
    return one


def _export(one: Input) -> tuple[object, ...]:
    """Name what numbered files of one folder and header are parts of."""
    return one.path.parent, re.sub(r"\d+", "0", one.path.name), one.header


def _by_parts(one: Input, grains: set[str]) -> Input:
    """Tell a part of an export by the other parts."""
    if one.layout.grain or len(grains) != 1:
        return one
    [grain] = grains
    why = f"{one.layout.why}; another part says that it is the {grain} export"
    return replace(one, layout=replace(one.layout, grain=grain, why=why))


def _called(one: Input) -> Input:
    version = f"{one.layout.version} {one.layout.grain}".strip()
    return replace(one, layout=replace(one.layout, version=version))


def _differences(engine: Engine, parts: Sequence[Part], source: str) -> Iterator[Gap]:
    """Compare what rows set aside bill with what the leading export bills for the same key."""
    names = [f"k{at}" for at, _ in enumerate(parts[0].keys)]
    rows = " UNION ALL ".join(
        f"SELECT {_keys(part)}, {_billed(part)} FROM {part.source} WHERE {part.repeated}" for part in parts
    )
    both = " AND ".join(f"t.{name} IS NOT DISTINCT FROM l.{name}" for name in names)
    pair = _pair(parts[0])
    detail = (
        f"the {_grain(parts[0])} export bills other amounts than the {pair.leading if pair else ''} one, which counts"
    )
    for currency, count, cost in engine.rows(
        f"WITH told AS (SELECT * EXCLUDE (billed), sum(billed) AS billed FROM ({rows}) GROUP BY ALL) "
        f"SELECT t.k0, count(*), sum(abs(l.billed - t.billed)) FROM told t "
        f"JOIN read_parquet({literal(str(parts[0].leading))}) l ON {both} WHERE l.billed <> t.billed "
        "GROUP BY 1 ORDER BY 1"
    ):
        yield Gap(source, "", "broken_identity", detail, rows=count, cost=cost, currency=currency)


def _pair(part: Part) -> Pair | None:
    return part.segment.inputs[0].layout.pair


def _grain(part: Part) -> str:
    return part.segment.inputs[0].layout.grain


def _keys(part: Part) -> str:
    return ", ".join(f"{key} AS k{at}" for at, key in enumerate(part.keys))


def _billed(part: Part) -> str:
    return f"coalesce({part.value(part.field('billed_cost'))}, 0) AS billed"
