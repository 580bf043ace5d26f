"""What a camera offers (formats, sizes, rates) held against what the contract wants: a choice, or a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vgil_ros.core.contract import Camera, Contract
from vgil_ros.core.errors import VgilError

# V4L2's letters of a format, in the order in which they are taken, and the encoding of the message
FORMATS: dict[str, dict[str, str]] = {
    "compressed": {"MJPG": "jpeg", "JPEG": "jpeg"},
    "image": {
        "YUYV": "yuv422_yuy2",
        "UYVY": "uyvy",
        "NV12": "nv12",
        "RGB3": "rgb8",
        "BGR3": "bgr8",
        "GREY": "mono8",
    },
}
RATE_SHARE = 0.02  # cameras that say 30 send 29.97
Span = tuple[int, int, int]  # least, most, step


class Refused(VgilError):
    """A camera that cannot give what the contract wants."""


@dataclass(frozen=True)
class Offer:
    """One size, or a range of sizes, of one format.

    Attributes:
        format: V4L2's letters, such as MJPG.
        widths, heights: pixels; (640, 640, 1) of a single size.
        rates: frames a second, the highest first; empty where the driver does not tell.
        any_rate: whether every rate between the lowest and the highest is offered.
    """

    format: str
    widths: Span
    heights: Span
    rates: tuple[float, ...] = ()
    any_rate: bool = False

    def has_size(self, height: int, width: int) -> bool:
        """Whether it has this size."""
        return _in(width, self.widths) and _in(height, self.heights)

    def has_rate(self, fps: float) -> bool:
        """Whether it has this rate, or does not tell its rates."""
        if not self.rates:
            return True
        if self.any_rate:
            return min(self.rates) * (1 - RATE_SHARE) <= fps <= max(self.rates) * (1 + RATE_SHARE)
        return any(same_rate(rate, fps) for rate in self.rates)

    @property
    def size_words(self) -> str:
        """Its size, as one says it: width x height."""
        if self.widths[0] == self.widths[1] and self.heights[0] == self.heights[1]:
            return f"{self.widths[0]}x{self.heights[0]}"
        return f"{self.widths[0]}x{self.heights[0]} to {self.widths[1]}x{self.heights[1]}"

    @property
    def rate_words(self) -> str:
        """Its rates."""
        if not self.rates:
            return "at rates that it does not tell"
        if self.any_rate:
            return f"at {min(self.rates):g} to {max(self.rates):g} Hz"
        return f"at {', '.join(f'{rate:.4g}' for rate in self.rates)} Hz"


def same_rate(rate: float, fps: float) -> bool:
    """Whether two rates are one, but for rounding."""
    return abs(rate - fps) <= RATE_SHARE * fps


def _in(value: int, span: Span) -> bool:
    least, most, step = span
    return least <= value <= most and (value - least) % max(step, 1) == 0


def listed(offers: Iterable[Offer]) -> str:
    """Offers in one line."""
    return "; ".join(f"{one.format} {one.size_words} {one.rate_words}" for one in offers) or "nothing"


def choose_format(camera: Camera, fps: float, formats: Sequence[str], offers: Sequence[Offer]) -> str:
    """Return the format in which the camera gives what the contract wants.

    Args:
        camera: the contract's.
        fps: frames a second.
        formats: all that the device has, also those whose sizes its driver does not tell.
        offers: those whose sizes it tells.

    Raises:
        Refused: where there is none, with what the camera offers.
    """
    usable = [one for one in FORMATS[camera.type] if one in formats]
    wanted = f"{camera.width}x{camera.height} at {fps:g} Hz"
    if not usable:
        other = next((kind for kind in FORMATS if set(FORMATS[kind]) & set(formats)), None)
        hint = f"; it can be `type: {other}`" if other else ""
        raise Refused(
            f"{camera.name}: type '{camera.type}' needs one of the formats {list(FORMATS[camera.type])}; the camera"
            f" offers {list(formats)}{hint}"
        )
    for name in usable:
        own = [one for one in offers if one.format == name]
        if not own or any(one.has_size(camera.height, camera.width) and one.has_rate(fps) for one in own):
            return name
    sized = [one for one in offers if one.format in usable and one.has_size(camera.height, camera.width)]
    if sized:
        raise Refused(f"{camera.name}: {wanted} is not offered; allowed: `fps` of this size, {listed(sized)}")
    allowed = listed(one for one in offers if one.format in usable)
    raise Refused(f"{camera.name}: {wanted} is not offered; allowed: {allowed}")


def slow_for(camera: Camera, fps: float, contract: Contract) -> str | None:
    """In words: whether a rate leaves ticks without a frame of their own; None where it does not."""
    tolerance = camera.tolerance_ms if camera.tolerance_ms is not None else contract.sync.tolerance_ms
    farthest = 500.0 / fps
    if farthest > tolerance:
        return (
            f"{camera.name}: at {fps:g} Hz the nearest frame is up to {farthest:.1f} ms from a tick, and its"
            f" tolerance is {tolerance:g} ms: rows will be held; allowed: `fps` from {500.0 / tolerance:.3g}, or"
            f" `tolerance_ms` from {farthest:.1f}"
        )
    if fps < contract.rate_hz * (1 - RATE_SHARE):
        share = 100 * (1 - fps / contract.rate_hz)
        return (
            f"{camera.name}: {fps:g} Hz are below rate_hz {contract.rate_hz:g}: about {share:.0f} % of the rows show"
            " the image of the row before; give a higher `fps` or a lower `rate_hz` where that matters"
        )
    return None
