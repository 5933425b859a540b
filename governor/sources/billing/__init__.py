"""Billing formats, one file each. A format turns a header into a `layout.Layout`; a new one is a file and a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from governor.model import Position, Problem, Refused
from governor.sources.billing import aws_cur, azure, focus, gcp, mapping, oci, opencost
from governor.sources.billing.layout import Asked, Layout


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `recognise` says by which columns a header is of it ('' where it isn't); `read_header` reads it."""

    title: str
    recognise: Callable[[Sequence[str]], str]
    read_header: Callable[[Sequence[str], Asked], Layout]


# In the order in which a header is tried; `columns` is never guessed: it is what its mapping says.
FORMATS: Mapping[str, Format] = {
    "focus": Format("FOCUS", focus.recognise, focus.read_header),
    "aws_cur": Format("an AWS Cost and Usage Report", aws_cur.recognise, aws_cur.read_header),
    "columns": Format("a file with a mapping", lambda _header: "", mapping.read_header),
    "azure": Format("Azure's cost details", azure.recognise, azure.read_header),
    "gcp": Format("a Google Cloud usage cost export", gcp.recognise, gcp.read_header),
    "oci": Format("an Oracle Cloud cost report", oci.recognise, oci.read_header),
    "opencost": Format("an OpenCost allocation export", opencost.recognise, opencost.read_header),
}


def read_header(format_: str, header: Sequence[str], asked: Asked) -> Layout:
    """Turn a header into a layout, by the named format, or by what it looks like. Raises Refused, naming the file."""
    looks = next(((name, why) for name, one in FORMATS.items() if (why := one.recognise(header))), None)
    if format_ != "auto":
        if looks and looks[0] != format_ and not FORMATS[format_].recognise(header) and format_ != "columns":
            other = FORMATS[looks[0]].title
            what = f"isn't {FORMATS[format_].title}: it looks like {other} ({looks[1]})"
            mend = f"set `format: {looks[0]}`, or leave `format` out"
            raise Refused(Problem(Position(asked.file, 1, 1), "B013", what, mend))
        return FORMATS[format_].read_header(header, asked)
    if looks is None:
        known = ", ".join(one.title for name, one in FORMATS.items() if name != "columns")
        what = f"has {len(header)} columns and is none of the formats that are told from their columns: {known}"
        mend = "is the first line the column names? For any other CSV use `format: columns` with a mapping"
        raise Refused(Problem(Position(asked.file, 1, 1), "B026", what, mend))
    return FORMATS[looks[0]].read_header(header, asked)
