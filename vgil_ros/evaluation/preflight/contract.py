"""Checks of the checkpoint against the contract, and of its normaliser against the training data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.evaluation.preflight.findings import Case, Finding
from vgil_ros.policies.compatibility import RATE_TOLERANCE
from vgil_ros.policies.reference import Spread
from vgil_ros.robots.robot_check import Verdict

MEAN_OFF = 0.5  # standard deviations by which a normaliser's mean may differ from the data's
STD_RATIO = 1.6  # by which its spread may, to either side
RANGE_OFF = 0.25  # of the range, by which its ends may
STD_FLOOR = 1e-2  # below which a normaliser takes this, see `policies.normalizer`


def check_contract(case: Case) -> Iterator[Finding]:
    """Every mismatch between checkpoint and contract, by what it is of."""
    subject = case.subject
    name = subject.layout.contract.name
    for words in subject.mismatches:
        check, about = _kind(words)
        advice = ADVICE[check]
        yield Finding(
            check, about, Verdict.NO_GO, words, f"what the checkpoint was trained on, on robot {name}", advice
        )
    if not subject.mismatches:
        yield Finding("checkpoint", "", Verdict.GO, f"it fits robot '{name}'")
    for words in subject.unchecked:
        yield Finding("checkpoint", "", Verdict.LOOK, f"it does not tell: {words}", "a checkpoint that tells")
    yield from _rates(case)


ADVICE = {
    "cameras": "take a contract with these cameras and sizes, or another checkpoint",
    "joint order": "give the contract's joints the order that the checkpoint has",
    "joints": "take the contract of the robot that it was trained on",
    "rate": "set rate_hz in the contract to the checkpoint's, or train from data of this rate",
    "limits": "its data are of other units, another zero or another robot: convert them, and train again",
    "checkpoint": "take a checkpoint that was trained for this robot",
}


def _kind(words: str) -> tuple[str, str]:
    """(check, about) of a mismatch in words of `policies.compatibility`."""
    head, _, rest = words.partition(": ")
    if head.startswith("camera "):
        return "cameras", head.removeprefix("camera ")
    if head == "joints":
        return ("joint order", "") if "other order" in rest else ("joints", "")
    if head == "rate":
        return "rate", ""
    if " of joint " in head:
        return "limits", head.split(" of joint ")[1]
    return "checkpoint", ""


def _rates(case: Case) -> Iterator[Finding]:
    """The data's own rate, where the checkpoint says another or nothing."""
    data = None if case.reference is None else case.reference.rate_hz
    if data is None:
        return
    robot, told = case.subject.layout.contract.rate_hz, case.subject.config.rate_hz
    if told is not None and abs(told - data) > RATE_TOLERANCE * data:
        yield Finding(
            "rate", "", Verdict.NO_GO, f"policy.json says {told:g} Hz", f"{data:g} Hz, as the data have", ADVICE["rate"]
        )
    elif told is None and abs(robot - data) > RATE_TOLERANCE * data:
        yield Finding("rate", "", Verdict.NO_GO, f"robot at {robot:g} Hz", f"{data:g} Hz, as the data", ADVICE["rate"])


def check_statistics(case: Case) -> Iterator[Finding]:
    """The normaliser's statistics against those of the data: stale ones scale everything wrongly."""
    reference, scales = case.reference, case.subject.scales
    if reference is None:
        return
    names = case.subject.layout.joint_names
    lines = []
    for what, spread in (("qpos", reference.qpos), ("action", reference.action)):
        given = {key: values for key, values in scales.get(what, {}).items() if len(values) == len(spread.mean)}
        for column, words in _stale(given, spread):
            lines.append(f"{what} of {names[column] if column < len(names) else f'column {column}'}: {words}")
    if lines:
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        yield Finding(
            "statistics",
            "",
            Verdict.NO_GO,
            f"a normaliser of other data: {'; '.join(lines[:3])}{more}",
            f"within {MEAN_OFF:g} standard deviations and a factor {STD_RATIO:g} of the data's",
            "import the checkpoint with the statistics that it was trained with, or give --data of its own training",
        )
    elif any(scales.values()):
        yield Finding("statistics", "", Verdict.GO, "the normaliser has the data's statistics")


def _stale(given: dict[str, np.ndarray], spread: Spread) -> Iterator[tuple[int, str]]:
    """(column, words) where a normaliser's buffers are not those of the data."""
    std = np.maximum(spread.std, STD_FLOOR)
    if "mean" in given:
        off = np.abs(given["mean"] - spread.mean) / std
        ratio = given["std"] / std
        for i in np.flatnonzero((off > MEAN_OFF) | (ratio > STD_RATIO) | (ratio < 1 / STD_RATIO)).tolist():
            told = f"mean {given['mean'][i]:.3g}, std {given['std'][i]:.3g}"
            yield i, f"{told}; the data have {spread.mean[i]:.3g}, {std[i]:.3g}"
    elif "min" in given:
        room = RANGE_OFF * np.maximum(spread.high - spread.low, STD_FLOOR)
        apart = (np.abs(given["min"] - spread.low) > room) | (np.abs(given["max"] - spread.high) > room)
        for i in np.flatnonzero(apart).tolist():
            told = f"{given['min'][i]:.3g} to {given['max'][i]:.3g}"
            yield i, f"{told}; the data have {spread.low[i]:.3g} to {spread.high[i]:.3g}"
