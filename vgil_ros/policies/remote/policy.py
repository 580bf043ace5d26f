"""A policy that runs elsewhere, as the inference thread sees it: an observation in, a chunk out.

What goes wrong is a `RemoteError` for the request at hand: the robot is held by its watchdog, as for any policy that
is silent, and the next request tries again. A connection that was cut is opened anew, with growing pauses.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import with_past, with_task
from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotFrame, RobotObservation
from vgil_ros.extras import need
from vgil_ros.policies.compatibility import RobotProfile, compare_with_contract, profile_of
from vgil_ros.policies.config import CameraSpec
from vgil_ros.policies.remote.address import given_token
from vgil_ros.policies.remote.connection import Connection
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.mapping import BASE, RemoteMapping
from vgil_ros.policies.remote.metadata import RemoteConfig, served_policy
from vgil_ros.policies.remote.translation import Translation
from vgil_ros.policies.remote.wire import pack, unpack

PARTS = ("encode", "wire", "server", "decode")
REMEMBERED = 500  # latencies
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0  # between two attempts to connect


class RemotePolicy:
    """A server's policy for one robot. One thread calls it; `close` may be called by another.

    Attributes:
        config: what is known of the policy, from the server's metadata and its first answer.
        supports_prefix: whether an observation may hold "prefix".
        stochastic: whether two chunks of one observation may differ; of another project's server nobody knows.
        warmed_s: how long the first answer took.
    """

    def __init__(
        self, address: str, layout: Layout, mapping: RemoteMapping | None = None, *, task: str = "", token: str = ""
    ) -> None:
        """Connect, hold what the server tells against the robot, and ask it once: it warms up, and shows its chunks.

        Args:
            address: ws://HOST:PORT.
            layout: the robot.
            mapping: what is called what; None: as `vgil serve` has it.
            task: for the first question.
            token: as the server wants it; empty: that of the environment variable VGIL_TOKEN, if any.

        Raises:
            MissingDependency: websockets or msgpack is not installed.
            RemoteError: the server cannot be reached, or gives no chunk that the robot takes.
            VgilError: with every mismatch between what the server tells and the robot, one a line.
        """
        need(f"a policy at {address}", "websockets", "msgpack")
        self._mapping = mapping if mapping is not None else RemoteMapping()
        self._connection = Connection(address, token or given_token(), connect_s=self._mapping.connect_s)
        self._robot, self.address = profile_of(layout), address
        self._closing = threading.Event()
        self._pause_s, self._retry_at = FIRST_PAUSE_S, 0.0
        self._seed: tuple[int | None] | None = None  # of an episode that the server has not been told of
        self._took: dict[str, deque[float]] = {part: deque(maxlen=REMEMBERED) for part in PARTS}
        try:
            self._served = served_policy(self._connection.open(), address)
            self.config = self._known_config()
            grippers = grippers_of(layout)
            self._translation = Translation(self._mapping, self._robot, grippers, self.config.camera_names)
            self._check_jpeg()
            self.config = self._seen_config(task)
        except BaseException:
            self.close()
            raise
        self.stochastic = self._served is None or self._served.stochastic
        self.supports_prefix = self._served is not None and self._served.prefix and self._mapping.plain

    def __call__(self, observation: RobotObservation) -> np.ndarray:
        """Give the chunk (H, A) float32 in robot units, of an observation without a batch axis.

        Raises:
            RemoteError: the server cannot be reached, does not answer in time, or not with such a chunk.
        """
        self._reconnect()
        chunks = self._ask(observation, self._mapping.answer_s)
        self._check(chunks, 1)
        one: np.ndarray = chunks[0]
        return one

    def draw(self, observation: RobotObservation, count: int) -> np.ndarray:
        """Give several chunks (K, H, A) float32 of one observation, from a server of ours in one request.

        Raises:
            RemoteError: as for one.
        """
        self._reconnect()
        asked, each = (count, 1) if self._served is None else (1, count)
        drawn = []
        for _ in range(asked):
            drawn.append(self._ask(observation, self._mapping.answer_s, each))
            self._check(drawn[-1], each)
        return np.concatenate(drawn)

    def reset(self, seed: int | None = None) -> None:
        """An episode begins; a server of ours is told, others have no word for it."""
        self._seed = (seed,) if self._served is not None else None

    def close(self) -> None:
        """Close the connection; a request under way fails."""
        self._closing.set()
        self._connection.drop()

    @property
    def description(self) -> str:
        """What runs where, in words."""
        return f"{self.config.type} at {self.address}"

    def latency_parts(self) -> Mapping[str, tuple[float, float]]:
        """Median and 99th percentile in ms of what the last answers took: encode, wire, server, decode."""
        taken = {part: np.array(list(values)) * 1e3 for part, values in self._took.items() if values}
        figures = {part: np.percentile(values, (50, 99)) for part, values in taken.items()}
        return {part: (float(middle), float(high)) for part, (middle, high) in figures.items()}

    def _check(self, chunks: np.ndarray, count: int) -> None:
        wanted = (count, self.config.chunk_size, self.config.action_dim)
        if chunks.shape != wanted:
            raise RemoteError(f"{self.address}: the answer has chunks {chunks.shape}; allowed: {wanted}, as before")

    def _ask(self, observation: RobotObservation, seconds: float, count: int = 1) -> np.ndarray:
        """The chunks (K, H, A) of an answer."""
        began = time.perf_counter()
        message = self._translation.message(observation)
        if count > 1:
            message["draws"] = count
        if self._seed is not None:
            message["reset"] = {"seed": self._seed[0]}
        request = pack(message)
        sent = time.perf_counter()
        reply = self._connection.ask(request, seconds)
        came = time.perf_counter()
        self._seed = None
        try:
            answer = unpack(reply)
            chunks = self._translation.chunks(answer, np.asarray(observation["qpos"]))
        except RemoteError as error:
            raise RemoteError(f"{self.address}: {error}") from None
        server = min(_server_s(answer), came - sent)
        done = time.perf_counter()
        for part, taken in zip(PARTS, (sent - began, came - sent - server, server, done - came), strict=True):
            self._took[part].append(taken)
        return chunks

    def _reconnect(self) -> None:
        """Open the connection where it is not, after a pause that grows from try to try."""
        if self._connection.is_open:
            return
        if self._closing.wait(max(self._retry_at - time.monotonic(), 0.0)):
            raise RemoteError(f"{self.address}: the connection was closed")
        try:
            served = served_policy(self._connection.open(), self.address)
            if self._closing.is_set():
                raise RemoteError(f"{self.address}: the connection was closed")
            if served != self._served:
                raise RemoteError(f"{self.address}: serves another policy than before; start anew to take it")
        except RemoteError:
            self._connection.drop()  # the next request must not be played by a server that was refused
            self._retry_at = time.monotonic() + self._pause_s
            self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
            raise
        self._pause_s = FIRST_PAUSE_S

    def _known_config(self) -> RemoteConfig:
        """What the metadata tells, but for what the mapping names, held against the robot; else the robot's sizes."""
        robot, served, mapping = self._robot, self._served, self._mapping
        cameras = tuple(CameraSpec(name=image.name) for image in mapping.images)
        if served is None:
            return RemoteConfig(
                type="remote",
                state_dim=robot.state_dim,
                action_dim=robot.action_dim,
                chunk_size=1,
                cameras=cameras or tuple(CameraSpec(name=name) for name in robot.cameras),
                joint_names=robot.joint_names,
            )
        config = served.config(self.address)
        named: dict[str, Any] = {}
        if cameras:
            named["cameras"] = cameras
        if mapping.state.joints:
            named["state_dim"] = robot.state_dim + config.state_dim - config.qpos_dim
        if mapping.actions.joints:
            named["action_dim"] = robot.action_dim + sum(name in BASE for name in mapping.actions.joints)
        if mapping.state.joints and mapping.actions.joints:  # one alone leaves the other in the server's order
            named["joint_names"] = robot.joint_names
        if mapping.actions.rate_hz is not None:
            named |= {"rate_hz": robot.rate_hz, "past": self._past(served.past, mapping.actions.rate_hz)}
        config = config.model_copy(update=named)
        if wrong := compare_with_contract(config, robot):
            lines = "\n".join(f"  - {line}" for line in wrong)
            raise VgilError(f"the policy at {self.address} does not fit robot '{robot.name}':\n{lines}")
        return config

    def _past(self, told: tuple[int, ...], rate_hz: float) -> tuple[int, ...]:
        """How far the server looks back, in the robot's ticks."""
        return tuple(max(1, round(k * self._robot.rate_hz / rate_hz)) for k in told)

    def _seen_config(self, task: str) -> RemoteConfig:
        """The configuration with the sizes of a chunk that came."""
        words = task or ("an example" if self.config.needs_task else "")
        example = with_task(example_observation(self._robot, self.config), words)
        began = time.monotonic()
        chunk = self._ask(example, self._mapping.first_answer_s)[0]
        self.warmed_s = time.monotonic() - began
        for values in self._took.values():
            values.clear()
        retimed = self._mapping.actions.rate_hz is not None
        told = (self.config.chunk_size, self.config.action_dim)
        if self._served is not None and not retimed and chunk.shape != told:
            raise RemoteError(f"{self.address}: its chunks are {chunk.shape}; allowed: {told}, as it tells")
        seen: dict[str, Any] = {"chunk_size": chunk.shape[0], "action_dim": chunk.shape[1]}
        if retimed:  # what is counted in the server's ticks means nothing in the robot's
            seen |= {"rate_hz": self._robot.rate_hz, "execution": None, "steps": None}
        return RemoteConfig.model_validate(self.config.model_dump() | seen)

    def _check_jpeg(self) -> None:
        if self._mapping.jpeg_quality is not None and self._served is not None and "jpeg" not in self._served.images:
            raise RemoteError(f"{self.address}: takes images as {self._served.images}; leave jpeg_quality out")


def example_observation(robot: RobotProfile, config: RemoteConfig) -> RobotObservation:
    """A made-up observation of a robot that stands at zero, with all of its past known."""
    noise = np.random.default_rng(0)

    def frame() -> RobotFrame:
        shapes = {name: robot.cameras[name] for name in config.camera_names}
        images = {name: noise.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in shapes.items()}
        made: RobotFrame = {"qpos": np.zeros(robot.state_dim, np.float32), "images": images}
        if config.vectors:
            made["vectors"] = {vector.name: np.zeros(vector.size, np.float32) for vector in config.vectors}
        return made

    return with_past(frame(), [frame() for _ in config.obs_offsets])


def grippers_of(layout: Layout) -> tuple[str, ...]:
    """Names of a robot's joints that are grippers, "arm/joint"."""
    arms = layout.contract.arms
    return tuple(f"{arm.name}/{arm.gripper.joint}" for arm in arms if arm.gripper is not None)


def _server_s(answer: Any) -> float:
    """How long the server says that it took, in seconds; 0 where it does not."""
    timing = answer.get("server_timing") if isinstance(answer, dict) else None
    taken = timing.get("infer_ms", 0.0) if isinstance(timing, dict) else 0.0
    return max(float(taken) / 1e3, 0.0) if isinstance(taken, int | float) and np.isfinite(taken) else 0.0
