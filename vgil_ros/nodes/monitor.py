"""The monitor node: what RViz shows of a robot, as standard messages in one fixed frame.

Publishes `~/markers` (links of the arms; cameras, streams and the recorder's state as text) and, as any other
node, its status on `~/status` and `/diagnostics`. It listens to joint states and statuses, never to images.
"""

from __future__ import annotations

from functools import partial

from diagnostic_msgs.msg import DiagnosticStatus
from visualization_msgs.msg import MarkerArray

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Arm
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, puppet_reader
from vgil_ros.core.messages.joint_input import JointInput
from vgil_ros.core.streams import shared_topics
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.status import StatusPublisher
from vgil_ros.nodes.messages.joint_subscriptions import JointSubscriptions
from vgil_ros.nodes.messages.subscriptions import sensor_qos
from vgil_ros.nodes.viz import markers
from vgil_ros.robots.arm_model import ArmModel

STATUSES = {"recording": "recorder/status", "policy": "policy/status"}  # of the nodes beside it
STALE_NS = 1_000_000_000


class Monitor(VgilNode):
    """Turns what it last heard into markers, at a steady rate."""

    def __init__(self) -> None:
        super().__init__("monitor")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        rate = self.declare("rate", 10.0, low=0.1, high=100.0, doc="of the markers, Hz")
        self._models = {arm.name: ArmModel(arm) for arm in self.contract.arms if arm.urdf}
        # shown as it is said, be it no reading: whoever moves or records the robot judges that
        shared = shared_topics(self.contract)
        self._inputs = {
            arm.name: JointInput(puppet_reader(arm), None, shared=arm.puppet.topic in shared)
            for arm in self.contract.arms
        }
        self._joints: dict[str, tuple[int, bytes]] = {}
        self._statuses: dict[str, tuple[int, DiagnosticStatus]] = {}
        self._out = self.create_publisher(MarkerArray, "~/markers", 1)
        self._status_out = StatusPublisher(self, "~/status", self.contract.name)
        topics = JointSubscriptions(self, sensor_qos(10 if shared else 1))
        for arm in self.contract.arms:
            topics.add(arm.puppet.topic, partial(self._on_joints, arm.name), arm.puppet.type)
        for name, topic in STATUSES.items():
            self.create_subscription(DiagnosticStatus, topic, partial(self._on_status, name), 10)
        self.control_timer(1.0 / rate, self._publish)
        self.background_timer(0.2, self._publish_status)

    def _on_joints(self, arm: str, data: bytes) -> None:
        if self._inputs[arm].concerns(data):
            self._joints[arm] = (self._now(), data)  # decoded when it is drawn, ten times a second and not two hundred

    def _on_status(self, name: str, message: DiagnosticStatus) -> None:
        self._statuses[name] = (self._now(), message)

    def _now(self) -> int:
        return self.now_ns()

    def _fresh(self, last: tuple[int, object] | None) -> bool:
        return last is not None and 0 <= self._now() - last[0] <= STALE_NS

    def _publish(self) -> None:
        links = []
        for arm in self.contract.arms:
            fresh, positions = self._fresh(self._joints.get(arm.name)), self._positions(arm)
            if arm.name in self._models:
                links += markers.arm_links(self._models[arm.name], positions, fresh=fresh)
            else:
                links.append(markers.arm_text(arm, positions, fresh=fresh))
        self._out.publish(MarkerArray(markers=[*links, *markers.panel(self._lines())]))

    def _positions(self, arm: Arm) -> dict[str, float]:
        """Positions by joint name as last heard; none where the message does not fit, which is said once."""
        last = self._joints.get(arm.name)
        if last is None:
            return {}
        try:
            found = self._inputs[arm.name].read(last[1], last[0])
        except VgilError as error:
            self.warn_once(arm.name, str(error))
            return {}
        self.clear(arm.name)
        return {} if found is None else dict(zip(arm.joints, found[1][POSITION].tolist(), strict=True))

    def _lines(self) -> list[tuple[str, str, bytes]]:
        """The text panel: recording (and policy, where one runs), cameras, then the joint streams."""
        lines = [self._state(name) for name in STATUSES if name == "recording" or name in self._statuses]
        figures = self._figures()
        names = [camera.name for camera in self.contract.cameras]
        streams = [f"{arm.name}/{part}" for arm in self.contract.arms for part in ("puppet", "master")]
        for space, group in (("cameras", names), ("sync", streams)):
            lines += [(space, _line(name, figures), _level(name, figures)) for name in group]
        return lines

    def _state(self, name: str) -> tuple[str, str, bytes]:
        last = self._statuses.get(name)
        if last is None or not self._fresh(last):
            return name, f"{name}: nothing heard on {self.resolve_topic_name(STATUSES[name])}", DiagnosticStatus.STALE
        return name, f"{name}: {last[1].message}", last[1].level

    def _figures(self) -> dict[str, str]:
        """Values of the statuses that are fresh, by key."""
        fresh = [last[1] for last in self._statuses.values() if self._fresh(last)]
        return {item.key: item.value for status in fresh for item in status.values}

    def _publish_status(self) -> None:
        silent = [arm.name for arm in self.contract.arms if not self._fresh(self._joints.get(arm.name))]
        words = f"no joint states from {silent}" if silent else "; ".join(self.active_warnings) or "drawing"
        level = DiagnosticStatus.WARN if silent or self.active_warnings else DiagnosticStatus.OK
        self._status_out.publish(level, words, {"robot": self.contract.name, "frame": markers.FRAME})


def _line(name: str, figures: dict[str, str]) -> str:
    rate, middle, high = (figures.get(f"{key}_{name}") for key in ("rate_hz", "skew_p50_ms", "skew_p99_ms"))
    parts = [] if rate is None else [f"{rate} Hz"]
    if middle is not None and high is not None:
        parts.append(f"skew {float(middle):.1f} ms, p99 {float(high):.1f} ms")
    return f"{name}: {', '.join(parts)}" if parts else name


def _level(name: str, figures: dict[str, str]) -> bytes:
    rate = figures.get(f"rate_hz_{name}")
    if rate is None:
        return bytes(DiagnosticStatus.STALE)
    return bytes(DiagnosticStatus.OK if float(rate) else DiagnosticStatus.ERROR)


def main() -> None:
    """Entry point of the executable `monitor`."""
    run(Monitor)


if __name__ == "__main__":
    main()
