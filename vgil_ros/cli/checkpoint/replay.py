"""A checkpoint over a recorded episode: errors for each joint, a plot, latency, and what looks wrong."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import past_rows, row_stamps, with_past, with_task
from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotFrame, RobotObservation
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import PolicyConfig, load_policy
from vgil_ros.policies.compatibility import RATE_TOLERANCE
from vgil_ros.policies.diagnostics.replay import SUSPICION, ReplayMetrics, diagnose, replay
from vgil_ros.policies.inference.opening import Runner, open_for_robot
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.remote.address import is_remote
from vgil_ros.policies.remote.policy import RemotePolicy
from vgil_ros.training.data.episode_stats import aligned_actions, states

DIAGNOSED_ROWS = 12


@dataclass(frozen=True)
class ReplayReport:
    """Lines to print, values for JSON, and whether the numbers look wrong."""

    lines: tuple[str, ...]
    values: dict[str, Any]
    suspicious: bool


def replay_episode(
    checkpoint: str | Path,
    path: Path,
    *,
    every: int = 10,
    device: str = "cpu",
    plot: Path | None = None,
    mapping: Path | None = None,
) -> ReplayReport:
    """Predict from every `every`-th row and compare with the recorded actions.

    Args:
        checkpoint: a folder, or the address of a server; then the robot is the one that the episode tells.
        path: the episode.
        every, device, plot: rows between predictions; where the network runs; a PNG to write.
        mapping: a YAML for an address.

    Raises:
        VgilError: where checkpoint and episode do not fit each other, or the server cannot be reached.
    """
    if is_remote(checkpoint):
        with EpisodeReader(path) as episode, closing(_remote(str(checkpoint), episode, mapping)) as remote:
            return _replayed(remote, remote.config, episode, every, plot)
    policy = load_policy(checkpoint, device="cpu")
    runtime = InferenceRuntime(policy, device)
    with EpisodeReader(path) as episode:
        rows = len(_actions(policy.config, episode, path))
        runtime.warm_up(_observation(policy.config, episode, rows - 1))  # a row with a past
        return _replayed(runtime, policy.config, episode, every, plot)


def _remote(address: str, episode: EpisodeReader, mapping: Path | None) -> RemotePolicy:
    text = episode.attrs.get("contract")
    if not text:
        raise VgilError(
            f"{episode.path}: tells no contract; needed for {address}, whose policy is held against a robot"
        )
    layout = Layout(parse_contract(text, f"{episode.path}: contract"))
    policy = open_for_robot(address, layout, mapping=mapping, task=episode.task or "")
    assert isinstance(policy, RemotePolicy)
    return policy


def _replayed(
    runtime: Runner, config: PolicyConfig, episode: EpisodeReader, every: int, plot: Path | None
) -> ReplayReport:
    path = episode.path
    actions = _actions(config, episode, path)
    said = _differences(config, episode)
    seconds: list[float] = []

    def predict(observation: Any) -> np.ndarray:
        began = time.perf_counter()
        chunk = runtime(observation)
        seconds.append(time.perf_counter() - began)
        bar.update(1)
        return chunk

    names = config.joint_names
    names = names if len(names) == actions.shape[1] else ()
    positions = episode.qpos[: len(actions)].astype(np.float32)
    with tqdm(total=len(range(0, len(actions), every)), desc=path.name, unit=" chunks", disable=None) as bar:
        metrics, chunks = replay(predict, lambda i: _observation(config, episode, i), actions, every, names, positions)
    lines = [*said, *_lines(metrics, seconds)]
    rows = np.linspace(0, len(actions) - 1, DIAGNOSED_ROWS).astype(int)
    observations = [_observation(config, episode, int(i)) for i in rows]
    likely = [h for h in diagnose(runtime, observations, [actions[i] for i in rows]) if h.likely]
    suspicion = metrics.suspicion or (SUSPICION if likely else None)
    lines += [f"looks wrong: {suspicion}"] if suspicion else []
    lines += [f"  likely: {h.name} (first action's L1 {h.l1:.4f} instead of {h.l1_as_recorded:.4f})" for h in likely]
    if plot is not None:
        _plot(plot, path.name, metrics, chunks, actions, every)
        lines.append(f"plot: {plot}")
    values = {
        "episode": path,
        "l1": metrics.l1,
        "l1_constant": metrics.l1_constant,
        "l1_still": metrics.l1_still,
        "differences": said,
        "l1_per_joint": dict(zip(metrics.names, metrics.l1_per_joint.tolist(), strict=True)),
        "l1_by_horizon": metrics.l1_by_horizon,
        "latency_ms": {"p50": float(np.median(seconds) * 1e3), "p99": float(np.percentile(seconds, 99) * 1e3)},
        "suspicion": suspicion,
        "likely": [hypothesis.name for hypothesis in likely],
    }
    return ReplayReport(tuple(lines), values, suspicion is not None)


def _actions(config: PolicyConfig, episode: EpisodeReader, path: Path) -> np.ndarray:
    width = episode.action.shape[1]
    base = config.action_dim == width + 2 and episode.base_action is not None
    actions = aligned_actions(episode, base=base).astype(np.float32)  # as training pairs them
    missing = [name for name in config.camera_names if name not in episode.camera_names]
    if missing:
        raise VgilError(f"{path}: camera {missing} is not in it; found {list(episode.camera_names)}")
    for what, width, needed in (
        ("action", actions.shape[1], config.action_dim),
        ("qpos", states(episode, config.vector_names).shape[1], config.state_dim),
    ):
        if width != needed:
            raise VgilError(f"{path}: {width} {what} dims; the policy needs {needed}")
    return actions


def _differences(config: PolicyConfig, episode: EpisodeReader) -> tuple[str, ...]:
    """What checkpoint and episode say differently of the robot, so that the figures mean little; one line each."""
    words = []
    if config.rate_hz is not None and episode.rate_hz is not None and not _alike(config.rate_hz, episode.rate_hz):
        words.append(
            f"differs: the episode is of {episode.rate_hz:g} Hz, the policy of {config.rate_hz:g} Hz: its chunks are "
            "of another length in time"
        )
    names = episode.joint_names
    if config.joint_names and names is not None and tuple(names) != config.joint_names:
        order = "in another order" if sorted(names) == sorted(config.joint_names) else "other ones"
        words.append(
            f"differs: the episode's joints are {order} than the policy's; expected: "
            f"{', '.join(config.joint_names)}; found: {', '.join(names)}"
        )
    return tuple(words)


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= RATE_TOLERANCE * other


def _observation(config: PolicyConfig, episode: EpisodeReader, row: int) -> RobotObservation:
    """A row as the policy would have seen it, with its past."""

    state = states(episode, config.vector_names)

    def frame(row: int) -> RobotFrame:
        images = {name: episode.image(name, row) for name in config.camera_names}
        return {"qpos": state[row], "images": images}

    period_ns = round(1e9 / episode.rate_hz) if episode.rate_hz else None
    earlier = past_rows(row, config.obs_offsets, row_stamps(episode.stamp_ns, episode.rows), period_ns)
    return with_task(
        with_past(frame(row), [None if one is None else frame(one) for one in earlier]), episode.task or ""
    )


def _lines(metrics: ReplayMetrics, seconds: list[float]) -> list[str]:
    beside = f"the episode's median action: {metrics.l1_constant:.4f}"
    if metrics.l1_still is not None:
        beside += f", staying where the robot is: {metrics.l1_still:.4f}"
    lines = [f"{metrics.predictions} chunks; mean L1 {metrics.l1:.4f} ({beside})"]
    width = max(map(len, metrics.names))
    for name, chunk, first in zip(metrics.names, metrics.l1_per_joint, metrics.l1_first, strict=True):
        lines.append(f"  {name:{width}}  L1 {chunk:.4f}, of the first action {first:.4f}")
    p50, p99 = np.percentile(np.array(seconds) * 1e3, (50, 99))
    lines.append(f"latency p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return lines


def _plot(out: Path, title: str, metrics: ReplayMetrics, chunks: np.ndarray, actions: np.ndarray, every: int) -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise VgilError("--plot needs matplotlib, which is not installed; pip install 'vgil_ros[plot]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    count = actions.shape[1]
    columns = 2 if count > 4 else 1
    rows = -(-count // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(7 * columns, 1.6 * rows + 1), squeeze=False, sharex=True)
    for j, axis in enumerate(axes.T.flat):
        if j >= count:
            axis.axis("off")
            continue
        for i, chunk in enumerate(chunks):
            start = i * every
            span = np.arange(start, min(start + len(chunk), len(actions)))
            axis.plot(span, chunk[: len(span), j], color="tab:orange", alpha=0.35, linewidth=0.8)
        axis.plot(actions[:, j], color="tab:blue", linewidth=1.4)
        axis.set_title(f"{metrics.names[j]}: L1 {metrics.l1_per_joint[j]:.4f}", fontsize=9, loc="left")
        axis.grid(alpha=0.3)
    figure.suptitle(f"{title}: recorded (blue) and predicted chunks (orange)")
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
