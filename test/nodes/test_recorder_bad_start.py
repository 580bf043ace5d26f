"""What a recorder says before it starts at all, and when the robot is not there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench
from support.contracts import ARM, camera, small_robot, write
from support.rig import Rig

from vgil_ros.episodes import EpisodeReader

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


def check_refused(bench: Bench, parameters: dict[str, Any], words: str) -> None:
    recorder = bench.node("recorder", {"dataset_dir": bench.episodes, **parameters})
    assert recorder.wait() == 2, recorder.output
    recorder.expect(rf"error: .*{words}")
    assert "Traceback" not in recorder.output
    assert not bench.episodes.exists()


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in CONTRACTS], ids=[case[0] for case in CONTRACTS])
def test_a_bad_contract_is_refused_by_file_and_key(bench: Bench, change: Change, words: str) -> None:
    robot = copy.deepcopy(small_robot())
    change(robot)
    check_refused(bench, {"robot": write(robot, bench.folder / "bad.yaml")}, words)


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
]


@pytest.mark.parametrize(("given", "words"), PARAMETERS, ids=[next(iter(given)) for given, _ in PARAMETERS])
def test_a_bad_parameter_is_refused(bench: Bench, given: dict[str, Any], words: str) -> None:
    check_refused(bench, {"robot": bench.contract(), **given}, words)


def test_a_robot_that_is_not_there_is_named_topic_by_topic(bench: Bench) -> None:
    contract = bench.contract(cameras=[camera("cam_a")])
    recorder = bench.recorder(contract, autostart=True)
    recorder.expect("waiting for: .*left/puppet: nothing received on /puppet/joint_states .no publisher.")
    recorder.expect("cam_a: nothing received on /cam_a/image_raw .no publisher.")


def test_a_topic_of_another_type_is_named(bench: Bench) -> None:
    robot = bench.folder / "robot.yaml"
    raw, compressed = camera("cam_a", topic="/cam_a"), camera("cam_a", "compressed", topic="/cam_a")
    bench.robot(write(small_robot(cameras=[raw]), robot)).expect("ready")
    recorder = bench.recorder(bench.contract(cameras=[compressed]), autostart=True)
    recorder.expect(r"cam_a: /cam_a is sensor_msgs/msg/Image; allowed: sensor_msgs/msg/CompressedImage")


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
    other = copy.deepcopy(ARM) | {"name": "right"}
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
    check_refused(bench, {"robot": write_text(bench.folder / "bad.yaml", text)}, words)
