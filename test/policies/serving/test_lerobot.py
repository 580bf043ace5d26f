"""`vgil serve --lerobot`: what a robot gets is LeRobot's own answer to the bit. Needs LeRobot's own environment."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("msgpack")
pytest.importorskip("websockets")

from support import contracts
from support.paths import process_environment
from support.process import Process

from vgil_ros.assets import load_contract
from vgil_ros.core.history import with_past, with_task
from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotFrame
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.policy import RemotePolicy

VLM = Path(__file__).parents[1] / "golden" / "smolvla_lerobot" / "vlm"
LEROBOT = os.environ.get("LEROBOT_PYTHON", "")  # a Python of an environment with lerobot, websockets and msgpack
SCRIPT = """
import sys
import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors
from lerobot.policies.utils import populate_queues, prepare_observation_for_inference

kind, folder, given, out, task, vlm = sys.argv[1:]
torch.manual_seed(0)
inputs = {
    "observation.state": PolicyFeature(FeatureType.STATE, (3,)),
    "observation.images.cam_a": PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
}
outputs = {"action": PolicyFeature(FeatureType.ACTION, (3,))}
own = {
    "act": dict(chunk_size=20, n_action_steps=20, dim_model=32, n_heads=4, dim_feedforward=64, n_encoder_layers=1,
                n_vae_encoder_layers=1),
    "diffusion": dict(n_obs_steps=3, horizon=16, n_action_steps=8, crop_shape=(40, 56), down_dims=(16, 32, 64),
                      num_train_timesteps=10, diffusion_step_embed_dim=16),
    "smolvla": dict(chunk_size=20, n_action_steps=20, vlm_model_name=vlm, num_vlm_layers=2,
                    resize_imgs_with_padding=(32, 32)),
}[kind]
if kind != "smolvla":
    own["pretrained_backbone_weights"] = None
config = make_policy_config(kind, input_features=inputs, output_features=outputs, device="cpu", **own)
policy = get_policy_class(kind)(config).eval()
numbers = {"mean": torch.tensor([0.1, 0.2, 0.3]), "std": torch.tensor([0.5, 0.4, 0.3]),
           "min": torch.tensor([-1.0, -1.0, 0.0]), "max": torch.tensor([1.0, 2.0, 1.0])}
pixels = {key: value.mean().reshape(1, 1, 1).expand(3, 1, 1).clone() for key, value in numbers.items()}
stats = {"observation.state": numbers, "action": numbers, "observation.images.cam_a": pixels}
before, after = make_pre_post_processors(config, dataset_stats=stats)
policy.save_pretrained(folder)
before.save_pretrained(folder)
after.save_pretrained(folder)

data = np.load(given)
policy.reset()
for i in range(len(data["state"])):
    frame = {"observation.state": data["state"][i].copy(), "observation.images.cam_a": data["image"][i].copy()}
    batch = before(prepare_observation_for_inference(frame, torch.device("cpu"), task))
    if i + 1 < len(data["state"]) and kind == "diffusion":
        images = torch.stack([batch[key] for key in config.image_features], dim=-4)
        policy._queues = populate_queues(policy._queues, {**batch, "observation.images": images},
                                         exclude_keys=["action"])
torch.manual_seed(7)
with torch.inference_mode():
    rows = [after(policy.select_action(dict(batch)))[0].numpy() for _ in range(config.n_action_steps)]
np.save(out, np.stack(rows))
"""

pytestmark = pytest.mark.skipif(not LEROBOT, reason="LEROBOT_PYTHON names no Python with lerobot")


@pytest.mark.parametrize(("kind", "moments"), [("act", 1), ("diffusion", 3), ("smolvla", 1)])
def test_answers_are_lerobots_own_to_the_bit(tmp_path: Path, kind: str, moments: int) -> None:
    random = np.random.default_rng(0)
    frames: list[RobotFrame] = [
        {
            "qpos": random.normal(0.0, 0.3, 3).astype(np.float32),
            "images": {"cam_a": random.integers(0, 256, (48, 64, 3), dtype=np.uint8)},
        }
        for _ in range(moments)
    ]
    np.savez(
        tmp_path / "in.npz",
        state=np.stack([frame["qpos"] for frame in frames]),
        image=np.stack([frame["images"]["cam_a"] for frame in frames]),
    )
    folder, task = tmp_path / "pretrained_model", "pick up the cube" if kind == "smolvla" else ""
    given = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | given
    files = [str(tmp_path / "in.npz"), str(tmp_path / "out.npy")]
    command = [LEROBOT, "-c", SCRIPT, kind, str(folder), *files, task, str(VLM)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    served = Process.python(
        ["-m", "vgil_ros.cli.main", "serve", "--lerobot", str(folder), "--port", "0"],
        process_environment(PYTHONUNBUFFERED="1", LEROBOT_PYTHON=LEROBOT, **given),
    )
    try:
        address = served.expect("^serving").text.split()[-1]
        contract = contracts.write(contracts.small_robot(), tmp_path / "robot.yaml")
        remote = RemotePolicy(address, Layout(load_contract(str(contract))[0]))
        assert remote.config.type == kind
        assert remote.stochastic == (kind != "act")
        assert remote.config.needs_task == (kind == "smolvla")
        remote.reset(7)
        expected = np.load(tmp_path / "out.npy")
        seen = with_task(with_past(frames[-1], frames[:-1]), task)
        np.testing.assert_array_equal(remote(seen), expected)
        with pytest.raises(RemoteError, match=r"image of cam_a: found \(24, 64, 3\); allowed: \(48, 64, 3\) uint8"):
            remote({**seen, "images": {"cam_a": np.zeros((24, 64, 3), np.uint8)}})
        assert remote(seen).shape == expected.shape
        remote.close()
        served.send(signal.SIGINT)
        assert served.wait(20) == 0
        assert "Traceback" not in served.output
    finally:
        served.close()


def test_what_cannot_be_served_is_named(tmp_path: Path) -> None:
    for options, words in (
        (["--lerobot", f"{tmp_path}/nothing"], "holds no config.json"),
        (["--lerobot", str(tmp_path), "--lerobot-python", "/no/python"], "cannot be started"),
        (["--lerobot", str(tmp_path), "--checkpoint", "sim_pick_place_act"], "needed is one of them"),
    ):
        process = Process.python(
            ["-m", "vgil_ros.cli.main", "serve", *options], process_environment(LEROBOT_PYTHON=LEROBOT)
        )
        assert process.wait(60) == 2, process.output
        assert words in process.output
        assert "Traceback" not in process.output
        process.close()
