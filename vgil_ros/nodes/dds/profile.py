"""Choice of the DDS profile that the machine can carry, so that images are never lost in silence.

Stock Fast DDS moves an image of 480x640 in pieces through a shared-memory segment of 512 KiB and drops what does not
fit. Our profiles (config/dds) make the segments large. Every process takes a whole segment of /dev/shm when it starts;
where that fails, Fast DDS goes on without shared memory and says so in its own log alone. So the room is counted here,
before anything starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from vgil_ros.assets import share_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.dds import shm_segments

SHM = Path("/dev/shm")
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
TRACING, TRACING_BYTES = "lttng-ust-wait-*", 2 * 4096  # a page for all users and one for this one
MEND = "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm"
PROCESSES = 6  # simulator or drivers, teleop, recorder or policy, monitor, RViz, one tool
OVERHEAD = 1.06  # what Fast DDS takes for a segment, over the segment's size
UDP_BUFFER = 4 << 20  # bytes, as in fastdds_udp.xml: an image from each of four cameras
_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
RMW_OF_FAST_DDS_3 = 9  # rmw_fastrtps_cpp's major version from which on it is built on Fast DDS 3; Jazzy's is 8
_FAST_DDS_2 = ("humble", "iron", "jazzy")  # they read the second variable; with it, Fast DDS 3 warns


@dataclass(frozen=True)
class Profile:
    """A profile of config/dds, and the size of its segments in bytes (0: no shared memory)."""

    file: str
    segment: int

    @property
    def needed(self) -> int:
        """Bytes of /dev/shm that all processes of a robot take together."""
        return int(self.segment * OVERHEAD * PROCESSES)


LARGE = Profile("fastdds.xml", 64 << 20)
SMALL = Profile("fastdds_small.xml", 8 << 20)
UDP = Profile("fastdds_udp.xml", 0)


@dataclass(frozen=True)
class TransportPlan:
    """What to do before the first process starts.

    Attributes:
        profile: the profile chosen; None where the choice is not ours.
        environment: variables to set for every process.
        messages: what to tell the user.
    """

    profile: Profile | None
    environment: Mapping[str, str]
    messages: tuple[str, ...]


def choose(free: int) -> Profile:
    """Return the best profile for so many free bytes of shared memory."""
    return next((profile for profile in (LARGE, SMALL) if profile.needed <= free), UDP)


def chosen(environment: Mapping[str, str]) -> str | None:
    """The variable that already names a Fast DDS profile, None where there is none."""
    return next((name for name in _VARIABLES if environment.get(name)), None)


def profile_variable(environment: Mapping[str, str]) -> str:
    """The variable in which this ROS 2's Fast DDS takes its profile: by the distribution that is sourced, or by the
    version of PyPI's packages, which set no ROS_DISTRO."""
    distribution = environment.get("ROS_DISTRO")
    if distribution:
        return _VARIABLES[1] if distribution in _FAST_DDS_2 else _VARIABLES[0]
    try:
        major = int(metadata.version("ros-rmw-fastrtps-cpp").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return _VARIABLES[0]
    return _VARIABLES[1] if major < RMW_OF_FAST_DDS_3 else _VARIABLES[0]


def prepare(environment: Mapping[str, str], *, folder: Path = SHM) -> TransportPlan:
    """Remove segments without an owner, count the room, and choose a profile.

    Args:
        environment: the environment that the processes will get; a profile set there is left as it is.
        folder: where shared memory lies.
    """
    rmw = environment.get("RMW_IMPLEMENTATION", "")
    if rmw and not rmw.startswith("rmw_fastrtps"):
        return TransportPlan(None, {}, (f"RMW_IMPLEMENTATION is {rmw}: no Fast DDS profile is set",))
    messages = shm_segments.clean(folder)
    own = chosen(environment)
    if own is not None:
        return TransportPlan(None, {}, (*messages, f"{own} is set: {environment[own]} is left as it is"))
    free = _free(folder)
    profile = choose(free)
    messages += _explain(profile, free, folder)
    variable = profile_variable(environment)
    path = share_dir() / "config" / "dds" / profile.file
    return TransportPlan(profile, {variable: str(path)}, tuple(messages))


def too_full(folder: Path = SHM) -> str | None:
    """Why a process would die as it loads ROS 2, in words; None where it would not.

    The libraries of ROS 2 are built with LTTng's tracing, which maps two small files of this folder and looks into
    them. Where not a byte is free the kernel ends the process by SIGBUS, before a line of ours is run.
    """
    try:
        status = os.statvfs(folder)
        there = sum(path.stat().st_blocks * 512 for path in folder.glob(TRACING))
    except OSError:  # no such folder: then nothing is mapped
        return None
    free = status.f_bavail * status.f_frsize
    if status.f_blocks == 0 or free + there >= TRACING_BYTES:
        return None
    return (
        f"{folder} has {free} bytes free of {status.f_blocks * status.f_frsize >> 20} MiB; {TRACING_BYTES} are needed, "
        "or a process that loads ROS 2 is ended by SIGBUS"
    )


def need_room(folder: Path = SHM) -> None:
    """Refuse to load ROS 2 where its processes would die; called before rclpy is imported.

    Segments that killed processes left are removed first, as they may be what fills the folder.

    Raises:
        VgilError: not enough is free even so.
    """
    if too_full(folder) is None:
        return
    shm_segments.clean(folder)
    if (words := too_full(folder)) is not None:
        raise VgilError(f"{words}. Mend: remove what fills it (ls -lS {folder}), or a larger one ({MEND})")


def _free(folder: Path) -> int:
    try:
        status = os.statvfs(folder)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def _explain(profile: Profile, free: int, folder: Path) -> list[str]:
    if profile is LARGE:
        return []
    wanted = f"{LARGE.needed >> 20} MiB are wanted"
    mend = f"Mend: a larger one ({MEND})"
    room = f"{folder} has {free >> 20} MiB free, {wanted}"
    if profile is SMALL:
        return [f"{room}: segments of {SMALL.segment >> 20} MiB are used, enough for few or small cameras. {mend}"]
    messages = [f"{room}: too little for shared memory, UDP is used. {mend}"]
    limit = _rmem_max()
    if limit is not None and limit < UDP_BUFFER:
        messages.append(
            f"net.core.rmem_max is {limit}, {UDP_BUFFER} is wanted: images WILL be lost over UDP. "
            f"Mend: sysctl -w net.core.rmem_max={UDP_BUFFER}, or the larger {folder}"
        )
    return messages


def _rmem_max() -> int | None:
    try:
        return int(RMEM_MAX.read_text())
    except (OSError, ValueError):  # not shown inside some containers
        return None
