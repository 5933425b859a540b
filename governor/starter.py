"""Write a project that runs: policies and registers drawn from what a bill itself says.

The bill's own accounts become the accounts register, the values of its cost center tag the cost centers: a first guess
to be corrected by people, never an invention. What the bill doesn't say stays empty, and the first report shows it.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from governor._data import data
from governor.address import is_address
from governor.config import CACHE, BillingSource
from governor.engine.cells import parquet
from governor.engine.duckdb import Engine, open_engine
from governor.engine.ingest import ingest
from governor.model import Position, Problem, Progress, Refused
from governor.policy.parts import PLACEHOLDERS
from governor.sources.stores.mirror import bring

FILES = ("governor.yaml", "policies/core-tags.yaml", "policies/account-ownership.yaml", "policies/allocation.yaml")
MOST = 1_000  # cost centers taken from a bill; more are hardly cost centers

# What tag keys are called, without case and punctuation, the surest first.
COST_CENTER = ("costcenter", "costcentre", "chargecode", "billingcode", "budgetcode", "businessunit", "department")
OWNER = ("owner", "owneremail", "contact", "technicalowner", "team")
ENVIRONMENT = ("env", "environment", "stage")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a bill says of itself: its currency, accounts (id, name, provider), tag keys and cost center values."""

    currency: str
    accounts: tuple[tuple[str, str, str], ...]
    cost_center_keys: tuple[str, ...]
    owner_keys: tuple[str, ...]
    env_keys: tuple[str, ...]
    cost_centers: tuple[str, ...]


def write_starter(
    folder: Path,
    bill: Path | str | None,
    organization: str = "My organization",
    progress: Progress = lambda _what, _done, _total: None,
) -> list[Path]:
    """Write a starter project below `folder` for a bill, or for a small example bill that comes along.

    A bill is a path or an object store's address; copies of its objects stay for the first run. Returns the
    files written. Raises Refused when a project is there already: nothing is ever overwritten.
    """
    targets = [folder / name for name in (*FILES, "registers/cost_centers.csv", "registers/accounts.csv")]
    if there := [path for path in targets if path.exists()]:
        what = f"a project is there already: {', '.join(str(p) for p in there)}"
        raise Refused(Problem(Position(str(folder)), "C040", what, "name a new folder; nothing was written"))
    if bill is None:
        example = folder / "bills" / "example.csv"
        example.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data("examples", "starter", "bills", "example.csv"), example)
        targets.append(example)
        bill = example
    bill = str(bill)
    if not is_address(bill) and not Path(bill).exists():
        raise Refused(Problem(Position(bill), "C041", "there is no such bill", "name a file or a folder"))
    profile = read_profile(bill, folder / CACHE, progress)
    for path in targets:
        path.parent.mkdir(parents=True, exist_ok=True)
    words = _words(profile, bill, folder, organization)
    for name in FILES:
        template = Template(data("examples", "starter", *name.split("/")).read_text(encoding="utf-8"))
        (folder / name).write_text(template.substitute(words), encoding="utf-8")
    centers = [(c, c, "", "", "", "", "chargeback", "", "") for c in profile.cost_centers or ("CC-0001",)]
    header = "id,name,parent,owner_email,gl_account,entity,mode,valid_from,valid_to"
    _write_csv(folder / "registers/cost_centers.csv", header, centers)
    accounts = [(id_, provider, name, "", "", "", "", "") for id_, name, provider in profile.accounts]
    header = "account_id,provider,name,cost_center,owner_email,environment,valid_from,valid_to"
    _write_csv(folder / "registers/accounts.csv", header, accounts)
    return targets


def _words(profile: Profile, bill: str, folder: Path, organization: str) -> Mapping[str, str]:
    first = profile.cost_centers[0] if profile.cost_centers else "CC-0001"
    return {
        "organization": _quoted(organization),
        "currency": profile.currency,
        "bill": _quoted(bill if is_address(bill) else _path(Path(bill), folder)),
        "cost_center_keys": _keys(profile.cost_center_keys or ("cost_center",)),
        "owner_keys": _keys(profile.owner_keys or ("owner",)),
        "env_keys": _keys(profile.env_keys or ("env",)),
        "cost_center_key": _quoted((profile.cost_center_keys or ("cost_center",))[0]),
        "owner_key": _quoted((profile.owner_keys or ("owner",))[0]),
        "cost_center": _quoted(first),
        "first_cost_center": _quoted(first),
    }


def _path(bill: Path, folder: Path) -> str:
    inside = bill.resolve().is_relative_to(folder.resolve())
    return os.path.relpath(bill, folder) if inside else str(bill.resolve())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _keys(keys: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, keys)) + "]"


def _write_csv(path: Path, header: str, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def read_profile(bill: str, cache: Path, progress: Progress) -> Profile:
    """Read a bill once and say what it says of itself."""
    whole = bill if is_address(bill) else str(Path(bill).resolve())
    asked = Position("--bill" if is_address(bill) else bill)
    with tempfile.TemporaryDirectory(prefix="governor-init-") as scratch:
        out = Path(scratch) / "bill"
        out.mkdir()
        source = BillingSource("bill", "auto", whole, asked)
        local = bring(source, Path(whole).parent, cache, progress)
        delivery = ingest(local.source, local.root, out, progress=progress)
        with open_engine(work=Path(scratch)) as engine:
            engine.execute(f"CREATE VIEW charges AS SELECT * FROM {parquet(delivery.charges)}")
            engine.execute(f"CREATE VIEW tag_sets AS SELECT * FROM {parquet(delivery.tag_sets)}")
            return _profile(engine)


def _profile(engine: Engine) -> Profile:
    currency = engine.rows(
        "SELECT billing_currency FROM charges WHERE regexp_full_match(billing_currency, '[A-Z]{3}')"  # no tokens
        " GROUP BY 1 ORDER BY sum(abs(effective_cost)) DESC, 1 LIMIT 1"
    )
    accounts = engine.rows("""
        SELECT sub_account_id, coalesce(min(sub_account_name), ''), coalesce(min(service_provider_name), '')
        FROM charges WHERE sub_account_id IS NOT NULL GROUP BY 1 ORDER BY 1""")
    keys = [
        str(key)
        for (key,) in engine.rows("""
        SELECT key FROM (SELECT unnest(map_keys(tags)) AS key, cost FROM tag_sets JOIN
            (SELECT tag_set, sum(abs(effective_cost)) AS cost FROM charges GROUP BY 1) USING (tag_set))
        GROUP BY key ORDER BY sum(cost) DESC, key LIMIT 10000""")
        if _plain_text(str(key))
    ]
    center_keys = _named(keys, COST_CENTER)
    values: set[str] = set()
    for key in center_keys:
        values |= {
            str(value).strip().upper()
            for (value,) in engine.rows("SELECT DISTINCT tags[?] FROM tag_sets WHERE tags[?] IS NOT NULL", [key, key])
        }
    known = {p.lower() for p in PLACEHOLDERS}
    centers = sorted(v for v in values if v and v.lower() not in known and _plain_text(v))
    return Profile(
        currency[0][0] if currency else "USD",
        tuple(a for a in accounts if all(map(_plain_text, a))),
        center_keys,
        _named(keys, OWNER),
        _named(keys, ENVIRONMENT),
        tuple(centers) if len(centers) <= MOST else (),
    )


def _plain_text(text: str) -> bool:
    """Take into files only what reads as itself: a bill's texts are anyone's."""
    return text.isprintable() and len(text) <= 200  # noqa: PLR2004


def _named(keys: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Choose the spellings of the first name that the bill uses."""
    for name in names:
        if found := tuple(key for key in keys if re.sub(r"[^a-z0-9]", "", key.lower()) == name):
            return found
    return ()
