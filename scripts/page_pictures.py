"""Pictures of a running page for the documentation, of its pages by name.

`page_pictures.py http://127.0.0.1:8420/ teach=docs/images/web_teach.png train=docs/images/web_train.png`. It needs
playwright and a Chromium. `--dark`, `--size 1024x768` and `--choose RUN` (of Train) change what is seen.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SETTLE_MS = 12_000  # cameras and the 3-D scene are there by then


def main() -> int:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("pictures", nargs="+", help="PAGE=FILE")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--size", default="1400x900")
    parser.add_argument("--choose", help="a run, on the page Train")
    given = parser.parse_args()
    width, height = (int(word) for word in given.size.split("x"))
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        scheme = "dark" if given.dark else "light"
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(120_000)
        for pair in given.pictures:
            name, _, file = pair.partition("=")
            page = context.new_page()
            page.goto(f"{given.address.rstrip('/')}/{name}", wait_until="domcontentloaded")
            take(page, Path(file), given.choose)
            page.close()
        browser.close()
    return 0


def take(page: Page, file: Path, chosen: str | None) -> None:
    """One picture, once the page is there."""
    page.get_by_test_id("control").wait_for()
    if chosen is not None:
        page.get_by_test_id(f"run-{chosen}").click()
    page.wait_for_timeout(SETTLE_MS)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file)
    print(f"{file}: {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
