"""`vgil robot`: out of a cradle outside the limits, home, to sleep, held; go or no-go. The fake robot obeys."""

from __future__ import annotations

import copy
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.process import Process

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState
from support.contracts import ARM
from support.nodes.bench import Bench, FakeRobot
from support.nodes.client import until

CRADLE = [0.2, 1.3, 0.05]  # the elbow's limit is 1.0
HOME, SLEEP = [0.0, 0.3, 0.1], [0.4, 0.95, 0.1]
SPEED = 0.15
PATIENT_S = 10  # a busy machine finds its peers late


class Stage:
    """A robot in its cradle, and what it is commanded."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        arm: dict[str, Any] = {**copy.deepcopy(ARM), "home": HOME, "sleep": SLEEP}
        self.contract: Path = bench.contract(arms=[arm], cameras=[], following={})
        self.commands = bench.client.collect(JointState, "/puppet/command")
        self.states = bench.client.collect(JointState, "/puppet/joint_states")
        self.robot: FakeRobot = bench.robot(self.contract)
        self.robot.expect("ready")
        self.robot.tell(f"left/puppet at {','.join(map(str, CRADLE))}")
        self.robot.tell("left/master at 0.2,0.9,0.3")
        until(lambda: self.at(CRADLE), "the cradle")
        self.began = len(self.states)
        self.robot.tell("left/puppet obey")

    def vgil(self, *words: object) -> Process:
        return self.bench.start(Process, ["vgil_ros.cli.main", "robot", *map(str, words)])

    def at(self, pose: list[float]) -> bool:
        return bool(self.states) and np.allclose(self.states[-1][1].position, pose, atol=1e-3)

    def sent(self, share: float = SPEED) -> np.ndarray:
        """(N, 3) the commands so far; neither they nor the robot were faster than a share of the velocity limits.

        Of a node that has just begun the robot may hear more than this: there the robot says how fast it was.
        """
        sent, was = [message for _, message in self.commands], [message for _, message in self.states[self.began :]]
        assert len(sent) > 1
        for messages, late in ((sent, 0), (was, 1)):
            stamps = [message.header.stamp.sec + message.header.stamp.nanosec / 1e9 for message in messages]
            rows = np.array([message.position for message in messages])
            ticks = np.maximum(np.round(np.diff(stamps) / 0.04), 1) + late
            ways = np.abs(np.diff(rows[:, :2], axis=0)) / ticks[:, None]
            assert ways.max() <= share * 2.0 * 0.04 + 1e-6, "a tick's way at a share of the velocity limit"
        return np.array([message.position for message in sent])


@pytest.fixture
def stage(bench: Bench) -> Stage:
    return Stage(bench)


def test_out_of_the_cradle_home_to_sleep_and_held(stage: Stage) -> None:
    process = stage.vgil("home", stage.contract)
    assert process.wait() == 0, process.output
    assert stage.at(HOME)
    rows = stage.sent()
    assert (np.diff(rows[:, 1]) <= 1e-9).all(), "inward, and no way back"
    process = stage.vgil("sleep", stage.contract)
    assert process.wait() == 0, process.output
    assert stage.at(SLEEP)
    stage.sent()
    held, count = stage.vgil("hold", stage.contract), len(stage.commands)
    held.expect("'hold', until Ctrl-C")
    until(lambda: len(stage.commands) > count + 20, "holds")
    np.testing.assert_allclose(stage.sent()[count:], np.tile(SLEEP, (len(stage.commands) - count, 1)), atol=1e-3)
    held.send(signal.SIGINT)
    held.wait()


def test_a_joint_that_does_not_come_ends_it_by_name(stage: Stage) -> None:
    stage.robot.tell("left/puppet obey elbow")
    process = stage.vgil("home", stage.contract)
    assert process.wait() == 1, process.output
    process.expect("not at 'home': left/elbow does not follow: commanded to .*, measured at 1.3 for 1 s")
    stage.sent(share=0.2)  # as the pull on it is let go


def test_check_says_go_and_what_to_know_of_and_no_go_and_why(stage: Stage, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = stage.vgil("check", stage.contract, "--json", report, "--seconds", PATIENT_S)
    assert process.wait() == 0, process.output
    process.expect(r"left/pose +look +left/elbow at 1.3, outside -1 to 1: the first commands move it inward slowly")
    process.expect(r"left/mapping +look +left/elbow: master at 0.9, puppet at 1.3; teleop aligns them slowly first")
    process.expect(r"left/puppet +ok +1?\d\d Hz, 3 joints")
    process.expect("^GO, and 3 to know of")
    assert json.loads(report.read_text())["go"] is True
    assert not stage.commands, "nothing moves"
    stage.robot.tell("left/master lost")
    stage.robot.tell("left/puppet stop")
    process = stage.vgil("check", stage.contract, "--seconds", PATIENT_S)
    assert process.wait() == 1, process.output
    process.expect(r"left/master +no +every joint reads -3.1416: the driver has lost its servos")
    process.expect("^NO-GO: 2 things to mend")


def test_a_robot_whose_time_is_simulated_is_judged_and_moved_by_that_time(bench: Bench) -> None:
    arm: dict[str, Any] = {**copy.deepcopy(ARM), "home": HOME}
    contract = bench.contract(arms=[arm], cameras=[], following={})
    robot = bench.robot(contract, "--clock")
    robot.expect("ready")
    robot.tell("clock back 1000")
    robot.tell("left/puppet at 0.0,0.1,0.1")
    robot.tell("left/master at 0.0,0.1,0.5")
    robot.tell("left/puppet obey")
    check = bench.start(Process, ["vgil_ros.cli.main", "robot", "check", str(contract), "--seconds", str(PATIENT_S)])
    assert check.wait() == 0, check.output
    check.expect(r"left/puppet +ok +1?\d\d Hz, 3 joints")
    check.expect(r"left/master +ok +1?\d\d Hz, 3 joints")
    states = bench.client.collect(JointState, "/puppet/joint_states")
    home = bench.start(Process, ["vgil_ros.cli.main", "robot", "home", str(contract), "--sim-time"])
    assert home.wait() == 0, home.output
    until(lambda: states and np.allclose(states[-1][1].position, HOME, atol=1e-3), "home")


def test_a_robot_in_a_namespace_whose_driver_follows_its_master_goes(bench: Bench) -> None:
    arm = copy.deepcopy(ARM)
    arm["command"]["topic"] = arm["master"]["topic"]
    text = bench.contract(arms=[arm], cameras=[]).read_text()
    (bench.folder / "r2.yaml").write_text(text.replace("topic: /", "topic: /r2/"))
    robot = bench.robot(bench.folder / "r2.yaml")
    robot.expect("ready")
    robot.tell("left/puppet at 0.0,0.1,0.1")
    robot.tell("left/master at 0.0,0.1,0.5")
    relative = bench.folder / "relative.yaml"
    relative.write_text(text.replace("topic: /", "topic: "))
    words = ["vgil_ros.cli.main", "robot", "check", str(relative), "--seconds", str(PATIENT_S)]
    check = bench.start(Process, [*words, "--namespace", "r2", "--domain-id", str(bench.domain)])
    assert check.wait() == 0, check.output
    check.expect("^GO")
