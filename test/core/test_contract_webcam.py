"""A camera's device, rate and controls in the contract."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support import contracts

from vgil_ros.core.contract import Contract, parse_contract
from vgil_ros.core.errors import ContractError

DEVICE = "/dev/v4l/by-id/usb-046d_Logitech-video-index0"


def parsed(*cameras: dict[str, Any]) -> Contract:
    return parse_contract(yaml.safe_dump(contracts.small_robot(cameras=list(cameras))), "robot.yaml")


def test_a_webcam_is_read() -> None:
    controls = {"exposure": 166, "focus": "auto", "power_line": 1}
    found = parsed(contracts.camera("cam_a", "compressed", device=DEVICE, controls=controls)).cameras[0]
    assert (found.device, found.capture_fps) == (DEVICE, 30.0)
    assert found.controls is not None
    assert found.controls.given() == controls


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "video0"}, "cameras[0].device: found 'video0'; allowed: a path such as /dev/v4l/by-id/"),
        ({"device": 0}, "cameras[0].device: found 0; allowed: a path such as"),
        ({"fps": 30}, "fps is given without device; allowed: with `device` alone"),
        ({"controls": {"gain": 1}}, "controls is given without device; allowed: with `device` alone"),
        (
            {"device": DEVICE, "type": "depth"},
            "device is given and type is 'depth'; allowed with a device: image, compre",
        ),
        ({"device": DEVICE, "fps": 0}, "cameras[0].fps: found 0; allowed: greater than or equal to 1"),
        (
            {"device": DEVICE, "controls": {"iris": 1}},
            "cameras[0].controls.iris: unknown key; allowed: ['exposure', 'gain'",
        ),
        (
            {"device": DEVICE, "controls": {"exposure": "off"}},
            "exposure: found 'off'; allowed: a whole number, or auto",
        ),
        (
            {"device": DEVICE, "controls": {"zoom": "auto"}},
            "zoom: found 'auto'; allowed: a whole number (`vgil cameras`",
        ),
        ({"device": DEVICE, "controls": {"gain": True}}, "gain: found True; allowed: a whole number, or auto"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as error:
        parsed(contracts.camera("cam_a", **changes))
    assert words in str(error.value)


def test_a_device_is_one_cameras() -> None:
    with pytest.raises(
        ContractError, match="'cam_b' and 'cam_a' have the device '/dev/video0' both; allowed: each dev"
    ):
        parsed(*(contracts.camera(name, device="/dev/video0") for name in ("cam_a", "cam_b")))
