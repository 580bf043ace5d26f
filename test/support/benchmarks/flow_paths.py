"""Draw docs/images/flow_paths.png: how a teacher and its one-step student walk from noise to the toy's two modes.

PYTHONPATH=test python -m support.benchmarks.flow_paths OUT.png
"""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
import torch

from support.policies.flow_toy import DIM, PADDED, toy_policy, train_toy
from vgil_ros.policies.diagnostics.straightness import straightness
from vgil_ros.policies.flow_matching import FlowMatchingPolicy
from vgil_ros.policies.flow_matching.flow import integrate, time_grid
from vgil_ros.training.distillation import Reflow, make_student

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHOWN, TEACHER_STEPS, STUDENT_STEPS = 60, 400, 200


@torch.no_grad()
def walk(policy: FlowMatchingPolicy, noise: torch.Tensor, steps: int) -> np.ndarray:
    """(steps + 1, N, 2): the two joints at each time, from noise on."""
    field = policy.velocity(policy.encode({"qpos": torch.zeros(len(noise), 1), "images": {}}))
    seen: list[torch.Tensor] = []

    def noted(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return field(x, t)

    end = integrate(noted, noise, steps)
    return torch.stack([*seen, end])[:, :, 0, :DIM].numpy()


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher = toy_policy()
    train_toy(teacher, TEACHER_STEPS)
    student = make_student(teacher, teacher.config.model_copy(update={"steps": 1}))
    train_toy(student, STUDENT_STEPS, Reflow(teacher, 1))
    noise = torch.randn(SHOWN, 1, PADDED, generator=torch.Generator().manual_seed(4))
    observation = [{"qpos": torch.zeros(256, 1), "images": {}}]
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), sharey=True)
    for axis, policy, steps, title in (
        (axes[0], teacher, 10, "teacher, 10 steps"),
        (axes[1], teacher, 1, "teacher, 1 step"),
        (axes[2], student, 1, "its student, 1 step"),
    ):
        path, times = walk(policy, noise, steps), time_grid(steps)
        for one in range(SHOWN):
            axis.plot(times, path[:, one, 0], color="tab:blue", linewidth=0.7, alpha=0.55)
        axis.plot(np.ones(SHOWN), path[0, :, 0], "o", color="tab:gray", markersize=2.5)
        axis.plot(np.zeros(SHOWN), path[-1, :, 0], "o", color="tab:orange", markersize=3)
        axis.set(title=f"{title}; bend {straightness(policy, observation):.3f}", xlabel="t", xlim=(1.03, -0.03))
        axis.set_yticks([-2, -1, 0, 1, 2])
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("joint 1")
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=90)


if __name__ == "__main__":
    main()
