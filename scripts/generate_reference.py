"""Generator of docs/reference/nodes.md's and cli.md's tables from the code.

    PYTHONPATH=. python scripts/generate_reference.py            writes them
    PYTHONPATH=. python scripts/generate_reference.py --check    says whether they are as the code has them

What stands between `<!-- NAME: from the code -->` and `<!-- NAME: end -->` is generated; the rest is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from read_nodes import ROOT, Endpoint, Parameter, read_node

from vgil_ros.core.graph import service_names

REFERENCE = ROOT / "docs" / "reference"

# What a topic or service is for, by its name; where the code makes the name, by "module:expression", with what stands
# for the name, its type, and the words. A topic of the code that is not here ends the generator.
WORDS = {
    "/recorder/start": "begin an episode; refused, with the reason, while a stream is missing or doubled, a puppet does"
    " not follow, or the folder cannot be written or holds another set-up",
    "/recorder/stop": "end it and save",
    "/recorder/discard": "end it and throw it away; also the one that ended last, until the next begins",
    "/recorder/redo": "throw it away, or the one that ended last, and record it again",
    **{
        f"/{node}/label_{verdict}": f"label the episode at hand, or the one that ended last: {words}"
        for node in ("recorder", "policy")
        for verdict, words in (
            ("success", "the task was done"),
            ("failure", "it was not"),
            ("unsure", "neither is said"),
        )
    },
    "teleop/status": "whether the puppets follow: a recording waits for that",
    "/policy/start": "begin to move; refused, with the reason, while a stream, a subscriber of a command, or the e-stop"
    " is in the way, or another node commands the robot",
    "/policy/stop": "hold, and end the episode; also ends a start that still waits",
    "/policy/reset": "hold, throw the rollout's recording away, begin again",
    "/policy/estop": "true: hold at once, the episode ends, start is refused; false: releases, moves nothing",
    "/policy/task": "a new instruction, from the next inference on; the status and a rollout's rows tell it",
    "/policy/takeover": "with `takeover`: a human takes the arms of the running episode; refused where none runs",
    "/policy/hand_back": "the policy gets them back, and is asked anew; refused where it has them, or has died",
    "/sim/correct": "with an operator: its masters come to the puppets, and do the task from there; for a takeover",
    "/policy/action_chunk": "the actions of the coming ticks, 5 Hz while somebody subscribes",
    "/policy/markers": "the grippers' path through them",
    "/teleop/start": "puppets follow their masters again; refused while another node commands the robot",
    "/teleop/stop": "hold once, and let go of the robot, so that another node may command it",
    "/feetech/torque": "of a follower; true: every joint holds where it is, also after a loss of power; false: limp",
    "/jog/twist": "moves the active arm's tip, in the frame that `frame_id` names: `base`, `tool`, or empty for the"
    " chosen one",
    "/jog/gripper": "opening of its gripper, 0 to 1",
    "/jog/arm": "the arm that is moved",
    "recorder/start": "key `s`",
    "recorder/stop": "key `s` while it records",
    "recorder/discard": "key `d`",
    "recorder/redo": "key `r`",
    "recorder/label_success": "key `y`",
    "recorder/label_failure": "key `n`",
    "recorder/label_unsure": "key `m`",
    "bringup/status": "whether the robot is up and its motors are well: it is held while they are not",
    "/bringup/wake": "bring the robot up, again after a fault; refused while it is brought up or lies down",
    "/bringup/sleep": "home, the sleep pose, then the torque off; refused while it is brought up or lies down",
    "/monitor/markers": "puppets and their states for RViz",
    "/diagnostics": "the same for all nodes",
    "/sim/reward": "of the task, at the contract's rate",
    "/sim/success": "whether the task is done",
    "/sim/reset": "the next scene, of parameter `seed`",
    "/sim/was_reset": "after each reset: states from before it say nothing any more",
    "/clock": "where time is simulated",
    "policy/task": "what the operator writes on the page",
    "policy/action_chunk": "drawn beside what the robot does",
    "jog/twist": "with `leader:=page`",
    "jog/gripper": "with `leader:=page`",
    "jog/arm": "with `leader:=page`",
}
MADE = {
    "messages.subscriptions:spec.topic": ("each stream of the contract", "by its `type`", "what is synchronised"),
    "messages.joint_subscriptions:topic": (
        "`arms[].puppet.topic`, `arms[].master.topic`",
        "",
        "joint states; one subscription, though arms may share a topic",
    ),
    "messages.command_places:self._given": (
        "the contract's command topics",
        "by its `type`",
        "one message a tick, while it commands",
    ),
    "messages.array_order:listener + SERVICE": (
        "`get_parameters` of whoever takes a `float64_multi_array`",
        "",
        "its controller's `joints`, held against the command's",
    ),
    "hardware.gripper_modes:self._service": (
        "`NAME/get_robot_info` of Interbotix' drivers",
        "",
        "the grippers' modes, where the contract commands `interbotix_group`",
    ),
    "hardware.service_calls:call.service": (
        "the contract's `enable` and `disable`, and the services of Interbotix' drivers",
        "by their `type`",
        "in the order of the bring-up",
    ),
    "base.status:topic": ("`/NODE/status`", "", "[status keys](status.md), 5 Hz"),
    "session.session:reset": ("`reset_service`", "", "before each episode, where given"),
    "session.session:topic": ("`success_topic`", "", "whether the task is done, where given"),
    "session.buttons:joystick.topic": ("`joystick.topic`", "", "buttons, where the contract has them"),
    "session.takeover:contract.joystick.topic": (
        "`joystick.topic`",
        "",
        "the button that takes over and hands back, with `takeover` where the contract has it",
    ),
    "teleop:reset_topic": ("`reset_topic`", "", "a simulator has reset its scene, where given"),
    "teleop:base_input": ("`base_input`", "", "velocity for the base"),
    "webcam:self.camera.topic": ("`cameras[].topic`", "by its `type`", "the camera's images"),
    "feetech:at.topic": ("`arms[].puppet.topic`, as leader `arms[].master.topic`", "", "what the servos measure"),
    "feetech:self.spec.command.topic": ("`arms[].command.topic`", "", "a follower's commands; all joints, or some"),
    "jog=teleop:at.topic": ("`arms[].puppet.topic`", "", "where it begins"),
    "jog=messages.publishers:self._given": ("`arms[].master.topic`", "", "the masters, at `rate`"),
    "jogging.devices:topic": ("`joy_topic`", "", "axes and buttons, with a gamepad or SpaceMouse"),
    "jogging.recorder_keys:f'{other}/status'": (
        "`recorder/status`, `teleop/status`",
        "",
        "what the panel shows beside",
    ),
    "jog:reset_topic": ("`reset_topic`", "", "a simulator has reset its scene: it begins anew"),
    "monitor:arm.puppet.topic": ("`arms[].puppet.topic`", "", "what is drawn"),
    "page.robot:f'{name}/status'": ("the `status` of each node of ours", "", "what the page tells of them"),
    "page.robot:success_topic": ("`success_topic`", "", "whether the task is done, where given"),
    "page.robot:service": ("the services of recorder, policy, teleop, sim, bringup", "", "the page's buttons"),
    "page.camera_taps:topic": ("`cameras[].topic`", "by its `type`", "images, while somebody looks"),
    "monitor:topic": ("`/recorder/status`, `/policy/status`", "", "what is shown beside"),
    "sim:topic": ("`arms[].puppet.topic`, `arms[].master.topic`", "", "states, and the operator's, at `joint_rate`"),
    "sim:given.topic": ("`arms[].command.topic`", "by its `type`", "an arm's commands"),
    "sim:camera.topic": ("`cameras[].topic`", "by its `type`", "images, at `camera_rate`"),
    "sim:contract.base.odom.topic": ("`base.odom.topic`", "", "the base's pose and velocity"),
    "sim:contract.base.command.topic": ("`base.command.topic`", "", "the base's velocity"),
}


def table(*head: str, rows: list[list[str]]) -> list[str]:
    """A Markdown table, with an empty line after it."""
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows), ""]


def shown(value: Any) -> str:
    """A default as one gives it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in ("", None) else f"`{value}`" if isinstance(value, str) else f"{value:g}"


def allowed(parameter: Parameter) -> str:
    """A parameter's choices or range."""
    if parameter.choices:
        return ", ".join(f"`{choice}`" for choice in parameter.choices)
    low, high = (value if isinstance(value, str) or value is None else f"{value:.10g}" for value in
                 (parameter.low, parameter.high))  # fmt: skip
    if low is None and high is None:
        return ""
    return f"from {low}" if high is None else f"to {high}" if low is None else f"{low} to {high}"


def endpoint_row(node: str, endpoint: Endpoint) -> list[str]:
    """Name, type and purpose."""
    if endpoint.name in WORDS:
        return [f"`{endpoint.name}`", endpoint.kind, WORDS[endpoint.name]]
    module = endpoint.where.rpartition(":")[0].removeprefix("vgil_ros.nodes.")
    key = f"{module}:{endpoint.expression}"
    key = f"{node}={key}" if f"{node}={key}" in MADE else key
    if key not in MADE:
        raise SystemExit(f"{endpoint.where}: say in {Path(__file__).name} what {endpoint.name or key} is for")
    name, kind, words = MADE[key]
    return [name.replace("NODE", node), endpoint.kind or kind, words]


def node_tables(node: str) -> list[str]:
    """Services, topics and parameters of a node."""
    interface, lines = read_node(node), []
    for direction, head in (
        ("offers", "service"),
        ("publishes", "publishes"),
        ("subscribes", "subscribes to"),
        ("calls", "calls"),
    ):
        rows = [endpoint_row(node, one) for one in interface.endpoints if one.direction == direction]
        unique = [row for i, row in enumerate(rows) if row not in rows[:i]]
        lines += table(head, "type", "", rows=unique) if unique else []
    parameters = [
        [
            f"`{one.name}`",
            shown(one.default),
            allowed(one),
            one.doc + ("" if one.read_only else "; may be set while it runs"),
        ]
        for one in interface.parameters.values()
    ]
    return lines + table("parameter", "default", "allowed", "", rows=parameters)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below one (of click, in whichever package typer keeps it), by what is typed."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, f"{path} {name}")


def option_row(option: Any) -> list[str]:
    """An argument or option: how it is given, its default, its help."""
    if option.param_type_name == "argument":
        metavar = option.metavar or option.name.upper() + ("..." if option.nargs == -1 else "")
        names = f"`{metavar}`" if option.required else f"`[{metavar}]`"
    else:
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    default = option.default
    if option.required:
        said = "must be given" if option.param_type_name == "option" else ""
    elif getattr(option, "is_flag", False) or callable(default) or default in (None, (), []):
        said = ""
    else:
        said = f"`{default}`" if isinstance(default, Path) else shown(default)
    return [names, said, (getattr(option, "help", None) or "").strip()]


def command_tables() -> list[str]:
    """Every command with its arguments and options."""
    from vgil_ros.cli.main import app

    lines = []
    for path, command in commands(typer.main.get_command(app), "vgil"):
        text = " ".join((command.help or "").split())
        rows = [option_row(one) for one in command.params if one.name != "help"]
        lines += [f"## {path}", "", text, ""] + (table("argument or option", "default", "", rows=rows) if rows else [])
    return lines


def filled(text: str, name: str, lines: list[str]) -> str:
    """A page with its generated part anew."""
    begin, end = f"<!-- {name}: from the code -->", f"<!-- {name}: end -->"
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"'{begin}' and '{end}' must stand in the page once")
    return pattern.sub(lambda _: "\n".join([begin, "", *lines, end]), text)


def pages() -> dict[Path, str]:
    """Each generated page's text, as the code has it."""
    nodes, cli = REFERENCE / "nodes.md", REFERENCE / "cli.md"
    text = nodes.read_text(encoding="utf-8")
    for node in service_names.NODES:
        text = filled(text, node, node_tables(node))
    return {nodes: text, cli: filled(cli.read_text(encoding="utf-8"), "commands", command_tables())}


def main() -> int:
    """Write the pages, or with --check compare them: 1 where one is not as the code has it."""
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)}: {'is not as the code has it' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
