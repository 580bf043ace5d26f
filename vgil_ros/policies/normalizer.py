"""Scaling between robot units and what the network sees. The numbers are buffers, so they travel with the weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from vgil_ros.policies.config import ImageMode, Normalization, VectorMode, VectorNormalization
from vgil_ros.policies.errors import PolicyError

STD_FLOOR = 1e-2  # as act's utils.py: a joint that hardly moves must not blow up its noise
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_BUFFERS: dict[str, tuple[str, ...]] = {
    "mean_std": ("mean", "std"),
    "min_max": ("min", "max"),
    "unit": ("min", "max"),
    "identity": (),
}


class VectorNormalizer(nn.Module):
    """Scale a vector of `dim` values. Statistics are NaN until they are set or loaded."""

    mean: Tensor
    std: Tensor
    min: Tensor
    max: Tensor

    def __init__(self, dim: int, spec: VectorNormalization) -> None:
        super().__init__()
        self.spec = spec
        for name in _BUFFERS[spec.mode]:
            self.register_buffer(name, torch.full((dim,), float("nan")))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., dim)."""
        offset, scale = self.affine()
        return (x - offset) / scale

    def inverse(self, x: Tensor) -> Tensor:
        """Give back robot units, (..., dim). As in LeRobot, eps is not part of the way back in `mean_std`."""
        if self.spec.mode == "mean_std":
            return x * self.std + self.mean
        offset, scale = self.affine()
        return x * scale + offset

    def affine(self) -> tuple[Tensor | float, Tensor | float]:
        """(offset, scale) with normalised = (x - offset) / scale."""
        if self.spec.mode == "identity":
            return 0.0, 1.0
        if self.spec.mode == "mean_std":
            return self.mean, self.std + self.spec.eps
        span = self.max - self.min
        span = torch.where(span == 0, torch.full_like(span, self.spec.eps), span)
        if self.spec.mode == "unit":
            return self.min, span
        return self.min + span / 2, span / 2

    def inverse_affine(self) -> tuple[Tensor | float, Tensor | float]:
        """(offset, scale) with x = normalised * scale + offset."""
        return (self.mean, self.std) if self.spec.mode == "mean_std" else self.affine()

    def fault(self) -> str | None:
        """Say what is wrong with the statistics, or None."""
        for name in _BUFFERS[self.spec.mode]:
            if not bool(torch.isfinite(getattr(self, name)).all()):
                return f"{name} is not set or not finite"
        if self.spec.mode == "identity":
            return None
        scale = torch.as_tensor(self.affine()[1])
        bad = torch.nonzero(scale <= 0).flatten().tolist()
        return f"std or range is not above zero at index {bad}" if bad else None


class Normalizer(nn.Module):
    """The three scalings of a policy: `qpos`, `action`, and images of each camera.

    Buffers: `qpos.*`, `action.*`, `image_mean` and `image_std` (cameras, 3), both for pixels in [0, 1].
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, state_dim: int, action_dim: int, cameras: int, spec: Normalization) -> None:
        super().__init__()
        self.spec = spec
        self.qpos = VectorNormalizer(state_dim, spec.qpos)
        self.action = VectorNormalizer(action_dim, spec.action)
        mean, std = _image_defaults(spec.images.mode, cameras)
        self.register_buffer("image_mean", mean)
        self.register_buffer("image_std", std)

    @classmethod
    def from_statistics(
        cls,
        spec: Normalization,
        qpos: Mapping[str, np.ndarray],
        action: Mapping[str, np.ndarray],
        cameras: int,
        image_mean: np.ndarray | None = None,
        image_std: np.ndarray | None = None,
    ) -> Normalizer:
        """Make a normaliser from named statistics (`mean`, `std`, `min`, `max`: (D,)), taken as they are.

        Args:
            image_mean, image_std: (cameras, 3) for pixels in [0, 1]; for image mode `mean_std`, refused otherwise.

        Raises:
            PolicyError: a statistic is missing, has another shape than its fellows, or is not usable.
        """
        dims = [_dim(name, stats) for name, stats in (("qpos", qpos), ("action", action))]
        made = cls(dims[0], dims[1], cameras, spec)
        _fill(made.qpos, "qpos", qpos)
        _fill(made.action, "action", action)
        for name, value in (("image_mean", image_mean), ("image_std", image_std)):
            if value is not None:
                if spec.images.mode != "mean_std":
                    raise PolicyError(f"{name}: image mode {spec.images.mode!r} has statistics of its own")
                if np.shape(value) != (cameras, 3):
                    raise PolicyError(f"{name}: found shape {np.shape(value)}, allowed is {(cameras, 3)}")
                getattr(made, name).copy_(torch.from_numpy(np.asarray(value, np.float32)))
        made.check()
        return made

    @classmethod
    def fit(cls, spec: Normalization, qpos: np.ndarray, action: np.ndarray, cameras: int) -> Normalizer:
        """Make a normaliser from data: qpos (N, D), action (N, A), in robot units, every row of every episode.

        std is clipped from below at 1e-2 as in ACT. So is the range in the ranged modes, kept around its middle.
        Image mode `mean_std` needs statistics of images: use `from_statistics`.
        """
        return cls.from_statistics(spec, _statistics(qpos), _statistics(action), cameras)

    def normalize_images(self, images: Tensor, camera: int) -> Tensor:
        """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32 as camera number `camera` is scaled."""
        mean, std = self.image_affine(camera)
        width = images.shape[2]
        lines = images.to(torch.float32, copy=True).flatten(2)  # whole lines of pixels: long runs, changed in place
        lines.mul_((1.0 / (255.0 * std)).repeat(width)).sub_((mean / std).repeat(width))
        return lines.view(images.shape).permute(0, 3, 1, 2)

    def image_affine(self, camera: int) -> tuple[Tensor, Tensor]:
        """(mean, std) of one camera, (3,) each, for pixels in [0, 1]; eps is in std already."""
        return self.image_mean[camera], self.image_std[camera] + self.spec.images.eps

    def check(self) -> None:
        """Raise PolicyError if a statistic is missing or cannot be divided by."""
        for name, part in (("qpos", self.qpos), ("action", self.action)):
            fault = part.fault()
            if fault:
                raise PolicyError(f"normaliser of {name} ({part.spec.mode}): {fault}")
        if not bool(torch.isfinite(self.image_mean).all() and torch.isfinite(self.image_std).all()):
            raise PolicyError("normaliser of images: mean or std is not set or not finite")
        if not bool((self.image_std + self.spec.images.eps > 0).all()):
            raise PolicyError("normaliser of images: std is not above zero")


def _image_defaults(mode: ImageMode, cameras: int) -> tuple[Tensor, Tensor]:
    values: dict[ImageMode, tuple[tuple[float, ...], tuple[float, ...]]] = {
        "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
        "mean_std": ((float("nan"),) * 3, (float("nan"),) * 3),
        "min_max": ((0.5,) * 3, (0.5,) * 3),
        "unit": ((0.0,) * 3, (1.0,) * 3),
    }
    mean, std = values[mode]
    return torch.tensor(mean).repeat(cameras, 1), torch.tensor(std).repeat(cameras, 1)


def _dim(name: str, stats: Mapping[str, np.ndarray]) -> int:
    shapes = {key: np.shape(value) for key, value in stats.items()}
    if not shapes:
        raise PolicyError(f"statistics of {name} are missing")
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise PolicyError(f"statistics of {name}: found shapes {shapes}, all must be the same (D,)")
    return int(next(iter(shapes.values()))[0])


def _fill(part: VectorNormalizer, name: str, stats: Mapping[str, np.ndarray]) -> None:
    mode: VectorMode = part.spec.mode
    missing = [key for key in _BUFFERS[mode] if key not in stats]
    if missing:
        raise PolicyError(f"statistics of {name} for {mode}: {', '.join(missing)} missing, found {sorted(stats)}")
    for key in _BUFFERS[mode]:
        getattr(part, key).copy_(torch.from_numpy(np.asarray(stats[key], np.float32)))


def _statistics(rows: np.ndarray) -> dict[str, np.ndarray]:
    if rows.ndim != 2 or len(rows) < 2:
        raise PolicyError(f"statistics need at least two rows (N, D), found shape {rows.shape}")
    data = rows.astype(np.float64)
    if not np.isfinite(data).all():
        raise PolicyError("statistics: the data holds values that are not finite")
    return floored(data.mean(0), data.std(0, ddof=1), data.min(0), data.max(0))


def floored(mean: np.ndarray, std: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    """Named statistics, (D,) each, of which std and range are at least `STD_FLOOR`; the range keeps its middle."""
    middle, half = (low + high) / 2, np.maximum(high - low, STD_FLOOR) / 2
    return {"mean": mean, "std": np.maximum(std, STD_FLOOR), "min": middle - half, "max": middle + half}
