"""Replays an episode's actions on a robot, through the same safety limits as a policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vgil_ros.assets import load_contract
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import make_direct_pipeline
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, Outcome
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.core.sync.stall_grace import StallGrace
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.nodes.base.alerts import summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.safety_options import safety_options
from vgil_ros.nodes.messages.publishers import WATCH_S, RobotCommands
from vgil_ros.nodes.messages.subscriptions import StreamInputs

START = 0.05  # rad: the replay begins once the robot is this near to the first action


class Replay(VgilNode):
    """Goes slowly to the first action, then sends one action a tick, and holds at the end."""

    def __init__(self) -> None:
        super().__init__("replay")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        self.layout = Layout(self.contract)
        path = Path(self.declare("episode", "", doc="the episode's .hdf5 file; must be given")).expanduser()
        self.actions, self.base = self._read(path)
        self.dry_run = self.declare("dry_run", False, doc="compute, send nothing")
        period = 1.0 / self.contract.rate_hz
        self.streams = policy_streams(self.contract, cameras=())
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz, simulated=self.simulated)
        self.inputs = StreamInputs(self, self.contract, self.sync)
        options = replace(safety_options(self), following=not self.dry_run)  # what is not sent is not followed
        pipeline = make_direct_pipeline(options, self.layout, self.streams)
        self.loop = ControlLoop(self.sync, pipeline)
        self._stall_grace = StallGrace(round(period * 1e9))
        self.commands = RobotCommands(self, self.layout, period)
        self._row = 0
        self._started = False
        self._failed = False  # a joint does not follow: it is held until its command has come to where it is
        self._bar = tqdm(total=len(self.actions), desc=path.name, unit=" ticks", disable=None, leave=False)
        self.control_timer(period, self._step)
        self.background_timer(WATCH_S, self._watch_commands)

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        """The episode's actions (T, J) and base velocities (T, 2), held against the robot."""
        if not path.name:
            raise VgilError("parameter 'episode' is empty; allowed: an episode's .hdf5 file")
        with EpisodeReader(path) as episode:
            actions = np.asarray(episode.aligned_action(), np.float64)
            base = episode.aligned_base_action() if self.contract.base else None
            names, rate = episode.joint_names, episode.rate_hz
        if not len(actions) or (base is not None and len(base) != len(actions)):
            found = f"{len(actions)} actions" + ("" if base is None else f" and {len(base)} of the base")
            raise VgilError(f"{path}: found {found}; allowed: one or more, and as many of the base")
        if actions.shape[1] != self.layout.dim:
            raise VgilError(
                f"{path}: {actions.shape[1]} action dims; robot '{self.contract.name}' has {self.layout.dim}"
            )
        if names is not None and tuple(names) != self.layout.joint_names:
            raise VgilError(f"{path}: joints are {list(names)}; the robot's are {list(self.layout.joint_names)}")
        if rate is not None and abs(rate - self.contract.rate_hz) > 0.01 * rate:
            raise VgilError(f"{path}: recorded at {rate:g} Hz; the robot runs at {self.contract.rate_hz:g} Hz")
        for what, values in (("actions", actions), ("base_action", base)):
            if values is not None and not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values).all(axis=1)))
                raise VgilError(f"{path}: {what} of row {row} are not finite; allowed: numbers")
        return actions[:, : self.layout.joints], base

    def _step(self) -> None:
        if self.ended.is_set():
            return
        if self._failed:
            if not self._hold():
                self.finish(1)
            return
        now = self.inputs.now_ns()
        if not self._started and not self._start(now):
            return
        self._observe(now)
        if self.loop.latest is None:  # the first tick is complete a moment later
            return
        if not self.dry_run and not self.commands.sent and not self.commands.heard():
            if (deaf := self.commands.wait(self)) is not None:  # the first command must arrive
                self.log(f"not replayed: {deaf}", severity="error")
                self.finish(1)
            return
        self.clear("unheard")
        row = min(self._row, len(self.actions) - 1)
        self.loop.fault = "" if self.dry_run else self.commands.fault
        outcome = self.loop.send(Command(self.actions[row], self._base_at(row)), now)
        self._send(outcome)
        if (words := outcome.operator_needed) is not None:
            self.log(f"held at row {self._row} of {len(self.actions)}: {words}", severity="error")
            self._failed = True
            return
        if outcome.holding or outcome.command is None:
            self.warn_once("holding", "holding: " + "; ".join(i.reason for i in outcome.safety_events))
            return
        self.clear("holding")
        first = np.clip(self.actions[0], self.layout.lower, self.layout.upper)
        if self._row == 0 and np.abs(outcome.command.positions - first).max() > START:
            return  # still on the way to the first action
        self._row += 1
        self._bar.update(1)
        if self._row >= len(self.actions):
            self.get_logger().info(
                f"replayed {len(self.actions)} ticks; safety events: {dict(self.loop.pipeline.safety.counts)}"
            )
            self.finish(0)

    def _base_at(self, row: int) -> np.ndarray | None:
        if not self.contract.base:
            return None
        return np.zeros(2) if self.base is None or self._row == 0 else self.base[row]

    def _start(self, now: int) -> bool:
        """Begin once every stream comes and the commands would be heard."""
        missing = (() if self.dry_run else self.commands.hindrances()) + self.inputs.missing(now)
        if missing:
            self.wait_for(missing)
            return False
        self.clear("waiting")
        self._started = True
        if not self.dry_run:
            self.commands.take()
        self.loop.begin(now)
        return True

    def _watch_commands(self) -> None:
        """Where another node commands the robot too: hold once more, let go of it, and end."""
        if self.commands.taken and (contested := self.commands.contested()):
            self.log(f"{summary(contested)}: held, and let go of; the replay ends here", severity="error")
            if self.commands.sent:
                self._hold()
            self.commands.let_go()
            self.finish(1)

    def _observe(self, now: int) -> None:
        by = self._stall_grace.time(now)
        while (found := self.sync.sample(by)) is not None:
            if isinstance(found, Sample):
                self.loop.observe(found)

    def _send(self, outcome: Outcome) -> None:
        if outcome.command is not None and not self.dry_run:
            self.commands.send(self.commands.encode_safe(outcome))

    def on_shutdown(self) -> None:
        """Arms held where they were commanded, base at zero."""
        self._bar.close()
        if self.commands.sent:
            self.commands.hold_and_end(self._hold)

    def _hold(self) -> bool:
        """Send a hold; returns whether the command is still on its way to where it stays."""
        outcome = self.loop.hold(self.inputs.now_ns())
        self._send(outcome)
        return outcome.settling


def main() -> None:
    """Entry point of the executable `replay`."""
    run(Replay)


if __name__ == "__main__":
    main()
