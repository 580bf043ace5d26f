"""Check an observation or a batch and turn it into tensors, with errors in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.normalizer import VectorNormalizer

Array = np.ndarray | Tensor


def to_tensor(value: Array, device: torch.device) -> Tensor:
    """Give `value` as a tensor on `device`; a NumPy array is not copied on the CPU unless it is read-only."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value if value.flags.writeable else value.copy())
    return value.to(device)


def check_vector(name: str, shape: tuple[int, ...], expected: tuple[int | None, ...]) -> None:
    """Raise PolicyError unless `shape` is `expected`, where None stands for any size."""
    fits = len(shape) == len(expected) and all(e is None or s == e for s, e in zip(shape, expected, strict=True))
    if not fits:
        wanted = "(" + ", ".join("*" if e is None else str(e) for e in expected) + ")"
        raise PolicyError(f"{name}: found shape {tuple(shape)}, allowed is {wanted}")


def check_parts(observation: Mapping[str, Any]) -> None:
    """Raise PolicyError unless `observation` holds qpos and images."""
    for key in ("qpos", "images"):
        if key not in observation:
            raise PolicyError(f"observation: {key!r} missing, found {sorted(observation)}")


def check_cameras(config: PolicyConfig, images: Mapping[str, Any]) -> None:
    """Raise PolicyError unless `images` holds exactly the policy's cameras."""
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


def prepare(config: PolicyConfig, observation: Mapping[str, Any], device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Check `observation` and give (qpos (B, D) float32, [images (B, H, W, 3) uint8 in the policy's camera order]).

    Raises:
        PolicyError: a camera is missing or unknown, or a shape, size or dtype differs from the configuration.
    """
    check_parts(observation)
    qpos = to_tensor(observation["qpos"], device)
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


def prepare_past(config: PolicyConfig, observation: Mapping[str, Any], device: torch.device) -> Past | None:
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


def check_known(config: PolicyConfig, observation: Mapping[str, Any], device: torch.device) -> Tensor:
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
        image = images[name]
        check_vector(f"{when}image of {name}", tuple(image.shape), (*lead, None, None, 3))
        check_image(config, index, tuple(image.shape[len(lead) :]), image.dtype, when)
        checked.append(to_tensor(image, device))
    return checked


def batched(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put a batch axis of one before every array, however deep; a text becomes a list of one."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out[key] = batched(value)
        else:
            out[key] = [value] if isinstance(value, str) else np.asarray(value)[None]
    return out


PARTS = ("action", "weight")


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


def prepare_prefix(config: PolicyConfig, observation: Mapping[str, Any], device: torch.device) -> PrefixTensors | None:
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
    if sorted(part) != sorted(PARTS):
        raise PolicyError(f"prefix: found {sorted(part)}, allowed is exactly {sorted(PARTS)}")
    action, weight = (to_tensor(part[name], device).to(torch.float32) for name in PARTS)
    batch = len(observation["qpos"])
    check_vector("prefix action", tuple(action.shape), (batch, config.chunk_size, config.action_dim))
    check_vector("prefix weight", tuple(weight.shape), (batch, config.chunk_size))
    if not bool(((weight >= 0.0) & (weight <= 1.0)).all()):
        raise PolicyError(f"prefix weight: found {_span(weight)}, allowed is 0 to 1")
    free = weight[..., None] == 0.0
    if not bool((torch.isfinite(action) | free).all()):
        raise PolicyError("prefix action: a row with a weight above 0 is not finite")
    return PrefixTensors(action.masked_fill(free, 0.0), weight[..., None])


def example_prefix(config: PolicyConfig) -> dict[str, np.ndarray]:
    """A made-up part without batch axis, for warm-up: of zeros, half of them fixed."""
    weight = np.zeros(config.chunk_size, np.float32)
    weight[: (config.chunk_size + 1) // 2] = 1.0
    return {"action": np.zeros((config.chunk_size, config.action_dim), np.float32), "weight": weight}


def _span(weight: Tensor) -> str:
    return f"{float(weight.min()):.3g} to {float(weight.max()):.3g}"
