"""A policy's own rollout as an episode: each tick's observation with the command that was sent at it."""

from __future__ import annotations

from collections import deque
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
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.session.recording import EpisodeSink, Recording

REMEMBER = 64  # ticks; an observation comes out at most a few ticks after its time


class RolloutSink:
    """Pairs observations with commands by tick. Without a folder it does nothing."""

    def __init__(self, node: VgilNode, sink: EpisodeSink | None, marker: bool) -> None:
        self._node, self._sink, self._marker = node, sink, marker
        self._commands: dict[int, np.ndarray] = {}
        self._waiting: deque[tuple[int, Sample]] = deque(maxlen=REMEMBER)
        self._acted = -1

    @classmethod
    def of(
        cls, node: VgilNode, contract: Contract, text: str, streams: tuple[StreamSpec, ...], task: str, dry_run: bool
    ) -> RolloutSink:
        """Make one for the folder in the node's parameter `dataset_dir`. None in a dry run, which sends nothing."""
        folder = node.get_parameter("dataset_dir").value
        if folder and dry_run:
            node.get_logger().warning("dry run: no rollout is recorded, as no command is sent")
        if not folder or dry_run:
            return cls(node, None, False)
        recording = Recording(contract, text, streams, Path(folder).expanduser().absolute(), task=task)
        sink = EpisodeSink(recording, ObservationBuilder(Layout(contract), streams))
        return cls(node, sink, contract.end_marker is not None)

    def open(self) -> None:
        """An episode begins."""
        self._commands.clear()
        self._waiting.clear()
        self._acted = -1
        if self._sink:
            self._sink.open()

    def acted(self, tick: int, command: Command) -> None:
        """This command was sent at this tick."""
        if self._sink is None:
            return
        action = np.append(command.positions, 0.0) if self._marker else command.positions
        self._commands[tick] = action.astype(np.float32)
        self._commands.pop(tick - REMEMBER, None)
        self._acted = tick
        self._pair()

    def observe(self, tick: int, sample: Sample) -> None:
        """The observation of a tick came out, before or after its command; ticks without one are left out."""
        if self._sink is not None:
            self._waiting.append((tick, sample))
            self._pair()

    def _pair(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._acted:
            tick, sample = self._waiting.popleft()
            action = self._commands.pop(tick, None)
            if action is not None:
                self._push(sample, action)

    def _push(self, sample: Sample, action: np.ndarray) -> None:
        assert self._sink is not None
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
