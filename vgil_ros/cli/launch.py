"""`vgil launch`: run a launch file, with the `launch` packages where they are installed and without them elsewhere."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from vgil_ros import launch_shim
from vgil_ros.assets import share_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.launch_shim import runner
from vgil_ros.launch_shim.actions import LaunchContext

_SUFFIX = ".launch.py"


def launch(
    file: Annotated[str, typer.Argument(help="a launch file of this package (record.launch.py) or a path")],
    arguments: Annotated[list[str] | None, typer.Argument(help="launch arguments, key:=value")] = None,
    show_args: Annotated[bool, typer.Option("--show-args", help="list the file's arguments and end")] = False,
) -> None:
    """Run a launch file, as `ros2 launch` does; its exit code is that of the file's main node."""
    raise typer.Exit(_launch(file, arguments or [], show_args))


def _launch(file: str, arguments: list[str], show_args: bool) -> int:
    path = find_file(file)
    given = parse_arguments(arguments)
    real = real_packages()
    if not real:
        launch_shim.install()
    description = _load(path).generate_launch_description()
    declared = description.get_launch_arguments()
    if show_args:
        print(describe(path, declared))
        return 0
    allowed = sorted(argument.name for argument in declared)
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise VgilError(f"launch argument {unknown} is unknown to {path.name}; allowed: {allowed}")
    if real:
        return _run_real(description, given)
    context = LaunchContext(arguments)
    context.launch_configurations.update(given)
    return runner.run(description, context)


def real_packages() -> bool:
    """Whether the ROS packages `launch` and `launch_ros` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("launch", "launch_ros"))


def find_file(name: str) -> Path:
    """Return a launch file given by path, or by its name in launch/ (the ending may be left out).

    Raises:
        VgilError: where there is none; it lists those of this package.
    """
    folder = share_dir() / "launch"
    for path in (Path(name).expanduser(), folder / name, folder / f"{name}{_SUFFIX}"):
        if path.is_file() and path.name.endswith(".py"):
            return path.resolve()
    allowed = sorted(path.name for path in folder.glob(f"*{_SUFFIX}"))
    raise VgilError(f"launch file '{name}' was not found; allowed: {allowed}, or a path to a {_SUFFIX} file")


def parse_arguments(arguments: list[str]) -> dict[str, str]:
    """Return launch arguments by name.

    Raises:
        VgilError: for one that is not `key:=value`.
    """
    values: dict[str, str] = {}
    for argument in arguments:
        key, sign, text = argument.partition(":=")
        if not sign or not key:
            raise VgilError(f"launch argument '{argument}' was not understood; allowed: key:=value")
        values[key] = text
    return values


def describe(path: Path, declared: list[Any]) -> str:
    """Return the table that --show-args prints."""
    lines = [f"{path.name} takes:"]
    for argument in declared:
        lines.append(f"  {argument.name + ':=' + _default(argument.default_value):28} {argument.description}")
    return "\n".join(lines)


def _default(value: Any) -> str:
    """A default's text: a str, or a list of `launch`'s text substitutions."""
    if value is None or isinstance(value, str):
        return value or ""
    return "".join(part.text for part in value)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"launch_file_{path.name.split('.')[0]}", path)
    if spec is None or spec.loader is None:
        raise VgilError(f"launch file '{path}' cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise VgilError(f"launch file '{path}': {error}") from error
    if not hasattr(module, "generate_launch_description"):
        raise VgilError(f"launch file '{path}' has no function generate_launch_description()")
    return module


def _run_real(description: Any, given: dict[str, str]) -> int:
    service = importlib.import_module("launch").LaunchService(
        argv=[f"{k}:={v}" for k, v in given.items()], noninteractive=not sys.stdin.isatty()
    )
    service.context.launch_configurations.update(given)
    service.include_launch_description(description)
    code = service.run()
    return int(service.context.get_locals_as_dict().get("exit_code", code))
