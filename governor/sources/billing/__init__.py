"""Billing formats, one file each. A format turns a header into a `layout.Layout`; a new one is a file and a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from governor.sources.billing import focus
from governor.sources.billing.layout import Layout

# (header, names of wanted x_ columns, file) -> layout, or Refused
FORMATS: Mapping[str, Callable[[Sequence[str], frozenset[str], str], Layout]] = {"focus": focus.read_header}
