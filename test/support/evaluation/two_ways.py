"""A made-up task that goes either of two ways, policies that learn it in seconds, and rollouts with late inference.

The wrist turns steadily and tells where in the motion the robot is; meanwhile the waist swings aside, to the left in
half of the demonstrations and to the right in the others. Where it stands says nothing of the side that is meant, so
each chunk may go either way, and a robot that plays one after the other jumps from side to side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from support.policies.toy_fields import SmoothModes
from vgil_ros.assets import load_contract
from vgil_ros.core.execution import measure_smoothness
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import policy_streams
from vgil_ros.evaluation.evaluate import EvaluationPlan, pipeline_for
from vgil_ros.evaluation.latency import LatencyTrace
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.rollout import RolloutRunner
from vgil_ros.evaluation.sources import ChunkSource
from vgil_ros.policies import Normalizer, Policy, PolicyConfig
from vgil_ros.policies.action_prefix import PrefixTensors, prepare_prefix
from vgil_ros.policies.base import LossOutput
from vgil_ros.policies.flow_matching import FlowMatchingConfig, FlowMatchingPolicy
from vgil_ros.policies.flow_matching.flow import integrate
from vgil_ros.policies.guidance import guide_flow, guided_output
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.nn.noise import NoiseSource
from vgil_ros.policies.preparation import prepare
from vgil_ros.robots.sim.simulation import SimWorld

ROBOT, TASK = "sim_single", "pick_place"
WAIST, WRIST = 0, 5
TURN = 0.01  # rad a tick
TICKS, APPROACH = 150, 5
ASIDE, MIDDLE, WIDTH = 0.4, 0.75, 0.35  # rad of the waist; where on the wrist's way and how long, rad
H = 48
PLAIN, RTC = "open_loop", "rtc"
LATE = LatencyTrace.constant(0.2)


def home() -> np.ndarray:
    """The arm's rest pose (7,), gripper normalised and just off its stop."""
    layout = Layout(load_contract(ROBOT)[0])
    pose: np.ndarray = np.concatenate([arm.command.normalise(np.asarray(arm.arm.home)) for arm in layout.arms])
    pose[-1] -= 0.005
    return pose


def demonstrations(count: int, horizon: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """States (N, 7) and chunks (N, H, 7), float32."""
    random = np.random.default_rng(seed)
    state = home() + random.normal(0, 0.02, (count, 7))
    state[:, WRIST] = random.uniform(-0.1, TURN * TICKS + 0.1, count)
    state[:, WAIST] = random.uniform(-1.2 * ASIDE, 1.2 * ASIDE, count)
    turned = state[:, WRIST, None] + TURN * np.arange(horizon)
    side = random.choice([-1.0, 1.0], count)[:, None]
    chunk = np.tile(home(), (count, horizon, 1))
    chunk[:, :, WRIST] = turned
    chunk[:, :, WAIST] = side * ASIDE * np.exp(-(((turned - MIDDLE) / WIDTH) ** 2))
    return state.astype(np.float32), chunk.astype(np.float32)


def flow_matching(**changes: Any) -> Policy:
    """Small, untrained."""
    sizes = {"hidden_dim": 64, "heads": 4, "feedforward_dim": 128, "encoder_layers": 1, "action_layers": 2}
    return FlowMatchingPolicy(FlowMatchingConfig(**_shared(), **sizes, padded_dim=8, dropout=0.0, **changes))


def diffusion(**changes: Any) -> Policy:
    """Small, untrained."""
    from vgil_ros.policies.diffusion import DiffusionConfig, DiffusionPolicy  # needs diffusers

    sizes = {"n_obs_steps": 1, "horizon": H, "down_dims": (32, 64), "step_embed_dim": 32, "n_groups": 4}
    values = {key: value for key, value in _shared().items() if key != "chunk_size"}
    return DiffusionPolicy(DiffusionConfig(**values, **sizes, **changes))


def _shared() -> dict[str, Any]:
    contract, _ = load_contract(ROBOT)
    names = Layout(contract).joint_names
    return {
        "state_dim": 7,
        "action_dim": 7,
        "chunk_size": H,
        "cameras": (),
        "joint_names": names,
        "rate_hz": contract.rate_hz,
    }


def train(policy: Policy, steps: int, seed: int = 0) -> Policy:
    """Train on demonstrations that are drawn as it goes."""
    torch.manual_seed(seed)
    state, action = demonstrations(4096, policy.config.chunk_size, seed)
    flat = action.reshape(-1, 7)
    policy.set_normalizer(Normalizer.fit(policy.config.normalization, state, flat, 0))
    policy.train()
    optimiser = torch.optim.AdamW(policy.parameters(), lr=2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        rows = np.random.default_rng([seed, step]).integers(0, len(state), 32)
        batch: dict[str, Any] = {"qpos": state[rows], "images": {}, "action": action[rows]}
        batch["is_pad"] = np.zeros(batch["action"].shape[:2], bool)
        optimiser.zero_grad()
        policy.compute_loss(batch).loss.backward()
        optimiser.step()
        decay.step()
    return policy.eval()


class Perfect(Policy):
    """What training would lead to in the end: the exact network of the task's distribution, in closed form."""

    supports_prefix: ClassVar[bool] = True
    STEPS = 10

    def __init__(self) -> None:
        super().__init__(PolicyConfig(type="perfect", **_shared()))
        state, action = demonstrations(512, H)
        normalization = self.config.normalization
        self.set_normalizer(Normalizer.fit(normalization, state, action.reshape(-1, 7), 0))

    def _predict_chunk(self, observation: Mapping[str, Any]) -> torch.Tensor:
        """One observation's chunk (1, H, 7)."""
        qpos, _ = prepare(self.config, observation, self.device)
        field = SmoothModes(self.normalizer.action(self._ways(float(qpos[0, WRIST]))), 0.02)
        prefix = prepare_prefix(self.config, observation, self.device)
        free = PrefixTensors(torch.zeros(1, H, 7), torch.zeros(1, H, 1))
        inside = free if prefix is None else prefix.normalised(self.normalizer.action)
        chunk = self.normalizer.action.inverse(self.integrated(field, inside))
        return chunk if prefix is None else prefix.keep(chunk)

    @staticmethod
    def _ways(begin: float) -> torch.Tensor:
        turned = torch.tensor(begin + TURN * np.arange(H), dtype=torch.float32)
        ways = torch.tensor(home(), dtype=torch.float32).repeat(2, H, 1)
        ways[:, :, WRIST] = turned
        ways[0, :, WAIST] = ASIDE * torch.exp(-(((turned - MIDDLE) / WIDTH) ** 2))
        ways[1, :, WAIST] = -ways[0, :, WAIST]
        return ways

    def integrated(self, field: SmoothModes, prefix: PrefixTensors) -> torch.Tensor:
        """A chunk (1, H, 7) in normalised units."""
        raise NotImplementedError

    def compute_loss(self, batch: Mapping[str, Any]) -> LossOutput:
        """Nothing is left to learn."""
        raise NotImplementedError


class PerfectFlow(Perfect):
    """By flow matching."""

    def integrated(self, field: SmoothModes, prefix: PrefixTensors) -> torch.Tensor:
        """See `Perfect.integrated`."""
        noise = torch.randn(1, H, 7)
        return integrate(guide_flow(field.velocity, prefix, noise, self.STEPS), noise, self.STEPS)


class PerfectDiffusion(Perfect):
    """By DDIM on a cosine schedule."""

    def integrated(self, field: SmoothModes, prefix: PrefixTensors) -> torch.Tensor:
        """See `Perfect.integrated`."""
        levels = [math.cos(0.5 * math.pi * (1 - (n + 0.5) / self.STEPS)) ** 2 for n in range(self.STEPS)]
        x = torch.randn(1, H, 7)
        for level, after in zip(levels, [*levels[1:], 1.0], strict=True):
            clean = guided_output(partial(field.output, level=level, prediction="sample"), x, level, prefix, "sample")
            epsilon = (x - math.sqrt(level) * clean) / math.sqrt(1 - level)
            x = math.sqrt(after) * clean + math.sqrt(1 - after) * epsilon
        return x


class FixedResults:
    """A source of chunks from a policy that need not be a checkpoint; its draws follow from the episode's seed."""

    def __init__(self, policy: Policy) -> None:
        self.horizon, self.action_dim = policy.config.chunk_size, policy.config.action_dim
        self.cameras: tuple[str, ...] = ()
        self.obs_offsets, self.supports_prefix = policy.config.obs_offsets, policy.supports_prefix
        self.inference_s: list[float] = []
        self._policy, self._runtime = policy, InferenceRuntime(policy, repeatable=True)

    def reset(self, seed: int) -> None:
        """An episode begins."""
        torch.manual_seed(seed)
        self._runtime.reset()
        if isinstance(noise := getattr(self._policy, "noise", None), NoiseSource):
            noise.reset(seed)

    def chunk(self, observation: Mapping[str, Any], seconds: float) -> np.ndarray:
        """See `ChunkSource.chunk`."""
        return self._runtime(observation)


@dataclass(frozen=True, eq=False)
class RolloutResult:
    """What a rollout commanded, (T, 7): as the executor gave it, and as safety let it through."""

    rollout: Rollout
    asked: np.ndarray
    sent: np.ndarray

    @property
    def step(self) -> float:
        """The largest step of a joint between two of the executor's commands, rad."""
        return float(measure_smoothness(self.asked).first_difference_max.max())

    @property
    def second_difference(self) -> float:
        """The largest change of a step between the commands sent, rad, once the robot follows.

        The first chunk begins where the robot would be, had it not waited for it: that way is not the chunks' doing.
        """
        return float(measure_smoothness(self.sent[APPROACH:]).second_difference_max.max())


def play(
    source: ChunkSource,
    mode: str,
    seeds: range,
    latency: LatencyTrace = LATE,
    ticks: int = TICKS,
    watchdog_ms: float = 200.0,
) -> list[RolloutResult]:
    """Rollouts on the simulated robot, asked about whenever no inference is under way."""
    contract, _ = load_contract(ROBOT)
    plan = EvaluationPlan(
        TASK, ROBOT, execution=mode, inference_period=1, latency_trace=latency, watchdog_ms=watchdog_ms
    )
    streams = policy_streams(contract, cameras=())
    world = SimWorld(contract, TASK, operator=False, streams=streams)
    pipeline = pipeline_for(plan, world.layout, source, streams)
    asked: list[np.ndarray] = []
    give = pipeline.executor.action

    def logged(tick: int) -> np.ndarray | None:
        action = give(tick)
        if action is not None:
            asked.append(action)
        return action

    pipeline.executor.action = logged  # type: ignore[method-assign]
    runner = RolloutRunner(world, pipeline, source, latency=plan.latency, episode_len=ticks)
    found = []
    try:
        for seed in seeds:
            asked.clear()
            rollout = runner.run(seed)
            found.append(RolloutResult(rollout, np.stack(asked), np.stack(pipeline.sent)))
    finally:
        world.close()
    return found
