"""A robot on its topics as a dm_env.Environment: `reset`, `step(action)`, the contract's rate, the policy's safety.

The environment runs in real time. `step` hands its action over and returns the newest complete tick after it was sent;
what the action did is seen as many ticks later as the sensors and the arms take. A caller slower than the rate skips
ticks: the last action stays asked for, and after 200 ms without a new one the robot is held, its base at rest.
"""

from __future__ import annotations

import atexit
import time
from collections import OrderedDict
from types import TracebackType
from typing import Any

import dm_env
import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.control.pipeline import ExecutionOptions
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import Frame
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder, action_spec, observation_spec
from vgil_ros.episodes.image_codec import to_millimetres, to_rgb
from vgil_ros.nodes.environment.driver import Driver
from vgil_ros.nodes.environment.mailbox import Topics, Turn

STEP_TIMEOUT_S = 2.0  # a tick that does not come; a lost stream is told much earlier, by the contract's gap policy


class RosEnvironment(dm_env.Environment):
    """A robot, real or simulated, that is reached over its contract's topics.

    Observations (float32, images read-only): `qpos` (D,) rad, grippers 0..1; `qvel` (D,) rad/s and `effort` (D,)
    where the robot measures them at the start (NaN where it later does not); `images` {camera: (H, W, 3) uint8 RGB};
    `depth` {camera: (H, W) uint16 mm};
    `base_vel` (2,) m/s, rad/s. Actions (D,) or, with a base, (D + 2,): targets in the units of `qpos`, then the base's
    velocity. An action beyond a limit is brought within it by `core.safety`, as a policy's would be.

    Not for use from more than one thread. Source of the semantics: dm_env's docs (index.md there).
    """

    def __init__(
        self,
        robot: str,
        *,
        episode_len: int = 400,
        reset_service: str = "",
        reward_topic: str = "",
        success_topic: str = "",
        timeout_s: float = 10.0,
        max_age_ms: float = ExecutionOptions.age_ns / 1e6,
        watchdog_ms: float = ExecutionOptions.silence_ns / 1e6,
        soft_start: float = ExecutionOptions.soft_start,
        domain_id: int | None = None,
        namespace: str = "",
    ) -> None:
        """Listen to the robot until every stream has come.

        Args:
            robot: a contract in config/robots, or a path.
            episode_len: steps after which an episode ends, with discount 1.
            reset_service: std_srvs/Trigger that resets the scene; empty: nothing does.
            reward_topic: std_msgs/Float32, the newest value counts; empty: rewards are 0.
            success_topic: std_msgs/Bool, true ends an episode with discount 0; empty: nothing does.
            timeout_s: how long to wait for streams and for the reset.
            max_age_ms: a stream, or the newest complete tick, older than this holds the robot.
            watchdog_ms: so does a caller that asks for nothing for as long.
            soft_start: share of the velocity limits at which the robot goes to the first action.
            domain_id: ROS domain; ROS_DOMAIN_ID by default.
            namespace: of the robot's nodes, where they have one; names that begin without `/` lie in it.

        Raises:
            VgilError: for streams that do not come, each by name, another node that commands the robot, or a length
                below 1.
            ContractError: for a contract that is wrong.
        """
        if episode_len < 1:
            raise VgilError(f"episode_len is {episode_len}; allowed: 1 or more steps")
        self.contract, _ = load_contract(robot)
        self.layout = Layout(self.contract)
        self.episode_len = episode_len
        self._reset_service, self._timeout = reset_service, timeout_s
        self._action_spec = action_spec(self.layout)
        topics = Topics(reset_service, reward_topic, success_topic)
        options = ExecutionOptions(
            silence_ns=round(watchdog_ms * 1e6), age_ns=round(max_age_ms * 1e6), soft_start=soft_start
        )
        self._driver: Driver | None = Driver(self.contract, self.layout, topics, options, domain_id, namespace)
        atexit.register(self.close)  # a base must not drive on because its program ended
        self._builder = ObservationBuilder(self.layout, self._open.streams)
        self._steps: int | None = None  # None: the next step begins an episode
        try:
            first = self._begin()
        except BaseException:
            self.close()
            raise
        observation = self._builder.observation(first.sample.payloads)
        self._observation_spec = observation_spec(
            self.layout, velocity="qvel" in observation, effort="effort" in observation
        )

    def reset(self) -> dm_env.TimeStep:
        """Hold the robot, have the scene reset, and return the first complete tick after it.

        Raises:
            VgilError: for a reset that is refused or not answered, or streams that do not come, each by name.
        """
        self._steps = None
        self._open.rest()
        if self._reset_service:
            self._open.reset_scene(self._timeout)
        first = self._begin()
        self._steps = 0
        return dm_env.restart(self._observe(first.sample))

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Ask for an action (A,) and return the next tick; on a new environment or after LAST, reset instead.

        Raises:
            VgilError: for an action of another shape, a stream that was lost, a joint that does not follow, or another
                node that commands the robot, by name. The robot is held then, and the next step resets.
        """
        if self._steps is None:
            return self.reset()
        serial = self._open.act(self._command(action))
        steps, self._steps = self._steps + 1, None  # whatever goes wrong from here on ends the episode
        turn = self._wait(serial, STEP_TIMEOUT_S)
        observation = self._observe(turn.sample)
        if turn.success:
            self._open.rest()
            return dm_env.termination(turn.reward, observation)
        if steps >= self.episode_len:
            self._open.rest()
            return dm_env.truncation(turn.reward, observation)
        self._steps = steps
        return dm_env.transition(turn.reward, observation)

    def observation_spec(self) -> OrderedDict[str, Any]:
        """Specs of what this robot was found to measure."""
        return self._observation_spec

    def action_spec(self) -> Any:
        """The joints' limits, grippers 0..1, then the base's."""
        return self._action_spec

    def close(self) -> None:
        """Hold the arms, bring the base to rest, and leave ROS. Closing twice does nothing."""
        atexit.unregister(self.close)
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def __enter__(self) -> RosEnvironment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close."""
        self.close()

    @property
    def _open(self) -> Driver:
        if self._driver is None:
            raise VgilError("the environment is closed; make a new one")
        return self._driver

    def _begin(self) -> Turn:
        return self._wait(self._open.begin(), self._timeout)

    def _command(self, action: np.ndarray) -> Command:
        values = np.asarray(action, np.float64)
        if values.shape != self._action_spec.shape:
            raise VgilError(f"action has shape {values.shape}; allowed: {self._action_spec.shape}")
        base = values[-2:] if self.contract.base else None
        return Command(values[: self.layout.joints], base)  # an end marker moves nothing

    def _wait(self, serial: int, seconds: float) -> Turn:
        """Return the first complete tick after a request.

        Raises:
            VgilError: naming the streams that were lost or did not come; the robot is held.
        """
        driver, end = self._open, time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                turn = driver.turns.get(left)
                if turn is None or turn.serial < serial:
                    continue
                if turn.blocked:
                    raise VgilError(turn.blocked)
                if isinstance(turn.tick, Sample):
                    return turn
                if turn.lost:
                    raise VgilError(f"stream lost: {turn.lost}")
            missing = "; ".join(driver.missing) or "every stream comes, but no tick is complete"
            raise VgilError(f"no complete tick within {seconds:g} s: {missing}")
        except BaseException:
            driver.rest()
            raise

    def _observe(self, sample: Sample) -> OrderedDict[str, Any]:
        observation = self._builder.observation(sample.payloads)
        if "images" in observation:
            observation["images"] = OrderedDict(
                (name, _readonly(to_rgb(frame))) for name, frame in observation["images"].items()
            )
        if "depth" in observation:
            observation["depth"] = OrderedDict((name, _depth(frame)) for name, frame in observation["depth"].items())
        unmeasured = np.full(self.layout.dim, np.nan, np.float32)  # a velocity or effort that a driver left out
        return OrderedDict((key, observation.get(key, unmeasured)) for key in self._observation_spec)


def _depth(frame: Frame) -> np.ndarray:
    return _readonly(to_millimetres(frame).astype(np.uint16, copy=False))


def _readonly(pixels: np.ndarray) -> np.ndarray:
    pixels.flags.writeable = False
    return pixels
