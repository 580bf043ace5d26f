"""`vgil cameras` on pretended devices: what there is, a still of each, and lines that are a contract."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from support import contracts
from support.paths import process_environment
from support.webcams import HEIGHT, WIDTH, FakeWebcams

from vgil_ros.core.contract import Camera

SMALL = (f"format MJPG {WIDTH} {HEIGHT} 30 15",)


@pytest.fixture(scope="module")
def webcams(tmp_path_factory: pytest.TempPathFactory) -> FakeWebcams:
    made = FakeWebcams(tmp_path_factory.mktemp("cameras"))
    made.add(SMALL)
    made.add(("range YUYV 160 1280 16 120 720 8 30",), (), (480, 640))
    made.add(())  # a camera's second device, for its metadata
    return made


def vgil(webcams: FakeWebcams, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vgil_ros.cli.main", "cameras", *arguments]
    environment = process_environment(**webcams.environment)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_all_that_there_is(webcams: FakeWebcams, tmp_path: Path) -> None:
    webcams.cameras[1].fault("busy")
    report = tmp_path / "report.json"
    done = vgil(webcams, str(webcams.folder / "dev"), "--json", str(report))
    webcams.cameras[1].well("busy")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())["cameras"]
    assert [one["path"] for one in found] == [str(camera.path) for camera in webcams.cameras[:2]]
    assert [one["busy"] for one in found] == [False, True]
    assert found[0]["offers"] == [{"format": "MJPG", "size": "160x120", "rates": [30.0, 15.0], "any_rate": False}]
    assert found[0]["controls"]["gain"] == {"value": 0, "automatic": False, "allowed": "0 to 100 in steps of 4"}
    assert re.search(r"YUYV +160x120 to 1280x720 +at 30 Hz", done.stdout)
    assert "read by another program" in done.stdout
    lines = done.stdout[done.stdout.index("\ncameras:") :]
    cameras = [Camera.model_validate(one) for one in yaml.safe_load(lines)["cameras"]]
    assert [(one.type, one.height, one.width, one.fps) for one in cameras] == [
        ("compressed", HEIGHT, WIDTH, 30),
        ("image", 480, 640, 30),
    ]


def test_stills(webcams: FakeWebcams, tmp_path: Path) -> None:
    done = vgil(webcams, *(str(camera.path) for camera in webcams.cameras), "--still", str(tmp_path / "stills"))
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (tmp_path / "stills" / f"cam_{i}.jpg" for i in range(2))
    assert first.read_bytes() in webcams.cameras[0].film, "the camera's own JPEG"
    image = cv2.imread(str(second))
    assert image is not None
    assert image.shape == (480, 640, 3)


def test_a_contract_is_held_against_its_devices(webcams: FakeWebcams, tmp_path: Path) -> None:
    gone = webcams.folder / "dev" / "v4l" / "by-id" / "usb-gone-video-index0"
    given: list[dict[str, Any]] = [
        {"name": "good", "device": str(webcams.cameras[0].path), "height": HEIGHT, "width": WIDTH},
        {"name": "large", "device": str(webcams.cameras[1].path), "height": 1080, "width": 1920},
        {"name": "gone", "device": str(gone)},
    ]
    cameras = [contracts.camera(kind="image" if one["name"] == "large" else "compressed", **one) for one in given]
    path = contracts.write(contracts.small_robot(cameras=cameras), tmp_path / "robot.yaml")
    done = vgil(webcams, "--robot", str(path), "--still", str(tmp_path))
    assert done.returncode == 1
    assert "large: 1920x1080 at 30 Hz is not offered; allowed: YUYV 160x120 to 1280x720 at 30 Hz" in done.stdout
    assert f"gone: {gone}: is not there" in done.stdout
    assert (tmp_path / "good.jpg").read_bytes() in webcams.cameras[0].film
    assert not (tmp_path / "large.jpg").exists()


def test_nothing_is_plugged_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vgil_ros.cli.main", "cameras", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)
    assert done.returncode == 1
    assert "no camera is plugged in here" in done.stdout
