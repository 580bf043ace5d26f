"""The recorder: teleoperation in, checked episodes out.

Decisions are made elsewhere: which samples belong together in `core.sync`, when an episode starts and ends in
`core.session`, what a file holds in `episodes`. This node converts, calls and publishes.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Joy
from tqdm import tqdm

from vgil_ros.core.errors import VgilError
from vgil_ros.core.gripper_trigger import GripperTrigger
from vgil_ros.core.layout import POSITION
from vgil_ros.core.session import SessionCommand, SessionState
from vgil_ros.core.streams import Flag
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.writing.encoder import limit_opencv_threads
from vgil_ros.nodes.base.keyboard import Keys
from vgil_ros.nodes.base.node import run
from vgil_ros.nodes.session.recording import EpisodeSink, Recording
from vgil_ros.nodes.session.session import SessionNode

QUIET_NS = 1_000_000_000
KEYS = {"s": SessionCommand.TOGGLE, "d": SessionCommand.DISCARD, "r": SessionCommand.REDO, "q": SessionCommand.QUIT}


class Recorder(SessionNode):
    """Records episodes of a robot (see `core.session` for how a session goes)."""

    def __init__(self) -> None:
        super().__init__("recorder", rate_factor=2, running="recording", marks_end=True)
        self.sink = EpisodeSink(self._recording(), ObservationBuilder(self.layout, self.streams))
        doc = "closing all master grippers, having been open, for 0.3 s starts an episode"
        self.trigger = GripperTrigger() if self.declare("gripper_start", False, doc=doc) else None
        self._aborted: str | None = None
        self._last_seen: dict[str, int] = {}  # conditions that pass, and when they were met last
        self._buttons: list[int] = []
        self._bar: tqdm | None = None
        for command in (SessionCommand.START, SessionCommand.STOP, SessionCommand.DISCARD, SessionCommand.REDO):
            self.serve(command.value, command)
        if self.contract.joystick:
            self.create_subscription(Joy, self.contract.joystick.topic, self._on_joy, 10)
        self.keys = Keys() if self.declare("keys", True, doc="s d r q in a terminal") else None
        self._say_hello()

    def _recording(self) -> Recording:
        arms = [arm.name for arm in self.contract.arms if not arm.master]
        if arms:
            raise VgilError(f"robot '{self.contract.name}': arm {arms} has no master; a recording needs one each")
        folder = self.declare("dataset_dir", "episodes", doc="folder that the episodes go to")
        free_gb = self.declare("min_free_gb", 1.0, low=0.0, doc="GiB: refuse to start with less room on the disk")
        quality = self.declare("jpeg_quality", 90, low=1, high=100, doc="of what the recorder encodes itself")
        image_format = self.declare(
            "image_format", "jpeg", choices=("jpeg", "raw"), doc="a camera that sends JPEG is passed through"
        )
        return Recording(
            self.contract,
            self.contract_text,
            self.streams,
            _writable(Path(folder).expanduser().absolute()),
            task=self.task,
            image_format=image_format,
            quality=quality,
            min_free_bytes=int(free_gb * 1024**3),
        )

    def _on_joy(self, message: Joy) -> None:
        buttons = self.contract.joystick
        assert buttons is not None
        pairs = (
            (buttons.start, SessionCommand.TOGGLE),
            (buttons.discard, SessionCommand.DISCARD),
            (buttons.redo, SessionCommand.REDO),
        )
        before, self._buttons = self._buttons, list(message.buttons)
        for index, command in pairs:
            if index is None or index >= len(self._buttons):
                continue
            if self._buttons[index] and not (index < len(before) and before[index]):
                self.command(command)

    def step(self) -> None:
        """Keys and the gripper trigger, then the session."""
        for key in self.keys.pressed() if self.keys else ():
            if key in KEYS:
                self.command(KEYS[key])
        self._watch_trigger()
        super().step()

    def begin(self) -> None:
        """Open the episode; its file is made with its first row."""
        self._aborted = None
        self.sink.open()
        wanted = f"/{self.session.num_episodes}" if self.session.num_episodes else ""
        self._bar = tqdm(
            total=self.session.episode_len + 1 if self.session.episode_len else None,
            desc=f"episode {self.session.saved + 1}{wanted}",
            unit=" ticks",
            disable=None,
            leave=False,
            mininterval=0.2,
        )
        self.get_logger().info(f"recording episode {self.session.saved + 1}")

    def take(self, tick: Sample | Miss) -> None:
        """Write the tick, leave it out, or end the episode, as the synchroniser says."""
        if isinstance(tick, Miss):
            self._missed(tick)
            return
        self.clear("beginning")
        self._name_held(tick)
        self._settle()
        try:
            self.sink.push(tick, self.session.marker())
        except VgilError as error:
            self._give_up(str(error))
            return
        if self._bar is not None:
            self._bar.update(1)
        self.sampled()

    def _name_held(self, sample: Sample) -> None:
        """Say which streams are repeated; a jittering camera would otherwise show in the file alone."""
        for i in np.flatnonzero(sample.flags & int(Flag.HELD)):
            name = self.streams[i].name
            self._passing(f"{name} held", f"{name}: nothing within its tolerance, the last value is repeated")

    def _passing(self, key: str, message: str) -> None:
        """A condition that may come and go from tick to tick: it is over after a second without it."""
        self.warn_once(key, message)
        self._last_seen[key] = self.now_ns()

    def _settle(self, quiet_ns: int = QUIET_NS) -> None:
        now = self.now_ns()
        for key in [key for key, met_ns in self._last_seen.items() if now - met_ns >= quiet_ns]:
            del self._last_seen[key]
            self.clear(key)

    def _missed(self, miss: Miss) -> None:
        words = "; ".join(self.inputs.explain(m) for m in miss.streams)
        if self.session.samples == 0:  # nothing recorded yet: begin a moment later
            self.warn_once("beginning", f"waiting for the first complete tick: {words}")
            self.sync.start(self.now_ns())
        elif miss.action == "drop":
            self.sink.dropped += 1
            self._passing("dropped", f"tick {miss.tick} left out: {words}")
        else:
            self._give_up(words)

    def _give_up(self, reason: str) -> None:
        self.get_logger().error(f"episode ended early, what was recorded is kept: {reason}")
        self._aborted = reason
        self.abort()

    def save(self) -> Future[Path | None]:
        """Close the episode's file."""
        self._tidy()
        return self.sink.close(self.success, **({"aborted": self._aborted} if self._aborted else {}))

    def discard(self) -> Future[None]:
        """Remove the episode's file."""
        self._tidy()
        return self.sink.discard()

    def _tidy(self) -> None:
        self.clear("beginning")
        self._settle(quiet_ns=0)
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _watch_trigger(self) -> None:
        if self.trigger is None:
            return
        if self.session.state is not SessionState.IDLE:
            self.trigger.reset()  # grippers that hold something when an episode ends must not start the next
            return
        widths = []
        for arm in self.layout.arms:
            newest = self.sync.newest(f"{arm.arm.name}/master") if arm.arm.gripper else None
            if arm.arm.gripper and newest is not None:
                column = arm.arm.joints.index(arm.arm.gripper.joint)
                widths.append(arm.master.normalise(newest[1][POSITION])[column])
        if self.trigger.update(self.now_ns(), np.array(widths)):
            self.command(SessionCommand.START)

    def figures(self) -> dict[str, object]:
        """Rows and disk."""
        return {
            "rows": self.sink.rows,
            "rows_dropped": self.sink.dropped,
            "disk_free_gb": self._free_gigabytes(),
        }

    def _free_gigabytes(self) -> float:
        folder = self.sink.recording.dataset_dir
        while not folder.exists():
            folder = folder.parent
        return round(shutil.disk_usage(folder).free / 1e9, 1)

    def _say_hello(self) -> None:
        log = self.get_logger()
        log.info(f"robot {self.contract.name}: {len(self.streams)} streams, {self.contract.rate_hz:g} Hz")
        log.info(f"episodes go to {self.sink.recording.dataset_dir}")
        if self.keys and self.keys.available:
            log.info("keys: s start/stop, d discard, r redo, q quit")
        elif not self.session.autostart:
            log.info(
                f"no terminal for keys: use the services {self.full_name}/start, stop, discard, redo (vgil call start)"
            )

    def on_shutdown(self) -> None:
        """Give the terminal back and let a closing episode finish."""
        self._tidy()
        if self.keys:
            self.keys.close()
        super().on_shutdown()


def _writable(folder: Path) -> Path:
    """The folder, if episodes can be made in it; it is made itself with the first one.

    Raises:
        VgilError: where it cannot be written, before anybody has shown the robot anything.
    """
    at = folder
    while not at.exists():
        at = at.parent
    if not at.is_dir() or not os.access(at, os.W_OK | os.X_OK):
        what = "is no folder" if not at.is_dir() else "cannot be written"
        raise VgilError(f"parameter 'dataset_dir' is '{folder}': {at} {what}; allowed: a folder one may write")
    return folder


def main() -> None:
    """Entry point of the executable `recorder`."""
    limit_opencv_threads()
    run(Recorder)


if __name__ == "__main__":
    main()
