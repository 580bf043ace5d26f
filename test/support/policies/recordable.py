"""What a CUDA graph needs of an inference module: no value is looked at, and the same buffers give the same result."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vgil_ros.policies.base import Policy
from vgil_ros.policies.registry import make_inference_module


class _NoLooking(TorchDispatchMode):
    """Fails where a value is brought to the host or made there, which a CUDA graph cannot hold."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), func
        assert func is not torch.ops.aten.lift_fresh.default, "a tensor of numbers in Python"
        return func(*args, **(kwargs or {}))


def assert_recordable(policy: Policy) -> None:
    """A policy that draws noise can be recorded: the noise is drawn as an observation is loaded."""
    fast = make_inference_module(policy, torch.float32)
    assert fast is not None
    example = policy.example_observation()
    qpos, images = torch.from_numpy(example["qpos"]), [torch.from_numpy(image) for image in example["images"].values()]
    with torch.inference_mode():
        fast.load(example)
        first = fast(qpos, images)
        with _NoLooking():
            again = fast(qpos, images)
        fast.load(example)
        other = fast(qpos, images)
    assert torch.equal(first, again)
    assert not torch.equal(first, other), "loading draws other noise"
