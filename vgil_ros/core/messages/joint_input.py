"""Joint messages as everybody reads them: bytes in, a guarded reading out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vgil_ros.core.guard.reading_guard import ReadingGuard
from vgil_ros.core.layout import POSITION, JointError, JointReader
from vgil_ros.core.messages import cdr

# of a topic that several arms share, each message is decoded once: they are shown the same bytes one after another
_decoded = lru_cache(maxsize=1)(cdr.read_joint_state)

TYPES = {  # of the messages, by the contract's `type`
    "joint_state": "sensor_msgs/msg/JointState",
    "float32": "std_msgs/msg/Float32",
    "float64": "std_msgs/msg/Float64",
}
BYTES = {"float32": 4, "float64": 8}


class JointInput:
    """One stream of `sensor_msgs/JointState`, or of one joint's position as a number.

    Args:
        reader: of the arm's joints.
        guard: judges what was read; None believes everything.
        arrival_offset_ns: messages are stamped by their arrival less this, whatever their headers say, as the
            contract's `stamp` has it; None takes the headers'.
        shared: other arms' joints come on the topic too, in the same messages or in ones of their own.

    Attributes:
        strangers: names in the last message that held none of the joints, None since one that did.
    """

    def __init__(
        self,
        reader: JointReader,
        guard: ReadingGuard | None,
        arrival_offset_ns: int | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self.reader, self._guard, self._arrival_offset_ns = reader, guard, arrival_offset_ns
        self._shared = shared
        self.strangers: tuple[str, ...] | None = None

    def read(self, data: bytes, now_ns: int) -> tuple[int, np.ndarray] | None:
        """Return a message's stamp (ns), by the contract, and payload (3, J); None of one that is other arms'.

        Args:
            data: the message, as it came.
            now_ns: when it came.

        Raises:
            JointError: for a message that does not fit the arm, and for positions that are no reading.
        """
        message = self._decode(data)
        if self._shared and not self.reader.concerns(message.names):
            self.strangers = message.names
            return None
        self.strangers = None
        payload = self.reader.read(message.names, message.position, message.velocity, message.effort)
        if self._guard is not None:  # with the header's stamp in any case: arrivals may bunch
            wrong = self._guard.judge(message.stamp_ns, now_ns, payload[POSITION])
            if wrong is not None:
                raise JointError(self.reader.stream, wrong)
        offset_ns = self._arrival_offset_ns
        return message.stamp_ns if offset_ns is None else now_ns - offset_ns, payload

    def concerns(self, data: bytes) -> bool:
        """Whether a message may be this arm's; one that cannot be read is everybody's on its topic."""
        try:
            return not self._shared or self.reader.concerns(self._decode(data).names)
        except cdr.CdrError:
            return True

    def _decode(self, data: bytes) -> cdr.JointMessage:
        if (size := BYTES.get(self.reader.kind)) is None:
            return _decoded(data)
        nothing = np.empty(0)
        return cdr.JointMessage(0, self.reader.joints, np.array([cdr.read_number(data, size)]), nothing, nothing)

    def unheard_words(self) -> str:
        """In words: why messages came, and none for this arm; empty where that is not so."""
        if self.strangers is None:
            return ""
        return f"its messages hold {list(self.strangers)}; none of {list(self.reader.joints)}"
