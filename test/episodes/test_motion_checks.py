"""Motion against the contract in the file, the sensors' own rates and the other episodes; clean data stays clean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeWriter
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.motion.outliers import compare
from vgil_ros.episodes.checks.motion.rates import interpolated_every

ROWS = 150
CONTRACT = """
name: test
rate_hz: 50
arms:
  - name: arm
    puppet: {topic: /p}
    master: {topic: /m}
    command: {topic: /c, type: joint_state}
    joints: [joint0, joint1, joint2]
    limits: {lower: [-1.2, -1.2, 0.0], upper: [1.2, 1.2, 0.08], velocity: [8, 8, 2]}
    home: [0, 0, 0]
    gripper: {joint: joint2, puppet_range: [0.0, 0.08], master_range: [0.0, 1.0]}
cameras:
  - {name: cam_b, topic: /b, height: 48, width: 64}
  - {name: cam_a, topic: /a, height: 48, width: 64}
"""


def write(folder: Path, change: Callable[[h5py.File], None] = lambda file: None, rows: int = ROWS) -> Path:
    """An episode whose third joint is a gripper, from 0 to 1, and a change to it."""
    path = demo.write(folder, demo.meta(contract=CONTRACT), rows)
    with h5py.File(path, "r+") as file:
        for name in ("observations/qpos", "action"):
            file[name][:, 2] = 0.5 + 0.5 * np.sin(0.1 * np.arange(rows))
        change(file)
    return path


def found(path: Path, check: str = "limits") -> list[Finding]:
    return [f for f in check_episode(path).findings if f.check == check and f.severity != "info"]


def test_a_clean_episode_has_nothing_to_say(tmp_path: Path) -> None:
    report = check_episode(write(tmp_path))
    assert report.ok
    assert not report.warnings, [*map(str, report.warnings)]


def test_a_robot_in_degrees_is_named(tmp_path: Path) -> None:
    def degrees(file: h5py.File) -> None:
        for name in ("observations/qpos", "action"):
            file[name][:, :2] = np.rad2deg(file[name][:, :2])

    findings = found(write(tmp_path, degrees))
    wrong = [f for f in findings if "degrees?" in f.message]
    assert wrong == findings, "its speed is not told too"
    assert {(f.severity, f.stream) for f in wrong} == {("error", "arm/joint0"), ("error", "arm/joint1")}
    assert "qpos is -57.3 rad; allowed: -1.2 to 1.2 rad: degrees?" in wrong[0].message


def test_a_joint_a_little_beyond_its_limit_is_a_warning_with_its_rows(tmp_path: Path) -> None:
    def beyond(file: h5py.File) -> None:
        file["observations/qpos"][40:46, 1] = 1.35

    (finding,) = [f for f in found(write(tmp_path, beyond)) if "allowed: -1.2" in f.message]
    assert (finding.severity, finding.stream, finding.rows) == ("warning", "arm/joint1", ((40, 45),))


def test_one_wild_action_is_named(tmp_path: Path) -> None:
    def wild(file: h5py.File) -> None:
        file["action"][77, 0] = 1000.0

    findings = found(write(tmp_path, wild))
    assert all((f.severity, f.stream) == ("error", "arm/joint0") for f in findings)
    assert findings[0].rows == ((77, 77),)
    assert "action is 1000 rad; allowed: -1.2 to 1.2 rad" in findings[0].message
    assert findings[1].rows == ((77, 78),)
    assert "rad/s; allowed: 8 rad/s" in findings[1].message


@pytest.mark.parametrize("rows", [1, 20])
def test_a_few_rows_that_would_fit_as_degrees_are_a_glitch(tmp_path: Path, rows: int) -> None:
    def glitch(file: h5py.File) -> None:
        file["observations/qpos"][77 : 77 + rows, 0] = 49.0

    findings = found(write(tmp_path, glitch))
    assert {(f.severity, f.stream) for f in findings} == {("error", "arm/joint0")}
    assert findings[0].message == "qpos is 49 rad; allowed: -1.2 to 1.2 rad"
    assert "moves by" in findings[1].message
    assert (77, 77) in findings[1].rows or (77, 78) in findings[1].rows


def test_a_gripper_that_is_no_share_is_named(tmp_path: Path) -> None:
    def raw(file: h5py.File) -> None:
        file["observations/qpos"][:, 2] = 45 + 5 * np.sin(0.1 * np.arange(ROWS))

    (finding,) = found(write(tmp_path, raw))
    assert (finding.severity, finding.stream) == ("error", "arm/joint2")
    assert "qpos is 50; allowed: 0 to 1" in finding.message
    assert "rad" not in finding.message


def test_a_step_that_no_motor_makes_is_named(tmp_path: Path) -> None:
    def step(file: h5py.File) -> None:
        file["observations/qpos"][90:, 1] = -file["observations/qpos"][90:, 1]

    (finding,) = found(write(tmp_path, step))
    assert finding.stream == "arm/joint1"
    assert (90, 90) in finding.rows
    assert "moves by" in finding.message


def test_a_gap_in_time_is_no_jump(tmp_path: Path) -> None:
    """What moves on while ticks are missing moved no faster."""
    writer = EpisodeWriter(tmp_path, demo.meta(contract=CONTRACT), min_free_bytes=0)
    for t in range(ROWS):
        demo.add(writer, t, stamp_ns=demo.START_NS + (t + (30 if t >= 90 else 0)) * demo.PERIOD_NS)
    path = writer.close()
    with h5py.File(path, "r+") as file:
        for name in ("observations/qpos", "action"):
            file[name][:, 2] = 0.5
            file[name][90:, 1] = np.clip(file[name][90:, 1] + 1.5, -1.2, 1.2)
    assert not [f for f in found(path) if "moves by" in f.message]


@pytest.mark.parametrize("off", [0.0, 5e-7])
def test_actions_that_are_the_measured_positions_are_an_error(tmp_path: Path, off: float) -> None:
    """Also where somebody's arithmetic lies between."""

    def same(file: h5py.File) -> None:
        file["action"][:] = file["observations/qpos"][()] + off

    errors = check_episode(write(tmp_path, same)).errors
    assert ["actions equal the measured positions" in f.message for f in errors] == [True]


@pytest.mark.parametrize(("sensor_hz", "every"), [(100, 2), (66.6667, 3), (50, 4)])
def test_rows_between_slower_measurements_are_seen(sensor_hz: float, every: int) -> None:
    t = np.arange(600) / 200
    own = np.arange(0, 3.2, 1 / sensor_hz)
    motion = np.stack([np.sin(2 * own), np.cos(3 * own)], axis=1)
    qpos = np.stack([np.interp(t, own, column) for column in motion.T], axis=1).astype(np.float32)
    assert interpolated_every(qpos) == every


@pytest.mark.parametrize("motion", ["smooth", "noisy", "ramps", "still"])
def test_motion_of_its_own_rate_is_not_taken_for_interpolation(motion: str) -> None:
    t = np.arange(400) / 50
    qpos = {
        "smooth": np.sin(2 * t),
        "noisy": np.sin(2 * t) + np.random.RandomState(0).normal(0, 1e-3, 400),
        "ramps": np.interp(t, np.arange(9), [0, 1, 0, 1, 1, 0.5, 0, 1, 0]),
        "still": np.zeros(400),
    }[motion]
    assert interpolated_every(qpos[:, None].astype(np.float32)) is None


@pytest.mark.parametrize(("frames_hz", "said"), [(30, False), (25, False), (10, True)])
def test_a_camera_far_slower_than_the_rows_is_named(tmp_path: Path, frames_hz: float, said: bool) -> None:
    frames = np.arange(0, 20 * ROWS + 200, 1000 / frames_hz)
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t in range(ROWS):
        skew = round((frames[np.argmin(np.abs(frames - 20 * t))] - 20 * t) * 1e6)
        demo.add(writer, t, skew_ns=[0, 0, skew, 0])
    findings = found(writer.close(), "rates")
    assert [f.stream for f in findings] == (["cam_b"] if said else [])
    if said:
        assert "each image stands in 4.8 rows: 10.0 frames/s in rows of 50 Hz" in findings[0].message


def _folder(tmp_path: Path, odd: Callable[[h5py.File], None]) -> list[list[Finding]]:
    """Five episodes without a contract, of which the third is odd; what is found by comparing them."""
    paths = [demo.write(tmp_path, demo.meta(), 60) for _ in range(5)]
    with h5py.File(paths[2], "r+") as file:
        odd(file)
    reports = compare([check_episode(path) for path in paths])
    return [[f for f in report.findings if f.check == "outliers"] for report in reports]


def test_one_episode_in_degrees_among_others(tmp_path: Path) -> None:
    def degrees(file: h5py.File) -> None:
        file["observations/qpos"][:] = np.rad2deg(file["observations/qpos"][()])

    found_in = _folder(tmp_path, degrees)
    assert [len(findings) for findings in found_in] == [0, 0, 1, 0, 0]
    assert found_in[2][0].severity == "error"
    assert "57 times as far as in the other 4 episodes: degrees among radians?" in found_in[2][0].message


def test_one_episode_far_from_the_others(tmp_path: Path) -> None:
    def off(file: h5py.File) -> None:
        file["observations/qpos"][:, 1] += 20.0

    found_in = _folder(tmp_path, off)
    assert [len(findings) for findings in found_in] == [0, 0, 1, 0, 0]
    assert (found_in[2][0].severity, found_in[2][0].stream) == ("warning", "arm/joint1")


def test_what_only_some_state_is_a_note(tmp_path: Path) -> None:
    found_in = _folder(tmp_path, lambda file: file.attrs.update(success=True, task="other"))
    notes = [[(f.severity, f.stream, f.message) for f in findings] for findings in found_in]
    assert notes[0] == [("info", "success", "is not stated; it is in 1 of 5 episodes")]
    assert notes[2] == [("info", "task", "is 'other'; in 4 of 5 it is 'test'")]
    assert CliRunner().invoke(app, ["episodes", "check", str(tmp_path)]).exit_code == 0
