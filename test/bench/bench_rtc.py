"""Real-time chunking against plain chunk switching and fading: jumps between commands with late inference.

PYTHONPATH=test python test/bench/bench_rtc.py [--latency 200 | --latency-trace FILE] [--seeds 3] [--train STEPS]
    [--image PNG] [--json FILE]

Rollouts of a made-up task that goes either of two ways (test/evaluation/two_ways.py) on the simulated robot at
50 Hz, asked about whenever no inference is under way; inference takes simulated time. The networks are the exact ones
of the task's distribution, or with --train small ones trained for so many steps. All modes get the same seeds. With a
trace of latencies an answer is given up after 400 ms, the watchdog waits for 700 ms, and `consistent` is played too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.evaluation.two_ways import (
    PLAIN,
    RTC,
    WAIST,
    FixedResults,
    PerfectDiffusion,
    PerfectFlow,
    RolloutResult,
    diffusion,
    flow_matching,
    play,
    train,
)

from vgil_ros.evaluation.latency import LatencyTrace, read_latency_trace

MODES: tuple[str, ...] = (PLAIN, "async", RTC)
ANSWER_S, WATCHDOG_MS = 0.4, 700.0  # with a trace, as in bench_latency.py


def figures(results: list[RolloutResult]) -> dict[str, float]:
    """The largest over all rollouts, rad."""
    return {
        "largest_step": round(max(one.step for one in results), 4),
        "largest_bend_sent": round(max(one.second_difference for one in results), 4),
        "late_chunks": sum(one.rollout.late for one in results),
        "lost_answers": sum(one.rollout.lost for one in results),
        "watchdog_ticks": sum(one.rollout.safety_events.get("watchdog", 0) for one in results),
        "velocity_limited_ticks": sum(one.rollout.safety_events.get("velocity", 0) for one in results),
    }


def draw(path: Path, rows: dict[str, dict[str, list[RolloutResult]]], latency_ms: float) -> None:
    """The waist's commands over time, a column for each mode, a row for each kind of policy."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = {PLAIN: "plain switching", "async": "async (fade over 5 ticks)", RTC: "rtc"}
    figure = Figure(figsize=(10, 2.4 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.asarray(figure.subplots(len(rows), len(MODES), sharex=True, sharey=True)).reshape(len(rows), -1)
    for line, (name, modes) in zip(axes, rows.items(), strict=True):
        for ax, mode in zip(line, MODES, strict=True):
            for one in modes[mode]:
                ax.plot(np.arange(len(one.asked)) / 50, one.asked[:, WAIST], lw=1.2, label=f"seed {one.rollout.seed}")
            ax.set_title(f"{name}, {titles[mode]}", fontsize=9)
            ax.grid(alpha=0.3)
        line[0].set_ylabel("waist command [rad]")
    for ax in axes[-1]:
        ax.set_xlabel(f"time [s], inference {latency_ms:.0f} ms")
    axes[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Run, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=200.0, help="ms of simulated time")
    parser.add_argument("--latency-trace", type=Path, help="a file of recorded latencies in its place")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=0, help="steps; 0: the exact networks")
    parser.add_argument("--image", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.train:
        policies = {"flow": train(flow_matching(), given.train), "diffusion": train(diffusion(), given.train)}
    else:
        policies = {"flow": PerfectFlow(), "diffusion": PerfectDiffusion()}
    rows: dict[str, dict[str, list[RolloutResult]]] = {}
    modes, latency, watchdog_ms = MODES, LatencyTrace.constant(given.latency / 1e3), 200.0
    if given.latency_trace:
        modes, watchdog_ms = (*MODES, "consistent"), WATCHDOG_MS
        latency = read_latency_trace(given.latency_trace, ANSWER_S)
    report: dict[str, Any] = {
        "latency_ms": given.latency,
        "latency_trace": latency.name,
        "seeds": given.seeds,
        "trained_steps": given.train,
    }
    for name, policy in policies.items():
        rows[name] = {
            mode: play(FixedResults(policy), mode, range(given.seeds), latency, watchdog_ms=watchdog_ms)
            for mode in modes
        }
        report[name] = {mode: figures(results) for mode, results in rows[name].items()}
        for mode, found in report[name].items():
            print(f"{name:10} {mode:10} " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
        ratio = report[name][RTC]["largest_step"] / report[name][PLAIN]["largest_step"]
        print(f"{name:10} largest step, rtc over plain switching: {ratio:.3f}", flush=True)
    if given.image:
        draw(given.image, rows, given.latency)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
