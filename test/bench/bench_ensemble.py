"""Temporal ensembling and safety: cost of a control tick, beside the original ACT's way of ensembling.

python test/bench/bench_ensemble.py [--json FILE]

The original keeps a table (T, T + H, D) in torch, fills one row a tick and takes from the tick's column the rows where
all(actions != 0). Both sides get the same chunks, in the same process, and must agree on every action. Times are the
thread's CPU time: what a tick costs, without what other processes take away.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vgil_ros.core.execution import TemporalEnsemble
from vgil_ros.core.safety import Command, JointLimits, SafetyContext, SafetyPipeline, standard_limits

TICKS, HORIZON, DIM, PERIOD = 400, 100, 14, 0.02
ROUNDS = 5
MS = 1_000_000


def timed(step: Callable[[int], Any], ticks: int) -> tuple[list[Any], np.ndarray]:
    """What each tick returned, and what it took (ticks,) in us of CPU time."""
    results, spent = [], np.empty(ticks)
    for tick in range(ticks):
        start = time.thread_time()
        results.append(step(tick))
        spent[tick] = (time.thread_time() - start) * 1e6
    return results, spent


def figures(spent: np.ndarray) -> dict[str, float]:
    return {"p50_us": round(float(np.median(spent)), 2), "p99_us": round(float(np.percentile(spent, 99)), 2)}


def ours(chunks: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Actions, us a tick, and the bytes held at the end."""
    ensemble = TemporalEnsemble(HORIZON, DIM)

    def step(tick: int) -> np.ndarray | None:
        ensemble.add_chunk(tick, chunks[tick])
        return ensemble.action(tick)

    actions, spent = timed(step, TICKS)
    arrays = [item for value in vars(ensemble).values() for item in (value if isinstance(value, list) else [value])]
    return actions, spent, sum(item.nbytes for item in arrays if isinstance(item, np.ndarray))


def originals(chunks: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, int]:
    """The same by the original's table."""
    torch = pytest.importorskip("torch")
    predictions = torch.from_numpy(chunks)
    table = torch.zeros(TICKS, TICKS + HORIZON, DIM)

    def step(tick: int) -> np.ndarray:
        table[[tick], tick : tick + HORIZON] = predictions[tick : tick + 1]
        column = table[:, tick]
        column = column[torch.all(column != 0, dim=1)]
        weights = np.exp(-0.01 * np.arange(len(column)))
        shares = torch.from_numpy(weights / weights.sum()).unsqueeze(dim=1)
        return (column * shares).sum(dim=0).numpy()

    actions, spent = timed(step, TICKS)
    return actions, spent, table.nbytes


def out_of_order(chunks: np.ndarray) -> np.ndarray:
    """us a tick where pairs of predictions arrive the wrong way round."""
    ensemble = TemporalEnsemble(HORIZON, DIM)

    def step(tick: int) -> None:
        ensemble.add_chunk(tick ^ 1, chunks[tick ^ 1])
        ensemble.action(tick)

    return timed(step, TICKS)[1]


def coming(chunks: np.ndarray) -> np.ndarray:
    """us for the whole of the coming actions, as /policy/action_chunk needs them."""
    ensemble = TemporalEnsemble(HORIZON, DIM)
    for tick in range(HORIZON):
        ensemble.add_chunk(tick, chunks[tick])
    return timed(lambda _: ensemble.coming(HORIZON), TICKS)[1]


def safety(commands: np.ndarray) -> np.ndarray:
    """us for one step of every limit over commands (T, 16): 14 joints with acceleration, a base, 9 streams."""
    joints = JointLimits.of(-np.ones(DIM), np.ones(DIM), np.full(DIM, 3.0), np.full(DIM, 30.0))
    ages: dict[str, int | None] = {f"stream_{number}": 5 * MS for number in range(9)}
    limits = standard_limits(joints, dict.fromkeys(ages, 100 * MS), base=(0.5, 1.0))
    pipeline = SafetyPipeline(joints, limits, has_base=True)
    here = np.zeros(DIM)

    def step(tick: int) -> None:
        now = tick * 20 * MS
        context = SafetyContext(tick, now, PERIOD, here, ages, now)
        pipeline.step(Command(commands[tick, :DIM], commands[tick, DIM:]), context)

    return timed(step, len(commands))[1]


def measure() -> dict[str, Any]:
    """All figures, over all ticks of several rounds."""
    values = np.random.default_rng(0)
    chunks = values.normal(size=(TICKS, HORIZON, DIM)).astype(np.float32)
    smooth = 0.2 * np.sin(np.arange(TICKS)[:, None] * PERIOD) * np.ones(DIM + 2)
    wild = values.normal(size=(TICKS, DIM + 2))
    mine, theirs = [ours(chunks) for _ in range(ROUNDS)], [originals(chunks) for _ in range(ROUNDS)]
    np.testing.assert_allclose(mine[0][0], theirs[0][0], rtol=0, atol=1e-5)

    def pooled(rounds: list[np.ndarray]) -> dict[str, float]:
        return figures(np.concatenate(rounds))

    report: dict[str, Any] = {
        "sizes": {"ticks": TICKS, "chunk": HORIZON, "dim": DIM},
        "ensemble": {**pooled([spent for _, spent, _ in mine]), "bytes": mine[0][2]},
        "original": {**pooled([spent for _, spent, _ in theirs]), "bytes": theirs[0][2]},
        "ensemble_out_of_order": pooled([out_of_order(chunks) for _ in range(ROUNDS)]),
        "coming": pooled([coming(chunks) for _ in range(ROUNDS)]),
        "safety_passing": pooled([safety(smooth) for _ in range(ROUNDS)]),
        "safety_intervening": pooled([safety(wild) for _ in range(ROUNDS)]),
    }
    report["original_over_ensemble_p50"] = round(report["original"]["p50_us"] / report["ensemble"]["p50_us"], 2)
    return report


def show(report: dict[str, Any]) -> None:
    print(f"\nchunk {HORIZON}, D {DIM}, T {TICKS}; us of CPU a tick")
    for name, found in report.items():
        if isinstance(found, dict) and "p50_us" in found:
            held = f"  {found['bytes'] / 1e6:6.2f} MB" if "bytes" in found else ""
            print(f"  {name:24} p50 {found['p50_us']:8.1f}  p99 {found['p99_us']:8.1f}{held}")
    print(f"  original / ensemble, p50: {report['original_over_ensemble_p50']} x")


@pytest.mark.bench
def test_bench_ensemble(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways agree on every action (held in `measure`); the figures are printed."""
    report = measure()
    with capsys.disabled():
        show(report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    report = measure()
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
