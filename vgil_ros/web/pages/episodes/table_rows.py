"""Rows of the list: which are shown, in which order, and what the browser is told of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.web.episodes.listing import Listing, Row
from vgil_ros.web.episodes.search import Search
from vgil_ros.web.episodes.store import EpisodeStore
from vgil_ros.web.episodes.verdicts import Verdict
from vgil_ros.web.pages.episodes.words import (
    LABEL_COLORS,
    address_of,
    duration,
    size,
    thumbnail_of,
    verdict_color,
)

PAGES = (25, 50, 100)
RECORDED = "being recorded"


@dataclass(frozen=True)
class View:
    """What of a list is shown.

    Attributes:
        page: from 1. per_page: rows on one.
        sort: a column's name. descending: the greatest first.
    """

    page: int = 1
    per_page: int = PAGES[0]
    sort: str = "name"
    descending: bool = True
    search: Search = field(default_factory=Search)

    def asked(self, pagination: dict[str, Any]) -> View:
        """The view that a browser asks for."""
        per_page = int(pagination.get("rowsPerPage") or PAGES[-1])
        return replace(
            self,
            page=max(1, int(pagination.get("page") or 1)),
            per_page=min(max(per_page, 1), PAGES[-1]),
            sort=str(pagination.get("sortBy") or "name"),
            descending=bool(pagination.get("descending")),
        )


def chosen(listing: Listing, view: View, verdict_of: Callable[[Row], Verdict | None]) -> list[Row]:
    """All rows that match, in their order.

    Raises:
        VgilError: where a sentence compares what cannot be compared.
    """
    rows = [row for row in listing.rows() if view.search.matches(row)]
    if view.sort == "name":  # as listed: by number, aborted ones and parts behind
        return rows[::-1] if view.descending else rows
    known: list[tuple[Any, Row]] = []
    unknown: list[tuple[Any, Row]] = []
    for row in rows:
        value = _sort_value(row, view.sort, verdict_of)
        (unknown if value is None else known).append((value, row))
    known.sort(key=lambda pair: pair[0], reverse=view.descending)
    return [row for _, row in (*known, *unknown)]


def _sort_value(row: Row, column: str, verdict_of: Callable[[Row], Verdict | None]) -> Any:
    line = row.line
    if column == "verdict":
        verdict = verdict_of(row)
        return None if verdict is None else (verdict.count("error"), verdict.count("warning"))
    if column == "size":
        return row.state[2]
    if line is None:
        return None
    values = {"rows": line.rows, "length": line.seconds, "task": line.task, "label": line.label}
    values |= {"operator": line.operator, "tags": ", ".join(line.tags)}
    value = values.get(column)
    return None if value == "" else value


def shown(store: EpisodeStore, row: Row) -> dict[str, Any]:
    """What the browser is told of a row."""
    place, line = store.folders.place(row.path), row.line
    verdict = store.verdicts.of(row.path, row.state)
    told: dict[str, Any] = {
        "name": row.name,
        "href": "" if row.part else address_of(place),
        "thumb": "" if row.part or line is None or not line.cameras else thumbnail_of(place, row.version),
        "size": size(row.state[2]),
        "verdict": RECORDED if row.part else verdict.words if verdict else "…",
        "verdict_color": "negative" if row.part else verdict_color(verdict),
        "reason": verdict.reason if verdict else "",
    }
    if line is None:
        return told
    return told | {
        "rows": line.rows,
        "length": duration(line.seconds),
        "task": line.task or "",
        "label": line.label or "",
        "label_color": LABEL_COLORS.get(line.label or "", "grey-7"),
        "tags": ", ".join(line.tags),
        "operator": line.operator or "",
        "notes": "" if row.part else "; ".join((*line.problems, *([line.note] if line.note else []))),
    }


def page_of(rows: Sequence[Row], view: View) -> tuple[int, list[Row]]:
    """The page that is shown, no further than there are rows, and its rows."""
    last = max(1, -(-len(rows) // view.per_page))
    page = min(view.page, last)
    return page, list(rows[(page - 1) * view.per_page : page * view.per_page])


def matching(listing: Listing, view: View, store: EpisodeStore) -> tuple[list[Row], str]:
    """All rows that match, and what is wrong with the search, in words; nothing matches then."""
    try:
        return chosen(listing, view, lambda row: store.verdicts.of(row.path, row.state)), view.search.fault or ""
    except VgilError as error:
        return [], str(error)
