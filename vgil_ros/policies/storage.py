"""A checkpoint folder on disk: `policy.json` says what it is, `model.safetensors` holds weights and normaliser.

Weights may lie there in half the bytes: parameters in bf16 or fp16, everything else as it is. Buffers (the normaliser's
statistics, running means) keep their float32: they are few, and scale everything else.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import vgil_ros
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.device import DTYPES, DtypeName
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.familiar import FILE as FAMILIAR_FILE
from vgil_ros.policies.foreign_file import require_weights_file

CONFIG_FILE = "policy.json"
WEIGHTS_FILE = "model.safetensors"
REFERENCE_FILE = "reference.safetensors"  # see `policies.reference`, which needs OpenCV
MEASURED = {REFERENCE_FILE, FAMILIAR_FILE}  # of a policy and its training data, by whoever measured it


def cast_for_storage(
    weights: Mapping[str, Tensor], parameters: Collection[str], weight_dtype: DtypeName
) -> dict[str, Tensor]:
    """Give the tensors as they are stored; those not named in `parameters`, and not float32, stay as they are.

    Raises:
        CheckpointError: an unknown storage, or a value too large for it.
    """
    if weight_dtype not in DTYPES:
        raise CheckpointError(f"weights stored as {weight_dtype!r}; allowed: {sorted(DTYPES)}")
    kind = DTYPES[weight_dtype]
    out = {}
    for key, value in weights.items():
        out[key] = value.to(kind) if key in parameters and value.dtype == torch.float32 else value
        if not bool(torch.isfinite(out[key]).all()) and bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{key} goes up to {float(value.abs().max()):.3g}, which {weight_dtype} does not hold"
            )
    return out


def cast_loaded(
    stored: Mapping[str, Tensor], parameters: Collection[str], weight_dtype: DtypeName
) -> dict[str, Tensor]:
    """Give stored tensors as the policy takes them. One of another dtype is left for the check."""
    kind = DTYPES[weight_dtype]
    if kind == torch.float32:
        return dict(stored)
    out = {}
    for key, value in stored.items():
        declared = key in parameters and value.dtype == kind
        undeclared = key in parameters and value.dtype == torch.float32
        if undeclared:
            raise CheckpointError(f"mismatched: {key} is {value.dtype}, allowed {kind}, as policy.json says")
        out[key] = value.to(torch.float32) if declared else value
    return out


def software_name() -> str:
    """What stands as `software` in files written here."""
    return f"vgil_ros {getattr(vgil_ros, '__version__', 'unknown')}"


def write_checkpoint(
    config: PolicyConfig,
    state: Mapping[str, Tensor],
    parameters: Collection[str],
    directory: str | Path,
    *,
    weight_dtype: DtypeName = "fp32",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a checkpoint to the folder `directory`; an older one there is replaced, and what else lies there is kept.

    What was measured of the older one and its data (`MEASURED`) goes with it: beside another policy it means nothing.

    Everything is written and flushed to a folder beside it, which is then renamed, so half a checkpoint never stands at
    `directory`. Killed between the two renames, the old one lies whole beside it as `.NAME.old.*/checkpoint`.

    Args:
        config: of the policy; `software` and `weights` are filled in here.
        state: the policy's tensors by name, normaliser included.
        parameters: names of those that `weight_dtype` is for.
        files: what else belongs to it, by name.

    Raises:
        CheckpointError: a tensor is not finite or too large for `weight_dtype`, or `directory` holds something other
            than a checkpoint.
    """
    target = Path(directory)
    weights = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    require_finite(weights, "cannot be saved")
    weights = cast_for_storage(weights, parameters, weight_dtype)
    _require_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        described = config.model_copy(update={"software": software_name(), "weights": weight_dtype})
        (scratch / CONFIG_FILE).write_text(_as_text(described), encoding="utf-8")
        save_file(weights, scratch / WEIGHTS_FILE)
        (scratch / WEIGHTS_FILE).chmod(0o644)  # safetensors keeps others from reading it
        scratch.chmod(0o755)
        for name, content in (files or {}).items():
            (scratch / name).write_bytes(content)
        own = {path.name for path in scratch.iterdir()}
        for name in own:
            _flush(scratch / name)
        _swap(scratch, target, own)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _as_text(config: PolicyConfig) -> str:
    """policy.json; what came to it later and says nothing is left out, so that older releases read it too."""
    values = config.model_dump(mode="json")
    for part, keys in (
        (values, ("execution", "assumed", "vectors")),
        *((camera, ("source_name",)) for camera in values["cameras"]),
        *((vector, ("meaning",)) for vector in values["vectors"]),
    ):
        for key in keys:
            if not part[key]:
                del part[key]
    return json.dumps(values, indent=2) + "\n"


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint folder as they are stored.

    Raises:
        CheckpointError: there are none, or they cannot be read.
    """
    path = folder / WEIGHTS_FILE
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: the checkpoint has no weights")
    require_weights_file(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def read_files(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Read further files of a checkpoint folder.

    Raises:
        CheckpointError: one is missing or cannot be read.
    """
    found = {}
    for name in names:
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{folder / name} cannot be read ({error.strerror}): it belongs to the checkpoint"
            ) from None
    return found


def check_keys(expected: dict[str, Tensor], given: dict[str, Tensor], where: str) -> None:
    """Raise CheckpointError naming every key of `given` that is missing, unknown or mismatched against `expected`."""
    faults = [f"missing: {key}" for key in expected if key not in given]
    faults += [f"unknown: {key}" for key in given if key not in expected]
    for key, value in given.items():
        if key not in expected:
            continue
        ours = expected[key]
        if value.shape != ours.shape:
            faults.append(f"mismatched: {key} has shape {tuple(value.shape)}, allowed {tuple(ours.shape)}")
        elif value.dtype != ours.dtype:
            faults.append(f"mismatched: {key} is {value.dtype}, allowed {ours.dtype}")
    if faults:
        more = f" and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise CheckpointError(f"{where}: {'; '.join(faults[:20])}{more}")


def require_finite(weights: Mapping[str, Tensor], what: str) -> None:
    """Raise CheckpointError naming the tensors that are not finite; `what` says where they were met."""
    bad = [key for key, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise CheckpointError(f"weights that are not finite {what}: {', '.join(bad[:20])}")


def _require_replaceable(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target} exists and is not a folder")
    if any(target.iterdir()) and not (target / CONFIG_FILE).exists():
        raise CheckpointError(f"{target} is not empty and holds no {CONFIG_FILE}: not overwritten")


def _swap(scratch: Path, target: Path, own: Collection[str]) -> None:
    """Put `scratch`, with its `own` files, where `target` is.

    A folder cannot be renamed over a full one, so the old one steps aside first.
    """
    if not target.exists():
        scratch.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "checkpoint")
    scratch.rename(target)
    for path in (old / "checkpoint").iterdir():
        if path.name not in own and path.name not in MEASURED:  # somebody else's: a card, notes, films
            path.rename(target / path.name)
    shutil.rmtree(old)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
