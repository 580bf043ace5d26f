"""What the policy is shown of a question: joints, RGB pictures, the task, with their past and what is settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import with_committed
from vgil_ros.core.history import with_past, with_task
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.pictures import to_rgb
from vgil_ros.nodes.questions import Question


class PolicyInput:
    """Makes observations of samples, in the inference thread.

    Args:
        builder: of the node's streams.
        cameras: those that the policy sees.
        task: told to a policy that takes a task; empty: the policy's own.
    """

    def __init__(self, builder: ObservationBuilder, cameras: Sequence[str], task: str = "") -> None:
        self._builder, self._cameras = builder, tuple(cameras)
        self._task = task

    def of(self, question: Question) -> dict[str, Any]:
        """The observation of a question.

        Raises:
            VgilError: a picture does not decode.
        """
        past = [None if one is None else self._seen(one) for one in question.past]
        now = with_past(self._seen(question.sample), past)
        return with_committed(with_task(now, self._task), question.committed)

    def _seen(self, sample: Sample) -> dict[str, Any]:
        observation = self._builder.observation(sample.payloads)
        images = observation.get("images", {})
        pictures = {}
        for name in self._cameras:
            try:
                pictures[name] = to_rgb(images[name])
            except VgilError as error:
                raise VgilError(f"{name}: {error}") from error
        return {"qpos": observation["qpos"], "images": pictures}
