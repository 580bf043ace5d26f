"""A convolution that is computed in whichever way was measured to be the fastest on this machine."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from vgil_ros.policies.inference.onednn import FusedConv, fused_cpu_kernels
from vgil_ros.policies.inference.winograd import WinogradConv, transform_kernel

TURNS = 5  # the first one does not count
TOLERANCE = 2e-5  # of the largest value in the result: more than rounding gives, less than would show in an action


class TunedConv:
    """y = relu(conv(x) + b [+ other]): direct until `tune` finds Winograd's way faster for inputs of that shape."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, padding: int, relu: bool) -> None:
        self._direct = FusedConv(weight, bias, stride, padding, relu)
        self._can_choose = (
            (tuple(weight.shape[2:]), stride, padding, relu) == ((3, 3), 1, 1, True)
            and (weight.dtype, weight.device.type) == (torch.float32, "cpu")
            and not (weight.shape[0] % 16 or weight.shape[1] % 16)
            and fused_cpu_kernels(weight.dtype)
        )
        self._chosen: dict[tuple[int, ...], WinogradConv] = {}

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) -> (N, out, h, w); `other` has the shape of the result and may be overwritten."""
        return self._chosen.get(tuple(x.shape), self._direct)(x, other)

    def tune(self, x: Tensor, other: Tensor | None = None) -> None:
        """Measure on `x` and `other`, which stay as they are. One that differs too much is not taken."""
        if not self._can_choose:
            return
        wanted = self._direct(x, _copy(other))
        ways: list[FusedConv | WinogradConv] = [self._direct]
        kernel = transform_kernel(self._direct.weight, self._direct.bias)
        for together in sorted({1, len(x)}):
            other_way = WinogradConv(kernel, x.shape, together)
            if (other_way(x, _copy(other)) - wanted).abs().max() <= TOLERANCE * wanted.abs().max():
                ways.append(other_way)
        best = [float("inf")] * len(ways)
        for turn in range(TURNS):  # taking turns, so that a busy machine disturbs all alike
            for index, way in enumerate(ways):
                scratch = _copy(other)
                begun = time.perf_counter()
                way(x, scratch)
                if turn:
                    best[index] = min(best[index], time.perf_counter() - begun)
        winner = ways[best.index(min(best))]
        self._chosen.pop(tuple(x.shape), None)
        if isinstance(winner, WinogradConv):
            self._chosen[tuple(x.shape)] = winner


def _copy(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.clone(memory_format=torch.preserve_format)
