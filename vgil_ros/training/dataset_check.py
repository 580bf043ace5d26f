"""Episodes that train one policy must agree with each other; where they do not, both are named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vgil_ros.training.data.episode_stats import EpisodeFacts
from vgil_ros.training.errors import TrainingError


def choose_cameras(facts: Sequence[EpisodeFacts], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the policy's cameras: those wanted, or all of the first episode.

    Raises:
        TrainingError: an episode lacks one, or there is none at all.
    """
    cameras = tuple(wanted) if wanted is not None else tuple(facts[0].cameras)
    if not cameras:
        raise TrainingError(f"{facts[0].path}: has no camera")
    for one in facts:
        missing = [name for name in cameras if name not in one.cameras]
        if missing:
            raise TrainingError(
                f"{one.path}: lacks camera {', '.join(missing)}; found {list(one.cameras)}; "
                "choose cameras that all episodes have with data.cameras"
            )
    return cameras


def check_same(facts: Sequence[EpisodeFacts], cameras: Sequence[str], *, base: bool) -> None:
    """Raise TrainingError unless dims, picture sizes, rates and joint names are the same in all episodes."""
    first = facts[0]
    for one in facts:
        if base and one.base is None:
            raise TrainingError(f"{one.path}: has no base_action; train without data.base_action")
        for what, ours, theirs in (
            ("dims of qpos", len(first.qpos.mean), len(one.qpos.mean)),
            ("dims of action", len(first.action.mean), len(one.action.mean)),
            ("Hz", first.rate_hz, one.rate_hz),
            ("joint names", first.joint_names, one.joint_names),
            *((f"size of {name}", _size(first, name), _size(one, name)) for name in cameras),
        ):
            # what a layout does not store (None) cannot be compared
            if ours != theirs and None not in (ours, theirs):
                raise TrainingError(
                    f"{what} are mixed: {first.path} has {ours}, {one.path} has {theirs}; "
                    "allowed: the same in all episodes of a training"
                )


def fingerprint(facts: Sequence[EpisodeFacts], cameras: Sequence[str], *, base: bool) -> str:
    """Of the data itself: the same for the same episodes wherever they lie, in whatever order."""
    text = "\n".join([*sorted(one.digest for one in facts), *cameras, str(base)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _size(facts: EpisodeFacts, camera: str) -> tuple[int, int]:
    return facts.cameras[camera].height, facts.cameras[camera].width
