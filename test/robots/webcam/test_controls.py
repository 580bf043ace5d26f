"""Controls: each one's automatic first, read back, and what a camera lacks, rounds or refuses said with its range."""

from __future__ import annotations

import errno

import pytest

from vgil_ros.robots.webcam.controls import KINDS, Control, apply, current, differing, is_automatic


class Camera:
    """A camera with exposure, gain in steps, and a focus that its automatic locks."""

    def __init__(self) -> None:
        self.values = {KINDS["exposure"].value: 157, KINDS["exposure"].auto: 3, KINDS["gain"].value: 0}
        self.values |= {KINDS["focus"].value: 30, KINDS["focus"].auto: 1}
        self.order: list[int] = []
        self.gone = False
        self.unreadable: dict[int, int] = {}  # an errno by control

    def controls(self) -> list[Control]:
        return [
            Control(KINDS["exposure"].value, "Exposure", 3, 2047, 1, 157),
            Control(KINDS["exposure"].auto or 0, "Auto Exposure", 0, 3, 1, 3, items=(1, 3)),
            Control(KINDS["gain"].value, "Gain", 0, 100, 4, 0),
            Control(KINDS["focus"].value, "Focus", 0, 250, 5, 0),
            Control(KINDS["focus"].auto or 0, "Focus, Automatic", 0, 1, 1, 1),
        ]

    def get_control(self, identity: int) -> int:
        if identity in self.unreadable:
            raise OSError(self.unreadable[identity], "unreadable")
        return self.values[identity]

    def set_control(self, identity: int, value: int) -> None:
        self.order.append(identity)
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if identity == KINDS["focus"].value and self.values[KINDS["focus"].auto]:
            raise OSError(errno.EIO, "Input/output error")
        self.values[identity] = value // 4 * 4 if identity == KINDS["gain"].value else value


def test_values_are_set_after_their_automatic_is_off() -> None:
    camera = Camera()
    assert apply(camera, {"exposure": 166, "focus": 20}) == []
    exposure, focus = KINDS["exposure"], KINDS["focus"]
    assert camera.order == [exposure.auto, exposure.value, focus.auto, focus.value]
    assert not is_automatic(camera, "exposure")
    assert {name: value for name, (_, value) in current(camera).items()} == {"exposure": 166, "gain": 0, "focus": 20}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"gain": 7}, "control `gain`: 7 was wanted, the camera has 4; allowed: 0 to 100 in steps of 4"),
        ({"zoom": 2}, "this camera has no control `zoom`; allowed: ['exposure', 'gain', 'focus']"),
        ({"gain": "auto"}, "control `gain` has no automatic in this camera; allowed: 0 to 100 in steps of 4"),
        (
            {"white_balance": "auto"},
            "this camera has no control `white_balance`; allowed: ['exposure', 'gain', 'focus']",
        ),
    ],
)
def test_what_is_not_as_wanted_is_said(wanted: dict[str, int | str], words: str) -> None:
    assert apply(Camera(), wanted) == [words]


def test_automatic_is_the_menu_entry_that_the_camera_has() -> None:
    camera = Camera()
    camera.values[KINDS["exposure"].auto] = 1
    assert apply(camera, {"exposure": "auto"}) == []
    assert camera.values[KINDS["exposure"].auto] == 3
    assert is_automatic(camera, "exposure")


def test_what_somebody_else_changed_is_seen() -> None:
    camera = Camera()
    apply(camera, {"exposure": 166, "gain": 8})
    camera.values[KINDS["exposure"].value] = 500
    assert differing(camera, {"exposure": 166, "gain": 8, "focus": "auto", "zoom": 1}) == {"exposure": 500}


def test_an_automatic_that_somebody_else_switched_is_seen() -> None:
    camera = Camera()
    wanted: dict[str, int | str] = {"exposure": 166, "gain": 8, "focus": 20}
    apply(camera, wanted)
    camera.values |= {KINDS["exposure"].auto or 0: 3, KINDS["focus"].auto or 0: 1}
    assert differing(camera, wanted) == {"exposure's automatic": 3, "focus's automatic": 1}
    assert apply(camera, wanted) == []
    assert differing(camera, wanted) == {}
    assert differing(camera, {"exposure": "auto", "white_balance": "auto"}) == {"exposure's automatic": 1}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_control_that_cannot_be_read_is_told_and_is_no_reason_to_open_the_camera_anew(number: int) -> None:
    camera = Camera()
    gain = KINDS["gain"].value
    camera.unreadable[gain] = number
    words = "control `gain`: 8 was wanted, its value cannot be read; allowed: 0 to 100 in steps of 4"
    assert apply(camera, {"exposure": 166, "gain": 8}) == [words]
    assert differing(camera, {"exposure": 150, "gain": 4}) == {"exposure": 166}
    assert "gain" not in current(camera)
    camera.unreadable = {KINDS["exposure"].auto or 0: number}
    assert not is_automatic(camera, "exposure")
    camera.unreadable[gain] = errno.ENODEV
    with pytest.raises(OSError, match="unreadable"):
        differing(camera, {"gain": 4})


def test_a_camera_that_goes_meanwhile_is_no_refusal() -> None:
    camera = Camera()
    camera.gone = True
    with pytest.raises(OSError, match="No such device"):
        apply(camera, {"exposure": 166})
