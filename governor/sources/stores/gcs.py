"""Google Cloud Storage, by its own library. STORAGE_EMULATOR_HOST leads it to an emulator, without credentials."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse
from requests import RequestException
from urllib3.exceptions import HTTPError

from governor.sources.stores import CONNECT_S, READ_S, Checksum, Failed, Store, StoredObject

PAGE = 1_000
_FIELDS = "items(name,size,generation,md5Hash,crc32c),nextPageToken"
_STATUS = {401: "credentials", 403: "denied", 404: "absent", 408: "busy", 412: "changed", 429: "busy"}


@dataclass(frozen=True, slots=True)
class _Sink:
    """As much of a file as the library writes to."""

    write: Callable[[bytes], object]


def open_store(bucket: str, _settings: Mapping[str, str]) -> Store:
    """Open a bucket with Google's application default credentials."""
    with _told():
        client = storage.Client(project="none")  # objects are read without one; it must only not be looked for
    timeout = (CONNECT_S, READ_S)

    def list_page(prefix: str, token: str) -> tuple[list[StoredObject], str]:
        with _told():
            pages = client.list_blobs(
                bucket,
                prefix=prefix or None,
                page_token=token or None,
                page_size=PAGE,
                fields=_FIELDS,
                timeout=timeout,
                retry=None,
            )
            objects = [_stored(blob) for blob in next(pages.pages, ())]
        return objects, pages.next_page_token or ""

    def read(stored: StoredObject, start: int, write: Callable[[bytes], object]) -> None:
        blob, generation = client.bucket(bucket).blob(stored.key), int(stored.version)
        with _told():
            blob.download_to_file(
                _Sink(write),
                start=start or None,
                raw_download=True,  # as it is stored: its size and checksums are those of the packed bytes
                if_generation_match=generation,
                checksum=None,  # ours covers objects that were fetched in parts
                timeout=timeout,
                retry=None,
            )

    return Store(
        list_page, read, lambda stored: stored.checksums, _checksum, "storage.objects.list", "storage.objects.get"
    )


def _stored(blob: Any) -> StoredObject:
    given = {"md5": blob.md5_hash, "crc32c": blob.crc32c}
    checksums = {name: base64.b64decode(text) for name, text in given.items() if text}
    return StoredObject(blob.name, blob.size or 0, str(blob.generation), checksums)


def _checksum(algorithm: str) -> Checksum:
    checksum: Checksum = google_crc32c.Checksum() if algorithm == "crc32c" else hashlib.md5(usedforsecurity=False)
    return checksum


@contextmanager
def _told() -> Iterator[None]:
    """Turn what Google's library raises into Failed."""
    try:
        yield
    except (GoogleAPICallError, InvalidResponse) as error:
        status = error.code if isinstance(error, GoogleAPICallError) else error.response.status_code
        kind = _STATUS.get(status or 0, "busy" if (status or 0) >= 500 else "other")  # noqa: PLR2004 - HTTP
        raise Failed(kind, error) from error
    except (RequestException, HTTPError, TransportError) as error:
        raise Failed("busy", error) from error
    except GoogleAuthError as error:
        raise Failed("credentials", error) from error
    except GoogleAPIError as error:
        raise Failed("other", error) from error
