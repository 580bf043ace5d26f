"""A Gymnasium environment with ALOHA's layout is a robot like ours: recorded, driven by a policy, judged by its reward.

What is held here for any such environment runs on a made-up one; gym-aloha's own tasks where it is installed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate_source
from vgil_ros.extras import MissingDependency
from vgil_ros.robots.gym import environment
from vgil_ros.robots.gym.environment import GymError, GymRobot
from vgil_ros.robots.gym.world import GymWorld
from vgil_ros.robots.operators import OPERATORS
from vgil_ros.robots.operators.gym_aloha import fingers_at
from vgil_ros.robots.operators.script import Goal, Move, Operator
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, Generator
from vgil_ros.robots.sim.tasks import TaskError
from vgil_ros.robots.transforms import rotation_rpy

TASK = "made_up/Reach-v0"
GOAL = 0.3  # rad; where the left waist has to go


class Reach:
    """Fourteen joints that follow at once, in one camera's image as brightness; done where the left waist is there."""

    class action_space:
        shape = (14,)

    def __init__(self) -> None:
        self.unwrapped = self
        self.actions: list[np.ndarray] = []
        self.closed = False

    def reset(self, seed: int) -> tuple[Any, dict]:
        self.q = np.zeros(14)
        self.q[1] = 0.001 * seed
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.actions.append(action.copy())
        self.q = action.astype(np.float64)
        done = self.q[0] > GOAL
        return self._seen(), 4.0 if done else 1.0, done, False, {}

    def _seen(self) -> dict:
        image = np.full((48, 64, 3), 100 + round(min(100 * self.q[0], 100)), np.uint8)
        return {"agent_pos": self.q.copy(), "pixels": {"top": image, "side": image}}

    def close(self) -> None:
        self.closed = True


class ReachOperator(Operator):
    """Turns the left waist past the goal, and a little further."""

    def script(self) -> Any:
        yield Move(0.2, {"left": Goal(home=True), "right": Goal(home=True)})
        turned = fingers_at(np.array([-0.2, 0.6, 0.3]), rotation_rpy((0.0, 0.0, 0.36)), 0.0)
        yield Move(0.8, {"left": Goal(turned, grip=1.0)})


@pytest.fixture
def contract() -> Contract:
    return load_contract("gym_aloha")[0]


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Reach:
    made = Reach()
    monkeypatch.setattr(environment, "_make", lambda name: made)
    return made


def seen(world: GymWorld) -> list[Sample]:
    """The complete ticks since the last look."""
    ticks = world.ticks()
    assert all(isinstance(tick, Sample) for tick in ticks)
    return ticks


def test_it_is_measured_at_the_reset_and_at_every_step(contract: Contract, env: Reach) -> None:
    world = GymWorld(contract, TASK, operator=False)
    world.reset(7)
    world.sync.start(world.now_ns)
    (first,) = seen(world)
    assert first.tick == 0
    assert not np.any(first.skew_ns)
    np.testing.assert_allclose(first.payloads[0][0], [0, 0.007, 0, 0, 0, 0, 0])
    action = np.linspace(0.0, 0.26, 14)
    world.command(action)
    world.advance()
    (second,) = seen(world)
    np.testing.assert_allclose(np.concatenate([p[0] for p in second.payloads[:2]]), action, atol=1e-6)
    np.testing.assert_allclose(second.payloads[1][1], action[7:] / 0.02, rtol=1e-5)  # speed: from where it was
    assert world.now_ns - first.stamp_ns == 20_000_000


def test_images_come_in_the_contracts_size_and_only_of_now(contract: Contract, env: Reach) -> None:
    world = GymWorld(contract, TASK, operator=False)
    world.sync.start(world.now_ns)
    (first,) = seen(world)
    assert first.payloads[2].image().shape == (240, 320, 3)
    world.advance()
    (second,) = seen(world)
    world.advance()
    assert first.payloads[2].image()[0, 0, 0] == 100  # was drawn in time
    with pytest.raises(GymError, match=r"image of 'top' at step 1 is gone; .*now it is step 2"):
        second.payloads[2].image()
    keeps = GymWorld(contract, TASK, operator=False, every_image=True)
    keeps.sync.start(keeps.now_ns)
    (first,) = seen(keeps)
    keeps.advance()
    assert first.payloads[2].image().shape == (240, 320, 3)


def test_an_ended_episode_is_not_stepped_on(contract: Contract, env: Reach) -> None:
    robot = GymRobot(contract, TASK)
    robot.action[0] = 0.5
    robot.step()
    assert robot.success()
    with pytest.raises(GymError, match=r"'made_up/Reach-v0': the episode of seed 0 is over; allowed now: a reset"):
        robot.step()
    robot.reset(1)
    assert not robot.success()
    robot.action[0] = 9.0
    robot.step()
    assert env.actions[-1][0] == np.float32(3.14158)  # within the contract's limits
    robot.close()
    assert env.closed


def test_what_does_not_fit_is_named(contract: Contract, env: Reach) -> None:
    cameras = (contract.cameras[0].model_copy(update={"name": "wrist"}),)
    with pytest.raises(GymError, match=r"has no camera 'wrist' of robot 'gym_aloha'; allowed: \['side', 'top'\]"):
        GymRobot(contract.model_copy(update={"cameras": cameras}), TASK)
    single, _ = load_contract("sim_single")
    with pytest.raises(GymError, match=r"its action is \(14,\); robot 'sim_single' has 7 joints"):
        GymRobot(single, TASK)
    with pytest.raises(TaskError, match="'made_up/Reach-v0' has no scripted operator"):
        GymWorld(contract, TASK, operator=True)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (np.zeros(14), "found ndarray; allowed: {'agent_pos'"),
        ({"agent_pos": np.zeros(14)}, "found {'agent_pos': 'ndarray'}; allowed"),
        ({"agent_pos": np.zeros(7), "pixels": {}}, "found agent_pos of (7,); allowed: (14,), the j"),
        (
            {"agent_pos": np.zeros(14), "pixels": {"top": np.zeros((3, 48, 64), np.float32)}},
            "found pixels of camera 'top' of (3, 48, 64) float32; allowed: (H, W, 3) uint8",
        ),
    ],
)
def test_another_observation_is_named(contract: Contract, env: Reach, seen: Any, words: str) -> None:
    env._seen = lambda: seen  # type: ignore[method-assign]
    with pytest.raises(GymError, match=re.escape(f"environment '{TASK}', its observation: {words}")):
        GymRobot(contract, TASK)


def test_what_an_environment_raises_is_named_with_its_line(contract: Contract, env: Reach) -> None:
    robot = GymRobot(contract, TASK)
    env.step = lambda action: 1 / 0  # type: ignore[method-assign, assignment]
    with pytest.raises(
        VgilError,
        match=rf"'{TASK}': step 0 of the episode of seed 0 failed: ZeroDivisionError: .*test_gym\.py, line \d+",
    ):
        robot.step()


def test_arms_need_no_urdf_where_no_operator_asks(contract: Contract, env: Reach) -> None:
    bare = contract.model_copy(update={"arms": tuple(arm.model_copy(update={"urdf": None}) for arm in contract.arms)})
    world = GymWorld(bare, TASK, operator=False)
    world.advance()
    assert world.states["left/puppet"].shape[-1] == 7


def test_success_is_what_the_environment_says_it_is(contract: Contract, env: Reach) -> None:
    """One whose reward is anything, and 9 at the beginning."""
    step = env.step

    def other(action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        seen, reward, done, _, _ = step(action)
        return seen, 1.0 if reward == 4.0 else 9.0, done, False, {"is_success": done}

    env.step = other  # type: ignore[method-assign]
    robot = GymRobot(contract, TASK)
    robot.step()
    assert (robot.reward(), robot.success()) == (3.0, False)
    robot.action[0] = 0.5
    robot.step()
    assert (robot.reward(), robot.success()) == (4.0, True)


def test_an_environment_that_is_not_installed(contract: Contract) -> None:
    with pytest.raises(
        (GymError, MissingDependency), match=r"task 'nobodys/Env-v0'.*(no Python package|vgil_ros\[gym\])"
    ):
        GymRobot(contract, "nobodys/Env-v0")


def test_a_rollout_ends_where_the_environment_ends_it(contract: Contract, env: Reach) -> None:
    class Turns:
        """Turns the left waist by 0.01 rad a tick, from where it is."""

        horizon, action_dim, cameras, obs_offsets, supports_prefix = 50, 14, ("top",), (), False

        def __init__(self) -> None:
            self.inference_s: list[float] = []
            self.seen: list[int] = []

        def reset(self, seed: int) -> None:
            pass

        def chunk(self, observation: Any, seconds: float) -> np.ndarray:
            self.seen.append(int(observation["images"]["top"][0, 0, 0]))
            chunk = np.repeat(observation["qpos"][None], 50, axis=0)
            chunk[:, 0] += 0.01 * np.arange(50)
            return chunk

    source = Turns()
    report = evaluate_source(EvaluationPlan(TASK, episodes=1, seed=3, execution="open_loop"), contract, source)
    (rollout,) = report.rollouts
    assert (report.successes, report.robot, report.episode_len) == (1, "gym_aloha", 400)
    # the environment's first step waits for the first chunk; its last one is judged in a tick without a command
    assert rollout.steps == rollout.steps_to_success == len(env.actions)
    assert rollout.steps < 50
    assert source.seen[0] == 100
    assert rollout.highest_reward == 4.0
    assert [s.name for s in policy_streams(contract, ("top",))] == ["left/puppet", "right/puppet", "top"]


def test_a_demonstration_ends_where_the_environment_refuses_to_go_on(
    contract: Contract, env: Reach, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(OPERATORS, TASK, ReachOperator)
    generator, step = Generator(DemonstrationConfig("gym_aloha", TASK, episode_len=60)), env.step

    def strict(action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        assert env.q[0] <= GOAL, "an environment that is over was stepped"
        return step(action)

    env.step = strict  # type: ignore[method-assign]
    made = generator.make(5, tmp_path)
    generator.close()
    assert made.success
    assert 10 < made.rows < 60
    with EpisodeReader(made.path) as episode:
        assert episode.rows == made.rows
        assert episode.action[-1, 0] > GOAL


def test_demonstrations_hold_the_actions_that_the_environment_took(
    contract: Contract, env: Reach, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(OPERATORS, TASK, ReachOperator)
    monkeypatch.setattr(GymRobot, "tells_of_things", True)  # it goes on where it is done, as gym-aloha's do
    generator = Generator(DemonstrationConfig("gym_aloha", TASK, episode_len=60))
    env.actions.clear()
    made = generator.make(5, tmp_path)
    generator.close()
    assert made.rows == 60
    with EpisodeReader(made.path) as episode:
        np.testing.assert_allclose(episode.action, np.array(env.actions[:60]), atol=1e-6)
        np.testing.assert_allclose(episode.qpos[1:], env.actions[:59], atol=1e-6)  # it follows at once
        assert episode.image("top", 0).shape == (240, 320, 3)


@pytest.mark.parametrize("task", ["gym_aloha/AlohaTransferCube-v0", "gym_aloha/AlohaInsertion-v0"])
def test_the_operator_does_gym_alohas_tasks(contract: Contract, task: str) -> None:
    pytest.importorskip("gym_aloha")
    world = GymWorld(contract, task, operator=True)
    rewards, fastest = [], np.zeros(14)
    for seed in range(4):
        world.reset(seed)
        before = world.robot.action.copy()
        while not world.robot.success() and world.count < 350:
            world.advance()
            fastest = np.maximum(fastest, np.abs(world.robot.action - before) * contract.rate_hz)
            before = world.robot.action.copy()
        rewards.append(world.robot.max_reward)
    assert sum(reward == 4.0 for reward in rewards) >= 3  # it does 95 of 100
    limit = world.layout.limit("velocity")
    assert limit is not None
    assert (fastest < limit).all()
    world.close()


def test_a_robot_with_more_than_an_environment_tells_is_refused(contract: Contract, env: Reach) -> None:
    driven = contract.model_copy(update={"base": load_contract("mobile_aloha")[0].base})
    with pytest.raises(
        GymError, match=f"has base, which environment '{TASK}' does not tell; allowed: arms and cameras"
    ):
        GymRobot(driven, TASK)
