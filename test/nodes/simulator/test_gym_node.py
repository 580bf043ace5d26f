"""The node `sim` on a Gymnasium environment: puppets, camera, clock, reward, reset; and a policy on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("gymnasium")

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Empty, Float32
from support import checkpoints
from support.nodes.bench import Bench
from support.nodes.client import until
from support.robots.reach import GOAL, TASK, write_package

from vgil_ros.assets import load_contract
from vgil_ros.evaluation.seeds import FIRST_UNSEEN

JOINTS = load_contract("gym_aloha")[0].arms[0].joints


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench") as bench:
        (tmp_path / "bench").mkdir(exist_ok=True)
        path = bench.environment["PYTHONPATH"]
        bench.environment["PYTHONPATH"] = f"{write_package(tmp_path / 'package')}:{path}"
        yield bench


class Peer:
    """What the simulator says, and a hand on its left arm."""

    def __init__(self, bench: Bench) -> None:
        client = bench.client
        self.states = client.collect(JointState, "/puppet_left/joint_states")
        self.images = client.collect(Image, "/top/image_raw")
        self.clock = client.collect(Clock, "/clock")
        self.reward = client.collect(Float32, "/sim/reward")
        self.success = client.collect(Bool, "/sim/success")
        self.resets = client.collect(Empty, "/sim/was_reset")
        self._out = client.node.create_publisher(JointState, "/puppet_left/command", 10)

    def send(self, waist: float) -> None:
        position = [waist, *[0.0] * (len(JOINTS) - 1)]
        self._out.publish(JointState(name=list(JOINTS), position=position))

    @property
    def waist(self) -> float:
        message = self.states[-1][1]
        return float(message.position[list(message.name).index(JOINTS[0])])

    def sent_until(self, waist: float, condition: Any, what: str) -> None:
        """Send again and again: right after a reset, commands are of the scene before."""

        def sent() -> bool:
            self.send(waist)
            return bool(condition())

        until(sent, what)


def test_an_environment_is_a_robot_on_topics(bench: Bench) -> None:
    peer = Peer(bench)
    given = {"robot": "gym_aloha", "task": TASK, "operator": False, "sim_time": True, "rest": 0.1}
    sim = bench.node("sim", given)
    sim.expect(f"gym_aloha: task '{TASK}', seed 0, no operator")
    until(lambda: len(peer.images) > 2 and len(peer.states) > 4, "states and images")
    began = peer.waist
    assert -0.1 <= began <= 0.0
    image = peer.images[-1][1]
    assert (image.height, image.width, image.encoding) == (240, 320, "rgb8")
    stamps = [message.clock.sec * 10**9 + message.clock.nanosec for _, message in peer.clock]
    assert np.diff(stamps).tolist() == [10_000_000] * (len(stamps) - 1), "the joint rate's periods, none left out"
    peer.sent_until(GOAL - 0.1, lambda: peer.waist > GOAL - 0.11, "the waist has come")
    assert not peer.success[-1][1].data
    assert peer.reward[-1][1].data == 1.0
    brightness = np.frombuffer(peer.images[-1][1].data, np.uint8).mean()
    assert brightness > 130, "the camera sees where the arm is"

    mark = sim.mark()
    peer.sent_until(GOAL + 0.3, lambda: peer.success[-1][1].data, "done")
    assert peer.reward[-1][1].data == 4.0
    sim.expect(f"the episode of '{TASK}' is over and nothing moves; the next one needs /sim/reset", since=mark)
    at = peer.waist
    count = len(peer.states)
    until(lambda: len(peer.states) > count + 20, "more states")
    assert peer.waist == at, "what is over stands"

    answer = bench.client.call("/sim/reset")
    assert (answer.success, answer.message) == (True, "seed 1")
    until(lambda: peer.resets and peer.waist <= 0.0, "it begins anew")
    sim.expect("over: recovered", since=mark)
    until(lambda: not peer.success[-1][1].data, "and is not done")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("reach_world/Rech-v0", f"allowed: ['{TASK}']"),
        ("./reach_world.py", "task './reach_world.py' is no Gymnasium environment; allowed: PACKAGE/ENVIRONMENT"),
        ("/Reach-v0", "task '/Reach-v0' is no Gymnasium environment"),
    ],
)
def test_an_environment_that_is_not_there_is_named(bench: Bench, task: str, words: str) -> None:
    sim = bench.node("sim", {"robot": "gym_aloha", "task": task, "operator": False})
    assert sim.wait() == 2, sim.output
    assert words in sim.output
    assert "Traceback" not in sim.output


def test_who_leads_without_a_scripted_operator_is_told(bench: Bench) -> None:
    sim = bench.node("sim", {"robot": "gym_aloha", "task": TASK})
    assert sim.wait() == 2, sim.output
    assert f"task '{TASK}' has no scripted operator; allowed: an entry point of vgil_ros.operators with" in sim.output


def test_a_policy_is_evaluated_on_it_through_the_nodes(bench: Bench, tmp_path: Path) -> None:
    """And recorded by the recorder's own writer."""
    checkpoint = checkpoints.make("gym_aloha", tmp_path / "tiny")
    command = [sys.executable, "-m", "vgil_ros.cli.main", "eval", "--checkpoint", str(checkpoint), "--task", TASK]
    command += ["--episodes", "2", "--episode-len", "60", "--over-ros", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, env=bench.environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "report.json").read_text())["rollouts"]
    assert [row["seed"] for row in rows] == [FIRST_UNSEEN, FIRST_UNSEEN + 1]
    assert all(row["steps"] >= 50 for row in rows)
