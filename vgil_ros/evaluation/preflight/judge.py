"""Every check over a case, and what is not known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vgil_ros.evaluation.preflight.cameras import check_cameras
from vgil_ros.evaluation.preflight.contract import check_contract, check_statistics
from vgil_ros.evaluation.preflight.findings import Case, Finding
from vgil_ros.evaluation.preflight.joints import check_joints
from vgil_ros.evaluation.preflight.plan import check_plan
from vgil_ros.evaluation.preflight.timing import check_latency, check_streams
from vgil_ros.robots.robot_check import Verdict

Check = Callable[[Case], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    check_contract,
    check_latency,
    check_statistics,
    check_streams,
    check_cameras,
    check_joints,
    check_plan,
)
SYMPTOMS = {"first action", "chunk rate"}  # of what the policy answers: they follow from what it was shown
ADVICE = "train writes reference.safetensors beside the checkpoint; --data DIR makes one of the episodes"


def judge(case: Case) -> tuple[Finding, ...]:
    """Run every check; what follows from another finding is left out.

    A policy that is shown other images or joints than it was trained on answers with another plan: where these are
    found, its plan is no finding of its own.
    """
    findings = [*_unknown(case), *(finding for check in CHECKS for finding in check(case))]
    causes = [f for f in findings if f.verdict is Verdict.NO_GO and f.check not in SYMPTOMS | {"latency"}]
    if causes:
        findings = [f for f in findings if f.check not in SYMPTOMS]
    elif any(f.check == "chunk rate" and f.verdict is Verdict.NO_GO for f in findings):
        findings = [f for f in findings if f.check != "first action"]
    return tuple(findings)


def _unknown(case: Case) -> Iterator[Finding]:
    """What cannot be judged, since something is not there."""
    reference, config = case.reference, case.subject.config
    if reference is None:
        words = "no reference: images, poses, statistics and plans are not judged"
        yield Finding("reference", "", Verdict.LOOK, words, "a reference of the training data", ADVICE)
    elif config.fingerprint is not None and reference.fingerprint != config.fingerprint:
        words = f"of {reference.episodes} episodes that are not those it was trained from"
        yield Finding("reference", "", Verdict.LOOK, words, f"data with fingerprint {config.fingerprint}", ADVICE)
    else:
        yield Finding("reference", "", Verdict.GO, f"of {reference.episodes} episodes, {reference.rows} rows")
    lacking = [] if reference is None else [name for name in config.camera_names if name not in reference.views]
    if lacking:
        words = f"no images of {', '.join(lacking)}: these cameras are not judged"
        yield Finding("reference", ", ".join(lacking), Verdict.LOOK, words, "a reference of all its cameras", ADVICE)
    if case.seen is None:
        words = "the robot was not looked at"
        yield Finding(
            "robot", "", Verdict.LOOK, words, "--live, or --episode FILE", "run it with --live before a start"
        )
