"""Actions: each does one thing when it is executed, and may return more to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError


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


class LaunchDescriptionEntity:
    """Something that can be part of a launch description."""

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        """Do it, and return what is to be done next."""
        raise NotImplementedError(type(self).__name__)


Entities = Iterable[LaunchDescriptionEntity]


class DeclareLaunchArgument(LaunchDescriptionEntity):
    """An argument of the launch file: `name:=value`."""

    def __init__(
        self,
        name: str,
        *,
        default_value: str | None = None,
        description: str = "",
        choices: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.default_value = default_value
        self.description = description
        self.choices = choices

    def execute(self, context: LaunchContext) -> Entities:
        """Fill in the default, and hold the value against the choices.

        Raises:
            VgilError: where it has neither value nor default, or a value that is not among the choices.
        """
        if self.default_value is not None:
            context.launch_configurations.setdefault(self.name, self.default_value)
        if self.name not in context.launch_configurations:
            raise VgilError(f"launch argument '{self.name}' is missing: {self.description}; give {self.name}:=VALUE")
        value = context.launch_configurations[self.name]
        if self.choices and value not in self.choices:
            raise VgilError(f"launch argument '{self.name}' is '{value}'; allowed: {list(self.choices)}")
        return ()


class OpaqueFunction(LaunchDescriptionEntity):
    """A Python function of the context that returns what to do next."""

    def __init__(
        self,
        *,
        function: Callable[..., Entities | None],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._call = (function, tuple(args), dict(kwargs or {}))

    def execute(self, context: LaunchContext) -> Entities:
        """Call it."""
        function, args, kwargs = self._call
        return function(context, *args, **kwargs) or ()


class SetEnvironmentVariable(LaunchDescriptionEntity):
    """Set a variable for all processes that start after it."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> Entities:
        """Set it."""
        context.environment[self.name] = self.value
        return ()


class LogInfo(LaunchDescriptionEntity):
    """Say something."""

    def __init__(self, *, msg: str) -> None:
        self.msg = msg

    def execute(self, context: LaunchContext) -> Entities:
        """Say it."""
        print(f"[launch] {self.msg}", flush=True)
        return ()


class Shutdown(LaunchDescriptionEntity):
    """End everything."""

    def __init__(self, *, reason: str = "no reason given") -> None:
        self.reason = reason

    def execute(self, context: LaunchContext) -> Entities:
        """Ask for the end; the runner sees to it."""
        if context.shutdown_reason is None:
            context.shutdown_reason = self.reason
        return ()


class ExecuteProcess(LaunchDescriptionEntity):
    """A process, from its command line.

    Attributes:
        name: what its lines of output are marked with.
    """

    def __init__(
        self,
        *,
        cmd: Sequence[str],
        name: str | None = None,
        output: str = "screen",
        additional_env: Mapping[str, str] | None = None,
        sigterm_timeout: str = "5",
        sigkill_timeout: str = "5",
    ) -> None:
        self.cmd = list(cmd)
        self.name = name or Path(self.cmd[0]).name
        self.output = output
        self.additional_env = dict(additional_env or {})
        self.sigterm_timeout = float(sigterm_timeout)
        self.sigkill_timeout = float(sigkill_timeout)

    def execute(self, context: LaunchContext) -> Entities:
        """Hand it to the runner, which starts it."""
        context.to_start.append(self)
        return ()


class Node(ExecuteProcess):
    """A ROS node: one of this package's, or an executable found on the ament path or on PATH.

    Its parameters are groups of values, or paths of parameter files; the later ones come after the earlier.
    """

    def __init__(
        self,
        *,
        package: str,
        executable: str,
        parameters: Sequence[Mapping[str, Any] | str] = (),
        arguments: Sequence[str] = (),
        namespace: str = "",
        remappings: Sequence[tuple[str, str]] = (),
        name: str | None = None,
        **process: Any,
    ) -> None:
        cmd = [*_command(package, executable), *arguments]
        rules = [*([("__node", name)] if name else []), *([("__ns", namespace)] if namespace else []), *remappings]
        options = [part for old, new in rules for part in ("-r", f"{old}:={new}")]
        for group in parameters:
            options += ["--params-file", group] if isinstance(group, str) else _options(group)
        if options:
            cmd += ["--ros-args", *options]
        super().__init__(cmd=cmd, name=name or executable, **process)


def _options(values: Mapping[str, Any]) -> list[str]:
    plain = {name: value.value if isinstance(value, ParameterValue) else value for name, value in values.items()}
    return [part for name, value in plain.items() for part in ("-p", f"{name}:={json.dumps(value)}")]


def _command(package: str, executable: str) -> list[str]:
    if package == "vgil_ros":
        return [sys.executable, "-m", "vgil_ros.nodes", executable]
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix, "lib", package, executable)
        if prefix and os.access(path, os.X_OK):
            return [str(path)]
    program = shutil.which(executable)
    if program is None:
        raise VgilError(f"executable '{executable}' of package '{package}' was not found; is the package installed?")
    return [program]


class OnProcessExit:
    """What to do when a process ends: a function of (event, context); `event.returncode` is its exit status."""

    def __init__(
        self, *, target_action: ExecuteProcess, on_exit: Callable[[Any, LaunchContext], Entities | None]
    ) -> None:
        self.target_action = target_action
        self.on_exit = on_exit


class RegisterEventHandler(LaunchDescriptionEntity):
    """Listen for an event from now on."""

    def __init__(self, event_handler: OnProcessExit) -> None:
        self.event_handler = event_handler

    def execute(self, context: LaunchContext) -> Entities:
        """Register it."""
        context.exit_handlers.append(self.event_handler)
        return ()


class LaunchDescription(LaunchDescriptionEntity):
    """A list of entities, executed in order."""

    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None:
        self.entities = list(initial_entities or [])

    def add_action(self, action: LaunchDescriptionEntity) -> None:
        """Append an entity."""
        self.entities.append(action)

    def get_launch_arguments(self) -> list[DeclareLaunchArgument]:
        """Return the arguments that it declares."""

        return [entity for entity in self.entities if isinstance(entity, DeclareLaunchArgument)]

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        """Return its entities."""
        return self.entities


class ParameterValue:
    """A node parameter of a fixed type, so that the text "12" stays a text."""

    def __init__(self, value: Any, *, value_type: type) -> None:
        self.value = value_type(value)
