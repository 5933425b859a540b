"""Text that stays within its place: ids and names come from bills, and a journal is read by other programs."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote


def encode(text: str, reserved: str = "") -> str:
    r"""Percent-encode the characters that are hidden or reserved: line breaks, controls, direction marks, odd spaces.

    >>> encode("a\nb\u202e%", "%")
    'a%0Ab%E2%80%AE%25'
    """
    return "".join(quote(c, safe="", errors="surrogatepass") if c in reserved or _hidden(c) else c for c in text)


def _hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "CZ" and character != " "
