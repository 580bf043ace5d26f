"""What a conversion keeps beside the streams, and what the manifest says of the rest: facts, rewards, others' columns,
names, robots, grey images, one joint alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("zarr")

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from support.episodes import made_episodes as made
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.core.frame import Frame
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.manifest import MANIFEST, read_manifest
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.verify import verify
from vgil_ros.episodes import EpisodeReader, EpisodeWriter

ROWS = 6
SIZE = (16, 32)


def meta(**changes: Any) -> Any:
    """One small camera, raw."""
    cameras = (made.CameraMeta("cam_a", *SIZE, "raw"),)
    streams = ("arm/puppet", "arm/master", "cam_a")
    return made.meta(storage="raw", **{"cameras": cameras, "streams": streams, **changes})


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder of one episode, with rewards and a last observation."""
    made.write(tmp_path / "ours", meta(), ROWS, success=True)
    return tmp_path / "ours"


def convert(source: Path, to: str, out: Path, **more: Any) -> Path:
    """By pictures in the table, where there is a choice."""
    convert_dataset(Plan(source=source, to=to, images="png" if to.startswith("lerobot") else None, **more), out)
    return out


def edit(file: Path, change: Any) -> None:
    """Change the values of a JSON file."""
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


# ---- facts


EVERY = ["lerobot_v3", "lerobot_v2.1", "zarr", "aloha", "mobile_aloha", "act_plus_plus", "cobot_magic", "vgil", "mcap"]


@pytest.mark.parametrize("to", EVERY)
def test_facts_are_those_that_are_read_back(ours: Path, tmp_path: Path, to: str) -> None:
    """Of a manifest without them, an older one, nothing is compared."""
    out = convert(ours, to, tmp_path / "out")
    facts = read_manifest(out)["episodes"][0]["facts"]
    assert facts["camera_names"] == ["cam_a"]
    peers = to in ("aloha", "mobile_aloha", "act_plus_plus", "cobot_magic")
    assert (facts["success"], facts["rate_hz"]) == ((None, None) if peers else (True, 50.0))
    assert facts["tasks"] == [[0, "" if peers else "test"]]
    assert verify(out) == []
    edit(out / MANIFEST, lambda told: told["episodes"][0]["facts"].update(success=False, rate_hz=3.0))
    name = read_manifest(out)["episodes"][0]["name"]
    assert [line.partition(f"/{name}: ")[2] for line in verify(out)] == [
        f"success is {None if peers else True}; the manifest speaks of False",
        f"rate_hz is {None if peers else 50.0}; the manifest speaks of 3.0",
    ]
    edit(out / MANIFEST, lambda told: told["episodes"][0].pop("facts"))
    assert verify(out) == []


def changed(out: Path, to: str) -> None:
    """Another task, success, rate, and joints in another order."""
    if to == "vgil":
        with h5py.File(out / "episode_0.hdf5", "a") as file:
            file.attrs["joint_names"] = list(file.attrs["joint_names"])[::-1]
            file.attrs.update({"success": False, "task": "another", "rate_hz": 10.0})
    elif to == "zarr":
        edit(out / ".zattrs", lambda told: told["vgil"].update(rate_hz=10.0, joint_names=["c", "b", "a"]))
        edit(out / "meta/.zattrs", lambda told: told["episodes"][0].update(success=False, task="another"))
    else:
        tasks = out / "meta/tasks.jsonl"
        tasks.write_text(tasks.read_text().replace('"test"', '"another"'))

        def about(told: dict) -> None:
            told["fps"] = 10
            told["vgil"]["attributes"]["joint_names"].reverse()

        edit(out / "meta/info.json", about)
        [file] = (out / "data").rglob("*.parquet")
        table = pq.read_table(file)
        place = table.schema.get_field_index("success")
        table = table.set_column(place, table.schema.field(place), pa.array([0] * ROWS, pa.int8()))
        file.unlink()
        pq.write_table(table, file)


@pytest.mark.parametrize("to", ["lerobot_v2.1", "zarr", "vgil"])
def test_verify_finds_facts_that_were_changed(ours: Path, tmp_path: Path, to: str) -> None:
    out = convert(ours, to, tmp_path / "out")
    changed(out, to)
    found = {line.partition("episode_0: ")[2].partition(" is ")[0] for line in verify(out)}
    assert {"tasks", "success", "rate_hz", "joint_names"} <= found


# ---- what is no stream


def test_rewards_and_the_last_observation_stay_in_ours(ours: Path, tmp_path: Path) -> None:
    out = convert(ours, "vgil", tmp_path / "out")
    with EpisodeReader(ours / "episode_0.hdf5") as was, EpisodeReader(out / "episode_0.hdf5") as now:
        before, after = was.timesteps(), now.timesteps()
    assert [step.reward for step in after] == [None, *[0.5] * (ROWS - 1), 1.0]
    assert [(a.reward, a.discount, a.step_type) for a in after] == [(b.reward, b.discount, b.step_type) for b in before]
    assert read_manifest(out)["episodes"][0]["not_kept"] == []


@pytest.mark.parametrize("to", ["mcap", "zarr", "lerobot_v3", "aloha"])
def test_rewards_and_the_last_observation_are_named_where_they_are_not_kept(
    ours: Path, tmp_path: Path, to: str
) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["dataset", "convert", str(ours), str(out), "--to", to])
    assert done.exit_code == 0, done.output
    lost = ["timesteps/reward", "timesteps/discount", "final_observation"]
    assert read_manifest(out)["episodes"][0]["not_kept"] == lost
    for name in lost:
        assert f"{name}: is not kept" in done.output


def foreign(ours: Path, out: Path) -> Path:
    """A LeRobotDataset as others write it, with features and names that we do not know."""
    convert(ours, "lerobot_v2.1", out)
    (out / MANIFEST).unlink()
    beside = {"next.reward": pa.array(np.arange(ROWS, dtype="f4"))}
    beside["observation.environment_state"] = pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float32(), 2))

    def about(told: dict) -> None:
        del told["vgil"]
        features = told["features"]
        for key in [key for key in features if ".sync." in key]:
            del features[key]
        features["observation.image"] = features.pop("observation.images.cam_a")
        features["action"]["names"] = ["a", "b", "c"]
        features |= {"next.reward": {"dtype": "float32", "shape": [1], "names": None}}
        features |= {"observation.environment_state": {"dtype": "float32", "shape": [2], "names": None}}

    edit(out / "meta/info.json", about)
    [file] = (out / "data").rglob("*.parquet")
    table = pq.read_table(file)
    table = table.drop_columns([name for name in table.column_names if ".sync." in name])
    names = ["observation.image" if name == "observation.images.cam_a" else name for name in table.column_names]
    table = table.rename_columns(names)
    for name, values in beside.items():
        table = table.append_column(name, values)
    file.unlink()
    pq.write_table(table, file)
    return out


def test_features_that_are_not_read_are_named_and_actions_keep_their_names(ours: Path, tmp_path: Path) -> None:
    theirs = foreign(ours, tmp_path / "theirs")
    out = tmp_path / "good"
    done = CliRunner().invoke(app, ["dataset", "check", str(theirs), "--keep-good", str(out)])
    assert "1 of 1 episodes in" in done.output, done.output
    lost = ["next.reward", "observation.environment_state"]
    assert read_manifest(out)["episodes"][0]["not_kept"] == lost
    for name in lost:
        assert f"{name}: is not kept" in done.output
    features = json.loads((out / "meta/info.json").read_text())["features"]
    assert features["action"]["names"] == ["a", "b", "c"]
    assert features["observation.state"]["names"] == [f"arm/joint{i}" for i in range(3)]
    assert verify(out) == []


def test_arrays_that_are_not_read_are_named(ours: Path, tmp_path: Path) -> None:
    import zarr

    first = convert(ours, "zarr", tmp_path / "zarr")
    root: Any = zarr.open_group(str(first), mode="a")
    root["data"].create_array("keypoints", shape=(ROWS, 9, 2), dtype="f4")
    out = convert(first, "zarr", tmp_path / "out")
    assert read_manifest(out)["episodes"][0]["not_kept"] == ["keypoints"]


# ---- robots, images, joints


@pytest.mark.parametrize("to", ["zarr", "lerobot_v2.1", "lerobot_v3"])
def test_each_episode_of_two_robots_says_its_own(tmp_path: Path, to: str) -> None:
    for robot in ("left_robot", "right_robot"):
        made.write(tmp_path / "ours", meta(robot=robot), 3)
    out = convert(tmp_path / "ours", to, tmp_path / "out")
    source = open_source(out)
    assert [source.open(number).robot for number in range(2)] == ["left_robot", "right_robot"]
    again = open_source(convert(out, "vgil", tmp_path / "again"))
    assert [again.open(number).robot for number in range(2)] == ["left_robot", "right_robot"]


@pytest.mark.parametrize("grey", [False, True])
def test_pictures_of_one_channel_become_three(tmp_path: Path, grey: bool) -> None:
    """Of LeRobot's reader, which takes a grey JPEG as (H, W); one of colours stays byte for byte."""
    m = meta(cameras=(made.CameraMeta("cam_a", *SIZE, "passthrough"),))
    writer = EpisodeWriter(tmp_path / "ours", m, min_free_bytes=0)
    for t in range(4):
        pixels = np.full(SIZE if grey else (*SIZE, 3), 50 + t, np.uint8)
        seen = made.observation(t, m)
        seen["images"]["cam_a"] = Frame(*SIZE, "jpeg", 0, memoryview(cv2.imencode(".jpg", pixels)[1].tobytes()))
        made.add(writer, t, last=t == 3, seen=seen)
    writer.close()
    out = convert(tmp_path / "ours", "lerobot_v2.1", tmp_path / "out")
    [file] = (out / "data").rglob("*.parquet")
    cell = pq.read_table(file)["observation.images.cam_a"][1].as_py()
    with Image.open(io.BytesIO(cell["bytes"])) as image:
        assert (image.mode, image.format) == ("RGB", "PNG" if grey else "JPEG")
    assert read_manifest(out)["episodes"][0]["streams"]["cam_a"]["kept"] == ("pixels" if grey else "bytes")


@pytest.mark.parametrize("to", ["zarr", "lerobot_v2.1", "lerobot_v3", "mcap"])
def test_one_joint_there_and_back(tmp_path: Path, to: str) -> None:
    made.write(tmp_path / "ours", meta(dim=1, has_effort=True), ROWS)
    there = convert(tmp_path / "ours", to, tmp_path / "there")
    streams = read_manifest(there)["episodes"][0]["streams"]
    assert [streams[name]["largest_error"] for name in ("qpos", "action", "qvel", "effort")] == [0.0] * 4
    back = convert(there, "vgil", tmp_path / "back")
    with EpisodeReader(tmp_path / "ours/episode_0.hdf5") as was, EpisodeReader(back / "episode_0.hdf5") as now:
        for name in ("qpos", "action", "qvel", "effort", "skew_ns"):
            np.testing.assert_array_equal(getattr(now, name), getattr(was, name), err_msg=name)


def test_depth_that_came_out_otherwise_leaves_the_episode_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m = meta(depths=(made.CameraMeta("cam_d", *SIZE, None),))
    made.write(tmp_path / "ours", m, 3)
    read = EpisodeReader.depth
    within = str(tmp_path / "out")

    def off(self: EpisodeReader, camera: str, row: int) -> np.ndarray:
        return read(self, camera, row) + (7 if str(self.path).startswith(within) else 0)

    with monkeypatch.context() as patch:
        patch.setattr(EpisodeReader, "depth", off)
        with pytest.raises(Exception, match="depth of cam_d row 0 was written 7 mm off"):
            convert(tmp_path / "ours", "vgil", tmp_path / "out")
    convert(tmp_path / "ours", "vgil", tmp_path / "whole")
