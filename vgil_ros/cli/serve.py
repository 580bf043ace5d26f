"""`vgil serve`: a checkpoint for other computers, on OpenPI's wire."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

from vgil_ros.assets import checkpoint_path, load_contract
from vgil_ros.cli.options import need_torch
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout

if TYPE_CHECKING:
    from vgil_ros.policies.device import Precision

Checkpoint = Annotated[
    Path | None, typer.Option(help="the policy's folder, or the name of one in models/", parser=checkpoint_path)
]
LeRobot = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="in its place: a policy of LeRobot's, run by LeRobot's own code")
]
LeRobotPython = Annotated[
    str | None,
    typer.Option(
        envvar="LEROBOT_PYTHON",
        help="the Python of LeRobot's environment, with websockets and msgpack in it; this one if left out",
    ),
]
Host = Annotated[str, typer.Option(help="where to listen; 0.0.0.0: on every network, so that others reach it")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: a free one, which is said")]
Token = Annotated[str, typer.Option(envvar="VGIL_TOKEN", help="what clients must give; better by the variable")]
Device = Annotated[str, typer.Option(help="where the policy runs: cpu, cuda, cuda:1, ...")]
PrecisionName = Annotated[str | None, typer.Option(help="tf32, bf16 or fp16; fp32 if left out")]
MaxBatch = Annotated[
    int | None, typer.Option(min=1, max=256, help="clients in one batch; 8 if left out where that is faster, else 1")
]
Robot = Annotated[str | None, typer.Option(help="a contract, for the sizes of images that a checkpoint does not tell")]


def serve(
    checkpoint: Checkpoint = None,
    lerobot: LeRobot = None,
    lerobot_python: LeRobotPython = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token: Token = "",
    device: Device = "cpu",
    precision: PrecisionName = None,
    max_batch: MaxBatch = None,
    robot: Robot = None,
) -> None:
    """Serve a checkpoint on OpenPI's wire: for `checkpoint:=ws://HOST:PORT`, and for openpi-client. Ctrl-C ends it."""
    if (checkpoint is None) == (lerobot is None):
        raise VgilError("vgil serve: --checkpoint and --lerobot are both given, or neither; needed is one of them")
    if lerobot is not None:
        ours = {"--precision": precision, "--max-batch": max_batch, "--robot": robot}
        if given := [name for name, value in ours.items() if value is not None]:
            raise VgilError(f"vgil serve: {', '.join(given)} with --lerobot; allowed with --checkpoint alone")
        _become_lerobots(lerobot_python or sys.executable, lerobot, host, port, token, device)
    need_torch("vgil serve")
    from vgil_ros.policies.compatibility import camera_sizes
    from vgil_ros.policies.device import PRECISIONS
    from vgil_ros.policies.serving.serve import serve_checkpoint

    precision = precision or "fp32"
    if precision not in PRECISIONS:
        raise VgilError(f"--precision is '{precision}'; allowed: {', '.join(PRECISIONS)}")
    assert checkpoint is not None
    serve_checkpoint(
        checkpoint,
        host=host,
        port=port,
        token=token,
        device=device,
        precision=cast("Precision", precision),
        max_batch=max_batch,
        sizes=camera_sizes(Layout(load_contract(robot)[0])) if robot is not None else None,
        log=partial(print, flush=True),
    )


def _become_lerobots(python: str, policy: str, host: str, port: int, token: str, device: str) -> NoReturn:
    """Replace this process by LeRobot's Python with the script that needs nothing of this package."""
    script = Path(__file__).resolve().parents[1] / "policies" / "serving" / "lerobot_server.py"
    if Path(policy).expanduser().is_dir():
        policy = str(Path(policy).expanduser().absolute())
    options = ["--policy", policy, "--host", host, "--port", str(port), "--device", device]
    environment = {**os.environ, "VGIL_TOKEN": token}
    environment.pop("PYTHONPATH", None)  # this environment's packages are none of that one's
    try:
        os.execve(python, [python, str(script), *options], environment)
    except OSError as error:
        raise VgilError(
            f"--lerobot-python {python}: cannot be started ({error.strerror}); give LeRobot's Python"
        ) from None
