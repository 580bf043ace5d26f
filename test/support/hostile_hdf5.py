"""Episodes with one to four things in them that no writer of episodes makes, by seed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np

from support.episodes import made_episodes as demo

ROWS = 8
CAMERA = "observations/images/cam_a"
Mutation = Callable[[h5py.File, np.random.RandomState, Path], None]

DTYPES = ["f4", "f8", "f2", "u1", "i1", "u2", "i8", "u8", "?", "c8", "S7", "V5", ">f4", ">i8"]
PATHS = [
    "observations/qpos", "observations/qvel", "observations/effort", "action", "base_action", "compress_len", CAMERA,
    "observations/images/cam_b", "observations/images_depth/cam_a", "observations", "observations/images", "sync",
    "sync/stamp_ns", "sync/skew_ns", "sync/flags", "timesteps", "timesteps/reward", "timesteps/step_type",
    "final_observation", "final_observation/qpos", "final_observation/images/cam_a", "other/thing",
]  # fmt: skip
ATTRIBUTES = [
    "format", "sim", "compress", "robot", "contract", "rate_hz", "streams", "camera_names", "depth_names", "task",
    "joint_names", "color_order", "action_alignment", "created", "jpeg_order", "success", "aborted", "rows_held",
    "rows_dropped", "stopped", "repaired", "stamps", "odd one",
]  # fmt: skip
NAMES = ["", "/", "..", "a\nb", "\x1b[2J", "é" * 40, "x" * 3000, "cam\udcff", "[red]", "%s", "{0}", "../../etc/passwd"]


def make(path: Path, seed: int, secret: Path) -> Path:
    """Write an episode of ours (or of ALOHA's layout) and change it; `secret` is a file it must not lead to."""
    rng = np.random.RandomState(seed)
    if rng.randint(3):
        storage: demo.Storage = "raw" if rng.randint(2) else "jpeg"
        made = demo.write(path.parent / "made", demo.meta(storage=storage, has_base=bool(rng.randint(2))), ROWS)
        made.rename(path)
        made.parent.rmdir()
    else:
        with h5py.File(path, "w") as file:
            for name in ("observations/qpos", "observations/qvel", "action"):
                file[name] = rng.standard_normal((ROWS, 3)).astype("f4")
            file[CAMERA] = np.zeros((ROWS, 48, 64, 3), "u1")
    with h5py.File(path, "r+") as file:
        for _ in range(rng.randint(1, 5)):
            mutation = MUTATIONS[rng.randint(len(MUTATIONS))]
            with suppress(OSError, ValueError, KeyError, TypeError, RuntimeError, UnicodeError, AttributeError):
                mutation(file, rng, secret)  # what h5py itself does not write is no input
    return path


def _gone(file: h5py.File, name: str) -> str:
    with suppress(KeyError):
        del file[name]
    return name


def _any(rng: np.random.RandomState, choices: list[str]) -> str:
    return choices[rng.randint(len(choices))]


def _values(rng: np.random.RandomState) -> np.ndarray:
    shape = tuple(rng.choice([0, 1, 2, 3, ROWS, ROWS, 64, 100]) for _ in range(rng.randint(0, 5)))
    dtype = np.dtype(_any(rng, DTYPES))
    raw = rng.bytes(max(1, int(np.prod(shape, dtype=np.int64))) * dtype.itemsize)
    if dtype.kind == "b":
        return rng.randint(0, 2, shape).astype(bool)
    return np.frombuffer(raw, dtype)[: int(np.prod(shape, dtype=np.int64))].reshape(shape)


def _replace(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file[_gone(file, _any(rng, PATHS))] = _values(rng)


def _delete(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    _gone(file, _any(rng, PATHS))


def _group(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file.create_group(_gone(file, _any(rng, PATHS)))


def _claim(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    shape = [int(rng.choice([0, 1, 3, ROWS, 1 << 20, 1 << 31, 1 << 40])) for _ in range(rng.randint(1, 4))]
    chunks = tuple(int(rng.choice([1, 3, 256])) for _ in shape)
    options = {"compression": "gzip"} if rng.randint(2) else {}
    file.create_dataset(_gone(file, _any(rng, PATHS)), shape, _any(rng, DTYPES), chunks=chunks, **options)


def _bomb(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    """Thousands of rows of zeros in a few bytes."""
    rows, width = int(rng.choice([ROWS, 4096, 50_000])), int(rng.choice([3, 1024]))
    name = _gone(file, _any(rng, PATHS))
    file.create_dataset(name, data=np.zeros((rows, width), "u1"), chunks=(rows, width), compression="gzip")


def _text(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    name = _gone(file, _any(rng, PATHS))
    file.create_dataset(name, data=[_any(rng, NAMES[3:]) for _ in range(ROWS)], dtype=h5py.string_dtype())


def _ragged(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    made = file.create_dataset(_gone(file, _any(rng, PATHS)), (ROWS,), h5py.vlen_dtype(np.dtype(_any(rng, DTYPES[:8]))))
    for row in range(ROWS):
        made[row] = np.zeros(rng.randint(0, 50))


def _odd_type(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    kinds = [
        np.dtype([("a", "f4"), ("b", "S3", (2,))]),
        h5py.enum_dtype({"A": 1, "B": 2}, basetype="i1"),
        h5py.ref_dtype,
        h5py.regionref_dtype,
        np.dtype(("f4", (3,))),
        h5py.opaque_dtype(np.dtype("datetime64[us]")),
    ]
    file.create_dataset(_gone(file, _any(rng, PATHS)), (ROWS,), kinds[rng.randint(len(kinds))])


def _empty(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file[_gone(file, _any(rng, PATHS))] = h5py.Empty(_any(rng, DTYPES))


def _committed_type(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file[_gone(file, _any(rng, PATHS))] = np.dtype("f4")


def _soft(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    target = _any(rng, [*PATHS, "/", "nowhere", "observations/.."])
    file[_gone(file, _any(rng, PATHS))] = h5py.SoftLink(f"/{target}")


def _external(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    other = _any(rng, [str(secret), "/etc/hostname", "missing.hdf5", "."])
    file[_gone(file, _any(rng, PATHS))] = h5py.ExternalLink(other, _any(rng, ["/values", "/group", "/"]))


def _storage(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    other = _any(rng, [str(secret), "/etc/hostname", "/etc/passwd"])
    name, where = _gone(file, _any(rng, PATHS)), [(other, rng.randint(0, 8), h5py.h5f.UNLIMITED)]
    file.create_dataset(name, (ROWS, 20), "u1", external=where)


def _virtual(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    layout = h5py.VirtualLayout((ROWS, 64), "u1")
    layout[:] = h5py.VirtualSource(_any(rng, [str(secret), "."]), _any(rng, ["values", CAMERA]), (ROWS, 64))
    file.create_virtual_dataset(_gone(file, _any(rng, PATHS)), layout)


def _cycle(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file[f"{_any(rng, ['observations', 'sync', 'observations/images'])}/{_any(rng, ['again', 'cam_c'])}"] = file[
        _any(rng, ["/", "observations", "sync"])
    ]


def _twice(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file[_gone(file, _any(rng, PATHS))] = file[_any(rng, PATHS)]


def _deep(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file.create_group("/".join(["deep"] * int(rng.choice([5, 15, 17, 300]))))


def _many(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    group = file.require_group(_any(rng, ["observations/images", "observations", "many"]))
    for i in range(int(rng.choice([70, 500]))):
        group[f"x{i}"] = np.zeros((ROWS, 4), "u1")


def _name(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    file[f"{_any(rng, ['observations/images', 'observations', 'other'])}/{_any(rng, NAMES)}"] = _values(rng)


def _attribute(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    places = [file, *(file[path] for path in ("action", CAMERA, "final_observation") if path in file)]
    target = places[0] if rng.randint(3) else places[rng.randint(len(places))]
    values: list[object] = [
        "no", "fifty", "", "x" * 20_000, b"\xff\xfe", np.nan, np.inf, -1, 1 << 62, True, _values(rng), h5py.Empty("f4"),
        file.ref, np.array(["a", "b"], "S3"), ["cam_a", "cam_b"], np.zeros(3000), "a: &a [*a]", "a: " + "[" * 3000,
        "[/red]\x1b[2J", np.datetime64("2020").astype("i8"), np.array([(1, 2)], [("a", "i4"), ("b", "f4")]),
    ]  # fmt: skip
    target.attrs[_any(rng, ATTRIBUTES) if rng.randint(9) else _any(rng, NAMES[2:])] = values[rng.randint(len(values))]


def _resize(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    dataset = file[_any(rng, PATHS)]
    dataset.resize(int(rng.choice([0, 1, ROWS + 3, 1 << 20])), axis=rng.randint(dataset.ndim))


def _damage_images(file: h5py.File, rng: np.random.RandomState, secret: Path) -> None:
    dataset = file[CAMERA]
    row = rng.randint(len(dataset))
    if dataset.ndim == 2:
        data = bytearray(dataset[row].tobytes())
        for _ in range(rng.randint(1, 20)):
            data[rng.randint(len(data))] = rng.randint(256)
        dataset[row] = np.frombuffer(data, "u1")


MUTATIONS: tuple[Mutation, ...] = (
    _replace, _replace, _delete, _group, _claim, _bomb, _text, _ragged, _odd_type, _empty, _committed_type, _soft,
    _external, _storage, _virtual, _cycle, _twice, _deep, _many, _name, _attribute, _attribute, _attribute, _resize,
    _damage_images,
)  # fmt: skip
