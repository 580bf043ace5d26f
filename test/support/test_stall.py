"""The gauge of a machine that stands still: it sees what it should, and little on one that works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stall import StallGauge, _waits_ns


@pytest.fixture
def gauge() -> Iterator[StallGauge]:
    made = StallGauge()
    yield made
    made.close()


def test_a_pause_of_the_whole_process_is_seen_and_ends_with_it(gauge: StallGauge) -> None:
    began = time.monotonic()
    waker = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    woke = time.monotonic()
    waker.wait()
    assert gauge.stood(began, woke) >= 0.3
    assert gauge.stood(began, woke) <= woke - began + 0.1


def test_a_disk_that_stands_still_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[float] = []
    fsync = os.fsync

    def late(handle: int) -> None:
        if slow:
            time.sleep(slow.pop())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", late)
    gauge = StallGauge(disk=tmp_path)
    try:
        began = time.monotonic()
        slow.append(0.6)
        time.sleep(0.3)
        assert gauge.stood(began) > 0.5, "also while it lasts"
    finally:
        gauge.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not _waits_ns(os.getpid()), reason="the kernel does not tell how long threads wait")
def test_a_process_that_waits_for_its_processor_is_seen(gauge: StallGauge) -> None:
    """Two that would work on one processor: each waits for about half of the time."""
    processor = min(os.sched_getaffinity(0))
    work = f"import os\nos.sched_setaffinity(0, {{{processor}}})\nwhile True: pass"
    both = [subprocess.Popen([sys.executable, "-c", work]) for _ in range(2)]
    try:
        time.sleep(0.3)
        for process in both:
            gauge.watch(process.pid)
        began = time.monotonic()
        time.sleep(1.0)
        assert gauge.stood(began) > 0.5
    finally:
        for process in both:
            process.kill()
            process.wait()
