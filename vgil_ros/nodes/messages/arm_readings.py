"""The newest readings of one arm, master or puppet, for nodes that lead or follow without a synchroniser."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.contract import SensorTopic
from vgil_ros.core.contract.rules import arrival_offset_ms
from vgil_ros.core.errors import VgilError
from vgil_ros.core.guard.reading_guard import ReadingGuard
from vgil_ros.core.guard.refusals import one_tick
from vgil_ros.core.layout import POSITION, Affine, JointError, JointReader
from vgil_ros.core.messages.joint_input import JointInput
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.joint_subscriptions import JointSubscriptions
from vgil_ros.nodes.messages.subscriptions import QUIET_NS


class ArmReadings:
    """The last positions of one arm, in units of the action, and when they were measured.

    Args:
        node: the node that listens.
        topics: its subscriptions.
        at: where its states come from, and by which clock they are stamped.
        reader, guard: what its messages must be, and what they can say.
        units: of the action.
        period_s: between two turns; readings that are refused for longer are no place to go by.
        shared: other arms' joints come on the topic too.
    """

    def __init__(
        self,
        node: VgilNode,
        topics: JointSubscriptions,
        at: SensorTopic,
        reader: JointReader,
        guard: ReadingGuard | None,
        units: Affine,
        period_s: float,
        shared: bool,
    ) -> None:
        self.last: tuple[np.ndarray, int] | None = None
        self._node, self._stream, self._units = node, reader.stream, units
        offset_ms = arrival_offset_ms(at.stamp)
        self._guard = guard
        self._joints = JointInput(reader, guard, None if offset_ms is None else round(offset_ms * 1e6), shared=shared)
        self._refusals = one_tick(round(period_s * 1e9))
        self._bad_ns = 0
        topics.add(at.topic, self._on_message, reader.kind)

    def _on_message(self, data: bytes) -> None:
        arrived = self._node.now_ns()
        try:
            found = self._joints.read(data, arrived)
        except VgilError as error:
            self._node.warn_once(self._stream, str(error))
            self._refusals.refuse(self._stream, error.detail if isinstance(error, JointError) else str(error), arrived)
            self._bad_ns = arrived
            return
        if found is None:  # another arm's
            return
        stamp_ns, payload = found
        self._refusals.accept(self._stream, arrived)
        if arrived - self._bad_ns > QUIET_NS:  # bad messages among good ones must not flood the log
            self._node.clear(self._stream)
        # a clock that is ahead must not keep a dead arm fresh
        self.last = (self._units.normalise(payload[POSITION]), min(stamp_ns, arrived))

    @property
    def unheard_words(self) -> str:
        """Why messages come on its topic, and none of them is its own."""
        return self._joints.unheard_words()

    def scene_was_reset(self, now_ns: int) -> None:
        """A simulator has put it somewhere else: that is no jump, and what was measured before is of no use."""
        self.last = None
        if self._guard is not None:
            self._guard.reset(now_ns)
        self._refusals.forget(self._stream)

    def refused(self, now_ns: int) -> str | None:
        """Why its readings are none, where they are refused."""
        return self._refusals.standing(now_ns).get(self._stream)

    def trusted(self, now_ns: int) -> tuple[np.ndarray, int] | None:
        """The last positions, None before any and while readings are refused."""
        return self.last if self.refused(now_ns) is None else None
