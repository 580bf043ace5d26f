"""Laws of goals made of wanted positions: few, one after the other, and the last one wanted is the last one sent."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.goal_stream import ENDLESS_S, MOST_HZ, RETRY_S, GoalStream

DEADBAND, TICK_S = 0.01, 0.02


@dataclass
class Server:
    """Answers after `answer` ticks and ends a goal after `work` ticks; without `preempts` it refuses, or aborts, the
    new one while another is on its way."""

    answer: int
    work: int
    preempts: bool
    aborts: bool
    stream: GoalStream = field(default_factory=lambda: GoalStream(DEADBAND))
    waiting: list[tuple[int, int, float]] = field(default_factory=list)
    working: list[tuple[int, int, bool]] = field(default_factory=list)
    sent: list[tuple[float, float]] = field(default_factory=list)
    at: float = 0.0  # where the last goal that was let be sends the gripper
    overlaps: int = 0
    learned: int = 0

    def tick(self, tick: int, wanted: float) -> None:
        now = tick * TICK_S
        number = self.stream.want(wanted, now)
        if number is not None:
            assert not self.waiting, "one goal at a time waits for its answer"
            self.sent.append((now, wanted))
            self.waiting.append((tick + self.answer, number, wanted))
        for due, which, position in [w for w in self.waiting if w[0] <= tick]:
            self.waiting.remove((due, which, position))
            self._answer(tick, which, position, now)
        for due, which, aborted in [w for w in self.working if w[0] <= tick]:
            self.working.remove((due, which, aborted))
            self.learned += self.stream.ended(which, aborted=aborted)

    def _answer(self, tick: int, which: int, position: float, now: float) -> None:
        busy = bool(self.working)
        self.overlaps += busy
        if busy and not self.preempts and not self.aborts:
            self.learned += self.stream.refused(which, now)
            return
        self.stream.taken(which)
        if busy and not self.preempts:
            self.learned += self.stream.ended(which, aborted=True)
            return
        if busy:
            for _, before, _ in self.working:
                self.stream.ended(before, aborted=True)
            self.working.clear()
        self.at = position
        self.working.append((tick + self.work, which, False))


servers = st.builds(
    Server, answer=st.integers(0, 10), work=st.integers(1, 60), preempts=st.booleans(), aborts=st.booleans()
)
motions = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 40)), min_size=1, max_size=8)


@settings(max_examples=60)
@given(server=servers, motion=motions)
def test_goals_are_few_apart_and_the_last_wish_is_granted(server: Server, motion: list[tuple[float, int]]) -> None:
    ticks = [position for position, count in motion for _ in range(count)]
    ticks += [ticks[-1]] * 400
    for tick, wanted in enumerate(ticks):
        server.tick(tick, wanted)
    times = [at for at, _ in server.sent]
    assert all(b - a >= 1.0 / MOST_HZ - 1e-9 for a, b in itertools.pairwise(times))
    assert server.at == ticks[-1], "a gripper that is to be closed is closed wholly"
    assert server.learned <= 1
    if not server.preempts:
        assert server.overlaps <= 1, "what a server refuses once is not asked of it again"


@given(position=st.floats(-1, 1), ticks=st.integers(2, 300))
def test_a_hold_sends_nothing(position: float, ticks: int) -> None:
    server = Server(answer=1, work=5, preempts=True, aborts=False)
    for tick in range(ticks):
        server.tick(tick, position + (tick % 2) * DEADBAND * 0.9)
    assert len(server.sent) == 1


def test_a_goal_that_is_rejected_is_asked_for_each_second() -> None:
    stream, sent = GoalStream(DEADBAND), []
    for tick in range(250):
        number = stream.want(0.5, tick * TICK_S)
        if number is not None:
            sent.append(tick * TICK_S)
            assert not stream.refused(number, tick * TICK_S)
    assert len(sent) == 5
    assert all(b - a >= RETRY_S for a, b in itertools.pairwise(sent))
    assert stream.preempts, "nothing was on its way: that says nothing of it"


def test_a_goal_that_ended_early_is_not_sent_again_for_itself() -> None:
    stream = GoalStream(DEADBAND)
    number = stream.want(0.5, 0.0)
    assert number is not None
    stream.taken(number)
    assert not stream.ended(number, aborted=True)  # closed on a thing: its driver calls that aborted
    assert stream.want(0.5, 5.0) is None
    assert stream.want(0.6, 5.0) is not None


def test_an_answer_that_never_comes_keeps_nothing_for_ever() -> None:
    stream = GoalStream(DEADBAND)
    assert stream.want(0.5, 0.0) is not None
    assert stream.want(0.7, 0.5) is None
    assert stream.want(0.7, 1.1) is not None
    assert stream.want(0.7, 1.5) is None
    assert stream.want(0.7, 2.2) is not None, "the same wish too: the goal may never have come"
    stream.reset()
    assert stream.want(0.7, 1.2) is not None


def test_a_result_that_is_lost_does_not_silence_a_server_that_takes_goals_one_by_one() -> None:
    stream = GoalStream(DEADBAND)
    stream.preempts = False
    first = stream.want(0.0, 0.0)
    assert first is not None
    stream.taken(first)
    assert stream.want(0.5, 5.0) is None, "the one before may be on its way"
    assert stream.want(0.5, ENDLESS_S - 0.1) is None
    assert stream.want(0.5, ENDLESS_S + 0.1) is not None


def test_an_answer_from_before_a_reset_is_nobodys() -> None:
    stream = GoalStream(DEADBAND)
    before = stream.want(0.0, 0.0)
    stream.reset()
    after = stream.want(0.5, 1.0)
    assert before is not None
    assert after is not None
    assert not stream.is_newest(before)
    stream.refused(before, 1.0)
    stream.taken(after)
    assert stream.want(0.5, 1.1) is None, "it is on its way, and nobody has refused it"
