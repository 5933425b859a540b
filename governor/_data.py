"""Find the data that ships with the code: rule packs, schemas, report templates, examples."""

from __future__ import annotations

from pathlib import Path


def data(*parts: str) -> Path:
    """Return the path of a shipped file or folder, such as `data("schemas", "policy.json")`.

    An installed wheel holds the folders below `governor/_shipped`; in a checkout they lie at the top of the repository.
    """
    package = Path(__file__).resolve().parent
    shipped = package / "_shipped"
    return (shipped if shipped.is_dir() else package.parent).joinpath(*parts)
