"""Where a provider's FOCUS files mean other than FOCUS says. Each dialect is a file, told by columns of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from governor.sources.billing.aws_exports import find_export
from governor.sources.billing.focus_azure import azure
from governor.sources.billing.focus_google import google
from governor.sources.billing.focus_oracle import oracle
from governor.sources.billing.layout import Asked, Layout, fold, raw


def adapt(layout: Layout, header: Sequence[str], asked: Asked) -> Layout:
    """Return the layout as the header's provider means it; as it is where no dialect is known."""
    place = {fold(name): raw(at) for at, name in reversed(list(enumerate(header)))}
    found = google(layout, place) or azure(layout, place, asked) or oracle(layout, place, asked.wanted)
    return found or _ours(_of_aws(layout, asked.file), place)


def _of_aws(layout: Layout, file: str) -> Layout:
    """Tell AWS's exports and deliveries apart by their folders: two of one account and month would count twice."""
    return replace(layout, grain=find_export(file)) if "BILLING_PERIOD=" in file else layout


def _ours(layout: Layout, place: Mapping[str, str]) -> Layout:
    """Keep unread tags unread: a file that governor wrote says which of its empty Tags nobody could read."""
    unread = place.get("xtagsunread")
    if layout.tags is None or unread is None:
        return layout
    return replace(layout, tags=f"CASE WHEN lower(CAST({unread} AS VARCHAR)) = 'true' THEN '?' ELSE {layout.tags} END")
