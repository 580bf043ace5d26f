"""The policy node's parts without a node: ticks of a loop, figures, the inference thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from support import contracts
from support.policy_rig import robot

from vgil_ros.assets import load_contract
from vgil_ros.core.control.pipeline import ActingOptions, make_actor
from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import History
from vgil_ros.core.layout import Layout
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.base.timing import Deadlines, Durations, TickCounter
from vgil_ros.nodes.inference.worker import Answer, InferenceWorker, Question, Questions

PERIOD_NS = 20_000_000
ORIGIN = 10**18


@given(st.floats(-0.5, 0.5), st.lists(st.floats(-0.14, 0.14), min_size=5, max_size=60))
def test_jitter_at_any_phase_gives_every_tick_once(phase: float, jitter: list[float]) -> None:
    counter = TickCounter(50.0, ORIGIN)
    turns = [ORIGIN + round((1 + k + phase + late) * PERIOD_NS) for k, late in enumerate(jitter)]
    ticks = [counter.turn(now) for now in turns]
    assert ticks == list(range(ticks[0], ticks[0] + len(turns)))
    assert all(abs(counter.stamp_ns(t) - now) <= PERIOD_NS for t, now in zip(ticks, turns, strict=True))


def test_a_loop_that_was_away_goes_on_with_the_tick_of_now() -> None:
    counter = TickCounter(50.0, ORIGIN)
    assert counter.turn(ORIGIN + 1 * PERIOD_NS) == 1
    assert counter.turn(ORIGIN + 30 * PERIOD_NS) == 30
    assert counter.turn(ORIGIN + 31 * PERIOD_NS) == 31
    assert counter.turn(ORIGIN + 5 * PERIOD_NS) == 5, "a clock that jumped back"
    assert counter.nearest(ORIGIN + 3 * PERIOD_NS + 9_000_000) == 3


def test_a_slow_drift_is_followed_within_a_tick() -> None:
    counter = TickCounter(50.0, ORIGIN)
    for k in range(1, 5000):
        now = ORIGIN + round(k * PERIOD_NS * 1.001)
        assert abs(counter.stamp_ns(counter.turn(now)) - now) <= 0.81 * PERIOD_NS


def test_figures_of_a_loop() -> None:
    loop = Deadlines(0.02)
    assert loop.rate_hz == 0.0
    for now in (0.0, 0.02, 0.05, 0.06):
        loop.turn(now)
    assert loop.rate_hz == pytest.approx(50.0)
    assert loop.jitter.percentiles() == (pytest.approx(10.0), pytest.approx(10.0))
    assert Durations().words() == "none yet"
    assert loop.jitter.words().startswith("p50 10.00")


class Asked:
    """Answers when told to."""

    def __init__(self) -> None:
        self.resets = 0
        self.go = threading.Semaphore(0)
        self.fail = False

    def infer(self, question: int) -> np.ndarray:
        self.go.acquire()
        if self.fail:
            raise RuntimeError("no more")
        if question < 0:
            raise VgilError("cam_a: does not decode")
        return np.full((2, 1), question)

    def reset(self) -> None:
        self.resets += 1


def soon(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def collect(worker: InferenceWorker[Any]) -> list[Answer]:
    found: list[Answer] = []
    soon(lambda: found.extend(worker.answers()) or found)  # type: ignore[func-returns-value]
    return found


def test_one_question_at_a_time_and_its_tick_comes_back() -> None:
    asked = Asked()
    worker = InferenceWorker(asked.infer, asked.reset)
    worker.new_episode()
    assert worker.last_well_ns(5) == 5
    assert worker.ask(7, 70, 100)
    assert not worker.ask(8, 80, 110)
    assert worker.last_well_ns(300) == 100, "silent since it was asked"
    asked.go.release()
    (answer,) = collect(worker)
    assert (answer.tick, answer.chunk.tolist()) == (7, [[70], [70]])
    assert worker.last_well_ns(300) == 300
    assert asked.resets == 1
    worker.close()
    assert not worker.alive


def test_an_answer_of_the_last_episode_is_not_played_in_this_one() -> None:
    asked = Asked()
    worker = InferenceWorker(asked.infer, asked.reset)
    worker.new_episode()
    assert worker.ask(50, 1, 0)
    worker.new_episode()
    assert not worker.ask(0, 2, 1), "the old question is still open"
    asked.go.release()
    soon(lambda: asked.resets == 2)
    assert worker.answers() == []
    assert worker.ask(0, 2, 1)
    asked.go.release()
    assert [answer.tick for answer in collect(worker)] == [0]
    worker.close()


def test_an_episode_that_begins_at_once_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    contract, _ = load_contract(str(contracts.write(robot(base=False), tmp_path / "robot.yaml")))
    layout = Layout(contract)
    actor = make_actor(ActingOptions(), layout, (), horizon=8, action_dim=layout.dim, play_ticks=8)
    heard: SimpleQueue[Question] = SimpleQueue()

    def infer(question: Question) -> np.ndarray:
        heard.put(question)
        return np.zeros((8, layout.dim))

    worker: InferenceWorker[Question] = InferenceWorker(infer, lambda: None)
    node: Any = None  # only troubles are said by it
    questions = Questions(node, actor, worker, History((2, 1), PERIOD_NS))
    pasts = []
    for stamp, begins in ((0, True), (1, False), (2, False), (3, True), (4, False)):  # in ticks of one clock
        if begins:
            questions.new_episode()
            origin = ORIGIN + stamp * PERIOD_NS
        questions.observe(Sample(stamp, ORIGIN + stamp * PERIOD_NS, (), np.zeros(0, np.int64), np.zeros(0, np.uint8)))
        questions.ask(stamp, TickCounter(50.0, origin), 0)
        pasts.append([None if one is None else one.tick for one in heard.get(timeout=20).past])
        collect(worker)
    assert pasts == [[None, None], [None, 0], [0, 1], [None, None], [None, 3]]
    worker.close()


def test_a_thread_that_dies_says_why_and_the_next_episode_has_a_new_one(capfd: pytest.CaptureFixture[str]) -> None:
    asked = Asked()
    worker = InferenceWorker(asked.infer, asked.reset)
    worker.new_episode()
    asked.fail = True
    assert worker.ask(3, 1, 40)
    asked.go.release()
    soon(lambda: not worker.alive)
    assert worker.failure == "RuntimeError: no more"
    assert worker.last_well_ns(100) == 40
    assert not worker.ask(4, 1, 50)
    assert "no more" in capfd.readouterr().err
    asked.fail = False
    worker.new_episode()
    assert worker.failure is None
    assert worker.ask(0, 5, 60)
    asked.go.release()
    assert [answer.tick for answer in collect(worker)] == [0]
    worker.close()


def test_an_observation_that_cannot_be_used_is_named_and_silence_counts_from_it() -> None:
    asked = Asked()
    worker = InferenceWorker(asked.infer, asked.reset)
    worker.new_episode()
    for tick, now in ((1, 100), (2, 200)):
        assert worker.ask(tick, -1, now)
        asked.go.release()
        soon(lambda: worker.answers() or not worker.busy)
        assert worker.refusal == "cam_a: does not decode"
        assert worker.last_well_ns(300) == 100, "the watchdog must find it"
    assert worker.alive
    assert worker.ask(3, 7, 300)
    asked.go.release()
    assert [answer.tick for answer in collect(worker)] == [3]
    assert worker.refusal is None
    assert worker.last_well_ns(400) == 400
    worker.close()
