"""One connection to a policy server: requests out, answers in, each within its time.

Every fault is a `RemoteError` that begins with the address. After one in the middle of a request the connection is
gone: an answer that came later would be taken for that of the next request.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from vgil_ros.policies.remote.address import TOKEN, checked_address
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.wire import MOST_BYTES, unpack

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

CLOSING_S = 0.2  # a server that is gone says no goodbye
TEXT = 400  # characters of a server's own words that are told


class Connection:
    """Talks to one server. One thread asks; `drop` may be called by any.

    Args:
        address: ws://HOST:PORT.
        token: as the server wants it; empty: none is sent.
        connect_s: how long a connection may take.

    Raises:
        RemoteError: it is no such address.
    """

    def __init__(self, address: str, token: str = "", *, connect_s: float = 2.0) -> None:
        self.address, self._host, self._port = checked_address(address)
        self._token, self._connect_s = token, connect_s
        self._websocket: ClientConnection | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent, as far as is known."""
        return self._websocket is not None

    def open(self) -> dict[Any, Any]:
        """Connect; returns the server's metadata, its first message.

        Raises:
            RemoteError: nobody listens, no websocket, a token that is refused, no metadata in time.
        """
        self.drop()
        end = time.monotonic() + self._connect_s
        self._websocket = self._connect()
        first = self._receive(max(end - time.monotonic(), 0.1), "metadata")
        try:
            metadata = unpack(first)
        except RemoteError as error:
            raise self._fault(f"its metadata: {error}") from None
        if not isinstance(metadata, dict):
            raise self._fault(
                f"its metadata is {type(metadata).__name__}; needed is a map, as OpenPI's servers send it"
            )
        return metadata

    def ask(self, message: bytes, seconds: float) -> bytes:
        """Send a request and return its answer's bytes.

        Raises:
            RemoteError: the connection is cut, nothing comes within `seconds`, or the server answers with an error.
        """
        end = time.monotonic() + seconds
        websocket = self._websocket
        if websocket is None:
            raise RemoteError(f"{self.address}: the connection is not open")
        self._expect_silence(websocket)
        sending = threading.Timer(seconds, _cut, (websocket,))  # a server that reads slowly, or no more
        sending.daemon = True
        sending.start()
        try:
            websocket.send(message)
        except Exception as error:  # the library's, and the operating system's
            late = time.monotonic() >= end
            words = f"the request was not sent within {seconds:g} s" if late else _words(error)
            raise self._fault(f"the connection was cut ({words})") from None
        finally:
            sending.cancel()
        return self._receive(max(end - time.monotonic(), 0.001), "answer", seconds)

    def drop(self) -> None:
        """Close at once, whatever is under way."""
        websocket, self._websocket = self._websocket, None
        if websocket is not None:
            _cut(websocket)
            with contextlib.suppress(Exception):
                websocket.close()

    def _expect_silence(self, websocket: ClientConnection) -> None:
        """Before a request nothing must lie there: it would be taken for the answer."""
        try:
            websocket.recv(timeout=0)
        except TimeoutError:
            return
        except Exception as error:
            raise self._fault(f"the connection was cut ({_words(error)})") from None
        raise self._fault("it has sent something that nobody asked for; expected: one answer to each request")

    def _connect(self) -> ClientConnection:
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        headers = {"Authorization": f"Api-Key {self._token}"} if self._token else None
        try:
            plain = self._socket()
            try:
                connecting = connect(
                    self.address, sock=plain, additional_headers=headers, compression=None, max_size=MOST_BYTES,
                    open_timeout=self._connect_s, close_timeout=CLOSING_S, ping_interval=None,
                )  # fmt: skip
                return connecting.__enter__()  # it is left by `drop`; newer websockets connect in no other way
            except BaseException:
                plain.close()
                raise
        except InvalidStatus as error:
            raise RemoteError(f"{self.address}: {_refusal(error.response.status_code, bool(self._token))}") from None
        except TimeoutError:
            raise RemoteError(f"{self.address}: no connection within {self._connect_s:g} s") from None
        except ConnectionRefusedError:
            raise RemoteError(f"{self.address}: nobody listens there; start `vgil serve` or another server") from None
        except socket.gaierror as error:
            raise RemoteError(f"{self.address}: host '{self._host}' is unknown ({error.strerror})") from None
        except (OSError, WebSocketException, EOFError, ValueError) as error:
            raise RemoteError(f"{self.address}: no connection ({_words(error)})") from None

    def _socket(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), timeout=self._connect_s)
        plain.settimeout(None)
        return plain

    def _receive(self, left: float, what: str, seconds: float | None = None) -> bytes:
        websocket = self._websocket
        if websocket is None:
            raise RemoteError(f"{self.address}: the connection was closed")
        try:
            answer = websocket.recv(timeout=left)
        except TimeoutError:
            raise self._fault(f"no {what} within {seconds or self._connect_s:g} s") from None
        except Exception as error:
            raise self._fault(f"the connection was cut ({_words(error)})") from None
        if isinstance(answer, str):
            raise RemoteError(f"{self.address}: the server says: {_shortened(answer)}")
        return answer

    def _fault(self, words: str) -> RemoteError:
        self.drop()
        return RemoteError(f"{self.address}: {words}")


def _cut(websocket: ClientConnection) -> None:
    """End a connection under whoever is reading or writing."""
    with contextlib.suppress(Exception):
        websocket.socket.shutdown(socket.SHUT_RDWR)


def _refusal(status: int, given: bool) -> str:
    if status in (401, 403):
        sent = "the token that was sent is refused" if given else "a token is needed"
        return f"{sent} (HTTP {status}); give the server's in the environment variable {TOKEN}"
    return f"is no policy server (HTTP {status}); needed is one that speaks OpenPI's wire"


def _words(error: BaseException) -> str:
    return _shortened(str(error) or type(error).__name__)


def _shortened(text: str) -> str:
    """A server's words in one line; of a traceback the last ones, which say what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = lines[-1] if lines and lines[0].startswith("Traceback") else " ".join(lines)
    words = "".join(letter if letter.isprintable() else " " for letter in words)
    return words if len(words) <= TEXT else f"{words[: TEXT - 3]}..."
