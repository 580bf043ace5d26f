"""Configuration of a training: YAML, then `key=value` from the command line, checked as a whole before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from vgil_ros.assets import checkpoint_path, share_dir
from vgil_ros.core.config import StrictModel, load_yaml, parse_yaml, validate
from vgil_ros.training.errors import TrainingError

MOST = 10**9  # of any count

Precision = Literal["auto", "fp32", "bf16"]
Corrections = Literal["all", "only"] | Annotated[float, Field(gt=0, le=1e6)]


class Settings(StrictModel):
    """A part of the configuration: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FolderConfig(Settings):
    """A folder of episodes, one file, or a LeRobotDataset, and its share of the samples; by rows without weights."""

    path: Path
    weight: float | None = Field(default=None, gt=0)


class DataConfig(Settings):
    """Where the episodes are and what of them is used.

    Attributes:
        cameras: in the policy's order; None: all of the first episode.
        vectors: further vectors of the contract that the policy takes behind qpos, in this order.
        base_action: the base's two velocities join the action.
        validation: share of each folder's episodes that is kept for validation.
        skip_bad: train without episodes that are broken, or whose numbers cannot be right.
        accept_odd: train from episodes whose numbers cannot be right too; each is said.
        aborted: train from episodes whose recording was broken off too.
        only_successes: train from episodes alone that are marked as a success.
        corrections: of rollouts that a human took over from: all rows alike; only what a person gave, beside
            demonstrations, and chunks that end with it; or how many times as often a correction is drawn.
        still_starts: whether chunks may begin in the rows before an episode's first motion: who is asked often plays
            their first rows again and again, and waits.
        workers: processes that load. decoded_gib: memory for decoded JPEGs, at most half of what is free.
        flow_cache_gib: room on the disk for optical flow, where the policy takes it; with less than it needs, flow is
            computed in every step.
        flow_workers: processes that compute it before the first step. flow_ray: the address of a Ray cluster that does.
    """

    folders: tuple[FolderConfig, ...] = Field(min_length=1)
    cameras: tuple[str, ...] | None = Field(default=None, min_length=1)
    vectors: tuple[str, ...] = ()
    base_action: bool = False
    validation: float = Field(default=0.1, ge=0, lt=1)
    skip_bad: bool = False
    accept_odd: bool = False
    aborted: bool = False
    only_successes: bool = False
    corrections: Corrections = "all"
    still_starts: Literal["keep", "skip"] = "keep"
    workers: int = Field(default=2, ge=0, le=256)
    decoded_gib: float = Field(default=4.0, ge=0, le=1e6)
    flow_cache_gib: float = Field(default=16.0, ge=0, le=1e6)
    flow_workers: int = Field(default=1, gt=0, le=4096)
    flow_ray: str | None = None

    @field_validator("folders", mode="before")
    @classmethod
    def _plain_paths(cls, value: Any) -> Any:
        """`folders: some/where` and `folders: [a, b]` mean folders without weights."""
        several = [value] if isinstance(value, (str, Path, dict)) else value
        if not isinstance(several, (list, tuple)):
            raise ValueError(f"found {value!r:.40}; allowed: a folder, or a list of folders")
        return [{"path": one} if isinstance(one, (str, Path)) else one for one in several]

    @model_validator(mode="after")
    def _all_or_no_weights(self) -> DataConfig:
        if len({folder.weight is None for folder in self.folders}) > 1:
            raise ValueError("give all folders a weight, or none")
        return self


Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Settings):
    """AdamW; `backbone_lr` is the image backbones' own rate, None: `lr`."""

    lr: float = Field(default=1e-4, gt=0)
    backbone_lr: float | None = Field(default=None, ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    clip_norm: float | None = Field(default=10.0, gt=0)


class ScheduleConfig(Settings):
    """Linear warm-up, then constant or half a cosine down to `final` (a share of the rate) at the last step."""

    kind: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = Field(default=500, ge=0, le=MOST)
    final: float = Field(default=0.0, ge=0, le=1)


class AugmentationConfig(StrictModel):
    """How far images are changed; 0 (for `crop` 1) leaves a change out.

    Attributes:
        crop: side of the random crop against the image's, which is then resized to the image's size.
        rotation_deg: largest rotation to either side.
        brightness, contrast, saturation: largest change of the factor 1.
    """

    enabled: bool = True
    crop: float = Field(default=0.95, gt=0, le=1)
    rotation_deg: float = Field(default=5.0, ge=0, le=180)
    brightness: float = Field(default=0.3, ge=0, lt=1)
    contrast: float = Field(default=0.4, ge=0, lt=1)
    saturation: float = Field(default=0.5, ge=0, lt=1)


class EmaConfig(Settings):
    """A running mean of the weights, which is what is validated and saved; decay rises to its full value."""

    enabled: bool = True
    decay: float = Field(default=0.999, gt=0, lt=1)


class CheckpointConfig(Settings):
    """Every so many steps `last` is written, and the `keep` best by `metric` (`best` is the best of them).

    Attributes:
        metric: of the validation episodes, how far off the actions are that a robot would play, or the training's
            loss; or the success of rollouts.
    """

    every: int = Field(default=1000, gt=0, le=MOST)
    keep: int = Field(default=3, ge=0, le=MOST)
    metric: Literal["action_error", "validation_loss", "success"] = "action_error"


class DistillationConfig(Settings):
    """A teacher whose straight paths are learned, for policies that integrate; see `distillation`.

    Attributes:
        teacher: its checkpoint folder.
        cache: folder where what it makes of each row is kept; None: it is run for each batch. Without augmentation.
        draws: noises for each row in the cache.
        field_only: train what carries noise to actions alone, and keep how the teacher sees. A step is cheaper, and the
            student sees a new scene as its teacher does.
    """

    teacher: Path
    cache: Path | None = None
    draws: int = Field(default=4, gt=0, le=1_000_000)
    field_only: bool = False


class EvaluationConfig(Settings):
    """Rollouts on the simulated robot at each checkpoint, where `task` is given.

    The scenes from `seed` on are neither those of generated demonstrations (from 0 on) nor those that `vgil eval`
    measures on (from 20 000 on): `best` is chosen by them.
    """

    task: str | None = None
    robot: str | None = None  # a contract's name or path; None: the task's usual one
    episodes: int = Field(default=20, gt=0, le=1_000_000)
    seed: int = Field(default=10_000, ge=0, lt=1 << 31)


class LogConfig(Settings):
    """`log.jsonl` and `curves.png` always; TensorBoard where installed; wandb where a project is named."""

    every: int = Field(default=50, gt=0, le=MOST)
    tensorboard: bool = True
    wandb_project: str | None = None


class TrainConfig(Settings):
    """A training.

    Attributes:
        policy: `type` and the policy's own sizes; state, action, cameras, joints and rate come from the data.
        batch_size: of all processes together.
        gradient_accumulation: backward passes of each process for one step: as many parts its share of a batch has.
        precision: "auto" is bf16 (autocast) where the device computes in it, else fp32; the run says which.
        backbone_weights: for the image backbones: "imagenet", or a file of torchvision's; None: random.
        initial: a checkpoint whose weights the policy begins with; its sizes are taken. See `pretrained.initial`.
        frozen_cache: folder where what the part of a policy that never learns makes of each row is kept. Without
            augmentation.
        distillation: for a student of another policy.
        flow_weights: a file of torchvision's RAFT-small for policies that take flow from it; None: torchvision's cache.
        validation_samples: at most so many, evenly spread over the validation episodes.
    """

    policy: dict[str, Any]
    data: DataConfig
    out: Path
    steps: int = Field(default=100_000, gt=0, le=MOST)
    batch_size: int = Field(default=8, gt=0, le=65_536)
    gradient_accumulation: int = Field(default=1, gt=0, le=65_536)
    seed: int = Field(default=0, ge=0, lt=1 << 31)
    device: str = "cpu"
    precision: Precision = "auto"
    backbone_weights: str | None = None
    flow_weights: str | None = None
    initial: Path | None = None
    frozen_cache: Path | None = None
    validation_samples: int = Field(default=512, gt=0, le=MOST)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    ema: EmaConfig = EmaConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    distillation: DistillationConfig | None = None
    log: LogConfig = LogConfig()

    @field_validator("out")
    @classmethod
    def _a_name_that_can_be(cls, value: Path) -> Path:
        if "\0" in str(value):
            raise ValueError("a path holds no zero byte")
        return value

    @model_validator(mode="after")
    def _success_needs_rollouts(self) -> TrainConfig:
        if self.checkpoint.metric == "success" and self.evaluation.task is None:
            raise ValueError("checkpoint.metric success needs evaluation.task")
        return self

    @model_validator(mode="after")
    def _kept_pairs_are_of_plain_images(self) -> TrainConfig:
        if self.distillation is not None and self.distillation.cache is not None and self.augmentation.enabled:
            raise ValueError("distillation.cache holds what the teacher makes of plain images: disable augmentation")
        if self.frozen_cache is not None and self.augmentation.enabled:
            raise ValueError("frozen_cache holds what a policy makes of plain images: disable augmentation")
        if self.initial is not None and self.distillation is not None:
            raise ValueError(
                "initial and distillation.teacher both give the weights to begin with; allowed: one of them"
            )
        return self


def load_config(
    source: str | Path | None,
    overrides: list[str],
    values: dict[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
) -> TrainConfig:
    """Make a configuration.

    Args:
        source: a YAML file, or a name in config/policies; None: nothing but what follows.
        overrides: `key=value`, dots for what lies within, values as YAML: `optimizer.lr=3e-5`.
        values: by dotted key; they win over the file, overrides over them.
        options: what gives a value that must be given, by dotted key, for the words where it is missing.

    Raises:
        TrainingError: naming the key, what was found and what is allowed.
    """
    path = config_path(source) if source is not None else None
    tree = load_yaml(path, TrainingError) if path is not None else {}
    where = str(path) if path is not None else "the command line"
    if not isinstance(tree, dict):
        return parse_config(tree, where)  # says what is allowed
    for key, value in (values or {}).items():
        _set(tree, key, value)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise TrainingError(f"'{text}': allowed is key=value, such as optimizer.lr=3e-5")
        _set(tree, key, parse_yaml(value, f"'{text}'", TrainingError))
    missing = [option for key, option in (options or {}).items() if _get(tree, key) in (None, [], ())]
    if missing:
        raise TrainingError(f"{' and '.join(missing)} must be given")
    return parse_config(tree, where)


def parse_config(tree: dict[str, Any], where: str) -> TrainConfig:
    """Check values; see `load_config`."""
    return validate(TrainConfig, tree, where, TrainingError)


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """The same training, to be gone on with from any folder."""

    def absolute(path: Path) -> Path:
        return path.expanduser().absolute()

    folders = tuple(one.model_copy(update={"path": absolute(one.path)}) for one in config.data.folders)
    changes: dict[str, Any] = {"data": config.data.model_copy(update={"folders": folders}), "out": absolute(config.out)}
    for name in ("backbone_weights", "flow_weights"):
        file = getattr(config, name)
        if file is not None and file != "imagenet":
            changes[name] = str(absolute(Path(file)))
    if config.initial is not None:
        changes["initial"] = absolute(checkpoint_path(config.initial))
    if config.frozen_cache is not None:
        changes["frozen_cache"] = absolute(config.frozen_cache)
    if (teacher := config.distillation) is not None:
        cache = absolute(teacher.cache) if teacher.cache is not None else None
        places = {"teacher": absolute(checkpoint_path(teacher.teacher)), "cache": cache}
        changes["distillation"] = teacher.model_copy(update=places)
    return config.model_copy(update=changes)


def config_path(source: str | Path) -> Path:
    """Return the file of a training configuration, by name or path.

    Raises:
        TrainingError: where neither exists.
    """
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise TrainingError(f"{path}: no such file")
        return path
    named = share_dir() / "config" / "policies" / f"{source}.yaml"
    if not named.is_file():
        known = sorted(one.stem for one in named.parent.glob("*.yaml"))
        raise TrainingError(f"configuration '{source}' is unknown; allowed: {known}, or a path to a .yaml file")
    return named


def _get(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, name = key.split(".")
    for parent in parents:
        inner = tree.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise TrainingError(f"'{key}': '{parent}' is {inner!r}, which has no keys within")
        tree = inner
    tree[name] = value
