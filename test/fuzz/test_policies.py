"""Checkpoints, pickles and training settings that are broken or hostile: refused by name, nothing run or filled."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

# ruff: noqa: E402
from support import checkpoints, fuzz
from support.policies import peers

from vgil_ros.policies import load_policy
from vgil_ros.policies.importers import import_checkpoint
from vgil_ros.policies.importers.inert_pickle import StoredTensor, TensorArchive
from vgil_ros.policies.importers.safe_pickle import load_numpy_pickle
from vgil_ros.policies.importers.state import as_state_dict, read_weights
from vgil_ros.training.config import load_config

SHORT = 40
LONG = (pytest.mark.fuzz, pytest.mark.timeout(7200))
COUNTS = [SHORT, pytest.param(1000, marks=LONG)]
NUMBERS: list[Any] = [0, -1, 1 << 31, 10**9, 10**18, 10**30, 1e300, -1e300, float("nan"), float("inf"), 0.1, True]
VALUES: list[Any] = [
    *NUMBERS, None, "", "\n", "x" * 5000, "é", "../../etc/passwd", [], {}, [[]], [None], {"a": {}}, ["a"] * 500,
    [0.0] * 500, "fp32", "act", "diffusion", "open_loop", [10**9], [-1], "1e-3", "cuda", "cpu:7",
]  # fmt: skip


def _replace(values: Any, rng: np.random.RandomState) -> None:
    """Put another value somewhere below, take one away, or add one."""
    keys = list(values) if isinstance(values, dict) else list(range(len(values))) if isinstance(values, list) else []
    if not keys:
        return
    key = keys[rng.randint(len(keys))]
    if isinstance(values[key], (dict, list)) and rng.randint(4):
        _replace(values[key], rng)
    elif rng.randint(8) == 0:
        del values[key]
    elif isinstance(values, dict) and rng.randint(16) == 0:
        values["a key that is none"] = 1
    else:
        values[key] = deepcopy(VALUES[rng.randint(len(VALUES))])  # the next change may be one of it


def _changed(text: str, rng: np.random.RandomState) -> str:
    values = json.loads(text)
    for _ in range(rng.randint(1, 4)):
        _replace(values, rng)
    return json.dumps(values)


# ---- our own checkpoints


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {kind: checkpoints.make("sim_single", folder / kind, kind=kind) for kind in ("act", "flow_matching")}


def _folders(made: dict[str, Path], count: int) -> Iterator[tuple[str, tuple[Path, bytes | None, bytes | None]]]:
    for seed in range(count):
        rng = np.random.RandomState(seed)
        kind = sorted(made)[seed % len(made)]
        text = (made[kind] / "policy.json").read_text()
        if seed % 3 == 0:
            weights = fuzz.flipped((made[kind] / "model.safetensors").read_bytes()[:20_000], rng)
            yield f"{kind} weights, seed {seed}", (made[kind], None, weights)
        elif seed % 3 == 1:
            yield f"{kind} bytes, seed {seed}", (made[kind], fuzz.flipped(text.encode(), rng), None)
        else:
            yield f"{kind} values, seed {seed}", (made[kind], _changed(text, rng).encode(), None)


def _try_folder(given: tuple[Path, bytes | None, bytes | None]) -> None:
    source, config, weights = given
    folder = Path("checkpoint")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "policy.json").write_bytes((source / "policy.json").read_bytes() if config is None else config)
    if weights is None:
        shutil.copyfile(source / "model.safetensors", folder / "model.safetensors")
    else:
        (folder / "model.safetensors").write_bytes(weights)
    load_policy(folder)


@pytest.mark.parametrize("count", COUNTS)
def test_checkpoint_folders(made: dict[str, Path], tmp_path: Path, count: int) -> None:
    outcomes = fuzz.run(_try_folder, _folders(made, count), folder=tmp_path)
    assert not fuzz.failures(outcomes)
    assert any(outcome.kind == "refused" for outcome in outcomes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_dim", 65_536),
        ("chunk_size", 65_536),
        ("encoder_layers", 10**6),
        ("feedforward_dim", 10**12),
        ("latent_dim", 65_536),
    ],
)
def test_sizes_that_would_fill_the_memory_are_refused_before_they_do(
    made: dict[str, Path], tmp_path: Path, key: str, value: int
) -> None:
    config = json.loads((made["act"] / "policy.json").read_text())
    content = json.dumps({**config, key: value}).encode()
    (outcome,) = fuzz.run(_try_folder, [(key, (made["act"], content, None))], folder=tmp_path)
    assert outcome.kind == "refused", str(outcome)
    assert key in outcome.words or "has shape" in outcome.words


# ---- pickles


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _pickles(count: int) -> Iterator[tuple[str, bytes]]:
    stats = peers.original_stats()
    whole = [peers.pickle_as(stats, major, protocol) for major in (1, 2) for protocol in (0, 2, 4, 5)]
    for seed in range(count):
        yield f"seed {seed}", fuzz.flipped(whole[seed % len(whole)], np.random.RandomState(seed))


HOSTILE = {
    "runs a program": Calls(os.system, "touch it_ran"),
    "an array of a terabyte": Calls(np.ndarray, (1 << 37,)),
    "an array made of nothing": Calls(np.empty(0).__reduce__()[0], np.ndarray, (1 << 37,), b"b"),
    "an element of a gigabyte": Calls(np.empty(0).__reduce__()[0], np.ndarray, (1,), b"V1000000000"),
    "a type of its own": Calls(np.dtype, "V2000000000"),
    "opens a file": Calls(open, "written", "w"),
}


def _try_pickle(data: bytes) -> None:
    path = Path("stats.pkl")
    path.write_bytes(data)
    load_numpy_pickle(path)


@pytest.mark.parametrize("count", COUNTS)
def test_pickled_statistics(tmp_path: Path, count: int) -> None:
    assert not fuzz.failures(fuzz.run(_try_pickle, _pickles(count), folder=tmp_path))


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_that_would_do_something(tmp_path: Path, name: str, protocol: int) -> None:
    data = pickle.dumps({"qpos_mean": HOSTILE[name]}, protocol=protocol)
    (outcome,) = fuzz.run(_try_pickle, [(name, data)], folder=tmp_path, memory=1 << 28)
    assert outcome.kind == "refused", str(outcome)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stats.pkl"]


@pytest.mark.parametrize(
    "data",
    [b"\x80\x02}r\xff\xff\xff\x7f.", b"}p99999999999\n.", b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"ab."],
    ids=["place", "place in words", "length"],
)
def test_pickles_whose_sizes_would_fill_the_memory(tmp_path: Path, data: bytes) -> None:
    (outcome,) = fuzz.run(_try_pickle, [("size", data)], folder=tmp_path, memory=1 << 28)
    assert outcome.kind == "refused", str(outcome)
    assert "is remembered after" in outcome.words or "only 3 remain" in outcome.words, outcome.words


# ---- files of torch


def _saved(content: object, *, compressed: bool = False, legacy: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=not legacy)
    if not compressed:
        return out.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(out) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return packed.getvalue()


def _ckpts(count: int) -> Iterator[tuple[str, bytes]]:
    state = {"model.a": torch.arange(40.0), "model.b": torch.ones(3, 4), "model.c": torch.zeros(2, dtype=torch.int64)}
    whole = [_saved(state), _saved(state, legacy=True), _saved({"state_dicts": {"model": state}})]
    for seed in range(count):
        yield f"seed {seed}", fuzz.flipped(whole[seed % len(whole)], np.random.RandomState(seed))


def _try_ckpt(data: bytes) -> None:
    path = Path("policy.ckpt")
    path.write_bytes(data)
    for read in (_try_inert, _try_weights):
        try:
            read(path)
        except fuzz.VgilError:
            if read is _try_weights:
                raise


def _try_weights(path: Path) -> None:
    for value in as_state_dict(read_weights(path), str(path)).values():
        value.to(torch.float32).clone()


def _try_inert(path: Path) -> None:
    archive = TensorArchive(path)
    todo = [archive.content]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += list(one.values())
        elif isinstance(one, StoredTensor):
            archive.tensor(one)
    archive.close()


@pytest.mark.parametrize("count", COUNTS)
def test_files_of_torch(tmp_path: Path, count: int) -> None:
    assert not fuzz.failures(fuzz.run(_try_ckpt, _ckpts(count), folder=tmp_path))


def test_an_archive_that_unpacks_to_a_gigabyte_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("archive/data.pkl", pickle.dumps({}))
        with target.open("archive/data/0", "w", force_zip64=True) as entry:
            for _ in range(64):
                entry.write(bytes(1 << 24))
    data = packed.getvalue()
    assert len(data) < 2 << 20
    (outcome,) = fuzz.run(_try_ckpt, [("bomb", data)], folder=tmp_path, memory=1 << 28)
    assert outcome.kind == "refused", str(outcome)
    assert "unpack to 1024 MiB" in outcome.words


def test_a_tensor_that_repeats_one_number_is_refused(tmp_path: Path) -> None:
    data = _saved({"model.a": torch.zeros(1).expand(1 << 30)})
    (outcome,) = fuzz.run(_try_ckpt, [("stride of zero", data)], folder=tmp_path, memory=1 << 28)
    assert outcome.kind == "refused", str(outcome)
    assert "needs more numbers" in outcome.words


# ---- a foreign folder


def _lerobots(folder: Path, count: int) -> Iterator[tuple[str, tuple[Path, str, str]]]:
    for seed in range(count):
        rng = np.random.RandomState(seed)
        file = ("config.json", "policy_preprocessor.json", "policy_postprocessor.json")[seed % 3]
        yield f"{file}, seed {seed}", (folder, file, _changed((folder / file).read_text(), rng))


def _try_lerobot(given: tuple[Path, str, str]) -> None:
    source, file, text = given
    folder = Path("peer")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree("made", ignore_errors=True)
    folder.mkdir()
    for path in source.iterdir():
        if path.name != file:
            shutil.copyfile(path, folder / path.name)
    (folder / file).write_text(text)
    import_checkpoint(folder, "made/ours")


@pytest.mark.parametrize("count", [12, pytest.param(300, marks=LONG)])
def test_folders_of_lerobot(tmp_path: Path, count: int) -> None:
    source = peers.write_lerobot(tmp_path / "source")
    (tmp_path / "work").mkdir()
    assert not fuzz.failures(fuzz.run(_try_lerobot, _lerobots(source, count), folder=tmp_path / "work"))


# ---- training


def _settings(count: int) -> Iterator[tuple[str, list[str]]]:
    keys = [
        "policy", "policy.type", "policy.chunk_size", "policy.execution", "data", "data.folders", "data.cameras",
        "data.validation", "data.workers", "data.decoded_gib", "out", "steps", "batch_size", "seed", "device",
        "precision", "optimizer.lr", "optimizer.weight_decay", "optimizer.betas", "optimizer.clip_norm",
        "schedule.kind", "schedule.warmup_steps", "ema.decay", "checkpoint.keep", "checkpoint.metric", "evaluation",
        "distillation", "distillation.teacher", "log.every", "a.b.c", "optimizer.lr.x", "", ".", "data.folders.0.path",
    ]  # fmt: skip
    for seed in range(count):
        rng = np.random.RandomState(seed)
        some = [
            f"{keys[rng.randint(len(keys))]}={json.dumps(VALUES[rng.randint(len(VALUES))])}"
            for _ in range(rng.randint(1, 4))
        ]
        yield f"seed {seed}: {some}"[:200], some


def _try_settings(overrides: list[str]) -> None:
    from vgil_ros.training.build import rate_factor

    config = load_config("act_small", overrides, {"data.folders": ["episodes"], "out": "run"})
    config.model_dump_json()
    rate_factor(config.schedule, 3, config.steps)


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=LONG)])
def test_training_settings(tmp_path: Path, count: int) -> None:
    outcomes = fuzz.run(_try_settings, _settings(count), folder=tmp_path)
    assert not fuzz.failures(outcomes)
    assert {outcome.kind for outcome in outcomes} == {"fine", "refused"}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.folders=3", "data.folders: found 3"),
        ("optimizer.weight_decay=.inf", "optimizer.weight_decay: found inf; allowed: a finite number"),
        ("steps=1000000000000000000000000000000", "steps: found 1000000000000000000000000000000; allowed: less than"),
        ("optimizer.betas=[0.9, 2]", r"betas\[1\]: found 2"),
    ],
)
def test_settings_that_led_to_a_traceback_or_to_nonsense(override: str, words: str) -> None:
    with pytest.raises(fuzz.VgilError, match=words):
        load_config("act_small", [override], {"data.folders": ["episodes"], "out": "run"})
