"""A policy server that can be told to misbehave: `python -m support.remote.odd_server CONTRACT [PORT]`.

It is written from the wire's description alone. It says `listening PORT`, and obeys lines on standard input, each
answered by `done LINE`:

    swing             a slow swing around home, by the wall clock's time
    at OFFSET         from now on the first joint swings so far from home, rad
    slow LOW HIGH     the swing, so many seconds later, drawn anew for each answer
    hang              no answer
    garbage | shape | text | nan | twice    bytes that are none of the wire's; one row less; an error; NaN; two answers
    cut               every connection is cut, and nobody listens any more; `back` listens again
    token T           connections are cut; from now on T is asked for (`token -`: none)
    metadata          connections are cut; from now on a description of ours is sent that no robot fits

`prompt WORDS` is printed when a request's prompt is another one than before.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
import time
from http import HTTPStatus
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from support.remote.openpi_wire import packb, unpackb
from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout

ROWS = 20
AMPLITUDE, SPEED = 0.1, 2.0  # of the swing: rad, rad/s of its phase


class OddServer:
    """One server, which may close and listen again on its port."""

    def __init__(self, contract: str, port: int) -> None:
        self.layout = Layout(load_contract(contract)[0])
        self.mode, self.values, self.token = "swing", [0.0, 0.0], ""
        self.offset = 0.0
        self.metadata: dict[str, Any] = {"made_by": "a test", "reset_pose": np.zeros(3)}
        self._prompt: str | None = None
        self._open: set[ServerConnection] = set()
        self._server: Server | None = None
        self.port = port
        self.listen()

    def listen(self) -> None:
        """Accept connections."""
        self._server = serve(
            self._talk, "127.0.0.1", self.port, process_request=self._admit, compression=None, max_size=None
        )
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def cut(self) -> None:
        """Cut every connection as a pulled cable's reset does."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def obey(self, line: str) -> None:
        """Do what a line says."""
        mode, *values = line.split()
        if mode == "back":
            self.listen()
        elif mode == "at":
            self.offset = float(values[0])
        elif mode == "cut":
            assert self._server is not None
            self.cut()
            self._server.shutdown()
        elif mode == "token":
            self.token = "" if values == ["-"] else values[0]
            self.cut()
        elif mode == "metadata":
            self.metadata = {"vgil": {"type": "act", "state_dim": 99, "action_dim": 99, "chunk_size": 5, "cameras": []}}
            self.cut()
        else:
            self.mode, self.values = mode, [float(value) for value in values]

    def _admit(self, connection: ServerConnection, request: Any) -> Any:
        if self.token and request.headers.get("Authorization") != f"Api-Key {self.token}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n")
        return None

    def _talk(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        try:
            connection.send(packb(self.metadata))
            for message in connection:
                self._answer(connection, unpackb(message))  # type: ignore[arg-type]
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._open.discard(connection)

    def _answer(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        if (prompt := request.get("prompt")) != self._prompt:
            self._prompt = prompt
            print(f"prompt {prompt}", flush=True)
        mode, chunk = self.mode, self.chunk()
        if mode == "slow":
            time.sleep(random.uniform(*self.values))
        elif mode == "hang":
            return
        elif mode == "garbage":
            connection.send(b"\xc1 this is no msgpack")
            return
        elif mode == "text":
            connection.send("Traceback (most recent call last):\n  File x\nValueError: the model is unhappy")
            return
        elif mode == "shape":
            chunk = chunk[:-1]
        elif mode == "nan":
            chunk[:] = np.nan
        answer = packb({"actions": chunk, "server_timing": {"infer_ms": 0.125}})
        for _ in range(2 if mode == "twice" else 1):
            connection.send(answer)

    def chunk(self) -> np.ndarray:
        """(H, J): where the swing will be at the coming ticks."""
        at = (time.time() % 1e6) + np.arange(ROWS) / self.layout.contract.rate_hz
        offset = AMPLITUDE * np.sin(SPEED * at)[:, None] * np.sign(0.5 - self.layout.home)
        offset[:, 0] += self.offset
        return (self.layout.home + offset).astype(np.float32)


def main() -> None:
    """Serve until standard input ends."""
    server = OddServer(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"listening {server.port}", flush=True)
    for line in sys.stdin:
        server.obey(line)
        print(f"done {line.strip()}", flush=True)


if __name__ == "__main__":
    main()
