"""The `vgil` command. Exit codes: 0 done, 1 the thing checked is bad, 2 wrong usage or input."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vgil_ros import __version__
from vgil_ros.cli import robot
from vgil_ros.cli.cameras import cameras
from vgil_ros.cli.checkpoint import commands as checkpoint
from vgil_ros.cli.dataset import check as dataset_check  # noqa: F401  # its command is among `dataset`'s
from vgil_ros.cli.dataset import commands as dataset
from vgil_ros.cli.demo import demo
from vgil_ros.cli.demo.train_demo import train_demo
from vgil_ros.cli.doctor.commands import doctor
from vgil_ros.cli.episodes import commands as episodes
from vgil_ros.cli.episodes import curate, from_bag  # noqa: F401  # their commands are among `episodes`
from vgil_ros.cli.episodes.generate import generate
from vgil_ros.cli.episodes.replay import replay
from vgil_ros.cli.eval import EvalCommand, evaluate
from vgil_ros.cli.jog import jog
from vgil_ros.cli.launch import launch
from vgil_ros.cli.robot_calibrate import calibrate
from vgil_ros.cli.ros.call import call
from vgil_ros.cli.ros.status import status
from vgil_ros.cli.ros.topics import topics
from vgil_ros.cli.serve import serve
from vgil_ros.cli.train import train
from vgil_ros.core.errors import VgilError
from vgil_ros.extras import needed_by


class _Commands(TyperGroup):
    """The one place where an error that a user can mend becomes a line on stderr and exit code 2."""

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
episodes.app.command()(replay)
robot.app.command()(calibrate)
episodes.app.command()(generate)
app.add_typer(episodes.app, name="episodes", help="List, show, check, repair, plot, convert and replay episodes.")
app.add_typer(
    dataset.app, name="dataset", help="Check and convert whole data sets (LeRobot, zarr, HDF5), and verify them."
)
app.add_typer(checkpoint.app, name="checkpoint", help="Show, import, check and replay policy checkpoints.")
app.add_typer(robot.app, name="robot", help="Look at a robot before it moves; bring it home, to sleep, and back.")
app.command(context_settings={"ignore_unknown_options": True})(launch)
app.command()(jog)
app.command()(train)
app.command("train-demo")(train_demo)
app.command("eval", cls=EvalCommand)(evaluate)
app.command()(serve)
app.command()(demo.demo)
app.command()(call)
app.command()(status)
app.command()(topics)
app.command()(doctor)
app.command()(cameras)


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
