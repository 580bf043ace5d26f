"""The page of `vgil dataset check --report`: figures, distributions, a ranked table, and images of what was flagged."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import vgil_ros
from vgil_ros.cli.demo.html import Html, element, figure_boxes, page, table
from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.features.summary import Summary
from vgil_ros.datasets.quality.report import QualityReport, Verdict

MOST_ROWS, MOST_CARDS, MOST_CAMERAS = 200, 60, 4
BAR, FLAGGED = "#7f9cbf", "#c0392b"
WRAPPED = "white-space:normal;min-width:14rem"  # table cells do not wrap by themselves


def write_page(report: QualityReport, out: Path) -> None:
    """Write one self-standing page.

    Raises:
        VgilError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render(report), encoding="utf-8")
    except OSError as error:
        raise VgilError(f"--report {out}: cannot be written ({error.strerror})") from error


def render(report: QualityReport) -> str:
    """The page as HTML; images are within it."""
    flagged, errors, name = report.ranked, report.bad("error"), report.path.resolve().name
    rows = sum(one.rows for one in report.data.summaries)
    facts = [
        (str(len(report.verdicts)), "episodes"),
        (str(rows), "rows"),
        (str(len(flagged)), "episodes with findings"),
        (str(len(errors)), "of them with errors"),
    ]
    return page(
        f"Quality of {name}",
        element("h1", f"Quality of {name}"),
        element("p", f"{report.path} ({report.kind}) · vgil_ros {vgil_ros.__version__}", class_="dim"),
        figure_boxes(facts),
        *_counts(report),
        *_whole(report),
        element("h2", "How episodes are spread"),
        element("p", "Each bar counts episodes; those with findings are red. One far from the rest is worth a look."),
        _picture(distributions(report), "image/png", "distributions over the episodes"),
        *_ranked(report, flagged),
        *_cards(report, flagged),
    )


def _counts(report: QualityReport) -> Iterator[Html]:
    counts = report.counts().most_common()
    if counts:
        yield element("h2", "What was found")
        yield table(("check", "episodes"), [(check, str(count)) for check, count in counts])


def _whole(report: QualityReport) -> Iterator[Html]:
    if report.whole:
        yield element("h2", "Of the whole set")
        yield _findings(report.whole)


def _findings(found: tuple[Found, ...]) -> Html:
    lines = []
    for one in found:
        where = f"rows {one.finding.where}" if one.finding.rows else ""
        severity = element("span", one.finding.severity, class_="bad" if one.finding.severity == "error" else "dim")
        words = (element("div", text, style=WRAPPED) for text in (one.finding.message, one.advice))
        lines.append((severity, one.finding.check, one.finding.stream, next(words), where, next(words)))
    return table(("", "check", "stream", "found", "where", "what to do"), lines)


def _ranked(report: QualityReport, flagged: list[Verdict]) -> Iterator[Html]:
    yield element("h2", "Worst first")
    if not flagged:
        yield element("p", "No episode has an error or a warning.", class_="good")
        return
    summaries = {one.number: one for one in report.data.summaries}
    rows = []
    for verdict in flagged[:MOST_ROWS]:
        one = summaries.get(verdict.number)
        checks = sorted({found.finding.check for found in verdict.of("error", "warning")})
        link = element("a", verdict.name, href=f"#e{verdict.number}")
        length = "" if one is None else f"{one.rows}"
        errors, warnings = len(verdict.of("error")), len(verdict.of("warning"))
        rows.append((link, str(errors), str(warnings), length, ", ".join(checks)))
    yield table(("episode", "errors", "warnings", "rows", "checks"), rows)
    if len(flagged) > MOST_ROWS:
        yield element("p", f"and {len(flagged) - MOST_ROWS} more; --json has them all", class_="dim")


def _cards(report: QualityReport, flagged: list[Verdict]) -> Iterator[Html]:
    summaries = {one.number: one for one in report.data.summaries}
    for verdict in flagged[:MOST_CARDS]:
        one = summaries.get(verdict.number)
        yield element(
            "div",
            element("h3", verdict.name),
            element("div", *_thumbnails(one), class_="thumbs") if one is not None else None,
            _findings(verdict.of("error", "warning")),
            class_="card",
            id=f"e{verdict.number}",
        )


def _thumbnails(one: Summary) -> Iterator[Html]:
    for name, look in list(one.looks.items())[:MOST_CAMERAS]:
        yield _picture(look.picture, "image/jpeg", f"{name}, the middle of the episode", style="width:160px")


def _picture(data: bytes, kind: str, caption: str, **attributes: str) -> Html:
    source = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    shown = element("img", src=source, alt=caption, loading="lazy", **attributes)
    return element("figure", shown, element("figcaption", caption), style="display:inline-block;margin:0 .5rem .5rem 0")


def distributions(report: QualityReport) -> bytes:
    """A PNG: one histogram a quantity, episodes with findings in red."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    flagged = {verdict.number for verdict in report.ranked}
    panels = quantities(report.data)
    lines = -(-len(panels) // 4)
    figure = Figure(figsize=(13, 2.4 * lines + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Any] = list(np.ravel(figure.subplots(lines, 4, squeeze=False)))
    for place, panel in enumerate(axes):
        if place >= len(panels):
            panel.set_axis_off()
            continue
        name, values = panels[place]
        known = {number: value for number, value in values.items() if np.isfinite(value)}
        if known:
            edges = np.histogram_bin_edges(list(known.values()), bins=24)
            parts = [[v for n, v in known.items() if (n in flagged) == red] for red in (False, True)]
            panel.hist(parts, bins=edges, stacked=True, color=[BAR, FLAGGED])
        panel.set_title(name, fontsize=9, color="#444444")
        panel.tick_params(labelsize=7)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, format="png")
    return buffer.getvalue()


def quantities(data: DataSet) -> list[tuple[str, dict[int, float]]]:
    """What is drawn: (name, value by episode)."""
    moved = [(one.number, one, one.motion) for one in data.summaries if one.motion is not None]
    found: list[tuple[str, dict[int, float]]] = [
        ("rows", {one.number: float(one.rows) for one in data.summaries}),
        ("speed, rad/s", {number: motion.speed for number, _, motion in moved}),
        ("smoothness, LDLJ", {number: motion.ldlj for number, _, motion in moved}),
        ("smoothness, SPARC", {number: motion.sparc for number, _, motion in moved}),
        ("idle start, s", {number: motion.idle_start / one.rate for number, one, motion in moved}),
        ("idle end, s", {number: motion.idle_end / one.rate for number, one, motion in moved}),
    ]
    cameras = sorted({name for one in data.summaries for name in one.looks})[:MOST_CAMERAS]
    for camera in cameras:
        looks = {one.number: one.looks[camera] for one in data.summaries if camera in one.looks}
        found.append((f"{camera}: brightness", {n: float(np.median(look.brightness)) for n, look in looks.items()}))
        found.append((f"{camera}: sharpness", {n: float(np.median(look.sharpness)) for n, look in looks.items()}))
    return found
