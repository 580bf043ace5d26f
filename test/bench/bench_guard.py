"""The reading guard on an hour of teleoperation of every robot: false alarms, and its cost.

python test/bench/bench_guard.py [--json FILE] [--minutes 60] [ROBOT ...]

No robot and no time: `support.guard_hour` makes the messages (1 % lost, 5 % late), the real JointReader and
ReadingGuard judge them, at the contract's rate.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pytest
from support import guard_hour

from vgil_ros.assets import load_contract, robot_names


def measure(robots: list[str], minutes: float) -> dict[str, Any]:
    """The figures of each robot; an hour is shared by its arms."""
    out: dict[str, Any] = {}
    for robot in robots:
        contract, _ = load_contract(robot)
        before = time.thread_time()
        figures = guard_hour.judged(contract, 60 * minutes, seed=7)
        messages = sum(f.messages for f in figures.values())
        out[robot] = {
            "streams": len(figures),
            "messages": messages,
            "lost": sum(f.lost for f in figures.values()),
            "late": sum(f.late for f in figures.values()),
            "refused": sum(len(f.refused) for f in figures.values()),
            "held_ticks": sum(f.held_ticks for f in figures.values()),
            "us_a_message": round((time.thread_time() - before) / messages * 1e6, 1),
        }
        show(robot, out[robot])
    return out


def show(robot: str, f: dict[str, Any]) -> None:
    """A line of the table."""
    print(
        f"{robot:18s} {f['streams']} streams, {f['messages']} messages, {f['lost']} lost, {f['late']} late:"
        f" {f['refused']} refused, {f['held_ticks']} ticks held, {f['us_a_message']} us a message",
        flush=True,
    )


@pytest.mark.bench
def test_an_hour_of_teleoperation_raises_no_alarm() -> None:
    found = measure(["aloha", "ur5e", "franka_fr3_jtc", "so101_ros2", "cobot_magic"], 60.0)
    assert not any(f["refused"] or f["held_ticks"] for f in found.values())


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("robots", nargs="*", default=robot_names())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    found = measure(options.robots, options.minutes)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
