"""`vgil preflight --live` beside the simulated robot: go where all is well, no-go with the fault's name, no command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")
pytest.importorskip("mujoco")

from sensor_msgs.msg import Image, JointState
from support.nodes.bench import Bench
from support.nodes.client import until

from vgil_ros.assets import contract_path

CHECKPOINT, SEED = "sim_pick_place_act", 8123
COMMAND = "/puppet/command"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The simulated robot in a time of its own: a busy machine then makes nothing late."""
    with Bench(tmp_path_factory.mktemp("preflight")) as made:
        given = {"robot": "sim_single", "task": "pick_place", "operator": False, "seed": SEED, "sim_time": True}
        made.node("sim", given)
        images = made.client.collect(Image, "/cam_wrist/image_raw")
        until(lambda: len(images) > 2, "images", timeout=120.0)
        yield made


# One process for several runs, as torch takes long to load; each ends with its exit code.
RUNS = """
import json, sys
from vgil_ros.cli.main import app
for arguments in json.loads(sys.argv[1]):
    try:
        app(arguments)
    except SystemExit as ended:
        print("exit code", ended.code, flush=True)
"""


@dataclass(frozen=True)
class Run:
    """What a run reported, and what it printed."""

    report: dict[str, Any]
    words: str


def preflights(bench: Bench, *runs: tuple[str | Path, list[str]]) -> list[Run]:
    """Run the command on robots, one after another, in a process of its own."""
    reports = [bench.folder / f"report{number}.json" for number in range(len(runs))]
    common = ["preflight", "--checkpoint", CHECKPOINT, "--live", "--seconds", "4", "--watchdog-ms", "60000"]
    given = [
        [*common, "--robot", str(robot), "--json", str(report), *more]
        for (robot, more), report in zip(runs, reports, strict=True)
    ]
    command = [sys.executable, "-c", RUNS, json.dumps(given)]
    done = subprocess.run(command, env=bench.environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert all(report.is_file() for report in reports), done.stderr
    words = re.split(r"(?<=exit code \d)\n", done.stdout)
    return [Run(json.loads(report.read_text()), text) for report, text in zip(reports, words, strict=False)]


def against(report: dict[str, Any]) -> list[tuple[str, str]]:
    """(check, about) of what is in the way."""
    told = [one for one in report["findings"] if one["verdict"] == "no" and one["check"] != "latency"]
    return [(one["check"], one["about"]) for one in told]


def exchanged(folder: Path) -> Path:
    """A contract that calls each camera by the other one's topic."""
    text = contract_path("sim_single").read_text()
    for old, new in (("/cam_high/", "/spare/"), ("/cam_wrist/", "/cam_high/"), ("/spare/", "/cam_wrist/")):
        assert old in text
        text = text.replace(old, new)
    path = folder / "exchanged.yaml"
    path.write_text(text)
    return path


def test_a_healthy_robot_goes_a_swapped_camera_is_named_and_nothing_is_commanded(bench: Bench) -> None:
    commands = bench.client.collect(JointState, COMMAND)
    page = bench.folder / "page.html"
    well, swapped = preflights(bench, ("sim_single", ["--report", str(page)]), (exchanged(bench.folder), []))

    assert against(well.report) == [], well.words
    checks = {one["check"] for one in well.report["findings"]}
    assert {"latency", "statistics", "stream rate", "camera moved", "light", "scene", "start pose"} <= checks
    if well.report["go"]:  # an inference on a busy machine may take longer than the chunk that it gives
        assert "\nGO" in well.words
        assert well.words.rstrip().endswith("exit code 0")
    assert "What it sees, beside what training began with" in page.read_text()

    assert against(swapped.report) == [("camera order", "cam_high, cam_wrist")], swapped.words
    assert swapped.words.rstrip().endswith("exit code 1")
    assert "cam_high shows what cam_wrist should" in swapped.words

    time.sleep(0.5)
    assert commands == []
    assert not bench.client.node.get_publishers_info_by_topic(COMMAND), "nobody offers to command it"
