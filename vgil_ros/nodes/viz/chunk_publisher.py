"""Publisher of the coming actions, and of the grippers' path through them, for RViz and plots."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from rclpy.time import Time
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import Marker, MarkerArray

from vgil_ros.core.contract import Arm
from vgil_ros.core.control.pipeline import ActionPipeline
from vgil_ros.core.layout import Layout
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.robots.arm_model import ArmModel

FRAME = "world"
TIP = "grasp_link"
LIFETIME = Duration(sec=1)  # what is played no more fades from the view
EVERY = 10  # of the chunk's actions, one point of the path: forward kinematics take time from the control loop
COLORS = ((1.0, 0.55, 0.1, 0.9), (0.2, 0.6, 1.0, 0.9))


class ChunkView:
    """Publishes ~/action_chunk and ~/markers five times a second, while somebody listens."""

    def __init__(self, node: VgilNode, layout: Layout, pipeline: ActionPipeline, period_s: float) -> None:
        self._node, self._layout, self._pipeline, self._period = node, layout, pipeline, period_s
        self._chunk = node.create_publisher(JointTrajectory, "~/action_chunk", 2)
        self._markers = node.create_publisher(MarkerArray, "~/markers", 2)
        self._models = [_model(arm.arm) for arm in layout.arms]
        self.tick: int | None = None  # the next tick, None while nothing is being played
        self.stamp_ns = 0  # its time
        node.background_timer(0.2, self._publish)

    def _publish(self) -> None:
        if self.tick is None or not (self._chunk.get_subscription_count() or self._markers.get_subscription_count()):
            return
        coming = self._pipeline.executor.coming(self.tick)
        if len(coming) == 0:
            return
        if self._chunk.get_subscription_count():
            self._chunk.publish(self._trajectory(coming))
        if self._markers.get_subscription_count():
            self._markers.publish(MarkerArray(markers=self._paths(coming)))

    def _trajectory(self, coming: np.ndarray) -> JointTrajectory:
        message = JointTrajectory(joint_names=list(self._layout.joint_names[: self._layout.joints]))
        message.header.stamp = Time(nanoseconds=self.stamp_ns).to_msg()
        message.header.frame_id = FRAME
        for k, action in enumerate(coming):
            after = k * self._period
            positions = np.concatenate(self._layout.commands(action)).tolist()
            time = Duration(sec=int(after), nanosec=int(after % 1 * 1e9))
            message.points.append(JointTrajectoryPoint(positions=positions, time_from_start=time))
        return message

    def _paths(self, coming: np.ndarray) -> list[Marker]:
        commands = [self._layout.commands(action) for action in coming[::EVERY]]
        markers = []
        for i, (arm, model) in enumerate(zip(self._layout.arms, self._models, strict=True)):
            if model is None:
                continue
            marker = Marker(ns=f"{arm.arm.name}/coming", id=0, type=Marker.LINE_STRIP, action=Marker.ADD)
            marker.header.frame_id = FRAME
            marker.pose.orientation.w = 1.0
            marker.scale.x = 0.006
            marker.lifetime = LIFETIME
            marker.color.r, marker.color.g, marker.color.b, marker.color.a = COLORS[i % len(COLORS)]
            tips = [model.kinematics.forward(model.named(command[i]))[TIP][:3, 3] for command in commands]
            marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in tips]
            markers.append(marker)
        return markers


def _model(arm: Arm) -> ArmModel | None:
    """The arm's kinematics, None where it names no URDF or its URDF has no grasp link."""
    if arm.urdf is None:
        return None
    model = ArmModel(arm)
    return model if TIP in model.kinematics.forward(model.named(np.asarray(arm.home))) else None
