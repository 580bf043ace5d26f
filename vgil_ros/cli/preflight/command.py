"""`vgil preflight`: the checkpoint, its speed, and what the robot shows, held against each other. Nothing moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from vgil_ros.assets import load_contract, policy_source
from vgil_ros.cli.options import RemoteMapping, need_torch
from vgil_ros.cli.report import JsonFile, can_be_written, write_json
from vgil_ros.cli.ros.call import Domain, Namespace, join_domain
from vgil_ros.core.contract import Contract
from vgil_ros.core.control.pipeline import ExecutionOptions
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.service_names import namespaced
from vgil_ros.core.layout import Layout
from vgil_ros.extras import needed_by

if TYPE_CHECKING:
    from vgil_ros.evaluation.preflight.findings import Case, Finding, Seen
    from vgil_ros.evaluation.preflight.subject import PreflightPolicy
    from vgil_ros.policies import PolicyConfig
    from vgil_ros.policies.device import Precision
    from vgil_ros.policies.reference import DataReference

WATCHDOG_MS = ExecutionOptions.silence_ns / 1e6
Checkpoint = Annotated[
    str, typer.Option(help="the policy's folder, the name of one in models/, or a server's ws://HOST:PORT")
]
Robot = Annotated[str, typer.Option(help="a robot's name in config/robots, or a path")]
Live = Annotated[bool, typer.Option("--live", help="listen to the robot, over ROS")]
Seconds = Annotated[float, typer.Option(min=1.0, max=600.0, help="how long to listen")]
Recorded = Annotated[Path | None, typer.Option(help="in its place: the first rows of this episode", exists=True)]
Data = Annotated[
    Path | None, typer.Option(help="training data, where the checkpoint has no reference of them", exists=True)
]
KeepReference = Annotated[
    bool, typer.Option("--keep-reference", help="write what --data gives beside the checkpoint, for the next time")
]
Report = Annotated[
    Path | None, typer.Option(help="write a page with the images here", callback=can_be_written, metavar="PAGE.html")
]
Watchdog = Annotated[float, typer.Option(min=1.0, help="ms that the policy may be silent, as for the policy node")]


def preflight(
    checkpoint: Checkpoint,
    robot: Robot,
    live: Live = False,
    seconds: Seconds = 4.0,
    episode: Recorded = None,
    data: Data = None,
    keep_reference: KeepReference = False,
    report: Report = None,
    task: Annotated[str, typer.Option(help="for a policy that takes one")] = "",
    device: Annotated[str, typer.Option(help="where the policy is to run: cpu, cuda, ...")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32, tf32, bf16 or fp16")] = "fp32",
    watchdog_ms: Watchdog = WATCHDOG_MS,
    remote_mapping: RemoteMapping = None,
    namespace: Namespace = "",
    domain_id: Domain = None,
    json: JsonFile = None,
) -> None:
    """Say GO or NO-GO before a policy moves a robot: does what it sees look like what it was trained on? Nothing moves.

    The checkpoint against the contract, inference against watchdog and chunk, and with --live the robot's images,
    joints and rates against the training data. Exit code 1 where it is NO-GO.
    """
    need_torch("vgil preflight")
    if live and episode is not None:
        raise VgilError(f"--live and --episode {episode}: allowed is one of them")
    if keep_reference and data is None:
        raise VgilError("--keep-reference: nothing to keep; allowed with --data DIR")
    contract, _ = load_contract(robot)
    policy = open_policy(checkpoint, contract, (watchdog_ms, device, precision), remote_mapping, task)
    try:
        reference = _reference(checkpoint, policy.config, data, keep=keep_reference)
        seen, commands = None, list[Any]()
        if live:
            space = namespaced(namespace, "").rstrip("/")
            seen, commands = _look(contract, policy, (space, domain_id), seconds, task)
        elif episode is not None:
            from vgil_ros.evaluation.preflight.recorded import seen_in_episode

            seen = seen_in_episode(episode, policy.config)
        case, findings = _judged(policy, reference, seen, commands)
    finally:
        policy.close()
    _show(case, findings, report, json)


def open_policy(
    checkpoint: str,
    contract: Contract,
    how: tuple[float, str, str],
    mapping: Path | None,
    task: str,
) -> PreflightPolicy:
    """Open a checkpoint or connect to its server; `how`: watchdog in ms, device, precision."""
    from vgil_ros.evaluation.preflight.subject import PreflightPolicy
    from vgil_ros.policies.inference.runtime import limit_torch_threads
    from vgil_ros.policies.remote.mapping import load_mapping
    from vgil_ros.policies.remote.policy import RemotePolicy

    limit_torch_threads()
    layout, source = Layout(contract), policy_source(checkpoint)
    if mapping is not None and isinstance(source, Path):
        raise VgilError(
            f"--remote-mapping {mapping}: the checkpoint is {checkpoint}; allowed with ws://HOST:PORT alone"
        )
    opened = source if isinstance(source, Path) else RemotePolicy(source, layout, load_mapping(mapping), task=task)
    watchdog_ms, device, precision = how
    return PreflightPolicy(opened, layout, watchdog_ms / 1e3, device, cast("Precision", precision))


def _reference(checkpoint: str, config: PolicyConfig, data: Path | None, *, keep: bool) -> DataReference | None:
    """What is known of the training data: made of `data`, or what lies beside the checkpoint."""
    from vgil_ros.policies.reference import REFERENCE_FILE, encode_reference, read_reference, write_reference

    source = policy_source(checkpoint)
    file = source / REFERENCE_FILE if isinstance(source, Path) else None
    if data is None:
        return read_reference(file) if file is not None and file.exists() else None
    from vgil_ros.training.data.reference import make_reference
    from vgil_ros.training.data.scan import scan_folder

    stats = scan_folder(data, progress=lambda paths: tqdm(paths, "reading", unit="episode", delay=2, leave=False))
    made = make_reference(stats, config)
    if keep:
        if file is None:
            raise VgilError(f"--keep-reference: {checkpoint} is no folder; allowed: a checkpoint's folder")
        content = encode_reference(made)
        try:
            write_reference(content, file)
        except OSError as error:
            raise VgilError(f"--keep-reference: {file} cannot be written ({error.strerror})") from error
        typer.echo(f"the reference: {file} ({len(content) / 1e3:.0f} kB)")
    return made


def _look(
    contract: Contract, policy: PreflightPolicy, where: tuple[str, int | None], seconds: float, task: str
) -> tuple[Seen | None, list[Finding]]:
    """What the robot shows; None where the checkpoint does not fit it, so that nothing can be asked of it."""
    if not policy.fits:
        return None, []
    space, domain_id = where
    join_domain(domain_id)
    with needed_by("vgil preflight --live"):
        from vgil_ros.nodes.query.preflight import look_at_robot
    with tqdm(total=round(seconds, 1), desc="listening", unit="s", disable=None, leave=False) as bar:
        return look_at_robot(contract, policy.config, space, seconds, lambda passed: bar.update(passed - bar.n), task)


def _judged(
    policy: PreflightPolicy, reference: DataReference | None, seen: Seen | None, commands: Sequence[Finding]
) -> tuple[Case, tuple[Finding, ...]]:
    from vgil_ros.evaluation.preflight.findings import Case
    from vgil_ros.evaluation.preflight.judge import judge

    case = Case(policy.subject(() if seen is None else seen.observations), reference, seen)
    return case, (*judge(case), *commands)


def _show(case: Case, findings: Sequence[Finding], report: Path | None, json: Path | None) -> None:
    """In the terminal, as a page, as JSON; ends the command with its exit code."""
    from vgil_ros.evaluation.preflight.findings import verdict_of
    from vgil_ros.robots.robot_check import Verdict, verdict_words

    table = Table(box=None, show_header=False)
    for finding in findings:
        allowed = f"; allowed: {finding.allowed}" if finding.allowed and finding.verdict is not Verdict.GO else ""
        about = f"{finding.check} {finding.about}".strip()
        table.add_row(finding.verdict.value, about, finding.found + allowed)
        if finding.advice and finding.verdict is not Verdict.GO:
            table.add_row("", "", f"-> {finding.advice}")
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
    if report is not None:
        from vgil_ros.cli.preflight.page import write_page

        write_page(case, findings, report)
        typer.echo(f"the page: {report}")
    words = verdict_words(findings)
    typer.echo(words)
    go = verdict_of(findings) is not Verdict.NO_GO
    write_json(json, {"go": go, "verdict": words, "findings": [asdict(finding) for finding in findings]})
    raise typer.Exit(0 if go else 1)
