"""A policy's own rollout as an episode: each tick's observation with the command that was sent at it."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.nodes.episode_sink import EpisodeSink, Recording
from vgil_ros.nodes.runtime import VgilNode

REMEMBER = 64  # ticks; an observation comes out at most a few ticks after its time


class RolloutSink:
    """Pairs observations with commands by tick. Without a folder it does nothing."""

    def __init__(self, node: VgilNode, sink: EpisodeSink | None, marker: bool) -> None:
        self._node, self._sink, self._marker = node, sink, marker
        self._commands: dict[int, np.ndarray] = {}

    @classmethod
    def of(
        cls, node: VgilNode, contract: Contract, text: str, streams: tuple[StreamSpec, ...], task: str
    ) -> RolloutSink:
        """Make one for the folder in the node's parameter `dataset_dir`."""
        folder = node.get_parameter("dataset_dir").value
        if not folder:
            return cls(node, None, False)
        recording = Recording(contract, text, streams, Path(folder).expanduser().absolute(), task=task)
        sink = EpisodeSink(recording, ObservationBuilder(Layout(contract), streams))
        return cls(node, sink, contract.end_marker is not None)

    def open(self) -> None:
        """An episode begins."""
        self._commands.clear()
        if self._sink:
            self._sink.open()

    def acted(self, tick: int, command: Command) -> None:
        """This command was sent at this tick."""
        if self._sink is None:
            return
        action = np.append(command.positions, 0.0) if self._marker else command.positions
        self._commands[tick] = action.astype(np.float32)
        self._commands.pop(tick - REMEMBER, None)

    def observe(self, tick: int, sample: Sample) -> None:
        """The observation of a tick came out; ticks without a command are left out."""
        action = self._commands.get(tick)
        if self._sink is None or action is None:
            return
        try:
            self._sink.push(sample, 0.0, action)
        except VgilError as error:
            self._node.trouble("rollout", f"the rollout is recorded no further: {error}")

    def close(self, success: bool | None) -> Future[Path | None]:
        """Save it; the future gives its file, None where nothing is recorded."""
        if self._sink:
            return self._sink.close(success, rollout=True)
        return _done()

    def discard(self) -> Future[None]:
        """Throw it away."""
        return self._sink.discard() if self._sink else _done()


def _done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future
