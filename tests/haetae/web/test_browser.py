"""The report page in a real browser: it loads whole, filters, fits a phone, and stays harmless."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lake_of_fakes import HOSTILE_TITLE
from visiting import Visit

from haetae.lake import Lake
from haetae.web.report import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(filled_lake: Lake) -> Path:
    return write_report(filled_lake)


def test_the_page_opens_from_disk_whole_and_asks_for_nothing_else(browser: Any, report: Path) -> None:
    with Visit(browser, report.as_uri()) as visit:
        widths = visit.load_every_image()
        assert len(widths) > 40
        assert min(widths) > 0
        assert visit.troubles == []
        assert all(url.startswith(report.parent.as_uri()) for url in visit.requests)


def test_the_page_is_the_same_from_a_server(browser: Any, report: Path) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(report.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    try:
        with Visit(browser, address + "index.html") as visit:
            assert min(visit.load_every_image()) > 0
            assert visit.troubles == []
            assert all(url.startswith(address) for url in visit.requests)
    finally:
        server.shutdown()
        server.server_close()


def test_the_filter_shows_what_was_chosen(browser: Any, report: Path, filled_lake: Lake) -> None:
    made = sorted((f["generator"], f["language"]) for f in filled_lake.rows("fakes"))
    with Visit(browser, report.as_uri()) as visit:
        page = visit.page
        assert sorted(visit.shown()) == made
        page.get_by_label("Generator", exact=True).select_option("mesh_swap@1.0")
        assert sorted(visit.shown()) == [m for m in made if m[0] == "mesh_swap@1.0"]
        page.get_by_label("Language", exact=True).select_option("ta")
        assert visit.shown() == [("mesh_swap@1.0", "ta")]
        assert page.locator("#shown").inner_text() == f"1 of {len(made)} shown"
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function(f"document.getElementById('shown').textContent.startsWith('{len(made)} ')")
        assert sorted(visit.shown()) == made


def test_without_javascript_everything_is_shown_and_no_dead_filter(
    browser: Any, report: Path, filled_lake: Lake
) -> None:
    with Visit(browser, report.as_uri(), java_script_enabled=False) as visit:
        assert visit.page.locator("article").count() == len(filled_lake.rows("fakes"))
        assert visit.page.locator("article").last.is_visible()
        assert not visit.page.locator("#filter").is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1440, "light")])
def test_the_page_fits_the_screen(browser: Any, report: Path, width: int, scheme: str) -> None:
    viewport = {"width": width, "height": 844}
    with Visit(browser, report.as_uri(), viewport=viewport, color_scheme=scheme) as visit:
        visit.load_every_image()
        visit.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        assert visit.overflow_px() <= 0
        sizes = visit.page.evaluate(
            "[...document.querySelectorAll('.triples img')].map((i) => [i.clientWidth, i.clientHeight])"
        )
        assert all(w > 80 and h > 80 for w, h in sizes)
        light = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(light[4:].split(",")[0]) > 128) == (scheme == "light")


def test_hostile_texts_are_shown_as_texts(browser: Any, report: Path) -> None:
    with Visit(browser, report.as_uri()) as visit:
        titles = visit.page.locator("bdi.title").all_inner_texts()
        assert HOSTILE_TITLE in titles
        details = visit.page.locator("#quarantine td.detail").all_inner_texts()
        assert "</td><script>window.hacked = true</script> & ✗ \ufffd\ufffd[31mred" in details
        assert visit.page.evaluate("typeof window.hacked") == "undefined"
        assert visit.page.locator("img[src='x']").count() == 0
        isolated = visit.page.locator("bdi.title").first.evaluate("(e) => getComputedStyle(e).unicodeBidi")
        assert isolated == "isolate"
        assert visit.troubles == []


def test_the_page_forbids_what_it_does_not_need(browser: Any, report: Path) -> None:
    with Visit(browser, report.as_uri()) as visit:
        blocked = visit.page.evaluate(
            """async () => {
                const seen = [];
                document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
                const script = document.createElement('script');
                script.textContent = 'window.injected = true';
                document.body.append(script);
                const image = document.createElement('img');
                image.src = 'https://127.0.0.1:9/x.png';
                document.body.append(image);
                await fetch('https://127.0.0.1:9/').catch(() => 0);
                await new Promise((done) => setTimeout(done, 300));
                return [seen.sort(), typeof window.injected];
            }"""
        )
        assert blocked == [["connect-src", "img-src", "script-src-elem"], "undefined"]


def test_the_keyboard_reaches_the_report_and_its_filter(browser: Any, report: Path) -> None:
    with Visit(browser, report.as_uri()) as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.get_by_label("Generator", exact=True).focus()
        page.keyboard.press("ArrowDown")
        assert len(visit.shown()) == 4


def test_pictures_drawings_and_tables_have_names(browser: Any, report: Path) -> None:
    with Visit(browser, report.as_uri()) as visit:
        unnamed = visit.page.evaluate(
            """() => [
                ...[...document.images].filter((i) => !i.alt.trim()),
                ...document.querySelectorAll('svg[role=img]:not([aria-label])'),
                ...[...document.querySelectorAll('body svg')].filter((s) => !s.parentElement.closest('svg')
                    && s.getAttribute('role') !== 'img' && s.getAttribute('aria-hidden') !== 'true'),
                ...[...document.querySelectorAll('select')].filter((s) => !s.labels.length),
            ].length"""
        )
        levels = visit.page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))"
        )
        assert unnamed == 0
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
