"""Full disks, folders that cannot be written, two recorders, too many rows, wrong rows."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dm_env
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from support.paths import process_environment

from vgil_ros.core.frame import Frame
from vgil_ros.episodes import DiskFull, EpisodeError, EpisodeReader, EpisodeWriter, Overrun, WriteFailed
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.recovery.repair import repair, whole_rows
from vgil_ros.episodes.writing.disk import MIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_too_little_room_to_start(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"MiB free; \d+ MiB are needed to start"):
        EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=1 << 60)
    assert not list(tmp_path.iterdir())


def test_disk_that_fills_leaves_a_whole_episode(small_disk: Path) -> None:
    writer = EpisodeWriter(small_disk, demo.meta(cameras=demo.BIG), min_free_bytes=2 * MIB)
    error = demo.fill(writer)
    assert isinstance(error, DiskFull)
    assert "recording stopped after" in str(error)
    path = writer.close()
    with EpisodeReader(path) as episode:
        assert episode.rows > 3
        assert "2 MiB" in episode.attrs["stopped"] or "less than" in episode.attrs["stopped"]
        np.testing.assert_array_equal(episode.image("cam_a", episode.rows - 1)[:3], demo_image(episode.rows - 1)[:3])
    assert check_episode(path).ok


def demo_image(t: int) -> np.ndarray:
    return demo.image(t, (240, 320), 1)


def test_disk_that_is_full_at_once_leaves_a_part_that_is_repaired(small_disk: Path, tmp_path: Path) -> None:
    """No reserve: HDF5 itself meets the end of the disk."""
    writer = EpisodeWriter(small_disk, demo.meta(cameras=demo.BIG), min_free_bytes=0)
    ballast = small_disk / "ballast"
    for t in range(4):
        demo.add(writer, t)
    threading.Event().wait(1.2)  # two flushes
    ballast.write_bytes(bytes(3 * MIB))
    error = _fill_from(writer, 4)
    assert isinstance(error, DiskFull)
    assert "no space left" in str(error)
    with pytest.raises(WriteFailed, match="repair"):
        writer.close()
    part = small_disk / "episode_0.hdf5.part"
    assert part.exists()
    ballast.unlink()
    copy = tmp_path / part.name
    copy.write_bytes(part.read_bytes())
    result = repair(copy)
    assert result.rows >= 4
    assert check_episode(result.path).ok


def _fill_from(writer: EpisodeWriter, start: int) -> WriteFailed:
    for t in range(start, 200):
        try:
            demo.add(writer, t)
        except Overrun:
            threading.Event().wait(0.05)
        except WriteFailed as error:
            return error
        threading.Event().wait(0.005)
    raise AssertionError("the disk never filled")


LIMITED = """
import resource, sys, time
from support.episodes import made_episodes as demo
from vgil_ros.episodes import EpisodeWriter, WriteFailed
writer = EpisodeWriter(sys.argv[1], demo.meta(cameras=demo.BIG), min_free_bytes=0)
demo.add(writer, 0)
time.sleep(1.2)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
try:
    for t in range(1, 100):
        demo.add(writer, t)
        time.sleep(0.02)
except WriteFailed as error:
    print("stopped:", error)
try:
    writer.close()
except WriteFailed as error:
    print("close:", error)
"""


def test_a_write_that_fails_is_said_and_repairable(tmp_path: Path) -> None:
    """Without the right to mount: the system refuses to let the file grow."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, env=process_environment(), capture_output=True, text=True, timeout=60)
    # older HDF5 (1.12) crashes at exit over a file that it could not flush: after all is said and kept
    assert done.returncode in (0, -signal.SIGSEGV), done.stderr
    assert "stopped:" in done.stdout
    part = tmp_path / "episode_0.hdf5.part"
    assert f"`vgil episodes repair {part}` recovers its rows" in done.stdout
    assert repair(tmp_path / "episode_0.hdf5.part").rows >= 1


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(WriteFailed, match=r"data: cannot be written \(File exists\)"):
        EpisodeWriter(tmp_path / "data", demo.meta(), min_free_bytes=0)


def test_a_read_only_disk(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(WriteFailed, match=r"cannot be written \(Read-only file system\)"):
        EpisodeWriter(small_disk, demo.meta(), min_free_bytes=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(WriteFailed, match=r"cannot be written \(Permission denied\)"):
        EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)


RECORD = """
import sys
from support.episodes import made_episodes as demo
for _ in range(6):
    print(demo.write(sys.argv[1], demo.meta(), 3).name)
"""


def _until_they_are_in(writer: EpisodeWriter, rows: int) -> None:
    until = time.monotonic() + 10
    while whole_rows(writer.part) < rows and time.monotonic() < until:
        threading.Event().wait(0.02)


def _until_it_stops(writer: EpisodeWriter) -> WriteFailed:
    until = time.monotonic() + 10
    while writer.error is None and time.monotonic() < until:
        threading.Event().wait(0.02)
    assert writer.error is not None
    return writer.error


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EACCES])
def test_a_disk_that_does_not_answer_for_a_moment_ends_the_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t in range(5):
        demo.add(writer, t)
    _until_they_are_in(writer, 5)

    def away(of: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *given: Any, **how: Any) -> Any:
            if path == writer.part:
                raise OSError(number, os.strerror(number), str(path))
            return of(path, *given, **how)

        return call

    with monkeypatch.context() as patch:
        for name in ("stat", "open"):
            patch.setattr(Path, name, away(getattr(Path, name)))
        assert os.strerror(number) in str(_until_it_stops(writer))
        assert "somebody has removed it" not in str(writer.error)
        with pytest.raises(WriteFailed, match="recording stopped after 5 rows"):
            demo.add(writer, 5)
        with pytest.raises(WriteFailed, match=f"repair {writer.part}` recovers its rows"):
            writer.close(success=True)
    assert repair(writer.part).rows == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_whose_thread_is_gone_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    for t in range(5):
        demo.add(writer, t)
    _until_they_are_in(writer, 5)

    def dies(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(writer._worker, "_guard", dies)
    for t in range(5, 8):
        demo.add(writer, t)
    with pytest.raises(WriteFailed, match=f"3 of its 8 rows were never written.*repair {writer.part}` recovers its"):
        writer.close(success=True)
    assert repair(writer.part).rows == 5


def test_two_recorders_on_one_folder_never_share_a_number(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", RECORD, str(tmp_path)]] * 3
    recorders = [subprocess.Popen(c, env=process_environment(), stdout=subprocess.PIPE, text=True) for c in commands]
    names = [name for recorder in recorders for name in recorder.communicate(timeout=60)[0].split()]
    assert len(set(names)) == 18
    assert {p.name for p in tmp_path.iterdir()} == set(names)
    for name in names:
        assert check_episode(tmp_path / name).ok


def test_open_recordings_have_their_own_numbers_and_discard_frees_them(tmp_path: Path) -> None:
    writers = [EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0) for _ in range(3)]
    for writer in writers:
        demo.add(writer, 0)
    writers[2].discard()
    writers[1].discard()
    assert writers[0].close().name == "episode_0.hdf5"
    assert demo.write(tmp_path, demo.meta(), 2).name == "episode_1.hdf5"


def test_a_saved_file_is_never_overwritten(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    demo.add(writer, 0)
    (tmp_path / "episode_0.hdf5").write_bytes(b"put here by hand")
    assert writer.close().name == "episode_1.hdf5"
    assert (tmp_path / "episode_0.hdf5").read_bytes() == b"put here by hand"


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert demo.write(tmp_path, demo.meta(), 2).name == "episode_0.hdf5"
    assert [p.name for p in tmp_path.iterdir()] == ["episode_0.hdf5"]


def test_overrun_names_the_row_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("vgil_ros.episodes.image_codec.encode", lambda *_: gate.wait(20) and b"\xff\xd8\xff\xd9")
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0, queue_bytes=1)
    threading.Timer(15, gate.set).start()
    for t in range(8):
        demo.add(writer, t)
    threading.Event().wait(0.2)  # the writer takes one, and waits for its images
    demo.add(writer, 8)
    with pytest.raises(Overrun, match=r"episode_0\.hdf5\.part: row 9 was not taken, 8 rows wait already"):
        demo.add(writer, 9)
    taken = writer.rows
    gate.set()
    with EpisodeReader(writer.close(dropped_rows=2)) as episode:
        assert episode.rows == taken
        assert episode.attrs["rows_dropped"] == 3


def test_no_row_is_no_episode(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0)
    with pytest.raises(EpisodeError, match="no row was recorded"):
        writer.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"skew_ns": [0, 0]}, r"skew_ns has shape \(2,\); allowed: \(4,\)"),
        ({"flags": [0] * 5}, r"flags has shape \(5,\)"),
    ],
)
def test_wrong_sync_is_named(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0) as writer:
        demo.add(writer, 0)
        with pytest.raises(EpisodeError, match=reason):
            demo.add(writer, 1, **changes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda o: o.update(base_vel=np.zeros(2)),
            r"has \['qpos', 'qvel', 'base_vel'\]; this episode has \['qpos', 'qv",
        ),
        (lambda o: o.update(qvel=np.zeros(2)), r"qvel has shape \(2,\); allowed: \(3,\)"),
        (lambda o: o.update(qpos=np.zeros(2)), r"qpos has shape \(2,\); allowed: \(3,\)"),
        (lambda o: o["images"].pop("cam_a"), r"images are \['cam_b'\]; this episode has \['cam_a', 'cam_b'\]"),
        (lambda o: o["images"].update(cam_a=np.zeros((9, 9, 3), np.uint8)), r"cam_a: image is uint8 \(9, 9, 3\)"),
        (lambda o: o["images"].update(cam_a=demo.frame(demo.image(0, (32, 32)), "rgb8")), "cam_a: image is 32x32"),
        (
            lambda o: o["images"].update(cam_a=Frame(48, 64, "16UC1", 128, memoryview(bytes(6144)))),
            "cam_a: encoding is",
        ),
    ],
)
def test_wrong_observation_is_named_and_nothing_of_it_is_kept(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    m = demo.meta()
    writer = EpisodeWriter(tmp_path, m, min_free_bytes=0)
    demo.add(writer, 0)
    seen = demo.observation(1, m)
    change(seen)
    sync: dict[str, Any] = {"stamp_ns": 0, "skew_ns": [0] * 4, "flags": [0] * 4}
    with pytest.raises(EpisodeError, match=reason):
        writer.append(dm_env.transition(0.0, seen), demo.action(1, m), **sync)
    demo.add(writer, 1)
    with EpisodeReader(writer.close()) as episode:
        assert episode.rows == 2


def test_order_of_timesteps_is_held(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path, demo.meta(), min_free_bytes=0) as writer:
        with pytest.raises(EpisodeError, match="TimeStep 0 is MID; allowed: FIRST at 0 alone"):
            demo.add(writer, 1)
        demo.add(writer, 0)
        demo.add(writer, 1, last=True)
        with pytest.raises(EpisodeError, match="the last TimeStep is in"):
            demo.add(writer, 2)
    with pytest.raises(EpisodeError, match="already closed"):
        demo.add(writer, 2)
