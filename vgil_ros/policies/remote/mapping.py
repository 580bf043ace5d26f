"""The mapping YAML: what a server calls a robot's observations, and how its actions are to be read.

    state: {key: observation/state, joints: [left/waist, ..., left/gripper]}   # the server's order
    images:
      - {name: cam_high, key: observation/image, resize: [224, 224]}
      - {name: cam_wrist, key: [images, wrist], order: chw}                    # a key within a map
    prompt: prompt
    actions: {key: actions, joints: [left/waist, ..., left/gripper, "-"], kind: delta, rate_hz: 15}
    grippers: {closed: 1.0, open: 0.0}                                         # as the server has them
    jpeg_quality: 90                                                           # raw where it is left out
    answer_s: 1.0

Everything may be left out: then the robot's own names and order hold, in the form that `vgil serve` takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vgil_ros.core.config import StrictModel, load_yaml, validate
from vgil_ros.policies.errors import PolicyError

Key = str | tuple[str, ...]  # of a message, or of a map within it
IGNORED = "-"  # in `actions.joints`: a number that this robot has no use for
BASE = ("base/linear", "base/angular")


class StateMapping(StrictModel):
    """Where the joints' positions go.

    Attributes:
        key: of the message. joints: their order there, "arm/joint"; empty: the robot's own.
    """

    key: Key = "state"
    joints: tuple[str, ...] = ()


class ImageMapping(StrictModel):
    """Where a camera's images go.

    Attributes:
        name: the robot's camera. key: of the message; None: its name within `images`.
        resize: (height, width) to scale to, with a black border. order: of the axes.
    """

    name: str
    key: Key | None = None
    resize: tuple[int, int] | None = None
    order: Literal["hwc", "chw"] = "hwc"

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> ImageMapping:
        if self.resize is not None and not all(1 <= size <= 4096 for size in self.resize):
            raise ValueError(f"resize: found {list(self.resize)}; allowed: [height, width], 1 to 4096 each")
        return self


class ActionMapping(StrictModel):
    """How a chunk (H, D) of the server is read.

    Attributes:
        key: of the answer.
        joints: what the D numbers are: "arm/joint", "base/linear", "base/angular", or "-" for one of no use; empty:
            the robot's own joints in their order.
        kind: absolute; delta: from the observed position; delta_each: from one row to the next. A gripper is always
            absolute.
        rate_hz: of the rows where it is not the robot's; they are then interpolated.
    """

    key: Key = "actions"
    joints: tuple[str, ...] = ()
    kind: Literal["absolute", "delta", "delta_each"] = "absolute"
    rate_hz: float | None = Field(default=None, gt=0, le=10_000)


class GripperMapping(StrictModel):
    """What the server calls a closed and an open gripper; the robot's are 0 and 1."""

    closed: float = Field(default=0.0, allow_inf_nan=False)
    open: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _they_differ(self) -> GripperMapping:
        if self.closed == self.open:
            raise ValueError(f"closed and open are both {self.closed:g}; allowed: two numbers that differ")
        return self


class RemoteMapping(StrictModel):
    """A mapping, and how long the server may take.

    Attributes:
        images: empty: every camera that the server's policy, or the robot, has.
        prompt: key of the task.
        jpeg_quality: 1 to 100; None: raw.
        connect_s, answer_s: how long a connection, an answer may take.
        first_answer_s: and the first one, for which many servers still compile.
    """

    state: StateMapping = StateMapping()
    images: tuple[ImageMapping, ...] = ()
    prompt: Key = "prompt"
    actions: ActionMapping = ActionMapping()
    grippers: GripperMapping = GripperMapping()
    jpeg_quality: int | None = Field(default=None, ge=1, le=100)
    connect_s: float = Field(default=2.0, gt=0, le=60)
    answer_s: float = Field(default=1.0, gt=0, le=600)
    first_answer_s: float = Field(default=120.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _names_differ(self) -> RemoteMapping:
        for what, names in (
            ("images", [image.name for image in self.images]),
            ("state.joints", list(self.state.joints)),
            ("actions.joints", [name for name in self.actions.joints if name != IGNORED]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is named more than once; allowed: once")
        return self

    @property
    def plain(self) -> bool:
        """Whether actions come out as the server gives them, so that they can also be sent to it."""
        return self.actions == ActionMapping() and self.grippers == GripperMapping()


def load_mapping(path: str | Path | None) -> RemoteMapping:
    """Read a mapping; without a file everything is as `vgil serve` has it.

    Raises:
        PolicyError: for a file that cannot be read, or with a line for each fault in it.
    """
    if path is None or path == "":
        return RemoteMapping()
    file = Path(path).expanduser()
    return validate(RemoteMapping, load_yaml(file, PolicyError), str(file), PolicyError)
