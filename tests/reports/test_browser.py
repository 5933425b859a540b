"""The pages in a real browser, without a network: nothing overflows, nothing is blocked, search and sort work."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from governor.reports import REPORTS, html
from tests.reports import browser
from tests.reports.browser import Page
from tests.run_builder import build_run, default_rows, finding

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("chromium"),  # which fails, and says how to get one, where there is none
]
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
SHOWN = "[...document.querySelectorAll('#findings tbody tr')].filter(r => !r.hidden).map(r => r.cells[3].textContent)"
SUBJECTS = [
    "/subscriptions/8611537a-997c-491d-b0c1-8414dccfcf42/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm",
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/k8s-prod-checkout/50dc6c495c0c9188",
    "x" * 400,
    "<script>document.title = 'owned'</script>",
    *(f"vm-{n}" for n in range(20)),
]


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser.browser() as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of a run with long ids, deep digits, long names, and a table long enough to be searched."""
    folder = tmp_path_factory.mktemp("pages")
    rows = default_rows()
    rows["findings"] = [
        finding(subject=s, cost=Decimal(n * n), owner=f"o{n}@x.example") for n, s in enumerate(SUBJECTS)
    ]
    for row in rows["totals"]:
        row["billed_cost"] = Decimal("99999999999999.123456789012345678901234")
    rows["cost_centers"][0]["name"] = "Corporate functions, shared services and everything else that has no other home"
    rows["cost_centers"][0]["cost_center"] = "cost-center-with-an-identifier-that-nobody-would-call-short"
    return {path.stem: path for path in html.render(build_run(folder / "ledger", rows), folder)}


@pytest.fixture(params=REPORTS)
def file(request: pytest.FixtureRequest, pages: dict[str, Path]) -> Path:
    return pages[request.param]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_a_page_fits_complains_of_nothing_and_asks_for_nothing(tab: Page, file: Path, width: int, scheme: str) -> None:
    """At every width the tables scroll in their boxes, never the page; the console is silent; no request leaves."""
    tab.complaints.clear()
    tab.requests.clear()
    tab.open(file, width=width, scheme=scheme)
    assert tab.run("document.documentElement.clientWidth") == width
    assert tab.run(WIDE) is False
    assert tab.run("document.title").endswith("Acme")
    assert tab.complaints == []
    assert {address for address in tab.requests if address != "about:blank"} == {file.resolve().as_uri()}


def test_paper_holds_every_column_and_no_controls(tab: Page, file: Path) -> None:
    """Printed on A4, nothing is cut at the edge, nothing hides in a scrolling box, nothing asks to be clicked."""
    tab.open(file, width=1030, media="print")
    assert tab.run("[...document.querySelectorAll('.box')].every(b => b.scrollHeight <= b.clientHeight + 1)")
    assert tab.run("[...document.querySelectorAll('nav, .tools')].every(e => getComputedStyle(e).display === 'none')")


def test_an_address_opens_a_table_searched_and_sorted(tab: Page, pages: dict[str, Path]) -> None:
    """Somebody can be sent to `compliance.html#findings?q=...`: the rows that hold every word, in the order asked for."""
    tab.open(pages["compliance"], width=1280, fragment="#findings?q=VM-1%20o1&sort=0&order=ascending")
    assert tab.run(SHOWN) == [f"vm-{n}" for n in (10, 11, 12, 13, 14, 15)]
    assert tab.run("document.querySelector('#findings [aria-sort]').textContent.trim()") == "Cost"
    assert "of 24 rows" in tab.run(
        "document.querySelector('#findings').parentElement.previousElementSibling.textContent"
    )


def test_a_click_on_a_head_sorts_and_another_turns(tab: Page, pages: dict[str, Path]) -> None:
    """Money sorts as money, the most first, then the least; the order is announced."""
    tab.open(pages["compliance"], width=1280)
    heads = "document.querySelectorAll('#findings thead button')"
    tab.run(f"{heads}[0].click()")
    assert tab.run(SHOWN)[0] == "vm-19"
    tab.run(f"{heads}[0].click()")
    assert tab.run(SHOWN)[0] == SUBJECTS[0]
    assert tab.run("document.querySelector('#findings th').getAttribute('aria-sort')") == "ascending"


def test_without_scripts_every_row_is_there(tab: Page, pages: dict[str, Path]) -> None:
    """A mail program that runs no script shows all of it, and no control that does nothing."""
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(pages["compliance"], width=1280)
        document = tab.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        found = {
            selector: len(tab.call("DOM.querySelectorAll", nodeId=document, selector=selector)["nodeIds"])
            for selector in ("#findings tbody tr", "#findings tbody tr[hidden]", "input", "button")
        }
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert found == {"#findings tbody tr": len(SUBJECTS), "#findings tbody tr[hidden]": 0, "input": 0, "button": 0}


def test_text_can_be_read_in_every_scheme(tab: Page, file: Path) -> None:
    """Contrast is at least 4.5 to 1 (WCAG AA) wherever there is text on a plain ground, bars and badges included."""
    for scheme in ("light", "dark"):
        tab.open(file, width=1280, scheme=scheme)
        assert tab.run(CONTRAST) == [], scheme


CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; })
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  const judge = (e, colour, behind) => {
    const [a, b] = [light(colour), light(behind)].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.add(`${e.tagName}.${e.className.baseVal ?? e.className} ${colour} on ${behind}`);
  };
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("svg")) continue;
    if ([...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) judge(e, rgb(getComputedStyle(e).color), ground(e));
  }
  for (const e of document.querySelectorAll("text.on")) {
    const bar = e.parentElement.querySelector(`rect.${e.classList[1]}`);
    judge(e, rgb(getComputedStyle(e).fill), rgb(getComputedStyle(bar).fill));
  }
  return [...bad];
})()"""
