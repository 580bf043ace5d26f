"""What is said of a session's episodes: of all of them by parameter, of the last one by its operator."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from vgil_ros.core.episode_label import TEXTS, Verdict, text_fault
from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.labels import Label, write_label
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.writing import disk
from vgil_ros.nodes.base.alerts import Alerts
from vgil_ros.nodes.base.node import VgilNode

WORDS = ("operator", "object", "scene", "note")
SPARE = 4 * disk.STOP_FREE  # bytes that a file's copy leaves to an episode that is recorded meanwhile


def declare_words(node: VgilNode) -> dict[str, str]:
    """Declare operator, object, scene and note; returns those that were given, by attribute.

    Raises:
        VgilError: naming the parameter whose text is too long, or holds a control character.
    """
    given = {
        "operator": node.declare("operator", "", doc="who shows it; written into the episodes", read_only=False),
        "object": node.declare("object", "", doc="with which object; written into the episodes", read_only=False),
        "scene": node.declare("scene", "", doc="in which scene; written into the episodes", read_only=False),
        "note": node.declare(
            "note", "", doc="whatever else is to be known; written into the episodes", read_only=False
        ),
    }
    for name, text in given.items():
        if fault := text_fault(text):
            raise VgilError(f"parameter '{name}' {fault}; allowed: {TEXTS}")
    return {name: text for name, text in given.items() if text}


class SpokenWords:
    """Task, operator, object, scene and note as they are now: parameters that can be set while a session runs.

    What is set counts from the next episode on.

    Args:
        node: whose parameters they are, declared by `declare_words` and as `task`.
        task: as it was given.
        words: as they were given.
        on_task: called with a new task; raises a VgilError where it is not to be taken.
    """

    def __init__(self, node: VgilNode, task: str, words: dict[str, str], on_task: Callable[[str], None]) -> None:
        self.task, self.words, self._on_task = task, dict(words), on_task
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        """All of them or none."""
        said = {one.name: str(one.value) for one in parameters if one.name == "task" or one.name in WORDS}
        for name, text in said.items():
            if fault := text_fault(text):
                return SetParametersResult(successful=False, reason=f"parameter '{name}' {fault}; allowed: {TEXTS}")
        task = said.pop("task", self.task)
        if task != self.task:
            try:
                self._on_task(task)
            except VgilError as error:
                return SetParametersResult(successful=False, reason=str(error))
        self.task = task
        self.words = {name: text for name, text in (self.words | said).items() if text}
        return SetParametersResult(successful=True)


class LateLabels:
    """Writes labels into files of episodes that have ended, one after another, in a thread of its own.

    A file is copied, labelled and put in the old one's place: whenever the process is killed, one of the two is there.

    Args:
        alerts: where it is said that one could not be written.
    """

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="label-episode")
        self._under_way: list[Future[None]] = []

    def write(self, path: Path | None, verdict: Verdict) -> None:
        """Label the episode whose file this is; None where it has none."""
        if path is None:
            self._alerts.log("the label is lost: there is no file of the last episode", severity="warning")
        else:
            self._under_way.append(self._pool.submit(label_file, path, verdict))

    def look(self) -> None:
        """Say what could not be written."""
        for future in [future for future in self._under_way if future.done()]:
            self._under_way.remove(future)
            if (error := future.exception()) is not None:
                self._alerts.log(str(error), severity="error")

    def wait(self) -> None:
        """Wait until all are written: before a file is removed, and before the process ends."""
        for future in self._under_way:
            future.exception()
        self.look()


def label_file(path: Path, verdict: Verdict) -> None:
    """Label an episode, whole at any moment.

    Raises:
        VgilError: naming the file and why it has no label.
    """
    try:
        before = path.stat()
        free = disk.free_bytes(path.parent)
        if free < before.st_size + SPARE:
            needed = (before.st_size + SPARE) / disk.MIB
            raise _unwritten(path, verdict, f"{free / disk.MIB:.0f} MiB free; {needed:.0f} MiB are needed beside it")
        handle, name = tempfile.mkstemp(prefix=".label_", suffix=f".hdf5{naming.HALF}", dir=path.parent)
        os.close(handle)
        copy = Path(name)
        try:
            shutil.copyfile(path, copy)
            shutil.copymode(path, copy)
            with naming_file(path, "labelled"):
                write_label(copy, Label(verdict))
            naming.sync_file(copy)
            if not os.path.samestat(before, path.stat()):
                raise _unwritten(path, verdict, "found another file in its place; allowed: itself")
            copy.replace(path)
        finally:
            copy.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(path, verdict, error.strerror) from error


def _unwritten(path: Path, verdict: Verdict, why: str | None) -> VgilError:
    return VgilError(f"{path}: the label '{verdict}' cannot be written ({why}); `vgil episodes label` writes it later")
