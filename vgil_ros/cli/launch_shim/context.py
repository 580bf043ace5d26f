"""What the parts of a running launch share."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vgil_ros.cli.launch_shim.actions import ExecuteProcess, OnProcessExit


class LaunchContext:
    """The arguments, the environment, and what is still to be started, of one launch.

    Attributes:
        launch_configurations: launch arguments, by name.
        exit_handlers: what to do when a process ends.
        to_start: processes that an action asked for and that do not run yet.
        shutdown_reason: why the launch is ending; None while it is not.
    """

    def __init__(self, argv: list[str] | None = None) -> None:
        self.argv = list(argv or [])
        self.launch_configurations: dict[str, str] = {}
        self.exit_handlers: list[OnProcessExit] = []
        self.to_start: list[ExecuteProcess] = []
        self.shutdown_reason: str | None = None
        self._globals: dict[str, Any] = {}

    @property
    def environment(self) -> MutableMapping[str, str]:
        """The environment that processes get: this process' own, as in `launch`."""
        return os.environ

    @property
    def is_shutdown(self) -> bool:
        """Whether the launch is ending."""
        return self.shutdown_reason is not None

    def extend_globals(self, values: dict[str, Any]) -> None:
        """Keep values for as long as the launch runs."""
        self._globals.update(values)

    def get_locals_as_dict(self) -> dict[str, Any]:
        """The values that `extend_globals` kept."""
        return dict(self._globals)
