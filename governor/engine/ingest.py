"""Read a bill's files into the normalised tables charges, tag_sets and rejects.

What the files mean is said by a format of `sources.billing`; this module executes it: stage the files, survey them in
one scan, read each odd text and each distinct tag set once, write.

No row gets lost: for each file, rows = charges + rejects, and for each money column the sum over the files is the sum
over both. Both are checked against what was written, in production.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import duckdb

from governor.config import BillingSource
from governor.engine.charges import Counts, Part, reconcile, refuse_twice_told, write_charges, write_rejects
from governor.engine.columns import Unreadable, as_printed, read_column, read_own
from governor.engine.duckdb import MEMORY_MB, Engine, literal, open_engine
from governor.engine.gaps import count_unread, find_gaps
from governor.engine.pairs import list_leading, refuse_untold, tell_exports
from governor.engine.segments import Reread, Segment, Survey, blame, look_up, spare, spared, survey
from governor.engine.snapshots import refuse_overlaps, refuse_runs
from governor.engine.staging import Input, ReadLayout, Stage
from governor.engine.tagsets import identify, list_tags
from governor.model import Delivery, InputFile, Position, Problem, Progress, Refused
from governor.sources.billing import files, read_header, values
from governor.sources.billing.deliveries import Promise
from governor.sources.billing.files import Found
from governor.sources.billing.layout import Asked, Layout, fold
from governor.sources.billing.manifests import Manifest
from governor.tables import FOCUS, MONEY, TEXT, TIME, Column, snake

EVERY = frozenset({"*"})  # all columns that the files have
_SHOWN = 5  # files named in a message


def ingest(  # noqa: PLR0913 - what is asked of a bill, each part by name
    source: BillingSource,
    root: Path,
    out: Path,
    *,
    columns: frozenset[str] = frozenset(),
    may_fail: frozenset[str] = frozenset(),
    basis: str = "effective_cost",
    threads: int = 0,
    memory_mb: int = MEMORY_MB,
    progress: Progress | None = None,
) -> Delivery:
    """Read one billing source into `out`, an empty folder, and say what it held.

    `columns` are the columns beyond the core that policies name: FOCUS or snake_case spelling, `x_*` included. EVERY
    keeps all FOCUS columns that some file has, and the provider's own (`x_*`, `oci_*`). A value that can't be read
    rejects its row; in a column beside the core that `may_fail`, or with EVERY, it is left empty, and a gap says so.
    `basis` is the cost that policies allocate: what gaps and rejects are measured by.
    Raises Refused with every problem found, when any file can't be used. Charges are written by a single thread, in the
    order of the files: so the bytes don't depend on `threads`, which speed up what comes before.
    """
    root = root.resolve()
    told = progress or (lambda _what, _done, _total: None)
    wanted, every, known = frozenset(snake(name) for name in columns), columns >= EVERY, {c.name for c in FOCUS}
    extra = frozenset(name for name in wanted - known if re.fullmatch(r"[a-z_][a-z0-9_]*", name))
    defaults = _defaults(source)
    found = files.find(source.path, root, source.position)
    scratch = Path(tempfile.mkdtemp(prefix="ingest-", dir=out))
    folders = sorted({path.resolve().parent for path in found.files})
    try:
        with open_engine(work=out, read=folders, threads=threads, memory_mb=memory_mb) as engine:
            reader = _reader(source, extra, found, root, every=every)
            staged = None if every else frozenset(column.name for column in _kept(wanted & known | extra))
            inputs = tell_exports(engine, Stage(engine, scratch, root, reader, staged).stage(found.files, told))
            refuse_runs(inputs)
            _keep_promises(inputs, found.promised)
            _require_columns(inputs, defaults)
            kept = _kept(_held(inputs, defaults)) if every else _kept(wanted & known | extra)
            segments = _segments(inputs, kept, defaults, source)
            segments = tuple(spared(one, EVERY if every else may_fail) for one in segments)
            surveyed = _survey(engine, segments, source, scratch, told)
            segments = tuple(spare(s, v) for s, (v, _) in zip(segments, surveyed, strict=True))
            raw_tags = list_tags(engine, segments, scratch)
        with open_engine(work=out, read=folders, memory_mb=memory_mb, ordered=True) as engine:
            tables = [out / f"{name}.parquet" for name in ("charges", "tag_sets", "rejects")]
            tags = identify(engine, raw_tags, scratch, tables[1])
            parts = [Part(s, v, r, tags, basis) for s, (v, r) in zip(segments, surveyed, strict=True)]
            parts = list_leading(engine, parts, scratch)
            told("write", 0, 1)
            counts = _write(engine, parts, source, tables[0], tables[2])
            unread = count_unread(engine, parts)
            gaps = find_gaps(engine, parts, source.name, tables[0], tables[2], unread)
            told("write", 1, 1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _unchanged(inputs, (*found.current, *found.superseded))
    versions = sorted({one.layout.version for one in inputs})
    return Delivery(
        source=source.name,
        version=", ".join(versions),
        why=_why(inputs, found),
        files=tuple(_evidence(one, counts[one.index]) for one in inputs),
        charges=tables[0],
        tag_sets=tables[1],
        rejects=tables[2],
        missing=_missing(inputs, extra, defaults),
        unread=frozenset(column.name for column in unread),
        gaps=gaps,
        manifests=tuple(_manifests(found)),
    )


def _write(
    engine: Engine, parts: Sequence[Part], source: BillingSource, charges: Path, rejects: Path
) -> Mapping[int, Counts]:
    """Write the rows and check that none got lost or counts twice. Raises Refused, naming the files."""
    try:
        write_charges(engine, parts, charges)
        write_rejects(engine, parts, source.name, rejects)
        counts = reconcile(engine, parts, charges, rejects)
        refuse_twice_told(engine, parts, charges)
        refuse_untold(engine, parts, charges)
        refuse_overlaps(engine, parts, charges)
    except duckdb.Error as error:
        raise Refused(*blame(engine, [part.segment for part in parts], error)) from error
    return counts


def _kept(names: Collection[str]) -> list[Column]:
    """List the columns that are kept: the core, and those with these names."""
    focus = [c for c in FOCUS if c.core or c.name in names]
    return focus + [Column(name, TEXT, name, core=False) for name in sorted({*names} - {c.name for c in FOCUS})]


def _reader(source: BillingSource, wanted: frozenset[str], found: Found, root: Path, *, every: bool) -> ReadLayout:
    """Give what turns a header into a layout, as the source is configured and its manifests say."""
    given = frozenset(snake(name) for name in source.defaults)
    datasets = {files.shown(path, root): promise.dataset for path, promise in found.promised.items()}

    def read(header: Sequence[str], kinds: Sequence[str], file: str) -> Layout:
        asked_for, dataset = wanted | _providers_own(header) if every else wanted, datasets.get(file, "")
        asked = Asked(file, kinds, asked_for, source.options, source.columns, given, source.dates, dataset)
        return read_header(source.format, header, asked)

    return read


def _providers_own(header: Sequence[str]) -> frozenset[str]:
    """Name the columns that a provider adds to FOCUS: `x_…`, and Oracle's `oci_…`. A name that comes twice is none."""
    folded = Counter(fold(name) for name in header)
    names = {snake(name) for name in header if folded[fold(name)] == 1}
    return frozenset(name for name in names if re.fullmatch(r"(x|oci)_[a-z0-9_]+", name))


def _evidence(one: Input, counts: Counts) -> InputFile:
    return InputFile(
        one.name,
        one.bytes,
        one.sha256,
        counts.rows,
        counts.rejected,
        one.layout.version,
        one.layout.format,
        counts.aside,
    )


def _keep_promises(inputs: Sequence[Input], promised: Mapping[Path, Promise]) -> None:
    """Refuse files whose bytes, rows or columns aren't those that their manifest says."""
    problems = []
    for one, promise in ((one, promised[one.path]) for one in inputs if one.path in promised):
        # Nobody says whether a gzip file's bytes are meant packed or unpacked: either will do.
        if promise.bytes not in (None, one.bytes, one.unpacked):
            what = f"has {one.bytes:,} bytes, and {promise.manifest} says {promise.bytes:,}"
            problems.append(
                Problem(Position(one.name), "B254", what, "deliver both again: one of them is cut off or old")
            )
        elif promise.rows not in (None, one.rows):
            what = f"has {one.rows:,} rows, and {promise.manifest} says {promise.rows:,}"
            problems.append(
                Problem(Position(one.name), "B254", what, "deliver both again: one of them is cut off or old")
            )
        if promise.columns and one.text and (differ := _differ(one.header, promise.columns)):
            what = f"has other columns than {promise.manifest} says: {differ}"
            problems.append(Problem(Position(one.name, 1, 1), "B257", what, "deliver both again: one of them is old"))
    if problems:
        raise Refused(*problems)


def _differ(header: Sequence[str], promised: Sequence[str]) -> str:
    """Say which columns two lists don't share; empty where they hold the same, in whatever order."""
    parts = []
    for word, names in (
        ("it lacks", Counter(promised) - Counter(header)),
        ("it adds", Counter(header) - Counter(promised)),
    ):
        shown = [*names.elements()]
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        parts += [f"{word} {', '.join(shown[:_SHOWN])}{more}"] if shown else []
    return "; ".join(parts)


def _manifests(found: Found) -> Iterator[InputFile]:
    for version, manifests in (("manifest", found.current), ("superseded manifest", found.superseded)):
        for one in manifests:
            yield InputFile(one.name, one.bytes, one.sha256, 0, 0, version, "manifest")


def _segments(
    inputs: Sequence[Input], kept: Sequence[Column], defaults: Mapping[str, str], source: BillingSource
) -> tuple[Segment, ...]:
    """Group the files, in order, into runs that one query can read."""
    segments: list[Segment] = []
    problems: list[Problem] = []
    for _, group in groupby(inputs, key=lambda one: one.shape):
        run = tuple(group)
        layout, types, fields = run[0].layout, run[0].types, []
        own = [partial(read_own, name, one, types, source.numbers) for name, one in layout.own.items()]
        ours = [partial(read_column, c, layout, types, source.numbers, defaults.get(c.name, "")) for c in kept]
        for name, read in zip((*layout.own, *(c.note for c in kept)), (*own, *ours), strict=True):
            try:
                fields.append(as_printed(read()) if layout.doubles else read())
            except Unreadable as error:
                what = f"{name} can't be read: {error}"
                problems.append(Problem(Position(run[0].name), "B016", what, "write it with a fitting type"))
        segments.append(Segment(run, tuple(fields)))
    if problems:
        raise Refused(*problems)
    return tuple(segments)


def _survey(
    engine: Engine, segments: Sequence[Segment], source: BillingSource, scratch: Path, told: Progress
) -> list[tuple[Survey, Mapping[str, Reread]]]:
    found: list[tuple[Survey, Mapping[str, Reread]]] = []
    problems: list[Problem] = []
    for at, segment in enumerate(segments):
        told("check", at, len(segments))
        try:
            surveyed = survey(engine, segment)
            found.append((surveyed, look_up(engine, segment, surveyed, source, scratch)))
        except Refused as refused:
            problems += refused.problems
    if problems:
        raise Refused(*problems)
    if not sum(one.rows for segment in segments for one in segment.inputs):
        names = [one.name for segment in segments for one in segment.inputs]
        what = (
            f"holds no charge: {', '.join(names[:_SHOWN])} " + ("has" if len(names) == 1 else "have") + " a header only"
        )
        raise Refused(
            Problem(source.position, "B023", what, "deliver the bill again; no charges is no proof of no cost")
        )
    return found


def _defaults(source: BillingSource) -> dict[str, str]:
    """Turn the configured defaults into SQL, by our names. Raises Refused for a name or a value that can't be."""
    known = {fold(c.note): c for c in FOCUS}
    defaults, problems = {}, []
    for name, given in source.defaults.items():
        column = known.get(fold(name))
        if column is None:
            close = difflib.get_close_matches(name, [c.note for c in FOCUS], 1)
            mend = f"did you mean {close[0]}?" if close else "use a FOCUS column name"
            problems.append(Problem(source.position, "B017", f"`defaults` names no FOCUS column: {name!r}", mend))
            continue
        reading = values.Reading()
        if column.type == MONEY:
            reading = values.read_money(given)
        elif column.type == TIME:
            reading = values.read_time(given, source.dates or "%Y-%m-%d")
        if reading.code:
            what = f"the default {given!r} for {name} {reading.reason}"
            problems.append(Problem(source.position, "B017", what, "write it as a FOCUS file would"))
        shown = literal(given) if column.type == TEXT else literal(str(reading.value))
        defaults[column.name] = f"CAST({shown} AS {column.type})"
    if problems:
        raise Refused(*problems)
    return defaults


def _require_columns(inputs: Sequence[Input], defaults: Mapping[str, str]) -> None:
    """Refuse files that lack a column nothing can be said without, once for each column."""
    problems = []
    for column in (c for c in FOCUS if c.required and c.name not in defaults):
        lacking = [one.name for one in inputs if not one.layout.holds(column.name)]
        if lacking:
            more = f" and {len(lacking) - 1} more files" if len(lacking) > 1 else ""
            what = f"has no column {column.note}, without which a charge means nothing"
            mend = f"export it, or give this source a default: `defaults: {{{column.note}: …}}`"
            problems.append(Problem(Position(lacking[0] + more, 0), "B015", what, mend))
    if problems:
        raise Refused(*problems)


def _held(inputs: Sequence[Input], defaults: Mapping[str, str]) -> frozenset[str]:
    """Name the columns of ours that some file, or a default, has something for."""
    return frozenset(defaults).union(*((*one.layout.fields, *one.layout.derived) for one in inputs))


def _missing(inputs: Sequence[Input], extra: frozenset[str], defaults: Mapping[str, str]) -> frozenset[str]:
    missing = {column.name for column in FOCUS} | extra
    tagless = all(one.layout.tags is None for one in inputs)
    return frozenset(missing - _held(inputs, defaults)) | (frozenset({"tag_set"}) if tagless else frozenset())


def refuse_shared(deliveries: Sequence[Delivery]) -> None:
    """Refuse a file that two sources deliver: its charges would be paid twice, and every total would still tie."""
    seen: dict[str, str] = {}
    for delivery in deliveries:
        for file in delivery.files:
            first = seen.setdefault(file.sha256, delivery.source)
            if first != delivery.source and file.rows:
                what = f"is delivered by the sources {first} and {delivery.source}: its charges would count twice"
                raise Refused(Problem(Position(file.path), "B025", what, "name it under one source of governor.yaml"))


def _unchanged(inputs: Sequence[Input], manifests: Sequence[Manifest]) -> None:
    """Refuse files that changed while they were read: what was written and what was hashed may differ."""
    mend = "run again when it is complete"
    problems = []
    for told in manifests:
        try:
            same = hashlib.sha256(told.path.read_bytes()).hexdigest() == told.sha256
        except OSError:
            same = False
        if not same:
            problems.append(Problem(Position(told.name), "B018", "changed while its files were read", mend))
    for one in inputs:
        try:
            now = one.path.stat()
            same = (now.st_size, now.st_mtime_ns) == (one.bytes, one.changed_ns)
        except OSError:
            same = False
        if not same:
            problems.append(Problem(Position(one.name), "B018", "changed while it was read", mend))
    if problems:
        raise Refused(*problems)


def _why(inputs: Sequence[Input], found: Found) -> str:
    """Say in words which version each file has, what manifests decided and what was left aside."""
    by_version: dict[tuple[str, str], list[str]] = {}
    for one in inputs:
        version = f"{one.layout.format} {one.layout.version}".strip()
        by_version.setdefault((version, one.layout.why), []).append(one.name)
    said = [
        f"{len(names)} {'file is' if len(names) == 1 else 'files are'} {version} ({names[0]}"
        f"{', …' if len(names) > 1 else ''}): {why}"
        for (version, why), names in sorted(by_version.items())
    ]
    said += found.why
    if ignored := found.ignored:
        said.append(f"left aside, not data: {', '.join(ignored[:_SHOWN])}" + (", …" if len(ignored) > _SHOWN else ""))
    return "; ".join(said)
