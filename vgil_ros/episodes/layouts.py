"""The layouts of episode files met in the field, told apart by what is in the file.

Source: reference/episode_formats.md of this project's specification. No peer's file says which layout it has; the
rules stand in `detect`, and a caller who knows better says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from vgil_ros.episodes.reading.structure import Structure

Layout = Literal["vgil", "aloha", "act_sim", "mobile_aloha", "act_plus_plus", "cobot_magic", "vgil_single_arm"]
Alignment = Literal["same_stamp", "after_observation", "next_frame"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

# the order in which the peers' tasks name their cameras; HDF5 itself lists them by alphabet
USUAL_ORDER = ("cam_high", "cam_low", "cam_front", "cam_left_wrist", "cam_right_wrist", "top", "angle", "vis")


def detect(structure: Structure, attributes: Mapping[str, Any]) -> Layout:
    """Return the layout of a file.

    - `format` says "vgil/...": ours.
    - JPEG rows: padded to one length over all cameras is Mobile ALOHA's, to each camera's own act-plus-plus'.
      Where there is one camera, or lengths happen to agree, both read the same.
    - raw images with depth, or with a base action on a real robot: Cobot Magic.
    - qpos alone, as float64: VGIL's single arm.
    - `sim` is true: ACT's simulation; otherwise ALOHA.
    """
    if str(attributes.get("format", "")).startswith("vgil/"):
        return "vgil"
    images = [stored for stored in structure.children("observations/images").values() if stored is not None]
    jpegs = [stored for stored in images if len(stored.shape) in (1, 2)]
    if jpegs:
        widths = {stored.shape[1] if len(stored.shape) == 2 else stored.dtype.itemsize for stored in jpegs}
        return "mobile_aloha" if len(widths) == 1 else "act_plus_plus"
    sim = bool(attributes.get("sim", False))
    if "observations/images_depth" in structure.groups or ("base_action" in structure.datasets and not sim):
        return "cobot_magic"
    lacks_velocity = "observations/qvel" not in structure.datasets
    if lacks_velocity and structure.datasets["observations/qpos"].dtype == np.float64:
        return "vgil_single_arm"
    return "act_sim" if sim else "aloha"


def alignment(layout: Layout, attributes: Mapping[str, Any]) -> Alignment:
    """Return how an episode's actions lie beside its observations.

    ours: as the file says; a peer's file marked `sim` pairs them as its trainer does, row by row; ALOHA reads an
    action after the observation beside it; Cobot Magic's row k holds the action read with frame k+1.
    """
    if layout == "vgil":
        result: Alignment = attributes.get("action_alignment", "same_stamp")
        return result
    if layout == "cobot_magic":
        return "next_frame"
    if layout == "vgil_single_arm" or bool(attributes.get("sim", False)):
        return "same_stamp"
    return "after_observation"


def aligned(action: np.ndarray, how: Alignment) -> np.ndarray:
    """Return actions (T, D) so that row t is what the layout's own trainer pairs with observation t.

    after_observation: `action[max(0, t - 1)]` (ACT, Mobile ALOHA); next_frame: `action[t + 1]`, the last one twice
    (Cobot Magic's `action[1:]`); same_stamp: as stored.
    """
    if how == "after_observation":
        return np.concatenate([action[:1], action[:-1]])
    if how == "next_frame":
        return np.concatenate([action[1:], action[-1:]])
    return action


def camera_order(names: Collection[str], stated: Sequence[str]) -> tuple[str, ...]:
    """Return cameras in the order that the file states, where it states one for them, else as the peers' tasks do."""
    if sorted(stated) == sorted(names):
        return tuple(stated)
    place = {name: i for i, name in enumerate(USUAL_ORDER)}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(place)), name)))
