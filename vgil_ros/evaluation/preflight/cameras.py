"""Checks of images against those that training began with: order, colours, place, light, sharpness, content."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vgil_ros.core.streams import streams_of
from vgil_ros.evaluation.preflight.findings import Case, Finding
from vgil_ros.evaluation.preflight.registration import Placement, likeness, place
from vgil_ros.policies.reference import ViewReference, views
from vgil_ros.robots.robot_check import Verdict

MOST_ORDERS = 5040
SWAP_GAP, SWAP_SHARE = 0.01, 0.5  # likeness gained by another order; share of the unlikeness that is left
GREY_SCENE, COLOUR_SHARE = 4.0, 0.6  # grey levels between red and blue; share of the difference that is left
FLIP_GAP = 0.25  # likeness gained by turning an image over
SHIFT, TURN = 0.012, 1.2  # share of the width, degrees: below it nobody calls a camera moved
WIDER = 1.5  # times what training's own starts show
REGAINED = 0.02  # likeness that laying a view back must bring
LAID_BACK = 0.25  # likeness from which on a view that was laid back counts
DARK, CELL, CELL_LEVELS = 8.0, 0.25, 6.0  # grey levels; share and levels by which a part of a view may differ
SCENE = 0.06  # share of the view that may
LIGHT, LIGHT_LOOK = 0.15, 0.08  # shares by which brightness may differ from all of training
SHARP, SHARP_LOOK = 0.8, 0.45  # of the logarithm of detail
STILL_IMAGES = 3  # alike to the last bit: no sensor does that
MIRRORS = {"upside down": -1, "mirrored, left and right": 1, "mirrored, up and down": 0}  # as cv2.flip has them


@dataclass(frozen=True, eq=False)
class View:
    """A camera as it was seen, beside what training saw of it."""

    name: str
    images: np.ndarray  # (K, H, W, 3) uint8 RGB
    reference: ViewReference

    @cached_property
    def small(self) -> np.ndarray:
        """(h, w, 3) uint8: the median of the images, of the size of the reference's."""
        height, width = self.reference.usual.shape[:2]
        middle = views.usual(np.stack([views.small(image, width) for image in self.images[-5:]]))
        if middle.shape[:2] == (height, width):
            return middle
        made: np.ndarray = cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA)
        return made

    @cached_property
    def looks(self) -> np.ndarray:
        """(L,) in the order of `views.LOOKS`."""
        made: np.ndarray = np.median([views.look(image) for image in self.images[-5:]], axis=0)
        return made

    @cached_property
    def usual(self) -> np.ndarray:
        """(h, w) float32, grey, of training."""
        return views.grey(self.reference.usual)

    @cached_property
    def own_moves(self) -> tuple[float, float]:
        """The largest shift and turn (degrees) among training's own first images: 0 for a camera that stands."""
        found = [place(self.usual, views.grey(image)) for image in self.reference.first]
        moved = [one for one in found if one is not None and one.after > one.before + REGAINED]
        return max((one.shift for one in moved), default=0.0), max((abs(one.turn) for one in moved), default=0.0)


def views_of(case: Case) -> dict[str, View]:
    """The cameras of which both live and reference images are there."""
    if case.seen is None or case.reference is None:
        return {}
    both = {name: (images, case.reference.views.get(name)) for name, images in case.seen.images.items()}
    return {name: View(name, images, known) for name, (images, known) in both.items() if known and len(images)}


def check_cameras(case: Case) -> Iterator[Finding]:
    """All that can be wrong with images; cameras that are swapped are not judged further."""
    found = views_of(case)
    if case.seen is not None and case.reference is not None:
        for name in case.reference.views:
            wrong = case.seen.streams.get(name)
            if name not in found and (wrong is None or wrong.wrong is None):
                yield Finding("stream", name, Verdict.NO_GO, "no image", "images", "look at the camera and its topic")
    swapped = order_of(found)
    if swapped:
        cycle = ", ".join(f"{name} shows what {other} should" for name, other in swapped.items())
        advice = "exchange these cameras' topics (or devices) in the contract, or their cables"
        about = ", ".join(swapped)
        yield Finding("camera order", about, Verdict.NO_GO, cycle, "each camera its own view", advice)
    changing = {spec.name for spec in streams_of(case.subject.layout.contract) if spec.frozen_ns is not None}
    for name, view in found.items():
        if name in changing and _frozen(view.images):
            words = f"{len(view.images)} images alike to the last bit"
            advice = "start its driver anew; a sensor's noise changes every image (`frozen_ms: off` where it has none)"
            yield Finding("frozen camera", name, Verdict.NO_GO, words, "images that differ", advice)
        if name not in swapped:
            yield from _judge(view)


def order_of(found: Mapping[str, View]) -> dict[str, str]:
    """Which cameras show each other's view, {camera: whose view it shows}; empty where each has its own."""
    names = [name for name in found if found[name].usual.std() > 1]
    if not 2 <= len(names) <= 7:
        return {}
    alike = np.array([[_across(found[a], found[b]) for b in names] for a in names])
    orders = itertools.islice(itertools.permutations(range(len(names))), MOST_ORDERS)
    best = max(orders, key=lambda order: sum(alike[i, j] for i, j in enumerate(order)))
    out = {}
    for i, j in enumerate(best):
        if i == j:
            continue
        own, other = alike[i, i], alike[i, j]
        if other < own + SWAP_GAP or 1 - other > SWAP_SHARE * (1 - own):
            return {}
        out[names[i]] = names[j]
    return out


def _across(view: View, other: View) -> float:
    """Likeness of what a camera shows with the usual view of another one."""
    height, width = other.usual.shape
    return likeness(other.usual, cv2.resize(views.grey(view.small), (width, height), interpolation=cv2.INTER_AREA))


def _judge(view: View) -> Iterator[Finding]:
    colour = list(_colour(view))
    yield from colour
    light = list(_light(view))
    yield from light
    moved = list(_moved(view))
    yield from moved
    if not any(finding.verdict is Verdict.NO_GO for finding in light):
        yield from _sharpness(view)
    if not any(finding.verdict is Verdict.NO_GO for finding in (*moved, *light, *colour)):
        yield from _content(view)


def _frozen(images: np.ndarray) -> bool:
    return len(images) >= STILL_IMAGES and all(np.array_equal(images[0], image) for image in images[1:])


def _colour(view: View) -> Iterator[Finding]:
    """Red and blue exchanged, as by a driver that says RGB and sends BGR."""
    usual, ours = view.reference.usual.astype(np.float32), view.small.astype(np.float32)
    colour = float(np.abs(usual[..., 0] - usual[..., 2]).mean())
    if colour < GREY_SCENE:
        words = f"the scene is grey ({colour:.1f} levels between red and blue): the order of colours cannot be told"
        yield Finding("colour order", view.name, Verdict.GO, words)
        return
    ours = ours * (usual.mean() / max(float(ours.mean()), 1.0))
    tint = usual[..., 0] - usual[..., 2]
    straight, swapped = (float(np.abs(sign * (ours[..., 0] - ours[..., 2]) - tint).mean()) for sign in (1, -1))
    if swapped < COLOUR_SHARE * straight:
        words = f"red and blue exchanged: exchanged back, they differ by {swapped:.0f} levels instead of {straight:.0f}"
        advice = "the driver's `encoding` (rgb8, bgr8) does not say what it sends, or data were recorded so: mend it"
        yield Finding("colour order", view.name, Verdict.NO_GO, words, "colours as in training", advice)
    else:
        yield Finding("colour order", view.name, Verdict.GO, f"red and blue differ by {straight:.0f} levels")


def _light(view: View) -> Iterator[Finding]:
    """Brighter or darker all over: by the median over the parts of the image, which one thing does not change."""
    cells = _cells(view)
    if cells is None:
        return
    ratio, known = cells.ratio, view.reference.looks[:, 0] / max(float(np.median(view.reference.looks[:, 0])), 1.0)
    low, high = float(known.min()), float(known.max())
    found, allowed = f"{ratio:.0%} of training's brightness", f"{low * (1 - LIGHT):.0%} to {high * (1 + LIGHT):.0%}"
    off = max(low / ratio, ratio / high) - 1
    if off > LIGHT:
        advice = "light the scene as it was, or set exposure and gain to the training's (`controls` in the contract)"
        check = "dimmed light" if ratio < low else "bright light"
        yield Finding(check, view.name, Verdict.NO_GO, found, allowed, advice)
    elif off > LIGHT_LOOK:
        yield Finding("light", view.name, Verdict.LOOK, found, allowed, "look at the light and the exposure")
    else:
        yield Finding("light", view.name, Verdict.GO, found, allowed)


@dataclass(frozen=True)
class _Cells:
    """The parts of an image against those of training's first images.

    Attributes:
        ratio: median of their brightness over the usual one.
        unlike: share of the parts that, in this light, training never showed so.
        usual: the largest such share of one of training's own among the others.
    """

    ratio: float
    unlike: float
    usual: float


def _cells(view: View) -> _Cells | None:
    known = view.reference.summaries.astype(np.float32)
    if not len(known):
        return None
    ours = np.median([views.summary(image) for image in view.images[-5:]], axis=0).astype(np.float32)
    ratio, unlike = _unlike(ours, known)
    among = [_unlike(one, np.delete(known, i, axis=0))[1] for i, one in enumerate(known) if len(known) > 2]
    return _Cells(ratio, unlike, max(among, default=0.0))


def _unlike(ours: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """(median ratio of light, share of the cells outside of what was known in that light); (S,) and (M, S)."""
    ratio = float(np.median((ours + DARK) / (np.median(known, axis=0) + DARK)))
    lit = ours / max(ratio, 1e-3)
    within = (lit >= known.min(0) * (1 - CELL) - CELL_LEVELS) & (lit <= known.max(0) * (1 + CELL) + CELL_LEVELS)
    return ratio, float(1.0 - within.mean())


def _sharpness(view: View) -> Iterator[Finding]:
    looks = view.reference.looks
    if not len(looks):
        return
    ours, low = float(view.looks[2]), float(looks[:, 2].min())
    found, allowed = f"detail {ours:.2f}", f"{low - SHARP:.2f} or more; training had {low:.2f} and more"
    if ours < low - SHARP:
        advice = "clean the lens, set its focus, and look for motion"
        yield Finding("blur", view.name, Verdict.NO_GO, found, allowed, advice)
    elif ours < low - SHARP_LOOK:
        yield Finding("blur", view.name, Verdict.LOOK, found, allowed, "is the lens clean, and in focus?")
    else:
        yield Finding("blur", view.name, Verdict.GO, found, allowed)


def placement(view: View) -> Placement | None:
    """Where a view lies against training's usual one."""
    return place(view.usual, views.grey(view.small))


def _moved(view: View) -> Iterator[Finding]:
    ours = views.grey(view.small)
    found = placement(view)
    if found is None:
        words = "it shows nothing to go by, or training's did not"
        yield Finding("camera moved", view.name, Verdict.LOOK, words, "a view with some contrast", "look at the image")
        return
    for words, how in MIRRORS.items():
        if likeness(view.usual, cv2.flip(ours, how)) > max(found.before, found.after) + FLIP_GAP:
            advice = "turn the camera, or the driver's flip setting, back"
            yield Finding("camera turned over", view.name, Verdict.NO_GO, words, "as in training", advice)
            return
    shift, turn, width = SHIFT, TURN, view.images.shape[2]
    if found.shift > shift or abs(found.turn) > turn:  # a camera that rides on the arm moves in training too
        shift, turn = (max(least, WIDER * own) for least, own in zip((SHIFT, TURN), view.own_moves, strict=True))
    words = f"turned by {found.turn:.1f} degrees, shifted by {found.shift * width:.0f} pixels"
    allowed = f"{turn:.1f} degrees, {shift * width:.0f} pixels"
    away = found.shift > shift or abs(found.turn) > turn
    if away and found.after > found.before + REGAINED and found.after > LAID_BACK:
        advice = "put it back as it was: the page shows both images, and the way from one to the other"
        verdict = Verdict.LOOK if abs(found.turn) <= 2 * turn and found.shift <= 1.5 * shift else Verdict.NO_GO
        yield Finding("camera moved", view.name, verdict, words, allowed, advice)
    else:
        yield Finding("camera moved", view.name, Verdict.GO, words, allowed)


def _content(view: View) -> Iterator[Finding]:
    """Something else is in the view, or something is gone."""
    cells = _cells(view)
    if cells is None:
        return
    most = max(SCENE, WIDER * cells.usual)
    found, allowed = f"{cells.unlike:.0%} of the view as training never had it", f"{most:.0%}"
    if cells.unlike > most:
        verdict = Verdict.NO_GO if cells.unlike > 2 * most else Verdict.LOOK
        advice = "compare both images on the page: what stands there that did not, or the other way round?"
        yield Finding("scene", view.name, verdict, found, allowed, advice)
    else:
        yield Finding("scene", view.name, Verdict.GO, found, allowed)
