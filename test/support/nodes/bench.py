"""A test bench: one domain, one folder, and the processes and clients on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from support import contracts
from support.nodes.client import Client
from support.nodes.domains import free_domain
from support.paths import process_environment
from support.prefork import Server
from support.process import Line, Process
from support.stall import StallGauge
from vgil_ros.assets import share_dir
from vgil_ros.nodes.dds import shm_segments
from vgil_ros.nodes.dds.profile import profile_variable

if TYPE_CHECKING:
    from typing import Self

P = TypeVar("P", bound=Process)


class FakeRobot(Process):
    """The process of `fake_robot`."""

    def tell(self, command: str) -> Line:
        """Send a command and wait until it is obeyed."""
        since = self.mark()
        self.write(command + "\n")
        return self.expect(f"^done {command}", since=since)


@cache
def _server(modules: tuple[str, ...]) -> Server:
    return Server(modules, process_environment())


def ros_arguments(parameters: Mapping[str, Any]) -> list[str]:
    """A node's command line with parameters."""
    words = {key: str(value).lower() if isinstance(value, bool) else value for key, value in parameters.items()}
    return ["--ros-args", *(part for key, value in words.items() for part in ("-p", f"{key}:={value}"))]


class Bench:
    """Starts things and ends them."""

    loaded: tuple[str, ...] = ()  # modules that take long to load, for `support.prefork`

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.episodes = folder / "episodes"
        self._stack = contextlib.ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self.domain = self._stack.enter_context(free_domain())
        self.gauge = StallGauge()
        self._stack.callback(self.gauge.close)
        self.environment = process_environment(
            ROS_DOMAIN_ID=str(self.domain),
            **{profile_variable(os.environ): str(share_dir() / "config" / "dds" / "fastdds_small.xml")},
            PYTHONUNBUFFERED="1",
            ROS_LOG_DIR=str(self.folder / "log"),
        )
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
        return self.start(FakeRobot, ["support.nodes.fake_robot", str(contract), *arguments])

    def node(self, name: str, parameters: dict[str, Any], **options: Any) -> Process:
        """Start one of our nodes with parameters; options of subprocess.Popen take a new interpreter for it."""
        return self.start(Process, [f"vgil_ros.nodes.{name}", *ros_arguments(parameters)], **options)

    def start(self, kind: type[P], arguments: list[str], **options: Any) -> P:
        """Run a module with arguments, as `python -m` does, until the bench ends.

        It is forked from a server that has `loaded` its modules; options of subprocess.Popen, or nothing loaded, take
        an interpreter of its own.
        """
        if options or not self.loaded:
            process = kind.python(["-m", *arguments], self.environment, **options)
        else:
            process = kind.forked(_server(self.loaded), arguments, self.environment)
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
