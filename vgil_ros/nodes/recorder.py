"""The recorder: teleoperation in, checked episodes out.

Decisions are made elsewhere: which samples belong together in `core.sync`, when an episode starts and ends in
`core.session`, what a file holds in `episodes`. This node converts, calls and publishes.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.task import Future as RosFuture
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from tqdm import tqdm

from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.gestures import GripperGesture
from vgil_ros.core.layout import POSITION, Layout
from vgil_ros.core.session import Command, Effect, Reply, Session, State
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.nodes import status
from vgil_ros.nodes.episode_sink import EpisodeSink, Recording
from vgil_ros.nodes.inputs import StreamInputs
from vgil_ros.nodes.keys import Keys
from vgil_ros.nodes.runtime import VgilNode, run

KEYS = {"s": Command.TOGGLE, "d": Command.DISCARD, "r": Command.REDO, "q": Command.QUIT}
RESET_TIMEOUT_NS = 10_000_000_000


class Recorder(VgilNode):
    """Records episodes of a robot (see `core.session` for how a session goes)."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.contract, text = load_contract(self.declare("robot", "sim_aloha"))
        self.layout = Layout(self.contract)
        self.streams = streams_of(self.contract)
        self.recording = self._recording(text)
        self.session = self._make_session()
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz)
        self.inputs = StreamInputs(self, self.contract, self.sync)
        self.sink = EpisodeSink(self.recording, ObservationBuilder(self.layout, self.streams))
        self.skew = status.SkewWindow(self.streams)
        self.status = status.StatusPublisher(self, "/recorder/status", self.contract.name)
        self.gesture = GripperGesture() if self.declare("gripper_start", False) else None
        self.success: bool | None = None
        self._closing: tuple[Future, bool, bool] | None = None  # future, to be saved, counts as an episode
        self._resetting: tuple[RosFuture, int] | None = None
        self._aborted: str | None = None
        self._buttons: list[int] = []
        self._bar: tqdm | None = None
        self._connect()
        self.keys = Keys() if self.declare("keys", True) else None
        self.sync.start(self.inputs.now_ns())
        self.create_timer(0.5 / self.contract.rate_hz, self._step)
        self.create_timer(0.2, self._publish_status)
        self.create_timer(1.0, self._look_around)
        self._say_hello()

    def _recording(self, text: str) -> Recording:
        if not all(arm.master for arm in self.contract.arms):
            arms = [arm.name for arm in self.contract.arms if not arm.master]
            raise VgilError(f"robot '{self.contract.name}': arm {arms} has no master; a recording needs one each")
        image_format = self.declare("image_format", "jpeg")
        if image_format not in ("jpeg", "raw"):
            raise VgilError(f"parameter image_format is '{image_format}'; allowed: jpeg, raw")
        folder = Path(self.declare("dataset_dir", "episodes")).expanduser().absolute()
        return Recording(
            self.contract,
            text,
            self.streams,
            folder,
            task=self.declare("task", ""),
            image_format=image_format,
            quality=self.declare("jpeg_quality", 90),
            min_free_bytes=int(self.declare("min_free_gb", 1.0) * 1024**3),
        )

    def _make_session(self) -> Session:
        on_interrupt = self.declare("on_interrupt", "save")
        if on_interrupt not in ("save", "discard"):
            raise VgilError(f"parameter on_interrupt is '{on_interrupt}'; allowed: save, discard")
        counts = {name: self.declare(name, 0) for name in ("num_episodes", "episode_len")}
        for name, value in counts.items():
            if value < 0:
                raise VgilError(f"parameter {name} is {value}; allowed: 0 (no end) or more")
        return Session(
            **counts,
            autostart=self.declare("autostart", False),
            pause_ns=int(self.declare("reset_time", 5.0) * 1e9),
            marker_rows=self.contract.end_marker.rows if self.contract.end_marker else 0,
            save_on_quit=on_interrupt == "save",
        )

    def _connect(self) -> None:
        for name, command in (("start", Command.START), ("stop", Command.STOP), ("discard", Command.DISCARD)):
            self.create_service(Trigger, f"/recorder/{name}", self._service(command))
        self.create_service(Trigger, "/recorder/redo", self._service(Command.REDO))
        reset = self.declare("reset_service", "")
        self._reset_client: Any = self.create_client(Trigger, reset) if reset else None
        success = self.declare("success_topic", "")
        if success:
            self.create_subscription(Bool, success, self._on_success, 10)
        if self.contract.joystick:
            self.create_subscription(Joy, self.contract.joystick.topic, self._on_joy, 10)

    def _service(self, command: Command) -> Any:
        def answer(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            reply = self.command(command)
            response.success, response.message = reply.ok, reply.message
            return response

        return answer

    def _on_success(self, message: Bool) -> None:
        self.success = message.data

    def _on_joy(self, message: Joy) -> None:
        buttons = self.contract.joystick
        assert buttons is not None
        pairs = ((buttons.start, Command.TOGGLE), (buttons.discard, Command.DISCARD), (buttons.redo, Command.REDO))
        before, self._buttons = self._buttons, list(message.buttons)
        for index, command in pairs:
            if index is None or index >= len(self._buttons):
                continue
            if self._buttons[index] and not (index < len(before) and before[index]):
                self.command(command)

    def command(self, command: Command) -> Reply:
        """Take an operator's command, whichever way it came."""
        reply = self.session.command(command, self.inputs.missing(self.inputs.now_ns()))
        log = self.get_logger()
        (log.info if reply.ok else log.warning)(reply.message)
        self._do(reply.effects)
        return reply

    def interrupted(self) -> None:
        """Ctrl-C: save or discard, as asked; a second one ends at once (the `.part` can be repaired)."""
        if self.session.state is State.DONE or self._interrupts:
            self.finish(1)
        self._interrupts += 1

    _interrupts = 0

    def _step(self) -> None:
        """Twice a tick: commands, then every ripe tick, then whatever has come to its end."""
        now = self.inputs.now_ns()
        if self._interrupts == 1:
            self._interrupts = 2
            self.command(Command.QUIT)
        for key in self.keys.pressed() if self.keys else ():
            if key in KEYS:
                self.command(KEYS[key])
        while (found := self.sync.sample(now)) is not None:
            self._take(found)
        self._watch_gesture(now)
        self._watch_reset(now)
        self._watch_closing(now)
        if self.session.state in (State.IDLE, State.PAUSE, State.WAITING):
            missing = self.inputs.missing(now)
            if self.session.state is State.WAITING and missing:
                self.trouble("waiting", f"waiting for: {'; '.join(missing)}")
            else:
                self.recovered("waiting")
            self._do(self.session.advance(now, missing))

    def _take(self, found: Sample | Miss) -> None:
        if self.session.state is not State.RECORDING:
            if isinstance(found, Sample):
                self.skew.add(found)
            return
        if isinstance(found, Miss):
            words = "; ".join(self.inputs.explain(miss) for miss in found.streams)
            if self.session.samples == 0:  # nothing recorded yet: begin a moment later
                self.trouble("beginning", f"waiting for the first complete tick: {words}")
                self.sync.start(self.inputs.now_ns())
                return
            if found.action == "drop":
                self.sink.dropped += 1
                self.trouble("dropped", f"tick {found.tick} left out: {words}")
                return
            self._abort(words)
            return
        self.skew.add(found)
        self.recovered("beginning")
        try:
            self.sink.push(found, self.session.marker())
        except VgilError as error:
            self._abort(str(error))
            return
        if self._bar is not None:
            self._bar.update(1)
        self._do(self.session.sampled())

    def _abort(self, reason: str) -> None:
        self.get_logger().error(f"episode ended early, what was recorded is kept: {reason}")
        self._aborted = reason
        self._do(self.session.aborted())

    def _do(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            getattr(self, f"_{effect.value}")()

    def _reset(self) -> None:
        if self._reset_client is None:
            self.session.prepared()
            return
        deadline = self.inputs.now_ns() + RESET_TIMEOUT_NS
        if self._reset_client.service_is_ready():
            self._resetting = (self._reset_client.call_async(Trigger.Request()), deadline)
        else:
            self._resetting = (RosFuture(), deadline)
            self.trouble("reset", f"waiting for the service {self._reset_client.srv_name}")

    def _watch_reset(self, now: int) -> None:
        if self._resetting is None or self._reset_client is None:
            return
        future, deadline = self._resetting
        if future.done():
            self._resetting = None
            response: Any = future.result()
            if not response.success:
                self.get_logger().error(f"{self._reset_client.srv_name} refused: {response.message}")
            self.recovered("reset")
            self.success = None
            self.sync.start(now)
            self.session.prepared()
        elif now > deadline or (self._reset_client.service_is_ready() and "reset" in self._troubles):
            self.recovered("reset")
            self._reset()

    def _open(self) -> None:
        self._aborted = None
        self.sync.start(self.inputs.now_ns())
        self.sink.open()
        self._bar = tqdm(
            total=self.session.episode_len + 1 if self.session.episode_len else None,
            desc=f"episode {self.session.saved + 1}" + (f"/{n}" if (n := self.session.num_episodes) else ""),
            unit=" ticks",
            disable=None,
            leave=False,
            mininterval=0.2,
        )
        self.get_logger().info(f"recording episode {self.session.saved + 1}")

    def _save(self) -> None:
        self._close_bar()
        extra = {"aborted": self._aborted} if self._aborted else {}
        self._closing = (self.sink.close(self.success, **extra), True, self._aborted is None)

    def _discard(self) -> None:
        self._close_bar()
        self._closing = (self.sink.discard(), False, False)

    def _finish(self) -> None:
        self.finish(0)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _watch_closing(self, now: int) -> None:
        if self._closing is None or not self._closing[0].done():
            return
        future, keep, counts = self._closing
        self._closing = None
        saved: Path | None = None
        try:
            saved = future.result()
        except VgilError as error:
            self.get_logger().error(str(error))
        if saved is not None:
            size = saved.stat().st_size / 1e6
            self.get_logger().info(f"saved {saved} ({size:.1f} MB{self._success_words()})")
        self._do(self.session.closed(now, saved=keep and saved is not None, counts=counts))
        if self.session.state is State.PAUSE:
            self.get_logger().info(f"next episode in {self.session.pause_ns / 1e9:.0f} s: reset the scene")

    def _success_words(self) -> str:
        return "" if self.success is None else ", success" if self.success else ", no success"

    def _watch_gesture(self, now: int) -> None:
        if self.gesture is None or self.session.state is not State.IDLE:
            return
        widths = []
        for arm in self.layout.arms:
            ring = self.sync.rings[f"{arm.arm.name}/master"]
            if arm.arm.gripper and ring.payloads:
                column = arm.arm.joints.index(arm.arm.gripper.joint)
                widths.append(arm.master.normalise(ring.payloads[-1][POSITION])[column])
        if self.gesture.update(now, np.array(widths)):
            self.command(Command.START)

    def _look_around(self) -> None:
        doubled = self.inputs.doubled()
        if doubled:
            self.trouble("publishers", "; ".join(doubled))
        else:
            self.recovered("publishers")

    def _publish_status(self) -> None:
        now = self.inputs.now_ns()
        missing = self.inputs.missing(now)
        state = self.session.state
        values: dict[str, object] = {
            "state": state.value,
            "robot": self.contract.name,
            "task": self.recording.task,
            "episodes saved": self.session.saved,
            "episodes wanted": self.session.num_episodes or "until told",
            "rows": self.sink.rows,
            "rows dropped": self.sink.dropped,
            "disk free [GB]": self._free_gigabytes(),
        }
        values |= {f"rate {s.name} [Hz]": f"{self.inputs.rate(s.name, now):.0f}" for s in self.streams}
        values |= self.skew.figures()
        words = "; ".join((*missing, *self.troubles)) or self._spoken(now)
        level = status.ERROR if missing else status.WARN if self.troubles else status.OK
        self.status.publish(level, words, values)

    def _spoken(self, now: int) -> str:
        session = self.session
        if session.state is State.RECORDING:
            return f"recording episode {session.saved + 1}: {self.sink.rows} rows"
        if session.state is State.PAUSE:
            return f"reset the scene: next episode in {max(0, session.pause_ends_ns - now) / 1e9:.0f} s"
        return f"{session.state.value}: {session.saved} episodes saved"

    def _free_gigabytes(self) -> str:
        folder = self.recording.dataset_dir
        while not folder.exists():
            folder = folder.parent
        return f"{shutil.disk_usage(folder).free / 1e9:.1f}"

    def _say_hello(self) -> None:
        log = self.get_logger()
        log.info(f"robot {self.contract.name}: {len(self.streams)} streams, {self.contract.rate_hz:g} Hz")
        log.info(f"episodes go to {self.recording.dataset_dir}")
        if self.keys and self.keys.available:
            log.info("keys: s start/stop, d discard, r redo, q quit")
        elif not self.session.autostart:
            log.info("no terminal for keys: use the services /recorder/start, stop, discard, redo")

    def on_shutdown(self) -> None:
        """Give the terminal back; an episode still open is saved, or left as a `.part` that can be repaired."""
        self._close_bar()
        if self.keys:
            self.keys.close()
        if self._closing is not None:
            self._closing[0].exception(timeout=5.0)


def main() -> None:
    """Entry point of the executable `recorder`."""
    run(Recorder)


if __name__ == "__main__":
    main()
