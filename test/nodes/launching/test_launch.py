"""The launch files with the real nodes: through `vgil launch`, and through `ros2 launch` where it is installed."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml
from support import contracts
from support.nodes.domains import own_domain
from support.nodes.reference import launch_arguments
from support.paths import TESTS, process_environment

from vgil_ros.assets import load_contract, share_dir
from vgil_ros.core.execution import RENAMED_OPTIONS

VGIL_LAUNCH = [sys.executable, "-m", "vgil_ros.cli.main", "launch"]
HAVE_ROS2_LAUNCH = shutil.which("ros2") is not None and importlib.util.find_spec("ros2launch") is not None
FILES = sorted(path.name for path in (share_dir() / "launch").glob("*.launch.py"))
DOMAIN = str(own_domain())
ARGUMENTS = """
import json, sys
from vgil_ros import launch_shim
from vgil_ros.cli import launch
launch_shim.install()
files = {file: launch._load(launch.find_file(file)).generate_launch_description() for file in sys.argv[1:]}
print(json.dumps({file: [one.name for one in found.get_launch_arguments()] for file, found in files.items()}))
"""
DESCRIBE = """
import json, sys
from vgil_ros import launch_shim
from vgil_ros.cli import launch
launch_shim.install()
context = launch_shim.LaunchContext(sys.argv[2:])
context.launch_configurations.update(launch.parse_arguments(sys.argv[2:]))
def visit(entity):
    for following in entity.execute(context):
        visit(following)
visit(launch._load(launch.find_file(sys.argv[1])).generate_launch_description())
print(json.dumps([process.cmd[1:] for process in context.to_start]))
print(json.dumps(dict(context.environment)))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "ROS_DOMAIN_ID": DOMAIN}


def described(file: str, *arguments: str, environment_of: tuple[str, ...] = (), missing: str = "") -> dict[str, Any]:
    """What a launch file would start: the nodes' arguments, by node; or variables of their environment."""
    command = [sys.executable, "-c", DESCRIBE, file, *arguments]
    unset = dict.fromkeys(("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS"), "")
    env = environment() | unset
    if missing:
        blocker = process_environment(MISSING=missing)
        blocker["PYTHONPATH"] = os.pathsep.join((str(TESTS / "support" / "missing"), blocker["PYTHONPATH"]))
        env |= {key: blocker[key] for key in ("MISSING", "PYTHONPATH")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=env)
    assert done.returncode == 0, done.stderr
    *_, nodes, variables = done.stdout.splitlines()
    if environment_of:
        return {name: value for name in environment_of if (value := json.loads(variables).get(name))}
    return {called(name, rest): rest for _, _, name, *rest in json.loads(nodes)}


def called(executable: str, rest: list[str]) -> str:
    """A node's name: its executable's, unless it was given one."""
    return next((rule.removeprefix("__node:=") for rule in rest if rule.startswith("__node:=")), executable)


def started(file: str, *arguments: str) -> dict[str, dict[str, str]]:
    """What a launch file would start: the nodes' parameters, by node."""
    found = {}
    for name, rest in described(file, *arguments).items():
        pairs = [text.split(":=", 1) for text in rest if ":=" in text]
        found[name] = {key: json.loads(value) for key, value in pairs if not key.startswith("__")}
        files = [path for sign, path in itertools.pairwise(rest) if sign == "--params-file"]
        if files:  # rcl lets the later one win
            found[name]["files"] = files[:-1]
            found[name] |= yaml.safe_load(Path(files[-1]).read_text())[f"/**/{name}"]["ros__parameters"]
    return found


class Running:
    """A launch in a process group of its own."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        while words not in self.output:
            line = self.process.stdout.readline()
            assert line, f"'{words}' was never said:\n{self.output}"
            self.output += line

    def end(self) -> int:
        rest, _ = self.process.communicate(timeout=150)
        self.output += rest
        return self.process.returncode


@pytest.fixture
def running() -> Iterator[list[Running]]:
    found: list[Running] = []
    yield found
    for each in found:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGTERM)
            each.process.wait(timeout=150)


def nodes_left() -> list[str]:
    """Command lines of processes in the test's domain."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"ROS_DOMAIN_ID={DOMAIN}\0".encode() in (folder / "environ").read_bytes() and folder.name != str(
                os.getpid()
            ):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def whole_episodes(folder: Path) -> list[str]:
    """Names of the episodes that were not ended early."""
    found = []
    for path in folder.glob("*.hdf5"):
        with h5py.File(path) as episode:
            if "aborted" not in episode.attrs:
                found.append(path.name)
    return found


def launcher(name: str) -> list[str]:
    return VGIL_LAUNCH if name == "vgil" else ["ros2", "launch", "vgil_ros"]


needs_ros2 = pytest.mark.skipif(not HAVE_ROS2_LAUNCH, reason="ros2 launch is not installed")
both = pytest.mark.parametrize("kind", ["vgil", pytest.param("ros2", marks=needs_ros2)])


@both
def test_record_sim_writes_its_episodes_and_ends(kind: str, running: list[Running], tmp_path: Path) -> None:
    arguments = ["sim:=true", "num_episodes:=2", "episode_len:=40", "autostart:=true", f"dataset_dir:={tmp_path}"]
    arguments += ["sim_time:=true", "max_aborted:=0"]  # on a slow machine time waits for what is drawn
    launch = Running([*launcher(kind), "record.launch.py", *arguments, "rviz:=true"])
    running.append(launch)
    assert launch.end() == 0, launch.output
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {".hdf5"}, "a broken file was left"
    assert len(whole_episodes(tmp_path)) == 2  # on a slow machine others may lie beside them, ended early and marked
    assert nodes_left() == []


@both
def test_a_recorder_that_cannot_begin_fails_the_launch(kind: str, running: list[Running], tmp_path: Path) -> None:
    text = load_contract("sim_single")[1].replace("master: {topic: /master/joint_states}", "")
    (tmp_path / "leaderless.yaml").write_text(text)
    launch = Running([*launcher(kind), "record.launch.py", f"robot:={tmp_path / 'leaderless.yaml'}", "teleop:=false"])
    running.append(launch)
    assert launch.end() == {"vgil": 2, "ros2": 1}[kind], launch.output  # `ros2 launch` knows no other code
    assert "has no master" in launch.output
    assert nodes_left() == []


@both
def test_a_wrong_argument_is_named_before_anything_starts(kind: str, running: list[Running]) -> None:
    launch = Running([*launcher(kind), "record.launch.py", "sim:=maybe"])
    running.append(launch)
    assert launch.end() == {"vgil": 2, "ros2": 1}[kind], launch.output
    assert "launch argument 'sim' is 'maybe'" in launch.output
    assert "started" not in launch.output


@needs_ros2
def test_an_unknown_argument_is_not_passed_over_in_silence(running: list[Running], tmp_path: Path) -> None:
    arguments = ["sim:=true", "num_episodes:=1", "episode_len:=20", "autostart:=true", f"dataset_dir:={tmp_path}"]
    launch = Running([*launcher("ros2"), "record.launch.py", *arguments, "episode_length:=5"])
    running.append(launch)
    assert launch.end() == 0, launch.output
    assert "['episode_length'] is unknown" in launch.output


def test_ctrl_c_while_recording_leaves_no_broken_file_and_no_process(running: list[Running], tmp_path: Path) -> None:
    arguments = ["sim:=true", "episode_len:=0", "autostart:=true", f"dataset_dir:={tmp_path}"]
    launch = Running([*VGIL_LAUNCH, "record.launch.py", *arguments])
    running.append(launch)
    launch.read_until("recording episode 1")
    time.sleep(2.0)
    os.killpg(launch.process.pid, signal.SIGINT)
    assert launch.end() == 0, launch.output
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    assert nodes_left() == []


@pytest.mark.parametrize(("file", "words"), [("sim.launch.py", "[sim]"), ("teleop.launch.py", "following")])
def test_the_other_files_run_until_they_are_interrupted(file: str, words: str, running: list[Running]) -> None:
    launch = Running([*VGIL_LAUNCH, file, *(["sim:=true"] if file == "teleop.launch.py" else [])])
    running.append(launch)
    launch.read_until(words)
    launch.process.send_signal(signal.SIGINT)
    assert launch.end() == 0, launch.output
    assert nodes_left() == []


def test_only_the_recorder_is_started_for_a_real_robot() -> None:
    assert started("record.launch.py", "robot:=sim_single", "task:=12") == {
        "recorder": {"robot": "sim_single", "task": "12"}
    }


def test_with_a_simulated_robot_the_recorder_resets_it_and_all_follow_its_clock() -> None:
    found = started("record.launch.py", "sim:=true", "speed:=4", "seed:=3", "rviz:=true")
    assert found == {
        "sim": {"robot": "sim_aloha", "seed": 3, "speed": 4.0},
        "teleop": {"robot": "sim_aloha", "reset_topic": "sim/was_reset", "use_sim_time": True},
        "monitor": {"robot": "sim_aloha", "use_sim_time": True},
        "recorder": {
            "robot": "sim_aloha",
            "reset_service": "sim/reset",
            "success_topic": "sim/success",
            "reset_time": 0.5,
            "use_sim_time": True,
            "wait_for_teleop": True,
        },
    }


def test_the_contracts_webcams_are_started_for_a_real_robot_alone(tmp_path: Path) -> None:
    cameras = [contracts.camera(f"cam_{i}", "compressed", device=f"/dev/video{i}") for i in range(2)]
    robot = contracts.write(contracts.small_robot(cameras=[*cameras, contracts.camera("cam_ros")]), tmp_path / "r.yaml")
    found = described("record.launch.py", f"robot:={robot}", "namespace:=r2")
    assert sorted(found) == ["recorder", "webcam_cam_0", "webcam_cam_1"]
    assert "__ns:=/r2" in found["webcam_cam_1"]
    assert 'camera:="cam_1"' in found["webcam_cam_1"]
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "webcam_cam_0: {ros__parameters: {robot: sim_aloha}}\nrecorder: {ros__parameters: {keys: false}}"
    )
    found = described("record.launch.py", f"robot:={robot}", f"params_file:={settings}")
    assert str(settings) in found["webcam_cam_0"]
    assert sorted(described("record.launch.py", f"robot:={robot}", "cameras:=false")) == ["recorder"]
    assert sorted(described("record.launch.py", f"robot:={robot}", "sim:=true")) == ["recorder", "sim", "teleop"]
    assert sorted(described("teleop.launch.py", f"robot:={robot}")) == ["teleop"]
    assert sorted(described("teleop.launch.py", f"robot:={robot}", "cameras:=true"))[1:] == [
        "webcam_cam_0",
        "webcam_cam_1",
    ]


def test_a_reset_time_that_is_given_holds() -> None:
    assert started("record.launch.py", "sim:=true", "reset_time:=3")["recorder"]["reset_time"] == 3.0


def test_a_leader_by_hand_takes_the_operators_place() -> None:
    found = started("record.launch.py", "robot:=sim_single", "sim:=true", "leader:=gamepad")
    assert sorted(found) == ["jog", "recorder", "sim", "teleop"]
    assert found["sim"]["operator"] is False
    assert found["jog"] == {"robot": "sim_single", "device": "gamepad", "reset_topic": "sim/was_reset"}
    found = started("record.launch.py", "robot:=sim_single", "leader:=keyboard")
    assert sorted(found) == ["recorder", "teleop"], "the keys have a terminal of their own"
    assert found["recorder"]["wait_for_teleop"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("leader:=mouse",),
            "launch argument 'leader' is 'mouse'; allowed: keyboard, gamepad, spacemouse, page, or empty",
        ),
        (("sim:=true", "leader:=keyboard", "operator:=true"), "both lead; allowed: one of them"),
        (("sim:=true", "operator:=ada"), "launch argument 'scripted_operator' is 'ada'; allowed: one of"),
    ],
)
def test_a_wrong_leader_is_named(arguments: tuple[str, ...], words: str, running: list[Running]) -> None:
    launch = Running([*VGIL_LAUNCH, "teleop.launch.py", *arguments])
    running.append(launch)
    assert launch.end() == 2, launch.output
    assert words in launch.output


@pytest.mark.parametrize("leader", ["keyboard", "gamepad", "page"])
def test_grippers_that_copy_the_puppets_cannot_take_over(leader: str, running: list[Running]) -> None:
    given = (f"leader:={leader}", "takeover:=true", "takeover_gripper:=true", "checkpoint:=sim_pick_place_act")
    launch = Running([*VGIL_LAUNCH, "policy.launch.py", "sim:=true", "robot:=sim_single", *given])
    running.append(launch)
    assert launch.end() == 2, launch.output
    assert f"'leader:={leader}' and 'takeover_gripper:=true': jog's grippers copy the puppets'" in launch.output


def test_a_namespace_is_that_of_every_node_and_of_the_simulated_clock() -> None:
    found = described("record.launch.py", "sim:=true", "namespace:=r2", "rviz:=true")
    assert sorted(found) == ["monitor", "recorder", "sim", "teleop"]
    for rest in found.values():
        rules = [rule for sign, rule in itertools.pairwise(rest) if sign == "-r"]
        assert rules == ["__ns:=/r2", "/clock:=/r2/clock"]
    rest = described("record.launch.py", "namespace:=/r2/left")["recorder"]
    assert [rule for sign, rule in itertools.pairwise(rest) if sign == "-r"] == ["__ns:=/r2/left"]


def test_a_file_of_parameters_is_read_in_a_namespace_too(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    rest = described("record.launch.py", "namespace:=r2", f"params_file:={path}")["recorder"]
    first = next(file for sign, file in itertools.pairwise(rest) if sign == "--params-file")
    sections = yaml.safe_load(Path(first).read_text())
    assert list(sections) == ["/**", "/**/recorder"]
    assert sections["/**/recorder"] == yaml.safe_load(SETTINGS)["recorder"]


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("record.launch.py",), {}),
        (("record.launch.py", "domain_id:=7"), {"ROS_DOMAIN_ID": "7"}),
        (("record.launch.py", "sim:=true"), {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}),
        (("sim.launch.py",), {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}),
    ],
    ids=["a real robot", "a domain", "a simulated robot", "the simulator"],
)
def test_how_far_a_launch_is_heard(arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    names = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")
    here = {"ROS_DOMAIN_ID": DOMAIN}
    assert described(*arguments, environment_of=names) == here | variables


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (
            "note:=bell\a",
            "launch argument 'note' has '\\x07' at letter 5; allowed: up to 1000 letters that can be printed",
        ),
        ("namespace:=2r", "launch argument 'namespace' is '2r'; allowed: letters"),
        ("namespace:=a b", "launch argument 'namespace' is 'a b'"),
        ("domain_id:=300", "launch argument 'domain_id' is '300'; allowed: 0 to 232"),
        ("domain_id:=lab", "launch argument 'domain_id' is 'lab'; allowed: a whole number"),
    ],
)
def test_a_wrong_namespace_or_domain_is_named(argument: str, words: str) -> None:
    done = subprocess.run(
        [*VGIL_LAUNCH, "record.launch.py", argument], capture_output=True, text=True, timeout=150, env=environment()
    )
    assert done.returncode == 2
    assert words in done.stderr


def test_topics_that_do_not_follow_the_namespace_are_named(running: list[Running]) -> None:
    launch = Running([*VGIL_LAUNCH, "record.launch.py", "namespace:=r2", "episode_len:=-5"])
    running.append(launch)
    assert launch.end() == 2, launch.output
    assert "namespace /r2: 9 topics of the contract begin with / and stay as they are (/puppet_left/" in launch.output


def test_teleop_can_be_left_out_or_joined() -> None:
    assert "teleop" not in started("record.launch.py", "sim:=true", "teleop:=false")
    found = started("record.launch.py", "teleop:=true")
    assert "teleop" in found
    assert found["recorder"]["wait_for_teleop"] is True
    found = started("record.launch.py", "teleop:=true", "wait_for_teleop:=false")
    assert found["recorder"]["wait_for_teleop"] is False


def test_every_setting_of_a_recording_is_handed_on() -> None:
    given = {"image_format": "raw", "continue_folder": True, "count_bad": False, "max_aborted": 5}
    found = started("record.launch.py", *(f"{key}:={str(value).lower()}" for key, value in given.items()))
    assert given.items() <= found["recorder"].items()


def test_the_policy_gets_its_arguments_and_no_operator() -> None:
    found = started("policy.launch.py", "sim:=true", "checkpoint:=/there", "execution:=open_loop", "dry_run:=true")
    assert found["sim"]["operator"] is False
    given = {"robot": "sim_aloha", "checkpoint": "/there", "execution": "open_loop", "dry_run": True}
    assert given.items() <= found["policy"].items()
    assert found["policy"]["reset_service"] == "sim/reset"


EXECUTION = {
    "precision": "bf16",
    "execution": "async",
    "inference_period": 5,
    "watchdog_ms": 300.0,
    "max_age_ms": 150.0,
    "soft_start": 0.1,
}


def test_every_setting_of_execution_and_safety_is_handed_on() -> None:
    given = [f"{key}:={value}" for key, value in EXECUTION.items()]
    found = started("policy.launch.py", "checkpoint:=/there", *given)["policy"]
    assert EXECUTION.items() <= found.items()
    assert {type(found[key]) for key in ("watchdog_ms", "max_age_ms", "soft_start")} == {float}
    assert started("policy.launch.py", "ensemble_coefficient:=0")["policy"]["ensemble_coefficient"] == 0.0
    assert started("replay.launch.py", "soft_start:=0.1")["replay"]["soft_start"] == 0.1


def test_what_is_said_of_all_episodes_is_handed_on() -> None:
    said = {"operator": "Ada", "object": "cup", "scene": "lab 2", "note": "lamp off"}
    given = [f"{key}:={text}" for key, text in said.items()]
    found = started("record.launch.py", "sim:=true", "scripted_operator:=false", *given)
    assert said.items() <= found["recorder"].items()
    assert found["sim"]["operator"] is False
    assert said.items() <= started("policy.launch.py", "checkpoint:=/there", *given)["policy"].items()


def test_the_scripted_operators_old_name_is_taken_for_todays() -> None:
    found = started("record.launch.py", "sim:=true", "operator:=false")
    assert found["sim"]["operator"] is False
    assert "operator" not in found["recorder"]
    assert started("sim.launch.py")["sim"]["operator"] is False
    assert started("sim.launch.py", "operator:=true")["sim"]["operator"] is True
    assert "operator" not in started("teleop.launch.py", "sim:=true")["sim"]


def test_an_old_name_is_taken_for_todays() -> None:
    assert started("policy.launch.py", "query_every:=5")["policy"]["inference_period"] == 5


# Each line stands for eight of the one before: 8 ** 8 values in a few hundred bytes.
BOMB = "".join(f"{one}: &{one} [{', '.join([f'*{before}'] * 8)}]\n" for before, one in itertools.pairwise("abcdefgh"))
SETTINGS = """
/**:
  ros__parameters: {episode_len: -3, jpeg_quality: 40}
recorder:
  ros__parameters: {episode_len: -5, robot: sim_single}
"""


def test_the_files_robot_is_that_of_all_nodes_and_an_argument_wins_over_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    found = started("record.launch.py", f"params_file:={path}", "sim:=true", "seed:=2")
    assert {name: node["robot"] for name, node in found.items()} == dict.fromkeys(found, "sim_single")
    assert all(node["files"] == [str(path)] for node in found.values())
    assert found["sim"]["seed"] == 2
    found = started("record.launch.py", f"params_file:={path}", "robot:=sim_aloha")
    assert found["recorder"]["robot"] == "sim_aloha"


@both
@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "parameter 'episode_len' is -5"), (("episode_len:=-7",), "parameter 'episode_len' is -7")],
    ids=["the file alone", "an argument wins"],
)
def test_a_node_reads_the_file_and_arguments_win_over_it(
    kind: str, arguments: str, words: str, running: list[Running], tmp_path: Path
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    launch = Running([*launcher(kind), "record.launch.py", f"params_file:={path}", "teleop:=false", *arguments])
    running.append(launch)
    assert launch.end() == {"vgil": 2, "ros2": 1}[kind], launch.output
    assert words in launch.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("recorder: {jpeg_quality: 90}", "section 'recorder' is not laid out as ROS wants it"),
        ("recorder: {ros__parameters: {robot: a}}\n/teleop: {ros__parameters: {robot: b}}", "robots ['a', 'b']"),
        ("a: [", "not readable as YAML"),
        ("a: &a [1, 2, 3, 4, 5, 6, 7, 8]\n" + BOMB, "values, aliases counted as what they stand for; allowed: up to"),
    ],
    ids=["missing", "layout", "robots", "yaml", "bomb"],
)
def test_a_wrong_file_is_named_before_anything_starts(
    text: str, words: str, running: list[Running], tmp_path: Path
) -> None:
    path = tmp_path / "settings.yaml"
    if text is not None:
        path.write_text(text)
    launch = Running([*VGIL_LAUNCH, "record.launch.py", f"params_file:={path}"])
    running.append(launch)
    assert launch.end() == 2, launch.output
    assert str(path) in launch.output
    assert words in launch.output
    assert "started" not in launch.output


def test_a_section_that_no_node_reads_is_named(running: list[Running], tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "recoder: {ros__parameters: {keys: false}}\nfeetech: {ros__parameters: {at_end: hold}}\n"
        "recorder: {ros__parameters: {episode_len: -5}}"
    )
    launch = Running([*VGIL_LAUNCH, "record.launch.py", f"params_file:={path}", "teleop:=false"])
    running.append(launch)
    assert launch.end() == 2, launch.output
    assert "no node of ours reads the section ['feetech', 'recoder']; allowed: ['bringup'" in launch.output


def test_the_launch_files_take_what_the_page_lists_and_old_names() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ARGUMENTS, *FILES], capture_output=True, text=True, timeout=150, env=environment()
    )
    assert done.returncode == 0, done.stderr
    for file, found in json.loads(done.stdout.splitlines()[-1]).items():
        assert len(found) == len(set(found))
        today = launch_arguments(file.split(".")[0])
        assert set(found) - ({*RENAMED_OPTIONS, "operator"} - today) == today, file


def test_a_bus_brings_its_drivers_unless_they_run_or_the_robot_is_simulated() -> None:
    beside = described("record.launch.py", "robot:=so101")
    assert list(beside) == ["feetech_follower", "feetech_leader", "recorder"]
    assert list(described("record.launch.py", "robot:=so101", "drivers:=false", missing="serial")) == ["recorder"]
    assert list(described("bringup.launch.py", "robot:=so101", missing="serial")) == ["bringup"], "it drives no bus"
    led = described("record.launch.py", "robot:=so101", "leader:=gamepad")
    assert sorted(led) == ["feetech_follower", "jog", "recorder", "teleop"], (
        "the leader arm would lead beside the gamepad"
    )
    led = described("record.launch.py", "robot:=so101", "leader:=keyboard")
    assert sorted(led) == ["feetech_follower", "recorder", "teleop"]
    assert list(described("policy.launch.py", "robot:=so101")) == ["feetech_follower", "policy"]
    assert list(described("policy.launch.py", "robot:=so101", "takeover:=true")) == [
        "feetech_follower", "feetech_leader", "policy"
    ]  # fmt: skip
    assert list(described("replay.launch.py", "robot:=so101")) == ["feetech_follower", "replay"]
    assert list(described("teleop.launch.py", "robot:=so101", "sim:=true")) == ["sim", "teleop"]


@pytest.mark.parametrize("file", FILES)
def test_every_file_can_be_described_with_its_defaults(file: str) -> None:
    usual = [file.split(".")[0].replace("record", "recorder")]
    assert list(started(file)) == {"drivers.launch.py": ["feetech_follower", "feetech_leader"]}.get(file, usual)
