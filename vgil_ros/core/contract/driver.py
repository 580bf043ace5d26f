"""What a robot's driver wants at bring-up: services to call, and for Interbotix' driver what its motors are set to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import Count, JointName, Number, TopicName

ServiceType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*/srv/[A-Z][A-Za-z0-9]*$", max_length=255)]
MAX_REGISTER = 2**31 - 1


class ServiceCall(StrictModel):
    """A service that is called once, with these fields of its request; fields that are left out keep their defaults."""

    service: TopicName
    type: ServiceType
    request: dict[str, Any] = Field(default_factory=dict)


class InterbotixDriver(StrictModel):
    """What `bringup` sets in the servos behind Interbotix' `xs_sdk`; values are those of the servos' registers.

    Attributes:
        gripper_current: the followers' grippers' Current_Limit, in units of 2.69 mA; None leaves it as it is.
        position_gains: the followers' arms' Position_P_Gain, Position_I_Gain, Position_D_Gain; None leaves them.
        profile_velocity, profile_acceleration: of the arms; 0: none, commands are followed as fast as the servo can.
        leaders: what the leaders do once the followers follow: `free` (no torque) or `gravity_compensation`.
        shadows: motors beside those of the joints, which turn a joint together with its own motor.
        warm, hot: temperatures of a motor, degrees C: spoken of, and held at.
    """

    type: Literal["interbotix_xs"]
    gripper_current: Count | None = Field(default=300, ge=1, le=2047)
    position_gains: tuple[Count, Count, Count] | None = (800, 0, 0)
    profile_velocity: Count = Field(default=0, ge=0, le=32767)
    profile_acceleration: Count = Field(default=0, ge=0, le=32767)
    leaders: Literal["free", "gravity_compensation"] = "free"
    shadows: tuple[JointName, ...] = ()
    warm: Number = Field(default=60.0, ge=20, le=100)
    hot: Number = Field(default=70.0, ge=20, le=100)

    @model_validator(mode="after")
    def _consistent(self) -> InterbotixDriver:
        if self.warm > self.hot:
            raise ValueError(f"warm is {self.warm:g}, hot {self.hot:g}; allowed: warm up to hot")
        for value in self.position_gains or ():
            if not 0 <= value <= 16383:
                raise ValueError(f"position_gains has {value}; allowed: 0 to 16383, as the register")
        return self
