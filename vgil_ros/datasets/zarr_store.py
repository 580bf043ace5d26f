"""Zarr data sets as Diffusion Policy's replay buffer has them: all episodes one behind the other under `data/`, their
ends under `meta/episode_ends`.

Ours: `data/state` and `data/action` (N, D) float32, `data/CAMERA` (N, H, W, 3) uint8 without loss, the other columns
by their names; `meta.attrs["episodes"]` says what is known of each episode. Format 2, which zarr 2 and 3 read.
Source: real-stanford/diffusion_policy, `common/replay_buffer.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.pieces import Piece, place
from vgil_ros.datasets.schema import FLAGS, WANTED, Shape
from vgil_ros.datasets.stored import Images, StoredEpisode, column, task_runs, tasks_of, without_filled
from vgil_ros.episodes.view import Episode
from vgil_ros.extras import needed_by

ENDS, TOLD = "episode_ends", "episodes"
TASKS = "row_tasks"  # of an episode whose task changed: [first row, words] of each
STATES = ("state", "qpos", "agent_pos", "robot_joint")  # what others call it
DTYPES = {"stamp_ns": "i8", "skew_ns": "i8", "flags": "u1", "arrival_ns": "i8"}
DTYPES |= {"intervention": "u1", "actor": "u1"}  # others: f4
ROWS_A_CHUNK = 4096
STORE = "episode.zarr"
LOOKED_AT = 8  # images of an array whose numbers are floats


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr group."""
    return any((path / name).is_file() for name in (".zgroup", "zarr.json"))


class ZarrImages:
    """One camera's images of an episode."""

    costly = False

    def __init__(self, array: Any, first: int, rows: int) -> None:
        self._array, self._first, self._rows = array, first, rows

    def __len__(self) -> int:
        return self._rows

    def rgb(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        image: np.ndarray = np.asarray(self._array[self._first + row])
        return image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def jpeg(self, row: int) -> bytes | None:
        """None: pixels are stored."""
        return None

    def stored(self) -> Iterator[bytes]:
        """Pixels."""
        return (self.rgb(row).tobytes() for row in range(self._rows))

    def close(self) -> None:
        """Nothing is open."""


class ZarrDataset:
    """A data set in a zarr folder.

    Raises:
        DatasetError: it is none, or lacks state, action or the episodes' ends.
    """

    kind = layout = "zarr"

    def __init__(self, path: Path) -> None:
        with needed_by("zarr"):
            import zarr
        self.path = path
        self._looked = False
        try:
            root: Any = zarr.open_group(str(path), mode="r")
            self._data = dict(root["data"].arrays())
            self._ends = np.asarray(root["meta"][ENDS][:], np.int64)
            self._attrs: dict[str, Any] = dict(root.attrs)
            self._told = list(root["meta"].attrs.get(TOLD, []))
        except (KeyError, OSError, ValueError, TypeError) as error:
            raise DatasetError(
                f"{path}: is no zarr data set ({error}); allowed: a group with data/ and meta/{ENDS}"
            ) from error
        self._state = next((name for name in STATES if name in self._data), None)
        if self._state is None or "action" not in self._data:
            raise DatasetError(
                f"{path}: data/ holds {sorted(self._data)}; allowed: action, and the state as one of {list(STATES)}"
            )
        rows = self._data["action"].shape[0]
        if len(self._ends) and (np.any(np.diff(self._ends, prepend=0) <= 0) or self._ends[-1] > rows):
            raise DatasetError(
                f"{path}: meta/{ENDS} ends at {self._ends[-1]} of {rows} rows; allowed: rising, within them"
            )

    def names(self) -> list[str]:
        """Names of the episodes, in order."""
        return [f"episode_{number}" for number in range(len(self._ends))]

    def state(self, number: int) -> list[int]:
        """Size and time of change of the ends: nothing else is known of a single episode."""
        found = [file for name in (".zarray", "zarr.json", "0") for file in (self.path / "meta" / ENDS).glob(name)]
        return [value for file in found for value in (file.stat().st_size, file.stat().st_mtime_ns)]

    def open(self, number: int) -> StoredEpisode:
        """Open the episode at a place of `names`.

        Raises:
            DatasetError: numbers that cannot be read.
        """
        first, stop = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
        path = self.path / f"episode_{number}"
        names = {"qpos": str(self._state), **{name: name for name in ("action", "qvel", "effort", "base_vel")}}
        names |= {name: name for name in ("base_action", *WANTED, *DTYPES)}
        try:
            columns = {
                name: np.asarray(self._data[key][first:stop]) for name, key in names.items() if key in self._data
            }
        except Exception as error:  # whatever zarr or a codec stumbles over
            raise DatasetError(f"{path}: numbers cannot be read ({error})") from error
        columns = {
            name: values if name in ("stamp_ns", *FLAGS) else values.reshape(len(values), -1)
            for name, values in columns.items()
        }
        self._check_pixels()
        cameras: dict[str, Images] = {
            name: ZarrImages(array, first, stop - first) for name, array in self._pictures().items()
        }
        told = self._told[number] if number < len(self._told) else {}
        attrs = {**self._attrs.get("vgil", {}), **told}
        runs = attrs.pop(TASKS, [])
        tasks = tasks_of(runs, stop - first) if runs else ()
        unread = sorted(self._data.keys() - set(names.values()) - cameras.keys())
        return StoredEpisode(path, "zarr", without_filled(columns, attrs), cameras, attrs, tasks=tasks, unread=unread)

    def _check_pixels(self) -> None:
        """Refuse images of floats up to 1: as bytes they would be black. Looked at once, in a few rows."""
        if self._looked:
            return
        for name, array in self._pictures().items():
            if array.dtype.kind != "f" or not array.shape[0]:
                continue
            rows = np.unique(np.linspace(0, array.shape[0] - 1, LOOKED_AT).astype(int)).tolist()
            try:
                most = max(float(np.max(array[row])) for row in rows)
            except Exception as error:  # whatever zarr or a codec stumbles over
                raise DatasetError(f"{self.path}: data/{name} cannot be read ({error})") from error
            if 0 < most <= 1:
                raise DatasetError(
                    f"{self.path}: data/{name} holds {array.dtype} up to {most:.3g}; allowed: uint8, or 0 to 255"
                )
        self._looked = True

    def _pictures(self) -> dict[str, Any]:
        found = {name: a for name, a in self._data.items() if a.ndim == 4 and a.shape[3] == 3}
        order = self._attrs.get("vgil", {}).get("camera_names", sorted(found))
        return {name: found[name] for name in order if name in found}


class ZarrSink:
    """Writes episodes of one shape."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._names = {"qpos": "state", "action": "action", **{name: name for name in shape.columns}}

    def _make(self, path: Path, rows: int) -> Any:
        """A group with room for `rows` numbers and images."""
        with needed_by("zarr"):
            import zarr
            from numcodecs import Blosc
        shape = self._shape
        root: Any = zarr.open_group(str(path), mode="w", zarr_format=2)
        about = {
            "rate_hz": shape.rate_hz, "robot": shape.robot, "joint_names": shape.joint_names,
            "streams": shape.streams or None, "contract": shape.contract, "camera_names": list(shape.cameras),
        }  # fmt: skip
        root.attrs["vgil"] = {key: value for key, value in about.items() if value is not None}
        data, packed = root.create_group("data"), Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE)
        widths = {"qpos": shape.state, "action": shape.action, "qvel": shape.state, "effort": shape.state}
        widths |= {
            "base_vel": 2,
            "base_action": 2,
            **dict.fromkeys(("skew_ns", "flags", "arrival_ns"), len(shape.streams)),
            **dict.fromkeys(WANTED, shape.action),
        }
        for name, key in self._names.items():
            tail = () if name in ("stamp_ns", *FLAGS) else (widths[name],)
            chunk = (ROWS_A_CHUNK, *tail)
            data.create_array(key, shape=(rows, *tail), chunks=chunk, dtype=DTYPES.get(name, "f4"), compressors=packed)
        for name, size in shape.cameras.items():
            data.create_array(name, shape=(rows, *size, 3), chunks=(1, *size, 3), dtype="u1", compressors=packed)
        return root

    def make(self, episode: Episode, folder: Path) -> dict[str, Any]:
        """Write an episode as a data set of one."""
        rows = episode.rows
        root = self._make(folder / STORE, rows)
        for name, key in self._names.items():
            values = column(episode, name)
            nothing = 0 if name in FLAGS else np.nan
            root["data"][key][:] = nothing if values is None else values
        for name, size in self._shape.cameras.items():
            array = root["data"][name]
            for row in range(rows):
                image = episode.image(name, row)
                if image.shape != (*size, 3):
                    raise DatasetError(
                        f"{episode.path}: {name} row {row} is {image.shape}; the others are {(*size, 3)}"
                    )
                array[row] = image
        told = {**self._shape.told(episode), **({} if episode.task is None else {"task": episode.task})}
        told |= {TASKS: runs} if len(runs := task_runs(episode)) > 1 or runs[0][1] != (episode.task or "") else {}
        self._finish(root, [rows], [told])
        return {"own": told}

    @staticmethod
    def _finish(root: Any, ends: Sequence[int], told: Sequence[Mapping[str, Any]]) -> None:
        meta = root.create_group("meta")
        stored = meta.create_array(ENDS, shape=(len(ends),), chunks=(max(len(ends), 1),), dtype="i8", compressors=None)
        stored[:] = np.array(ends, np.int64)
        meta.attrs[TOLD] = [dict(one) for one in told]

    def open_piece(self, folder: Path, facts: Mapping[str, Any]) -> Episode:
        """Open a piece by the reader of this layout."""
        return ZarrDataset(folder / STORE).open(0)

    def assemble(self, pieces: Sequence[Piece], out: Path) -> list[str]:
        """Join pieces: an image's chunk is a file, which gets the number of its row among all; numbers are copied."""
        import zarr

        ends = np.cumsum([piece.rows for piece in pieces]).tolist()
        root = self._make(out, ends[-1])
        for piece, end in zip(pieces, ends, strict=True):
            first = end - piece.rows
            part: Any = zarr.open_group(str(piece.folder / STORE), mode="r")
            for key in self._names.values():
                root["data"][key][first:end] = part["data"][key][:]
            for name in self._shape.cameras:
                folder = piece.folder / STORE / "data" / name
                for row in range(piece.rows):
                    chunk = folder / f"{row}.0.0.0"
                    if chunk.exists():  # a black image has none
                        place(chunk, out / "data" / name / f"{first + row}.0.0.0")
        self._finish(root, ends, [piece.facts["own"] for piece in pieces])
        return [f"episode_{number}" for number in range(len(pieces))]
