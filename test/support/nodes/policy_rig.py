"""A policy beside a fake robot and a listener, kept running through many tests."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from std_srvs.srv import SetBool

from support import checkpoints, contracts
from support.nodes.bench import Bench, ros_arguments
from support.nodes.client import until
from support.nodes.command_log import Commands
from support.process import Line, Process

STANDS = [0.0, 0.0, 0.06]  # home, where the fake robot stands, rad; commands do not move it
BASE = {
    "odom": {"topic": "/odom"},
    "command": {"topic": "/cmd_vel"},
    "limits": {"linear": 0.5, "angular": 1.0},
}
SYNC = {"method": "clock", "tolerance_ms": 40, "max_wait_ms": 60, "on_miss": "hold", "max_hold": 5}


def robot(*, base: bool = True, **changes: Any) -> dict[str, Any]:
    """One arm of three joints, one camera, 50 Hz, by default on a base."""
    arm = copy.deepcopy(contracts.ARM)
    arm["home"] = STANDS
    extra: dict[str, Any] = {"base": BASE} if base else {}
    return contracts.small_robot(**{"arms": [arm], "rate_hz": 50, "sync": SYNC, **extra, **changes})


class PolicyBench(Bench):
    """A bench for policies: the policy's node in any of its forms, and a listener."""

    loaded: tuple[str, ...] = (
        "support.nodes.fake_robot",
        "support.nodes.command_listener",
        "vgil_ros.nodes.policy",
        "vgil_ros.policies.act",
    )

    def module(self, module: str, parameters: dict[str, Any]) -> Process:
        """Start a module with a node's parameters."""
        return self.start(Process, [module, *ros_arguments(parameters)])

    def listen(self, contract: Path) -> Commands:
        """Hear every command to a robot."""
        listener = self.start(Process, ["support.nodes.command_listener", str(contract)])
        listener.expect("^listening")
        return Commands(listener, contract, self.gauge)


class PolicyRig:
    """One robot, one policy and one listener on a bench.

    `odd` takes support.nodes.odd_policy instead of the node, `module` another one.
    """

    def __init__(
        self,
        bench: PolicyBench,
        contract: Path,
        checkpoint: Path | str,
        *,
        odd: bool = True,
        module: str | None = None,
        clock: bool = False,
        **parameters: Any,
    ) -> None:
        self.bench, self.contract = bench, contract
        self.robot = bench.robot(contract, *(["--clock"] if clock else []))
        self.commands = bench.listen(contract)
        self.robot.expect("^ready")
        for arm in self.commands.contract.arms:
            self.robot.tell(f"{arm.name}/puppet at {','.join(map(str, arm.home))}")
        given = {"robot": contract, "checkpoint": checkpoint, **({"use_sim_time": True} if clock else {}), **parameters}
        usual = "support.nodes.odd_policy" if odd else "vgil_ros.nodes.policy"
        self.policy = bench.module(module or usual, given)
        self.statuses = bench.client.status("/policy/status")

    @property
    def status(self) -> DiagnosticStatus | None:
        """The last status."""
        return self.statuses[-1][1] if self.statuses else None

    def value(self, key: str) -> str:
        """A value of the last status; "" before the first."""
        return next((pair.value for pair in self.status.values if pair.key == key), "") if self.status else ""

    def limits(self) -> dict[str, int]:
        """How often each limit stepped in."""
        start = "safety_events_"
        pairs = self.status.values if self.status else ()
        return {pair.key[len(start) :]: int(pair.value) for pair in pairs if pair.key.startswith(start)}

    def summary(self) -> str:
        """What the status says, with its reasons."""
        return f"{self.status.message} | {self.value('last_safety_event')}" if self.status else "no status"

    def mode(self, line: str) -> Line:
        """Tell the odd policy what to do; return when it has taken it."""
        since = self.policy.mark()
        self.policy.write(line + "\n")
        return self.policy.expect(f"^done {line}", since=since)

    def call(self, name: str) -> Any:
        """Call /policy/NAME (Trigger)."""
        before = time.monotonic()
        answer = self.bench.client.call(f"/policy/{name}")
        if name == "start" and answer.success:
            self.commands.starts.append(before)
        return answer

    def estop(self, pressed: bool) -> Any:
        """Press or release the e-stop."""
        return self.bench.client.call("/policy/estop", SetBool.Request(data=pressed), SetBool)

    def idle(self) -> None:
        """Wait until the session stands still and every stream is there."""

        since = time.monotonic() + 0.05

        def ready() -> bool:
            fresh = bool(self.statuses) and self.statuses[-1][0] > since
            return fresh and self.status is not None and self.value("state") == "idle" and self.status.level == b"\x00"

        until(ready, f"idle: {self.summary()}")

    def run(self) -> None:
        """Start an episode, and wait until the robot moves."""
        self.idle()
        answer = self.call("start")
        assert answer.success, answer.message
        self.running()

    def running(self) -> None:
        """Wait until commands move."""
        since = time.monotonic()
        until(lambda: self.commands.moved(max(since, time.monotonic() - 0.3)), f"moving: {self.summary()}")

    def stop(self) -> None:
        """End the episode, if there is one, and put everything right."""
        self.bench.client.call("/policy/stop")
        self.idle()

    def assert_allowed(self) -> int:
        """Hold every command so far against the limits."""
        return self.commands.assert_allowed({arm.name: list(arm.home) for arm in self.commands.contract.arms})


def checkpoint_for(bench: Bench, contract: Path, **changes: Any) -> Path:
    """A tiny checkpoint in the bench's folder."""
    return checkpoints.make(contract, bench.folder / "checkpoint", **changes)
