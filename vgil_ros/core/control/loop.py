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
"""

from __future__ import annotations

from collections.abc import Sequence

from vgil_ros.core.control.context import safety_context
from vgil_ros.core.control.pipeline import ActionPipeline
from vgil_ros.core.control.requests import InferenceError, InferenceReply, InferenceRequest
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

    Attributes:
        ticks: the tick numbers of this episode.
        tick: the tick of the last turn.
        latest: the newest observation of this episode; None before any.
        answered: a first chunk has come.
        estop: set by the driver; holds, whatever is asked for.
        fault: set by the driver before each turn, in words: what is wrong with the robot itself; holds, too.
        error: why the last request had no chunk; None once one is answered.
        failure: why nothing will be answered any more; None while that is not so.
    """

    def __init__(self, sync: Synchronizer, pipeline: ActionPipeline, obs_offsets: Sequence[int] = ()) -> None:
        self.sync, self.pipeline = sync, pipeline
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

    def begin(self, now_ns: int) -> None:
        """Begin an episode: ticks of synchroniser, chunks and commands are counted from now; what was is forgotten."""
        self._forget(now_ns)
        self._history.reset()
        self.pipeline.reset()
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
        past, prefix = self._history.past(sample.stamp_ns), self.pipeline.prefix(made_for)
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
        if not self.answered:
            return None
        here = self._context(self.tick, now_ns)
        return self.pipeline.act(here) if self.failure is None else self.pipeline.send(None, here)

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
