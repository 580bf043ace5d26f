"""Parts of the launch files: arguments, our nodes, the transport, and how a launch ends.

It is written against the `launch` API. Where those packages are not installed, `vgil launch` puts
`vgil_ros.launch_shim` in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launch.actions import LogInfo, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable, Shutdown
from launch.event_handlers import OnProcessExit
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.drivers import driver_nodes, webcam_of, webcams_of
from vgil_ros.core.graph.service_names import NODES
from vgil_ros.core.streams import topics_of
from vgil_ros.extras import need
from vgil_ros.nodes.dds import profile as transport
from vgil_ros.nodes.dds.reach import plan_reach
from vgil_ros.nodes.launching import arguments as launch_arguments
from vgil_ros.nodes.launching.arguments import COMMON, WORDS, declare
from vgil_ros.nodes.launching.parameter_file import ParameterFile, write_overrides
from vgil_ros.nodes.viz import rviz_config as rviz

__all__ = [
    "COMMON",
    "LIE_DOWN_S",
    "WORDS",
    "declare",
    "leading",
    "main_node",
    "make_node",
    "monitoring",
    "prepare",
    "side_node",
    "supervised",
]

ROBOT = "sim_aloha"  # where neither launch argument nor file names one; also the nodes' own default
NEEDED = {
    "policy": ("rclpy", "torch"),
    "sim": ("rclpy", "mujoco"),
    "feetech": ("rclpy", "serial"),
    "web": ("rclpy", "nicegui"),
}  # packages that are not everywhere
RENAMED = {"feetech", "webcam"}  # executables whose nodes are called otherwise, one for each port or camera
LIE_DOWN_S = "120"  # what an arm gets to lie down in, slowly, before its torque goes off
GRACE_S = "15"  # what a recorder gets to close an episode on a slow disk before it is asked a second time


class NodeFailed(VgilError):
    """A node that the launch cannot do without ended with an exit code other than 0."""


def prepare(main: str) -> OpaqueFunction:
    """Check the arguments and the contract, and set the nodes' environment, before any of them starts.

    Args:
        main: the executable's name of the node that the launch is about.
    """
    return OpaqueFunction(function=_prepare, args=[main])


def _prepare(context: Any, main: str) -> list[Any]:
    given = context.launch_configurations
    try:
        warnings = launch_arguments.take_old_names(given)
        launch_arguments.check_all(given)
        settings = _settings(given)
        given["robot"] = given["robot"].strip() or (settings and settings.robot()) or ROBOT
        contract, _ = load_contract(given["robot"])
        simulated = main == "sim" or bool(launch_arguments.optional(given, "sim"))
        starts_drivers = main == "feetech" or bool(launch_arguments.optional(given, "drivers"))
        driven = starts_drivers and any(arm.bus for arm in contract.arms)
        page = bool(launch_arguments.optional(given, "web"))
        for name in (main, *(["sim"] if simulated else ["feetech"] if driven else []), *(["web"] if page else [])):
            need(f"node '{name}'", *NEEDED.get(name, ("rclpy",)))
        transport.need_room()
    except VgilError:
        context.extend_globals({"exit_code": 2})
        raise
    ours = (*(one.name for one in driver_nodes(contract)), *map(webcam_of, webcams_of(contract)))
    known = sorted({*NODES, *ours} - RENAMED)
    if settings and (strangers := settings.strangers(known)):
        warnings.append(f"{settings.path}: no node of ours reads the section {strangers}; allowed: {known}")
    plan = transport.prepare(context.environment)
    variables, reached = plan_reach(
        context.environment,
        simulated=simulated,
        domain=launch_arguments.optional(given, "domain_id"),
    )
    warnings += _shared_topics(contract, launch_arguments.namespace_of(given))
    actions: list[Any] = [
        SetEnvironmentVariable(key, value) for key, value in {**plan.environment, **variables}.items()
    ]
    actions.append(SetEnvironmentVariable("PYTHONUNBUFFERED", "1"))  # or a node's lines come only when it ends
    unknown = launch_arguments.unknown(context.argv)
    if unknown:  # `vgil launch` refuses them; `ros2 launch` says nothing of itself
        warnings.append(f"launch argument {unknown} is unknown and has no effect")
    actions += [LogInfo(msg=f"WARNING: {warning}") for warning in warnings]
    actions += [LogInfo(msg=message) for message in reached]
    return actions + [LogInfo(msg=f"transport: {message}") for message in plan.messages]


def _shared_topics(contract: Contract, namespace: str) -> list[str]:
    """What to say of topics that do not follow the namespace, because the contract begins them with `/`."""
    absolute = [topic for topic in topics_of(contract) if topic.startswith("/")]
    if not namespace or not absolute:
        return []
    some = ", ".join(absolute[:3]) + (", ..." if len(absolute) > 3 else "")
    return [
        f"namespace {namespace}: {len(absolute)} topics of the contract begin with / and stay as they are ({some});"
        " write them without it where they are to follow the namespace"
    ]


def _settings(given: Mapping[str, str]) -> ParameterFile | None:
    path = launch_arguments.optional(given, "params_file")
    return ParameterFile(path) if path else None


def main_node(name: str, *parameters: str, grace_s: str = GRACE_S) -> OpaqueFunction:
    """The node that the launch is about: when it ends, all ends, with its exit code.

    Args:
        name: the executable's name.
        parameters: names of the launch arguments to hand on.
        grace_s: from when it is asked to end until it is asked a second time.
    """
    return OpaqueFunction(function=_start, args=[name, parameters, {}, None, True, grace_s])


def side_node(name: str, *parameters: str, when: str, fixed: Mapping[str, Any] | None = None) -> OpaqueFunction:
    """A node that runs beside the main one; if it fails, all ends, with its exit code.

    Args:
        name: the executable's name.
        parameters: names of the launch arguments to hand on.
        when: the launch argument that says whether to start it.
        fixed: parameters whose value no argument changes.
    """
    return OpaqueFunction(function=_start, args=[name, parameters, dict(fixed or {}), when, False])


def leading() -> OpaqueFunction:
    """With `leader:=gamepad`, `spacemouse` or `page`, the node jog; with `keyboard`, what opens its terminal."""
    return OpaqueFunction(function=_lead)


def _lead(context: Any) -> list[Any]:
    given = context.launch_configurations
    leader = launch_arguments.optional(given, "leader")
    if leader is None:
        return []
    if leader != "keyboard":
        device = "topic" if leader == "page" else leader
        return _start(context, "jog", ("robot",), {"device": device}, None, False)
    words = ["vgil", "jog", given["robot"]]
    if namespace := launch_arguments.namespace_of(given):
        words += ["--namespace", namespace.strip("/")]
    if (domain := launch_arguments.optional(given, "domain_id")) is not None:
        words += ["--domain-id", str(domain)]
    if _follows(given, "jog").get("use_sim_time"):
        words += ["--sim-time"]
    return [LogInfo(msg=f"leader:=keyboard: the keys have a terminal of their own, run there: {' '.join(words)}")]


def monitoring() -> list[OpaqueFunction]:
    """With `rviz:=true`, the monitor node and RViz on the robot's own displays; with `web:=true`, the page."""
    return [
        side_node("monitor", "robot", when="rviz"),
        OpaqueFunction(function=_rviz),
        OpaqueFunction(function=_page),
    ]


def _page(context: Any) -> list[Any]:
    """The operator's page. Whatever becomes of it, robot and recording go on."""
    given = context.launch_configurations
    if not launch_arguments.value(given, "web"):
        return []
    values = {key: launch_arguments.optional(given, key) for key in ("robot", "host", "port", "dataset_dir")}
    if (settings := _settings(given)) is not None:
        values["params_file"] = str(settings.for_namespace(launch_arguments.namespace_of(given)))
    node = make_node(given, "web", {key: value for key, value in values.items() if value is not None})
    return [RegisterEventHandler(OnProcessExit(target_action=node, on_exit=_page_ended)), node]


def _page_ended(event: Any, context: Any) -> list[Any]:
    if context.is_shutdown:
        return []
    return [LogInfo(msg=f"WARNING: the page has ended with exit code {event.returncode}; all else goes on without it")]


def _start(
    context: Any,
    name: str,
    parameters: tuple[str, ...],
    fixed: dict[str, Any],
    when: str | None,
    main: bool,
    grace_s: str = GRACE_S,
) -> list[Any]:
    given = context.launch_configurations
    if when is not None and not launch_arguments.value(given, when):
        return []
    values = {key: launch_arguments.value(given, key) for key in parameters}
    names = launch_arguments.HANDED_ON_AS
    values = {names.get(key, key): value for key, value in values.items() if value is not None} | fixed
    if name == "sim" and launch_arguments.optional(given, "leader"):
        values["operator"] = False
    return supervised(make_node(given, name, values, grace_s=grace_s), name, main=main)


def make_node(
    given: Mapping[str, str],
    executable: str,
    values: Mapping[str, Any],
    *,
    name: str | None = None,
    grace_s: str = GRACE_S,
) -> Node:
    """One of our nodes.

    Args:
        given: the launch arguments.
        executable: which.
        values: its parameters, which win over a file's.
        name: what it is called, where that is not the executable's name.
        grace_s: see `main_node`.
    """
    namespace = launch_arguments.namespace_of(given)
    layers = _layers(name or executable, _follows(given, executable), _settings(given), values, namespace)
    return Node(
        package="vgil_ros",
        executable=executable,
        output="screen",
        namespace=namespace,
        remappings=_clock(given, namespace),
        parameters=layers,
        sigterm_timeout=grace_s,
        **({"name": name} if name else {}),
    )


def _layers(
    name: str,
    follows: Mapping[str, Any],
    settings: ParameterFile | None,
    values: Mapping[str, Any],
    namespace: str,
) -> list[Any]:
    """A node's parameters, each layer over the one before: what follows from others, the file, launch arguments."""
    layers: list[Any] = [_typed({**follows, **values})]
    if settings is not None:
        layers = [
            _typed(follows),
            str(settings.for_namespace(namespace)),
            values and str(write_overrides(name, values)),
        ]
    return [layer for layer in layers if layer]


def _clock(given: Mapping[str, str], namespace: str) -> list[tuple[str, str]]:
    """The clock of a simulated robot is its own: in a namespace, it lies in there."""
    simulated = "sim" not in given or launch_arguments.value(given, "sim")
    return [("/clock", f"{namespace}/clock")] if namespace and simulated else []


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: ParameterValue(value, value_type=type(value)) for key, value in values.items()}


def supervised(process: Any, name: str, *, main: bool) -> list[Any]:
    """A process whose failure ends the launch with its exit code; the main one ends it also when all went well."""
    handler = OnProcessExit(target_action=process, on_exit=lambda event, context: _ended(event, context, name, main))
    return [RegisterEventHandler(handler), process]


def _follows(given: Mapping[str, str], name: str) -> dict[str, Any]:
    """Parameters that follow from a simulated robot: its clock, and its reset before each episode."""
    if not launch_arguments.optional(given, "sim"):
        return {}
    parameters: dict[str, Any] = {}
    if name in ("recorder", "policy", "web"):
        parameters["success_topic"] = "sim/success"
    if name in ("recorder", "policy"):
        parameters["reset_service"] = "sim/reset"
        if "reset_time" not in given or not given["reset_time"]:
            parameters["reset_time"] = 0.5  # nobody has to tidy up a simulated scene
    if name in ("teleop", "jog"):
        parameters["reset_topic"] = "sim/was_reset"
    simulated = launch_arguments.optional(given, "speed") not in (None, 1.0)
    if name != "sim" and (simulated or launch_arguments.optional(given, "sim_time")):
        parameters["use_sim_time"] = True
    return parameters


def _ended(event: Any, context: Any, name: str, main: bool) -> list[Any]:
    decides = main or (event.returncode != 0 and not context.is_shutdown)
    if decides and "exit_code" not in context.get_locals_as_dict():  # the first failure names the launch's exit code
        context.extend_globals({"exit_code": _exit_code(event.returncode)})
    if context.is_shutdown or not decides:
        return []
    if event.returncode != 0:  # raised, because `ros2 launch` itself has no other way to end with a code but 0
        raise NodeFailed(f"{name} ended with exit code {event.returncode}")
    return [Shutdown(reason=f"{name} has ended")]


def _exit_code(returncode: int) -> int:
    """A shell's exit code: 128 + N for a process that signal N ended."""
    return 128 - returncode if returncode < 0 else returncode


def _rviz(context: Any) -> list[Any]:
    given = context.launch_configurations
    if not launch_arguments.value(given, "rviz"):
        return []
    if not rviz.installed():
        return [LogInfo(msg="rviz:=true, but RViz (rviz2) is not installed here: going on without it")]
    contract, _ = load_contract(given["robot"])
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", str(rviz.write_config(contract, launch_arguments.namespace_of(given)))],
        )
    ]
