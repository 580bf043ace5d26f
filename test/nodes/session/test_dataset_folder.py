"""What stands against recording into a folder, found before anybody has shown the robot anything."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.contracts import camera, small_robot
from support.episodes import made_episodes as demo

pytest.importorskip("rclpy")

from vgil_ros.core.contract import Contract, parse_contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes import CameraMeta
from vgil_ros.nodes.session.dataset_folder import DatasetFolder


class Watch:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def contract(**changes: object) -> Contract:
    return parse_contract(yaml.safe_dump(small_robot(**changes)), "test")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_too_little_room_is_said_with_the_figures_and_nothing_is_made(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "data", contract(), 1 << 60, Watch())
    (problem,) = folder.problems(thorough=True)
    assert "MiB free; 1099511627776 MiB are needed to start an episode" in problem.detail
    assert not (tmp_path / "data").exists()


def test_a_folder_is_made_and_tried_only_when_an_episode_is_to_start(tmp_path: Path) -> None:
    watch = Watch()
    folder = DatasetFolder(tmp_path / "a" / "b", contract(), 0, watch)
    assert folder.problems() == ()
    assert not (tmp_path / "a").exists()
    assert folder.problems(thorough=True) == ()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_nobody_can_make_is_named_and_stays_so_until_it_works(tmp_path: Path) -> None:
    """As /proc, /sys, or a network folder: permissions say yes, and it does not work all the same."""
    watch = Watch()
    folder = DatasetFolder(Path("/proc/none/data"), contract(), 0, watch)
    (problem,) = folder.problems(thorough=True)
    assert problem.detail.startswith("/proc/none/data: cannot be written (")
    for _ in range(3):
        watch.s += 2
        assert [one.detail for one in folder.problems()] == [problem.detail], "also where it is asked kindly"


def test_a_disk_without_any_room_is_found_by_writing(small_disk: Path) -> None:
    watch = Watch()
    folder = DatasetFolder(small_disk, contract(), 0, watch)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError):
        ballast.write_bytes(bytes(2 << 20))
    (problem,) = folder.problems(thorough=True)
    assert problem.detail.startswith(f"{small_disk}: cannot be written (No space left on device); allowed: ")
    ballast.unlink()
    assert folder.problems(thorough=True) != (), "asked again too soon"
    assert folder.problems(thorough=True, now=True) == ()


def test_an_answer_stands_for_a_second(tmp_path: Path) -> None:
    watch = Watch()
    folder = DatasetFolder(tmp_path, contract(), 0, watch)
    assert folder.problems() == ()
    tmp_path.rename(tmp_path.with_name("gone"))
    tmp_path.write_text("a file")
    watch.s = 0.5
    assert folder.problems() == ()
    watch.s = 1.5
    (problem,) = folder.problems()
    assert "is no folder" in problem.detail


def record(folder: Path, robot: Contract) -> Path:
    text = yaml.safe_dump(small_robot())
    cameras = tuple(CameraMeta(c.name, c.height, c.width, "jpeg") for c in robot.cameras)
    meta = demo.meta(contract=text, rate_hz=robot.rate_hz, cameras=cameras, joint_names=Layout(robot).joint_names)
    return demo.write(folder, meta, 3)


def test_a_folder_of_another_set_up_is_refused_with_every_difference(tmp_path: Path) -> None:
    record(tmp_path, contract())
    changed = contract(rate_hz=50, cameras=[camera("cam_a"), camera("wrist")])
    folder = DatasetFolder(tmp_path, changed, 0, Watch())
    (problem,) = folder.problems()
    assert problem.detail == (
        f"{tmp_path} holds episodes of another set-up: rate_hz: 50 here, 25 in episode_0.hdf5;"
        " cameras: cam_a, wrist here, cam_a in episode_0.hdf5; give another dataset_dir, or continue_folder:=true to go"
        " on all the same"
    )
    assert folder.warnings == ()
    again = DatasetFolder(tmp_path, changed, 0, Watch(), go_on=True)
    assert again.problems() == ()
    assert again.warnings == (
        "rate_hz: 50 here, 25 in episode_0.hdf5",
        "cameras: cam_a, wrist here, cam_a in episode_0.hdf5",
    )
    assert DatasetFolder(tmp_path, contract(), 0, Watch()).problems() == ()


def test_a_newest_episode_that_cannot_be_read_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "episode_4.hdf5").write_bytes(b"broken")
    assert DatasetFolder(tmp_path, contract(), 0, Watch()).problems() == ()


def test_what_a_killed_recorder_left_is_named(tmp_path: Path) -> None:
    (tmp_path / "episode_4.hdf5.part").write_bytes(b"x")
    assert [part.name for part in DatasetFolder(tmp_path, contract(), 0, Watch()).left_behind()] == [
        "episode_4.hdf5.part"
    ]
