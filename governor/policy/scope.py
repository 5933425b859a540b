"""What a predicate may name: columns, tags, registers. An unknown name is answered with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from governor import tables
from governor.policy.expression import TAG, Call, Column, Expression, Kind, Literal

ALIASES = {"provider": "service_provider_name", "currency": "billing_currency"}
VIRTUAL = {
    "billable": "charge_category = 'Usage' AND coalesce(commitment_discount_status, '') <> 'Unused'",
    "taggable": "billable AND resource_id IS NOT NULL",
}
ACCOUNT, ACCOUNTS, ACCOUNT_KEY = "account", "accounts", "sub_account_id"

_INTERNAL = ("file", "row", "tag_set")  # where a charge stands, not what it is: a policy must not depend on it


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of one table: column -> type of tables.py, tags, register -> column -> type, register -> key column."""

    columns: Mapping[str, str]
    tags: frozenset[str]
    registers: Mapping[str, Mapping[str, str]]
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name that means nothing here: the problem's code, what and how to mend."""

    code: str
    what: str
    mend: str


def charges_scope(tags: Iterable[str], registers: Mapping[str, Mapping[str, str]], keys: Mapping[str, str]) -> Scope:
    """Name what a predicate over charges may read."""
    columns = {c.name: c.type for c in tables.CHARGES if c.name not in _INTERNAL}
    return Scope({**columns, "source": tables.TEXT}, frozenset(tags), registers, keys)


def accounts_scope(registers: Mapping[str, Mapping[str, str]], keys: Mapping[str, str]) -> Scope:
    """Name what a predicate over billed accounts may read: the register's columns and what the account costs."""
    columns = {c.name: c.type for c in tables.REGISTER_ACCOUNTS} | dict(registers.get(ACCOUNTS, {}))
    costs = {"cost": tables.MONEY, "positive_cost": tables.MONEY}
    return Scope({**columns, **costs}, frozenset(), registers, keys)


def kind_of(type_: str) -> Kind | None:
    """Say what kind of value a SQL type holds; None for one that predicates can't use."""
    if type_ in ("INTEGER", "BIGINT", "HUGEINT") or type_.startswith("DECIMAL"):
        return Kind.NUMBER
    kinds = {tables.TEXT: Kind.TEXT, tables.DAY: Kind.DAY, tables.TIME: Kind.TIME, tables.FLAG: Kind.FLAG}
    return kinds.get(type_)


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """Ask `did you mean` for the nearest known name."""
    by_lower = {k.lower(): k for k in sorted(known)}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f'did you mean "{by_lower[close[0]]}"?' if close else otherwise


def column(scope: Scope, written: str) -> Expression | Unknown:
    """Find a column by its name, in our spelling or FOCUS's."""
    name = tables.snake(written)
    if name not in scope.columns and ALIASES.get(name) in scope.columns:
        name = ALIASES[name]
    if name in scope.columns:
        kind = kind_of(scope.columns[name])
        if kind is None:
            return Unknown("P031", f'column "{written}" can\'t be compared', "write tag.NAME to read a tag")
        return Column(name, kind)
    if tables.is_custom(name) and _is_charges(scope):
        return Column(name, Kind.TEXT)
    if written.lower() in scope.tags:
        return Unknown("P031", f'unknown column "{written}"', f'did you mean the tag, "{TAG}{written.lower()}"?')
    known = [*scope.columns, *(a for a in ALIASES if ALIASES[a] in scope.columns), *virtual(scope)]
    known += [TAG + tag for tag in scope.tags]
    mend = f"columns have FOCUS names such as service_category; text stands in single quotes: '{written}'"
    return Unknown("P031", f'unknown column "{written}"', suggestion(name, known, mend))


def virtual(scope: Scope) -> Mapping[str, str]:
    """Name the conditions that have a name of their own."""
    return VIRTUAL if _is_charges(scope) else {}


def _is_charges(scope: Scope) -> bool:
    return "charge_category" in scope.columns


def dotted(scope: Scope, prefix: str, name: str, written: str) -> Expression | Unknown:
    """Find `tag.NAME` or `account.COLUMN`. `written` is the name with the dashes that SQL takes for a minus."""
    if prefix.lower() == "tag":
        if name in scope.tags:
            return Column(TAG + name, Kind.TEXT)
        mend = f"tags are {', '.join(sorted(scope.tags)[:8])}" if scope.tags else "no TagPolicy defines tags here"
        mend = suggestion(written.replace("-", "_"), scope.tags, f"{mend}; add it to the tags: of a TagPolicy")
        return Unknown("P032", f'unknown tag "{written}"', mend)
    if prefix.lower() == ACCOUNT and ACCOUNT_KEY in scope.columns:
        return lookup(scope, ACCOUNTS, Column(ACCOUNT_KEY, Kind.TEXT), name)
    if prefix.lower() == ACCOUNT:
        return Unknown("P031", f'"account.{name}" has no meaning among accounts', f"write {name}")
    known = [*(TAG + t for t in scope.tags), *(f"{ACCOUNT}.{c}" for c in scope.registers.get(ACCOUNTS, ()))]
    mend = suggestion(f"{prefix}.{name}", known, "before the dot stands tag or account; a column stands alone")
    if tables.snake(name) in scope.columns:
        mend = f'did you mean "{tables.snake(name)}"?'
    return Unknown("P031", f'unknown name "{prefix}.{name}"', mend)


def lookup(scope: Scope, register: str, key: Expression, name: str) -> Expression | Unknown:
    """Look a column of a register up by a key."""
    found = known_register(scope, register)
    if isinstance(found, Unknown):
        return found
    kind = kind_of(found[name]) if name in found else None
    if kind is None:
        mend = suggestion(name, found, f"its columns are {', '.join(sorted(found)[:12])}")
        return Unknown("P035", f'register {register} has no column "{name}"', mend)
    arguments = (Literal(register, Kind.TEXT), key, Literal(name, Kind.TEXT))
    return Call("lookup", arguments, kind)


def known_register(scope: Scope, register: str) -> Mapping[str, str] | Unknown:
    """Find a register's columns."""
    if register in scope.registers:
        return scope.registers[register]
    known = f"registers are {', '.join(sorted(scope.registers))}" if scope.registers else "there is none yet"
    mend = suggestion(register, scope.registers, f"{known}; add it under registers: in governor.yaml")
    return Unknown("P034", f'unknown register "{register}"', mend)
