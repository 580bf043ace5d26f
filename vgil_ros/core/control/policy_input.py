"""The observation that a policy gets for a request, with its past, its task and what is settled already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vgil_ros.core.control.requests import InferenceRequest
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import with_prefix
from vgil_ros.core.history import with_past, with_task
from vgil_ros.core.observation import RobotFrame, RobotObservation
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder

LONGEST_TASK = 1000  # letters


def checked_task(text: str, *, needed: bool) -> str:
    """Return an instruction in one line, as it was given but for its blanks.

    Args:
        needed: the policy cannot do without one.

    Raises:
        VgilError: it is too long, holds what cannot be printed, or is empty where one is needed.
    """
    task = " ".join(text.split())
    if len(task) > LONGEST_TASK or not task.isprintable() or (needed and not task):
        found = f"{task[:40]!r}..., {len(task)} letters" if len(task) > 40 else repr(task)
        empty = "not empty, as the policy needs one" if needed else "or empty"
        raise VgilError(f"task {found} is refused; allowed: a text of up to {LONGEST_TASK} letters, {empty}")
    return task


class PolicyInput:
    """Makes observations of requests, in the thread that runs the network.

    Args:
        builder: of the driver's streams.
        cameras: those that the policy sees.
        decode: from an image stream's payload to pixels (H, W, 3) uint8 RGB.
        vectors: those that the policy takes.
        task: for a policy that takes a task; empty: the policy's own.

    Attributes:
        task: may be changed at any time, for the requests to come.
    """

    def __init__(
        self,
        builder: ObservationBuilder,
        cameras: Sequence[str],
        decode: Callable[[Any], np.ndarray],
        task: str = "",
        vectors: Sequence[str] = (),
    ) -> None:
        self._vectors = tuple(vectors)
        self._builder, self._cameras, self._decode, self.task = builder, tuple(cameras), decode, task

    def observation(self, request: InferenceRequest) -> RobotObservation:
        """The observation of a request: qpos (D,) float32, images {camera: (H, W, 3) uint8 RGB}, and where they apply
        vectors, past, task and prefix.

        Raises:
            VgilError: an image does not decode; it names the camera.
        """
        past = [None if sample is None else self._frame(sample) for sample in request.past]
        now = with_past(self._frame(request.sample), past)
        return with_prefix(with_task(now, self.task), request.prefix)

    def _frame(self, sample: Sample) -> RobotFrame:
        observation = self._builder.observation(sample.payloads)
        images: dict[str, np.ndarray] = {}
        for name in self._cameras:
            try:
                images[name] = self._decode(observation["images"][name])
            except VgilError as error:
                raise VgilError(f"{name}: {error}") from error
        frame: RobotFrame = {"qpos": observation["qpos"], "images": images}
        if self._vectors:
            frame["vectors"] = {name: observation["vectors"][name] for name in self._vectors}
        return frame
