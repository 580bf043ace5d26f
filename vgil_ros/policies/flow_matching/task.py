"""The task of an observation or a batch, as a vector.

A task's text as a vector, without a language model: hashed words and pairs of words.

It tells tasks apart and sees that two texts share words. It knows no meaning: "cup" and "mug" are strangers. Give a
language model's vector as the observation's "task_embedding" where that is needed.
"""

from __future__ import annotations

import hashlib
import itertools
import re

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.flow_matching.config import FlowConfig, FlowMatchingConfig
from vgil_ros.policies.observation import TaskPart
from vgil_ros.policies.preparation import check_vector, to_tensor


def embed_text(text: str, dim: int) -> np.ndarray:
    """(dim,) float32 of length 1, zeros for a text without a word. Signed feature hashing (Weinberger et al. 2009)."""
    words = re.findall(r"\w+", text.lower())
    out = np.zeros(dim, np.float32)
    for token in [*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))]:
        number = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "big")
        out[(number >> 1) % dim] += 1.0 if number & 1 else -1.0
    length = float(np.linalg.norm(out))
    return out / length if length else out


def task_embedding(
    config: FlowMatchingConfig, observation: TaskPart, batch: int, device: torch.device
) -> Tensor | None:
    """Give (B, task_dim) float32, or None where the policy is told no task.

    Taken from "task_embedding", else from the texts in "task" (one, or a list of B), else from the configuration.

    Raises:
        PolicyError: no task anywhere, or a shape or dtype that does not fit.
    """
    if not config.task_dim:
        return None
    if "task_embedding" in observation:
        given = to_tensor(observation["task_embedding"], device)
        check_vector("task_embedding", tuple(given.shape), (batch, config.task_dim))
        if not given.is_floating_point():
            raise PolicyError(f"task_embedding: found dtype {given.dtype}, allowed is float32")
        return given.to(torch.float32)
    texts = task_texts(config, observation, batch)
    if texts is None:
        raise PolicyError(
            "task: the observation holds neither 'task_embedding' nor 'task'; allowed is either, or a text as "
            "`task` in the policy's configuration"
        )
    return torch.from_numpy(np.stack([embed_text(text, config.task_dim) for text in texts])).to(device)


def task_texts(config: FlowConfig, observation: TaskPart, batch: int) -> list[str] | None:
    """One text for each of `batch` observations: theirs, or else the configuration's; None where neither tells.

    An empty text, as of an episode without a task, is no task: as on a robot, the configuration's stands in for it.

    Raises:
        PolicyError: another number of texts.
    """
    texts = observation.get("task", config.task)
    if texts is None:
        return None
    texts = [texts] * batch if isinstance(texts, str) else list(texts)
    if len(texts) != batch:
        raise PolicyError(f"task: found {len(texts)} texts, allowed is one for each of {batch} observations")
    return [text or config.task or "" for text in texts]
