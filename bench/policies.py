"""The policy set of the benchmark: 50 assignment rules and 24 tag requirements, as data and as governor's YAML.

`handwritten.py` reads the same lists, so that both sides answer the same question.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.catalogue import SERVICES
from bench.world import Spec

CENTERS = Spec().cost_centers
REGIONS = ("us-east-1", "eu-west-1", "westeurope", "us-central1")
PATTERNS = tuple(f"(arn:aws:::|/subscriptions/|//compute).*{i:x}[0-7]" for i in range(16))
KEYS = {
    "cost_center": ("cost-center", "CostCenter", "cost_center"),
    "app": ("app",),
    "owner": ("owner", "Owner"),
    "env": ("env",),
    "cluster": ("cluster",),
}
NORMAL = {"cost_center": "upper", "app": "lower", "owner": "lower", "env": "lower", "cluster": "lower"}
PLACEHOLDERS = ("tbd", "n/a", "unknown", "none")
ENVIRONMENTS = {"prod": ["production"], "stage": ["staging"], "dev": ["development"]}
EVEN_TARGETS, FIXED_SHARES = CENTERS[:10], {CENTERS[1]: 50, CENTERS[2]: 30, CENTERS[3]: 20}


class Need(NamedTuple):
    """One tag requirement: the tag, whether it must be there, and what its value must be."""

    name: str
    tag: str
    required: bool
    check: str  # present | in_register | allowed | matches
    argument: str = ""


def needs() -> tuple[Need, ...]:
    """List the 24 requirements: five tags must be there, the others judge what is there by a pattern."""
    base = (
        Need("cost_center", "cost_center", True, "in_register", "cost_centers"),
        Need("owner", "owner", True, "matches", "[a-z0-9._-]+@acme[.]example"),
        Need("env", "env", True, "allowed"),
        Need("app", "app", True, "in_register", "apps"),
        Need("cluster", "cluster", False, "matches", "k8s-[0-9]+"),
    )
    spare = 24 - len(base)
    tags = tuple(KEYS)
    more = (Need(f"{tags[i % 5]}_{i}", tags[i % 5], False, "matches", f".{{1,{40 + i}}}") for i in range(spare))
    return (*base, *more)


def rules() -> tuple[tuple[str, str, str], ...]:
    """List the 50 assignment rules as (id, to, where); an empty `where` is always true."""
    made = [("by-tag", "tag.cost_center", ""), ("by-app", "lookup(apps, tag.app, 'cost_center')", "tag.env = 'prod'")]
    for i in range(12):
        apps = ", ".join(f"'app-{n:04d}'" for n in range(i * 3, i * 3 + 3))
        made.append((f"app-{i:02d}", _literal(i * 7), f"tag.app IN ({apps}) AND tag.env = 'dev'"))
    for i, pattern in enumerate(PATTERNS):
        made.append((f"name-{i:02d}", _literal(i * 5), f"matches(resource_id, '{pattern}')"))
    for i in range(14):
        region, service = REGIONS[i % len(REGIONS)], SERVICES[i].name
        made.append((f"service-{i:02d}", _literal(i * 3), f"service_name = '{service}' AND region_id = '{region}'"))
    for i in range(4):
        accounts = ", ".join(f"'{100000000019 + n * 7919:012d}'" for n in range(i * 5, i * 5 + 5))
        made.append((f"account-{i:02d}", _literal(i), f"sub_account_id IN ({accounts})"))
    made.append(("marketplace", _literal(9), "charge_description LIKE 'Marketplace%'"))
    made.append(("by-account", "account.cost_center", ""))
    return tuple(made)


POOLS = (
    {"id": "support", "where": "service_name LIKE '%Support%'", "split": {"method": "proportional"}},
    {"id": "taxes", "where": "charge_category = 'Tax'", "split": {"method": "even", "targets": [*EVEN_TARGETS]}},
    {"id": "oracle", "where": "billing_account_id = '20209880'", "split": {"method": "fixed", "shares": FIXED_SHARES}},
    {"id": "unused", "split": {"method": "proportional"}},
)
CENTRAL_WHERE = "tag.app IN ('app-0007', 'app-0123')"


def write_project(folder: Path, bill: Path, registers: Path) -> Path:
    """Write governor.yaml, the policies and the apps register for a generated bill; return governor.yaml."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    rows = ["app,cost_center", *(f"app-{i:04d},{CENTERS[i % len(CENTERS)]}" for i in range(250))]
    (folder / "apps.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for policy in (_tag_policy(), _allocation_policy()):
        text = yaml.safe_dump(policy, sort_keys=False, width=1_000)
        (folder / "policies" / f"{policy['id']}.yaml").write_text(text, encoding="utf-8")
    config = {
        "version": 1,
        "organization": "Benchmark",
        "reporting_currency": "USD",
        "registers": {
            "cost_centers": {"file": str(registers / "cost_centers.csv"), "key": "id"},
            "accounts": {"file": str(registers / "accounts.csv"), "key": "account_id"},
            "apps": {"file": "apps.csv", "key": "app"},
        },
        "billing": [{"name": "bill", "path": str(bill)}],
        "policies": ["policies"],
    }
    path = folder / "governor.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _literal(i: int) -> str:
    return f"'{CENTERS[i % len(CENTERS)]}'"


def _tag_policy() -> dict[str, Any]:
    tags = {}
    for need in needs():
        tag: dict[str, Any] = {"keys": [*KEYS[need.tag]], "normalize": ["trim", NORMAL[need.tag]]}
        tag |= {"placeholders": [*PLACEHOLDERS]} | ({} if need.required else {"required": False})
        if need.check == "allowed":
            tag["allowed"] = ENVIRONMENTS
        else:
            tag[need.check] = need.argument
        tags[need.name] = tag
    full = {"cost-center": CENTERS[0], "app": "app-0000", "owner": "a@acme.example", "env": "prod", "cluster": "k8s-1"}
    tests = [{"tags": full, "expect": "pass"}, {"tags": {}, "expect": "fail"}, {"tags": None, "expect": "unknown"}]
    head = {"kind": "TagPolicy", "id": "core-tags", "title": "24 requirements", "severity": "high"}
    return head | {"applies_to": {"tables": ["charges"], "where": "taggable"}, "tags": tags, "tests": tests}


def _allocation_policy() -> dict[str, Any]:
    assign = [{"id": id_, "to": to} | ({"where": where} if where else {}) for id_, to, where in rules()]
    central = {"id": "guardrails", "where": CENTRAL_WHERE, "owner": CENTERS[0], "reason": "benchmark"}
    return {
        "kind": "AllocationPolicy",
        "id": "bench-2026",
        "effective_from": "2026-01-01",
        "assign": assign,
        "pools": [pool | {"on_zero": "central", "owner": CENTERS[0]} for pool in POOLS],
        "commitments": {"benefit": "consumer", "unused": {"pool": "unused"}},
        "central": [central | {"approved_by": "nobody", "expires": "2027-12-31"}],
        "tests": [{"tags": {"cost-center": CENTERS[5]}, "date": "2026-09-01", "expect": CENTERS[5]}],
    }
