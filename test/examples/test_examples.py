"""Every example runs from a checkout as it stands, and prints what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.nodes.domains import own_domain

ROOT = Path(__file__).resolve().parents[2]

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES = 60  # and fewer: short enough to be read at once

PRINTS = {
    "read_episode": (
        r"^episode_0\.hdf5: layout vgil, 100 rows at 50\.0 Hz, robot sim_single$",
        r"^  cam_high +\(240, 320, 3\), mean colour \[\d+, \d+, \d+\]$",
        r"^  arm/shoulder +qpos [+-]\d\.\d+ to [+-]\d\.\d+, the action leads by [1-5] ticks$",
        r"^  cam_wrist +at most \d+\.\d ms from its tick$",
    ),
    "sync_your_own_streams": (
        r"^ +\d+ ms  joint [+-]\d\.\d{3} rad, image \d+, [+-]\d+ ms from the tick$",
        r"^ +400 ms .* held$",
        r"^ +540 ms  left out: cam: silent, nearest sample \d+ ms old$",
    ),
    "load_and_run_policy": (
        r"^act on cpu: within \d\.\de-0[5-9] of plain torch$",
        r"^100 chunks of 50 actions; inference p50 \d+\.\d ms$",
        r"^mean distance to the operator's action 0\.0[0-4]\d+ rad; limits stepped in: \{.*\}$",
    ),
    "ros_environment": (
        r"^actions BoundedArray\(shape=\(7,\)",
        r"^  cam_wrist: \(240, 320, 3\) uint8, read-only RGB$",
        r"^  100 steps, reward \d\.0, discount 1\.0$",
        r"^  the waist follows \d+ ticks later, within 0\.\d+ rad$",
    ),
    "new_policy": (
        r"^loss \d\.\d{3} after 30 steps, \d\.\d{3} on an episode kept apart$",
        r"^blur: chunk \(20, 7\)$",
    ),
}


def test_each_example_is_tested_and_short() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(PRINTS)
    long = {path.name: count for path in EXAMPLES if (count := len(path.read_text().splitlines())) >= LINES}
    assert not long


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_and_prints_what_it_promises(path: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ROS_DOMAIN_ID": str(own_domain()), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=here,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for pattern in PRINTS[path.stem]:
        assert re.search(pattern, done.stdout, re.MULTILINE), f"no line like {pattern!r} in:\n{done.stdout}"
    assert not [*here.iterdir(), *tmp_path.glob("tmp*")], "an example leaves nothing behind"
