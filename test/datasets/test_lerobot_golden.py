"""Data sets that LeRobot's own recorder wrote (v3.0: 0.4.4, v2.1: 0.3.3): read by us, and our statistics of their rows
against their own.

`scripts/check_with_lerobot.py golden` made them; `expected.npz` is what went into both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")

import pyarrow.parquet as pq

from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.lerobot import stats
from vgil_ros.datasets.lerobot.info import Version
from vgil_ros.datasets.lerobot.reader import LeRobotDataset
from vgil_ros.datasets.plan import Plan

GOLDEN = Path(__file__).parent / "golden" / "lerobot_v3"
OLDER = GOLDEN.with_name("lerobot_v2")
ROWS = (7, 5)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """What was handed to LeRobot, all rows one behind the other."""
    return dict(np.load(GOLDEN / "expected.npz"))


@pytest.mark.parametrize(("folder", "layout"), [(GOLDEN, "lerobot_v3"), (OLDER, "lerobot_v2.1")])
def test_rows(expected: dict[str, np.ndarray], folder: Path, layout: str) -> None:
    data = LeRobotDataset(folder)
    assert data.layout == layout
    assert data.names() == ["episode_0", "episode_1"]
    first = 0
    for number, rows in enumerate(ROWS):
        with data.open(number) as episode:
            stop = first + rows
            assert (episode.rows, episode.rate_hz, episode.robot) == (rows, 30.0, "made_up")
            assert (episode.task, episode.success) == (f"task {number}", number == 0)
            assert episode.joint_names == ("a", "b", "c")
            assert set(episode.camera_names) == {"top", "side"}
            np.testing.assert_array_equal(episode.qpos, expected["state"][first:stop])
            np.testing.assert_array_equal(episode.action, expected["action"][first:stop])
            order = np.random.default_rng(number).permutation(rows)  # a video's frames in any order
            for row in order.tolist():
                np.testing.assert_array_equal(episode.image("top", row), expected["top"][first + row])
                gap = np.abs(episode.image("side", row).astype(int) - expected["side"][first + row]).mean()
                assert gap < 8, "the frame of this row, after a codec"
            first = stop


def statistics_of(expected: dict[str, np.ndarray], first: int, stop: int, version: Version) -> dict[str, Any]:
    """What we compute of an episode's rows, by feature."""
    ours = {
        "observation.state": stats.of_rows(expected["state"][first:stop], version),
        "action": stats.of_rows(expected["action"][first:stop], version),
        "timestamp": stats.of_rows(np.arange(stop - first) / 30, version),
        "index": stats.of_rows(np.arange(first, stop), version),
    }
    for camera in ("top", "side"):
        images = stats.ImageStats()
        for image in expected[camera][first:stop]:
            images.add(image)
        ours[f"observation.images.{camera}"] = images.result(version)
    return ours


def test_statistics(expected: dict[str, np.ndarray]) -> None:
    """To 1e-6, but for what 0.4.4 computes in uint8: the standard deviation of images."""
    theirs = pq.read_table(str(GOLDEN / "meta/episodes")).to_pylist()
    parts, first = [], 0
    for row, rows in zip(theirs, ROWS, strict=True):
        stop = first + rows
        ours = statistics_of(expected, first, stop, "v3.0")
        parts.append(ours)
        for key, found in ours.items():
            for name, value in found.items():
                if not ("images" in key and name == "std"):
                    wanted = np.array(row[f"stats/{key}/{name}"])
                    np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-6, err_msg=f"{key} {name}")
        first = stop
    told = json.loads((GOLDEN / "meta/stats.json").read_text())
    for key, found in stats.merge(parts).items():
        for name, value in found.items():
            if not ("images" in key and name == "std"):
                np.testing.assert_allclose(value, np.array(told[key][name]), rtol=0, atol=1e-6, err_msg=f"{key} {name}")


def test_statistics_of_the_older_version(expected: dict[str, np.ndarray]) -> None:
    """To 1e-6, all of them: it has no quantiles, and its standard deviation of images is right."""
    theirs = [json.loads(line)["stats"] for line in (OLDER / "meta/episodes_stats.jsonl").read_text().splitlines()]
    first = 0
    for told, rows in zip(theirs, ROWS, strict=True):
        stop = first + rows
        ours = statistics_of(expected, first, stop, "v2.1")
        for key, found in ours.items():
            assert sorted(found) == sorted(told[key])
            for name, value in found.items():
                np.testing.assert_allclose(value, np.array(told[key][name]), rtol=0, atol=1e-6, err_msg=f"{key} {name}")
        first = stop


def test_the_older_version_becomes_the_newer_with_its_rows(expected: dict[str, np.ndarray], tmp_path: Path) -> None:
    convert_dataset(Plan(source=OLDER, to="lerobot_v3", images="png"), tmp_path / "out")
    data, first = LeRobotDataset(tmp_path / "out"), 0
    for number, rows in enumerate(ROWS):
        with data.open(number) as episode:
            np.testing.assert_array_equal(episode.qpos, expected["state"][first : first + rows])
            np.testing.assert_array_equal(episode.image("top", rows - 1), expected["top"][first + rows - 1])
            assert episode.task == f"task {number}"
        first += rows
