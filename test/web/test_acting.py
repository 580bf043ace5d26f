"""What the page knows of a policy: history, successes, the word in the banner, checkpoints that may be chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.cli.demo.recipes import RECIPES
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.metrics import wilson
from vgil_ros.web.acting import headline as words
from vgil_ros.web.acting.checkpoints import chosen, offered, rollouts_folder
from vgil_ros.web.acting.headline import headline
from vgil_ros.web.acting.history import PolicyHistory, bins
from vgil_ros.web.acting.tally import Tally
from vgil_ros.web.link import ERROR, OK, WARN, NodeStatus, PolicyOrder, PolicyRun
from vgil_ros.web.settings import WebSettings

RUNNING = {"state": "running", "latency_p50_ms": "10", "latency_p99_ms": "20", "jitter_p50_ms": "1"}


def counted(**counts: int) -> dict[str, str]:
    return {**RUNNING, **{f"safety_events_{name}": str(count) for name, count in counts.items()}}


def test_events_are_what_counters_gained_since_the_status_before() -> None:
    history = PolicyHistory()
    history.saw(0.0, counted(velocity=7))
    assert not history.events, "what was before anybody looked has no time"
    history.saw(0.2, {**counted(velocity=9, following=1), "last_safety_event": "following: joint 2 is late"})
    assert [(e.name, e.ticks, e.reason) for e in history.events] == [
        ("velocity", 2, ""),
        ("following", 1, "joint 2 is late"),
    ]


def test_counters_that_begin_anew_lose_nothing() -> None:
    history = PolicyHistory()
    history.saw(0.0, counted(velocity=7))
    history.saw(0.2, counted(velocity=3))
    assert [event.ticks for event in history.events] == [3]
    history.silent(0.4)
    history.saw(0.6, counted(velocity=50))
    assert [event.ticks for event in history.events] == [3], "another policy's past is not this one's"


@given(st.lists(st.integers(0, 5), max_size=40))
def test_gains_of_a_counter_add_up(gains: list[int]) -> None:
    history, total = PolicyHistory(), 0
    history.saw(0.0, counted(velocity=0))
    for i, gain in enumerate(gains):
        total += gain
        history.saw(0.2 * (i + 1), counted(velocity=total))
    assert sum(event.ticks for event in history.events) == total


def test_what_is_old_is_forgotten() -> None:
    history = PolicyHistory(kept_s=10.0)
    for second in range(30):
        history.saw(float(second), counted(velocity=second))
    assert (history.timings[0].at_s, history.timings[-1].at_s) == (19.0, 29.0)
    assert history.events[0].at_s == 19.0


def test_timings_are_those_of_a_running_policy() -> None:
    history = PolicyHistory()
    history.saw(0.0, RUNNING | {"state": "idle"})
    assert not history.timings
    history.saw(0.2, RUNNING)
    assert history.timings[0].p50_ms == {"latency": 10.0, "jitter": 1.0}
    assert history.timings[0].p99_ms == {"latency": 20.0}


def test_a_histogram_is_read_and_what_cannot_be_read_left_out() -> None:
    assert bins("10:3 14:41") == {10.0: 3, 14.0: 41}
    assert bins("x 5:a :3 7:1") == {7.0: 1}


def attempt(tally: Tally, label: str, **values: str) -> None:
    given = {"checkpoint": "a", "task": "stack", **values}
    tally.saw({**given, "state": "running", "label": "none"})
    tally.saw({**given, "state": "saving", "label": "none"})
    tally.saw({**given, "state": "idle", "label": label})


def test_attempts_are_counted_by_checkpoint_and_task() -> None:
    tally = Tally()
    for label in ("success", "success", "failure", "unsure", "none"):
        attempt(tally, label)
    attempt(tally, "failure", task="pour")
    score = tally.scores[("a", "stack")]
    assert score.attempts == ["success", "success", "failure", "unsure", ""]
    assert score.rate() == (2 / 3, *wilson(2, 3))
    assert tally.scores[("a", "pour")].rate() == (0.0, *wilson(0, 1))


def test_a_label_may_change_until_the_next_attempt() -> None:
    tally = Tally()
    attempt(tally, "success")
    tally.saw({"checkpoint": "a", "task": "stack", "state": "idle", "label": "failure"})
    assert tally.scores[("a", "stack")].attempts == ["failure"]


def test_an_attempt_counts_as_the_task_that_it_ended_with() -> None:
    tally = Tally()
    for task in ("stack", "pour"):
        tally.saw({"checkpoint": "a", "task": task, "state": "running", "label": "none"})
    tally.saw({"checkpoint": "a", "task": "pour", "state": "idle", "label": "success"})
    assert tally.scores[("a", "pour")].attempts == ["success"]
    assert tally.scores[("a", "stack")].attempts == []


def test_a_dry_run_is_no_attempt() -> None:
    tally = Tally()
    attempt(tally, "success", dry_run="true")
    assert not tally.scores


def said(state: str, level: int = OK, message: str = "", age_s: float = 0.1, **values: str) -> NodeStatus:
    return NodeStatus(level, message, {"state": state, **values}, age_s)


def started(
    *, alive: bool = True, ending: bool = False, code: int | None = None, lines: tuple[str, ...] = ()
) -> PolicyRun:
    return PolicyRun(PolicyOrder("a"), alive, ending, code, lines, 0.0)


@pytest.mark.parametrize(
    ("status", "run", "word", "tone"),
    [
        (None, None, "NO POLICY", words.QUIET),
        (None, started(), "LOADING", words.QUIET),
        (None, started(alive=False, code=0), "NO POLICY", words.QUIET),
        (None, started(alive=False, code=2, lines=("error: cameras differ",)), "ENDED", words.STOPPED),
        (said("running"), started(ending=True), "ENDING", words.QUIET),
        (said("idle"), None, "READY", words.READY),
        (said("idle", ERROR, "cam_a is silent"), None, "NOT READY", words.WARNS),
        (said("running"), None, "RUNS", words.MOVES),
        (said("running", dry_run="true"), None, "DRY RUN", words.SHOWS),
        (said("running", WARN, "late"), None, "RUNS", words.WARNS),
        (said("holding", last_safety_event="age: old"), None, "HOLDING", words.WARNS),
        (said("e-stop"), None, "E-STOP", words.STOPPED),
        (said("running", age_s=9.0), started(), "SILENT", words.STOPPED),
        (said("running", age_s=9.0), started(alive=False, code=-9), "ENDED", words.STOPPED),
    ],
)
def test_the_banner_says_what_goes_on(status: NodeStatus | None, run: PolicyRun | None, word: str, tone: str) -> None:
    found = headline(status, run)
    assert (found.word, found.tone) == (word, tone)
    assert found.line


@pytest.fixture
def settings(tmp_path: Path) -> WebSettings:
    for name in ("runs/one/best", "runs/one/last", "elsewhere/model"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "policy.json").write_text("{}")
    return WebSettings(dataset_dir=tmp_path / "episodes", runs_dir=tmp_path / "runs")


def test_checkpoints_of_the_package_and_of_runs_are_offered(settings: WebSettings) -> None:
    found = offered(settings)
    of_the_package = sorted(RECIPES)
    assert found[: len(of_the_package)] == of_the_package
    assert {str(settings.runs_dir / "one" / name) for name in ("best", "last")} == set(found[len(of_the_package) :])


def test_a_choice_is_a_name_a_folder_or_an_address(settings: WebSettings) -> None:
    assert chosen(" sim_pick_place_act ", settings) == "sim_pick_place_act"
    assert chosen("ws://gpu:8000", settings) == "ws://gpu:8000"
    assert chosen(str(settings.runs_dir / "one" / "best"), settings).endswith("runs/one/best")
    for wrong in ("", "http://gpu", "/nowhere", str(settings.runs_dir)):
        with pytest.raises(VgilError, match="allowed"):
            chosen(wrong, settings)


def test_from_the_network_only_the_pages_own_folders_may_be_named(settings: WebSettings, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "model"
    assert chosen(str(other), settings) == str(other)
    public = WebSettings("0.0.0.0", 0, settings.dataset_dir, settings.runs_dir)
    assert chosen("sim_pick_place_act", public) == "sim_pick_place_act"
    assert chosen(str(settings.runs_dir / "one" / "last"), public)
    for path in (str(other), f"{settings.runs_dir}/../elsewhere/model"):
        with pytest.raises(VgilError, match="allowed from the network"):
            chosen(path, public)


def test_rollouts_stay_below_the_folder_of_episodes(settings: WebSettings) -> None:
    assert rollouts_folder("", settings) == ""
    assert rollouts_folder("rollouts", settings) == str(settings.dataset_dir / "rollouts")
    for wrong in ("../x", "/etc"):
        with pytest.raises(VgilError, match="allowed: a folder below"):
            rollouts_folder(wrong, settings)
