"""A teacher and its student on the same rows of recorded episodes: lines to print, values for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import PolicyConfig, load_policy
from vgil_ros.policies.diagnostics.stages import STAGES
from vgil_ros.policies.diagnostics.teacher_student import Comparison, compare
from vgil_ros.policies.flow_matching import FlowPolicy
from vgil_ros.policies.observation import Observation
from vgil_ros.training.data.episode_stats import states

TITLES = {
    "mode": "train or eval mode",
    "noise": "noise",
    "images": "image range",
    "normalizer": "normaliser",
    "padding": "padding",
    "time_grid": "time grid",
    "direction": "direction",
    "sign": "joint signs",
}


@dataclass(frozen=True)
class CompareReport:
    """Lines to print, values for JSON, and whether a fault was found."""

    lines: tuple[str, ...]
    values: dict[str, Any]
    faulty: bool


def compare_checkpoints(teacher: Path, student: Path, episodes: Path, *, rows: int, seed: int) -> CompareReport:
    """Run both on `rows` rows, evenly spread over the episodes of a folder (or one file).

    Raises:
        VgilError: no episode, one that does not fit the policies, or policies that cannot be compared.
    """
    policies = [_load(path) for path in (teacher, student)]
    observations = _observations(policies[0].config, episodes, rows)
    comparison = compare(policies[0], policies[1], observations, seed)
    return CompareReport(
        tuple(_lines(comparison, policies[0].config)), _values(comparison, policies[0].config), bool(comparison.first)
    )


def _load(path: Path) -> FlowPolicy:
    policy = load_policy(path)
    if not isinstance(policy, FlowPolicy):
        raise VgilError(f"{path}: is a policy of type {policy.config.type!r}; compare takes flow_matching and smolvla")
    return policy


def _observations(config: PolicyConfig, source: Path, rows: int) -> list[Observation]:
    paths = [source] if source.is_file() else naming.episodes_in(source) if source.is_dir() else []
    if not paths:
        raise VgilError(f"{source}: no episode (*.hdf5) here; allowed: a folder of episodes, or one file")
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(rows, len(paths))).astype(int))]
    counts = [len(part) for part in np.array_split(np.arange(rows), len(chosen))]
    return [_rows_of(config, path, count) for path, count in zip(chosen, counts, strict=True)]


def _rows_of(config: PolicyConfig, path: Path, count: int) -> Observation:
    """One batch of `count` rows, evenly spread over an episode."""
    with EpisodeReader(path) as episode:
        missing = [name for name in config.camera_names if name not in episode.camera_names]
        if missing:
            raise VgilError(f"{path}: camera {missing} is not in it; found {list(episode.camera_names)}")
        state = states(episode, config.vector_names)
        if state.shape[1] != config.state_dim:
            raise VgilError(f"{path}: {state.shape[1]} qpos dims; the policies need {config.state_dim}")
        rows = np.linspace(0, episode.rows - 1, count).astype(int)
        return {
            "qpos": state[rows],
            "images": {name: np.stack([episode.image(name, int(row)) for row in rows]) for name in config.camera_names},
            "task": [episode.task or ""] * count,
        }


def _lines(comparison: Comparison, config: PolicyConfig) -> list[str]:
    lines = []
    for stage in STAGES:
        here = [fault for fault in comparison.faults if fault.stage == stage]
        words = "; ".join(f"{fault.who}: {fault.words}" for fault in here) or "as it should be"
        lines.append(f"{TITLES[stage]:18}  {words}")
    for name, value in comparison.straightness.items():
        lines.append(f"{'straightness':18}  {name} {'unknown' if value is None else f'{value:.4f}'} (0: straight)")
    if comparison.l1_per_joint is not None:
        scale = (
            ""
            if comparison.l1_of_noise is None
            else f"; other noise changes the teacher's by {comparison.l1_of_noise:.4f}"
        )
        lines.append(f"{'actions':18}  mean L1 between them {comparison.l1_per_joint.mean():.4f}{scale}")
        lines += [f"  {name}  {l1:.4f}" for name, l1 in _by_joint(comparison, config).items()]
    lines += [f"{'differs':18}  {note}" for note in comparison.notes]
    if comparison.first is None:
        lines.append("nothing is wrong on the way: what is left between them is what the student has not learned")
    else:
        lines.append(f"first fault: {TITLES[comparison.first.stage]}, {comparison.first.who}: {comparison.first.words}")
    return lines


def _by_joint(comparison: Comparison, config: PolicyConfig) -> dict[str, float]:
    if comparison.l1_per_joint is None:
        return {}
    count = len(comparison.l1_per_joint)
    names = config.joint_names if len(config.joint_names) == count else [f"joint {i}" for i in range(count)]
    return dict(zip(names, comparison.l1_per_joint.tolist(), strict=True))


def _values(comparison: Comparison, config: PolicyConfig) -> dict[str, Any]:
    return {
        "first": None if comparison.first is None else asdict(comparison.first),
        "faults": [asdict(fault) for fault in comparison.faults],
        "stages": list(STAGES),
        "notes": list(comparison.notes),
        "straightness": comparison.straightness,
        "l1_per_joint": _by_joint(comparison, config),
        "l1_of_noise": comparison.l1_of_noise,
    }
