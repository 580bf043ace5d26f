"""A reference on disk: one safetensors file, with images as JPEG bytes and what is no number in its header."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.foreign_file import require_weights_file
from vgil_ros.policies.reference import views
from vgil_ros.policies.reference.data import DataReference, Spread, ViewReference

FORMAT = "vgil_reference/1"
HEADER = "vgil"
SPREAD = ("mean", "std", "low", "high")


def encode_reference(reference: DataReference) -> bytes:
    """The file's content."""
    tensors: dict[str, np.ndarray] = {
        "start": reference.start.astype(np.float32),
        "plans": reference.plans.astype(np.float16),
    }
    for name, spread in (("qpos", reference.qpos), ("action", reference.action)):
        tensors |= {f"{name}.{key}": np.asarray(getattr(spread, key), np.float64) for key in SPREAD}
    cameras = []
    for number, (name, view) in enumerate(reference.views.items()):
        cameras.append({"name": name, "size": list(view.size), "fps": view.fps})
        parts = [views.encode(view.usual, 95), *(views.encode(image) for image in view.first)]
        tensors |= {
            f"view{number}.jpegs": np.frombuffer(b"".join(parts), np.uint8),
            f"view{number}.ends": np.cumsum([len(part) for part in parts]).astype(np.int64),
            f"view{number}.looks": view.looks.astype(np.float32),
            f"view{number}.summaries": view.summaries.astype(np.uint8),
        }
    told = {
        "format": FORMAT,
        "fingerprint": reference.fingerprint,
        "episodes": reference.episodes,
        "rows": reference.rows,
        "rate_hz": reference.rate_hz,
        "joint_names": list(reference.joint_names),
        "cameras": cameras,
    }
    return save({key: np.ascontiguousarray(value) for key, value in tensors.items()}, {HEADER: json.dumps(told)})


def write_reference(content: bytes, path: Path) -> Path:
    """Write what `encode_reference` made; the older file stands until the new one is whole.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def read_reference(path: Path) -> DataReference:
    """Read a reference.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; allowed: a reference that training or `vgil preflight` wrote")
    require_weights_file(path)
    try:
        with safe_open(path, "np") as file:
            told = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise CheckpointError(f"{path}: is no reference; found format {told.get('format')!r}, allowed: {FORMAT}")
        return _decoded(told, tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as a reference ({error}); allowed: {FORMAT}") from error


def _decoded(told: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> DataReference:
    spreads = {name: Spread(*(tensors[f"{name}.{key}"] for key in SPREAD)) for name in ("qpos", "action")}
    rate, start = told["rate_hz"], tensors["start"]
    if start.ndim != 2 or start.shape[1] != len(spreads["qpos"].mean):
        raise ValueError(f"start has shape {start.shape}, allowed (M, {len(spreads['qpos'].mean)})")
    return DataReference(
        fingerprint=str(told["fingerprint"]),
        episodes=int(told["episodes"]),
        rows=int(told["rows"]),
        rate_hz=None if rate is None else float(rate),
        joint_names=tuple(map(str, told["joint_names"])),
        qpos=spreads["qpos"],
        action=spreads["action"],
        start=start,
        plans=tensors["plans"].astype(np.float32),
        views={str(one["name"]): _view(one, f"view{n}", tensors) for n, one in enumerate(told["cameras"])},
    )


def _view(told: Mapping[str, Any], key: str, tensors: Mapping[str, np.ndarray]) -> ViewReference:
    data, ends = tensors[f"{key}.jpegs"], tensors[f"{key}.ends"].tolist()
    images = [views.decode(data[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    whole = [image for image in images if image is not None]
    if len(whole) < len(images) or not whole:
        raise ValueError(f"an image of camera {told['name']} does not decode; allowed: whole JPEGs")
    height, width = told["size"]
    fps = told["fps"]
    return ViewReference(
        size=(int(height), int(width)),
        usual=whole[0],
        first=np.stack(whole[1:]) if len(whole) > 1 else np.zeros((0, *whole[0].shape), np.uint8),
        looks=tensors[f"{key}.looks"],
        summaries=tensors[f"{key}.summaries"],
        fps=None if fps is None else float(fps),
    )
