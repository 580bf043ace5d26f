"""RAFT-small (Teed & Deng 2020) from torchvision, never trained here. Its weights travel in the policy's checkpoint."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad
from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

from vgil_ros.policies.errors import PolicyError

MULTIPLE, SMALLEST = 8, 128  # sides of an image that its feature pyramid needs; others are continued by their edges
UPDATES = 12  # of the flow, as torchvision's default


class RaftSmall(nn.Module):
    """RAFT-small, without gradient, always in eval mode and in float32.

    Its weights are not numbers until they are filled in or loaded: nothing runs with random ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = raft_small(weights=None)
        for parameter in self.net.parameters():
            parameter.requires_grad_(False).fill_(float("nan"))
        self._checked = False
        self.eval()

    def train(self, mode: bool = True) -> RaftSmall:
        """Stay in eval mode whatever is asked: the flow must be the same in training and on the robot."""
        return super().train(False)

    def fill(self, file: str | Path | None = None) -> None:
        """Take torchvision's weights from a file, or from torchvision's cache; nothing is downloaded.

        Raises:
            PolicyError: there is no such file, or it holds the weights of something else.
        """
        place = Path(file).expanduser() if file is not None else cached_weights()
        if not place.is_file():
            raise PolicyError(
                f"weights of RAFT-small: no file {place}; fetch {Raft_Small_Weights.DEFAULT.url} elsewhere, put it "
                "there or name it with flow_weights, or take flow_method dis, which needs none"
            )
        try:
            state: dict[str, Tensor] = torch.load(place, map_location="cpu", weights_only=True)
            self.net.load_state_dict(state)
        except Exception as error:  # torch.load raises many kinds
            raise PolicyError(f"{place}: not the weights of torchvision's RAFT-small: {error}") from error
        self._checked = False

    @torch.no_grad()
    def forward(self, origin: Tensor, target: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 twice -> (B, 2, H, W) float32: where each pixel of `origin` lies in `target`, less itself.

        x to the right and y down, in pixels.

        Raises:
            PolicyError: the weights are not set.
        """
        self._require_weights()
        height, width = origin.shape[1:3]
        bottom, right = _missing(height), _missing(width)
        with torch.autocast(origin.device.type, enabled=False):
            pair = [pad(_scaled(one), (0, right, 0, bottom), mode="replicate") for one in (origin, target)]
            return self._search(*pair)[:, :, :height, :width]

    def _search(self, origin: Tensor, target: Tensor) -> Tensor:
        """(B, 3, H, W) twice, in [-1, 1] -> flow (B, 2, H, W).

        The network's own forward pass brings coordinates from the host, which a CUDA graph cannot hold, and enlarges
        the flow after every update; here all is made on the device, and the last flow alone is enlarged.
        """
        net = self.net
        features = net.feature_encoder(torch.cat([origin, target]))
        net.corr_block.corr_pyramid = _pyramid(features, net.corr_block.num_levels)
        width = net.update_block.hidden_state_size
        hidden, context = net.context_encoder(origin).tensor_split([width], dim=1)
        hidden, context = hidden.tanh(), context.relu()
        start = _places(features)
        moved = start
        for _ in range(UPDATES):
            with torch.device(features.device):  # where the block makes its offsets
                correlation = net.corr_block.index_pyramid(moved)
            hidden, step = net.update_block(hidden, context, correlation, moved - start)
            moved = moved + step
        return MULTIPLE * interpolate(moved - start, scale_factor=MULTIPLE, mode="bilinear", align_corners=True)

    def _require_weights(self) -> None:
        if not self._checked:
            if not all(bool(parameter.isfinite().all()) for parameter in self.net.parameters()):
                raise PolicyError("weights of RAFT-small are not set: fill them in, or load a checkpoint")
            self._checked = True


def cached_weights() -> Path:
    """Where torchvision keeps RAFT-small's weights once they have been downloaded."""
    result: Path = Path(torch.hub.get_dir()) / "checkpoints" / Raft_Small_Weights.DEFAULT.url.rpartition("/")[2]
    return result


def _scaled(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) in [-1, 1], as RAFT was trained; the one way for both images of a pair."""
    return images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0


def _pyramid(features: Tensor, levels: int) -> list[Tensor]:
    """Features (2 B, C, h, w) of two images -> how alike each place of the first is to all of the second.

    Level n is (B * h * w, 1, h / 2^n, w / 2^n).
    """
    channels, height, width = features.shape[1:]
    origin, target = features.flatten(2).chunk(2)
    alike = (origin.transpose(1, 2) @ target / math.sqrt(channels)).reshape(-1, 1, height, width)
    pyramid = [alike]
    for _ in range(levels - 1):
        pyramid.append(avg_pool2d(pyramid[-1], 2))
    return pyramid


def _places(features: Tensor) -> Tensor:
    """Features (2 B, C, h, w) of two images -> (B, 2, h, w): x and y of each place, on the features' device."""
    (count, _, height, width), device = features.shape, features.device
    x = torch.arange(width, dtype=torch.float32, device=device).expand(height, width)
    y = torch.arange(height, dtype=torch.float32, device=device)[:, None].expand(height, width)
    return torch.stack([x, y]).expand(count // 2, -1, -1, -1)


def _missing(side: int) -> int:
    return max(-(-side // MULTIPLE) * MULTIPLE, SMALLEST) - side
