"""The form for reports in a real browser: what a person sees, and what a hostile page cannot do."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from serving import TOKEN, WAV, serving

import haetae.web.service
from haetae.lake import Lake

STYLE = Path(haetae.web.service.__file__).parent / "service_pages" / "service.css"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

Serve = Callable[..., str]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def serve(lake: Lake) -> Iterator[Serve]:
    """Start the service; returns its address."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(serving(lake, *args, **options))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: install the extra `dev`")
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: `apt-get install chromium`")
    with playwright.sync_playwright() as api:
        started = api.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; what went wrong on it is kept in `troubles`."""
    contexts = []

    def open_one(address: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 390, "height": 844}, **options})
        contexts.append(context)
        page = context.new_page()
        page.troubles = []
        page.on("console", lambda message: page.troubles.append(message.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False])
def test_a_person_reports_an_address_and_sees_what_became_of_it(
    open_page: Any, serve: Serve, lake: Lake, script: bool
) -> None:
    page = open_page(serve(), java_script_enabled=script)
    page.get_by_label("Address", exact=True).fill("https://example.org/clip?v=1")
    page.get_by_label("Language spoken").select_option("ta")
    page.get_by_label("Where you saw it").select_option("social_media")
    page.get_by_label("What makes you suspect it?").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Send the report").click()
    page.get_by_role("heading", name="Your report").wait_for()
    assert "in the queue" in page.locator("main").inner_text()
    (row,) = lake.rows("reports")
    assert page.url.endswith(f"/reports/{row['report_id']}")
    assert (row["uri"], row["language"], row["use_case"]) == (
        "https://example.org/clip?v=1",
        "ta",
        "social_media",
    )
    assert page.troubles == []


@pytest.mark.browser
def test_a_person_sends_a_file(open_page: Any, serve: Serve, lake: Lake, tmp_path: Path) -> None:
    sent = tmp_path / "의심.wav"
    sent.write_bytes(WAV)
    page = open_page(serve())
    page.get_by_label("File", exact=True).set_input_files(str(sent))
    page.get_by_role("button", name="Send the report").click()
    page.get_by_role("heading", name="Your report").wait_for()
    (row,) = lake.rows("reports")
    assert row["uri"] == "의심.wav"
    assert lake.open_local(row["blob_id"]).read_bytes() == WAV


@pytest.mark.browser
def test_what_was_wrong_is_said_beside_the_field_and_what_was_typed_is_kept(
    open_page: Any, serve: Serve, lake: Lake
) -> None:
    page = open_page(serve())
    page.get_by_label("Address", exact=True).fill("http://user:word@example.org/")
    page.get_by_label("What makes you suspect it?").fill('"><img src=x onerror=alert(1)>')
    page.get_by_role("button", name="Send the report").click()
    page.get_by_role("alert").wait_for()
    address = page.get_by_label("Address", exact=True)
    assert address.get_attribute("aria-invalid") == "true"
    described = page.locator(f"#{address.get_attribute('aria-describedby')}").inner_text()
    assert "password" in described
    assert page.get_by_label("What makes you suspect it?").input_value() == '"><img src=x onerror=alert(1)>'
    assert page.locator("img").count() == 0
    assert lake.partitions("reports") == []
    assert all("422" in trouble for trouble in page.troubles)


@pytest.mark.browser
def test_a_hostile_page_cannot_send_the_form_through_a_visitor(
    open_page: Any, serve: Serve, lake: Lake
) -> None:
    ours = serve()

    class Hostile(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            form = f"<form method=post action={ours}/reports enctype=multipart/form-data><input name=address "
            self.wfile.write(f"{form}value=http://x/><button>Win</button></form>".encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        page = open_page(f"http://127.0.0.1:{server.server_port}/")
        page.get_by_role("button", name="Win").click()
        page.wait_for_url(f"{ours}/**")
        assert "not taken from pages of other sites" in page.content()
    finally:
        server.shutdown()
        server.server_close()
    assert lake.partitions("reports") == []


@pytest.mark.browser
def test_a_browser_that_is_asked_for_the_token_gets_in(open_page: Any, serve: Serve) -> None:
    page = open_page(serve(TOKEN), http_credentials={"username": "me", "password": TOKEN})
    page.get_by_label("Address", exact=True).fill("https://example.org/a")
    page.get_by_role("button", name="Send the report").click()
    page.get_by_role("heading", name="Your report").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_the_form_fits_the_screen_and_every_field_has_a_name(
    open_page: Any, serve: Serve, width: int, scheme: str
) -> None:
    viewport = {"width": width, "height": 800}
    page = open_page(f"{serve()}/reports/new", viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    fields = "[...document.querySelectorAll('input, select, textarea')]"
    assert page.evaluate(f"{fields}.filter((f) => !f.labels.length).length") == 0
    heights = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].map((e) => e.offsetHeight)"
    )
    assert min(heights) >= 44
    assert page.troubles == []


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))


def contrast(one: str, other: str) -> float:
    """After: WCAG 2.2, contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_of_the_form_stand_out(scheme: str) -> None:
    named = colours(scheme)
    for text in ("ink", "soft", "fake", "real"):
        for ground in ("paper", "surface", "sunk"):
            assert contrast(named[text], named[ground]) >= 4.5, (text, ground)
    for ground in ("paper", "sunk"):
        assert contrast(named["edge"], named[ground]) >= 3
        assert contrast(named["focus"], named[ground]) >= 3
