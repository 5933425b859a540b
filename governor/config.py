"""governor.yaml: where everything lies. Flag beats environment (GOVERNOR_*), beats file, beats default."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor import tables
from governor.address import is_address, parse
from governor.model import Position, Problem, Refused
from governor.schema import did_you_mean, place, read_schema, violations
from governor.strict_yaml import Node, plain, short
from governor.strict_yaml import load as load_yaml

FILE = "governor.yaml"
CACHE = ".governor-cache"  # beside it, unless it says otherwise
KEYS = {"cost_centers": "id", "accounts": "account_id", "budgets": "cost_center", "fx_rates": "currency"}
SETTINGS = ("reporting_currency", "ledger", "out", "cache")  # what a flag or the environment may say instead

_DEFAULTS = {"policies": ["policies"], "ledger": "ledger", "out": "out", "cache": CACHE, "gap_tolerance": 0}
_CURRENCY = re.compile(r"[A-Z]{3}")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+/?")


@dataclass(frozen=True, slots=True)
class Register:
    """A reference table that policies look things up in. `key` names its id column."""

    name: str
    file: Path
    key: str
    position: Position


@dataclass(frozen=True, slots=True)
class TieOut:
    """When a source's invoices count as tied: what the residual may be, after the reasons that are accepted.

    `tolerance` is in the invoice's currency; None is one minor unit of it. `accept` are reasons of the table `tie_out`.
    """

    tolerance: Decimal | None = None
    accept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoicesSource:
    """Where invoices lie: FOCUS Invoice Detail (`focus`), one row an invoice (`csv`), or told by the header (`detect`).

    `source` binds them to one billing source; empty: they may be any source's. `columns` names the file's column for a
    field where its spelling isn't known; `dates` and `numbers` are those of a BillingSource.
    """

    name: str
    path: str
    position: Position
    format: str = "detect"
    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    dates: str | None = None
    numbers: str | None = None


@dataclass(frozen=True, slots=True)
class BillingSource:
    """A bill: its format, where it lies, and what the file leaves unsaid.

    `dates` and `numbers` are only for files that a spreadsheet saved: a strptime pattern such as `%m/%d/%y`, and
    `us` ($1,234.56) or `eu` (1.234,56 €). Without them such files are refused. `defaults` fill columns that the file
    lacks or leaves empty, by FOCUS name. `options` are a format's own settings, `columns` the mapping of the format
    `columns`. The format `auto` tells each file by its columns. `path` is a path or an object store's address; `s3`
    says how its bucket is reached: profile, endpoint.
    """

    name: str
    format: str
    path: str
    position: Position
    dates: str | None = None
    numbers: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    tie_out: TieOut = TieOut()
    s3: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Accounts of the journal that no cost center names itself."""

    clearing_account: str
    expense_account: str = ""  # for cost centers without a gl_account of their own
    clearing_cost_center: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What governor.yaml says, with every path resolved against its folder."""

    file: Path
    organization: str
    reporting_currency: str
    registers: Mapping[str, Register]
    billing: tuple[BillingSource, ...]
    policies: tuple[Path, ...]
    ledger: Path
    out: Path
    cache: Path  # copies of bills that lie in object stores
    journal: JournalSettings | None = None
    invoices: tuple[InvoicesSource, ...] = ()
    gap_tolerance: int = 0  # rejected or unreadable rows a run may have and still count as complete

    @property
    def root(self) -> Path:
        """The folder of governor.yaml: what paths in outputs are relative to."""
        return self.file.parent


def find(start: Path) -> Path:
    """Find the nearest governor.yaml from a folder upward, up to the repository's root. Raises Refused."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        if (folder / ".git").exists():
            break
    what = f"there is no {FILE} here or above, up to {folder}"
    raise Refused(Problem(Position(str(start)), "C010", what, "run governor init, or name the file with -c"))


def load(path: Path | None = None, flags: Mapping[str, str | None] | None = None) -> Config:
    """Load governor.yaml. Without a path: the one that GOVERNOR_CONFIG names, else the nearest. Raises Refused.

    `flags` are the command line's ledger, out and reporting_currency, where given. Paths in the file are relative to
    it, paths of flags and of the environment to the folder we are in. What they lead to is not looked at here.
    """
    return load_with_origins(path, flags)[0]


def origins(config: Config) -> dict[str, str]:
    """Say where each value of a loaded configuration comes from: a flag, the environment, a file's line, a default."""
    told, where = load_with_origins(config.file)
    try:
        unasked, origin = _file(None, os.environ)
    except Refused:
        unasked, origin = None, ""
    where["file"] = origin if unasked == config.file else "-c"
    return where | {key: f"--{key.replace('_', '-')}" for key in SETTINGS if getattr(config, key) != getattr(told, key)}


def load_with_origins(
    path: Path | None = None,
    flags: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Config, dict[str, str]]:
    """Load governor.yaml and say where each value comes from: a flag, the environment, a place in a file, a default."""
    environment = os.environ if environment is None else environment
    file, origin = _file(path, environment)
    node = load_yaml(file, _called(file))
    problems = violations(node, read_schema("config.json"), "C")
    if problems:
        raise Refused(*problems)
    origins = {"file": origin, **{key: str(place(entry)) for key, entry in node.entries().items()}}
    origins |= {key: "default" for key in _DEFAULTS if node.get(key) is None}
    settings = {**_DEFAULTS, **plain(node)}
    for key, value, source in _overrides(flags or {}, environment):
        settings[key], origins[key] = (value if key == "reporting_currency" else str(Path(value).absolute())), source
    found: list[Problem] = []
    if not _CURRENCY.fullmatch(settings["reporting_currency"]):
        what = f"the currency {short(settings['reporting_currency'])} of {origins['reporting_currency']} is no currency"
        found.append(Problem(Position(_called(file)), "C011", what, "write three capital letters, such as USD"))
    root = file.parent
    config = Config(
        file=file,
        organization=settings["organization"],
        reporting_currency=settings["reporting_currency"],
        registers=_registers(node, root, found),
        billing=_billing(node, root, found),
        policies=tuple(Path(p) if p.startswith("pack:") else _below(root, p) for p in settings["policies"]),
        ledger=_below(root, settings["ledger"]),
        out=_below(root, settings["out"]),
        cache=_below(root, settings["cache"]),
        journal=JournalSettings(**settings["journal"]) if "journal" in settings else None,
        invoices=_invoices(node, root, found),
        gap_tolerance=settings["gap_tolerance"],
    )
    found += _not_of_a_store(node)
    if config.cache in (config.ledger, config.out):
        what, mend = "the cache is the folder of the ledger or of the reports", "give each its own: copies come and go"
        found.append(Problem(_position(node, "cache", "ledger", "out"), "C020", what, mend))
    if config.ledger == config.out:
        what, mend = "ledger and out are the same folder", "reports are replaced, runs never: give each its own"
        found.append(Problem(_position(node, "out", "ledger"), "C012", what, mend))
    if found:
        raise Refused(*sorted(found))
    return config, origins


def _file(path: Path | None, environment: Mapping[str, str]) -> tuple[Path, str]:
    """Choose the file, and say why this one."""
    origin = "-c"
    if path is None and environment.get("GOVERNOR_CONFIG"):
        path, origin = Path(environment["GOVERNOR_CONFIG"]), "GOVERNOR_CONFIG"
    if path is None:
        return find(Path.cwd()), "found here or above"
    folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a folder above may not be read
    return (path / FILE if folder else path).absolute(), origin


def _called(file: Path) -> str:
    """Call the file by its path from here where it lies below, as editors and terminals do."""
    here = Path.cwd()
    return file.relative_to(here).as_posix() if file.is_relative_to(here) else str(file)


def _overrides(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield what stands above the file: the flag, else the environment's variable. An empty one says nothing."""
    for key in SETTINGS:
        variable = f"GOVERNOR_{key.upper()}"
        if flag := flags.get(key):
            yield key, flag, f"--{key.replace('_', '-')}"
        elif value := environment.get(variable):
            yield key, value, variable


def _below(root: Path, path: str) -> Path:
    """Resolve a path of the file against its folder, without following links: `..` goes up as it is written."""
    return Path(os.path.normpath(root / path))


def _registers(node: Node, root: Path, found: list[Problem]) -> dict[str, Register]:
    registers = {}
    registered = node.get("registers")
    for name, entry in sorted(registered.entries().items()) if registered else ():
        key = entry.get("key")
        if key is None and name not in KEYS:
            mend = did_you_mean(name, KEYS) or "add key: the column that identifies a row"
            found.append(Problem(place(entry), "C013", f"the lookup table {name} has no key", mend))
        file = _below(root, str(entry.entries()["file"].value))
        registers[name] = Register(name, file, str(key.value) if key else KEYS.get(name, ""), place(entry))
    return registers


def _billing(node: Node, root: Path, found: list[Problem]) -> tuple[BillingSource, ...]:
    sources: dict[str, BillingSource] = {}
    for entry in node.entries()["billing"].items():
        settings = plain(entry)
        name = entry.entries()["name"]
        if settings["name"] in sources:
            first = sources[settings["name"]].position
            what = f"the billing source {settings['name']} stands already at {first.line}:{first.column}"
            found.append(Problem(name.position, "C014", what, "give each source its own name"))
        settings["path"] = _path(entry, root, found)
        settings["defaults"] = dict(_defaults(entry, found))
        found += _mapping(entry, settings)
        settings["tie_out"] = _tie_out(settings.get("tie_out", {}))
        settings.setdefault("format", "auto")
        sources[settings["name"]] = BillingSource(position=entry.position, **settings)
    return tuple(sources.values())


def _path(source: Node, root: Path, found: list[Problem]) -> str:
    """Resolve a bill's path, or check its address and how the bucket is reached."""
    path, s3 = source.entries()["path"], source.get("s3")
    text = str(path.value)
    if s3 and not text.startswith("s3://"):
        mend = "remove it, or name a path such as s3://bucket/folder"
        found.append(Problem(place(s3), "C021", "`s3` is given for a bill that isn't there", mend))
    if s3 and (endpoint := s3.get("endpoint")) and not _ENDPOINT.fullmatch(str(endpoint.value)):
        mend = "write it as https://host:port, without user, password or path"
        found.append(Problem(endpoint.position, "C022", "the endpoint is no plain address of a server", mend))
    if not is_address(text):
        return str(_below(root, text))
    try:
        return str(parse(text, path.position))
    except Refused as refused:
        found += refused.problems
        return text


def _not_of_a_store(node: Node) -> Iterator[Problem]:
    """Refuse addresses where only paths are read: such a folder would be made here."""
    entries = [node.get(key) for key in ("ledger", "out", "cache")]
    for listed, key in (("invoices", "path"), ("registers", "file")):
        group = node.get(listed)
        if group is not None:
            items = group.items() if listed == "invoices" else group.entries().values()
            entries += [entry.get(key) for entry in items]
    for entry in entries:
        if entry is not None and is_address(str(entry.value)):
            mend = "download the file, or name a folder of this machine"
            yield Problem(entry.position, "C023", "only the path of a bill may be an address", mend)


def _mapping(source: Node, settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Say what is wrong with the mapping of a source of the format columns."""
    entry, mapped = source.get("columns"), settings.get("format") == "columns"
    if entry is None or not mapped:
        if mapped:
            mend = "add `columns: {BilledCost: …, ChargePeriodStart: …}`: which column of the file feeds which of FOCUS"
            yield Problem(source.position, "C016", "the format columns has no mapping", mend)
        elif entry is not None:
            yield Problem(place(entry), "C016", "a mapping is given for another format", "set `format: columns`")
        return
    names = [column.note for column in tables.FOCUS]
    for name, value in entry.entries().items():
        if name not in (*names, "Tags") and not name.startswith(("Tags.", "x_")):
            mend = (
                did_you_mean(name, [*names, "Tags"]) or "use a FOCUS column, Tags.<key>, or a name that begins with x_"
            )
            yield Problem(place(value), "C017", f"FOCUS has no column {short(name)}", mend)
    said = {*entry.entries(), *settings["defaults"]}
    for asked, what, mend in (
        ({"BilledCost", "EffectiveCost"}, "the mapping names no cost", "map BilledCost or EffectiveCost"),
        ({"ChargePeriodStart"}, "the mapping doesn't say when a charge was", "map ChargePeriodStart to a day or month"),
        (
            {"BillingCurrency"},
            "the mapping doesn't say the currency",
            "map BillingCurrency, or set `defaults: {BillingCurrency: EUR}`",
        ),
    ):
        if not said & asked:
            yield Problem(place(entry), "C018", what, mend)


def _tie_out(settings: Mapping[str, Any]) -> TieOut:
    tolerance = settings.get("tolerance")
    return TieOut(None if tolerance is None else Decimal(tolerance), tuple(sorted(settings.get("accept", ()))))


def _invoices(node: Node, root: Path, found: list[Problem]) -> tuple[InvoicesSource, ...]:
    known = [str(entry.entries()["name"].value) for entry in node.entries()["billing"].items()]
    listed = node.get("invoices")
    inputs: dict[str, InvoicesSource] = {}
    for entry in listed.items() if listed else ():
        settings = plain(entry)
        if settings["name"] in inputs:
            first = inputs[settings["name"]].position
            what = f"the invoices {settings['name']} stand already at {first.line}:{first.column}"
            found.append(Problem(entry.entries()["name"].position, "B130", what, "give each input its own name"))
        source = settings.get("source", "")
        if source and source not in known:
            mend = did_you_mean(source, known) or f"the billing sources are {', '.join(known)}"
            what = f"there is no billing source {short(source)}"
            found.append(Problem(entry.entries()["source"].position, "B131", what, mend))
        settings["path"] = str(_below(root, settings["path"]))
        inputs[settings["name"]] = InvoicesSource(position=entry.position, **settings)
    return tuple(inputs.values())


def _defaults(source: Node, found: list[Problem]) -> Iterator[tuple[str, str]]:
    """Yield the defaults by FOCUS name, whichever spelling the file uses."""
    focus = {column.name: column.note for column in tables.FOCUS}
    entry = source.get("defaults")
    for name, value in entry.entries().items() if entry else ():
        column = focus.get(tables.snake(name))
        if column is None:
            mend = did_you_mean(name, focus.values()) or "use the name of a FOCUS column, such as BillingCurrency"
            found.append(Problem(place(value), "C015", f"FOCUS has no column {short(name)}", mend))
        else:
            yield column, str(value.value)


def _position(node: Node, *keys: str) -> Position:
    """Return the place of the first of these keys that the file has."""
    return next((place(entry) for key in keys if (entry := node.get(key))), node.position)
