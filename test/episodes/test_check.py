"""Each fault, made in a good episode, is found and named with its stream and rows; a good one has no error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.episodes import made_episodes as demo

from vgil_ros.core.streams import Flag
from vgil_ros.episodes import CameraMeta, EpisodeWriter
from vgil_ros.episodes.checks.alignment import lag
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.timing.gaps import find_gaps

ROWS = 150


@pytest.fixture
def episode(tmp_path: Path) -> Path:
    """A good one."""
    return demo.write(tmp_path, demo.meta(), ROWS)


def _found(path: Path, check: str, stream: str) -> list[Finding]:
    return [f for f in check_episode(path).findings if (f.check, f.stream) == (check, stream)]


def test_a_good_episode_has_nothing_but_information(episode: Path) -> None:
    report = check_episode(episode)
    assert report.ok
    assert not report.warnings


def test_wrong_length(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file["observations/qvel"].resize(ROWS - 3, axis=0)
    (finding,) = _found(episode, "lengths", "observations/qvel")
    assert finding.severity == "error"
    assert "has 147 rows; most datasets have 150" in finding.message


def test_nan(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file["observations/qpos"][4:7, 1] = np.nan
    (finding,) = _found(episode, "numbers", "qpos")
    assert (finding.severity, finding.rows) == ("error", ((4, 6),))
    assert "arm/joint1" in finding.message


def test_dead_joint(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file["observations/qpos"][:, 2] = 0.5
    (finding,) = _found(episode, "states", "arm/joint2")
    assert finding.severity == "error"


def test_frozen_image(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        data, lengths = file["observations/images/cam_a"], file["compress_len"]
        data[50:100], lengths[1, 50:100] = data[50], lengths[1, 50]
    (finding,) = _found(episode, "frames", "cam_a")
    assert (finding.severity, finding.rows) == ("warning", ((50, 99),))
    assert "under new stamps" in finding.message


def test_camera_that_never_changes(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        data, lengths = file["observations/images/cam_a"], file["compress_len"]
        data[:], lengths[1] = data[0], lengths[1, 0]
    assert [f.severity for f in _found(episode, "frames", "cam_a")] == ["error"]


def _camera_stamps(tmp_path: Path, stamps: Sequence[float]) -> Path:
    """An episode whose first camera's frames have these stamps, ms, in place of the tick's."""
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t, stamp in enumerate(stamps):
        skew = [0, 0, round((stamp - 20 * t) * 1e6), 0]
        demo.add(writer, t, skew_ns=skew)
    return writer.close()


@pytest.mark.parametrize("period_ms", [1000 / 30, 20.0, 1000 / 60, 1000 / 90])
def test_cameras_of_any_rate_lose_nothing_by_being_slower_or_faster(tmp_path: Path, period_ms: float) -> None:
    frames = np.arange(0, 20 * ROWS + 100, period_ms)
    nearest = [frames[np.argmin(np.abs(frames - 20 * t))] for t in range(ROWS)]
    assert not _found(_camera_stamps(tmp_path, nearest), "frames", "cam_b")


@pytest.mark.parametrize("period_ms", [1000 / 30, 20.0])
def test_dropped_frame(tmp_path: Path, period_ms: float) -> None:
    frames = np.delete(np.arange(0, 20 * ROWS + 100, period_ms), [30, 31])
    nearest = [frames[np.argmin(np.abs(frames - 20 * t))] for t in range(ROWS)]
    (finding,) = _found(_camera_stamps(tmp_path, nearest), "frames", "cam_b")
    assert finding.severity == "warning"
    assert "about 2 frames missing" in finding.message
    assert abs(finding.rows[0][0] - 31 * period_ms / 20) <= 2


def test_the_rate_of_a_camera_that_keeps_to_a_grid_is_its_mean(tmp_path: Path) -> None:
    """30 Hz by a driver that works in steps of 10 ms: its frames are 30, 30 and 40 ms apart."""
    frames = np.delete(np.ceil(np.arange(0, 20 * ROWS + 100, 1000 / 30) / 10) * 10, [30, 31])
    nearest = [frames[np.argmin(np.abs(frames - 20 * t))] for t in range(ROWS)]
    (finding,) = _found(_camera_stamps(tmp_path, nearest), "frames", "cam_b")
    assert "about 2 frames missing between camera and file, at 30.0 frames/s" in finding.message


def test_frames_back_in_time(tmp_path: Path) -> None:
    stamps = [20.0 * t for t in range(ROWS)]
    stamps[70] = 20.0 * 60
    found = _found(_camera_stamps(tmp_path, stamps), "frames", "cam_b")
    assert ("error", ((70, 70),)) in [(f.severity, f.rows) for f in found]


@given(
    missing=st.lists(st.integers(1, 99), max_size=5, unique=True),
    jitter=st.floats(0.0, 0.1),
    rate=st.sampled_from([1.0, 0.5]),
)
def test_gaps_are_the_rows_after_missing_ticks(missing: list[int], jitter: float, rate: float) -> None:
    """Stamps jitter, and ticks may come at half the rate that the file states: that is no gap."""
    ticks = np.setdiff1d(np.arange(101), missing)
    period = demo.PERIOD_NS
    off = jitter * np.random.default_rng(0).uniform(-1, 1, len(ticks))
    gaps = find_gaps(((ticks + off) * period / rate).astype(np.int64), period)
    assert gaps.rows.tolist() == (np.flatnonzero(np.diff(ticks) > 1) + 1).tolist()
    assert gaps.missing == len(missing)
    assert gaps.lost_s == pytest.approx(len(missing) * period / rate / 1e9, abs=0.2 * period / rate / 1e9 * 11)
    assert not len(gaps.backward)


def test_gap_in_ticks(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t in range(ROWS):
        demo.add(writer, t, stamp_ns=demo.START_NS + (t + (3 if t >= 90 else 0)) * demo.PERIOD_NS)
    (finding,) = _found(writer.close(dropped_rows=0), "stamps", "stamps")
    assert (finding.severity, finding.rows) == ("warning", ((90, 90),))
    assert "3 ticks missing" in finding.message


def test_wrong_rate(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file.attrs["rate_hz"] = 30.0
    (finding,) = _found(episode, "stamps", "rate_hz")
    assert "ticks come at 50.0 Hz; the file says 30 Hz" in finding.message


def test_held_rows(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t in range(ROWS):
        demo.add(writer, t, flags=[Flag.INTERPOLATED, Flag.INTERPOLATED, Flag.HELD if t in (7, 8) else 2, 2])
    path = writer.close()
    (finding,) = _found(path, "sync", "cam_b")
    assert (finding.severity, finding.rows) == ("warning", ((7, 8),))
    with h5py.File(path) as file:
        assert file.attrs["rows_held"] == 2


CONTRACT = """
name: test
rate_hz: 50
arms:
  - name: arm
    puppet: {topic: /p}
    master: {topic: /m}
    command: {topic: /c, type: joint_state}
    joints: [joint0, joint1, joint2]
    limits: {lower: [-3, -3, -3], upper: [3, 3, 3], velocity: [1, 1, 1]}
    home: [0, 0, 0]
cameras:
  - {name: cam_b, topic: /b, height: 48, width: 64, tolerance_ms: 12}
  - {name: cam_a, topic: /a, height: 48, width: 64}
"""


def test_skew_beyond_the_contracts_tolerance(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(contract=CONTRACT), min_free_bytes=0)
    for t in range(ROWS):
        demo.add(writer, t, skew_ns=[0, 0, 15_000_000 if t == 9 else 0, 15_000_000])
    path = writer.close()
    (finding,) = _found(path, "sync", "cam_b")
    assert (finding.severity, finding.rows) == ("error", ((9, 9),))
    assert "15.0 ms from their tick; tolerance 12" in finding.message
    assert not _found(path, "sync", "cam_a")


def test_colour_statements(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file.attrs["color_order"] = "bgr"
        file["observations/images/cam_a"].attrs["jpeg_order"] = "gbr"
    assert [f.severity for f in _found(episode, "colour", "color_order")] == ["error"]
    assert [f.severity for f in _found(episode, "colour", "cam_a")] == ["error"]


def test_one_swapped_camera_is_a_warning(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file["observations/images/cam_a"].attrs["jpeg_order"] = "rgb"  # a wrong word: they are the peers' order
    (finding,) = [f for f in _found(episode, "colour", "cam_a") if f.severity != "info"]
    assert finding.severity == "warning"
    assert "red and blue may be swapped" in finding.message


def test_wrong_compress_len(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file["compress_len"][0, 12] += 1
    assert [(f.severity, f.rows) for f in _found(episode, "jpegs", "cam_b")] == [("error", ((12, 12),))]


@pytest.mark.parametrize("shift", [-5, 0, 3, 20])
def test_lag_is_the_shift_that_was_made(shift: int) -> None:
    t = np.arange(400) / 50
    lead = np.sin(2 * t) + 0.3 * np.sin(5.1 * t)
    follow = 0.9 * np.interp(np.arange(400) - shift, np.arange(400), lead) + 0.2
    assert lag(lead, follow) == shift


def test_a_slow_follower_is_named(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file["observations/qpos"][:, 1] = np.roll(file["action"][:, 1], 20)
    (finding,) = _found(episode, "lag", "arm/joint1")
    assert "follows its action 20 ticks late" in finding.message


def test_spans() -> None:
    assert spans([3, 4, 5, 9, 11, 12]) == ((3, 5), (9, 9), (11, 12))


def _clocks(tmp_path: Path, ahead_ms: float, rows: range = range(ROWS)) -> Path:
    """An episode whose first camera's stamps are ahead of their arrival in some rows; 4 ms pass on the way."""
    writer = EpisodeWriter(tmp_path, demo.meta(contract=CONTRACT), min_free_bytes=0)
    for t in range(ROWS):
        taken = demo.START_NS + t * demo.PERIOD_NS + np.array([0, 0, 3, -5]) * 1_000_000
        delay = np.array([4.0, 4.0, 4.0 - (ahead_ms if t in rows else 0.0), 4.0])
        skew = taken - demo.START_NS - t * demo.PERIOD_NS
        demo.add(writer, t, skew_ns=skew, arrival_ns=taken + (delay * 1e6).astype(np.int64))
    return writer.close()


@pytest.mark.parametrize(("ahead_ms", "severity"), [(14, "warning"), (30, "error")])  # tolerance 12 ms
def test_a_clock_that_was_ahead(tmp_path: Path, ahead_ms: float, severity: str) -> None:
    path = _clocks(tmp_path, ahead_ms, range(20, 60))
    (finding,) = _found(path, "clocks", "cam_b")
    assert (finding.severity, finding.rows) == (severity, ((20, 59),))
    assert f"stamped up to {ahead_ms - 4} ms ahead of its arrival" in finding.message
    with h5py.File(path) as file:
        assert file.attrs["min_delay_ms"].tolist() == [4.0, 4.0, 4.0 - ahead_ms, 4.0]


def test_a_clock_that_was_right(tmp_path: Path) -> None:
    path = _clocks(tmp_path, 0)
    assert check_episode(path).ok
    assert not _found(path, "clocks", "cam_b")
    (finding,) = _found(path, "clocks", "delay")
    assert "(ms): arm/puppet 4.0, arm/master 4.0, cam_b 4.0, cam_a 4.0" in finding.message


def test_where_no_arrival_is_known_no_clock_is_judged(episode: Path) -> None:
    assert not [f for f in check_episode(episode).findings if f.check == "clocks"]


def test_what_the_recorder_warned_of(episode: Path) -> None:
    with h5py.File(episode, "r+") as file:
        file.attrs["warnings"] = ["cam_a: 2 publishers on /a; allowed: one", "cam_b: 3 JPEGs cut off"]
    found = [str(f) for f in _found(episode, "notes", "recorder")]
    assert found == [
        "warning: recorder: cam_a: 2 publishers on /a; allowed: one",
        "warning: recorder: cam_b: 3 JPEGs cut off",
    ]


def test_a_cameras_own_jpegs_are_noted(tmp_path: Path) -> None:
    path = demo.write(tmp_path, demo.meta(storage="passthrough"), ROWS, encoding="jpeg")
    report = check_episode(path)
    assert report.ok
    (finding,) = _found(path, "colour", "cam_a")
    assert finding.severity == "info"
    assert "act-plus-plus' and Cobot Magic's loaders swap red and blue" in finding.message


def test_depth_with_nothing_within_reach_is_not_frozen(tmp_path: Path) -> None:
    m = demo.meta(depths=(CameraMeta("wrist", 12, 16, None),))
    random = np.random.default_rng(0)
    for folder, blank in ((tmp_path / "blank", True), (tmp_path / "frozen", False)):
        writer = EpisodeWriter(folder, m, min_free_bytes=0)
        kept = random.integers(300, 900, (12, 16)).astype(np.uint16)
        for t in range(ROWS):
            seen = demo.observation(t, m)
            depth = random.integers(300, 900, (12, 16)).astype(np.uint16)
            if 40 <= t < 100:
                depth = np.zeros((12, 16), np.uint16) if blank else kept
            seen["depth"] = {"wrist": depth}
            demo.add(writer, t, seen=seen)
        found = [f for f in _found(writer.close(), "frames", "wrist") if f.severity != "info"]
        assert [f.rows for f in found] == ([] if blank else [((40, 99),)])


def test_a_camera_that_may_stand_still(tmp_path: Path) -> None:
    for frozen, errors in (("off", 0), (200, 1)):
        contract = CONTRACT.replace("topic: /a,", f"topic: /a, frozen_ms: {frozen},")
        writer = EpisodeWriter(tmp_path / str(frozen), demo.meta(contract=contract), min_free_bytes=0)
        for t in range(ROWS):
            seen = demo.observation(t, writer.meta)
            seen["images"]["cam_a"] = demo.image(0)
            demo.add(writer, t, seen=seen)
        assert len(_found(writer.close(), "frames", "cam_a")) == errors
