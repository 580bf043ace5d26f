"""Smoothing of what a hand gives: the mean over the last moment, so that a motion begins and ends softly.

A mean keeps the distance: a key that asks for 5 mm moves 5 mm, which a limit of the acceleration alone would not.
"""

from __future__ import annotations

from collections import deque

import numpy as np


class MovingAverage:
    """Mean of a signal (N,) over the last `window_s`; where nothing was given it is zero.

    Args:
        size: N.
        window_s: also how long a full stop takes, s.
    """

    def __init__(self, size: int, window_s: float) -> None:
        self._size, self._window_s = size, window_s
        self._pieces: deque[tuple[float, np.ndarray]] = deque()

    def step(self, dt: float, value: np.ndarray) -> np.ndarray:
        """Take the value of the coming `dt` seconds; return the mean (N,) up to their end."""
        self._pieces.append((dt, np.asarray(value, np.float64)))
        total, room = np.zeros(self._size), self._window_s
        used = 0
        for seconds, piece in reversed(self._pieces):
            part = min(seconds, room)
            total += part * piece
            room -= part
            used += 1
            if room <= 0.0:
                break
        while len(self._pieces) > used:
            self._pieces.popleft()
        mean: np.ndarray = total / self._window_s
        return mean

    @property
    def resting(self) -> bool:
        """Whether only zeros are in the window."""
        return not any(piece.any() for _, piece in self._pieces)

    def clear(self) -> None:
        """Stop at once: nothing is left in the window."""
        self._pieces.clear()
