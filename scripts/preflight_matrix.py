"""How many seeded faults of each kind `vgil preflight` finds and names rightly, and how many healthy starts it refuses.

    PYTHONPATH=.:test:scripts python scripts/preflight_matrix.py [--starts 10] [--healthy 100] [--first 20000]

`sim_single` stands with the shipped checkpoint and its reference, `sim_aloha` with a reference of episodes that are
generated for it (kept in --episodes from run to run); recorded actions stand in for a policy there. Everything follows
from the seeds; thresholds were chosen on seeds from 30000 on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from support.evaluation.preflight_faults import (
    FAULTS,
    Score,
    Stand,
    healthy,
    recorded_stand,
    seeded,
    shipped_stand,
    stand_in,
)

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig
from vgil_ros.robots.sim.generate import generate
from vgil_ros.training.data.reference import make_reference
from vgil_ros.training.data.scan import scan_folder

KNOWN, OTHERS = 24, 3  # episodes of the reference, and those whose actions stand in for answers
SEED = 700_000


def aloha_stand(folder: Path, workers: int) -> Stand:
    """sim_aloha with a reference of generated episodes."""
    config = DemonstrationConfig("sim_aloha", "transfer_cube")
    for name, count, first in (("known", KNOWN, SEED), ("others", OTHERS, SEED + 500)):
        if len(list((folder / name).glob("*.hdf5"))) < count:
            made = generate(config, folder / name, episodes=count, seed=first, workers=workers, only_successes=True)
            for number, _ in enumerate(made, 1):
                print(f"generating {name}: {number} of {count}", flush=True)
    layout = Layout(load_contract("sim_aloha")[0])
    reference = make_reference(scan_folder(folder / "known"), stand_in(layout, ""))
    return recorded_stand("sim_aloha", "transfer_cube", reference, folder / "others")


def rows(stands: dict[str, Stand], given: argparse.Namespace) -> Iterator[tuple[str, list[Score]]]:
    """(what, scores by stand), the healthy ones first."""
    seeds = range(given.first, given.first + given.healthy)
    yield "healthy", [healthy(stand, seeds, day=False) for stand in stands.values()]
    yield "healthy, on another day", [healthy(stand, seeds, day=True) for stand in stands.values()]
    for number, kind in enumerate(FAULTS):
        first = given.first + 1000 * (number + 1)
        yield kind, [seeded(stand, kind, range(first, first + given.starts)) for stand in stands.values()]


def line(what: str, scores: list[Score]) -> str:
    """A row of the table in Markdown."""
    if what.startswith("healthy"):
        cells = [f"{score.found} of {score.seeded} refused" for score in scores]
    else:
        cells = [f"{score.found}, {score.named} of {score.seeded}" for score in scores]
    return f"| {what} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=10, help="of each kind of fault and robot")
    parser.add_argument("--healthy", type=int, default=100, help="of each robot")
    parser.add_argument("--first", type=int, default=20_000, help="seed of the first")
    parser.add_argument("--episodes", type=Path, default=Path("out/preflight_matrix"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("sim_single", "sim_aloha"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    stands = {}
    if given.only != "sim_aloha":
        stands["sim_single"] = shipped_stand()
    if given.only != "sim_single":
        stands["sim_aloha"] = aloha_stand(given.episodes, given.workers)
    print(f"| seeded | {' | '.join(f'{name}: found, rightly named' for name in stands)} |")
    print(f"| --- |{' --- |' * len(stands)}")
    totals, wrong = [Score() for _ in stands], []
    for what, scores in rows(stands, given):
        print(line(what, scores), flush=True)
        wrong += [f"{what}: {words}" for score in scores for words in score.wrong]
        if not what.startswith("healthy"):
            for total, score in zip(totals, scores, strict=True):
                total.add(score)
    print(line("all", totals))
    print("\n".join(["", "what was not as it should be:", *wrong]))


if __name__ == "__main__":
    main()
