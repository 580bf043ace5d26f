"""The page of `vgil preflight --report`: the verdict, every finding, and each camera beside what training saw."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

import vgil_ros
from vgil_ros.cli.demo.html import Html, element, page, table
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.preflight.cameras import View, placement, views_of
from vgil_ros.evaluation.preflight.findings import Case, Finding, verdict_of
from vgil_ros.policies.reference import views
from vgil_ros.robots.robot_check import Verdict, verdict_words

WRAPPED = "white-space:normal;min-width:12rem"  # table cells do not wrap by themselves
SHOWN = 4  # of training's first images
SIGNS = {Verdict.GO: ("go", "good"), Verdict.LOOK: ("look", "dim"), Verdict.NO_GO: ("no-go", "bad")}


def write_page(case: Case, findings: Sequence[Finding], out: Path) -> None:
    """Write one self-standing page.

    Raises:
        VgilError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render(case, findings), encoding="utf-8")
    except OSError as error:
        raise VgilError(f"--report {out}: cannot be written ({error.strerror})") from error


def render(case: Case, findings: Sequence[Finding]) -> str:
    """The page as HTML; images are within it."""
    subject, words = case.subject, verdict_words(findings)
    robot, source = subject.layout.contract.name, "nothing" if case.seen is None else case.seen.source
    go = verdict_of(findings) is not Verdict.NO_GO
    return page(
        f"{words}: {subject.config.type} on {robot}",
        element("h1", words, class_="good" if go else "bad"),
        element("p", f"{subject.config.type} on robot {robot}; seen: {source} · vgil_ros {vgil_ros.__version__}"),
        _table(findings),
        *_cameras(case, findings),
    )


def _table(findings: Sequence[Finding]) -> Html:
    order = sorted(findings, key=lambda finding: (Verdict.NO_GO, Verdict.LOOK, Verdict.GO).index(finding.verdict))
    lines = []
    for finding in order:
        word, kind = SIGNS[finding.verdict]
        texts = (finding.found, finding.allowed, finding.advice)
        cells = [element("div", text, style=WRAPPED) for text in texts]
        lines.append((element("span", word, class_=kind), finding.check, finding.about, *cells))
    return table(("", "check", "of", "found", "allowed", "what to do"), lines)


def _cameras(case: Case, findings: Sequence[Finding]) -> Iterator[Html]:
    found = views_of(case)
    if found:
        yield element("h2", "What it sees, beside what training began with")
        words = "Over each other: training in red, now in blue-green; what lies where it did is grey."
        yield element("p", words)
    for name, view in found.items():
        told = [f for f in findings if f.verdict is not Verdict.GO and name in f.about.split(", ")]
        texts = [element("p", f"{finding.check}: {finding.found}", class_="bad") for finding in told]
        yield element("div", element("h3", name), *texts, element("p", _measured(view)), _pictures(view), class_="card")


def _measured(view: View) -> str:
    """Shift, turn and light in figures."""
    known = view.reference.looks[:, 0]
    light = f"brightness {view.looks[0]:.0f}, training's {float(np.median(known)):.0f}" if len(known) else ""
    place = placement(view)
    if place is None:
        return light
    width = view.images.shape[2]
    moved = f"shifted by {place.dx * width:+.1f}, {place.dy * width:+.1f} pixels, turned by {place.turn:+.1f} degrees"
    return f"{moved}; likeness {place.before:.2f}, {place.after:.2f} when laid back; {light}"


def _pictures(view: View) -> Html:
    usual, ours = view.reference.usual, view.small
    over = np.dstack([views.grey(usual), views.grey(ours), views.grey(ours)]).astype(np.uint8)
    first = [(image, "a first image of training") for image in view.reference.first[:SHOWN]]
    shown = [(usual, "training, the median of first images"), (ours, "now"), (over, "over each other"), *first]
    return element("div", *(_picture(image, caption) for image, caption in shown), class_="thumbs")


def _picture(image: np.ndarray, caption: str) -> Html:
    larger = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    source = f"data:image/jpeg;base64,{base64.b64encode(views.encode(larger, 80)).decode('ascii')}"
    shown = element("img", src=source, alt=caption, loading="lazy", style="width:240px")
    return element("figure", shown, element("figcaption", caption), style="display:inline-block;margin:0 .5rem .5rem 0")
