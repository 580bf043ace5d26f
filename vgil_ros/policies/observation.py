"""Check an observation or a batch and turn it into tensors, with errors in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import PolicyError

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


def check_image(config: PolicyConfig, index: int, shape: tuple[int, ...], dtype: object) -> None:
    """Raise PolicyError unless a picture (H, W, 3) of camera number `index` has the right shape and is uint8."""
    camera = config.cameras[index]
    check_vector(f"image of {camera.name}", shape, (camera.height, camera.width, 3))
    if str(dtype).removeprefix("torch.") != "uint8":
        raise PolicyError(f"image of {camera.name}: found dtype {dtype}, allowed is uint8 (RGB, 0..255)")


def prepare(config: PolicyConfig, observation: Mapping[str, Any], device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Check `observation` and give (qpos (B, D) float32, [images (B, H, W, 3) uint8 in the policy's camera order]).

    Raises:
        PolicyError: a camera is missing or unknown, or a shape, size or dtype differs from the configuration.
    """
    check_parts(observation)
    qpos = to_tensor(observation["qpos"], device)
    check_vector("qpos", tuple(qpos.shape), (None, config.state_dim))
    images: Mapping[str, Array] = observation["images"]
    check_cameras(config, images)
    pictures = []
    for index, name in enumerate(config.camera_names):
        picture = images[name]
        check_vector(f"image of {name}", tuple(picture.shape), (len(qpos), None, None, 3))
        check_image(config, index, tuple(picture.shape[1:]), picture.dtype)
        pictures.append(to_tensor(picture, device))
    return qpos.to(torch.float32), pictures
