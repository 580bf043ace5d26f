"""Translation between a robot's observations and actions and a server's, as a mapping says. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.compatibility import RobotProfile
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.images import resize_with_pad, to_jpeg
from vgil_ros.policies.remote.mapping import BASE, IGNORED, ImageMapping, Key, RemoteMapping

MARKER = "end_marker"


class Translation:
    """Makes messages of observations, and chunks of a robot's of a server's answers.

    Args:
        mapping: what is called what.
        robot: its joints, cameras and rate.
        grippers: those of its joints that are grippers.
        cameras: those that the policy is shown where the mapping names none.

    Raises:
        PolicyError: the mapping names a joint or a camera that the robot does not have, or leaves out a joint.
    """

    def __init__(
        self, mapping: RemoteMapping, robot: RobotProfile, grippers: Sequence[str], cameras: Sequence[str]
    ) -> None:
        self.mapping, self._robot = mapping, robot
        self.images = mapping.images or tuple(ImageMapping(name=name) for name in cameras)
        unknown = [image.name for image in self.images if image.name not in robot.cameras]
        if unknown:
            raise PolicyError(f"images: camera {unknown} is not on robot {robot.name}; allowed: {list(robot.cameras)}")
        joints = robot.joint_names
        self._state = _places("state.joints", mapping.state.joints, joints, robot.name)
        self._gripper = np.array([name in grippers for name in joints])
        self._deltas = ~self._gripper & np.array([name != MARKER for name in joints])
        self._actions, self._fill = self._action_places()

    def _action_places(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Where in a server's action each number of the robot's stands; those that nobody gives are 0 (the marker)."""
        names, joints = self.mapping.actions.joints, self._robot.joint_names
        if not names:
            return None, np.zeros(0, bool)
        allowed = (*joints, *(BASE if self._robot.action_dim_with_base is not None else ()), IGNORED)
        unknown = [name for name in names if name not in allowed]
        missing = [name for name in joints if name not in names and name != MARKER]
        base = [name for name in BASE if name in names]
        if unknown or missing or len(base) == 1:
            raise PolicyError(
                f"actions.joints: unknown {unknown}, missing {missing}; allowed: {list(allowed)}, both of the base's "
                "or none"
            )
        wanted = (*joints, *base)
        places = np.array([names.index(name) if name in names else 0 for name in wanted])
        return places, np.array([name not in names for name in wanted])

    @property
    def width(self) -> int | None:
        """Numbers that an action of the server must have; None: as many as the robot takes."""
        return len(self.mapping.actions.joints) or None

    def message(self, observation: RobotObservation) -> dict[str, Any]:
        """The message of an observation; what else it holds beside qpos, images and task goes along as it is.

        Args:
            observation: without a batch axis.
        """
        message: dict[str, Any] = {}
        qpos = np.asarray(observation["qpos"], np.float32)
        _put(message, self.mapping.state.key, self._server_state(qpos))
        for image in self.images:
            place = image.key if image.key is not None else ("images", image.name)
            _put(message, place, self._image(image, observation["images"][image.name]))
        if "task" in observation:
            _put(message, self.mapping.prompt, observation["task"])
        for key in ("vectors", "prefix"):
            if key in observation:
                message[key] = dict(cast("Mapping[str, Any]", observation[key]))
        if "past" in observation:
            past = observation["past"]
            shown = {_served_name(image): self._several(image, past["images"][image.name]) for image in self.images}
            states = [self._server_state(np.asarray(qpos, np.float32)) for qpos in past["qpos"]]
            message["past"] = {**past, "qpos": np.stack(states), "images": shown}
        return message

    def _server_state(self, qpos: np.ndarray) -> np.ndarray:
        """(D,) in the server's order, its grippers as the server has them; vectors behind the joints stay there."""
        state, grippers = qpos.copy(), self.mapping.grippers
        joints = len(self._gripper)
        state[:joints][self._gripper] = grippers.closed + state[:joints][self._gripper] * (
            grippers.open - grippers.closed
        )
        return state if self._state is None else np.concatenate([state[:joints][self._state], state[joints:]])

    def _image(self, image: ImageMapping, pixels: np.ndarray) -> np.ndarray | bytes:
        if image.resize is not None:
            pixels = resize_with_pad(pixels, *image.resize)
        if self.mapping.jpeg_quality is not None:
            return to_jpeg(pixels, self.mapping.jpeg_quality)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if image.order == "chw" else pixels

    def _several(self, image: ImageMapping, pixels: np.ndarray) -> list[np.ndarray | bytes]:
        return [self._image(image, one) for one in pixels]

    def chunks(self, answer: Any, qpos: np.ndarray) -> np.ndarray:
        """The robot's chunks (K, H, A) float32 from an answer about an observation with these positions (D,).

        Raises:
            RemoteError: the answer holds no chunk (H, D) or (K, H, D), or one of another width.
        """
        rows = _get(answer, self.mapping.actions.key)
        if not isinstance(rows, np.ndarray) or rows.ndim not in (2, 3) or not rows.size:
            found = f"shape {rows.shape}" if isinstance(rows, np.ndarray) else f"type {type(rows).__name__}"
            raise RemoteError(f"the answer's {self.mapping.actions.key} has {found}; allowed: an array (H, D)")
        several = rows if rows.ndim == 3 else rows[None]
        return np.stack([self._chunk(one, qpos) for one in several])

    def _chunk(self, rows: np.ndarray, qpos: np.ndarray) -> np.ndarray:
        chunk = self._in_order(rows.astype(np.float64))
        joints = len(self._gripper)
        grippers, columns = self.mapping.grippers, np.flatnonzero(self._gripper)
        chunk[:, columns] = (chunk[:, columns] - grippers.closed) / (grippers.open - grippers.closed)
        kind, moved = self.mapping.actions.kind, np.flatnonzero(self._deltas)
        if kind == "delta_each":
            chunk[:, moved] = np.cumsum(chunk[:, moved], axis=0)
        if kind != "absolute":
            chunk[:, moved] += np.asarray(qpos, np.float64)[:joints][moved]
        rate = self.mapping.actions.rate_hz
        return (chunk if rate is None else retimed(chunk, rate, self._robot.rate_hz)).astype(np.float32)

    def _in_order(self, rows: np.ndarray) -> np.ndarray:
        robot = self._robot
        takes = [dim for dim in (robot.action_dim, robot.action_dim_with_base) if dim is not None]
        allowed = [self.width] if self.width is not None else takes
        if rows.shape[1] not in allowed:
            raise RemoteError(
                f"the server gives {rows.shape[1]} numbers an action; allowed: {' or '.join(map(str, allowed))}; "
                "name them by actions.joints of the mapping"
            )
        if self._actions is None:
            return rows
        chunk = rows[:, self._actions]
        chunk[:, self._fill] = 0.0
        return chunk


def retimed(chunk: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """A chunk (H, A) at another rate, by linear interpolation: row 0 stays, and no row lies beyond the last one."""
    rows = int((len(chunk) - 1) * to_hz / from_hz + 1e-9) + 1
    at = np.minimum(np.arange(rows) * from_hz / to_hz, len(chunk) - 1)
    before = at.astype(int)
    after = np.minimum(before + 1, len(chunk) - 1)
    share = (at - before)[:, None]
    mixed: np.ndarray = chunk[before] * (1.0 - share) + chunk[after] * share
    return mixed


def _places(what: str, names: Sequence[str], joints: Sequence[str], robot: str) -> np.ndarray | None:
    unknown = [name for name in names if name not in joints]
    if unknown:
        raise PolicyError(f"{what}: {unknown} is not on robot {robot}; allowed: {list(joints)}")
    return np.array([joints.index(name) for name in names]) if names else None


def _served_name(image: ImageMapping) -> str:
    """What a server of ours calls a camera: the last part of the key of its image."""
    return image.key[-1] if isinstance(image.key, tuple) else image.name


def _put(message: dict[str, Any], key: Key, value: Any) -> None:
    keys = (key,) if isinstance(key, str) else key
    for name in keys[:-1]:
        message = message.setdefault(name, {})
    message[keys[-1]] = value


def _get(answer: Any, key: Key) -> Any:
    for name in (key,) if isinstance(key, str) else key:
        if not isinstance(answer, dict) or name not in answer:
            found = sorted(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise RemoteError(f"the answer has no {name!r}; found {found}, needed is a map with it")
        answer = answer[name]
    return answer
