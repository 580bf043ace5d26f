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
from vgil_ros.nodes.base.timing import Deadlines, Durations
from vgil_ros.nodes.inference.worker import InferenceWorker


def test_figures_of_a_loop() -> None:
    loop = Deadlines(0.02)
    assert loop.rate_hz == 0.0
    for now in (0.0, 0.02, 0.05, 0.06):
        loop.turn(now)
    assert loop.rate_hz == pytest.approx(50.0)
    assert loop.jitter.percentiles() == (pytest.approx(10.0), pytest.approx(10.0))
    assert Durations().percentiles() is None


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
