"""Requests before the policy sees them, and the script for LeRobot's environment without LeRobot."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("msgpack")
pytest.importorskip("websockets")

from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.flow_act import FlowActConfig
from vgil_ros.policies.remote.errors import WireError
from vgil_ros.policies.remote.images import to_jpeg
from vgil_ros.policies.serving import lerobot_server
from vgil_ros.policies.serving import observations as module
from vgil_ros.policies.serving.lerobot_server import LeRobotPolicy, Refused
from vgil_ros.policies.serving.observations import observation_of

SIZES: dict[str, Any] = {"state_dim": 3, "action_dim": 3, "chunk_size": 4}
CAMERA = {"name": "a", "height": 48, "width": 64}


def request(count: int) -> dict[str, Any]:
    """A request with so many past images, as JPEGs."""
    jpeg = to_jpeg(np.zeros((48, 64, 3), np.uint8), 50)
    past = {"qpos": np.zeros((count, 3), np.float32), "images": {"a": [jpeg] * count}, "known": np.ones(count, bool)}
    return {"state": np.zeros(3, np.float32), "images": {"a": jpeg}, "past": past}


def test_past_images_are_counted_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    looks_back = FlowActConfig(**SIZES, cameras=[CAMERA], rate_hz=25.0)  # type: ignore[arg-type]
    wanted = len(looks_back.obs_offsets)
    assert wanted
    decoded: list[bytes] = []

    def counted(data: bytes, size: tuple[int, int] | None) -> np.ndarray:
        decoded.append(data)
        return np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(module, "from_jpeg", counted)
    found = observation_of(request(wanted), looks_back)
    assert found["past"]["images"]["a"].shape == (wanted, 48, 64, 3)
    decoded.clear()
    for count in (0, wanted + 1, 500):
        with pytest.raises(WireError, match=f"past images of a: found {count}; allowed: {wanted}"):
            observation_of(request(count), looks_back)
    with pytest.raises(WireError, match="past images of a: found 3; allowed: 0"):
        observation_of(request(3), PolicyConfig(type="act", **SIZES, cameras=[CAMERA]))  # type: ignore[arg-type]
    for odd in (5, "text", np.float32(1.0)):
        given = request(wanted)
        given["past"]["images"] = {"a": odd}
        with pytest.raises(WireError, match=f"past images of a: found 0; allowed: {wanted}"):
            observation_of(given, looks_back)
    assert len(decoded) == 7, "those of now alone"


class Stub(types.ModuleType):
    """Stands for modules of LeRobot's: a policy with a configuration, and no processors."""

    config: Any

    @property
    def PreTrainedConfig(self) -> Any:
        return types.SimpleNamespace(from_pretrained=lambda _: self.config)

    def get_policy_class(self, _: str) -> Any:
        return types.SimpleNamespace(from_pretrained=lambda _, config: types.SimpleNamespace(config=config))

    def make_pre_post_processors(self, *_: Any, **__: Any) -> Any:
        return types.SimpleNamespace(steps=[]), None


def test_cameras_that_lerobot_calls_empty_are_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    features = {"observation.images.image": (3, 8, 8), "observation.images.empty_camera_0": (3, 480, 640)}
    config = types.SimpleNamespace(
        image_features={key: types.SimpleNamespace(shape=shape) for key, shape in features.items()},
        input_features={"observation.state": types.SimpleNamespace(shape=(3,))},
        output_features={"action": types.SimpleNamespace(shape=(3,))},
        type="smolvla",
    )
    for name in (
        "lerobot",
        "lerobot.configs",
        "lerobot.configs.policies",
        "lerobot.policies",
        "lerobot.policies.factory",
    ):
        stub = Stub(name)
        stub.config = config
        monkeypatch.setitem(sys.modules, name, stub)
    policy = LeRobotPolicy("folder", "cpu")
    assert [camera["name"] for camera in policy.metadata(20)["vgil"]["cameras"]] == ["image"]
    example = policy.example()
    assert list(policy._frames(example)[0]) == ["observation.state", "observation.images.image"]
    with pytest.raises(Refused, match=r"allowed: exactly \['image'\]"):
        policy._frames(
            {**example, "images": {**example["images"], "empty_camera_0": np.zeros((480, 640, 3), np.uint8)}}
        )


@pytest.mark.parametrize(
    ("host", "token", "warned"), [("0.0.0.0", "", True), ("0.0.0.0", "x", False), ("::1", "", False)]
)
def test_a_public_lerobot_server_without_a_token_is_warned_of(
    host: str, token: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends(*_: Any) -> None:
        raise OSError("no such policy")

    monkeypatch.setitem(sys.modules, "lerobot", Stub("lerobot"))
    monkeypatch.setattr(lerobot_server, "LeRobotPolicy", ends)
    monkeypatch.setattr(sys, "argv", ["lerobot_server.py", "--policy", "name", "--host", host])
    monkeypatch.setenv("VGIL_TOKEN", token)
    assert lerobot_server.main() == 2
    assert ("can be reached from other computers, and no token is asked for" in capsys.readouterr().out) == warned
