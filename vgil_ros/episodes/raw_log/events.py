"""What a recorder decided, between the messages of its raw log: enough to decide the same again.

Each event is a `std_msgs/String` of JSON on a topic of its own, so that every tool can show it, and stands in the file
where it happened among the messages. `start`: the ticks began, with the state of what had seen earlier messages;
`tick`: one came out; `lost`: messages that are missing, as the disk was too slow; `end`: how the episode ended.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from vgil_ros.core.messages.cdr import CdrReader

TOPIC = "/vgil_ros/recorder"
TYPE = "std_msgs/msg/String"
METADATA = "vgil_ros"  # the MCAP's record of that name: contract, parameters
FORMAT = "vgil_ros/raw_log/1"
CONTRACT_TOPIC = "contract_topic"  # of a channel: its topic as the contract writes it


def encode(event: str, values: dict[str, Any]) -> bytes:
    """Return an event as a serialised std_msgs/String."""
    text = json.dumps({"event": event, **values}, separators=(",", ":")).encode() + b"\0"
    return b"\x00\x01\x00\x00" + struct.pack("<I", len(text)) + text


def decode(data: bytes) -> dict[str, Any]:
    """Return an event.

    Raises:
        CdrError: for bytes that are no String.
        ValueError: for a text that is no event.
    """
    found = json.loads(CdrReader(data).string())
    if not isinstance(found, dict) or "event" not in found:
        raise ValueError(f"found {str(found)[:80]}; allowed: an object with 'event'")
    return found
