"""The demo's report: what was recorded, how the shipped policy did, what to do next. From data to HTML, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vgil_ros.cli.demo.html import Html, element, figure_boxes, image, mark, page, table, video
from vgil_ros.evaluation.metrics import RolloutRow
from vgil_ros.evaluation.report import EvaluationReport

SUCCESS = {True: "done", False: "not done", None: "not known"}


@dataclass(frozen=True)
class Recorded:
    """An episode that was recorded and checked; `plot` and `video` lie at these paths beside the report."""

    name: str
    robot: str
    task: str
    rows: int
    seconds: float
    success: bool | None
    ok: bool
    findings: tuple[str, ...]
    plot: str
    video: str


@dataclass(frozen=True)
class Acted:
    """A policy's rollouts, through the nodes.

    Attributes:
        checkpoint: its name or folder; megabytes: of its weights.
        evaluation: how it did.
        videos: folder of the rollouts' videos and thumbnail sheet, beside the report.
    """

    checkpoint: str
    megabytes: float
    evaluation: EvaluationReport
    videos: str


@dataclass(frozen=True)
class DemoReport:
    """Everything the page tells.

    Attributes:
        created, software, machine: when, with what, on what.
        recorded: the episodes.
        acted: the policies, one at least.
        commands: what would do the same by hand: (words, command).
        seconds: how long each step took, by its name.
    """

    created: str
    software: str
    machine: str
    recorded: tuple[Recorded, ...]
    acted: tuple[Acted, ...]
    commands: tuple[tuple[str, str], ...]
    seconds: Mapping[str, float]


def render(report: DemoReport) -> str:
    """Return the page."""
    good = sum(episode.ok for episode in report.recorded)
    figures = [
        *(box for acted in report.acted for box in _boxes(acted.evaluation)),
        (f"{good} of {len(report.recorded)}", "recorded episodes passed the check"),
        (f"{sum(report.seconds.values()):.0f} s", "for everything on this page"),
    ]
    return page(
        "vgil_ros: the demo's report",
        element("h1", "From demonstration to autonomy, on simulated robots"),
        element("p", f"{report.created} · {report.software} · {report.machine}", class_="dim"),
        figure_boxes(figures),
        *(part for acted in report.acted for part in _policy(acted)),
        *_recorded(report),
        *_next(report),
    )


def _boxes(evaluation: EvaluationReport) -> list[tuple[str, str]]:
    return [
        (f"{evaluation.successes} of {evaluation.episodes}", f"rollouts of {evaluation.task} were done by the policy"),
        (_ms(evaluation.machine.inference_ms.p50), f"for its inference on {evaluation.robot}, median"),
    ]


def _policy(acted: Acted) -> list[Html]:
    evaluation = acted.evaluation
    low, high = evaluation.success_interval_95
    rows = [_rollout(row) for row in evaluation.rollouts]
    videos = [video(f"{acted.videos}/seed_{row.seed}.mp4", _caption(row)) for row in evaluation.rollouts]
    words = (
        f"The checkpoint {acted.checkpoint} ({evaluation.policy}, {acted.megabytes:.1f} MB) sees the cameras "
        f"and joints of {evaluation.robot} and does the task {evaluation.task} in scenes that it was not "
        f"trained on, through the nodes sim and policy over DDS; chunks are played by {evaluation.execution}. With "
        f"so few rollouts the success rate lies between {low:.0%} and {high:.0%} (95 %)."
    )
    head = ("scene", "task", "return", "highest reward", "first done", "safety stepped in")
    return [
        element("h2", f"A policy does {evaluation.task} on {evaluation.robot}"),
        element("p", words),
        table(head, rows),
        element("h2", "What it did"),
        element("div", *(element("div", one, class_="card") for one in videos), class_="grid"),
        image(f"{acted.videos}/thumbnail_sheet.png", "from beginning to end, a row for each rollout"),
    ]


def _rollout(row: RolloutRow) -> list[str]:
    done_at, held = row.steps_to_success, row.safety_events
    return [
        str(row.seed),
        mark(row.success, "done", "not done"),
        f"{row.ret:.0f}",
        f"{row.highest_reward:g}",
        "never" if done_at is None else f"tick {done_at} of {row.steps}",
        ", ".join(f"{name} {count}" for name, count in held.items()) or "never",
    ]


def _caption(row: RolloutRow) -> str:
    return f"scene {row.seed}: {'done' if row.success else 'not done'}, return {row.ret:.0f}"


def _recorded(report: DemoReport) -> list[Html]:
    head = ("episode", "robot", "task", "rows", "length", "at its end", "check")
    rows = [
        (e.name, e.robot, e.task, str(e.rows), f"{e.seconds:.1f} s", SUCCESS[e.success], mark(e.ok, "passed", "bad"))
        for e in report.recorded
    ]
    words = (
        "A scripted operator moves the masters, teleop leads the puppets, and the recorder writes every tick: cameras, "
        "joints and actions, brought together by their stamps. Each file is checked as `vgil episodes check` does."
    )
    return [
        element("h2", "What was recorded"),
        element("p", words),
        table(head, rows),
        *(_episode(episode) for episode in report.recorded),
    ]


def _episode(episode: Recorded) -> Html:
    findings = [element("p", text, class_="dim") for text in episode.findings]
    return element(
        "div",
        element("h3", f"{episode.name}: {episode.task} on {episode.robot}"),
        *findings,
        video(episode.video, "its cameras, side by side"),
        image(episode.plot, "cameras; joints after their actions; how far samples were from their tick"),
        class_="card",
    )


def _next(report: DemoReport) -> list[Html]:
    steps = [(name, f"{seconds:.1f} s") for name, seconds in report.seconds.items()]
    commands = [
        Html("".join((element("h3", words), element("pre", element("code", text))))) for words, text in report.commands
    ]
    return [
        element("h2", "By hand, and further"),
        *commands,
        element("h2", "Where the time went"),
        table(("step", "took"), steps),
    ]


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} ms"
