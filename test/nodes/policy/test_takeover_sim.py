"""Takeover in the simulator: its scripted operator corrects the shipped policy, and hands back. Nodes as launched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")
pytest.importorskip("mujoco")

from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.command_log import Commands
from support.process import Process

from vgil_ros.assets import contract_path, load_contract
from vgil_ros.core.control.takeover import Actor
from vgil_ros.episodes import EpisodeReader

ROBOT = "sim_single"


def test_the_operator_corrects_and_hands_back_without_a_step(bench: Bench) -> None:
    contract = contract_path(ROBOT)
    listener = bench.start(Process, ["support.nodes.command_listener", str(contract)])
    listener.expect("^listening")
    commands = Commands(listener, contract, bench.gauge)
    bench.node("sim", {"robot": ROBOT, "task": "pick_place", "seed": 20000, "operator": True, "sim_time": True})
    given = {"robot": ROBOT, "task": "pick_place", "checkpoint": "sim_pick_place_act", "takeover": True}
    given |= {"dataset_dir": bench.episodes, "use_sim_time": True, "watchdog_ms": 5000.0, "max_age_ms": 1000.0}
    given |= {"execution": "async", "inference_period": 10, "reset_service": "sim/reset"}
    policy = bench.node("policy", given)
    statuses = bench.client.status("/policy/status")

    def value(key: str) -> str:
        return next((pair.value for pair in statuses[-1][1].values if pair.key == key), "") if statuses else ""

    def call(name: str) -> None:
        answer = bench.client.call(name)
        assert answer.success, answer.message

    def handed(who: Actor) -> None:
        until(lambda: value("actor") == who.words, f"{who.words}: {value('state')} {policy.output[-2000:]}")

    def rows() -> int:
        return sum(1 for entry in commands.on("/puppet/command"))

    until(lambda: value("state") == "idle" and statuses[-1][1].level == b"\x00", "the nodes are there")
    call("/policy/start")
    until(lambda: rows() > 40, "the policy moves the robot")
    call("/policy/takeover")
    call("/sim/correct")
    handed(Actor.HUMAN)
    led = rows()
    until(lambda: rows() > led + 100, "the operator leads")
    call("/policy/hand_back")
    handed(Actor.POLICY)
    back = rows()
    until(lambda: rows() > back + 30, "the policy goes on")
    call("/policy/stop")
    until(lambda: value("state") == "idle", "saved")

    home = load_contract(ROBOT)[0].arms[0].home
    assert commands.assert_allowed({"arm": list(home)}) > 200, "no step above the velocity limits"
    with EpisodeReader(next(bench.episodes.glob("*.hdf5"))) as episode:
        assert episode.actor is not None
        assert episode.policy_action is not None
        assert episode.human_action is not None
        actors, policy_action, human_action = episode.actor, episode.policy_action, episode.human_action
        action, velocity = episode.action, np.array([np.pi] * 6 + [1.0 / (0.057 - 0.021)])
    assert actors[np.flatnonzero(np.diff(actors.astype(int), prepend=-1))].tolist() == [0, 1, 2, 3, 0]
    assert np.isfinite(human_action[actors != Actor.POLICY]).all()
    assert np.isfinite(policy_action[actors == Actor.HUMAN]).all()
    assert (np.abs(np.diff(action, axis=0)) <= velocity / 50 + 1e-5).all()
    led_rows = actors == Actor.HUMAN
    assert np.abs(action - human_action)[led_rows].mean() < 0.02, "what the human wanted is what was done"


def test_grippers_that_jog_moves_cannot_take_over(bench: Bench) -> None:
    """They copy the puppets': the policy's own grasp would be a takeover."""
    given: dict[str, Any] = {"robot": ROBOT, "task": "pick_place"}
    bench.node("sim", {**given, "operator": False})
    jog = bench.node("jog", {"robot": ROBOT, "device": "topic"})
    jog.expect("arm: led from where it is")
    given |= {"checkpoint": "sim_pick_place_act", "takeover": True, "takeover_gripper": True}
    policy = bench.node("policy", given)
    statuses = bench.client.status("/policy/status")
    words = "takeover_gripper: the master of arm is /jog's, whose gripper copies the puppet's"
    policy.expect(words)
    until(lambda: statuses and words in statuses[-1][1].message, "the status says so")
    answer = bench.client.call("/policy/start")
    assert not answer.success
    assert words in answer.message
    jog.close()
    until(lambda: words not in statuses[-1][1].message, "nothing stands against it any more")
