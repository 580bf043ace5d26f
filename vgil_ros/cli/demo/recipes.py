"""How each shipped policy came about: robot, task, demonstrations, training, and what it is measured on."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SHOWN = 100_000  # the demonstrations are of the scenes from here on
SWAPPED_IMAGES = 10  # rollouts with another scene's images


@dataclass(frozen=True)
class Recipe:
    """One way from nothing to a measured policy.

    Attributes:
        robot: a name in config/robots. task: one of the simulated robot's, or a Gymnasium environment.
        config: the training, a YAML file or a name in config/policies. settings: KEY=VALUE on top of it.
        episodes: demonstrations by the scripted operator. episode_len: ticks of each; None: the task's own.
        rollouts: unseen scenes it is measured on. over_ros: of them through the real nodes.
    """

    robot: str
    task: str
    config: str
    episodes: int = 300
    episode_len: int | None = None
    settings: tuple[str, ...] = ()
    rollouts: int = 100
    over_ros: int = 20

    @property
    def words(self) -> str:
        """What it is trained from."""
        what = f"{self.episodes} generated demonstrations of {self.task} on {self.robot}"
        return f"{what}, scenes from seed {FIRST_SHOWN} on"


DEFAULT = "sim_pick_place_act"
RECIPES: dict[str, Recipe] = {
    DEFAULT: Recipe("sim_single", "pick_place", DEFAULT),
    "sim_transfer_cube_act": Recipe("sim_aloha", "transfer_cube", "sim_transfer_cube_act"),
    "sim_pick_place_flow_matching": Recipe("sim_single", "pick_place", "sim_pick_place_flow_matching"),
    "sim_pick_place_any_flow_matching": Recipe(
        "sim_single", "pick_place_any", "sim_pick_place_any_flow_matching", episodes=400, over_ros=0
    ),
    # of gym-aloha, whose images take long to draw
    "gym_aloha_transfer_act": Recipe(
        "gym_aloha", "gym_aloha/AlohaTransferCube-v0", "gym_aloha_act", 50, 350, rollouts=50, over_ros=0
    ),
    "gym_aloha_insertion_act": Recipe(
        "gym_aloha", "gym_aloha/AlohaInsertion-v0", "gym_aloha_act", 50, 350, rollouts=50, over_ros=0
    ),
}
