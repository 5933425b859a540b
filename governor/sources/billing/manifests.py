"""Read the manifest of a delivery: which files a provider says belong together, and what they must hold.

Known are AWS's Cost and Usage Report, AWS Data Exports (CUR 2.0, FOCUS) and Azure's cost exports, told by their fields
and never by their name. What a manifest says is anyone's text: its keys are compared with files that were found, and no
path is made of them to open. `deliveries` decides what follows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from governor.model import Position, Problem, Refused

BYTES_MAX = 32 << 20  # a manifest has some kilobytes; one that lists FILES_MAX files has some megabytes
FILES_MAX = 100_000
KEY_CHARACTERS_MAX = 1_024  # the limit of S3 and of Azure

Parts = tuple[str, ...]  # a path or an object key, taken apart at the slashes

_NAMED = re.compile(r".*manifest.*\.json", re.IGNORECASE)
_PROVIDERS = re.compile(r"(.*-)?manifest\.json", re.IGNORECASE)  # `cur-Manifest.json`, `manifest.json`
_DAYS = re.compile(r"(\d{4})(\d{2})(\d{2})-(\d{4})(\d{2})(\d{2})")
_MONTH = re.compile(r"BILLING_PERIOD=(\d{4}-\d{2})", re.IGNORECASE)
_YEAR, _MONTH_OF_YEAR = re.compile(r"year=(\d{4})"), re.compile(r"month=(\d{1,2})")
_MOMENT = re.compile(
    r"\d{4}-?\d{2}-?\d{2}T\d{2}:?\d{2}:?\d{2}(?:\.\d+)?Z"
)  # `20260902T101500Z`, with dashes or without
_MINUTE = re.compile(r"\d{12}")  # `202609021015`


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that a manifest lists: its object key, and how many bytes and rows it must have. None: it doesn't say."""

    key: Parts
    bytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one manifest says.

    `folder` is where it lies below the source's folder. Manifests with one `report` and `period` (first and last day or
    month, both empty where nothing tells) are deliveries of the same charges; those with one `run` too are the same
    delivery. `created` is None where neither a field nor a folder's name says it. `columns` are the header of every
    file, where it is promised. Where a manifest `leads`, the one above the others of its period tells of the newest.
    """

    path: Path
    name: str
    folder: Parts
    bytes: int
    sha256: str
    kind: str
    report: Parts
    title: str
    period: tuple[str, str]
    run: str
    created: datetime | None
    files: tuple[Listed, ...]
    columns: tuple[str, ...] = ()
    leads: bool = False
    dataset: str = ""  # what the provider calls the costs that it holds, such as Azure's AmortizedCost

    @property
    def shown(self) -> str:
        """Name the report and the period that it tells of."""
        first, last = self.period
        return " ".join(filter(None, (self.kind, self.title, first if first == last else f"{first} to {last}")))


class _MalformedError(Exception):
    """A field that isn't what the provider writes."""


def is_named(name: str) -> bool:
    """Tell a file that may be a manifest by its name."""
    return bool(_NAMED.fullmatch(name))


def read(path: Path, name: str, folder: Parts) -> Manifest | None:
    """Read a manifest; None where it is some other JSON.

    Raises Refused where it is no JSON but named as a provider names its manifest, or where a field can't be used.
    """
    with path.open("rb") as file:
        content = file.read(BYTES_MAX + 1)
    mend = "deliver it again, or remove it with its files"
    try:
        said = _parse(content)
    except (ValueError, RecursionError) as error:
        if not _PROVIDERS.fullmatch(name.rpartition("/")[2]):
            return None
        raise Refused(Problem(Position(name), "B250", f"is no manifest that can be read: {error}", mend)) from error
    kinds = [read_as for field, read_as in _KINDS.items() if isinstance(said, dict) and field in said]
    if not kinds:
        return None
    try:
        fields = kinds[0](said, folder)
    except _MalformedError as error:
        raise Refused(Problem(Position(name), "B251", f"is a manifest that {error}", mend)) from error
    return Manifest(path, name, folder, len(content), hashlib.sha256(content).hexdigest(), **fields)


def _parse(content: bytes) -> Any:
    if len(content) > BYTES_MAX:
        raise ValueError(f"it has more than {BYTES_MAX:,} bytes, as no manifest does")
    return json.loads(content.decode("utf-8-sig"))


def find_period(folders: Parts) -> tuple[int, int, tuple[str, str]] | None:
    """Find the folder that names a period, the last if there are several: where it is, how many folders, the period.

    >>> find_period(("bills", "cur", "20260901-20261001", "a1b2"))
    (2, 1, ('2026-09-01', '2026-10-01'))
    >>> find_period(("cur", "cur", "year=2026", "month=9"))
    (2, 2, ('2026-09', '2026-09'))
    """
    for at in range(len(folders) - 1, -1, -1):
        if days := _DAYS.fullmatch(folders[at]):
            first, last = "-".join(days.groups()[:3]), "-".join(days.groups()[3:])
            return at, 1, (first, last)
        if month := _MONTH.fullmatch(folders[at]):
            return at, 1, (month[1], month[1])
        of_year = _MONTH_OF_YEAR.fullmatch(folders[at])
        if at and of_year and (year := _YEAR.fullmatch(folders[at - 1])):
            month_ = f"{year[1]}-{of_year[1]:0>2}"
            return at - 1, 2, (month_, month_)
    return None


def _read_report(said: Mapping[str, Any], _folder: Parts) -> dict[str, Any]:
    """AWS's Cost and Usage Report: one manifest for a billing period, and the same once more beside each delivery."""
    files = _unequal([Listed(_key(key)) for key in _list(said, "reportKeys")])
    prefix, period, run = _place(files)
    name, start = _text(said, "reportName"), _text(_object(said, "billingPeriod"), "start")
    month = f"{start[:4]}-{start[4:6]}" if re.match(r"\d{8}T", start) else period[0][:7]  # AWS bills by the month
    columns = [f"{_text(c, 'category')}/{_text(c, 'name')}" for c in map(_dict, _list(said, "columns", needed=False))]
    return {
        "kind": "AWS report",
        "report": (_text(said, "account"), name) if name else prefix,
        "title": name or "/".join(prefix[-1:]),
        "period": (month, month),
        "run": _text(said, "assemblyId") or "/".join(run),
        "created": _moment(run),
        "leads": True,
        "files": files,
        "columns": tuple(columns) if "csv" in _text(said, "contentType") else (),
    }


def _read_data_export(said: Mapping[str, Any], folder: Parts) -> dict[str, Any]:
    """AWS Data Exports: `dataFiles` are S3 addresses; the manifest lies below `metadata`, apart from its files."""
    keys = [one if isinstance(one, str) else _text(_dict(one), "s3Uri", "key") for one in _list(said, "dataFiles")]
    files = _unequal([Listed(_key(key)) for key in keys])
    prefix, period, run = _place(files)
    own = find_period(folder)
    return {
        "kind": "AWS data export",
        "report": prefix,
        "title": "/".join(prefix[-2:-1] if prefix[-1:] == ("data",) else prefix[-1:]),
        "period": own[2] if own and not period[0] else period,
        "run": _text(said, "executionId") or "/".join(run),
        "created": _moment((_text(said, "createdAt"), *run)),
        "leads": True,
        "files": files,
    }


def _read_azure(said: Mapping[str, Any], folder: Parts) -> dict[str, Any]:
    """Azure's exports: each run has a manifest beside its partitions, with the bytes and rows of each and of all."""
    blobs = [_dict(blob) for blob in _list(said, "blobs")]
    files = _unequal(
        [Listed(_key(_text(b, "blobName")), _count(b, "byteCount"), _count(b, "dataRowCount")) for b in blobs]
    )
    for field, parts in (
        ("blobCount", [1] * len(files)),
        ("byteCount", [one.bytes for one in files]),
        ("dataRowCount", [one.rows for one in files]),
    ):
        counts = [part for part in parts if part is not None]
        if (total := _count(said, field)) is not None and len(counts) == len(parts) and sum(counts) != total:
            raise _MalformedError(f"says {field} {total:,}, and its blobs add up to {sum(counts):,}")
    config, info = _object(said, "exportConfig"), _object(said, "runInfo")
    prefix, period, run = _place(files)
    own, first, last = find_period(folder), _text(info, "startDate")[:10], _text(info, "endDate")[:10]
    name, id_ = _text(config, "exportName"), _text(config, "resourceId").lower()
    report = (*prefix, name, _text(config, "type"))
    if not period[0]:  # then nothing in the keys parts the report's folders from the delivery's
        report = report[len(prefix) :]
        period = own[2] if own else (first, last) if first and last else ("", "")
    return {
        "kind": "Azure export",
        "report": (id_,) if id_ else report,
        "title": name or "/".join(prefix[-1:]),
        "period": period,
        "run": _text(info, "runId") or "/".join(run),
        "created": _moment((_text(info, "submittedTime"), *run)),
        "dataset": _text(config, "type"),
        "files": files,
    }


# The field that lists the files -> what reads a manifest that has it.
_KINDS: Mapping[str, Callable[[Mapping[str, Any], Parts], dict[str, Any]]] = {
    "reportKeys": _read_report,
    "dataFiles": _read_data_export,
    "blobs": _read_azure,
}


def _place(files: Sequence[Listed]) -> tuple[Parts, tuple[str, str], Parts]:
    """Take the keys' folders apart: the report's own, the period, and the delivery's. All files must share them."""
    folders = {one.key[:-1] for one in files}
    if not folders:
        raise _MalformedError("lists no file: even a month without cost has one, with a header")
    if len(folders) > 1:
        one, other = ("/".join(folder) for folder in sorted(folders)[:2])
        raise _MalformedError(f"lists files of one delivery in two folders, {one[:200]!r} and {other[:200]!r}")
    folder = folders.pop()
    found = find_period(folder)
    if found is None:
        return folder, ("", ""), ()
    at, size, period = found
    return folder[:at], period, folder[at + size :]


def _key(key: Any) -> Parts:
    """Take an object's address apart: `s3://bucket/…`, `https://account/container/…` or a key of the bucket."""
    text = key if isinstance(key, str) and len(key) <= KEY_CHARACTERS_MAX and key.isprintable() else ""
    parts = tuple(filter(None, re.sub(r"^[a-z][a-z0-9+.-]*://[^/]*", "", text).split("/")))
    if not parts or {".", ".."} & {*parts}:
        raise _MalformedError(f"lists {str(key)[:200]!r}, which is no object key")
    return parts


def _unequal(files: list[Listed]) -> tuple[Listed, ...]:
    seen: set[Parts] = set()
    for one in files:
        if one.key in seen:
            raise _MalformedError(f"lists {'/'.join(one.key)[:200]!r} twice")
        seen.add(one.key)
    return tuple(files)


def _list(said: Mapping[str, Any], field: str, *, needed: bool = True) -> list[Any]:
    value = said.get(field, None if needed else [])
    if not isinstance(value, list):
        raise _MalformedError(f"has no list in {field}")
    if len(value) > FILES_MAX:
        raise _MalformedError(f"has {len(value):,} entries in {field}, as no delivery does")
    return value


def _dict(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _MalformedError(f"has an entry that is no object: {str(value)[:80]!r}")
    return value


def _object(said: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    return _dict(said.get(field) or {})


def _text(said: Mapping[str, Any], *fields: str) -> str:
    """Return the first of the fields that is there; empty where none is."""
    value = next((said[field] for field in fields if said.get(field) is not None), "")
    if not isinstance(value, str) or len(value) > KEY_CHARACTERS_MAX:
        raise _MalformedError(f"has no text in {fields[0]}: {str(value)[:80]!r}")
    return value


def _count(said: Mapping[str, Any], field: str) -> int | None:
    value = said.get(field)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise _MalformedError(f"has no count in {field}: {str(value)[:80]!r}")
    return value


def _moment(texts: Sequence[str]) -> datetime | None:
    """Read the first moment that a field or a folder's name tells, in UTC where it names no zone."""
    return next(_moments(texts), None)


def _moments(texts: Sequence[str]) -> Iterator[datetime]:
    for text in texts:
        found = _MOMENT.search(text)
        try:
            if _MINUTE.fullmatch(text):
                yield datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)
            elif text:
                moment = datetime.fromisoformat(found[0] if found else text)
                yield moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except ValueError:
            continue
