"""Looks at a robot as its policy would, for a few seconds: the same streams, synchroniser and observations. It
publishes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.context import Context

from vgil_ros.core.contract import Contract
from vgil_ros.core.control.policy_input import PolicyInput
from vgil_ros.core.control.requests import InferenceRequest
from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import History
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.evaluation.preflight.findings import Finding, Seen, StreamSeen
from vgil_ros.nodes.query.listening import listen_to
from vgil_ros.nodes.query.robot_check import Listener
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.robots.robot_check import RobotFinding, Verdict, rate_until

EVERY_NS = 200_000_000  # between two images that are kept of a camera
KEPT = 8  # images of a camera
LEAST_S, SHORT_S = 1.2, 0.3  # that a stream is listened to where there is patience; that make a rate
MOST_TICKS = 500  # whose joints are kept
ASKED, APART_NS = 3, 500_000_000  # whole observations, and the time between them
ADVICE = "see `vgil robot check`"


@dataclass(frozen=True, eq=False)
class _Whole:
    """A tick of which every stream was there, with its past."""

    sample: Sample
    past: tuple[Sample | None, ...]


class PreflightListener(Listener):
    """Hears what a policy would be shown.

    Args:
        config: the policy's.
        task: for its observations.
    """

    tool = "preflight"

    def __init__(
        self, context: Context, contract: Contract, namespace: str, clock: str | None, config: PolicyConfig, task: str
    ) -> None:
        shown = policy_streams(contract, config.camera_names, config.vector_names)
        super().__init__(context, contract, namespace, clock, shown)
        self._config = config
        self._builder = ObservationBuilder(Layout(contract), shown)
        self._input = PolicyInput(self._builder, config.camera_names, to_rgb, task, config.vector_names)
        self._history: History[Sample] = History(config.obs_offsets, round(1e9 / contract.rate_hz))
        self._ticking = False
        # of the first message of each stream: stamp, when it was heard, messages by then
        self._first: dict[str, tuple[int, int, int]] = {}
        self._images: dict[str, deque[Any]] = {name: deque(maxlen=KEPT) for name in config.camera_names}
        self._taken_ns: dict[str, int] = {}
        self._whole: deque[_Whole] = deque(maxlen=ASKED)
        self._qpos: deque[np.ndarray] = deque(maxlen=MOST_TICKS)

    def look(self) -> None:
        """Called between messages: take the ticks that are ripe, and an image of each camera now and then."""
        super().look()
        now = self.now_ns()
        newest = {spec.name: self.sync.newest(spec.name) for spec in self.streams}
        for name, taken in newest.items():
            if taken is not None:
                self._first.setdefault(name, (taken[0], now, self.inputs.counts[name]))
        for name, images in self._images.items():
            taken = newest[name]
            if taken is not None and taken[0] - self._taken_ns.get(name, 0) >= EVERY_NS:
                self._taken_ns[name] = taken[0]
                images.append(taken[1])
        if not self._ticking and all(newest.values()):
            self._ticking = True
            self.sync.start(self.now_ns())
        while (tick := self.sync.sample(self.now_ns())) is not None:
            if isinstance(tick, Sample):
                self._keep(tick)

    def still_finding(self) -> bool:
        """Whether a stream has not come yet, or not for long enough by its clock, which may be a slow simulator's."""
        return super().still_finding() or any(self._heard_s(spec.name) < LEAST_S for spec in self.streams)

    def _heard_s(self, name: str) -> float:
        """For how long a stream was heard, by its stamps."""
        newest = self.sync.newest(name)
        return (newest[0] - self._first[name][0]) / 1e9 if newest is not None and name in self._first else 0.0

    def _rate(self, name: str, otherwise: float) -> float:
        """Messages a second up to now, by their stamps; of one that was heard for a moment alone, by their arrival."""
        seconds = self._heard_s(name)
        if seconds < SHORT_S:
            return otherwise
        _, heard_ns, count = self._first[name]
        return rate_until(self.inputs.counts[name] - count, seconds, (self.now_ns() - heard_ns) / 1e9)

    def _keep(self, sample: Sample) -> None:
        self._history.push(sample.stamp_ns, sample)
        observation = self._builder.observation(sample.payloads)
        parts = [observation["qpos"], *(observation["vectors"][name] for name in self._config.vector_names)]
        self._qpos.append(np.concatenate([np.asarray(part, np.float64) for part in parts]))
        if not self._whole or sample.stamp_ns - self._whole[-1].sample.stamp_ns >= APART_NS:
            self._whole.append(_Whole(sample, self._history.past(sample.stamp_ns)))

    def seen(self) -> tuple[Seen, list[Finding]]:
        """What was seen, and what `vgil robot check` says of the commands' side."""
        heard = self.heard()
        streams = {name: StreamSeen(self._rate(name, one.rate_hz), one.wrong) for name, one in heard.items()}
        images = {}
        for name, kept in self._images.items():
            try:
                pixels = [to_rgb(frame) for frame in kept]
                if pixels:
                    images[name] = np.stack(pixels)
            except VgilError as error:
                streams[name] = StreamSeen(streams[name].rate_hz, f"{name}: {error}")
        requests = [InferenceRequest(0, one.sample.tick, one.sample, one.past) for one in self._whole]
        readable = len(images) == len(self._images)
        observations = [self._input.observation(request) for request in requests] if readable else []
        qpos = np.stack(self._qpos) if self._qpos else np.zeros((0, self._config.state_dim))
        source = f"the robot, {len(self._qpos)} ticks"
        return Seen(source, qpos, images, observations, streams), _commands(self.findings())


def _commands(found: list[RobotFinding]) -> list[Finding]:
    """Of a robot's check what the policy's own checks do not say."""
    told = [one for one in found if one.verdict is not Verdict.GO and "command" in one.about]
    return [
        Finding("robot", one.about, one.verdict, one.words, "a robot that hears its commands", ADVICE) for one in told
    ]


def look_at_robot(
    contract: Contract,
    config: PolicyConfig,
    namespace: str,
    seconds: float,
    progress: Callable[[float], None],
    task: str = "",
) -> tuple[Seen, list[Finding]]:
    """Listen to a robot, and return what its policy would be shown, and what stands against commanding it.

    Args:
        contract: the robot.
        config: the policy's.
        namespace: of the robot's nodes; "" for none.
        seconds: for how long.
        progress: called now and then with the seconds that have passed.
        task: that the policy would be given.
    """
    return listen_to(
        lambda context, clock: PreflightListener(context, contract, namespace, clock, config, task),
        seconds,
        progress,
        PreflightListener.seen,
    )
