"""Teach in a real browser over real nodes and the simulator: keys lead the arm, and only while they are held."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mujoco")
pytest.importorskip("psutil")

import psutil
from playwright.sync_api import Browser, Error, Page, expect
from sensor_msgs.msg import JointState
from support.browser import browser
from support.by_hand import small_sim_robot
from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Process
from support.web.browser import ARGUMENTS, PATIENCE_MS, arrive, chromium, person
from support.web.readable import faults

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes import EpisodeReader
from vgil_ros.robots.jog.settings import LEVELS, JogSettings
from vgil_ros.robots.jog.tip import TipMotion

FAR = 0.05  # m
SMALL = {"width": 900, "height": 700}  # a machine without a GPU draws the scene the faster
PAD = """
window.held = 0;
navigator.getGamepads = () => [{id: "a pad", connected: true, mapping: "standard", axes: [0, -window.held, 0, 0],
  buttons: [...Array(17)].map((_, i) => ({value: i === 5 ? window.held : 0}))}];
"""


class Stage:
    """A simulated arm that a page leads, its recorder, and somebody at the page."""

    def __init__(self, bench: Bench, browser: Browser) -> None:
        self.bench, self.browser = bench, browser
        robot = small_sim_robot(bench.folder)
        arguments = {"robot": robot, "sim": "true", "speed": 0.5, "leader": "page", "task": "pick_place"}
        arguments |= {"web": "true", "port": 0, "dataset_dir": bench.episodes, "num_episodes": 5}
        words = [f"{key}:={value}" for key, value in arguments.items()]
        command = ["vgil_ros.cli.main", "launch", "record.launch.py", *words]
        self.launch = bench.start(Process, command, start_new_session=True)
        line = self.launch.expect(r"page: http://[^ ]*:\d+/").text
        self.address = re.findall(r"http://\S*:\d+/", line)[0]
        self.masters = bench.client.collect(JointState, "/master/joint_states")
        layout = Layout(load_contract(str(robot))[0])
        self.arm = layout.arms[0]
        self._tip = TipMotion(layout, self.arm, 1.0)
        self.page = self.open(browser)
        expect(self.page.get_by_test_id("teach-words")).to_contain_text("hold a key", timeout=PATIENCE_MS)

    def open(self, browser: Browser, script: str = "") -> Page:
        """Somebody new opens the page."""
        page = person(browser, viewport=SMALL).new_page()
        if script:
            page.add_init_script(script)
        arrive(page, f"{self.address}teach")
        expect(page.get_by_test_id("recorder-state")).not_to_be_empty(timeout=PATIENCE_MS)
        return page

    def tip(self, position: np.ndarray | None = None) -> np.ndarray:
        """(3,) m: where the leader's gripper is, or was at a position (J,) of the action."""
        if position is None:
            until(lambda: self.masters, "a master")
            position = self.arm.master.normalise(np.array(self.masters[-1][1].position))
        return self._tip.pose(position)[:3, 3]

    def moved(self, since: np.ndarray, far: float = FAR) -> bool:
        return float(np.linalg.norm(self.tip() - since)) > far

    def lead(self, page: Page, key: str, far: float = FAR) -> np.ndarray:
        """Hold a key until the gripper is so far away, anew where a slow browser let go; (3,) m where from."""
        before = self.tip()
        for _ in range(12):
            page.keyboard.down(key)
            with contextlib.suppress(AssertionError):
                until(lambda: self.moved(before, far), f"the gripper is {far} m away", 8.0)
            page.keyboard.up(key)
            if self.moved(before, far):
                return before
        raise AssertionError(f"the gripper moved {np.linalg.norm(self.tip() - before):.3f} m; needed: {far} m")

    def rest(self) -> np.ndarray:
        """Wait until the leader stands; returns where."""

        def still() -> bool:
            rows = [message.position for _, message in self.masters[-30:]]
            return len(rows) == 30 and float(np.ptp(np.array(rows), axis=0).max()) < 1e-9

        self.masters.clear()
        until(still, "the leader stands")
        return self.tip()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Bench(tmp_path_factory.mktemp("teach")) as bench, chromium() as found:
        yield Stage(bench, found)


def test_keys_lead_the_arm_and_what_they_did_is_an_episode(stage: Stage) -> None:
    page, state = stage.page, stage.page.get_by_test_id("recorder-state")
    expect(state).to_have_text("ready", timeout=PATIENCE_MS)
    page.keyboard.press("s")
    expect(state).to_have_text("recording", timeout=PATIENCE_MS)
    until(lambda: stage.masters, "a master")
    before = stage.lead(page, "u")
    up = stage.rest() - before
    assert up[2] > 0.9 * np.linalg.norm(up), "straight up"
    page.keyboard.press("y")
    page.keyboard.press("s")
    path = stage.bench.episodes / "episode_0.hdf5"
    until(path.exists, "the episode is there")
    with EpisodeReader(path) as episode:
        rows = episode.action
    tips = np.array([stage.tip(row) for row in rows[:: max(1, len(rows) // 40)]])
    assert np.ptp(tips[:, 2]) > 0.8 * FAR


def test_everybody_can_read_it(stage: Stage) -> None:
    assert faults(stage.page) == []


def test_a_button_that_is_held_leads_and_one_that_is_left_does_not(stage: Stage) -> None:
    before, button = stage.rest(), stage.page.get_by_test_id("hold-o")
    button.hover()
    stage.page.mouse.down()
    until(lambda: stage.moved(before, 0.02), "the gripper moves")
    stage.page.mouse.move(5, 5)  # off it, with the button down
    stage.rest()
    stage.page.mouse.up()


def test_keys_that_come_up_in_a_field_lead_no_more(stage: Stage) -> None:
    """A field takes a page's keys, and the news that one came up."""
    before = stage.rest()
    for key in ("u", "j"):
        stage.page.keyboard.down(key)  # once: nothing repeats it
    until(lambda: stage.moved(before, 0.01), "the gripper moves")
    stage.page.get_by_test_id("seed").click()
    stage.rest()
    for key in ("u", "j"):
        stage.page.keyboard.up(key)
    stage.page.evaluate("document.activeElement.blur()")
    before = stage.rest()
    assert not stage.moved(before, 1e-6)


def test_the_scene_is_reset_with_a_seed(stage: Stage) -> None:
    stage.page.get_by_test_id("seed").fill("7")
    stage.page.get_by_test_id("reset").click()
    expect(stage.page.get_by_text("seed 7", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    expect(stage.page.get_by_test_id("teach-words")).to_contain_text("hold a key", timeout=PATIENCE_MS)


def test_a_second_visitor_cannot_lead(stage: Stage) -> None:
    expect(stage.page.get_by_test_id("control")).to_contain_text("you have control", timeout=PATIENCE_MS)
    second, before = stage.open(stage.browser), stage.rest()
    second.keyboard.down("u")
    expect(second.get_by_text("has control; allowed once").first).to_be_visible(timeout=PATIENCE_MS)
    second.keyboard.up("u")
    assert not stage.moved(before, 1e-6)
    second.context.close()


def test_a_browser_that_is_killed_leaves_a_leader_that_stands_and_control_to_others(stage: Stage) -> None:
    """Of the gamepad in it a hand is still on the stick, as far as anybody heard."""
    stage.page.get_by_test_id("control").click()
    others = {child.pid for child in psutil.Process().children(recursive=True)}
    doomed = stage.browser.browser_type.launch(executable_path=browser(), args=list(ARGUMENTS))
    page = stage.open(doomed, PAD)
    expect(page.get_by_text("a pad")).to_be_visible(timeout=PATIENCE_MS)
    before = stage.rest()
    page.evaluate("window.held = 1")
    until(lambda: stage.moved(before), "the gamepad leads")
    for child in psutil.Process().children(recursive=True):
        if child.pid not in others and "chrom" in child.name():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    killed = stage.tip()
    way = float(np.linalg.norm(stage.rest() - killed))
    assert way < JogSettings().linear * LEVELS[2], f"{way:.3f} m: more than it goes in a second"
    with contextlib.suppress(Error):
        doomed.close()
    expect(stage.page.get_by_test_id("control")).to_contain_text("nobody has control", timeout=PATIENCE_MS)
    stage.lead(stage.page, "j", 0.02)
    stage.rest()
