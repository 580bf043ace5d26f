"""Choosing a policy: its checkpoint, the check against this robot, its card, and loading it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from nicegui import run, ui

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import EXECUTORS
from vgil_ros.web.acting.check import Verdict
from vgil_ros.web.acting.checkpoints import chosen, offered, rollouts_folder
from vgil_ros.web.acting.watch import PolicyWatch
from vgil_ros.web.link import Answer, PolicyOrder
from vgil_ros.web.pages.frame import Page

AS_KEPT = "checkpoint"
DRY, REAL = "Dry run", "Move the robot"
ROLLOUTS = "rollouts"  # below the folder of episodes


class Chooser:
    """The choice of one viewer."""

    def __init__(self, page: Page, watch: PolicyWatch) -> None:
        self._page, self._watch = page, watch
        self._shown: Verdict | None = None
        self._resolved = ""  # the choice, as the node takes it
        with ui.card().classes("w-full gap-2"):
            ui.label("Policy").classes("text-lg font-medium")
            self._choice = ui.input("checkpoint", placeholder="a name, a folder, or ws://HOST:PORT").classes("w-full")
            self._choice.props('aria-label="checkpoint" data-testid=act-checkpoint').on(
                "keydown.enter", self._on_choice
            )
            with self._choice.add_slot("append"):
                known = ui.button(icon="arrow_drop_down").props('flat round dense aria-label="known checkpoints"')
                with known.props("data-testid=act-known"), ui.menu().props("fit") as self._known:
                    pass
            check = ui.button("Check", icon="fact_check", on_click=self._on_choice).classes("w-full")
            check.props('no-caps outline aria-label="check it against this robot" data-testid=act-check')
            self._verdict = ui.label("").classes("text-base font-medium break-words").props("data-testid=act-verdict")
            self._mode = ui.toggle([DRY, REAL], value=DRY).props('no-caps spread aria-label="mode"').classes("w-full")
            self._mode.props("data-testid=act-mode")
            self._more()
            with ui.row().classes("w-full gap-2 no-wrap"):
                self._load = ui.button("Load", icon="download", on_click=self._on_load).classes("flex-1")
                self._load.props('no-caps aria-label="load the policy" data-testid=act-load')
                self._end = ui.button("Unload", icon="eject", color="grey-8", on_click=self._on_end).classes("flex-1")
                self._end.props('no-caps aria-label="end the policy" data-testid=act-end')
            self._whose = ui.label("").classes("text-sm opacity-80").props("data-testid=act-whose")
        self._details()
        ui.timer(0.1, self._fill, once=True)

    def _more(self) -> None:
        with ui.expansion("task, execution, device, rollouts").classes("w-full").props("dense"):
            self._task = ui.input("task it begins with").classes("w-full").props("data-testid=act-first-task")
            self._execution = ui.select([AS_KEPT, *EXECUTORS], value=AS_KEPT, label="execution").classes("w-full")
            self._device = ui.input("device", value="cpu").classes("w-full")
            folder = self._page.site.settings.dataset_dir
            self._rollouts = ui.input(f"rollouts go to {folder}/", value=ROLLOUTS).classes("w-full")
            self._rollouts.props('hint="empty: not recorded, and not labelled" data-testid=act-rollouts')

    def _details(self) -> None:
        with ui.card().classes("w-full p-0"):
            with ui.expansion("what it is", icon="badge").classes("w-full").props("dense"):
                self._describes = ui.label("").classes("text-xs whitespace-pre-wrap font-mono break-words")
            with ui.expansion("its card", icon="article").classes("w-full").props("dense"):
                # a card comes with a checkpoint from anywhere: what it holds is shown, never run
                self._card = ui.markdown("", sanitize=True).classes("text-sm w-full overflow-x-auto")
            with ui.expansion("log of the policy", icon="terminal").classes("w-full").props("dense"):
                self._log = (
                    ui.label("").classes("text-xs whitespace-pre-wrap font-mono break-all").props("data-testid=act-log")
                )

    async def _fill(self) -> None:
        names = await run.io_bound(offered, self._page.site.settings)
        with self._known:
            for name in names or ():
                short = "/".join(Path(name).parts[-3:])
                ui.menu_item(short, on_click=partial(self._take, name)).props(f'aria-label="checkpoint {short}"')

        ours = self._page.site.robot().policy_run()
        if ours is not None and not self._choice.value:  # whoever comes anew finds what is loaded
            self._choice.set_value(ours.order.checkpoint)
            self._resolved = ours.order.checkpoint
            self._mode.set_value(DRY if ours.order.dry_run else REAL)

    async def _take(self, name: str) -> None:
        self._choice.set_value(name)
        await self._on_choice()

    async def _chosen(self) -> str:
        """The choice as the node takes it.

        Raises:
            VgilError: for what is no checkpoint.
        """
        return await run.io_bound(chosen, self._choice.value or "", self._page.site.settings) or ""

    async def _on_choice(self) -> None:
        self._shown, self._resolved = None, ""
        self._verdict.set_text("")
        if not self._choice.value:
            return
        try:
            checkpoint = self._resolved = await self._chosen()
        except VgilError as error:
            self._verdict.set_text(str(error))
            return
        if await run.io_bound(self._watch.verdict, checkpoint) is None:
            self._verdict.set_text("is being checked against this robot ...")
            answer = await self._page.act(lambda: self._watch.check(checkpoint))
            if not answer.ok:
                self._verdict.set_text(answer.message)
        self.refresh()

    def _order(self, checkpoint: str) -> PolicyOrder:
        return PolicyOrder(
            checkpoint=checkpoint,
            task=(self._task.value or "").strip(),
            execution=self._execution.value,
            device=(self._device.value or "cpu").strip(),
            dry_run=self._mode.value != REAL,
            rollouts=rollouts_folder(self._rollouts.value or "", self._page.site.settings),
        )

    async def _on_load(self) -> None:
        async def loaded() -> Answer:
            return await self._watch.reload(self._order(await self._chosen()))

        await self._page.act(loaded)

    async def _on_end(self) -> None:
        await self._page.act(lambda: self._page.site.robot().end_policy())

    def refresh(self) -> None:
        """Show the check of what is chosen, and who runs what."""
        site = self._page.site
        ours = site.robot().policy_run()
        alive = ours is not None and ours.alive
        self._show_verdict()
        self._load.set_text("Load again" if alive else "Load")
        self._load.set_enabled(bool(self._shown and self._shown.fits))
        self._end.set_enabled(alive)
        other = "policy" in site.view().statuses and not alive
        self._whose.set_text("the policy that runs was started by a launch file: it is ended there" if other else "")
        self._log.set_text("\n".join(ours.lines[-60:]) if ours is not None else "this page has started none")

    def _show_verdict(self) -> None:
        found = self._watch.verdicts.get(self._resolved)
        if found is None:
            self._shown = None
            return
        name = self._page.site.robot().contract.name
        words = f"✓ fits {name}" if found.fits else "✗ does not fit: " + "; ".join(found.wrong)
        self._verdict.set_text(words + "".join(f" · not checked: {word}" for word in found.unchecked))
        if found != self._shown:
            self._shown = found
            self._verdict.classes(replace="text-base font-medium break-words " + _tone(found))
            self._describes.set_text("\n".join(found.describes))
            self._card.set_content(found.card or "no card lies beside it")


def _tone(verdict: Verdict) -> str:
    return "text-positive" if verdict.fits else "text-negative"
