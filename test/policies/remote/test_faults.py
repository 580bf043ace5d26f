"""A client and a server that fails in every way: what is said, how long it takes, and that it goes on afterwards."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("msgpack")
pytest.importorskip("websockets")

from support import contracts
from support.paths import process_environment
from support.process import Process

from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.inference.opening import make_runner, open_for_robot
from vgil_ros.policies.remote.connection import Connection
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.mapping import RemoteMapping
from vgil_ros.policies.remote.policy import RemotePolicy

ANSWER_S = 0.4
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of a websocket's handshake


class Odd:
    """The odd server's process, and the robot that its chunks are for."""

    def __init__(self, folder: Path) -> None:
        self.contract = contracts.write(contracts.small_robot(), folder / "robot.yaml")
        self.layout = Layout(load_contract(str(self.contract))[0])
        command = ["-m", "support.remote.odd_server", str(self.contract)]
        self.process = Process.python(command, process_environment(PYTHONUNBUFFERED="1"))
        self.address = f"ws://127.0.0.1:{self.process.expect('^listening').text.split()[1]}"

    def tell(self, line: str) -> None:
        """Have it obey."""
        since = self.process.mark()
        self.process.write(line + "\n")
        self.process.expect(f"^done {line}", since=since)

    def connect(self, **mapping: Any) -> RemotePolicy:
        """A client of it."""
        made = RemoteMapping.model_validate({"answer_s": ANSWER_S, "connect_s": 1.0, **mapping})
        return RemotePolicy(self.address, self.layout, made)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    made = Odd(tmp_path_factory.mktemp("odd"))
    yield made
    made.process.close()


@pytest.fixture
def policy(odd: Odd) -> Iterator[RemotePolicy]:
    made = odd.connect()
    yield made
    made.close()


def observation() -> Any:
    return {"qpos": np.zeros(3, np.float32), "images": {"cam_a": np.zeros((48, 64, 3), np.uint8)}}


def goes_on(policy: RemotePolicy, seconds: float = 5.0) -> None:
    """Ask until a chunk comes, as the control loop does."""
    end = time.monotonic() + seconds
    while True:
        try:
            assert policy(observation()).shape == (20, 3)
            return
        except RemoteError:
            assert time.monotonic() < end
            time.sleep(0.02)


def until_stopped(pid: int) -> None:
    """Wait until the kernel has stopped a process: a busy one may get that far a little later."""
    end = time.monotonic() + 5.0
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "Tt":
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_learns_its_sizes_from_the_first_answer_and_measures_the_parts(odd: Odd, policy: RemotePolicy) -> None:
    assert (policy.config.chunk_size, policy.config.action_dim) == (20, 3)
    assert policy.config.camera_names == ("cam_a",)
    assert not policy.supports_prefix
    chunk = policy(observation())
    assert np.abs(chunk - odd.layout.home).max() < 0.11
    parts = policy.latency_parts()
    assert set(parts) == {"encode", "wire", "server", "decode"}
    assert parts["server"][0] == pytest.approx(0.125), "as it says"
    assert policy.draw(observation(), 3).shape == (3, 20, 3)
    assert make_runner(policy, odd.layout) is policy


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("garbage", "is not msgpack"),
        ("shape", r"the answer has chunks \(1, 19, 3\); allowed: \(1, 20, 3\), as before"),
        ("text", "the server says: ValueError: the model is unhappy"),
        ("hang", f"no answer within {ANSWER_S:g} s"),
        ("slow 0.6 0.7", f"no answer within {ANSWER_S:g} s"),
        ("twice", "something that nobody asked for"),
    ],
)
def test_it_says_what_is_wrong_in_time_and_goes_on(odd: Odd, policy: RemotePolicy, mode: str, words: str) -> None:
    goes_on(policy)
    odd.tell(mode)
    try:
        began = time.monotonic()
        with pytest.raises(RemoteError, match=f"^{odd.address}: .*{words}"):  # noqa: PT012 - one of the next
            for _ in range(2):
                policy(observation())
                time.sleep(0.05)
        assert time.monotonic() - began < ANSWER_S + 2.0
    finally:
        odd.tell("swing")
    goes_on(policy)


def test_a_connection_that_is_cut_is_opened_again_with_pauses(odd: Odd, policy: RemotePolicy) -> None:
    odd.tell("cut")
    said = []
    began = time.monotonic()
    for _ in range(5):
        with pytest.raises(RemoteError) as caught:
            policy(observation())
        said.append(str(caught.value))
    waited = time.monotonic() - began
    odd.tell("back")
    goes_on(policy)
    assert "the connection was cut" in said[0]
    assert all("nobody listens there" in words for words in said[1:]), said
    assert 0.6 < waited < 4.0, "it does not ask as fast as it can"


def test_a_server_that_stands_still_costs_no_more_than_the_time_out(odd: Odd, policy: RemotePolicy) -> None:
    """Not even where what is sent fills every buffer on the way."""
    huge = {**observation(), "images": {"cam_a": np.zeros((48, 64, 3), np.uint8)}}
    connection = Connection(odd.address, connect_s=0.5)
    connection.open()
    odd.process.send(signal.SIGSTOP)
    try:
        until_stopped(odd.process.popen.pid)
        began = time.monotonic()
        with pytest.raises(RemoteError, match="no answer within"):
            policy(huge)
        assert time.monotonic() - began < ANSWER_S + 1.0
        began = time.monotonic()
        with pytest.raises(RemoteError, match="the connection was cut"):
            connection.ask(b"\0" * (60 << 20), 0.5)
        assert time.monotonic() - began < 3.0
    finally:
        odd.process.send(signal.SIGCONT)
    goes_on(policy)


def test_a_server_that_reads_slowly_costs_no_more_than_the_time_out() -> None:
    """Each piece of a request goes out in time, and all of them together do not."""
    ended = threading.Event()

    def read_slowly(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
            accepted = base64.b64encode(hashlib.sha1(key.split(b": ")[1] + GUID).digest())
            upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            client.sendall(upgrade + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n" + b"\x82\x01\x80")
            while not ended.wait(0.2):
                client.recv(400_000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = threading.Thread(target=read_slowly, args=(server,))
        reader.start()
        try:
            connection = Connection(f"ws://127.0.0.1:{server.getsockname()[1]}", connect_s=2.0)
            assert connection.open() == {}
            began = time.monotonic()
            with pytest.raises(RemoteError, match=r"the connection was cut \(the request was not sent within 0.4 s\)"):
                connection.ask(bytes(30 << 20), 0.4)
            assert time.monotonic() - began < 2.5
        finally:
            ended.set()
            reader.join(5.0)


def test_tokens(odd: Odd, policy: RemotePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.tell("token secret")
    try:
        with pytest.raises(RemoteError, match=r"a token is needed \(HTTP 401\); give .* VGIL_TOKEN"):
            odd.connect()
        monkeypatch.setenv("VGIL_TOKEN", "guess")
        with pytest.raises(RemoteError, match=r"the token that was sent is refused"):
            odd.connect()
        monkeypatch.setenv("VGIL_TOKEN", "secret")
        odd.connect().close()
    finally:
        odd.tell("token -")
    goes_on(policy)


def test_a_server_that_comes_back_with_another_policy_is_not_taken(odd: Odd, policy: RemotePolicy) -> None:
    second = Process.python(
        ["-m", "support.remote.odd_server", str(odd.contract)], process_environment(PYTHONUNBUFFERED="1")
    )
    try:
        address = f"ws://127.0.0.1:{second.expect('^listening').text.split()[1]}"
        other = RemotePolicy(address, odd.layout)
        second.write("metadata\n")
        second.expect("^done metadata")
        with pytest.raises(RemoteError, match=r"another policy than before; start anew|the connection was cut"):
            other(observation())
        with pytest.raises(RemoteError, match="another policy than before; start anew"):
            other(observation())
        with pytest.raises(VgilError, match=r"does not fit robot 'small':\n.*qpos: the policy takes 99"):
            RemotePolicy(address, odd.layout)
        other.close()
    finally:
        second.close()


def test_closing_ends_a_request_that_waits(odd: Odd) -> None:
    policy = odd.connect(answer_s=30.0)
    odd.tell("hang")
    try:
        threading.Timer(0.2, policy.close).start()
        began = time.monotonic()
        with pytest.raises(RemoteError, match="the connection was"):
            policy(observation())
        assert time.monotonic() - began < 3.0
    finally:
        odd.tell("swing")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ws://127.0.0.1:1", "nobody listens there; start `vgil serve`"),
        ("ws://no.such.host.invalid:8000", "host 'no.such.host.invalid' is unknown"),
        ("ws://127.0.0.1:99999", "allowed: ws://HOST:PORT"),
        ("ws://", "allowed: ws://HOST:PORT"),
        ("ws://me:word@127.0.0.1:8000", "a name or a password stands before it"),
    ],
)
def test_addresses_that_lead_nowhere(odd: Odd, address: str, words: str) -> None:
    with pytest.raises(RemoteError, match=re.escape(words)) as caught:
        open_for_robot(address, odd.layout)
    assert "word@" not in str(caught.value)


def test_a_mapping_without_an_address_is_refused(odd: Odd, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="allowed with ws://HOST:PORT alone"):
        open_for_robot("sim_pick_place_act", odd.layout, mapping=tmp_path / "mapping.yaml")


def test_what_is_no_websocket_server(odd: Odd) -> None:
    import http.server

    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(RemoteError, match=r"no policy server|no connection"):
            RemotePolicy(f"ws://127.0.0.1:{server.server_port}", odd.layout)
    finally:
        server.shutdown()
        server.server_close()
