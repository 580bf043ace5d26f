"""What a mapping does to observations and actions: order, grippers, deltas, rate, images. And its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from support import contracts

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.policies.compatibility import profile_of
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.remote.errors import RemoteError, WireError
from vgil_ros.policies.remote.images import from_jpeg, jpeg_size, resize_with_pad, to_jpeg
from vgil_ros.policies.remote.mapping import RemoteMapping, load_mapping
from vgil_ros.policies.remote.policy import grippers_of
from vgil_ros.policies.remote.translation import Translation, retimed

JOINTS = ["left/waist", "left/elbow", "left/grip"]
BASE = {"odom": {"topic": "/odom"}, "command": {"topic": "/cmd_vel"}, "limits": {"linear": 0.5, "angular": 1.0}}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    path = tmp_path_factory.mktemp("robot") / "robot.yaml"
    return Layout(load_contract(str(contracts.write(contracts.small_robot(base=BASE), path)))[0])


def translation(layout: Layout, **mapping: Any) -> Translation:
    made = RemoteMapping.model_validate(mapping)
    return Translation(made, profile_of(layout), grippers_of(layout), ["cam_a"])


def observation(qpos: tuple[float, ...] = (0.1, 0.2, 0.25)) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return {"qpos": np.array(qpos, np.float32), "images": {"cam_a": pixels}, "task": "stack"}


def test_without_a_mapping_nothing_changes(layout: Layout) -> None:
    plain, given = translation(layout), observation()
    message = plain.message(given)
    np.testing.assert_array_equal(message["state"], given["qpos"])
    np.testing.assert_array_equal(message["images"]["cam_a"], given["images"]["cam_a"])
    assert message["prompt"] == "stack"
    rows = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_array_equal(plain.chunks({"actions": rows}, given["qpos"])[0], rows)
    assert plain.chunks({"actions": np.zeros((2, 7, 5))}, given["qpos"]).shape == (2, 7, 5), "with the base"


def test_names_order_grippers_and_images_are_the_servers(layout: Layout) -> None:
    made = translation(
        layout,
        state={"key": "observation/state", "joints": ["left/grip", "left/waist"]},
        images=[{"name": "cam_a", "key": ["observation", "wrist"], "resize": [32, 32], "order": "chw"}],
        prompt="task",
        actions={"key": ["out", "actions"], "joints": ["left/grip", "-", "left/elbow", "left/waist"]},
        grippers={"closed": 1.0, "open": -1.0},
    )
    message = made.message(observation())
    np.testing.assert_allclose(message["observation/state"], [0.5, 0.1], atol=1e-6)
    assert message["observation"]["wrist"].shape == (3, 32, 32)
    assert message["task"] == "stack"
    rows = np.array([[-1.0, 99.0, 0.2, 0.1], [1.0, 99.0, 0.4, 0.3]])
    chunk = made.chunks({"out": {"actions": rows}}, np.zeros(3))[0]
    np.testing.assert_allclose(chunk, [[0.1, 0.2, 1.0], [0.3, 0.4, 0.0]], atol=1e-6)


def test_the_past_is_told_as_the_present_is(layout: Layout) -> None:
    made = translation(
        layout,
        state={"joints": ["left/grip", "left/waist"]},
        images=[{"name": "cam_a", "key": ["images", "top"], "resize": [32, 32]}],
        grippers={"closed": 1.0, "open": 0.0},
    )
    now, before = observation((0.1, 0.2, 0.9)), observation((0.3, 0.2, 0.9))
    past = {
        "qpos": before["qpos"][None],
        "images": {"cam_a": before["images"]["cam_a"][None]},
        "known": np.ones(1, bool),
    }
    message = made.message({**now, "past": past})
    np.testing.assert_allclose(message["state"], [0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose(message["past"]["qpos"], [[0.1, 0.3]], atol=1e-6)
    assert [one.shape for one in message["past"]["images"]["top"]] == [(32, 32, 3)]
    assert message["past"]["known"].all()


def test_deltas_are_of_the_observed_position_or_of_the_row_before_and_grippers_are_neither(layout: Layout) -> None:
    rows, qpos = np.array([[0.1, 0.0, 0.5], [0.2, 0.1, 0.6], [0.3, 0.0, 0.7]]), np.array([1.0, -0.5, 0.9])
    whole = translation(layout, actions={"kind": "delta"}).chunks({"actions": rows}, qpos)[0]
    np.testing.assert_allclose(whole, [[1.1, -0.5, 0.5], [1.2, -0.4, 0.6], [1.3, -0.5, 0.7]], atol=1e-6)
    each = translation(layout, actions={"kind": "delta_each"}).chunks({"actions": rows}, qpos)[0]
    np.testing.assert_allclose(each, [[1.1, -0.5, 0.5], [1.3, -0.4, 0.6], [1.6, -0.4, 0.7]], atol=1e-6)


def test_the_base_may_be_given_and_is_no_delta(layout: Layout) -> None:
    names = [*JOINTS, "base/linear", "base/angular"]
    made = translation(layout, actions={"kind": "delta", "joints": names})
    chunk = made.chunks({"actions": np.full((2, 5), 0.3)}, np.ones(3))[0]
    np.testing.assert_allclose(chunk[0], [1.3, 1.3, 0.3, 0.3, 0.3], atol=1e-6)


@settings(deadline=None)
@given(rows=st.integers(1, 30), from_hz=st.floats(1, 100), to_hz=st.floats(1, 100))
def test_another_rate_keeps_straight_lines_and_never_looks_beyond_the_last_row(
    rows: int, from_hz: float, to_hz: float
) -> None:
    slope, start = np.array([2.0, -3.0]), np.array([0.5, 1.0])
    chunk = start + np.arange(rows)[:, None] / from_hz * slope
    made = retimed(chunk, from_hz, to_hz)
    at = np.arange(len(made)) / to_hz
    assert at[-1] <= (rows - 1) / from_hz + 1e-6
    assert at[-1] + 1 / to_hz > (rows - 1) / from_hz - 1e-6, "no row is left out"
    np.testing.assert_allclose(made, start + at[:, None] * slope, atol=1e-5)


def test_a_chunk_of_15_hz_becomes_one_of_the_robots_rate(layout: Layout) -> None:
    made = translation(layout, actions={"rate_hz": 12.5})
    rows = np.arange(5.0)[:, None] * np.ones(3)
    np.testing.assert_allclose(made.chunks({"actions": rows}, np.zeros(3))[0][:, 0], np.arange(9) / 2)


@pytest.mark.parametrize("size", [(224, 224), (48, 64), (100, 30), (10, 60)])
def test_images_are_scaled_as_pillow_does(size: tuple[int, int]) -> None:
    pillow = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    ratio = max(64 / size[1], 48 / size[0])
    inner = int(64 / ratio), int(48 / ratio)
    expected = pillow.new("RGB", size[::-1], 0)
    scaled = pillow.fromarray(image).resize(inner, resample=pillow.BILINEAR)
    expected.paste(scaled, ((size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2))
    found = resize_with_pad(image, *size)
    assert found.shape == (*size, 3)
    assert np.abs(found.astype(int) - np.asarray(expected).astype(int)).max() <= 2


def test_jpegs_are_measured_before_they_are_decoded() -> None:
    image = np.full((48, 64, 3), (200, 30, 60), np.uint8)
    data = to_jpeg(image, 95)
    assert jpeg_size(data) == (48, 64)
    assert np.abs(from_jpeg(data, (48, 64)).astype(int) - image).max() < 6, "and red stays red"
    with pytest.raises(WireError, match="a JPEG is 48x64; allowed: 48x32"):
        from_jpeg(data, (48, 32))
    at = data.index(b"\xff\xc0") + 5
    huge = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
    with pytest.raises(WireError, match="65535x65535; allowed: up to"):
        from_jpeg(huge)
    for broken in (b"", b"\xff\xd8", data[:20], b"PNG"):
        with pytest.raises(WireError, match="is no JPEG; allowed"):
            from_jpeg(broken)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "has no 'actions'"),
        ([1], "has no 'actions'; found list"),
        ({"actions": [[0.0]]}, "has type list; allowed: an array (H, D)"),
        ({"actions": np.zeros(3)}, "has shape (3,); allowed"),
        ({"actions": np.zeros((0, 3))}, "has shape (0, 3); allowed"),
        ({"actions": np.zeros((5, 32))}, "gives 32 numbers an action; allowed: 3 or 5; name them by actions.joints"),
    ],
)
def test_answers_that_are_no_chunk(layout: Layout, answer: Any, words: str) -> None:
    with pytest.raises(RemoteError) as caught:
        translation(layout).chunks(answer, np.zeros(3))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"state": {"joints": ["left/knee"]}}, "state.joints: ['left/knee'] is not on robot small; allowed"),
        ({"images": [{"name": "cam_z"}]}, "camera ['cam_z'] is not on robot small; allowed: ['cam_a']"),
        ({"actions": {"joints": ["left/waist", "left/hip"]}}, "unknown ['left/hip'], missing ['left/elbow', 'left/gr"),
        ({"actions": {"joints": [*JOINTS, "base/linear"]}}, "both of the base's or none"),
    ],
)
def test_mappings_that_the_robot_does_not_fit(layout: Layout, mapping: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        translation(layout, **mapping)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"sate": {}}, "sate: unknown key; allowed: ['state', 'images'"),
        ({"images": [{"name": "cam_a", "size": 3}]}, "images[0].size: unknown key; allowed: ['name', 'key'"),
        ({"actions": {"kind": "relative"}}, "actions.kind: found 'relative'; allowed: 'absolute', 'delta' or"),
        ({"grippers": {"closed": 1, "open": 1}}, "closed and open are both 1; allowed"),
        ({"jpeg_quality": 0}, "jpeg_quality: found 0"),
        ({"images": [{"name": "a"}, {"name": "a"}]}, "images: a is named more than once; allowed: once"),
        ({"images": [{"name": "a", "resize": [0, 5]}]}, "allowed: [height, width], 1 to 4096 each"),
    ],
)
def test_faults_of_the_file_are_named(tmp_path: Path, mapping: dict[str, Any], words: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(mapping))
    with pytest.raises(PolicyError) as caught:
        load_mapping(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
