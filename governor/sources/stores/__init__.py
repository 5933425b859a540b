"""Object stores, one file each: what `mirror` asks of them, and how they say that it failed.

Credentials are those that the store's own library finds in its environment; nothing here reads or prints one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

from governor.address import Address
from governor.model import Position, Problem, Refused

CONNECT_S, READ_S = 10, 60  # how long a store may be silent
BLOCK_BYTES = 1 << 20

# The module of each store, and the extra that brings its library.
_STORES = {"s3": ("s3", "aws"), "gs": ("gcs", "gcp"), "az": ("azure_blob", "azure")}


class Failed(Exception):
    """A store didn't do what it was asked.

    `kind`: denied, credentials (none, or none that it takes), absent, changed (no longer the object that was listed),
    busy (worth another try) or other.
    """

    def __init__(self, kind: str, said: object) -> None:
        super().__init__(kind)
        self.kind = kind
        self.said = " ".join(str(said).split())[:300]


class Checksum(Protocol):
    """What hashlib's objects are, too."""

    def update(self, data: bytes, /) -> object:
        """Go on over more bytes."""

    def digest(self) -> bytes:
        """The checksum of all bytes."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was listed. `version` is another one whenever the bytes are (ETag, generation)."""

    key: str
    size: int  # bytes
    version: str
    checksums: Mapping[str, bytes] = field(default_factory=dict)  # by algorithm, where the listing tells


@dataclass(frozen=True, slots=True)
class Store:
    """One bucket, read only. Each call is one try and raises Failed; who calls has the patience.

    `list_page(prefix, token)` gives a page of objects and the next page's token, empty at the end.
    `read(object, start, write)` passes on the bytes from `start`, of that version and of no other.
    `checksums(object)` is what the store says of the whole object, by algorithms that `checksum(algorithm)` begins.
    `list_permission` and `read_permission` are what the two need.
    """

    list_page: Callable[[str, str], tuple[list[StoredObject], str]]
    read: Callable[[StoredObject, int, Callable[[bytes], object]], None]
    checksums: Callable[[StoredObject], Mapping[str, bytes]]
    checksum: Callable[[str], Checksum]
    list_permission: str
    read_permission: str


def open_store(address: Address, settings: Mapping[str, str], position: Position) -> Store:
    """Open the bucket of an address. Raises Refused where the library is missing or finds no credentials."""
    module, extra = _STORES[address.scheme]
    for library in ("azure", "google"):  # what they tell the log is in the message that follows, or is no news
        logging.getLogger(library).addHandler(logging.NullHandler())
    try:
        store = import_module(f"governor.sources.stores.{module}").open_store(address.root, settings)
    except ModuleNotFoundError as error:
        what = f"{address.scheme}:// needs a library that isn't installed ({error.name})"
        mend = f"pip install 'finops-governor[{extra}]'"
        raise Refused(Problem(position, "B301", what, mend)) from error
    except Failed as failed:
        raise Refused(no_credentials(address, failed, position)) from failed
    assert isinstance(store, Store)  # noqa: S101 - each module gives one
    return store


def no_credentials(address: Address, failed: Failed, position: Position) -> Problem:
    """Say that nobody is signed in, and how one signs in."""
    mend = {
        "s3": "sign in with `aws sso login` or `aws configure`, set AWS_PROFILE, or name a profile: `s3: {profile: …}`",
        "gs": "sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
        "az": "sign in with `az login`, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
    }[address.scheme]
    return Problem(position, "B302", f"no valid credentials for {address}: {failed.said}", mend)
