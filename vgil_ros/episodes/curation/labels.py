"""Labels of an episode: success, failure or unsure, tags, a note, and who showed what where. Attributes of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vgil_ros.core.episode_label import TEXTS, VERDICTS, Verdict, text_fault
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import h5
from vgil_ros.episodes.reading.columns import TASKS

WORDS = ("note", "operator", "object", "scene", "task")
LABELLED = ("label", "tags", "note", "operator", "object", "scene")  # what a label leaves beside success and task


@dataclass(frozen=True)
class Label:
    """What is to be said of an episode; what is None or empty stays as it is.

    Attributes:
        verdict: success, failure or unsure (then the file says neither success nor failure).
        tags, untag: tags to add and to take away.
        words: texts by attribute, one of `WORDS`; "" takes one away.
    """

    verdict: Verdict | None = None
    tags: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict is not None and self.verdict not in VERDICTS:
            raise VgilError(f"label is {self.verdict!r}; allowed: {list(VERDICTS)}")
        for tag in (*self.tags, *self.untag):
            if not tag.replace("-", "").replace("_", "").isalnum() or len(tag) > 50:
                raise VgilError(f"tag is {tag!r}; allowed: letters, digits, - and _, up to 50 of them")
        for key, text in self.words.items():
            if key not in WORDS:
                raise VgilError(f"found {key!r}; allowed: {list(WORDS)}")
            if fault := text_fault(text):
                raise VgilError(f"{key} {fault}; allowed: {TEXTS}")

    def __bool__(self) -> bool:
        return bool(self.verdict or self.tags or self.untag or self.words)

    def __str__(self) -> str:
        parts = [self.verdict or "", *(f"+{tag}" for tag in self.tags), *(f"-{tag}" for tag in self.untag)]
        parts += [f"{key} {text!r}" for key, text in self.words.items()]
        return ", ".join(filter(None, parts))

    def attributes(self, before: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the attributes to set, and the names of those to take away.

        Args:
            before: the file's attributes.
        """
        values: dict[str, Any] = {}
        gone: list[str] = []
        if self.verdict is not None:
            values["label"] = self.verdict
            success = success_of(self.verdict)
            if success is None:
                gone.append("success")
            else:
                values["success"] = success
        if self.tags or self.untag:
            tags = [tag for tag in dict.fromkeys((*tags_of(before), *self.tags)) if tag not in self.untag]
            values["tags"] = h5.text_array(tags)
        for key, text in self.words.items():
            if text:
                values[key] = text
            else:
                gone.append(key)
        return values, [key for key in gone if key in before]


def success_of(verdict: Verdict) -> bool | None:
    """What a label says of `success`, which training reads; None where it leaves that open."""
    return None if verdict == "unsure" else verdict == "success"


def tags_of(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """An episode's tags, from its attributes."""
    found = attributes.get("tags", ())
    words: Sequence[Any] = np.atleast_1d(np.asarray(found, object)).ravel().tolist()
    return tuple(word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in words)


def verdict_of(attributes: Mapping[str, Any], success: bool | None) -> Verdict | None:
    """What an episode's label says, or its success alone; None where nobody said anything."""
    if success is not None:
        return "success" if success else "failure"
    return "unsure" if attributes.get("label") == "unsure" else None


def write_label(path: Path, label: Label) -> None:
    """Write a label into a file that nobody else reads; a task holds for all of its rows."""
    with h5.amend(path) as file:
        _apply(file, label)


def _apply(file: h5py.File, label: Label) -> None:
    values, gone = label.attributes(dict(file.attrs))
    for key in gone:
        del file.attrs[key]
    for key, value in values.items():
        file.attrs[key] = value
    if "task" in label.words and TASKS in file:
        del file[TASKS]
        file.attrs.pop("tasks", None)
