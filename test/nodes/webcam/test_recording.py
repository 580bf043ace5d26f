"""From an unplugged box to an episode: the launch file starts the webcam, the recorder takes its own JPEGs."""

from __future__ import annotations

from pathlib import Path

from support import contracts
from support.nodes.bench import Bench
from support.process import Process
from support.webcams import HEIGHT, WIDTH, FakeWebcams

from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.reader import EpisodeReader

ROWS = 25


def test_an_episode_of_a_webcam_passes_the_check(bench: Bench, tmp_path: Path) -> None:
    webcams = FakeWebcams(tmp_path / "bench")
    device = webcams.add()
    bench.robot(contracts.write(contracts.small_robot(cameras=[]), tmp_path / "joints.yaml"))
    size = {"height": HEIGHT, "width": WIDTH, "device": str(device.path), "controls": {"exposure": 166}}
    robot = contracts.small_robot(cameras=[contracts.camera("cam_a", "compressed", **size)])
    contract = contracts.write(robot, tmp_path / "robot.yaml")
    bench.environment.update(webcams.environment)
    settings = [f"episode_len:={ROWS}", "num_episodes:=1", "autostart:=true"]
    settings += ["max_aborted:=0", "count_bad:=false"]  # on a slow machine it goes on until one is good
    arguments = ("record.launch.py", f"robot:={contract}", f"dataset_dir:={bench.episodes}", *settings)
    launch = Process.python(["-m", "vgil_ros.cli.main", "launch", *arguments], bench.environment)
    try:
        assert launch.wait() == 0, launch.output
    finally:
        launch.close()
    assert "[webcam_cam_a]" in launch.output
    *_, file = sorted(bench.episodes.glob("*.hdf5"), key=lambda path: path.stat().st_mtime)
    report = check_episode(file)
    assert report.ok, report.findings
    with EpisodeReader(file) as episode:
        assert episode.rows == ROWS
        assert episode.jpeg_order("cam_a") == "rgb"
        stored = [bytes(episode.file["observations/images/cam_a"][row]).rstrip(b"\0") for row in range(ROWS)]
    assert set(stored) <= set(device.film), "the camera's own bytes"
    assert len(set(stored)) > ROWS // 2, "and one after the other"
