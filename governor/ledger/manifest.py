"""What a manifest and a receipt say, and how to tell that they are sound. No files are read here.

A manifest is canonical JSON without a clock. It names everything a run was made from and everything it gave, by sha256,
and the manifest before it; so the digest of the last one fixes the whole ledger. The receipt says when, where and by
whom the run was committed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from governor.evidence import canonical, digest_bytes
from governor.model import Position, Problem

SCHEMA = 2  # 1 had no `periods` in its snapshots
PLACE = ("source", "billing_period", "currency")
COSTS = ("rows", "billed_cost", "effective_cost")
SNAPSHOT_FILES = ("charges", "rejects", "tag_sets")  # sorted, as in the digest that names their folder
RESTORE = "restore the ledger from a copy; `governor ledger verify` names all that is wrong"

_DIGEST, _FOLDER, _NAME = r"[0-9a-f]{64}", r"[0-9a-f]{16}", r"[a-z][a-z0-9_]*"
_FIELDS: dict[str, type] = {
    "schema": int,
    "number": int,
    "content": str,
    "inputs": list,
    "policies": list,
    "parameters": dict,
    "gaps": int,
    "engine": dict,
    "outputs": dict,
    "snapshots": dict,
}


def content_digest(policies: object, parameters: object, outputs: Mapping[str, object]) -> str:
    """Digest what a run decided, and nothing of when and where: equal input gives equal content.

    `rejects` name places in files and `restatements` compare with earlier runs: neither is a part of the content.
    """
    decided = {name: output for name, output in outputs.items() if name not in {"rejects", "restatements"}}
    return digest_bytes(canonical({"policies": policies, "parameters": parameters, "outputs": decided}))


def snapshot_name(digests: Mapping[str, str]) -> str:
    """Name a snapshot's folder by its content; `sha256sum *.parquet | sha256sum | cut -c1-16` says the same.

    All three files count: charges point to tag sets by number, so a corrected tag can leave the charges' bytes alone.
    """
    lines = (f"{digests[name]}  {name}.parquet\n" for name in SNAPSHOT_FILES)
    return digest_bytes("".join(lines).encode())[:16]


def seal(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Add a receipt's check, its own digest, so that a flipped bit shows. It proves nothing about who wrote it."""
    rest = {key: value for key, value in receipt.items() if key != "check"}
    return {**rest, "check": digest_bytes(canonical(rest))}


def manifest_problems(position: Position, manifest: Any, number: int) -> list[Problem]:
    """Say what is wrong with a manifest as such; an empty list means that its fields can be relied on."""
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        what = f"was written by a later governor (manifest schema {schema}; this one reads {SCHEMA})"
        return [Problem(position, "L031", what, "upgrade governor")]
    if not _well_formed(manifest):
        return [Problem(position, "L032", f"is not a manifest of schema 1 to {SCHEMA}", RESTORE)]
    found = []
    if manifest["number"] != number:
        what = f"says that it is run {manifest['number']}, in the place of {number}"
        found.append(Problem(position, "L033", what, RESTORE))
    if manifest["content"] != content_digest(manifest["policies"], manifest["parameters"], manifest["outputs"]):
        found.append(Problem(position, "L034", "has a `content` that is not the digest of its own entries", RESTORE))
    return found


def receipt_problems(position: Position, receipt: Any) -> list[Problem]:
    """Say what is wrong with a receipt as such; an empty list means that it names a manifest."""
    if isinstance(receipt, dict) and receipt == seal(receipt) and _matches(_DIGEST, receipt.get("manifest")):
        return []
    return [Problem(position, "L035", "is damaged: its check doesn't fit", RESTORE)]


def _well_formed(manifest: Any) -> bool:
    """Check every field that is read later, so that no reader meets a surprise (or a path that leads elsewhere)."""
    if not isinstance(manifest, dict) or manifest.keys() != {*_FIELDS, "previous"}:
        return False
    if any(not isinstance(manifest[name], type_) for name, type_ in _FIELDS.items()) or manifest["schema"] < 1:
        return False
    previous = manifest["previous"]
    return (
        (previous is None or _matches(_DIGEST, previous))
        and _matches(_DIGEST, manifest["content"])
        and all(isinstance(entry, dict) for entry in (*manifest["inputs"], *manifest["policies"]))
        and all(_matches(_NAME, name) and _is_output(output) for name, output in manifest["outputs"].items())
        and all(_is_snapshot(snapshot, manifest["schema"]) for snapshot in manifest["snapshots"].values())
    )


def _is_output(output: Any) -> bool:
    return (
        isinstance(output, dict)
        and output.keys() == {"sha256", "rows", "bytes"}
        and _matches(_DIGEST, output["sha256"])
        and all(isinstance(output[name], int) for name in ("rows", "bytes"))
    )


def _is_snapshot(snapshot: Any, schema: int) -> bool:
    return (
        isinstance(snapshot, dict)
        and snapshot.keys() == {"folder", *SNAPSHOT_FILES, *(("periods",) if schema > 1 else ())}
        and _matches(_FOLDER, snapshot["folder"])
        and all(_matches(_DIGEST, snapshot[name]) for name in SNAPSHOT_FILES)
        and isinstance(periods := snapshot.get("periods", []), list)
        and all(_is_period(period) for period in periods)
    )


def _is_period(period: Any) -> bool:
    """Check what a manifest says of one billing period of a delivery, in one currency."""
    return (
        isinstance(period, dict)
        and period.keys() == {*PLACE[1:], *COSTS}
        and isinstance(period["rows"], int)
        and _matches(r"[0-9]{4}-[0-9]{2}", period["billing_period"])
        and isinstance(period["currency"], str)
        and all(_matches(r"-?[0-9]{1,14}\.[0-9]{2,24}", period[name]) for name in COSTS[1:])
    )


def _matches(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None
