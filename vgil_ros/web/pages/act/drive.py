"""What an operator does with a running policy: start, stop, reset, the e-stop's release, the task, the labels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from nicegui import ui

from vgil_ros.web.acting.tally import VERDICTS, Score
from vgil_ros.web.acting.watch import NODE, PolicyWatch
from vgil_ros.web.link import Answer, NodeStatus, RobotView
from vgil_ros.web.pages.frame import Page

LABEL_KEYS = {"y": "success", "n": "failure", "u": "unsure"}
ACTIVE = ("running", "holding", "preparing", "waiting")
TONES = {"success": "positive", "failure": "negative", "unsure": "grey-7"}


class Drive:
    """The controls of one viewer."""

    def __init__(self, page: Page, watch: PolicyWatch) -> None:
        self._page, self._watch = page, watch
        self._filled = False  # the field was given the task that the policy has
        with ui.card().classes("w-full gap-2"):
            self._session_buttons()
            self._task_line()
        with ui.card().classes("w-full gap-2"):
            self._labels()
        ui.keyboard(self._on_key, ignore=["input", "select", "textarea"], repeating=False)

    def _session_buttons(self) -> None:
        self._start = _button("Start", "play_arrow", "positive", self._on_start, "start the policy, key s")
        self._start.classes("w-full text-2xl h-16").props("data-testid=act-start")
        self._stop = _button("Stop", "stop", "primary", self._on_stop, "stop the policy, key s")
        self._stop.classes("w-full text-2xl h-16").props("data-testid=act-stop")
        with ui.row().classes("w-full gap-2 no-wrap"):
            self._reset = _button(
                "Reset", "replay", "grey-8", self._on_reset, "throw the rollout away, begin again, key r"
            )
            self._reset.classes("flex-1").props("data-testid=act-reset")
            self._release = _button(
                "Release e-stop", "lock_open", "deep-orange-9", self._on_release, "release the e-stop"
            )
            self._release.classes("flex-1").props("data-testid=act-release")
        self._hint = ui.label("").classes("text-sm opacity-80").props("data-testid=act-hint")

    def _task_line(self) -> None:
        with ui.row().classes("w-full gap-2 no-wrap items-end"):
            self._task = (
                ui.input("task").classes("flex-1").props('aria-label="task of the policy" data-testid=act-task')
            )
            self._task.on("keydown.enter", self._on_task)
            tell = _button("Tell", "send", "primary", self._on_task, "tell the policy this task")
            tell.props("data-testid=act-tell")

    def _labels(self) -> None:
        ui.label("How did it go?").classes("text-lg font-medium")
        with ui.row().classes("w-full gap-2 no-wrap"):
            for key, verdict in LABEL_KEYS.items():
                tell = partial(self._on_label, verdict)
                button = _button(verdict, None, TONES[verdict], tell, f"label {verdict}, key {key}")
                button.classes("flex-1").props(f"data-testid=act-label-{verdict}")
        self._label = ui.label("").classes("text-sm opacity-80").props("data-testid=act-label")
        with ui.column().classes("w-full gap-0").props("data-testid=act-tally aria-live=polite"):
            self._rate = ui.label("").classes("text-3xl font-bold")
            self._counts = ui.label("").classes("text-sm opacity-80")

    # what is asked for

    async def _on_start(self) -> None:
        await self._page.call("policy/start")

    async def _on_stop(self) -> None:
        await self._page.call("policy/stop")

    async def _on_reset(self) -> None:
        await self._page.call("policy/reset")

    async def _on_release(self) -> None:
        await self._page.act(lambda: self._page.site.robot().estop(False))

    async def _on_label(self, verdict: str) -> None:
        await self._page.call(f"policy/label_{verdict}")

    async def _on_task(self) -> None:
        task = self._task.value or ""

        async def tell() -> Answer:
            if self._status is None:
                return Answer(False, "no policy is heard that could be told a task; allowed once one runs")
            self._page.site.robot().set_task(task)
            return Answer(True, f"told: {task}")

        await self._page.act(tell)

    def _on_key(self, event: object) -> Awaitable[None] | None:
        key, action = getattr(event, "key", None), getattr(event, "action", None)
        held = getattr(event, "modifiers", None)
        if key is None or not getattr(action, "keydown", False):
            return None
        if held is not None and (held.ctrl or held.alt or held.meta):
            return None
        name = str(key.name)
        if name == "s":
            return self._on_stop() if self._active else self._on_start()
        if name == "r":
            return self._on_reset()
        return self._on_label(LABEL_KEYS[name]) if name in LABEL_KEYS else None

    @property
    def _status(self) -> NodeStatus | None:
        """As it is now: what is shown may be older."""
        return self._page.site.view().statuses.get(NODE)

    # what is shown

    @property
    def _active(self) -> bool:
        return self._status is not None and self._status.values.get("state") in ACTIVE

    def refresh(self, view: RobotView) -> None:
        """Show which controls make sense just now."""
        status = view.statuses.get(NODE)
        there = status is not None and status.age_s < 2.0 and "policy/start" in view.services
        values = status.values if status is not None else {}
        dry, stopped = values.get("dry_run") == "true", values.get("state") == "e-stop"
        self._start.set_visibility(not self._active)
        self._stop.set_visibility(self._active)
        self._start.set_enabled(there and not stopped)
        self._start.set_text("Start dry run" if dry else "Start")
        self._reset.set_enabled(there)
        self._release.set_visibility(stopped)
        self._hint.set_text(_hint(there, values, view))
        if not self._filled and values.get("task"):
            self._filled = True
            self._task.set_value(self._task.value or values["task"])
        said = values.get("label", "none")
        self._label.set_text("" if status is None else f"this rollout, or the last one: {said}")
        self._show_score(self._watch.tally.scores.get((values.get("checkpoint", ""), values.get("task", ""))))

    def _show_score(self, score: Score | None) -> None:
        rate = score.rate() if score is not None else None
        if score is None or rate is None:
            self._rate.set_text("")
            self._counts.set_text("no rollout of this policy at this task is labelled yet")
            return
        share, low, high = rate
        self._rate.set_text(f"{share:.0%} success")
        parts = [f"{score.count(verdict)} {verdict}" for verdict in VERDICTS]
        parts += [f"{score.count('')} without a label"] if score.count("") else []
        self._counts.set_text(f"of {score.judged}; 95 %: {low:.0%} to {high:.0%}. {', '.join(parts)}")


def _hint(there: bool, values: Mapping[str, str], view: RobotView) -> str:
    if not there:
        return "load a policy below first"
    words = "keys: s start and stop, r reset, y n u label, Escape e-stop"
    if view.success is not None:
        words += f" · task done: {'yes' if view.success else 'no'}"
    return words if values.get("dry_run") != "true" else f"dry run: shows, sends nothing · {words}"


def _button(text: str, icon: str | None, color: str, do: Callable[[], Awaitable[None]], label: str) -> ui.button:
    button = ui.button(text, icon=icon, color=color, on_click=do)
    return button.props(f'no-caps aria-label="{label}"').tooltip(label)
