"""The cameras of an episode file: where the images of each lie, in which form, and which of them cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reading.images import ALLOWED, DEPTH, Form, form_of
from vgil_ros.episodes.reading.structure import Structure

IMAGES, DEPTHS = "observations/images", "observations/images_depth"
MOST_CAMERAS = 64


@dataclass
class Cameras:
    """Colour told from depth. A camera that cannot be read has a place too: whoever asks for an image is told.

    Attributes:
        colours, depths: path of each camera's images, by its name.
        forms: how they are stored, by path.
        unusable: why they cannot be read, by path.
    """

    colours: dict[str, str] = field(default_factory=dict)
    depths: dict[str, str] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)


def find_cameras(structure: Structure, path: Path) -> Cameras:
    """Return the cameras of a file; depth images may lie among the others (act-plus-plus' `*_depth`).

    Raises:
        EpisodeError: for more than any robot has.
    """
    colour, depth = structure.children(IMAGES), structure.children(DEPTHS)
    if len(colour) + len(depth) > MOST_CAMERAS:
        raise EpisodeError(f"{path}: holds {len(colour) + len(depth)} cameras; allowed: up to {MOST_CAMERAS}")
    cameras = Cameras(depths={name: f"{DEPTHS}/{name}" for name in depth})
    for group, children in ((IMAGES, colour), (DEPTHS, depth)):
        for name, stored in children.items():
            place = f"{group}/{name}"
            try:
                cameras.forms[place] = form_of(stored)
                if reason := structure.disbelief(place, by_row=True):
                    cameras.unusable[place] = reason
            except VgilError as error:
                cameras.unusable[place] = str(error)
            if group == IMAGES:
                is_depth = cameras.forms.get(place) == "depth" and name not in depth
                (cameras.depths if is_depth else cameras.colours)[name] = place
    for place, form in cameras.forms.items():
        if form == "depth" and place not in cameras.depths.values():
            cameras.unusable[place] = f"holds depth images; allowed there: {ALLOWED}"
        elif form != "depth" and place in cameras.depths.values():
            cameras.unusable[place] = f"holds colour images; allowed there: {DEPTH}"
    return cameras
