"""A task's text as a vector, without a language model: hashed words and pairs of words.

It tells tasks apart and sees that two texts share words. It knows no meaning: "cup" and "mug" are strangers. Give a
language model's vector as the observation's "task_embedding" where that is needed.
"""

from __future__ import annotations

import hashlib
import itertools
import re

import numpy as np


def embed_text(text: str, dim: int) -> np.ndarray:
    """(dim,) float32 of length 1, zeros for a text without a word. Signed feature hashing (Weinberger et al. 2009)."""
    words = re.findall(r"\w+", text.lower())
    out = np.zeros(dim, np.float32)
    for token in [*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))]:
        number = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "big")
        out[(number >> 1) % dim] += 1.0 if number & 1 else -1.0
    length = float(np.linalg.norm(out))
    return out / length if length else out
