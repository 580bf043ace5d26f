"""The recorder in one row: what it does, how many there are, start, stop and labels. The page Record has it large."""

from __future__ import annotations

from nicegui import ui

from vgil_ros.web.link import NodeStatus, RobotView
from vgil_ros.web.pages.frame import Page
from vgil_ros.web.pages.teach.keys import unfocused
from vgil_ros.web.recording import banner

SERVICES = {
    "d": "recorder/discard",
    "r": "recorder/redo",
    "y": "recorder/label_success",
    "n": "recorder/label_failure",
    "m": "recorder/label_unsure",
}
BUTTONS = (  # key, icon, words
    ("d", "delete_outline", "discard"),
    ("r", "replay", "redo"),
    ("y", "thumb_up", "success"),
    ("n", "thumb_down", "failure"),
    ("m", "help_outline", "unsure"),
)


class RecorderRow:
    """The row.

    Args:
        page: whose it is.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        with ui.row().classes("items-center gap-2 w-full").props('role=group aria-label="recorder"'):
            self._badge = (
                ui.badge("no recorder", color="grey").classes("text-base px-3 py-1").props("data-testid=recorder-state")
            )
            self._count = ui.label().classes("font-bold").props("data-testid=recorder-count")
            self._main = unfocused(ui.button("Start", icon="fiber_manual_record", on_click=lambda: self.do("s")))
            self._main.props('no-caps unelevated aria-label="start or stop recording, key S"').props(
                "data-testid=record"
            )
            for key, icon, words in BUTTONS:
                button = unfocused(ui.button(icon=icon, on_click=lambda k=key: self.do(k)))
                button.props(f'flat round aria-label="{words}, key {key.upper()}"').tooltip(f"{words} ({key.upper()})")
            self._words = ui.label().classes("text-sm opacity-70 grow")

    async def do(self, key: str) -> None:
        """What a key of the recorder's means."""
        service = SERVICES.get(key) or f"recorder/{'stop' if self.recording else 'start'}"
        await self._page.call(service)

    @property
    def recording(self) -> bool:
        """Whether an episode is being recorded now; what is shown may be older."""
        return _records(self._page.site.view().statuses.get("recorder"))

    def show(self, view: RobotView) -> None:
        """Show how the recorder is."""
        status = view.statuses.get("recorder")
        records = _records(status)
        told = banner(status, self._page.site.robot().contract.rate_hz)
        self._badge.set_text(told.word)
        self._badge.props(f"color={told.color}")
        self._main.set_text("Stop and save" if records else "Start")
        self._main.props(f"icon={'stop' if records else 'fiber_manual_record'}")
        self._main.props(f"color={'negative' if records else 'primary'}")
        done, wanted = (status.values.get(key, "") if status else "" for key in ("episodes_done", "episodes_wanted"))
        of = f" of {wanted}" if wanted not in ("", "0") else ""
        self._count.set_text(f"{done}{of} episodes" if done else "")
        label = status.values.get("label", "none") if status else "none"
        said = told.detail or "start one: vgil launch record.launch.py ..."
        self._words.set_text(said + (f"; labelled {label}" if label != "none" else ""))


def _records(status: NodeStatus | None) -> bool:
    return status is not None and status.values.get("state") == "recording"
