"""How a checkpoint says that its chunks are to be played, and what that comes to beside what a user says."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import Field, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.execution.registry import EXECUTORS, executor_class

USUAL_MODE = "temporal_ensemble"


class KeptExecution(StrictModel):
    """What stands as `execution` in policy.json; used where the robot's operator says nothing else.

    Attributes:
        mode: how chunks are played. inference_period: ticks between two requests, for the modes that have it.
        ensemble_coefficient: of temporal_ensemble. None: the mode's usual.
    """

    mode: str = USUAL_MODE
    inference_period: int | None = Field(default=None, gt=0, le=100_000)
    ensemble_coefficient: float | None = None

    @model_validator(mode="after")
    def _options_are_the_modes(self) -> KeptExecution:
        if self.mode not in EXECUTORS:
            raise ValueError(f"mode: found {self.mode!r}; allowed: {', '.join(EXECUTORS)}")
        ensemble = executor_class(self.mode) is EXECUTORS[USUAL_MODE]
        if ensemble and self.inference_period is not None:
            raise ValueError(f"inference_period: {self.mode} asks at every tick; leave it out")
        if self.ensemble_coefficient is not None and not ensemble:
            raise ValueError(f"ensemble_coefficient: is of {USUAL_MODE}, not of {self.mode}; leave it out")
        if self.ensemble_coefficient is not None and not math.isfinite(self.ensemble_coefficient):
            raise ValueError(f"ensemble_coefficient: found {self.ensemble_coefficient}; allowed: a finite number")
        return self

    def __str__(self) -> str:
        """In words, as one would give it to the policy node."""
        parts = [self.mode]
        if self.inference_period is not None:
            parts.append(f"inference_period {self.inference_period}")
        if self.ensemble_coefficient is not None:
            parts.append(f"ensemble_coefficient {self.ensemble_coefficient:g}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Execution:
    """How chunks are played: as `KeptExecution`, every field None where nobody says."""

    mode: str | None = None
    inference_period: int | None = None
    ensemble_coefficient: float | None = None


@dataclass(frozen=True)
class ResolvedExecution:
    """A mode with its options (None: its usual), and a line that says where it comes from."""

    mode: str
    inference_period: int | None
    ensemble_coefficient: float | None
    words: str


def resolve_execution(given: Execution, kept: KeptExecution | None, horizon: int) -> ResolvedExecution:
    """What is played: each value as given, else as the checkpoint keeps it, else the mode's usual one.

    The checkpoint's options are those of its mode: where another one is given, they do not count. A period as long as
    the chunk leaves no time for the next one to come, so the usual rule stands in for it.

    Args:
        horizon: H, actions in a chunk.
    """
    mode = given.mode or (kept.mode if kept is not None else USUAL_MODE)
    period, coefficient = given.inference_period, given.ensemble_coefficient
    if kept is not None and mode == kept.mode:
        if period is None and kept.inference_period is not None and kept.inference_period < horizon:
            period = kept.inference_period
        coefficient = kept.ensemble_coefficient if coefficient is None else coefficient
    options = [
        *([] if period is None else [f"inference_period {period}"]),
        *([] if coefficient is None else [f"ensemble_coefficient {coefficient:g}"]),
    ]
    said = [value for value in (given.mode, given.inference_period, given.ensemble_coefficient) if value is not None]
    if kept is None:
        why = "as given" if said else "the usual: its checkpoint says nothing of it"
    elif not said:
        why = "as its checkpoint says"
    else:
        why = f"as given; its checkpoint says {kept}"
    return ResolvedExecution(mode, period, coefficient, f"chunks are played by {', '.join([mode, *options])} ({why})")
