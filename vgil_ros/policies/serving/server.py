"""The server: websockets in, a checkpoint's chunks out, on OpenPI's wire.

The first message to a client is the policy's metadata; each request is answered with {"actions": (H, A) float32,
"server_timing": {"infer_ms", "prev_total_ms"}}, or with a text that says what is wrong with it. `GET /healthz` says OK.
Source: openpi, src/openpi/serving/websocket_policy_server.py. Unlike there, a wrong request costs no connection, and
no traceback goes over the wire.
"""

from __future__ import annotations

import asyncio
import hmac
import signal
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from vgil_ros.core.errors import VgilError
from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.remote.metadata import ServedPolicy
from vgil_ros.policies.remote.wire import MOST_BYTES, pack, unpack
from vgil_ros.policies.serving.batching import Batcher
from vgil_ros.policies.serving.observations import draws_of, observation_of, reset_seed

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

LOCAL = ("127.0.0.1", "localhost", "::1")


class PolicyServer:
    """Serves one policy to any number of clients.

    Args:
        batcher: runs it.
        served, config: what clients are told of it; what their requests are held against.
        token: clients must give it; empty: none need to.
        log: takes each line of what goes on.
    """

    def __init__(
        self, batcher: Batcher, served: ServedPolicy, config: PolicyConfig, *, token: str, log: Callable[[str], None]
    ) -> None:
        self._batcher, self._config, self._token, self._log = batcher, config, token, log
        self._metadata = pack(served.metadata())

    async def run(self, host: str, port: int) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            VgilError: host or port cannot be listened on.
        """
        from websockets.asyncio.server import serve

        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        try:
            server = await serve(
                self._talk, host, port, process_request=self._admit, compression=None, max_size=MOST_BYTES
            )
        except OSError as error:
            raise VgilError(
                f"{host}:{port} cannot be listened on ({error.strerror or error}); give another --host or --port"
            ) from None
        async with server:
            found = next(iter(server.sockets)).getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            self._log(f"serving {self._config.type} on ws://{shown}:{found}")
            await ended.wait()
            self._log("ending")

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is no websocket; None lets a client in."""
        if request.path == "/healthz":
            return connection.respond(HTTPStatus.OK, "OK\n")
        given = request.headers.get("Authorization", "")
        wanted = {f"Api-Key {self._token}", f"Bearer {self._token}"}
        if self._token and not any(hmac.compare_digest(given.encode(), one.encode()) for one in wanted):
            self._log(f"{_name(connection)} refused: {'another token' if given else 'no token'}")
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the token is missing or another one\n")
        return None

    async def _talk(self, websocket: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        name, answers, took = _name(websocket), 0, None
        self._log(f"{name} came")
        try:
            await websocket.send(self._metadata)
            async for message in websocket:
                began = time.perf_counter()
                answer = await self._answer(message, took)
                await websocket.send(answer)
                answers += isinstance(answer, bytes)
                took = time.perf_counter() - began
        except ConnectionClosed:
            pass
        self._log(f"{name} left after {answers} answers")

    async def _answer(self, message: str | bytes, took: float | None) -> bytes | str:
        """A request's answer; a text where there is none.

        Args:
            took: how long the last one took in all, sending it included, in seconds.
        """
        try:
            if isinstance(message, str):
                raise VgilError("a request is a text; needed is a message of OpenPI's wire, bytes of msgpack")
            request = await asyncio.to_thread(self._read, message)
            began = time.perf_counter()
            chunk = await asyncio.wrap_future(self._batcher.submit(*request))
        except VgilError as error:
            return str(error)
        except Exception as error:
            self._log(f"a request failed: {type(error).__name__}: {error}")
            return f"the policy failed: {type(error).__name__}: {error}"
        timing = {"infer_ms": (time.perf_counter() - began) * 1e3}
        if took is not None:
            timing["prev_total_ms"] = took * 1e3
        return pack({"actions": chunk, "server_timing": timing})

    def _read(self, message: bytes) -> tuple[RobotObservation, tuple[int | None] | None, int]:
        found = unpack(message)
        return observation_of(found, self._config), reset_seed(found), draws_of(found)


def _name(connection: ServerConnection) -> str:
    address = connection.remote_address
    return f"client {address[0]}:{address[1]}" if isinstance(address, tuple) else "client"
