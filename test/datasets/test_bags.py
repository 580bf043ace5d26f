"""Bags to episodes: of our own raw log the very rows of the recording, of any other what a recorder would have written,
and what is wrong with a bag is named."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap")

from support import contracts
from support.bags import messages as made
from support.bags.live import LiveRecorder, differences
from support.bags.messages import CAMERA, MASTER, MS, PUPPET, START, Sent
from support.bags.written import mcap, rosbag2
from support.paths import TESTS, process_environment
from typer.testing import CliRunner

from vgil_ros.assets import load_contract
from vgil_ros.cli.main import app
from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.bags.from_bag import BagSettings, FromBag, from_bag
from vgil_ros.datasets.bags.topics import parse_renames
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.episodes import EpisodeReader, naming
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.raw_log import log_file
from vgil_ros.episodes.raw_log.recovery import finish_log

SECOND = 1_000_000_000
BLOCKER = TESTS / "support" / "missing"
RATE = 25


def contract(folder: Path, **changes: Any) -> Path:
    """A small robot's contract: one arm, its master, a camera, 25 Hz."""
    robot = contracts.small_robot(**changes)
    return contracts.write(robot, folder / "small.yaml")


def settings(folder: Path, robot: Path | None, **more: Any) -> BagSettings:
    return BagSettings(folder / "out", load_contract(str(robot)) if robot else None, **more)


def stamps_of(episode: EpisodeReader) -> np.ndarray:
    """(T,) ns."""
    assert episode.stamp_ns is not None
    return episode.stamp_ns


def rows(done: FromBag) -> dict[str, Any]:
    with EpisodeReader(done.end.path) as episode:
        return {
            "qpos": episode.qpos,
            "action": episode.action,
            "stamp_ns": stamps_of(episode),
            "attrs": dict(episode.attrs),
            "images": [episode.image("cam_a", row) for row in range(episode.rows)],
        }


def expect_lines(found: dict[str, Any]) -> None:
    """Joints are where straight lines have them at each tick, and images the nearest, JPEG's losses aside."""
    stamps = found["stamp_ns"]
    assert np.diff(stamps).tolist() == [SECOND // RATE] * (len(stamps) - 1)
    for row, stamp in enumerate(stamps):
        waist, elbow, _ = made.position(int(stamp))
        assert found["qpos"][row, :2] == pytest.approx([waist, elbow], abs=1e-6)
        assert found["action"][row, :2] == pytest.approx([waist, elbow], abs=1e-6)
        assert found["images"][row].shape == (contracts.HEIGHT, contracts.WIDTH, 3)


# ---- our own raw logs


def shaken(seed: int, sent: Sequence[Sent]) -> list[Sent]:
    """Late, lost and doubled messages, a joint that jumps for a while, a camera that freezes."""
    shuffled, out = random.Random(seed), []
    for one in sent:
        if shuffled.random() < 0.04:
            continue
        late = replace(one, arrival_ns=one.arrival_ns + shuffled.randrange(0, 25 * MS))
        out += [late] if shuffled.random() < 0.98 else [late, late]
    for at in (450, 1200):  # refused by the guard: before the beginning, and after it
        stamps = range(START + at * MS, START + (at + 130) * MS, 10 * MS)
        out += [Sent(stamp + 3 * MS, PUPPET, made.joints(stamp + 1, at=[1.9, -0.9, 0.05])) for stamp in stamps]
    stamps = range(START + 380 * MS, START + 800 * MS, 35 * MS)
    out += [Sent(stamp + 4 * MS, CAMERA, made.image(stamp, 7)) for stamp in stamps]
    return sorted(out, key=lambda one: one.arrival_ns)


SYNC: dict[str, dict[str, Any]] = {
    "clock": {"method": "clock"},
    "drop": {"method": "clock", "on_miss": "drop", "tolerance_ms": 12.0},
    "abort": {"method": "clock", "max_hold": 0, "tolerance_ms": 15.0},
    "latest": {"method": "latest"},
    "min_stamp": {"method": "min_stamp", "on_miss": "drop"},
    "camera": {"method": "camera:cam_a", "on_miss": "drop"},
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("sync", list(SYNC))
def test_a_raw_log_gives_the_rows_of_the_live_recording_bit_by_bit(tmp_path: Path, sync: str, seed: int) -> None:
    how = contracts.sync(max_hold=6) | {"max_wait_ms": 60, "frozen_ms": 200} | SYNC[sync]
    shuffled = random.Random(seed)
    steps = [START + k * 10 * MS + shuffled.randrange(0, 9 * MS) for k in range(260)]
    robot = contract(tmp_path, sync=how)
    recorder = LiveRecorder(robot, tmp_path / "live", lose=lambda tick: tick % 17 == 0)
    live = recorder.record(shaken(seed, made.robot(2.6)), START + 520 * MS, START + 2300 * MS, steps)
    assert live is not None, "at least one row"
    done = from_bag(naming.log_of(live.path), settings(tmp_path, None))
    assert done.replayed
    assert done.notes == ()
    assert differences(live.path, done.end.path) == []
    assert done.end.aborted == live.aborted
    assert done.whole == (live.aborted is None)
    assert done.end.path.parent.name == ("aborted" if live.aborted else "out")


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_bag_that_lacks_one_of_its_files_is_not_whole(tmp_path: Path, gone: int) -> None:
    sent = made.robot(3.0)
    bag, third = tmp_path / "bag", len(sent) // 3
    bag.mkdir()
    names = [f"bag_{i}.mcap" for i in range(3)]
    for i, name in enumerate(names):
        mcap(bag / name, sent[i * third : (i + 1) * third])
    (bag / "metadata.yaml").write_text(json.dumps({"rosbag2_bagfile_information": {"relative_file_paths": names}}))
    (bag / names[gone]).unlink()
    done = from_bag(bag, settings(tmp_path, contract(tmp_path)))
    assert not done.whole
    assert done.notes[0] == f"bag_{gone}.mcap: is listed in metadata.yaml and missing"
    with EpisodeReader(done.end.path) as episode:
        assert done.notes[0] in episode.warnings


def recorded(tmp_path: Path) -> Path:
    recorder = LiveRecorder(contract(tmp_path), tmp_path / "live")
    steps = range(START, START + 2600 * MS, 20 * MS)
    live = recorder.record(made.robot(2.6), START + 500 * MS, START + 2300 * MS, steps)
    assert live is not None
    return live.path


def test_a_log_that_is_cut_off_gives_the_first_of_the_rows_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "CHUNK_BYTES", 1 << 15)  # a chunk is half a second, which is over before it begins
    live = recorded(tmp_path)
    log = naming.log_of(live)
    part = tmp_path / "episode_0.mcap.part"
    part.write_bytes(log.read_bytes()[: log.stat().st_size * 6 // 10])
    done = from_bag(part, settings(tmp_path, None))
    assert not done.whole
    assert "cut off or damaged at" in done.notes[0]
    assert "the log ends before the episode does: the rows up to there are kept" in done.notes[1]
    with EpisodeReader(live) as whole, EpisodeReader(done.end.path) as kept:
        assert 10 < kept.rows < whole.rows
        assert np.array_equal(kept.qpos, whole.qpos[: kept.rows])
        assert np.array_equal(stamps_of(kept), stamps_of(whole)[: kept.rows])
        assert np.array_equal(kept.image("cam_a", kept.rows - 1), whole.image("cam_a", kept.rows - 1))
        assert done.notes[0] in "".join(map(str, kept.attrs["warnings"]))
        rows = kept.rows
    finish_log(part, tmp_path / "mended.mcap")
    mended = from_bag(tmp_path / "mended.mcap", settings(tmp_path, None))
    assert mended.end.rows == rows
    assert len(mended.notes) == 1, "it is whole as a file, and ends too early"


def test_a_log_comes_out_at_another_rate_too(tmp_path: Path) -> None:
    done = from_bag(naming.log_of(recorded(tmp_path)), settings(tmp_path, None, rate_hz=50.0))
    assert not done.replayed
    assert done.whole
    with EpisodeReader(done.end.path) as episode:
        assert episode.rate_hz == 50
        assert episode.task == "lift"
        assert set(np.diff(stamps_of(episode)).tolist()) == {SECOND // 50}
        assert "rate_hz: 50\n" in episode.attrs["contract"]


# ---- bags of others


OTHERS = {PUPPET: "/follower/state", MASTER: "/leader/state", CAMERA: "/camera/color/image_raw"}
RENAMES = parse_renames([f"{bag}:={ours}" for ours, bag in OTHERS.items()])


@pytest.mark.parametrize(("storage", "compress"), [("mcap", ""), ("sqlite3", ""), ("sqlite3", "file"),
                                                   ("sqlite3", "message")])  # fmt: skip
def test_a_bag_by_rosbags_with_other_topic_names(tmp_path: Path, storage: str, compress: str) -> None:
    pytest.importorskip("rosbags")
    bag = rosbag2(tmp_path / "bag", made.robot(2.0), storage, OTHERS, compress)
    robot = contract(tmp_path)
    with pytest.raises(DatasetError, match="is not in the bag; of this type it has /camera/color/image_raw: --topics"):
        from_bag(bag, settings(tmp_path, robot))
    done = from_bag(bag, settings(tmp_path, robot, topics=RENAMES, task="stack"))
    assert done.whole, done.notes
    found = rows(done)
    expect_lines(found)
    assert len(found["qpos"]) >= 1.9 * RATE - 2
    assert found["attrs"]["task"] == "stack"
    assert found["attrs"]["from_bag"] == "bag"


def test_a_recorder_that_begins_at_its_first_tick_writes_the_same(tmp_path: Path) -> None:
    sent, robot = made.robot(2.6), contract(tmp_path)
    done = from_bag(mcap(tmp_path / "a.mcap", sent), settings(tmp_path, robot))
    with EpisodeReader(done.end.path) as episode:
        first, rows = int(stamps_of(episode)[0]), episode.rows
    recorder = LiveRecorder(robot, tmp_path / "live")
    live = recorder.record(sent, first, START + 9 * SECOND, [first, *range(first + MS, START + 2600 * MS, 4 * MS)])
    assert live is not None
    assert live.rows == rows
    told = ("attribute task", "attribute warnings")
    assert [name for name in differences(live.path, done.end.path) if name not in told] == []


def test_stamps_of_another_clock_are_used_and_arrivals_are_not_known(tmp_path: Path) -> None:
    sent = [replace(one, arrival_ns=one.arrival_ns - START + 10**15) for one in made.robot(2.0)]
    done = from_bag(mcap(tmp_path / "a.mcap", sent), settings(tmp_path, contract(tmp_path)))
    expect_lines(rows(done))
    assert "is logged by another clock than that of its headers" in done.notes[0]
    with EpisodeReader(done.end.path) as episode:
        assert not np.asarray(episode.file["sync/arrival_ns"]).any()


def unstamped(sent: Sequence[Sent]) -> list[Sent]:
    """Images with a stamp of zero."""
    return [replace(one, data=made.image(0, k)) if one.topic == CAMERA else one for k, one in enumerate(sent)]


def test_stamps_of_zero_are_named_and_the_logs_times_take_their_place(tmp_path: Path) -> None:
    bag, robot = mcap(tmp_path / "a.mcap", unstamped(made.robot(2.0))), contract(tmp_path)
    with pytest.raises(DatasetError, match=r"no row: cam_a: 60 messages not used: header.stamp is zero"):
        from_bag(bag, settings(tmp_path, robot))
    assert not list(tmp_path.glob("out/*")), "nothing is left behind"
    done = from_bag(bag, settings(tmp_path, robot, stamps="log"))
    assert done.whole, done.notes
    with EpisodeReader(done.end.path) as episode:
        assert episode.rows > 1.9 * RATE - 2
        assert episode.qpos[10, 0] == pytest.approx(made.position(int(stamps_of(episode)[10]) - 2 * MS)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ((PUPPET, MASTER), r"/cam_a/image_raw \(cam_a, sensor_msgs/msg/Image\) is not in the bag$"),
        ((), "/puppet/joint_states .* is not in the bag; /master.* is not in the bag; /cam_a"),
    ],
)
def test_topics_that_are_missing_are_all_named(tmp_path: Path, topics: tuple[str, ...], words: str) -> None:
    sent = [one for one in made.robot(0.3) if one.topic in topics]
    with pytest.raises(DatasetError, match=words):
        from_bag(mcap(tmp_path / "a.mcap", sent), settings(tmp_path, contract(tmp_path)))


def test_wrong_types_encodings_and_names_are_named(tmp_path: Path) -> None:
    robot, sent = contract(tmp_path), made.robot(0.3)
    bag = mcap(tmp_path / "a.mcap", sent, types={CAMERA: "sensor_msgs/msg/CompressedImage"})
    with pytest.raises(DatasetError, match="/cam_a/image_raw is sensor_msgs/msg/CompressedImage; allowed: sensor_msgs"):
        from_bag(bag, settings(tmp_path, robot))
    bag = mcap(tmp_path / "b.mcap", sent, encoding="ros1")
    with pytest.raises(DatasetError, match="is encoded as 'ros1'; allowed: cdr"):
        from_bag(bag, settings(tmp_path, robot))
    bag = mcap(tmp_path / "c.mcap", sent)
    with pytest.raises(DatasetError, match="--topics names /x, which the bag has not; --topics names /y, which the co"):
        from_bag(bag, settings(tmp_path, robot, topics={"/x": "/y"}))
    for words in ("a", "a:=", ":=b"):
        with pytest.raises(DatasetError, match=f"--topics is '{words}'; allowed: BAG_TOPIC:=CONTRACT_TOPIC"):
            parse_renames([words])


def test_a_bag_without_a_contract_and_what_is_no_bag(tmp_path: Path) -> None:
    bag = mcap(tmp_path / "a.mcap", made.robot(0.3))
    with pytest.raises(DatasetError, match="give --robot: the bag is no raw log of ours"):
        from_bag(bag, settings(tmp_path, None))
    (tmp_path / "ros1.bag").write_bytes(b"#ROSBAG V2.0\n")
    (tmp_path / "empty.mcap").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("ros1.bag", "is a bag of ROS 1; allowed: ROS 2"),
        ("empty.mcap", "begins with nothing; allowed: an MCAP, or a rosbag2"),
        ("folder", "no bag in this folder; allowed: .mcap or .db3 files"),
        ("nowhere", "no such file or folder"),
    ):
        with pytest.raises(VgilError, match=f"{name}: {words}"):
            from_bag(tmp_path / name, settings(tmp_path, contract(tmp_path)))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_that_is_cut_off_gives_what_is_whole(tmp_path: Path, storage: str) -> None:
    if storage == "mcap":
        bag = mcap(tmp_path / "a.mcap", made.robot(3.0))
    else:
        pytest.importorskip("rosbags")
        bag = next(rosbag2(tmp_path / "bag", made.robot(3.0), storage, {}).glob("*.db3"))
    cut = tmp_path / "cut"
    cut.write_bytes(bag.read_bytes()[: bag.stat().st_size // 2])
    done = from_bag(cut, settings(tmp_path, contract(tmp_path)))
    assert not done.whole
    assert "cut: cut off or damaged" in done.notes[0]
    found = rows(done)
    expect_lines(found)
    assert RATE < len(found["qpos"]) < 2 * RATE
    assert done.end.aborted is None


def test_a_stream_that_falls_silent_ends_the_episode_as_it_would_have_live(tmp_path: Path) -> None:
    sent = [one for one in made.robot(3.0) if one.topic != CAMERA or one.arrival_ns < START + 1500 * MS]
    robot = contract(tmp_path, sync=contracts.sync(max_hold=5))
    done = from_bag(mcap(tmp_path / "a.mcap", sent), settings(tmp_path, robot))
    assert done.end.aborted is not None
    assert "cam_a: silent, nearest sample" in done.end.aborted
    assert done.end.path.parent.name == "aborted"
    assert not done.whole


def test_a_folder_of_another_setup_is_refused(tmp_path: Path) -> None:
    bag = mcap(tmp_path / "a.mcap", made.robot(1.0))
    from_bag(bag, settings(tmp_path, contract(tmp_path)))
    with pytest.raises(DatasetError, match="holds episodes of another set-up: rate_hz"):
        from_bag(bag, settings(tmp_path, contract(tmp_path), rate_hz=10.0))


def test_the_files_of_a_bag_follow_each_other_by_their_numbers(tmp_path: Path) -> None:
    sent, folder = made.robot(3.3), tmp_path / "bag"
    folder.mkdir()
    for k in range(11):
        some = [one for one in sent if START + k * 300 * MS <= one.arrival_ns < START + (k + 1) * 300 * MS]
        mcap(folder / f"bag_{k}.mcap", some)
    done = from_bag(folder, settings(tmp_path, contract(tmp_path)))
    assert done.whole, done.notes
    found = rows(done)
    expect_lines(found)
    assert len(found["qpos"]) > 3.0 * RATE


# ---- the command


def test_the_command_needs_no_ros_and_says_what_came_of_each_bag(tmp_path: Path) -> None:
    robot, good = contract(tmp_path), mcap(tmp_path / "good.mcap", made.robot(2.0))
    (tmp_path / "bad.mcap").write_bytes(b"nothing of the kind")
    environment = process_environment(MISSING="rclpy sensor_msgs std_msgs geometry_msgs nav_msgs builtin_interfaces")
    environment["PYTHONPATH"] = os.pathsep.join((str(BLOCKER), environment["PYTHONPATH"]))
    command = [sys.executable, "-m", "vgil_ros.cli.main", "episodes", "from-bag", str(good), str(tmp_path / "bad.mcap")]
    command += ["--robot", str(robot), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "bad.mcap: begins with 6e6f7468696e6720; allowed: an MCAP" in done.stderr
    assert f"{good}: saved {tmp_path / 'out' / 'episode_0.hdf5'}" in done.stdout
    (report,) = json.loads((tmp_path / "report.json").read_text())
    assert report["bag"] == str(good)
    assert report["whole"]
    assert not report["replayed"]
    assert check_episode(Path(report["episode"])).ok


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stamps", "both"), "--stamps is 'both'; allowed: ['header', 'log']"),
        (("--rate", "0"), "--rate is 0; allowed: above 0 Hz"),
        (("--robot", "nobody"), "robot 'nobody' is unknown"),
        (("--topics", "a"), "--topics is 'a'; allowed: BAG_TOPIC:=CONTRACT_TOPIC"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: tuple[str, str], words: str) -> None:
    done = CliRunner().invoke(app, ["episodes", "from-bag", "a.mcap", "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 2
    assert words in done.output
