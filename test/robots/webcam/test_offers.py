"""What a camera offers against what the contract wants: taken, or refused with all that is there."""

from __future__ import annotations

from typing import Any

import pytest
from support import contracts

from vgil_ros.core.contract import Camera, Contract
from vgil_ros.robots.webcam.offers import Offer, Refused, choose_format, same_rate, slow_for

MJPG = Offer("MJPG", (640, 640, 1), (480, 480, 1), (30.0, 15.0))
YUYV = Offer("YUYV", (640, 640, 1), (480, 480, 1), (30.0,))
LARGE = Offer("MJPG", (1280, 1280, 1), (720, 720, 1), (60.0, 30.0))
ANY = Offer("YUYV", (160, 1280, 16), (120, 720, 8), (60.0, 5.0), any_rate=True)


def camera(kind: str = "compressed", **changes: Any) -> Camera:
    values = {"height": 480, "width": 640, "device": "/dev/video0", **changes}
    return Camera(**contracts.camera("cam", kind, **values))


@pytest.mark.parametrize(
    ("wanted", "fps", "offers", "expected"),
    [
        (camera(), 30, [MJPG, YUYV], "MJPG"),
        (camera("image"), 30, [MJPG, YUYV], "YUYV"),
        (camera(), 29.97, [MJPG], "MJPG"),
        (camera("image"), 24, [ANY], "YUYV"),
        (camera("image", height=488), 24, [ANY], "YUYV"),
    ],
)
def test_what_is_offered_is_taken(wanted: Camera, fps: float, offers: list[Offer], expected: str) -> None:
    assert choose_format(wanted, fps, [one.format for one in offers], offers) == expected


def test_a_driver_that_tells_no_sizes_is_tried() -> None:
    assert choose_format(camera(), 30, ["YUYV", "MJPG"], [YUYV]) == "MJPG"


@pytest.mark.parametrize(
    ("wanted", "fps", "offers", "words"),
    [
        (camera(), 60, [MJPG, LARGE], "640x480 at 60 Hz is not offered; allowed: `fps` of this size, MJPG 640x480 a"),
        (camera(width=800), 30, [MJPG, LARGE], "800x480 at 30 Hz is not offered; allowed: MJPG 640x480 at 30, 15 "),
        (camera(), 30, [YUYV], r"needs one of the formats ['MJPG', 'JPEG']; the camera offers ['YUYV']; it can be `ty"),
        (camera("image", height=484), 24, [ANY], "640x484 at 24 Hz is not offered; allowed: YUYV 160x120 to 1280x72"),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused_with_what_is(
    wanted: Camera, fps: float, offers: list[Offer], words: str
) -> None:
    with pytest.raises(Refused) as error:
        choose_format(wanted, fps, [one.format for one in offers], offers)
    assert words in str(error.value)


def test_rates_are_the_same_but_for_rounding() -> None:
    assert same_rate(30000 / 1001, 30)
    assert not same_rate(25, 30)


@pytest.mark.parametrize(
    ("fps", "rate_hz", "tolerance_ms", "words"),
    [
        (30, 25, 20, None),
        (15, 15, 20, "up to 33.3 ms from a tick, and its tolerance is 20 ms"),
        (15, 15, 40, None),
        (25, 50, 40, "about 50 % of the rows show the image of the row before"),
    ],
)
def test_a_rate_that_leaves_rows_without_an_image_is_said(
    fps: float, rate_hz: float, tolerance_ms: float, words: str | None
) -> None:
    wanted = camera(tolerance_ms=tolerance_ms)
    robot = contracts.small_robot(rate_hz=rate_hz, cameras=[])
    said = slow_for(wanted, fps, Contract.model_validate(robot))
    assert (said is None) if words is None else (words in str(said))
