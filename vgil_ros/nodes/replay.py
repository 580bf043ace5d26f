"""Replays an episode's actions on a robot, through the same safety limits as a policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from vgil_ros.assets import load_contract
from vgil_ros.core.control.pipeline import safety_for
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, Layout
from vgil_ros.core.safety import Command, Context, Outcome
from vgil_ros.core.streams import Kind, policy_streams
from vgil_ros.core.sync import Synchronizer
from vgil_ros.episodes.reader import read_episode
from vgil_ros.nodes.base.node import VgilNode, run
from vgil_ros.nodes.messages.publishers import RobotCommands
from vgil_ros.nodes.messages.subscriptions import StreamInputs

MAX_AGE_NS = 200_000_000
START = 0.05  # rad: the replay begins once the robot is this near to the first action


class Replay(VgilNode):
    """Goes slowly to the first action, then sends one action a tick, and holds at the end."""

    def __init__(self) -> None:
        super().__init__("replay")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha"))
        self.layout = Layout(self.contract)
        path = Path(self.declare("episode", "")).expanduser()
        self.actions, self.base = self._read(path)
        self.dry_run = self.declare("dry_run", False)
        period = 1.0 / self.contract.rate_hz
        self.streams = policy_streams(self.contract, cameras=())
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz)
        self.inputs = StreamInputs(self, self.contract, self.sync)
        ages = {spec.name: MAX_AGE_NS for spec in self.streams}
        self.safety = safety_for(self.layout, ages, max_silence_ns=MAX_AGE_NS)
        self.commands = RobotCommands(self, self.layout, period)
        self._row = 0
        self._tick = 0
        self._started = False
        self._bar = tqdm(total=len(self.actions), desc=path.name, unit=" ticks", disable=None, leave=False)
        self.every(period, self._step)

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        """The episode's actions (T, J) and base velocities (T, 2), held against the robot."""
        if not path.name:
            raise VgilError("parameter episode is empty; allowed: an episode's .hdf5 file")
        with read_episode(path) as episode:
            actions = np.asarray(episode.aligned_action(), np.float64)
            base = episode.base_action if self.contract.base else None
            names, rate = episode.joint_names, episode.rate_hz
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
        now = self.inputs.now_ns()
        missing = self.inputs.missing(now)
        missing += () if self._started or self.dry_run else self.commands.unheard()
        if missing and not self._started:
            self.trouble("waiting", f"waiting for: {'; '.join(missing)}")
            return
        self.recovered("waiting")
        self._started = True
        row = min(self._row, len(self.actions) - 1)
        outcome = self.safety.step(Command(self.actions[row], self._base_at(row)), self._circumstances(now))
        self._send(outcome)
        self._tick += 1
        if outcome.holding or outcome.command is None:
            self.trouble("holding", "holding: " + "; ".join(i.reason for i in outcome.interventions))
            return
        self.recovered("holding")
        first = np.clip(self.actions[0], self.layout.lower, self.layout.upper)
        if self._row == 0 and np.abs(outcome.command.positions - first).max() > START:
            return  # still on the way to the first action
        self._row += 1
        self._bar.update(1)
        if self._row >= len(self.actions):
            self.get_logger().info(f"replayed {len(self.actions)} ticks; interventions: {dict(self.safety.counts)}")
            self.finish(0)

    def _base_at(self, row: int) -> np.ndarray | None:
        if not self.contract.base:
            return None
        return np.zeros(2) if self.base is None or self._row == 0 else self.base[row]

    def _circumstances(self, now: int) -> Context:
        rings = [self.sync.rings[s.name] for s in self.streams]
        ages = {s.name: None if r.newest is None else now - r.newest for s, r in zip(self.streams, rings, strict=True)}
        puppets = [r.payloads[-1] for s, r in zip(self.streams, rings, strict=True) if s.kind is Kind.JOINTS]
        return Context(
            tick=self._tick,
            now_ns=now,
            period_s=1.0 / self.contract.rate_hz,
            measured=self.layout.state(puppets)[POSITION],
            stream_ages_ns=ages,
            last_policy_ns=now,  # the file answers at once
        )

    def _send(self, outcome: Outcome) -> None:
        if outcome.command is not None and not self.dry_run:
            self.commands.send(self.commands.encode(outcome.command.positions, outcome.command.base))

    def on_shutdown(self) -> None:
        """Arms held where they were commanded, base at zero."""
        self._bar.close()
        if self._started:
            self.commands.hold_and_end(self._hold)

    def _hold(self) -> None:
        self._send(self.safety.step(None, self._circumstances(self.inputs.now_ns())))


def main() -> None:
    """Entry point of the executable `replay`."""
    run(Replay)


if __name__ == "__main__":
    main()
