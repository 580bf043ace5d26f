"""`vgil train-demo`: a shipped policy again from nothing, one `vgil` command after another."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.cli.demo.recipes import DEFAULT, FIRST_SHOWN, RECIPES, SWAPPED_IMAGES, Recipe
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.report import read_report
from vgil_ros.evaluation.seeds import FIRST_UNSEEN

EPISODES, GENERATED, RUN, MARK = "episodes", "generated.json", "run", "model"


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
    model: Annotated[str, typer.Option(help=f"one of {', '.join(RECIPES)}")] = DEFAULT,
    out: Annotated[Path | None, typer.Option(help="where the checkpoint goes; models/MODEL if left out")] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="folder for episodes and the run, out/MODEL if left out; what is done there is not done again"
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="another training, a YAML file or a name in config/policies")
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=2, help="demonstrations, if not the model's own number")] = None,
    rollouts: Annotated[int | None, typer.Option(min=1, help="unseen scenes it is measured on")] = None,
    over_ros: Annotated[int | None, typer.Option(min=0, help="of them through the real nodes")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes; all cores if left out")] = None,
) -> None:
    """Generate demonstrations, train, store in bf16, measure, write the card. Stopped and begun again it goes on."""
    if model not in RECIPES:
        raise VgilError(f"--model is '{model}'; allowed: {', '.join(RECIPES)}")
    recipe = RECIPES[model] if config is None else replace(RECIPES[model], settings=())  # those are of its own one
    given = {"config": config, "episodes": episodes, "rollouts": rollouts, "over_ros": over_ros}
    recipe = replace(recipe, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    out, work = out or Path("models") / model, work or Path("out") / model
    steps = plan(recipe, out, work, workers or os.cpu_count() or 1, overrides or [])
    _take(work, model, recipe, overrides or [])
    if (work / EPISODES).exists() and not (work / GENERATED).exists():
        typer.echo(f"{work / EPISODES}: was left unfinished, and is made anew")
        shutil.rmtree(work / EPISODES)
    for number, step in enumerate(steps, 1):
        typer.secho(f"\n[{number}/{len(steps)}] {step.words}", bold=True)
        if step.leaves.exists() and not step.always:
            typer.echo(f"done before: {step.leaves}")
            continue
        typer.echo(f"  {step.line}")
        code = _run(step)
        if code == 130:
            raise KeyboardInterrupt
        if code != 0:
            raise VgilError(
                f"'{step.line}' ended with exit code {code}; begun again, make train-demo goes on from there"
            )
    measured = read_report(work / "eval.json")
    typer.echo(f"\n{out}: {measured.successes} of {measured.episodes} unseen scenes; its card: {out / 'README.md'}")


def _run(step: Stage) -> int:
    """Run a command to its end; Ctrl-C reaches it too, and it may have something to save. Gives its exit code."""
    with subprocess.Popen([sys.executable, "-m", "vgil_ros.cli.main", *step.arguments]) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def _take(work: Path, model: str, recipe: Recipe, overrides: Sequence[str]) -> None:
    """Make the folder a model's own; it is written down what its episodes and its run are made with.

    Raises:
        VgilError: it is another's, whose pieces would be taken for this one's.
    """
    mark, length = work / MARK, f" of {recipe.episode_len} ticks" if recipe.episode_len else ""
    ours = [
        model,
        f"{recipe.episodes} episodes{length}",
        shlex.join(("--config", recipe.config, *recipe.settings, *overrides)),
    ]
    if mark.exists():
        found, *pieces = mark.read_text(encoding="utf-8").splitlines() or [""]
        if found != model:
            raise VgilError(f"--work {work} holds the pieces of {found}; allowed for {model}: another folder")
        for before, now, made in zip(pieces, ours[1:], (work / EPISODES, work / RUN), strict=False):
            if made.exists() and before != now:
                raise VgilError(
                    f"{made} was made with '{before}', asked for is '{now}'; allowed: the same, or another --work"
                )
    elif (work / EPISODES).exists():
        raise VgilError(f"{work / EPISODES}: is not of this command; allowed: another --work")
    work.mkdir(parents=True, exist_ok=True)
    mark.write_text("".join(f"{line}\n" for line in ours), encoding="utf-8")


def plan(recipe: Recipe, out: Path, work: Path, workers: int, overrides: Sequence[str]) -> list[Stage]:
    """Return the commands in their order."""
    data, run, made, trained = work / EPISODES, work / RUN, work / GENERATED, work / "train.json"
    length = () if recipe.episode_len is None else ("--episode-len", str(recipe.episode_len))
    generate = Stage(
        f"{recipe.episodes} demonstrations by a scripted operator",
        ("episodes", "generate", "--out", str(data), "--robot", recipe.robot, "--task", recipe.task,
         "--episodes", str(recipe.episodes), "--seed", str(FIRST_SHOWN), *length, "--only-successes",
         "--workers", str(workers), "--json", str(made)),
        made,
    )  # fmt: skip
    settings = (*recipe.settings, *overrides)  # of a key that is given twice the last counts
    fresh = Stage(
        "train",
        ("train", "--config", recipe.config, "--data", str(data), "--out", str(run), "--json", str(trained), *settings),
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
    unseen = ("eval", "--checkpoint", str(out), "--task", recipe.task, "--seed", str(FIRST_UNSEEN))
    several = ("--workers", str(workers))
    reports = [work / "eval.json", work / "eval_swapped_images.json"]
    measure = [
        Stage(
            f"measure it on {recipe.rollouts} scenes that it has not seen",
            (*unseen, "--episodes", str(recipe.rollouts), *several, "--json", str(reports[0])),
            reports[0],
        ),
        Stage(
            "and shown the images of another scene, with which it should fail",
            (*unseen, "--episodes", str(min(recipe.rollouts, SWAPPED_IMAGES)), "--swap-images-from-seed", "1", *several,
             "--json", str(reports[1])),
            reports[1],
        ),
    ]  # fmt: skip
    if recipe.over_ros:
        reports.append(work / "eval_over_ros.json")
        arguments = (*unseen, "--episodes", str(recipe.over_ros), "--over-ros", "--json", str(reports[-1]))
        measure.append(Stage("measure it through the real nodes", arguments, reports[-1]))
    card = ["checkpoint", "card", str(out), "--run", str(run), "--data", recipe.words]
    card += [part for report in reports for part in ("--report", str(report))]
    card += [part for step in (generate, fresh, compact) for part in ("--command", step.line)]
    return [generate, train, compact, *measure, Stage("write its card", tuple(card), out / "README.md", always=True)]
