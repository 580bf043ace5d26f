"""A policy's episodes from start to end: what is sent, shown and recorded, and how the process ends."""

from __future__ import annotations

import signal
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
from support.nodes.reference import assert_documented
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from vgil_ros.core.layout import Layout
from vgil_ros.episodes import EpisodeReader

TOPIC = "/puppet/command"


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    with PolicyBench(tmp_path) as made:
        yield made


def rig_on(bench: PolicyBench, *, base: bool = True, changes: dict[str, Any] | None = None, **given: Any) -> PolicyRig:
    contract = contracts.write(robot(base=base, **(changes or {})), bench.folder / "robot.yaml")
    return PolicyRig(bench, contract, checkpoint_for(bench, contract, base=base), **given)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_holds_the_arms_and_stops_the_base(bench: PolicyBench, number: int) -> None:
    rig = rig_on(bench)
    rig.run()
    since = rig.policy.mark()
    sent = time.monotonic()
    rig.policy.send(number)
    assert rig.policy.wait() == 0, rig.policy.output
    rig.commands.wait_for_rest(4)
    last = rig.commands.on(TOPIC)
    rig.commands.assert_holds(sent + 0.25, 1.0, until=last[-1].at)
    rig.commands.assert_still(last[-4].at)
    assert any(message.values.any() for message in rig.commands.on("/cmd_vel", until=sent)), "the base was driving"
    rig.policy.expect("quitting", since=since)
    assert rig.assert_allowed() > 0


def test_a_stop_before_the_first_chunk_lets_go_of_the_robot_and_sends_nothing(bench: PolicyBench) -> None:
    rig = rig_on(bench)
    rig.mode("slow 3")
    rig.idle()
    assert rig.call("start").success
    node = bench.client.node
    until(lambda: node.count_publishers(TOPIC) == 1, "it takes the robot")
    rig.stop()
    until(lambda: not node.count_publishers(TOPIC), "it lets go of the robot")
    assert not node.count_publishers("/cmd_vel")
    assert rig.commands.all == []


def test_a_joint_that_does_not_follow_ends_the_episode_and_nothing_begins_by_itself(bench: PolicyBench) -> None:
    """The fake robot stays where it is. It is held until its command is there, and only then let go of."""
    rig = rig_on(bench, changes={"following": {}}, autostart=True, reset_time=0.1, dataset_dir=bench.episodes)
    rig.running()
    rig.mode("beyond")
    rig.policy.expect("the episode ends: left/waist does not follow: commanded to .*, measured at 0 for 1 s")
    node = bench.client.node
    until(lambda: not node.count_publishers(TOPIC), "it lets go of the robot")
    sent = rig.commands.on(TOPIC)
    assert max(message.values[0] for message in sent) > 0.3
    assert [message.values[0] for message in sent[-2:]] == pytest.approx([0.0, 0.0], abs=1e-6), "it has come there"
    until(lambda: rig.value("state") == "idle", "state")
    until(lambda: rig.status is not None and "left/waist does not follow" in rig.status.message, "the status says so")
    time.sleep(0.5)
    assert len(rig.commands.on(TOPIC)) == len(sent), "nothing begins by itself any more"
    (file,) = bench.episodes.rglob("*.aborted")
    with EpisodeReader(file) as episode:
        assert "left/waist does not follow" in str(episode.aborted)
    rig.mode("swing")
    answer = rig.call("start")
    assert answer.success, answer.message
    rig.running()
    until(lambda: rig.status is not None and "left/waist" not in rig.status.message, "the status no longer says so")


def test_an_error_in_the_control_loop_ends_the_process_with_a_hold(bench: PolicyBench) -> None:
    rig = rig_on(bench)
    rig.run()
    rig.mode("shape")
    assert rig.policy.wait() == 2, rig.policy.output
    assert "expected (horizon, action size) = (20, 5)" in rig.policy.output
    rig.commands.wait_for_rest(4)
    rig.commands.assert_still(rig.commands.on(TOPIC)[-4].at)
    assert rig.assert_allowed() > 0


def test_a_dry_run_shows_everything_and_sends_nothing(bench: PolicyBench) -> None:
    rig = rig_on(bench, dry_run=True, dataset_dir=bench.episodes)
    shown = bench.client.collect(JointTrajectory, "/policy/action_chunk")
    rig.idle()
    assert rig.call("start").success
    answer = rig.call("label_success")
    assert (answer.success, answer.message) == (
        False, "nothing to label: no episode is recorded; give dataset_dir, and no dry_run"
    )  # fmt: skip
    until(lambda: len(shown) > 4 and rig.value("state") == "running", "chunks")
    assert rig.value("dry_run") == "true"
    time.sleep(0.5)
    for key in ("rate_hz", "latency_p50_ms", "tick_p99_ms", "jitter_p50_ms", "skew_p99_ms_cam_a", "safety_events"):
        assert float(rig.value(key)) >= 0.0, f"{key}: {rig.status}"
    until(lambda: 45 < float(rig.value("rate_hz")) < 55, "50 Hz")
    assert float(rig.value("observation_age_p50_ms")) >= 0.0
    assert all(int(part.partition(":")[2]) > 0 for part in rig.value("latency_histogram").split())
    assert rig.value("checkpoint").endswith("checkpoint")
    assert rig.status is not None
    streams = ("left/puppet", "cam_a", "base")
    assert_documented([pair.key for pair in rig.status.values], "Recorder and policy", "Policy", streams=streams)
    values = {pair.key: pair.value for pair in rig.status.values}
    limits = {key: int(value) for key, value in values.items() if key.startswith("safety_events_")}
    assert sum(limits.values()) == int(values["safety_events"])
    rig.stop()
    rig.estop(True)
    time.sleep(0.3)
    rig.policy.send(signal.SIGINT)
    assert rig.policy.wait() == 0
    assert rig.commands.all == []
    assert not bench.episodes.exists(), "nothing was sent, so there is no rollout"


def test_the_chunk_shown_begins_with_the_next_command(bench: PolicyBench) -> None:
    rig = rig_on(bench, base=False, execution="open_loop", inference_period=19)
    shown = bench.client.collect(JointTrajectory, "/policy/action_chunk")
    rig.run()
    until(lambda: not set(rig.limits()) - {"soft_start"}, "following")
    time.sleep(2.0)
    rig.stop()
    sent = rig.commands.on(TOPIC)
    stamps = np.array([message.stamp for message in sent])
    checked = judged = 0
    for _, chunk in shown[3:]:
        assert chunk.joint_names == ["left/waist", "left/elbow", "left/grip"]
        assert 1 <= len(chunk.points) <= 20
        begins = chunk.header.stamp.sec * 10**9 + chunk.header.stamp.nanosec
        at = int(np.argmin(np.abs(stamps - begins)))
        if abs(stamps[at] - begins) > 15e6:
            continue  # shown as the episode ended, or while the machine stood still
        judged += 1
        if np.allclose(sent[at].values, chunk.points[0].positions, atol=1e-6):
            checked += 1
        times = [point.time_from_start.sec * 1e9 + point.time_from_start.nanosec for point in chunk.points]
        np.testing.assert_allclose(times, np.arange(len(times)) * 20e6, atol=2)
    assert judged > 3
    assert checked >= 0.7 * judged, "but for chunks that a newer one replaced in the same tick"


def test_markers_show_the_grippers_path_of_an_arm_with_a_model(bench: PolicyBench) -> None:
    joints = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper"]
    home = [0.0, -0.96, 1.16, 0.0, -0.3, 0.0, 0.04]
    arm = {
        **contracts.ARM,
        "joints": joints,
        "limits": {"lower": [-3.0] * 6 + [0.02], "upper": [3.0] * 6 + [0.06], "velocity": [3.0] * 6 + [0.1]},
        "home": home,
        "gripper": {"joint": "gripper", "puppet_range": [0.02, 0.06], "master_range": [0.02, 0.06]},
        "urdf": "vx300s.urdf",
    }
    contract = contracts.write(robot(base=False, arms=[arm]), bench.folder / "robot.yaml")
    shown = bench.client.collect(MarkerArray, "/policy/markers")
    checkpoint = checkpoint_for(bench, contract)
    rig = PolicyRig(bench, contract, checkpoint, odd=True)
    rig.run()
    until(lambda: len(shown) > 3, "markers")
    (marker,) = shown[-1][1].markers
    assert marker.header.frame_id == "world"
    assert len(marker.points) == 2
    assert 0.1 < np.linalg.norm([marker.points[0].x, marker.points[0].y, marker.points[0].z]) < 1.0


def test_the_status_says_what_start_would_answer(bench: PolicyBench) -> None:
    contract = contracts.write(robot(base=False), bench.folder / "robot.yaml")
    bench.robot(contract).expect("^ready")
    bench.module("vgil_ros.nodes.policy", {"robot": contract, "checkpoint": checkpoint_for(bench, contract)})
    statuses = bench.client.status("/policy/status")
    missing_subscribers = f"nobody listens on {TOPIC}"
    until(lambda: statuses and missing_subscribers in statuses[-1][1].message, "the status says so")
    assert statuses[-1][1].level != b"\x00"
    answer = bench.client.call("/policy/start")
    assert not answer.success
    assert missing_subscribers in answer.message
    bench.listen(contract)
    until(lambda: statuses[-1][1].level == b"\x00", "the status is well")
    assert bench.client.call("/policy/start").success


@pytest.mark.parametrize("execution", ["temporal_ensemble", "open_loop", "async"])
def test_every_execution_drives_arms_and_base_with_a_real_network(bench: PolicyBench, execution: str) -> None:
    rig = rig_on(bench, execution=execution, odd=False)
    rig.idle()
    assert rig.call("start").success
    until(lambda: len(rig.commands.on(TOPIC)) > 100, "commands")
    assert rig.commands.moved(0.0)
    assert any(message.values.any() for message in rig.commands.on("/cmd_vel"))
    rig.stop()
    assert rig.assert_allowed() > 200


def test_episodes_of_a_length_end_with_exit_0_and_hold_what_was_sent(bench: PolicyBench) -> None:
    began = time.monotonic()
    rig = rig_on(
        bench, autostart=True, num_episodes=2, episode_len=60, reset_time=0.2, dataset_dir=bench.episodes, task="wave",
        operator="Ada",
    )  # fmt: skip
    rig.running()
    answer = rig.call("label_failure")
    assert answer.success, answer.message
    assert rig.policy.wait() == 0, rig.policy.output
    files = sorted(bench.episodes.glob("*.hdf5"))
    assert [file.name for file in files] == ["episode_0.hdf5", "episode_1.hdf5"]
    rig.commands.wait_for_rest(4)
    layout = Layout(rig.commands.contract)
    sent = rig.commands.on(TOPIC)
    stamps = np.array([message.stamp for message in sent])
    missed = 50 * bench.gauge.stood(began)  # ticks
    labels: list[tuple[str | None, bool | None]] = []
    for file in files:
        with EpisodeReader(file) as episode:
            others = 0
            assert episode.rows == 60, "a length that was asked for is the length that is written"
            assert (episode.task, episode.attrs["operator"]) == ("wave", "Ada")
            labels.append((episode.attrs.get("label"), episode.success))
            rows = np.asarray(episode.file["sync/stamp_ns"])[: episode.rows]
            for stamp, action in zip(rows, np.asarray(episode.action), strict=True):
                near = np.flatnonzero(np.abs(stamps - stamp) < 15e6)
                raw = layout.commands(action)[0]
                others += not any(np.allclose(sent[i].values, raw, atol=1e-6) for i in near)
            assert others <= missed, "each action is what was sent at its stamp"
    assert sorted(labels, key=str) == [("failure", False), (None, None)], "the one that was running"


def test_a_policy_that_marks_the_end_stops_by_itself(bench: PolicyBench) -> None:
    given = {"dataset_dir": bench.episodes, "takeover": True}
    rig = rig_on(bench, base=False, changes={"end_marker": {"rows": 5}}, **given)
    rig.run()
    since = rig.policy.mark()
    rig.mode("marker")
    done = rig.policy.expect("the policy says that the task is done", since=since).at
    until(lambda: rig.value("state") == "idle", "state")
    assert rig.policy.output.count("the policy says that the task is done") == 1
    rig.commands.assert_holds(done + 0.05, 0.4, until=done + 0.45)
    assert rig.assert_allowed() > 0
    with EpisodeReader(next(bench.episodes.glob("*.hdf5"))) as episode:
        said, wanted = episode.action[:, -1], episode.policy_action
    assert wanted is not None
    assert said[0] == 0.0
    assert said[-1] > 0.5, "recorded as the policy said it: averaged, as its joints are"
    np.testing.assert_array_equal(wanted[:, -1], said)


def test_the_estop_ends_autostart(bench: PolicyBench) -> None:
    rig = rig_on(bench, autostart=True, reset_time=0.2)
    rig.running()
    rig.estop(True)
    pressed = time.monotonic()
    until(lambda: rig.value("state") == "e-stop", "state")
    time.sleep(1.0)
    rig.estop(False)
    time.sleep(1.5)
    assert not rig.commands.moved(bench.gauge.later(pressed + 0.25)), (
        "release moves nothing, though it began by itself before"
    )
    rig.run()
    rig.estop(True)
    answer = rig.bench.client.call("/policy/reset")
    assert not answer.success
    assert "nothing begins again while the e-stop is set" in answer.message
    pressed = time.monotonic()
    rig.estop(False)
    time.sleep(1.0)
    assert not rig.commands.moved(bench.gauge.later(pressed + 0.25)), "nor after a reset that came in between"


def test_a_clock_that_jumps_back_ends_the_episode(bench: PolicyBench) -> None:
    rig = rig_on(bench, clock=True)
    rig.run()
    since = rig.policy.mark()
    jumped = rig.robot.tell("clock back 5").at
    rig.policy.expect("jumped back by", since=since)
    rig.commands.assert_holds(jumped + 0.25, 0.25, until=jumped + 0.5)
    rig.idle()
    assert rig.assert_allowed() > 0
