"""Demonstrations of a simulated robot without ROS, as fast as the machine goes, in the files that the recorder writes.

The scripted operator moves the masters, the puppets follow by teleop's law (`core.leader_follower`), and the samples
come out of the same synchroniser into the same rows and the same writer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, ArmLayout
from vgil_ros.core.leader_follower import FollowerController, follower_of
from vgil_ros.core.session import Effect, Session
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.timesteps import EpisodeRow, ObservationBuilder, RowBuilder
from vgil_ros.episodes.meta import DEFAULT_QUALITY, EpisodeMeta
from vgil_ros.episodes.writer import EpisodeWriter
from vgil_ros.robots.sim.simulation import JOINT_RATE, SimWorld, drawn
from vgil_ros.robots.worlds import make_world, usual_ticks

TELEOP_STEPS = 2  # steps of the joints' rate to one of teleop's


@dataclass(frozen=True)
class DemonstrationConfig:
    """What is the same for all episodes.

    Attributes:
        robot: a contract's name or path.
        task: one that has an operator.
        episode_len: ticks; None takes the task's usual length.
        image_format, quality: as the recorder's.
    """

    robot: str
    task: str
    episode_len: int | None = None
    image_format: Literal["jpeg", "raw"] = "jpeg"
    quality: int = DEFAULT_QUALITY

    @property
    def ticks(self) -> int:
        """Actions in an episode."""
        return self.episode_len or usual_ticks(self.task)


@dataclass(frozen=True)
class GeneratedEpisode:
    """One episode: its seed, its file (None where it was not kept), whether the task was done, rows, time taken (s).

    `killed` says where it was not made at all, as the process that made it was killed.
    """

    seed: int
    path: Path | None
    success: bool
    rows: int
    seconds: float
    killed: str | None = None


class Teleoperation:
    """Puppets follow masters, at teleop's rate and with its delay: from the states heard before the step."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world
        self._arms = [(arm, follower_of(world.layout, arm)) for arm in world.layout.arms]
        self._last_states: dict[str, np.ndarray] = {}
        self._last_states_ns = 0

    def step(self) -> None:
        """Call it after each of the world's steps."""
        world = self._world
        if self._last_states and world.count % TELEOP_STEPS == 0:
            for arm, follower in self._arms:
                self._lead(arm, follower)
        self._last_states, self._last_states_ns = dict(world.states), world.now_ns

    def _lead(self, arm: ArmLayout, follower: FollowerController) -> None:
        name = arm.arm.name
        master = arm.master.normalise(self._last_states[f"{name}/master"][POSITION])
        puppet = arm.state.normalise(self._last_states[f"{name}/puppet"][POSITION])
        stamp = self._last_states_ns
        target = follower.step(self._world.now_ns, TELEOP_STEPS / JOINT_RATE, (master, stamp), (puppet, stamp))
        if target is not None:
            self._world.command_arm(name, arm.command.restore(target))


class Generator:
    """Makes episodes one after another; each follows from its seed alone.

    Raises:
        VgilError: where the robot cannot be simulated or has an arm without master, or the task has no operator.
    """

    def __init__(self, wanted: DemonstrationConfig) -> None:
        self.wanted = wanted
        contract, self._text = load_contract(wanted.robot)
        _need_masters(contract)
        self.world = make_world(contract, wanted.task, operator=True)

    def make(self, seed: int, folder: Path, *, only_success: bool = False) -> GeneratedEpisode:
        """Write one episode into a folder, under its next free number.

        Args:
            seed: of scene, operator and noise.
            folder: made where it is missing.
            only_success: drop it where the task is not done at its end.

        Raises:
            VgilError: where a file cannot be written, or a stream is missing (a contract whose tolerances are too
                narrow for the simulated cameras).
        """
        began = time.perf_counter()
        recording = _DemonstrationRecording(self, folder, seed)
        try:
            recording.run()
            success = self.world.robot.success()
            path = recording.save(success) if success or not only_success else None
        except BaseException:
            recording.drop()
            raise
        recording.drop()
        return GeneratedEpisode(seed, path, success, recording.rows, time.perf_counter() - began)

    def meta(self, row: EpisodeRow) -> EpisodeMeta:
        """The episode's meta, by its first row."""
        wanted = self.wanted
        return EpisodeMeta.from_contract(
            self.world.contract,
            self._text,
            self.world.streams,
            row.timestep.observation,
            task=wanted.task,
            image_format=wanted.image_format,
            quality=wanted.quality,
        )

    def close(self) -> None:
        """Free the images' context."""
        self.world.close()


def _need_masters(contract: Contract) -> None:
    without = [arm.name for arm in contract.arms if not arm.master]
    if without:
        raise VgilError(f"robot '{contract.name}': arm {without} has no master; a demonstration needs one each")


class _DemonstrationRecording:
    """One episode in the making."""

    def __init__(self, generator: Generator, folder: Path, seed: int) -> None:
        self._generator, self._world, self._folder, self._seed = generator, generator.world, folder, seed
        contract = self._world.contract
        self._builder = RowBuilder(ObservationBuilder(self._world.layout, self._world.streams))
        marker_rows = contract.end_marker.rows if contract.end_marker else 0
        self._session = Session(episode_len=generator.wanted.ticks, autostart=True, marker_rows=marker_rows)
        self._writer: EpisodeWriter | None = None
        self.rows = 0
        self.dropped = 0

    def run(self) -> None:
        """From the reset to the last sample."""
        world, session = self._world, self._session
        world.reset(self._seed)
        teleop = Teleoperation(world) if isinstance(world, SimWorld) else None
        session.advance(world.now_ns, ())
        session.prepared()
        begin = int(world.rng.integers(*world.begin_steps, endpoint=True))
        while True:
            if world.count == begin:
                session.advance(world.now_ns, ())
                world.sync.start(world.now_ns)
            for tick in world.ticks():
                if self._take(tick) and Effect.SAVE in session.sampled():
                    return
            if world.over:
                return
            world.advance()
            if teleop is not None:
                teleop.step()

    def _take(self, tick: Sample | Miss) -> bool:
        """Take a sample into the episode; False where the tick was left out."""
        if isinstance(tick, Miss):
            if tick.action != "drop":
                raise VgilError(f"seed {self._seed}: tick {tick.tick} of the episode is incomplete: {tick}")
            self.dropped += 1
            return False
        sample = replace(tick, payloads=drawn(tick.payloads))
        row = self._builder.push(sample, self._session.marker())
        if row is not None:
            self._append(row)
        return True

    def _append(self, row: EpisodeRow) -> None:
        if self._writer is None:
            self._writer = EpisodeWriter(self._folder, self._generator.meta(row))
        while row.action is not None and self._writer.full:
            time.sleep(0.002)  # the encoding is behind: here, unlike on a robot, time can wait
        sample = row.sample
        self._writer.append(
            row.timestep, row.action, stamp_ns=sample.stamp_ns, skew_ns=sample.skew_ns, flags=sample.flags
        )
        self.rows = self._writer.rows

    def save(self, success: bool) -> Path:
        """Close the file."""
        last = self._builder.end()
        assert last is not None
        self._append(last)
        assert self._writer is not None
        writer, self._writer = self._writer, None
        return writer.close(success, dropped_rows=self.dropped, seed=self._seed)

    def drop(self) -> None:
        """Throw it away, unless it is saved."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
