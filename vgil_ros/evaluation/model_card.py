"""A checkpoint's card: what it is, how it was trained, what it scored. From reports to Markdown, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import EvaluationReport
from vgil_ros.policies.config import PolicyConfig


@dataclass(frozen=True)
class CardContent:
    """Everything a card tells; what is None or empty is not told.

    Attributes:
        name: the checkpoint's, as it is called in commands.
        config, parameters, megabytes: what it is.
        settings: the training's configuration, as `config.yaml` in the run's folder holds it.
        hours: the training took.
        data: the episodes, in words.
        commands: that made it, in order.
        reports: of its evaluations.
        notes: anything else, a paragraph each.
    """

    name: str
    config: PolicyConfig
    parameters: int
    megabytes: float
    settings: Mapping[str, Any] | None = None
    hours: float | None = None
    data: str = ""
    commands: tuple[str, ...] = ()
    reports: tuple[EvaluationReport, ...] = ()
    notes: tuple[str, ...] = ()


def model_card(content: CardContent) -> str:
    """Return the card's text."""
    parts = [f"# {content.name}", "\n".join(_identity(content))]
    if content.reports:
        parts += ["## What it scored", _scores(content)]
    if content.commands:
        parts += ["## How it was made", "```\n" + "\n".join(content.commands) + "\n```"]
    return "\n\n".join([*parts, *content.notes]) + "\n"


def _identity(content: CardContent) -> list[str]:
    config = content.config
    cameras = ", ".join(c.name if c.height is None else f"{c.name} {c.height}x{c.width}" for c in config.cameras)
    rows = [
        ("policy", f"{config.type}, {content.parameters / 1e6:.2f} M parameters"),
        ("size", f"{content.megabytes:.1f} MB, weights in {config.weights}"),
        ("sees", f"{cameras}; {config.state_dim} joint values"),
        (
            "answers",
            f"chunks of {config.chunk_size} actions of {config.action_dim} values at {config.rate_hz or 0:g} Hz",
        ),
        ("data", content.data + (f" (fingerprint {config.fingerprint})" if config.fingerprint else "")),
    ]
    if content.settings is not None:
        rows.append(("training", _training(content.settings, content.hours)))
    lines = [f"| {key} | {value.strip()} |" for key, value in rows if value.strip()]
    return ["| | |", "| --- | --- |", *lines]


def _training(settings: Mapping[str, Any], hours: float | None) -> str:
    words = (
        f"{settings['steps']} steps of {settings['batch_size']} samples, seed {settings['seed']}, "
        f"{settings['precision']} on {settings['device']}"
    )
    return words if hours is None else f"{words}, {hours:.1f} h"


def _scores(content: CardContent) -> str:
    lines = [
        "| how | success | 95 % interval | return | ticks to success, median | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for report in content.reports:
        low, high = report.success_interval_95
        median = report.steps_to_success.median
        cells = [
            _how(report),
            f"{report.successes} of {report.episodes}",
            f"{low:.0%} to {high:.0%}",
            f"{report.average_return:.0f}",
            "never" if median is None else f"{median:.0f}",
            f"`{command(content.name, report)}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _how(report: EvaluationReport) -> str:
    last = report.seed + report.episodes - 1
    words = f"{'through the real nodes' if report.over_ros else 'simulated time'}, {report.execution}"
    if report.swap_images_from_seed is not None:
        words += ", **with another scene's images**"
    return ", ".join([words, f"seeds {report.seed} to {last}", *(text for text, _ in _unusual(report))])


def _unusual(report: EvaluationReport) -> list[tuple[str, str]]:
    """(in words, as an option) of each setting that is not what an evaluation of the task usually has."""
    usual = EvaluationPlan(report.task)
    found = []
    if report.robot != usual.robot_name:
        found.append((f"robot {report.robot}", f"--robot {report.robot}"))
    if report.latency_trace is not None:
        found.append((f"latencies of {report.latency_trace}", f"--latency-trace {report.latency_trace}"))
    pairs = {"latency_ms": "ms of latency", "watchdog_ms": "ms of watchdog", "max_age_ms": "ms of age at most"}
    for name, words in pairs.items():
        value = getattr(report, name)
        if value is not None and value != getattr(usual, name):
            found.append((f"{value:g} {words}", f"--{name.replace('_', '-')} {value:g}"))
    if report.soft_start != usual.soft_start:
        found.append((f"soft start {report.soft_start:g}", f"--soft-start {report.soft_start:g}"))
    if report.episode_len != usual.ticks:
        found.append((f"{report.episode_len} ticks each", f"--episode-len {report.episode_len}"))
    return found


def command(checkpoint: str, report: EvaluationReport) -> str:
    """The command that makes a report."""
    coefficient, other = report.ensemble_coefficient, report.swap_images_from_seed
    parts: Sequence[str] = [
        f"vgil eval --checkpoint {checkpoint} --task {report.task}",
        f"--episodes {report.episodes} --seed {report.seed}",
        f"--execution {report.execution}",
        *([f"--inference-period {report.inference_period}"] if report.inference_period else []),
        *([] if coefficient is None else [f"--ensemble-coefficient {coefficient:g}"]),
        *([] if other is None else [f"--swap-images-from-seed {other}"]),
        *(["--over-ros"] if report.over_ros else []),
        *(option for _, option in _unusual(report)),
    ]
    return " ".join(parts)
