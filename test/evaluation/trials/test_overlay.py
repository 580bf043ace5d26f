"""Overlay of start images: how far the scene is from the wanted one is what it was moved by."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vgil_ros.evaluation.trials.overlay import blend, measure_shift


@pytest.fixture
def scene() -> np.ndarray:
    """A textured table, (120, 160, 3)."""
    rough = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    return cv2.resize(rough, (160, 120), interpolation=cv2.INTER_CUBIC)


def test_the_same_scene_is_not_moved(scene: np.ndarray) -> None:
    shift = measure_shift(scene, scene)
    assert shift.pixels == pytest.approx((0.0, 0.0), abs=0.05)
    assert (shift.differing, shift.place) == (0.0, None)
    assert np.array_equal(blend(scene, scene), scene)


@pytest.mark.parametrize("by", [(5, 0), (-3, 4), (2, -6)])
def test_a_camera_that_was_knocked_is_measured(scene: np.ndarray, by: tuple[int, int]) -> None:
    moved = np.roll(scene, by[::-1], axis=(0, 1))
    assert measure_shift(scene, moved).pixels == pytest.approx(by, abs=0.5)


def test_a_thing_that_lies_elsewhere_is_found_where_it_is() -> None:
    empty = np.full((120, 160, 3), 90, np.uint8)
    wanted, live = empty.copy(), empty.copy()
    wanted[40:60, 40:60] = live[40:60, 60:80] = (250, 30, 30)
    shift = measure_shift(wanted, live)
    assert shift.differing == pytest.approx(800 / (120 * 160), rel=0.5)
    assert shift.place == pytest.approx((59.5, 49.5), abs=3)
    assert "of the image differs around" in shift.words()
    double = blend(wanted, live, shift.words())
    assert double.shape == wanted.shape
    assert tuple(double[50, 50]) == tuple(double[50, 70]), "it is seen at both places"


def test_another_size_is_brought_to_the_wanted_one(scene: np.ndarray) -> None:
    small = cv2.resize(scene, (80, 60), interpolation=cv2.INTER_AREA)
    assert blend(scene, small).shape == scene.shape
    assert measure_shift(scene, small).differing < 0.02
