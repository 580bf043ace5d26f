"""`vgil serve` in a process of its own: what clients of three kinds get is what the policy says here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("msgpack")
pytest.importorskip("websockets")

from support import checkpoints, contracts
from support.nodes import made_episode
from support.paths import process_environment
from support.prefork import Server
from support.process import Process
from support.remote import openpi_wire
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from vgil_ros.assets import load_contract
from vgil_ros.cli.checkpoint.replay import replay_episode
from vgil_ros.cli.main import main
from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import with_past
from vgil_ros.core.layout import Layout
from vgil_ros.policies import load_policy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.mapping import RemoteMapping
from vgil_ros.policies.remote.policy import RemotePolicy

SHIPPED, TOKEN = "sim_pick_place_act", "a secret"
CLIENT = os.environ.get("OPENPI_CLIENT_PYTHON", "")  # a Python of an environment with openpi-client


LOADED = (
    "vgil_ros.cli.main",
    "vgil_ros.policies.serving.serve",
    "vgil_ros.policies.act.inference",
    "vgil_ros.policies.flow_matching.inference",
    "vgil_ros.policies.flow_act.inference",
    "websockets.asyncio.server",
)


@cache
def _server() -> Server:
    return Server(LOADED, process_environment(OMP_NUM_THREADS="1"))


def serve(*options: str, token: str = "") -> Process:
    """Run `vgil serve`, in a fork that has loaded what it needs."""
    environment = process_environment(PYTHONUNBUFFERED="1", VGIL_TOKEN=token, OMP_NUM_THREADS="1")
    return Process.forked(_server(), ["vgil_ros.cli.main", "serve", *options], environment)


class Served:
    """A server's process."""

    def __init__(self, checkpoint: str | Path, *options: str, token: str = "") -> None:
        self.process = serve("--checkpoint", str(checkpoint), "--port", "0", *options, token=token)
        self.address = self.process.expect("^serving").text.split()[-1]

    def end(self) -> None:
        """Ctrl-C."""
        self.process.send(signal.SIGINT)
        assert self.process.wait(20) == 0
        assert "Traceback" not in self.process.output
        self.process.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served(SHIPPED, "--max-batch", "4", token=TOKEN)
    yield made
    made.end()
    assert TOKEN not in made.process.output


@pytest.fixture(scope="module")
def local() -> InferenceRuntime:
    return InferenceRuntime(load_policy(SHIPPED), repeatable=True)


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(load_contract("sim_single")[0])


def observation(seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    images = {n: random.integers(0, 256, (240, 320, 3), dtype=np.uint8) for n in ("cam_high", "cam_wrist")}
    return {"qpos": random.normal(0.0, 0.3, 7).astype(np.float32), "images": images}


def message(seed: int = 0) -> dict[str, Any]:
    given = observation(seed)
    return {"state": given["qpos"], "images": given["images"], "prompt": "pick it up"}


def talk(address: str, token: str = TOKEN) -> ClientConnection:
    headers = {"Authorization": f"Api-Key {token}"}
    return connect(address, additional_headers=headers, compression=None, max_size=None)


def test_the_descriptions_own_client_gets_the_policys_chunk(served: Served, local: InferenceRuntime) -> None:
    with talk(served.address) as client:
        told = openpi_wire.unpackb(client.recv())["vgil"]  # type: ignore[arg-type]
        assert (told["type"], told["chunk_size"], told["action_dim"]) == ("act", 50, 7)
        for seed in range(2):
            client.send(openpi_wire.packb(message(seed)))
            answer = openpi_wire.unpackb(client.recv())  # type: ignore[arg-type]
            np.testing.assert_allclose(answer["actions"], local(observation(seed)), atol=1e-4)
            assert answer["actions"].dtype == np.float32
            assert answer["server_timing"]["infer_ms"] > 0
        assert answer["server_timing"]["prev_total_ms"] > 0


def test_channels_first_and_jpeg_are_taken_too(served: Served, local: InferenceRuntime) -> None:
    given = message()
    given["images"] = {name: np.ascontiguousarray(i.transpose(2, 0, 1)) for name, i in given["images"].items()}
    with talk(served.address) as client:
        client.recv()
        client.send(openpi_wire.packb(given))
        answer = openpi_wire.unpackb(client.recv())  # type: ignore[arg-type]
    np.testing.assert_allclose(answer["actions"], local(observation()), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": np.zeros(6, np.float32)}, "qpos: found shape"),
        ({"images": {"cam_high": np.zeros((240, 320, 3), np.uint8)}}, "allowed: exactly ['cam_high', 'cam_wrist']"),
        ({"images": {n: np.zeros((24, 32, 3), np.uint8) for n in ("cam_high", "cam_wrist")}}, "image of cam_high"),
        ({"images": dict.fromkeys(("cam_high", "cam_wrist"), b"no jpeg")}, "is no JPEG; allowed"),
        ({"observation/state": 1}, "allowed: ['state', 'images'"),
        ({"prompt": 5}, "prompt is int; allowed: a text"),
        ({"prefix": {"action": np.zeros((50, 7)), "weight": np.zeros(50)}}, "does not keep prefix actions"),
        ({"draws": 1000}, "draws is 1000; allowed: 1 to"),
        ({"reset": {"seed": "x"}}, "reset: seed is x; allowed"),
        ({"past": {}}, "past lacks ['qpos', 'images', 'known']"),
    ],
)
def test_a_wrong_request_is_told_so_and_costs_no_connection(served: Served, change: Any, words: str) -> None:
    with talk(served.address) as client:
        client.recv()
        client.send(openpi_wire.packb(message() | change))
        said = client.recv()
        assert isinstance(said, str)
        assert words in said
        assert "Traceback" not in said
        client.send(openpi_wire.packb(message()))
        assert isinstance(client.recv(), bytes)


@pytest.mark.parametrize("given", [b"\xc1", b"", "a text", openpi_wire.packb([1])])
def test_garbage_is_told_so_and_costs_no_connection(served: Served, given: bytes | str) -> None:
    with talk(served.address) as client:
        client.recv()
        client.send(given)
        said = client.recv()
        assert isinstance(said, str)
        assert "needed" in said or "allowed" in said
        client.send(openpi_wire.packb(message()))
        assert isinstance(client.recv(), bytes)


def test_tokens_and_health(served: Served) -> None:
    for token in ("", "another"):
        with pytest.raises(InvalidStatus, match="401"):
            talk(served.address, token)
    with urllib.request.urlopen(served.address.replace("ws://", "http://") + "/healthz", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"OK\n")
    with connect(served.address, additional_headers={"Authorization": f"Bearer {TOKEN}"}, compression=None) as client:
        assert isinstance(client.recv(), bytes)


def test_many_clients_at_once_each_get_their_own(served: Served, local: InferenceRuntime) -> None:
    found: dict[int, np.ndarray] = {}
    begin = threading.Barrier(4)

    def work(seed: int) -> None:
        with talk(served.address) as client:
            client.recv()
            begin.wait(30)
            for _ in range(3):
                client.send(openpi_wire.packb(message(seed)))
                found[seed] = openpi_wire.unpackb(client.recv())["actions"]  # type: ignore[arg-type]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed in range(4):
        np.testing.assert_allclose(found[seed], local(observation(seed)), atol=1e-4)


def test_our_own_client_gets_the_same_and_holds_it_against_the_robot(
    served: Served, local: InferenceRuntime, layout: Layout
) -> None:
    raw = RemotePolicy(served.address, layout, token=TOKEN)
    jpeg = RemotePolicy(served.address, layout, RemoteMapping(jpeg_quality=95), token=TOKEN)
    own = load_policy(SHIPPED).config
    for key in ("type", "state_dim", "action_dim", "chunk_size", "cameras", "joint_names", "rate_hz", "fingerprint"):
        assert getattr(raw.config, key) == getattr(own, key), key
    raw.reset(3)
    np.testing.assert_allclose(raw(observation(5)), local(observation(5)), atol=1e-4)
    assert raw.latency_parts()["server"][0] > 0.0
    smooth = observation(5)
    smooth["images"] = {name: np.full((240, 320, 3), 90, np.uint8) for name in smooth["images"]}
    np.testing.assert_allclose(jpeg(smooth), local(smooth), atol=0.02)
    raw.close()
    jpeg.close()
    with pytest.raises(VgilError, match="does not fit robot 'sim_aloha'"):
        RemotePolicy(served.address, Layout(load_contract("sim_aloha")[0]), token=TOKEN)


@pytest.mark.parametrize("rate_hz", [None, 12.5])
def test_a_camera_of_another_name_costs_nothing_of_what_the_server_tells(tmp_path: Path, rate_hz: float | None) -> None:
    robot = contracts.small_robot(cameras=[contracts.camera("webcam")])
    layout = Layout(load_contract(str(contracts.write(robot, tmp_path / "robot.yaml")))[0])
    theirs = contracts.write(contracts.small_robot(), tmp_path / "theirs.yaml")
    checkpoint = checkpoints.make(theirs, tmp_path / "past", kind="flow_act")
    served, config = Served(checkpoint), load_policy(checkpoint).config
    mapping = {"images": [{"name": "webcam", "key": ["images", "cam_a"]}], "actions": {"rate_hz": rate_hz}}
    remote = RemotePolicy(served.address, layout, RemoteMapping.model_validate(mapping))
    times = 1 if rate_hz is None else 2
    assert config.obs_offsets
    assert remote.config.obs_offsets == tuple(times * k for k in config.obs_offsets), "in the robot's ticks"
    random = np.random.default_rng(0)

    def frame() -> Any:
        pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        return {"qpos": random.normal(0.0, 0.1, 3).astype(np.float32), "images": {"webcam": pixels}}

    given = with_past(frame(), [frame() for _ in config.obs_offsets])
    there = {**given, "images": {"cam_a": given["images"]["webcam"]}}
    there["past"] = {**given["past"], "images": {"cam_a": given["past"]["images"]["webcam"]}}
    local = InferenceRuntime(load_policy(checkpoint), repeatable=True)
    remote.reset(7)
    local.reset(7)
    np.testing.assert_allclose(remote(given)[0], local(there)[0], atol=1e-4)
    remote.close()
    served.end()


def test_past_prefix_task_draws_and_seeds_go_over_the_wire(tmp_path: Path) -> None:
    """A policy that takes everything that an observation may hold, against itself in this process."""
    contract = contracts.write(contracts.small_robot(), tmp_path / "robot.yaml")
    folder = checkpoints.make(contract, tmp_path / "checkpoint", kind="flow_matching", task_dim=8)
    past = checkpoints.make(contract, tmp_path / "past", kind="flow_act")
    layout, random = Layout(load_contract(str(contract))[0]), np.random.default_rng(0)

    def frame() -> Any:
        pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        return {"qpos": random.normal(0.0, 0.1, 3).astype(np.float32), "images": {"cam_a": pixels}}

    for checkpoint in (folder, past):
        served = Served(checkpoint)
        remote = RemotePolicy(served.address, layout, task="stack")
        local = InferenceRuntime(load_policy(checkpoint), repeatable=True)
        assert remote.config.obs_offsets == load_policy(checkpoint).config.obs_offsets
        given = with_past(frame(), [frame() for _ in remote.config.obs_offsets])
        if checkpoint is folder:
            given = {**given, "task": "stack"}
            prefix = {"action": np.full((20, 3), 0.05, np.float32), "weight": np.linspace(1, 0, 20, dtype=np.float32)}
            remote.reset(7)
            local.reset(7)
            kept = {**given, "prefix": prefix}
            np.testing.assert_allclose(remote(kept), local(kept), atol=1e-4)
            np.testing.assert_allclose(remote.draw(given, 3), local.draw(given, 3), atol=1e-4)
            with pytest.raises(RemoteError, match="several chunks at once: found a prefix; allowed"):
                remote.draw(kept, 3)
        remote.reset(7)
        local.reset(7)
        np.testing.assert_allclose(remote(given), local(given), atol=1e-4)
        remote.close()
        served.end()


def test_replay_and_eval_take_an_address(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mujoco")
    base = {"odom": {"topic": "/odom"}, "command": {"topic": "/cmd_vel"}, "limits": {"linear": 0.5, "angular": 1.0}}
    contract = contracts.write(contracts.small_robot(base=base), tmp_path / "robot.yaml")
    checkpoint = checkpoints.make(contract, tmp_path / "checkpoint")
    actions = 0.1 * np.sin(np.arange(30)[:, None] / 5 + np.arange(3))
    episode = made_episode.episode(contract, tmp_path / "episodes", actions, np.zeros((30, 2)))
    small = Served(checkpoint)
    here = replay_episode(checkpoint, episode, every=10)
    there = replay_episode(small.address, episode, every=10)
    assert there.values["l1"] == pytest.approx(here.values["l1"], abs=1e-4)
    assert there.values["l1_per_joint"].keys() == here.values["l1_per_joint"].keys()
    small.end()
    monkeypatch.setenv("VGIL_TOKEN", TOKEN)
    options = ["--checkpoint", served.address, "--episodes", "1", "--episode-len", "10"]
    monkeypatch.setattr(sys, "argv", ["vgil", "eval", *options, "--json", str(tmp_path / "report.json")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None), capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["policy"], report["checkpoint"]) == ("act", served.address)


def test_what_cannot_be_served(served: Served) -> None:
    port = served.address.rpartition(":")[2]
    for options, words in (
        (["--checkpoint", "nowhere"], "is not a checkpoint folder"),
        (["--checkpoint", SHIPPED, "--port", port], "cannot be listened on"),
        (["--checkpoint", SHIPPED, "--precision", "fp64"], "--precision is 'fp64'; allowed"),
        (["--lerobot", "x", "--precision", "fp32"], "--precision with --lerobot; allowed with --checkpoint alone"),
        (
            ["--lerobot", "x", "--max-batch", "1", "--robot", "sim_single"],
            "--max-batch, --robot with --lerobot; allowed",
        ),
    ):
        process = serve(*options)
        assert process.wait(60) == 2, process.output
        assert words in process.output
        assert "Traceback" not in process.output
        process.close()


@pytest.mark.skipif(not CLIENT, reason="OPENPI_CLIENT_PYTHON names no Python with openpi-client")
def test_openpi_client_from_pypi(served: Served, local: InferenceRuntime, tmp_path: Path) -> None:
    """The real one, with its own msgpack, NumPy and websockets."""
    np.savez(tmp_path / "in.npz", state=observation()["qpos"], **observation()["images"])
    script = """
import sys, numpy as np
from openpi_client import image_tools, websocket_client_policy
given = np.load(sys.argv[1])
host, port = sys.argv[3].removeprefix("ws://").split(":")
client = websocket_client_policy.WebsocketClientPolicy(host=host, port=int(port), api_key=sys.argv[4])
assert client.get_server_metadata()["vgil"]["type"] == "act"
images = {name: image_tools.convert_to_uint8(given[name]) for name in ("cam_high", "cam_wrist")}
try:
    client.infer({"state": given["state"][:3], "images": images})
except RuntimeError as error:
    assert "qpos" in str(error), error
answer = client.infer({"state": given["state"], "images": images, "prompt": "pick it up"})
assert answer["server_timing"]["infer_ms"] > 0
np.save(sys.argv[2], answer["actions"])
"""
    files = [str(tmp_path / "in.npz"), str(tmp_path / "out.npy")]
    command = [CLIENT, "-c", script, *files, served.address, TOKEN]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), local(observation()), atol=1e-4)
