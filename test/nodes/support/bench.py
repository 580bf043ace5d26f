"""A test bench: one domain, one folder, and the processes and ears on them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from support import contracts
from support.client import Client
from support.domains import free_domain
from support.process import Line, Process
from support.stall import StallGauge
from vgil_ros.assets import share_dir
from vgil_ros.nodes.dds import shm_segments
from vgil_ros.nodes.dds.profile import profile_variable


class FakeRobot(Process):
    """The process of `fake_robot`."""

    def tell(self, command: str) -> Line:
        """Send a command and wait until it is obeyed."""
        since = self.mark()
        self.write(command + "\n")
        return self.expect(f"^done {command}", since=since)


class Bench:
    """Starts things and ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.episodes = folder / "episodes"
        self._stack = contextlib.ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> Bench:
        self.domain = self._stack.enter_context(free_domain())
        self.gauge = StallGauge()
        self._stack.callback(self.gauge.close)
        here = Path(__file__).resolve().parents[1]
        self.environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(self.domain),
            profile_variable(os.environ): str(share_dir() / "config" / "dds" / "fastdds_small.xml"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")]),
            "ROS_LOG_DIR": str(self.folder / "log"),
        }
        return self

    @property
    def client(self) -> Client:
        """The test's own node, made when it is first asked for."""
        if self._client is None:
            self._client = Client(self.domain)
            self._stack.callback(self._client.close)
        return self._client

    def contract(self, **changes: Any) -> Path:
        """Write a small robot's contract."""
        return contracts.write(contracts.small_robot(**changes), self.folder / "small.yaml")

    def robot(self, contract: Path, *arguments: str) -> FakeRobot:
        """Start the fake robot; it publishes a moment later."""
        robot = FakeRobot.python(["-m", "support.fake_robot", str(contract), *arguments], self.environment)
        self._started(robot)
        return robot  # type: ignore[return-value]

    def node(self, name: str, parameters: dict[str, Any], **kwargs: Any) -> Process:
        """Start one of our nodes with parameters."""
        arguments = ["-m", f"vgil_ros.nodes.{name}", "--ros-args"]
        for key, value in parameters.items():
            arguments += ["-p", f"{key}:={str(value).lower() if isinstance(value, bool) else value}"]
        process = Process.python(arguments, self.environment, **kwargs)
        self._started(process)
        return process

    def _started(self, process: Process) -> None:
        """End a process with the bench, and see how long the machine keeps it waiting."""
        self._stack.callback(process.close)
        self.gauge.watch(process.popen.pid)

    def recorder(self, contract: Path, **parameters: Any) -> Process:
        """Start a recorder that writes to `episodes`."""
        given = {"robot": contract, "dataset_dir": self.episodes, "min_free_gb": 0.01, **parameters}
        process_options = given.pop("process", {})
        return self.node("recorder", given, **process_options)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()
        shm_segments.clean(Path("/dev/shm"))
