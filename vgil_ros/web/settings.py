"""Settings of the page: where it listens, who may come in, and which folders it shows."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field
from pathlib import Path

from vgil_ros.core.errors import VgilError
from vgil_ros.web.access.visitors import Role, Visitors, new_token

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
PORT = 8420


@dataclass(frozen=True)
class WebSettings:
    """Where the page listens and what it shows.

    Attributes:
        host: address to listen on; other than loopback, tokens are asked for.
        port: 0 takes a free one.
        dataset_dir: folder of episodes, or of folders of episodes.
        runs_dir: folder of training runs.
        names: further names that the page may be called by (a reverse proxy's).
        operate_token, look_token: made anew where they are empty and needed.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    dataset_dir: Path = field(default_factory=lambda: Path("episodes"))
    runs_dir: Path = field(default_factory=lambda: Path("runs"))
    names: tuple[str, ...] = ()
    operate_token: str = ""
    look_token: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise VgilError(f"port is {self.port}; allowed: 0 (a free one) to 65535")
        if not self.host.strip():
            raise VgilError("host is empty; allowed: 127.0.0.1, 0.0.0.0, or an address of this computer")

    @property
    def local(self) -> bool:
        """Whether only this computer reaches the page."""
        return self.host in LOOPBACK

    def hosts(self) -> tuple[str, ...]:
        """Names and addresses that the page is called by, without port."""
        own = (self.host,) if self.host not in ("0.0.0.0", "::") else _own_addresses()
        return tuple(dict.fromkeys((*own, *("127.0.0.1", "localhost", "[::1]"), *self.names)))

    def tokens(self) -> dict[str, Role]:
        """What opens which role; empty where no token is asked for."""
        if self.local and not self.operate_token and not self.look_token:
            return {}
        operate, look = self.operate_token or new_token(), self.look_token or new_token()
        if operate == look:
            raise VgilError("operate_token and look_token are the same; allowed: two different ones")
        return {operate: Role.OPERATE, look: Role.LOOK}

    def visitors(self) -> tuple[Visitors, dict[Role, str]]:
        """Sessions, and the token of each role ("" where none is asked for)."""
        tokens = self.tokens()
        return Visitors(tokens), {role: token for token, role in tokens.items()}


def _own_addresses() -> tuple[str, ...]:
    """This computer's name and addresses."""
    name = socket.gethostname()
    found = [name.lower(), f"{name.lower()}.local"]
    with contextlib.suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(name, None)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # nothing is sent: which address would be used
        try:
            probe.connect(("192.0.2.1", 9))
            found.append(probe.getsockname()[0])
        except OSError:
            pass
    return tuple(f"[{one}]" if ":" in one else one for one in found)
