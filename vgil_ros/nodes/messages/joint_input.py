"""Joint messages as every node reads them: bytes in, a guarded reading out."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.guard.reading_guard import ReadingGuard
from vgil_ros.core.layout import POSITION, JointError, JointReader
from vgil_ros.nodes.messages import cdr


class JointInput:
    """One stream of `sensor_msgs/JointState`.

    Args:
        reader: of the arm's joints.
        guard: judges what was read; None believes everything.
        arrival_offset_ns: messages are stamped by their arrival less this, whatever their headers say, as the
            contract's `stamp` has it; None takes the headers'.
    """

    def __init__(self, reader: JointReader, guard: ReadingGuard | None, arrival_offset_ns: int | None = None) -> None:
        self.reader, self._guard, self._arrival_offset_ns = reader, guard, arrival_offset_ns

    def read(self, data: bytes, now_ns: int) -> tuple[int, np.ndarray]:
        """Return a message's stamp (ns), by the contract, and payload (3, J).

        Args:
            data: the message, as it came.
            now_ns: when it came.

        Raises:
            JointError: for a message that does not fit the arm, and for positions that are no reading.
        """
        message = cdr.read_joint_state(data)
        payload = self.reader.read(message.names, message.position, message.velocity, message.effort)
        if self._guard is not None:  # with the header's stamp in any case: arrivals may bunch
            wrong = self._guard.judge(message.stamp_ns, now_ns, payload[POSITION])
            if wrong is not None:
                raise JointError(self.reader.stream, wrong)
        offset_ns = self._arrival_offset_ns
        return message.stamp_ns if offset_ns is None else now_ns - offset_ns, payload
