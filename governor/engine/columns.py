"""SQL that reads one column of ours from a raw one, whatever its type: exactly, or not at all.

A value that this strict and fast reading doesn't take is NULL beside a raw text that isn't; `sources.billing.values`
then reads each such text once, or says why it can't. So what is here may refuse a good value, never take a bad one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from governor.engine.duckdb import literal
from governor.money import DIGITS, SCALE
from governor.sources.billing.layout import MISSING, Layout, Own
from governor.sources.billing.values import Reading
from governor.tables import MONEY, TEXT, TIME, Column

_MISSING = ", ".join(literal(word) for word in MISSING)
_MISSING_MAX = max(len(word) for word in MISSING)
_WHOLE = DIGITS - SCALE
_PLAIN = rf"[+-]?(\d{{1,{_WHOLE}}}(\.\d{{0,{SCALE}}})?|\.\d{{1,{SCALE}}})"
_SCIENTIFIC = r"[+-]?\d(\.\d{1,16})?[eE][+-]?\d{1,2}"
_FIRST, _LAST = "TIMESTAMP '1900-01-01'", "TIMESTAMP '2999-12-31'"  # keeps out year 25, infinity and the like
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"}  # always fit
_LARGE = {"BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"}

# Ids that a number can't hold: an AWS account has twelve digits, zeros in front included.
IDS = ("billing_account_id", "sub_account_id", "invoice_id")

# FOCUS's spelling of its closed lists; a value that differs in case, hyphens or spaces only is written like this.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "charge_category": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "charge_class": ("Correction",),
    "charge_frequency": ("One-Time", "Recurring", "Usage-Based"),
    "pricing_category": ("Standard", "Dynamic", "Committed", "Other"),
    "commitment_discount_status": ("Used", "Unused"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """How one column is read: `raw` is what was delivered (NULL: missing), `value` is SQL over the alias `r_<name>`.

    `sure` reads the same where the survey found that every row can be read. `reader` says what reads the texts that
    `value` doesn't take: money, double, printed double, time or own; '' where nothing can fail. `doubt` is an aggregate
    that is true where some row can't be read, if there is a cheaper one than to compare. `numeric` says that a text
    came as a number.

    A `derived` column has no raw one: it is SQL over the {name}s of others. One that isn't `kept` is only read for it,
    maybe by `read`, a reading of the format's own. `plain` is `raw` where no row holds a word that means missing. A
    `spared` one rejects no row: what can't be read is NULL, and a gap says so.
    """

    column: Column
    raw: str
    value: str
    sure: str = ""
    reader: str = ""
    default: str = ""
    doubt: str = ""
    numeric: bool = False
    derived: str = ""
    kept: bool = True
    read: Callable[[str], Reading] | None = None
    plain: str = ""
    spared: bool = False

    @property
    def cost(self) -> bool:
        """Whether the column is a cost of the charge, which must tie to the file; quantities add up to nothing."""
        return self.kept and self.column.type == MONEY and self.column.name.endswith("_cost")

    @property
    def name(self) -> str:
        """What `derived` expressions call the column."""
        return self.column.note if not self.kept else self.column.name

    @property
    def uses(self) -> frozenset[str]:
        """The names that a derived column is made of."""
        return frozenset(re.findall(r"\{(\w+)\}", self.derived))

    @property
    def alias(self) -> str:
        """The SQL name of what was delivered."""
        return f"r_{self.column.name}"

    @property
    def worded(self) -> str:
        """An aggregate that is true where some `plain` text, called p_<name>, is short enough for such a word."""
        return f"min(strlen(p_{self.column.name})) <= {_MISSING_MAX}"

    @property
    def present(self) -> bool:
        """Whether the file has the column."""
        return self.raw != "NULL"


class Unreadable(ValueError):
    """The column has a type that can't hold what it must."""


def read_column(column: Column, layout: Layout, types: Mapping[str, str], numbers: str | None, default: str) -> Field:
    """Say how a column is read from raw ones of these types; `default` is SQL for the missing. Raises Unreadable."""
    expressions = layout.fields.get(column.name, ())
    plain = ""
    if derived := layout.derived.get(column.name):
        return Field(column, "NULL", "", default=default, derived=derived)
    if not expressions:
        nothing = default or f"CAST(NULL AS {column.type})"
        return Field(column, "NULL", nothing, nothing)
    if len(expressions) > 1:
        raw = f"coalesce({', '.join(_clean(e, types[e]) for e in expressions)})"
        kind = TEXT
    else:
        raw, kind = expressions[0], types[expressions[0]]
        if kind == TEXT:
            plain, raw = raw, _clean(raw, kind)
    alias = f"r_{column.name}"
    read = {MONEY: _money, TIME: _time}.get(column.type, _text)(raw, alias, kind, numbers)
    raw, value, sure, reader = read.raw, read.value, read.sure or read.value, read.reader
    numeric = kind in _INTEGERS | _LARGE or (kind.startswith("DECIMAL") and kind.endswith(",0)"))
    if column.name in IDS and not numeric and (kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL")):
        raise Unreadable(f"it is a {kind} column and must be text: digits of the id may be lost")
    if column.name in SPELLINGS:
        value = sure = _spell(value, SPELLINGS[column.name])
    if default:
        value, sure = (f"CASE WHEN {alias} IS NULL THEN {default} ELSE {v} END" for v in (value, sure))
    numeric = column.name in IDS and numeric
    return Field(column, raw, value, sure, reader, default, read.doubt, numeric=numeric, plain=plain)


def as_printed(field: Field) -> Field:
    """Read a column's texts as what a source that keeps doubles printed."""
    return replace(field, reader="printed double") if field.reader == "money" else field


def read_own(name: str, own: Own, types: Mapping[str, str], numbers: str | None) -> Field:
    """Say how a column of the format's own is read. Raises Unreadable."""
    column, kind = Column(f"own_{name}", own.type, name), types[own.sql]
    raw = _clean(own.sql, kind) if kind == TEXT or own.read else own.sql
    if own.read:
        nothing = f"CAST(NULL AS {own.type})"
        return Field(column, raw, nothing, nothing, "own", doubt=f"count(r_own_{name}) > 0", kept=False, read=own.read)
    read = {MONEY: _money, TIME: _time}.get(own.type, _text)(raw, f"r_own_{name}", kind, numbers)
    return Field(column, read.raw, read.value, read.sure or read.value, read.reader, doubt=read.doubt, kept=False)


def tag_text(layout: Layout, types: Mapping[str, str]) -> str:
    """Write SQL for the raw tags of a row as text that `sources.billing.tags` reads; NULL where the file has none."""
    if layout.tags is None:
        return "CAST(NULL AS VARCHAR)"
    own = f"coalesce({_as_text(layout.tags, types[layout.tags])}, '')"
    if layout.allocated_tags is None:
        return own
    over = _clean(layout.allocated_tags, types[layout.allocated_tags])
    return f"{own} || coalesce(chr(31) || {over}, '')"


def needs_rounding(alias: str) -> str:
    """Write SQL that is true where a double's shortest decimal has more fractional digits than money keeps."""
    mantissa, exponent = f"split_part({alias}, 'e-', 1)", f"CAST(split_part({alias}, 'e-', 2) AS INTEGER)"
    return (
        f"CASE WHEN contains({alias}, 'e-') THEN length(split_part({mantissa}, '.', 2)) + {exponent} > {SCALE} "
        "ELSE FALSE END"
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    raw: str
    value: str
    reader: str = ""
    sure: str = ""
    doubt: str = ""


def _clean(expression: str, kind: str) -> str:
    """Write SQL that gives a column's text, or NULL where it says nothing. The length spares most rows the rest."""
    text = _as_text(expression, kind)
    return f"CASE WHEN strlen({text}) <= {_MISSING_MAX} AND {text} IN ({_MISSING}) THEN NULL ELSE {text} END"


def _as_text(expression: str, kind: str) -> str:
    if kind in (TEXT, "JSON"):
        return expression
    if kind.endswith("[]") or kind.startswith(("MAP(", "STRUCT(")):
        return f"CAST(to_json({expression}) AS VARCHAR)"
    return f"CAST({expression} AS VARCHAR)"


def _text(raw: str, alias: str, kind: str, _numbers: str | None) -> _Reading:
    return _Reading(_as_text(raw, kind), alias)


def _money(raw: str, alias: str, kind: str, numbers: str | None) -> _Reading:
    cast = f"CAST({alias} AS {MONEY})"
    if kind in _INTEGERS:
        return _Reading(raw, cast)
    if kind in _LARGE:
        return _Reading(raw, f"TRY_{cast}", "money", cast)
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        precision, scale = int(decimal[1]), int(decimal[2])
        if scale <= SCALE:
            fits = precision - scale <= _WHOLE
            return _Reading(raw, cast) if fits else _Reading(raw, f"TRY_{cast}", "money", cast)
        return _Reading(f"CAST({raw} AS VARCHAR)", _exact(alias, None), "money", cast)
    if kind in ("DOUBLE", "FLOAT"):
        # The engine rounds half away from zero, money half to even: a tie is left to the exact reader.
        tie = f"({needs_rounding(alias)}) AND contains({alias}, '5e-')"
        return _Reading(f"CAST({raw} AS VARCHAR)", f"CASE WHEN {tie} THEN NULL ELSE TRY_{cast} END", "double", cast)
    if kind == TEXT:
        return _Reading(raw, _exact(alias, numbers), "money", cast)
    raise Unreadable(f"it is a {kind} column and must hold amounts")


def _exact(alias: str, numbers: str | None) -> str:
    """Write SQL that reads a text as money where the engine's cast is known to be exact."""
    cast = f"TRY_CAST({alias} AS {MONEY})"
    if numbers == "eu":  # 1.234 is a thousand there
        return f"CASE WHEN regexp_full_match({alias}, '[+-]?\\d{{1,{_WHOLE}}}') THEN {cast} END"
    exponent = f"TRY_CAST(regexp_extract({alias}, '[eE](.*)', 1) AS INTEGER)"
    digits = f"length(regexp_extract({alias}, '\\.(\\d*)', 1))"
    return (
        f"CASE WHEN regexp_full_match({alias}, '{_PLAIN}') THEN {cast} "
        f"WHEN regexp_full_match({alias}, '{_SCIENTIFIC}') AND {digits} - {exponent} <= {SCALE} THEN {cast} END"
    )


def _time(raw: str, alias: str, kind: str, _numbers: str | None) -> _Reading:
    if kind not in {TEXT, "DATE"} and not kind.startswith("TIMESTAMP"):
        raise Unreadable(f"it is a {kind} column and must hold moments")
    # A text's offset counts only in a cast to TIMESTAMPTZ. Casts are cheap where values repeat; a pattern isn't.
    # The cast from nanoseconds with a zone straight to TIMESTAMP yields NULL, so it goes the same way.
    zoned = f"TRY_CAST({alias} AS TIMESTAMPTZ)" if kind in (TEXT, "TIMESTAMPTZ_NS") else alias
    moment = f"TRY_CAST({zoned} AS TIMESTAMP)"
    value = f"CASE WHEN {moment} BETWEEN {_FIRST} AND {_LAST} THEN {moment} END"
    doubt = f"count({alias}) <> count({moment}) OR coalesce(min({moment}) < {_FIRST} OR max({moment}) > {_LAST}, FALSE)"
    return _Reading(raw, value, "time", moment, doubt)


def _spell(value: str, spellings: tuple[str, ...]) -> str:
    folded = f"lower(replace(replace(replace({value}, '-', ''), '_', ''), ' ', ''))"
    cases = " ".join(f"WHEN {literal(re.sub('[-_ ]', '', s).lower())} THEN {literal(s)}" for s in spellings)
    return f"CASE {folded} {cases} ELSE {value} END"
