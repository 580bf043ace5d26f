"""Takes the documentation's pictures of the page Episodes: docs/images/web_episodes.png and web_episode.png.

PYTHONPATH=.:test python scripts/web_pictures_of_episodes.py [--dataset-dir FOLDER] [--out docs/images]

Without a dataset folder, eight demonstrations of the simulator are made first, one of them labelled a failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from support.web.browser import chromium, person
from support.web.served import served

COUNT, MOST_BYTES, PATIENCE_MS = 8, 200_000, 240_000


def make(folder: Path) -> None:
    """Demonstrations to look at."""
    command = [sys.executable, "-m", "vgil_ros.cli.main", "episodes"]
    subprocess.run([*command, "generate", "--out", str(folder), "--episodes", str(COUNT)], check=True)
    words = ["--operator", "Ada", "--tag", "demo"]
    subprocess.run([*command, "label", str(folder), *words], check=True)
    subprocess.run([*command, "label", str(folder / "episode_2.hdf5"), "failure", "--note", "cube slipped"], check=True)


def shrink(path: Path) -> None:
    """Have a picture take less than the documentation allows, by its size."""
    taken = np.asarray(cv2.imread(str(path)))
    pixels, scale = (taken & 0xF8) | 4, 1.0  # 32 shades of each colour: half the bytes, and nobody sees it
    while path.stat().st_size > MOST_BYTES:
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        scale *= 0.9
        pixels = (
            np.asarray(cv2.resize(taken, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8) & 0xF8
        ) | 4


def take(root: Path, folder: str, out: Path) -> None:
    """Open both pages, and take them."""
    with served(root) as address, chromium() as browser, person(browser) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}episodes?folder={folder}")
        verdicts = page.get_by_test_id("episodes").get_by_text("good", exact=True)
        verdicts.nth(3).wait_for()
        page.wait_for_timeout(3000)
        page.screenshot(path=out / "web_episodes.png")
        page.goto(f"{address}episodes/{folder}/episode_0.hdf5")
        page.get_by_test_id("verdict").filter(has_not_text="checking").wait_for()
        for _ in range(13):
            page.keyboard.press("Shift+ArrowRight")
        page.wait_for_timeout(5000)
        page.screenshot(path=out / "web_episode.png")
    for name in ("web_episodes.png", "web_episode.png"):
        shrink(out / name)


def main() -> None:
    """Make what is looked at, and look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset-dir", type=Path, help="a folder with a folder pick_place of episodes")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = given.dataset_dir or Path(made)
        if given.dataset_dir is None:
            make(root / "pick_place")
        take(root, "pick_place", given.out)


if __name__ == "__main__":
    main()
