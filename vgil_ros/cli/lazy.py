"""Commands that are imported when they are asked for: what one command needs keeps no other waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import typer

Load = Callable[[], Any]  # gives a command


class LazyCommands(dict[str, Any]):
    """Commands by name, in the order of help; each is made once, when somebody looks at it."""

    def __init__(self, loads: Mapping[str, Load]) -> None:
        super().__init__(dict.fromkeys(loads))
        self._loads = dict(loads)

    def __getitem__(self, name: str) -> Any:
        if (load := self._loads.pop(name, None)) is not None:
            command = load()
            command.name = name
            super().__setitem__(name, command)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The command, or the default."""
        return self[name] if name in self else default  # noqa: SIM401  # dict.get would give what is not made yet

    def values(self) -> Any:
        """All commands, which imports them."""
        return [self[name] for name in self]

    def items(self) -> Any:
        """All commands by name, which imports them."""
        return [(name, self[name]) for name in self]


def function(place: str, kind: str | None = None, **settings: Any) -> Load:
    """Of a function, as `module:name`.

    Args:
        kind: name of its command's class in that module.
        settings: those of `Typer.command`.
    """

    def load() -> Any:
        name, _, attribute = place.partition(":")
        module, alone = import_module(name), typer.Typer(add_completion=False)
        kinds = {} if kind is None else {"cls": getattr(module, kind)}
        alone.command(**kinds, **settings)(getattr(module, attribute))
        return typer.main.get_command(alone)

    return load


def group(place: str, help: str, *beside: str) -> Load:
    """Of an app of several commands, as `module:name`.

    Args:
        help: what is said of it.
        beside: further modules, whose commands are added to it as they are imported.
    """

    def load() -> Any:
        name, _, attribute = place.partition(":")
        app = getattr(import_module(name), attribute)
        for other in beside:
            import_module(other)
        made = typer.main.get_group(app)
        made.help = help
        return made

    return load


def several(help: str, commands: Mapping[str, Load]) -> Load:
    """Of a group whose commands are imported one by one."""

    def load() -> Any:
        made = typer.main.get_group(typer.Typer(help=help, no_args_is_help=True, add_completion=False))
        made.commands = LazyCommands(commands)
        return made

    return load


def one_of(whole: Load, name: str) -> Load:
    """Of a command of a group that is imported as a whole."""
    return lambda: whole().commands[name]
