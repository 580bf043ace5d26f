"""A headless browser on the page, driven by Playwright over the Chromium that the machine has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.browser import browser

pytest.importorskip("nicegui", reason="nicegui is not installed: pip install 'vgil_ros[web]'")
pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
if browser() is None:
    pytest.skip("no Chromium or Chrome here (apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--mute-audio",
)
PATIENCE_MS = 60_000  # a machine that others slow down
JOINED_MS = 240_000
SIZE = {"width": 1400, "height": 900}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; it ends with the block."""
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=browser(), args=list(ARGUMENTS))
        try:
            yield found
        finally:
            found.close()


def person(at: Browser, **options: object) -> BrowserContext:
    """Somebody with cookies of their own."""
    context = at.new_context(viewport=options.pop("viewport", SIZE), **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    return context


def arrive(page: Page, address: str) -> None:
    """Open an address and wait until the page is joined to its server.

    What is typed or clicked before is lost where a slow machine makes the page load once more.
    """
    page.goto(address, wait_until="domcontentloaded", timeout=JOINED_MS)
    page.wait_for_function("window.did_handshake === true", timeout=JOINED_MS)


def picture(page: Page, path: Path) -> None:
    """Take a picture of the page, small enough for the documentation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
