"""Where bills lie in an object store: s3://bucket/key, gs://bucket/key, az://account/container/key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from governor.model import Position, Problem, Refused

SCHEMES = ("s3", "gs", "az")
FORMS = "s3://bucket/folder, gs://bucket/folder or az://account/container/folder"

_UNSAFE = re.compile(r"[\x00-\x1f\x7f%\\*?\[\]]")  # the last ones are patterns to those who read files
_ELSEWHERE = {"": "%", ".": "%2E", "..": "%2E%2E"}  # parts of a path that are no names
_ANY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}")
# An account's name, or its host in another cloud or with a DNS zone. Tokens are sent to it: no other host will do.
_ACCOUNT = re.compile(
    r"([a-z0-9]{3,24})(\.blob\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|\.z\d{2}\.blob\.storage\.azure\.net)?"
)
_CONTAINER = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$root|\$web")


@dataclass(frozen=True, slots=True)
class Address:
    """A place in an object store. `root` is the bucket, or account/container; `key` an object, a folder or a pattern.

    A folder is all keys that go on after it with `/`; an empty key is the whole bucket. A pattern has `*` in its last
    part. Everything else in a key stands for itself.
    """

    scheme: str  # s3 | gs | az
    root: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.root}/{self.key}"

    def name(self, key: str) -> str:
        """Name an object of the same bucket, as messages and the evidence do."""
        return f"{self.scheme}://{self.root}/{key}"


def is_address(text: str) -> bool:
    """Whether a path is meant as an address, be it one that can be read or not."""
    return _ANY.match(text) is not None


def parse(text: str, position: Position) -> Address:
    """Take an address apart. Raises Refused with C009 for one of another form, C022 for one that holds a secret."""
    scheme, _, rest = text.partition("://")
    if scheme in ("http", "https"):
        rest = _of_azure(rest, position)
        scheme = "az"
    root, _, key = rest.partition("/")
    fits = scheme in ("s3", "gs") and _BUCKET.fullmatch(root)
    if scheme == "az":
        container, _, key = key.partition("/")
        fits = _ACCOUNT.fullmatch(root) and _CONTAINER.fullmatch(container)
        root = f"{root.removesuffix('.blob.core.windows.net')}/{container}"
    if not fits:
        raise Refused(Problem(position, "C009", "bills are not read from such an address", f"write {FORMS}"))
    if "*" in key.rpartition("/")[0]:
        mend = "name the folder itself: all below it is read"
        raise Refused(Problem(position, "C009", "a * may stand in an address's last part only", mend))
    return Address(scheme, root, key)


def to_mirror(name: str) -> str:
    r"""Say where below a mirror an object lies. A key is anyone's, and must not lead elsewhere.

    >>> to_mirror("s3://bucket//../50%/a.csv")
    's3:/bucket/%/%2E%2E/50%25/a.csv'
    """
    scheme, _, rest = name.partition("://")
    parts = (_ELSEWHERE.get(part) or _UNSAFE.sub(lambda m: f"%{ord(m[0]):02X}", part) for part in rest.split("/"))
    return "/".join([f"{scheme}:", *parts])


def from_mirror(path: str) -> str:
    """Name the object that lies there; any other path is its own name.

    >>> from_mirror("s3:/bucket/%/%2E%2E/50%25/a.csv"), from_mirror("bills/50%25.csv")
    ('s3://bucket//../50%/a.csv', 'bills/50%25.csv')
    """
    scheme, found, rest = path.partition(":/")
    if not found or scheme not in SCHEMES:
        return path
    return f"{scheme}://{'/'.join('' if part == '%' else unquote(part) for part in rest.split('/'))}"


def _of_azure(rest: str, position: Position) -> str:
    """Turn the address that Azure's portal shows into ours."""
    host, _, path = rest.partition("/")
    if "@" in host or "?" in path:
        mend = "take it out of the file and revoke it; governor uses the credentials of its environment"
        raise Refused(Problem(position, "C022", "the address holds a key or a signature", mend))
    return f"{host}/{unquote(path)}" if ".blob." in host else ""
