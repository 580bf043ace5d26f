"""What must be the same in all episodes of a folder: rate, joints and their order, cameras, vectors, gripper ranges.

With another gripper range the same number is another opening of the hand; with another rate an action lasts longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.checks.findings import SEVERITIES, Finding, Report, Severity
from vgil_ros.episodes.checks.motion.contract import contract_of
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode

Setup = Mapping[str, str]  # in words, by what it is of; what a file does not tell is left out

CAMERAS = ("cameras", "depth cameras")  # a training may choose those that all episodes have
VECTOR = "vector "  # and its name
MOST_NAMED = 3  # files


def setup_of_contract(contract: Contract) -> dict[str, str]:
    """Return the set-up of what is recorded with a robot's contract."""
    layout = Layout(contract)
    setup = {
        "rate_hz": f"{contract.rate_hz:g}",
        "joints": _names(layout.joint_names),
        "cameras": _names(sorted(layout.image_names)),
        "depth cameras": _names(sorted(layout.depth_names)),
        "base": "yes" if contract.base else "none",
    }
    setup |= {f"size of {camera.name}": f"{camera.height}x{camera.width}" for camera in contract.cameras}
    setup |= {f"{VECTOR}{vector.name}": vector.meaning for vector in contract.vectors}
    return setup | {f"gripper of {arm.name}": _gripper(arm) for arm in contract.arms}


def setup_of_episode(episode: Episode) -> dict[str, str]:
    """Return the set-up of an episode of any layout, as far as it tells."""
    contract = contract_of(episode)  # None in another layout, or another release's: then what the datasets say
    setup = {} if contract is None else setup_of_contract(contract)
    setup |= {"cameras": _names(sorted(episode.camera_names)), "depth cameras": _names(sorted(episode.depth_names))}
    setup |= {"columns of qpos": f"{episode.qpos.shape[-1]}"}
    if episode.rate_hz is not None:
        setup["rate_hz"] = f"{episode.rate_hz:g}"
    if episode.joint_names is not None:
        setup["joints"] = _names(episode.joint_names)
    return setup | _sizes(episode) if isinstance(episode, EpisodeReader) else setup


def _sizes(episode: EpisodeReader) -> dict[str, str]:
    """Of cameras whose images are stored as pixels; a JPEG would have to be read."""
    sizes = {}
    for name in episode.camera_names:
        stored = episode.structure.datasets.get(episode.place(name))
        if stored is not None and len(shape := stored.shape) == 4:
            sizes[f"size of {name}"] = f"{shape[1]}x{shape[2]}"
    return sizes


def differences(ours: Setup, theirs: Setup, where: str) -> tuple[str, ...]:
    """Return in words what is not the same in two set-ups.

    Args:
        ours: what is about to be recorded.
        theirs: of an episode that is there.
        where: that episode's name.
    """
    return tuple(
        f"{key}: {ours[key]} here, {theirs[key]} in {where}"
        for key in ours
        if key in theirs and ours[key] != theirs[key]
    )


def check_folder(folder: Path, reports: Iterable[Report]) -> Report:
    """Hold the episodes of a folder against each other.

    Args:
        folder: what the report is about.
        reports: of its episodes, as `check_episode` makes them; those that could not be read, and aborted ones, are
            passed over.
    """
    values: dict[str, dict[str, list[str]]] = {}
    for report in reports:
        for key, value in (report.facts.setup if report.facts is not None else {}).items():
            values.setdefault(key, {}).setdefault(value, []).append(report.path.name)
    findings = [_mixed(key, files) for key, files in values.items() if len(files) > 1]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(folder, tuple(findings))


def _mixed(key: str, files: Mapping[str, list[str]]) -> Finding:
    severity: Severity = "warning" if key in CAMERAS else "error"
    parts = []
    for value, names in sorted(files.items(), key=lambda item: -len(item[1])):
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        parts.append(f"{value} in {', '.join(names[:MOST_NAMED])}{more}")
    message = f"is not the same in all episodes: {'; '.join(parts)}; allowed: one, keep the others in another folder"
    return Finding(severity, "folder", key, message)


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _gripper(arm: Arm) -> str:
    """The ranges that make a gripper's joint 0..1, in words."""
    gripper = arm.gripper
    if gripper is None:
        return "none"
    words = f"{gripper.joint}, puppet_range {list(gripper.puppet_range)}, master_range {list(gripper.master_range)}"
    feedback = gripper.feedback
    return words if feedback is None else f"{words}, feedback {feedback.joint} {list(feedback.range)}"
