"""The base of recorder and policy: a session of episodes over synchronised streams, worked by services and time."""

from __future__ import annotations

from abc import abstractmethod
from concurrent.futures import Future
from pathlib import Path

from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.session import Effect, Reply, Session, SessionCommand, SessionState
from vgil_ros.core.streams import StreamSpec, streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.core.sync.stall_grace import StallGrace
from vgil_ros.nodes.base import status
from vgil_ros.nodes.base.alerts import Problem, summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode
from vgil_ros.nodes.messages.subscriptions import StreamInputs
from vgil_ros.nodes.session.recording import EpisodeClosing
from vgil_ros.nodes.session.scene_reset import SceneReset

SAY_AGAIN_NS = 500_000_000
PATIENCE_NS = 700_000_000  # streams that are not there by then are named


class SessionNode(VgilNode):
    """Runs a `core.session.Session`: a subclass says what an episode is (`begin`, `take`, `save`, `discard`).

    Args:
        name: the node's name.
        rate_factor: steps in a tick.
        running: what a running episode is called in statuses and answers.
        marks_end: whether an episode that is stopped goes on for the contract's end marker.
    """

    def __init__(self, name: str, *, rate_factor: int = 1, running: str, marks_end: bool) -> None:
        super().__init__(name)
        self.contract, self.contract_text = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        self.layout = Layout(self.contract)
        self.task = self.declare("task", "", doc="what is done; written into the episodes")
        self.session = self._make_session(running, marks_end)
        success_topic = self.declare("success_topic", "", doc="std_msgs/Bool: whether the task is done; empty: none")
        reset = self.declare("reset_service", "", doc="std_srvs/Trigger, called before each episode; empty: none")
        self.streams = self.choose_streams()
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz)
        self.inputs = StreamInputs(self, self.contract, self.sync)
        self.skew = status.SkewWindow(self.streams)
        self.status = status.StatusPublisher(self, "~/status", self.contract.name)
        self.success: bool | None = None
        self._interrupts = 0
        self._waiting_since = 0
        self._waiting_for: tuple[tuple[str, ...], int] = ((), 0)  # what was said last, and when
        self.closing = EpisodeClosing(self)
        self._counts = True  # whether the episode at hand counts as one
        self._subscribe_success(success_topic)
        self.scene = SceneReset(self, self.create_client(Trigger, reset) if reset else None)
        self._time_runs = False
        period_s = 1.0 / (rate_factor * self.contract.rate_hz)
        self._stall_grace = StallGrace(round(period_s * 1e9))
        self.control_timer(period_s, self.step)
        self.background_timer(0.2, self._publish_status)
        self.background_timer(0.5, self.look_around)
        self._last_clock_ns = 0
        self.background_timer(0.5, self._watch_clock)

    def choose_streams(self) -> tuple[StreamSpec, ...]:
        """The streams to synchronise: all of the robot's. Called once the session's parameters are declared."""
        return streams_of(self.contract)

    @abstractmethod
    def begin(self) -> None:
        """An episode begins."""

    @abstractmethod
    def take(self, tick: Sample | Miss) -> None:
        """A tick of a running episode."""

    @abstractmethod
    def save(self) -> Future[Path | None]:
        """The episode ends and is kept; the future gives its file, if it has one."""

    @abstractmethod
    def discard(self) -> Future[None]:
        """The episode ends and is thrown away."""

    @abstractmethod
    def figures(self) -> dict[str, object]:
        """The status' values beside those of every session."""

    def _make_session(self, running: str, marks_end: bool) -> Session:
        on_interrupt = self.declare(
            "on_interrupt", "save", choices=("save", "discard"), doc="what Ctrl-C does to a running episode"
        )
        marker = self.contract.end_marker if marks_end else None
        pause_s = self.declare("reset_time", 5.0, low=0.0, high=1e6, doc="s between episodes, with autostart")
        return Session(
            num_episodes=self.declare("num_episodes", 0, low=0, doc="how many before ending; 0: until told"),
            episode_len=self.declare("episode_len", 0, low=0, doc="ticks of an episode; 0: until told"),
            autostart=self.declare("autostart", False, doc="begin each episode without being told"),
            pause_ns=int(pause_s * 1e9),
            marker_rows=marker.rows if marker else 0,
            save_on_quit=on_interrupt == "save",
            running=running,
        )

    def _subscribe_success(self, topic: str) -> None:
        def callback(message: Bool) -> None:
            self.success = message.data

        if topic:
            self.create_subscription(Bool, topic, callback, 10)

    def serve(self, name: str, command: SessionCommand) -> None:
        """Offer a command as a service `~/NAME` (std_srvs/Trigger)."""

        def callback(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            reply = self.command(command)
            response.success, response.message = reply.ok, reply.message
            return response

        self.create_service(Trigger, f"~/{name}", callback)

    def command(self, command: SessionCommand) -> Reply:
        """Take an operator's command, whichever way it came."""
        reply = self.session.command(command, [problem.detail for problem in self.not_ready()])
        self.log(reply.message, severity="info" if reply.ok else "warning")
        self._do(reply.effects)
        return reply

    def not_ready(self) -> tuple[Problem, ...]:
        """What stands against starting now."""
        return self.inputs.missing(self.now_ns())

    def interrupted(self) -> None:
        """Ctrl-C: end well, by saving or discarding as asked; a second one ends at once."""
        self._interrupts += 1
        if self.session.state is SessionState.DONE or self._interrupts > 1:
            self.finish()

    def _watch_clock(self) -> None:
        """Where /clock stands still no step is ever due, and one that was told to end would wait for it."""
        before, self._last_clock_ns = self._last_clock_ns, self.now_ns()
        if self._interrupts and before == self._last_clock_ns:
            self.log("quitting: the clock stands still")
            self.finish()

    def step(self) -> None:
        """Every ripe tick, then whatever has come to its end or is due to begin."""
        now = self.now_ns()
        if not self._time_runs:  # by /clock it is 0 until that is heard; its first time is no jump of a clock
            if now == 0:
                return
            self.sync.start(now)
            self._time_runs = True
        if self._interrupts and not self.session.quitting:
            self.command(SessionCommand.QUIT)
        by = self._stall_grace.time(now)
        while (tick := self.sync.sample(by)) is not None:
            if isinstance(tick, Sample):
                self.skew.add(tick)
            if self.session.state is SessionState.RUNNING:
                self.take(tick)
        self._watch_reset(now)
        if self.closing.ended and self.may_close():
            self._closed(now)
        if self.session.state is not SessionState.WAITING:
            self._waiting_since = now
        if self.session.state in (SessionState.IDLE, SessionState.PAUSE, SessionState.WAITING):
            missing = self.not_ready()
            if missing and now - self._waiting_since > PATIENCE_NS:
                self._say_waiting(missing, now)
            elif not missing:
                self.clear("waiting")
            self._do(self.session.advance(now, [problem.detail for problem in missing]))

    def _say_waiting(self, missing: tuple[Problem, ...], now: int) -> None:
        """Warn of what is waited for, and again when that changes: a topic may turn out to be of another type."""
        keys = tuple(problem.key for problem in missing)  # without ages and rates, which change all the time
        if keys != self._waiting_for[0] and not 0 <= now - self._waiting_for[1] < SAY_AGAIN_NS:
            self.forget("waiting")
            self._waiting_for = (keys, now)
        self.warn_once("waiting", f"waiting for: {summary(missing)}")

    def abort(self) -> None:
        """End an episode that cannot go on; it is kept but does not count."""
        self._counts = False
        self._do(self.session.aborted())

    def sampled(self) -> None:
        """Tell the session that a tick was taken."""
        self._do(self.session.sampled())

    def _do(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if effect is Effect.RESET:
                if not self.scene.ask():
                    self.session.prepared()
            elif effect is Effect.OPEN:
                self._counts, self.success = True, None
                self.sync.start(self.now_ns())
                self.begin()
            elif effect is Effect.SAVE:
                self._close(keep=True)
            elif effect is Effect.DISCARD:
                self._close(keep=False)
            else:
                self.finish(0)

    def _watch_reset(self, now: int) -> None:
        if self.scene.answered(now):
            self.sync.start(now, fresh_ns=now + self.contract.period_ns)  # an image of the old scene may be on its way
            self.session.prepared()

    def _close(self, *, keep: bool) -> None:
        self.closing.begin(self.save() if keep else self.discard(), keep=keep)

    def may_close(self) -> bool:
        """Whether the session may go on from an episode whose file is closed. Hook: a robot may still be held."""
        return True

    def _closed(self, now: int) -> None:
        saved = self.closing.take(self.success)
        self._do(self.session.closed(now, saved=saved and self._counts))
        if self.session.state is SessionState.PAUSE and self.session.pause_ns:
            self.log(f"next episode in {self.session.pause_ns / 1e9:.0f} s: reset the scene")

    def look_around(self) -> None:
        """Called twice a second: warn of what else is on the network. Hook: a subclass looks at more."""
        if duplicate_publishers := self.inputs.duplicate_publishers():
            self.warn_once("publishers", "; ".join(duplicate_publishers))
        else:
            self.clear("publishers")

    def _publish_status(self) -> None:
        now = self.now_ns()
        waits = self.session.state in (SessionState.IDLE, SessionState.PAUSE, SessionState.WAITING)
        missing = [problem.detail for problem in self.inputs.missing(now)]
        hindered = [problem.detail for problem in self.not_ready()] if waits else []  # what `start` would answer
        active_warnings = [words for key, words in self._active_warnings.items() if not (hindered and key == "waiting")]
        values: dict[str, object] = {
            "state": self.session.state_name,
            "robot": self.contract.name,
            "task": self.task,
            "episodes_done": self.session.saved,
            "episodes_wanted": self.session.num_episodes,
        }
        values |= self.figures()
        values |= {f"rate_hz_{s.name}": self.inputs.rate(s.name, now) for s in self.streams}
        values |= self.skew.figures()
        named = dict.fromkeys((*missing, *hindered, *active_warnings))
        words = "; ".join(named) or self.session.summary(now)
        level = status.ERROR if missing else status.WARN if named else status.OK
        self.status.publish(level, words, values)

    def on_shutdown(self) -> None:
        """An episode is closed before the process ends, also where it was told twice to end, or a callback failed."""
        if self.session.state is SessionState.RUNNING:
            self._close(keep=self.session.save_on_quit)
        if not self.closing.wait():
            self.exit_code = 1
