"""Where a provider's FOCUS files mean other than FOCUS says. Each dialect is a file, told by columns of its own."""

from __future__ import annotations

from collections.abc import Sequence

from governor.sources.billing.focus_azure import azure
from governor.sources.billing.focus_google import google
from governor.sources.billing.focus_oracle import oracle
from governor.sources.billing.layout import Asked, Layout, fold, raw


def adapt(layout: Layout, header: Sequence[str], asked: Asked) -> Layout:
    """Return the layout as the header's provider means it; as it is where no dialect is known."""
    place = {fold(name): raw(at) for at, name in reversed(list(enumerate(header)))}
    return google(layout, place) or azure(layout, place, asked) or oracle(layout, place, asked.wanted) or layout
