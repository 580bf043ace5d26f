"""Every file in config/policies is a training that could begin: its keys are known, and its policy fits a robot."""

from __future__ import annotations

import pytest

pytest.importorskip("diffusers")

from vgil_ros.assets import share_dir
from vgil_ros.policies.registry import POLICY_TYPES, policy_class
from vgil_ros.training.config import load_config

NAMES = sorted(path.stem for path in (share_dir() / "config" / "policies").glob("*.yaml"))
SIM = {"dims": (7, 7), "size": (240, 320)}  # of sim_single
TWO_ARMS = {"dims": (14, 14), "size": (240, 320)}  # of sim_aloha and gym_aloha
OTHERS = {"dims": (14, 16), "size": (480, 640)}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid(name: str) -> None:
    config = load_config(name, [], {"data.folders": ["a"], "out": "b"})
    one = SIM if name.startswith("sim_pick_place") else TWO_ARMS
    robot = one if name.startswith(("sim_", "gym_")) else OTHERS
    (state, action), (height, width) = robot["dims"], robot["size"]
    cameras = [{"name": one, "height": height, "width": width} for one in ("high", "wrist")]
    kind = policy_class(config.policy["type"])
    fits = kind.config_class.model_validate(
        {**config.policy, "state_dim": state, "action_dim": action, "cameras": cameras, "rate_hz": 50.0}
    )
    assert fits.type == config.policy["type"]
    assert fits.chunk_size > 1
    assert config.batch_size <= config.steps


def test_every_kind_of_policy_has_its_usual_one() -> None:
    """`--policy KIND` takes the file of that name, for a GPU; `KIND_small` is for a CPU."""
    fresh = set(POLICY_TYPES) - {"smolvla"}  # which begins from a checkpoint
    assert {name for kind in fresh for name in (kind, f"{kind}_small", f"sim_pick_place_{kind}")} <= set(NAMES)
    for kind in POLICY_TYPES:
        assert load_config(kind, [], {"data.folders": ["a"], "out": "b"}).policy["type"] == kind
