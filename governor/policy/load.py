"""Read policies: files, folders and shipped packs, each document by its kind, all problems of all files at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from governor._data import data
from governor.evidence import canonical, digest_bytes
from governor.model import (
    AccountPolicy,
    AllocationPolicy,
    Policy,
    PolicySet,
    Position,
    Problem,
    Refused,
    Requirement,
    RulePolicy,
    TagPolicy,
    Waiver,
)
from governor.policy.kinds import build
from governor.schema import did_you_mean, later, read_schema, violations
from governor.strict_yaml import Node, load, plain, short

PACK = "pack:"
MAX_FILES = 2_000
MAX_NODES = 40_000  # keys and values of a file: five thousand assignment rules, judged in about a second
MAX_PROBLEMS = 200

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class _File:
    """A policy file and what messages and reports call it."""

    path: Path
    name: str


def load_policies(paths: Iterable[Path], root: Path | None = None) -> PolicySet:
    """Load every policy of files, folders (with what is below them) and packs (`pack:tagging-core`).

    Files below `root` are called by their path from there, so that messages and ledgers are the same on every machine.
    Names that start with a dot are not read. Raises Refused with the problems of all files; a set without any policy is
    refused too, because nothing judged is not nothing wrong.
    """
    found: list[Problem] = []
    files = [file for path in paths for file in _files(path, root, found)]
    if not files and not found:
        found.append(Problem(Position("policies"), "P009", "no policy was found", "name a folder with *.yaml files"))
    if len(files) > MAX_FILES:
        found.append(Problem(Position(files[0].name), "P009", f"more than {MAX_FILES:,} policy files", "name fewer"))
    schema = read_schema("policy.json")
    policies: list[Policy] = []
    for file in _distinct(files[:MAX_FILES]):
        if len(found) >= MAX_PROBLEMS:
            break
        policies.extend(_policy(file, schema, found))
    _check_ids(policies, found)
    _check_starts(policies, found)
    if found:
        raise Refused(*sorted(found)[:MAX_PROBLEMS])
    policies.sort(key=lambda policy: policy.id)
    allocation = [p for p in policies if isinstance(p, AllocationPolicy)]
    return PolicySet(
        tags=tuple(p for p in policies if isinstance(p, TagPolicy)),
        accounts=tuple(p for p in policies if isinstance(p, AccountPolicy)),
        rules=tuple(p for p in policies if isinstance(p, RulePolicy)),
        allocation=tuple(sorted(allocation, key=lambda p: p.effective_from)),
        waivers=tuple(p for p in policies if isinstance(p, Waiver)),
    )


def requirements(policy: Policy) -> tuple[Requirement, ...]:
    """Name what a policy requires, in its order. A tag of several spellings also requires that they agree."""
    match policy:
        case TagPolicy():
            return tuple(
                requirement
                for tag in policy.tags
                for requirement in (
                    _requirement(policy, tag.name, f"tag {tag.name} is set and valid", tag.position),
                    *_conflict(policy, tag.name, tag.keys, tag.position),
                )
            )
        case AccountPolicy():
            return tuple(
                _requirement(policy, r.name, _account_title(r.check, r.column, r.argument), r.position)
                for r in policy.require
            )
        case RulePolicy():
            return tuple(
                Requirement(
                    f"{policy.id}/{rule.id}",
                    policy.id,
                    "RulePolicy",
                    rule.title,
                    rule.severity or policy.severity,
                    rule.remedy or policy.remedy,
                    rule.position,
                )
                for rule in policy.rules
            )
        case _:
            return ()


def _requirement(policy: TagPolicy | AccountPolicy, name: str, title: str, at: Position) -> Requirement:
    kind = type(policy).__name__
    return Requirement(f"{policy.id}/{name}", policy.id, kind, title, policy.severity, policy.remedy, at)


def _conflict(policy: TagPolicy, name: str, keys: tuple[str, ...], at: Position) -> Iterator[Requirement]:
    if len(keys) > 1:
        yield _requirement(policy, f"{name}.conflict", f"all spellings of tag {name} have one value", at)


def _account_title(check: str, column: str, argument: str) -> str:
    titles = {
        "registered": "account is in the register",
        "open": "account costs nothing outside its validity",
        "in_register": f"{column} of the account is in register {argument}",
        "format": f"{column} of the account is of format {argument}",
        "matches": f"{column} of the account matches {argument}",
        "present": f"{column} of the account is set",
    }
    return titles[check]


# --- files ------------------------------------------------------------------------------------------------------------


def _files(path: Path, root: Path | None, found: list[Problem]) -> Iterator[_File]:
    """Find the policy files that a path stands for, sorted."""
    if str(path).startswith(PACK):
        yield from _pack(str(path), found)
    elif os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder above may not be read
        before = len(found)
        inside = list(_below(path, _name(path, root), found))
        if not inside and len(found) == before:
            what = "no policy is in this folder"
            found.append(Problem(Position(_name(path, root)), "P009", what, "put a *.yaml file into it"))
        yield from inside
    else:
        yield _File(path, _name(path, root))


def _pack(name: str, found: list[Problem]) -> Iterator[_File]:
    folder = data("rules")
    packs = sorted(p.name for p in folder.iterdir() if p.is_dir())
    pack = name.removeprefix(PACK)
    if pack not in packs:
        mend = did_you_mean(pack, packs) or f"there are {', '.join(packs)}"
        found.append(Problem(Position(name), "P010", f"there is no pack {short(pack)}", mend))
    else:
        yield from _below(folder / pack, name, found)


def _below(folder: Path, name: str, found: list[Problem]) -> Iterator[_File]:
    """Walk a folder. A link that leads out of it would read what its reader never saw in the folder: refused."""
    real = folder.resolve()

    def unreadable(error: OSError) -> None:
        what = f"a folder can't be read: {error.strerror}"
        found.append(Problem(Position(name), "P011", f"{short(error.filename)}: {what}", "check its rights"))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for entry in sorted((*folders, *(n for n in names if not n.startswith(".")))):
            path = Path(parent, entry)
            relative = path.relative_to(folder).as_posix()
            called = relative if name == "." else f"{name}/{relative}"
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real):
                what, mend = "this link leads out of the folder", "put a copy in its place"
                found.append(Problem(Position(called), "P011", what, mend))
            elif path.suffix.lower() in _SUFFIXES and entry not in folders:
                yield _File(path, called)


def _distinct(files: Iterable[_File]) -> list[_File]:
    """Read each file once, however many paths and links lead to it."""
    distinct: dict[str, _File] = {}
    for file in files:
        distinct.setdefault(os.path.realpath(file.path), file)
    return list(distinct.values())


def _name(path: Path, root: Path | None) -> str:
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.as_posix()


# --- documents --------------------------------------------------------------------------------------------------------


def _policy(file: _File, schema: Mapping[str, Any], found: list[Problem]) -> Iterator[Policy]:
    """Read one file; nothing comes of a document with problems."""
    try:
        node = load(file.path, file.name, MAX_NODES)
    except Refused as refused:
        found.extend(refused.problems)
        return
    wrong = _shape(node, schema)
    if not wrong:
        policy = build(str(node.entries()["kind"].value), node, _digest(node), wrong)
        if not wrong:
            yield policy
    found.extend(wrong)


def _shape(node: Node, schema: Mapping[str, Any]) -> list[Problem]:
    """Check a document against the schema of its kind, so that what is said is about that kind."""
    kinds = schema["properties"]["kind"]["enum"]
    kind = node.get("kind")
    if not isinstance(node.value, Mapping):
        return [Problem(node.position, "P003", "a policy is a mapping: key: value, line by line", "start with kind:")]
    if kind is None or not isinstance(kind.value, str):
        at = kind.position if kind else node.position
        return [Problem(at, "P007", "the kind of policy is missing", f"add kind: one of {', '.join(kinds)}")]
    if kind.value in schema["properties"]["kind"]["x-later"]:
        return [Problem(kind.position, "P008", *later(kind.value))]
    if kind.value not in kinds:
        mend = did_you_mean(kind.value, kinds) or f"choose from {', '.join(kinds)}"
        return [Problem(kind.position, "P007", f"there is no kind of policy {short(kind.value)}", mend)]
    return violations(node, {"$defs": schema["$defs"], "$ref": f"#/$defs/{kind.value}"}, "P")


def _digest(node: Node) -> str:
    """Digest what a policy says, not how it is laid out."""
    return digest_bytes(canonical(_exact(plain(node))))


def _exact(value: Any) -> Any:
    """Write numbers as text: JSON's own may be read as floats."""
    if isinstance(value, dict):
        return {key: _exact(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def _check_ids(policies: Iterable[Policy], found: list[Problem]) -> None:
    """An id means one policy, whatever file or pack it comes from."""
    seen: dict[str, Position] = {}
    for policy in policies:
        first = seen.setdefault(policy.id, policy.position)
        if first is not policy.position:
            what = f"the policy id {policy.id} is also used at {first}"
            found.append(Problem(policy.position, "P012", what, "give one of them another id, or load one of them"))


def _check_starts(policies: Iterable[Policy], found: list[Problem]) -> None:
    """On any day at most one allocation policy is in force."""
    seen: dict[object, AllocationPolicy] = {}
    for policy in policies:
        if isinstance(policy, AllocationPolicy):
            first = seen.setdefault(policy.effective_from, policy)
            if first is not policy:
                what = f"{policy.id} starts on {policy.effective_from}, as {first.id} at {first.position} does"
                found.append(Problem(policy.position, "P027", what, "one allocation policy is in force at a time"))
