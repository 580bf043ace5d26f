"""Laws of a session, in milliseconds: whatever is asked in whatever order, episodes are opened and closed in turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vgil_ros.core.session import LABELS, Effect, Reply, Session, SessionCommand, SessionState

SECOND = 1_000_000_000
commands = st.sampled_from(SessionCommand)


class Sessions(RuleBasedStateMachine):
    """A node as a session sees it, worked at random."""

    @initialize(
        num_episodes=st.integers(0, 3),
        episode_len=st.integers(0, 6),
        autostart=st.booleans(),
        pause=st.integers(0, 2),
        marker_rows=st.integers(0, 4),
        save_on_quit=st.booleans(),
        max_failed=st.integers(0, 2),
        late=st.booleans(),
    )
    def begin(
        self,
        num_episodes: int,
        episode_len: int,
        autostart: bool,
        pause: int,
        marker_rows: int,
        save_on_quit: bool,
        max_failed: int,
        late: bool,
    ) -> None:
        self.session = Session(
            num_episodes=num_episodes,
            episode_len=episode_len,
            autostart=autostart,
            pause_ns=pause * SECOND,
            marker_rows=marker_rows,
            save_on_quit=save_on_quit,
            max_failed=max_failed,
            late=late,
        )
        self.late, self.max_failed, self.failed = late, max_failed, 0
        self.last: bool | None = None  # whether the file that may still go counts
        self.now = 0
        self.open = self.resetting = self.finished = False
        self.closing: Effect | None = None
        self.markers: list[float] = []
        self.saved = 0
        self.aborted = False
        self.said: str | None = None  # of the episode at hand or the last one
        self.written: str | None = None  # what its file says, once there is one
        self.kept = False  # whether there is a file

    def take(self, effects: tuple[Effect, ...]) -> None:
        """What the node does, and the laws of what it may be told to do."""
        assert len(effects) <= 2
        for effect in effects:
            assert not self.finished
            if effect is Effect.REMOVE:
                assert self.late
                assert not self.open
                assert self.last is not None, "there is a file to throw away"
                self.saved -= self.last
                self.last = None
                self.kept, self.said = False, None
            elif effect is Effect.LABEL:
                assert self.kept, "there is a file to label"
                self.written = self.session.label.verdict
            elif effect is Effect.RESET:
                assert not self.open
                assert not self.resetting
                self.resetting = True
            elif effect is Effect.OPEN:
                assert not self.open
                assert self.closing is None
                self.open, self.markers, self.aborted, self.last = True, [], False, None
                self.said, self.kept = None, False
            elif effect in (Effect.SAVE, Effect.DISCARD):
                assert self.open
                assert self.closing is None
                if effect is Effect.SAVE:
                    self.assert_saved()
                self.open, self.closing = False, effect
                self.written = self.said if effect is Effect.SAVE else None
                self.said = self.said if effect is Effect.SAVE else None
            else:
                assert not self.open
                assert self.closing is None
                self.finished = True

    def assert_saved(self) -> None:
        """T actions take T+1 samples; the end marker stands on the last rows, or on fewer in a short one."""
        session, rows = self.session, self.markers[:-1]
        assert len(rows) >= 1
        if session.episode_len:
            assert len(rows) <= session.episode_len
        if not self.aborted:
            marked = min(session.marker_rows, len(rows))
            assert rows == [0.0] * (len(rows) - marked) + [1.0] * marked

    @rule(command=commands, missing=st.booleans())
    def command(self, command: SessionCommand, missing: bool) -> None:
        state = self.session.state
        reply = self.session.command(command, ("cam: silent",) if missing else ())
        assert reply.message
        if not reply.ok:
            assert reply.effects == ()
            assert self.session.state is state
        if Effect.DISCARD in reply.effects and self.session.samples > 1:
            assert command in (SessionCommand.DISCARD, SessionCommand.REDO) or not self.session.save_on_quit
        if reply.ok and command in LABELS:
            assert self.open or self.closing is Effect.SAVE or self.kept
            assert not reply.effects or self.kept
            self.said = LABELS[command]
        elif reply.ok and command in (SessionCommand.DISCARD, SessionCommand.REDO):
            self.said = None
        if not self.finished:
            self.take(reply.effects)
        elif Effect.LABEL in reply.effects:
            self.written = self.session.label.verdict

    @rule(seconds=st.integers(0, 3), missing=st.booleans())
    def advance(self, seconds: int, missing: bool) -> None:
        self.now += seconds * SECOND
        if not self.finished:
            effects = self.session.advance(self.now, ("cam: silent",) if missing else ())
            assert not (missing and Effect.OPEN in effects)
            self.take(effects)

    @precondition(lambda self: self.open)
    @rule(count=st.integers(1, 4))
    def sample(self, count: int) -> None:
        for _ in range(count):
            if self.open:
                self.markers.append(self.session.marker())
                self.take(self.session.sampled())

    @precondition(lambda self: self.open)
    @rule()
    def abort(self) -> None:
        self.aborted = True
        self.take(self.session.aborted())

    @precondition(lambda self: self.resetting)
    @rule()
    def prepared(self) -> None:
        self.resetting = False
        self.session.prepared()

    @precondition(lambda self: self.closing is not None)
    @rule(well=st.booleans(), counts=st.booleans())
    def closed(self, well: bool, counts: bool) -> None:
        self.close(well=well, counts=counts)

    def close(self, *, well: bool, counts: bool) -> None:
        """The file is closed: what comes of it."""
        kept, self.closing = self.closing is Effect.SAVE, None
        saved, failed = kept and well, kept and not (well and counts)
        self.saved += saved and counts
        self.failed = self.failed + 1 if failed else 0 if saved else self.failed
        self.last = counts if saved else None
        self.kept = saved
        self.said = self.said if saved else None
        effects = self.session.closed(self.now, saved=saved, counts=counts, failed=failed)
        self.take(effects)
        assert self.session.gave_up == (self.finished and self.session.gave_up)
        if self.session.gave_up:
            assert self.failed >= self.max_failed > 0

    @invariant()
    def states_agree(self) -> None:
        if not hasattr(self, "session"):
            return
        state = self.session.state
        assert (state is SessionState.RUNNING) == self.open
        assert (state is SessionState.SAVING) == (self.closing is not None)
        assert (state is SessionState.DONE) == self.finished
        assert self.session.saved == self.saved
        wanted = self.session.num_episodes
        if wanted and self.saved >= wanted:
            assert self.finished or self.session.complete_at_last
        assert self.session.summary(self.now)
        assert self.session.label.verdict == self.said
        if self.kept:
            assert self.written == self.said, "the file says what the operator said last"

    def teardown(self) -> None:
        """Quitting ends a session from wherever it stands, in as many samples as an end marker has rows and one."""
        if not hasattr(self, "session") or self.finished:
            return
        self.take(self.session.command(SessionCommand.QUIT).effects)
        for _ in range(self.session.marker_rows + 2):
            if self.open:
                self.markers.append(self.session.marker())
                self.take(self.session.sampled())
        if self.closing is not None:
            self.close(well=True, counts=True)
        assert self.finished


TestSessions = Sessions.TestCase


def recording(**changes: object) -> Session:
    """A session in the middle of things."""
    session = Session(**changes)  # type: ignore[arg-type]
    assert session.command(SessionCommand.START).effects == (Effect.RESET,)
    session.prepared()
    assert session.advance(0, ()) == (Effect.OPEN,)
    return session


@given(st.integers(1, 50))
def test_an_episode_of_fixed_length_takes_one_sample_more_than_it_has_actions(length: int) -> None:
    session = recording(episode_len=length)
    for _ in range(length):
        assert session.sampled() == ()
    assert session.sampled() == (Effect.SAVE,)


@given(st.integers(1, 10), st.integers(0, 40))
def test_a_stop_is_followed_by_the_rows_of_the_end_marker(marker_rows: int, samples: int) -> None:
    session = recording(marker_rows=marker_rows)
    markers = []
    for _ in range(samples):
        markers.append(session.marker())
        assert session.sampled() == ()
    effects = session.command(SessionCommand.STOP).effects
    while not effects:
        markers.append(session.marker())
        effects = session.sampled()
    assert effects == (Effect.SAVE,)
    assert markers == [0.0] * samples + [1.0] * (marker_rows + 1)  # the last sample becomes no row


def test_a_stop_twice_does_not_end_later_than_one() -> None:
    session = recording(marker_rows=5)
    session.sampled()
    session.command(SessionCommand.STOP)
    for _ in range(3):
        session.sampled()
    session.command(SessionCommand.STOP)
    assert [session.sampled() for _ in range(3)] == [(), (), (Effect.SAVE,)]


@pytest.mark.parametrize("save_on_quit", [True, False])
def test_quitting_saves_or_discards_as_asked(save_on_quit: bool) -> None:
    session = recording(save_on_quit=save_on_quit)
    session.sampled()
    session.sampled()
    effects = session.command(SessionCommand.QUIT).effects
    assert effects == ((Effect.SAVE,) if save_on_quit else (Effect.DISCARD,))
    assert session.closed(0, saved=save_on_quit) == (Effect.FINISH,)


def test_an_episode_that_is_done_again_keeps_its_number_and_needs_no_second_start() -> None:
    session = recording()
    session.sampled()
    assert session.command(SessionCommand.REDO).effects == (Effect.DISCARD,)
    assert session.closed(0, saved=False) == ()
    assert session.advance(0, ()) == (Effect.RESET,)
    session.prepared()
    assert session.advance(0, ()) == (Effect.OPEN,)
    assert session.saved == 0


def ended(**changes: object) -> Session:
    """A session whose first episode of one action has ended by its length and is saved."""
    session = recording(episode_len=1, late=True, **changes)
    session.sampled()
    assert session.sampled() == (Effect.SAVE,)
    session.closed(0, saved=True)
    return session


def test_an_episode_that_has_ended_can_still_be_thrown_away_until_the_next_begins() -> None:
    session = ended()
    assert session.saved == 1
    reply = session.command(SessionCommand.DISCARD)
    assert (reply.ok, reply.message, reply.effects) == (True, "the last episode is discarded", (Effect.REMOVE,))
    assert (session.saved, session.state) == (0, SessionState.IDLE)
    reply = session.command(SessionCommand.DISCARD)
    assert (reply.ok, reply.message) == (False, "nothing to discard: the last episode is discarded already")
    session = ended()
    session.command(SessionCommand.START)
    session.prepared()
    session.advance(0, ())
    session.aborted()
    session.closed(0, saved=False)
    assert not session.command(SessionCommand.DISCARD).ok, "the next had begun"


def test_an_episode_that_has_ended_can_be_done_again_after_a_pause_for_the_scene() -> None:
    session = ended(pause_ns=3 * SECOND)
    reply = session.command(SessionCommand.REDO)
    assert reply.effects == (Effect.REMOVE,)
    assert reply.message == "the last episode is discarded, it is recorded again"
    assert session.advance(10 * SECOND, ()) == ()
    assert session.advance(12 * SECOND, ()) == ()
    assert session.advance(13 * SECOND, ()) == (Effect.RESET,)
    session.prepared()
    session.advance(13 * SECOND, ())
    session.sampled()
    session.sampled()
    session.closed(14 * SECOND, saved=True)
    assert session.state is SessionState.IDLE, "once"


@pytest.mark.parametrize("jump", [-3600, 30])
def test_a_clock_that_is_set_begins_a_pause_anew(jump: int) -> None:
    session = ended(pause_ns=3 * SECOND)
    session.command(SessionCommand.REDO)
    assert session.advance(10_000 * SECOND, ()) == ()
    session.clock_set()
    now = (10_001 + jump) * SECOND
    assert session.advance(now, ()) == ()
    assert session.advance(now + 2 * SECOND, ()) == ()
    assert session.advance(now + 3 * SECOND, ()) == (Effect.RESET,)


@pytest.mark.parametrize("command", [SessionCommand.DISCARD, SessionCommand.REDO])
def test_an_episode_is_thrown_away_also_while_it_is_being_saved(command: SessionCommand) -> None:
    session = recording(episode_len=1, late=True)
    session.sampled()
    session.sampled()
    assert session.command(command).ok
    assert session.closed(0, saved=True) == (Effect.REMOVE,)
    assert session.saved == 0
    assert session.state is (SessionState.PAUSE if command is SessionCommand.REDO else SessionState.IDLE)


def test_what_was_thrown_away_can_be_done_again_as_if_both_had_been_said_at_once() -> None:
    session = ended(pause_ns=3 * SECOND)
    assert session.command(SessionCommand.DISCARD).ok
    reply = session.command(SessionCommand.REDO)
    assert (reply.ok, reply.effects) == (True, ()), "its file is gone; nothing else may go"
    assert reply.message == "the last episode is discarded already, it is recorded again"
    assert session.advance(10 * SECOND, ()) == ()
    assert session.advance(13 * SECOND, ()) == (Effect.RESET,), "after a pause for the scene"
    assert session.command(SessionCommand.REDO).message == "nothing to record again: episode 1 is about to begin"

    session = recording(late=True)
    assert session.command(SessionCommand.DISCARD).effects == (Effect.DISCARD,)
    assert session.command(SessionCommand.REDO).ok, "while it is being thrown away"
    assert session.closed(0, saved=False) == ()
    assert session.state is SessionState.PAUSE
    assert session.saved == 0


def test_where_there_is_nothing_to_record_again_it_says_why() -> None:
    session = Session(late=True)
    assert session.command(SessionCommand.REDO) == Reply(
        False, "nothing to record again: none was saved; start begins one"
    )


def test_the_last_of_all_episodes_can_be_done_again_for_as_long_as_a_pause() -> None:
    session = ended(num_episodes=1, pause_ns=3 * SECOND)
    assert "it ends in 3 s" in session.summary(0)
    assert not session.command(SessionCommand.START).ok
    assert session.command(SessionCommand.REDO).effects == (Effect.REMOVE,)
    session = ended(num_episodes=1, pause_ns=3 * SECOND)
    assert session.advance(2 * SECOND, ()) == ()
    assert session.advance(3 * SECOND, ("cam: silent",)) == (Effect.FINISH,)
    assert session.complete


def test_where_a_policy_acts_nothing_is_thrown_away_late() -> None:
    session = recording(episode_len=1)
    session.sampled()
    session.sampled()
    assert not session.command(SessionCommand.REDO).ok
    session.closed(0, saved=True)
    assert not session.command(SessionCommand.REDO).ok


def test_a_session_that_begins_by_itself_gives_up_after_so_many_failures_in_a_row() -> None:
    session = Session(autostart=True, num_episodes=5, max_failed=2)
    outcomes = [("failed", ()), ("saved", ()), ("failed", ()), ("failed", (Effect.FINISH,))]
    for outcome, effects in outcomes:
        session.advance(0, ())
        session.prepared()
        assert session.advance(0, ()) == (Effect.OPEN,)
        session.sampled()
        session.sampled()
        assert session.aborted() == (Effect.SAVE,)
        saved = outcome == "saved"
        assert session.closed(0, saved=True, counts=saved, failed=not saved) == effects
    assert session.gave_up
    assert not session.complete
    assert session.saved == 1


def test_an_operator_may_fail_as_often_as_he_likes() -> None:
    session = Session(max_failed=1)
    for _ in range(3):
        session.command(SessionCommand.START)
        session.prepared()
        session.advance(0, ())
        session.aborted()
        assert session.closed(0, saved=False, failed=True) == ()
        assert session.state is SessionState.IDLE


def test_less_than_was_asked_for_is_not_complete() -> None:
    assert Session().complete
    session = Session(num_episodes=1)
    assert not session.complete
    session.command(SessionCommand.QUIT)
    assert not session.complete


def test_the_scene_is_not_reset_before_it_may_be() -> None:
    session = Session(autostart=True)
    assert session.advance(0, (), may_prepare=False) == ()
    assert session.advance(0, ()) == (Effect.RESET,)


def test_nothing_starts_while_a_stream_is_missing_and_the_answer_names_it() -> None:
    reply = Session().command(SessionCommand.START, ("cam_high: nothing received", "left/puppet: silent"))
    assert not reply.ok
    assert reply.message == "not started: cam_high: nothing received; left/puppet: silent"


def test_a_pause_between_episodes_lasts_as_long_as_asked_or_until_start() -> None:
    session = recording(autostart=True, pause_ns=3 * SECOND, episode_len=1)
    session.sampled()
    assert session.sampled() == (Effect.SAVE,)
    assert session.closed(0, saved=True) == ()
    assert session.advance(2 * SECOND, ()) == ()
    assert "in 1 s" in session.summary(2 * SECOND)
    assert session.command(SessionCommand.START).effects == (Effect.RESET,)


LABELLED = [(command, verdict) for command, verdict in LABELS.items()]


@pytest.mark.parametrize(("command", "verdict"), LABELLED)
def test_an_episode_is_labelled_while_it_is_recorded_or_until_the_next_begins(
    command: SessionCommand, verdict: str
) -> None:
    session = recording(episode_len=1)
    assert session.command(command) == Reply(True, f"episode 1 is labelled {verdict}"), "its file is not there yet"
    assert f"0 ticks, labelled {verdict}" in session.summary(0)
    session.sampled()
    session.sampled()
    assert session.closed(0, saved=True) == (), "it was closed with its label"
    assert session.summary(0) == f"idle: 1 episodes done; the last is labelled {verdict}"
    other = SessionCommand.LABEL_UNSURE if verdict != "unsure" else SessionCommand.LABEL_SUCCESS
    assert session.command(other).effects == (Effect.LABEL,), "said again, after its end"
    session.command(SessionCommand.START)
    assert session.command(command).effects == (Effect.LABEL,), "the next has not begun"
    session.prepared()
    assert session.advance(0, ()) == (Effect.OPEN,)
    assert session.label.verdict is None


def test_a_label_that_comes_while_the_file_is_closed_is_written_then() -> None:
    session = recording(episode_len=1, num_episodes=1)
    session.sampled()
    session.sampled()
    assert session.command(SessionCommand.LABEL_FAILURE) == Reply(True, "the last episode is labelled failure")
    assert session.closed(0, saved=True) == (Effect.LABEL, Effect.FINISH)


def test_what_is_thrown_away_cannot_be_labelled() -> None:
    assert Session().command(SessionCommand.LABEL_SUCCESS) == Reply(False, "nothing to label: the session is idle")
    session = ended()
    session.command(SessionCommand.LABEL_SUCCESS)
    session.command(SessionCommand.DISCARD)
    assert session.label.verdict is None
    assert session.command(SessionCommand.LABEL_SUCCESS).message == "nothing to label: the last episode is discarded"
    session = recording(late=True)
    session.command(SessionCommand.DISCARD)
    assert not session.command(SessionCommand.LABEL_SUCCESS).ok
    session.closed(0, saved=False)
    assert not session.command(SessionCommand.LABEL_SUCCESS).ok
