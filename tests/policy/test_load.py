"""Policies: what is written is what the run judges by, and every mistake is answered where it stands."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from governor.model import (
    AccountPolicy,
    AccountRequirement,
    AllocationPolicy,
    Assign,
    Central,
    Grace,
    PolicySet,
    PolicyTest,
    Pool,
    Position,
    Predicate,
    Refused,
    Rule,
    RulePolicy,
    Severity,
    Split,
    TagPolicy,
    TagRequirement,
    Waiver,
)
from governor.policy.load import load_policies, requirements
from governor.policy.parts import PLACEHOLDERS
from governor.strict_yaml import load, plain

CASES = Path(__file__).resolve().parent.parent / "cases" / "policies"
GOOD, BAD = CASES / "good", CASES / "bad"
PACKS = ("account-ownership", "focus-quality", "tagging-core")


def good(name: str) -> PolicySet:
    return load_policies([GOOD / f"{name}.yaml"], GOOD)


def expected(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# expect ") for line in lines if line.startswith("# expect ")]


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_mistake_is_answered_with_place_code_and_how_to_mend(path: Path) -> None:
    """Each case names in its head what is said about it; where the words belong to another module, place and code."""
    with pytest.raises(Refused) as refused:
        load_policies([path], BAD)
    said = [str(problem).removeprefix(f"{path.name}:") for problem in refused.value.problems]
    heads = expected(path)
    assert heads
    assert len(said) == len(heads), said
    assert [line[: len(head)] for line, head in zip(said, heads, strict=True)] == heads
    assert all(problem.mend for problem in refused.value.problems)


def test_a_tag_policy_is_read_as_the_design_writes_it() -> None:
    at = lambda line, column: Position("tag-policy.yaml", line, column)  # noqa: E731 - a ruler
    [policy] = good("tag-policy").tags
    assert policy == TagPolicy(
        id="core-tags",
        title="Every billable resource names who pays",
        position=at(2, 1),
        digest=policy.digest,
        tests=(
            PolicyTest(
                {"tags": {"cost-center": "cc-0042", "owner": "a@b.example", "env": "Production"}}, "pass", at(19, 5)
            ),
            PolicyTest({"tags": {}}, "fail", at(20, 5)),
            PolicyTest({"tags": None}, "unknown", at(21, 5)),
        ),
        severity=Severity.HIGH,
        tables=("resources", "planned_resources", "charges"),
        where=Predicate("billable", at(6, 70)),
        tags=(
            TagRequirement(
                name="cost_center",
                keys=("cost-center", "CostCenter", "cost_center"),
                position=at(8, 3),
                normalize=("trim", "upper"),
                inherit=(("resource_group", "cost_center"), ("account", "cost_center"), ("ou", "cost_center")),
                in_register="cost_centers",
                placeholders=PLACEHOLDERS,
            ),
            TagRequirement("owner", ("owner",), at(13, 3), format="email", placeholders=PLACEHOLDERS),
            TagRequirement(
                name="env",
                keys=("env", "environment"),
                position=at(14, 3),
                allowed={"prod": ("production", "prd"), "dev": ("development",)},
                placeholders=PLACEHOLDERS,
            ),
        ),
        grace=Grace(14),
        remedy="set cost-center to one of the ids in registers/cost_centers.csv",
    )


def test_an_allocation_policy_is_read_clause_by_clause() -> None:
    at = lambda line, column: Position("allocation-policy.yaml", line, column)  # noqa: E731
    [policy] = good("allocation-policy").allocation
    assert policy == AllocationPolicy(
        id="acme-2026",
        title="acme-2026",
        position=at(1, 1),
        digest=policy.digest,
        tests=(
            PolicyTest({"tags": {"cost-center": "CC-0042"}}, "CC-0042", at(19, 5)),
            PolicyTest({"charge": {"ServiceCategory": "Support"}}, "S:support", at(20, 5)),
        ),
        effective_from=date(2026, 1, 1),
        cost="effective",
        order=("assign", "pools", "commitments", "central"),
        assign=(
            Assign("by-tag", Predicate("tag.cost_center", at(7, 22)), at(7, 5)),
            Assign("by-account", Predicate("account.cost_center", at(8, 26)), at(8, 5)),
            Assign(
                id="by-app",
                to=Predicate("lookup(apps, tag.app, 'cost_center')", at(9, 23)),  # behind the quote
                position=at(9, 5),
                where=Predicate("tag.app IS NOT NULL", at(9, 69)),
            ),
        ),
        pools=(
            Pool(
                id="support",
                split=Split("proportional"),
                position=at(11, 5),
                where=Predicate("service_category = 'Support'", at(11, 27)),
                on_zero="central",
                owner="CC-0001",
            ),
            Pool(
                id="network",
                split=Split("fixed", shares={"CC-0001": Decimal("33.3"), "CC-0002": Decimal("33.3"), "CC-0003": Decimal("33.4")}),
                position=at(12, 5),
                where=Predicate("service_name = 'Direct Connect'", at(12, 27)),
            ),
            Pool("unused-commitments", Split("even", ("CC-0001", "CC-0002")), at(13, 5), on_zero="even"),
        ),
        central=(
            Central(
                id="security-tooling",
                owner="CC-0001",
                reason="protects all alike",
                approved_by="cfo@acme.example",
                expires=date(2026, 12, 31),
                position=at(16, 5),
                where=Predicate("tag.app = 'guardrails'", at(16, 36)),
            ),
        ),
        unused_pool="unused-commitments",
        default_cost_center="CC-9999",
    )  # fmt: skip


def test_an_account_policy_is_read_requirement_by_requirement() -> None:
    at = lambda line, column: Position("account-policy.yaml", line, column)  # noqa: E731
    [policy] = good("account-policy").accounts
    assert isinstance(policy, AccountPolicy)
    assert (policy.where, policy.on_unknown, policy.grace) == (
        Predicate("provider = 'AWS'", at(4, 8)),
        "report",
        Grace(30),
    )
    assert policy.require == (
        AccountRequirement("registered", "registered", at(6, 3)),
        AccountRequirement("open", "open", at(7, 3)),
        AccountRequirement("owner", "format", at(8, 3), "owner_email", "email"),
        AccountRequirement("naming", "matches", at(9, 3), "name", "[a-z]+-(prod|dev)"),
        AccountRequirement("payer", "in_register", at(10, 3), "cost_center", "cost_centers"),
        AccountRequirement("stage", "present", at(11, 3), "environment"),
    )


def test_a_rule_policy_keeps_the_tests_of_its_rules_and_its_own() -> None:
    at = lambda line, column: Position("rule-policy.yaml", line, column)  # noqa: E731
    [policy] = good("rule-policy").rules
    assert isinstance(policy, RulePolicy)
    assert policy.rules == (
        Rule(
            id="slow-regex",
            title="RE2 takes linear time, so this one is harmless",
            position=at(7, 5),
            assertion=Predicate("matches(service_name, '(a+)+$')", at(9, 13)),
            severity=Severity.CRITICAL,
            message="{service_name} of {billing_period}",
        ),
        Rule(
            id="issuer",
            title="The issuer is named",
            position=at(15, 5),
            assertion=Predicate("invoice_issuer_name IS NOT NULL", at(15, 88)),
            where=Predicate("charge_category = 'Usage'", at(15, 53)),
            remedy="name it",
        ),
    )
    assert [(t.given, t.expect) for t in policy.tests] == [
        ({"rule": "issuer", "charge": {"InvoiceIssuerName": "AWS", "x_custom": Decimal("1.50")}}, "pass"),
        ({"rule": "issuer", "charge": {"InvoiceIssuerName": None}}, "fail"),
        ({"rule": "issuer", "unread": ["InvoiceIssuerName"]}, "unknown"),
        ({"rule": "slow-regex", "charge": {"ServiceName": "aaa"}}, "pass"),
        ({"rule": "slow-regex", "charge": {"ServiceName": "b"}}, "fail"),
    ]


def test_a_waiver_is_read_and_an_expired_one_is_no_mistake() -> None:
    [waiver] = good("waiver").waivers
    assert waiver == Waiver(
        id="legacy-mainframe",
        requirements=("core-tags/cost_center", "core-tags/cost_center.conflict", "quality/*"),
        reason="it is switched off in June",
        approved_by="cfo@acme.example",
        ticket="FIN-17",
        expires=date(2026, 6, 30),
        position=Position("waiver.yaml", 1, 1),
        digest=waiver.digest,
        starts=date(2026, 1, 1),
        where=Predicate("sub_account_id = '012345670123'", Position("waiver.yaml", 4, 8)),
    )


def test_requirements_have_ids_that_name_policy_and_part() -> None:
    policies = load_policies([GOOD], GOOD)
    named = {p.id: [(r.id, r.severity, r.remedy, r.policy, r.kind) for r in requirements(p)] for p in policies.all()}
    remedy = "set cost-center to one of the ids in registers/cost_centers.csv"
    core = ["cost_center", "cost_center.conflict", "owner", "env", "env.conflict"]  # one spelling can't conflict
    accounts = ["registered", "open", "owner", "naming", "payer", "stage"]
    assert named == {
        "core-tags": [(f"core-tags/{name}", "high", remedy, "core-tags", "TagPolicy") for name in core],
        "accounts": [(f"accounts/{name}", "medium", "", "accounts", "AccountPolicy") for name in accounts],
        "quality": [
            ("quality/slow-regex", "critical", "ask the provider", "quality", "RulePolicy"),
            ("quality/issuer", "low", "name it", "quality", "RulePolicy"),
        ],
        "acme-2026": [],
        "legacy-mainframe": [],
    }
    assert all(r.title and r.position.line for p in policies.all() for r in requirements(p))


TAG = """\
kind: TagPolicy
id: {id}
title: Owners are named
tags:
  owner: {owner}
tests:
  - {{tags: {{owner: a@b.example}}, expect: pass}}
  - {{tags: {{}}, expect: fail}}
  - {{tags: null, expect: unknown}}
"""


def write(path: Path, id_: str = "t", owner: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TAG.format(id=id_, owner=owner), encoding="utf-8")
    return path


def tag(path: Path) -> TagPolicy:
    [policy] = load_policies([path]).tags
    return policy


def test_what_may_be_inherited_and_listed_has_a_short_and_a_long_form(tmp_path: Path) -> None:
    owner = "{inherit: [{account: owner_email}, ou], allowed: [a, b], placeholders: [nobody], required: false}"
    [requirement] = tag(write(tmp_path / "t.yaml", owner=owner)).tags
    assert requirement.inherit == (("account", "owner_email"), ("ou", "owner"))
    assert requirement.allowed == {"a": (), "b": ()}
    assert (requirement.placeholders, requirement.required) == (("nobody",), False)


def test_the_digest_is_that_of_the_content_not_of_the_layout(tmp_path: Path) -> None:
    path = write(tmp_path / "t.yaml")
    first = tag(path).digest
    assert re.fullmatch("[0-9a-f]{64}", first)
    text = path.read_text(encoding="utf-8")
    path.write_text("# a comment\n" + text.replace("owner: {}", 'owner:   {  }  # "why"').replace("id: t", "id: 't'"))
    assert tag(path).digest == first
    lines = text.splitlines(keepends=True)
    path.write_text("".join([lines[2], lines[0], lines[1], *lines[3:]]))  # the order of keys is layout
    assert tag(path).digest == first
    path.write_text(text.replace("a@b.example", "c@d.example"))  # a test is content
    assert tag(path).digest != first
    path.write_text(text.replace("owner: {}", "owner: {format: email}"))
    assert tag(path).digest != first


def test_folders_are_read_whole_in_order_and_called_from_the_root(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    write(folder / "b.yml", "b")
    write(folder / "a" / "deep.YAML", "a")
    write(folder / "c.yaml", "c")
    write(folder / ".hidden.yaml", "hidden")
    write(folder / ".git" / "d.yaml", "d")
    (folder / "README.md").write_text("not a policy")
    policies = load_policies([folder, folder / "c.yaml"], tmp_path)
    files = [(p.id, p.position.file) for p in policies.tags]
    assert files == [("a", "policies/a/deep.YAML"), ("b", "policies/b.yml"), ("c", "policies/c.yaml")]


def codes(*paths: Path, root: Path | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        load_policies(paths, root)
    return [(problem.position.file, problem.code) for problem in refused.value.problems]


def test_no_policy_is_a_problem_not_an_empty_set(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert codes() == [("policies", "P009")]
    assert codes(tmp_path / "empty", root=tmp_path) == [("empty", "P009")]
    assert codes(tmp_path / "missing.yaml", root=tmp_path) == [("missing.yaml", "Y001")]


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "A")
    write(tmp_path / "b.yaml", owner="{matches: '('}")
    (tmp_path / "c.yaml").write_text("a: [\n")
    (tmp_path / "d.yaml").write_bytes(b"\xff\xfea\0")
    write(tmp_path / "e.yaml")
    assert codes(tmp_path, root=tmp_path) == [
        ("a.yaml", "P005"),
        ("b.yaml", "P018"),
        ("c.yaml", "Y006"),
        ("d.yaml", "Y004"),
    ]


def test_an_id_is_used_once_over_all_files_and_packs(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "tag-owner")
    write(tmp_path / "b.yaml", "tag-owner")
    with pytest.raises(Refused) as refused:
        load_policies([tmp_path, Path("pack:tagging-core")], tmp_path)
    assert [str(problem).split(";")[0] for problem in refused.value.problems] == [
        "b.yaml:1:1 P012 the policy id tag-owner is also used at a.yaml:1:1",
        "pack:tagging-core/owner.yaml:2:1 P012 the policy id tag-owner is also used at a.yaml:1:1",
    ]


def test_one_allocation_policy_is_in_force_at_a_time(tmp_path: Path) -> None:
    for name, start in (("a", "2026-01-01"), ("b", "2025-01-01"), ("c", "2026-01-01")):
        (tmp_path / f"{name}.yaml").write_text(f"kind: AllocationPolicy\nid: {name}\neffective_from: {start}\n")
    assert codes(tmp_path, root=tmp_path) == [("c.yaml", "P027")]
    (tmp_path / "c.yaml").unlink()
    assert [p.id for p in load_policies([tmp_path]).allocation] == ["b", "a"]


def test_no_link_leads_out_of_a_folder_of_policies(tmp_path: Path) -> None:
    folder, outside = tmp_path / "policies", tmp_path / "outside"
    write(outside / "secret.yaml", "secret")
    write(folder / "real" / "a.yaml", "a")
    (folder / "inside.yaml").symlink_to(folder / "real" / "a.yaml")
    (folder / "same").symlink_to(folder / "real")
    assert [p.id for p in load_policies([folder]).tags] == ["a"]  # read once, by whichever name
    (folder / "file.yaml").symlink_to(outside / "secret.yaml")
    (folder / "folder").symlink_to(outside)
    (folder / "loop.yaml").symlink_to(folder / "loop.yaml")
    (folder / "passwd").symlink_to("/etc/passwd")
    assert codes(folder, root=tmp_path) == [
        ("policies/file.yaml", "P011"),
        ("policies/folder", "P011"),
        ("policies/loop.yaml", "Y001"),
        ("policies/passwd", "P011"),
    ]


def test_a_pack_is_called_by_its_name_and_nothing_else() -> None:
    for name in ("taging-core", "../rules/tagging-core", "/etc", "", ".", "tagging-core/owner.yaml"):
        assert codes(Path(f"pack:{name}")) == [(str(Path(f"pack:{name}")), "P010")], name
    with pytest.raises(Refused, match='did you mean "tagging-core"'):
        load_policies([Path("pack:taging-core")])


@pytest.mark.parametrize("pack", PACKS)
def test_a_shipped_pack_loads_and_says_why_and_what_to_do(pack: str) -> None:
    policies = load_policies([Path(f"pack:{pack}")]).all()
    assert policies
    for policy in policies:
        assert isinstance(policy, TagPolicy | AccountPolicy | RulePolicy)
        assert policy.why, policy.id
        assert policy.tests, policy.id
        assert all(r.title and r.remedy for r in requirements(policy)), policy.id
        assert policy.position.file.startswith(f"pack:{pack}/")


def test_every_pack_is_named_here(root: Path) -> None:
    assert sorted(p.name for p in (root / "rules").iterdir() if p.is_dir()) == sorted(PACKS)


def test_packs_work_together_and_with_one_s_own(tmp_path: Path) -> None:
    shutil.copytree(GOOD, tmp_path / "policies")
    policies = load_policies([tmp_path / "policies", *(Path(f"pack:{pack}") for pack in PACKS)], tmp_path)
    assert len({p.id for p in policies.all()}) == len(policies.all())


@pytest.mark.parametrize("path", sorted(GOOD.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_editor_that_reads_the_whole_schema_agrees(path: Path, root: Path) -> None:
    """We judge by the schema of the kind, an editor by all of them at once."""
    schema = json.loads((root / "schemas" / "policy.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(plain(load(path)))) == []
