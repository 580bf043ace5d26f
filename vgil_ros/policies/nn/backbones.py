"""Image backbones, torchvision's cut before their pooling and a small one of ours: (B, 3, H, W) -> (B, C, h, w).

A small image backbone of our own, for policies that are trained from nothing on a CPU: (B, 3, H, W) -> (B, C, h, w).

Stride 32 as the larger ones have it, 0.4 million weights. The first convolution takes a quarter of the image's size
in one step, which is where larger networks spend most of their time.

A policy without pretrained weights learns *where* things are last of all: attention that is still even hands on the
mean of an image, in which a small thing is lost. Two additions make that quick: hundreds of steps, not thousands.
Every stage is told where in the image it looks (two more channels, x and y; Liu et al. 2018, "CoordConv"), and the
places of `KEYPOINTS` learnt features (spatial softmax; Finn et al. 2016) are added to every cell of the result.
`small_fine` adds those of the first convolution's features, for things of a few pixels: at an eighth of the image's
size they are one cell of a thousand, which the softmax does not find.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from vgil_ros.policies.errors import PolicyError

WIDTHS = (32, 64, 96, 128)
KEYPOINTS = 32
SHARPNESS = 3.0  # of the softmax over places at the start: an even one would say "in the middle" of everything
FINE_SHARPNESS = 10.0  # of those of the first convolution, among four times the cells
FINE_GAIN = 8.0  # of their part in each cell at the start: beside the features' own it would be lost
Norm = Callable[[int], nn.Module]


class SmallBackbone(nn.Module):
    """Convolutions of stride 4, 2, 2, 2; each of the last three stages ends with a residual convolution.

    Args:
        norm: from a number of channels to a normalisation layer.
        fine: with the places of the first convolution's features.
    """

    def __init__(self, norm: Norm, fine: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], kernel_size=7, stride=4, padding=3, bias=False)
        self.norm1 = norm(WIDTHS[0])
        self.features = SmallFeatures(norm, fine)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 128, ceil(H / 32), ceil(W / 32))."""
        out: Tensor = self.features(torch.relu(self.norm1(self.conv1(x))))
        return out


class SmallFeatures(nn.Module):
    """All that follows the first convolution: (B, 32, h, w) -> (B, 128, h / 8, w / 8)."""

    def __init__(self, norm: Norm, fine: bool = False) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_Stage(a, b, norm) for a, b in pairwise(WIDTHS))
        self.keypoints = Keypoints(WIDTHS[1], KEYPOINTS)
        self.places = nn.Linear(2 * KEYPOINTS, WIDTHS[-1])
        self.fine_keypoints = Keypoints(WIDTHS[0], KEYPOINTS, FINE_SHARPNESS) if fine else None
        self.fine_places = nn.Linear(2 * KEYPOINTS, WIDTHS[-1]) if fine else None
        if self.fine_places is not None:
            with torch.no_grad():
                self.fine_places.weight.mul_(FINE_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        fine = None
        if self.fine_keypoints is not None and self.fine_places is not None:
            fine = self.fine_places(self.fine_keypoints(x))
        x = self.stages[0](x)
        places = self.places(self.keypoints(x))
        places = places if fine is None else places + fine
        for stage in self.stages[1:]:
            x = stage(x)
        result: Tensor = x + places[:, :, None, None]
        return result


class _Stage(nn.Module):
    """Half the size, more channels, then a residual convolution."""

    def __init__(self, before: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.down, self.norm1 = nn.Conv2d(before + 2, width, 3, stride=2, padding=1, bias=False), norm(width)
        self.conv, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), norm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self._down(x)))
        return torch.relu(x + self.norm2(self.conv(x)))

    def _down(self, x: Tensor) -> Tensor:
        """`down` of x with its places beside it, which are the same for the whole batch: nothing is joined."""
        own, places = self.down.weight[:, :-2], self.down.weight[:, -2:]
        down = partial(F.conv2d, stride=self.down.stride, padding=self.down.padding)
        result: Tensor = down(x, own) + down(coordinates(x[:1]), places)
        return result


class Keypoints(nn.Module):
    """Mean place of each of some learnt features: (B, C, h, w) -> (B, 2 K), -1 to 1."""

    def __init__(self, channels: int, count: int, sharpness: float = SHARPNESS) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.maps = nn.Conv2d(channels, count, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        shares = (self.sharpness * self.maps(x).float().flatten(2)).softmax(dim=-1)
        places = coordinates(x[:1]).float().flatten(2)[0]
        result: Tensor = (shares @ places.t()).flatten(1).to(x.dtype)
        return result


def coordinates(x: Tensor) -> Tensor:
    """Give the place of each cell, (B, 2, h, w) for x (B, C, h, w): rightwards and downwards, -1 to 1."""
    height, width = x.shape[2:]
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(height, width)
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    return torch.stack([across, down]).expand(len(x), 2, height, width)


BackboneName = Literal["resnet18", "resnet34", "resnet50", "mobilenet_v3_small", "small", "small_fine"]
BackboneNorm = Literal["frozen", "group"]  # frozen: batch norm that training does not change

CHANNELS: dict[str, int] = {
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "mobilenet_v3_small": 576,
    "small": WIDTHS[-1],
    "small_fine": WIDTHS[-1],
}
OURS = ("small", "small_fine")
STRIDE = 32  # of all of them


class ResNetBackbone(nn.Module):
    """A ResNet without pooling and classifier; its keys are torchvision's."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.conv1, self.bn1 = net.conv1, net.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, C, ceil(H / 32), ceil(W / 32))."""
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x


class MobileNetBackbone(nn.Module):
    """MobileNetV3-small's feature extractor; its keys are torchvision's."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.features = net.features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 576, ceil(H / 32), ceil(W / 32))."""
        out: torch.Tensor = self.features(x)
        return out


def build_backbone(name: BackboneName, norm: BackboneNorm) -> nn.Module:
    """Make a backbone with random weights.

    `frozen` is batch norm whose statistics, scale and shift stay those of the pretrained or imported weights, as in ACT
    and DETR: neither training nor what is in a batch changes them.
    `group` norm (Wu & He 2018) needs none: take it where no pretrained weights are at hand. `small` and `small_fine`
    have no other, as there are no pretrained weights of them.

    Raises:
        PolicyError: `small` or `small_fine` with frozen batch norm.
    """
    if name in OURS:
        if norm != "group":
            raise PolicyError(
                f"backbone {name!r} has no pretrained weights: backbone_norm 'frozen' is not allowed, 'group' is"
            )
        return SmallBackbone(_group_norm, fine=name == "small_fine")
    is_mobile = name == "mobilenet_v3_small"
    layer: Any = _group_norm
    if norm == "frozen":
        layer = partial(FrozenBatchNorm2d, eps=1e-3) if is_mobile else FrozenBatchNorm2d
    net = getattr(torchvision.models, name)(weights=None, norm_layer=layer)
    return MobileNetBackbone(net) if is_mobile else ResNetBackbone(net)


def grid_size(height: int, width: int) -> tuple[int, int]:
    """(h, w) of the feature map for an image of that size."""
    return -(-height // STRIDE), -(-width // STRIDE)


def load_pretrained(backbone: nn.Module, name: BackboneName, file: str | Path | None = None) -> None:
    """Fill a backbone with frozen batch norm with ImageNet weights, from `file` or torchvision's own place.

    Raises:
        PolicyError: the weights can be neither found nor downloaded, or are those of another network.
    """
    if name in OURS:
        raise PolicyError(
            f"backbone {name!r} has no pretrained weights; those exist for {sorted(set(CHANNELS) - set(OURS))}"
        )
    state = _read_state(name, file)
    wanted = backbone.state_dict()
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if key not in state]
    wrong = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or wrong:
        raise PolicyError(f"pretrained weights do not fit {name}: missing {missing[:5]}, of another shape {wrong[:5]}")
    backbone.load_state_dict({key: state[key] for key in wanted})  # the classifier's keys are left out


def _read_state(name: BackboneName, file: str | Path | None) -> dict[str, torch.Tensor]:
    if file is not None:
        try:
            state: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds
            raise PolicyError(f"pretrained weights {file} cannot be read: {error}") from error
        return state
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        pretrained: dict[str, torch.Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # urllib, ssl and file errors alike
        raise PolicyError(
            f"pretrained weights of {name} cannot be downloaded ({error}): fetch {weights.url} elsewhere and give the "
            "file (backbone_weights=FILE), or train without them: backbone_weights=null policy.backbone_norm=group, or "
            "a small configuration such as --config act_small, which needs none"
        ) from error
    return pretrained


def _group_norm(channels: int) -> nn.GroupNorm:
    groups = next(g for g in (channels // 16, 8, 4, 2, 1) if g > 0 and channels % g == 0)
    return nn.GroupNorm(groups, channels)
