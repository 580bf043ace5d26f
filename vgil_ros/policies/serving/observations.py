"""Requests of clients, as messages of the wire, made into observations of the policy that is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from vgil_ros.core.observation import ActionPrefix, RobotObservation, RobotPast
from vgil_ros.policies.config import CameraSpec, PolicyConfig
from vgil_ros.policies.remote.errors import WireError
from vgil_ros.policies.remote.images import from_jpeg

PARTS = ("state", "images", "prompt", "vectors", "past", "prefix", "reset", "draws")
MOST_DRAWS = 64
LONGEST_PROMPT = 4096  # characters


def observation_of(message: Any, config: PolicyConfig) -> RobotObservation:
    """The observation of a request.

    Args:
        message: {"state": (D,), "images": {camera: (H, W, 3) or (3, H, W) uint8 RGB, or a JPEG's bytes}}, with
            "prompt": a text, and where the policy takes them "vectors", "past" and "prefix".
        config: of the policy.

    Raises:
        WireError: a part is missing, unknown or of another kind; shapes are for the policy to judge.
    """
    if not isinstance(message, dict):
        raise WireError(f"a request is {type(message).__name__}; needed is a map with 'state' and 'images'")
    unknown = [key for key in message if key not in PARTS]
    if unknown or "state" not in message:
        raise WireError(
            f"a request has {sorted(map(str, message))}; needed are 'state' and 'images', allowed: {list(PARTS)}"
        )
    observation: RobotObservation = {
        "qpos": _numbers("state", message["state"]),
        "images": _images(message.get("images", {}), config),
    }
    if (prompt := message.get("prompt")) is not None:
        if not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT:
            raise WireError(f"prompt is {type(prompt).__name__}; allowed: a text, up to {LONGEST_PROMPT} characters")
        if prompt:
            observation["task"] = prompt
    if "vectors" in message:
        observation["vectors"] = {name: _numbers(name, value) for name, value in _map("vectors", message).items()}
    if "past" in message:
        observation["past"] = _past(_map("past", message), config)
    if "prefix" in message:
        prefix = {name: _numbers(f"prefix {name}", value) for name, value in _map("prefix", message).items()}
        observation["prefix"] = cast("ActionPrefix", prefix)
    return observation


def reset_seed(message: Any) -> tuple[int | None] | None:
    """(seed,) where a request begins an episode, (None,) one without a seed; None where it does not.

    Raises:
        WireError: the seed is no whole number.
    """
    if not isinstance(message, dict) or "reset" not in message:
        return None
    seed = _map("reset", message).get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
        raise WireError(f"reset: seed is {str(seed)[:40]}; allowed: a whole number from 0, or none")
    return (seed,)


def draws_of(message: Any) -> int:
    """How many chunks a request asks for.

    Raises:
        WireError: no whole number, or too many.
    """
    draws = message.get("draws", 1) if isinstance(message, dict) else 1
    if type(draws) is not int or not 1 <= draws <= MOST_DRAWS:
        raise WireError(f"draws is {str(draws)[:40]}; allowed: 1 to {MOST_DRAWS}")
    return draws


def _map(name: str, message: Mapping[Any, Any]) -> Mapping[str, Any]:
    found = message[name]
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise WireError(f"{name} is {type(found).__name__}; allowed: a map of texts")
    return found


def _numbers(name: str, value: Any) -> np.ndarray:
    if isinstance(value, list):
        try:
            value = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise WireError(
                f"{name} is a list of other things than numbers; allowed: numbers, all of one shape"
            ) from None
    if not isinstance(value, np.ndarray):
        raise WireError(f"{name} is {type(value).__name__}; allowed: an array")
    array: np.ndarray = np.ascontiguousarray(value, value.dtype if value.dtype == bool else np.float32)
    return array


def _images(found: Any, config: PolicyConfig) -> dict[str, np.ndarray]:
    if not isinstance(found, dict):
        raise WireError(f"images is {type(found).__name__}; allowed: a map of camera and image")
    cameras = {camera.name: camera for camera in config.cameras}
    if sorted(map(str, found)) != sorted(cameras):
        raise WireError(f"images has {sorted(map(str, found))}; allowed: exactly {list(cameras)}")
    return {name: _image(found[name], cameras[name]) for name in cameras}


def _image(value: Any, camera: CameraSpec) -> np.ndarray:
    if isinstance(value, bytes):
        size = None if camera.height is None or camera.width is None else (camera.height, camera.width)
        return from_jpeg(value, size)
    if not isinstance(value, np.ndarray) or value.ndim != 3:
        found = f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise WireError(f"image of {camera.name}: found {found}; allowed: (H, W, 3) uint8, or the bytes of a JPEG")
    if value.shape[0] == 3 and value.shape[2] != 3:
        return np.ascontiguousarray(value.transpose(1, 2, 0))
    image: np.ndarray = value
    return image


def _past(found: Mapping[str, Any], config: PolicyConfig) -> RobotPast:
    missing = [name for name in ("qpos", "images", "known") if name not in found]
    if missing:
        raise WireError(f"past lacks {missing}; needed are qpos, images and known")
    shown, wanted = _map("images", found), len(config.obs_offsets)
    for name in config.camera_names:  # before any is decoded: an image takes far more room than its JPEG
        given = shown.get(name)
        count = len(given) if isinstance(given, list) or (isinstance(given, np.ndarray) and given.ndim) else 0
        if not wanted or count != wanted:
            raise WireError(f"past images of {name}: found {count}; allowed: {wanted}, as the policy looks back")
    several = {camera.name: [_image(one, camera) for one in shown[camera.name]] for camera in config.cameras}
    if not all(len({one.shape for one in images}) == 1 for images in several.values()):
        raise WireError("past images of a camera are of different sizes; allowed: all of one size")
    past: dict[str, Any] = {
        "qpos": _numbers("past qpos", found["qpos"]),
        "images": {name: np.stack(images) for name, images in several.items()},
        "known": _numbers("past known", found["known"]).astype(bool),
    }
    if "vectors" in found:
        past["vectors"] = {name: _numbers(name, value) for name, value in _map("vectors", found).items()}
    return cast("RobotPast", past)
