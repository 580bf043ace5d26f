"""Ways to run one policy on a CPU: plain, `InferenceRuntime`, `torch.compile`, OpenVINO and ONNX Runtime.

All take the same policy object, so the same weights, and answer a NumPy observation with a NumPy chunk, in float32 and
with the same number of threads.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from support.benchmarks.inference_networks import Network, make_network
from vgil_ros.policies.base import Policy
from vgil_ros.policies.inference.runtime import InferenceRuntime
from vgil_ros.policies.inference.winograd import TunedConv
from vgil_ros.policies.preparation import batched

Predict = Callable[[Mapping[str, Any]], np.ndarray]
Part = Callable[..., tuple[Tensor, ...]]
Build = Callable[[str, nn.Module, tuple[Tensor, ...], Path], Part]


@dataclass(frozen=True)
class Backend:
    """One way to run a policy.

    Attributes:
        make: policy, an observation, and a folder, where it keeps what it exports and takes it from if it is there ->
            a function that predicts.
        needs: modules to be installed; tools: programs to be found.
    """

    name: str
    make: Callable[[Policy, Mapping[str, Any], Path], Predict]
    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """What it needs and this machine does not have."""
        modules = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return modules + [name for name in self.tools if shutil.which(name) is None]


def plain(policy: Policy, _observation: Mapping[str, Any], _folder: Path) -> Predict:
    """The policy itself."""
    policy.eval()

    def predict(observation: Mapping[str, Any]) -> np.ndarray:
        with torch.inference_mode():
            return policy.predict_chunk(batched(observation))[0].numpy()

    return predict


def runtime(policy: Policy, observation: Mapping[str, Any], _folder: Path) -> Predict:
    """Our runtime, warmed up."""
    made = InferenceRuntime(policy)
    made.warm_up(observation)
    return made


def runtime_direct(policy: Policy, observation: Mapping[str, Any], folder: Path) -> Predict:
    """The same, where every convolution stays direct: the difference is Winograd's own share."""
    with mock.patch.object(TunedConv, "tune", return_value=None):
        return runtime(policy, observation, folder)


def compiled(mode: str, *, freezing: bool) -> Callable[[Policy, Mapping[str, Any], Path], Predict]:
    """`torch.compile` with inductor; `freezing` folds and packs the weights, which it does not do by itself."""

    def build(_name: str, part: nn.Module, inputs: tuple[Tensor, ...], _folder: Path) -> Part:
        from torch._inductor import config

        made = torch.compile(part, dynamic=False, mode=mode)
        with config.patch(freezing=freezing):  # compiled by its first call
            made(*inputs)
        return made

    def make(policy: Policy, observation: Mapping[str, Any], folder: Path) -> Predict:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        torch.compiler.reset()  # keeps nothing but what is on disk
        return _in_parts(policy, observation, folder, build)

    return make


def openvino(policy: Policy, observation: Mapping[str, Any], folder: Path) -> Predict:
    """OpenVINO's CPU plugin, by way of ONNX: of what its own converter makes of a policy, its compiler crashed.

    Without being told it computes in bf16 where the processor can.
    """
    import openvino as ov

    core = ov.Core()
    core.set_property({"CACHE_DIR": str(folder / "cache")})
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }

    def build(name: str, part: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Part:
        file = _exported(folder / f"{name}.onnx", part, inputs)
        request = core.compile_model(file, "CPU", settings).create_infer_request()
        outputs = range(len(request.model_outputs))

        def run(*values: Tensor) -> tuple[Tensor, ...]:
            given = dict(enumerate(value.contiguous().numpy() for value in values))
            found = request.infer(given, share_inputs=True, share_outputs=True)
            return tuple(torch.from_numpy(found[index]) for index in outputs)

        return run

    return _in_parts(policy, observation, folder, build)


def onnxruntime(policy: Policy, observation: Mapping[str, Any], folder: Path) -> Predict:
    """ONNX Runtime's CPU provider."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3

    def build(name: str, part: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Part:
        file = _exported(folder / f"{name}.onnx", part, inputs)
        session = ort.InferenceSession(file, options, ["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]

        def run(*values: Tensor) -> tuple[Tensor, ...]:
            given = {name: value.contiguous().numpy() for name, value in zip(names, values, strict=True)}
            return tuple(torch.from_numpy(found) for found in session.run(None, given))

        return run

    return _in_parts(policy, observation, folder, build)


BACKENDS = (
    Backend("eager", plain),
    Backend("ours", runtime),
    Backend("ours without Winograd", runtime_direct),
    Backend("torch.compile", compiled("default", freezing=False), tools=("g++",)),
    Backend("torch.compile, freezing", compiled("default", freezing=True), tools=("g++",)),
    Backend("OpenVINO", openvino, needs=("openvino", "onnx", "onnxscript")),
    Backend("ONNX Runtime", onnxruntime, needs=("onnxruntime", "onnx", "onnxscript")),
)


def _exported(file: Path, part: nn.Module, inputs: tuple[Tensor, ...]) -> Path:
    """Export a part with torch's ONNX exporter, unless the file is there."""
    if not file.is_file():
        torch.onnx.export(part, inputs, file, dynamo=True, verbose=False)
    return file


def _in_parts(policy: Policy, observation: Mapping[str, Any], folder: Path, build: Build) -> Predict:
    """Build each part of a policy for the inputs that reach it."""
    network = make_network(policy)
    examples: dict[str, tuple[Tensor, ...]] = {}
    with torch.no_grad(), _quiet():  # inference mode would mark the examples, and compiled code would not fit others
        network.predict(_noting(network, examples), observation)
    with torch.no_grad(), _quiet():
        built = {name: build(name, part, examples[name], folder) for name, part in network.parts.items()}

    def predict(observation: Mapping[str, Any]) -> np.ndarray:
        with torch.no_grad():
            return network.predict(lambda part, *inputs: built[part](*inputs), observation)

    return predict


def _noting(network: Network, examples: dict[str, tuple[Tensor, ...]]) -> Part:
    def call(part: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        examples.setdefault(part, tuple(value.clone().contiguous() for value in inputs))
        return network.plain(part, *inputs)

    return call


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters print their progress and warn of what they trace over; the outputs are compared, which says more."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
