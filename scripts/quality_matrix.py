"""How many seeded faults of each kind `vgil dataset check` finds, and how many clean episodes it flags: a table.

    PYTHONPATH=.:test:scripts python scripts/quality_matrix.py [--seeds 3] [--first 1000] [--episodes 40] [--faults 4]

Episodes are made up and written to a temporary folder; everything follows from the seeds. The checks' thresholds were
chosen on seeds below 100; figures for the documentation are of others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from support.episodes.corruptions import Score, matrix


def table(scores: dict[str, Score]) -> list[str]:
    """The matrix as Markdown."""
    lines = ["| seeded | found | clean episodes beside them that were flagged |", "| --- | --- | --- |"]
    for name, score in scores.items():
        found = f"{score.found} of {score.seeded}" if score.seeded else ""
        flagged = f"{score.flagged} of {score.clean}" if score.clean else ""
        lines.append(f"| {name} | {found} | {flagged} |")
    whole = Score()
    for score in scores.values():
        whole.add(score)
    share, alarms = whole.found / max(1, whole.seeded), whole.flagged / max(1, whole.clean)
    return [*lines, f"| all | {share:.1%} of {whole.seeded} | {alarms:.2%} of {whole.clean} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--faults", type=int, default=4, help="episodes with a fault, of each kind and set")
    parser.add_argument("--whole", type=int, default=40, help="episodes of a set that is at fault as a whole")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(given.first, given.first + given.seeds)
        scores = matrix(Path(folder), seeds, given.episodes, given.faults, given.whole)
    print("\n".join(table(scores)))


if __name__ == "__main__":
    main()
