"""Options, checks and old spellings that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

from vgil_ros.assets import checkpoint_path
from vgil_ros.extras import needed_by

Checkpoint = Annotated[
    Path, typer.Argument(help="a checkpoint folder, or the name of one in models/", parser=checkpoint_path)
]
# A policy that may also run elsewhere: the address stays a text, as a path would lose one of its slashes.
Source = Annotated[
    str, typer.Argument(help="a checkpoint folder, the name of one in models/, or a server's ws://HOST:PORT")
]
RemoteMapping = Annotated[
    Path | None, typer.Option(help="YAML that says what a server calls observations and actions", exists=True)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="settings as key=value, such as optimizer.lr=3e-5 policy.chunk_size=50", metavar="KEY=VALUE"),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="work on a Ray cluster: auto, HOST:PORT or ray://HOST:10001; all machines have the same paths",
        metavar="ADDRESS",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="processes; one, or with --ray as many as the cluster has CPUs"),
]
EpisodeLength = Annotated[int | None, typer.Option(min=1, help="ticks; the task's usual if left out")]


def need_torch(purpose: str) -> None:
    """Refuse to go on without torch.

    Args:
        purpose: what needs it, as the subject of a sentence in the plural or an -ing form.

    Raises:
        MissingDependency: where it is not installed.
    """
    with needed_by(purpose):
        import torch  # noqa: F401


class RenamedOptions(TyperCommand):
    """A command that still takes old spellings of its options and of their values, with a warning on stderr.

    Attributes:
        options: new option by old option.
        values: new value by old value, by (new) option.
    """

    options: ClassVar[Mapping[str, str]] = {}
    values: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, old spellings replaced."""
        return super().parse_args(ctx, list(self._renamed(args)))

    def _renamed(self, args: list[str]) -> Iterator[str]:
        option = ""  # whose value comes next
        for word in args:
            if not word.startswith("--"):
                yield self._renamed_value(option, word)
                option = ""
                continue
            name, equals, value = word.partition("=")
            option = self.options.get(name, name)
            if option != name:
                _warn(name, option)
            yield f"{option}={self._renamed_value(option, value)}" if equals else option

    def _renamed_value(self, option: str, value: str) -> str:
        new = self.values.get(option, {}).get(value, value)
        if new != value:
            _warn(f"{option} {value}", f"{option} {new}")
        return new


def _warn(old: str, new: str) -> None:
    print(f"warning: '{old}' is the old spelling of '{new}'", file=sys.stderr)
