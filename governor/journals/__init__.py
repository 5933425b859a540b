"""Journals: one file a format. Each writes a drafted journal into a folder and returns the paths."""

from collections.abc import Callable, Mapping
from pathlib import Path

from governor.journals import generic_csv, hledger
from governor.journals.draft import draft_journal
from governor.journals.entries import Journal

__all__ = ["FORMATS", "Journal", "draft_journal", "write"]

FORMATS: Mapping[str, Callable[[Journal, Path], list[Path]]] = {
    "csv": generic_csv.write,
    "hledger": hledger.write,
}


def write(journal: Journal, format_: str, out: Path) -> list[Path]:
    """Write a journal in one of the formats and return the paths."""
    return FORMATS[format_](journal, out)
