"""Any small episode, as hypothesis draws it, and all that stands in a file, read by h5py alone.

What a run of its rows must be is defined here a second time, slowly and without the package's reader or writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dm_env
import h5py
import numpy as np
from hypothesis import strategies as st

from support.episodes import made_episodes as made
from vgil_ros.core.streams import Flag
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeWriter
from vgil_ros.episodes.meta import VectorMeta

SIZE = (16, 24)
FINAL = "final_observation"
HELD = int(Flag.HELD)
BY_ROW = ("observations/", "sync/", "timesteps/")
ROWS = ("action", "base_action", "intervention", "actor", "policy_action", "human_action")


@dataclass(frozen=True)
class Case:
    """An episode that is to be written; its numbers and images follow from the seed.

    Attributes:
        rows: T. final: with an observation after the last action. log: bytes of a raw log beside it, or none.
        retasked: row from which another task was shown, or none.
    """

    meta: EpisodeMeta
    rows: int
    seed: int
    final: bool = True
    success: bool | None = None
    log: bytes | None = None
    retasked: int | None = None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any episode: JPEG, raw and passed-through cameras, depth, velocities, efforts, a base, vectors, takeovers."""
    names = draw(st.lists(st.sampled_from(["top", "left", "right"]), unique=True, max_size=2))
    storages = st.sampled_from(["jpeg", "raw", "passthrough"])
    cameras = tuple(CameraMeta(name, *SIZE, draw(storages)) for name in names)
    base = draw(st.booleans())
    rows = draw(st.integers(1, 6))
    meta = EpisodeMeta(
        robot="any",
        contract="name: any\n",
        rate_hz=50.0,
        streams=tuple(f"stream_{i}" for i in range(draw(st.integers(0, 3)))),
        joint_names=tuple(f"arm/joint_{i}" for i in range(draw(st.integers(1, 3)))),
        cameras=cameras,
        depths=(CameraMeta("deep", *SIZE, None),) if draw(st.booleans()) else (),
        has_velocity=draw(st.booleans()),
        has_effort=draw(st.booleans()),
        has_base=base,
        has_base_velocity=base,
        task="any",
        vectors=(VectorMeta("force", 6),) if draw(st.booleans()) else (),
        words={"operator": "Ada"} if draw(st.booleans()) else {},
        has_takeover=draw(st.booleans()),
    )
    return Case(
        meta,
        rows,
        seed=draw(st.integers(0, 2**32 - 1)),
        final=draw(st.booleans()),
        success=draw(st.sampled_from([None, True, False])),
        log=draw(st.none() | st.binary(min_size=1, max_size=9)),
        retasked=draw(st.none() | st.integers(0, rows - 1)),
    )


def write(folder: Path, case: Case) -> Path:
    """Write the episode, with irregular stamps and any flags; return its path."""
    meta, random = case.meta, np.random.default_rng(case.seed)
    count = len(meta.streams)
    writer = EpisodeWriter(folder, meta, min_free_bytes=0, encoder_threads=1)
    stamps = made.START_NS + np.cumsum(random.integers(1, 9_999_999, case.rows + 1))
    for t in range(case.rows + case.final):
        last = t == case.rows
        kind = dm_env.StepType.LAST if last else dm_env.StepType.MID if t else dm_env.StepType.FIRST
        reward, discount = (None, None) if t == 0 else (random.normal(), random.uniform())
        beside = _beside(meta, random) if meta.has_takeover and not last else None
        writer.append(
            dm_env.TimeStep(kind, reward, discount, _observation(meta, random)),
            None if last else random.normal(size=meta.dim).astype(np.float32),
            stamp_ns=int(stamps[t]),
            skew_ns=random.integers(-999, 999, count),
            flags=random.integers(0, 16, count),
            arrival_ns=stamps[t] + random.integers(0, 999, count),
            beside=beside,
        )
    tasks = () if case.retasked is None else ((int(stamps[case.retasked]), "another"),)
    path = writer.close(success=case.success, tasks=tasks)
    if case.log is not None:
        path.with_suffix(".mcap").write_bytes(case.log)
    return path


def _observation(meta: EpisodeMeta, random: np.random.Generator) -> dict[str, Any]:
    seen: dict[str, Any] = {"qpos": random.normal(size=meta.dim)}
    seen |= {"qvel": random.normal(size=meta.dim)} if meta.has_velocity else {}
    seen |= {"effort": random.normal(size=meta.dim)} if meta.has_effort else {}
    seen |= {"base_vel": random.normal(size=2)} if meta.has_base_velocity else {}
    seen["vectors"] = {vector.name: random.normal(size=vector.size) for vector in meta.vectors}
    seen["images"] = {}
    for camera in meta.cameras:
        pixels = made.image(int(random.integers(99)), SIZE, int(random.integers(99)))
        seen["images"][camera.name] = made.frame(pixels, "jpeg") if camera.storage == "passthrough" else pixels
    seen["depth"] = {camera.name: random.integers(0, 9999, SIZE).astype(np.uint16) for camera in meta.depths}
    return seen


def _beside(meta: EpisodeMeta, random: np.random.Generator) -> dict[str, Any]:
    wanted = [random.normal(size=meta.dim) if random.integers(3) else None for _ in range(2)]
    return {
        "intervention": int(random.integers(2)),
        "actor": int(random.integers(4)),
        "policy_action": wanted[0],
        "human_action": wanted[1],
    }


def write_foreign(path: Path, rows: int, seed: int) -> Path:
    """An episode as ALOHA's own recorder leaves it: datasets in one piece, no stamps, no final observation."""
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        for name in ("action", "observations/qpos", "observations/qvel"):
            file[name] = random.normal(size=(rows, 14))
        file["observations/images/cam_high"] = random.integers(0, 255, (rows, *SIZE, 3), np.uint8)
    return path


# ---- what stands in a file

Value = tuple[str, tuple[int, ...], bytes]  # type, shape, content


@dataclass(frozen=True)
class Contents:
    """All of a file. `data`: each dataset's value by row, or, where it has no rows, its one value.

    Attributes:
        rows: T.
        data: (T) values of every dataset that has a row a tick, by path; JPEGs without the padding behind them.
        final: values of the datasets of the final observation.
        attrs: of the file, and of each group and dataset, by `path@name`.
    """

    rows: int
    data: dict[str, tuple[Any, ...]]
    final: dict[str, Value]
    attrs: dict[str, Value]


def contents(path: Path) -> Contents:
    """Read all of a file."""
    data: dict[str, tuple[Any, ...]] = {}
    final: dict[str, Value] = {}
    attrs: dict[str, Value] = {}
    with h5py.File(path) as file:
        rows = file["action"].shape[0]

        def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
            for key, value in item.attrs.items():
                attrs[f"{name}@{key}"] = value_of(np.asarray(value))
            if not isinstance(item, h5py.Dataset):
                return
            if name.startswith(f"{FINAL}/"):
                final[name.removeprefix(f"{FINAL}/")] = value_of(item[()])
            elif name == "compress_len":
                assert item.shape[1] == rows
                data[name] = tuple(value_of(column) for column in item[()].T)
            else:
                assert name in ROWS or name.startswith(BY_ROW), f"{name} is unknown to this definition"
                assert item.shape[0] == rows, name
                data[name] = tuple(_jpeg(row) if _holds_jpegs(item) else value_of(row) for row in item[()])

        look("", file)
        file.visititems(look)
    return Contents(rows, data, final, attrs)


def _holds_jpegs(item: h5py.Dataset) -> bool:
    return bool(item.ndim == 2 and item.dtype == np.uint8 and "/images/" in item.name)


def _jpeg(row: np.ndarray) -> Value:
    """A JPEG ends with FF D9: zeros behind it are padding."""
    data = row.tobytes().rstrip(b"\0")
    return "uint8", (len(data),), data


def value_of(value: Any) -> Value:
    """A value to compare: type, shape and bytes, so that NaN equals itself."""
    value = np.asarray(value)
    if value.dtype == object:
        return "text", value.shape, repr(value.tolist()).encode()
    return str(value.dtype), value.shape, value.tobytes()


def run_of(whole: Contents, first: int, last: int) -> Contents:
    """What an episode of rows first..last must be; see `vgil episodes trim`."""
    data = {name: values[first : last + 1] for name, values in whole.data.items()}
    if "timesteps/step_type" in data:
        data["timesteps/step_type"] = (value_of(np.uint8(dm_env.StepType.FIRST)), *data["timesteps/step_type"][1:])
    attrs, final = dict(whole.attrs), dict(whole.final)
    if whole.final and last + 1 < whole.rows:
        after = last + 1
        final = {name: whole.data[f"observations/{name}"][after] for name in whole.final}
        for key in ("reward", "discount"):
            attrs[f"{FINAL}@{key}"] = whole.data[f"timesteps/{key}"][after]
        attrs[f"{FINAL}@stamp_ns"] = whole.data["sync/stamp_ns"][after]
    if "@rows_held" in attrs and "sync/flags" in data:
        flags = [np.frombuffer(value[2], np.uint8) for value in data["sync/flags"]]
        attrs["@rows_held"] = value_of(np.int64(sum(bool((row & HELD).any()) for row in flags)))
    return Contents(last - first + 1, data, final, attrs)
