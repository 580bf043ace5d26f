"""The policy that the page starts: its command line, and the one process of it that there is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.launching.parameter_file import write_overrides
from vgil_ros.nodes.page.child_node import ChildNode
from vgil_ros.web.link import Answer, PolicyOrder, PolicyRun

NAME = "policy"
RESET = "sim/reset"
SCENE_S = 0.5  # nobody has to tidy up a simulated scene


class PolicyProcess:
    """Starts and ends a policy node beside this one: with its robot, namespace and clock.

    Args:
        node: whose surroundings it shares.
        robot: the contract, by name or path.
        success_topic: as the page's own.
        params_file: YAML of node parameters that it starts with; "" for none.
    """

    def __init__(self, node: VgilNode, robot: str, success_topic: str, params_file: str) -> None:
        self._node, self._robot = node, robot
        self._success_topic, self._params_file = success_topic, params_file
        self._child: ChildNode | None = None
        self._order: PolicyOrder | None = None
        self._began_s = 0.0
        self._under_way = asyncio.Lock()

    def run(self) -> PolicyRun | None:
        """What is known of the one that was started last."""
        child, order = self._child, self._order
        if child is None or order is None:
            return None
        return PolicyRun(order, child.alive, child.ending, child.exit_code, child.lines, self._began_s)

    @property
    def alive(self) -> bool:
        """Whether one of ours runs."""
        return self._child is not None and self._child.alive

    async def start(self, order: PolicyOrder, simulated: bool) -> Answer:
        """Start one; it loads its checkpoint and moves nothing until it is told to.

        Args:
            order: what to run.
            simulated: the robot's scene can be reset by a service.

        Raises:
            VgilError: one of ours runs already.
        """
        async with self._under_way:
            if self.alive:
                raise VgilError("a policy runs already; allowed once it is ended")
            arguments = self.arguments(order, simulated)
            self._order, self._began_s = order, time.monotonic()
            self._child = await asyncio.to_thread(ChildNode, NAME, arguments)
        mode = "a dry run" if order.dry_run else "the robot will move once it is started"
        return Answer(True, f"{order.checkpoint} is being loaded: {mode}")

    async def end(self) -> Answer:
        """End it: a robot that it moves is held, its rollout closed.

        Raises:
            VgilError: none of ours runs.
        """
        child = self._child
        if child is None or not child.alive:
            raise VgilError("this page has started no policy that still runs; allowed: to end one of its own")
        code = await asyncio.to_thread(child.end)
        return Answer(code == 0, f"the policy has ended with exit code {code}")

    def close(self) -> None:
        """End it with us."""
        if self._child is not None:
            self._child.end()

    def arguments(self, order: PolicyOrder, simulated: bool) -> list[str]:
        """The node's arguments of ROS."""
        node = self._node
        space, clock = node.get_namespace().rstrip("/"), node.resolve_topic_name("/clock")
        words = ["--ros-args"]
        if space:
            words += ["-r", f"__ns:={space}"]
        if clock != "/clock":
            words += ["-r", f"/clock:={clock}"]
        values = self._values(order, simulated)
        if not self._params_file:
            return words + [part for key, value in values.items() for part in ("-p", f"{key}:={json.dumps(value)}")]
        return [*words, "--params-file", self._params_file, "--params-file", str(write_overrides(NAME, values))]

    def _values(self, order: PolicyOrder, simulated: bool) -> Mapping[str, Any]:
        values: dict[str, Any] = {
            "robot": self._robot,
            "checkpoint": order.checkpoint,
            "task": order.task,
            "execution": order.execution,
            "device": order.device,
            "dry_run": order.dry_run,
            "dataset_dir": order.rollouts,
            "success_topic": self._success_topic,
        }
        if simulated:
            values |= {"reset_service": RESET, "reset_time": SCENE_S}
        if self._node.simulated:
            values["use_sim_time"] = True
        return {key: value for key, value in values.items() if value != ""}
