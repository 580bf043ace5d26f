"""A day at one side of ALOHA that is up: teleop, record, replay, policy; and the faults that real hardware has."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("interbotix_xs_msgs")

from support import checkpoints
from support.nodes.aloha_rig import PATIENT, AlohaBench, AlohaRig
from support.nodes.client import until
from support.nodes.fake_xs_driver import HAND
from support.process import Process

from vgil_ros.core.leader_follower import ALIGN_SPEED

pytestmark = pytest.mark.robots  # a day in real time: `make test-robots`

START = [0.0, -0.96, 1.16, 0.0, -0.3, 0.0]
ASIDE = [0.4, -0.8, 1.0, 0.2, -0.2, 0.1]
OPEN = 0.8
SPEED = np.pi  # the contract's velocity limit
STILL = 0.02  # rad


class Day:
    """The rig, up, and what ran before."""

    def __init__(self, rig: AlohaRig) -> None:
        self.rig = rig
        self.node = rig.up()
        self.episode: Path | None = None

    def teleop(self) -> Process:
        """Puppets follow."""
        self.rig.hand(*START, OPEN)
        process = self.rig.bench.node("teleop", {"robot": self.rig.contract, "rate": 50.0})
        until(lambda: self.rig.phase() == "following", "teleop follows")
        return process


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    with AlohaBench(tmp_path_factory.mktemp("day")) as bench:
        yield Day(AlohaRig(bench))


def end(process: Process) -> None:
    process.send(signal.SIGINT)
    assert process.wait() == 0, process.output


def test_record_and_a_leader_cable_pulled_and_back(day: Day) -> None:
    """Found: the real driver reads -pi in every joint then, freshly stamped, and throws the follower to its stops."""
    rig = day.rig
    teleop = day.teleop()
    given = {"num_episodes": 1, "episode_len": 40, "autostart": True, "reset_time": 0.1, "keys": False}
    recorder = rig.bench.recorder(rig.contract, **given)
    rig.hand(*ASIDE, OPEN)
    recorder.wait()  # 1 where a busy machine made rows that the check calls bad
    day.episode = rig.bench.episodes / "episode_0.hdf5"
    assert day.episode.is_file(), recorder.output
    rig.until_at(ASIDE)

    rig.leader.tell("unplug")
    assert rig.still(1.5).max() < STILL, "held within a tick or two"
    teleop.expect("left: holding:.*every joint reads -3.1416: the driver has lost its servos")
    found = rig.until_status("left/master: none of its motors answers", b"\x01")
    assert "switched itself off" not in found.message, "one sentence for all of them"
    rig.hand(*START, OPEN)
    time.sleep(1.5 * np.ptp([ASIDE[0], START[0]]) / HAND)  # nobody reads when it is there
    since, began = teleop.mark(), time.monotonic()
    rig.leader.tell("plug")
    rig.until_at(START)
    teleop.expect("left: aligning", since=since)
    assert rig.seconds(began, ASIDE, START) > 0.6 * np.ptp([ASIDE[0], START[0]]) / (ALIGN_SPEED * SPEED), "slowly"
    end(teleop)


def test_replay_and_a_policy_on_the_robot_that_is_up(day: Day) -> None:
    rig = day.rig
    assert day.episode is not None, "the recording of the test before"
    replay = rig.bench.node("replay", {"robot": rig.contract, "episode": day.episode, **PATIENT})
    assert replay.wait() == 0, replay.output
    replay.expect("replayed 40 ticks")
    checkpoint = checkpoints.make(rig.contract, rig.bench.folder / "checkpoint")
    policy = rig.bench.node("policy", {"robot": rig.contract, "checkpoint": checkpoint, **PATIENT})
    statuses = rig.bench.client.status("/policy/status")
    until(lambda: statuses and statuses[-1][1].level == b"\x00", "the policy is ready")
    began = time.monotonic()
    answer = rig.bench.client.call("/policy/start")
    assert answer.success, answer.message
    until(lambda: len(rig.since(began)) and np.ptp(rig.since(began), axis=0).max() > 0.05, "it moves")

    rig.follower.tell("off shoulder")
    policy.expect("the episode ends: .*left/puppet/shoulder does not (answer|follow)")
    rig.until_status("left/puppet/shoulder does not answer, or has switched itself off", b"\x02")
    until(lambda: "saving" not in rig.bench.client.call("/policy/start").message, "the episode is saved")
    refused = rig.bench.client.call("/policy/start")
    assert not refused.success
    assert "left/puppet/shoulder does not answer" in refused.message
    policy.expect("waiting for:.*left/puppet/shoulder")
    end(policy)
    since = day.node.mark()
    assert rig.bench.client.call("/bringup/wake").success
    day.node.expect("left/puppet/shoulder .*: rebooting it", since=since)
    day.node.expect("is up, and its motors are watched", since=since)
    rig.until_at(START)


def test_a_hot_motor_holds_teleop_by_name_and_lets_go_when_it_has_cooled(day: Day) -> None:
    rig = day.rig
    teleop = day.teleop()
    rig.follower.tell("hot elbow 61")
    rig.until_status("left/puppet/elbow is at 61 C, warm from 60 on", b"\x01")
    assert rig.phase() == "following"
    rig.follower.tell("hot elbow 75")
    teleop.expect("left: holding: bringup: left/puppet/elbow is at 75 C; allowed: below 70. Let it cool")
    rig.hand(*ASIDE, OPEN)
    assert rig.still(1.0).max() < STILL
    rig.follower.tell("cool")
    rig.until_at(ASIDE)
    end(teleop)


def test_a_driver_that_was_killed_and_is_back_moves_nothing_before_it_is_brought_up(day: Day) -> None:
    rig = day.rig
    rig.hand(*START, OPEN)
    teleop = day.teleop()
    rig.follower.kill()
    rig.until_status("left/puppet: its driver does not answer", b"\x02")
    teleop.expect("left: holding|let go of")
    rig.follower = rig.drive_follower()
    rig.until_status("torque is off, as after a restart of its driver; bring the robot up again", b"\x02")
    assert rig.still(1.0).max() < STILL
    assert "gripper goal" not in rig.follower.output
    end(teleop)
    since = day.node.mark()
    assert rig.bench.client.call("/bringup/wake").success
    day.node.expect("is up, and its motors are watched", since=since)
    rig.until_at(START)
