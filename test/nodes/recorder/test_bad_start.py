"""What a recorder says before it starts at all, and when the robot is not there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sensor_msgs.msg import JointState
from support.contracts import ARM, camera, small_robot, sync, write
from support.nodes.bench import Bench
from support.nodes.rig import Rig

from vgil_ros.episodes import EpisodeReader
from vgil_ros.episodes.naming import aborted_in

Change = Callable[[dict[str, Any]], Any]

CONTRACTS: list[tuple[str, Change, str]] = [
    ("unknown_key", lambda c: c.update(rates=3), r"bad\.yaml: rates: unknown key; allowed: \['name', 'rate_hz'"),
    (
        "unknown_inner_key",
        lambda c: c["arms"][0]["limits"].update(speed=[1]),
        r"bad\.yaml: arms\[0\]\.limits\.speed: unknown key",
    ),
    ("wrong_type", lambda c: c.update(rate_hz="fast"), r"bad\.yaml: rate_hz: found 'fast'"),
    ("missing", lambda c: c.pop("arms"), r"bad\.yaml: arms: missing"),
    (
        "wrong_length",
        lambda c: c["arms"][0]["limits"].update(lower=[-1.0]),
        r"bad\.yaml: arms\[0\]: limits\.lower has 1 values; allowed: 3",
    ),
    ("wrong_method", lambda c: c["sync"].update(method="camera:none"), r"bad\.yaml: sync\.method is 'camera:none'"),
    ("no_master", lambda c: c["arms"][0].pop("master"), r"robot 'small': arm \['left'\] has no master"),
]


def assert_refused(bench: Bench, parameters: dict[str, Any], words: str) -> None:
    recorder = bench.node("recorder", {"dataset_dir": bench.episodes, **parameters})
    assert recorder.wait() == 2, recorder.output
    recorder.expect(rf"error: .*{words}")
    assert "Traceback" not in recorder.output
    assert not bench.episodes.exists()


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in CONTRACTS], ids=[case[0] for case in CONTRACTS])
def test_a_bad_contract_is_refused_by_file_and_key(bench: Bench, change: Change, words: str) -> None:
    robot = copy.deepcopy(small_robot())
    change(robot)
    assert_refused(bench, {"robot": write(robot, bench.folder / "bad.yaml")}, words)


PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"robot": "no_such_robot"}, r"robot 'no_such_robot' is unknown; allowed: \['aloha'"),
    ({"robot": "no/such.yaml"}, r"robot contract 'no/such\.yaml': no such file"),
    ({"on_interrupt": "ask"}, "parameter 'on_interrupt' is 'ask'; allowed: save, discard"),
    ({"episode_len": -1}, "parameter 'episode_len' is -1; allowed: a whole number, 0 or above"),
    ({"num_episodes": 1.5}, "parameter 'num_episodes' is 1.5; allowed: a whole number"),
    ({"image_format": "png"}, "parameter 'image_format' is 'png'; allowed: jpeg, raw"),
    ({"jpeg_quality": 0}, "parameter 'jpeg_quality' is 0; allowed: a whole number, 1 to 100"),
    ({"reset_time": -1.0}, "parameter 'reset_time' is -1.0; allowed: a number, 0 to"),
    ({"min_free_gb": -1.0}, "parameter 'min_free_gb' is -1.0; allowed: a number, 0 or above"),
    ({"note": "x" * 1001}, "parameter 'note' has 1001 letters; allowed: up to 1000"),
]


@pytest.mark.parametrize(("given", "words"), PARAMETERS, ids=[next(iter(given)) for given, _ in PARAMETERS])
def test_a_bad_parameter_is_refused(bench: Bench, given: dict[str, Any], words: str) -> None:
    assert_refused(bench, {"robot": bench.contract(), **given}, words)


@pytest.mark.parametrize("autostart", [True, False], ids=["autostart", "before_anybody_asks"])
def test_a_robot_that_is_not_there_is_named_topic_by_topic(bench: Bench, autostart: bool) -> None:
    contract = bench.contract(cameras=[camera("cam_a")])
    recorder = bench.recorder(contract, autostart=autostart)
    recorder.expect(
        f"waiting for: nothing at all on domain {bench.domain}: is the driver running, with the same ROS_DOM"
    )
    recorder.expect("waiting for: .*left/puppet: nothing received on /puppet/joint_states .no publisher.")
    recorder.expect("cam_a: nothing received on /cam_a/image_raw .no publisher.")


def test_a_topic_of_another_type_is_named(bench: Bench) -> None:
    robot = bench.folder / "robot.yaml"
    raw, compressed = camera("cam_a", topic="/cam_a"), camera("cam_a", "compressed", topic="/cam_a")
    bench.robot(write(small_robot(cameras=[raw]), robot)).expect("ready")
    recorder = bench.recorder(bench.contract(cameras=[compressed]), autostart=True)
    recorder.expect(r"cam_a: /cam_a is sensor_msgs/msg/Image; allowed: sensor_msgs/msg/CompressedImage")


def test_a_topic_with_a_typo_is_guessed_and_all_streams_are_announced(bench: Bench) -> None:
    bench.robot(bench.contract()).expect("ready")
    recorder = bench.recorder(bench.contract(cameras=[camera("cam_a", topic="/cam_a/image")]))
    recorder.expect(r"cam_a: nothing received on /cam_a/image .no publisher.; did you mean /cam_a/image_raw\?")
    recorder.close()
    recorder = bench.recorder(bench.contract(), process={"start_new_session": True})
    recorder.expect("all 3 streams are here: call /recorder/start")


def test_a_recording_begins_when_the_puppets_follow(bench: Bench) -> None:
    """The master is far from its puppet: teleop is on its way for three seconds."""
    contract = bench.contract()
    robot = bench.robot(contract)
    robot.expect("ready")
    robot.tell("left/puppet at 0.0,0.0,0.05")
    robot.tell("left/master at 1.5,0.5,0.3")
    bench.client.collect(JointState, "/puppet/command")  # as its driver would; else teleop waits
    recorder = bench.recorder(contract, autostart=True, wait_for_teleop=True)
    recorder.expect("waiting for: .*teleop: nothing heard of the node that moves the puppets")
    bench.node("teleop", {"robot": contract})
    waits = recorder.expect("waiting for: .*teleop: left is still on its way to its master; needed: every arm follows")
    assert recorder.expect("recording episode 1: episode_0.hdf5").at > waits.at
    assert "without knowing" not in recorder.output


def test_a_folder_of_another_set_up_is_not_continued_by_mistake(bench: Bench) -> None:
    first = bench.contract()
    bench.robot(first)
    assert bench.recorder(first, episode_len=3, num_episodes=1, autostart=True).wait() == 0
    slower = write(small_robot(rate_hz=20), bench.folder / "slower.yaml")
    words = f"{bench.episodes} holds episodes of another set-up: rate_hz: 20 here, 25 in episode_0.hdf5"
    rig_like = bench.recorder(slower)
    rig_like.expect(f"waiting for: .*{words}; give another dataset_dir, or continue_folder:=true")
    answer = bench.client.call("/recorder/start")
    assert not answer.success
    assert words in answer.message
    rig_like.close()
    recorder = bench.recorder(slower, episode_len=3, num_episodes=1, autostart=True, continue_folder=True)
    recorder.expect(
        "this folder's newest episode is of another set-up: rate_hz: 20 here, 25 in episode_0.hdf5; going on"
    )
    assert recorder.wait() == 0, recorder.output
    with EpisodeReader(bench.episodes / "episode_1.hdf5") as episode:
        assert episode.warnings == ("rate_hz: 20 here, 25 in episode_0.hdf5",)


def test_an_autostart_ends_after_three_aborted_episodes_in_a_row(bench: Bench) -> None:
    contract = bench.contract(sync=sync(max_hold=3))
    robot = bench.robot(contract)
    recorder = bench.recorder(contract, autostart=True, num_episodes=9, reset_time=0.0, max_aborted=2)
    since = 0
    for _ in range(2):
        recorder.expect("recording episode 1 of 9: episode_0.hdf5", since=since)
        since = recorder.mark()
        robot.tell("cam_a stop")
        recorder.expect("episode ended early: .*cam_a: silent", since=since)
        robot.tell("cam_a well")
    recorder.expect("ending: 2 episodes in a row were aborted or do not count; mend what is named above")
    recorder.expect("0 of 9 episodes were recorded; the same command goes on with the next number")
    assert recorder.wait() == 1, recorder.output
    assert [path.name for path in bench.episodes.iterdir()] == ["aborted"]
    assert len(aborted_in(bench.episodes)) == 2


def test_a_clock_that_jumps_back_ends_the_episode_and_keeps_it(bench: Bench) -> None:
    rig = Rig(bench, bench.contract(), ("--clock",), use_sim_time=True)
    rig.record(8)
    since = rig.recorder.mark()
    told = rig.robot.tell("clock back 5")
    line = rig.recorder.expect(r"clock: jumped back by [45]\.\d+ s", since=since)
    assert line.at - told.at < 1.0 + bench.gauge.stood(told.at, line.at)
    with EpisodeReader(rig.saved(since)) as episode:
        assert episode.rows >= 8
        assert episode.attrs["aborted"].startswith("clock: jumped back")
    rig.record(4)  # and the next one goes well


def test_arms_of_two_keep_the_order_of_the_contract(bench: Bench) -> None:
    other: dict[str, Any] = copy.deepcopy(ARM) | {"name": "right"}
    for key in ("puppet", "master", "command"):
        other[key] = {**other[key], "topic": f"/other{other[key]['topic']}"}
    contract = bench.contract(arms=[other, ARM], cameras=[])
    rig = Rig(bench, contract)
    rig.robot.tell("left/puppet at 0.1,0.2,0.1")
    rig.robot.tell("right/puppet at 0.3,0.4,0.02")
    rig.robot.tell("left/master at 0.5,0.6,0.0")
    rig.robot.tell("right/master at 0.7,0.8,0.5")
    rig.record(4)
    since = rig.recorder.mark()
    rig.command("stop")
    with EpisodeReader(rig.saved(since)) as episode:
        assert episode.qpos[-1].tolist() == pytest.approx([0.3, 0.4, 0.0, 0.1, 0.2, 1.0], abs=1e-6)
        assert episode.action[-1].tolist() == pytest.approx([0.7, 0.8, 1.0, 0.5, 0.6, 0.0], abs=1e-6)


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", r"bad\.yaml: not readable as YAML"),
        ("- 1", r"bad\.yaml: found list; allowed: keys and values"),
        ("name: a\nname: b\n", r"bad\.yaml: not readable as YAML: key 'name' is doubled on line 2"),
    ],
    ids=["broken", "no_mapping", "doubled_key"],
)
def test_a_text_that_is_no_contract_is_refused(bench: Bench, text: str, words: str) -> None:
    assert_refused(bench, {"robot": write_text(bench.folder / "bad.yaml", text)}, words)
