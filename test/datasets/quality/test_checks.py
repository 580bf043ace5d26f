"""What each check of a data set says, and when it keeps silent: small sets, alike ones, other layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.episodes import made_sets as made
from support.episodes.corruptions import CleanSet

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.layout import Layout
from vgil_ros.datasets.quality.check import check_dataset, judge
from vgil_ros.datasets.quality.checks import consistency, drift, tasks
from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.features.motion import turning_points
from vgil_ros.datasets.quality.features.smoothness import ldlj, sparc
from vgil_ros.datasets.quality.features.summary import Summary, summarise
from vgil_ros.datasets.quality.registry import CHECKS
from vgil_ros.datasets.quality.robust import spread_of
from vgil_ros.datasets.stored import StoredEpisode

NAMES = Layout(parse_contract(made.CONTRACT, "made")).joint_names
SEED, COUNT, CHUNK = 8, 20, 50


def summary(one: made.Made, number: int, **attributes: Any) -> Summary:
    """Of an episode that is in memory, without cameras."""
    attrs = {"rate_hz": made.RATE, "joint_names": NAMES, "task": one.task, "success": one.success, **attributes}
    columns = {"qpos": one.qpos, "action": one.action}
    return summarise(StoredEpisode(Path(f"episode_{number}"), "made", columns, {}, attrs), number, f"episode_{number}")


def moved(demo: made.Demonstration, change: Any = None) -> made.Made:
    """The numbers of a demonstration; no image is drawn."""
    path, gripper = made.path_of(demo)
    if change is not None:
        path, gripper = change(path, gripper)
    qpos, action = made.followed(path, gripper, np.random.default_rng([demo.seed, 1]))
    return made.Made(qpos.astype(np.float32), action.astype(np.float32), {})


@pytest.fixture(scope="module")
def clean() -> tuple[Summary, ...]:
    return tuple(summary(moved(demo), i) for i, demo in enumerate(made.demonstrations(COUNT, SEED)))


def found(summaries: tuple[Summary, ...], check: str, **given: Any) -> list[Found]:
    return [one for one in judge(DataSet(summaries, given.pop("chunk", CHUNK), **given)) if one.finding.check == check]


def test_a_clean_set_has_nothing_to_say(clean: tuple[Summary, ...]) -> None:
    assert [str(one.finding) for one in judge(DataSet(clean, CHUNK)) if one.finding.severity != "info"] == []


def test_episodes_that_are_all_one_are_no_outliers() -> None:
    """Without any spread a floor holds: the same motion with another noise, as a script shows it."""
    [demo] = made.demonstrations(1, SEED)
    alike = tuple(summary(moved(replace(demo, seed=i)), i) for i in range(COUNT))
    named = {one.finding.check for one in judge(DataSet(alike, CHUNK)) if one.finding.severity != "info"}
    assert named <= {"duplicate"}, "nothing but that they are alike"


def test_a_few_episodes_are_not_judged_by_statistics(clean: tuple[Summary, ...]) -> None:
    few = (*clean[:5], replace(clean[5], rows=9 * clean[5].rows))
    [said] = judge(DataSet(few, CHUNK))
    assert (said.episode, said.finding.check, said.finding.severity) == (None, "too few", "info")
    assert "6 of 6 episodes are too few" in said.finding.message
    assert found((*clean, replace(few[-1], number=COUNT)), "length"), "among more of them it is an outlier"


def test_a_finding_names_episode_stream_rows_and_what_to_do(clean: tuple[Summary, ...]) -> None:
    [demo] = made.demonstrations(1, SEED + 1)
    one = moved(demo)
    one.qpos[40:44, 2] += 0.3
    said = found((*clean, summary(one, COUNT)), "jump")
    [jump] = [one for one in said if one.finding.message.startswith("qpos")]
    assert (jump.episode, jump.finding.stream, jump.finding.severity) == (COUNT, "arm/elbow", "warning")
    assert jump.finding.rows in (((40, 40),), ((44, 44),))
    assert "delete it" in jump.advice


def test_idle_rows_are_named_with_the_command_that_trims_them(clean: tuple[Summary, ...]) -> None:
    [demo] = made.demonstrations(1, SEED + 2)
    rows = demo.rows.copy()
    rows[0] += 60
    [said] = found((*clean, summary(moved(replace(demo, rows=rows)), COUNT)), "idle start")
    [(first, last)] = said.finding.rows
    assert first == 0
    assert 60 <= last <= 80
    assert f"trim FILE --from {last + 1}" in said.advice


def test_a_cut_off_motion_shows_without_a_contract(clean: tuple[Summary, ...]) -> None:
    """A limit that nobody states: the joint comes fast and stays at one value, beyond what it does elsewhere."""

    def clip(path: np.ndarray, gripper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        path[:, 1] += 1.2 * np.sin(np.pi * np.linspace(0, 1, len(path))) ** 2
        return path, gripper

    [demo] = made.demonstrations(1, SEED + 3)
    one = moved(demo, clip)
    for values in (one.qpos, one.action):
        values[:, 1] = np.minimum(values[:, 1], 0.55)
    said = found((*clean, summary(one, COUNT)), "saturation")
    assert {(one.episode, one.finding.stream) for one in said} == {(COUNT, "arm/shoulder")}
    assert "is cut off, 0.55" in said[0].finding.message


@pytest.mark.parametrize("rate", [20.0, 50.0])
def test_smoothness_is_that_of_the_shape_and_not_of_speed_or_size(rate: float) -> None:
    def reach(seconds: float, size: float, shake: float) -> np.ndarray:
        s = np.linspace(0, 1, round(seconds * rate))
        speed = size / seconds * 30 * s**2 * (1 - s) ** 2
        return (speed * (1 + shake * np.sin(40 * s)))[:, None]

    smooth, rough = reach(4, 1, 0), reach(4, 1, 0.5)
    for measure in (lambda v: sparc(np.abs(v[:, 0]), rate), lambda v: ldlj(v, rate)):
        assert measure(rough) < measure(smooth) - 0.1
        assert measure(reach(4, 3, 0)) == pytest.approx(measure(smooth), abs=0.02)
        assert measure(reach(8, 1, 0)) == pytest.approx(measure(smooth), abs=0.2)
    assert np.isnan(sparc(np.zeros(50), rate))
    assert np.isnan(ldlj(np.zeros((50, 2)), rate))


def test_gripper_turns_are_those_beyond_its_noise() -> None:
    random = np.random.default_rng(0)
    steps = np.repeat([1.0, 0.0, 1.0, 0.0], 20) + random.normal(0, 0.02, 80)
    assert len(turning_points(steps)) == 2
    assert len(turning_points(np.full(80, 0.5) + random.normal(0, 0.002, 80))) == 0


def test_spread_ignores_outliers_and_what_is_unknown() -> None:
    values = np.array([1.0, 1.1, 0.9, 1.0, 50.0, np.nan])
    spread = spread_of(values, 0.01)
    assert spread.z[4] > 100
    assert np.abs(spread.z[[0, 1, 2, 3, 5]]).max() < 3


def test_drift_is_a_trend_and_no_outlier() -> None:
    random = np.random.default_rng(1)
    noise = random.normal(0, 1, 30)
    assert drift.drift_of(noise) is None
    late = noise.copy()
    late[-2:] += 40
    assert drift.drift_of(late) is None
    change = drift.drift_of(noise + np.linspace(0, 6, 30))
    assert change == pytest.approx(6, abs=2)


def test_operators_who_differ_are_named(clean: tuple[Summary, ...]) -> None:
    random = np.random.default_rng(2)
    by_two = [replace(one, operator="Ada") for one in clean]
    for i in range(0, COUNT, 4):
        one = moved(made.demonstrations(COUNT, SEED)[i])
        waves = np.sin(np.arange(len(one.action))[:, None] / 4 + random.uniform(0, 6, 6))
        one.action[:, :6] += (0.12 * waves).astype(np.float32)
        by_two[i] = replace(summary(one, i), operator="Bob")
    said = [one for one in found(tuple(by_two), "consistency") if one.episode is None]
    assert any("'Bob' operates" in one.finding.message for one in said)
    assert not any("'Ada' operates" in one.finding.message for one in said)
    [group] = DataSet(tuple(by_two), CHUNK).alike
    squares, whole = consistency.unlike(group)
    assert squares.shape == (COUNT,)
    assert 0 < squares.mean() < whole


def test_task_texts() -> None:
    def named(*texts: str) -> dict[int | None, str]:
        some = [made.Made(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), {}, task=t) for t in texts]
        data = DataSet(tuple(summary(one, i) for i, one in enumerate(some)), 1)
        return {one.episode: one.finding.message for one in tasks.check(data)}

    many = ["pick the cup"] * 8
    assert named(*many) == {}
    assert "not stated" in named(*many, "")[8]
    assert "looks like the same" in named(*many, "Pick the cup.")[8]
    assert "allowed: tasks that many show" in named(*many, "fold a towel")[8]
    assert named(*many, *["fold a towel"] * 8) == {}, "a set of two tasks"
    assert list(named("", "")) == [None]


def test_validation_scenes_by_their_seeds(clean: tuple[Summary, ...]) -> None:
    seeded = tuple(replace(one, seed=str(one.number % 10)) for one in clean)
    said = found(seeded, "same scene", validation=frozenset({3, 4}))
    assert [one.episode for one in said] == [3, 4]
    assert "episode_13, by the seed 3" in said[0].finding.message


def test_checks_hold_for_files(tmp_path: Path) -> None:
    """From a folder on disk, by two processes: what was seeded, and no more; and a file that is none."""
    clean = CleanSet(tmp_path, 12, SEED)
    folder = tmp_path / "clean"
    made.write(made.Made(**{**vars(made.make(clean.demos[0], SEED)), "task": ""}), folder, 12)
    (folder / "episode_13.hdf5").write_bytes(b"nothing of the kind")
    report = check_dataset(folder, chunk=CHUNK, workers=2)
    named = {v.name: {one.finding.check for one in v.of("error", "warning")} for v in report.verdicts}
    assert named.pop("episode_12") == {"duplicate", "task"}
    assert named.pop("episode_13") == {"file"}
    assert set().union(*named.values()) == set()
    assert [verdict.name for verdict in report.ranked] == ["episode_13", "episode_12"]
    assert not report.ok("error")
    assert len(report.bad("warning")) == 2


def test_every_check_is_run_once() -> None:
    folder = Path(tasks.__file__).parent
    files = {path.stem for path in folder.rglob("*.py") if path.stem != "__init__"}
    assert sorted(check.__module__.rpartition(".")[2] for check in CHECKS) == sorted(files)
