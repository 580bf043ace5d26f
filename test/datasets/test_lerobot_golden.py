"""A data set that LeRobot's own recorder (0.4.4) wrote: read by us, and our statistics of its rows against its own.

`scripts/check_with_lerobot.py golden` made it; `expected.npz` is what went in.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("av")

import pyarrow.parquet as pq

from vgil_ros.datasets.lerobot import stats
from vgil_ros.datasets.lerobot.reader import LeRobotDataset

GOLDEN = Path(__file__).parent / "golden" / "lerobot_v3"
ROWS = (7, 5)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """What was handed to LeRobot, all rows one behind the other."""
    return dict(np.load(GOLDEN / "expected.npz"))


def test_rows(expected: dict[str, np.ndarray]) -> None:
    data = LeRobotDataset(GOLDEN)
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


def test_statistics(expected: dict[str, np.ndarray]) -> None:
    """To 1e-6, but for what 0.4.4 computes in uint8: the standard deviation of images."""
    theirs = pq.read_table(str(GOLDEN / "meta/episodes")).to_pylist()
    parts, first = [], 0
    for row, rows in zip(theirs, ROWS, strict=True):
        stop = first + rows
        ours = {
            "observation.state": stats.of_rows(expected["state"][first:stop], "v3.0"),
            "action": stats.of_rows(expected["action"][first:stop], "v3.0"),
            "timestamp": stats.of_rows(np.arange(rows) / 30, "v3.0"),
            "index": stats.of_rows(np.arange(first, stop), "v3.0"),
        }
        for camera in ("top", "side"):
            images = stats.ImageStats()
            for image in expected[camera][first:stop]:
                images.add(image)
            ours[f"observation.images.{camera}"] = images.result("v3.0")
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
