"""Takeover over real nodes: the simulator's scripted operator corrects a policy, and hands back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from support import contracts
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench, PolicyRig, checkpoint_for, robot

from vgil_ros.core.control.takeover import Actor
from vgil_ros.episodes import EpisodeReader

TOPIC = "/puppet/command"
SLACK = 1e-6


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    with PolicyBench(tmp_path) as made:
        yield made


def rig_on(bench: PolicyBench, **given: Any) -> PolicyRig:
    contract = contracts.write(robot(joystick={"topic": "/joy", "takeover": 2}), bench.folder / "robot.yaml")
    checkpoint = checkpoint_for(bench, contract, base=True)
    return PolicyRig(bench, contract, checkpoint, takeover=True, **given)


def actor(rig: PolicyRig, who: Actor) -> None:
    until(lambda: rig.value("actor") == who.words, f"the arms are with {who.words}: {rig.summary()}")


def test_a_takeover_and_a_hand_back_are_recorded_and_no_command_is_a_step(bench: PolicyBench) -> None:
    rig = rig_on(bench, dataset_dir=bench.episodes)
    assert not rig.call("takeover").success, "no episode runs"
    rig.robot.tell("left/puppet obey")
    rig.robot.tell("left/master at 0.8,-0.5,0.05")
    rig.run()
    assert rig.value("actor") == "policy"
    assert rig.value("master_left") == "heard"
    answer = rig.call("takeover")
    assert answer.success, answer.message
    assert not rig.call("takeover").success
    actor(rig, Actor.HUMAN)
    until(lambda: abs(rig.commands.on(TOPIC)[-1].values[0] - 0.8) < 1e-3, "it is where the master is")
    rig.robot.tell("left/master at 0.3,0.2,0.4")
    until(lambda: np.abs(rig.commands.on(TOPIC)[-1].values[:2] - np.array([0.3, 0.2])).max() < 1e-3, "it follows")
    assert rig.call("hand_back").success
    assert not rig.call("hand_back").success
    actor(rig, Actor.POLICY)
    time.sleep(0.3)
    rig.stop()
    assert rig.assert_allowed() > 100, "no step above the velocity limits, in all commands as they came"
    saved = next(bench.episodes.glob("*.hdf5"))
    with EpisodeReader(saved) as episode:
        actors, human, wanted = episode.actor, episode.human_action, episode.policy_action
        intervention, action = episode.intervention, episode.action
    assert actors is not None
    assert human is not None
    assert wanted is not None
    changes = actors[np.flatnonzero(np.diff(actors, prepend=9))]
    assert changes.tolist() == [0, 1, 2, 3, 0], "one attempt, one episode"
    led = actors == Actor.HUMAN
    assert (intervention == led).all()
    assert np.isfinite(human[led]).all()
    assert np.isfinite(wanted[led]).all(), "the policy watches"
    assert np.abs(action[led] - human[led])[-1, :2].max() < 0.05, "the human's action is what is executed"
    assert np.abs(wanted[led] - human[led]).max() > 0.2, "and wants something else"


def test_a_silent_master_holds_and_the_e_stop_wins(bench: PolicyBench) -> None:
    rig = rig_on(bench)
    rig.robot.tell("left/master at 0.5,0.0,0.05")
    rig.run()
    assert rig.call("takeover").success
    actor(rig, Actor.HUMAN)
    rig.robot.tell("left/master stop")
    rig.policy.expect("holding: left: its master is silent for")
    actor(rig, Actor.ALIGNING)
    rig.commands.assert_holds(time.monotonic() + 0.1, 0.4)
    rig.robot.tell("left/master go")
    rig.policy.expect("master: recovered")
    actor(rig, Actor.HUMAN)
    assert rig.estop(True).success
    until(lambda: rig.value("state") == "e-stop", "e-stop")
    assert not rig.call("hand_back").success
    assert rig.estop(False).success
    rig.assert_allowed()


def test_a_joystick_s_button_takes_over_and_hands_back_by_turns(bench: PolicyBench) -> None:
    rig = rig_on(bench)
    rig.robot.tell("left/master at 0.1,0.0,0.05")
    rig.run()
    rig.robot.tell("joy 0,0,1")
    actor(rig, Actor.HUMAN)
    rig.robot.tell("joy 0,0,1")  # held down: one press
    rig.robot.tell("joy 0,0,0")
    assert rig.value("actor") == "human"
    rig.robot.tell("joy 0,0,1")
    actor(rig, Actor.POLICY)
    assert rig.value("takeovers") == "1"


def test_a_closed_gripper_takes_over_where_that_is_wanted(bench: PolicyBench) -> None:
    rig = rig_on(bench, takeover_gripper=True)
    rig.robot.tell("left/master at 0.0,0.0,0.5")
    rig.run()
    rig.robot.tell("left/master at 0.0,0.0,0.0")
    actor(rig, Actor.HUMAN)
    rig.stop()
    assert rig.value("actor") == "policy", "an episode that ended is nobody's"


def test_a_policy_that_draws_is_played_in_rtc_too(bench: PolicyBench) -> None:
    """A request that carries what is settled has one chunk, and draws are of those that carry nothing."""
    contract = contracts.write(robot(), bench.folder / "robot.yaml")
    checkpoint = checkpoint_for(bench, contract, base=True, kind="flow_matching")
    given = {"execution": "rtc", "inference_period": 4, "watchdog_ms": 5000.0}
    rig = PolicyRig(bench, contract, checkpoint, takeover=True, odd=False, **given)
    rig.policy.expect("execution rtc: a request carries what is settled, and has one chunk")
    rig.robot.tell("left/puppet obey")
    rig.robot.tell("left/master at 0.1,0.0,0.05")
    rig.run()
    begun = rig.policy.mark()
    time.sleep(2.0)
    rig.running()
    until(lambda: rig.value("disagreement") == "", f"none is known: {rig.value('disagreement')}")
    assert rig.call("takeover").success
    actor(rig, Actor.HUMAN)
    until(lambda: rig.value("disagreement") != "", "while the human leads, chunks are drawn")
    assert rig.call("hand_back").success
    actor(rig, Actor.POLICY)
    rig.stop()
    assert not [line.text for line in rig.policy.lines[begun:] if "no chunk: " in line.text], "each has an answer"
    rig.assert_allowed()
