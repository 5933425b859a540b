"""Bring a bill from an object store to this disk, so that everything after it reads files and knows nothing of stores.

CACHE/SOURCE/ holds `s3:/bucket/key` (or gs:, az:), the mirror: what the store has at this moment, and nothing else.
parts/ID are objects that are under way, known/ID the SHA-256 of those that are here. An ID stands for one version of
one object. So a download goes on where it broke off, in the same version or not at all; an object that is here in this
version and unharmed isn't fetched again; and a file has its name only when it is whole and verified.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from governor.address import SCHEMES, Address, is_address, parse, to_mirror
from governor.config import BillingSource
from governor.model import Position, Problem, Progress, Refused
from governor.sources.stores import BLOCK_BYTES, Failed, Store, StoredObject, no_credentials, open_store
from governor.sources.stores.listing import Listing, Patience, folder_of, list_bill

_ID = re.compile("[0-9a-f]{32}")
SPARE_BYTES = 1 << 30  # what stays free on the disk: a run writes there too


@dataclass(frozen=True, slots=True)
class Local:
    """A source whose files are on this disk: `source.path` is below `root`.

    `versions` are those of the objects, by name; `left` names objects that aren't data and weren't fetched.
    """

    source: BillingSource
    root: Path
    versions: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def bring(
    source: BillingSource, root: Path, cache: Path, progress: Progress, patience: Patience | None = None
) -> Local:
    """Mirror a source's objects below `cache`; a source that is on this disk already is returned as it is.

    Raises Refused, with the store's or the disk's reason, unless every object is here and verified.
    """
    if not is_address(source.path):
        return Local(source, root)
    patience = patience or Patience()
    address = parse(source.path, source.position)
    store = open_store(address, source.s3, source.position)
    folder = cache / source.name
    try:
        with _alone(cache, folder, source.position):
            progress(f"list {source.name}", 0, 0)
            listing = list_bill(store, address, source.position, patience)
            _sweep(folder, listing)
            missing = {path: stored for path, stored in listing.objects.items() if not _is_here(folder, path, stored)}
            _require_space(folder, missing, source.position)
            _fetch_all(store, address, folder, missing, partial(progress, f"download {source.name}"), patience)
    except OSError as error:
        what = f"the copy of {address} can't be kept: {error.strerror}"
        mend = f"look at {error.filename or folder}, or name another folder with `cache:` or GOVERNOR_CACHE"
        raise Refused(Problem(source.position, "B303", what, mend)) from error
    path = next(iter(listing.objects)) if listing.single else to_mirror(address.name(folder_of(address))[:-1])
    versions = {address.name(stored.key): stored.version for stored in listing.objects.values()}
    return Local(replace(source, path=path), folder, versions, listing.left)


def survey(source: BillingSource) -> Listing:
    """List a remote source's objects without fetching one. Raises Refused as `bring` does."""
    address = parse(source.path, source.position)
    store = open_store(address, source.s3, source.position)
    return list_bill(store, address, source.position, Patience())


@contextmanager
def _alone(cache: Path, folder: Path, position: Position) -> Iterator[None]:
    """Make a source's folder and hold its lock: two downloads would write into the same parts."""
    for place in (folder, *(folder / name for name in ("parts", "known", *(f"{scheme}:" for scheme in SCHEMES)))):
        if place.is_symlink():  # what is swept there could be anyone's
            mend = "remove it, or name another folder with `cache:` or GOVERNOR_CACHE"
            raise Refused(Problem(position, "B303", f"{place} is a link to {place.readlink()}", mend))
    folder.mkdir(parents=True, exist_ok=True)
    if not (cache / ".gitignore").exists():
        (cache / ".gitignore").write_text("*\n")  # copies of bills are nothing to commit
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = f"another governor downloads into {folder}"
            raise Refused(Problem(position, "B303", what, "wait for it, or end it")) from error
        yield
    finally:
        os.close(lock)


def _sweep(folder: Path, listing: Listing) -> None:
    """Remove what the store doesn't have (any more): objects, unfinished parts, and folders that become empty."""
    ids = {_id(path, stored) for path, stored in listing.objects.items()}
    for kind in ("parts", "known"):
        (folder / kind).mkdir(exist_ok=True)
        for entry in (folder / kind).iterdir():
            if _ID.fullmatch(entry.name) and entry.name not in ids:
                entry.unlink()
    for scheme in SCHEMES:
        for parent, folders, names in os.walk(folder / f"{scheme}:", topdown=False):
            here = Path(parent)
            links = [name for name in folders if (here / name).is_symlink()]
            for entry in (here / name for name in (*names, *links)):
                if entry.is_symlink() or entry.relative_to(folder).as_posix() not in listing.objects:
                    entry.unlink()
            if not any(here.iterdir()):
                here.rmdir()


def _is_here(folder: Path, path: str, stored: StoredObject) -> bool:
    """Whether this version of an object is on the disk as it was verified."""
    known, file = folder / "known" / _id(path, stored), folder / path
    if not known.is_file() or not file.is_file() or file.stat().st_size != stored.size:
        return False
    with file.open("rb") as copy:
        return hashlib.file_digest(copy, "sha256").hexdigest() == known.read_text()


def _require_space(folder: Path, missing: Mapping[str, StoredObject], position: Position) -> None:
    """Refuse before the first byte what the disk can't hold."""
    parts = (folder / "parts" / _id(path, stored) for path, stored in missing.items())
    needed = sum(stored.size for stored in missing.values()) - sum(p.stat().st_size for p in parts if p.exists())
    free = shutil.disk_usage(folder).free - SPARE_BYTES
    if missing and needed > free:
        what = f"{needed:,} bytes are to be downloaded, and {max(free, 0):,} are free at {folder}"
        mend = "free some, or name another folder with `cache:` or GOVERNOR_CACHE"
        raise Refused(Problem(position, "B299", what, mend))


def _fetch_all(
    store: Store,
    address: Address,
    folder: Path,
    missing: Mapping[str, StoredObject],
    progress: Callable[[int, int], None],
    patience: Patience,
) -> None:
    """Fetch every object. What one object lacks is said after all were tried, so that the others need not wait."""
    total, done = sum(stored.size for stored in missing.values()), 0
    problems: list[Problem] = []
    for path, stored in missing.items():
        base = done

        def told(size: int, base: int = base) -> None:
            progress(base + size, total)

        try:
            _fetch(store, stored, folder, path, told, patience)
        except Failed as failed:
            problems.append(_not_fetched(store, address, stored, failed))
            if failed.kind in ("credentials", "busy"):
                break  # the others would only meet the same
        done += stored.size
    if problems:
        raise Refused(*problems)


def _fetch(
    store: Store,
    stored: StoredObject,
    folder: Path,
    path: str,
    progress: Callable[[int], None],
    patience: Patience,
) -> None:
    """Bring one object into its part, verify it, and give it its name."""
    part = folder / "parts" / _id(path, stored)
    expected = patience.persist(lambda: store.checksums(stored))
    while True:
        part.touch()
        resumed = part.stat().st_size > 0
        patience.persist(lambda: _read_on(store, stored, part, progress, patience), lambda: part.stat().st_size)
        sha256, wrong = _checksums(part, store, expected)
        if not wrong:
            break
        part.unlink()
        if not resumed:
            raise Failed("corrupt", wrong)
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / "known" / part.name).write_text(sha256)
    part.replace(target)


def _read_on(
    store: Store, stored: StoredObject, part: Path, progress: Callable[[int], None], patience: Patience
) -> None:
    """Read an object from where its part ends. Raises Failed unless the part is whole then."""
    with part.open("ab") as file:
        at = file.tell()
        if at == stored.size:
            return

        def write(block: bytes) -> None:
            nonlocal at
            at += len(block)
            if at > stored.size:
                file.truncate(0)  # whatever came, it wasn't the rest
                raise Failed("other", f"more bytes came than the {stored.size:,} of the list")
            if time.monotonic() > patience.deadline:
                raise Failed("busy", "the time for this download is over; what is here is kept")
            file.write(block)
            progress(at)

        store.read(stored, at, write)
    if at < stored.size:
        raise Failed("busy", f"the connection ended after {at:,} of {stored.size:,} bytes")


def _checksums(part: Path, store: Store, expected: Mapping[str, bytes]) -> tuple[str, str]:
    """Return a file's SHA-256 in hex, and which of the expected checksums it doesn't have (empty: none)."""
    sha256 = hashlib.sha256()
    sums = {name: store.checksum(name) for name in sorted(expected)}
    with part.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            for one in (sha256, *sums.values()):
                one.update(block)
    wrong = [name for name, one in sums.items() if one.digest() != expected[name]]
    return sha256.hexdigest(), ", ".join(wrong)


def _id(path: str, stored: StoredObject) -> str:
    """Name one version of one object."""
    return hashlib.sha256("\0".join((path, stored.version, str(stored.size))).encode()).hexdigest()[:32]


def _not_fetched(store: Store, address: Address, stored: StoredObject, failed: Failed) -> Problem:
    """Say of one object why it isn't here, and what would bring it."""
    position = Position(address.name(stored.key))
    if failed.kind == "credentials":
        return no_credentials(address, failed, position)
    if failed.kind == "denied":
        what = f"can't be read: {store.read_permission} is missing ({failed.said})"
        mend = f"grant {store.read_permission}, and the use of the key that encrypts it"
        return Problem(position, "B294", what, mend)
    if failed.kind in ("absent", "changed"):
        what = f"was {'removed' if failed.kind == 'absent' else 'replaced'} after it was listed"
        return Problem(position, "B295", what, "run again when the export is complete")
    if failed.kind == "corrupt":
        what = f"arrived with another checksum than the store keeps of it ({failed.said})"
        return Problem(position, "B296", what, "run again; if it stays so, export it again")
    mend = "run again: it goes on where it stopped" if failed.kind == "busy" else "see what the store says"
    return Problem(position, "B297", f"can't be fetched whole: {failed.said}", mend)
