"""Comparison of a policy's chunks with a recorded episode. NumPy alone; who reads and predicts is given from
outside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.errors import PolicyError

Predict = Callable[[RobotObservation], np.ndarray]
MAX_ORDERS = 24
AS_STILL = 0.95  # share of the error of a robot that stays where it is, from which on a policy is no better
STILL_WORTH = 1e-3  # rad; below it nothing moves in the episode, and nothing can be said
CLEARLY_BETTER = 0.7  # an altered input that leaves this share of the error, or less, was the right one
SUSPICION = "wrong normalisation, colour or camera order?"


@dataclass(frozen=True)
class ReplayMetrics:
    """Errors of predicted against recorded actions, in robot units.

    Attributes:
        l1_per_joint: (A,) mean over all predictions and the rows that they cover.
        l1_first: (A,) of each chunk's first action alone.
        l1_by_horizon: (H,) mean over joints, for each place in the chunk; NaN where no row is so far ahead.
        l1: over everything.
        l1_constant: what always saying the episode's median action would score; a policy that saw its own training
            robot is far below.
        l1_still: what saying the measured position for the whole chunk would score, over the values that have one;
            None where positions are not given. l1_moving: the chunks' error over the same values.
        predictions: how many chunks were compared.
        suspicion: a hint for the user where the numbers look wrong, else None.
    """

    names: tuple[str, ...]
    l1_per_joint: np.ndarray
    l1_first: np.ndarray
    l1_by_horizon: np.ndarray
    l1: float
    l1_constant: float
    predictions: int
    suspicion: str | None
    l1_still: float | None = None
    l1_moving: float | None = None


@dataclass(frozen=True)
class Hypothesis:
    """An alteration of the input, and the first-action L1 with it beside the one without."""

    name: str
    l1: float
    l1_as_recorded: float

    @property
    def likely(self) -> bool:
        """True where the altered input fits so much better that it was probably the one trained on."""
        return self.l1 < CLEARLY_BETTER * self.l1_as_recorded


def replay_metrics(
    chunks: np.ndarray,
    starts: Sequence[int],
    actions: np.ndarray,
    names: Sequence[str] = (),
    positions: np.ndarray | None = None,
) -> ReplayMetrics:
    """Compare chunks with the recorded actions.

    Args:
        chunks: (N, H, A) predicted; chunks[i] begins at row starts[i].
        actions: (T, A) recorded; names: of the A values, numbered where left out.
        positions: (T, J) measured, of the first J values of an action (J up to A); without them nothing is said of a
            policy that stays still.

    Raises:
        PolicyError: shapes that do not fit, a start outside of the episode, or no prediction at all.
    """
    _check(chunks, starts, actions, names)
    horizon, width = chunks.shape[1:]
    rows = np.asarray(starts)[:, None] + np.arange(horizon)  # (N, H)
    inside = rows < len(actions)
    error = np.abs(chunks - actions[np.minimum(rows, len(actions) - 1)])
    error[~inside] = np.nan
    counts = inside.sum(axis=0)
    by_horizon = np.full(horizon, np.nan)
    by_horizon[counts > 0] = np.nanmean(error[:, counts > 0], axis=(0, 2))
    constant = float(np.abs(actions - np.median(actions, axis=0)).mean())
    overall = float(error[inside].mean())
    still = moving = None
    if positions is not None and positions.shape[1] <= width:
        joints = positions.shape[1]
        staying = np.abs(positions[np.asarray(starts)][:, None] - actions[np.minimum(rows, len(actions) - 1), :joints])
        still, moving = float(staying[inside].mean()), float(error[inside][:, :joints].mean())
    return ReplayMetrics(
        names=tuple(names) or tuple(str(i) for i in range(width)),
        l1_per_joint=error[inside].mean(axis=0),
        l1_first=error[:, 0].mean(axis=0),
        l1_by_horizon=by_horizon,
        l1=overall,
        l1_constant=constant,
        predictions=len(chunks),
        suspicion=_suspicion(overall, constant, still, moving),
        l1_still=still,
        l1_moving=moving,
    )


def replay(
    predict: Predict,
    observations: Callable[[int], RobotObservation],
    actions: np.ndarray,
    every: int = 1,
    names: Sequence[str] = (),
    positions: np.ndarray | None = None,
) -> tuple[ReplayMetrics, np.ndarray]:
    """Run `predict` on every `every`-th row; give the metrics and the chunks (N, H, A).

    Args:
        predict: e.g. an InferenceRuntime; observations: gives row i without a batch axis.
        positions: see `replay_metrics`.
    """
    if every < 1:
        raise PolicyError(f"every: found {every}, allowed is 1 or more")
    starts = range(0, len(actions), every)
    chunks = np.stack([predict(observations(row)) for row in starts])
    return replay_metrics(chunks, starts, actions, names, positions), chunks


def diagnose(
    predict: Predict, observations: Sequence[RobotObservation], actions: Sequence[np.ndarray]
) -> list[Hypothesis]:
    """Try the usual mistakes on a few rows, best first: red and blue swapped, cameras in another order.

    Args:
        observations: rows without a batch axis; actions: (A,) recorded beside each.
    """

    def score(alter: Callable[[RobotObservation], RobotObservation]) -> float:
        errors = [np.abs(predict(alter(o))[0] - a).mean() for o, a in zip(observations, actions, strict=True)]
        return float(np.mean(errors))

    straight = score(lambda observation: observation)
    hypotheses = [Hypothesis("red and blue swapped", score(_swap_colours), straight)]
    names = list(observations[0]["images"])
    for order in itertools.islice(itertools.permutations(names), 1, MAX_ORDERS):
        shapes = [observations[0]["images"][name].shape for name in names]
        if shapes != [observations[0]["images"][name].shape for name in order]:
            continue
        label = ", ".join(f"{name} <- {other}" for name, other in zip(names, order, strict=True) if name != other)
        hypotheses.append(Hypothesis(f"cameras: {label}", score(_reorder(names, order)), straight))
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.l1)


def _check(chunks: np.ndarray, starts: Sequence[int], actions: np.ndarray, names: Sequence[str]) -> None:
    if chunks.ndim != 3 or actions.ndim != 2 or chunks.shape[2] != actions.shape[1]:
        raise PolicyError(f"chunks {chunks.shape} and actions {actions.shape}: allowed are (N, H, A) and (T, A)")
    if len(chunks) == 0 or len(chunks) != len(starts):
        raise PolicyError(f"{len(chunks)} chunks for {len(starts)} starts: as many are needed, at least one")
    if min(starts) < 0 or max(starts) >= len(actions):
        raise PolicyError(f"starts {min(starts)}..{max(starts)} lie outside of the episode's {len(actions)} rows")
    if names and len(names) != actions.shape[1]:
        raise PolicyError(f"{len(names)} names for {actions.shape[1]} values")
    if not (np.isfinite(chunks).all() and np.isfinite(actions).all()):
        raise PolicyError("chunks or actions hold values that are not finite")


def _suspicion(overall: float, constant: float, still: float | None, moving: float | None) -> str | None:
    if still is not None and moving is not None and overall <= constant and STILL_WORTH < still <= moving / AS_STILL:
        return (
            f"no better than staying still: L1 is {moving:.4g}, repeating the measured position would score "
            f"{still:.4g}; were its actions the measured positions?"
        )
    if overall <= constant:
        return None
    return f"{SUSPICION} L1 is {overall:.4g}, a constant action would score {constant:.4g}"


def _swap_colours(observation: RobotObservation) -> RobotObservation:
    return _alter_images(
        observation, lambda images: {name: np.ascontiguousarray(image[..., ::-1]) for name, image in images.items()}
    )


def _reorder(names: Sequence[str], order: Sequence[str]) -> Callable[[RobotObservation], RobotObservation]:
    def alter(observation: RobotObservation) -> RobotObservation:
        return _alter_images(
            observation, lambda images: {name: images[other] for name, other in zip(names, order, strict=True)}
        )

    return alter


def _alter_images(
    observation: RobotObservation, change: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
) -> RobotObservation:
    """Change the images of an observation and those of its past alike."""
    out: RobotObservation = {**observation, "images": change(observation["images"])}
    if "past" in observation:
        out["past"] = {**observation["past"], "images": change(observation["past"]["images"])}
    return out
