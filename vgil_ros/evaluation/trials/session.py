"""A trial as a state machine without I/O: keys and events in, effects out.

    PREPARING --policy there, scene reset--> READY --start--> RUNNING --ended--> JUDGING --label--> PREPARING ...
                                               ^-- refused --'        (a label ends a running attempt)      '--> DONE

Nothing that it says tells which policy is at work, or how the comparison stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from vgil_ros.core.episode_label import Verdict
from vgil_ros.evaluation.comparing.several import PairVerdict, compare_all
from vgil_ros.evaluation.trials.plan import HiddenOrder, TrialPlan, letters


class TrialState(str, Enum):
    """Where a trial stands."""

    PREPARING = "preparing"
    READY = "ready"
    RUNNING = "running"
    ENDING = "ending"  # it was told to stop, and moves yet
    JUDGING = "judging"
    DONE = "done"


class TrialEffect(str, Enum):
    """What must be done now."""

    PREPARE = "prepare"  # bring up the attempt's policy and have the scene reset, then call `prepared`
    START = "start"  # have the policy move, then call `started` or `refused`
    STOP = "stop"  # have it stop, then call `ended`
    WRITE = "write"  # take `record` into the journal, at once
    FINISH = "finish"  # the trial is over, or interrupted


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        block: its number, from 0.
        place: within the block, from 0.
        letter: what it is called.
        contender: whose it is: hidden.
    """

    block: int
    place: int
    letter: str
    contender: int


@dataclass(frozen=True)
class AttemptRecord:
    """What the journal keeps of an attempt: what its operator knew of it.

    Attributes:
        verdict: success, failure, unsure; `repeated` for one that does not count.
        note: why it ended, where that was not by its label.
    """

    block: int
    place: int
    letter: str
    verdict: Verdict | str
    note: str = ""


VERDICT_KEYS: dict[str, Verdict] = {"y": "success", "n": "failure", "u": "unsure"}
REPEATED = "repeated"


class TrialSession:
    """Decides what comes next, and when it is enough.

    Args:
        plan: what is compared.
        order: the hidden order.
        before: records of a journal that is gone on with.

    Attributes:
        records: of all attempts, in order; counted: of those that count.
        record: what is to be written, after the effect WRITE.
        reason: why it is over: `decided`, `max`, `quit`; "" while it goes on.
    """

    def __init__(self, plan: TrialPlan, order: HiddenOrder, before: Sequence[AttemptRecord] = ()) -> None:
        self.plan, self._order = plan, order
        self.state = TrialState.PREPARING
        self.records = list(before)
        self.counted = [record for record in before if record.verdict != REPEATED]
        self._blocks = outcomes(plan, order, self.counted)
        self.record: AttemptRecord | None = None
        self.reason = ""
        self._label: Verdict | str | None = None  # said while it ran
        self._quitting = False
        self._note = ""
        self._look()

    @property
    def attempt(self) -> Attempt:
        """The one at hand, or the next one."""
        width = len(self.plan.contenders)
        block, place = divmod(len(self.counted), width)
        contender = self._order.block(block, width)[place]
        return Attempt(block, place, letters(block, width)[place], contender)

    def verdicts(self) -> list[PairVerdict]:
        """How the comparison stands, without intervals: for the decision, not for the operator."""
        return compare_all(self._blocks, self.plan.alpha, intervals=False)

    def begin(self) -> tuple[TrialEffect, ...]:
        """The first effects."""
        return (TrialEffect.FINISH,) if self.state is TrialState.DONE else (TrialEffect.PREPARE,)

    def prepared(self) -> tuple[TrialEffect, ...]:
        """The policy is there, and the scene is reset where that is not the operator's."""
        if self.state is not TrialState.PREPARING:
            return ()
        self.state = TrialState.READY
        return self.start() if self.plan.reset == "sim" else ()

    def start(self) -> tuple[TrialEffect, ...]:
        """The scene is as it should be: go."""
        if self.state is not TrialState.READY:
            return ()
        self.state, self._label, self._note = TrialState.RUNNING, None, ""
        return (TrialEffect.START,)

    def refused(self) -> None:
        """The policy did not start; it may be tried again."""
        if self.state is TrialState.RUNNING:
            self.state = TrialState.READY

    def ended(self, note: str = "", topic: bool | None = None) -> tuple[TrialEffect, ...]:
        """The attempt has ended.

        Args:
            note: why, where neither its length nor a label ended it.
            topic: whether the task was done, where a topic says that.
        """
        if self.state not in (TrialState.RUNNING, TrialState.ENDING):
            return ()
        self.state, self._note = TrialState.JUDGING, note
        if self._label is None and self.plan.label == "topic" and not self._quitting:
            self._label = "unsure" if topic is None else "success" if topic else "failure"
        if self._label is None and self._quitting:
            self._label, self._note = REPEATED, "the trial was interrupted"
        return () if self._label is None else self._write(self._label)

    def judge(self, verdict: Verdict | str) -> tuple[TrialEffect, ...]:
        """Label the attempt; one that runs ends with it. `REPEATED`: it does not count, and is made again."""
        if self.state is TrialState.RUNNING:
            self.state, self._label = TrialState.ENDING, verdict
            return (TrialEffect.STOP,)
        return self._write(verdict) if self.state is TrialState.JUDGING else ()

    def stop(self) -> tuple[TrialEffect, ...]:
        """End a running attempt; its label comes then. One that moves yet is told again."""
        if self.state not in (TrialState.RUNNING, TrialState.ENDING):
            return ()
        self.state = TrialState.ENDING
        return (TrialEffect.STOP,)

    def quit(self) -> tuple[TrialEffect, ...]:
        """Interrupt the trial; it can be gone on with. An attempt that runs, or has no label, is made again then."""
        self._quitting = True
        if self.state is TrialState.JUDGING:
            self._note = "the trial was interrupted"
            return self._write(REPEATED)
        return self.stop() or self._finish("quit")

    def key(self, key: str) -> tuple[TrialEffect, ...]:
        """A key: space start, s stop, y n u label, r again, q interrupt; any other nothing."""
        if key in VERDICT_KEYS and self.plan.label == "keys":
            return self.judge(VERDICT_KEYS[key])
        actions: dict[str, Callable[[], tuple[TrialEffect, ...]]] = {
            " ": self.start,
            "s": self.stop,
            "q": self.quit,
            "r": lambda: self.judge(REPEATED),
        }
        return actions[key]() if key in actions else ()

    def words(self) -> str:
        """What the operator is to do."""
        attempt, total = self.attempt, self.plan.max_blocks * len(self.plan.contenders)
        name = f"attempt {len(self.counted) + 1} of at most {total}, policy {attempt.letter}"
        by_topic = self.plan.label == "topic"
        return {
            TrialState.PREPARING: f"{name}: put the scene back; the policy is brought up",
            TrialState.READY: f"{name}: put the scene back, then SPACE starts; q interrupts",
            TrialState.RUNNING: f"{name} runs: " + ("s stops" if by_topic else "y n u ends and labels it, s stops"),
            TrialState.ENDING: f"{name}: stopping",
            TrialState.JUDGING: f"{name} ended: y done, n not done, u unsure, r again",
            TrialState.DONE: "the trial is over",
        }[self.state]

    def _write(self, verdict: Verdict | str) -> tuple[TrialEffect, ...]:
        attempt = self.attempt
        self.record = AttemptRecord(attempt.block, attempt.place, attempt.letter, verdict, self._note)
        self.records.append(self.record)
        if verdict != REPEATED:
            self._count(self.record)
        self.state, self._label, self._note = TrialState.PREPARING, None, ""
        self._look()
        if self._quitting and not self.reason:
            return (TrialEffect.WRITE, *self._finish("quit"))
        return (TrialEffect.WRITE, TrialEffect.FINISH if self.reason else TrialEffect.PREPARE)

    def _count(self, record: AttemptRecord) -> None:
        self.counted.append(record)
        width = len(self.plan.contenders)
        if len(self.counted) % width == 0:
            self._blocks += outcomes(self.plan, self._order, self.counted[-width:], first=record.block)

    def _finish(self, reason: str) -> tuple[TrialEffect, ...]:
        if self.state is TrialState.DONE:
            return ()
        self.state, self.reason = TrialState.DONE, reason
        return (TrialEffect.FINISH,)

    def _look(self) -> None:
        """After each whole block: is it enough?"""
        width = len(self.plan.contenders)
        blocks, rest = divmod(len(self.counted), width)
        if rest or not blocks:
            return
        if all(verdict.decided for verdict in self.verdicts()):
            self._finish("decided")
        elif blocks >= self.plan.max_blocks:
            self._finish("max")


def outcomes(
    plan: TrialPlan, order: HiddenOrder, counted: Sequence[AttemptRecord], *, first: int = 0
) -> list[list[bool | None]]:
    """Of each whole block, whether each contender succeeded, None where nobody could say. This unseals the order.

    Args:
        plan, order: of the trial.
        counted: attempts that count, from the beginning of block `first` on.
        first: its number.
    """
    width = len(plan.contenders)
    blocks = []
    for number in range(len(counted) // width):
        row: list[bool | None] = [None] * width
        for place, contender in enumerate(order.block(first + number, width)):
            verdict = counted[number * width + place].verdict
            row[contender] = None if verdict == "unsure" else verdict == "success"
        blocks.append(row)
    return blocks
