"""The layouts of episode files met in the field, told apart by what is in the file.

Source: reference/episode_formats.md of this project's specification. No peer's file says which layout it has; the
rules stand in `detect`, and a caller who knows better says so.
"""

from __future__ import annotations

from typing import Literal, get_args

import h5py
import numpy as np

Layout = Literal["vgil", "aloha", "act_sim", "mobile_aloha", "act_plus_plus", "cobot_magic", "vgil_single_arm"]
Alignment = Literal["same_stamp", "after_observation", "next_frame"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

# the order in which the peers' tasks name their cameras; HDF5 itself lists them by alphabet
USUAL_ORDER = ("cam_high", "cam_low", "cam_front", "cam_left_wrist", "cam_right_wrist", "top", "angle", "vis")


def detect(file: h5py.File) -> Layout:
    """Return the layout of an open file.

    - `format` says "vgil/...": ours.
    - JPEG rows: padded to one length over all cameras is Mobile ALOHA's, to each camera's own act-plus-plus'.
      Where there is one camera, or lengths happen to agree, both read the same.
    - raw images with depth, or with a base action on a real robot: Cobot Magic.
    - qpos alone, as float64: VGIL's single arm.
    - `sim` is true: ACT's simulation; otherwise ALOHA.
    """
    if str(file.attrs.get("format", "")).startswith("vgil/"):
        return "vgil"
    observations = file["observations"]
    images = list(observations.get("images", {}).values())
    if any(image.ndim == 2 for image in images):
        return "mobile_aloha" if len({image.shape[1] for image in images}) == 1 else "act_plus_plus"
    sim = bool(file.attrs.get("sim", False))
    if "images_depth" in observations or ("base_action" in file and not sim):
        return "cobot_magic"
    if "qvel" not in observations and observations["qpos"].dtype == np.float64:
        return "vgil_single_arm"
    return "act_sim" if sim else "aloha"


def alignment(layout: Layout, file: h5py.File) -> Alignment:
    """Return how an episode's actions lie beside its observations.

    ours: as the file says; a peer's file marked `sim` pairs them as its trainer does, row by row; ALOHA reads an
    action after the observation beside it; Cobot Magic's row k holds the action read with frame k+1.
    """
    if layout == "vgil":
        result: Alignment = file.attrs.get("action_alignment", "same_stamp")
        return result
    if layout == "cobot_magic":
        return "next_frame"
    if layout == "vgil_single_arm" or bool(file.attrs.get("sim", False)):
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


def camera_order(file: h5py.File) -> tuple[str, ...]:
    """Return the colour cameras: in the file's own order where it states one, else as the peers' tasks name them."""
    names = list(file["observations"].get("images", {}))
    stated = [str(name) for name in file.attrs.get("camera_names", ())]
    if sorted(stated) == sorted(names):
        return tuple(stated)
    place = {name: i for i, name in enumerate(USUAL_ORDER)}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(place)), name)))
