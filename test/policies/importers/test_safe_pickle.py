"""Pickled statistics are read without running anything that a pickle could ask for."""

from __future__ import annotations

import os
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.policies import peers

from vgil_ros.policies import CheckpointError
from vgil_ros.policies.importers import import_checkpoint
from vgil_ros.policies.importers.inert_pickle import TensorArchive
from vgil_ros.policies.importers.safe_pickle import load_numpy_pickle


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("numpy_major", [1, 2])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpy_arrays_and_scalars_come_back(tmp_path: Path, numpy_major: int, protocol: int) -> None:
    stats = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(8)[::2],
        "scalar": np.float64(2.5),
        "count": 3,
        "empty": np.zeros((0, 2)),
    }
    path = tmp_path / "stats.pkl"
    path.write_bytes(peers.pickle_as(stats, numpy_major, protocol))
    content = path.read_bytes()
    assert (b"numpy.core" in content) == (numpy_major == 1)
    assert (b"numpy._core" in content) == (numpy_major == 2)
    found = load_numpy_pickle(path)
    assert set(found) == set(stats)
    for key, value in stats.items():
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (os.system, r"posix\.system|os\.system"),
        (eval, r"(builtins|__builtin__)\.eval"),
        (subprocess.Popen, r"(subprocess|commands)\.Popen"),  # the second is its name in Python 2
        (getattr, r"(builtins|__builtin__)\.getattr"),
        (np.load, r"numpy\.load"),
    ],
)
def test_anything_else_is_refused_by_name_and_does_not_run(
    tmp_path: Path, function: Any, words: str, protocol: int
) -> None:
    trace = tmp_path / "it_ran"
    argument = f"open({str(trace)!r}, 'w').close()" if function is eval else f"touch {trace}"
    bomb = Calls(function, ["touch", str(trace)] if function is subprocess.Popen else argument)
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps({"qpos_mean": np.zeros(3), "qpos_std": bomb}, protocol=protocol))
    with pytest.raises(CheckpointError, match=f"asks for the global ({words}): refused"):
        load_numpy_pickle(path)
    assert not trace.exists()


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    """Without this the tests above could pass with a bomb that is a dud."""
    trace = tmp_path / "it_ran"
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {trace}")))
    assert trace.exists()


def test_a_weights_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "it_ran"
    path = peers.write_ckpt(tmp_path, {}, peers.original_stats())
    torch.save({"model.x": Calls(os.system, f"touch {trace}")}, path)
    with pytest.raises(CheckpointError, match=r"asks for the global (posix|os)\.system"):
        import_checkpoint(path, tmp_path / "out", cameras=["a"])
    assert not trace.exists()
    assert not (tmp_path / "out").exists()


def test_objects_hidden_in_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps({"a": np.array([{}, []], dtype=object)}))
    with pytest.raises(CheckpointError, match="a has dtype object"):
        load_numpy_pickle(path)


def test_a_place_far_beyond_what_is_there_is_refused_before_room_is_made_for_it(tmp_path: Path) -> None:
    content = b"\x80\x02}r" + (2_000_000).to_bytes(4, "little") + b"."
    (tmp_path / "stats.pkl").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "policy.ckpt", "w") as archive:
        archive.writestr("archive/data.pkl", content)
    for read, name in ((load_numpy_pickle, "stats.pkl"), (TensorArchive, "policy.ckpt")):
        with pytest.raises(CheckpointError, match="value number 2000000 is remembered after 3 steps; allowed"):
            read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04", pickle.dumps([1]), pickle.dumps({1: 2})])
def test_what_is_no_dict_of_arrays_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "stats.pkl"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"stats\.pkl"):
        load_numpy_pickle(path)


def test_a_truncated_file_is_refused_everywhere(tmp_path: Path) -> None:
    whole = peers.pickle_as(peers.original_stats(), 2)
    path = tmp_path / "stats.pkl"
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError):
            load_numpy_pickle(path)
