"""governor.yaml: where everything lies. Flag beats environment (GOVERNOR_*), beats file, beats default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from governor.model import Position


@dataclass(frozen=True, slots=True)
class Register:
    """A reference table that policies look things up in. `key` names its id column."""

    name: str
    file: Path
    key: str
    position: Position


@dataclass(frozen=True, slots=True)
class BillingSource:
    """A bill: its format, where it lies, and what the file leaves unsaid.

    `dates` and `numbers` are only for files that a spreadsheet saved: a strptime pattern such as `%m/%d/%y`, and
    `us` ($1,234.56) or `eu` (1.234,56 €). Without them such files are refused. `defaults` fill columns that the file
    lacks or leaves empty, by FOCUS name.
    """

    name: str
    format: str
    path: str
    position: Position
    dates: str | None = None
    numbers: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Accounts of the journal that no cost center names itself."""

    clearing_account: str
    expense_account: str = ""  # for cost centers without a gl_account of their own
    clearing_cost_center: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What governor.yaml says, with every path resolved against its folder."""

    file: Path
    organization: str
    reporting_currency: str
    registers: Mapping[str, Register]
    billing: tuple[BillingSource, ...]
    policies: tuple[Path, ...]
    ledger: Path
    out: Path
    journal: JournalSettings | None = None
    gap_tolerance: int = 0  # rejected or unreadable rows a run may have and still count as complete

    @property
    def root(self) -> Path:
        """The folder of governor.yaml: what paths in outputs are relative to."""
        return self.file.parent
