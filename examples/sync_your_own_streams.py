"""Bring streams of your own to common ticks, without ROS: an arm at 200 Hz, and a camera at 30 Hz that stops once."""

from __future__ import annotations

import numpy as np

from vgil_ros import Synchronizer
from vgil_ros.core.contract import Sync
from vgil_ros.core.streams import Flag, Kind, StreamSpec
from vgil_ros.core.sync import Miss

MS = 1_000_000  # ns
START = 1_000_000_000


def arrivals() -> list[tuple[int, str, int, object]]:
    """(arrives, stream, stamp, payload) of one second: drivers jitter, and images take 12 ms to come."""
    random = np.random.default_rng(0)
    events: list[tuple[int, str, int, object]] = []
    for k in range(200):
        stamp = START + k * 5 * MS + int(random.normal(0, 0.3 * MS))
        position = np.full(6, np.sin(2 * np.pi * k / 200))  # rad
        unmeasured = np.full(6, np.nan)
        events.append((stamp + MS, "arm", stamp, np.stack([position, unmeasured, unmeasured])))  # pos, vel, effort
    for k in range(30):
        if not 12 <= k < 20:  # a cable is loose for a quarter of a second
            stamp = START + k * 33 * MS
            events.append((stamp + 12 * MS, "cam", stamp, f"image {k}"))
    return sorted(events, key=lambda event: event[0])


def main() -> None:
    """Push what comes, take each tick as soon as it is ripe."""
    streams = (
        StreamSpec("arm", Kind.JOINTS, topic="", tolerance_ns=20 * MS),  # interpolated to the tick
        StreamSpec("cam", Kind.IMAGE, topic="", tolerance_ns=20 * MS),  # the nearest frame
    )
    sync = Synchronizer(streams, Sync(max_hold=3), rate_hz=50)
    sync.start(START)
    for now, stream, stamp, payload in arrivals():
        sync.push(stream, stamp, payload, now_ns=now)
        while (tick := sync.sample(now)) is not None:
            at = (tick.stamp_ns - START) / MS
            if isinstance(tick, Miss):
                print(f"{at:4.0f} ms  left out: {tick}")
                continue
            position, image = tick.payloads[0][0, 0], tick.payloads[1]
            held = "  held" if tick.flags[1] & Flag.HELD else ""
            print(
                f"{at:4.0f} ms  joint {position:+.3f} rad, {image}, {tick.skew_ns[1] / MS:+.0f} ms from the tick{held}"
            )


if __name__ == "__main__":
    main()
