"""The webcam node on a pretended camera: its own JPEGs, the kernel's stamps, and each thing that goes wrong named."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image
from support import contracts
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.reference import assert_documented
from support.process import Process
from support.webcams import AUTO_EXPOSURE, BRIGHTNESS, CONTROLS, EXPOSURE, HEIGHT, WIDTH, FakeWebcam, FakeWebcams

WITHIN_NS = 1_000_000  # of the kernel's stamp


def ns(message: Any) -> int:
    """A message's stamp."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def camera(device: FakeWebcam, kind: str = "compressed", **changes: Any) -> dict[str, Any]:
    """A camera of a contract that is this device."""
    name = device.folder.name[5:].zfill(4)
    sizes = {"height": HEIGHT, "width": WIDTH, "device": str(device.path), "fps": 30}
    return contracts.camera(f"cam_{name}", kind, **{**sizes, **changes})


class WebcamRig:
    """Pretended cameras, and nodes that read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bench = Bench(folder).__enter__()
        self.webcams = FakeWebcams(folder / "bench")
        self.bench.environment.update(self.webcams.environment)

    def start(self, *cameras: dict[str, Any], name: str = "", **changes: Any) -> Process:
        """Start a node on a robot with these cameras."""
        path = contracts.write(contracts.small_robot(cameras=list(cameras), **changes), self.folder / "small.yaml")
        parameters = {"robot": path, **({"camera": name} if name else {})}
        return self.bench.node("webcam", parameters)

    def close(self) -> None:
        """End all."""
        self.bench.__exit__(None, None, None)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebcamRig]:
    made = WebcamRig(tmp_path_factory.mktemp("webcam"))
    yield made
    made.close()


class Running:
    """A node that sends, with what it says of itself."""

    def __init__(self, rig: WebcamRig) -> None:
        forgets = BRIGHTNESS.replace(" ok ", " forget ")
        self.device = rig.webcams.add(controls=tuple(forgets if one == BRIGHTNESS else one for one in CONTROLS))
        controls = {"exposure": 166, "gain": 7, "white_balance": 4000, "focus": "auto", "brightness": 10}
        self.process = rig.start(camera(self.device, controls=controls))
        self.images = rig.bench.client.collect(CompressedImage, "/cam_0000/compressed")
        self.statuses = rig.bench.client.status("/webcam/status")
        self.diagnostics = rig.bench.client.collect(DiagnosticArray, "/diagnostics")
        until(lambda: len(self.images) > 30, "images")

    def value(self, key: str) -> str:
        """A value of the last status."""
        return next(pair.value for pair in self.statuses[-1][1].values if pair.key == key)

    def told(self, words: str, level: bytes) -> None:
        """Wait for a status that is of this level and has these words."""
        until(lambda: words in self.statuses[-1][1].message and self.statuses[-1][1].level == level, words)

    def well(self) -> None:
        """Wait until the last fault is over; two of the controls stay as they are."""
        until(lambda: self.statuses[-1][1].message.startswith("cam_0000: control `gain`"), "well")

    def later(self) -> list[CompressedImage]:
        """Images that come from now on."""
        count = len(self.images)
        until(lambda: len(self.images) > count + 10, "more images")
        return [image for _, image in self.images[count:]]


@pytest.fixture(scope="module")
def running(rig: WebcamRig) -> Running:
    return Running(rig)


def test_the_cameras_own_bytes_arrive_with_the_kernels_stamps(running: Running) -> None:
    images = running.later()
    wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
    handed = {one.stamp_ns + wall_ns - monotonic_ns: one for one in running.device.handed()}
    for image in images:
        stamp = min(handed, key=lambda at: abs(at - ns(image)))
        assert abs(stamp - ns(image)) < WITHIN_NS
        assert bytes(image.data) == running.device.film[handed[stamp].frame]
        assert (image.format, image.header.frame_id) == ("jpeg", "cam_0000")
    assert float(running.value("rate_hz")) == pytest.approx(30, rel=0.15)


def test_controls_are_set_in_order_and_what_differs_is_named(running: Running) -> None:
    exposure, automatic = int(EXPOSURE.split()[0], 16), int(AUTO_EXPOSURE.split()[0], 16)
    ids = running.device.set_controls()
    assert ids[:2] == [(automatic, 1), (exposure, 166)], "manual first: many cameras refuse a value before"
    words = running.process.expect("control `gain`: 7 was wanted, the camera has 4; allowed: 0 to 100 in steps of 4")
    assert "no control `focus`; allowed: ['exposure', 'gain', 'white_balance'" in words.text
    assert "166" not in words.text, "what was taken is not spoken of"
    running.told("control `gain`", DiagnosticStatus.WARN)
    running.process.expect("controls had changed and are set again: brightness was 0")  # as the stream began


def test_the_status_is_the_documented_one(running: Running) -> None:
    assert_documented([pair.key for pair in running.statuses[-1][1].values], "Webcam", streams=["cam_0000"])
    until(lambda: any(s.status[0].name == "webcam" for _, s in running.diagnostics), "diagnostics")
    assert running.value("format") == "MJPG"


@pytest.mark.parametrize("fault", ["cut", "empty", "damaged", "size"])
def test_broken_images_are_dropped_counted_and_named(running: Running, fault: str) -> None:
    said = {"cut": "cut off", "empty": "empty", "damaged": "damaged by the driver", "size": "of 320x240, and 160x120"}
    before = int(running.value("frames_broken"))
    running.device.fault(fault, 1 if fault == "size" else 3)
    running.told(said[fault], DiagnosticStatus.WARN)
    if fault != "size":
        good = running.later()
        assert all(bytes(image.data) in running.device.film for image in good)
    until(lambda: int(running.value("frames_broken")) > before + 2, "counted")
    running.device.well(fault)
    running.process.expect(said[fault])


def test_lost_frames_are_named_and_counted(running: Running) -> None:
    running.device.fault("skip", 5)
    running.told("lost between camera and computer", DiagnosticStatus.WARN)
    running.device.well("skip")
    assert int(running.value("frames_lost")) > 0


def test_unplugged_is_named_once_and_plugged_in_again_is_found(running: Running) -> None:
    since, controls = running.process.mark(), len(running.device.set_controls())
    running.device.unplug()
    running.told("has gone", DiagnosticStatus.ERROR)
    until(lambda: "is not there" in running.statuses[-1][1].message, "looked for")
    time.sleep(1.2)
    assert "has gone" in "".join(line.text for line in running.process.lines[since:])
    said = [line.text for line in running.process.lines[since:] if str(running.device.path) in line.text]
    assert len(said) == 1, "once"
    running.device.plug()
    images = running.later()
    assert bytes(images[-1].data) in running.device.film
    running.process.expect("device: recovered", since=since)
    assert running.value("opened") == "2"
    assert (int(EXPOSURE.split()[0], 16), 166) in running.device.set_controls()[controls:], "controls are set again"


def test_a_silent_camera_is_begun_anew(running: Running) -> None:
    since = running.process.mark()
    running.device.fault("silent")
    running.process.expect("no image for 2 s", since=since)
    running.device.well("silent")
    running.later()
    running.process.expect("silent: recovered", since=since)


def test_a_device_that_hangs_is_named_and_ctrl_c_ends_the_node(running: Running) -> None:
    running.device.fault("hang")
    running.told("does not answer", DiagnosticStatus.ERROR)
    running.process.send(signal.SIGINT)
    assert running.process.wait() == 0, "and the call of the kernel still waits"
    assert "left to the end of the process" in running.process.output


def test_raw_images_of_a_camera_that_is_taken_has_no_room_and_is_slow(rig: WebcamRig) -> None:
    device = rig.webcams.add()
    device.fault("busy")
    process = rig.start(camera(device, "image", tolerance_ms=10))
    images = rig.bench.client.collect(Image, "/cam_0001/image_raw")
    process.expect("at 30 Hz the nearest frame is up to 16.7 ms from a tick, and its tolerance is 10 ms")
    process.expect("is read by another program; one program alone can")
    device.well("busy")
    until(lambda: len(images) > 3, "images")
    one = images[-1][1]
    assert (one.encoding, one.height, one.width, one.step) == ("yuv422_yuy2", HEIGHT, WIDTH, 2 * WIDTH)
    film = [path.read_bytes() for path in (device.folder / "frames").glob("*.yuyv")]
    assert bytes(one.data) in film
    device.fault("slow", 120)
    process.expect("sends [0-9.]* Hz, 30 were set: auto exposure in little light")
    process.send(signal.SIGINT)
    assert process.wait() == 0


def test_another_size_is_refused_with_what_there_is(rig: WebcamRig) -> None:
    process = rig.start(camera(rig.webcams.add(), height=480, width=640))
    process.expect("640x480 at 30 Hz is not offered; allowed: MJPG 160x120 at 30, 15 Hz; MJPG 320x240 at 60, 30 Hz")
    assert process.wait() == 2
