"""The page Episodes in a browser: a list of a thousand, and scrubbing through four cameras.

PYTHONPATH=test python test/bench/bench_web_episodes.py [--episodes 1000] [--cameras 4] [--json FILE]

List: seconds from asking for the address, of a page that was just started, until the first rows are there with their
figures, and until all files were looked into, so that every search and sort is of all. Scrubbing: the slider is dragged
to and fro, and the rows that each camera shows are counted: at once, and after the browser had time to fetch rows ahead
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bench.bench_thousand import make
from playwright.sync_api import Browser, Page, Response
from support.episodes.made_episodes import meta, write
from support.web.browser import chromium, person
from support.web.served import served

from vgil_ros.episodes import CameraMeta

USABLE_S, FRAMES_S, PATIENCE_MS = 2.0, 20.0, 240_000
ROWS, SCRUB_S, MOVE_S, QUIET_S = 200, 8.0, 0.012, 2.0
COUNTS = """() => { window.loads = {}; for (const figure of document.querySelectorAll('figure')) {
 const name = figure.innerText.trim(); let shown = ''; window.loads[name] = 0;
 new MutationObserver(() => {
  const now = figure.querySelector('div').style.backgroundImage;
  if (now !== shown) { shown = now; window.loads[name]++; }
 }).observe(figure.querySelector('div'), {attributes: true, attributeFilter: ['style']}); } }"""


def time_list(browser: Browser, root: Path, count: int) -> dict[str, float]:
    """Seconds until a list is of use, and until all of it is known."""
    with served(root) as address, person(browser) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)  # the browser has the page's scripts: an operator opens this page from another
        page.wait_for_load_state("networkidle")
        began = time.monotonic()
        page.goto(f"{address}episodes?folder=thousand")
        rows = page.get_by_test_id("episodes").get_by_text("success")
        rows.nth(24).wait_for()
        usable = time.monotonic() - began
        page.get_by_text(f"{count} episodes", exact=True).wait_for()
        whole = time.monotonic() - began
        began = time.monotonic()
        page.get_by_label("search episodes").fill(f"number == {count // 2}")
        page.get_by_text(f"1 of {count} episodes", exact=True).wait_for()
        return {"usable_s": usable, "all_read_s": whole, "search_s": time.monotonic() - began}


def scrub(page: Page) -> tuple[float, dict[str, int]]:
    """Drag the slider to and fro for some seconds; gives how long, and the pictures by camera."""
    box = page.get_by_test_id("scrub").bounding_box()
    assert box is not None
    y, left, wide = box["y"] + box["height"] / 2, box["x"] + 10, box["width"] - 20
    page.mouse.move(left, y)
    page.mouse.down()
    began = time.monotonic()
    while (now := time.monotonic() - began) < SCRUB_S:
        there = (now / SCRUB_S * 2) % 2
        page.mouse.move(left + wide * (there if there < 1 else 2 - there), y)
        time.sleep(MOVE_S)
    took = time.monotonic() - began
    loads = page.evaluate("window.loads")
    page.mouse.up()
    return took, loads


def _note(times: list[float], answer: Response) -> None:
    times.append(time.monotonic())


def time_scrubbing(browser: Browser, root: Path, file: Path) -> dict[str, Any]:
    """Rows a second that every camera shows: of a page just opened, and of one that has rested; seconds of that."""
    found: dict[str, Any] = {}
    with served(root) as address:
        for key in ("frames_s", "frames_s_rested"):
            with person(browser) as context:
                page = context.new_page()
                page.set_default_timeout(PATIENCE_MS)
                answers: list[float] = []
                page.on("response", partial(_note, answers))
                page.goto(f"{address}episodes/{file.relative_to(root)}")
                page.get_by_test_id("verdict").filter(has_not_text="checking").wait_for()
                began = time.monotonic()
                while key == "frames_s_rested" and (not answers or time.monotonic() - answers[-1] < QUIET_S):
                    page.wait_for_timeout(100)
                    found["rested_s"] = answers[-1] - began if answers else 0.0
                page.evaluate(COUNTS)
                took, loads = scrub(page)
                found[key] = min(loads.values()) / took
    return found


def measure(folder: Path, episodes: int, cameras: int) -> dict[str, Any]:
    """All figures."""
    if not (folder / "thousand").is_dir():
        make(folder / "thousand", episodes)
    file = folder / "scrubbed/episode_0.hdf5"
    if not file.is_file():
        metas = tuple(CameraMeta(f"cam_{i}", 480, 640, "jpeg") for i in range(cameras))
        streams = ("arm/puppet", "arm/master", *(camera.name for camera in metas))
        file = write(folder / "scrubbed", meta(cameras=metas, streams=streams), ROWS)
    with chromium() as browser:
        found = time_list(browser, folder, episodes)
        print({key: round(value, 2) for key, value in found.items()}, flush=True)
        found |= time_scrubbing(browser, folder, file)
    return {"episodes": episodes, "cameras": cameras, **{key: round(value, 2) for key, value in found.items()}}


@pytest.mark.bench
def test_a_thousand_episodes_are_of_use_at_once_and_scrubbing_is_smooth(tmp_path: Path) -> None:
    found = measure(tmp_path, 1000, 4)
    assert found["usable_s"] < USABLE_S
    assert found["frames_s_rested"] > FRAMES_S


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--data", type=Path, help="where the episodes are made, and found again")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.data or Path(folder), given.episodes, given.cameras)
    print(json.dumps(found, indent=2))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
