"""`vgil trial`: a blinded, randomised comparison of policies on a real robot, and the check of its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from vgil_ros.assets import load_contract, policy_source
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.cli.ros.call import Domain, join_domain
from vgil_ros.core.contract import Camera, Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.seeds import FIRST_UNSEEN
from vgil_ros.extras import need

if TYPE_CHECKING:
    from vgil_ros.evaluation.trials.journal import Journal
    from vgil_ros.evaluation.trials.plan import TrialPlan
    from vgil_ros.evaluation.trials.report import TrialReport

OTHER_POLICY_S = 1.5  # for the status of a policy node that runs already to be heard


class _RunIsUsual(TyperGroup):
    """`vgil trial A B` is `vgil trial run A B`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_RunIsUsual, no_args_is_help=True)

Checkpoints = Annotated[
    list[str], typer.Argument(help="two or more: folders, names in models/, or servers' ws://HOST:PORT")
]
Robot = Annotated[str, typer.Option(help="a contract in config/robots, or a path")]
Out = Annotated[Path, typer.Option(help="the trial's folder; one that was interrupted there is gone on with")]
Most = Annotated[int, typer.Option("--max", min=1, max=10000, help="attempts with each policy, at most")]
Alpha = Annotated[float, typer.Option(help="how often equal policies may be told apart, at most")]
Seed = Annotated[int | None, typer.Option(min=0, help="of the order; drawn, and known to nobody, if left out")]
Length = Annotated[int, typer.Option(min=0, help="ticks of an attempt; 0: until it is labelled or stopped")]
Label = Annotated[str, typer.Option(help="keys: the operator's y, n, u; topic: the success topic's last value")]
Success = Annotated[str, typer.Option(help="std_msgs/Bool, for --label topic")]
Reset = Annotated[str, typer.Option(help="operator: by hand, with an overlay; sim: the simulated robot, by itself")]
SceneSeed = Annotated[
    int,
    typer.Option(min=0, help="with --reset sim: of the first block's scene. Those from 0 on are of demonstrations"),
]
Starts = Annotated[
    Path | None,
    typer.Option(help="wanted start images: an image, an episode, or a folder of episodes; else each block's first"),
]
CameraName = Annotated[str | None, typer.Option("--camera", help="whose images are shown; the first if left out")]
Key = Annotated[Path | None, typer.Option(exists=True, help="an SSH key that signs the report")]
SimTime = Annotated[bool, typer.Option("--sim-time", help="the policy follows /clock")]


@app.command()
def run(
    checkpoints: Checkpoints,
    robot: Robot,
    out: Out,
    task: Annotated[str, typer.Option(help="what is done, for policies that take it")] = "",
    most: Most = 50,
    alpha: Alpha = 0.05,
    seed: Seed = None,
    episode_len: Length = 0,
    label: Label = "keys",
    success_topic: Success = "sim/success",
    reset: Reset = "operator",
    scene_seed: SceneSeed = FIRST_UNSEEN,
    start_images: Starts = None,
    camera: CameraName = None,
    execution: Annotated[str | None, typer.Option(help="as the policy node's parameter, for all of them")] = None,
    device: Annotated[str, typer.Option(help="where the policies run")] = "cpu",
    sim_time: SimTime = False,
    key: Key = None,
    domain_id: Domain = None,
    json: JsonFile = None,
) -> None:
    """Find out which of two or more policies is better on this robot, blinded and in random order.

    Each block has every policy once. SPACE starts an attempt, y, n or u ends and labels it, r makes it again, q
    interrupts the trial; the same command goes on with it. It ends when a sequential test has told the policies apart.
    The robot's drivers must run; 0 where it is over, 1 where it was interrupted. `run` may be left out.
    """
    need("vgil trial", "torch", "rclpy")
    join_domain(domain_id)
    from vgil_ros.evaluation.trials.journal import Journal

    contract, _ = load_contract(robot)
    seen = _camera(contract, camera)
    sources = [policy_source(one) for one in checkpoints]
    parameters: dict[str, object] = {"robot": robot, "device": device, "task": task, "episode_len": episode_len}
    parameters |= {} if execution is None else {"execution": execution}
    parameters |= {"use_sim_time": True} if sim_time else {}
    parameters |= {"reset_service": "sim/reset", "reset_time": 0.0} if reset == "sim" else {}
    asked: dict[str, Any] = {
        "robot": robot, "task": task, "max_blocks": most, "alpha": alpha, "episode_len": episode_len, "label": label,
        "reset": reset, "scene_seed": scene_seed, "execution": execution,
        "success_topic": success_topic if label == "topic" else "",
    }  # fmt: skip
    with Journal(out) as journal:
        if not journal.found.attempts:  # before a plan stands that nobody can carry out
            _refuse_misfits(sources, contract, task)
        plan = _settle(journal, out, sources, asked, seed)
        if journal.found.end is None:
            _conduct(journal, out, plan, parameters, seen, start_images)
    report = _finish(out, key)
    write_json(json, None if report is None else report.as_dict())
    raise typer.Exit(1 if report is None else 0)


def _camera(contract: Contract, name: str | None) -> Camera | None:
    found = [one for one in contract.cameras if not one.is_depth]
    if name is None:
        return found[0] if found else None
    for one in found:
        if one.name == name:
            return one
    raise VgilError(f"--camera {name}: robot '{contract.name}' has none; allowed: {[one.name for one in found]}")


def _settle(
    journal: Journal, out: Path, sources: list[str | Path], asked: dict[str, Any], seed: int | None
) -> TrialPlan:
    """The plan: of a trial that is gone on with, or a new one, written before anything else is."""
    from vgil_ros.core.config import validate
    from vgil_ros.evaluation.trials.folder import read_hidden, write_hidden
    from vgil_ros.evaluation.trials.plan import HiddenOrder, TrialPlan, contenders_of

    new = not journal.found.lines
    hidden = HiddenOrder.draw(seed) if new else read_hidden(out)
    contenders = [one.model_dump() for one in contenders_of(sources)]
    values = {**asked, "contenders": contenders, "commitment": hidden.commitment}
    plan = validate(TrialPlan, values, "vgil trial")
    if new:
        write_hidden(out, hidden)
        journal.write("plan", plan.model_dump(mode="json"))
        return plan
    if seed not in (None, hidden.seed):
        raise VgilError(
            f"{out}: found --seed {seed}; its order was settled with another before the first attempt; allowed: the"
            " same command, or another --out"
        )
    before = journal.found.plan
    for name in TrialPlan.model_fields:
        if (found := getattr(plan, name)) != (kept := getattr(before, name)):
            raise VgilError(
                f"{out}: its trial has {name} {kept}; found {found}; allowed: the same command, or another --out"
            )
    if journal.found.end is None:
        journal.write("resumed", {})
    return before


def _refuse_misfits(sources: list[str | Path], contract: Contract, task: str) -> None:
    """Before the first attempt: each checkpoint is held against the robot. A server is asked when its turn comes."""
    from vgil_ros.policies.inference.opening import open_for_robot

    for source in sources:
        if isinstance(source, Path):
            config = open_for_robot(source, Layout(contract), task=task).config
            if config.needs_task and not task:
                raise VgilError(f"checkpoint {source} needs a task; --task is empty, allowed: a text")


def _conduct(
    journal: Journal,
    out: Path,
    plan: TrialPlan,
    parameters: dict[str, object],
    camera: Camera | None,
    start_images: Path | None,
) -> None:
    from vgil_ros.evaluation.trials.folder import read_hidden
    from vgil_ros.evaluation.trials.session import TrialSession
    from vgil_ros.nodes.base.keyboard import Keys
    from vgil_ros.nodes.trial.conductor import Conductor
    from vgil_ros.nodes.trial.policy_process import PolicyProcess
    from vgil_ros.nodes.trial.robot import TrialRobot
    from vgil_ros.nodes.trial.start_images import StartGuide, read_starts

    wanted = [] if camera is None else read_starts(start_images, camera.name)
    session = TrialSession(plan, read_hidden(out), journal.found.attempts)
    policies = PolicyProcess(out / ".policy.log", keep=not plan.blinded)
    robot, keys = TrialRobot(camera, plan.success_topic), Keys()
    try:
        if not keys.available and (plan.reset == "operator" or plan.label == "keys"):
            raise VgilError(
                "vgil trial takes keys, and there is no terminal; allowed without one: --label topic --reset sim"
            )
        if not keys.available and plan.episode_len == 0:
            raise VgilError("--episode-len is 0, and there is no terminal to stop an attempt from; allowed: 1 and more")
        if robot.policy_runs(OTHER_POLICY_S):
            raise VgilError("a policy node runs already; the trial brings up its own: end that one, allowed is none")
        guide = StartGuide(out, robot, wanted)
        Conductor(session, journal, robot, policies, guide, parameters, keys, typer.echo).run()
    finally:
        policies.end()
        keys.close()
        robot.close()


def _finish(out: Path, key: Path | None) -> TrialReport | None:
    """Unseal and report a trial that is over; None of one that was interrupted."""
    from vgil_ros.evaluation.trials.folder import PAGE, REPORT, write_report
    from vgil_ros.evaluation.trials.journal import NAME, read_journal
    from vgil_ros.evaluation.trials.report import trial_markdown

    if read_journal(out / NAME).end is None:
        typer.echo(f"interrupted, nothing is unsealed; the same command goes on with it: {out}")
        return None
    report = write_report(out, key)
    typer.echo(trial_markdown(report))
    typer.echo(f"{out / REPORT}, {out / PAGE}; keep the seal elsewhere: {report.seal}")
    return report


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="of a trial")],
    seal: Annotated[str | None, typer.Option(help="the seal that was kept elsewhere")] = None,
) -> None:
    """Hold a trial's journal, order, report, signature and checkpoints against each other. 1 where one was altered."""
    from vgil_ros.core.config import load_json
    from vgil_ros.evaluation.trials.folder import REPORT, signer
    from vgil_ros.evaluation.trials.folder import verify as verify_folder

    faults = verify_folder(folder)
    if seal is not None and not faults and (found := load_json(folder / REPORT)["seal"]) != seal:
        faults = [f"{REPORT}: its seal is {found}; kept was {seal}: everything was made anew"]
    for fault in faults:
        typer.echo(fault)
    if not faults:
        who = signer(folder)
        typer.echo(f"{folder}: nothing was altered" + ("" if who is None else f"; signed by {who}"))
    raise typer.Exit(1 if faults else 0)
