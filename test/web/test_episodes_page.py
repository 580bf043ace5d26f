"""The page Episodes in a real browser: a list, one episode, curation, and what a visitor may not do."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.episodes import made_sets
from support.web.browser import arrive, chromium, person
from support.web.readable import faults
from support.web.served import served

from vgil_ros.episodes.reader import EpisodeReader

OPERATE, LOOK = "operate-token-of-a-test", "look-token-of-a-test"
COUNT, PATIENCE_S = 4, 60.0
expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    made_sets.write_clean(folder, COUNT, 0)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(made, folder / "cubes")
    return folder


@pytest.fixture(scope="module")
def site(root: Path) -> Iterator[str]:
    with served(root, "--operate-token", OPERATE, "--look-token", LOOK) as address:
        yield address.partition("?")[0].rstrip("/")


@pytest.fixture(scope="module")
def operator(browser: Browser, site: str) -> Iterator[Page]:
    with person(browser) as context:
        page = context.new_page()
        arrive(page, f"{site}/episodes?token={OPERATE}")
        yield page


def gone(folder: Path) -> bool:
    """Remove a folder; whether it is gone: something may still be written into it."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture
def cubes(root: Path, made: Path, operator: Page, site: str) -> Path:
    """The folder as it was made, shown as a list."""
    until(lambda: gone(root / "cubes"), "what the test before began has ended")
    shutil.copytree(made, root / "cubes")
    arrive(operator, f"{site}/episodes?folder=cubes")
    expect(operator.get_by_text(f"{COUNT} episodes", exact=True)).to_be_visible()
    return root / "cubes"


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.hdf5"))}


def listed(page: Page) -> list[str]:
    """Names in the list, from above."""
    return page.get_by_test_id("episodes").get_by_role("link").all_inner_texts()


def test_the_list_shows_pictures_and_sorts_and_finds(operator: Page, cubes: Path) -> None:
    names = [f"episode_{i}.hdf5" for i in range(COUNT)]
    until(lambda: listed(operator) == names[::-1], "the newest first")
    thumb = operator.get_by_alt_text("picture of episode_3.hdf5")
    until(lambda: thumb.evaluate("image => image.complete && image.naturalWidth") == 160, "a thumbnail")
    operator.get_by_role("columnheader", name="episode").click()
    until(lambda: listed(operator) == names, "the oldest first")
    field = operator.get_by_label("search episodes")
    field.fill("success and number > 1")
    until(lambda: listed(operator) == names[2:], "a sentence found")
    field.fill("length >")
    expect(operator.get_by_text("cannot be read; allowed:").first).to_be_visible()
    field.fill("bowl episode_0")
    until(lambda: listed(operator) == names[:1], "words found")
    field.fill("")
    until(lambda: listed(operator) == names, "all again")
    shutil.copyfile(cubes / names[0], cubes / f"episode_{COUNT}.hdf5")
    until(lambda: len(listed(operator)) == COUNT + 1, "a new episode by itself")


def test_several_are_labelled_by_key_and_taken_back(operator: Page, cubes: Path) -> None:
    before = hashes(cubes)
    boxes = operator.get_by_test_id("episodes").get_by_role("checkbox")
    boxes.nth(1).click()
    boxes.nth(2).click()
    operator.keyboard.press("n")
    expect(operator.get_by_test_id("episodes").get_by_text("failure")).to_have_count(2)
    changed = {name for name, found in hashes(cubes).items() if found != before[name]}
    assert changed == {"episode_2.hdf5", "episode_3.hdf5"}
    with EpisodeReader(cubes / "episode_3.hdf5") as episode:
        assert episode.success is False
    operator.keyboard.press("z")
    until(lambda: hashes(cubes) == before, "as before, to the byte")


def test_an_episode_is_scrubbed_trimmed_deleted_and_brought_back_to_the_byte(operator: Page, cubes: Path) -> None:
    before = hashes(cubes)
    rows = EpisodeReader(cubes / "episode_2.hdf5").rows
    operator.get_by_role("link", name="episode_2.hdf5").click()
    row = operator.get_by_test_id("row")
    expect(row).to_contain_text(f"row 0 / {rows - 1}")
    operator.keyboard.press("ArrowRight")
    operator.keyboard.press("Shift+ArrowRight")
    expect(row).to_contain_text("row 11 /")
    shown = operator.get_by_test_id("camera top").locator("img")
    until(lambda: "/top/11.jpg" in str(shown.get_attribute("src")), "the row's picture")
    until(lambda: shown.evaluate("image => image.complete && image.naturalWidth") == made_sets.WIDTH, "it loaded")
    slider = operator.get_by_test_id("scrub").bounding_box()
    assert slider is not None
    operator.mouse.click(slider["x"] + slider["width"] / 2, slider["y"] + slider["height"] / 2)
    expect(row).to_contain_text(re.compile(rf"row ({rows // 2 - 1}|{rows // 2}|{rows // 2 + 1}) /"))
    at = str(row.text_content()).split()[1]
    expect(shown).to_have_attribute("src", re.compile(rf"/top/{at}\.jpg"))  # at rest it is shown whole
    operator.keyboard.press("Home")
    operator.keyboard.press("Shift+ArrowRight")
    operator.keyboard.press("[")
    expect(operator.get_by_test_id("trim")).to_have_text(f"Trim to rows 10 to {rows - 1}")
    operator.get_by_test_id("trim").click()
    expect(row).to_contain_text(f"/ {rows - 11}")
    with EpisodeReader(cubes / "episode_2.hdf5") as episode:
        assert episode.rows == rows - 10
    operator.keyboard.press("Delete")
    expect(operator.get_by_test_id("gone")).to_contain_text("not here any more")
    assert not (cubes / "episode_2.hdf5").exists()
    operator.keyboard.press("z")
    expect(row).to_contain_text(f"/ {rows - 11}")
    operator.keyboard.press("z")
    expect(row).to_contain_text(f"/ {rows - 1}")
    assert hashes(cubes) == before


def test_words_are_said_in_a_dialog_in_which_keys_type(operator: Page, cubes: Path) -> None:
    operator.get_by_role("link", name="episode_1.hdf5").click()
    expect(operator.get_by_test_id("row")).to_contain_text("row 0 /")
    operator.keyboard.press("t")
    operator.get_by_label("add tags, with spaces between").fill("sunny unzip")
    operator.get_by_label("note", exact=True).fill("yes, a note")
    operator.get_by_role("button", name="Save").click()
    expect(operator.get_by_test_id("words")).to_contain_text(
        "#sunny #unzip   note: yes, a note".replace(" #u", "   #u")
    )
    with EpisodeReader(cubes / "episode_1.hdf5") as episode:
        assert episode.attrs["note"] == "yes, a note"
        assert episode.success is True


def test_everybody_can_read_it(operator: Page, cubes: Path) -> None:
    assert faults(operator) == []
    operator.get_by_role("link", name="episode_1.hdf5").click()
    expect(operator.get_by_test_id("verdict")).to_have_text(re.compile("good|warning|error"))
    assert faults(operator) == []


def test_the_check_says_its_word(operator: Page, cubes: Path) -> None:
    operator.get_by_role("link", name="episode_0.hdf5").click()
    expect(operator.get_by_test_id("verdict")).to_have_text(re.compile("good|warning|error"))


def test_it_plays_at_the_recorded_rate(operator: Page, cubes: Path) -> None:
    operator.get_by_role("link", name="episode_0.hdf5").click()
    row = operator.get_by_test_id("row")
    expect(row).to_contain_text("row 0 /")
    operator.keyboard.press(" ")
    rows = EpisodeReader(cubes / "episode_0.hdf5").rows
    expect(row).to_contain_text(f"row {rows - 1} /")


def test_an_export_and_a_merge_are_new_data_sets_beside(operator: Page, cubes: Path, root: Path) -> None:
    operator.get_by_test_id("episodes").get_by_role("checkbox").nth(1).click()
    operator.get_by_role("button", name="copy the ticked episodes").click()
    operator.get_by_label("new folder").fill("merged")
    operator.get_by_role("button", name="Merge", exact=True).click()
    until(lambda: (root / "merged/episode_0.hdf5").is_file(), "merged")
    operator.get_by_role("button", name="write the episodes in another format").click()
    operator.get_by_label("format", exact=True).click()
    operator.get_by_role("option", name="aloha", exact=True).click()
    operator.get_by_label("new folder").fill("exported")
    operator.get_by_role("button", name="Export", exact=True).click()
    expect(operator.get_by_text("export: 1 episodes in exported")).to_be_visible()
    with EpisodeReader(next((root / "exported").glob("episode_*.hdf5"))) as episode:
        assert episode.layout in ("aloha", "act_sim")  # the latter where there is no effort


def test_who_looks_on_changes_nothing(browser: Browser, site: str, cubes: Path) -> None:
    before = hashes(cubes)
    with person(browser) as context:
        page = context.new_page()
        arrive(page, f"{site}/episodes/cubes/episode_0.hdf5?token={LOOK}")
        expect(page.get_by_test_id("row")).to_contain_text("row 0 /")
        page.keyboard.press("Delete")
        expect(page.get_by_text("this link looks on only").first).to_be_visible()
    assert hashes(cubes) == before


@pytest.mark.parametrize(
    "place", ["..%2f..%2fetc%2fpasswd", "cubes/..%2f..%2fx.hdf5", "%2fetc%2fpasswd", "cubes/none.hdf5"]
)
def test_a_page_of_what_is_not_in_the_folder_says_so(operator: Page, site: str, place: str) -> None:
    arrive(operator, f"{site}/episodes/{place}")
    expect(operator.get_by_text("allowed: an episode_N.hdf5").first).to_be_visible()
