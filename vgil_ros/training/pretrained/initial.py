"""A training that begins with the weights of a checkpoint: fine-tuning.

The policy has the checkpoint's sizes; cameras, joints and statistics come from the data, so the robot may be another
one, as far as its weights allow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vgil_ros.assets import checkpoint_path
from vgil_ros.policies import load_policy
from vgil_ros.policies.base import Policy
from vgil_ros.policies.checkpoint import read_config
from vgil_ros.policies.storage import check_keys
from vgil_ros.training.config import TrainConfig
from vgil_ros.training.errors import TrainingError

OF_THE_DATA = (
    "state_dim", "action_dim", "cameras", "vectors", "joint_names", "rate_hz", "fingerprint", "software", "source",
    "assumed", "weights",
)  # fmt: skip
FREE = ("steps", "solver", "seed", "dropout", "task", "execution", "kl_weight", "normalization")  # may be had otherwise
_SCALING = "normalizer."


def with_sizes_of_initial(config: TrainConfig, log: Callable[[str], None]) -> TrainConfig:
    """Give the configuration with the sizes of its `initial` checkpoint, where it names one; `log` tells what gave way.

    Raises:
        TrainingError: the checkpoint is of another type.
        CheckpointError: it cannot be read.
    """
    if config.initial is None:
        return config
    base = read_config(checkpoint_path(config.initial.expanduser()))
    if base.type != config.policy.get("type"):
        raise TrainingError(
            f"initial {config.initial}: is a policy of type {base.type!r}; allowed: policy.type, "
            f"{config.policy.get('type')!r}"
        )
    sizes = {key: value for key, value in base.model_dump(mode="json").items() if key not in OF_THE_DATA}
    wanted = config.policy
    gone = [f"{k} {sizes[k]} (not {v})" for k, v in wanted.items() if k in sizes and k not in FREE and v != sizes[k]]
    if gone:
        log(f"note: from {config.initial}: {', '.join(gone)}")
    own = {key: value for key, value in wanted.items() if key in FREE or key not in sizes}
    return config.model_copy(update={"policy": {**sizes, **own}})


def take_initial(policy: Policy, initial: Path | None) -> None:
    """Fill a new policy with the weights and files of a checkpoint, but for its normaliser, which stays.

    Raises:
        TrainingError: the policy can begin from a checkpoint alone, and there is none.
        CheckpointError: it cannot be read, or has weights of another shape.
    """
    if initial is None:
        if policy.files_needed:
            raise TrainingError(
                f"policy type {policy.config.type!r} begins with the weights of a checkpoint: found no `initial`; "
                "allowed: initial=FOLDER, as `vgil checkpoint import` makes it"
            )
        return
    base = load_policy(initial.expanduser())
    weights = {key: value for key, value in base.state_dict().items() if not key.startswith(_SCALING)}
    ours = policy.state_dict()
    check_keys({key: value for key, value in ours.items() if not key.startswith(_SCALING)}, weights, str(initial))
    policy.set_files(base.files)
    policy.load_state_dict({**ours, **weights})
