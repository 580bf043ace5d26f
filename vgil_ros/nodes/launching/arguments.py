"""The launch arguments: each one's type, default and meaning, once for all launch files.

An empty value leaves a parameter to `params_file`, and where that says nothing to the node's own default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from launch.actions import DeclareLaunchArgument

from vgil_ros.core.episode_label import TEXTS, text_fault
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import RENAMED_OPTIONS
from vgil_ros.nodes.dds.reach import MAX_DOMAIN

_NAMESPACE = re.compile(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Argument:
    """A launch argument that is handed on to nodes under the same name."""

    kind: type
    default: str
    description: str


ARGUMENTS = {
    "robot": Argument(str, "", "robot contract: a name in config/robots or a path; sim_aloha where nothing names one"),
    "params_file": Argument(str, "", "a YAML file of node parameters; launch arguments win over it"),
    "task": Argument(str, "", "what is done; it is written into the episodes, and picks the simulator's task"),
    "operator": Argument(str, "", "who shows it; written into the episodes, as object, scene and note are"),
    "object": Argument(str, "", "with which object"),
    "scene": Argument(str, "", "in which scene"),
    "note": Argument(str, "", "whatever else is to be known of the episodes"),
    "dataset_dir": Argument(str, "", "folder that the episodes go to"),
    "num_episodes": Argument(int, "", "how many episodes to record before ending"),
    "episode_len": Argument(int, "", "length of an episode in ticks; 0: open end"),
    "image_format": Argument(str, "", "jpeg, or raw for readers of the original ACT's files"),
    "jpeg_order": Argument(str, "", "of cameras that send JPEG: camera, peers, or contract (as each camera says)"),
    "raw_log": Argument(bool, "", "keep every message as it came beside each episode: episode_N.mcap"),
    "continue_folder": Argument(bool, "", "record into a folder whose episodes are of another set-up"),
    "count_bad": Argument(bool, "", "an episode in which the check finds errors counts as one"),
    "max_aborted": Argument(int, "", "aborted episodes in a row before an autostart ends; 0: go on"),
    "wait_for_teleop": Argument(bool, "", "begin only when the puppets follow; empty: as `teleop` says"),
    "reset_time": Argument(float, "", "seconds between episodes to reset the scene; 0.5 with sim:=true, else 5"),
    "autostart": Argument(bool, "", "start without waiting for a key, a button or a service call"),
    "checkpoint": Argument(str, "", "the trained policy: a folder, a name in models/, or a server's ws://HOST:PORT"),
    "remote_mapping": Argument(str, "", "YAML that says what a server calls a robot's observations and actions"),
    "device": Argument(str, "", "where the policy runs: cpu, cuda, cuda:1, ..."),
    "execution": Argument(
        str, "", "how chunks are played: checkpoint (as it says), temporal_ensemble, open_loop, async, consistent, rtc"
    ),
    "precision": Argument(str, "", "numbers that the network computes in: fp32, bf16, fp16 (GPU)"),
    "inference_period": Argument(int, "", "ticks between two requests to the policy, not for temporal_ensemble"),
    "ensemble_coefficient": Argument(float, "", "of temporal_ensemble: above 0 the oldest prediction weighs most"),
    "watchdog_ms": Argument(float, "", "how long the policy may be silent before the robot is held"),
    "max_age_ms": Argument(float, "", "how old a stream, or the observation behind a command, may be"),
    "soft_start": Argument(float, "", "share of the velocity limits on the way to the first action"),
    "dry_run": Argument(bool, "", "compute and show, send nothing to the robot"),
    "takeover": Argument(bool, "", "let a human take over by the masters, and hand back"),
    "takeover_gripper": Argument(bool, "", "closing the masters' grippers takes over too; not with `leader`"),
    "episode": Argument(str, "", "the episode file to play back"),
    "cameras": Argument(bool, "true", "start a webcam node for each camera of the contract that has a device"),
    "sim": Argument(bool, "false", "bring up the simulated robot too"),
    "seed": Argument(int, "", "seed of the simulated scene"),
    "speed": Argument(float, "", "simulated seconds per second; other than 1, all nodes follow /clock"),
    "sim_time": Argument(bool, "", "follow /clock at speed 1 too: a busy machine slows time down, and loses no image"),
    "scripted_operator": Argument(bool, "", "the simulator's scripted operator moves the masters"),
    "drivers": Argument(bool, "true", "start the drivers of arms with a bus; false where they run already"),
    "leaders": Argument(bool, "", "bring the leaders up too; false where their drivers do not run"),
    "ceremony": Argument(bool, "", "wait for closed leader grippers before the leaders lose their torque"),
    "teleop": Argument(bool, "", "start the teleop node too; empty: as `sim` says"),
    "leader": Argument(
        str, "", "who leads the puppets by hand, in place of leader arms: keyboard, gamepad, spacemouse, page"
    ),
    "namespace": Argument(str, "", "of all nodes here: keeps two robots on one ROS domain apart"),
    "domain_id": Argument(int, "", "ROS domain of all nodes here, 0 to 232; ROS_DOMAIN_ID by default"),
    "rviz": Argument(bool, "false", "start the monitor node, and RViz where it is installed"),
    "web": Argument(bool, "false", "start the operator's page too"),
    "host": Argument(str, "", "of the page: 127.0.0.1 for this computer alone; 0.0.0.0 for the network, with a token"),
    "port": Argument(int, "", "of the page; 0: a free one, which is said"),
}
LEADERS = ("keyboard", "gamepad", "spacemouse", "page")
WORDS = ("operator", "object", "scene", "note")  # said of every episode of a session
HANDED_ON_AS = {"scripted_operator": "operator"}  # a node's parameter of another name
RENAMED = {**RENAMED_OPTIONS, "operator": "scripted_operator"}
COMMON = ("params_file", "namespace", "domain_id", "rviz", "web", "host", "port")  # of every launch file
_OLD = {old: Argument(ARGUMENTS[new].kind, "", f"old name of {new}") for old, new in RENAMED.items()}
_KINDS = {int: "a whole number", float: "a number", bool: f"one of {sorted(_BOOLEANS)}"}


def declare(*names: str, **defaults: str) -> list[DeclareLaunchArgument]:
    """Declare launch arguments, by their old names too; `defaults` replaces the usual default of some."""
    wanted = {name: ARGUMENTS[name] for name in names}
    wanted = {old: argument for old, argument in _OLD.items() if RENAMED[old] in names} | wanted
    return [
        DeclareLaunchArgument(
            name, default_value=defaults.get(name, argument.default), description=argument.description
        )
        for name, argument in wanted.items()
    ]


def take_old_names(given: MutableMapping[str, str]) -> list[str]:
    """Move what was given by an old name to today's, and return a warning for each.

    Raises:
        VgilError: where both are given.
    """
    warnings = []
    for old, new in RENAMED.items():
        text = given.get(old, "").strip()
        if not text or new not in given or (old in WORDS and _says_who(given, text)):
            continue
        if given.get(new, "").strip():
            raise VgilError(f"launch argument '{old}' is the old name of '{new}', and both are given; allowed: one")
        given[new], given[old] = text, ""
        warnings.append(f"launch argument '{old}' is called '{new}' now; the next release refuses it")
    return warnings


def _says_who(given: Mapping[str, str], text: str) -> bool:
    """Whether `operator` is a person, as where episodes are recorded; true or false is of the scripted one."""
    return "note" in given and text.lower() not in _BOOLEANS


def value(given: Mapping[str, str], name: str) -> Any:
    """Return an argument's value in its own type, None where it is left to the node.

    Raises:
        VgilError: where the text is not of that type.
    """
    text = given[name].strip()
    if name == "teleop" and not text:
        return bool(optional(given, "leader")) or value(given, "sim")
    if name == "wait_for_teleop" and not text and "teleop" in given:
        return value(given, "teleop") or None
    if name == "scripted_operator" and not text and "sim" not in given:
        return False  # the simulator by itself
    if not text:
        return None
    kind = ARGUMENTS[name].kind
    try:
        return _BOOLEANS[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise VgilError(f"launch argument '{name}' is '{text}'; allowed: {_KINDS[kind]}") from None


def optional(given: Mapping[str, str], name: str) -> Any:
    """As `value`, and None where a launch file has no such argument."""
    return value(given, name) if name in given else None


def check_all(given: Mapping[str, str]) -> None:
    """Read every argument, so that a wrong one is named before anything starts.

    Raises:
        VgilError: for the first that cannot be read.
    """
    for name in ARGUMENTS:
        optional(given, name)
    for name in WORDS:
        if name in given and (fault := text_fault(given[name])):
            raise VgilError(f"launch argument '{name}' {fault}; allowed: {TEXTS}")
    domain = optional(given, "domain_id")
    if domain is not None and not 0 <= domain <= MAX_DOMAIN:
        raise VgilError(f"launch argument 'domain_id' is '{domain}'; allowed: 0 to {MAX_DOMAIN}")
    _check_leader(given)
    namespace_of(given)


def _check_leader(given: Mapping[str, str]) -> None:
    leader = optional(given, "leader")
    if leader is None:
        return
    if leader not in LEADERS:
        raise VgilError(f"launch argument 'leader' is '{leader}'; allowed: {', '.join(LEADERS)}, or empty")
    if optional(given, "scripted_operator"):
        raise VgilError(
            f"launch arguments 'leader:={leader}' and 'scripted_operator:=true' both lead; allowed: one of them"
        )
    if optional(given, "takeover_gripper"):
        raise VgilError(
            f"launch arguments 'leader:={leader}' and 'takeover_gripper:=true': jog's grippers copy the puppets', so"
            " that a grasp of the policy would take over; allowed: one of them"
        )


def namespace_of(given: Mapping[str, str]) -> str:
    """The nodes' namespace, as `/r2`; "" where there is none.

    Raises:
        VgilError: where ROS would not take it.
    """
    text = (optional(given, "namespace") or "").strip("/")
    if text and not _NAMESPACE.fullmatch(text):
        raise VgilError(f"launch argument 'namespace' is '{text}'; allowed: letters, digits and _, such as r2")
    return f"/{text}" if text else ""


def unknown(argv: list[str]) -> list[str]:
    """Names on a command line of `name:=value` that none of our launch files knows."""
    return sorted(
        {name for name, sign, _ in (text.partition(":=") for text in argv) if sign} - set(ARGUMENTS) - set(_OLD)
    )
