"""Episode writer: CPU a frame, memory, and the time of `close`, at 10 s and 60 s of 4 cameras 480x640 at 50 Hz.

python test/bench/bench_writer.py [--seconds 10 60] [--camera-hz 50] [--dir FOLDER]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import cv2
import dm_env
import numpy as np

from vgil_ros.core.frame import Frame
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeWriter, Overrun

SIZE, CAMERAS, RATE = (480, 640), 4, 50


def scenes(count: int = 32) -> list[np.ndarray]:
    """Images with detail on every scale, about as hard for JPEG as a room."""
    rng = np.random.RandomState(0)
    base = np.zeros((*SIZE, 3), np.float32)
    for sigma, weight in ((40, 1.0), (10, 0.4), (3, 0.15), (1, 0.05)):
        noise = cv2.GaussianBlur(rng.standard_normal(base.shape).astype(np.float32), (0, 0), sigma)
        base += weight * noise / noise.std()
    image = cv2.normalize(base, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    return [np.roll(image, 7 * i, axis=1) for i in range(count)]


def record(folder: Path, seconds: float, camera_hz: float) -> dict[str, float]:
    """Record in real time and return the figures."""
    names = [f"cam{i}" for i in range(CAMERAS)]
    cameras = tuple(CameraMeta(name, *SIZE) for name in names)
    meta = EpisodeMeta("bench", "", RATE, tuple(names), tuple(f"j{i}" for i in range(14)), cameras)
    images_of_scene = [memoryview(p.tobytes()) for p in scenes()]
    rows, overruns, worst = round(seconds * RATE), 0, 0.0
    writer = EpisodeWriter(folder, meta)
    cpu, start = time.process_time(), time.monotonic()
    frames: dict[str, tuple[int, Frame]] = {}
    for t in range(rows):
        images = {}
        for c, name in enumerate(names):
            number = int(t * camera_hz / RATE)
            if frames.get(name, (-1, None))[0] != number:
                data = images_of_scene[(number + 5 * c) % len(images_of_scene)]
                frames[name] = (number, Frame(*SIZE, "rgb8", SIZE[1] * 3, data))
            images[name] = frames[name][1]
        step = dm_env.TimeStep(dm_env.StepType.MID if t else dm_env.StepType.FIRST, None, None, {})
        step = step._replace(observation={"qpos": np.full(14, np.sin(t / 50), np.float32), "images": images})
        zeros, before = np.zeros(CAMERAS, np.int64), time.perf_counter()
        try:
            writer.append(step, np.zeros(14, np.float32), stamp_ns=t * 20_000_000, skew_ns=zeros, flags=zeros)
        except Overrun:
            overruns += 1
        worst = max(worst, time.perf_counter() - before)
        time.sleep(max(0.0, start + (t + 1) / RATE - time.monotonic()))
    cpu, took = time.process_time() - cpu, time.monotonic() - start
    before = time.monotonic()
    path = writer.close()
    return {
        "seconds": took,
        "rows": writer.rows,
        "overruns": overruns,
        "cores": cpu / took,
        "cpu_ms_per_frame": cpu / (rows * CAMERAS) * 1e3,
        "worst_append_ms": worst * 1e3,
        "close_s": time.monotonic() - before,
        "bytes_per_frame": path.stat().st_size / (rows * CAMERAS),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 60])
    parser.add_argument("--camera-hz", type=float, default=RATE)
    parser.add_argument("--dir", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        for seconds in arguments.seconds:
            print(json.dumps(record(Path(folder), seconds, arguments.camera_hz)))


if __name__ == "__main__":
    main()
