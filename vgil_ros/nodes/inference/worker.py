"""The inference thread: one question at a time, answers with the tick that they are for."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import numpy as np

from vgil_ros.core.control.pipeline import Actor
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import Committed
from vgil_ros.core.history import History
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.base.timing import Durations, TickCounter

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Answer:
    """A chunk (H, A) made for a tick, and how long it took."""

    tick: int
    chunk: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Refusal:
    """Why there is no chunk for a tick: its observation cannot be used, a picture that does not decode."""

    why: str


class InferenceWorker(Generic[Asked]):
    """Runs `infer` in a thread of its own. All methods are for one other thread.

    Args:
        infer: from a question to a chunk (H, A); a VgilError refuses the question, any other error ends the thread.
        reset: called in the same thread before the first question of an episode.
    """

    def __init__(self, infer: Callable[[Asked], np.ndarray], reset: Callable[[], None]) -> None:
        self._infer, self._reset = infer, reset
        self._questions: SimpleQueue[tuple[int, int, Asked | None] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, Answer | Refusal]] = SimpleQueue()
        self._episode = 0
        self._open = 0
        self._asked_ns = 0
        self.failure: str | None = None
        self.refusal: str | None = None  # of the last question, None once one is answered
        self._thread = self._start()

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="inference", daemon=True)
        thread.start()
        return thread

    def new_episode(self) -> None:
        """Forget open questions, reset the policy, and start the thread anew where it has died."""
        if not self.alive:
            self.failure, self._open = None, 0
            self._questions, self._answers = SimpleQueue(), SimpleQueue()
            self._thread = self._start()
        self._episode += 1
        self.refusal = None
        self._questions.put((self._episode, -1, None))

    def ask(self, tick: int, question: Asked, now_ns: int) -> bool:
        """Ask about a tick; False while the last question is open, or the thread is dead."""
        if self._open or not self.alive:
            return False
        self._open = 1
        if self.refusal is None:  # else it is silent since the first question that was refused
            self._asked_ns = now_ns
        self._questions.put((self._episode, tick, question))
        return True

    def answers(self) -> list[Answer]:
        """The answers of this episode that came since the last call."""
        found = []
        try:
            while True:
                episode, answer = self._answers.get_nowait()
                self._open = 0
                if episode != self._episode:
                    continue
                self.refusal = answer.why if isinstance(answer, Refusal) else None
                if isinstance(answer, Answer):
                    found.append(answer)
        except Empty:
            return found

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and self.failure is None

    @property
    def busy(self) -> bool:
        """Whether a question is open."""
        return self._open > 0

    def last_well_ns(self, now_ns: int) -> int:
        """When the thread was last known to be well: now, unless it is dead, has a question open or has refused one."""
        return now_ns if self.alive and not self._open and self.refusal is None else self._asked_ns

    def _run(self) -> None:
        questions, answers = self._questions, self._answers
        try:
            while (item := questions.get()) is not None:
                episode, tick, question = item
                if question is None:
                    self._reset()
                    continue
                began = time.perf_counter()
                try:
                    chunk = self._infer(question)
                except VgilError as error:
                    answers.put((episode, Refusal(str(error))))
                    continue
                answers.put((episode, Answer(tick, chunk, time.perf_counter() - began)))
        except BaseException as error:
            traceback.print_exc()
            self.failure = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        self._questions.put(None)
        self._thread.join(timeout=1.0)


@dataclass(frozen=True, eq=False)
class Question:
    """What the inference thread is given: a sample, those `past_ticks` before it (None where unknown), and in
    `real_time` the actions that are settled."""

    sample: Sample
    past: tuple[Sample | None, ...]
    committed: Committed | None


class Questions:
    """Asks about one observation at a time, and hands on what is answered.

    Attributes:
        latest: the newest observation of the episode.
        answered: the first chunk of the episode has come.
        latency: how long inferences took.
    """

    def __init__(
        self, node: VgilNode, actor: Actor, worker: InferenceWorker[Question], history: History[Sample]
    ) -> None:
        self._node, self._actor, self._worker, self._history = node, actor, worker, history
        self.latency = Durations()
        self._forget()

    def _forget(self) -> None:
        self.latest: Sample | None = None
        self.answered = False
        self._asked_tick = -1

    def new_episode(self) -> None:
        """Forget what was observed, and have the policy forget it."""
        self._history.reset()
        self._worker.new_episode()
        self._forget()

    def observe(self, sample: Sample) -> None:
        """A complete tick is the newest observation."""
        self.latest = sample
        self._history.push(sample.stamp_ns, sample)

    def hear(self) -> None:
        """Take what the inference thread has answered, and say what is wrong with it."""
        node, actor, worker = self._node, self._actor, self._worker
        for answer in worker.answers():
            self.latency.add(answer.seconds)
            late = actor.late
            actor.executor.add_chunk(answer.tick, answer.chunk)
            if actor.late > late:
                node.trouble("late chunk", "a chunk came later than it was made for: it is faded in")
            else:
                node.recovered("late chunk")
            self.answered = True
        if worker.refusal is not None:
            node.trouble("no chunk", f"no chunk: {worker.refusal}")
        else:
            node.recovered("no chunk")
        if worker.failure is not None:
            node.trouble("policy", f"the inference thread has died: {worker.failure}; start anew after a look at it")

    def ask(self, tick: int, ticks: TickCounter, now: int) -> None:
        """Ask about the newest observation, if that is new, the thread is free, and the executor wants a chunk."""
        sample = self.latest
        if sample is None or not self._actor.executor.wants_inference(tick):
            return
        made_for = ticks.nearest(sample.stamp_ns)
        if made_for <= self._asked_tick or self._worker.busy:
            return
        question = Question(sample, self._history.past(sample.stamp_ns), self._actor.committed(made_for))
        if self._worker.ask(made_for, question, now):
            self._asked_tick = made_for
