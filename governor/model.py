"""The nouns. Frozen records without input or output; every other module speaks in these words.

Rows that come by the million (charges, cells, findings, allocations) are not objects: they are tables, and `tables.py`
is their contract. What is here is what people write (policies), what runs decide (verdicts, statuses) and what can go
wrong (problems, gaps).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any


class Verdict(StrEnum):
    """What a requirement says of a subject. `pass` needs evidence; what could not be read is `unknown`."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    WAIVED = "waived"
    GRACE = "grace"
    NOT_APPLICABLE = "not_applicable"


class Status(StrEnum):
    """Where a charge ended. Every charge has exactly one; the letters are those of every report."""

    TAG = "T"  # direct, by a tag of its own
    ACCOUNT = "A"  # direct, by its account
    RULE = "R"  # direct, by a rule (lookup, name, literal)
    SHARED = "S"  # distributed from a shared pool
    COMMITMENT = "K"  # placed by the commitment policy
    CENTRAL = "C"  # kept central by policy: owner, reason, approver, expiry
    SUSPENSE = "D"  # a default owner, an expired central rule, a pool that fell back
    UNALLOCATABLE = "U"  # nobody, and the reason is said


DIRECT = (Status.TAG, Status.ACCOUNT, Status.RULE)
ALLOCATED = (*DIRECT, Status.SHARED, Status.COMMITMENT, Status.CENTRAL)


class Severity(StrEnum):
    """How much a failed requirement matters; what it blocks is decided by --fail-on, not here."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


SEVERITIES = tuple(Severity)  # ascending


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file: 1-based line and column, as editors count. Line 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with an input: where, what, how to mend. An error is a value; `Refused` carries several."""

    position: Position
    code: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.position} {self.code} {self.what}" + (f"; {self.mend}" if self.mend else "")


class Refused(Exception):  # reads as what happened
    """The input can't be used: exit code 2. Holds every problem found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be seen, and why. A gap never turns into a pass, and every output shows it.

    `cost` is the money known to be concerned (exact), None where it can't be known.
    """

    source: str
    scope: str
    reason: str  # malformed | missing_column | unreadable_tags | rejected_rows | denied | throttled | ...
    detail: str
    permission: str = ""
    rows: int = 0
    cost: Decimal | None = None
    currency: str = ""


Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much (0: not known)


# --- policies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition as written, with its place. `policy.predicate` parses it, `policy.compile` turns it into SQL."""

    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class Requirement:
    """The smallest thing with a verdict. Its id, `policy/name`, is never reused."""

    id: str
    policy: str
    kind: str
    title: str
    severity: Severity
    remedy: str
    position: Position


@dataclass(frozen=True, slots=True)
class TagRequirement:
    """One tag a TagPolicy asks for. `keys` are the accepted spellings, the first is canonical.

    `inherit` are the levels that may supply a missing value, in order, as (level, column of that level's register).
    `allowed` maps a canonical value to its accepted spellings; None allows any value.
    """

    name: str
    keys: tuple[str, ...]
    position: Position
    required: bool = True
    normalize: tuple[str, ...] = ()  # trim | upper | lower
    inherit: tuple[tuple[str, str], ...] = ()
    in_register: str | None = None
    format: str | None = None  # email | date | integer
    matches: str | None = None  # RE2, the whole value
    allowed: Mapping[str, tuple[str, ...]] | None = None
    placeholders: tuple[str, ...] = ()  # values that count as absent, compared trimmed and case-folded


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """An inline test: a small subject and the verdict (or cost center) it must get."""

    given: Mapping[str, Any]
    expect: str
    position: Position


@dataclass(frozen=True, slots=True)
class PolicyBase:
    """What every policy has. `digest` is the sha256 of the policy's canonical content, not of its layout."""

    id: str
    title: str
    position: Position
    digest: str
    why: str = ""
    tests: tuple[PolicyTest, ...] = ()


@dataclass(frozen=True, slots=True)
class Grace:
    """Days a new finding may stand before it counts as failed, from the day it was first seen."""

    days: int


@dataclass(frozen=True, slots=True)
class TagPolicy(PolicyBase):
    """Which tags a subject must carry, and what their values must be."""

    severity: Severity = Severity.MEDIUM
    tables: tuple[str, ...] = ("charges",)
    where: Predicate | None = None
    tags: tuple[TagRequirement, ...] = ()
    grace: Grace | None = None
    on_unknown: str = "fail"  # fail: an unknown closes the gate; report: it is only shown
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class AccountRequirement:
    """One thing an account must have: `check` is registered | open | in_register | format | matches | present."""

    name: str
    check: str
    position: Position
    column: str = ""
    argument: str = ""


@dataclass(frozen=True, slots=True)
class AccountPolicy(PolicyBase):
    """What must be true of every account that is billed."""

    severity: Severity = Severity.MEDIUM
    where: Predicate | None = None
    require: tuple[AccountRequirement, ...] = ()
    grace: Grace | None = None
    on_unknown: str = "fail"
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A free predicate over one table: where it applies, what must be true, what to say when it is not."""

    id: str
    title: str
    position: Position
    assertion: Predicate
    where: Predicate | None = None
    severity: Severity | None = None
    message: str = ""
    remedy: str = ""
    why: str = ""
    if_delivered: tuple[str, ...] = ()  # columns: a source without one of them has nothing to judge here


@dataclass(frozen=True, slots=True)
class RulePolicy(PolicyBase):
    """A set of free predicates over the charges."""

    severity: Severity = Severity.MEDIUM
    table: str = "charges"
    rules: tuple[Rule, ...] = ()
    grace: Grace | None = None
    on_unknown: str = "fail"
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Assign:
    """One ordered assignment rule. `to` yields a cost center id or NULL; NULL lets the next rule try."""

    id: str
    to: Predicate
    position: Position
    where: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """How a pool is divided. `shares` are percentages (fixed); `targets` empty means all with direct cost."""

    method: str  # even | fixed | proportional
    targets: tuple[str, ...] = ()
    shares: Mapping[str, Decimal] = field(default_factory=dict)
    basis: str = "direct_cost"


@dataclass(frozen=True, slots=True)
class Pool:
    """Shared cost, taken out before the assignment rules and divided among cost centers."""

    id: str
    split: Split
    position: Position
    where: Predicate | None = None  # None: fed only by the commitment policy
    on_zero: str = "fail"  # fail | even | central
    owner: str = ""  # who keeps it where on_zero is central


@dataclass(frozen=True, slots=True)
class Central:
    """Cost kept central on purpose: somebody owns it, somebody approved it, and it ends."""

    id: str
    owner: str
    reason: str
    approved_by: str
    expires: date
    position: Position
    where: Predicate


@dataclass(frozen=True, slots=True)
class AllocationPolicy(PolicyBase):
    """Who pays, in order: commitments, central, pools, then the assignment rules, then the default.

    `order` says which of the four goes first where several claim one charge; it is explicit because money moves by it.
    """

    effective_from: date = date.min
    cost: str = "effective"  # or billed
    order: tuple[str, ...] = ("commitments", "central", "pools", "assign")
    assign: tuple[Assign, ...] = ()
    pools: tuple[Pool, ...] = ()
    central: tuple[Central, ...] = ()
    unused_pool: str = ""  # commitments: where the unused part goes: a pool ...
    unused_cost_center: str = ""  # ... or a named owner
    default_cost_center: str = ""  # suspense; empty: unallocatable


@dataclass(frozen=True, slots=True)
class Waiver:
    """An accepted exception: it hides no money, it has an approver and it ends."""

    id: str
    requirements: tuple[str, ...]  # requirement ids; `policy/*` covers a policy
    reason: str
    approved_by: str
    ticket: str
    expires: date
    position: Position
    digest: str
    starts: date = date.min
    where: Predicate | None = None


Policy = TagPolicy | AccountPolicy | RulePolicy | AllocationPolicy | Waiver


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Every policy of a run, by kind, each kind sorted by id."""

    tags: tuple[TagPolicy, ...] = ()
    accounts: tuple[AccountPolicy, ...] = ()
    rules: tuple[RulePolicy, ...] = ()
    allocation: tuple[AllocationPolicy, ...] = ()  # sorted by effective_from
    waivers: tuple[Waiver, ...] = ()

    def all(self) -> Sequence[Policy]:
        """Return every policy, kind after kind."""
        return (*self.tags, *self.accounts, *self.rules, *self.allocation, *self.waivers)


# --- deliveries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file that was read, as evidence: its bytes, and what they held."""

    path: str  # relative to governor.yaml where it lies below it
    bytes: int
    sha256: str
    rows: int
    rejected: int
    version: str
    format: str = "FOCUS"
    aside: int = 0  # rows that are no charges, such as copies of others
    stored: str = ""  # the version of the object in a store whose copy this is: its ETag or generation


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one billing source delivered, normalised. The tables are Parquet files that follow `tables.py`.

    `missing` are the columns of the contract that no file held, `unread` those of which some charge has a value that
    can't be kept: a requirement that names one is `unknown`. `manifests` are those that decided which files were read.
    """

    source: str
    version: str  # the FOCUS version(s) detected
    why: str  # why this version and these files, in words
    files: tuple[InputFile, ...]
    charges: Path
    tag_sets: Path
    rejects: Path
    missing: frozenset[str]
    gaps: tuple[Gap, ...]
    manifests: tuple[InputFile, ...] = ()
    unread: frozenset[str] = frozenset()
