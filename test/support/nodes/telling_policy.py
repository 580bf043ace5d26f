"""The policy node, which says what its policy is shown: `python -m support.nodes.telling_policy --ros-args ...`.

One line for each question, `shown {...}` as JSON: stamps of the observation and of its past (null where unknown), check
sums of their images, what the policy was told of its past, and how many actions were settled. One line for each
episode, `begun STAMP`: where its ticks are counted from.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vgil_ros.core.control.requests import InferenceRequest
from vgil_ros.core.streams import StreamSpec
from vgil_ros.nodes.policy import PolicyNode, main


class ObservedRuntime:
    """A runtime, whose last observation is kept."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self.observation: Mapping[str, Any] = {}

    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray:
        self.observation = observation
        return self._runtime(observation)

    def draw(self, observation: Mapping[str, Any], count: int) -> np.ndarray:
        self.observation = observation
        return self._runtime.draw(observation, count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


class TellingPolicy(PolicyNode):
    """Does what the node does, and says it."""

    def choose_streams(self) -> tuple[StreamSpec, ...]:
        streams = super().choose_streams()
        self.observed = self.runtime = ObservedRuntime(self.runtime)  # type: ignore[assignment]
        return streams

    def begin(self) -> None:
        super().begin()
        print(f"begun {self.loop.ticks.origin_ns}", flush=True)

    def infer(self, request: InferenceRequest) -> np.ndarray:
        chunk = super().infer(request)
        seen = self.observed.observation
        past = seen.get("past", {"known": np.zeros(0, bool), "images": dict.fromkeys(seen["images"], ())})
        told = {
            "stamp": request.sample.stamp_ns,
            "image": _sum(seen["images"]),
            "past": [None if one is None else one.stamp_ns for one in request.past],
            "known": past["known"].tolist(),
            "past_pictures": [
                _sum({name: frames[n] for name, frames in past["images"].items()}) for n in range(len(past["known"]))
            ],
            "task": seen.get("task"),
            "settled": int((seen["prefix"]["weight"] == 1).sum()) if "prefix" in seen else 0,
        }
        print(f"shown {json.dumps(told)}", flush=True)
        return chunk


def _sum(images: Mapping[str, np.ndarray]) -> int:
    return zlib.crc32(b"".join(np.ascontiguousarray(images[name]).tobytes() for name in sorted(images)))


if __name__ == "__main__":
    main(TellingPolicy)
