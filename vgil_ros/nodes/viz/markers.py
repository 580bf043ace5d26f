"""Markers for RViz, all in one fixed frame, so that no transforms are needed. Lengths in metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point, Quaternion, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker

from vgil_ros.core.contract import Arm
from vgil_ros.robots.arm_model import ArmModel
from vgil_ros.robots.urdf import Visual

FRAME = "world"
PANEL = (0.0, 0.9, 1.25)  # the text panel's first line
LINE = 0.07  # height of a line, metres
_KINDS = {"box": Marker.CUBE, "cylinder": Marker.CYLINDER, "sphere": Marker.SPHERE}
_COLORS = {
    DiagnosticStatus.OK: (0.25, 0.85, 0.35),
    DiagnosticStatus.WARN: (1.0, 0.75, 0.1),
    DiagnosticStatus.ERROR: (1.0, 0.25, 0.2),
    DiagnosticStatus.STALE: (0.6, 0.6, 0.6),
}


def arm_links(model: ArmModel, positions: Mapping[str, float], *, fresh: bool) -> list[Marker]:
    """One marker for each visual of an arm's links.

    Args:
        model: the arm.
        positions: by the contract's joint names; a joint that is missing stands at home.
        fresh: False draws the arm faintly, because its state is old or was never heard.
    """
    alpha = 1.0 if fresh else 0.25
    markers = []
    for i, (visual, xyz, quat_xyzw) in enumerate(model.link_poses(positions)):
        marker = _marker(model.arm.name, i, _KINDS[visual.kind], xyz, visual.rgba[:3], visual.rgba[3] * alpha)
        marker.pose.orientation = Quaternion(**dict(zip("xyzw", quat_xyzw.tolist(), strict=True)))
        marker.scale = Vector3(**dict(zip("xyz", _scale(visual), strict=True)))
        markers.append(marker)
    return markers


def arm_text(arm: Arm, positions: Mapping[str, float], *, fresh: bool) -> Marker:
    """An arm that names no URDF, as text: its joints' positions where its base stands."""
    lines = [f"{joint}: {positions[joint]:.2f}" if joint in positions else f"{joint}: ?" for joint in arm.joints]
    level = DiagnosticStatus.OK if fresh else DiagnosticStatus.STALE
    return text(arm.name, 0, "\n".join([arm.name, *lines]), arm.mount.xyz, level)


def panel(lines: Sequence[tuple[str, str, bytes]]) -> list[Marker]:
    """Lines of text one below the other: (namespace, text, level of DiagnosticStatus) each."""
    x, y, z = PANEL
    return [text(space, i, words, (x, y, z - i * LINE), level) for i, (space, words, level) in enumerate(lines)]


def text(space: str, number: int, words: str, xyz: Sequence[float], level: bytes) -> Marker:
    """A text that faces the viewer, in the colour of a level of DiagnosticStatus."""
    marker = _marker(space, number, Marker.TEXT_VIEW_FACING, xyz, _COLORS[level], 1.0)
    marker.text = words
    marker.scale.z = LINE * 0.8
    return marker


def _marker(
    space: str, number: int, kind: int, xyz: Sequence[float] | np.ndarray, rgb: Sequence[float], alpha: float
) -> Marker:
    marker = Marker(ns=space, id=number, type=kind, action=Marker.ADD)
    marker.header.frame_id = FRAME  # and stamp 0: RViz takes it at once
    marker.pose.position = Point(**dict(zip("xyz", map(float, xyz), strict=True)))
    marker.pose.orientation.w = 1.0
    marker.color = ColorRGBA(r=float(rgb[0]), g=float(rgb[1]), b=float(rgb[2]), a=float(alpha))
    return marker


def _scale(visual: Visual) -> tuple[float, float, float]:
    """Full extents along x, y, z."""
    if visual.kind == "box":
        x, y, z = visual.size
        return float(x), float(y), float(z)
    across = 2.0 * visual.size[0]
    return across, across, float(visual.size[1]) if visual.kind == "cylinder" else across
