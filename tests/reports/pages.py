"""What the tests of the pages share: runs to render, and a reader that knows which markup is ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

TAGS = frozenset(
    "html head meta title style body a header p h1 h2 h3 dl div dt dd nav ul li main section figure table caption thead "
    "tbody tfoot tr th td small span b strong code details summary ol svg desc rect text tspan line footer script".split()
)
ATTRIBUTES = frozenset(
    "lang charset http-equiv content name class href id role tabindex aria-labelledby aria-label scope data-v width "
    "height x y x1 x2 y1 y2 open".split()
)


class Reader(HTMLParser):
    """Read a page as a browser would: its tags, attributes, text, and the cells of each table row."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.texts: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)
        self._inside.append(tag)
        if tag == "table":
            self._rows = self.tables[dict(attrs).get("id") or ""] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._inside or "style" in self._inside:
            return
        self.texts.append(data)
        if self._rows and self._rows[-1] and ("td" in self._inside or "th" in self._inside):
            self._rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All that a person can read."""
        return "".join(self.texts)

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a column of a table's body."""
        return [row[number] for row in self.tables[table][1:]]


def strange(page: str) -> Iterator[str]:
    """Name every tag and attribute that no template of ours writes."""
    reader = Reader(page)
    yield from sorted(reader.tags - TAGS)
    yield from sorted({name for name, _ in reader.attributes} - ATTRIBUTES)
    yield from sorted(v for n, v in reader.attributes if n == "href" and not (v or "").startswith("#"))


def normal(page: str) -> str:
    """Take out what changes with our style, our script and the version of the Parquet writer."""
    page = re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)
    page = re.sub(r"<script>.*?</script>", "<script></script>", page, flags=re.DOTALL)
    page = re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-...", page)
    return re.sub(r"\b(?=[0-9a-f]*[a-f])(?:[0-9a-f]{64}|(?<=content <code>)[0-9a-f]{12})\b", "DIGEST", page)
