"""Self-contained pages of a run: compliance for those who mend, chargeback for those who pay, reconciliation for both.

One file each, at most 2 MB, with no request to anywhere: the style and the script are inside and named by hash in the
page's own security policy, which refuses everything else. Every value passes `visible` and then the escaping of the
template engine, at one place (`_environment`). What doesn't fit is counted on the page and written as CSV beside it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from governor import money
from governor._data import data
from governor.ledger.read import Run
from governor.model import SEVERITIES
from governor.reports import REPORTS, chargeback, charts, compliance, csv, display, figures, reconciliation
from governor.reports.shown import Shown

LARGEST = 2_000_000  # bytes of a page: what a browser opens at once, and a mail server lets through
FILES = 300  # input files a page lists
MOST_ROWS = 5_000  # of a table; fewer where the page would be too large
VIEWS: Mapping[str, Callable[[Run, int], dict[str, Any]]] = {
    "compliance": compliance.view,
    "chargeback": chargeback.view,
    "reconciliation": reconciliation.view,
}


def render(run: Run, out: Path, names: Sequence[str] = tuple(REPORTS)) -> list[Path]:
    """Write `NAME.html` for each report, and its tables as CSV where a page could not hold all their rows."""
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name in names:
        text, cut = page(run, name)
        path = out / f"{name}.html"
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
        if cut:
            written += csv.render(run, out, cut)
    return written


def page(run: Run, name: str) -> tuple[str, list[str]]:
    """Render a page within its budget; return it, and the tables of which it does not hold every row."""
    template = _environment().get_template(f"{name}.html")
    shared = _shared(run)
    limit = MOST_ROWS
    while True:
        view = VIEWS[name](run, limit)
        text = template.render(**shared, **view)
        size = len(text.encode())
        if size <= LARGEST or limit == 0:
            break
        limit = limit * LARGEST * 19 // (size * 20)  # a twentieth less than its share: rows differ in length
    return text, sorted({each.table for each in _shown(view) if each.left})


def _shown(value: object) -> list[Shown]:
    match value:
        case Shown():
            return [value]
        case dict():
            return [found for each in value.values() for found in _shown(each)]
        case list():
            return [found for each in value for found in _shown(each)]
        case _:
            return []


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(data("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "amount": display.amount,
        "exact": display.exact,
        "percent": display.percent,
        "count": display.count,
        "day": display.day,
        "words": display.words,
        "method_words": display.method,
        "rank": SEVERITIES.index,
        "lengths": charts.lengths,
        "middle": charts.middle,
        "status_parts": charts.status_parts,
    }
    environment.globals |= {
        "add": lambda *amounts: money.total(amounts),
        "plural": display.plural,
        "ties": figures.ties,
        "share": display.share,
        "statuses": display.STATUS_WORDS,
        "verdicts": display.VERDICT_WORDS,
    }
    return environment


def _finalize(value: object) -> object:
    """Let no text reach the page but through `visible`. Markup is our own templates' output: already safe."""
    return value if isinstance(value, (Markup, StrictUndefined)) else display.visible(value)


def _shared(run: Run) -> dict[str, Any]:
    style, script = (data("reports", name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    allowed = f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return {
        "style": Markup(style),  # noqa: S704 - our own files, fixed by hash
        "script": Markup(script),  # noqa: S704
        "security_policy": f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'",
        "run": run,
        "manifest": run.manifest,
        "parameters": run.manifest["parameters"],
        "digest": run.digest,
        "version": run.manifest["engine"]["governor"],
        "span": display.span(figures.periods(run)),
        "basis": figures.basis(run),
        "policies": run.rows("policies"),
        "inputs": _inputs(run),
        "gaps": run.rows("gaps"),
        "incomplete": run.incomplete,
    }


def _inputs(run: Run) -> dict[str, Any]:
    files = [
        file | {name: each[name] for name in ("source", "format")} | {"version": file.get("version", "")}
        for each in run.manifest["inputs"]
        for file in each["files"]
    ]
    return {"rows": files[:FILES], "left": max(0, len(files) - FILES)}


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
