"""Doubt of a running policy, as a proposal when to take over: disagreement among its chunks, novelty of its state.

*Disagreement*: of several chunks drawn from one observation, how far they spread; of a policy that does not draw, how
far its newest chunk is from the one before where both speak of the same ticks. In standard deviations of the training
data's actions. *Novelty*: how far where the robot is, and where it came from, lies from what the training data hold.
Each is divided by what is usual in the training data; the score is the larger of both: above 1 is unusual. The usual
disagreement stands for chunks that are asked for as when it was measured: those that lie further apart differ more.

Source: Agia, Sinha, Yang, Cao, Antonova, Pavone and Bohg, "Unpacking Failure Modes of Generative Policies" (CoRL 2024),
for the agreement of chunks over time; Sun, Ming, Zhu and Li, "Out-of-Distribution Detection with Deep Nearest
Neighbors" (ICML 2022), for distances to the k-th neighbour. Here neighbours are of joint positions, not of features.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

NEIGHBOUR = 5  # the k-th nearest one's distance counts
LAG_S = 0.5  # between the two positions that are looked at
SMOOTHED = 5  # values that are averaged
GAP_SLACK = 0.25  # share by which the time between two chunks may differ from that of the measurement


@dataclass(frozen=True, eq=False)
class Familiar:
    """What is usual in a policy's training data.

    Attributes:
        points: (N, 2 D) float32: joint positions, and their change over the last `LAG_S`, each over its `scale`.
        scale: (2 D,) their standard deviations.
        action_scale: (A,) standard deviations of the actions.
        novelty: the distance that 99 % of the data's own rows stay below, to rows of other episodes.
        disagreement: the same of the policy's own chunks over the data; None where nobody measured.
        draws: of how many chunks drawn from one observation that is, 1: of each chunk and the one before, which was
            made `gap_s` earlier; None where nobody noted it: then it stands for every measurement.
    """

    points: np.ndarray
    scale: np.ndarray
    action_scale: np.ndarray
    novelty: float
    disagreement: float | None = None
    draws: int | None = None
    gap_s: float | None = None

    def measured_otherwise(self, draws: int, gap_s: float) -> str:
        """Why the usual disagreement says nothing of chunks that are asked for in this way, in words; "" where it does.

        Args:
            draws, gap_s: see the class; `gap_s` counts where `draws` is 1.
        """
        if self.disagreement is None or self.draws is None:
            return ""
        near = self.gap_s is None or abs(gap_s - self.gap_s) <= GAP_SLACK * self.gap_s
        if draws == self.draws and (draws > 1 or near):
            return ""
        return (
            f"usual disagreement was measured of {_asked(self.draws, self.gap_s)}, here it is of "
            f"{_asked(draws, gap_s)}: takeover_score is of novelty alone"
        )

    def distance(self, features: np.ndarray) -> float:
        """Distance of features (2 D,), not scaled yet, to the k-th nearest point."""
        gaps = np.square(self.points - (features / self.scale).astype(np.float32)).sum(axis=1)
        return float(np.sqrt(np.partition(gaps, NEIGHBOUR - 1)[NEIGHBOUR - 1]))


def _asked(draws: int, gap_s: float | None) -> str:
    return f"{draws} chunks drawn at once" if draws > 1 else f"chunks {gap_s or 0.0:.2f} s apart"


def spread(chunks: np.ndarray, scale: np.ndarray) -> float:
    """How far chunks (K, H, A) drawn from one observation spread, in units of `scale` (A,)."""
    return float(np.sqrt(np.square(chunks.std(axis=0) / scale).mean()))


def inconsistency(before: np.ndarray, chunk: np.ndarray, apart: int, scale: np.ndarray) -> float | None:
    """How far a chunk (H, A) is from the one (H, A) made `apart` ticks before, where both speak of the same ticks.

    None where they do not.
    """
    both = len(before) - apart
    if not 0 < both <= len(chunk):
        return None
    return float(np.sqrt(np.square((chunk[:both] - before[apart:]) / scale).mean()))


class DoubtMeter:
    """Follows a policy through an episode.

    Args:
        period_s: of the ticks.
        familiar: of its training data; without it there is no novelty, and disagreement is in the action's units.

    Attributes:
        disagreement, novelty: of the moment; None before any.
        otherwise: why disagreement is not held against what is usual, in words; "" where it is.
    """

    def __init__(self, period_s: float, familiar: Familiar | None = None) -> None:
        self._lag, self._period_s, self.familiar = max(1, round(LAG_S / period_s)), period_s, familiar
        self.reset()

    def reset(self) -> None:
        """An episode begins."""
        self.disagreement: float | None = None
        self.novelty: float | None = None
        self.otherwise = ""
        self._positions: deque[tuple[int, np.ndarray]] = deque()  # the first is the newest that is a lag old, or older
        self._before: tuple[int, np.ndarray] | None = None
        self._spreads: deque[float] = deque(maxlen=SMOOTHED)
        self._distances: deque[float] = deque(maxlen=SMOOTHED)

    def observe(self, tick: int, qpos: np.ndarray) -> None:
        """The robot was at qpos (D,) at a tick.

        Its change is from where it was `LAG_S` ago; where that tick was lost, from the nearest older one, and at an
        episode's start from the first, as in the training data.
        """
        if self.familiar is None:
            return
        self._positions.append((tick, qpos))
        while len(self._positions) > 1 and self._positions[1][0] <= tick - self._lag:
            self._positions.popleft()
        _, before = self._positions[0]
        self._distances.append(self.familiar.distance(np.concatenate([qpos, qpos - before])))
        self.novelty = float(np.mean(self._distances))

    def predicted(self, tick: int, chunk: np.ndarray, *, drawn: bool = False) -> None:
        """A chunk (H, A) was made for a tick; or several (K, H, A), `drawn` from one observation."""
        scale = np.ones(chunk.shape[-1]) if self.familiar is None else self.familiar.action_scale
        draws, apart = len(chunk) if drawn else 1, 0
        if drawn:
            value: float | None = spread(chunk, scale)
        else:
            before, self._before = self._before, (tick, chunk)
            apart = 0 if before is None else tick - before[0]
            value = None if before is None else inconsistency(before[1], chunk, apart, scale)
        if value is not None and np.isfinite(value):
            if self.familiar is not None:
                self.otherwise = self.familiar.measured_otherwise(draws, apart * self._period_s)
            self._spreads.append(value)
            self.disagreement = float(np.mean(self._spreads))

    def not_drawn(self) -> None:
        """Of a policy that draws, the chunk of the moment was not drawn from its observation alone: how far draws would
        spread is not known, and what was before is of another moment."""
        self._spreads.clear()
        self.disagreement = None

    @property
    def score(self) -> float | None:
        """The larger of both over what is usual; None where nothing says what is."""
        usual = self.familiar
        if usual is None:
            return None
        parts = [] if self.novelty is None else [self.novelty / usual.novelty]
        if self.disagreement is not None and usual.disagreement and not self.otherwise:
            parts.append(self.disagreement / usual.disagreement)
        return max(parts, default=None)
