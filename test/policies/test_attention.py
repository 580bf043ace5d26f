"""Attention with gradients on a CPU is torch's own to rounding, gradients included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vgil_ros.policies.nn.attention import MultiheadAttention, attention
from vgil_ros.policies.nn.backbones import SmallBackbone, coordinates

DIM, HEADS, BATCH, QUERIES, KEYS = 16, 4, 2, 5, 7


def tensors(seed: int, *sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, size, DIM, generator=generator).requires_grad_() for size in sizes]


def with_gradients(module: nn.Module, inputs: list[Tensor], out: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    found = torch.autograd.grad((out * weights).sum(), [*inputs, *module.parameters()])
    return [out.detach(), *found]


@pytest.mark.parametrize("case", ["self", "key is query", "cross", "padded"])
def test_it_is_torch_s(case: str) -> None:
    torch.manual_seed(3)
    ours = MultiheadAttention(DIM, HEADS)
    nn.init.normal_(ours.in_proj_bias)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    padding = None
    if case == "cross":
        inputs = tensors(0, QUERIES, KEYS, KEYS)
        query, key, value = inputs
    elif case == "self":
        inputs = tensors(0, QUERIES)
        query = key = value = inputs[0]
    else:
        inputs = tensors(0, QUERIES, QUERIES)
        query = key = inputs[0]
        value = inputs[1]
    if case == "padded":
        padding = torch.zeros(BATCH, QUERIES, dtype=torch.bool)
        padding[1, 3:] = True
    expected = with_gradients(
        theirs, inputs, theirs(query, key, value, key_padding_mask=padding, need_weights=False)[0]
    )
    found = with_gradients(ours, inputs, ours(query, key, value, padding))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=5e-6)
    with torch.no_grad():
        torch.testing.assert_close(ours(query, key, value, padding), expected[0], rtol=1e-4, atol=5e-6)


def test_what_is_not_seen_has_no_part() -> None:
    q, k, v = (one.unflatten(-1, (HEADS, -1)).transpose(1, 2) for one in tensors(1, QUERIES, KEYS, KEYS))
    seen = torch.ones(BATCH, 1, 1, KEYS, dtype=torch.bool)
    seen[1, ..., 4:] = False
    found = attention(q, k, v, seen)
    torch.testing.assert_close(found[1], attention(q, k[:, :, :4], v[:, :, :4])[1])
    torch.testing.assert_close(found[0], attention(q, k, v)[0])


def test_dropout_drops_in_training_and_only_there() -> None:
    q, k, v = (one.unflatten(-1, (HEADS, -1)).transpose(1, 2) for one in tensors(2, QUERIES, KEYS, KEYS))
    torch.manual_seed(0)
    assert not torch.equal(attention(q, k, v, dropout=0.5), attention(q, k, v))
    module = MultiheadAttention(DIM, HEADS, 0.5)
    (x,) = tensors(4, QUERIES)
    assert not torch.equal(module(x, x, x), module(x, x, x))
    module.eval()
    assert torch.equal(module(x, x, x), module(x, x, x))


def test_a_stage_of_the_small_backbone_sees_its_places() -> None:
    """As if they were two more channels of what comes in."""
    torch.manual_seed(5)
    stage: Any = SmallBackbone(nn.Identity).features.stages[0]
    x = torch.randn(2, stage.down.in_channels - 2, 9, 12)
    joined = stage.down(torch.cat([x, coordinates(x)], dim=1))
    torch.testing.assert_close(stage._down(x), joined, rtol=1e-5, atol=1e-5)
