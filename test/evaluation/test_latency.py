"""Recorded latencies and lost answers in an evaluation, and the rivals that are played under them."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evaluation.rivals import FixedFade, WeightedAverage
from support.evaluation.sources import RecordedSource, tiny_act

from vgil_ros.assets import load_contract
from vgil_ros.cli.main import main
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate, evaluate_source
from vgil_ros.evaluation.latency import ANSWER_S, LatencyTrace, Wait, read_latency_trace
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, Generator

BENCH = Path(__file__).parents[1] / "bench"


def traced(path: Path, *lines: object) -> LatencyTrace:
    """The trace of a file with these lines."""
    path.write_text("\n".join(map(str, lines)) + "\n")
    return read_latency_trace(path)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedSource:
    generator = Generator(DemonstrationConfig("sim_single", "pick_place"))
    path = generator.make(0, tmp_path_factory.mktemp("demonstration")).path
    generator.close()
    assert path is not None
    return RecordedSource({0: path})


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    trace = traced(tmp_path / "trace.txt", "# ms", "20", "", "  150.5 # slow", "lost", f"{ANSWER_S * 1e3 + 1}", "0")
    gone = Wait(ANSWER_S, answered=False)
    assert trace.waits == (Wait(0.02), Wait(0.1505), gone, gone, Wait(0.0))
    assert trace.name == str(tmp_path / "trace.txt")


def test_how_long_an_answer_is_waited_for_is_the_callers(tmp_path: Path) -> None:
    traced(path := tmp_path / "trace.txt", "250", "lost", "150")
    gone = Wait(0.2, answered=False)
    assert read_latency_trace(path, 0.2).waits == (gone, gone, Wait(0.15))


@pytest.mark.parametrize("words", ["fast", "-1", "nan", "inf", "20 30", "20ms", "LOST"])
def test_what_is_no_latency_is_named_with_its_line(words: str, tmp_path: Path) -> None:
    with pytest.raises(
        VgilError, match=rf"trace\.txt: line 2: found '{words}'; allowed: a latency in ms, from 0, or lost"
    ):
        traced(tmp_path / "trace.txt", "20", words)


@pytest.mark.parametrize("lines", [[], ["# nothing"], ["lost"], ["lost", ANSWER_S * 2e3]])
def test_a_trace_without_an_answer_is_refused(lines: list[object], tmp_path: Path) -> None:
    with pytest.raises(VgilError, match=r"trace\.txt: found no answer that comes in time; needed is at least one"):
        traced(tmp_path / "trace.txt", *lines)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VgilError, match=r"none\.txt"):
        read_latency_trace(tmp_path / "none.txt")


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_a_scene_gets_the_whole_trace_round_and_round_from_a_place_of_its_own(count: int, seed: int) -> None:
    trace = LatencyTrace(tuple(Wait(float(i)) for i in range(count)))
    played = [int(wait.seconds) for wait in itertools.islice(trace.of_scene(seed), 2 * count + 1)]
    assert played == [(played[0] + i) % count for i in range(2 * count + 1)]
    again = [int(wait.seconds) for wait in itertools.islice(trace.of_scene(seed), 2 * count + 1)]
    assert again == played


def test_scenes_begin_at_different_places() -> None:
    trace = LatencyTrace(tuple(Wait(float(i)) for i in range(1000)))
    assert len({next(trace.of_scene(seed)).seconds for seed in range(50)}) > 40


def test_the_shipped_trace_is_what_it_says() -> None:
    trace = read_latency_trace(BENCH / "latency_150_80_2.txt")
    values = np.array([wait.seconds for wait in trace.waits if wait.answered]) * 1e3
    assert values.mean() == pytest.approx(150.0, abs=1.0)
    assert values.std() == pytest.approx(80.0, abs=1.0)
    assert sum(not wait.answered for wait in trace.waits) == 0.02 * len(trace.waits)


def test_latencies_are_played_in_their_order(recorded: RecordedSource, tmp_path: Path) -> None:
    contract, _ = load_contract("sim_single")
    trace = traced(tmp_path / "trace.txt", 40, 100, 160)
    plan = EvaluationPlan("pick_place", episodes=1, execution="async", latency_trace=trace, episode_len=60)
    report = evaluate_source(plan, contract, recorded)
    begin = [round(wait.seconds * 1e3) for wait in itertools.islice(trace.of_scene(0), 3)]
    assert report.observation_age_ms.p50 == 100.0
    assert report.observation_age_ms.p99 == pytest.approx(160.0, abs=2.0)
    assert (report.latency_ms, report.latency_trace) == (None, trace.name)
    alone = evaluate_source(
        replace(plan, latency_trace=LatencyTrace.constant(begin[0] / 1e3), episode_len=5), contract, recorded
    )
    assert alone.rollouts[0].observation_age_ms.p50 == begin[0]


def test_one_figure_and_a_trace_of_it_are_the_same(recorded: RecordedSource, tmp_path: Path) -> None:
    contract, _ = load_contract("sim_single")
    plan = EvaluationPlan("pick_place", episodes=1, latency_ms=100.0, episode_len=60)
    one = evaluate_source(plan, contract, recorded)
    other = evaluate_source(replace(plan, latency_trace=traced(tmp_path / "trace.txt", 100)), contract, recorded)
    assert one.rollouts == other.rollouts
    assert other.lost_answers == 0


def test_a_lost_answer_is_given_up_and_asked_for_anew(recorded: RecordedSource, tmp_path: Path) -> None:
    """As with the remote client: silent for as long as it waits, held once the chunk or the watchdog's time is over."""
    contract, _ = load_contract("sim_single")
    trace = traced(tmp_path / "trace.txt", *[20] * 3, "lost")
    plan = EvaluationPlan("pick_place", episodes=1, latency_trace=trace, episode_len=240, watchdog_ms=300.0)
    before = recorded.asked
    report = evaluate_source(plan, contract, recorded)
    assert report.lost_answers >= 3
    asked = recorded.asked - before
    assert report.lost_answers <= asked / 3 + 1
    turns = ANSWER_S * 50
    silent = turns - 0.3 * 50  # from the watchdog's time until it is given up; then the answer comes in a tick or two
    assert silent * (report.lost_answers - 1) <= report.safety_events["watchdog"] <= (silent + 4) * report.lost_answers
    assert "no_action" not in report.safety_events, "the chunk of 60 rows outlasts it"


def test_answers_that_come_again_let_it_finish(recorded: RecordedSource, tmp_path: Path) -> None:
    contract, _ = load_contract("sim_single")
    trace = traced(tmp_path / "trace.txt", *[100] * 20, "lost")
    plan = EvaluationPlan("pick_place", episodes=1, latency_trace=trace, watchdog_ms=2000.0, episode_len=500)
    report = evaluate_source(plan, contract, recorded)
    assert report.lost_answers > 0
    assert report.successes == 1


def begins_with(lost: int, answer_s: float, trace_of: int = 20) -> LatencyTrace:
    """A trace that the scene of seed 0 begins with so many lost answers in."""
    waits = [Wait(answer_s, answered=False)] * lost + [Wait(0.02)] * (trace_of - lost)
    begin = int(next(LatencyTrace(tuple(Wait(float(i)) for i in range(trace_of))).of_scene(0)).seconds)
    trace = LatencyTrace(tuple(waits[(i - begin) % trace_of] for i in range(trace_of)))
    assert list(itertools.islice(trace.of_scene(0), lost + 1)) == waits[: lost + 1]
    return trace


@pytest.mark.parametrize(("lost", "answer_s"), [(7, ANSWER_S), (1, 8.0)], ids=["many", "a long one"])
def test_lost_answers_are_no_time_that_the_policy_had(recorded: RecordedSource, lost: int, answer_s: float) -> None:
    contract, _ = load_contract("sim_single")
    plan = EvaluationPlan("pick_place", episodes=1, latency_trace=begins_with(lost, answer_s), episode_len=20)
    (rollout,) = evaluate_source(plan, contract, recorded).rollouts
    assert (rollout.steps, rollout.lost) == (20, lost)


def test_a_policy_whose_first_chunk_takes_too_long_never_moves(recorded: RecordedSource) -> None:
    contract, _ = load_contract("sim_single")
    slow = LatencyTrace.constant(8.0)
    (rollout,) = evaluate_source(
        EvaluationPlan("pick_place", episodes=1, latency_trace=slow, episode_len=20), contract, recorded
    ).rollouts
    assert rollout.steps == 0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_act(tmp_path_factory.mktemp("policy") / "tiny")


def test_processes_play_the_same_trace(checkpoint: Path, tmp_path: Path) -> None:
    trace = traced(tmp_path / "trace.txt", *range(20, 200, 7), "lost")
    plan = EvaluationPlan("pick_place", episodes=2, seed=7, episode_len=60, latency_trace=trace)
    one, two = (evaluate(plan, checkpoint, workers=workers) for workers in (1, 2))
    assert one.rollouts == two.rollouts
    assert one.rollouts[0].observation_age_ms != one.rollouts[1].observation_age_ms


def command(monkeypatch: pytest.MonkeyPatch, *given: object) -> object:
    """The exit code of `vgil eval`."""
    monkeypatch.setattr(sys, "argv", ["vgil", "eval", *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command_plays_a_trace_and_says_what_was_lost(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    traced(path := tmp_path / "trace.txt", 20, "lost")
    report = tmp_path / "report.json"
    given = ["--checkpoint", checkpoint, "--episodes", 1, "--episode-len", 60]
    assert command(monkeypatch, *given, "--latency-trace", path, "--json", report) == 0
    found = json.loads(report.read_text())
    assert found["lost_answers"] > 0
    assert (found["latency_ms"], found["latency_trace"]) == (None, str(path))
    assert f"latency trace     {path}: {found['lost_answers']} answers never came" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        (["soon"], [], "line 1: found 'soon'; allowed: a latency in ms, from 0, or lost"),
        ([20], ["--over-ros"], "there an inference takes what it takes; allowed: without it, or without ROS"),
    ],
)
def test_the_command_refuses(
    lines: list[object],
    more: list[str],
    words: str,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if more:
        pytest.importorskip("rclpy")
    path = tmp_path / "trace.txt"
    path.write_text("\n".join(map(str, lines)))
    assert command(monkeypatch, "--checkpoint", checkpoint, "--latency-trace", path, *more) == 2
    assert words in capsys.readouterr().err


def rows(first: float, count: int = 10) -> np.ndarray:
    """A chunk (count, 1) that counts up from `first`."""
    return first + np.arange(count, dtype=float)[:, None]


def test_weighted_average_waits_where_its_queue_is_empty_and_skips_nothing() -> None:
    executor = WeightedAverage(10, 1)
    assert executor.wants_inference(0)
    executor.add_chunk(0, rows(0.0))
    given = [executor.action(tick) for tick in range(12)]
    assert [None if action is None else action[0] for action in given] == [*range(10), None, None]
    executor.add_chunk(11, rows(100.0))
    found = executor.action(12)
    assert found is not None
    assert found[0] == 101.0, "row 0 has the number of the last action performed"


def test_weighted_average_mixes_rows_of_one_number_and_asks_at_half() -> None:
    executor = WeightedAverage(10, 1)
    executor.add_chunk(0, rows(0.0))
    asking = []
    for tick in range(7):
        executor.action(tick)
        asking.append(executor.wants_inference(tick))
    assert asking == [False] * 4 + [True] * 3
    executor.add_chunk(4, rows(104.0))
    mixed = executor.coming(7)[:, 0]
    assert np.allclose(mixed[:3], [0.3 * n + 0.7 * (n + 100) for n in (7, 8, 9)])
    assert np.allclose(mixed[3:], [110, 111, 112, 113]), "then as it is, to the new chunk's end"


def test_weighted_average_gives_a_tick_one_action() -> None:
    executor = WeightedAverage(10, 1)
    executor.add_chunk(0, rows(0.0))
    assert executor.action(0) == executor.action(0)
    assert executor.action(1) == 1.0
    executor.reset()
    assert executor.action(0) is None


def test_a_fade_goes_from_the_old_chunk_to_the_new_one_in_its_time() -> None:
    executor = FixedFade(20, 1, fade_ticks=4)
    executor.add_chunk(0, np.zeros((20, 1)))
    assert [executor.action(tick)[0] for tick in range(6)] == [0.0] * 6  # type: ignore[index]
    assert executor.add_chunk(3, np.ones((20, 1)))
    assert [executor.action(tick)[0] for tick in range(6, 12)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]  # type: ignore[index]
    assert not executor.add_chunk(2, np.full((20, 1), 9.0)), "an older one"
    assert executor.action(22) is not None
    assert executor.action(23) is None
