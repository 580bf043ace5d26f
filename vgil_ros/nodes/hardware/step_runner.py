"""Drives a sequence of `core.bringup.steps`: calls its services, hands its moves to the node, tells it what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vgil_ros.core.bringup.steps import Answer, Call, CloseGrippers, Move, Say, Steps
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.hardware.service_calls import ServiceCalls


class StepRunner:
    """One sequence at a time.

    Args:
        calls: of services.
        say: told what the operator is to know.
        act: handed a move, or the wait for the grippers; whoever does it calls `go_on` or `fail` once it is over.
    """

    def __init__(
        self, calls: ServiceCalls, say: Callable[[str], None], act: Callable[[Move | CloseGrippers], None]
    ) -> None:
        self._calls, self._say, self._act = calls, say, act
        self._steps: Steps[Any] | None = None
        self._done: Callable[[Any], None] = lambda _: None
        self._failed: Callable[[str], None] = lambda _: None
        self._serial = 0  # of the running sequence: answers to one before it are late

    @property
    def busy(self) -> bool:
        """Whether a sequence runs."""
        return self._steps is not None

    def start(self, steps: Steps[Any], done: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        """Begin a sequence.

        Args:
            steps: the sequence.
            done: told what it returns.
            failed: told in words why it ended before.
        """
        self.stop()
        self._steps, self._done, self._failed = steps, done, failed
        self._serial += 1
        self._advance(self._serial, None)

    def stop(self) -> None:
        """Leave the running sequence where it is; nobody is told."""
        steps, self._steps = self._steps, None
        self._serial += 1
        if steps is not None:
            steps.close()

    def go_on(self) -> None:
        """The move, or the wait, is over."""
        self._advance(self._serial, None)

    def fail(self, words: str) -> None:
        """The move did not arrive: the sequence ends."""
        self.stop()
        self._failed(words)

    def _advance(self, serial: int, answer: Answer) -> None:
        if serial != self._serial or self._steps is None:
            return
        try:
            step = self._steps.send(answer)
            while isinstance(step, Say):
                self._say(step.words)
                step = self._steps.send(None)
            if isinstance(step, Call):
                self._calls.call(step, lambda found: self._advance(serial, found))
            else:
                self._act(step)
        except StopIteration as end:
            self._steps = None
            self._done(end.value)
        except VgilError as error:
            self.fail(str(error))
