"""What every piece of configuration of a policy or a training is made from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A checked, immutable value that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
