"""Observations and batches: what stands in them, NumPy or torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from torch import Tensor

Array = np.ndarray | Tensor


class KnownPast(TypedDict):
    """What of the past stands in every observation that has one: N moments (`obs_offsets`), oldest first.

    Attributes:
        qpos: (B, N, D) float32 in robot units.
        known: (B, N) bool; where False there was no such observation, and the rest means nothing.
    """

    qpos: Array
    known: Array


class PastPart(KnownPast, total=False):
    """What was observed N times before.

    Attributes:
        images: camera -> (B, N, H, W, 3) uint8 RGB.
        flow: camera -> (B, 1, h, w, 2) float16 px, from a cache in training, in the place of the images.
        vectors: name -> (B, N, n).
        action: (B, N, A) float32 in robot units, in training, for targets that begin before the present.
    """

    images: Mapping[str, Array]
    flow: Mapping[str, Array]
    vectors: Mapping[str, Array]
    action: Array


class PrefixPart(TypedDict):
    """Actions that a chunk has to agree with; see `PrefixTensors`.

    Attributes:
        action: (B, H, A) float32 in robot units.
        weight: (B, H) float32, 0 to 1.
    """

    action: Array
    weight: Array


class Frames(TypedDict):
    """What every policy takes.

    Attributes:
        qpos: (B, D) float32 in robot units.
        images: camera -> (B, H, W, 3) uint8 RGB, exactly the configuration's cameras.
    """

    qpos: Array
    images: Mapping[str, Array]


class NoisePart(TypedDict, total=False):
    """Where a policy that integrates begins; drawn where left out.

    Attributes:
        noise: (B, H, W) float32 in the policy's own sizes.
    """

    noise: Array


class TaskPart(TypedDict, total=False):
    """What is to be done, for policies that are told.

    Attributes:
        task: in words: one text, or one for each of B; task_embedding: (B, E) float32, in its place.
    """

    task: str | Sequence[str]
    task_embedding: Array


class VectorPart(TypedDict, total=False):
    """Further vectors, for policies that take them; left out where qpos holds them behind it already.

    Attributes:
        vectors: name -> (B, n).
    """

    vectors: Mapping[str, Array]


class Observation(Frames, VectorPart, NoisePart, TaskPart, total=False):
    """What a policy predicts from: NumPy or torch, with a batch axis B.

    Attributes:
        past: for policies with `obs_offsets`; without it nothing of the past is known.
        prefix: for policies that keep to settled actions.
    """

    past: PastPart
    prefix: PrefixPart


class Targets(TypedDict):
    """What was done after an observation.

    Attributes:
        action: (B, H, A) float32 in robot units, the first one at the observation's tick.
        is_pad: (B, H) bool, True where the episode had ended.
    """

    action: Array
    is_pad: Array


class Batch(Observation, Targets, total=False):
    """What a policy is trained on: an observation and its targets, and of a reflow what its teacher made of them.

    Attributes:
        endpoint: (B, H, W) float32 in the policy's sizes: where the teacher went from `noise`.
        time: (B,) float32, 0 to 1: where on the way the field is asked.
        frozen: what a part of the policy that never learns made of it; see `FlowPolicy.frozen`.
    """

    endpoint: Tensor
    time: Tensor
    frozen: Mapping[str, Tensor]
