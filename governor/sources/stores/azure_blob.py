"""Azure Blob Storage, by Microsoft's own libraries.

Signed in as whoever DefaultAzureCredential finds, or by AZURE_STORAGE_CONNECTION_STRING, which leads to emulators too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

from governor.sources.stores import CONNECT_S, READ_S, Checksum, Failed, Store, StoredObject

PAGE = 1_000
CHUNK_BYTES = 4 << 20
PERMISSION = "the role Storage Blob Data Reader"
_STATUS = {401: "credentials", 403: "denied", 404: "absent", 408: "busy", 412: "changed", 429: "busy"}


def open_store(root: str, _settings: Mapping[str, str]) -> Store:
    """Open account/container."""
    with _told():
        client = _client(*root.split("/"))

    def list_page(prefix: str, token: str) -> tuple[list[StoredObject], str]:
        with _told():
            blobs = client.list_blobs(name_starts_with=prefix or None, results_per_page=PAGE, include=["metadata"])
            pages = blobs.by_page(continuation_token=token or None)
            objects = [_stored(blob) for blob in next(pages, ()) if not _is_folder(blob)]
        return objects, getattr(pages, "continuation_token", "") or ""

    def read(stored: StoredObject, start: int, write: Callable[[bytes], object]) -> None:
        with _told():
            blocks = client.download_blob(
                stored.key,
                offset=start,
                length=stored.size - start,
                etag=f'"{stored.version}"',
                match_condition=MatchConditions.IfNotModified,
                decompress=False,  # as it is stored: its size and checksum are those of the packed bytes
            )
            for block in blocks.chunks():
                write(block)

    def checksum(_md5: str) -> Checksum:
        return hashlib.md5(usedforsecurity=False)

    return Store(list_page, read, lambda stored: stored.checksums, checksum, PERMISSION, PERMISSION)


def _client(account: str, container: str) -> ContainerClient:
    limits = {
        "retry_total": 0,
        "connection_timeout": CONNECT_S,
        "read_timeout": READ_S,
        "max_single_get_size": CHUNK_BYTES,
        "max_chunk_get_size": CHUNK_BYTES,
    }
    if given := os.environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        try:
            client = ContainerClient.from_connection_string(given, container, **limits)
        except ValueError as error:  # whose text may show the string
            raise Failed("credentials", "AZURE_STORAGE_CONNECTION_STRING can't be read") from error
        if client.account_name != account:
            said = f"AZURE_STORAGE_CONNECTION_STRING is for the account {client.account_name}"
            raise Failed("credentials", said)
        return client
    host = account if "." in account else f"{account}.blob.core.windows.net"
    return ContainerClient(f"https://{host}", container, DefaultAzureCredential(), **limits)


def _is_folder(blob: Any) -> bool:
    """Whether a blob only stands for a folder, as in accounts with a hierarchical namespace."""
    return (blob.metadata or {}).get("hdi_isfolder") == "true"


def _stored(blob: Any) -> StoredObject:
    md5 = blob.content_settings.content_md5
    return StoredObject(blob.name, blob.size, blob.etag.strip('"'), {"md5": bytes(md5)} if md5 else {})


@contextmanager
def _told() -> Iterator[None]:
    """Turn what Azure's libraries raise into Failed."""
    try:
        yield
    except ClientAuthenticationError as error:
        raise Failed("credentials", error.message.partition("\n")[0]) from error
    except HttpResponseError as error:
        status = error.status_code or 0
        broken_off = not 400 <= status < 500  # noqa: PLR2004 - HTTP; without a status: in the middle of a body
        kind = _STATUS.get(status, "busy" if broken_off else "other")
        raise Failed(kind, getattr(error, "error_code", "") or error.message) from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise Failed("busy", error.message) from error
    except AzureError as error:
        raise Failed("other", error.message) from error
