"""Winograd's convolution, the choice among convolutions and attention by head, against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.policies.inference.onednn import FusedConv, attend, attend_by_head, fused_cpu_kernels
from vgil_ros.policies.inference.winograd import TunedConv, WinogradConv, transform_kernel

needs_onednn = pytest.mark.skipif(not fused_cpu_kernels(torch.float32), reason="needs oneDNN's fused kernels")


def example(seed: int, count: int, channels: int, out: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
    """x, weight, bias and what is to be added, with results of about 1."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    x = random(count, channels, height, width).contiguous(memory_format=torch.channels_last)
    other = random(count, out, height, width).contiguous(memory_format=torch.channels_last)
    return x, random(out, channels, 3, 3) / (3 * channels**0.5), random(out), other


def exact(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
    out = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    return (out if other is None else out + other).relu()


@needs_onednn
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    together=st.integers(1, 3),
    rounds=st.integers(1, 2),
    channels=st.sampled_from([16, 32, 80]),
    out=st.sampled_from([16, 48]),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    add=st.booleans(),
)
def test_winograd_equals_direct(
    seed: int, together: int, rounds: int, channels: int, out: int, height: int, width: int, add: bool
) -> None:
    with torch.inference_mode():
        _, weight, bias, _ = example(seed, 1, channels, out, 1, 1)
        count = together * rounds
        conv = WinogradConv(transform_kernel(weight, bias), (count, channels, height, width), together)
        for again in range(2):  # buffers are used again: nothing of the last image may be left
            x, _, _, other = example(seed + again, count, channels, out, height, width)
            kept = x.clone()
            found = conv(x, other.clone(memory_format=torch.preserve_format) if add else None)
            assert found.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(
                found.double(), exact(x, weight, bias, other if add else None), atol=2e-5, rtol=0
            )
            assert torch.equal(x, kept)


@needs_onednn
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("winner", ["direct", 1, 3])
def test_whatever_wins_gives_the_same(winner: int | str, add: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is bent so that each of the ways wins once."""
    x, weight, bias, other = example(0, 3, 16, 32, 9, 10)
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def slow(name: int | str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any, x: Any, other: Any = None) -> Any:
            clock[0] += 1.0 if (len(self._tiles) if name == "winograd" else name) == winner else 2.0
            return call(self, x, other)

        return run

    monkeypatch.setattr(FusedConv, "__call__", slow("direct", FusedConv.__call__))
    monkeypatch.setattr(WinogradConv, "__call__", slow("winograd", WinogradConv.__call__))
    with torch.inference_mode():
        conv = TunedConv(weight, bias, 1, 1, relu=True)
        kept = x.clone(), other.clone()
        conv.tune(x, other if add else None)
        assert torch.equal(x, kept[0])
        assert torch.equal(other, kept[1])
        assert [len(way._tiles) for way in conv._chosen.values()] == ([] if winner == "direct" else [winner])
        found = conv(x, other.clone(memory_format=torch.preserve_format) if add else None)
        torch.testing.assert_close(found.double(), exact(x, weight, bias, other if add else None), atol=2e-5, rtol=0)
        smaller = x[:, :, :5].contiguous(memory_format=torch.channels_last)  # not tuned for: direct
        torch.testing.assert_close(conv(smaller).double(), exact(smaller, weight, bias, None), atol=2e-5, rtol=0)


@needs_onednn
def test_what_differs_too_much_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias, _ = example(0, 1, 16, 16, 8, 8)
    monkeypatch.setattr(
        "vgil_ros.policies.inference.winograd.transform_kernel", lambda w, b: transform_kernel(w * 1.001, b)
    )
    built: list[WinogradConv] = []
    call = WinogradConv.__call__

    def noted(self: WinogradConv, *arguments: Any) -> Any:
        built.append(self)
        return call(self, *arguments)

    monkeypatch.setattr(WinogradConv, "__call__", noted)
    with torch.inference_mode():
        conv = TunedConv(weight, bias, 1, 1, relu=True)
        conv.tune(x)
    assert (len(built), conv._chosen) == (1, {})  # tried once, for accuracy, and never timed


@pytest.mark.parametrize(
    ("channels", "stride", "side", "dtype"),
    [(16, 2, 3, torch.float32), (16, 1, 1, torch.float32), (12, 1, 3, torch.float32), (16, 1, 3, torch.float64)],
)
def test_other_convolutions_stay_direct(channels: int, stride: int, side: int, dtype: torch.dtype) -> None:
    x, weight, bias, _ = (t.to(dtype) for t in example(0, 1, channels, 16, 8, 8))
    weight = weight[:, :, :side, :side]
    conv = TunedConv(weight, bias, stride, side // 2, relu=True)
    with torch.inference_mode():
        conv.tune(x)
        assert conv._chosen == {}
        expected = F.conv2d(x, weight, bias, stride, side // 2).relu()
        torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=0)


@needs_onednn
@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    heads=st.integers(1, 4),
    width=st.sampled_from([3, 8, 64]),
    queries=st.integers(1, 40),
    keys=st.integers(1, 40),
    sharp=st.sampled_from([1.0, 30.0]),
)
def test_attention_by_head(seed: int, heads: int, width: int, queries: int, keys: int, sharp: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(queries, heads * width, generator=generator) * sharp
    k, v = torch.randn(keys, 2 * heads * width, generator=generator).chunk(2, dim=1)  # strided, as they come
    with torch.inference_mode():
        found = attend_by_head(q, k, v, heads)
        split = (t.double().unflatten(1, (heads, width)).transpose(0, 1)[None] for t in (q, k, v))
        expected = F.scaled_dot_product_attention(*split)[0].transpose(0, 1).flatten(1)
    # A score is rounded in proportion to its size, and the weights follow it: the sharper, the further apart.
    torch.testing.assert_close(found.double(), expected, atol=3e-5 * max(1.0, sharp / 10), rtol=0)


@needs_onednn
def test_attention_large_and_small_are_one_law() -> None:
    """A query's result does not depend on how many others there are, though the kernel does."""
    q, k, v = torch.randn(3, 300, 32, generator=torch.Generator().manual_seed(0)).unbind(0)
    with torch.inference_mode():
        torch.testing.assert_close(attend(q, k, v, 4)[:5], attend(q[:5], k, v, 4), atol=1e-5, rtol=0)
