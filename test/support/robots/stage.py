"""One shipped robot on a domain of its own, driven as in a day's work: teleop, record, replay, policy."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from support import checkpoints
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench
from support.process import Process
from support.robots.drivers import DRIVERS
from support.robots.fake_driver import HEIGHT, WIDTH
from vgil_ros.assets import contract_path, load_contract

ROWS = 30
TRIES = 20
OK = b"\x00"  # a status's level
PATIENT = {"max_wait_ms": 400, "max_hold": 100}  # a busy machine may keep the fake waiting; the tolerances stay


@dataclass
class Report:
    """What the drivers say: joints by body, commands taken by topic, refusals in words."""

    at: dict[str, dict[str, float]]
    taken: dict[str, int]
    refused: list[str]

    def moved(self, before: Report) -> float:
        """The farthest that any joint of a follower has gone."""
        return max(abs(v - before.at[body][j]) for body, joints in self.at.items() for j, v in joints.items())


@dataclass
class Day:
    """What came of it.

    Attributes:
        teleop: what the node said.
        episode: the file.
        recorded, replayed, played: the drivers' reports after each part; `begun` before the policy.
        replay: the node's exit code, and what it said.
    """

    contract: Path
    teleop: str = ""
    episode: Path | None = None
    replay: tuple[int, str] = (0, "")
    reports: dict[str, Report] = field(default_factory=dict)


class ShippedBench(PolicyBench):
    """A bench with a shipped robot's drivers; its nodes are forks of one server that has loaded them.

    `slow` stretches the robot's time, for a machine that has none.
    """

    slow = 1.0

    loaded = (
        *PolicyBench.loaded,
        "support.robots.fake_driver",
        "vgil_ros.nodes.teleop",
        "vgil_ros.nodes.recorder",
        "vgil_ros.nodes.replay",
    )

    def __init__(self, robot: str, folder: Path) -> None:
        super().__init__(folder)
        self.robot_name = robot

    def small_contract(self) -> Path:
        """The shipped contract with small images, patient with a busy machine; nothing else is changed."""
        contract = yaml.safe_load(contract_path(self.robot_name).read_text())
        for camera in contract["cameras"]:
            camera |= {"height": HEIGHT, "width": WIDTH}
        contract["sync"] |= PATIENT
        path = self.folder / f"{self.robot_name}.yaml"
        path.write_text(yaml.safe_dump(contract, sort_keys=False))
        return path

    def live(self) -> Day:
        """Go through the day."""
        contract = self.small_contract()
        day = Day(contract)
        checkpoint = checkpoints.make(
            contract, self.folder / "checkpoint", base=DRIVERS[self.robot_name]().base is not None
        )
        self.driver = self.start(Process, ["support.robots.fake_driver", self.robot_name, str(self.slow)])
        given = {"robot": contract, **({"use_sim_time": True} if self.slow != 1.0 else {})}
        recorder = self.recorder(contract, keys=False, num_episodes=0, episode_len=ROWS, **given)
        teleop = self.module("vgil_ros.nodes.teleop", given)
        statuses = {name: self.client.status(f"/{name}/status") for name in ("recorder", "policy")}
        self.driver.expect("^ready")
        self._lead(load_contract(str(contract))[0], teleop)
        day.episode = self._record(recorder, statuses["recorder"])
        day.reports["recorded"] = self.report()
        day.teleop = self._end(teleop)
        policy = self.module("vgil_ros.nodes.policy", {**given, "checkpoint": checkpoint})
        self.tell("lead off")
        replay = self.module("vgil_ros.nodes.replay", {**given, "episode": day.episode})
        day.replay = replay.wait(), replay.output
        day.reports["replayed"] = self.report()
        self._play(policy, statuses["policy"], day)
        return day

    def tell(self, line: str) -> None:
        """Tell the drivers, and wait until they have obeyed."""
        since = self.driver.mark()
        self.driver.write(line + "\n")
        self.driver.expect(f"^done {line}", since=since)

    def report(self) -> Report:
        """Ask the drivers."""
        since = self.driver.mark()
        self.tell("report")
        return Report(**json.loads(self.driver.expect("^{", since=since).text))

    def _lead(self, contract: Any, teleop: Process) -> None:
        """Wait until every puppet follows; teleop has nothing to do where the drivers do that by themselves."""
        if all(arm.driver_follows_master for arm in contract.arms):
            assert teleop.wait() == 2, teleop.output
            return
        for arm in contract.arms:
            if not arm.driver_follows_master:
                teleop.expect(f"{arm.name}: following")

    def _record(self, recorder: Process, statuses: list[Any]) -> Path:
        """Record an episode; begun anew where the machine kept the drivers waiting."""
        recorder.expect("streams are here")
        for _ in range(TRIES):
            since = recorder.mark()
            answer = self.client.call("/recorder/start")
            if not answer.success:  # the machine is busy; it says why
                time.sleep(1.0)
                continue
            line = recorder.expect(r"saved \S+\.hdf5|ended early", since=since)
            if (
                "saved" in line.text
                and "BAD" not in line.text
                and (found := re.search(r"saved (\S+\.hdf5)(?!\.aborted)", line.text))
            ):
                return Path(found[1])
        said = statuses[-1][1].message if statuses else "nothing"
        raise AssertionError(f"no episode in {TRIES} tries; {answer.message}; its status: {said}\n{recorder.output}")

    def _end(self, teleop: Process) -> str:
        teleop.popen.terminate()
        code = teleop.wait()
        assert code in (0, 2), (code, teleop.output)
        return teleop.output

    def _play(self, policy: Process, statuses: list[Any], day: Day) -> None:
        def idle() -> bool:
            values = {pair.key: pair.value for pair in statuses[-1][1].values} if statuses else {}
            return values.get("state") == "idle" and statuses[-1][1].level == OK

        until(idle, f"the policy is ready: {policy.output}")
        answer = self.client.call("/policy/start")
        assert answer.success, answer.message
        before = day.reports["replayed"]
        until(lambda: self.report().moved(before) > 0.1, f"the policy moves the robot: {policy.output}")
        assert self.client.call("/policy/stop").success
        day.reports["played"] = self.report()


def truth(episode_values: np.ndarray) -> np.ndarray:
    """Span of each column, (D,)."""
    return np.ptp(episode_values, axis=0)
