"""The lines of a contract that would have a camera as it is now: what `vgil cameras` offers to copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vgil_ros.core.contract import Camera, CameraControls
from vgil_ros.robots.webcam.finding import Found
from vgil_ros.robots.webcam.offers import FORMATS, Offer

USUAL = (480, 640), 30.0  # (height, width) and fps that policies are trained on
SHOWN = ("exposure", "gain", "white_balance", "focus")  # what changes an image most, and by itself


def usual_offer(found: Found) -> tuple[str, Offer, tuple[int, int], float] | None:
    """(type in the contract, offer, (height, width), fps) that one would take: a JPEG of 640x480 at 30 Hz, or the
    nearest to it; None where the camera offers nothing that can be used."""
    best: tuple[tuple[float, ...], str, Offer, tuple[int, int], float] | None = None
    for order, (kind, formats) in enumerate(FORMATS.items()):
        for offer in found.offers:
            if offer.format not in formats:
                continue
            size = _near(offer)
            fps = min(offer.rates or (USUAL[1],), key=lambda rate: abs(rate - USUAL[1]))
            far = abs(size[0] - USUAL[0][0]) + abs(size[1] - USUAL[0][1])
            rank = (float(fps < USUAL[1] * 0.9), order, far, list(formats).index(offer.format))
            if best is None or rank < best[0]:
                best = rank, kind, offer, size, fps
    return None if best is None else best[1:]


def _near(offer: Offer) -> tuple[int, int]:
    """The size of an offer that is nearest to the usual one."""
    return tuple(  # type: ignore[return-value]
        min(high, max(low, low + (wanted - low) // max(step, 1) * max(step, 1)))
        for wanted, (low, high, step) in zip(USUAL[0], (offer.heights, offer.widths), strict=True)
    )


def as_camera(found: Found, name: str) -> Camera | None:
    """A camera of a contract that has this device as it is now; None where it offers nothing that can be used."""
    usual = usual_offer(found)
    if usual is None:
        return None
    kind, _, (height, width), fps = usual
    topic = f"/{name}/{'image_raw/compressed' if kind == 'compressed' else 'image_raw'}"
    values = {one: value for one, (_, value, _) in (found.controls or {}).items() if one in SHOWN}
    return Camera(
        name=name,
        topic=topic,
        type="compressed" if kind == "compressed" else "image",
        height=height,
        width=width,
        device=found.path,
        fps=round(fps, 3),
        controls=CameraControls(**values) if values else None,
    )


def contract_lines(cameras: Iterable[Camera]) -> list[str]:
    """The lines of a contract for these cameras."""
    return ["cameras:", *(line for camera in cameras for line in _lines(camera))]


def _lines(camera: Camera) -> Iterator[str]:
    yield f"  - name: {camera.name}"
    yield f"    topic: {camera.topic}"
    yield f"    type: {camera.type}"
    yield f"    height: {camera.height}"
    yield f"    width: {camera.width}"
    yield f"    device: {camera.device}"
    yield f"    fps: {camera.capture_fps:g}"
    if camera.controls:
        values = ", ".join(f"{name}: {value}" for name, value in camera.controls.given().items())
        yield f"    controls: {{{values}}}"
