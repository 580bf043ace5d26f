"""The words of a task as tokens, by the tokenizer of the vision-language model. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vgil_ros.extras import needed_by
from vgil_ros.policies.errors import PolicyError

TOKENIZER_FILE = "tokenizer.json"


class Words(NamedTuple):
    """Tokens (B, L) int64 and which of them are there (B, L) bool; the others fill up behind."""

    tokens: Tensor
    known: Tensor


class TaskTokenizer:
    """Tokens of texts. A text ends with a line break, which is added, as LeRobot does, where it has none.

    Args:
        content: of a tokenizer.json.
        vocabulary: tokens that the model knows. longest: tokens that are read of a text.

    Raises:
        PolicyError: it is no tokenizer, or one of another model.
    """

    def __init__(self, content: bytes, vocabulary: int, longest: int) -> None:
        with needed_by("a policy of type 'smolvla'"):
            from tokenizers import Tokenizer
        try:
            self._tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises Exception itself
            raise PolicyError(
                f"{TOKENIZER_FILE}: found no tokenizer ({error}); allowed: the file of the vision-language model"
            ) from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self.longest = longest
        if (size := self._tokenizer.get_vocab_size()) > vocabulary:
            raise PolicyError(f"{TOKENIZER_FILE}: found {size} tokens, allowed are up to the model's {vocabulary}")

    def token(self, text: str) -> int:
        """Number of a token.

        Raises:
            PolicyError: the tokenizer has none such.
        """
        number = self._tokenizer.token_to_id(text)
        if number is None:
            raise PolicyError(f"{TOKENIZER_FILE}: found no token {text!r}; allowed: the tokenizer of a SmolVLM")
        return int(number)

    def __call__(self, texts: Sequence[str], device: torch.device, width: int | None = None) -> Words:
        """Give the tokens of B texts, as wide as the longest of them, or as `width`."""
        rows = [self._tokenizer.encode(text if text.endswith("\n") else f"{text}\n").ids for text in texts]
        wide = width if width is not None else max(map(len, rows))
        tokens = torch.tensor([row + [0] * (wide - len(row)) for row in rows])
        known = torch.tensor([[place < len(row) for place in range(wide)] for row in rows])
        return Words(tokens.to(device), known.to(device))
