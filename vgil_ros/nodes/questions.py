"""What the policy is asked and answers: the newest observation to the inference thread, its chunks to the executor."""

from __future__ import annotations

from dataclasses import dataclass

from vgil_ros.core.control.pipeline import Actor
from vgil_ros.core.execution import Committed
from vgil_ros.core.history import History
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.base.timing import Durations, TickCounter
from vgil_ros.nodes.inference.worker import InferenceWorker


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
