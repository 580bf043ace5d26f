"""Bad input to a running recorder: the stream is named within a second, and what was recorded is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from support.contracts import camera, sync
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.rig import TRIES, Rig
from support.nodes.signals import position

from vgil_ros.core.streams import Flag
from vgil_ros.episodes import EpisodeReader
from vgil_ros.episodes.checks.check import check_episode

SOON = 1.0  # s


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A robot with a raw and a compressed camera and a base."""
    with Bench(tmp_path_factory.mktemp("bad_input")) as bench:
        cameras = [camera("cam_a"), camera("cam_b", "compressed")]
        base = {
            "odom": {"topic": "/odom"},
            "command": {"topic": "/cmd_vel"},
            "limits": {"linear": 0.5, "angular": 1.0},
        }
        yield Rig(bench, bench.contract(cameras=cameras, base=base, sync=sync(max_hold=5)))


@pytest.fixture
def patient(bench: Bench) -> Rig:
    """A robot whose episodes a busy machine does not end."""
    return Rig(bench, bench.contract())


@pytest.fixture(autouse=True)
def _well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "rig" not in request.fixturenames:
        return
    rig = request.getfixturevalue("rig")
    for stream in rig.robot_streams:
        rig.robot.tell(f"{stream} well")
    rig.bench.client.call("/recorder/discard")  # where a test failed in the middle of an episode


def assert_truth(file: Path, rows: int) -> str:
    """The file can be read, and its joints stand where the robot's did at each stamp. Returns why it ended early."""
    with EpisodeReader(file) as episode:
        assert episode.rows >= rows
        assert len(episode.timesteps()) == episode.rows + 1
        stamps, skew = episode.stamp_ns, episode.skew_ns
        assert stamps is not None
        assert skew is not None
        at = stamps + skew[:, episode.streams.index("left/puppet")]
        for j, (low, high) in enumerate(((0.0, 1.0), (0.0, 1.0), (0.02, 0.1))):
            wanted = (position(j, at) - low) / (high - low)
            np.testing.assert_allclose(episode.qpos[:, j], wanted, atol=2e-3 / (high - low))
        at = stamps + skew[:, episode.streams.index("left/master")]
        for j, high in enumerate((1.0, 1.0, 0.5)):
            wanted = position(j, at, master=True) / high
            np.testing.assert_allclose(episode.action[:, j], wanted, atol=2e-3 / high)
        return str(episode.attrs.get("aborted", ""))


FAULTS = [
    ("cam_a stop", r"cam_a: silent, nearest sample \d+ ms old"),
    ("cam_b stop", r"cam_b: silent"),
    ("cam_a delay 0.4", r"cam_a: (silent|late), nearest sample \d+ ms old"),
    ("cam_a freeze", r"cam_a: frozen, the same content for \d+ ms"),
    ("cam_b freeze", r"cam_b: frozen"),
    ("cam_a size 24x64", r"cam_a: image is 24x64; the contract says 48x64"),
    ("cam_b size 48x32", r"cam_b: image is 48x32; the contract says 48x64"),
    ("cam_a encoding yuv444", r"cam_a: encoding is 'yuv444'; allowed: \['rgb8'"),
    ("cam_a encoding rgba8", r"cam_a: \d+ bytes, 192 a row; too few for 48x64 rgba8"),
    ("cam_b encoding png", r"cam_b: compressed image of format 'png' is neither JPEG nor PNG; allowed: jpeg, png"),
    ("cam_a zero", r"cam_a: header.stamp is zero; .* `stamp: arrival`"),
    ("cam_a old -0.12", r"cam_a: stamped 1[012]\d ms ahead of its arrival: its clock or its driver is off"),
    ("cam_b cut 1", r"cam_b: \d+ JPEGs? cut off; USB bandwidth or cable\?"),
    ("cam_a old 5", r"cam_a: stamped 5\.\d+ s before its arrival"),
    ("cam_a old -5", r"cam_a: stamped 5\.\d+ s ahead of its arrival"),
    ("cam_a old 0.7", r"cam_a: stamps jumped back by 0\.[67]\d s"),
    ("left/puppet stop", r"left/puppet: silent"),
    ("left/master stop", r"left/master: silent"),
    ("left/puppet drop elbow", r"left/puppet: joint \['elbow'\] is not in the message; found \['waist', 'grip'\]"),
    ("left/master rename elbow:ellbow", r"left/master: joint \['elbow'\] is not in the message; found .*'ellbow'"),
    ("left/puppet nan waist", r"left/puppet: position of \['waist'\] is not a finite number"),
    ("left/master lost", r"left/master: every joint reads -3\.1416: the driver has lost its servos"),
    ("left/puppet jump 0.2,-49,0.05", r"left/puppet: elbow reads -49, its limits are -1 to 1: degrees\?"),
    ("left/master old 3", r"left/master: stamped 3\.\d+ s before its arrival"),
    ("base stop", r"base: silent"),
    ("base nan", r"base: twist \[nan, .*\] is not finite"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault for fault, _ in FAULTS])
def test_a_fault_is_named_within_a_second_and_the_rows_before_it_are_kept(rig: Rig, fault: str, words: str) -> None:
    stream = fault.split()[0]
    for _ in range(TRIES):
        began, since = time.monotonic(), rig.record(8)
        told = rig.robot.tell(fault)
        line = rig.recorder.expect(words, since=since)
        assert line.at - told.at < SOON + rig.bench.gauge.stood(told.at, line.at)
        why = assert_truth(rig.saved(since), 8)
        until(lambda: rig.value("state") == "idle" and f"{stream}: " in rig.summary(), "the status names the stream")
        rig.robot.tell(f"{stream} well")
        rig.ready()
        if why.startswith(f"{stream}: ") or not rig.stalled(began):
            break  # else another stream was silent too: the machine kept the robot waiting
    assert why.startswith(f"{stream}: ")


def test_joints_in_another_order_with_another_among_them_are_read_by_name(patient: Rig) -> None:
    rig = patient
    rig.robot.tell("left/puppet reorder")
    rig.robot.tell("left/master reorder")
    rig.record(15)
    since = rig.recorder.mark()
    rig.command("stop")
    assert assert_truth(rig.saved(since), 15) == ""


def test_an_arm_that_teleop_holds_is_noted_in_the_episode(patient: Rig) -> None:
    rig = patient
    out = rig.bench.client.node.create_publisher(DiagnosticStatus, "/teleop/status", 10)
    rig.record(8)
    for _ in range(20):
        out.publish(DiagnosticStatus(values=[KeyValue(key="phase_left", value="blocked")]))
        time.sleep(0.1)
    since = rig.recorder.mark()
    rig.command("stop")
    with EpisodeReader(rig.saved(since)) as episode:
        assert "left: held, a joint does not follow its commands" in str(episode.attrs["warnings"])


def test_a_jittering_camera_is_named_and_what_is_repeated_is_marked(rig: Rig) -> None:
    rig.record(5)
    since = rig.recorder.mark()
    told = rig.robot.tell("cam_a jitter 0.4")
    line = rig.recorder.expect("cam_a: ", since=since)
    assert line.at - told.at < SOON + rig.bench.gauge.stood(told.at, line.at)
    until(lambda: int(rig.value("rows")) > 20 or rig.value("state") == "idle", "more rows, or an early end")
    if rig.value("state") == "recording":
        rig.command("stop")
    file = rig.saved(since)
    assert_truth(file, 5)
    with EpisodeReader(file) as episode:
        assert episode.flags is not None
        column = episode.streams.index("cam_a")
        held = (episode.flags[:, column] & Flag.HELD) > 0
        assert held.any()
        assert episode.attrs["rows_held"] == ((episode.flags & Flag.HELD) > 0).any(axis=1).sum()
        doubled = [
            np.array_equal(episode.jpeg("cam_a", int(row)), episode.jpeg("cam_a", int(row) - 1))
            for row in np.flatnonzero(held)
            if row
        ]
        assert all(doubled)


def test_bad_messages_among_good_ones_are_named_once_and_recording_goes_on(patient: Rig) -> None:
    rig = patient
    rig.record(5)
    since = rig.recorder.mark()
    rig.robot.tell("left/puppet odd")
    rig.recorder.expect(r"left/puppet: joint \['waist'\] is not in the message", since=since)
    until(lambda: int(rig.value("rows")) > 25, "it goes on")
    rig.robot.tell("left/puppet well")
    rig.recorder.expect("left/puppet: recovered", since=since)
    rig.command("stop")
    assert assert_truth(rig.saved(since), 25) == ""
    said = [line.text for line in rig.recorder.lines[since:] if "left/puppet: joint" in line.text]
    assert len(said) == 1


def test_a_second_publisher_is_named_written_down_and_keeps_the_next_from_starting(patient: Rig) -> None:
    rig = patient
    rig.record(5)
    since = rig.recorder.mark()
    told = rig.robot.tell("left/puppet double")
    line = rig.recorder.expect("left/puppet: 2 publishers on /puppet/joint_states; allowed: one", since=since)
    assert line.at - told.at < SOON + rig.bench.gauge.stood(told.at, line.at)
    until(lambda: "2 publishers" in rig.summary(), "the status says so too")
    rig.command("stop")
    file = rig.saved(since)
    assert assert_truth(file, 5) == ""
    words = "left/puppet: 2 publishers on /puppet/joint_states; allowed: one; found /fake_robot, /fake_robot"
    assert f"warning: recorder: {words}" in map(str, check_episode(file).warnings)
    until(lambda: rig.value("state") == "idle", "idle")
    answer = rig.bench.client.call("/recorder/start")
    assert (answer.success, answer.message) == (False, f"not started: {words}")
    rig.robot.tell("left/puppet well")
    rig.record(3)


def test_a_clock_ahead_keeps_an_episode_from_starting(rig: Rig) -> None:
    rig.ready()
    rig.robot.tell("cam_a old -0.1")
    until(lambda: "cam_a: stamped" in rig.summary(), "the status names it")
    until(lambda: -105 < float(rig.value("delay_ms_cam_a")) < -50, "the status shows the delay")
    answer = rig.bench.client.call("/recorder/start")
    assert not answer.success
    assert "ms ahead of its arrival" in answer.message


@pytest.mark.parametrize("fault", ["cut 6", "zeros"])
def test_cut_jpegs_cost_a_row_each_and_zeros_behind_them_nothing(bench: Bench, fault: str) -> None:
    rig = Rig(bench, bench.contract(cameras=[camera("cam_b", "compressed")]))
    since = rig.record(5)
    rig.robot.tell(f"cam_b {fault}")
    until(lambda: int(rig.value("rows")) > 40, "it goes on")
    rig.command("stop")
    file = rig.saved(since)
    assert assert_truth(file, 40) == ""
    report = check_episode(file)
    assert not [finding for finding in report.findings if finding.check == "jpegs"]
    said = [line.text for line in rig.recorder.lines if "JPEGs cut off" in line.text or "JPEG cut off" in line.text]
    assert len(said) == (1 if fault == "cut 6" else 0)
    assert any("cut off; USB bandwidth" in str(f) for f in report.warnings) == (fault == "cut 6")
    with EpisodeReader(file) as episode:
        lengths = episode.compress_len
        assert lengths is not None
        assert (lengths < 3000).all()


def test_efforts_that_are_not_measured_end_nothing(patient: Rig) -> None:
    rig = patient
    rig.robot.tell("left/puppet effort none")
    rig.record(10)
    since = rig.recorder.mark()
    rig.robot.tell("left/puppet effort grip")
    rows = int(rig.value("rows"))
    until(lambda: int(rig.value("rows")) > rows + 10, "it goes on")
    rig.robot.tell("left/puppet well")  # neither velocities nor efforts
    rows = int(rig.value("rows"))
    until(lambda: int(rig.value("rows")) > rows + 10, "it goes on")
    rig.command("stop")
    rig.recorder.expect(r"left/puppet: effort of \['grip'\] is not measured in \d+ of \d+ rows", since=since)
    file = rig.saved(since)
    assert assert_truth(file, 30) == ""
    with EpisodeReader(file) as episode:
        assert episode.effort is not None
        assert episode.qvel is not None
        missing = np.isnan(episode.effort).sum(axis=0)
        assert 5 <= missing[0] == missing[1] < missing[2]
        assert np.isfinite(episode.effort[:8]).all()
        np.testing.assert_array_equal(np.isnan(episode.qvel[:, 0]), np.isnan(episode.effort[:, 0]))
    report = check_episode(file)
    assert report.ok, list(map(str, report.errors))


def test_a_dead_stream_keeps_an_episode_from_starting(rig: Rig) -> None:
    rig.robot.tell("cam_b stop")
    until(lambda: "cam_b: silent" in rig.summary(), "the status names it")
    answer = rig.bench.client.call("/recorder/start")
    assert not answer.success
    assert "cam_b: silent" in answer.message
