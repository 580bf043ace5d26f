"""LeRobot's own loader and recorder beside ours. For an environment that has lerobot 0.4.4; never part of the tests.

    python scripts/check_with_lerobot.py read FOLDER...     reads what `vgil dataset convert` wrote (v3.0; v2.1 through
                                                            LeRobot's own conversion), value by value against our reader
    python scripts/check_with_lerobot.py golden FOLDER      writes the small data set that test/datasets reads: by 0.4.4
                                                            that of v3.0, by 0.3.3 that of v2.1
    python scripts/check_with_lerobot.py speed EPISODES     the same episodes by add_frame/save_episode and by ours

The environment needs this package's own dependencies beside lerobot's, and torchcodec with FFmpeg for videos.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.lerobot import stats
from vgil_ros.datasets.lerobot.info import IMAGES, Version, read_info
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import open_source

LOOSE = 3.0  # grey values that two decoders' colour conversions may lie apart, in the mean
SHAPE, ROWS = (16, 24, 3), (7, 5)


def _lerobot(root: Path, **more: Any) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("local/check", root=root, **more)


def read(folder: Path) -> None:
    """Hold LeRobot's reading of a data set against ours."""
    with tempfile.TemporaryDirectory() as scratch:
        root = folder
        if read_info(folder).major == 2:
            root = _by_their_conversion(folder, Path(scratch))
        theirs, ours = _lerobot(root), open_source(folder)
        if theirs.num_episodes != len(ours.names()):
            sys.exit(f"{folder}: LeRobot finds {theirs.num_episodes} episodes, we {len(ours.names())}")
        at, worst = 0, 0.0
        for number in range(len(ours.names())):
            with ours.open(number) as episode:
                for row in range(episode.rows):
                    item = theirs[at]
                    at += 1
                    np.testing.assert_array_equal(item["observation.state"].numpy(), episode.qpos[row])
                    np.testing.assert_array_equal(item["action"].numpy(), episode.action[row])
                    assert item["task"] == (episode.task or "")
                    for camera in episode.camera_names:
                        image = item[IMAGES + camera].numpy().transpose(1, 2, 0) * 255
                        worst = max(worst, float(np.abs(image - episode.image(camera, row)).mean()))
        assert at == len(theirs)
        assert worst < LOOSE, worst
        print(f"{folder}: {at} rows equal, every image decoded; images differ by {worst:.4f} grey values at most")
        _compare_stats(theirs, folder)


def _by_their_conversion(folder: Path, scratch: Path) -> Path:
    from lerobot.datasets.v30.convert_dataset_v21_to_v30 import convert_dataset as to_v30

    shutil.copytree(folder, scratch / "set")
    to_v30("set", root=scratch, push_to_hub=False)
    return scratch / "set"


def _compare_stats(theirs: Any, folder: Path) -> None:
    """Statistics of the numbers as theirs makes them of the same rows, against what we wrote."""
    from lerobot.datasets.compute_stats import get_feature_stats

    info = read_info(folder)
    version: Version = "v3.0" if info.major == 3 else "v2.1"
    worst = 0.0
    for key in ("observation.state", "action"):
        values = np.stack([theirs.hf_dataset[i][key].numpy() for i in range(theirs.meta.episodes[0]["length"])])
        made = stats.of_rows(values, version)
        for name, value in get_feature_stats(values, axis=0, keepdims=False).items():
            if name in made and not (version == "v2.1" and name == "std"):  # the mean of squares is v3.0's
                worst = max(worst, float(np.abs(value - made[name]).max()))
    assert worst <= 1e-6, worst
    print(f"{folder}: statistics differ by {worst:.2g} at most")


def features(video: bool) -> dict[str, Any]:
    """Of the golden data set."""
    joints = {"dtype": "float32", "shape": (3,), "names": ["a", "b", "c"]}
    image = {"shape": SHAPE, "names": ["height", "width", "channels"]}
    return {
        "observation.state": joints,
        "action": joints,
        "observation.images.top": {"dtype": "image", **image},
        **({"observation.images.side": {"dtype": "video", **image}} if video else {}),
        "next.success": {"dtype": "bool", "shape": (1,), "names": None},
    }


def golden(out: Path) -> None:
    """Write a data set by LeRobot's recorder, and beside it what went in."""
    from lerobot.datasets import lerobot_dataset

    LeRobotDataset = lerobot_dataset.LeRobotDataset
    shutil.rmtree(out, ignore_errors=True)
    data = LeRobotDataset.create("local/golden", fps=30, root=out, features=features(video=True), robot_type="made_up")
    data.vcodec, newest = "h264", hasattr(data, "finalize")
    if not newest:  # 0.3.3 has no choice of it, and its AV1 takes no images as small as these
        lerobot_dataset.encode_video_frames = partial(lerobot_dataset.encode_video_frames, vcodec="h264")
    random = np.random.default_rng(7)
    kept: dict[str, list[np.ndarray]] = {"state": [], "action": [], "top": [], "side": []}
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for episode, rows in enumerate(ROWS):
        for row in range(rows):
            grey = (60 + 5 * x + 3 * y + 4 * row + 9 * episode).clip(0, 255).astype(np.uint8)
            side = np.repeat(grey[..., None], 3, axis=2)
            top = random.integers(0, 256, SHAPE, np.uint8)
            state, action = (random.normal(size=3).astype(np.float32) for _ in range(2))
            for key, value in (("state", state), ("action", action), ("top", top), ("side", side)):
                kept[key].append(value)
            frame = {
                "observation.state": state,
                "action": action,
                "observation.images.top": top,
                "observation.images.side": side,
                "next.success": np.array([episode == 0 and row == rows - 1]),
            }
            words = f"task {episode}"
            if newest:
                data.add_frame({**frame, "task": words})
            else:
                data.add_frame(frame, task=words)
        data.save_episode()
    if newest:
        data.finalize()
    arrays: dict[str, Any] = {key: np.stack(values) for key, values in kept.items()}
    shutil.rmtree(out / "images", ignore_errors=True)  # 0.3.3 leaves files of what it has put into the table
    np.savez_compressed(out / "expected.npz", **arrays)  # the same of both versions: one is kept
    print(f"{out}: written")


def speed(folder: Path, codec: str, crf: int) -> None:
    """Time both on the same episodes, with one encoder setting, in this process."""
    source = open_source(folder)
    scratch = Path(tempfile.mkdtemp())
    times = {}
    start = time.perf_counter()
    convert_dataset(Plan(source=folder, to="lerobot_v3", images=codec, quality=crf), scratch / "ours", workers=2)
    times["ours"] = time.perf_counter() - start
    start = time.perf_counter()
    data: Any = None
    for number in range(len(source.names())):
        with source.open(number) as episode:
            data = data or _create(scratch / "theirs", episode, codec)
            for row in range(episode.rows):
                frame = {"observation.state": episode.qpos[row], "action": episode.aligned_action()[row], "task": "t"}
                data.add_frame({**frame, **{IMAGES + n: episode.image(n, row) for n in episode.camera_names}})
            data.save_episode()
    data.finalize()
    times["theirs"] = time.perf_counter() - start
    print(json.dumps({**times, "ratio": times["theirs"] / times["ours"]}))
    shutil.rmtree(scratch)


def _create(root: Path, episode: Any, codec: str) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    state = {"dtype": "float32", "shape": episode.qpos.shape[1:], "names": None}
    shapes = {name: episode.image(name, 0).shape for name in episode.camera_names}
    cameras = {
        IMAGES + name: {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}
        for name, shape in shapes.items()
    }
    about = {"observation.state": state, "action": dict(state), **cameras}
    data = LeRobotDataset.create("local/speed", fps=int(episode.rate_hz), root=root, features=about)
    data.vcodec = {"av1": "libsvtav1"}.get(codec, codec)
    data.start_image_writer(num_processes=0, num_threads=4 * len(shapes))
    return data


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("read", "golden", "speed"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--codec", default="av1", choices=("h264", "av1"))
    parser.add_argument("--crf", default=30, type=int)
    given = parser.parse_args()
    for folder in given.folders:
        if given.what == "speed":
            speed(folder, given.codec, given.crf)
        else:
            {"read": read, "golden": golden}[given.what](folder)


if __name__ == "__main__":
    main()
