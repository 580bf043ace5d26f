"""Our inference runtime beside `torch.compile`, OpenVINO and ONNX Runtime: same weights, inputs and threads, one run.

`python test/bench/bench_backends.py --cases act,sim_pick_place_act --threads 1` prints a table in Markdown for each
case; with `--json FILE` it keeps the figures. The libraries are no part of this project (pip install openvino
onnxruntime onnx onnxscript); what is missing is reported. `torch.compile` needs g++. Backends take turns in an order
that changes from round to round, so that a busy machine disturbs all alike. The first answer is timed in a process of
its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.benchmarks.inference_backends import BACKENDS, Predict
from torchvision.ops.misc import FrozenBatchNorm2d

from vgil_ros.assets import share_dir
from vgil_ros.policies.base import Policy
from vgil_ros.policies.normalizer import Normalizer
from vgil_ros.policies.registry import policy_class

CAMERAS = ("cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist")
TOLERANCE = 1e-4  # robot units
CALLS = 3  # of a backend in its turn; the first one, in caches that another has left, does not count
PACKAGES = ("torch", "openvino", "onnxruntime")


@dataclass(frozen=True)
class Case:
    """A policy as a configuration file has it, and what it sees.

    Attributes:
        config: file in config/policies. cameras: how many, of `size` (height, width) px. dim: of state and action.
        rounds: turns of each backend.
    """

    config: str
    cameras: int
    size: tuple[int, int]
    dim: int
    rounds: int


CASES = {
    "act": Case("act", 4, (480, 640), 14, 12),
    "flow_act": Case("flow_act", 4, (480, 640), 14, 10),
    "flow_matching": Case("flow_matching", 4, (480, 640), 14, 10),
    "diffusion": Case("diffusion", 4, (480, 640), 14, 10),
    "sim_pick_place_act": Case("sim_pick_place_act", 2, (240, 320), 7, 60),
    "sim_pick_place_act_1": Case("sim_pick_place_act", 1, (240, 320), 7, 60),
    "sim_pick_place_flow_act": Case("sim_pick_place_flow_act", 2, (240, 320), 7, 60),
    "sim_pick_place_flow_matching": Case("sim_pick_place_flow_matching", 2, (240, 320), 7, 60),
    "sim_pick_place_diffusion": Case("sim_pick_place_diffusion", 2, (240, 320), 7, 60),
}


@dataclass
class Result:
    """What came out for one backend; None where there is no figure.

    Attributes:
        note: why there is none.
        difference: from eager, at most, in robot units.
        p50, p99: ms of a call by the clock.
        cpu: ms of CPU time, the least of all calls, which a busy machine changes least.
        first: s from a policy in memory to the first answer, in a fresh process; again: the same once more, from what
            the first time left on disk.
    """

    name: str
    note: str = ""
    difference: float | None = None
    p50: float | None = None
    p99: float | None = None
    cpu: float | None = None
    first: float | None = None
    again: float | None = None


def make_policy(case: Case) -> Policy:
    """The configuration's policy with random weights, norms and statistics."""
    settings = yaml.safe_load((share_dir() / "config" / "policies" / f"{case.config}.yaml").read_text())["policy"]
    cameras = [{"name": name, "height": case.size[0], "width": case.size[1]} for name in CAMERAS[: case.cameras]]
    kind = policy_class(settings["type"])
    derived = {"state_dim": case.dim, "action_dim": case.dim, "cameras": cameras, "rate_hz": 50.0}
    torch.manual_seed(0)
    policy = kind(kind.config_class.model_validate(settings | derived))
    for part in policy.modules():
        if isinstance(part, FrozenBatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.8, 1.2)
    rows = np.random.default_rng(0).normal(size=(50, case.dim))
    policy.set_normalizer(Normalizer.fit(policy.config.normalization, rows, rows, case.cameras))
    return policy


def make_observation(policy: Policy) -> dict[str, Any]:
    """Random, with all of its past, and with noise where the policy begins at noise."""
    random, config = np.random.default_rng(1), policy.config
    observation = policy.example_observation()
    observation["qpos"] = random.normal(size=config.state_dim).astype(np.float32)
    if hasattr(policy, "noise"):
        length = getattr(config, "horizon", config.chunk_size)
        width = getattr(config, "padded_dim", config.action_dim)
        observation["noise"] = random.normal(size=(length, width)).astype(np.float32)
    return observation


def first_answer(case: str, name: str, folder: Path) -> float:
    """Seconds from a policy in memory to a backend's first answer, its library's import included."""
    backend = next(one for one in BACKENDS if one.name == name)
    policy = make_policy(CASES[case])
    observation = make_observation(policy)
    begun = time.perf_counter()
    backend.make(policy, observation, folder)(observation)
    return time.perf_counter() - begun


def _first_in_fresh_process(case: str, name: str, folder: Path) -> float:
    """`first_answer` in a process of its own, so that nothing is warm and a crash is a result."""
    plain = [sys.executable, __file__, "--threads", str(torch.get_num_threads()), "--first", case, name, str(folder)]
    done = subprocess.run(plain, capture_output=True, text=True)
    if done.returncode < 0:
        raise RuntimeError(f"ended by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1][:200])
    return float(done.stdout.split()[-1])


def measure(case: str, names: list[str], rounds: int | None = None) -> list[Result]:
    """All backends on one policy."""
    policy = make_policy(CASES[case])
    observation = make_observation(policy)
    results, running = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for number, backend in enumerate(one for one in BACKENDS if one.name in names):
            results.append(result := Result(backend.name))
            if backend.missing:
                result.note = f"not installed: {', '.join(backend.missing)}"
                continue
            (own := Path(folder) / str(number)).mkdir()
            try:
                result.first = _first_in_fresh_process(case, backend.name, own)
                begun = time.perf_counter()
                predict = backend.make(policy, observation, own)
                predict(observation)
                result.again, running[backend.name] = time.perf_counter() - begun, predict
            except Exception as error:  # exporters fail in many ways, and that is a result too
                result.note = f"failed: {str(error)[:200]}"
        _time(results, running, observation, rounds or CASES[case].rounds)
    return results


def _time(results: list[Result], running: Mapping[str, Predict], observation: Mapping[str, Any], rounds: int) -> None:
    """Fill in what the backends that run take and how they differ."""
    shuffle, wanted = np.random.default_rng(2), running["eager"](observation)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
    for _ in range(rounds):
        for name in shuffle.permutation(list(running)):
            for call in range(CALLS):
                begun, spent = time.perf_counter(), time.process_time()
                running[name](observation)
                if call:
                    times[name].append((time.perf_counter() - begun, time.process_time() - spent))
    for result in (one for one in results if one.name in running):
        wall, cpu = np.array(times[result.name]).T * 1e3
        result.p50, result.p99 = np.percentile(wall, (50, 99)).tolist()
        result.cpu = float(cpu.min())
        result.difference = float(np.abs(running[result.name](observation) - wanted).max())


def table(name: str, results: list[Result]) -> str:
    """The figures as Markdown."""
    case = CASES[name]
    lines = [
        f"`{name}`: config/policies/{case.config}.yaml, {case.cameras} cameras {case.size[0]}x{case.size[1]}",
        "",
        "| backend | p50 ms | p99 ms | eager / it | it / ours | CPU ms | it / ours | first s | again s | differs by |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours = next((one for one in results if one.name == "ours"), Result("ours"))
    eager = next((one for one in results if one.name == "eager"), Result("eager"))
    for one in results:
        if one.p50 is None:
            lines.append(f"| {one.name} | {one.note} | | | | | | | | |")
            continue
        clock = [f"{one.p50:.1f}", f"{one.p99:.1f}", _ratio(eager.p50, one.p50), _ratio(one.p50, ours.p50)]
        seconds = [f"{value:.1f}" if value is not None else "" for value in (one.first, one.again)]
        assert one.difference is not None
        differs = f"{one.difference:.0e}" + ("" if one.difference < TOLERANCE else " (too much)")
        cells = [one.name, *clock, f"{one.cpu:.1f}", _ratio(one.cpu, ours.cpu), *seconds, differs]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.2f}" if above is not None and below is not None else ""


def machine() -> str:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    found = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return f"{model}, {os.cpu_count()} cores, torch's threads: {torch.get_num_threads()}; load average {load}; {found}"


def _version(package: str) -> str:
    try:
        return version(package).split("-")[0]
    except PackageNotFoundError:
        return "not installed"


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_bench_backends() -> None:
    results = measure("sim_pick_place_act", [one.name for one in BACKENDS])
    print(machine(), table("sim_pick_place_act", results), sep="\n\n")
    assert all(one.difference < TOLERANCE for one in results if one.difference is not None)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [one.name for one in BACKENDS]
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--backends", default=";".join(names), help=f"with ; between them, of {'; '.join(names)}")
    parser.add_argument("--threads", type=int, help="of every backend; torch's own choice where left out")
    parser.add_argument("--rounds", type=int, help="in place of the case's own number")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--first", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.first:
        case, name, folder = options.first
        print(first_answer(case, name, Path(folder)))
        return
    print(machine(), flush=True)
    found = {}
    for case in options.cases.split(","):
        results = measure(case, options.backends.split(";"), options.rounds)
        found[case] = [asdict(one) for one in results]
        print("", table(case, results), f"\nload average now {os.getloadavg()[0]:.1f}", sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
