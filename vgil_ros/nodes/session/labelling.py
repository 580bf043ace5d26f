"""What is said of a session's episodes: of all of them by parameter, of the last one by its operator."""

from __future__ import annotations

from pathlib import Path

from vgil_ros.core.episode_label import Verdict, text_fault
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.curation.labels import Label, write_label
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.nodes.base.node import VgilNode


def declare_words(node: VgilNode) -> dict[str, str]:
    """Declare operator, object, scene and note; returns those that were given, by attribute.

    Raises:
        VgilError: naming the parameter whose text is too long, or holds a control character.
    """
    given = {
        "operator": node.declare("operator", "", doc="who shows it; written into the episodes"),
        "object": node.declare("object", "", doc="with which object; written into the episodes"),
        "scene": node.declare("scene", "", doc="in which scene; written into the episodes"),
        "note": node.declare("note", "", doc="whatever else is to be known; written into the episodes"),
    }
    for name, text in given.items():
        if fault := text_fault(text):
            raise VgilError(f"parameter '{name}' {fault}")
    return {name: text for name, text in given.items() if text}


def label_episode(path: Path | None, verdict: Verdict) -> str | None:
    """Write a label into the file of an episode that has ended; returns why that could not be done, or None."""
    if path is None:
        return "the label is lost: there is no file of the last episode"
    if not path.is_file():  # curated meanwhile
        return f"{path}: is gone, and the label '{verdict}' with it"
    try:
        with naming_file(path, "labelled"):
            write_label(path, Label(verdict))
    except EpisodeError as error:
        return str(error)
    return None
