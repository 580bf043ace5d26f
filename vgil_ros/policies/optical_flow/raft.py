"""RAFT-small (Teed & Deng 2020) from torchvision, frozen. Its weights travel in the policy's checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

from vgil_ros.policies.errors import PolicyError

MULTIPLE, SMALLEST = 8, 128  # sides of a picture that its feature pyramid needs; others are continued by their edges


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
            flows: list[Tensor] = self.net(*pair)
        return flows[-1][:, :, :height, :width]

    def _require_weights(self) -> None:
        if not self._checked:
            if not all(bool(parameter.isfinite().all()) for parameter in self.net.parameters()):
                raise PolicyError("weights of RAFT-small are not set: fill them in, or load a checkpoint")
            self._checked = True


def cached_weights() -> Path:
    """Where torchvision keeps RAFT-small's weights once they have been downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Raft_Small_Weights.DEFAULT.url.rpartition("/")[2]


def _scaled(pictures: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) in [-1, 1], as RAFT was trained; the one way for both pictures of a pair."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0


def _missing(side: int) -> int:
    return max(-(-side // MULTIPLE) * MULTIPLE, SMALLEST) - side
