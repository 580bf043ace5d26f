"""What a server tells of its policy: held against the robot, whatever a mapping names, and anew at every connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("msgpack")
pytest.importorskip("websockets")

from support import contracts
from websockets.sync.server import ServerConnection, serve

from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.policies.compatibility import unchecked_fields
from vgil_ros.policies.remote.errors import RemoteError
from vgil_ros.policies.remote.mapping import RemoteMapping
from vgil_ros.policies.remote.policy import RemotePolicy
from vgil_ros.policies.remote.wire import pack


class Teller:
    """A server in a thread. It tells `first`, and answers every request with chunks of `value`."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.value, self.rows = layout, 0.0, [20]
        self.told = {
            "version": 1,
            "type": "act",
            "state_dim": 3,
            "action_dim": 3,
            "chunk_size": 20,
            "cameras": [{"name": "cam_a", "height": 48, "width": 64}],
            "joint_names": list(layout.joint_names),
            "rate_hz": layout.contract.rate_hz,
        }
        self.first: bytes | str = pack({"vgil": self.told})
        self.open: list[ServerConnection] = []
        self.server = serve(self._talk, "127.0.0.1", 0, compression=None)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}"

    def _talk(self, connection: ServerConnection) -> None:
        self.open.append(connection)
        connection.send(self.first)
        for number, _ in enumerate(connection):
            rows = self.rows[number % len(self.rows)]
            connection.send(pack({"actions": np.full((rows, 3), self.value, np.float32)}))

    def tell(self, **changes: Any) -> None:
        """Describe the policy otherwise."""
        self.first = pack({"vgil": {**self.told, **changes}})

    def connect(self, **mapping: Any) -> RemotePolicy:
        """A client of it."""
        given = {"answer_s": 20.0, "connect_s": 20.0, **mapping}
        return RemotePolicy(self.address, self.layout, RemoteMapping.model_validate(given))


@pytest.fixture
def teller(tmp_path: Path) -> Iterator[Teller]:
    contract = contracts.write(contracts.small_robot(), tmp_path / "robot.yaml")
    made = Teller(Layout(load_contract(str(contract))[0]))
    yield made
    made.server.shutdown()


def observation() -> Any:
    return {"qpos": np.zeros(3, np.float32), "images": {"cam_a": np.zeros((48, 64, 3), np.uint8)}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2, "type": "other"}, r"its metadata is of version 2; allowed: up to 1"),
        ({"execution": {"mode": "a mode of a later release"}}, r"metadata.*execution"),
        (None, "the server says: busy"),
    ],
)
def test_a_server_that_comes_back_with_what_is_refused_is_never_played(
    teller: Teller, change: dict[str, Any] | None, words: str
) -> None:
    policy = teller.connect()
    assert policy(observation())[0, 0] == 0.0
    teller.value = 9.0
    if change is None:
        teller.first = "busy"
    else:
        teller.tell(**change)
    teller.open[-1].close()
    with pytest.raises(RemoteError, match="the connection was cut"):
        policy(observation())
    for _ in range(3):
        with pytest.raises(RemoteError, match=words):
            policy(observation())
    teller.tell()
    assert policy(observation())[0, 0] == 9.0
    policy.close()


OTHER_ORDER = {"joint_names": ["left/grip", "left/elbow", "left/waist"]}


@pytest.mark.parametrize(
    ("told", "mapping", "words"),
    [
        (OTHER_ORDER, {}, "joints: same names, other order"),
        (OTHER_ORDER, {"answer_s": 5}, "joints: same names, other order"),
        (OTHER_ORDER, {"images": [{"name": "cam_a"}]}, "joints: same names, other order"),
        (OTHER_ORDER, {"state": {"joints": ["left/grip", "left/elbow", "left/waist"]}}, "joints: same names, other"),
        (OTHER_ORDER, {"state": {"joints": ["left/waist"]}}, "joints: same names, other order"),
        (OTHER_ORDER, {"actions": {"joints": ["left/grip", "left/elbow", "left/waist"]}}, "joints: same names, other"),
        ({"rate_hz": 5.0}, {"images": [{"name": "cam_a"}]}, "rate: the policy was trained at 5 Hz"),
        ({"rate_hz": 5.0}, {"state": {"joints": ["left/waist", "left/elbow"]}}, "rate: the policy was trained at 5 Hz"),
        ({"state_dim": 2, "joint_names": []}, {"images": [{"name": "cam_a"}]}, "qpos: the policy takes 2 values"),
    ],
)
def test_a_mapping_takes_the_place_of_what_it_names_alone(
    teller: Teller, told: dict[str, Any], mapping: dict[str, Any], words: str
) -> None:
    teller.tell(**told)
    with pytest.raises(VgilError, match=rf"does not fit robot 'small':\n.*{words}"):
        teller.connect(**mapping)


def test_what_a_mapping_names_needs_not_be_the_robots(teller: Teller) -> None:
    order = ["left/grip", "left/elbow", "left/waist"]
    teller.tell(joint_names=["a", "b"], state_dim=2, rate_hz=5.0, cameras=[{"name": "top", "height": 9, "width": 9}])
    policy = teller.connect(
        state={"joints": order[:2]},
        images=[{"name": "cam_a", "key": ["images", "top"], "resize": [9, 9]}],
        actions={"joints": order, "rate_hz": 5.0},
    )
    assert policy.config.joint_names == teller.layout.joint_names
    assert policy.config.rate_hz == teller.layout.contract.rate_hz
    assert (policy.config.state_dim, policy.config.action_dim, policy.config.camera_names) == (3, 3, ("cam_a",))
    policy.close()


def test_what_neither_tells_stays_unchecked(teller: Teller) -> None:
    teller.tell(joint_names=[], rate_hz=None)
    policy = teller.connect(images=[{"name": "cam_a"}])
    assert unchecked_fields(policy.config) == ["size of camera cam_a", "joint names and their order", "rate"]
    policy.close()


def test_chunks_of_different_lengths_are_no_draws(teller: Teller) -> None:
    teller.first = pack({"made_by": "another project"})
    policy = teller.connect()
    teller.rows = [20, 20, 19]
    with pytest.raises(RemoteError, match=r"the answer has chunks \(1, 19, 3\); allowed: \(1, 20, 3\), as before"):
        policy.draw(observation(), 2)
    policy.close()
