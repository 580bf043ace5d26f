"""The policy node's parts without a node: figures, the inference thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from vgil_ros.core.control.requests import InferenceError, InferenceReply, InferenceRequest, InferenceResult
from vgil_ros.core.errors import VgilError
from vgil_ros.core.sync import Sample
from vgil_ros.nodes.base.status import deprecated_values, plain
from vgil_ros.nodes.base.timing import Deadlines, Durations, Histogram
from vgil_ros.nodes.inference.worker import InferenceWorker


def test_figures_of_a_loop() -> None:
    loop = Deadlines(0.02)
    assert loop.rate_hz == 0.0
    for now in (0.0, 0.02, 0.05, 0.06):
        loop.turn(now)
    assert loop.rate_hz == pytest.approx(50.0)
    assert loop.jitter.percentiles() == (pytest.approx(10.0), pytest.approx(10.0))
    assert Durations().percentiles() is None


def test_a_histogram_counts_by_edges_and_leaves_empty_bins_out() -> None:
    histogram = Histogram()
    assert histogram.text() == ""
    for seconds in (0.0101, 0.0139, 0.014, 0.0, 99.0):
        histogram.add(seconds)
    assert histogram.text() == "0:1 10:2 14:1 5000:1"


def test_the_keys_of_the_release_before_are_made_of_todays() -> None:
    values = {
        "episodes_done": "3", "episodes_wanted": "0", "dry_run": "false", "rate_hz": "50.1", "late_chunks": "2",
        "latency_p50_ms": "12.5", "latency_p99_ms": "20", "safety_events": "5", "safety_events_velocity": "4",
        "safety_events_stale": "1", "last_safety_event": "stale: cam_a", "rate_hz_cam_a": "30",
        "skew_p50_ms_left/puppet": "1.2", "skew_p99_ms_left/puppet": "3", "rows_dropped": "1", "disk_free_gb": "7.5",
    }  # fmt: skip
    assert deprecated_values(values) == {
        "episodes done": "3", "episodes wanted": "until told", "dry run": "False", "rate [Hz]": "50.1",
        "late chunks": "2", "latency [ms]": "p50 12.5, p99 20", "tick [ms]": "none yet", "jitter [ms]": "none yet",
        "interventions": "stale 1, velocity 4", "last intervention": "stale: cam_a", "rate cam_a [Hz]": "30",
        "skew left/puppet [ms]": "p50 1.2, p99 3", "rows dropped": "1", "disk free [GB]": "7.5",
    }  # fmt: skip
    assert deprecated_values({"robot": "small", "state": "idle"}) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (3, "3"), (50.0, "50"), (0.0, "0"), (49.98765, "49.988"), (1234567.0, "1234567"), ("a b", "a b")],
)
def test_values_are_plain(value: object, text: str) -> None:
    assert plain(value) == text


class Network:
    """Answers when told to."""

    def __init__(self) -> None:
        self.resets = 0
        self.go = threading.Semaphore(0)
        self.fail = False

    def infer(self, request: InferenceRequest) -> np.ndarray:
        self.go.acquire()
        if self.fail:
            raise RuntimeError("no more")
        if request.tick < 0:
            raise VgilError("cam_a: does not decode")
        return np.full((2, 1), request.tick)

    def reset(self) -> None:
        self.resets += 1


def make_request(serial: int, tick: int) -> InferenceRequest:
    return InferenceRequest(serial, tick, Sample(tick, 0, (), np.zeros(0, np.int64), np.zeros(0, np.uint8)))


def soon(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def collect(worker: InferenceWorker) -> list[InferenceReply]:
    answers: list[InferenceReply] = []
    soon(lambda: answers.extend(worker.poll()) or answers)  # type: ignore[func-returns-value]
    return answers


def test_one_request_at_a_time_and_its_serial_comes_back() -> None:
    network = Network()
    worker = InferenceWorker(network.infer, network.reset)
    worker.new_episode()
    worker.submit(make_request(7, 70))
    assert worker.busy
    with pytest.raises(RuntimeError, match="still open"):
        worker.submit(make_request(8, 80))
    network.go.release()
    (answer,) = collect(worker)
    assert isinstance(answer, InferenceResult)
    assert (answer.serial, answer.chunk.tolist()) == (7, [[70], [70]])
    assert not worker.busy
    assert network.resets == 1
    worker.close()


def test_the_policy_is_reset_between_the_requests_of_two_episodes() -> None:
    network = Network()
    worker = InferenceWorker(network.infer, network.reset)
    worker.new_episode()
    worker.submit(make_request(1, 50))
    soon(lambda: network.resets == 1)
    worker.new_episode()
    assert worker.busy, "the old request is still open"
    network.go.release()
    assert [answer.serial for answer in collect(worker)] == [1]
    soon(lambda: network.resets == 2)
    worker.submit(make_request(2, 0))
    network.go.release()
    assert [answer.serial for answer in collect(worker)] == [2]
    worker.close()


def test_a_thread_that_dies_says_why_and_the_next_episode_has_a_new_one(capfd: pytest.CaptureFixture[str]) -> None:
    network = Network()
    worker = InferenceWorker(network.infer, network.reset)
    worker.new_episode()
    network.fail = True
    worker.submit(make_request(3, 1))
    network.go.release()
    soon(lambda: worker.failure)
    assert worker.failure == "RuntimeError: no more"
    assert worker.busy, "nothing more is to be asked of it"
    soon(lambda: "no more" in capfd.readouterr().err)
    network.fail = False
    worker.new_episode()
    assert worker.failure is None
    worker.submit(make_request(4, 5))
    network.go.release()
    assert [answer.serial for answer in collect(worker)] == [4]
    worker.close()


def test_an_observation_that_cannot_be_used_is_named() -> None:
    network = Network()
    worker = InferenceWorker(network.infer, network.reset)
    worker.new_episode()
    for serial in (1, 2):
        worker.submit(make_request(serial, -1))
        network.go.release()
        assert collect(worker) == [InferenceError(serial, "cam_a: does not decode")]
    assert worker.failure is None
    worker.submit(make_request(3, 7))
    network.go.release()
    assert [answer.serial for answer in collect(worker)] == [3]
    worker.close()
