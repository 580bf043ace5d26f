"""Observations and batches: what stands in them, and their check on the way to tensors, with errors in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vgil_ros.core.observation import ActionPrefix, RobotObservation
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.normalizer import VectorNormalizer

Array = np.ndarray | Tensor


class KnownPast(TypedDict):
    """What of the past stands in every observation that has one: N moments (`obs_offsets`), oldest first.

    Attributes:
        qpos: (B, N, D) float32 in robot units.
        known: (B, N) bool; where False there was no such observation, and the rest means nothing.
    """

    qpos: Array
    known: Array


class PastPart(KnownPast, total=False):
    """What was observed N times before.

    Attributes:
        images: camera -> (B, N, H, W, 3) uint8 RGB.
        flow: camera -> (B, 1, h, w, 2) float16 px, from a cache in training, in the place of the images.
        action: (B, N, A) float32 in robot units, in training, for targets that begin before the present.
    """

    images: Mapping[str, Array]
    flow: Mapping[str, Array]
    action: Array


class PrefixPart(TypedDict):
    """Actions that a chunk has to agree with; see `PrefixTensors`.

    Attributes:
        action: (B, H, A) float32 in robot units.
        weight: (B, H) float32, 0 to 1.
    """

    action: Array
    weight: Array


class Frames(TypedDict):
    """What every policy takes.

    Attributes:
        qpos: (B, D) float32 in robot units.
        images: camera -> (B, H, W, 3) uint8 RGB, exactly the configuration's cameras.
    """

    qpos: Array
    images: Mapping[str, Array]


class NoisePart(TypedDict, total=False):
    """Where a policy that integrates begins; drawn where left out.

    Attributes:
        noise: (B, H, W) float32 in the policy's own sizes.
    """

    noise: Array


class TaskPart(TypedDict, total=False):
    """What is to be done, for policies that are told.

    Attributes:
        task: in words: one text, or one for each of B; task_embedding: (B, E) float32, in its place.
    """

    task: str | Sequence[str]
    task_embedding: Array


class Observation(Frames, NoisePart, TaskPart, total=False):
    """What a policy predicts from: NumPy or torch, with a batch axis B.

    Attributes:
        past: for policies with `obs_offsets`; without it nothing of the past is known.
        prefix: for policies that keep to settled actions.
    """

    past: PastPart
    prefix: PrefixPart


class Targets(TypedDict):
    """What was done after an observation.

    Attributes:
        action: (B, H, A) float32 in robot units, the first one at the observation's tick.
        is_pad: (B, H) bool, True where the episode had ended.
    """

    action: Array
    is_pad: Array


class Batch(Observation, Targets, total=False):
    """What a policy is trained on: an observation and its targets, and of a reflow what its teacher made of them.

    Attributes:
        endpoint: (B, H, W) float32 in the policy's sizes: where the teacher went from `noise`.
        time: (B,) float32, 0 to 1: where on the way the field is asked.
    """

    endpoint: Tensor
    time: Tensor


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


PREFIX_PARTS = ["action", "weight"]


@dataclass(frozen=True)
class PrefixTensors:
    """Actions that a chunk has to agree with.

    Attributes:
        action: (B, H, A) float32. What stands in rows of weight 0 does not matter.
        weight: (B, H, 1) float32. 1: comes out as it is; between 1 and 0: agree softly; 0: free.
    """

    action: Tensor
    weight: Tensor

    def __bool__(self) -> bool:
        """Whether any row is to be kept."""
        return bool((self.weight > 0.0).any())

    @property
    def fixed(self) -> Tensor:
        """(B, H, 1) bool: the rows that come out as they are."""
        return self.weight >= 1.0

    def normalised(self, normalizer: VectorNormalizer) -> PrefixTensors:
        """The same in the network's units: what `normalizer.inverse` takes back to these actions."""
        offset, scale = normalizer.inverse_affine()
        return replace(self, action=(self.action - offset) / scale)

    def padded(self, horizon: int, width: int, first: int = 0) -> PrefixTensors:
        """The same within the larger array (B, horizon, width) that a network works on.

        Args:
            horizon, width: its sizes; columns added hold zeros and are kept as the rest of their row is.
            first: its row that is the chunk's first; rows before and behind the chunk are free.
        """
        rows, columns = self.action.shape[1:]
        behind = horizon - first - rows
        action = F.pad(self.action, (0, width - columns, first, behind))
        return PrefixTensors(action, F.pad(self.weight, (0, 0, first, behind)))

    def keep(self, chunk: Tensor) -> Tensor:
        """The chunk (B, H, A) with the fixed rows to the last bit as they are."""
        return torch.where(self.fixed, self.action, chunk)


def prepare_prefix(config: PolicyConfig, observation: Observation, device: torch.device) -> PrefixTensors | None:
    """Check the prefix of an observation whose present is checked; None where there is none.

    Args:
        observation: may hold "prefix": {"action": (B, H, A) float32 in robot units, "weight": (B, H) float32}.

    Raises:
        PolicyError: a part is missing or unknown, a shape does not fit, an action that counts is not finite, or a
            weight lies outside of 0..1.
    """
    part = observation.get("prefix")
    if part is None:
        return None
    if sorted(part) != PREFIX_PARTS:
        raise PolicyError(f"prefix: found {sorted(part)}, allowed is exactly {PREFIX_PARTS}")
    action, weight = (to_tensor(one, device).to(torch.float32) for one in (part["action"], part["weight"]))
    batch = len(observation["qpos"])
    check_vector("prefix action", tuple(action.shape), (batch, config.chunk_size, config.action_dim))
    check_vector("prefix weight", tuple(weight.shape), (batch, config.chunk_size))
    if not bool(((weight >= 0.0) & (weight <= 1.0)).all()):
        raise PolicyError(f"prefix weight: found {_span(weight)}, allowed is 0 to 1")
    free = weight[..., None] == 0.0
    if not bool((torch.isfinite(action) | free).all()):
        raise PolicyError("prefix action: a row with a weight above 0 is not finite")
    return PrefixTensors(action.masked_fill(free, 0.0), weight[..., None])


def example_prefix(config: PolicyConfig) -> ActionPrefix:
    """A made-up part without batch axis, for warm-up: of zeros, half of them fixed."""
    weight = np.zeros(config.chunk_size, np.float32)
    weight[: (config.chunk_size + 1) // 2] = 1.0
    return {"action": np.zeros((config.chunk_size, config.action_dim), np.float32), "weight": weight}


def _span(weight: Tensor) -> str:
    return f"{float(weight.min()):.3g} to {float(weight.max()):.3g}"
