"""The checkpoint folder: `policy.json` says what it is, `model.safetensors` holds weights and normaliser.

Weights on disk in half the bytes: parameters in bf16 or fp16, everything else as it is.

Buffers (the normaliser's statistics, running means) keep their float32: they are few, and scale everything else.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import vgil_ros
from vgil_ros.assets import checkpoint_path
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.registry import policy_class

WeightDtype = Literal["fp32", "bf16", "fp16"]
WEIGHT_DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def cast_for_storage(
    weights: Mapping[str, Tensor], parameters: Collection[str], weight_dtype: WeightDtype
) -> dict[str, Tensor]:
    """Give the tensors as they are stored; those not named in `parameters`, and not float32, stay as they are.

    Raises:
        CheckpointError: an unknown storage, or a value too large for it.
    """
    if weight_dtype not in WEIGHT_DTYPES:
        raise CheckpointError(f"weights stored as {weight_dtype!r}; allowed: {sorted(WEIGHT_DTYPES)}")
    kind = WEIGHT_DTYPES[weight_dtype]
    out = {}
    for key, value in weights.items():
        out[key] = value.to(kind) if key in parameters and value.dtype == torch.float32 else value
        if not bool(torch.isfinite(out[key]).all()) and bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{key} goes up to {float(value.abs().max()):.3g}, which {weight_dtype} does not hold"
            )
    return out


def cast_loaded(
    stored: Mapping[str, Tensor], parameters: Collection[str], weight_dtype: WeightDtype
) -> dict[str, Tensor]:
    """Give stored tensors as the policy takes them. One of another dtype is left for the check."""
    kind = WEIGHT_DTYPES[weight_dtype]
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


CONFIG_FILE = "policy.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class CheckpointInfo:
    """What `vgil checkpoint show` tells: the configuration, and the size of the weights."""

    directory: Path
    config: PolicyConfig
    parameters: int
    weight_bytes: int


def software_name() -> str:
    """What stands as `software` in files written here."""
    return f"vgil_ros {getattr(vgil_ros, '__version__', 'unknown')}"


def save_policy(policy: Policy, directory: str | Path, *, weight_dtype: WeightDtype = "fp32") -> Path:
    """Write `policy` to the folder `directory`; an older checkpoint there is replaced as a whole.

    With `weight_dtype` bf16 or fp16 the parameters take half the bytes, rounded; loading gives them back as float32.

    Everything is written and flushed to a folder beside it, which is then renamed, so half a checkpoint never stands at
    `directory`. Killed between the two renames, the old one lies whole beside it as `.NAME.old.*/checkpoint`.

    Raises:
        CheckpointError: a weight is not finite, or `directory` holds something other than a checkpoint.
        PolicyError: the normaliser is not set.
    """
    target = Path(directory)
    policy.normalizer.check()
    weights = {key: value.detach().cpu().contiguous() for key, value in policy.state_dict().items()}
    _require_finite(weights, "cannot be saved")
    weights = cast_for_storage(weights, dict(policy.named_parameters(remove_duplicate=False)), weight_dtype)
    _require_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        config = policy.config.model_copy(update={"software": software_name(), "weights": weight_dtype})
        (scratch / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        save_file(weights, scratch / WEIGHTS_FILE)
        (scratch / WEIGHTS_FILE).chmod(0o644)  # safetensors keeps others from reading it
        scratch.chmod(0o755)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            _flush(scratch / name)
        _swap(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def load_policy(directory: str | Path, device: str | torch.device = "cpu") -> Policy:
    """Load a checkpoint, in eval mode, on `device`; by its folder, or the name of one that comes with the package.

    Raises:
        CheckpointError: a file is missing or unreadable; policy.json has an unknown, missing or wrong key; a weight is
            unknown, missing, of another shape or dtype, or not finite. The error names it.
    """
    folder = checkpoint_path(directory)
    config = read_config(folder)
    policy = policy_class(config.type)(config)
    weights = cast_loaded(_read_weights(folder), dict(policy.named_parameters(remove_duplicate=False)), config.weights)
    check_keys(policy.state_dict(), weights, str(folder / WEIGHTS_FILE))
    _require_finite(weights, f"found in {folder / WEIGHTS_FILE}")
    policy.load_state_dict(weights)
    policy.require_normalizer()
    return policy.to(device).eval()


def read_config(directory: str | Path) -> PolicyConfig:
    """Read and check policy.json alone."""
    path = Path(directory) / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: {directory} is not a checkpoint folder") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise CheckpointError(f"{path}: 'type' is missing, it names the kind of policy")
    config_class = policy_class(values["type"]).config_class
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {_validation_words(error, config_class)}") from None


def describe_checkpoint(directory: str | Path) -> CheckpointInfo:
    """Load a checkpoint and say what it is. Raises as `load_policy`."""
    policy = load_policy(directory)
    count = sum(parameter.numel() for parameter in policy.parameters())
    return CheckpointInfo(Path(directory), policy.config, count, (Path(directory) / WEIGHTS_FILE).stat().st_size)


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


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: the checkpoint has no weights") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _require_finite(weights: dict[str, Tensor], what: str) -> None:
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


def _swap(scratch: Path, target: Path) -> None:
    """Put `scratch` where `target` is. A folder cannot be renamed over a full one, so the old one steps aside first."""
    if not target.exists():
        scratch.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "checkpoint")
    scratch.rename(target)
    shutil.rmtree(old)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _validation_words(error: ValidationError, config_class: type[PolicyConfig]) -> str:
    words = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        if fault["type"] == "extra_forbidden":
            words.append(f"{where}: unknown key, allowed are {sorted(config_class.model_fields)}")
        elif fault["type"] == "missing":
            words.append(f"{where}: missing")
        else:
            words.append(f"{where}: {fault['msg']}, found {fault['input']!r}")
    return "; ".join(words)
