"""The base of recorder and policy: a session of episodes over synchronised streams, worked by services and time."""

from __future__ import annotations

import time
from abc import abstractmethod
from concurrent.futures import Future
from pathlib import Path

from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.session import LABELS, Effect, Reply, Session, SessionCommand, SessionState
from vgil_ros.core.streams import StreamSpec, streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.core.sync.stall_grace import StallGrace
from vgil_ros.episodes.writing.sink import EpisodeEnd
from vgil_ros.nodes.base import status
from vgil_ros.nodes.base.alerts import Notes, Problem, summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode
from vgil_ros.nodes.messages.subscriptions import StreamInputs
from vgil_ros.nodes.session.closing import Closed, EpisodeClosing, remove_episode
from vgil_ros.nodes.session.dataset_folder import DatasetFolder
from vgil_ros.nodes.session.labelling import LateLabels, SpokenWords, declare_words
from vgil_ros.nodes.session.neighbours import Neighbours
from vgil_ros.nodes.session.readiness import Waiting
from vgil_ros.nodes.session.scene_reset import SceneReset

PATIENCE_NS = 700_000_000  # streams that are not there by then are named
IDLE_PATIENCE_NS = 1_500_000_000  # and so soon where nobody has asked for an episode yet
FOLDER_PATIENCE_NS = 10_000_000_000  # so long nothing can be written, and what begins by itself ends
NUMBER_DOC = "how many whole ones before ending, beside what the folder holds already; 0: until told"
REST = (SessionState.IDLE, SessionState.PAUSE, SessionState.WAITING)


class SessionNode(VgilNode):
    """Runs a `core.session.Session`: a subclass says what an episode is (`begin`, `take`, `save`, `discard`).

    Args:
        name: the node's name.
        rate_factor: steps in a tick.
        running: what a running episode is called in statuses and answers.
        records: whether an episode is what is recorded of people: one that is stopped goes on for the contract's end
            marker, one without a file is none, and one that has ended can still be thrown away.
    """

    def __init__(self, name: str, *, rate_factor: int = 1, running: str, records: bool) -> None:
        super().__init__(name)
        self.contract, self.contract_text = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        self.layout = Layout(self.contract)
        self.task = self.declare("task", "", doc="what is done; written into the episodes", read_only=False)
        self.spoken = SpokenWords(self, self.task, declare_words(self), self.new_task)
        self.session = self._make_session(running, records)
        success_topic = self.declare("success_topic", "", doc="std_msgs/Bool: whether the task is done; empty: none")
        reset = self.declare("reset_service", "", doc="std_srvs/Trigger, called before each episode; empty: none")
        self.streams = self.choose_streams()
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz, simulated=self.simulated)
        self.inputs = StreamInputs(self, self.contract, self.sync)
        self.neighbours = Neighbours(self, self.inputs, self.contract.name, len(self.streams))
        self.skew = status.SkewWindow(self.streams)
        self.status = status.StatusPublisher(self, "~/status", self.contract.name)
        self.success: bool | None = None
        self.aborted: str | None = None  # why the episode at hand could not go on
        self.notes = Notes()  # what was not as it should be during it
        self.folder: DatasetFolder | None = None  # where episodes go, if they do
        self._interrupts = 0
        self._waiting_since = self._unwritable_since = 0
        self._waiting = Waiting()
        self._ready = False  # it was said that everything is there
        self.closing, self.labels = EpisodeClosing(self), LateLabels(self)
        self._last_file: Path | None = None
        self._last_end: dict[str, object] = {}  # of the status: what became of the last episode
        self._asked = False  # the operator wanted no file of the episode at hand
        self._unsaved = False  # rows of the last episode are in no finished file
        self._subscribe_success(success_topic)
        self.scene = SceneReset(self, self.create_client(Trigger, reset) if reset else None)
        self._time_runs = False
        period_s = 1.0 / (rate_factor * self.contract.rate_hz)
        self._stall_grace = StallGrace(round(period_s * 1e9))
        self.sampled_by_ns = 0  # the time that the tick at hand was asked for by
        self.control_timer(period_s, self.step)
        self.background_timer(0.2, self._publish_status)
        self.background_timer(0.5, self.look_around)
        self._last_clock_ns = 0
        self._made_s = time.monotonic()
        self.background_timer(0.5, self._watch_clock)

    def choose_streams(self) -> tuple[StreamSpec, ...]:
        """The streams to synchronise: all of the robot's. Called once the session's parameters are declared."""
        return streams_of(self.contract)

    @abstractmethod
    def begin(self) -> None:
        """An episode begins."""

    def start_ticks(self) -> None:
        """The ticks of an episode begin now."""
        self.sync.start(self.now_ns())

    @abstractmethod
    def take(self, tick: Sample | Miss) -> None:
        """A tick of a running episode."""

    @abstractmethod
    def save(self) -> Future[EpisodeEnd | None]:
        """The episode ends and is kept; the future gives its file, if it has one."""

    @abstractmethod
    def discard(self) -> Future[None]:
        """The episode ends and is thrown away."""

    @abstractmethod
    def figures(self) -> dict[str, object]:
        """The status' values beside those of every session."""

    def _make_session(self, running: str, records: bool) -> Session:
        on_interrupt = self.declare(
            "on_interrupt", "save", choices=("save", "discard"), doc="what Ctrl-C does to a running episode"
        )
        marker = self.contract.end_marker if records else None
        pause_s = self.declare("reset_time", 5.0, low=0.0, high=1e6, doc="s between episodes, with autostart")
        return Session(
            num_episodes=self.declare("num_episodes", 0, low=0, doc=NUMBER_DOC),
            episode_len=self.declare("episode_len", 0, low=0, doc="ticks of an episode; 0: until told"),
            autostart=self.declare("autostart", False, doc="begin each episode without being told"),
            pause_ns=int(pause_s * 1e9),
            marker_rows=marker.rows if marker else 0,
            save_on_quit=on_interrupt == "save",
            running=running,
            late=records,
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
        if command in LABELS:
            return self._label(command)
        starts = command in (SessionCommand.START, SessionCommand.TOGGLE) and self.session.state in REST
        if starts:
            self.neighbours.look()
        missing = self.not_ready() + (self._folder_problems(now=True) if starts else ())
        reply = self.session.command(command, list(dict.fromkeys(problem.detail for problem in missing)))
        self.log(reply.message, severity="info" if reply.ok else "warning")
        self._asked = reply.ok and command in (SessionCommand.DISCARD, SessionCommand.REDO)
        self._do(reply.effects)
        return reply

    def _label(self, command: SessionCommand) -> Reply:
        """What the operator says of the episode at hand, or of the last one."""
        if self.folder is None:
            reply = Reply(False, "nothing to label: no episode is recorded; give dataset_dir, and no dry_run")
        else:
            reply = self.session.command(command)
        self.log(reply.message, severity="info" if reply.ok else "warning")
        self._do(reply.effects)
        return reply

    def not_ready(self) -> tuple[Problem, ...]:
        """What stands against starting now."""
        folder = self.folder.problems() if self.folder else ()
        missing = self.inputs.missing(self.now_ns())
        return (self.neighbours.nobody if missing else ()) + missing + self.neighbours.doubled + folder

    def unprepared(self) -> tuple[Problem, ...]:
        """What of it stands against resetting the scene already. Hook."""
        return ()

    def new_task(self, task: str) -> None:
        """Another task is done from the next episode on. Hook: raise a VgilError where it cannot be."""

    def ready(self) -> None:
        """Everything is there for an episode that somebody has to start. Hook."""

    def _folder_problems(self, *, now: bool = False) -> tuple[Problem, ...]:
        """What stands against writing, found by trying it."""
        return self.folder.problems(thorough=True, now=now) if self.folder else ()

    def interrupted(self) -> None:
        """Ctrl-C: end well, by saving or discarding as asked; a second one ends at once."""
        self._interrupts += 1
        if self.session.state is SessionState.DONE or self._interrupts > 1:
            self.finish()

    def _watch_clock(self) -> None:
        """Where /clock stands still no step is ever due, and one that was told to end would wait for it."""
        before, self._last_clock_ns = self._last_clock_ns, self.now_ns()
        if not self._last_clock_ns and time.monotonic() - self._made_s > IDLE_PATIENCE_NS / 1e9:
            self.warn_once("time", "nothing received on /clock, and use_sim_time is true: is the simulator running?")
        elif self._last_clock_ns:
            self.clear("time")
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
            self._waiting_since = self._unwritable_since = now
            self._time_runs = True
        if self._interrupts and not self.session.quitting:
            self.command(SessionCommand.QUIT)
        if by_ns := self.clock_set_ns():
            self._clock_set(self.sync.clock_set(now, by_ns))
        by = self.sampled_by_ns = self._stall_grace.time(now)
        while (tick := self.sync.sample(by)) is not None:
            running = self.session.state is SessionState.RUNNING
            self.skew.add(tick, counts=running)
            if running:
                self.take(tick)
        self._watch_reset(now)
        if self.closing.ended and self.may_close():
            self._closed(now)
        if self.session.state in REST:
            self._rest(now)
        else:
            self._waiting_since = self._unwritable_since = now

    def _rest(self, now: int) -> None:
        """No episode runs: say what is missing for the next one, and begin it when it is time."""
        missing = self.not_ready()
        if self.session.state is SessionState.WAITING and not missing:
            missing = self._folder_problems()
        waits = self.session.state is SessionState.WAITING
        if not missing:
            self._waiting_since = now
            self._all_there()
        elif now - self._waiting_since > (PATIENCE_NS if waits else IDLE_PATIENCE_NS):
            self._say_waiting(missing, now)
        details = [problem.detail for problem in missing]
        self._do(self.session.advance(now, details, may_prepare=not self.unprepared()))
        self._give_up_on_the_folder(missing, now)

    def _all_there(self) -> None:
        self.clear("waiting")
        self._waiting.over()
        if not self._ready and self.session.state is SessionState.IDLE and not self.session.autostart:
            self._ready = True
            self.ready()

    def _clock_set(self, miss: Miss) -> None:
        """The computer's clock was set: rows before it and after it do not go together."""
        if self.session.state is SessionState.RUNNING:
            self.take(miss)
        else:
            self.session.clock_set()
            self.log(f"{miss}; while the robot is used it must not be set but slewed", severity="warning")

    def _say_waiting(self, missing: tuple[Problem, ...], now: int) -> None:
        """Warn of what is waited for, and of more when that changes: a topic may turn out to be of another type."""
        self._ready = False
        news = self._waiting.news(missing, now)
        if news:
            self.forget("waiting")
            self.warn_once("waiting", f"waiting for: {summary(news)}")
        self.warn_once("waiting", f"waiting for: {summary(missing)}")  # said already; this is for the status

    def _give_up_on_the_folder(self, missing: tuple[Problem, ...], now: int) -> None:
        """What begins by itself does not wait for room on a disk for ever."""
        words = [problem.detail for problem in missing if problem.key in ("disk", "folder")]
        if not words or not self.session.autostart:
            self._unwritable_since = now
        elif now - self._unwritable_since > FOLDER_PATIENCE_NS:
            self.log(f"ending, nothing more can be recorded: {'; '.join(words)}", severity="error")
            self._do(self.session.give_up())

    def abort(self, why: str) -> None:
        """End an episode that cannot go on; it is kept apart and does not count."""
        self.aborted = why
        self._do(self.session.aborted())

    def note(self, problem: Problem) -> None:
        """Something is not as it should be: it is written into the running episode."""
        if self.session.state is SessionState.RUNNING:
            self.notes.add(problem.key, problem.detail)

    def sampled(self) -> None:
        """Tell the session that a tick was taken."""
        self._do(self.session.sampled())

    def _do(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if effect is Effect.RESET:
                if not self.scene.ask():
                    self.session.prepared()
            elif effect is Effect.OPEN:
                self.success = self.aborted = self._last_file = None
                self.notes = Notes(self.folder.warnings if self.folder else ())
                self._asked = False
                self.start_ticks()
                self.begin()
            elif effect is Effect.SAVE:
                self._close(keep=True)
            elif effect is Effect.DISCARD:
                self._close(keep=False)
            elif effect is Effect.REMOVE:
                self._remove_last()
            elif effect is Effect.LABEL:
                self._write_label()
            else:
                self.finish()

    def _watch_reset(self, now: int) -> None:
        if self.scene.under_way:  # the robot may be put somewhere else at any time before the answer
            self.inputs.scene_was_reset()
        if self.scene.answered(now):
            self.inputs.scene_was_reset()
            self.sync.start(now, fresh_ns=now + self.contract.period_ns)  # an image of the old scene may be on its way
            self.session.prepared()

    def _close(self, *, keep: bool) -> None:
        failed = self.aborted is not None or (not keep and not self._asked and self.session.save_on_quit)
        future: Future[EpisodeEnd | None] | Future[None] = self.save() if keep else self.discard()
        self.closing.begin(future, keep=keep, failed=failed)

    def _write_label(self) -> None:
        """The last episode was labelled when its file was closed, or being closed."""
        if self.session.label.verdict is not None:
            self.labels.write(self._last_file, self.session.label.verdict)

    def _remove_last(self) -> None:
        """Throw away the file of the episode that was saved last."""
        self.labels.wait()
        path, self._last_file = self._last_file, None
        if path is not None:
            words, severity = remove_episode(path)
            self.log(words, severity=severity)

    def end_code(self) -> int:
        """The exit code of a node that ends with this session, whose last file is closed."""
        return 1 if self._unsaved else 0

    def may_close(self) -> bool:
        """Whether the session may go on from an episode whose file is closed. Hook: a robot may still be held."""
        return True

    def _closed(self, now: int) -> None:
        closed = self.closing.take(self.success, self.session.label.verdict)
        self._do(self._count(closed, now))
        if self.session.gave_up:
            self.gave_up()
        elif self.session.complete_at_last:
            self.log(f"all {self.session.num_episodes} are recorded; the last can be thrown away or done again for"
                     f" {self.session.pause_ns / 1e9:.0f} s")  # fmt: skip
        elif self.session.state is SessionState.PAUSE and self.session.pause_ns:
            self.log(f"next episode in {self.session.pause_ns / 1e9:.0f} s: reset the scene")

    def _count(self, closed: Closed, now: int) -> tuple[Effect, ...]:
        self._last_file, self._unsaved = closed.path, closed.unsaved
        self._last_end = closed.figures()
        saved = closed.counts or closed.path is not None
        return self.session.closed(now, saved=saved, counts=closed.counts, failed=closed.failed)

    def gave_up(self) -> None:
        """It ends because too many episodes in a row did not come out as asked. Hook."""

    def look_around(self) -> None:
        """Called twice a second: warn of what else is on the network. Hook: a subclass looks at more."""
        self.neighbours.look()
        self.labels.look()
        self._look_for_floods()
        doubled = self.neighbours.doubled
        if not doubled:
            self.clear("publishers")
        elif self.session.state not in REST:  # there it stands against starting
            self.warn_once("publishers", summary(doubled))
            for problem in doubled:
                self.note(problem)

    def _look_for_floods(self) -> None:
        flooded = self.inputs.floods(self.now_ns())
        for spec in self.streams:
            if spec.name in flooded:
                self.warn_once(f"{spec.name} flood", flooded[spec.name])
            else:
                self.clear(f"{spec.name} flood")

    def _publish_status(self) -> None:
        now = self.now_ns()
        waits = self.session.state in REST
        missing = [problem.detail for problem in self.inputs.missing(now)]
        hindered = [problem.detail for problem in self.not_ready()] if waits else []  # what `start` would answer
        active_warnings = [words for key, words in self._active_warnings.items() if not (hindered and key == "waiting")]
        values: dict[str, object] = {
            "state": self.session.state_name,
            "robot": self.contract.name,
            "task": self.task,
            "episodes_done": self.session.saved,
            "episodes_wanted": self.session.num_episodes,
            "label": self.session.label.verdict or "none",
        }
        values |= self._last_end | self.figures()
        values |= {f"rate_hz_{s.name}": self.inputs.rate(s.name, now) for s in self.streams}
        values |= self.skew.figures()
        values |= {f"delay_ms_{name}": delay_ns / 1e6 for name, delay_ns in self.sync.delays().items()}
        named = dict.fromkeys((*missing, *hindered, *active_warnings))
        words = "; ".join(named) or self.session.summary(now)
        level = status.ERROR if missing else status.WARN if named else status.OK
        self.status.publish(level, words, values)

    def on_shutdown(self) -> None:
        """An episode is closed before the process ends, also where it was told twice to end, or a callback failed."""
        if self.session.state is SessionState.RUNNING:
            self._close(keep=self.session.save_on_quit)
        closed = self.closing.wait(self.success, self.session.label.verdict)
        if closed is not None:
            effects = self._count(closed, self.now_ns())
            self._do(tuple(effect for effect in effects if effect in (Effect.LABEL, Effect.REMOVE)))
        self.labels.wait()
        self.exit_code = self.exit_code or self.end_code()
