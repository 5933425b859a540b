"""Amazon S3 and what speaks its protocol (MinIO, Ceph, R2), by boto3."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from awscrt import checksums as crt
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from urllib3.exceptions import HTTPError

from governor.sources.stores import BLOCK_BYTES, CONNECT_S, READ_S, Checksum, Failed, Store, StoredObject

_SIGN_IN = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_REFUSED_KEYS = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"}
_BUSY = {"RequestTimeout", "SlowDown", "Throttling", "TooManyRequests"}
_STATUS = {403: "denied", 404: "absent", 412: "changed", 429: "busy"}
_CRC: Mapping[str, tuple[Callable[[bytes, int], int], int]] = {
    "crc32": (crt.crc32, 4),
    "crc32c": (crt.crc32c, 4),
    "crc64nvme": (crt.crc64nvme, 8),
}
# What HeadObject calls them.
_CHECKSUMS = {"ChecksumSHA256": "sha256", "ChecksumSHA1": "sha1"} | {f"Checksum{name.upper()}": name for name in _CRC}


@dataclass(slots=True)
class _Crc:
    """A cyclic checksum that goes on over block after block, big-endian as S3 writes it."""

    step: Callable[[bytes, int], int]
    width: int  # bytes
    value: int = 0

    def update(self, data: bytes, /) -> None:
        self.value = self.step(data, self.value)

    def digest(self) -> bytes:
        return self.value.to_bytes(self.width, "big")


def open_store(bucket: str, settings: Mapping[str, str]) -> Store:
    """Open a bucket with boto3's own chain of credentials. `settings` are a source's `s3:`: profile and endpoint."""
    endpoint = settings.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"total_max_attempts": 1},
        response_checksum_validation="when_required",  # ours covers objects that were fetched in parts
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    with _told():
        session = boto3.Session(profile_name=settings.get("profile"))
        client = session.client("s3", endpoint_url=endpoint, config=config)

    def list_page(prefix: str, token: str) -> tuple[list[StoredObject], str]:
        after = {"ContinuationToken": token} if token else {}
        with _told():
            page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, **after)
        if page["IsTruncated"] and not page.get("NextContinuationToken"):
            raise Failed("other", "the list breaks off without saying where it goes on")
        objects = [StoredObject(o["Key"], o["Size"], o["ETag"].strip('"')) for o in page.get("Contents", ())]
        return objects, page.get("NextContinuationToken", "") if page["IsTruncated"] else ""

    def read(stored: StoredObject, start: int, write: Callable[[bytes], object]) -> None:
        with _told():
            answer = client.get_object(
                Bucket=bucket, Key=stored.key, IfMatch=f'"{stored.version}"', Range=f"bytes={start}-"
            )
            if not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
                raise Failed("other", "the store ignores which bytes it is asked for")
            with closing(answer["Body"]) as body:
                for block in body.iter_chunks(BLOCK_BYTES):
                    write(block)

    def checksums(stored: StoredObject) -> Mapping[str, bytes]:
        with _told():
            head = client.head_object(
                Bucket=bucket, Key=stored.key, IfMatch=f'"{stored.version}"', ChecksumMode="ENABLED"
            )
        return _checksums(head, stored.version)

    return Store(list_page, read, checksums, _checksum, "s3:ListBucket", "s3:GetObject")


def _checksums(head: Mapping[str, Any], etag: str) -> Mapping[str, bytes]:
    """Take the checksums of the whole object; one of its parts' checksums (`…-7`) says nothing without the parts.

    Where S3 keeps none, the ETag is the MD5 of an object that was put in one piece, unless a key of KMS or of the
    customer encrypts it.
    """
    given = {name: head[key] for key, name in _CHECKSUMS.items() if head.get(key) and "-" not in head[key]}
    if given:
        return {name: base64.b64decode(text) for name, text in given.items()}
    encrypted = head.get("ServerSideEncryption") not in (None, "AES256") or "SSECustomerAlgorithm" in head
    return {"md5": bytes.fromhex(etag)} if re.fullmatch("[0-9a-f]{32}", etag) and not encrypted else {}


def _checksum(algorithm: str) -> Checksum:
    return _Crc(*_CRC[algorithm]) if algorithm in _CRC else hashlib.new(algorithm, usedforsecurity=False)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what boto3 raises into Failed."""
    try:
        yield
    except ClientError as error:
        said, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = said.get("Code", "")
        kind = _STATUS.get(status, "busy" if status >= 500 or code in _BUSY else "other")  # noqa: PLR2004 - HTTP
        if code in _REFUSED_KEYS:
            kind = "credentials"
        elif code in ("InvalidObjectState", "RequestTimeTooSkewed"):
            kind = "other"
        raise Failed(kind, f"{code} {said.get('Message', '')}") from error
    except _SIGN_IN as error:
        raise Failed("credentials", error) from error
    except (HTTPClientError, IncompleteReadError, HTTPError) as error:
        raise Failed("busy", error) from error
    except BotoCoreError as error:
        raise Failed("other", error) from error
