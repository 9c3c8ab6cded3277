"""A real browser, and one open page in it with everything that went wrong or was asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def running_browser() -> Iterator[Any]:
    """Chromium for the length of the block; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: install the extra `dev`")
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: `apt-get install chromium`")
    with playwright.sync_playwright() as api:
        started = api.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


class Visit:
    """One open page and everything that went wrong or was asked for on it."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.troubles: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.troubles.append(f"failed: {request.url}"))
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        self.page.goto(address)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def load_every_image(self) -> list[int]:
        """Natural widths of all images, after the lazy ones were asked for."""
        widths: list[int] = self.page.evaluate(
            """async () => {
                for (const image of document.images) image.loading = 'eager';
                await Promise.all([...document.images].map((i) => i.decode().catch(() => 0)));
                return [...document.images].map((i) => i.naturalWidth);
            }"""
        )
        return widths

    def shown(self) -> list[tuple[str, str]]:
        found: list[list[str]] = self.page.evaluate(
            """() => [...document.querySelectorAll('article')].filter((a) => a.checkVisibility())
                    .map((a) => [a.dataset.generator, a.dataset.language])"""
        )
        return [(generator, language) for generator, language in found]

    def overflow_px(self) -> int:
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return wide
