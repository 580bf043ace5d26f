"""Every kind of policy trained on the same few episodes for the same wall time, then measured alike.

`python test/bench/bench_policies.py --out DIR --minutes 15` generates the episodes, trains each policy in turn, and
writes a table: action L1 on what it was trained on, rollouts of training seeds and of unseen ones, and what one
inference takes. It ends with exit code 1 where one has not learned its episodes.

What is there already is not made again. `--policies` takes some of them, so that two may be trained side by side, one
thread each. `flow_matching_1` is a student of one step that begins where flow_matching ended, and is trained for as
long again. Where other work shares the machine, and the rate of a first trial says little, `--steps` gives the steps
instead; the table says how long they took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

TRAINING_SEED = 200_000
UNSEEN_SEED = 0
CALIBRATION = 60  # steps
WITHOUT_START = 20  # of them, which are slower
POLICIES = {
    "act": "sim_pick_place_act",
    "flow_act": "sim_pick_place_flow_act",
    "flow_matching": "sim_pick_place_flow_matching",
    "diffusion": "sim_pick_place_diffusion",
    "flow_matching_1": "sim_pick_place_flow_matching",
}
TEACHERS = {"flow_matching_1": ("flow_matching", "policy.steps=1")}  # student -> teacher, and what it has otherwise
ROWS = 256  # of the training episodes, for the action L1
BOUND = 0.06  # rad (or share of the gripper); what a policy that has learned its 20 episodes stays below
CALLS = 100


def vgil(*arguments: object) -> None:
    """Run a command of ours in a process of its own."""
    subprocess.run([sys.executable, "-m", "vgil_ros.cli.main", *map(str, arguments)], check=True)


def run_of(name: str, out: Path) -> Path:
    """The folder of a policy's training."""
    return out / name / "run"


def train(name: str, out: Path, episodes: Path, minutes: float, steps: int | None) -> Path:
    """Train for so long; the steps follow from the measured rate, so that the rate's schedule fits."""
    run = run_of(name, out)
    if not (run / "last").is_dir():
        steps = steps or _steps_in(minutes, name, out, episodes)
        vgil(*_training(name, out, run, episodes, steps, out / name / "train.json"))
    return run / "last"


def _steps_in(minutes: float, name: str, out: Path, episodes: Path) -> int:
    trial, seconds = out / name / "trial", {}
    for steps in (WITHOUT_START, CALIBRATION):
        report = out / name / f"trial_{steps}.json"
        vgil(*_training(name, out, trial / str(steps), episodes, steps, report))
        seconds[steps] = _read(report)["seconds"]
    each = (seconds[CALIBRATION] - seconds[WITHOUT_START]) / (CALIBRATION - WITHOUT_START)
    return max(100, round(minutes * 60 / each))


def _training(name: str, out: Path, run: Path, episodes: Path, steps: int, report: Path) -> list[object]:
    settings: list[object] = [
        "data.validation=0",
        "data.workers=1",
        f"checkpoint.every={10**9}",
        f"schedule.warmup_steps={steps // 20}",
    ]
    if name in TEACHERS:
        teacher, other = TEACHERS[name]
        settings += ["--teacher", run_of(teacher, out) / "last", other]
    plain = ["train", "--config", POLICIES[name], "--data", episodes, "--out", run, "--steps", steps, "--json", report]
    return [*plain, *settings]


def measure(checkpoint: Path, episodes: Path) -> dict[str, Any]:
    """Action L1 on training rows, and latency and memory of one inference. Run it in a fresh process."""
    import torch

    from vgil_ros.policies import load_policy
    from vgil_ros.policies.inference.runtime import InferenceRuntime
    from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
    from vgil_ros.training.data.episode_stats import read_episode_stats

    policy = load_policy(checkpoint)
    config = policy.config
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runtime = InferenceRuntime(policy)
    runtime.warm_up()
    example, taken = policy.example_observation(), []
    for _ in range(CALLS):
        begun = time.perf_counter()
        runtime(example)
        taken.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stats = [read_episode_stats(path) for path in sorted(episodes.glob("episode_*.hdf5"))]
    spec = SampleSpec(config.camera_names, config.chunk_size, obs_offsets=config.obs_offsets)
    data = EpisodeDataset(stats, spec)
    rows = np.linspace(0, len(data) - 1, ROWS).astype(int)
    errors, count = 0.0, 0
    with torch.inference_mode():
        for part in np.array_split(rows, ROWS // 8):
            batch = data.batch(part.tolist())
            kept = ~batch["is_pad"]
            gap = (policy.predict_chunk(batch) - batch["action"]).abs().mean(dim=2)
            errors, count = errors + float(gap[kept].sum()), count + int(kept.sum())
    return {
        "action_l1": errors / count,
        "latency_ms": {"p50": 1e3 * float(np.percentile(taken, 50)), "p99": 1e3 * float(np.percentile(taken, 99))},
        "memory_mib": {"all": peak / 1024, "inference": (peak - before) / 1024},
        "parameters": sum(p.numel() for p in policy.parameters()),
    }


def of_policy(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one policy."""
    out, episodes = options.out, options.out / "episodes"
    checkpoint = train(name, out, episodes, options.minutes, options.steps)
    found: dict[str, Any] = {"policy": name, "train": _read(out / name / "train.json")}
    subprocess.run(
        [sys.executable, __file__, "--out", str(out), "--measure", str(checkpoint), str(out / name / "measured.json")],
        check=True,
    )
    found |= _read(out / name / "measured.json")
    for kind, seed, count in (
        ("training_seeds", TRAINING_SEED, options.training_rollouts),
        ("unseen_seeds", UNSEEN_SEED, options.rollouts),
    ):
        file = out / name / f"{kind}.json"
        if not file.is_file():
            plain = ["eval", "--checkpoint", checkpoint, "--task", "pick_place", "--episodes", count, "--seed", seed]
            vgil(*plain, "--workers", options.workers, "--json", file)
        report = _read(file)
        found[kind] = {key: report[key] for key in ("successes", "episodes", "success_rate", "success_interval_95")}
    (out / name / "report.json").write_text(json.dumps(found, indent=2) + "\n")
    return found


def table(found: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| policy | weights | trained | action L1 | training seeds | unseen seeds | latency p50 / p99 | memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        trained, latency = f"{one['train']['seconds'] / 60:.0f} min, {one['train']['steps']} steps", one["latency_ms"]
        seen, unseen = one["training_seeds"], one["unseen_seeds"]
        low, high = unseen["success_interval_95"]
        lines.append(
            f"| {one['policy']} | {one['parameters'] / 1e6:.1f} M | {trained}"
            f" | {one['action_l1']:.4f} | {seen['successes']} of {seen['episodes']}"
            f" | {unseen['successes']} of {unseen['episodes']} ({low:.0%} to {high:.0%})"
            f" | {latency['p50']:.1f} / {latency['p99']:.1f} ms | {one['memory_mib']['inference']:.0f} MiB |"
        )
    return "\n".join(lines) + "\n"


def shortcomings(found: list[dict[str, Any]]) -> list[str]:
    """What a policy that can learn would not show."""
    return [
        f"{one['policy']}: action L1 {one['action_l1']:.4f}, {one['training_seeds']['successes']} training seeds done;"
        f" wanted below {BOUND}, at least 1"
        for one in found
        if one["action_l1"] >= BOUND or one["training_seeds"]["successes"] == 0
    ]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--policies", default=",".join(POLICIES), help="which, in what order")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training for each")
    parser.add_argument("--steps", type=int, help="of training for each, whatever time they take")
    parser.add_argument("--episodes", type=int, default=20, help="to train from")
    parser.add_argument("--rollouts", type=int, default=50, help="of unseen seeds")
    parser.add_argument("--training-rollouts", type=int, default=5, help="of training seeds")
    parser.add_argument("--workers", type=int, default=1, help="processes for the rollouts")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    episodes = options.out / "episodes"
    if options.measure:
        checkpoint, file = map(Path, options.measure)
        file.write_text(json.dumps(measure(checkpoint, episodes)) + "\n")
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not episodes.is_dir():
        plain = ["episodes", "generate", "--out", episodes, "--episodes", options.episodes, "--seed", TRAINING_SEED]
        vgil(*plain, "--only-successes", "--workers", options.workers)
    found = [of_policy(name, options) for name in options.policies.split(",")]
    report = options.out / f"report_{'_'.join(one['policy'] for one in found)}"
    report.with_suffix(".md").write_text(table(found))
    print(table(found))
    if wrong := shortcomings(found):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
