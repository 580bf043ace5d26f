"""Tiny SmolVLAs: LeRobot's golden ones as folders, and one of random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from support.policies.contract import fitted
from support.policies.peers import FILL
from vgil_ros.policies.smolvla import SmolVlaConfig, SmolVlaPolicy
from vgil_ros.policies.smolvla.language import TOKENIZER_FILE

GOLDEN = Path(__file__).parents[2] / "policies" / "golden" / "smolvla_lerobot"
VLM = GOLDEN / "vlm"
_TOLD = json.loads((GOLDEN / "variants.json").read_text())
VARIANTS: dict[str, dict[str, Any]] = _TOLD["variants"]
TASKS: list[str] = _TOLD["tasks"]


def case() -> dict[str, np.ndarray]:
    """Observations, noise and LeRobot's answers "VARIANT.single", ".batch" and ".uncached"."""
    with np.load(GOLDEN / "case.npz") as file:
        return dict(file)


def observation() -> dict[str, Any]:
    """The two golden observations as a batch, with their noise."""
    values = case()
    images = {name: values[name] for name in ("top", "wrist")}
    return {"qpos": values["qpos"], "images": images, "task": TASKS, "noise": values["noise"]}


def write_peer(folder: Path, variant: str = "plain", **changes: Any) -> Path:
    """A folder as LeRobot saved that variant; `changes` of config.json on top."""
    told, manifest = VARIANTS[variant], json.loads((GOLDEN / "manifest.json").read_text())
    shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("case.npz", "manifest.json", "variants.json", "vlm"))
    edit(folder / "config.json", lambda values: values | told["changes"] | changes)
    if "tokenizer_max_length" in told["changes"]:
        length = told["changes"]["tokenizer_max_length"]
        edit(folder / "policy_preprocessor.json", lambda values: with_step(values, 3, max_length=length))
    shapes = manifest["tensors"] | told["tensors"]
    weights = {key: torch.from_numpy(FILL.fill(manifest["seed"], key, tuple(shape))) for key, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors")
    return folder


def edit(path: Path, change: Any) -> None:
    """Change a JSON file."""
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def with_step(values: dict[str, Any], place: int, **settings: Any) -> dict[str, Any]:
    """A processor's file with other settings of one of its steps."""
    values["steps"][place]["config"].update(settings)
    return values


def small(**changes: Any) -> SmolVlaConfig:
    """Two layers each, 32 wide."""
    values: dict[str, Any] = {
        "state_dim": 5,
        "action_dim": 5,
        "chunk_size": 6,
        "cameras": [{"name": "top", "height": 24, "width": 40}, {"name": "wrist", "height": 32, "width": 32}],
        "padded_dim": 8,
        "text": {
            "hidden_dim": 32, "heads": 4, "kv_heads": 2, "head_dim": 8, "feedforward_dim": 48, "layers": 2,
            "vocabulary": 300,
        },
        "vision": {
            "hidden_dim": 16, "heads": 2, "feedforward_dim": 24, "layers": 1, "image_size": 16, "patch_size": 4,
        },
        "scale_factor": 2,
        "expert_dim": 24,
        "expert_feedforward_dim": 48,
        "steps": 3,
        "task": "pick up the cube",
    }  # fmt: skip
    return SmolVlaConfig.model_validate({**values, **changes})


def made(**changes: Any) -> SmolVlaPolicy:
    """Of random weights, with a normaliser; images and state matter."""
    torch.manual_seed(0)
    return fitted(with_tokenizer(SmolVlaPolicy(small(**changes)))).eval()


def with_tokenizer(policy: SmolVlaPolicy) -> SmolVlaPolicy:
    """The golden tokenizer, and random weights of the VLM that are large enough for an image to show."""
    policy.set_files({TOKENIZER_FILE: (VLM / TOKENIZER_FILE).read_bytes()})
    with torch.no_grad():
        for parameter in policy.model.prefix.vlm.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return policy
