"""Loading of a checkpoint folder: which policy it is, and that policy with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vgil_ros.assets import checkpoint_path
from vgil_ros.core.config import load_json, validate
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.device import checked_device
from vgil_ros.policies.errors import CheckpointError
from vgil_ros.policies.foreign_file import LOOKED_AT, not_weights
from vgil_ros.policies.registry import policy_class
from vgil_ros.policies.storage import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    cast_loaded,
    check_keys,
    read_files,
    read_weights,
    require_finite,
)


@dataclass(frozen=True)
class CheckpointInfo:
    """What `vgil checkpoint show` tells: the configuration, and the size of the weights."""

    directory: Path
    config: PolicyConfig
    parameters: int
    weight_bytes: int


def load_policy(directory: str | Path, device: str | torch.device = "cpu") -> Policy:
    """Load a checkpoint, in eval mode, on `device`; by its folder, or the name of one that comes with the package.

    Raises:
        CheckpointError: a file is missing or unreadable; policy.json has an unknown, missing or wrong key; a weight is
            unknown, missing, of another shape or dtype, or not finite. The error names it.
        PolicyError: the device is unknown or not there.
    """
    folder = checkpoint_path(directory)
    config = read_config(folder)
    stored = read_weights(folder)
    with torch.device("meta"):  # sizes alone: what the file does not hold must not take memory first
        skeleton = policy_class(config.type)(config)
    weights = cast_loaded(stored, dict(skeleton.named_parameters(remove_duplicate=False)), config.weights)
    check_keys(skeleton.state_dict(), weights, str(folder / WEIGHTS_FILE))
    policy = policy_class(config.type)(config)
    policy.set_files(read_files(folder, policy.files_needed))
    require_finite(weights, f"found in {folder / WEIGHTS_FILE}")
    policy.load_state_dict(weights)
    policy.require_normalizer()
    return policy.to(checked_device(device)).eval()


def read_config(directory: str | Path) -> PolicyConfig:
    """Read and check policy.json alone."""
    path = Path(directory) / CONFIG_FILE
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist: {directory} is not a checkpoint folder{_instead(Path(directory))}"
        )
    try:
        with path.open("rb") as file:
            fault = not_weights(file.read(LOOKED_AT))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from None
    if fault:
        raise CheckpointError(f"{path} {fault}")
    values = load_json(path, CheckpointError)
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise CheckpointError(f"{path}: 'type' is missing, it names the kind of policy")
    return validate(policy_class(values["type"]).config_class, values, str(path), CheckpointError)


def _instead(folder: Path) -> str:
    """What to do with a folder that holds somebody else's checkpoint, or ours further down."""
    if not folder.is_dir():
        return ""
    below = sorted(path.parent for path in folder.glob(f"*/{CONFIG_FILE}"))[:4]
    if below:
        return f"; there are {', '.join(map(str, below))}"
    if (folder / "config.json").is_file() or any(folder.glob("*.ckpt")):
        return "; another project's is made into one by `vgil checkpoint import`"
    return ""


def describe_checkpoint(directory: str | Path) -> CheckpointInfo:
    """Load a checkpoint and say what it is. Raises as `load_policy`."""
    folder = checkpoint_path(directory)
    policy = load_policy(folder)
    count = sum(parameter.numel() for parameter in policy.parameters())
    return CheckpointInfo(folder, policy.config, count, (folder / WEIGHTS_FILE).stat().st_size)
