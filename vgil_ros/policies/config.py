"""The part of `policy.json` that every policy type shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.execution import KeptExecution
from vgil_ros.policies.device import DtypeName

if TYPE_CHECKING:  # only for the type; it needs OpenCV
    from vgil_ros.policies.optical_flow import FlowSettings

VectorMode = Literal["mean_std", "min_max", "unit", "identity"]
ImageMode = Literal["imagenet", "mean_std", "min_max", "unit"]
UNSCALED = "lerobot without statistics"  # the source of weights that a training may begin with, and no robot may run
MOST, MOST_LAYERS = 65_536, 256  # of any size, and of layers or parts of a list, in a file that is to be believed


class CameraSpec(StrictModel):
    """One camera in the order in which the policy takes them.

    Attributes:
        height, width: in pixels, None where unknown.
        source_name: what the project that trained the policy calls it, None where it is this name.
    """

    name: str = Field(min_length=1)
    height: int | None = Field(default=None, gt=0)
    width: int | None = Field(default=None, gt=0)
    source_name: str | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> CameraSpec:
        if (self.height is None) != (self.width is None):
            raise ValueError(f"camera {self.name!r}: give height and width, or neither")
        return self


class VectorSpec(StrictModel):
    """A further vector of the robot that the policy takes behind qpos.

    Attributes:
        size: how many numbers it has.
        meaning: what they are, in the contract's words; empty where the episodes did not tell.
    """

    name: str = Field(min_length=1)
    size: int = Field(gt=0, le=MOST)
    meaning: str = ""

    def fits(self, other: VectorSpec) -> bool:
        """Whether another is the same, as far as both tell."""
        known = self.meaning and other.meaning
        return (self.name, self.size) == (other.name, other.size) and (not known or self.meaning == other.meaning)


class VectorNormalization(StrictModel):
    """How `qpos` or `action` is scaled.

    `mean_std`: (x - mean) / (std + eps). `min_max`: to [-1, 1]. `unit`: to [0, 1]. `identity`: as it is.
    In the ranged modes eps stands in for a range of zero.
    """

    mode: VectorMode = "mean_std"
    eps: float = Field(default=0.0, ge=0.0)


class ImageNormalization(StrictModel):
    """How pixels, first divided by 255, are scaled.

    `imagenet`: ImageNet's mean and std. `mean_std`: the data set's own. `min_max`: to [-1, 1]. `unit`: stay in [0, 1].
    """

    mode: ImageMode = "imagenet"
    eps: float = Field(default=0.0, ge=0.0)


class Normalization(StrictModel):
    """Description of the normaliser; the numbers themselves lie with the weights."""

    qpos: VectorNormalization = VectorNormalization()
    action: VectorNormalization = VectorNormalization()
    images: ImageNormalization = ImageNormalization()


class PolicyConfig(StrictModel):
    """Everything about a policy that is not a weight. Policy types add their own sizes in a subclass.

    Attributes:
        type: the policy's name in the registry.
        state_dim: width of `qpos`, with the `vectors` behind it; action_dim: width of an action; chunk_size: actions in
            one chunk (H).
        cameras: in the order in which the policy takes them.
        vectors: further vectors that follow qpos in the state, in their order.
        joint_names: flat, in the order of qpos, like "left/waist"; empty means unknown.
        rate_hz: rate of the data that trained it; None means unknown.
        fingerprint: of the training data; None means unknown.
        software: what wrote the file.
        weights: how the parameters are stored; they are float32 once loaded.
        source: where an imported checkpoint came from; None for one trained here.
        assumed: which of `joint_names` and `rate_hz` were taken from a robot on import, as the source did not tell.
        execution: how its chunks are to be played where nobody says otherwise; None: as usual.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: str
    state_dim: int = Field(gt=0)
    action_dim: int = Field(gt=0)
    chunk_size: int = Field(gt=0)
    cameras: tuple[CameraSpec, ...]
    vectors: tuple[VectorSpec, ...] = ()
    joint_names: tuple[str, ...] = ()
    rate_hz: float | None = Field(default=None, gt=0)
    fingerprint: str | None = None
    normalization: Normalization = Normalization()
    software: str = ""
    weights: DtypeName = "fp32"
    source: str | None = None
    assumed: tuple[Literal["joint_names", "rate_hz"], ...] = ()
    execution: KeptExecution | None = None

    @field_validator("cameras")
    @classmethod
    def _cameras_differ(cls, cameras: tuple[CameraSpec, ...]) -> tuple[CameraSpec, ...]:
        names = [camera.name for camera in cameras]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"camera named twice: {', '.join(duplicates)}")
        return cameras

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> PolicyConfig:
        """Before anything is built: a size of billions would fill the memory, layers of thousands take for ever."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            several = value if isinstance(value, tuple) else (value,)
            most = MOST_LAYERS if name.endswith("_layers") else MOST
            if len(several) > MOST_LAYERS:
                raise ValueError(f"{name} has {len(several)} parts; allowed: up to {MOST_LAYERS}")
            if name != "seed" and any(isinstance(one, int) and abs(one) > most for one in several):
                raise ValueError(
                    f"{name} goes up to {max(one for one in several if isinstance(one, int)):.3g}; "
                    f"allowed: up to {most}"
                )
        return self

    @model_validator(mode="after")
    def _joints_fit(self) -> PolicyConfig:
        if self.qpos_dim <= 0:
            raise ValueError(
                f"vectors have {self.state_dim - self.qpos_dim} numbers; allowed: below state_dim, {self.state_dim}"
            )
        if len({vector.name for vector in self.vectors}) != len(self.vectors):
            raise ValueError("vectors holds a name twice")
        if self.joint_names and len(self.joint_names) != self.qpos_dim:
            behind = f", of which {self.state_dim - self.qpos_dim} are vectors" if self.vectors else ""
            raise ValueError(f"{len(self.joint_names)} joint_names for state_dim {self.state_dim}{behind}")
        if len(set(self.joint_names)) != len(self.joint_names):
            raise ValueError("joint_names holds a name twice")
        return self

    @model_validator(mode="after")
    def _period_fits(self) -> PolicyConfig:
        period = self.execution.inference_period if self.execution is not None else None
        if period is not None and period > self.chunk_size:
            raise ValueError(f"execution.inference_period is {period}; allowed: up to chunk_size, {self.chunk_size}")
        if set(self.assumed) - {name for name in ("joint_names", "rate_hz") if getattr(self, name)}:
            given = [name for name in ("joint_names", "rate_hz") if getattr(self, name)]
            raise ValueError(f"assumed is {list(self.assumed)}; allowed: what is given of it, {given}")
        return self

    @property
    def qpos_dim(self) -> int:
        """Width of the joints' part of the state."""
        return self.state_dim - sum(vector.size for vector in self.vectors)

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the further vectors, in the policy's order."""
        return tuple(vector.name for vector in self.vectors)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Camera names in the policy's order."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def action_steps(self) -> int:
        """Actions of a chunk to play in open loop before the next one is asked for, where nothing else is said."""
        return self.chunk_size

    @property
    def obs_offsets(self) -> tuple[int, ...]:
        """How many ticks before now the policy also looks, oldest first; see `core.history`."""
        return ()

    @property
    def needs_task(self) -> bool:
        """Whether every observation has to say, by its "task" or "task_embedding", what is to be done."""
        return False

    @property
    def optical_flow(self) -> FlowSettings | None:
        """How the flow between past and present images is computed, where the policy takes it; None: it does not."""
        return None
