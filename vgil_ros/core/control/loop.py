"""The control loop: observations in, requests to a policy out, chunks in, one judged command a tick out.

No I/O and no clock: time is an argument. Policy node, `RosEnvironment`, replay and evaluation drive this one loop; each
is left with converting, calling and publishing. A turn of a driver is

    for sample in ripe ticks: loop.observe(sample)
    for result in what came back: loop.accept(result)
    outcome = loop.step(now)               # or loop.send(command, now), where commands come from elsewhere
    request = loop.request(now)            # after the command is out: it must not wait for the policy's preparations

One request is open at a time. A result counts once, for the request that is open, in the episode it was asked in;
everything else (doubled, out of order, from before a stop) changes nothing. A result that never comes holds the robot
once the policy has been silent for too long, and so does one error after another; `fail` holds at once.

A plan that was made before a hold tells where the robot would be, had it not been held. The first chunk that is made
of an observation since then takes its place: nothing of the old plan is averaged or faded into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vgil_ros.core.control.context import safety_context
from vgil_ros.core.control.pipeline import ActionPipeline
from vgil_ros.core.control.requests import InferenceError, InferenceReply, InferenceRequest
from vgil_ros.core.control.takeover import Actor, Decision, Reading, Takeover
from vgil_ros.core.control.ticks import TickCounter
from vgil_ros.core.history import History
from vgil_ros.core.safety import Command, Outcome, SafetyContext
from vgil_ros.core.sync import Sample, Synchronizer


class ControlLoop:
    """The state of acting between two `begin`s.

    Args:
        sync: the robot's streams. The driver pushes and samples; the loop starts its ticks and reads its ages.
        pipeline: plays chunks and judges commands.
        obs_offsets: distances in ticks to the past observations that a request carries.
        takeover: lets a human have the arms between two turns of the policy; None: nobody can.

    Attributes:
        ticks: the tick numbers of this episode.
        tick: the tick of the last turn.
        latest: the newest observation of this episode; None before any.
        answered: a first chunk has come.
        estop: set by the driver; holds, whatever is asked for.
        fault: set by the driver before each turn, in words: what is wrong with the robot itself; holds, too.
        error: why the last request had no chunk; None once one is answered.
        failure: why nothing will be answered any more; None while that is not so.
        masters: set by the driver before each turn, where there is a takeover: its readings.
        proposal: of the last turn, what the policy asked for before any limit; None where it asked for nothing.
        decision: of the last turn, where there is a takeover; None before any.
    """

    def __init__(
        self,
        sync: Synchronizer,
        pipeline: ActionPipeline,
        obs_offsets: Sequence[int] = (),
        takeover: Takeover | None = None,
    ) -> None:
        self.sync, self.pipeline, self.takeover = sync, pipeline, takeover
        self.masters: Sequence[Reading | None] = ()
        self.layout = pipeline.layout
        self.estop = False
        self.fault = ""
        self._history: History[Sample] = History(obs_offsets, self.layout.contract.period_ns)
        self._serial = 0
        self._forget(0)

    def _forget(self, now_ns: int) -> None:
        self.ticks = TickCounter(self.layout.contract.rate_hz, now_ns)
        self.tick = 0
        self.latest: Sample | None = None
        self.answered = False
        self.error: str | None = None
        self.failure: str | None = None
        self._open: InferenceRequest | None = None
        self._asked_tick = -1
        self._silent_since_ns: int | None = None  # the oldest request that has no chunk yet
        self._held_from: int | None = None  # the first tick of a hold that no chunk has been made since
        self.proposal: Command | None = None
        self.decision: Decision | None = None

    def begin(self, now_ns: int) -> None:
        """Begin an episode: ticks of synchroniser, chunks and commands are counted from now; what was is forgotten."""
        self._forget(now_ns)
        self._history.reset()
        self.pipeline.reset()
        if self.takeover is not None:
            self.takeover.reset()
        self.sync.start(now_ns)

    def observe(self, sample: Sample) -> int:
        """Take a complete tick as the newest observation, and return its tick number."""
        self.latest = sample
        self._history.push(sample.stamp_ns, sample)
        return self.ticks.nearest(sample.stamp_ns)

    def request(self, now_ns: int) -> InferenceRequest | None:
        """Return what to ask the policy now, or None: nothing new, nothing wanted, or a request is still open."""
        sample = self.latest
        if sample is None or self._open is not None or self.failure is not None:
            return None
        if not self.pipeline.executor.wants_inference(self.tick):
            return None
        made_for = self.ticks.nearest(sample.stamp_ns)
        if made_for <= self._asked_tick:
            return None
        self._serial, self._asked_tick = self._serial + 1, made_for
        past = self._history.past(sample.stamp_ns)
        # what is only watched settles nothing, nor does a plan that the robot did not follow
        prefix = None if self._led or self._held_before(made_for) else self.pipeline.prefix(made_for)
        draws = self.pipeline.executor.draws
        self._open = InferenceRequest(self._serial, made_for, sample, past, prefix, draws)
        if self._silent_since_ns is None:
            self._silent_since_ns = now_ns
        return self._open

    def accept(self, result: InferenceReply) -> bool:
        """Take what came of a request; False where it is not that of the open one, and changes nothing."""
        request = self._open
        if request is None or result.serial != request.serial:
            return False
        self._open = None
        if isinstance(result, InferenceError):  # it is silent since the first request that was refused
            self.error = result.reason
            return True
        if self._held_before(request.tick):
            self._plan_anew()
        self.pipeline.executor.add_chunk(request.tick, result.chunk)
        self.error = self._silent_since_ns = None
        self.answered = True
        return True

    def fail(self, reason: str) -> None:
        """Nothing will be answered any more until the next `begin`: every step holds from now on."""
        self.failure = reason

    def heard(self, now_ns: int) -> None:
        """Whoever calls `send` was heard of now; it may be silent from now on for as long as the watchdog allows."""
        self._silent_since_ns = now_ns

    def step(self, now_ns: int) -> Outcome | None:
        """Play this turn's tick: what to send, or None before the first chunk, while nothing has moved yet."""
        self.tick = self.ticks.turn(now_ns)
        if not self.answered and (self.takeover is None or self.takeover.actor is Actor.POLICY):
            return None
        here = self._context(self.tick, now_ns)
        self.proposal = self.pipeline.proposal(here.tick) if self.failure is None else None
        if self.takeover is not None:
            outcome = self._decide(self.takeover, here, self.proposal)
        else:
            outcome = self.pipeline.send(self.proposal, here)
        if outcome.holding and self._held_from is None:
            self._held_from = self.tick
        return outcome

    def take_over(self) -> bool:
        """A human takes the arms; False where nobody can, or they are the human's already."""
        return self.takeover is not None and self.takeover.take()

    def hand_back(self, now_ns: int) -> bool:
        """The policy gets the arms back; it is asked anew from where the robot is. False where it has them already."""
        if self.takeover is None or not self.takeover.hand_back():
            return False
        self._plan_anew()
        self.pipeline.unmark()
        self._open = None  # its answer, made while the human led, changes nothing
        self.heard(now_ns)
        return True

    def _held_before(self, made_for: int) -> bool:
        """Whether the robot was held by a tick, and what is played was made before."""
        return self._held_from is not None and made_for >= self._held_from

    def _plan_anew(self) -> None:
        """Forget every chunk, in the midst of an episode."""
        executor, self._held_from = self.pipeline.executor, None
        late = executor.late
        executor.reset()
        executor.late = late  # it is the episode's

    @property
    def _led(self) -> bool:
        return self.takeover is not None and self.takeover.led

    def _decide(self, takeover: Takeover, here: SafetyContext, proposal: Command | None) -> Outcome:
        """This tick's command, whoever asks for it. While a human does, the policy may be silent, or gone."""
        if takeover.actor is not Actor.POLICY:
            self.pipeline.unmark()
        last: np.ndarray | None = self.pipeline.sent[-1] if self.pipeline.sent else here.measured
        if last is None:
            self.decision = Decision(takeover.actor, None)
            return self.pipeline.send(None, here)
        if takeover.led:
            here = replace(here, last_policy_ns=here.now_ns)
        self.decision = takeover.decide(here.now_ns, here.period_s, last, proposal, self.masters)
        outcome = self.pipeline.send(self.decision.command, here)
        if outcome.holding:
            takeover.held()
            self.decision = replace(self.decision, actor=takeover.actor)
        return outcome

    def send(self, command: Command | None, now_ns: int) -> Outcome:
        """Judge a command from elsewhere in this turn's tick; None holds."""
        self.tick = self.ticks.turn(now_ns)
        return self.pipeline.send(command, self._context(self.tick, now_ns))

    def hold(self, now_ns: int) -> Outcome:
        """Hold beside the loop's turns, as an e-stop or the end of an episode does."""
        return self.pipeline.send(None, self._context(self.ticks.nearest(now_ns), now_ns))

    def _context(self, tick: int, now_ns: int) -> SafetyContext:
        return safety_context(
            self.sync,
            self.layout,
            tick=tick,
            now_ns=now_ns,
            observation_ns=None if self.latest is None else self.latest.stamp_ns,
            last_policy_ns=now_ns if self._silent_since_ns is None else self._silent_since_ns,
            estop=self.estop,
            fault=self.fault,
        )
