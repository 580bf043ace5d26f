"""`pick_place_any`: as `pick_place`, with the cube at any angle.

Turned by 45 degrees it can be taken either way, a quarter turn of the wrist apart, and near there demonstrations show
both for scenes that look the same: a policy has to choose one, for the mean of the two takes the cube by its edges.
"""

from __future__ import annotations

import numpy as np

from vgil_ros.robots.sim.tasks.pick_place import PickPlace


class PickPlaceAny(PickPlace):
    """`pick_place` with nothing known of the cube's angle; places and rewards are the same."""

    name = "pick_place_any"
    turn = np.pi
