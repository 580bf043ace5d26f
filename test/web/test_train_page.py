"""Train in a real browser: a tiny training is begun, watched, stopped, gone on with and found again by a new page."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from playwright.sync_api import Page, expect
from support.episodes import made_episodes
from support.nodes.client import until
from support.paths import process_environment
from support.process import Process
from support.training import TINY
from support.web.browser import PATIENCE_MS, arrive, chromium, person
from support.web.readable import faults

from vgil_ros.web.runs.child import ChildFiles
from vgil_ros.web.runs.folder import RunFolders, State

MANY = 1_000_000  # steps that nobody waits for


class Desk:
    """A page without a robot, folders for it, and somebody at it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.episodes = folder, folder / "runs", folder / "episodes"
        self.web: Process | None = None
        for rows in (7, 9, 11):
            made_episodes.write(self.episodes / "pick", made_episodes.meta(), rows)
        self.runs.mkdir()
        settings = {
            "policy": TINY,
            "data": {"folders": [], "workers": 0, "validation": 0.34},
            "steps": 4,
            "batch_size": 4,
            "precision": "fp32",
            "schedule": {"warmup_steps": 2},
            "checkpoint": {"every": 2},
            "log": {"every": 1, "tensorboard": False},
        }
        (self.runs / "tiny.yaml").write_text(yaml.safe_dump(settings))

    def serve(self) -> str:
        """Start the page; returns its address."""
        folders = ["--dataset-dir", str(self.episodes), "--runs-dir", str(self.runs), "--port", "0"]
        environment = process_environment(XDG_CACHE_HOME=str(self.folder / "cache"), CUDA_VISIBLE_DEVICES="")
        self.web = Process.python(["-m", "vgil_ros.cli.main", "web", *folders], environment)
        line = self.web.expect(r"page: http://").text
        return str(re.findall(r"http://\S*", line)[0])

    def close(self) -> None:
        """Nothing of it goes on."""
        for folder in self.runs.iterdir():
            child = ChildFiles(folder, "train").read() if folder.is_dir() else None
            if child is not None and child.alive:
                ChildFiles(folder, "train").stop()
                until(partial(_ended, child), "the training ended")
        if self.web is not None:
            self.web.close()


def _ended(child: Any) -> bool:
    return not child.alive


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("train"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(desk: Desk) -> Iterator[Page]:
    with chromium() as found:
        shown = person(found).new_page()
        arrive(shown, f"{desk.serve()}train")
        yield shown


def fill(page: Page, name: str, **settings: object) -> None:
    page.get_by_test_id("run-name").fill(name)
    for key, value in settings.items():
        page.get_by_test_id(f"set-{key}").fill(str(value))


def state(page: Page, word: str) -> None:
    expect(page.get_by_test_id("run-state")).to_have_text(word, timeout=4 * PATIENCE_MS)


def begun(page: Page) -> None:
    """Some steps are done."""
    expect(page.get_by_test_id("figure-step")).to_have_text(re.compile(r"^[1-9]\d* of"), timeout=4 * PATIENCE_MS)


def test_what_is_wrong_is_said_before_anything_begins(desk: Desk, page: Page) -> None:
    page.get_by_test_id("run-config").click()
    page.get_by_role("option", name="tiny.yaml").click()
    fill(page, "first", batch_size="none")
    words = page.get_by_test_id("train-words")
    expect(words).to_contain_text("batch_size: found 'none'", timeout=PATIENCE_MS)
    expect(page.get_by_test_id("train-start")).to_be_disabled()
    fill(page, "first", batch_size="")
    expect(words).to_contain_text("act: 4 steps of 4 samples on cpu, from 3 episodes", timeout=PATIENCE_MS)
    assert [path.name for path in desk.runs.iterdir()] == ["tiny.yaml"]


def test_a_training_is_watched_to_its_end(desk: Desk, page: Page) -> None:
    expect(page.get_by_test_id("train-start")).to_be_enabled(timeout=PATIENCE_MS)
    page.get_by_test_id("train-start").click()
    state(page, "done")
    expect(page.get_by_test_id("figure-step")).to_have_text("4 of 4")
    expect(page.get_by_test_id("figure-loss")).not_to_have_text("-")
    expect(page.get_by_test_id("figure-best")).not_to_have_text("-")
    assert faults(page) == []
    assert (desk.runs / "first" / "best" / "policy.json").is_file()
    assert "last checkpoint" in (desk.runs / "first" / "train_output.txt").read_text()


def test_one_that_is_stopped_is_saved_and_gone_on_with_to_more_steps(desk: Desk, page: Page) -> None:
    fill(page, "long", steps=MANY)
    expect(page.get_by_test_id("train-words")).to_contain_text(f"{MANY} steps", timeout=PATIENCE_MS)
    page.get_by_test_id("train-start").click()
    begun(page)
    expect(page.get_by_test_id("figure-time left")).not_to_have_text("-", timeout=PATIENCE_MS)
    page.get_by_test_id("run-stop").click()
    state(page, "stopped")
    saved = RunFolders(desk.runs).read(desk.runs / "long")
    assert saved.can_resume
    page.get_by_test_id("run-resume").click()
    until(
        lambda: RunFolders(desk.runs).read(desk.runs / "long").step > saved.step, "it goes on from the step it was at"
    )
    state(page, "running")


def test_it_goes_on_without_the_page_and_is_found_again_by_the_next(desk: Desk, page: Page) -> None:
    child = ChildFiles(desk.runs / "long", "train").read()
    assert child is not None
    assert desk.web is not None
    desk.web.send(signal.SIGKILL)
    desk.web.wait()
    assert child.alive
    arrive(page, f"{desk.serve()}train")
    page.get_by_test_id("run-long").click()
    state(page, "running")
    page.get_by_test_id("run-stop").click()
    state(page, "stopped")
    until(lambda: not child.alive, "its process ended")
    assert RunFolders(desk.runs).read(desk.runs / "long").state is State.STOPPED


def test_a_training_that_fails_says_why(desk: Desk, page: Page) -> None:
    fill(page, "wrong", steps="4", more="policy.heads=3")
    expect(page.get_by_test_id("train-start")).to_be_enabled(timeout=PATIENCE_MS)
    page.get_by_test_id("train-start").click()
    state(page, "failed")
    expect(page.get_by_role("alert").filter(has_text="heads")).to_be_visible(timeout=PATIENCE_MS)
