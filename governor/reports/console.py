"""The run on a terminal: the score, totals that tie, what costs most and how to mend it. One line a fact in a pipe.

Everything is a `Text` object, never markup; every row passes `safe`. Letters and words carry the
meaning, colour only repeats it, and our own words are ASCII so that any locale can print them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from governor import money
from governor.ledger.read import Run
from governor.model import Status
from governor.reports import display, figures, reconciliation, restated
from governor.reports.display import safe, visible
from governor.reports.figures import Row

TOP = 5
NARROW = 60  # columns; below it the words of a letter make room for its figures
WIDEST = 100  # of the bar and of the tables: longer lines are hard to read
COLOURS = {
    "T": "black on bright_blue",
    "A": "black on bright_cyan",
    "R": "black on cyan",
    "S": "black on bright_magenta",
    "K": "white on magenta",
    "C": "black on white",
    "D": "black on bright_yellow",
    "U": "white on red",
}
SEVERITY_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def show(run: Run, stream: TextIO, reports: Sequence[Path] = ()) -> None:
    """Write the summary to a stream: for people on a terminal, one line a fact elsewhere.

    Whatever the stream's encoding can't hold is written as an escape, so a C locale never fails on a tag value.
    """
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    text = render(run, reports)
    if console.is_terminal:
        with console.capture() as captured:
            for part in _summary(run, reports, console.width):
                console.print(part, overflow="fold")
        text = captured.get()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def render(run: Run, reports: Sequence[Path] = ()) -> str:
    """Print the summary as plain text, one line a fact, each line beginning with what it is."""
    return "".join(f"{each}\n" for each in _facts(run, reports))


def reconciliation_lines(run: Run, stream: TextIO) -> None:
    """Write the reconciliation to a stream, one line a fact."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = "".join(f"{line}\n" for line in reconciliation.lines(run))
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def findings_lines(run: Run, limit: int) -> list[str]:
    """List the findings that cost most as one line each; the last line counts those left out."""
    ranked = figures.ranked_findings(run)
    lines = [_finding(safe(row)) for row in ranked.slice(0, limit).to_pylist()]
    left = ranked.num_rows - len(lines)
    if left > 0:
        lines.append(f"and {display.plural(left, 'more finding')}; findings.csv has them all")
    return lines


def _finding(row: Row) -> str:
    """Say one finding in one line: where, what, how much, how to mend."""
    mend = f"; fix: {row['remedy']}" if row["remedy"] else ""
    verdict = "" if row["verdict"] == "fail" else f" ({row['verdict']})"
    stake = f"{_money(row['cost'], row['currency'])} at stake"
    head = f"{row['subject']} {row['requirement']} {row['severity']}{verdict}"
    return f"{head}: {row['message']} ({stake}){mend}"


# --- one line a fact --------------------------------------------------------------------------------------------------


def _facts(run: Run, reports: Sequence[Path]) -> Iterator[str]:
    yield f"run {_identity(run)} content {run.manifest['content']}"
    for currency in figures.currencies(run):
        score, name = figures.total_score(run, currency), visible(currency)
        if score is not None:
            yield f"score {name} {_headline(score)}"
            yield f"shares {name} " + " ".join(f"{s} {_percent(score[f'share_{s.lower()}'])}" for s in Status)
    combined = figures.combined_score(run)
    if combined is not None:
        yield f"score combined {combined['currency']} {_headline(combined)}"
    for row in map(safe, run.rows("totals")):
        where = f"{row['source']} {row['billing_period'] or '(no month)'} {row['currency'] or '(no currency)'}"
        ingested = row[figures.basis(run)]
        parts = f"allocated {money.text(row['allocated'])} + unallocated {money.text(row['unallocated'])}"
        rows = f"{row['rows']} rows, {row['rejected']} rejected"
        alarm = "" if figures.ties(run, row) else " DOES NOT TIE"
        yield f"total {where}: {rows}, ingested {money.text(ingested)} = {parts}{alarm}"
    for line in reconciliation.sentences(run):
        yield f"invoices {visible(line)}"
    for line in restated.sentences(restated.read(run)):
        yield f"delivery {visible(line)}"
    for row in map(safe, figures.most_expensive(run, TOP)):
        yield f"finding {_finding(row)}"
    for row in map(safe, run.rows("gaps")):
        yield f"gap {_gap(row)}"
    for path in reports:
        yield f"report {visible(path)}"


def _identity(run: Run) -> str:
    parameters = run.manifest["parameters"]
    periods = ", ".join(figures.periods(run)) or "no period"
    organization = visible(parameters["organization"])
    return f"{run.manifest['number']} {organization}, {periods}, as of {parameters['as_of']}"


def _headline(score: Row) -> str:
    if score["allocatability"] is None:
        return "no positive cost: nothing to score"
    return f"{_percent(score['allocatability'])} allocatable{_interval(score)}"


def _interval(score: Row) -> str:
    if score["low"] == score["high"]:
        return ""
    return f" (between {_percent(score['low'])} and {_percent(score['high'])}: evidence is missing)"


def _gap(row: Row) -> str:
    cost = f", {_money(row['cost'], row['currency'] or '')}" if row["cost"] is not None else ""
    rows = f" ({display.plural(row['rows'], 'row')}{cost})" if row["rows"] else ""
    permission = f"; missing permission: {row['permission']}" if row["permission"] else ""
    what = f"{row['reason']}: {row['detail']}"
    where = " ".join(filter(None, (row["source"], row["scope"])))
    return f"{where}: {what}{rows}{permission}"


def _percent(text: str | None) -> str:
    return "n/a" if text is None else f"{text}%"


def _amount(value: Decimal) -> str:
    return display.amount(value, minus="-")


def _money(value: Decimal, currency: str) -> str:
    return f"{currency} {_amount(value)}".strip()


# --- for people -------------------------------------------------------------------------------------------------------


def _summary(run: Run, reports: Sequence[Path], width: int) -> Iterator[RenderableType]:
    yield Text(f"Run {_identity(run)}", style="bold")
    for currency in figures.currencies(run):
        yield from _score(run, currency, min(width, WIDEST))
    if stand := reconciliation.sentences(run):
        yield Text("\nInvoices", style="bold")
        yield from (_indented(visible(line)) for line in stand)
    if said := restated.sentences(restated.read(run)):
        yield Text("\nChanged by this delivery", style="bold")
        yield from (_indented(visible(line)) for line in said)
    yield from _top(run)
    gaps = [safe(row) for row in run.rows("gaps")]
    if gaps:
        word = "Incomplete" if run.incomplete else "Noted"
        yield Text(f"\n{word}: {display.plural(len(gaps), 'gap')}", style="bold yellow")
        yield from (_indented(_gap(row)) for row in gaps)
    if reports:
        yield Text("\nReports", style="bold")
        yield from (_indented(visible(path)) for path in reports)


def _score(run: Run, currency: str, width: int) -> Iterator[Text | Table]:
    score = figures.total_score(run, currency)
    if score is not None:
        yield Text(f"\n{visible(currency)} {_headline(score)}", style="bold")
        yield _bar(score, width)
        yield _shares(score, width)
    yield _totals(run, currency, width)


def _bar(score: Row, width: int) -> Text:
    shares = {str(s): score[f"cost_{s.lower()}"] for s in Status}
    bar = Text(overflow="crop", no_wrap=True)
    try:
        cells = money.split(Decimal(width), {letter: max(cost, Decimal(0)) for letter, cost in shares.items()}, scale=0)
    except money.ZeroWeights:
        return bar
    for status in Status:
        bar.append(str(status) * int(cells[status]), style=COLOURS[status])
    return bar


def _shares(score: Row, width: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, justify="right")
    for status in Status:
        letter = status.lower()
        words = Text().append(str(status), style=COLOURS[status])
        if width >= NARROW:
            words.append(f" {display.STATUS_WORDS[status][0]}")
        share = Text(_percent(score[f"share_{letter}"]))
        table.add_row(words, share, Text(_amount(score[f"cost_{letter}"])))
    table.add_row(Text("credits"), Text(""), Text(_amount(score["credits"])))
    return table


def _totals(run: Run, currency: str, width: int) -> Table:
    """Show the equation with every digit where the line has room: rounded parts need not add up."""
    rows = [row for row in run.rows("totals") if row["currency"] == currency]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    names = {"ingested": figures.basis(run), "= allocated": "allocated", "+ unallocated": "unallocated"}
    sums = {label: money.total(row[name] for row in rows) for label, name in names.items()}
    exact = {label: display.exact(amount, "-") for label, amount in sums.items()}
    fits = max(map(len, exact.values())) <= width - len("+ unallocated  ")
    for label, amount in sums.items():
        table.add_row(Text(label), Text(exact[label] if fits else _amount(amount)))
    every = all(figures.ties(run, row) for row in rows)
    style = "bold" if every else "bold red"
    table.add_row(Text("ties exactly" if every else "DOES NOT TIE"), Text("yes" if every else "NO", style=style))
    return table


def _top(run: Run) -> Iterator[RenderableType]:
    top = [safe(row) for row in figures.most_expensive(run, TOP)]
    counts = figures.verdict_counts(run)
    said = ", ".join(f"{counts[v]:,} {display.VERDICT_WORDS[v].lower()}" for v in figures.FOUND if counts[v])
    yield Text(f"\nFindings: {said or 'none'}", style="bold")
    for place, row in enumerate(top, 1):
        head = Text(f"{place}. {_money(row['cost'], row['currency'])}  ", style="bold")
        head.append(row["severity"], style=SEVERITY_COLOURS[row["severity"]])
        head.append(f"  {row['requirement']}" + ("" if row["verdict"] == "fail" else f"  ({row['verdict']})"), style="")
        yield head
        yield _indented(row["subject"])
        yield _indented(row["message"])
        if row["remedy"]:
            yield _indented(f"fix: {row['remedy']}")


def _indented(text: str) -> Padding:
    return Padding(Text(text, overflow="fold"), (0, 0, 0, 3), expand=False)
