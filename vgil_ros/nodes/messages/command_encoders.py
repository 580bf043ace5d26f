"""Commands of an arm, (joints,) in the contract's order and units, as messages of the type that its driver takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Twist
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vgil_ros.core.contract import CommandTopic as Command
from vgil_ros.core.contract import GripperCommand
from vgil_ros.core.errors import VgilError
from vgil_ros.core.goal_stream import DEADBAND_SHARE
from vgil_ros.core.layout import ArmLayout
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.command_places import CommandAction, CommandTopic, Encoded, Place
from vgil_ros.nodes.messages.gripper_units import driver_units, gripper_action
from vgil_ros.nodes.messages.joint_states import joint_state
from vgil_ros.nodes.messages.template import Template

ArmEncoder = Callable[[np.ndarray], Encoded]  # of a command (joints,) in the contract's order, in robot units
Values = Callable[[np.ndarray], Encoded]  # of the values that a message holds, in its order


def make_encoder(node: VgilNode, arm: ArmLayout, period_s: float) -> tuple[ArmEncoder, list[Place]]:
    """The encoder of an arm's commands, and the places that they go to.

    Args:
        node: the node that commands.
        arm: the arm.
        period_s: time between two commands; a trajectory's point is to be reached after it.

    Raises:
        VgilError: where the type's package is not installed.
    """
    places: list[Place] = []
    of_arm = _Encoders(node, places, period_s).make(arm)
    return of_arm, places


class _Encoders:
    def __init__(self, node: VgilNode, places: list[Place], period_s: float) -> None:
        self._node, self._places, self._period = node, places, period_s

    def make(self, arm: ArmLayout) -> ArmEncoder:
        if arm.arm.command.type == "interbotix_group":
            return self._interbotix(arm)
        columns = list(arm.arm.own_columns)
        limits = arm.arm.limits
        span = limits.upper[columns[0]] - limits.lower[columns[0]]  # of a type for one joint
        own = self._values(arm.arm.command, arm.arm.own_joints, span)
        gripper = arm.arm.gripper
        if gripper is None or gripper.command is None:
            return own
        column = arm.arm.joints.index(gripper.joint)
        to_driver = driver_units(gripper)
        closed, opened = gripper.command.range or gripper.puppet_range
        apart = self._values(
            gripper.command, (gripper.command.joint or arm.arm.command_joints[column],), opened - closed
        )

        def encode(command: np.ndarray) -> Encoded:
            return own(command[columns]) + apart(np.array([to_driver(float(command[column]))]))

        return encode

    def _values(self, command: Command | GripperCommand, names: tuple[str, ...], span: float) -> Values:
        if command.is_action:
            return self._action(command, names[0], span)
        makers: dict[str, Callable[[str, tuple[str, ...]], Values]] = {
            "joint_state": self._joint_state,
            "float64_multi_array": self._array,
            "joint_trajectory": self._trajectory,
            "float32": self._float32,
            "float64": self._float64,
        }
        return makers[command.type](command.topic, names)

    def _topic(self, kind: type, topic: str) -> CommandTopic:
        made = CommandTopic(self._node, kind, topic)
        self._places.append(made)
        return made

    def _joint_state(self, name: str, joints: tuple[str, ...]) -> Values:
        topic = self._topic(JointState, name)
        template = Template(partial(joint_state, list(joints)), len(joints))
        return lambda values: [(topic, template.filled(values.tolist(), self._node.now_ns()))]

    def _array(self, name: str, joints: tuple[str, ...]) -> Values:
        topic = self._topic(Float64MultiArray, name)
        template = Template(lambda values, stamp_ns: Float64MultiArray(data=values), len(joints))
        return lambda values: [(topic, template.filled(values.tolist()))]

    def _trajectory(self, name: str, joints: tuple[str, ...]) -> Values:
        topic = self._topic(JointTrajectory, name)
        template = Template(partial(_trajectory, list(joints), self._period), len(joints))
        return lambda values: [(topic, template.filled(values.tolist()))]

    def _float32(self, name: str, joints: tuple[str, ...]) -> Values:
        topic = self._topic(Float32, name)
        return lambda values: [(topic, Float32(data=float(values[0])))]

    def _float64(self, name: str, joints: tuple[str, ...]) -> Values:
        topic = self._topic(Float64, name)
        return lambda values: [(topic, Float64(data=float(values[0])))]

    def _action(self, command: Command | GripperCommand, joint: str, span: float) -> Values:
        kind, goal = gripper_action(command.type, command.max_effort, joint)
        action = CommandAction(self._node, kind, command.topic, goal, DEADBAND_SHARE * abs(span))
        self._places.append(action)
        return lambda values: [(action, float(values[0]))]

    def _interbotix(self, arm: ArmLayout) -> ArmEncoder:
        """The group topic takes the arm, the sibling topic `joint_single` the gripper."""
        try:
            from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
        except ImportError as error:
            raise VgilError(
                f"arm '{arm.arm.name}': command type 'interbotix_group' needs the package interbotix_xs_msgs, which is"
                " not installed; allowed without it: joint_state, float64_multi_array, joint_trajectory"
            ) from error
        topic = arm.arm.command.topic
        group = self._topic(JointGroupCommand, topic)
        single = self._topic(JointSingleCommand, single_topic(topic))
        gripper = arm.arm.gripper
        column = arm.arm.joints.index(gripper.joint) if gripper else None

        def encode(command: np.ndarray) -> Encoded:
            joints = command if column is None else np.delete(command, column)
            out: Encoded = [(group, JointGroupCommand(name="arm", cmd=joints.tolist()))]
            if gripper is not None and column is not None:
                name, value = arm.arm.command_joints[column], float(command[column])
                out.append((single, JointSingleCommand(name=name, cmd=value)))
            return out

        return encode


def single_topic(topic: str) -> str:
    """Where Interbotix' driver takes a command to one joint, beside that of the group."""
    return f"{topic.rsplit('/', 1)[0]}/joint_single"


def _trajectory(names: list[str], period_s: float, values: list[float], stamp_ns: int) -> JointTrajectory:
    """With stamp 0: "now". The point is to be reached after a period."""
    after = Duration(sec=int(period_s), nanosec=int(period_s % 1 * 1e9))
    return JointTrajectory(joint_names=names, points=[JointTrajectoryPoint(positions=values, time_from_start=after)])


def twist(values: list[float], stamp_ns: int) -> Twist:
    """A base's velocity (m/s, rad/s) as a message."""
    message = Twist()
    message.linear.x, message.angular.z = values
    return message
