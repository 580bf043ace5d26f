"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3), for inference on a CPU.

Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016): y = A^T [(G g G^T) * (B^T d B)] A over tiles
d of 6x6 pixels that give 4x4 each. Summed over channels the product in the middle is 36 matrix products, which one
grouped 1x1 convolution of oneDNN does at full speed. Deviation: the points are 0, +-5/8, +-3/2 and infinity instead of
0, +-1, +-2, which halves the rounding error (measured: 5 times that of the direct convolution instead of 11 times).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from vgil_ros.policies.inference.onednn import FusedConv, fused_cpu_kernels

P, Q = 0.625, 1.5  # the points; sums, products and squares of them are exact in float32
PP, QQ = P * P, Q * Q
TILE, SIDE = 4, 6  # pixels that a tile gives and takes, along one axis
SIZES = [0, 0], [1, 1], [1, 1], SIDE * SIDE  # padding, stride, dilation, groups of the products


class WinogradConv:
    """y = relu(conv(x) + b [+ other]), 3x3 with padding 1 and stride 1, float32, channels-last.

    Channels in and out must be multiples of 16. `together` images go through the products at once: many where the
    weights are large, few where the images are.
    """

    def __init__(self, kernel: tuple[Tensor, Tensor], shape: Sequence[int], together: int) -> None:
        """`kernel`: of `transform_kernel`. `shape` (N, C, H, W): of all inputs; N must be a multiple of `together`."""
        _, channels, height, width = shape
        weight, self._bias = kernel
        out = len(self._bias) // SIDE**2
        self._size = height, width
        rows, columns = -(-height // TILE), -(-width // TILE)
        self._pixels = [1, SIDE * SIDE * channels, together * rows * columns, 1]
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *SIZES, self._pixels)
        self._padded = torch.zeros(rows * TILE + 2, columns * TILE + 2, channels)
        across = rows, columns * TILE + 2, channels
        self._half_in, self._spare_in = torch.empty(SIDE, *across), torch.empty(2, *across)
        self._spare = torch.empty(2, SIDE, rows, columns, channels)
        self._tiles = torch.empty(together, rows, columns, SIDE, SIDE, channels)
        down = rows, columns, SIDE, out
        self._half_out, self._spare_half = torch.empty(TILE, *down), torch.empty(2, *down)
        self._spare_out = torch.empty(2, TILE, rows, columns, out)
        self._result = torch.empty(rows, TILE, columns, TILE, out)

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) -> (N, out, H, W); `other` has the shape of the result and may be overwritten."""
        together = len(self._tiles)
        out = x.new_empty(len(x), *self._size, self._result.shape[-1]) if other is None else other.permute(0, 2, 3, 1)
        for first in range(0, len(x), together):
            for index in range(together):
                self._take_apart(x[first + index].permute(1, 2, 0), self._tiles[index])
            tiles = self._tiles.view(1, -1, 1, self._pixels[1]).permute(0, 3, 1, 2)
            products = torch.ops.mkldnn._convolution_pointwise(tiles, self._weight, self._bias, *SIZES, "none", [], "")
            products = products.permute(0, 2, 3, 1).view(*self._tiles.shape[:-1], -1)
            for index in range(together):
                self._put_together(products[index], out[first + index], other is not None)
        return out.permute(0, 3, 1, 2)

    def _take_apart(self, image: Tensor, tiles: Tensor) -> None:
        """tiles = B^T d B: image (H, W, C) -> (rows, columns, 6, 6, C)."""
        height, width = self._size
        self._padded[1 : 1 + height, 1 : 1 + width] = image
        _into(_windows(self._padded, 0), self._half_in.unbind(0), self._spare_in.unbind(0))
        along = tiles.permute(3, 2, 0, 1, 4).unbind(0)
        _into(_windows(self._half_in, 2), along, self._spare.unbind(0))

    def _put_together(self, products: Tensor, out: Tensor, add: bool) -> None:
        """out = relu(A^T products A [+ out]): products (rows, columns, 6, 6, out) -> (H, W, out)."""
        height, width = self._size
        _out_of(products.unbind(2), self._half_out.unbind(0), self._spare_half.unbind(0))
        along = self._result.permute(3, 1, 0, 2, 4).unbind(0)
        _out_of(self._half_out.unbind(3), along, self._spare_out.unbind(0))
        result = self._result.flatten(2, 3).flatten(0, 1)[:height, :width]
        if add:
            out.add_(result).relu_()
        else:
            torch.clamp_min(result, 0, out=out)


def transform_kernel(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """G g G^T of weight (out, C, 3, 3) and the products' bias of bias (out,), computed in double precision."""
    points = (0.0, P, -P, Q, -Q)
    g = torch.zeros(SIDE, 3, dtype=torch.float64)
    a = torch.zeros(TILE, SIDE, dtype=torch.float64)
    for index, point in enumerate(points):
        norm = 1.0
        for other in points[:index] + points[index + 1 :]:
            norm *= point - other
        g[index] = torch.tensor([point**power / norm for power in range(3)], dtype=torch.float64)
        a[:, index] = torch.tensor([point**power for power in range(TILE)], dtype=torch.float64)
    g[-1, -1] = a[-1, -1] = 1.0
    ones = torch.linalg.pinv(a).sum(dim=1)  # A^T ones = (1, 1, 1, 1), so the bias costs nothing
    kernels = torch.einsum("ik,ockl,jl->ijoc", g, weight.double(), g).flatten(0, 2)[..., None, None]
    kernels = kernels.to(weight.dtype).contiguous(memory_format=torch.channels_last)
    biases = torch.einsum("i,j,o->ijo", ones, ones, bias.double()).flatten().to(bias.dtype)
    return kernels, biases


def _windows(x: Tensor, axis: int) -> list[Tensor]:
    """The k-th pixel of every tile along `axis`, for k from 0 to 5; tiles overlap by two pixels."""
    count = (x.shape[axis] - 2) // TILE
    before = (slice(None),) * axis
    return [x[(*before, slice(k, k + TILE * (count - 1) + 1, TILE))] for k in range(SIDE)]


def _into(d: Sequence[Tensor], out: Sequence[Tensor], spare: Sequence[Tensor]) -> None:
    """out = B^T d along one axis, given as six tensors; `spare`: two more of that shape."""
    even, odd = spare
    torch.sub(d[3], d[1], alpha=QQ, out=odd)
    torch.sub(d[5], d[3], alpha=QQ, out=even)
    torch.sub(even, odd, alpha=PP, out=out[5])
    torch.sub(d[2], d[0], alpha=QQ, out=out[1])
    torch.sub(d[4], d[2], alpha=QQ, out=even)
    torch.sub(even, out[1], alpha=PP, out=out[0])
    torch.add(even, odd, alpha=P, out=out[1])
    torch.sub(even, odd, alpha=P, out=out[2])
    torch.sub(d[4], d[2], alpha=PP, out=even)
    torch.sub(d[3], d[1], alpha=PP, out=odd)
    torch.add(even, odd, alpha=Q, out=out[3])
    torch.sub(even, odd, alpha=Q, out=out[4])


def _out_of(m: Sequence[Tensor], out: Sequence[Tensor], spare: Sequence[Tensor]) -> None:
    """out = A^T m along one axis: six tensors to four; `spare`: two more of that shape."""
    p, q = spare
    torch.add(m[1], m[2], out=p)
    torch.add(m[3], m[4], out=q)
    torch.add(m[0], p, out=out[0]).add_(q)
    torch.mul(p, PP, out=out[2]).add_(q, alpha=QQ)
    torch.sub(m[1], m[2], out=p)
    torch.sub(m[3], m[4], out=q)
    torch.mul(p, P, out=out[1]).add_(q, alpha=Q)
    torch.add(m[5], p, alpha=P * PP, out=out[3]).add_(q, alpha=Q * QQ)


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
