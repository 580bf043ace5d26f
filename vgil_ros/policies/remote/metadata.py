"""What `vgil serve` tells of its policy when a client connects, and the configuration that a client makes of it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from vgil_ros.core.config import StrictModel, validate
from vgil_ros.core.execution import KeptExecution
from vgil_ros.policies.config import CameraSpec, PolicyConfig, VectorSpec
from vgil_ros.policies.remote.errors import RemoteError

OWN = "vgil"  # the metadata's key; other servers' metadata is not looked at
VERSION = 1


class RemoteConfig(PolicyConfig):
    """The configuration of a policy that runs elsewhere, as far as its server tells.

    Attributes:
        past: as `obs_offsets`. told: as `needs_task`. steps: as `action_steps`; None: the whole chunk.
    """

    past: tuple[int, ...] = ()
    told: bool = False
    steps: int | None = Field(default=None, gt=0)

    @property
    def obs_offsets(self) -> tuple[int, ...]:
        """As the server's policy."""
        return self.past

    @property
    def needs_task(self) -> bool:
        """As the server's policy."""
        return self.told

    @property
    def action_steps(self) -> int:
        """As the server's policy."""
        return min(self.steps or self.chunk_size, self.chunk_size)


class ServedPolicy(StrictModel):
    """What a server tells of its policy; the fields are those of `PolicyConfig`.

    Attributes:
        version: of this description.
        past, told, steps: see `RemoteConfig`.
        prefix: whether it keeps settled actions. stochastic: whether it draws its chunks.
        images: the forms that it takes them in.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)  # a newer server may tell more

    version: int = VERSION
    type: str
    state_dim: int
    action_dim: int
    chunk_size: int
    cameras: tuple[CameraSpec, ...]
    vectors: tuple[VectorSpec, ...] = ()
    joint_names: tuple[str, ...] = ()
    rate_hz: float | None = None
    fingerprint: str | None = None
    execution: KeptExecution | None = None
    past: tuple[int, ...] = ()
    told: bool = False
    steps: int | None = None
    prefix: bool = False
    stochastic: bool = False
    images: tuple[str, ...] = ("raw",)

    @classmethod
    def of(cls, config: PolicyConfig, *, prefix: bool, stochastic: bool) -> ServedPolicy:
        """What is told of a policy of ours."""
        same = {name: getattr(config, name) for name in cls.model_fields if name in PolicyConfig.model_fields}
        own = {"past": config.obs_offsets, "told": config.needs_task, "steps": config.action_steps}
        return cls(**same, **own, prefix=prefix, stochastic=stochastic, images=("raw", "jpeg"))

    def metadata(self) -> dict[str, Any]:
        """As the first message has it."""
        return {OWN: self.model_dump(mode="json")}

    def config(self, address: str) -> RemoteConfig:
        """The configuration that a client holds against its robot.

        Raises:
            RemoteError: what is told cannot be.
        """
        known = self.model_dump(mode="json")
        values = {name: value for name, value in known.items() if name in RemoteConfig.model_fields}
        return validate(RemoteConfig, values, f"{address}: metadata", RemoteError)


def served_policy(metadata: dict[Any, Any], address: str) -> ServedPolicy | None:
    """What a server's first message tells of its policy; None where it is another project's.

    Raises:
        RemoteError: it tells something that cannot be.
    """
    if OWN not in metadata:
        return None
    served = validate(ServedPolicy, metadata[OWN], f"{address}: metadata", RemoteError)
    if served.version > VERSION:
        raise RemoteError(f"{address}: its metadata is of version {served.version}; allowed: up to {VERSION}")
    return served
