"""List what an address means: which objects are the bill, which are left, and where each will lie on this disk."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from governor.address import Address, to_mirror
from governor.model import Position, Problem, Refused
from governor.sources.billing import files
from governor.sources.stores import Failed, Store, StoredObject, no_credentials

OBJECTS_MAX = 100_000
OBJECT_BYTES_MAX = 64 << 30
BYTES_MAX = 1 << 40
NAME_BYTES_MAX, PATH_BYTES_MAX = 240, 3_000  # file systems have 255 and 4,096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often something is tried again, after which pauses in seconds, and when (monotonic) no more."""

    pauses_s: tuple[float, ...] = (0.5, 1, 2, 4, 8)
    deadline: float = field(default_factory=lambda: time.monotonic() + 6 * 3_600)

    def persist(self, what: Callable[[], T], moved: Callable[[], int] = lambda: 0) -> T:
        """Do it until it succeeds. Tries are counted from the last one that `moved` on. Raises the last Failed."""
        tries, seen = 0, moved()
        while True:
            try:
                return what()
            except Failed as failed:
                if moved() > seen:
                    tries, seen = 0, moved()
                if failed.kind != "busy" or tries == len(self.pauses_s) or time.monotonic() > self.deadline:
                    raise
            time.sleep(self.pauses_s[tries])
            tries += 1


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects of a bill, by the path below the mirror where each will lie; and the names of what isn't fetched."""

    objects: Mapping[str, StoredObject]
    left: tuple[str, ...] = ()
    single: bool = False  # the address is one object, whatever its name

    @property
    def bytes(self) -> int:
        """The size of all objects."""
        return sum(stored.size for stored in self.objects.values())


def list_bill(store: Store, address: Address, position: Position, patience: Patience) -> Listing:
    """List the objects of a bill. Raises Refused: a list that may be incomplete is never taken for a shorter one."""
    try:
        objects, single = _find(store, address, position, patience)
    except Failed as failed:
        raise Refused(_not_listed(store, address, failed, position)) from failed
    if single:
        return Listing(_placed(objects, address, position), single=True)
    wanted: list[StoredObject] = []
    left: list[str] = []
    problems: list[Problem] = []
    for stored in objects:
        name = address.name(stored.key)
        verdict = _judge(stored.key[len(folder_of(address)) :].split("/"), stored.size)
        if isinstance(verdict, tuple):
            problems.append(Problem(Position(name), "B008", *verdict))
        elif verdict == "data":
            wanted.append(stored)
        elif verdict == "left":
            left.append(name)
    if problems:
        raise Refused(*problems)
    if all(_is_manifest(stored.key.rpartition("/")[2]) for stored in wanted):
        beside = f"; left aside: {', '.join(left[:5])}" if left else ""
        mend = f"data objects end in {', '.join(files.DATA)}; a folder is named up to a /"
        raise Refused(Problem(position, "B290", f"there is no data object at {address}{beside}", mend))
    return Listing(_placed(wanted, address, position), tuple(left))


def _find(store: Store, address: Address, position: Position, patience: Patience) -> tuple[list[StoredObject], bool]:
    """Say what an address means: one object (and True), or the objects of a folder or pattern."""
    key = address.key

    def each(prefix: str) -> Iterator[StoredObject]:
        return _each(store, address, prefix, position, patience)

    if "*" in key:
        pattern = re.compile("[^/]*".join(map(re.escape, key.split("*"))))
        return [stored for stored in each(key.partition("*")[0]) if pattern.fullmatch(stored.key)], False
    if not key or key.endswith("/"):
        return list(each(key)), False
    first = next(each(key), None)  # lists are sorted: the key itself comes before all that begin with it
    below = list(each(f"{key}/"))
    if first is None or first.key != key or (below and not first.size):
        return below, False
    if below:
        what = f"{address} is an object, and the folder of {len(below):,} others"
        raise Refused(Problem(position, "B304", what, "end the path with / for the folder, or name the objects"))
    return [first], True


def _each(
    store: Store, address: Address, prefix: str, position: Position, patience: Patience
) -> Iterator[StoredObject]:
    """Yield every object whose key begins so, page after page."""
    token, tokens, count = "", {""}, 0
    while True:
        page, token = patience.persist(partial(store.list_page, prefix, token))
        yield from page
        count += len(page)
        if count > OBJECTS_MAX:
            what = f"{address} has more than {OBJECTS_MAX:,} objects"
            raise Refused(Problem(position, "B298", what, "name a folder with fewer, such as one year of the export"))
        if not token:
            return
        if token in tokens:
            raise Failed("other", "the list goes on at a place where it was already")
        tokens.add(token)


def _judge(parts: list[str], size: int) -> str | tuple[str, str]:
    """Judge an object of a folder by its name, as `files.find` does: data, left, marker, or why it can't be used."""
    *folders, name = parts
    if "_delta_log" in folders:
        return "marks a Delta table", "export it: its folder also holds rows that were deleted"
    if any(folder.startswith((".", "_")) for folder in folders):
        return "left"
    if _is_manifest(name):
        return "data"
    if name.lower().endswith(files.FOREIGN) and not name.startswith((".", "_")):
        return "can't be read as it is", "unpack or convert it to CSV, CSV.gz or Parquet"
    if not name and not size:
        return "marker"  # it only stands for a folder
    return "left" if files.is_beside(name) else "data"


def _is_manifest(name: str) -> bool:
    """Whether an object tells which others belong to the bill."""
    return name.lower().endswith(".json") and "manifest" in name.lower()


def folder_of(address: Address) -> str:
    """Return the part of the keys that a folder's or pattern's address says itself."""
    key = address.key
    return key[: key.rfind("/") + 1] if "*" in key or not key or key.endswith("/") else f"{key}/"


def _placed(objects: Iterable[StoredObject], address: Address, position: Position) -> dict[str, StoredObject]:
    """Give each object its path. Raises Refused where two would share one on some disk, or one can't be had."""
    placed: dict[str, StoredObject] = {}
    taken: dict[str, str] = {}
    problems = []
    for stored in objects:
        name = address.name(stored.key)
        path = to_mirror(name)
        if problem := _too_much(path, stored):
            problems.append(Problem(Position(name), *problem))
            continue
        other = taken.setdefault(_folded(path), name)
        if other != name:
            what = f"differs from {other} in case only: no folder can hold both on every disk"
            problems.append(Problem(Position(name), "B300", what, "rename one of them"))
        if placed.setdefault(path, stored) != stored:
            mend = "run again when the export is complete"
            problems.append(Problem(Position(name), "B295", "was replaced while it was listed", mend))
    for path, stored in placed.items():
        for parent in PurePosixPath(path).parents:
            if holder := taken.get(_folded(str(parent))):
                what = f"lies in a folder with the name of the object {holder}"
                problems.append(Problem(Position(address.name(stored.key)), "B300", what, "rename one of them"))
    total = sum(stored.size for stored in placed.values())
    if total > BYTES_MAX:
        what = f"{address} holds {total:,} bytes, more than {BYTES_MAX:,}"
        problems.append(Problem(position, "B298", what, "name a folder with less, such as one year of the export"))
    if problems:
        raise Refused(*problems[:20])
    return dict(sorted(placed.items()))


def _too_much(path: str, stored: StoredObject) -> tuple[str, str, str] | None:
    """Say what no disk of ours takes: a name too long or that is no text, an object too large."""
    try:
        written = path.encode()
    except UnicodeEncodeError:
        return "B300", "has a name that is no text", "rename it"
    if len(written) > PATH_BYTES_MAX or any(len(part) > NAME_BYTES_MAX for part in written.split(b"/")):
        return "B300", f"has a name too long for a disk ({NAME_BYTES_MAX} bytes between two /)", "rename it"
    if stored.size > OBJECT_BYTES_MAX:
        return "B298", f"has {stored.size:,} bytes, more than {OBJECT_BYTES_MAX:,}", "export it in parts"
    return None


def _folded(path: str) -> str:
    """Reduce a path to what the least careful disk keeps of it."""
    return unicodedata.normalize("NFC", path).casefold()


def _not_listed(store: Store, address: Address, failed: Failed, position: Position) -> Problem:
    """Say why there is no list, and what would give one."""
    if failed.kind == "credentials":
        return no_credentials(address, failed, position)
    if failed.kind == "denied":
        what = f"{address} can't be listed: {store.list_permission} is missing ({failed.said})"
        mend = f"grant {store.list_permission} on {address.root} to whom governor runs as, or sign in as somebody else"
        return Problem(position, "B291", what, mend)
    if failed.kind == "absent":
        what = f"there is no {address.scheme}://{address.root} ({failed.said})"
        return Problem(position, "B292", what, "correct its name, or sign in where it is")
    again = "try again later" if failed.kind == "busy" else "see what the store says"
    return Problem(position, "B293", f"{address} can't be listed: {failed.said}", again)
