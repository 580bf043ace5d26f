"""`vgil robot`: a robot looked at before it moves, and brought to the poses of its contract."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from vgil_ros.assets import load_contract
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.cli.ros.call import Domain, Namespace, join_domain
from vgil_ros.core.graph.service_names import namespaced
from vgil_ros.extras import needed_by
from vgil_ros.robots.robot_check import Verdict, verdict_words

app = typer.Typer(no_args_is_help=True)
Robot = Annotated[str, typer.Argument(help="a robot's name in config/robots, or a path", metavar="ROBOT")]
Speed = Annotated[float, typer.Option(min=0.001, max=0.5, help="share of the velocity limits")]
SimTime = Annotated[bool, typer.Option("--sim-time", help="follow /clock, as beside a simulator with sim_time:=true")]


def _pose(robot: str, pose: str, speed: float, namespace: str, domain_id: int | None, sim_time: bool) -> None:
    load_contract(robot)  # a wrong one is said before a process is started
    join_domain(domain_id)
    with needed_by(f"vgil robot {pose}"):
        import rclpy  # noqa: F401
    command = [sys.executable, "-m", "vgil_ros.nodes.posture", "--ros-args"]
    for key, value in (("robot", robot), ("pose", pose), ("speed", str(speed))):
        command += ["-p", f"{key}:={value}"]
    if namespace.strip("/"):
        command += ["-r", f"__ns:={namespaced(namespace, '')}".rstrip("/")]
    if sim_time:  # a simulator's clock lies in its namespace
        command += ["-p", "use_sim_time:=true", "-r", f"/clock:={namespaced(namespace, 'clock')}"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def home(
    robot: Robot,
    speed: Speed = 0.15,
    namespace: Namespace = "",
    domain_id: Domain = None,
    sim_time: SimTime = False,
) -> None:
    """Move slowly to the contract's home, from wherever the robot is; also from outside its limits."""
    _pose(robot, "home", speed, namespace, domain_id, sim_time)


@app.command()
def wake(
    robot: Robot,
    speed: Speed = 0.15,
    namespace: Namespace = "",
    domain_id: Domain = None,
    sim_time: SimTime = False,
) -> None:
    """Move slowly to the contract's start pose, or home where it has none: out of the cradle, ready to follow."""
    _pose(robot, "wake", speed, namespace, domain_id, sim_time)


@app.command()
def sleep(
    robot: Robot,
    speed: Speed = 0.15,
    namespace: Namespace = "",
    domain_id: Domain = None,
    sim_time: SimTime = False,
) -> None:
    """Move slowly home and from there to the contract's sleep pose: only then take the torque off."""
    _pose(robot, "sleep", speed, namespace, domain_id, sim_time)


@app.command()
def hold(
    robot: Robot,
    namespace: Namespace = "",
    domain_id: Domain = None,
    sim_time: SimTime = False,
) -> None:
    """Hold the robot where it is, until Ctrl-C."""
    _pose(robot, "hold", 0.15, namespace, domain_id, sim_time)


@app.command()
def check(
    robot: Robot,
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0, help="how long to listen")] = 4.0,
    namespace: Namespace = "",
    domain_id: Domain = None,
    json: JsonFile = None,
) -> None:
    """Listen to a robot and say GO or NO-GO: topics, rates, names, units, limits, mapping, clocks. Nothing moves."""
    contract, _ = load_contract(robot)
    join_domain(domain_id)
    with needed_by("vgil robot check"):
        from vgil_ros.nodes.query.robot_check import listen
    with tqdm(total=round(seconds, 1), desc="listening", unit="s", disable=None, leave=False) as bar:
        space = namespaced(namespace, "").rstrip("/")
        findings = listen(contract, space, seconds, lambda passed: bar.update(passed - bar.n))
    table = Table(box=None, show_header=False)
    for finding in findings:
        table.add_row(finding.about, finding.verdict.value, finding.words.removeprefix(f"{finding.about}: "))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
    words = verdict_words(findings)
    typer.echo(words)
    write_json(json, {"go": words.startswith("GO"), "findings": [asdict(finding) for finding in findings]})
    raise typer.Exit(1 if any(finding.verdict is Verdict.NO_GO for finding in findings) else 0)
