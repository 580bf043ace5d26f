"""Takeover, measured on the simulated robot: what its score foretells, and what a round of corrections brings.

    python scripts/takeover_study.py watch --checkpoint C --task pick_place_any --seed 30000 --episodes 50 --out W.jsonl
    python scripts/takeover_study.py correct --checkpoint C --task pick_place_any --seed 50000 --wanted 20 --out FOLDER
    vgil train --config sim_pick_place_act --data DEMONSTRATIONS --data FOLDER initial=C data.corrections=only ...
    python scripts/takeover_study.py watch --checkpoint RUN/last ... --out AFTER.jsonl
    python scripts/takeover_study.py report W.jsonl AFTER.jsonl

Every attempt is a line of the file as soon as it is over; begun again, each command goes on behind the last line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgil_ros.assets import checkpoint_path, load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.corrections import Patience, Watched, WatchedRunner, auroc
from vgil_ros.evaluation.metrics import wilson
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.sources import PolicySource
from vgil_ros.policies.familiar import load_familiar

DECIDED = 200  # ticks: what is known by then is a forecast; no attempt has ended yet
SCORES = ("score", "disagreement", "novelty")
HOW: dict[str, Callable[[np.ndarray], Any]] = {"largest": np.nanmax, "mean": np.nanmean}


def lines(path: Path) -> list[dict[str, Any]]:
    """What was done already."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def runner(given: argparse.Namespace, patience: Patience | None, out: Path | None) -> WatchedRunner:
    """The policy on the simulated robot."""
    torch.set_num_threads(1)
    plan = EvaluationPlan(given.task, execution=given.execution, inference_period=given.inference_period or None)
    contract, _ = load_contract(plan.robot_name)
    source = PolicySource(given.checkpoint, Layout(contract))
    familiar = load_familiar(checkpoint_path(given.familiar or given.checkpoint))
    return WatchedRunner(plan, source, familiar, patience, out)


def seeds_left(given: argparse.Namespace, log: Path) -> Iterator[int]:
    """The scenes that no line speaks of."""
    done = {line["seed"] for line in lines(log)}
    last = given.seed + (given.episodes or 10**6)
    return (seed for seed in range(given.seed, last) if seed not in done)


def line_of(given: argparse.Namespace, seed: int, found: Watched) -> dict[str, Any]:
    """An attempt as JSON; scores at every fifth tick."""
    series = {name: [round(float(v), 4) for v in getattr(found, name)[::5]] for name in SCORES}
    return {
        "seed": seed,
        "task": given.task,
        "checkpoint": str(given.checkpoint),
        "success": found.rollout.success,
        "ticks": found.rollout.steps,
        "taken_at": found.taken_at,
        "largest_step": found.largest_step,
        "file": None if found.file is None else found.file.name,
        **series,
    }


def play(given: argparse.Namespace, log: Path, patience: Patience | None, out: Path | None) -> None:
    """Attempt after attempt, each written down."""
    log.parent.mkdir(parents=True, exist_ok=True)
    made = sum(line["file"] is not None for line in lines(log))
    watched = runner(given, patience, out)
    try:
        for seed in seeds_left(given, log):
            if out is not None and made >= given.wanted:
                return
            found = watched.attempt(seed)
            made += found.file is not None
            with log.open("a") as file:
                file.write(json.dumps(line_of(given, seed, found)) + "\n")
            words = "success" if found.rollout.success else "failure"
            taken = "" if found.taken_at is None else f", taken over at tick {found.taken_at}, kept: {found.file}"
            print(f"seed {seed}: {words}{taken}; largest step {found.largest_step:.3f} of the limit", flush=True)
    finally:
        watched.close()


def watch(given: argparse.Namespace) -> None:
    """Attempts without anybody who takes over."""
    play(given, given.out, None, None)


def correct(given: argparse.Namespace) -> None:
    """Attempts that the operator corrects, until so many are kept."""
    play(given, given.out / "attempts.jsonl", Patience(), given.out)


def report(given: argparse.Namespace) -> None:
    """Success, and what each score foretells of failure: of each file, and of several together."""
    sets = [(path.name, lines(path)) for path in given.files]
    if len(sets) > 1:
        sets.append(("all", [line for _, found in sets for line in found]))
    for name, found in sets:
        _report(name, found)


def _report(title: str, found: list[dict[str, Any]]) -> None:
    if found:
        good = sum(line["success"] for line in found)
        low, high = wilson(good, len(found))
        print(f"{title}: {good} of {len(found)} succeed ({low:.0%} to {high:.0%})")
        failed = [not line["success"] for line in found]
        for name, how in itertools.product(SCORES, HOW):
            values = [_until(line[name], DECIDED, how) for line in found]
            known = [(f, v) for f, v in zip(failed, values, strict=True) if not math.isnan(v)]
            if known:
                area = auroc(*zip(*known, strict=True))
                print(f"  {name}, {how} up to tick {DECIDED}: AUROC {area:.3f} ({len(known)} attempts)")


def _until(values: list[float], tick: int, how: str) -> float:
    early = np.array(values[: tick // 5], float)
    return float(HOW[how](early)) if np.isfinite(early).any() else math.nan


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, work in (("watch", watch), ("correct", correct)):
        one = commands.add_parser(name)
        one.set_defaults(work=work)
        one.add_argument("--checkpoint", default="sim_pick_place_act")
        one.add_argument("--familiar", default="", help="a checkpoint whose familiar.safetensors is used instead")
        one.add_argument("--task", default="pick_place_any")
        one.add_argument("--seed", type=int, default=30_000)
        one.add_argument("--episodes", type=int, default=0)
        one.add_argument("--wanted", type=int, default=20)
        one.add_argument("--execution", default="async")
        one.add_argument("--inference-period", type=int, default=5, help="0: the mode's own")
        one.add_argument("--out", type=Path, required=True)
    one = commands.add_parser("report")
    one.set_defaults(work=report)
    one.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    given.work(given)


if __name__ == "__main__":
    main()
