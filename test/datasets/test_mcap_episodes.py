"""Episodes as MCAPs: what others read of them by the contract's topics, what comes back, and files that are no such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zstandard")
pytest.importorskip("mcap")

import dm_env
from support import contracts
from support.bags import messages as made
from support.bags.messages import Sent
from support.bags.written import mcap
from support.episodes import made_episodes as demo
from typer.testing import CliRunner

from vgil_ros.assets import load_contract
from vgil_ros.cli.main import app
from vgil_ros.core.layout import Layout
from vgil_ros.core.messages import cdr
from vgil_ros.core.streams import streams_of
from vgil_ros.datasets.bags.from_bag import BagSettings, from_bag
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.mcap_episodes.index import OWN
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import open_source
from vgil_ros.datasets.stored import COLUMNS, column
from vgil_ros.datasets.verify import verify
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeReader, EpisodeWriter
from vgil_ros.episodes.meta import VectorMeta

PERIOD_NS = 40_000_000
OF_TAKEOVERS = ("intervention", "actor", "policy_action", "human_action")
SIZE = (contracts.HEIGHT, contracts.WIDTH)
FEEDBACK = {"joint": "finger", "range": [0.01, 0.05]}
VECTORS = [
    {"name": "force", "topic": "/wrist/wrench", "type": "wrench", "latency_ms": 5},
    {"name": "tilt", "topic": "/imu", "type": "imu"},
    {"name": "fingers", "topic": "/hand/joint_states", "type": "joint_state", "joints": ["a", "b"]},
    {"name": "touch", "topic": "/touch", "type": "float32_multi_array", "size": 3, "stamp": "arrival - 4"},
]
BASE = {"odom": {"topic": "/odom"}, "command": {"topic": "/cmd_vel"}, "limits": {"linear": 1.0, "angular": 1.0}}


def robot(folder: Path, **changes: Any) -> Path:
    """A contract with everything that one may have."""
    arm = contracts.ARM | {"gripper": contracts.ARM["gripper"] | {"feedback": FEEDBACK}}
    cameras = [contracts.camera("cam_a", latency_ms=8), contracts.camera("cam_b", "compressed")]
    cameras += [contracts.camera("deep", "depth"), contracts.camera("packed", "compressed_depth")]
    whole = {"arms": [arm], "cameras": cameras, "vectors": VECTORS, "base": BASE, **changes}
    return contracts.write(contracts.small_robot(**whole), folder / "robot.yaml")


def slow(random: np.random.Generator, count: int) -> np.ndarray:
    """Numbers that no limit of the robot forbids."""
    return random.uniform(0.3, 0.33, count).astype(np.float32)


def record(folder: Path, contract_file: Path, rows: int, storage: Any = "jpeg", tasks: Any = ()) -> Path:
    """An episode of such a robot, of random numbers."""
    contract, text = load_contract(str(contract_file))
    random, layout = np.random.default_rng(rows), Layout(contract)
    stored = zip(layout.image_names, (storage, "passthrough"), strict=False)
    meta = EpisodeMeta(
        robot=contract.name, contract=text, rate_hz=contract.rate_hz, task="first", has_velocity=True, has_effort=True,
        streams=tuple(spec.name for spec in streams_of(contract)), joint_names=layout.joint_names,
        cameras=tuple(CameraMeta(n, *SIZE, s) for n, s in stored),
        depths=tuple(CameraMeta(name, *SIZE, None) for name in layout.depth_names),
        has_base=contract.base is not None, has_base_velocity=contract.base is not None,
        vectors=tuple(VectorMeta(vector.name, vector.width) for vector in contract.vectors),
    )  # fmt: skip
    writer = EpisodeWriter(folder, meta, min_free_bytes=0)
    for t in range(rows + 1):
        seen = demo.observation(t, meta)
        seen |= {key: slow(random, meta.dim) for key in ("qpos", "qvel", "effort")}
        for camera in meta.cameras:
            if camera.storage == "passthrough":
                seen["images"][camera.name] = demo.frame(demo.image(t, SIZE, 1), "jpeg")
        seen["depth"] = {name: random.integers(300, 2000, SIZE).astype(np.uint16) for name in layout.depth_names}
        seen["vectors"] = {vector.name: random.uniform(0.5, 1, vector.size) for vector in meta.vectors}
        if "base_vel" in seen:
            seen["base_vel"] = random.normal(size=2).astype(np.float32)
        step = dm_env.restart(seen) if t == 0 else dm_env.transition(0.5, seen)
        step = dm_env.termination(1.0, seen) if t == rows else step
        writer.append(
            step, None if t == rows else slow(random, meta.dim),
            stamp_ns=made.START + t * PERIOD_NS, skew_ns=np.arange(len(meta.streams)) - 3,
            flags=np.full(len(meta.streams), 2), arrival_ns=made.START + t * PERIOD_NS + np.arange(len(meta.streams)),
        )  # fmt: skip
    return writer.close(success=True, tasks=tasks)


@pytest.mark.parametrize("images", ["kept", "png", "raw"])
def test_everything_comes_back(tmp_path: Path, images: str) -> None:
    """Numbers bit-equal, stamps exact, JPEGs as they were or pixels exact, depth, vectors, each row's task."""
    later = [(made.START + 2 * PERIOD_NS, "second")]
    record(tmp_path / "ours", robot(tmp_path), 5, tasks=later)
    convert_dataset(
        Plan(source=tmp_path / "ours", to="mcap", images=images), tmp_path / "mcap", workers=1 + (images == "kept")
    )
    assert verify(tmp_path / "mcap") == []
    convert_dataset(Plan(source=tmp_path / "mcap", to="vgil"), tmp_path / "back")
    ours, files, back = (open_source(tmp_path / name) for name in ("ours", "mcap", "back"))
    assert files.kind == "mcap"
    assert files.names() == ["episode_0"]
    with ours.open(0) as a, files.open(0) as b, back.open(0) as c:
        for name in COLUMNS:
            before = column(a, name)
            if before is None:  # of takeovers, which this recording has none of
                assert name in OF_TAKEOVERS
                continue
            for after in (column(b, name), column(c, name)):
                assert after is not None
                assert after.dtype == before.dtype
                np.testing.assert_array_equal(after, before, err_msg=name)
        for name in a.vector_names:
            np.testing.assert_array_equal(b.vector(name), a.vector(name))
            np.testing.assert_array_equal(c.vector(name), a.vector(name))
        for row in range(5):
            for name in a.camera_names:
                np.testing.assert_array_equal(b.image(name, row), a.image(name, row))
                assert images != "kept" or b.jpeg(name, row) == a.jpeg(name, row)
            assert images != "kept" or c.jpeg("cam_a", row) == a.jpeg("cam_a", row)
            for name in a.depth_names:
                np.testing.assert_array_equal(b.depth(name, row), a.depth(name, row))
        assert a.row_tasks() == b.row_tasks() == c.row_tasks() == ("first",) * 2 + ("second",) * 3
        told = ("rate_hz", "robot", "joint_names", "streams", "contract", "success", "created", "task")
        for key in told:
            assert b.attrs[key] == c.attrs[key] == a.attrs[key], key


def test_who_acted_and_what_both_wanted_come_back(tmp_path: Path) -> None:
    """A rollout with a correction in rows 2 and 3; numbers and types as they were, a demonstration has none."""
    rows = 6
    writer = EpisodeWriter(tmp_path / "ours", demo.meta(has_takeover=True), min_free_bytes=0)
    for t in range(rows + 1):
        led = t in (2, 3)
        actions = {"policy_action": np.full(3, t + 0.1), "human_action": np.full(3, -t - 0.1) if led else None}
        beside = {"intervention": led, "actor": 2 * led, **actions}
        demo.add(writer, t, last=t == rows, **({} if t == rows else {"beside": beside}))
    writer.close(rollout=True)
    demo.write(tmp_path / "ours", demo.meta(), rows)
    convert_dataset(Plan(source=tmp_path / "ours", to="mcap"), tmp_path / "mcap")
    assert verify(tmp_path / "mcap") == []
    convert_dataset(Plan(source=tmp_path / "mcap", to="vgil"), tmp_path / "back")
    ours, files, back = (open_source(tmp_path / name) for name in ("ours", "mcap", "back"))
    with ours.open(0) as a, files.open(0) as b, back.open(0) as c:
        for name in OF_TAKEOVERS:
            before = column(a, name)
            assert before is not None
            for after in (column(b, name), column(c, name)):
                assert after is not None, name
                assert (after.dtype, after.shape) == (before.dtype, before.shape), name
                np.testing.assert_array_equal(after, before, err_msg=name)
    with files.open(1) as shown:
        assert [column(shown, name) for name in OF_TAKEOVERS] == [None] * 4


def test_others_find_the_contracts_topics_types_units_and_stamps(tmp_path: Path) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel")
    episode = record(tmp_path / "ours", robot(tmp_path), 3, storage="raw")
    convert_dataset(Plan(source=tmp_path / "ours", to="mcap"), tmp_path / "mcap")
    found: dict[str, list[Any]] = {}
    with highlevel.AnyReader([tmp_path / "mcap" / "episode_0.mcap"]) as reader:
        for connection, log_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((connection.msgtype, log_ns, message))
    types = {topic: all_of[0][0] for topic, all_of in found.items() if not topic.startswith(OWN)}
    stamp = "sensor_msgs/msg/"
    assert types == {
        "/puppet/joint_states": f"{stamp}JointState", "/master/joint_states": f"{stamp}JointState",
        "/cam_a/image_raw": f"{stamp}Image", "/cam_b/compressed": f"{stamp}CompressedImage",
        "/deep/image_raw": f"{stamp}Image", "/packed/image_raw": f"{stamp}CompressedImage",
        "/wrist/wrench": "geometry_msgs/msg/WrenchStamped", "/imu": f"{stamp}Imu",
        "/hand/joint_states": f"{stamp}JointState", "/touch": "std_msgs/msg/Float32MultiArray",
        "/odom": "nav_msgs/msg/Odometry", "/cmd_vel": "geometry_msgs/msg/Twist",
    }  # fmt: skip
    assert {len(all_of) for all_of in found.values()} == {3}
    late = {"/cam_a/image_raw": 8_000_000, "/wrist/wrench": 5_000_000}  # by their latency
    with EpisodeReader(episode) as ours:
        for row in range(3):
            tick = made.START + row * PERIOD_NS
            for topic, all_of in found.items():
                if hasattr(header := all_of[row][2], "header"):
                    at = header.header.stamp
                    assert at.sec * 10**9 + at.nanosec == tick + late.get(topic, 0), topic
            assert found["/touch"][row][1] == tick + 4_000_000, "logged when it would have arrived"
            state = found["/puppet/joint_states"][row][2]
            assert state.name == ["waist", "elbow", "finger", "grip"]
            qpos = ours.qpos[row].astype(float)
            measured = [*qpos[:2], 0.01 + 0.04 * qpos[2], 0.02 + 0.08 * qpos[2]]
            np.testing.assert_allclose(state.position, measured, rtol=0, atol=1e-12)
            np.testing.assert_allclose(found["/master/joint_states"][row][2].position[2], 0.5 * ours.action[row, 2])
            np.testing.assert_array_equal(
                found["/cam_a/image_raw"][row][2].data.reshape(*SIZE, 3), ours.image("cam_a", row)
            )
            assert found["/odom"][row][2].twist.twist.angular.z == ours.base_vel[row, 1]  # type: ignore[index]
            imu = found["/imu"][row][2]
            np.testing.assert_array_equal(
                [imu.orientation.w, imu.angular_velocity.x, imu.linear_acceleration.z],
                ours.vector("tilt")[row, [3, 4, 9]],
            )


@pytest.mark.parametrize("storage", ["jpeg", "raw", "passthrough"])
def test_from_bag_gives_the_rows_again(tmp_path: Path, storage: str) -> None:
    """By the contract in it, and its colours are right, whether a JPEG is in the peers' order or in a camera's."""
    changes: dict[str, Any] = {"cameras": [contracts.camera("cam_a")], "vectors": VECTORS[:1], "base": None}
    episode = record(tmp_path / "ours", robot(tmp_path, **changes), 12, storage)
    convert_dataset(Plan(source=tmp_path / "ours", to="mcap"), tmp_path / "mcap")
    done = from_bag(tmp_path / "mcap" / "episode_0.mcap", BagSettings(tmp_path / "out"))
    assert done.whole, done.notes
    with EpisodeReader(episode) as ours, EpisodeReader(done.end.path) as again:
        rows = again.rows
        assert rows >= 11
        assert again.task == "first"
        np.testing.assert_array_equal(again.stamp_ns, np.asarray(ours.stamp_ns)[:rows])
        np.testing.assert_allclose(again.qpos, ours.qpos[:rows], rtol=0, atol=1e-6)
        np.testing.assert_allclose(again.action, ours.action[:rows], rtol=0, atol=1e-6)
        np.testing.assert_allclose(again.vector("force"), ours.vector("force")[:rows], rtol=0, atol=1e-9)
        for row in range(rows):
            gap = np.abs(again.image("cam_a", row).astype(int) - ours.image("cam_a", row)).mean()
            assert gap < 3, "a JPEG more, where it was in the peers' order or no JPEG"
            assert storage != "passthrough" or again.jpeg("cam_a", row) == ours.jpeg("cam_a", row)


def test_a_bag_of_files_alone_fits_a_camera_of_pixels(tmp_path: Path) -> None:
    """As image_transport names them: `TOPIC/compressed`."""
    jpeg = demo.frame(demo.image(0, SIZE), "jpeg").data
    sent = [
        Sent(one.arrival_ns, f"{made.CAMERA}/compressed", _file(cdr.CdrReader(one.data).stamp(), bytes(jpeg)))
        if one.topic == made.CAMERA
        else one
        for one in made.robot(1.5)
    ]
    types = {f"{made.CAMERA}/compressed": "sensor_msgs/msg/CompressedImage"}
    small = contracts.write(contracts.small_robot(sync=contracts.sync(50) | {"frozen_ms": "off"}), tmp_path / "r.yaml")
    done = from_bag(
        mcap(tmp_path / "a.mcap", sent, types=types), BagSettings(tmp_path / "out", load_contract(str(small)))
    )
    assert done.whole, done.notes
    with EpisodeReader(done.end.path) as episode:
        assert episode.jpeg("cam_a", 3) == bytes(jpeg)


def _file(stamp_ns: int, data: bytes) -> bytes:
    message = made.Cdr().header(stamp_ns).text("jpeg").put("I", len(data))
    message.data += data
    return message.done()


def test_names_that_are_no_topics_and_an_unknown_robot(tmp_path: Path) -> None:
    cameras = (CameraMeta("top.view", 48, 64, "raw"), CameraMeta("top_view", 48, 64, "raw"))
    demo.write(tmp_path / "ours", demo.meta(cameras=cameras), 3)
    convert_dataset(Plan(source=tmp_path / "ours", to="mcap"), tmp_path / "mcap")
    with open_source(tmp_path / "ours").open(0) as a, open_source(tmp_path / "mcap").open(0) as b:
        for name in ("top.view", "top_view"):
            np.testing.assert_array_equal(b.image(name, 2), a.image(name, 2))


def test_what_is_no_such_file_is_named(tmp_path: Path) -> None:
    demo.write(tmp_path / "ours", demo.meta(), 8)
    convert_dataset(Plan(source=tmp_path / "ours", to="mcap"), tmp_path / "mcap")
    file = tmp_path / "mcap" / "episode_0.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"episode_0.mcap: is damaged or cut off \(no end; one is needed\); allowed"):
        open_source(tmp_path / "mcap").open(0)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0xFF
    file.write_bytes(bytes(changed))
    with pytest.raises(DatasetError, match=r"episode_0.mcap: is damaged or cut off"):
        open_source(file).open(0)
    foreign = mcap(tmp_path / "foreign.mcap", made.robot(0.2))
    with pytest.raises(DatasetError, match=r"another kind; allowed: .*`vgil episodes from-bag`"):
        open_source(foreign).open(0)
    done = CliRunner().invoke(app, ["dataset", "verify", str(tmp_path / "mcap")])
    assert done.exit_code == 1
    assert "episode_0.mcap: is damaged" in done.output
