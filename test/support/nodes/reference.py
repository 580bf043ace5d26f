"""The reference pages' tables, read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference"
_CODE = re.compile(r"`([^`]+)`")


def rows(page: str, section: str, head: str) -> list[list[str]]:
    """The cells of the tables below a heading (## SECTION) whose first column has this head."""
    text = (DOCS / page).read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.M)
    body = next(part for part in parts if part.startswith(section + "\n"))
    found: list[list[str]] = []
    inside = False
    for line in body.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == head:
            inside = True
        elif inside and _CODE.search(cells[0]):
            found.append(cells)
    return found


def names(cells: list[list[str]]) -> list[str]:
    """What stands in code in the first cells."""
    return [name for row in cells for name in _CODE.findall(row[0])]


def node_parameters(node: str) -> set[str]:
    """The parameters that the page Nodes lists for a node; every node has `robot`."""
    return {"robot", *names(rows("nodes.md", node, "parameter"))}


def launch_arguments(file: str) -> set[str]:
    """The arguments that the page Launch lists for a launch file (record, policy, ...)."""
    simulated = {"record", "policy", "teleop", "replay", "sim"}
    every = simulated | {"bringup", "drivers"}
    found = set()
    for row in rows("launch.md", "The arguments", "argument"):
        files = {"all": every, "with the simulator": simulated}.get(row[1], set(row[1].split(", ")))
        found |= set(_CODE.findall(row[0])) if file in files else set()
    return found


def status_keys(*sections: str, streams: Sequence[str]) -> set[str]:
    """The keys that the page Status keys lists in its sections, but for those of single limits."""
    listed = names([row for section in sections for row in rows("status.md", section, "key")])
    return _for_each(listed, streams) - {"safety_events_LIMIT"}


def deprecated_keys(streams: Sequence[str]) -> set[str]:
    """The keys that the page lists as those of the release before."""
    return _for_each(names(rows("status.md", "Deprecated keys", "deprecated")), streams)


SOMETIMES = (  # keys of figures of which there may be none
    *("held_STREAM", "missed_STREAM", "last_episode", "last_verdict", "last_words"),
    *("operator", "object", "scene", "note"),
    *("actor", "takeovers", "master_ARM", "takeover_score", "score_lacks", "disagreement", "novelty"),
    *("latency_histogram", "observation_age_p50_ms", "observation_age_p99_ms"),
)


def assert_documented(keys: Iterable[str], *sections: str, streams: Sequence[str]) -> None:
    """Hold the keys of a status against its sections of the page, both ways; some are there now and then."""
    old, today = deprecated_keys(streams), status_keys(*sections, streams=streams)
    found = {key for key in keys if not key.startswith("safety_events_")} - old
    assert found - today == set()
    assert today - found - _for_each(SOMETIMES, streams) == set()


def _for_each(listed: Iterable[str], streams: Sequence[str]) -> set[str]:
    return {name.replace("STREAM", stream) for name in listed for stream in streams}
