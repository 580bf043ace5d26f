"""The reference of a checkpoint, made of its episodes: their first rows, and the statistics that the scan has."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import row_stamps
from vgil_ros.datasets.source import open_episode
from vgil_ros.episodes.view import Episode
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.reference import DataReference, Spread, ViewReference, encode_reference, views
from vgil_ros.policies.reference.data import PLAN_POINTS, PLAN_STEP_S
from vgil_ros.training.data.episode_stats import EpisodeStats, Moments, aligned_actions, merge_all, states
from vgil_ros.training.data.scan import fingerprint
from vgil_ros.training.errors import TrainingError

MOST_STARTS = 200  # episodes whose beginning is looked at
SHOWN_BYTES = 180_000  # of JPEGs of first images, shared by the cameras
MOST_SHOWN = 16  # of each camera
USUAL_RATE = 50.0  # where episodes do not tell theirs
FPS_ROWS = 50  # rows in which new images are counted


@dataclass(frozen=True, eq=False)
class _Start:
    """The beginning of an episode."""

    qpos: np.ndarray
    plan: np.ndarray
    small: dict[str, np.ndarray]
    looks: dict[str, np.ndarray]
    summaries: dict[str, np.ndarray]
    fps: dict[str, float]


def reference_of(stats: Sequence[EpisodeStats], config: PolicyConfig, log: Callable[[str], None]) -> bytes | None:
    """A reference as it is stored; None where there can be none, which is said: a training does without."""
    try:
        return encode_reference(make_reference(stats, config))
    except (VgilError, OSError, ValueError) as error:
        log(f"warning: the checkpoint will have no reference for `vgil preflight`: {error}")
        return None


def make_reference(stats: Sequence[EpisodeStats], config: PolicyConfig) -> DataReference:
    """Look at the first rows of episodes.

    Args:
        stats: of the episodes, as a scan gives them.
        config: the policy that is trained from them; its cameras, vectors and action are looked at.

    Raises:
        TrainingError: they lack what the policy takes. EpisodeError: one cannot be read.
    """
    cameras, base = config.camera_names, config.action_dim == len(stats[0].action.mean) + 2
    if missing := [name for name in cameras if name not in stats[0].cameras]:
        raise TrainingError(f"{stats[0].path}: lacks camera {missing}; found {list(stats[0].cameras)}")
    rate = next((one.rate_hz for one in stats if one.rate_hz), None)
    places = np.unique(np.linspace(0, len(stats) - 1, min(len(stats), MOST_STARTS)).astype(int))
    starts = list(_starts([stats[i] for i in places], config, base=base, rate=rate or USUAL_RATE))
    action = merge_all(one.action for one in stats)
    if base:
        action = action.join(merge_all(one.base for one in stats if one.base is not None))
    names = config.vector_names
    return DataReference(
        fingerprint=fingerprint(stats, cameras, base=base, vectors=names),
        episodes=len(stats),
        rows=sum(one.rows for one in stats),
        rate_hz=rate,
        joint_names=next((one.joint_names for one in stats if one.joint_names), ()),
        qpos=_spread(merge_all(one.state(names) for one in stats)),
        action=_spread(action),
        start=np.stack([one.qpos for one in starts]),
        plans=np.stack([one.plan for one in starts]),
        views={name: _view(name, stats[0], starts, SHOWN_BYTES // len(cameras)) for name in cameras},
    )


def _spread(moments: Moments) -> Spread:
    return Spread(np.array(moments.mean), moments.std, np.array(moments.low), np.array(moments.high))


def _starts(stats: Sequence[EpisodeStats], config: PolicyConfig, *, base: bool, rate: float) -> Iterator[_Start]:
    for one in stats:
        with open_episode(one.path) as episode:
            first = {name: episode.image(name, 0) for name in config.camera_names}
            yield _Start(
                states(episode, config.vector_names)[0],
                _plan(aligned_actions(episode, base=base), rate),
                {name: views.small(image) for name, image in first.items()},
                {name: views.look(image) for name, image in first.items()},
                {name: views.summary(image) for name, image in first.items()},
                {name: fps for name in first if (fps := _fps(episode, name)) is not None},
            )


def _plan(actions: np.ndarray, rate: float) -> np.ndarray:
    """(PLAN_POINTS, A) float32 of actions (T, A); NaN after their end."""
    rows = np.arange(PLAN_POINTS) * PLAN_STEP_S * rate
    columns = [np.interp(rows, np.arange(len(actions)), column, right=np.nan) for column in actions.T]
    return np.stack(columns, axis=1).astype(np.float32)


def _fps(episode: Episode, camera: str) -> float | None:
    """New images a second in the first rows; None where it is not known when these were."""
    count = min(episode.rows, FPS_ROWS)
    stamps = row_stamps(episode.stamp_ns, episode.rows)
    if stamps is None or count < 3:
        return None
    seconds = float(stamps[count - 1] - stamps[0]) / 1e9
    if seconds <= 0:
        return None
    read = episode.jpeg if episode.is_jpeg(camera) else episode.image
    images = [np.frombuffer(_content(read(camera, row)), np.uint8) for row in range(count)]
    return sum(not np.array_equal(a, b) for a, b in itertools.pairwise(images)) / seconds


def _content(image: bytes | np.ndarray) -> bytes:
    return image if isinstance(image, bytes) else image.tobytes()


def _view(name: str, first: EpisodeStats, starts: Sequence[_Start], room: int) -> ViewReference:
    images = np.stack([one.small[name] for one in starts])
    each = max(1, len(views.encode(images[0])))
    count = max(2, min(MOST_SHOWN, room // each, len(images)))
    shown = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    fps = [one.fps[name] for one in starts if name in one.fps]
    return ViewReference(
        size=(first.cameras[name].height, first.cameras[name].width),
        usual=views.usual(images),
        first=images[shown],
        looks=np.stack([one.looks[name] for one in starts]),
        summaries=np.stack([one.summaries[name] for one in starts]),
        fps=float(np.median(fps)) if fps else None,
    )
