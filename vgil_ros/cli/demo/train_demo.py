"""`vgil train-demo`: the shipped policy again from nothing, one `vgil` command after another."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.report import read_report

NAME, ROBOT, TASK = "sim_pick_place_act", "sim_single", "pick_place"
FIRST_SHOWN = 100_000  # the demonstrations are of the scenes from here on
FIRST_UNSEEN = 20_000
EPISODES, GENERATED = "episodes", "generated.json"
SWAPPED_IMAGES = 10  # rollouts with another scene's images


@dataclass(frozen=True)
class Stage:
    """A command, and what it leaves behind when it is done."""

    words: str
    arguments: tuple[str, ...]
    leaves: Path
    always: bool = False

    @property
    def line(self) -> str:
        """As one types it."""
        return shlex.join(("vgil", *self.arguments))


def train_demo(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="settings of the training as key=value, such as steps=2000", metavar="KEY=VALUE"),
    ] = None,
    out: Annotated[Path, typer.Option(help="where the checkpoint goes")] = Path("models") / NAME,
    work: Annotated[
        Path, typer.Option(help="folder for episodes and the run; what is done there is not done again")
    ] = (Path("out") / "train_demo"),
    config: Annotated[str, typer.Option(help="the training, a YAML file or a name in config/policies")] = NAME,
    episodes: Annotated[int, typer.Option(min=2, help="demonstrations")] = 300,
    rollouts: Annotated[int, typer.Option(min=1, help="unseen scenes it is measured on")] = 100,
    over_ros: Annotated[int, typer.Option(min=0, help="of them through the real nodes")] = 20,
    workers: Annotated[int | None, typer.Option(min=1, help="processes; all cores if left out")] = None,
) -> None:
    """Generate demonstrations, train, store in bf16, measure, write the card. Stopped and begun again it goes on."""
    steps = plan(out, work, config, episodes, rollouts, over_ros, workers or os.cpu_count() or 1, overrides or [])
    work.mkdir(parents=True, exist_ok=True)
    if (work / EPISODES).exists() and not (work / GENERATED).exists():
        typer.echo(f"{work / EPISODES}: was left unfinished, and is made anew")
        shutil.rmtree(work / EPISODES)
    for number, step in enumerate(steps, 1):
        typer.secho(f"\n[{number}/{len(steps)}] {step.words}", bold=True)
        if step.leaves.exists() and not step.always:
            typer.echo(f"done before: {step.leaves}")
            continue
        typer.echo(f"  {step.line}")
        code = subprocess.run([sys.executable, "-m", "vgil_ros.cli.main", *step.arguments], check=False).returncode
        if code == 130:
            raise KeyboardInterrupt
        if code != 0:
            raise VgilError(
                f"'{step.line}' ended with exit code {code}; begun again, make train-demo goes on from there"
            )
    measured = read_report(work / "eval.json")
    typer.echo(f"\n{out}: {measured.successes} of {measured.episodes} unseen scenes; its card: {out / 'README.md'}")


def plan(
    out: Path,
    work: Path,
    config: str,
    episodes: int,
    rollouts: int,
    over_ros: int,
    workers: int,
    overrides: list[str],
) -> list[Stage]:
    """Return the commands in their order."""
    data, run, made, trained = work / EPISODES, work / "run", work / GENERATED, work / "train.json"
    generate = Stage(
        f"{episodes} demonstrations by a scripted operator",
        ("episodes", "generate", "--out", str(data), "--robot", ROBOT, "--task", TASK, "--episodes", str(episodes),
         "--seed", str(FIRST_SHOWN), "--only-successes", "--workers", str(workers), "--json", str(made)),
        made,
    )  # fmt: skip
    fresh = Stage(
        "train",
        ("train", "--config", config, "--data", str(data), "--out", str(run), "--json", str(trained), *overrides),
        trained,
    )
    again = ("train", "--resume", str(run), "--json", str(trained))
    train = Stage("train on", again, trained) if (run / "resume.pt").exists() else fresh
    compact = Stage(
        "store it in half the bytes",
        ("checkpoint", "compact", str(run / "last"), "--out", str(out), "--replace"),
        out,
        always=True,
    )
    unseen = ("eval", "--checkpoint", str(out), "--task", TASK, "--seed", str(FIRST_UNSEEN))
    several = ("--workers", str(workers))
    reports = [work / "eval.json", work / "eval_swapped_images.json"]
    measure = [
        Stage(
            f"measure it on {rollouts} scenes that it has not seen",
            (*unseen, "--episodes", str(rollouts), *several, "--json", str(reports[0])),
            reports[0],
        ),
        Stage(
            "and shown the images of another scene, with which it should fail",
            (*unseen, "--episodes", str(min(rollouts, SWAPPED_IMAGES)), "--swap-images-from-seed", "1", *several,
             "--json", str(reports[1])),
            reports[1],
        ),
    ]  # fmt: skip
    if over_ros:
        reports.append(work / "eval_over_ros.json")
        arguments = (*unseen, "--episodes", str(over_ros), "--over-ros", "--json", str(reports[-1]))
        measure.append(Stage("measure it through the real nodes", arguments, reports[-1]))
    words = f"{episodes} generated demonstrations of {TASK} on {ROBOT}, scenes from seed {FIRST_SHOWN} on"
    card = ["checkpoint", "card", str(out), "--run", str(run), "--data", words]
    card += [part for report in reports for part in ("--report", str(report))]
    card += [part for step in (generate, fresh, compact) for part in ("--command", step.line)]
    return [generate, train, compact, *measure, Stage("write its card", tuple(card), out / "README.md", always=True)]
