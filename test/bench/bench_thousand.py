"""A thousand small episodes: seconds of `vgil episodes list`, `check`, `vgil dataset check`, `convert`, as processes.

python test/bench/bench_thousand.py [--episodes 1000] [--json FILE] [--only list]

Forty different episodes of about 100 rows and two cameras 48x64 are made; the others are copies of them under other
names, since what is measured is the number of files.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from support.episodes import made_sets

DIFFERENT, LIST_S = 40, 2.0


def make(folder: Path, episodes: int) -> None:
    """The data set."""
    files = made_sets.write_clean(folder, min(DIFFERENT, episodes), 0)
    for number in range(len(files), episodes):
        shutil.copyfile(files[number % len(files)], folder / f"episode_{number}.hdf5")


def commands(folder: Path, out: Path) -> dict[str, list[str]]:
    """What is measured, by name."""
    return {
        "list": ["episodes", "list", str(folder)],
        "check": ["episodes", "check", "--quiet", str(folder)],
        "dataset check": ["dataset", "check", str(folder), "--chunk", "50", "--report", str(out / "page.html")],
        "dataset convert": ["dataset", "convert", str(folder), str(out / "lerobot"), "--to", "lerobot_v3"],
    }


def seconds_of(words: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of CPU of one command; 0 and 1 are both exit codes of one that did its work."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "vgil_ros.cli.main", *words], capture_output=True, text=True, check=False
    )
    took, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1), done.stderr
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder: Path, episodes: int, only: list[str]) -> dict[str, dict[str, float]]:
    """Seconds of each command."""
    data, out = folder / "data", folder / "out"
    make(data, episodes)
    found = {}
    for name, words in commands(data, out).items():
        if not only or name in only:
            took, cpu = seconds_of(words)
            found[name] = {"seconds": round(took, 2), "cpu_seconds": round(cpu, 2)}
            print(f"{name:16s} {took:6.1f} s, {cpu:6.1f} s of CPU, {episodes} episodes", flush=True)
    return found


@pytest.mark.bench
def test_a_thousand_episodes_are_listed_in_two_seconds(tmp_path: Path) -> None:
    found = measure(tmp_path, 1000, ["list"])
    assert found["list"]["seconds"] < LIST_S


def main() -> None:
    """Measure, and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.episodes, given.only)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
