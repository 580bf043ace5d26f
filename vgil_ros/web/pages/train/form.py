"""The form that begins a training: data, configuration, name, main settings, and what is wrong with them in words."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import run, ui
from nicegui.elements.mixins.value_element import ValueElement

from vgil_ros.core.errors import VgilError
from vgil_ros.training.config import TrainConfig
from vgil_ros.web.link import Answer
from vgil_ros.web.pages.frame import Page
from vgil_ros.web.runs.training import NewRun, Trainings, devices, episode_folders

SETTINGS = (  # key, what it is called
    ("steps", "steps"),
    ("batch_size", "batch size"),
    ("optimizer.lr", "learning rate"),
    ("policy.chunk_size", "chunk size"),
    ("checkpoint.every", "checkpoint every"),
    ("data.validation", "share for validation"),
    ("seed", "seed"),
)
FIRST_CHOICE = "sim_pick_place_act"  # trains on two cores


class TrainForm:
    """The form.

    Args:
        page: whose it is.
        trainings: what it begins.
        begun: called with the run's name.
    """

    def __init__(self, page: Page, trainings: Trainings, begun: Callable[[str], Awaitable[None]]) -> None:
        self._page, self._trainings, self._begun = page, trainings, begun
        self._folders: dict[str, int] | None = None  # not looked at yet
        with ui.card().classes("w-full gap-3").props("flat bordered"):
            ui.label("New training").classes("text-xl font-bold")
            self._choices()
            self._settings()
            self._words = ui.label().classes("whitespace-pre-line text-sm").props("role=status data-testid=train-words")
            self._start = ui.button("Start training", icon="play_arrow", on_click=self._begin)
            self._start.props("no-caps unelevated size=lg").classes("w-full").props("data-testid=train-start")

    def _choices(self) -> None:
        trainings = self._trainings
        self.name = ui.input("name of the run", value="first").classes("w-full").props("data-testid=run-name")
        self.data = ui.select({}, label="demonstrations", multiple=True).classes("w-full").props("data-testid=run-data")
        configs = trainings.configs()
        first = FIRST_CHOICE if FIRST_CHOICE in configs else configs[0]
        self.config = ui.select(configs, label="configuration", value=first, with_input=True).classes("w-full")
        self.config.props("data-testid=run-config")
        self.device = ui.select(devices(), label="train on", value=devices()[0]).classes("w-full")
        for element in (self.name, self.data, self.config, self.device):
            element.props("dense outlined")
            self._watched(element)

    def _settings(self) -> None:
        self.fields: dict[str, ui.input] = {}
        with ui.element("div").classes("grid grid-cols-2 gap-2 w-full"):
            for key, words in SETTINGS:
                self.fields[key] = ui.input(words).props("dense outlined stack-label").props(f"data-testid=set-{key}")
        self.more = ui.textarea("more settings, one key=value a line").props("dense outlined autogrow rows=1")
        self.more.classes("w-full").props("data-testid=set-more")
        for element in (*self.fields.values(), self.more):
            self._watched(element)

    def _watched(self, element: ValueElement[Any]) -> None:
        element.on_value_change(self.check)

    def wish(self) -> NewRun:
        """What the form asks for."""
        settings = {key: str(field.value or "") for key, field in self.fields.items()}
        settings["device"] = str(self.device.value or "")
        for line in str(self.more.value or "").splitlines():
            key, _, value = line.partition("=")
            if key.strip():
                settings[key.strip()] = value
        name = str(self.name.value or "").strip()
        return NewRun(name, tuple(self.data.value or ()), str(self.config.value or ""), settings)

    async def refresh(self) -> None:
        """Offer the folders of episodes that there are now."""
        found = await run.io_bound(episode_folders, self._trainings.dataset_dir)
        if found is None or found == self._folders:
            return
        self._folders = found
        root = self._trainings.dataset_dir.name
        offered = {name: f"{root if name == '.' else name}: {count} episodes" for name, count in found.items()}
        kept = [name for name in self.data.value or [] if name in offered]
        self.data.set_options(offered, value=kept or list(offered)[:1])
        await self.check()

    async def check(self) -> TrainConfig | None:
        """Say what is wrong, or what will be done; returns the configuration where nothing is wrong."""
        try:
            config = await run.io_bound(self._trainings.check, self.wish())
        except VgilError as error:
            self._words.set_text(str(error))
            self._words.classes(add="text-negative")
            self._start.disable()
            return None
        if config is None:  # the page ends
            return None
        for key, field in self.fields.items():
            field.props(f'placeholder="{_value(config, key)}"')
        episodes = sum((self._folders or {}).get(name, 0) for name in self.data.value or [])
        self._words.set_text(
            f"{config.policy.get('type')}: {config.steps} steps of {config.batch_size} samples on {config.device}, "
            f"from {episodes} episodes. How long it takes is measured by its first steps."
        )
        self._words.classes(remove="text-negative")
        self._start.enable()
        return config

    async def _begin(self) -> None:
        wish = self.wish()

        async def start() -> Answer:
            await run.io_bound(self._trainings.start, wish)
            return Answer(True, f"training '{wish.name}' begins")

        if (await self._page.act(start)).ok:
            self.name.value = next_name(wish.name)
            await self._begun(wish.name)


def next_name(name: str) -> str:
    """A name for the next run: `pick_2` after `pick_1` and after `pick`."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", name).groups()  # type: ignore[union-attr]
    return f"{stem}_{int(number or 1) + 1}"


def _value(config: TrainConfig, key: str) -> str:
    value: object = config
    for name in key.split("."):
        value = value.get(name, "") if isinstance(value, dict) else getattr(value, name, "")
    return str(value)
