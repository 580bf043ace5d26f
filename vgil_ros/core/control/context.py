"""The safety context of a control step, read off the synchroniser: where the robot is, how old what is known of it is.

Every driver of the control loop judges by the same context, so a camera that froze, a stream that went silent or a
policy that stopped answering holds a policy node, a dm_env loop, a replay and an evaluation alike.
"""

from __future__ import annotations

import numpy as np

from vgil_ros.core.control.pipeline import OBSERVATION
from vgil_ros.core.layout import POSITION, Layout
from vgil_ros.core.safety import SafetyContext
from vgil_ros.core.sync import Synchronizer


def measured_positions(sync: Synchronizer, layout: Layout) -> np.ndarray | None:
    """Return the newest joint positions (J,) in units of the action; None while an arm has not been heard."""
    payloads = []
    for arm in layout.contract.arms:
        newest = sync.newest(f"{arm.name}/puppet")
        if newest is None:
            return None
        payloads.append(newest[1])
    positions: np.ndarray = layout.state(payloads)[POSITION]
    return positions


def safety_context(
    sync: Synchronizer,
    layout: Layout,
    *,
    tick: int,
    now_ns: int,
    observation_ns: int | None,
    last_policy_ns: int | None,
    estop: bool = False,
    fault: str = "",
) -> SafetyContext:
    """Build the context of a tick.

    Args:
        sync: the streams.
        layout: the robot.
        tick: the tick's number.
        now_ns: the time.
        observation_ns: stamp of the newest complete tick; None before any.
        last_policy_ns: when whatever asks for commands was last known to be well.
        estop: the e-stop is set.
        fault: in words, what is wrong with the robot itself.
    """
    ages = sync.ages(now_ns)
    ages[OBSERVATION] = None if observation_ns is None else now_ns - observation_ns
    return SafetyContext(
        tick=tick,
        now_ns=now_ns,
        period_s=1.0 / layout.contract.rate_hz,
        measured=measured_positions(sync, layout),
        stream_ages_ns=ages,
        last_policy_ns=last_policy_ns,
        estop=estop,
        refused=sync.refusals.standing(now_ns),
        fault=fault,
    )
