"""Checks of time: how long an inference takes, and how often streams come."""

from __future__ import annotations

from collections.abc import Iterator

from vgil_ros.evaluation.preflight.findings import Case, Finding, Seen
from vgil_ros.robots.robot_check import Verdict

SLOW, TOO_SLOW = 0.85, 0.6  # shares of the usual rate of a stream
NEAR = 0.5  # of the watchdog's time, from which on an inference is spoken of


def check_latency(case: Case) -> Iterator[Finding]:
    """An inference must be over before the watchdog holds the robot, and before the chunk is played."""
    subject = case.subject
    latency = subject.latency
    if latency is None:
        return
    chunk_s = subject.config.chunk_size / subject.layout.contract.rate_hz
    allowed_s = min(subject.watchdog_s, chunk_s)
    which = "the watchdog" if subject.watchdog_s <= chunk_s else f"a chunk of {subject.config.chunk_size} actions"
    found = f"{latency.median_s * 1e3:.0f} ms, up to {latency.longest_s * 1e3:.0f} ms, in {latency.count} inferences"
    allowed = f"up to {allowed_s * 1e3:.0f} ms, {which}"
    if latency.median_s > allowed_s:
        advice = "a faster device, a smaller policy, or a longer watchdog_ms if the robot may wait so long"
        yield Finding("latency", "", Verdict.NO_GO, found, allowed, advice)
    elif latency.longest_s > allowed_s or latency.median_s > NEAR * allowed_s:
        advice = "it is near the limit: end what else runs on this computer"
        yield Finding("latency", "", Verdict.LOOK, found, allowed, advice)
    else:
        yield Finding("latency", "", Verdict.GO, found, allowed)


def check_streams(case: Case) -> Iterator[Finding]:
    """Streams that do not come, that cannot be used, or that come more slowly than in training."""
    seen = case.seen
    if seen is None:
        return
    rate_hz = case.subject.layout.contract.rate_hz
    for name, stream in seen.streams.items():
        if stream.wrong is not None:
            advice = "mend the stream; `vgil topics --robot` shows what is there"
            check = "frozen camera" if "frozen" in stream.wrong else "stream"
            yield Finding(check, name, Verdict.NO_GO, stream.wrong.removeprefix(f"{name}: "), "a stream", advice)
    for name, rate in _rates(seen).items():
        view = None if case.reference is None else case.reference.views.get(name)
        usual = rate_hz if view is None or view.fps is None else view.fps
        whose = "the robot's rate" if view is None or view.fps is None else "as in training"
        found, allowed = f"{rate:.1f} a second", f"{SLOW * usual:.1f} or more; {usual:.1f} {whose}"
        if rate < TOO_SLOW * usual:
            advice = "set the driver to the rate that the training data had; look at exposure time and USB bandwidth"
            yield Finding("stream rate", name, Verdict.NO_GO, found, allowed, advice)
        elif rate < SLOW * usual:
            yield Finding("stream rate", name, Verdict.LOOK, found, allowed, "look at what slows it down")
        else:
            yield Finding("stream rate", name, Verdict.GO, found, allowed)


def _rates(seen: Seen) -> dict[str, float]:
    """Messages a second of the streams that can be used, or new images where streams were not listened to."""
    told = {name: stream.rate_hz for name, stream in seen.streams.items() if stream.wrong is None}
    return {name: rate for name, rate in seen.fps.items() if name not in seen.streams and rate > 0} | told
