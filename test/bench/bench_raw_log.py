"""The raw log beside a recording: processor time of four cameras 480x640 at 50 Hz and four joint streams at 200 Hz, raw
and as JPEG, paced as a robot sends them. The figures are of the process' own time, which other processes do not change
much.

    PYTHONPATH=test python test/bench/bench_raw_log.py [--seconds 5] [--dir FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
from support.bags import messages as made
from support.benchmarks.frame_code import scenes

from vgil_ros.episodes.raw_log.log_file import LogFile, LoggedTopic

SIZE, CAMERAS, CAMERA_HZ, JOINT_HZ = (480, 640), 4, 50, 200


def measure(kind: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Log for so long, with images of a kind ("raw", "jpeg") or nothing ("none"), and return the figures."""
    pictures = scenes(SIZE, 20)
    images = [image.tobytes() if kind == "raw" else cv2.imencode(".jpg", image)[1].tobytes() for image in pictures]
    topics = [LoggedTopic(f"/cam_{i}", f"/cam_{i}", made.IMAGE) for i in range(CAMERAS)]
    topics += [LoggedTopic(f"/arm_{i}", f"/arm_{i}", made.JOINTS) for i in range(4)]
    state = made.joints(made.START)
    path = folder / f"{kind}.mcap"
    log = None if kind == "none" else LogFile(path.with_suffix(".mcap.part"), topics, {}, stop_free=0)
    start, cpu, longest, sent = time.monotonic(), time.process_time(), 0.0, 0
    for turn in range(round(seconds * JOINT_HZ)):
        time.sleep(max(0.0, start + turn / JOINT_HZ - time.monotonic()))
        now, began = time.time_ns(), time.perf_counter()
        if log is not None:
            for i in range(4):
                log.message(f"/arm_{i}", now, state)
            for i in range(CAMERAS if turn % (JOINT_HZ // CAMERA_HZ) == 0 else 0):
                image = images[(turn + i) % len(images)]
                log.message(f"/cam_{i}", now, image)
                sent += len(image)
        longest = max(longest, time.perf_counter() - began)
    if log is not None:
        log.end()
        log.close(path)
    return {
        "images": kind,
        "cores": (time.process_time() - cpu) / seconds,
        "longest_turn_ms": longest * 1e3,
        "lost": log.lost if log else 0,
        "mb_per_s": sent / 1e6 / seconds,
        "written_mb_per_s": path.stat().st_size / 1e6 / seconds if log else 0.0,
    }


def bench(seconds: float, folder: Path | None) -> list[dict[str, Any]]:
    """Every kind, printed as it ends."""
    found = []
    for kind in ("none", "jpeg", "raw"):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            found.append(measure(kind, seconds, Path(place)))
            print(json.dumps(found[-1]), flush=True)
    return found


@pytest.mark.bench
def test_bench_raw_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are printed."""
    with capsys.disabled():
        bench(5.0, tmp_path)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--dir", type=Path, help="where to write")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = bench(arguments.seconds, arguments.dir)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
