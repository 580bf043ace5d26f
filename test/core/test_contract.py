"""A contract that is wrong says so: the file, the key, what was found, what is allowed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.assets import contract_path, load_contract, robot_names
from vgil_ros.core.contract import Contract, parse_contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import Kind, streams_of

SHIPPED = [
    "aloha",
    "cobot_magic",
    "franka_fr3_gello",
    "franka_fr3_jtc",
    "gym_aloha",
    "mobile_aloha",
    "openarm",
    "piper",
    "sim_aloha",
    "sim_single",
    "so101",
    "so101_ros2",
    "trossen_ai",
    "ur5e",
    "vgil_franka",
    "xarm6",
]

GOOD: dict[str, Any] = {
    "name": "robot",
    "rate_hz": 50,
    "arms": [
        {
            "name": "left",
            "puppet": {"topic": "/puppet"},
            "master": {"topic": "/master"},
            "command": {"topic": "/command", "type": "joint_state"},
            "joints": ["waist", "elbow", "gripper"],
            "limits": {"lower": [-1, -2, 0.0], "upper": [1, 2, 0.1], "velocity": [3, 3, 1]},
            "home": [0, 0, 0.1],
            "gripper": {"joint": "gripper", "puppet_range": [0.0, 0.1], "master_range": [1.0, -1.0]},
        }
    ],
    "cameras": [{"name": "top", "topic": "/top/image_raw", "height": 48, "width": 64}],
    "base": {"odom": {"topic": "/odom"}, "command": {"topic": "/cmd_vel"}, "limits": {"linear": 0.5, "angular": 1}},
    "sync": {"method": "clock", "max_hold": 5},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with the value at a path ("arms.0.joints") set; the path may lead to a key that is not there yet."""
    raw = copy.deepcopy(GOOD)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = raw
    for part in way:
        at = at[part]
    if isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return raw


def refusal(raw: Any) -> str:
    text = raw if isinstance(raw, str) else yaml.safe_dump(raw)
    with pytest.raises(ContractError) as error:
        parse_contract(text, "mine.yaml")
    assert all(line.startswith("mine.yaml: ") for line in str(error.value).splitlines())
    return str(error.value)


def test_good() -> None:
    assert parse_contract(yaml.safe_dump(GOOD), "mine.yaml").arms[0].gripper is not None


@pytest.mark.parametrize("robot", SHIPPED)
def test_every_shipped_contract_parses(robot: str) -> None:
    contract, text = load_contract(robot)
    assert contract.name == robot
    assert contract == parse_contract(text, "again")
    layout = Layout(contract)
    assert len(layout.joint_names) == layout.dim
    assert (layout.lower < layout.upper).all()
    assert ((layout.lower <= layout.home) & (layout.home <= layout.upper)).all()
    assert len({stream.name for stream in streams_of(contract)}) == len(streams_of(contract))


def test_no_contract_is_forgotten_here() -> None:
    assert robot_names() == SHIPPED


@pytest.mark.parametrize(
    ("robot", "dim", "cameras", "base"),
    [
        ("aloha", 14, ("cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist"), False),
        ("mobile_aloha", 14, ("cam_high", "cam_left_wrist", "cam_right_wrist"), True),
        ("cobot_magic", 14, ("cam_high", "cam_left_wrist", "cam_right_wrist"), True),
        ("gym_aloha", 14, ("top",), False),
        ("sim_aloha", 14, ("cam_high", "cam_left_wrist", "cam_right_wrist"), False),
        ("sim_single", 7, ("cam_high", "cam_wrist"), False),
        ("vgil_franka", 8, ("top",), False),
        ("franka_fr3_gello", 8, ("cam_high", "cam_wrist"), False),
        ("franka_fr3_jtc", 8, ("cam_high", "cam_wrist"), False),
        ("openarm", 16, ("cam_high", "cam_left_wrist", "cam_right_wrist"), False),
        ("piper", 7, ("cam_high", "cam_wrist"), False),
        ("so101_ros2", 6, ("cam_wrist", "cam_overhead"), False),
        ("trossen_ai", 7, ("cam_high", "cam_wrist"), False),
        ("ur5e", 6, ("cam_high", "cam_wrist"), False),
        ("xarm6", 7, ("cam_high", "cam_wrist"), False),
    ],
)
def test_sizes_of_the_shipped_robots(robot: str, dim: int, cameras: tuple[str, ...], base: bool) -> None:
    contract, _ = load_contract(robot)
    layout = Layout(contract)
    assert (layout.dim, layout.image_names, contract.base is not None) == (dim, cameras, base)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        # unknown keys
        (
            "colour",
            1,
            ["colour: unknown key; allowed: ['name', 'rate_hz', 'arms', 'cameras', 'vectors', 'base'"],
        ),
        (
            "arms.0.jionts",
            [],
            ["arms[0].jionts: unknown key; allowed: ['name', 'puppet', 'master', 'command', 'joints'"],
        ),
        ("arms.0.limits.torque", [1], ["arms[0].limits.torque: unknown key; allowed: ['lower', 'upper', 'velocity'"]),
        (
            "arms.0.gripper.feedback",
            {"joint": "f", "range": [0, 1], "x": 1},
            ["feedback.x: unknown key; allowed: ['joint'"],
        ),
        ("cameras.0.frames", 30, ["cameras[0].frames: unknown key; allowed: ['name', 'topic', 'type', 'height'"]),
        ("sync.tolerance", 20, ["sync.tolerance: unknown key; allowed: ['method', 'tolerance_ms'"]),
        ("base.limits.lateral", 1, ["base.limits.lateral: unknown key; allowed: ['linear', 'angular']"]),
        # wrong types
        ("rate_hz", "fast", ["rate_hz: found 'fast'; allowed: a valid number"]),
        ("rate_hz", "50", ["rate_hz: found '50'; allowed: a valid number"]),
        ("rate_hz", True, ["rate_hz: found True; allowed: a valid number"]),
        ("rate_hz", 0, ["rate_hz: found 0; allowed: greater than or equal to 0.1"]),
        ("rate_hz", 1e-9, ["rate_hz: found 1e-09; allowed: greater than or equal to 0.1"]),
        ("rate_hz", 5000, ["rate_hz: found 5000; allowed: less than or equal to 1000"]),
        ("cameras.0.height", 480.0, ["cameras[0].height: found 480.0; allowed: a valid integer"]),
        ("cameras.0.height", "480", ["cameras[0].height: found '480'; allowed: a valid integer"]),
        ("cameras.0.height", -1, ["cameras[0].height: found -1; allowed: greater than or equal to 8"]),
        ("arms.0.home", [0, "a", 0.1], ["arms[0].home[1]: found 'a'; allowed: a valid number"]),
        ("arms.0.home", [0, float("nan"), 0.1], ["arms[0].home[1]: found nan; allowed: a finite number"]),
        ("arms.0.joints", "waist", ["arms[0].joints: found 'waist'; allowed: a valid tuple"]),
        ("arms.0.joints", [1, 2, 3], ["arms[0].joints[0]: found 1; allowed: a valid string"]),
        ("arms", {}, ["arms: found {}; allowed: a valid tuple"]),
        ("arms", [], ["arms: found []; tuple should have at least 1 item"]),
        ("arms.0.puppet", "/puppet", ["arms[0].puppet: found '/puppet'; allowed: a valid dictionary"]),
        (
            "arms.0.command.type",
            "twist",
            ["command.type: found 'twist'; allowed: 'joint_state', 'float64_multi_array'"],
        ),
        ("cameras.0.type", "video", ["cameras[0].type: found 'video'; allowed: 'image', 'compressed', 'depth' or"]),
        ("cameras.0.stamp", "now", ["cameras[0].stamp: found 'now'; allowed: header, arrival, or arrival - MILLI"]),
        ("cameras.0.stamp", "arrival + 3", ["cameras[0].stamp: found 'arrival + 3'; allowed: header, arrival"]),
        ("arms.0.puppet.stamp", 3, ["arms[0].puppet.stamp: found 3; allowed: header, arrival"]),
        ("cameras.0.stamp", "arrival - 61", ["cameras[0].stamp is 61.0; allowed: up to sync.max_wait_ms, 60.0"]),
        ("cameras.0.frozen_ms", 0, ["cameras[0].frozen_ms: found 0; allowed: milliseconds above 0, or off"]),
        ("cameras.0.frozen_ms", True, ["cameras[0].frozen_ms: found True; allowed: milliseconds above 0, or off"]),
        ("sync.frozen_ms", "never", ["sync.frozen_ms: found 'never'; allowed: milliseconds above 0, or off"]),
        ("cameras.0.jpeg_order", "rgb", ["cameras[0].jpeg_order: found 'rgb'; allowed: 'camera' or 'peers'"]),
        ("cameras.0.jpeg_order", "peers", ["jpeg_order is 'peers' and type 'image'; allowed: with type 'compressed'"]),
        ("sync.on_miss", "skip", ["sync.on_miss: found 'skip'; allowed: 'hold', 'drop' or 'abort'"]),
        ("sync.tolerance_ms", float("inf"), ["sync.tolerance_ms: found inf; allowed: a finite number"]),
        ("sync.tolerance_ms", 1e9, ["sync.tolerance_ms: found 1e+09; allowed: -1e+06 to 1e+06"]),
        ("sync.max_hold", 10**400, ["sync.max_hold: found"]),
        ("arms.0.limits.velocity", [3, 1e300, 1], ["limits.velocity[1]: found 1e+300; allowed: -1e+06 to 1e+06"]),
        ("arms.0.limits.velocity", [3, 1e-9, 1], ["velocity[1] = 1e-09; allowed: above 0, at least 1e-06"]),
        ("arms.0.gripper.puppet_range", [0, 1e-9], ["puppet_range: closed and open are 0.0 and 1e-09; allowed: at"]),
        ("arms.0.joints", ["waist", "", "gripper"], ["arms[0].joints[1]: found ''; allowed: a name of up to 100"]),
        ("arms.0.joints", ["waist", "a\nb", "gripper"], ["arms[0].joints[1]: found 'a\\nb'; allowed: a name"]),
        ("arms.0.joints", ["waist", " a", "gripper"], ["arms[0].joints[1]: found ' a'; allowed: a name"]),
        ("cameras.0.name", "c" * 101, ["cameras[0].name: found 'ccc"]),
        ("sync.max_hold", -1, ["sync.max_hold: found -1; allowed: greater than or equal to 0"]),
        ("cameras.0.name", "0 cam", ["cameras[0].name: found '0 cam'; allowed: a name of letters"]),
        ("cameras.0.topic", "/cam//x", ["cameras[0].topic: found '/cam//x'; allowed: a topic's name"]),
        ("cameras.0.topic", "/9lives", ["cameras[0].topic: found '/9lives'; allowed: a topic's name"]),
        # wrong lengths
        (
            "arms.0.home",
            [0, 0],
            ["arms[0]: home has 2 values; allowed: 3, one for each of ['waist', 'elbow', 'gripper']"],
        ),
        ("arms.0.limits.lower", [-1], ["arms[0]: limits.lower has 1 values; allowed: 3"]),
        ("arms.0.limits.upper", [1, 2, 0.1, 4], ["arms[0]: limits.upper has 4 values; allowed: 3"]),
        ("arms.0.limits.velocity", [], ["arms[0]: limits.velocity has 0 values; allowed: 3"]),
        ("arms.0.limits.acceleration", [1.0], ["arms[0]: limits.acceleration has 1 values; allowed: 3"]),
        ("arms.0.gripper.puppet_range", [0, 1, 2], ["gripper.puppet_range: found [0, 1, 2]; allowed: 2 values"]),
        ("arms.0.gripper.master_range", [0], ["arms[0].gripper.master_range[1]: missing; it must be given"]),
        # doubled names, topics
        ("arms.0.joints", ["waist", "waist", "gripper"], ["arms[0]: joints: ['waist'] stands there more than once"]),
        ("arms.1", GOOD["arms"][0], ["arms: ['left'] stands there more than once; allowed: each name once"]),
        (
            "cameras.1",
            {**GOOD["cameras"][0], "name": "side"},
            ["cameras[1].topic is '/top/image_raw', which cameras[0].topic is too; allowed: each topic once"],
        ),
        ("cameras.1", {**GOOD["cameras"][0], "topic": "/b"}, ["cameras: ['top'] stands there more than once"]),
        ("base.odom.topic", "/master", ["base.odom.topic is '/master', which arms[0].master.topic is too"]),
        ("arms.0.command.topic", "/puppet", ["arms[0].command.topic is '/puppet', which arms[0].puppet.topic is too"]),
        # contradictions
        ("arms.0.limits.lower", [1, -2, 0], ["arms[0].limits: lower[0] = 1.0 is not below upper[0] = 1.0"]),
        ("arms.0.limits.velocity", [3, 0, 1], ["arms[0].limits: velocity[1] = 0.0; allowed: above 0"]),
        ("arms.0.home", [0, 9, 0.1], ["arms[0]: home of joint 'elbow' is 9.0; allowed: -2.0 to 2.0, its limits"]),
        (
            "arms.0.gripper.joint",
            "claw",
            ["arms[0]: gripper.joint is 'claw'; allowed: one of ['waist', 'elbow', 'gripper']"],
        ),
        ("arms.0.gripper.puppet_range", [0.1, 0.1], ["arms[0].gripper.puppet_range: closed and open are both 0.1"]),
        ("arms.0.gripper.puppet_range", [0, 0.2], ["gripper.puppet_range is [0.0, 0.2]; allowed: within 0.0 to 0.1"]),
        ("arms.0.gripper.feedback", {"joint": "f", "range": [1, 1]}, ["feedback.range: closed and open are both 1.0"]),
        (
            "arms.0.gripper.feedback",
            {"joint": "elbow", "range": [0, 1]},
            ["gripper.feedback.joint is 'elbow', another of"],
        ),
        (
            "sync.method",
            "camera:side",
            ["sync.method is 'camera:side'; allowed: ['clock', 'min_stamp', 'latest', 'camera:top']"],
        ),
        ("cameras.0.latency_ms", 100, ["cameras[0].latency_ms is 100.0; allowed: up to sync.max_wait_ms, 60.0"]),
        ("base.latency_ms", 61.5, ["base.latency_ms is 61.5; allowed: up to sync.max_wait_ms, 60.0"]),
        ("cameras.0.name", "base", ["cameras: found the name 'base', which the base's stream has; allowed: any other"]),
    ],
)
def test_refused(path: str, value: Any, words: list[str]) -> None:
    message = refusal(changed(path, value))
    assert all(word in message for word in words), message


def test_a_depth_camera_does_not_tick() -> None:
    raw = changed("cameras.0.type", "depth")
    raw["sync"]["method"] = "camera:top"
    assert "sync.method is 'camera:top'; allowed: ['clock', 'min_stamp', 'latest']" in refusal(raw)


def test_missing_key_is_named() -> None:
    raw = copy.deepcopy(GOOD)
    del raw["arms"][0]["limits"]["velocity"]
    assert refusal(raw) == "mine.yaml: arms[0].limits.velocity: missing; it must be given"


def test_every_fault_has_its_line() -> None:
    raw = changed("rate_hz", "fast")
    raw["colour"] = 1
    raw["cameras"][0]["height"] = 1
    assert len(refusal(raw).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b", "key 'name' is doubled on line 2"),
        ("sync: {method: clock, method: latest}", "key 'method' is doubled on line 1"),
        ("[1, 2]", "found list; allowed: keys and values ['name', 'rate_hz'"),
        ("", "found NoneType; allowed: keys and values"),
        ("a: [1, 2", "not readable as YAML"),
        ("a: !!python/object:os.system x", "not readable as YAML"),
        ("{? [1, 2] : 3}", "is not a word"),
        ("5: 3", "key 5 on line 1 is not a word"),
        ("yes: 3", "key True on line 1 is not a word"),
    ],
)
def test_text_that_is_no_contract(text: str, words: str) -> None:
    assert words in refusal(text)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = ["rate_hz", "arms", "arms.0", "arms.0.limits", "arms.0.limits.lower", "arms.0.gripper", "cameras", "cameras.0"]
PATHS += ["cameras.0.height", "base", "base.odom", "sync", "sync.method", "arms.0.joints", "arms.0.home", "end_marker"]


@given(path=st.sampled_from(PATHS), value=json_like)
def test_whatever_is_written_it_is_read_or_refused_by_name(path: str, value: Any) -> None:
    text = yaml.safe_dump(changed(path, value))
    try:
        assert isinstance(parse_contract(text, "mine.yaml"), Contract)
    except ContractError:
        assert refusal(text)


def test_a_driver_may_follow_its_master_itself() -> None:
    contract = parse_contract(yaml.safe_dump(changed("arms.0.command.topic", "/master")), "mine.yaml")
    assert contract.arms[0].driver_follows_master
    assert load_contract("cobot_magic")[0].arms[1].driver_follows_master
    assert not load_contract("aloha")[0].arms[0].driver_follows_master


def test_values_are_frozen() -> None:
    contract, _ = load_contract("sim_aloha")
    with pytest.raises(ValueError, match="frozen"):
        contract.rate_hz = 10.0  # type: ignore[misc]


def test_streams_keep_order_and_settings() -> None:
    raw = changed("cameras.0.latency_ms", 12.5)
    raw["cameras"].append(
        {"name": "far", "topic": "/far", "type": "depth", "height": 8, "width": 8, "tolerance_ms": 40}
    )
    streams = streams_of(parse_contract(yaml.safe_dump(raw), "mine.yaml"))
    assert [s.name for s in streams] == ["left/puppet", "left/master", "top", "far", "base"]
    assert [s.kind for s in streams] == [Kind.JOINTS, Kind.JOINTS, Kind.IMAGE, Kind.DEPTH, Kind.BASE]
    assert [s.tolerance_ns for s in streams] == [20_000_000] * 3 + [40_000_000, 20_000_000]
    assert [s.latency_ns for s in streams] == [0, 0, 12_500_000, 0, 0]
    assert [s.frozen_ns for s in streams] == [None, None, 200_000_000, 200_000_000, None]
    without = streams_of(parse_contract(yaml.safe_dump(raw), "mine.yaml"), masters=False)
    assert [s.name for s in without] == ["left/puppet", "top", "far", "base"]


def test_robots_by_name_and_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(GOOD))
    assert load_contract(str(mine))[0].name == "robot"
    assert contract_path("aloha").name == "aloha.yaml"
    with pytest.raises(ContractError, match=r"robot 'alhoa' is unknown; allowed: \['aloha'.*or a path to a .yaml file"):
        load_contract("alhoa")
    with pytest.raises(ContractError, match=r"robot contract '.*nowhere.yaml': no such file"):
        load_contract(str(tmp_path / "nowhere.yaml"))
    mine.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ContractError, match=r"mine.yaml: cannot be read"):
        load_contract(str(mine))
    mine.write_text("name: [")
    with pytest.raises(ContractError, match=r"^mine.yaml: not readable as YAML"):
        load_contract(str(mine))


def test_follower_and_leader_are_puppet_and_master() -> None:
    raw = copy.deepcopy(GOOD)
    arm = raw["arms"][0]
    arm["follower"], arm["leader"] = arm.pop("puppet"), arm.pop("master")
    gripper = arm["gripper"]
    gripper["follower_range"], gripper["leader_range"] = gripper.pop("puppet_range"), gripper.pop("master_range")
    assert parse_contract(yaml.safe_dump(raw), "mine.yaml") == parse_contract(yaml.safe_dump(GOOD), "mine.yaml")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("arms.0.follower", {"topic": "/other"}, "follower and puppet are both given and mean the same"),
        ("arms.0.gripper.leader_range", [0.0, 1.0], "leader_range and master_range are both given and mean the same"),
    ],
)
def test_a_key_beside_its_alias_is_refused(path: str, value: Any, words: str) -> None:
    said = refusal(changed(path, value))
    assert words in said
    assert "allowed: one of them" in said


def test_stamps_and_stillness_reach_the_streams() -> None:
    """`off` is a no in YAML, and 200 a whole number there."""
    text = """
name: small
rate_hz: 25
arms:
  - name: arm
    puppet: {topic: /p, stamp: arrival}
    master: {topic: /m}
    command: {topic: /c, type: joint_state}
    joints: [a]
    limits: {lower: [-1], upper: [1], velocity: [1]}
    home: [0]
cameras:
  - {name: still, topic: /s, height: 48, width: 64, frozen_ms: off, stamp: arrival - 12.5}
  - {name: own, topic: /o, height: 48, width: 64, frozen_ms: 300, type: compressed, jpeg_order: peers}
  - {name: usual, topic: /u, height: 48, width: 64, type: compressed_depth}
base:
  odom: {topic: /odom, stamp: "arrival-5"}
  command: {topic: /cmd_vel}
  limits: {linear: 1, angular: 1}
sync: {frozen_ms: 250}
"""
    found = {spec.name: spec for spec in streams_of(parse_contract(text, "small.yaml"))}
    assert {name: spec.arrival_offset_ns for name, spec in found.items()} == {
        "arm/puppet": 0,
        "arm/master": None,
        "still": 12_500_000,
        "own": None,
        "usual": None,
        "base": 5_000_000,
    }
    frozen = [found[name].frozen_ns for name in ("still", "own", "usual", "base")]
    assert frozen == [None, 300_000_000, 250_000_000, None]
    assert found["usual"].kind is Kind.DEPTH
