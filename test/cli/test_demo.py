"""`vgil demo` from its first node to a report that a browser shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mujoco")

from support import checkpoints
from support.browser import browser, look
from support.nodes.domains import free_domain

from vgil_ros.assets import checkpoint_path
from vgil_ros.cli.demo.demo import SHIPPED
from vgil_ros.episodes.checks.check import check_episode


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_shows_a_rollout_that_succeeds(tmp_path: Path) -> None:
    """Without the shipped policy a random one acts; then nothing may be called a success."""
    shipped = (checkpoint_path(SHIPPED) / "policy.json").is_file()
    policy = SHIPPED if shipped else str(checkpoints.make("sim_single", tmp_path / "random"))
    command = [sys.executable, "-m", "vgil_ros.cli.main", "demo", "--quick", "--rollouts", "2" if shipped else "1"]
    command += ["--out", str(tmp_path / "out"), "--checkpoint", policy]
    with free_domain() as domain:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=380, stdin=subprocess.DEVNULL, check=False
        )
    said = done.stdout + done.stderr
    assert done.returncode == (0 if shipped else 1), said
    assert ("no rollout did the task" in done.stderr) == (not shipped), said
    report = tmp_path / "out" / "report.html"
    assert report.as_uri() in done.stdout
    assert check_episode(tmp_path / "out" / "pick_place" / "episode_0.hdf5").ok
    page = report.read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert [link for link in links if link != "data:," and not (report.parent / link).is_file()] == []
    assert ("\N{CHECK MARK} done" in page) == shipped
    if browser() is None:
        pytest.skip("no Chromium or Chrome here (apt-get install chromium); the report was made, not looked at")
    found = look(report)
    assert (found.console, found.missing, found.page["errors"]) == ([], [], [])
    assert len(found.page["videos"]) == (3 if shipped else 2)
    assert [video for video in found.page["videos"] if video["error"] or not video["width"]] == []
    assert [image for image in found.page["images"] if not image["width"]] == []
