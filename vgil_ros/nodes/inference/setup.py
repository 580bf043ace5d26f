"""Set-up of the policy node from its parameters: a checked checkpoint, and the action pipeline."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from vgil_ros.assets import checkpoint_path
from vgil_ros.core.control.pipeline import ActionPipeline, ChunkSize, ExecutionOptions, make_action_pipeline
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import check_mode
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.policies import PolicyConfig
from vgil_ros.policies.compatibility import camera_sizes, load_for_robot, unchecked_fields
from vgil_ros.policies.inference.runtime import InferenceRuntime, limit_torch_threads
from vgil_ros.policies.registry import policy_class


def load_for(node: VgilNode, layout: Layout, task: str) -> tuple[PolicyConfig, InferenceRuntime]:
    """Load the checkpoint in the node's parameters, hold it against the robot and the task, and warm it up.

    Raises:
        VgilError: for a checkpoint that cannot be used, with every mismatch between it and the robot, or one that
            needs a task where there is none.
    """
    checkpoint, device = node.declare("checkpoint", ""), node.declare("device", "cpu")
    precision: Any = node.declare("precision", "fp32")
    if not checkpoint:
        raise VgilError("parameter checkpoint is empty; allowed: a checkpoint folder, or a name in models/")
    policy = load_for_robot(checkpoint_path(checkpoint), layout)
    if policy.config.needs_task and not task:
        raise VgilError(f"checkpoint {checkpoint} needs a task; parameter task is empty, allowed: a text")
    for field in unchecked_fields(policy.config):
        node.get_logger().warning(f"the checkpoint does not say its {field}: not checked")
    limit_torch_threads()
    runtime = InferenceRuntime(policy, device, precision)
    began = time.perf_counter()
    report = runtime.warm_up(policy.example_observation(camera_sizes(layout)))
    words = f"{policy.config.type} on {runtime.device}, {report.precision}"
    if precision != "fp32":
        words += f", actions within {report.max_difference:.2g} of fp32"
    node.get_logger().info(f"warmed up in {time.perf_counter() - began:.1f} s: {words}")
    return policy.config, runtime


def acting_options(node: VgilNode) -> ExecutionOptions:
    """Declare what every driver of the control loop lets one set, and return it.

    Raises:
        VgilError: for a value that is not allowed.
    """
    usual = ExecutionOptions()
    return ExecutionOptions(
        silence_ns=int(node.declare("watchdog_ms", usual.silence_ns / 1e6) * 1e6),
        age_ns=int(node.declare("max_age_ms", usual.age_ns / 1e6) * 1e6),
        soft_start=node.declare("soft_start", usual.soft_start),
    )


def pipeline_for(
    node: VgilNode, layout: Layout, config: PolicyConfig, streams: tuple[StreamSpec, ...]
) -> ActionPipeline:
    """The executor and the safety limits in the node's parameters.

    Raises:
        VgilError: for an unknown mode, or a value that is not allowed.
    """
    mode, period = node.declare("execution", ExecutionOptions().execution), node.declare("inference_period", 0)
    coefficient = node.declare("ensemble_coefficient", 0.01)
    check_mode(mode, config.type, policy_class(config.type).supports_prefix)
    options = replace(
        acting_options(node),
        execution=mode,
        inference_period=period or None,
        ensemble_coefficient=coefficient if mode == "temporal_ensemble" else None,
    )
    return make_action_pipeline(
        options, layout, streams, ChunkSize(config.chunk_size, config.action_dim, config.action_steps)
    )
