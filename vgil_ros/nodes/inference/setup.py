"""Set-up of the policy node from its parameters: a checked checkpoint, and the action pipeline."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from vgil_ros.core.control.pipeline import ActionPipeline, ChunkSize, ExecutionOptions, make_action_pipeline
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import EXECUTORS, Execution, check_mode, resolve_execution
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.base.safety_options import safety_options
from vgil_ros.policies import PolicyConfig
from vgil_ros.policies.compatibility import unchecked_fields
from vgil_ros.policies.device import PRECISIONS
from vgil_ros.policies.inference.opening import Runner, make_runner, open_for_robot

COEFFICIENT = 0.01  # of temporal ensembling, as ACT has it
AS_KEPT = "checkpoint"  # execution: as the checkpoint says


@dataclass(frozen=True)
class PolicyParameters:
    """Which policy runs, where, how its chunks are played as far as that is given, and when commands are refused."""

    checkpoint: str
    remote_mapping: str
    device: str
    precision: Any
    execution: Execution
    safety: ExecutionOptions


def declare_policy(node: VgilNode) -> PolicyParameters:
    """Declare the node's parameters that say so.

    Raises:
        VgilError: for a value that is not allowed.
    """
    doc = "the trained policy: a folder, a name in models/, or a server's ws://HOST:PORT; must be given"
    checkpoint = node.declare("checkpoint", "", doc=doc)
    if not checkpoint:
        raise VgilError(
            "parameter 'checkpoint' is empty; allowed: a checkpoint folder, a name in models/, or ws://HOST:PORT"
        )
    doc = "YAML that says what a server calls a robot's observations and actions; empty: as vgil serve does"
    mapping = node.declare("remote_mapping", "", doc=doc)
    device = node.declare("device", "cpu", doc="where it runs: cpu, cuda, cuda:1, ...")
    doc = "numbers that the network computes in; tf32, bf16 and fp16 on a GPU"
    precision = node.declare("precision", "fp32", choices=tuple(PRECISIONS), doc=doc)
    return PolicyParameters(checkpoint, mapping, device, precision, declare_execution(node), watched_options(node))


def load_for(
    node: VgilNode, given: PolicyParameters, layout: Layout, task: str
) -> tuple[PolicyConfig, Runner, ExecutionOptions]:
    """Load the checkpoint or connect to its server, hold it against robot, task and execution, and warm it up.

    Raises:
        VgilError: for a checkpoint that cannot be used, with every mismatch between it and the robot, one that needs a
            task where there is none, or a mode that it cannot be played in.
    """
    policy = open_for_robot(given.checkpoint, layout, mapping=given.remote_mapping, task=task)
    config = policy.config
    if config.needs_task and not task:
        raise VgilError(f"checkpoint {given.checkpoint} needs a task; parameter 'task' is empty, allowed: a text")
    played = resolve_execution(given.execution, config.execution, config.chunk_size)
    check_mode(played.mode, config.type, policy.supports_prefix)
    node.log(played.words)
    for field in unchecked_fields(config):
        node.log(f"the checkpoint does not say its {field}: not checked", severity="warning")
    began = time.perf_counter()
    runner = make_runner(policy, layout, given.device, given.precision)
    node.log(f"warmed up in {time.perf_counter() - began:.1f} s: {runner.description}")
    options = replace(
        given.safety,
        execution=played.mode,
        inference_period=played.inference_period,
        ensemble_coefficient=played.ensemble_coefficient,
        draws=None if policy.stochastic else 1,
    )
    return config, runner, options


def watched_options(node: VgilNode) -> ExecutionOptions:
    """Declare how long the policy may be silent, and what `safety_options` declares."""
    silence = "how long the policy may be silent, ms; longer holds the robot"
    watchdog_ms = node.declare("watchdog_ms", ExecutionOptions.silence_ns / 1e6, low=1.0, high=1e5, doc=silence)
    return replace(safety_options(node), silence_ns=round(watchdog_ms * 1e6))


def declare_execution(node: VgilNode) -> Execution:
    """Declare how chunks are played, and return what of it is given."""
    kept = f"how chunks are played; {AS_KEPT}: as policy.json says, temporal_ensemble where it says nothing"
    mode = node.declare("execution", AS_KEPT, choices=(AS_KEPT, *EXECUTORS), doc=kept)
    every = "ticks between two requests to the policy, not for temporal_ensemble; 0: the checkpoint's or the mode's"
    weight = (
        "of temporal_ensemble: above 0 the oldest prediction weighs most, below 0 the newest, 0 is their mean; the "
        "checkpoint's where it is not given"
    )
    period = node.declare("inference_period", 0, low=0, doc=every)
    coefficient = node.declare("ensemble_coefficient", COEFFICIENT, doc=weight)
    given = node.is_given("ensemble_coefficient")
    return Execution(None if mode == AS_KEPT else mode, period or None, coefficient if given else None)


def pipeline_for(
    options: ExecutionOptions, layout: Layout, config: PolicyConfig, streams: tuple[StreamSpec, ...]
) -> ActionPipeline:
    """The executor and the safety limits for a policy.

    Raises:
        VgilError: for a value that is not allowed.
    """
    size = ChunkSize(config.chunk_size, config.action_dim, config.action_steps)
    return make_action_pipeline(options, layout, streams, size)
