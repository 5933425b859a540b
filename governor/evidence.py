"""Evidence: the one way to write JSON that is digested, and the one digest.

Canonical JSON is RFC 8785: the same content is the same bytes, so anybody can digest it again with sha256sum. Money is
text in it, because a JSON number is a float to most readers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785


def canonical(obj: object) -> bytes:
    """Write plain data as RFC 8785 JSON. Raises ValueError for floats, Decimals and whatever else JSON would bend.

    >>> canonical({"b": [1, None], "a": "1.50"})
    b'{"a":"1.50","b":[1,null]}'
    """
    _check_exact(obj, "$")
    return rfc8785.dumps(obj)  # type: ignore[arg-type]  # _check_exact has looked


def parse_canonical(data: bytes) -> Any:
    """Read canonical JSON back. Raises ValueError for every other byte sequence, duplicate keys and spaces included."""
    try:
        value = json.loads(data)
        if canonical(value) == data:
            return value
    except RecursionError:
        pass
    raise ValueError("not canonical JSON (RFC 8785)")


def digest_bytes(data: bytes) -> str:
    """Digest bytes: sha256 in hex, as sha256sum prints it."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Digest a file without holding it in memory: sha256 in hex, as sha256sum prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_exact(obj: object, place: str) -> None:
    if obj is None or isinstance(obj, str | int):
        return
    if isinstance(obj, Mapping):
        for key, value in obj.items():
            _check_exact(value, f"{place}.{key}")
    elif isinstance(obj, list | tuple):
        for index, value in enumerate(obj):
            _check_exact(value, f"{place}[{index}]")
    else:
        raise ValueError(f"{place} is a {type(obj).__name__}; money and dates must be text before they are digested")
