"""Write checkpoints in the peers' own formats, from the golden cases' seeds."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from support.paths import POLICY_GOLDENS as GOLDEN


def _load_fill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILL = _load_fill()


def manifest(case: str) -> dict[str, Any]:
    return json.loads((GOLDEN / case / "manifest.json").read_text())


def arrays(case: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / case / "case.npz") as file:
        return {key: file[key] for key in file}


@lru_cache(maxsize=2)
def weights(case: str) -> dict[str, np.ndarray]:
    told = manifest(case)
    scale = np.float32(told.get("unet_scale", 1.0))
    return {
        key: value * scale if key.startswith("diffusion.unet") and value.ndim >= 2 else value
        for key, value in FILL.fill_all(told).items()
    }


def original_stats() -> dict[str, np.ndarray]:
    case = arrays("act_original")
    names = ("qpos_mean", "qpos_std", "action_mean", "action_std")
    return {**{name: case[name] for name in names}, "example_qpos": case["qpos"]}


def pickle_as(value: object, numpy_major: int, protocol: int = 4) -> bytes:
    """Pickle with the module names of NumPy 1 or 2, whichever is installed here.

    The names stand in the opcode stream with their length before them, so both are rewritten.
    """
    data = pickle.dumps(value, protocol=protocol)
    old, new = (b"numpy._core", b"numpy.core") if numpy_major == 1 else (b"numpy.core", b"numpy._core")
    for tail in (b".multiarray", b".numeric"):
        if protocol >= 4:
            source, target = old + tail, new + tail
            data = data.replace(b"\x8c" + bytes([len(source)]) + source, b"\x8c" + bytes([len(target)]) + target)
        else:
            data = data.replace(b"c" + old + tail + b"\n", b"c" + new + tail + b"\n")
    if protocol >= 4:  # frames carry their length: leave them out, they are optional
        data = _without_frames(data)
    assert old + b"." not in data
    return data


def _without_frames(data: bytes) -> bytes:
    """Drop the FRAME opcodes (0x95 and eight bytes of length), found where the unframed pickler would put them."""
    head, rest = data[:2], data[2:]
    assert rest[:1] == b"\x95", "expected one frame at the start"
    return head + rest[9:]


def write_original(folder: Path, numpy_major: int = 2, protocol: int = 4) -> Path:
    """Write `policy_best.ckpt` and `dataset_stats.pkl` as tonyzhaozh/act does."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: torch.from_numpy(value) for key, value in weights("act_original").items()}
    return write_ckpt(folder, state, original_stats(), numpy_major, protocol)


def write_ckpt(
    folder: Path,
    state: dict[str, torch.Tensor],
    stats: dict[str, np.ndarray],
    numpy_major: int = 2,
    protocol: int = 4,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "policy_best.ckpt")
    (folder / "dataset_stats.pkl").write_bytes(pickle_as(stats, numpy_major, protocol))
    return folder / "policy_best.ckpt"


def write_lerobot(folder: Path, case: str = "act_lerobot") -> Path:
    """Write a LeRobot folder: JSON and statistics as LeRobot wrote them, weights from the seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (GOLDEN / case).iterdir():
        if path.name.startswith(("config", "policy_")):
            shutil.copy(path, folder / path.name)
    save_file(weights(case), folder / "model.safetensors")
    return folder


def write_old_lerobot(folder: Path, case: str = "act_lerobot") -> Path:
    """Write the same folder in LeRobot's older form: statistics in the weights, no processor files."""
    folder.mkdir(parents=True, exist_ok=True)
    state = dict(weights(case))
    source = GOLDEN / case
    inputs = load_file(source / "policy_preprocessor_step_3_normalizer_processor.safetensors")
    outputs = load_file(source / "policy_postprocessor_step_0_unnormalizer_processor.safetensors")
    for key, value in inputs.items():
        feature, _, kind = key.rpartition(".")
        part = "normalize_targets" if feature == "action" else "normalize_inputs"
        state[f"{part}.buffer_{feature.replace('.', '_')}.{kind}"] = value
    for key, value in outputs.items():
        feature, _, kind = key.rpartition(".")
        if feature == "action":
            state[f"unnormalize_outputs.buffer_action.{kind}"] = value
    save_file(state, folder / "model.safetensors")
    shutil.copy(source / "config.json", folder / "config.json")
    return folder


def observation(case: str) -> dict[str, Any]:
    values = arrays(case)
    config = manifest(case)
    names = config.get("camera_names") or config["config"]["camera_names"]
    return {"qpos": values["qpos"], "images": {name: values["images"][:, i] for i, name in enumerate(names)}}


def observation_with_past(case: str) -> dict[str, Any]:
    """The observation of a case whose arrays hold several steps, oldest first: the last one, with its past."""
    values, names = arrays(case), manifest(case)["camera_names"]
    qpos, images = values["qpos"], {name: values["images"][:, :, i] for i, name in enumerate(names)}
    return {
        "qpos": qpos[:, -1],
        "images": {name: image[:, -1] for name, image in images.items()},
        "past": {
            "qpos": qpos[:, :-1],
            "images": {name: image[:, :-1] for name, image in images.items()},
            "known": np.ones(qpos[:, :-1].shape[:2], bool),
        },
        "noise": values["noise"],
    }
