"""Convolution and linear layers with what follows them (bias, addition, ReLU) in one kernel, for inference alone.

On a CPU with oneDNN the fused kernels of torch's own compiler backend are called directly: they take prepacked weights
and are, for float32 on many CPUs, several times as fast as the BLAS behind `F.linear`. They are not public API, so they
are tried once; where one is missing or wrong, and on CUDA, plain torch does the same arithmetic.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@lru_cache(maxsize=4)
def fused_cpu_kernels(dtype: torch.dtype) -> bool:
    """True where the oneDNN kernels exist for `dtype` and compute what they should."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        with torch.inference_mode():
            return _kernels_agree(dtype)
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False


def image_layout(dtype: torch.dtype, device: torch.device) -> torch.memory_format:
    """Channels last, which convolutions like best; but not for float32 on a GPU, where cuDNN is slow in it."""
    return torch.contiguous_format if (device.type, dtype) == ("cuda", torch.float32) else torch.channels_last


def multiply(x: Tensor, y: Tensor) -> Tensor:
    """x (R, K) times y (K, C) by oneDNN; only where `fused_cpu_kernels`. y must be contiguous or is very slow."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, y.t(), None, "none", [], "")
    return result


class FusedLinear:
    """y = act(x W^T + b [+ other]), act being ReLU or nothing. Weights are copied and laid out once."""

    def __init__(self, weight: Tensor, bias: Tensor, relu: bool = False) -> None:
        self.weight, self.bias, self.relu = weight.detach().contiguous(), bias.detach().contiguous(), relu
        self._fused = weight.device.type == "cpu" and fused_cpu_kernels(weight.dtype)
        self._packed: dict[int, Tensor] = {}

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """x (S, in), other (S, out) -> (S, out)."""
        if not self._fused:
            return _finish(F.linear(x, self.weight, self.bias), other, self.relu)
        weight = self._packed.get(len(x))
        if weight is None:
            weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, len(x))
            self._packed = {len(x): weight}  # sizes are fixed on a robot: the last one is enough
        if other is None or self.relu:
            out = torch.ops.mkldnn._linear_pointwise(
                x, weight, self.bias, "relu" if self.relu and other is None else "none", [], ""
            )
            return out if other is None else _finish(out, other, self.relu)
        result: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, weight, self.bias, "add")
        return result


class FusedConv:
    """y = act(conv(x) + b [+ other]), act being ReLU or nothing, in the layout of `image_layout`."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, padding: int, relu: bool) -> None:
        self.weight = weight.detach().contiguous(memory_format=image_layout(weight.dtype, weight.device))
        self.bias = bias.detach().contiguous()
        self.stride, self.padding, self.relu = stride, padding, relu
        self._fused = weight.device.type == "cpu" and fused_cpu_kernels(weight.dtype)
        self._packed: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) -> (N, out, h, w); `other` has the shape of the result and may be overwritten."""
        if not self._fused:
            return _finish(F.conv2d(x, self.weight, self.bias, self.stride, self.padding), other, self.relu)
        sizes = [self.padding] * 2, [self.stride] * 2, [1, 1], 1
        weight = self._packed.get(tuple(x.shape))
        if weight is None:
            weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *sizes, list(x.shape))
            self._packed[tuple(x.shape)] = weight
        act = "relu" if self.relu else "none"
        result: Tensor
        if other is None:
            result = torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *sizes, act, [], "")
            return result
        result = torch.ops.mkldnn._convolution_pointwise_.binary(
            other, x, weight, self.bias, *sizes, "add", 1.0, act if self.relu else None, [], None
        )
        return result


def fold_norm(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """(weight, bias) of the one convolution that equals `conv` followed by a frozen batch norm."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # type: ignore[operator]
    shift = norm.bias - norm.running_mean * scale  # type: ignore[operator]
    bias = shift if conv.bias is None else shift + conv.bias * scale
    return conv.weight * scale.view(-1, 1, 1, 1), bias


def _finish(out: Tensor, other: Tensor | None, relu: bool) -> Tensor:
    if other is not None:
        out += other
    return out.relu_() if relu else out


def _kernels_agree(dtype: torch.dtype) -> bool:
    """Hold the fused kernels against plain torch, on small cases."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    def close(ours: Tensor, wanted: Tensor) -> bool:
        tolerance = 1e-4 if dtype == torch.float32 else 0.1
        return torch.allclose(ours, wanted, rtol=tolerance, atol=tolerance)

    x, weight, bias, other = random(5, 16), random(8, 16), random(8), random(5, 8)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 5)
    added = torch.ops.mkldnn._linear_pointwise.binary(x, other, packed, bias, "add")
    relu = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "relu", [], "")
    expected = F.linear(x, weight, bias)
    agree = close(added, expected + other) and close(relu, expected.relu())
    agree = agree and close(multiply(x, weight.t().contiguous()) + bias, expected)
    image = random(1, 16, 6, 6).contiguous(memory_format=torch.channels_last)
    kernel = random(8, 16, 3, 3).contiguous(memory_format=torch.channels_last)
    sizes = [1, 1], [1, 1], [1, 1], 1
    packed = torch.ops.mkldnn._reorder_convolution_weight(kernel, *sizes, [1, 16, 6, 6])
    expected = F.conv2d(image, kernel, bias, 1, 1)
    relu = torch.ops.mkldnn._convolution_pointwise(image, packed, bias, *sizes, "relu", [], "")
    added = torch.ops.mkldnn._convolution_pointwise_.binary(
        expected.clone(), image, packed, bias, *sizes, "add", 1.0, "relu", [], None
    )
    agree = agree and close(relu, expected.relu())
    return agree and close(added, (2 * expected).relu())


WORTH_IT = 1 << 16  # scores of one head; below this torch's attention starts faster


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention of q (H, D) over k and v (S, D) -> (H, D)."""
    fused = q.device.type == "cpu" and q.dtype == torch.float32 and fused_cpu_kernels(q.dtype)
    if fused and len(q) * len(k) >= WORTH_IT:
        return attend_by_head(q, k, v, heads)
    q, k, v = (t.unflatten(1, (heads, -1)).transpose(0, 1)[None] for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)


def attend_by_head(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """The same with oneDNN's products, one head after another. float32 on a CPU.

    torch's own attention calls BLAS for its products; where that is MKL and the processor not Intel's, oneDNN takes
    half the time. Blocks of queries, so that scores stay in the cache, were measured to gain nothing.
    """
    width = q.shape[1] // heads
    q = q * width**-0.5
    keys = k.t().contiguous().unflatten(0, (heads, width))  # (heads, width, S)
    values = v.unflatten(1, (heads, width)).transpose(0, 1).contiguous()  # (heads, S, width)
    out = q.new_empty(len(q), heads, width)
    for head in range(heads):
        scores = multiply(q[:, head * width : (head + 1) * width], keys[head])
        out[:, head] = multiply(scores.softmax(dim=1), values[head])
    return out.flatten(1)
