"""The `vgil` command. Exit codes: 0 done, 1 the thing checked is bad, 2 wrong usage or input."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vgil_ros import __version__
from vgil_ros.cli.lazy import LazyCommands, function, group, one_of, several
from vgil_ros.core.errors import VgilError
from vgil_ros.extras import needed_by

CLI = "vgil_ros.cli"
EPISODES = group(f"{CLI}.episodes.commands:app", "", f"{CLI}.episodes.curate", f"{CLI}.episodes.from_bag")
TOGETHER = (
    *("show", "check", "repair", "plot", "convert", "label", "delete", "restore", "trim", "split", "renumber", "merge"),
    *("filter", "undo", "trash", "from-bag"),
)
EPISODE_COMMANDS = {
    "list": function(f"{CLI}.episodes.listing:list_command"),
    **{name: one_of(EPISODES, name) for name in TOGETHER},
    "replay": function(f"{CLI}.episodes.replay:replay"),
    "generate": function(f"{CLI}.episodes.generate:generate"),
}
COMMANDS = {
    "launch": function(f"{CLI}.launch:launch", context_settings={"ignore_unknown_options": True}),
    "jog": function(f"{CLI}.jog:jog"),
    "train": function(f"{CLI}.train:train"),
    "train-demo": function(f"{CLI}.demo.train_demo:train_demo"),
    "eval": function(f"{CLI}.eval:evaluate", "EvalCommand"),
    "serve": function(f"{CLI}.serve:serve"),
    "preflight": function(f"{CLI}.preflight.command:preflight"),
    "web": function(f"{CLI}.web:web"),
    "demo": function(f"{CLI}.demo.demo:demo"),
    "call": function(f"{CLI}.ros.call:call"),
    "status": function(f"{CLI}.ros.status:status"),
    "topics": function(f"{CLI}.ros.topics:topics"),
    "doctor": function(f"{CLI}.doctor.commands:doctor"),
    "cameras": function(f"{CLI}.cameras:cameras"),
    "episodes": several("List, show, check, repair, plot, convert and replay episodes.", EPISODE_COMMANDS),
    "dataset": group(
        f"{CLI}.dataset.commands:app",
        "Check and convert whole data sets (LeRobot, zarr, HDF5, MCAP), and verify them.",
        f"{CLI}.dataset.check",
    ),
    "checkpoint": group(f"{CLI}.checkpoint.commands:app", "Show, import, check and replay policy checkpoints."),
    "robot": group(
        f"{CLI}.robot:app",
        "Look at a robot before it moves; bring it home, to sleep, and back.",
        f"{CLI}.robot_calibrate",
    ),
    "trial": group(f"{CLI}.trial:app", "Find out which policy is better on a real robot, blinded; check a trial."),
}


class _Commands(TyperGroup):
    """The one place where an error that a user can mend becomes a line on stderr and exit code 2."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LazyCommands(COMMANDS)

    def invoke(self, ctx: Any) -> Any:
        try:
            with needed_by(f"vgil {sys.argv[1] if len(sys.argv) > 1 else ''}".strip()):
                return super().invoke(ctx)
        except VgilError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Commands,
    help="Record teleoperation, train, and run visuomotor policies on ROS 2 robots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vgil_ros {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Entry point of the executable `vgil`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files and in files may be no proper text
    app()


if __name__ == "__main__":
    main()
