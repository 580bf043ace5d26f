"""The executables: light until a node's modules are loaded, so that a missing package is one line, and Ctrl-C none."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from vgil_ros.core.errors import VgilError
from vgil_ros.extras import needed_by

INTERRUPTED = 130  # as a shell has it


def start(name: str) -> None:
    """Load a node and run it; the process ends with its exit code, 2 where a package or shared memory is missing."""
    signal.signal(signal.SIGINT, _interrupted)  # the node's own comes once it is loaded
    from vgil_ros.nodes.dds.profile import need_room  # what it loads takes a while: only now is Ctrl-C none

    try:
        need_room()
        with needed_by(f"node '{name}'"):
            main: Callable[[], None] = importlib.import_module(f"vgil_ros.nodes.{name}").main
    except VgilError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    main()


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Nothing is open yet, and an exception could come up in the middle of any import."""
    os._exit(INTERRUPTED)


def recorder() -> None:
    """Run the node `recorder`."""
    start("recorder")


def policy() -> None:
    """Run the node `policy`."""
    start("policy")


def teleop() -> None:
    """Run the node `teleop`."""
    start("teleop")


def sim() -> None:
    """Run the node `sim`."""
    start("sim")


def replay() -> None:
    """Run the node `replay`."""
    start("replay")


def monitor() -> None:
    """Run the node `monitor`."""
    start("monitor")


def jog() -> None:
    """Run the node `jog`."""
    start("jog")


def posture() -> None:
    """Run the node `posture`."""
    start("posture")


def webcam() -> None:
    """Run the node `webcam`."""
    start("webcam")


def feetech() -> None:
    """Run the node `feetech`."""
    start("feetech")


def bringup() -> None:
    """Run the node `bringup`."""
    start("bringup")


def web() -> None:
    """Run the node `web`."""
    start("web")
