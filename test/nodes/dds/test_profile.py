"""The transport's profile follows from the room in shared memory; segments of killed processes go, others stay."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from support.nodes.domains import own_domain

from vgil_ros.assets import share_dir
from vgil_ros.cli.doctor.computer import shared_memory
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.dds import profile as transport
from vgil_ros.nodes.dds import shm_segments

DDS = share_dir() / "config" / "dds"
DOMAIN = str(own_domain())
LATER = 3600.0  # seconds from now, when no file counts as just made
PUBLISH = """
import sys, time, rclpy
rclpy.init()
node = rclpy.create_node("publisher")
publisher = node.create_publisher(__import__("std_msgs.msg").msg.String, "/words", 10)
print("up", flush=True)
time.sleep(60)
"""
EXCHANGE = """
import sys, threading, time, rclpy
from rclpy.qos import qos_profile_sensor_data as qos
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node(sys.argv[1] + "r")
image = Image(height=480, width=640, step=1920, encoding="rgb8", data=bytes(480 * 640 * 3))
if sys.argv[1] == "publish":
    out = [node.create_publisher(Image, f"/cam_{i}", qos) for i in range(4)]
    end = time.monotonic() + 20
    while min(each.get_subscription_count() for each in out) == 0 and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1)
    for k in range(30):
        image.header.frame_id = str(k)
        for each in out:
            each.publish(image)
        time.sleep(0.05)
    time.sleep(1)
else:
    received = []
    for i in range(4):
        node.create_subscription(Image, f"/cam_{i}", lambda m, i=i: received.append((i, m.header.frame_id)), qos)
    end = time.monotonic() + 30
    while len(received) < 120 and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.5)
        if any(k == "29" for _, k in received) and len(received) < 120:
            end = min(end, time.monotonic() + 1)
    print("received", len(set(received)))
"""


def small_shm(megabytes: int, command: str) -> str:
    """A command in a mount namespace of its own, where /dev/shm has this size."""
    return f"unshare --mount sh -c 'mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm && {command}'"


MOUNTS = (
    shutil.which("unshare") is not None
    and subprocess.run(small_shm(1, "true"), shell=True, capture_output=True).returncode == 0
)
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="needs the right to mount")


@pytest.fixture
def publisher() -> Iterator[subprocess.Popen[str]]:
    """A process with a Fast DDS segment in /dev/shm."""
    environment = {**os.environ, "ROS_DOMAIN_ID": DOMAIN}
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISH], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def mapped_by(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line[line.index("/dev/shm") :] for line in lines if "/dev/shm/fast" in line}


def test_a_killed_publishers_segment_is_removed_and_a_living_ones_stays(publisher: subprocess.Popen[str]) -> None:
    segments = {Path(name) for name in mapped_by(publisher.pid)}
    own = {s.path for s in shm_segments.find(transport.SHM, now=time.time() + LATER) if s.path in segments}
    assert own, "the publisher has no segment"
    assert all(s.alive for s in shm_segments.find(transport.SHM, now=time.time() + LATER) if s.path in own)
    publisher.send_signal(signal.SIGKILL)
    publisher.wait(timeout=60)
    assert all(path.exists() for path in own), "killed, and yet it has cleaned up"
    assert not any(s.alive for s in shm_segments.find(transport.SHM, now=time.time() + LATER) if s.path in own)
    messages = shm_segments.clean(transport.SHM, now=time.time() + LATER)
    assert any("removed" in message and "killed" in message for message in messages)
    assert not any(path.exists() or path.with_name(path.name + "_el").exists() for path in own)


def test_what_is_no_segment_or_just_made_stays(tmp_path: Path) -> None:
    names = ["fastdds_0123456789abcdef", "fastrtps_0123456789abcdef", "fastdds_port7411", "sem.fastdds_port7411_mutex"]
    for name in [*names, "fastdds_0123456789abcdef_el", "other"]:
        (tmp_path / name).write_bytes(b"x" * 5000)
    assert shm_segments.clean(tmp_path) == []
    messages = shm_segments.clean(tmp_path, now=time.time() + LATER)
    assert "2 shared-memory segments" in messages[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[2:], "other"])


def test_a_locked_segment_stays(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "fastdds_0123456789abcdef").write_bytes(b"x")
    with open(tmp_path / "fastdds_0123456789abcdef_el", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert shm_segments.clean(tmp_path, now=time.time() + LATER) == []
    assert shm_segments.clean(tmp_path, now=time.time() + LATER) != []


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user's file")
def test_another_users_segment_is_named_and_stays(tmp_path: Path) -> None:
    segment = tmp_path / "fastdds_0123456789abcdef"
    segment.write_bytes(b"x")
    os.chown(segment, 12345, 12345)
    messages = shm_segments.clean(tmp_path, now=time.time() + LATER)
    assert segment.exists()
    assert "12345" in messages[0]
    assert str(segment) in messages[0]


def test_the_best_profile_that_fits_is_chosen() -> None:
    assert transport.choose(1 << 30) is transport.LARGE
    assert transport.choose(transport.LARGE.needed - 1) is transport.SMALL
    assert transport.choose(64 * 1000 * 1000) is transport.SMALL  # a plain container's /dev/shm
    assert transport.choose(transport.SMALL.needed - 1) is transport.UDP
    assert transport.choose(0) is transport.UDP


@needs_mounts
@pytest.mark.parametrize(
    ("size", "file", "words"), [(64, "fastdds_small.xml", "--shm-size"), (8, "fastdds_udp.xml", "UDP")]
)
def test_a_small_folder_gets_a_smaller_profile_and_a_plain_word(
    tmp_path: Path, size: int, file: str, words: str
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(tmp_path)], check=True)
    try:
        plan = transport.prepare({}, folder=tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert plan.environment == {"FASTDDS_DEFAULT_PROFILES_FILE": str(DDS / file)}
    assert words in plan.messages[0]
    assert f"{size} MiB free" in plan.messages[0]


@needs_mounts
@pytest.mark.parametrize("command", ["-m vgil_ros.nodes sim", "-m vgil_ros.cli.main status"])
def test_where_not_a_byte_is_free_a_process_says_so_in_place_of_dying(command: str) -> None:
    """Loading ROS 2 there ends a process by SIGBUS: LTTng's page cannot be had."""
    run = f"{sys.executable} {command}; echo code $?"
    fill = "head -c 2m /dev/zero > /dev/shm/fill 2>/dev/null"
    done = subprocess.run(
        small_shm(1, f"{{ {fill}; {run}; }}"), shell=True, capture_output=True, text=True, timeout=120
    )
    assert "/dev/shm has 0 bytes free of 1 MiB; 8192 are needed" in done.stderr + done.stdout
    assert "code 2" in done.stdout
    assert "Traceback" not in done.stderr


@needs_mounts
def test_what_killed_processes_left_is_removed_before_shared_memory_is_called_full(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        segment = tmp_path / "fastdds_0123456789abcdef"
        with pytest.raises(OSError, match="No space"):
            segment.write_bytes(bytes(2 << 20))
        assert "0 bytes free of 1 MiB" in (transport.too_full(tmp_path) or "")
        (finding,) = shared_memory({}, tmp_path)
        assert (finding.level, finding.topic) == ("bad", "shared memory")
        with pytest.raises(VgilError, match="8192 are needed"):
            transport.need_room(tmp_path)  # it may be a living one's, just made
        os.utime(segment, (1, 1))
        transport.need_room(tmp_path)
        assert not segment.exists()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert transport.too_full(tmp_path / "missing") is None


def test_udp_buffers_that_the_kernel_refuses_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    monkeypatch.setattr(transport, "RMEM_MAX", limit)
    plan = transport.prepare({}, folder=tmp_path / "missing")
    assert plan.profile is transport.UDP
    assert "sysctl -w net.core.rmem_max=4194304" in plan.messages[-1]
    assert "212992" in plan.messages[-1]


@pytest.mark.parametrize("distro", ["humble", "jazzy"])
def test_fast_dds_2_gets_the_variable_that_it_reads(tmp_path: Path, distro: str) -> None:
    plan = transport.prepare({"ROS_DISTRO": distro}, folder=tmp_path)
    assert list(plan.environment) == ["FASTRTPS_DEFAULT_PROFILES_FILE"]


@pytest.mark.parametrize(("version", "prefix"), [("8.4.4", "FASTRTPS"), ("9.3.3", "FASTDDS"), (None, "FASTDDS")])
def test_packages_from_pypi_tell_by_their_version_how_they_take_a_profile(
    version: str | None, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise PackageNotFoundError(name)
        return version

    monkeypatch.setattr("importlib.metadata.version", installed)
    assert transport.profile_variable({}) == f"{prefix}_DEFAULT_PROFILES_FILE"


@pytest.mark.parametrize("variable", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"])
def test_a_users_own_profile_is_left(tmp_path: Path, variable: str) -> None:
    plan = transport.prepare({variable: "/mine.xml"}, folder=tmp_path)
    assert plan.environment == {}
    assert "/mine.xml" in plan.messages[0]


def test_another_middleware_gets_no_profile(tmp_path: Path) -> None:
    plan = transport.prepare({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, folder=tmp_path)
    assert plan.environment == {}
    assert "rmw_cyclonedds_cpp" in plan.messages[0]


@needs_mounts
@pytest.mark.parametrize(("size", "profile"), [(512, transport.LARGE), (64, transport.SMALL)])
def test_images_of_four_cameras_arrive_through_the_profile(
    tmp_path: Path, size: int, profile: transport.Profile
) -> None:
    """All of 30 bursts of four images, best effort, and Fast DDS has nothing to complain of."""
    (tmp_path / "exchange.py").write_text(EXCHANGE)
    run = f"{sys.executable} {tmp_path}/exchange.py"
    environment = {**os.environ, "ROS_DOMAIN_ID": DOMAIN}
    environment[transport.profile_variable(os.environ)] = str(DDS / profile.file)
    done = subprocess.run(
        small_shm(size, f"{run} publish & {run} subscribe; wait"),
        shell=True,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "received 120" in done.stdout
    assert "Error" not in done.stdout + done.stderr
