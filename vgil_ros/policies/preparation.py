"""Observations and targets checked, as tensors on a device, in the policy's own order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.observation import Array, NoisePart, Observation, Targets


def to_tensor(value: Array, device: torch.device) -> Tensor:
    """Give `value` as a tensor on `device`.

    A NumPy array is not copied on the CPU, unless it is read-only or a view that runs backwards (`image[..., ::-1]`).
    """
    if isinstance(value, np.ndarray):
        if not value.flags.writeable or min(value.strides, default=0) < 0:
            value = np.array(value, order="C")
        value = torch.from_numpy(value)
    return value.to(device)


def as_array(name: str, value: object, dtype: type[np.generic] | None = None) -> Array:
    """Give an array as it is, and one of nested lists made of them, as `dtype`.

    Raises:
        PolicyError: it is neither, or lists of different lengths.
    """
    if isinstance(value, np.ndarray | Tensor):
        return value
    if isinstance(value, list | tuple):
        try:
            return np.asarray(value, dtype)
        except (ValueError, TypeError) as error:
            raise PolicyError(f"{name}: a list that is no array ({error}); allowed: lists of one length") from None
    raise PolicyError(f"{name}: found {type(value).__name__}, allowed are a NumPy array, a tensor, or nested lists")


def check_vector(name: str, shape: tuple[int, ...], expected: tuple[int | None, ...]) -> None:
    """Raise PolicyError unless `shape` is `expected`, where None stands for any size."""
    fits = len(shape) == len(expected) and all(e is None or s == e for s, e in zip(shape, expected, strict=True))
    if not fits:
        wanted = "(" + ", ".join("*" if e is None else str(e) for e in expected) + ")"
        raise PolicyError(f"{name}: found shape {tuple(shape)}, allowed is {wanted}")


def check_parts(observation: Mapping[str, Any]) -> None:
    """Raise PolicyError unless `observation` holds qpos and images."""
    if not isinstance(observation, Mapping):
        raise PolicyError(
            f"observation: found {type(observation).__name__}, allowed is a dict with 'qpos' and 'images'"
        )
    for key in ("qpos", "images"):
        if key not in observation:
            raise PolicyError(f"observation: {key!r} missing, found {sorted(observation)}")


def with_state(config: PolicyConfig, observation: Mapping[str, Any]) -> dict[str, Any]:
    """Put the vectors that a policy takes behind qpos, there and in the past; one that has them there is left alone.

    Args:
        config: the policy's.
        observation: with a batch axis or without, NumPy or torch.

    Raises:
        PolicyError: a vector is missing, or has another size.
    """
    out = dict(observation)
    if not config.vectors or "qpos" not in observation:
        return out
    out["qpos"] = _state(config, observation, "")
    out.pop("vectors", None)
    if isinstance(past := observation.get("past"), Mapping) and "qpos" in past:
        stated = {**past, "qpos": _state(config, past, "past ")}
        stated.pop("vectors", None)
        out["past"] = stated
    return out


def _state(config: PolicyConfig, part: Mapping[str, Any], when: str) -> Array:
    qpos = as_array(f"{when}qpos", part["qpos"], np.float32)
    given = part.get("vectors")
    if given is None and qpos.shape[-1:] == (config.state_dim,):
        return qpos
    missing = [name for name in config.vector_names if name not in (given or {})]
    if given is None or missing:
        raise PolicyError(
            f"{when}vectors: missing {missing}; allowed: all that the policy takes, {list(config.vector_names)}"
        )
    check_vector(f"{when}qpos", tuple(qpos.shape), (*qpos.shape[:-1], config.qpos_dim))
    parts = [qpos]
    for vector in config.vectors:
        values = as_array(f"{when}{vector.name}", given[vector.name], np.float32)
        check_vector(f"{when}{vector.name}", tuple(values.shape), (*qpos.shape[:-1], vector.size))
        parts.append(values)
    if any(isinstance(one, Tensor) for one in parts):
        device = next(one.device for one in parts if isinstance(one, Tensor))
        return torch.cat([to_tensor(one, device).to(torch.float32) for one in parts], dim=-1)
    return np.concatenate([np.asarray(one, np.float32) for one in parts], axis=-1)


def check_cameras(config: PolicyConfig, images: Mapping[str, Any]) -> None:
    """Raise PolicyError unless `images` holds exactly the policy's cameras."""
    if not isinstance(images, Mapping):
        raise PolicyError(
            f"images: found {type(images).__name__}, allowed is a dict of one array for each of "
            f"{list(config.camera_names)}"
        )
    missing = [name for name in config.camera_names if name not in images]
    unknown = [name for name in images if name not in config.camera_names]
    if missing or unknown:
        raise PolicyError(
            f"cameras: missing {missing}, unknown {unknown}; the policy takes exactly {list(config.camera_names)}"
        )


def check_image(config: PolicyConfig, index: int, shape: tuple[int, ...], dtype: object, when: str = "") -> None:
    """Raise PolicyError unless an image (H, W, 3) of camera number `index` has the right shape and is uint8."""
    camera = config.cameras[index]
    check_vector(f"{when}image of {camera.name}", shape, (camera.height, camera.width, 3))
    if str(dtype).removeprefix("torch.") != "uint8":
        raise PolicyError(f"{when}image of {camera.name}: found dtype {dtype}, allowed is uint8 (RGB, 0..255)")


def prepare(config: PolicyConfig, observation: Observation, device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Check `observation` and give (qpos (B, D) float32, [images (B, H, W, 3) uint8 in the policy's camera order]).

    Raises:
        PolicyError: a camera is missing or unknown, or a shape, size or dtype differs from the configuration.
    """
    check_parts(observation)
    qpos = to_tensor(as_array("qpos", observation["qpos"], np.float32), device)
    check_vector("qpos", tuple(qpos.shape), (None, config.state_dim))
    return qpos.to(torch.float32), _images(config, observation["images"], (len(qpos),), device)


@dataclass(frozen=True)
class Past:
    """What was observed `config.obs_offsets` ago, oldest first; N of them.

    Attributes:
        qpos: (B, N, D) float32; images: one (B, N, H, W, 3) uint8 for each camera in the policy's order.
        known: (B, N) bool; where False there was no such observation and the contents mean nothing.
    """

    qpos: Tensor
    images: list[Tensor]
    known: Tensor


def prepare_past(config: PolicyConfig, observation: Observation, device: torch.device) -> Past | None:
    """Check the past of an observation whose present is checked; None where it has none, so nothing is known.

    Raises:
        PolicyError: a part or camera is missing, or a shape, size or dtype does not fit.
    """
    past = observation.get("past")
    if past is None:
        return None
    missing = [key for key in ("qpos", "images", "known") if key not in past]
    if missing:
        raise PolicyError(f"past: {missing} missing, found {sorted(past)}")
    shape = (len(observation["qpos"]), len(config.obs_offsets))
    qpos, known = to_tensor(past["qpos"], device), check_known(config, observation, device)
    check_vector("past qpos", tuple(qpos.shape), (*shape, config.state_dim))
    return Past(qpos.to(torch.float32), _images(config, past["images"], shape, device, "past "), known)


def check_known(config: PolicyConfig, observation: Observation, device: torch.device) -> Tensor:
    """Give which parts of an observation's past are known, (B, N) bool.

    Raises:
        PolicyError: another shape or dtype.
    """
    known = to_tensor(observation["past"]["known"], device)
    check_vector("past known", tuple(known.shape), (len(observation["qpos"]), len(config.obs_offsets)))
    if known.dtype != torch.bool:
        raise PolicyError(f"past known: found dtype {known.dtype}, allowed is bool")
    return known


def _images(
    config: PolicyConfig, images: Mapping[str, Array], lead: tuple[int, ...], device: torch.device, when: str = ""
) -> list[Tensor]:
    """Check images (*lead, H, W, 3) of all cameras and bring them to the device, in the policy's order."""
    check_cameras(config, images)
    checked = []
    for index, name in enumerate(config.camera_names):
        image = as_array(f"{when}image of {name}", images[name], np.uint8)
        check_vector(f"{when}image of {name}", tuple(image.shape), (*lead, None, None, 3))
        check_image(config, index, tuple(image.shape[len(lead) :]), image.dtype, when)
        checked.append(to_tensor(image, device))
    return checked


def prepare_targets(config: PolicyConfig, batch: Targets, device: torch.device) -> tuple[Tensor, Tensor]:
    """Check the targets of a batch and give (action (B, H, A) float32 in robot units, is_pad (B, H) bool).

    Raises:
        PolicyError: a shape or dtype does not fit.
    """
    action, is_pad = to_tensor(batch["action"], device), to_tensor(batch["is_pad"], device)
    check_vector("action", tuple(action.shape), (None, config.chunk_size, config.action_dim))
    check_vector("is_pad", tuple(is_pad.shape), (len(action), config.chunk_size))
    if is_pad.dtype != torch.bool:
        raise PolicyError(f"is_pad: found dtype {is_pad.dtype}, allowed is bool")
    return action.to(torch.float32), is_pad


def prepare_noise(observation: NoisePart, shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    """Check the noise of an observation and give it, `shape` (B, ...) float32; None where it has none.

    Raises:
        PolicyError: another shape or dtype.
    """
    if "noise" not in observation:
        return None
    noise = to_tensor(observation["noise"], device)
    check_vector("noise", tuple(noise.shape), shape)
    if noise.dtype != torch.float32:
        raise PolicyError(f"noise: found dtype {noise.dtype}, allowed is float32, however the network computes")
    return noise


def batched(observation: RobotObservation) -> Observation:
    """Put a batch axis of one before every array, however deep; a text becomes a list of one."""
    return cast("Observation", _batched(observation))


def _batched(values: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out[key] = _batched(value)
        else:
            out[key] = [value] if isinstance(value, str) else np.asarray(value)[None]
    return out
