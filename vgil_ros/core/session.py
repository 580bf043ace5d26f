"""A session of episodes, recorded or driven by a policy, as a state machine without I/O: commands and ticks in, effects
out.

IDLE --start--> PREPARING --scene reset--> WAITING --streams ready--> RUNNING --stop, length, abort--> SAVING
  ^                                                                                                     |
  +--- not autostart ---  PAUSE (time to reset the scene by hand) <------------ saved or discarded -----+

Until the next one begins, the episode that was saved last can still be thrown away, done again or labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vgil_ros.core.episode_label import EpisodeLabel, Verdict


class SessionState(str, Enum):
    """Where a session stands."""

    IDLE = "idle"
    PREPARING = "preparing"
    WAITING = "waiting"
    RUNNING = "running"
    SAVING = "saving"
    PAUSE = "pause"
    DONE = "done"


class SessionCommand(str, Enum):
    """What an operator can ask for."""

    START = "start"
    STOP = "stop"
    TOGGLE = "toggle"
    DISCARD = "discard"
    REDO = "redo"
    QUIT = "quit"
    LABEL_SUCCESS = "label_success"
    LABEL_FAILURE = "label_failure"
    LABEL_UNSURE = "label_unsure"


LABELS: dict[SessionCommand, Verdict] = {
    SessionCommand.LABEL_SUCCESS: "success",
    SessionCommand.LABEL_FAILURE: "failure",
    SessionCommand.LABEL_UNSURE: "unsure",
}


class Effect(str, Enum):
    """What the node must do now."""

    RESET = "reset"  # have the scene reset, then call `prepared`
    OPEN = "open"  # open an episode
    SAVE = "save"  # close the episode, then call `closed`
    DISCARD = "discard"  # throw the episode away, then call `closed`
    REMOVE = "remove"  # throw away the file of the episode that was saved last
    LABEL = "label"  # write the label into that file
    FINISH = "finish"  # end the process


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command: whether it was taken, words for the operator, and what to do."""

    ok: bool
    message: str
    effects: tuple[Effect, ...] = ()


class Session:
    """Counts rows and episodes and decides what comes next.

    Args:
        num_episodes: how many to save; 0 goes on until told to quit.
        episode_len: actions in an episode (ticks); 0 records until told to stop.
        autostart: starts each episode by itself.
        pause_ns: time between episodes to reset the scene, where `autostart` is set.
        marker_rows: rows that carry an end marker; an episode that is stopped goes on for as many.
        save_on_quit: whether quitting keeps a running episode.
        running: what a running episode is called in words: "recording" where nothing is driven.
        max_failed: episodes in a row that did not come out as asked, after which nothing begins by itself any more;
            0 goes on for ever.
        late: whether an episode can be thrown away or done again when it has ended, until the next one begins.

    Attributes:
        saved: episodes that count.
        failed: episodes in a row, up to now, that did not come out as asked.
        gave_up: whether it ended because of them.
        label: what is said of the episode at hand, or of the last one.
    """

    def __init__(
        self,
        *,
        num_episodes: int = 0,
        episode_len: int = 0,
        autostart: bool = False,
        pause_ns: int = 0,
        marker_rows: int = 0,
        save_on_quit: bool = True,
        running: str = SessionState.RUNNING.value,
        max_failed: int = 0,
        late: bool = False,
    ) -> None:
        self.num_episodes = num_episodes
        self.episode_len = episode_len
        self.autostart = autostart
        self.pause_ns = pause_ns
        self.marker_rows = marker_rows
        self.save_on_quit = save_on_quit
        self.max_failed = max_failed
        self._running = running
        self._late = late
        self.state = SessionState.IDLE
        self.saved = self.failed = 0
        self.gave_up = False
        self.label = EpisodeLabel()
        self.samples = 0
        self._end_at: int | None = None
        self._pause_until: int | None = 0  # None: from the next moment on
        self.quitting = False
        self._again = autostart
        self._last: bool | None = None  # does the one that can still be thrown away count; None: there is none
        self._drop = False  # the episode that is being saved is to be thrown away then
        self._gone = False  # the last one was thrown away, and none has begun since

    def command(self, command: SessionCommand, missing: Sequence[str] = ()) -> Reply:
        """Take an operator's command; `missing` says in words which streams are not ready."""
        if command in LABELS:
            return self._say(LABELS[command])
        if command is SessionCommand.TOGGLE:
            command = SessionCommand.STOP if self.state is SessionState.RUNNING else SessionCommand.START
        result: Reply = getattr(self, f"_{command.value}")(missing)
        return result

    def _start(self, missing: Sequence[str]) -> Reply:
        if self.state not in (SessionState.IDLE, SessionState.PAUSE):
            return Reply(False, f"not started: the session is {self.state_name}")
        if self.complete_at_last:
            return Reply(False, f"not started: all {self.num_episodes} episodes are there; redo records the last again")
        if missing:
            return Reply(False, f"not started: {'; '.join(missing)}")
        return Reply(True, f"starting episode {self.saved + 1}", self._prepare())

    def _stop(self, missing: Sequence[str]) -> Reply:
        if self.state is not SessionState.RUNNING:
            return Reply(False, f"nothing to stop: the session is {self.state_name}")
        end = self.samples + (self.marker_rows + 1 if self.marker_rows else 0)
        self._end_at = end if self._end_at is None else min(end, self._end_at)
        return Reply(True, f"ending episode {self.saved + 1}", self._finish_if_full())

    def _say(self, verdict: Verdict) -> Reply:
        if not self.label.possible:
            why = "the last episode is discarded" if self._gone else f"the session is {self.state_name}"
            return Reply(False, f"nothing to label: {why}")
        which = f"episode {self.saved + 1}" if self.label.running else "the last episode"
        write = self.label.say(verdict)
        return Reply(True, f"{which} is labelled {verdict}", (Effect.LABEL,) if write else ())

    def _discard(self, missing: Sequence[str]) -> Reply:
        if self.state is SessionState.RUNNING:
            self.state, self._again, self._gone = SessionState.SAVING, False, True
            self.label.drop()
            return Reply(True, "episode discarded", (Effect.DISCARD,))
        if self._late and self.state is SessionState.SAVING and self._last is not None:
            self._drop, self._again, self._gone = True, False, True
            self.label.drop()
            return Reply(True, "episode discarded as soon as it is closed")
        if self.state in (SessionState.IDLE, SessionState.PAUSE) and self._last is not None:
            if not self.autostart:
                self.state = SessionState.IDLE
            return Reply(True, "the last episode is discarded", self._remove())
        why = "the last episode is discarded already" if self._gone else f"the session is {self.state_name}"
        return Reply(False, f"nothing to discard: {why}")

    def _redo(self, missing: Sequence[str]) -> Reply:
        ended = self.state in (SessionState.IDLE, SessionState.PAUSE)
        reply = self._discard(missing)
        if not reply.ok and not (self._gone and (ended or self.state is SessionState.SAVING)):
            return Reply(False, f"nothing to record again: {self._why_not_again()}")
        if ended:  # the scene is to be reset first, as after every other episode
            self.state, self._pause_until = SessionState.PAUSE, None
        else:
            self._again = True
        done = reply.message if reply.ok else "the last episode is discarded already"
        return Reply(True, f"{done}, it is recorded again", reply.effects)

    def _why_not_again(self) -> str:
        if self.state is SessionState.IDLE:
            return "none was saved; start begins one" if self._late else "start begins another"
        if self.beginning:
            return f"episode {self.saved + 1} is about to begin"
        return f"the session is {self.state_name}"

    def _remove(self) -> tuple[Effect, ...]:
        self.saved -= bool(self._last)
        self._last, self._gone = None, True
        self.label.drop()
        return (Effect.REMOVE,)

    def _quit(self, missing: Sequence[str]) -> Reply:
        self.quitting = True
        if self.state is SessionState.RUNNING and not self.save_on_quit:
            self.state = SessionState.SAVING
            self.label.drop()
            return Reply(True, "quitting, the episode is discarded", (Effect.DISCARD,))
        if self.state is SessionState.RUNNING:
            return Reply(True, "quitting, the episode is saved first", self._stop(missing).effects)
        if self.state is SessionState.SAVING:
            return Reply(True, "quitting when the episode is saved")
        return Reply(True, "quitting", self._done())

    @property
    def state_name(self) -> str:
        """The state, as it is called in words."""
        return self._running if self.state is SessionState.RUNNING else self.state.value

    @property
    def beginning(self) -> bool:
        """Whether an episode is about to begin by itself, or waits for what it needs."""
        return self.state in (SessionState.PREPARING, SessionState.WAITING, SessionState.PAUSE)

    def stand_down(self) -> None:
        """Nothing begins by itself any more, and what was about to begin does not."""
        self.autostart = self._again = False
        if self.beginning:
            self.state = SessionState.IDLE

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is there; without a number, nothing was."""
        return not self.gave_up and self.saved >= self.num_episodes

    @property
    def complete_at_last(self) -> bool:
        """Whether all episodes are there, and the last can still be thrown away."""
        return self.state is SessionState.PAUSE and self.num_episodes > 0 and self.complete

    def advance(self, now_ns: int, missing: Sequence[str], *, may_prepare: bool = True) -> tuple[Effect, ...]:
        """Let time pass: begin by itself, end a pause, start once every stream is ready.

        Args:
            now_ns: the time.
            missing: in words, what stands against starting.
            may_prepare: whether the scene may be reset yet.
        """
        if self.state is SessionState.PAUSE and self._pause_until is None:
            self._pause_until = now_ns + self.pause_ns
        if self.state is SessionState.PAUSE and self._pause_until is not None and now_ns >= self._pause_until:
            if self.complete_at_last:
                return self._done()
            return self._prepare() if may_prepare else ()
        if self.state is SessionState.IDLE and self._again and may_prepare:
            return self._prepare()
        if self.state is SessionState.WAITING and not missing:
            self.state, self.samples, self._end_at = SessionState.RUNNING, 0, None
            self._last, self._drop, self._gone = None, False, False
            self.label.begin()
            if self.episode_len:
                self._end_at = self.episode_len + 1  # T actions take T+1 observations
            return (Effect.OPEN,)
        return ()

    def clock_set(self) -> None:
        """The time has jumped: a pause begins anew."""
        if self.state is SessionState.PAUSE:
            self._pause_until = None

    def prepared(self) -> None:
        """The scene is reset."""
        if self.state is SessionState.PREPARING:
            self.state = SessionState.WAITING

    def marker(self) -> float:
        """The end marker of the sample that comes next."""
        if not self.marker_rows or self._end_at is None:
            return 0.0
        return 1.0 if self._end_at - 1 - self.samples <= self.marker_rows else 0.0  # the last sample has no row

    def sampled(self) -> tuple[Effect, ...]:
        """A sample was taken into the episode."""
        self.samples += 1
        return self._finish_if_full()

    def aborted(self) -> tuple[Effect, ...]:
        """The episode cannot go on; what was recorded is kept."""
        if self.state is not SessionState.RUNNING:
            return ()
        return self._save()

    def closed(self, now_ns: int, *, saved: bool, counts: bool = True, failed: bool = False) -> tuple[Effect, ...]:
        """The episode is over.

        Args:
            now_ns: the time.
            saved: whether there is a file of it.
            counts: whether that is one of those asked for.
            failed: whether something else than the operator's will kept it from being one.
        """
        self.saved += saved and counts
        self.failed = self.failed + 1 if failed else 0 if saved else self.failed
        self._last = counts if saved and self._late else None
        effects: tuple[Effect, ...] = (Effect.LABEL,) if self.label.closed(kept=saved) else ()
        if self._drop and self._last is not None:
            effects = self._remove()
        self._drop = False
        if self.quitting:
            return effects + self._done()
        if self.num_episodes and self.saved >= self.num_episodes:
            return effects + self._all_there(now_ns)
        if (self.autostart or self._again) and self.max_failed and self.failed >= self.max_failed:
            self.gave_up = True
            return effects + self._done()
        if self.autostart or self._again:
            self.state, self._pause_until = SessionState.PAUSE, now_ns + self.pause_ns
            self._again = self.autostart
        else:
            self.state = SessionState.IDLE
        return effects

    def _all_there(self, now_ns: int) -> tuple[Effect, ...]:
        """The last one, too: whoever works the session by hand may still throw it away for as long as a pause is."""
        if self.autostart or self._last is None or not self.pause_ns:
            return self._done()
        self.state, self._pause_until = SessionState.PAUSE, now_ns + self.pause_ns
        return ()

    def give_up(self) -> tuple[Effect, ...]:
        """What stands against starting does not go away: end, where nothing runs."""
        if self.state is not SessionState.IDLE and not self.beginning:
            return ()
        self.gave_up = True
        return self._done()

    def summary(self, now_ns: int) -> str:
        """Where the session stands, as one would say it."""
        if self.state is SessionState.RUNNING:
            return f"episode {self.saved + 1}: {self.samples} ticks{self.label.words()}"
        if self.state is SessionState.PAUSE:
            left = max(0, (now_ns if self._pause_until is None else self._pause_until) - now_ns) / 1e9
            if self.complete_at_last:
                return f"all {self.num_episodes} episodes done: it ends in {left:.0f} s{self._last_label()}"
            return f"reset the scene: next episode in {left:.0f} s{self._last_label()}"
        return f"{self.state_name}: {self.saved} episodes done{self._last_label()}"

    def _last_label(self) -> str:
        words = self.label.words()
        return f"; the last is{words.lstrip(',')}" if words else ""

    def _prepare(self) -> tuple[Effect, ...]:
        self.state = SessionState.PREPARING
        return (Effect.RESET,)

    def _finish_if_full(self) -> tuple[Effect, ...]:
        if self.state is SessionState.RUNNING and self._end_at is not None and self.samples >= self._end_at:
            return self._save()
        return ()

    def _save(self) -> tuple[Effect, ...]:
        self.state = SessionState.SAVING
        if self.samples <= 1:
            self.label.drop()
            return (Effect.DISCARD,)
        self.label.close()
        self._last = True  # it can be thrown away while it is closed
        return (Effect.SAVE,)

    def _done(self) -> tuple[Effect, ...]:
        self.state = SessionState.DONE
        return (Effect.FINISH,)
