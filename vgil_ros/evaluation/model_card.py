"""A checkpoint's card: what it is, how it was trained, what it scored. From reports to Markdown, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgil_ros.policies.config import PolicyConfig


@dataclass(frozen=True)
class CardFacts:
    """Everything a card tells; what is None or empty is not told.

    Attributes:
        name: the checkpoint's, as it is called in commands.
        config, parameters, megabytes: what it is.
        settings: the training's configuration, as `config.yaml` in the run's folder holds it.
        hours: the training took.
        data: the episodes, in words.
        commands: that made it, in order.
        reports: of `vgil eval --json`.
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
    reports: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


def card(facts: CardFacts) -> str:
    """Return the card's text."""
    parts = [f"# {facts.name}", "\n".join(_identity(facts))]
    if facts.reports:
        parts += ["## What it scored", _scores(facts)]
    if facts.commands:
        parts += ["## How it was made", "```\n" + "\n".join(facts.commands) + "\n```"]
    return "\n\n".join([*parts, *facts.notes]) + "\n"


def _identity(facts: CardFacts) -> list[str]:
    config = facts.config
    cameras = ", ".join(c.name if c.height is None else f"{c.name} {c.height}x{c.width}" for c in config.cameras)
    rows = [
        ("policy", f"{config.type}, {facts.parameters / 1e6:.2f} M parameters"),
        ("size", f"{facts.megabytes:.1f} MB, weights in {config.weights}"),
        ("sees", f"{cameras}; {config.state_dim} joint values"),
        (
            "answers",
            f"chunks of {config.chunk_size} actions of {config.action_dim} values at {config.rate_hz or 0:g} Hz",
        ),
        ("data", facts.data + (f" (fingerprint {config.fingerprint})" if config.fingerprint else "")),
    ]
    if facts.settings is not None:
        rows.append(("training", _training(facts.settings, facts.hours)))
    lines = [f"| {key} | {value.strip()} |" for key, value in rows if value.strip()]
    return ["| | |", "| --- | --- |", *lines]


def _training(settings: Mapping[str, Any], hours: float | None) -> str:
    words = (
        f"{settings['steps']} steps of {settings['batch_size']} samples, seed {settings['seed']}, "
        f"{settings['precision']} on {settings['device']}"
    )
    return words if hours is None else f"{words}, {hours:.1f} h"


def _scores(facts: CardFacts) -> str:
    lines = [
        "| how | success | 95 % interval | return | ticks to success, median | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for report in facts.reports:
        low, high = report["success_interval_95"]
        median = report["steps_to_success"]["median"]
        cells = [
            _how(report),
            f"{report['successes']} of {report['episodes']}",
            f"{low:.0%} to {high:.0%}",
            f"{report['average_return']:.0f}",
            "never" if median is None else f"{median:.0f}",
            f"`{command(facts.name, report)}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _how(report: Mapping[str, Any]) -> str:
    last = report["seed"] + report["episodes"] - 1
    words = f"{'through the real nodes' if report['over_ros'] else 'simulated time'}, {report['execution']}"
    if report["pictures_of_seed"] is not None:
        words += ", **with another scene's pictures**"
    return f"{words}, seeds {report['seed']} to {last}"


def command(checkpoint: str, report: Mapping[str, Any]) -> str:
    """The command that makes a report."""
    coefficient = report.get("ensemble_coefficient")  # reports from before it could be given lack it
    parts: Sequence[str] = [
        f"vgil eval --checkpoint {checkpoint} --task {report['task']}",
        f"--episodes {report['episodes']} --seed {report['seed']}",
        f"--execution {report['execution']}",
        *([f"--query-every {report['query_every']}"] if report["query_every"] else []),
        *([] if coefficient is None else [f"--ensemble-coefficient {coefficient:g}"]),
        *([f"--pictures-of-seed {report['pictures_of_seed']}"] if report["pictures_of_seed"] is not None else []),
        *(["--over-ros"] if report["over_ros"] else []),
    ]
    return " ".join(parts)
