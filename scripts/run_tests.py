"""Runner of every test but the benchmarks, for two cores: `scripts/test.sh`, with pytest's options.

A part is a test process. Tests that meet ROS or open a browser run file by file, so that what one leaves behind in the
middleware cannot reach another; the other folders have a process each, since each pays for loading torch. Two lanes run
a part at a time: one those that compute, one those that keep real time, as robots and cameras do, and need a core for
it. Parts that judge times to the millisecond, drive a robot in real time or kill processes run at the end, when nothing
computes any more, so that their bounds mean a machine that works.

A test that keeps real time and failed is tried once more at the very end, alone: a machine that others slow down can
make a robot or a browser late. Those of a robot's page are tried with their whole file, since they are one session at a
browser. What then passes is named as unsteady, with its first failure, and does not fail the run; what only computes
gets one try. A file whose process a signal ended is tried whole too.
On a machine that is slow when the last parts begin, they too go one after the other.

A part's output is printed whole when it ends. At the very end stand the seconds of each part, the name of every test
that failed, and the sums. A process that a signal ended is a failure, whatever it had said before.
"""

from __future__ import annotations

import collections
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = Path("test")
IN_REAL_TIME = (
    "test/cli/test_demo.py",
    "test/evaluation/test_over_ros.py",
    "test/examples/test_examples.py",
    "test/web/test_episodes_page.py",
    "test/web/test_train_page.py",
)  # beside all of test/nodes: over nodes too, or in a browser
LAST = (
    "test/episodes/test_repair.py",
    "test/nodes/bringup/test_bringup.py",
    "test/nodes/environment/test_environment.py",
    "test/nodes/feetech/test_arm.py",
    "test/nodes/jog/test_by_hand.py",
    "test/nodes/page/test_act_page.py",
    "test/nodes/page/test_record_page.py",
    "test/nodes/page/test_teach_page.py",
    "test/nodes/policy/test_contest.py",
    "test/nodes/policy/test_faults.py",
    "test/nodes/policy/test_vectors.py",
    "test/nodes/query/test_commands.py",
    "test/nodes/recorder/test_kills.py",
    "test/nodes/webcam/test_recording.py",
    "test/nodes/webcam/test_webcam.py",
    "test/policies/remote/test_faults.py",
    "test/support/test_stall.py",
)
ONE_SESSION = "test/nodes/page/"  # tests that go on where the one before ended; a browser takes a whole core
WORK_S, SLOW = 0.3, 2.0  # seconds of `slowness`'s work on a machine that works; from how many times that one is slow
# The longest parts of each kind, first: so none of them is left over when the rest is done.
FIRST = ("test/policies", "test/training", "test/cli", "test/evaluation", "test/cli/test_demo.py")
NOT_HERE = "not bench and not fuzz and not robots"  # they have make commands of their own
NOTHING_COLLECTED = 5  # pytest's exit code: `-k` chose none of a part


@dataclass(frozen=True)
class Part:
    """A folder or file of tests, without those of its files that are parts themselves."""

    path: str
    without: tuple[str, ...] = ()
    polite: bool = False  # it only computes: what keeps real time beside it goes first
    only: tuple[str, ...] = ()  # of its tests, by pytest's names


@dataclass
class Result:
    """What a part came to. `counts` has the keys passed, failed, error and skipped."""

    part: Part
    seconds: float
    code: int
    output: str
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)  # that failed, by pytest's names

    @property
    def verdict(self) -> str:
        """Why it counts as failed; "" where it does not."""
        if self.code < 0:
            return f"ended by signal {-self.code} ({signal.Signals(-self.code).name})"
        return "" if self.code in (0, NOTHING_COLLECTED) else f"failed, exit code {self.code}"


def parts() -> tuple[list[Part], list[Part], list[Part]]:
    """Parts that only compute, that keep real time, and that run last: each test file of `test` is in one of them."""
    files = sorted(str(path) for path in TESTS.rglob("test_*.py") if path.parts[1] != "bench")
    ros = [file for file in files if file.startswith("test/nodes/") or file in IN_REAL_TIME]
    single = {*ros, *LAST}
    folders = sorted({str(Path(*Path(file).parts[:2])) for file in files if file not in single})
    if missing := [file for file in (*IN_REAL_TIME, *LAST) if file not in files]:
        raise SystemExit(f"{Path(__file__).name}: there is no {', '.join(missing)}")

    def first(path: str) -> tuple[int, str]:
        return (FIRST.index(path) if path in FIRST else len(FIRST), path)

    plain = [
        Part(folder, tuple(sorted(file for file in single if file.startswith(f"{folder}/"))), polite=True)
        for folder in sorted(folders, key=first)
    ]
    return plain, [Part(file) for file in sorted(set(ros) - set(LAST), key=first)], [Part(file) for file in LAST]


def run(part: Part, options: Sequence[str], notes: Path) -> Result:
    """Run a part in a process of its own, and read its report."""
    slug = part.path.replace("/", "_") + ("_again" if part.only else "")
    report = notes / f"{slug}.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        NOT_HERE,
        "-o",
        "junit_family=xunit1",
    ]
    if part.polite:
        command = ["nice", "-n", "10", *command]
    command += [f"--junitxml={report}", *(f"--ignore={file}" for file in part.without)]
    command += [*(part.only or [part.path]), *options]
    began = time.monotonic()
    with (notes / f"{slug}.txt").open("w+", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "COVERAGE_FILE": str(notes / f".coverage.{slug}")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        result = Result(part, time.monotonic() - began, done.returncode, output.read())
    if report.is_file():
        read_report(report, result)
    return result


def read_report(report: Path, result: Result) -> None:
    """Count a JUnit report's tests, and name those that failed as pytest names them."""
    for case in ET.parse(report).iter("testcase"):
        broken = [(kind, case.find(kind)) for kind in ("failure", "error") if case.find(kind) is not None]
        result.counts["passed"] += not broken and case.find("skipped") is None
        result.counts["skipped"] += not broken and case.find("skipped") is not None
        for kind, why in broken:
            word = {"failure": "failed", "error": "error"}[kind]
            result.counts[word] += 1
            file, name, group = (case.get(key, "") for key in ("file", "name", "classname"))
            inner = group[len(file) - 3 :].strip(".")  # a class, behind the module
            reason = ((why.get("message") if why is not None else "") or "").splitlines() or [""]
            test = "::".join(filter(None, (file, inner, name)))
            result.failures.append(f"{word.upper()} {test} - {reason[0][:150]}")
            result.tests.append(test)


def run_side_by_side(lanes: Sequence[Sequence[list[Part]]], options: Sequence[str], notes: Path) -> list[Result]:
    """Run a part at a time in each lane, and print each as it ends. A lane takes of its first list while that lasts."""
    lock = threading.Lock()
    results: list[Result] = []

    def work(lists: Sequence[list[Part]]) -> None:
        while True:
            with lock:
                waiting = next((parts for parts in lists if parts), None)
                if waiting is None:
                    return
                part = waiting.pop(0)
            result = run(part, options, notes)
            with lock:
                show(result)
                results.append(result)

    workers = [threading.Thread(target=work, args=(lists,)) for lists in lanes]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def once_more(results: list[Result], options: Sequence[str], notes: Path) -> list[str]:
    """Try failed tests that keep real time again, file by file; put right what passes, and return its names.

    A file whose process a signal ended is tried whole: Fast DDS may end one that leaves it on a machine that stands.
    """
    unsteady: list[str] = []
    for result in results:
        if result.part.polite or not result.verdict or (result.code > 0 and not result.tests):
            continue
        path = result.part.path
        whole = result.code < 0 or path.startswith(ONE_SESSION)
        only = (path,) if whole else tuple(dict.fromkeys(result.tests))
        again = run(Part(path, only=only), options, notes)
        show(again)
        if again.code == 0:
            unsteady += result.failures or [f"FAILED {path} - {result.verdict}"]
            result.code = 0
            result.counts = again.counts if whole else result.counts + again.counts
            result.counts["failed"] = result.counts["error"] = 0
    return unsteady


def slowness() -> float:
    """How many times longer this machine takes for a piece of work than one that works does."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(3):
            sum(number * number for number in range(1_000_000))
        took.append(time.perf_counter() - began)
    return statistics.median(took) / WORK_S


def show(result: Result) -> None:
    """Print a part's output, whole."""
    verdict = f"; {result.verdict}" if result.verdict else ""
    print(f"== {result.part.path}, {result.seconds:.0f} s{verdict}\n{result.output}", flush=True)


def summary(results: Sequence[Result], seconds: float) -> bool:
    """Print seconds, failures and sums; return whether all is well."""
    print("== seconds of each part")
    for result in results:
        print(f"{result.seconds:5.0f} s  {result.part.path}  {result.verdict}".rstrip())
    failed = [result for result in results if result.verdict]
    if failed:
        print("== failed tests")
        for result in failed:
            ended = [f"FAILED {result.part.path} - {result.verdict}"] if result.code < 0 or not result.failures else []
            print("\n".join([*result.failures, *ended]))
            result.counts["failed"] += len(ended)
        print("failed:", *(result.part.path for result in failed))
    else:
        print("all passed")
    counts = sum((result.counts for result in results), collections.Counter[str]())
    words = [f"{counts[word]} {word}" for word in ("passed", "failed", "error", "skipped") if counts[word]]
    print(f"{', '.join(words) or 'no tests ran'} in {seconds:.0f} s", flush=True)
    return not failed


def main() -> int:
    """Run everything; 1 where anything failed."""
    os.chdir(ROOT)
    options, began = sys.argv[1:], time.monotonic()
    plain, ros, last = parts()
    with tempfile.TemporaryDirectory(prefix="vgil_tests_") as folder:
        notes = Path(folder)
        results = run_side_by_side([(plain, ros), (ros, plain)], options, notes)
        pages = [part for part in last if part.path.startswith(ONE_SESSION)]
        others = [part for part in last if part not in pages]
        slow = slowness()
        print(f"== the last parts, on a machine that takes {slow:.1f} times as long as it might", flush=True)
        lanes = [(others, pages)] if slow > SLOW else [(pages, others), (others,)]
        results += run_side_by_side(lanes, options, notes)
        unsteady = once_more(results, options, notes)
        if any(option.startswith("--cov") for option in options):
            data = sorted(map(str, notes.glob(".coverage.*")))
            subprocess.run([sys.executable, "-m", "coverage", "combine", "--quiet", *data], cwd=ROOT, check=True)
    if unsteady:
        print("== unsteady: failed, and passed at the second try, alone")
        print("\n".join(unsteady))
    return 0 if summary(results, time.monotonic() - began) else 1


if __name__ == "__main__":
    sys.exit(main())
