"""Steps of a bring-up, as generators: each yields what is to be done next, and is sent what came of it.

A sequence decides; whoever drives it calls services, moves the robot and speaks. So the order of the steps, and what
is made of every answer, is tested without a robot.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from vgil_ros.core.errors import VgilError

R = TypeVar("R")
ANSWER_S = 10.0  # a reboot keeps a driver busy for 1 s, an operating mode for 0.1 s a motor; a computer may be busy too


class BringupError(VgilError):
    """A step that was not taken, or whose result reads otherwise than it should; the sequence ends there."""


@dataclass(frozen=True)
class Call:
    """Call a service; sent back are the fields of its response, or None where there is no answer in time.

    Attributes:
        service: its name.
        type: `package/srv/Name`.
        request: fields of the request; what is left out keeps its default.
        within_s: how long an answer is waited for.
    """

    service: str
    type: str
    request: Mapping[str, Any] = field(default_factory=dict)
    within_s: float = ANSWER_S


@dataclass(frozen=True)
class Move:
    """Bring the robot, and where there are any its leaders, slowly to a pose of the contract; sent back is None."""

    pose: Literal["wake", "sleep"]
    leaders: bool


@dataclass(frozen=True)
class CloseGrippers:
    """Wait until the operator has closed all leader grippers; sent back is None."""


@dataclass(frozen=True)
class Say:
    """Tell the operator; sent back is None."""

    words: str


Step: TypeAlias = Call | Move | CloseGrippers | Say
Answer: TypeAlias = Mapping[str, Any] | None
Steps: TypeAlias = Generator[Step, Answer, R]


def answered(call: Call) -> Steps[Mapping[str, Any]]:
    """A call that must be answered.

    Raises:
        BringupError: where it is not.
    """
    answer = yield call
    if answer is None:
        raise BringupError(f"{call.service} did not answer within {call.within_s:g} s; is the robot's driver running?")
    return answer
