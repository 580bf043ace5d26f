"""Types of the safety limits: a command, the context of a tick, and what a limit says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vgil_ros.core.errors import VgilError

Floats = NDArray[np.float64]

FOLLOWING, FAULT = "following", "fault"  # limits after whose hold somebody has to look at the robot


def readonly(values: ArrayLike) -> Floats:
    """A read-only float64 copy."""
    own = np.array(values, dtype=np.float64)
    own.setflags(write=False)
    return own


@dataclass(frozen=True, eq=False)
class Command:
    """Joint positions (D,) rad (grippers 0..1) and, where there is a base, its velocity (2,) m/s, rad/s. Read-only.

    `marker` is a policy's end marker, where its action has one: it moves nothing, and no limit looks at it.
    `values` are the positions as Python's floats: a dozen of those are compared in a fraction of NumPy's time.
    """

    positions: Floats
    base: Floats | None = None
    marker: float | None = None
    values: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", readonly(self.positions))
        if self.positions.ndim != 1:
            raise VgilError(f"command: found positions of shape {self.positions.shape}, expected (D,)")
        object.__setattr__(self, "values", tuple(self.positions.tolist()))
        if self.base is not None:
            object.__setattr__(self, "base", readonly(self.base))
            if self.base.shape != (2,):
                raise VgilError(f"command: found a base velocity of shape {self.base.shape}, expected (2,)")


@dataclass(frozen=True, eq=False)
class SafetyContext:
    """The context of one tick.

    `stream_ages_ns`: age of the newest observation of each stream by its stamp, None if none has come.
    `last_policy_ns`: when the policy thread was last known to be well, on the clock of `now_ns`: it gave a result, or
    it is alive and has no request open. None if it never was.
    `refused`: the streams whose readings are none, and why.
    `fault`: in words, what is wrong with the robot itself; empty where nothing is known to be.
    `last`, `velocity` and `holding` are the pipeline's own: the command before, its joint velocity (D,) per second, and
    whether a limit has asked to hold in this tick.
    """

    tick: int
    now_ns: int
    period_s: float
    measured: Floats | None = None  # (D,) positions; None while the joints have not been heard
    stream_ages_ns: Mapping[str, int | None] = field(default_factory=dict)
    last_policy_ns: int | None = None
    estop: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    last: Command | None = None
    velocity: Floats | None = None
    holding: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.period_s < float("inf"):
            raise VgilError(f"context: found a period of {self.period_s} s, it must be above zero")

    def within(self, **own: Any) -> SafetyContext:
        """This context with what the pipeline adds; `dataclasses.replace` without a look at every field."""
        other = object.__new__(SafetyContext)
        other.__dict__.update(self.__dict__, **own)
        return other

    def standing(self) -> tuple[Floats, Floats]:
        """The positions of the command before and its velocity, both (D,). Every limit in a pipeline has them."""
        if self.last is None or self.velocity is None:
            raise VgilError("context: no command before this one; a limit is to be run by a SafetyPipeline")
        return self.last.positions, self.velocity


@dataclass(frozen=True, eq=False)
class Pass:
    """The command is within the limit (rounding, or what a limit tolerates, may have been taken off)."""

    command: Command


@dataclass(frozen=True, eq=False)
class Changed:
    """The command was outside the limit and this one is not. `joints` names those concerned."""

    command: Command
    reason: str
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Hold:
    """No command can be trusted now: stay, with the base at rest.

    `positions`: (D,) where to stay, where that is not the command before.
    """

    reason: str
    joints: tuple[str, ...] = ()
    positions: Floats | None = None


Verdict: TypeAlias = Pass | Changed | Hold


class SafetyLimit(Protocol):
    """One limit. `name` counts its safety events."""

    name: str

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Judge a command. While `context.holding`, the command is where the robot stands and must not be moved on."""

    def reset(self) -> None:
        """Forget what was remembered of the commands before."""


@dataclass(frozen=True)
class SafetyEvent:
    """A limit stepped in: its name, why, and the joints concerned."""

    name: str
    reason: str
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What to publish. `command` is None only while it is not known where the robot stands: then send nothing.

    `settling`: it holds, and the command is still on its way to where it stays: to where a joint was measured that does
    not follow, or as a joint is braked. Whoever lets go of the robot holds on until it has come there; at a fifth of
    the velocity limits, so that it does after a known time.

    `silent`: streams of arms that are not heard. Nothing of the command is for them: a driver that comes back must not
    find one that was meant for where its arm once was.
    """

    command: Command | None
    safety_events: tuple[SafetyEvent, ...]
    holding: bool
    settling: bool = False
    silent: frozenset[str] = frozenset()

    def reason(self, limit: str) -> str | None:
        """Why a limit stepped in, by its name; None where it did not."""
        return next((event.reason for event in self.safety_events if event.name == limit), None)

    @property
    def operator_needed(self) -> str | None:
        """In words: why somebody has to look at the robot before it goes on; None where nobody has to."""
        return self.reason(FOLLOWING) or self.reason(FAULT)
