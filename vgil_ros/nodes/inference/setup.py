"""Set-up of the policy node from its parameters: a checked checkpoint, and the action pipeline."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from vgil_ros.assets import checkpoint_path
from vgil_ros.core.control.pipeline import ActionPipeline, ChunkSize, ExecutionOptions, make_action_pipeline
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import EXECUTORS, check_mode
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.base.safety_options import safety_options
from vgil_ros.policies import PolicyConfig
from vgil_ros.policies.compatibility import camera_sizes, load_for_robot, unchecked_fields
from vgil_ros.policies.device import PRECISIONS
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.registry import policy_class

COEFFICIENT = 0.01  # of temporal ensembling, as ACT has it


@dataclass(frozen=True)
class PolicyParameters:
    """Which policy runs, where, and how its chunks are played."""

    checkpoint: str
    device: str
    precision: Any
    options: ExecutionOptions


def declare_policy(node: VgilNode) -> PolicyParameters:
    """Declare the node's parameters that say so.

    Raises:
        VgilError: for a value that is not allowed.
    """
    doc = "the trained policy: a folder, or a name in models/; must be given"
    checkpoint = node.declare("checkpoint", "", doc=doc)
    if not checkpoint:
        raise VgilError("parameter 'checkpoint' is empty; allowed: a checkpoint folder, or a name in models/")
    device = node.declare("device", "cpu", doc="where it runs: cpu, cuda, cuda:1, ...")
    doc = "numbers that the network computes in; tf32, bf16 and fp16 on a GPU"
    precision = node.declare("precision", "fp32", choices=tuple(PRECISIONS), doc=doc)
    return PolicyParameters(checkpoint, device, precision, execution_options(node))


def load_for(
    node: VgilNode, given: PolicyParameters, layout: Layout, task: str
) -> tuple[PolicyConfig, InferenceRuntime]:
    """Load the checkpoint, hold it against the robot, the task and the execution, and warm it up.

    Raises:
        VgilError: for a checkpoint that cannot be used, with every mismatch between it and the robot, one that needs a
            task where there is none, or a mode that it cannot be played in.
    """
    policy = load_for_robot(checkpoint_path(given.checkpoint), layout)
    config = policy.config
    if config.needs_task and not task:
        raise VgilError(f"checkpoint {given.checkpoint} needs a task; parameter 'task' is empty, allowed: a text")
    check_mode(given.options.execution, config.type, policy_class(config.type).supports_prefix)
    for field in unchecked_fields(config):
        node.log(f"the checkpoint does not say its {field}: not checked", severity="warning")
    runtime = InferenceRuntime(policy, given.device, given.precision)
    began = time.perf_counter()
    report = runtime.warm_up(policy.example_observation(camera_sizes(layout)))
    words = f"{config.type} on {runtime.device}, {report.precision}"
    if given.precision != "fp32":
        words += f", actions within {report.max_difference:.2g} of fp32"
    node.log(f"warmed up in {time.perf_counter() - began:.1f} s: {words}")
    return config, runtime


def execution_options(node: VgilNode) -> ExecutionOptions:
    """Declare how chunks are played, and return it with what `safety_options` declares."""
    usual = ExecutionOptions()
    mode = node.declare("execution", usual.execution, choices=tuple(EXECUTORS), doc="how chunks are played")
    every = "ticks between two requests to the policy, not for temporal_ensemble; 0: the mode's usual"
    weight = "of temporal_ensemble: above 0 the oldest prediction weighs most, below 0 the newest, 0 is their mean"
    silence = "how long the policy may be silent, ms; longer holds the robot"
    period = node.declare("inference_period", 0, low=0, doc=every)
    coefficient = node.declare("ensemble_coefficient", COEFFICIENT, doc=weight)
    watchdog_ms = node.declare("watchdog_ms", usual.silence_ns / 1e6, low=1.0, high=1e5, doc=silence)
    return replace(
        safety_options(node),
        execution=mode,
        inference_period=period or None,
        ensemble_coefficient=coefficient if mode == "temporal_ensemble" or coefficient != COEFFICIENT else None,
        silence_ns=round(watchdog_ms * 1e6),
    )


def pipeline_for(
    options: ExecutionOptions, layout: Layout, config: PolicyConfig, streams: tuple[StreamSpec, ...]
) -> ActionPipeline:
    """The executor and the safety limits for a policy.

    Raises:
        VgilError: for a value that is not allowed.
    """
    size = ChunkSize(config.chunk_size, config.action_dim, config.action_steps)
    return make_action_pipeline(options, layout, streams, size)
