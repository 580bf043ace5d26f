"""The recorder: teleoperation in, checked episodes out.

Decisions are made elsewhere: which samples belong together in `core.sync`, when an episode starts and ends in
`core.session`, what a file holds in `episodes`. This node converts, calls and publishes.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vgil_ros.core.errors import VgilError
from vgil_ros.core.gripper_trigger import GripperTrigger
from vgil_ros.core.layout import POSITION
from vgil_ros.core.session import LABELS, SessionCommand, SessionState
from vgil_ros.core.streams import Flag
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.writing import disk
from vgil_ros.episodes.writing.encoder import limit_opencv_threads
from vgil_ros.episodes.writing.sink import EpisodeEnd, EpisodeSink, Recording
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.keyboard import Keys
from vgil_ros.nodes.base.node import run
from vgil_ros.nodes.hardware.robot_health import RobotHealth
from vgil_ros.nodes.session.buttons import Buttons
from vgil_ros.nodes.session.closing import EpisodeClosing
from vgil_ros.nodes.session.dataset_folder import DatasetFolder
from vgil_ros.nodes.session.neighbours import TeleopWatch
from vgil_ros.nodes.session.raw_log import RecorderLog
from vgil_ros.nodes.session.readiness import jpeg_words, ready_words, slow_words
from vgil_ros.nodes.session.session import SessionNode

REMEDY = "r records it again, d throws it away"
QUIET_NS = 1_000_000_000
READERS = {
    "jpeg": "images are stored as JPEG, which act-plus-plus, Mobile ALOHA and Cobot Magic read; the original ACT and"
    " Shaka-Labs' read raw ones alone: image_format:=raw, or `vgil episodes convert --to aloha` later",
    "raw": "images are stored raw, which every reader of ALOHA's files takes, in ten times the room of JPEG",
}
KEYS = {
    "s": SessionCommand.TOGGLE,
    "d": SessionCommand.DISCARD,
    "r": SessionCommand.REDO,
    "y": SessionCommand.LABEL_SUCCESS,
    "n": SessionCommand.LABEL_FAILURE,
    "u": SessionCommand.LABEL_UNSURE,
    "q": SessionCommand.QUIT,
}


class Recorder(SessionNode):
    """Records episodes of a robot (see `core.session` for how a session goes)."""

    def __init__(self) -> None:
        super().__init__("recorder", rate_factor=2, running="recording", records=True)
        doc = "episodes in a row that were aborted, or are bad and do not count, before autostart ends; 0: go on"
        self.session.max_failed = self.declare("max_aborted", 3, low=0, doc=doc)
        count_bad = self.declare("count_bad", True, doc="an episode in which the check finds errors counts as one")
        self.closing = EpisodeClosing(self, count_bad=count_bad, remedy=REMEDY, files=True)
        self.sink = EpisodeSink(self._recording(), ObservationBuilder(self.layout, self.streams))
        doc = "closing all master grippers, having been open, for 0.3 s starts an episode"
        self.trigger = GripperTrigger() if self.declare("gripper_start", False, doc=doc) else None
        doc = (
            "begin no episode before a teleop node says that the puppets follow; one that is heard is waited for anyhow"
        )
        self.teleop = TeleopWatch(self, wanted=self.declare("wait_for_teleop", False, doc=doc))
        self.health = RobotHealth(self, self.contract)
        doc = "keep every message as it came beside each episode (episode_N.mcap), for `vgil episodes from-bag`"
        self.raw_log = RecorderLog(
            self, self.inputs, self.sync, self.sink, wanted=self.declare("raw_log", False, doc=doc)
        )
        self._named = True  # the running episode's file was told of
        self._first = True
        self._told: set[str] = set()  # what episodes lacked, said once
        self._last_seen: dict[str, int] = {}  # conditions that pass, and when they were met last
        self._bar: tqdm | None = None
        for command in (
            SessionCommand.START,
            SessionCommand.STOP,
            SessionCommand.DISCARD,
            SessionCommand.REDO,
            *LABELS,
        ):
            self.serve(command.value, command)
        if self.contract.joystick:
            Buttons(self, self.contract.joystick, self.command)
        self.keys = Keys() if self.declare("keys", True, doc="s d r y n u q in a terminal") else None
        self._say_hello()

    def _recording(self) -> Recording:
        arms = [arm.name for arm in self.contract.arms if not arm.master]
        if arms:
            raise VgilError(f"robot '{self.contract.name}': arm {arms} has no master; a recording needs one each")
        folder = self.declare("dataset_dir", "episodes", doc="folder that the episodes go to")
        doc = "record into a folder whose newest episode has another rate, joints, cameras or gripper ranges"
        go_on = self.declare("continue_folder", False, doc=doc)
        free_gb = self.declare("min_free_gb", 1.0, low=0.0, doc="GiB: refuse to start with less room on the disk")
        quality = self.declare("jpeg_quality", 90, low=1, high=100, doc="of what the recorder encodes itself")
        image_format = self.declare(
            "image_format", "jpeg", choices=("jpeg", "raw"), doc="a camera that sends JPEG is passed through"
        )
        doc = "of cameras that send JPEG: camera (as it comes), peers (decoded and encoded anew), contract (as it says)"
        order = self.declare("jpeg_order", "contract", choices=("contract", "camera", "peers"), doc=doc)
        self.contract = self.contract.with_jpeg_order(order)
        needed = int(free_gb * 1024**3)
        path = _writable(Path(folder).expanduser().absolute())
        self.folder = DatasetFolder(path, self.contract, needed, time.monotonic, go_on=go_on)
        return Recording(
            self.contract,
            self.contract_text,
            self.streams,
            path,
            task=self.task,
            image_format=image_format,
            quality=quality,
            jpeg_order=order,
            min_free_bytes=needed,
            words=self.spoken.words,
        )

    def start_ticks(self) -> None:
        """As in every session; and tell the raw log."""
        now = self.now_ns()
        self.sync.start(now)
        self.raw_log.began(now)
        self.forget("raw log")  # what was said of the last one

    def unprepared(self) -> tuple[Problem, ...]:
        """A scene is reset when the puppets follow: an operator's script would run away from them."""
        return self.teleop.problems

    def not_ready(self) -> tuple[Problem, ...]:
        """As in every session; and puppets that do not follow yet."""
        return super().not_ready() + self.health.problems() + self.unprepared()

    def ready(self) -> None:
        """Say how to begin."""
        how = "s starts an episode" if self.keys and self.keys.available else "call /recorder/start"
        self.log(ready_words(len(self.streams), how))

    def step(self) -> None:
        """Keys and the gripper trigger, then the session."""
        for key in self.keys.pressed() if self.keys else ():
            if key in KEYS:
                self.command(KEYS[key])
        self._watch_trigger()
        super().step()

    def begin(self) -> None:
        """Open the episode; its file is made with its first row."""
        for key, words in list(self._active_warnings.items()):
            self._remember(key, words)
        self.task = self.spoken.task
        self.sink.open(self.task, self.spoken.words)
        self._named = False
        wanted = f"/{self.session.num_episodes}" if self.session.num_episodes else ""
        self._bar = tqdm(
            total=self.session.episode_len + 1 if self.session.episode_len else None,
            desc=f"episode {self.session.saved + 1}{wanted}",
            unit=" ticks",
            disable=None,
            leave=False,
            mininterval=0.2,
        )

    def _name_file(self) -> None:
        """Say which file it is, once there is one."""
        file = self.sink.file
        if self._named or file is None:
            return
        self._named = True
        wanted = f" of {self.session.num_episodes}" if self.session.num_episodes else ""
        self.log(f"recording episode {self.session.saved + 1}{wanted}: {file}")
        if not self._first:
            return
        self._first = False
        self.log(READERS[self.sink.recording.image_format])
        led = any(not arm.driver_follows_master for arm in self.contract.arms)
        if led and not self.teleop.heard:
            self.log("no teleop node is heard: recording without knowing whether the puppets follow their masters")

    def take(self, tick: Sample | Miss) -> None:
        """Write the tick, leave it out, or end the episode, as the synchroniser says."""
        if isinstance(tick, Miss):
            self._missed(tick)
            return
        self.clear("beginning")
        self._name_held(tick)
        self._settle()
        marker = self.session.marker()
        try:
            taken = self.sink.push(tick, marker)
        except VgilError as error:
            self.raw_log.tick(self.sampled_by_ns, tick, marker=marker, taken=False)
            self._give_up(str(error))
            return
        self.raw_log.tick(self.sampled_by_ns, tick, marker=marker, taken=taken)
        self._name_file()
        if self._bar is not None:
            self._bar.update(1)
        if taken:  # a length that was asked for is the length that is written
            self.sampled()

    def _name_held(self, sample: Sample) -> None:
        """Say which streams are repeated; a jittering camera would otherwise show in the file alone."""
        for i in np.flatnonzero(sample.flags & int(Flag.HELD)):
            name = self.streams[i].name
            rate = slow_words(self.inputs.rate(name, self.now_ns()), self.inputs.best_rate(name))
            self._passing(f"{name} held", f"{name}: nothing within its tolerance, the last value is repeated; {rate}")

    def warn_once(self, key: str, message: str) -> None:
        """As in every node; and what is warned of in an episode is written into its file."""
        super().warn_once(key, message)
        if self.session.state is SessionState.RUNNING:
            self._remember(key, message)

    def _remember(self, key: str, message: str) -> None:
        if key not in ("waiting", "beginning", "publishers"):  # publishers are noted one by one
            self.notes.add(key, message)

    def _passing(self, key: str, message: str) -> None:
        """A condition that may come and go from tick to tick: it is over after a second without it."""
        super().warn_once(key, message)  # the file's flags and stamps tell of it
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
            self.start_ticks()
            return
        self.raw_log.tick(self.sampled_by_ns, miss)
        if miss.action == "drop":
            self.sink.dropped += 1
            self._passing("dropped", f"tick {miss.tick} left out: {words}")
        else:
            self._give_up(words)

    def _give_up(self, reason: str) -> None:
        self.log(f"episode ended early: {reason}", severity="error")
        self.abort(reason)

    def save(self) -> Future[EpisodeEnd | None]:
        """Close the episode's file."""
        self._tidy()
        for words in self.sink.notes():
            if words not in self._told:
                self._told.add(words)
                self.log(words, severity="warning")
        how: dict[str, Any] = {"success": self.success, "aborted": self.aborted, "warnings": self.notes.lines()}
        how["label"] = self.session.label.verdict
        return self.sink.close(**how, log=self.raw_log.end(**how))

    def discard(self) -> Future[None]:
        """Remove the episode's file."""
        self._tidy()
        return self.sink.discard(self.raw_log.end())

    def _tidy(self) -> None:
        self.clear("beginning")
        self._settle(quiet_ns=0)
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def look_around(self) -> None:
        """As in every session; and note in the episode the arms that teleop holds or has let go of, and ill motors."""
        super().look_around()
        for problem in (*self.teleop.unled, *self.health.problems()):
            self.note(problem)
        for problem in self.raw_log.problems():
            self.warn_once(problem.key, problem.detail)

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
        """What is said of the next episode, rows and disk."""
        return {
            "task": self.spoken.task,
            **self.spoken.words,
            "rows": self.sink.rows,
            "rows_dropped": self.sink.dropped,
            "disk_free_gb": self.folder.free_gigabytes() if self.folder else 0.0,
        }

    def end_code(self) -> int:
        """0 only where everything that was asked for is recorded."""
        return 0 if self.session.complete and super().end_code() == 0 else 1

    def gave_up(self) -> None:
        """Say what to do."""
        simulated = self.contract.name.startswith("sim_") and not self.get_parameter("use_sim_time").value
        hint = " (sim_time:=true where this machine is too busy for the simulator)" if simulated else ""
        self.log(
            f"ending: {self.session.failed} episodes in a row were aborted or do not count; mend what is named above"
            f"{hint}, or give max_aborted:=0 to go on all the same",
            severity="error",
        )

    def _say_hello(self) -> None:
        log = self.get_logger()
        log.info(f"robot {self.contract.name}: {len(self.streams)} streams, {self.contract.rate_hz:g} Hz")
        for words in jpeg_words(self.contract):
            log.info(words)
        log.info(f"episodes go to {self.sink.recording.dataset_dir}")
        assert self.folder is not None
        for words in self.folder.warnings:
            self.log(
                f"this folder's newest episode is of another set-up: {words}; going on all the same", severity="warning"
            )
        if left := self.folder.left_behind():
            names = ", ".join(part.name for part in left[:3])
            words = f"{names} {'was' if len(left) == 1 else 'were'} left by a recorder that was killed"
            self.log(f"{words}: `vgil episodes repair {self.folder.folder}` recovers the rows", severity="warning")
        if self.keys and self.keys.available:
            log.info("keys: s start/stop, d discard, r redo; y success, n failure, u unsure; q quit")
        elif not self.session.autostart:
            log.info(
                f"no terminal for keys: use the services {self.full_name}/start, stop, discard, redo, label_success,"
                " label_failure, label_unsure (vgil call start)"
            )

    def on_shutdown(self) -> None:
        """Give the terminal back and let a closing episode finish."""
        self._tidy()
        if self.keys:
            self.keys.close()
        super().on_shutdown()
        if self.session.num_episodes and not self.session.complete:
            words = f"{self.session.saved} of {self.session.num_episodes} episodes were recorded"
            self.log(f"{words}; the same command goes on with the next number", severity="warning")


def _writable(folder: Path) -> Path:
    """The folder, if episodes can be made in it; it is made itself with the first one.

    Raises:
        VgilError: where it cannot be written, before anybody has shown the robot anything.
    """
    if (words := disk.unusable(folder, 0, try_it=False)) is not None:
        why = words.removeprefix(f"{folder}: ").removesuffix("; allowed: a folder one may write")
        raise VgilError(f"parameter 'dataset_dir' is '{folder}': {why}; allowed: a folder one may write")
    return folder


def main() -> None:
    """Entry point of the executable `recorder`."""
    limit_opencv_threads()
    run(Recorder)


if __name__ == "__main__":
    main()
