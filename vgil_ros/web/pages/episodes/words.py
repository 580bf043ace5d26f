"""Words and colours of episodes, the same in the list and beside one episode."""

from __future__ import annotations

from urllib.parse import quote

from vgil_ros.web.episodes.verdicts import Verdict

LABEL_COLORS = {"success": "positive", "failure": "negative", "unsure": "warning"}
LABEL_KEYS = (("success", "y"), ("failure", "n"), ("unsure", "u"))
SEVERITY_COLORS = {"error": "#c62828", "warning": "#b26a00", "info": "#1565c0"}
SEVERITY_ICONS = {"error": "error", "warning": "warning", "info": "info"}


def address_of(place: str) -> str:
    """The page of an episode."""
    return f"/episodes/{quote(place)}"


def list_of(folder: str) -> str:
    """The page of a folder's list."""
    return f"/episodes?folder={quote(folder, safe='')}"


def thumbnail_of(place: str, version: str) -> str:
    """The address of an episode's small picture."""
    return f"/episode/{quote(place)}/thumb.jpg?v={version}"


def frame_of(place: str, camera: str, row: int | str, version: str, *, depth: bool = False) -> str:
    """The address of one row of one camera."""
    address = f"/episode/{quote(place)}/frame/{quote(camera, safe='')}/{row}.jpg?v={version}"
    return f"{address}&depth=1" if depth else address


def together_of(place: str, row: int | str, version: str) -> str:
    """The address of one row of all cameras, as one small picture."""
    return f"/episode/{quote(place)}/together/{row}.jpg?v={version}"


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float | None) -> str:
    """Seconds in words."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02d} min"


def verdict_color(verdict: Verdict | None) -> str:
    """Quasar's colour of a verdict."""
    if verdict is None:
        return "grey-7"
    return "negative" if verdict.count("error") else "warning" if verdict.count("warning") else "positive"
