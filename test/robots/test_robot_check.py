"""What `vgil robot check` says of limits, poses, mappings, rates and clocks; and that shipped robots pass."""

from __future__ import annotations

import numpy as np
import pytest

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.streams import streams_of
from vgil_ros.robots.robot_check import (
    LAST_LOOKS,
    Heard,
    Looks,
    RobotFinding,
    Verdict,
    check_robot,
    rate_until,
    verdict_words,
)


def heard_of(contract: Contract, **changes: Heard) -> dict[str, Heard]:
    """Every stream well, every arm at home; `changes` by the stream's name, `__` for its slash."""
    heard = {spec.name: Heard(100.0, None, 3.0, None, "48x64 rgb8") for spec in streams_of(contract)}
    for arm in contract.arms:
        for kind in ("puppet", "master"):
            heard[f"{arm.name}/{kind}"] = joints(list(arm.home))
    return heard | {name.replace("__", "/"): one for name, one in changes.items()}


def joints(positions: list[float], rate: float = 100.0, offset: float = 3.0) -> Heard:
    return Heard(rate, None, offset, np.array([positions] * 3), f"{len(positions)} joints")


def check(contract: Contract, **changes: Heard) -> dict[str, RobotFinding]:
    found = check_robot(contract, streams_of(contract), heard_of(contract, **changes), ())
    assert len({finding.about for finding in found}) == len(found)
    return {finding.about: finding for finding in found}


@pytest.mark.parametrize("robot", ["sim_single", "sim_aloha"])
def test_a_shipped_robot_that_is_well_goes(robot: str) -> None:
    found = check(load_contract(robot)[0])
    assert {finding.verdict for finding in found.values()} == {Verdict.GO}
    assert verdict_words(list(found.values())) == "GO"


def test_limits_wider_than_the_urdfs_are_no_go() -> None:
    contract, _ = load_contract("sim_single")
    arm = contract.arms[0]
    limits = arm.limits.model_copy(update={"lower": (-3.14158, -2.05, *arm.limits.lower[2:])})
    wide = contract.model_copy(update={"arms": (arm.model_copy(update={"limits": limits}),)})
    finding = check(wide)["arm/limits"]
    assert finding.verdict is Verdict.NO_GO
    assert finding.words == "wider than vx300s.urdf has them: shoulder -2.05 to 1.257, the URDF's -1.85 to 1.257"


def test_what_is_to_know_of() -> None:
    contract, _ = load_contract("sim_single")
    home = list(contract.arms[0].home)
    cradle = [home[0], -2.05, *home[2:]]
    found = check(contract, arm__puppet=joints(cradle), arm__master=joints(home, rate=20.0, offset=-40.0))
    assert found["arm/pose"].words.startswith("arm/shoulder at -2.05, outside -1.85 to 1.257: the first commands")
    assert found["arm/mapping"].words.startswith("arm/shoulder: master at -0.96, puppet at -2.05; teleop aligns")
    assert "20 Hz, 7 joints, slower than the robot's 50 Hz" in found["arm/master"].words
    assert "stamped 40 ms after it comes: are the computers' clocks set alike?" in found["arm/master"].words
    assert verdict_words(list(found.values())) == "GO, and 3 to know of"


def test_what_is_missing_and_a_command_that_nobody_hears_are_no_go() -> None:
    contract, _ = load_contract("sim_single")
    heard = heard_of(contract, arm__master=Heard(0.0, "arm/master: nothing received on /master/joint_states"))
    found = check_robot(contract, streams_of(contract), heard, ["/puppet/command"])
    against = [finding.about for finding in found if finding.verdict is Verdict.NO_GO]
    assert against == ["arm/master", "/puppet/command"]
    assert verdict_words(found) == "NO-GO: 2 things to mend"
    assert "arm/mapping" not in [finding.about for finding in found], "a master that is not heard stands nowhere"


SILENT = "arm/puppet: silent for 600 ms"


def looked(*wrong: str | None) -> Looks:
    looks = Looks()
    for one in wrong:
        looks.add(one)
    return looks


def test_a_stream_that_dies_in_the_middle_of_the_look_is_wrong() -> None:
    assert looked(*[None] * 30, *[SILENT] * LAST_LOOKS).wrong == SILENT
    assert looked(*[None] * 20, *["at first"] * 3, *[SILENT] * 17).wrong == SILENT


def test_a_stream_that_is_well_again_is_not_wrong_unless_it_mostly_was() -> None:
    assert looked().wrong is None
    assert looked(*[None] * 30, *[SILENT] * (LAST_LOOKS - 1)).wrong is None
    assert looked(*[None] * 10, *[SILENT] * 10, None).wrong is None, "a busy machine made it wait for a moment"
    assert looked(*[None] * 3, *[SILENT] * 10, None).wrong == SILENT


def test_a_rate_counts_up_to_now() -> None:
    assert rate_until(100, 2.0, 2.0) == 50.0
    assert rate_until(100, 2.0, 2.015) == 50.0, "the next one is not due yet"
    assert rate_until(100, 2.0, 1.9) == 50.0, "by its stamps, where its first was heard late"
    assert rate_until(100, 2.0, 4.02) == pytest.approx(25.0)
    assert rate_until(0, 2.0, 2.0) == 0.0
