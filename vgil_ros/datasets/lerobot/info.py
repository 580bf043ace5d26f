"""What a LeRobotDataset says of itself in `meta/info.json`: version, rate, features, where its files lie.

Source: huggingface/lerobot, `datasets/utils.py` and `datasets/v30/convert_dataset_v21_to_v30.py`, version 0.4.4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from vgil_ros.datasets.errors import DatasetError

Version = Literal["v2.1", "v3.0"]
INFO = Path("meta/info.json")
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
# our names of columns -> features; `observation.sync` is the truth beside LeRobot's even timestamps. Who acted stands
# where LeRobot's HIL-SERL has it in a transition, and others' data sets too: `complementary_info.is_intervention`.
# Named `observation...` or `action...`, LeRobot's policies would take it for an input, or an output.
FEATURES = {
    "qpos": STATE,
    "action": ACTION,
    "qvel": "observation.velocity",
    "effort": "observation.effort",
    "base_vel": "observation.base_velocity",
    "base_action": "base_action",
    "stamp_ns": "observation.sync.stamp_ns",
    "skew_ns": "observation.sync.skew_ms",
    "flags": "observation.sync.flags",
    "arrival_ns": "observation.sync.arrival_ns",
    "intervention": "complementary_info.is_intervention",
    "actor": "complementary_info.actor",
    "policy_action": "complementary_info.policy_action",
    "human_action": "complementary_info.human_action",
}
SUCCESS = "success"  # int8: 1, 0, or -1 where nobody said
INDEX = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
CAMERA = re.compile(r"[A-Za-z0-9_][\w.\- ]*")  # a camera's name becomes the name of a file
FILES_A_CHUNK, DATA_MIB, VIDEO_MIB = 1000, 100, 200  # LeRobot's own
PLACES = {
    "v3.0": (
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    ),
    "v2.1": (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    ),
}


@dataclass(frozen=True)
class Info:
    """`info.json`, checked.

    Attributes:
        major: 2 or 3.
        features: dtype, shape and names of each.
        own: what a data set of ours says beside LeRobot's keys.
    """

    root: Path
    major: int
    fps: float
    robot: str | None
    features: Mapping[str, Mapping[str, Any]]
    data_path: str
    video_path: str | None
    chunks_size: int
    own: Mapping[str, Any]

    @property
    def cameras(self) -> dict[str, str]:
        """Feature of each camera of three channels, by the camera's name."""
        found = {}
        for key, feature in self.features.items():
            if feature["dtype"] in ("video", "image"):
                found[camera_of(key)] = key
        stated = self.own.get("camera_names", ())
        return {name: found[name] for name in stated} if sorted(stated) == sorted(found) else found

    @property
    def joint_names(self) -> tuple[str, ...] | None:
        """Names of the state's columns, where each has one."""
        return self._names(STATE)

    @property
    def action_names(self) -> tuple[str, ...] | None:
        """Names of the action's columns, where each has one."""
        return self._names(ACTION)

    def _names(self, key: str) -> tuple[str, ...] | None:
        names: Any = self.features[key].get("names")
        if isinstance(names, Mapping) and len(names) == 1:  # {"motors": [...]}
            names = next(iter(names.values()))
        if not isinstance(names, Sequence) or not all(isinstance(one, str) for one in names):
            return None
        return tuple(names) if self.features[key]["shape"][:1] == (len(names),) == (len(set(names)),) else None


def is_lerobot(path: Path) -> bool:
    """Whether a folder holds a LeRobotDataset."""
    return (path / INFO).is_file()


def read_info(root: Path) -> Info:
    """Read `meta/info.json`.

    Raises:
        DatasetError: it cannot be read, is of another version, or lacks state or action.
    """
    file = root / INFO
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        version = str(values["codebase_version"])
        major = int(version.removeprefix("v").split(".")[0])
        if major not in (2, 3):
            raise DatasetError(f"{file}: codebase_version is '{version}'; allowed: v2.0, v2.1, v3.0")
        features = {
            str(key): {**one, "shape": tuple(map(int, one["shape"])), "dtype": str(one["dtype"])}
            for key, one in values["features"].items()
        }
        info = Info(
            root=root,
            major=major,
            fps=float(values["fps"]),
            robot=values.get("robot_type") or None,
            features=features,
            data_path=str(values.get("data_path") or PLACES["v3.0" if major == 3 else "v2.1"][0]),
            video_path=values.get("video_path"),
            chunks_size=int(values.get("chunks_size") or FILES_A_CHUNK),
            own=values.get("vgil") or {},
        )
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{file}: describes no LeRobotDataset ({type(error).__name__}: {error}); allowed: as LeRobot writes it"
        ) from error
    missing = [key for key in (STATE, ACTION) if key not in features]
    if missing:
        raise DatasetError(f"{file}: lacks the features {missing}; found {sorted(features)}")
    if not info.fps > 0:
        raise DatasetError(f"{file}: fps is {info.fps}; allowed: above 0")
    for key, one in features.items():
        named = CAMERA.fullmatch(camera_of(key)) and CAMERA.fullmatch(key) and ".." not in key
        if one["dtype"] in ("video", "image") and not named:
            raise DatasetError(
                f"{file}: a camera's feature is named {key!r}; allowed: letters, digits, '_', '-', ' ' and single dots"
            )
    return info


def camera_of(key: str) -> str:
    """A camera's name, of its feature's."""
    return key.removeprefix(IMAGES).removeprefix("observation.")


def file_in(root: Path, name: str, where: object) -> Path:
    """A file that a data set names.

    Raises:
        DatasetError: it would lie outside the data set; `where` is who names it.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise DatasetError(f"{where}: names the file {name!r}; allowed: a path within {root}")
    return root / pure


def feature(dtype: str, shape: Sequence[int], names: Sequence[str] | None = None) -> dict[str, Any]:
    """One entry of `features`."""
    return {"dtype": dtype, "shape": list(shape), "names": None if names is None else list(names)}
