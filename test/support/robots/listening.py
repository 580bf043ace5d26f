"""How each kind of driver takes its commands, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from support.robots.parts import Commands

if TYPE_CHECKING:
    from support.robots.fake_driver import Robot

OLD_S = 0.5  # GELLO's controller shuts down at a message that is older
NEAR = 1e-3  # a gripper's goal is reached


def listen(robot: Robot, commands: Commands) -> Any:
    """Have a robot take commands; returns what must be kept."""
    return KINDS[commands.kind](robot, commands)


def _trajectory(robot: Robot, commands: Commands) -> Any:
    """joint_trajectory_controller with allow_partial_joints_goal false."""

    def take(message: JointTrajectory) -> None:
        if set(message.joint_names) != set(commands.joints) or len(message.joint_names) != len(commands.joints):
            robot.refuse(commands.topic, f"joints {list(message.joint_names)}, mine are {list(commands.joints)}")
        elif not message.points or len(message.points[-1].positions) != len(commands.joints):
            robot.refuse(commands.topic, f"{len(message.points)} points")
        elif message.header.stamp.sec and message.header.stamp.sec < robot.now() - 1:
            robot.refuse(commands.topic, "a trajectory that has ended")
        else:
            goals = dict(zip(message.joint_names, message.points[-1].positions, strict=True))
            robot.take(commands.topic, commands.body, goals)

    return robot.node.create_subscription(JointTrajectory, commands.topic, take, commands.depth)


def _array(robot: Robot, commands: Commands) -> Any:
    """forward_command_controller: as many values as joints, by their place; it says which, as its parameter."""
    space, name, _ = commands.topic.rsplit("/", 2)
    controller = Node(name, namespace=space or "/")
    controller.declare_parameter("joints", list(commands.joints))
    robot.nodes.append(controller)

    def take(message: Float64MultiArray) -> None:
        if len(message.data) != len(commands.joints):
            robot.refuse(commands.topic, f"{len(message.data)} values for {len(commands.joints)} joints")
            return
        robot.take(commands.topic, commands.body, dict(zip(commands.joints, message.data, strict=True)))

    return controller.create_subscription(Float64MultiArray, commands.topic, take, commands.depth)


def _by_name(robot: Robot, commands: Commands) -> Any:
    """PiPER's: joints by name, one that is not there is sent to 0; the gripper is the seventh of seven."""

    def take(message: JointState) -> None:
        named = dict(zip(message.name, message.position, strict=True))
        if missing := [joint for joint in commands.joints if joint not in named]:
            robot.refuse(commands.topic, f"{missing} would go to 0")
        elif message.name[6:7] != list(commands.joints[6:7]):
            robot.refuse(commands.topic, f"{message.name[6:7]} would be the gripper")
        else:
            robot.take(commands.topic, commands.body, {joint: named[joint] for joint in commands.joints})

    return robot.node.create_subscription(JointState, commands.topic, take, commands.depth)


def _by_position(robot: Robot, commands: Commands) -> Any:
    """GELLO's controller and Cobot Magic's: the first values, whatever the names; none that is old."""

    def take(message: JointState) -> None:
        stamp = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        if len(message.position) < len(commands.joints):
            robot.refuse(commands.topic, f"{len(message.position)} positions")
        elif robot.now() - stamp > OLD_S:
            robot.refuse(commands.topic, "old")
        else:
            values = message.position[: len(commands.joints)]
            robot.take(commands.topic, commands.body, dict(zip(commands.joints, values, strict=True)))

    return robot.node.create_subscription(JointState, commands.topic, take, commands.depth)


def _float32(robot: Robot, commands: Commands) -> Any:
    """A number, as a share."""

    def take(message: Float32) -> None:
        if not commands.low - NEAR <= message.data <= commands.high + NEAR:
            robot.refuse(commands.topic, f"{message.data}")
            return
        robot.take(commands.topic, commands.body, {commands.joints[0]: message.data * commands.factor})

    return robot.node.create_subscription(Float32, commands.topic, take, commands.depth)


def _interbotix(robot: Robot, commands: Commands) -> Any:
    """xs_sdk: a group without the gripper, and the gripper by itself."""
    from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
    from interbotix_xs_msgs.srv import RobotInfo

    def info(request: RobotInfo.Request, response: RobotInfo.Response) -> RobotInfo.Response:
        """As bring-up leaves the motors: rad is taken."""
        response.mode = "current_based_position" if request.name == commands.joints[-1] else "position"
        return response

    robot.node.create_service(RobotInfo, f"{commands.topic.rsplit('/', 1)[0]}/get_robot_info", info)

    def group(message: JointGroupCommand) -> None:
        if message.name != "arm" or len(message.cmd) != len(commands.joints) - 1:
            robot.refuse(commands.topic, f"group {message.name} of {len(message.cmd)}")
            return
        goals = dict(zip(commands.joints[:-1], map(float, message.cmd), strict=True))
        robot.take(f"{commands.topic}/joint_group", commands.body, goals)

    def single(message: JointSingleCommand) -> None:
        if message.name != commands.joints[-1]:
            robot.refuse(commands.topic, f"single {message.name}")
            return
        robot.take(f"{commands.topic}/joint_single", commands.body, {message.name: float(message.cmd)})

    topics = ((JointGroupCommand, "joint_group", group), (JointSingleCommand, "joint_single", single))
    return [robot.node.create_subscription(kind, f"{commands.topic}/{name}", take, 10) for kind, name, take in topics]


class GripperServer:
    """An action server that ends the goal before, and each goal once the gripper is there."""

    def __init__(self, robot: Robot, commands: Commands) -> None:
        from control_msgs.action import GripperCommand, ParallelGripperCommand
        from rclpy.action.server import ActionServer

        self._robot, self._commands = robot, commands
        self._parallel = commands.kind == "parallel"
        self._kind = ParallelGripperCommand if self._parallel else GripperCommand
        self._goal: Any = None
        options = {"execute_callback": self._finish, "handle_accepted_callback": self._accepted}
        self.server = ActionServer(robot.node, self._kind, commands.topic, **options)
        robot.every(0.02, self._look)

    def _accepted(self, handle: Any) -> None:
        command, joint = handle.request.command, self._commands.joints[0]
        if self._goal is not None:
            self._goal.execute()
        self._goal = handle
        if self._parallel and (list(command.name) != [joint] or len(command.position) != 1):
            self._robot.refuse(self._commands.topic, f"names {list(command.name)}, mine is {joint}")
            return
        position = command.position[0] if self._parallel else command.position
        if not self._commands.low - NEAR <= position <= self._commands.high + NEAR:
            self._robot.refuse(self._commands.topic, f"{position} is out of range")
            return
        self._robot.take(self._commands.topic, self._commands.body, {joint: position})

    def _look(self) -> None:
        joints, joint = self._robot.joints[self._commands.body], self._commands.joints[0]
        if self._goal is not None and abs(joints.goal[joint] - joints.at[joint]) < NEAR:
            handle, self._goal = self._goal, None
            handle.execute()

    def _finish(self, handle: Any) -> Any:
        joints, joint = self._robot.joints[self._commands.body], self._commands.joints[0]
        reached = abs(joints.goal[joint] - joints.at[joint]) < NEAR
        handle.succeed() if reached else handle.abort()
        result = self._kind.Result(reached_goal=reached)
        if self._parallel:
            result.state = JointState(name=[joint], position=[joints.at[joint]])
        else:
            result.position = joints.at[joint]
        return result


KINDS = {
    "trajectory": _trajectory,
    "array": _array,
    "by_name": _by_name,
    "by_position": _by_position,
    "float32": _float32,
    "interbotix": _interbotix,
    "gripper_command": GripperServer,
    "parallel": GripperServer,
}
