"""The page over real nodes, in a real browser: episodes recorded and labelled by key, and who may do so."""

from __future__ import annotations

import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("playwright")

from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Process
from support.web.browser import PATIENCE_MS, arrive, chromium, person
from support.web.readable import faults

OPERATE, LOOK = "operate-token-of-the-test", "look-token-of-the-test"


class Scene:
    """A robot, its recorder, and its page on the network's address with tokens."""

    def __init__(self, bench: Bench, browser: Browser) -> None:
        self.bench, self.browser = bench, browser
        self.contract = bench.contract()
        self.robot = bench.robot(self.contract)
        self.recorder = bench.recorder(self.contract, task="stack", num_episodes=9)
        self.web = self.start_web()
        self.operator = self.come_in(OPERATE)
        self.page = self.operator.new_page()
        arrive(self.page, f"{self.address}/record")

    def start_web(self) -> Process:
        given = {
            "robot": self.contract,
            "host": "0.0.0.0",
            "port": 0,
            "dataset_dir": self.bench.episodes,
            "operate_token": OPERATE,
            "look_token": LOOK,
        }
        web = self.bench.node("web", given)
        line = web.expect(r"page: http://[^ ]*:(\d+)/\?token=").text
        port = re.search(r":(\d+)/\?token", line)
        assert port is not None
        self.address = f"http://127.0.0.1:{port.group(1)}"
        return web

    def come_in(self, token: str) -> BrowserContext:
        """Somebody who opened a link."""
        somebody = person(self.browser)
        page = somebody.new_page()
        arrive(page, f"{self.address}/?token={token}")
        expect(page).to_have_url(f"{self.address}/")  # the token is gone from it
        page.close()
        return somebody

    def state(self, word: str, page: Page | None = None) -> None:
        """Wait until the banner says a word."""
        expect((page or self.page).get_by_test_id("state")).to_have_text(word, timeout=PATIENCE_MS, ignore_case=True)

    def start(self) -> None:
        """Begin an episode, again where a stream was late just then: the recorder refuses to start without it."""
        recording = re.compile("^recording$", re.IGNORECASE)
        for _ in range(10):
            self.state("ready")
            self.page.keyboard.press("s")
            try:
                expect(self.page.get_by_test_id("state")).to_have_text(recording, timeout=5000)
            except AssertionError:
                continue
            return
        raise AssertionError(f"it did not start: {self.recorder.output[-2000:]}")

    def record(self, label: str) -> None:
        """An episode, by keys alone."""
        self.start()
        expect(self.page.get_by_test_id("detail")).to_contain_text(re.compile(r"[1-9]\d rows"), timeout=PATIENCE_MS)
        self.page.keyboard.press(label)
        self.page.keyboard.press("s")
        self.state("ready")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Bench(tmp_path_factory.mktemp("page")) as bench, chromium() as browser:
        yield Scene(bench, browser)


def episode(scene: Scene, number: int) -> Path:
    path = scene.bench.episodes / f"episode_{number}.hdf5"
    until(path.exists, f"{path.name} is there")
    return path


def test_two_episodes_are_recorded_and_labelled_by_keys(scene: Scene) -> None:
    scene.record("y")
    expect(scene.page.get_by_test_id("verdict")).to_contain_text("last episode: ")
    scene.record("n")
    expect(scene.page.get_by_test_id("counter")).to_have_text("2 of 9")
    for number, success in ((0, True), (1, False)):
        with h5py.File(episode(scene, number)) as file:
            assert file.attrs["success"] == success
            assert file.attrs["task"] == "stack"
    assert faults(scene.page) == []


def test_what_the_next_episodes_are_of_is_written_into_them(scene: Scene) -> None:
    page = scene.page
    page.get_by_label("operator", exact=True).fill("Anna")
    page.get_by_label("task", exact=True).fill("pour")
    page.get_by_test_id("say").click()
    expect(page.get_by_text("from the next episode on").first).to_be_visible()
    page.get_by_test_id("verdict").click()  # keys typed into a field are text
    scene.record("u")
    with h5py.File(episode(scene, 2)) as file:
        assert (file.attrs["task"], file.attrs["operator"], file.attrs["label"]) == ("pour", "Anna", "unsure")


def test_a_text_that_is_not_allowed_is_refused_in_words(scene: Scene) -> None:
    scene.page.get_by_label("note", exact=True).fill("x" * 5000)
    scene.page.get_by_test_id("say").click()
    expect(scene.page.get_by_text("parameter 'note'").first).to_be_visible()
    scene.page.get_by_label("note", exact=True).fill("")
    scene.page.get_by_test_id("verdict").click()


def test_letters_typed_into_a_field_are_no_commands(scene: Scene) -> None:
    scene.state("ready")
    box = scene.page.get_by_label("object", exact=True)
    box.click()
    scene.page.keyboard.type("sdruny")
    time.sleep(1.0)
    scene.state("ready")
    expect(box).to_have_value("sdruny")
    box.fill("")
    scene.page.get_by_test_id("verdict").click()


def test_a_second_operator_is_told_who_has_control_and_may_stop_all_the_same(scene: Scene) -> None:
    scene.page.keyboard.press("y")  # whoever acts has control
    expect(scene.page.get_by_test_id("control")).to_contain_text("you have control")
    other = scene.come_in(OPERATE)
    page = other.new_page()
    arrive(page, f"{scene.address}/record")
    scene.state("ready", page)
    page.keyboard.press("s")
    expect(page.get_by_text("has control; allowed once").first).to_be_visible()
    scene.state("ready", page)
    page.get_by_test_id("estop").click()
    expect(page.get_by_text("this page can stop nothing").first).to_be_visible()  # it was asked, and answered
    scene.page.get_by_test_id("control").click()
    expect(page.get_by_test_id("control")).to_contain_text("nobody has control")
    page.get_by_test_id("control").click()
    expect(scene.page.get_by_test_id("control")).not_to_contain_text("you have")
    other.close()


def test_whoever_looks_on_sees_everything_and_does_nothing(scene: Scene) -> None:
    guest = scene.come_in(LOOK)
    page = guest.new_page()
    arrive(page, f"{scene.address}/record")
    scene.state("ready", page)
    page.get_by_test_id("toggle").click()
    expect(page.get_by_text("looks on only").first).to_be_visible()
    scene.state("ready", page)
    guest.close()


@pytest.mark.parametrize("token", ["", "?token=wrong"])
def test_without_a_token_there_is_nothing_to_see(scene: Scene, token: str) -> None:
    for path in ("/", "/record", "/camera/cam_a.mjpg", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{scene.address}{path}{token if '?' not in path else ''}", timeout=30)
        assert caught.value.code == 401


def test_a_page_of_another_site_cannot_open_the_websocket(scene: Scene) -> None:
    """In the operator's own browser, with the operator's cookies: the browser sends them, the Origin betrays it."""
    elsewhere = scene.operator.new_page()
    elsewhere.goto(f"{scene.address.replace('127.0.0.1', 'localhost')}/healthz")
    target = scene.address.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    said = elsewhere.evaluate(
        "(url) => new Promise((done) => { const s = new WebSocket(url);"
        " s.onopen = () => done('open'); s.onerror = () => done('refused'); })",
        target,
    )
    assert said == "refused"
    own = scene.page.evaluate(
        "(url) => new Promise((done) => { const s = new WebSocket(url);"
        " s.onopen = () => { s.close(); done('open'); }; s.onerror = () => done('refused'); })",
        target,
    )
    assert own == "open"
    elsewhere.close()


def test_live_shows_cameras_joints_and_streams(scene: Scene) -> None:
    page = scene.operator.new_page()
    arrive(page, f"{scene.address}/")
    until(
        lambda: all(one.evaluate("(image) => image.naturalWidth") for one in page.locator("figure img").all()),
        "all pictures are shown",
    )
    expect(page.get_by_role("img", name=re.compile("^joints of")).first).to_be_visible()
    expect(page.get_by_test_id("machine")).to_contain_text(re.compile(r"disk .* GB free.*CPU .* cores.*memory"))
    assert faults(page) == []
    page.close()


def test_a_killed_page_loses_no_row(scene: Scene) -> None:
    scene.start()
    scene.web.send(signal.SIGKILL)
    scene.web.wait()
    statuses = scene.bench.client.status("/recorder/status")
    until(lambda: statuses, "the recorder goes on")
    rows = int({value.key: value.value for value in statuses[-1][1].values}["rows"])
    until(
        lambda: int({value.key: value.value for value in statuses[-1][1].values}["rows"]) > rows + 50, "rows are added"
    )
    scene.web = scene.start_web()
    scene.page = scene.come_in(OPERATE).new_page()
    arrive(scene.page, f"{scene.address}/record")
    scene.state("recording")
    scene.page.keyboard.press("s")
    scene.state("ready")
    with h5py.File(episode(scene, 3)) as file:
        assert len(file["action"]) > rows + 50
        assert file.attrs["rows_dropped"] == 0
