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
    """

    def __init__(self, reader: JointReader, guard: ReadingGuard | None) -> None:
        self.reader, self._guard = reader, guard

    def read(self, data: bytes, now_ns: int) -> tuple[int, np.ndarray]:
        """Return a message's stamp and payload (3, J).

        Args:
            data: the message, as it came.
            now_ns: when it came.

        Raises:
            JointError: for a message that does not fit the arm, and for positions that are no reading.
        """
        message = cdr.read_joint_state(data)
        payload = self.reader.read(message.names, message.position, message.velocity, message.effort)
        if self._guard is not None:
            wrong = self._guard.judge(message.stamp_ns, now_ns, payload[POSITION])
            if wrong is not None:
                raise JointError(self.reader.stream, wrong)
        return message.stamp_ns, payload
