"""Every way to work a recorder: services, keys, joystick, grippers; and what its status says meanwhile."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_msgs.msg import Bool
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.reference import assert_documented
from support.nodes.rig import Rig

from vgil_ros.episodes import EpisodeReader
from vgil_ros.episodes.checks.check import check_episode


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A recorder with a joystick, which also starts when the grippers close."""
    with Bench(tmp_path_factory.mktemp("commands")) as bench:
        buttons = {"start": 0, "discard": 2, "redo": 1, "success": 3, "failure": 4, "unsure": 5}
        contract = bench.contract(joystick={"topic": "/joy", **buttons})
        said = {"operator": "Ada", "object": "cup", "scene": "lab 2", "note": "häßlich; 2nd day"}
        yield Rig(bench, contract, gripper_start=True, num_episodes=50, reset_time=0.3, success_topic="/done", **said)


@pytest.fixture(autouse=True)
def _idle(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "rig" in request.fixturenames:
        rig = request.getfixturevalue("rig")
        rig.bench.client.call("/recorder/discard")
        until(lambda: rig.value("state") == "idle", "idle")


def names(rig: Rig) -> list[str]:
    return sorted(path.name for path in rig.bench.episodes.iterdir())


def test_services_answer_what_they_did_or_why_not(rig: Rig) -> None:
    rig.ready()
    call = rig.bench.client.call
    for name in ("stop", "discard", "redo"):
        answer = call(f"/recorder/{name}")
        assert not answer.success
        assert (
            answer.message
            == {
                "stop": "nothing to stop: the session is idle",
                "discard": "nothing to discard: the session is idle",
                "redo": "nothing to record again: none was saved; start begins one",
            }[name]
        )
    assert rig.command("start").startswith("starting episode ")
    answer = call("/recorder/start")
    assert not answer.success
    assert answer.message.startswith("not started: the session is ")
    until(lambda: int(rig.value("rows")) > 3, "rows")
    since = rig.recorder.mark()
    assert rig.command("stop").startswith("ending episode ")
    file = rig.saved(since)
    with EpisodeReader(file) as episode:
        assert episode.rows > 3


def test_a_discarded_episode_leaves_nothing_and_does_not_count(rig: Rig) -> None:
    rig.record(3)
    before, done = names(rig), rig.value("episodes_done")
    assert any(name.endswith(".part") for name in before)
    assert rig.command("discard") == "episode discarded"
    until(lambda: rig.value("state") == "idle", "idle")
    assert names(rig) == [name for name in before if not name.endswith(".part")]
    assert rig.value("episodes_done") == done


def test_redo_records_the_same_number_again(rig: Rig) -> None:
    rig.record(3)
    (part,) = [name for name in names(rig) if name.endswith(".part")]
    assert rig.command("redo") == "episode discarded, it is recorded again"
    until(lambda: rig.value("state") != "recording", "an end")
    until(lambda: rig.value("state") == "recording" and int(rig.value("rows")) > 3, "a new beginning")
    since = rig.recorder.mark()
    rig.command("stop")
    assert rig.saved(since).name == part.removesuffix(".part")


def test_an_episode_that_has_ended_can_still_be_thrown_away_or_done_again(rig: Rig) -> None:
    def saved() -> Path:
        since = rig.recorder.mark()
        rig.command("stop")
        file = rig.saved(since)
        until(lambda: rig.value("state") == "idle", "idle")
        return file

    rig.record(3)
    file, done = saved(), int(rig.value("episodes_done"))
    since = rig.recorder.mark()
    assert rig.command("discard") == "the last episode is discarded"
    rig.recorder.expect(f"{file} is removed", since=since)
    assert not file.exists()
    until(lambda: int(rig.value("episodes_done")) == done - 1, "it does not count any more")
    answer = rig.bench.client.call("/recorder/discard")
    assert answer.message == "nothing to discard: the last episode is discarded already"
    assert rig.command("redo") == "the last episode is discarded already, it is recorded again"
    until(lambda: rig.value("state") == "recording" and int(rig.value("rows")) > 3, "a new beginning")
    assert saved() == file, "its number is free again"
    with EpisodeReader(file) as episode:
        created = episode.stamp_ns
    assert rig.command("redo") == "the last episode is discarded, it is recorded again"
    until(lambda: rig.value("state") == "recording" and int(rig.value("rows")) > 3, "a new beginning")
    assert saved() == file
    with EpisodeReader(file) as episode:
        assert created is not None
        assert episode.stamp_ns is not None
        assert episode.stamp_ns[0] > created[-1]


def attributes(file: Path) -> dict[str, object]:
    with EpisodeReader(file) as episode:
        return {"success": episode.success, **{key: episode.attrs.get(key) for key in ("label", *SAID)}}


SAID = ("operator", "object", "scene", "note")


def test_an_operators_label_wins_over_the_topics_and_is_said_everywhere(rig: Rig) -> None:
    rig.record(3)
    tell = rig.bench.client.node.create_publisher(Bool, "/done", 10)
    until(lambda: tell.get_subscription_count() > 0, "the recorder listens")
    tell.publish(Bool(data=True))
    assert rig.command("label_failure").endswith("is labelled failure")
    until(lambda: rig.value("label") == "failure", "the status says it")
    until(lambda: ", labelled failure" in rig.summary(), "in words too")
    since = rig.recorder.mark()
    rig.command("stop")
    rig.recorder.expect(r"saved \S+\.hdf5, .*, labelled failure", since=since)
    file = rig.saved(since)
    until(lambda: rig.value("state") == "idle", "idle")
    words = {"operator": "Ada", "object": "cup", "scene": "lab 2", "note": "häßlich; 2nd day"}
    assert attributes(file) == {"success": False, "label": "failure", **words}
    for name, success in (("unsure", None), ("success", True)):  # it has ended
        assert rig.command(f"label_{name}") == f"the last episode is labelled {name}"
        wanted = {"success": success, "label": name, **words}
        until(lambda wanted=wanted: attributes(file) == wanted, "it is in the file")  # type: ignore[misc]
        until(lambda name=name: rig.value("label") == name, "the status says it")  # type: ignore[misc]
    assert check_episode(file).ok
    rig.robot.tell("joy 0,0,0,0,1")
    rig.recorder.expect("the last episode is labelled failure", since=since)
    rig.robot.tell("joy 0,0,0,0,0")
    until(lambda: attributes(file)["label"] == "failure", "a button's too")
    rig.record(3)
    until(lambda: rig.value("label") == "none", "the next begins without one")
    since = rig.recorder.mark()
    rig.command("stop")
    assert attributes(rig.saved(since))["label"] is None
    until(lambda: rig.value("state") == "idle", "idle")
    rig.command("discard")
    answer = rig.bench.client.call("/recorder/label_success")
    assert (answer.success, answer.message) == (False, "nothing to label: the last episode is discarded")


def test_a_joystick_button_counts_once_as_long_as_it_is_held(rig: Rig) -> None:
    rig.ready()

    def state(name: str) -> Callable[[], bool]:
        return lambda: rig.value("state") == name

    rig.robot.tell("joy 1,0,0")
    until(state("recording"), "button start starts")
    for _ in range(5):
        rig.robot.tell("joy 1,0,0")
    until(lambda: int(rig.value("rows")) > 12, "it goes on while the button is held")
    since = rig.recorder.mark()
    rig.robot.tell("joy 0,0,0")
    rig.robot.tell("joy 1,0,0")
    rig.saved(since)
    until(state("idle"), "pressed again, it stops")
    rig.robot.tell("joy 0,0,0")
    rig.robot.tell("joy 1")  # fewer buttons than the contract names
    until(state("recording"), "it starts")
    rig.robot.tell("joy 0,0,1")
    rig.recorder.expect("episode discarded$", since=since)
    until(state("idle"), "button discard discards")


def test_closing_the_grippers_starts_and_lets_go_of_nothing(rig: Rig) -> None:
    rig.robot.tell("left/master at 0.1,0.1,0.5")
    rig.record(3)
    rig.robot.tell("left/master at 0.1,0.1,0.02")  # a grasp, and the episode ends with it
    time.sleep(0.2)
    since = rig.recorder.mark()
    rig.command("stop")
    rig.saved(since)
    time.sleep(0.8)
    assert rig.value("state") == "idle"
    rig.robot.tell("left/master at 0.1,0.1,0.5")
    time.sleep(0.2)
    rig.robot.tell("left/master at 0.1,0.1,0.02")
    until(lambda: int(rig.value("rows")) > 3, "the gesture starts an episode")
    rig.robot.tell("left/master at 0.1,0.1,0.5")
    time.sleep(0.2)
    rig.robot.tell("left/master at 0.1,0.1,0.02")
    time.sleep(0.6)
    assert rig.value("state") == "recording"  # grasping must not end it
    rig.robot.tell("left/master well")


def test_the_status_tells_state_rows_rates_skew_and_disk(rig: Rig) -> None:
    everything = rig.bench.client.collect(DiagnosticArray, "/diagnostics")
    rig.record(10)
    until(lambda: rig.value("skew_p50_ms_cam_a"), "skew")
    status = rig.status
    assert status is not None
    assert (status.name, status.hardware_id, status.level) == ("recorder", "small", DiagnosticStatus.OK)
    values = {pair.key: pair.value for pair in status.values}
    assert values["state"] == "recording"
    assert_documented(values, "Recorder and policy", "Recorder", streams=rig.robot_streams)
    assert values["robot"] == "small"
    assert values["episodes_wanted"] == "50"
    assert float(values["disk_free_gb"]) > 0
    assert values["rows_dropped"] == "0"
    assert 50 < float(values["rate_hz_left/puppet"]) < 150
    assert 10 < float(values["rate_hz_cam_a"]) < 60
    assert float(values["skew_p50_ms_left/master"]) <= float(values["skew_p99_ms_left/master"])
    assert int(values["rows"]) >= 10
    until(lambda: any(s.name == "recorder" for _, a in everything for s in a.status), "it is in /diagnostics too")
    first, last = rig.statuses[0][0], rig.statuses[-1][0]
    stood = rig.bench.gauge.stood(first, last)
    assert 2.5 * (last - first - stood) <= len(rig.statuses) - 1 < 6.0 * (last - first) + 2  # 5 Hz


class Terminal:
    """A recorder at a terminal of its own."""

    def __init__(self, bench: Bench, **parameters: object) -> None:
        contract = bench.contract()
        bench.robot(contract)
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        slave = self.slave
        options = {
            "stdin": slave,
            "start_new_session": True,
            "preexec_fn": lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        }
        self.recorder = bench.recorder(contract, process=options, **parameters)
        self.recorder.expect("keys: s start/stop")

    def press(self, key: str) -> int:
        """Press a key; return the place behind the output before it."""
        mark = self.recorder.mark()
        os.write(self.master, key.encode())
        return mark

    def press_until(self, key: str, pattern: str) -> None:
        """Press a key until it is taken: streams need a moment to come up."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            mark = self.press(key)
            time.sleep(0.4)
            if any(pattern in line.text for line in self.recorder.lines[mark:]):
                return
        raise AssertionError(f"'{key}' never gave '{pattern}':\n{self.recorder.output}")

    def close(self) -> None:
        """Close both ends."""
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(bench: Bench) -> Iterator[Terminal]:
    """A recorder at a terminal."""
    made = Terminal(bench, reset_time=0.3)
    yield made
    made.close()


def test_keys_work_the_recorder_and_the_terminal_is_given_back(terminal: Terminal) -> None:
    recorder = terminal.recorder
    assert termios.tcgetattr(terminal.slave) != terminal.before
    assert termios.tcgetattr(terminal.slave)[1] == terminal.before[1]  # output stays as it was
    terminal.press_until("s", "recording episode 1")
    time.sleep(0.3)
    recorder.expect("saved .*episode_0.hdf5", since=terminal.press("s"))
    for key, verdict in (("n", "failure"), ("u", "unsure"), ("y", "success")):
        recorder.expect(f"the last episode is labelled {verdict}", since=terminal.press(key))
    terminal.press_until("s", "recording episode 2")
    recorder.expect("episode discarded$", since=terminal.press("d"))
    terminal.press_until("s", "recording episode 2")
    mark = terminal.press("r")
    recorder.expect("episode discarded, it is recorded again", since=mark)
    recorder.expect("recording episode 2", since=mark)
    time.sleep(0.3)
    terminal.press("x")  # no key of ours
    recorder.expect("saved .*episode_1.hdf5", since=terminal.press("q"))
    assert recorder.wait() == 0, recorder.output
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_ctrl_c_at_the_terminal_saves_and_gives_it_back(terminal: Terminal) -> None:
    terminal.press_until("s", "recording episode 1")
    time.sleep(0.3)
    terminal.press("\x03")
    assert terminal.recorder.wait() == 0, terminal.recorder.output
    terminal.recorder.expect("saved .*episode_0.hdf5")
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_a_recorder_without_a_terminal_names_its_services(bench: Bench) -> None:
    recorder = bench.recorder(bench.contract(), process={"start_new_session": True})
    recorder.expect("no terminal for keys: use the services /recorder/start")
    recorder.send(signal.SIGTERM)
    assert recorder.wait() == 0
