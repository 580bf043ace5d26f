"""Whatever goes wrong while a policy drives: it holds within 250 ms, says why, and no command leaves the limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from support import contracts
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench, PolicyRig, checkpoint_for, robot

HOLD_S = 0.25
WATCH_S = 0.5  # how long it is watched that a hold lasts


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyRig]:
    folder: Path = tmp_path_factory.mktemp("policy")
    with PolicyBench(folder) as bench:
        contract = contracts.write(robot(), folder / "robot.yaml")
        yield PolicyRig(bench, contract, checkpoint_for(bench, contract, base=True))


@pytest.fixture
def running(rig: PolicyRig) -> Iterator[PolicyRig]:
    """The robot moves; afterwards it stands, all is well, and every command was within the limits."""
    rig.mode("swing")
    rig.run()
    yield rig
    rig.mode("swing")
    for stream in ("cam_a", "left/puppet", "base"):
        rig.robot.tell(f"{stream} well")
    rig.robot.tell("left/puppet at 0.0,0.0,0.06")
    rig.stop()
    assert rig.assert_allowed() > 0


def says(rig: PolicyRig, reason: str) -> bool:
    """Whether the status gives a reason."""
    return rig.status is not None and reason in rig.summary()


def assert_held(rig: PolicyRig, fault: float, since: int, *reasons: str) -> None:
    """From 250 ms after the fault on nothing moves; log and status say why."""
    assert rig.commands.assert_holds(fault + HOLD_S, WATCH_S)
    assert rig.commands.moved(fault - 2.0, fault), "it moved before"
    for reason in reasons:
        rig.policy.expect(reason, since=since)
        until(partial(says, rig, reason), f"'{reason}' in {rig.summary()}")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("cam_a stop", "stale: cam_a is"),
        ("cam_a freeze", "stale: cam_a is"),
        ("cam_a old 0.4", "stale: cam_a is"),
        ("cam_a zero", "header.stamp is zero"),
        ("cam_a size 24x32", "24x32"),
        ("left/puppet stop", "stale: left/puppet is"),
        ("left/puppet nan elbow", "is not a finite number"),
        ("left/puppet lost", r"left/puppet: every joint reads -3.1416: the driver has lost its servos"),
        ("base stop", "stale: base is"),
    ],
)
def test_a_stream_that_fails_holds_and_goes_on_when_it_is_well(running: PolicyRig, fault: str, reason: str) -> None:
    since = running.policy.mark()
    failed = running.robot.tell(fault).at
    assert_held(running, failed, since, reason)
    assert running.value("state") == "holding"
    since = running.policy.mark()
    running.robot.tell(f"{fault.split()[0]} well")
    if fault.startswith("left/puppet"):
        running.robot.tell("left/puppet at 0.0,0.0,0.06")
    running.policy.expect("holding: recovered", since=since)
    running.running()


def test_output_that_is_not_finite_holds(running: PolicyRig) -> None:
    since = running.policy.mark()
    assert_held(running, running.mode("nan").at, since, "finite: action is not finite for left/waist")
    since = running.policy.mark()
    running.mode("swing")
    running.policy.expect("holding: recovered", since=since)


@pytest.mark.parametrize("mode", ["beyond", "wild"])
def test_actions_beyond_every_limit_stay_within_them_and_are_named(running: PolicyRig, mode: str) -> None:
    since = running.policy.mark()
    running.mode(mode)
    running.policy.expect("limited: .*left/waist.* beyond the joint limits", since=since)
    until(lambda: "position" in running.limits(), "safety events are counted")
    time.sleep(2.0)
    assert running.assert_allowed() > 0
    if mode == "beyond":  # it has arrived at the limit, slowly enough, and stays there
        last = running.commands.on("/puppet/command")[-1].values
        assert last == pytest.approx([2.0, 1.0, 0.1], abs=1e-6)


def test_a_policy_that_takes_500_ms_is_held_until_it_answers(running: PolicyRig) -> None:
    since = running.policy.mark()
    running.mode("slow 0.5")
    judged = 0
    for _ in range(30):
        asked = float(running.policy.expect("^slow from", since=since).text.split()[-1])
        since = running.policy.mark()
        judged += running.commands.assert_holds(asked + HOLD_S, 0.23, until=asked + 0.48)
        if judged == 3:
            break
    assert judged, "the machine stood still in each of 30 holds: there was nothing to judge"
    assert "watchdog: the policy has been silent" in running.policy.output


def test_a_thread_that_hangs_is_held(running: PolicyRig, rig: PolicyRig) -> None:
    since = running.policy.mark()
    running.mode("slow 3")
    asked = float(running.policy.expect("^slow from", since=since).text.split()[-1])
    assert_held(running, asked, since, "watchdog: the policy has been silent")


def test_a_thread_that_dies_holds_at_once_and_the_next_start_has_a_new_one(running: PolicyRig) -> None:
    since = running.policy.mark()
    running.mode("crash")
    died = float(running.policy.expect("^crashed at", since=since).text.split()[-1])
    assert_held(running, died, since, "the inference thread has died: RuntimeError: told to crash")
    assert running.commands.assert_holds(died + 0.1, HOLD_S - 0.1)
    running.mode("swing")
    running.stop()
    running.run()


def test_the_estop_holds_ends_the_episode_and_its_release_moves_nothing(running: PolicyRig) -> None:
    since = running.policy.mark()
    assert running.estop(True).success
    pressed = time.monotonic()
    assert_held(running, pressed, since, "the e-stop is set")
    assert "e-stop set, the robot holds" in running.policy.output
    until(lambda: running.value("state") == "e-stop", "state")
    refused = running.call("start")
    assert not refused.success
    assert "e-stop is set" in refused.message
    released = time.monotonic()
    assert running.estop(False).success
    time.sleep(1.0)
    assert not running.commands.moved(running.bench.gauge.later(pressed + HOLD_S))
    until(lambda: running.value("state") == "idle", "state")
    quiet = running.bench.gauge.later(time.monotonic())
    assert quiet > released
    time.sleep(0.3)
    assert not running.commands.on("/puppet/command", since=quiet), "nothing is sent once it is released"
    running.run()


def test_stop_holds_and_lets_go(running: PolicyRig) -> None:
    since = running.policy.mark()
    assert running.call("stop").success
    stopped = time.monotonic()
    running.policy.expect("ending episode", since=since)
    running.commands.assert_holds(stopped + 0.1, 0.35, until=stopped + 0.45)
    released = running.bench.gauge.later(stopped + 0.8)
    time.sleep(0.4)
    assert not running.commands.on("/puppet/command", since=released), "it lets go of the topic"


def test_reset_holds_then_begins_anew_unless_it_is_stopped(running: PolicyRig) -> None:
    assert running.call("reset").success
    until(lambda: running.value("state") == "pause", "state")
    assert running.call("stop").message == "not starting"
    running.run()
    assert running.call("reset").success
    until(lambda: running.value("state") == "pause", "state")
    running.commands.starts.append(time.monotonic())
    running.running()


def test_the_estop_of_a_robot_that_nobody_drives_sends_nothing(rig: PolicyRig) -> None:
    """The last command of an earlier episode is no place to go back to: the robot may have been moved since."""
    rig.idle()
    rig.robot.tell("left/puppet at 1.0,0.5,0.06")
    before = time.monotonic()
    assert "was not moving" in rig.estop(True).message
    time.sleep(0.5)
    assert not rig.commands.on("/puppet/command", since=before)
    assert not rig.commands.on("/cmd_vel", since=before)
    rig.estop(False)
    rig.robot.tell("left/puppet at 0.0,0.0,0.06")
