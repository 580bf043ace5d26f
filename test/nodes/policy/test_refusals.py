"""A policy node that must not start: exit code 2, everything wrong in words, no command ever sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

import torch
from safetensors.torch import load_file, save_file
from support import checkpoints, contracts
from support.nodes.command_log import Commands
from support.nodes.policy_rig import STANDS, PolicyBench, robot


class Stand:
    """A robot that could be moved, one listener, and a good checkpoint to spoil."""

    def __init__(self, bench: PolicyBench) -> None:
        self.bench = bench
        self.contract = contracts.write(robot(), bench.folder / "robot.yaml")
        self.good = checkpoints.make(self.contract, bench.folder / "good")
        self.commands: Commands = bench.listen(self.contract)
        robot_process = bench.robot(self.contract)
        robot_process.expect("^ready")
        robot_process.tell(f"left/puppet at {','.join(map(str, STANDS))}")

    def assert_refused(self, checkpoint: Path | str, **parameters: object) -> str:
        """Start the node, and return what it says as it ends with code 2."""
        given = {"robot": self.contract, "checkpoint": checkpoint, "autostart": True, **parameters}
        node = self.bench.module("vgil_ros.nodes.policy", given)
        assert node.wait(120) == 2, node.output  # torch takes long to load where the machine is busy
        assert "Traceback" not in node.output
        assert self.commands.all == [], "a command was sent"
        return node.output[node.output.index("error: ") :]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with PolicyBench(tmp_path_factory.mktemp("refusals")) as bench:
        yield Stand(bench)


def test_a_policy_that_has_to_be_told_a_task_is_not_started_without_one(stand: Stand, tmp_path: Path) -> None:
    asking = checkpoints.make(stand.contract, tmp_path / "asking", kind="flow_matching", task_dim=8)
    assert "needs a task; parameter 'task' is empty, allowed: a text" in stand.assert_refused(asking)


def test_every_mismatch_is_named_at_once(stand: Stand, tmp_path: Path) -> None:
    cameras = [{"name": "cam_a", "height": 96, "width": 64}, {"name": "cam_z", "height": 48, "width": 64}]
    names = ("left/elbow", "left/waist", "left/grip")
    bad = checkpoints.make(
        stand.contract,
        tmp_path / "bad",
        cameras=cameras,
        joint_names=names,
        rate_hz=30.0,
        action_dim=4,
        qpos_mean=57.0,
    )
    words = stand.assert_refused(bad)
    for part in (
        "does not fit robot 'small'",
        "camera cam_a: the policy takes 96x64 images, robot small gives 48x64",
        "camera cam_z: not on robot small, which has ['cam_a']",
        "same names, other order: at place 0 the policy has left/elbow",
        "action: the policy gives 4 values, robot small takes 3 without base or 5 with base",
        "rate: the policy was trained at 30 Hz, robot small runs at 50 Hz",
        "joint left/waist: trained around 57",
    ):
        assert part in words, f"{part}\n{words}"


def test_other_joints_and_another_number_of_them_are_named(stand: Stand, tmp_path: Path) -> None:
    names = ("left/waist", "left/elbow", "left/grip", "left/wrist")
    words = stand.assert_refused(checkpoints.make(stand.contract, tmp_path / "bad", joint_names=names, state_dim=4))
    assert "robot small lacks left/wrist" in words
    assert "qpos: the policy takes 4 values, robot small has 3" in words


def _nan(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    key = next(k for k, v in weights.items() if v.is_floating_point() and v.numel() > 10)
    weights[key].view(-1)[3] = float("nan")
    save_file(weights, folder / "model.safetensors")


def _unknown_key(folder: Path) -> None:
    config = json.loads((folder / "policy.json").read_text())
    (folder / "policy.json").write_text(json.dumps({**config, "colour": "blue"}))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "NaN in a weight": (_nan, "weights that are not finite"),
    "cut off": (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 100), "cannot be read"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "the checkpoint has no weights"),
    "unknown key": (_unknown_key, "colour: unknown key"),
    "no config": (lambda f: (f / "policy.json").unlink(), "is not a checkpoint folder"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_checkpoint_is_refused(stand: Stand, tmp_path: Path, how: str) -> None:
    spoil, reason = SPOILT[how]
    folder = checkpoints.make(stand.contract, tmp_path / "spoilt")
    spoil(folder)
    assert reason in stand.assert_refused(folder)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            {"execution": "wish"},
            "'execution' is 'wish'; allowed: checkpoint, temporal_ensemble, open_loop, async, consistent, rtc",
        ),
        ({"execution": "rtc"}, "execution rtc: a policy of type act cannot keep to a prefix"),
        ({"device": "toaster"}, "device 'toaster' is unknown"),
        ({"device": "cuda"}, "torch finds no CUDA device here"),
        ({"precision": "fp8"}, "parameter 'precision' is 'fp8'; allowed: fp32, bf16, fp16"),
        ({"execution": "open_loop", "inference_period": 50}, "inference_period: found 50, allowed are 1 to 20 ticks"),
        ({"inference_period": 5}, "unknown option inference_period"),
        ({"max_age_ms": 0.0}, "parameter 'max_age_ms' is 0.0; allowed: a number, 1 to"),
        ({"watchdog_ms": -1.0}, "parameter 'watchdog_ms' is -1.0; allowed: a number, 1 to"),
        ({"soft_start": 2.0}, "parameter 'soft_start' is 2.0; allowed: a number, 0.001 to 1"),
    ],
)
def test_a_parameter_that_is_not_allowed_is_refused(stand: Stand, parameters: dict[str, object], reason: str) -> None:
    if parameters.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert re.search(reason, stand.assert_refused(stand.good, **parameters))


def test_the_node_plays_a_checkpoint_as_that_says(stand: Stand, tmp_path: Path) -> None:
    """Where nothing is given: here a mode that this policy cannot be played in."""
    kept = checkpoints.make(stand.contract, tmp_path / "kept", execution={"mode": "rtc"})
    words = stand.assert_refused(kept)
    assert "execution rtc: a policy of type act cannot keep to a prefix" in words


def test_no_checkpoint_is_refused(stand: Stand, tmp_path: Path) -> None:
    assert "is not a checkpoint folder" in stand.assert_refused(tmp_path / "nowhere")
    node = stand.bench.module("vgil_ros.nodes.policy", {"robot": stand.contract})
    assert node.wait(120) == 2
    assert "parameter 'checkpoint' is empty" in node.output
