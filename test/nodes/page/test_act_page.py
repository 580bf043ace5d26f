"""The page Act in a real browser, over the simulator and the shipped policy: what it starts, and what becomes of that.

With VGIL_PICTURES=FOLDER the documentation's picture is written there.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mujoco")

from playwright.sync_api import Browser, Page, expect
from sensor_msgs.msg import JointState
from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Process
from support.web.browser import arrive, chromium, person, picture
from support.web.readable import faults

from vgil_ros.web.parts.pace import CUT_OFF_S

POLICY = "sim_pick_place_act"
LOADED_MS = 240_000  # torch, on a machine that others slow down
expect.set_options(timeout=LOADED_MS)
pytestmark = pytest.mark.timeout(900)
TRIES = 5
SMALL_MOVE = 0.05  # rad: more than what noise makes of standing still


class Scene:
    """The simulated robot on its own clock, the page, and somebody at it."""

    def __init__(self, bench: Bench, browser: Browser) -> None:
        self.bench, self.browser = bench, browser
        self.given = {"robot": "sim_single", "use_sim_time": True, "success_topic": "sim/success"}
        bench.node("sim", {"robot": "sim_single", "task": "pick_place", "operator": False, "sim_time": True})
        self.web = self.start_web()
        self.commands = bench.client.collect(JointState, "/puppet/command")
        self.joints = bench.client.collect(JointState, "/puppet/joint_states")
        self.statuses = bench.client.status("/policy/status")
        self.page = self.come_in()

    def start_web(self) -> Process:
        web = self.bench.node("web", {**self.given, "port": 0, "dataset_dir": self.bench.episodes})
        found = re.search(r"page: (http://\S+)", web.expect(r"page: http").text)
        assert found is not None
        self.address = found.group(1)
        return web

    def come_in(self) -> Page:
        """Somebody with a browser of their own."""
        page = person(self.browser).new_page()
        arrive(page, f"{self.address}act")
        expect(page.get_by_test_id("act-banner")).to_contain_text(re.compile(r"[A-Z]{4}"))
        return page

    def says(self, word: str, page: Page | None = None) -> None:
        """Wait for a word in the banner."""
        banner = (page or self.page).get_by_test_id("act-banner")
        expect(banner).to_contain_text(re.compile(rf"^{word}"))

    def key(self, name: str) -> None:
        """Press a key that is not meant for a field."""
        self.page.evaluate("document.activeElement.blur()")
        self.page.keyboard.press(name)

    def value(self, key: str) -> str:
        """A value of the policy's last status."""
        return next((pair.value for pair in self.statuses[-1][1].values if pair.key == key), "")

    def positions(self) -> np.ndarray:
        """(J,) of the arm, as it stands now."""
        return np.array(until(lambda: self.joints and self.joints[-1][1].position, "joint states"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Bench(tmp_path_factory.mktemp("act")) as bench, chromium() as browser:
        yield Scene(bench, browser)


def test_a_checkpoint_is_held_against_the_robot_before_it_can_be_loaded(scene: Scene) -> None:
    page = scene.page
    expect(page.get_by_test_id("act-load")).to_be_disabled()
    choice = page.get_by_label("checkpoint", exact=True)
    choice.fill("/nowhere")
    choice.press("Enter")
    expect(page.get_by_test_id("act-verdict")).to_contain_text("allowed: a folder")
    choice.fill(POLICY)
    choice.press("Enter")
    expect(page.get_by_test_id("act-verdict")).to_contain_text("fits sim_single")
    expect(page.get_by_test_id("act-load")).to_be_enabled()
    assert not scene.statuses, "nothing was started yet"


def test_what_is_pressed_while_the_page_is_cut_off_is_not_done_late(scene: Scene) -> None:
    page, alarm = scene.page, scene.page.locator("#cut-off")
    refused = page.get_by_text("this page was cut off for").first
    for _ in range(TRIES):  # a connection that was given up meanwhile takes what was pressed with it
        expect(alarm).to_be_hidden()
        scene.web.send(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            expect(alarm).to_be_visible()
            page.get_by_test_id("act-tell").click()
            time.sleep(max(0.0, CUT_OFF_S + 1.0 - (time.monotonic() - stopped)))
        finally:
            scene.web.send(signal.SIGCONT)
        with contextlib.suppress(AssertionError):
            expect(refused).to_be_visible(timeout=20_000)
            break
    expect(refused).to_be_visible()
    assert page.get_by_text("no policy is heard").count() == 0, "it was told late"
    expect(alarm).to_be_hidden()
    page.get_by_test_id("act-tell").click()
    expect(page.get_by_text("no policy is heard").first).to_be_visible()


def test_a_dry_run_shows_a_chunk_and_moves_nothing(scene: Scene) -> None:
    page, before = scene.page, scene.positions()
    page.get_by_test_id("act-load").click()
    scene.says("READY")
    scene.key("s")
    scene.says("DRY RUN")
    expect(page.get_by_test_id("act-paths")).to_contain_text("actions are coming")
    until(lambda: scene.value("latency_histogram"), "a histogram of latencies")
    assert not scene.commands
    assert np.abs(scene.positions() - before).max() < SMALL_MOVE
    if folder := os.environ.get("VGIL_PICTURES"):
        picture(page, path := Path(folder) / "web_act.png")
        image = cv2.resize(cv2.imread(str(path)), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert faults(page) == []
    scene.key("s")
    scene.says("READY")


def test_a_real_run_moves(scene: Scene) -> None:
    page, before = scene.page, scene.positions()
    page.get_by_role("button", name="Move the robot").click()
    page.get_by_test_id("act-load").click()
    scene.says("LOADING")
    scene.says("READY")
    scene.key("s")
    scene.says("RUNS")
    until(lambda: np.abs(scene.positions() - before).max() > SMALL_MOVE, "the arm has moved")


def test_the_task_is_told_while_it_runs(scene: Scene) -> None:
    scene.page.get_by_label("task of the policy").fill("pick it")
    scene.page.get_by_label("task of the policy").press("Enter")
    expect(scene.page.get_by_test_id("act-banner")).to_contain_text("task: pick it")


def test_the_estop_holds_by_key_and_is_released(scene: Scene) -> None:
    scene.key("Escape")
    scene.says("E-STOP")
    expect(scene.page.get_by_test_id("act-start")).to_be_disabled()
    scene.page.get_by_test_id("act-release").click()
    scene.says("READY")


def test_labels_make_a_success_rate(scene: Scene) -> None:
    scene.key("y")
    expect(scene.page.get_by_test_id("act-label")).to_contain_text("success")
    scores = scene.page.get_by_test_id("act-tally")
    expect(scores).to_contain_text("100% success")
    expect(scores).to_contain_text("of 1; 95 %: 21% to 100%")
    assert list((scene.bench.episodes / "rollouts").glob("episode_*.hdf5*")), "the rollout was recorded"


def test_a_second_operator_cannot_act_but_can_stop(scene: Scene) -> None:
    scene.key("s")
    scene.says("RUNS")
    other = scene.come_in()
    scene.says("RUNS", other)
    other.get_by_test_id("act-stop").click()
    expect(other.get_by_text("has control; allowed once").first).to_be_visible()
    assert scene.value("state") in ("running", "holding")
    other.keyboard.press("Escape")
    scene.says("E-STOP", other)
    scene.says("E-STOP")
    other.context.close()
    scene.page.get_by_test_id("act-release").click()
    scene.says("READY")


def test_a_page_that_is_killed_leaves_its_policy_holding_and_ended(scene: Scene) -> None:
    scene.key("s")
    scene.says("RUNS")
    until(lambda: scene.value("state") == "running", "it runs")
    child = children_of(scene.web.popen.pid)[0]
    scene.web.send(signal.SIGKILL)
    scene.web.wait()
    until(lambda: not Path(f"/proc/{child}").exists(), "the policy has ended")
    last = [np.array(message.position) for _, message in scene.commands[-5:]]
    assert max(np.abs(command - last[-1]).max() for command in last) < 1e-6, "it held before it ended"


def test_a_policy_of_a_launch_file_is_only_watched_and_goes_on_without_the_page(scene: Scene) -> None:
    policy = scene.bench.node("policy", {**scene.given, "checkpoint": POLICY, "reset_service": "sim/reset"})
    scene.web = scene.start_web()
    scene.page = scene.come_in()
    scene.says("READY")
    expect(scene.page.get_by_test_id("act-whose")).to_contain_text("it is ended there")
    expect(scene.page.get_by_test_id("act-end")).to_be_disabled()
    scene.key("s")
    scene.says("RUNS")
    scene.web.send(signal.SIGKILL)
    scene.web.wait()
    seen = len(scene.statuses)
    until(lambda: len(scene.statuses) > seen + 10, "it goes on")
    states = {pair.value for _, s in scene.statuses[seen:] for pair in s.values if pair.key == "state"}
    assert "running" in states
    assert states <= {"running", "holding"}
    policy.send(signal.SIGINT)
    assert policy.wait() == 0


def children_of(pid: int) -> list[int]:
    """Processes that a process has started and that still run."""
    found = [entry.read_text().split() for entry in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(word) for words in found for word in words]
