"""The recorder on a computer whose clock is set back by 300 ms at SIGUSR1."""

from __future__ import annotations

import signal
import time

BACK_NS = 300_000_000


def main() -> None:
    """Run it."""
    right, set_back = time.time_ns, [0]
    time.time_ns = lambda: right() - set_back[0]
    from vgil_ros.nodes import recorder

    signal.signal(signal.SIGUSR1, lambda *_: set_back.__setitem__(0, BACK_NS))
    recorder.main()


if __name__ == "__main__":
    main()
