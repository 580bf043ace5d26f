"""Multi-head attention for inference on one observation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vgil_ros.policies.inference.onednn import fused_cpu_kernels, multiply

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
