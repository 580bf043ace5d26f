"""The doctor's look at the computer: packages, shared memory, disk, clock, graphics card, priorities. Without ROS."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import resource
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from vgil_ros import __version__
from vgil_ros.cli.doctor.findings import Health, bad, ok, warn
from vgil_ros.extras import EXTRA_OF
from vgil_ros.nodes.dds import profile as transport
from vgil_ros.nodes.dds import shm_segments

LITTLE_DISK = 5 << 30  # bytes: a few episodes of four cameras
UNSYNCHRONISED = 0x0040  # STA_UNSYNC of timex.h
NEEDED_FOR = {
    "ros": "nodes, launch files, vgil call|status|topics",
    "policy": "training and running policies",
    "diffusion": "policies of type diffusion",
    "vla": "policies of type smolvla",
    "train": "training on several GPUs, curves",
    "sim": "the simulated robot, vgil eval",
    "plot": "plots and videos",
    "remote": "policies at ws://HOST:PORT, vgil serve",
    "data": "data sets of LeRobot and zarr, raw logs, bags",
    "ray": "--ray: work over episodes on many machines",
}


def python() -> Health:
    """The interpreter and this package."""
    words = f"vgil_ros {__version__}, Python {platform.python_version()} in {sys.prefix}"
    return ok("python", words)


def extras() -> list[Health]:
    """The optional packages, by extra."""
    found = []
    for extra in dict.fromkeys(EXTRA_OF.values()):
        names = [name for name, its in EXTRA_OF.items() if its == extra]
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        if not missing:
            found.append(ok(f"[{extra}]", f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}: installed"))
            continue
        way = f"pip install 'vgil_ros[{extra}]'" + (", or source a ROS 2 installation" if extra == "ros" else "")
        purpose = NEEDED_FOR.get(extra, extra)
        found.append(warn(f"[{extra}]", f"{', '.join(missing)}: not installed; needed for {purpose}", way))
    return found


def ros(environment: Mapping[str, str]) -> Health:
    """Which ROS 2 this is, and its middleware."""
    if importlib.util.find_spec("rclpy") is None:
        return warn("ros", "no ROS 2 here", "source a ROS 2 installation, or pip install 'vgil_ros[ros]'")
    distribution = environment.get("ROS_DISTRO") or f"from PyPI, rclpy {_version('ros-rclpy', 'ros-jazzy-rclpy')}"
    rmw = environment.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp"
    words = f"ROS 2 {distribution}, {rmw}"
    if not rmw.startswith("rmw_fastrtps"):
        remedy = "its own settings must carry large images: the profiles of config/dds are for Fast DDS"
        return warn("ros", words, remedy)
    return ok("ros", words)


def _version(*names: str) -> str:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "of unknown version"


def shared_memory(environment: Mapping[str, str], folder: Path = transport.SHM) -> list[Health]:
    """Room for the DDS transport's segments, the profile that it allows, and segments that killed nodes left."""
    try:
        status = os.statvfs(folder)
    except OSError as error:
        return [
            warn("shared memory", f"{folder}: {error.strerror}", "docker run --shm-size=1g, or mount a tmpfs there")
        ]
    free, size = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    profile, own = transport.choose(free), transport.chosen(environment)
    room = f"{folder}: {free >> 20} of {size >> 20} MiB free"
    remedy = transport.MEND
    if (words := transport.too_full(folder)) is not None:
        found = [bad("shared memory", words, f"remove what fills it (ls -lS {folder}), or {remedy}")]
    elif own is not None:
        found = [ok("shared memory", f"{room}; {own} names a profile of yours: {environment[own]}")]
    elif profile is transport.LARGE:
        found = [ok("shared memory", f"{room}: enough for the profile {profile.file}")]
    else:
        need = f"{transport.LARGE.needed >> 20} MiB are wanted, so {profile.file} is used"
        found = [warn("shared memory", f"{room}; {need}", remedy)]
    dead = [segment for segment in shm_segments.find(folder) if not segment.alive]
    if dead:
        mib = sum(segment.size for segment in dead) >> 20
        words = f"{len(dead)} segments ({mib} MiB) of processes that were killed"
        found.append(warn("shared memory", words, "the next launch removes those of this user"))
    return found


def disk(folder: Path) -> Health:
    """Room for episodes."""
    usage = shutil.disk_usage(folder)
    words = f"{folder}: {usage.free >> 30} of {usage.total >> 30} GiB free"
    if usage.free < LITTLE_DISK:
        return warn("disk", words, f"make room: a recording wants {LITTLE_DISK >> 30} GiB and more")
    return ok("disk", words)


def graphics() -> Health:
    """Whether torch finds a GPU."""
    if importlib.util.find_spec("torch") is None:
        return warn("gpu", "torch is not installed", "pip install 'vgil_ros[policy]'")
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return ok("gpu", f"torch {torch.__version__}: {names}")
    if any(Path("/dev").glob("nvidia[0-9]*")):
        remedy = "take a torch that is built for this driver's CUDA (pytorch.org); nvidia-smi tells its version"
        return warn("gpu", f"torch {torch.__version__} does not use the GPU that is here", remedy)
    return ok("gpu", f"torch {torch.__version__}, no GPU: policies run on the CPU (device:=cpu)")


def clock() -> Health:
    """Whether the kernel's clock is kept by NTP or PTP; computers of one robot must agree."""
    synchronised = clock_synchronised()
    if synchronised is None:
        return warn("clock", "it cannot be found out whether it is kept by NTP", "timedatectl, or chronyc tracking")
    if not synchronised:
        remedy = "start chrony or systemd-timesyncd; stamps of two computers must agree to a few ms (one: no matter)"
        return warn("clock", "not kept by NTP or PTP", remedy)
    return ok("clock", "kept by NTP or PTP")


def clock_synchronised() -> bool | None:
    """What the kernel says (adjtimex); None where it does not."""
    buffer = (ctypes.c_long * 64)()  # struct timex: modes 0 only reads; status is the sixth long word on 64 bit
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(buffer))
    except (OSError, AttributeError):
        return None
    if state < 0 or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    status = ctypes.c_int.from_buffer(buffer, 5 * 8).value
    return not status & UNSYNCHRONISED


def priorities() -> Health:
    """Whether the control loop may have a real-time priority."""
    soft, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if os.geteuid() == 0 or soft == resource.RLIM_INFINITY or soft >= 10:
        return ok("priority", "the control loop may have a real-time priority")
    remedy = "add '@realtime - rtprio 50' and your user's group to /etc/security/limits.d, and log in anew"
    return warn("priority", "no real-time priority for the control loop: ticks of a busy machine may be late", remedy)
