"""An episode as a piece of a LeRobotDataset: a table without the numbers of its place, and a video for each camera."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

import vgil_ros
from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import JPEG_START
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot import stats
from vgil_ros.datasets.lerobot.assembly import assemble
from vgil_ros.datasets.lerobot.fidelity import Bound, first_encoding, settle
from vgil_ros.datasets.lerobot.info import FEATURES, IMAGES, INDEX, SUCCESS, Info, Version, feature
from vgil_ros.datasets.lerobot.reader import NS_A_MS, Place, open_episode
from vgil_ros.datasets.lerobot.tables import EpisodeRows
from vgil_ros.datasets.lerobot.video import USUAL_CRF, Encoding, VideoWriter
from vgil_ros.datasets.pieces import Piece
from vgil_ros.datasets.schema import FLAGS, Shape
from vgil_ros.datasets.stored import column, tasks_of
from vgil_ros.episodes.view import Episode
from vgil_ros.extras import needed_by

Codec = Literal["h264", "av1", "png"]
DATA = "data.parquet"
DTYPES = {"stamp_ns": "int64", "skew_ns": "float64", "flags": "uint8", "arrival_ns": "int64"}
DTYPES |= {"actor": "uint8"}  # others: float32; so is `is_intervention`, as others' data sets have it
GROUP_BYTES = 8 << 20  # of pictures in a row group: what has to be read to reach one of them
PNG_LEVEL = 1
FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # a JPEG's markers SOF0 to SOF15


class LeRobotSink:
    """Writes episodes that have one shape.

    Args:
        version: of the layout.
        shape: what all episodes have in common.
        codec: of videos; "png" keeps pictures as they are, in the table.
        quality: a codec's CRF; less is better.
        least_db: PSNR that each image of a video has to reach, by a lower CRF where needed; 0: any.
    """

    def __init__(
        self, version: Version, shape: Shape, codec: Codec, quality: int | None, least_db: float = 0.0
    ) -> None:
        if shape.rate_hz is None:
            raise DatasetError("the source stores no rate; say it (--rate HZ)")
        self._version, self._shape, self._codec = version, shape, codec
        self._usual = Encoding(codec, USUAL_CRF.get(codec, 0) if quality is None else quality)
        # of v2.1, LeRobot's own conversion to v3.0 joins videos as they come, which must be of one kind then
        self._bound = Bound(least_db, full_colour=version == "v3.0")
        self._fps = int(shape.rate_hz) if float(shape.rate_hz).is_integer() else shape.rate_hz
        self._columns = ("qpos", "action", *shape.columns)
        self._features = self._make_features()

    def _make_features(self) -> dict[str, dict[str, Any]]:
        shape = self._shape
        joints = shape.joint_names or tuple(f"joint_{i}" for i in range(shape.state))
        numbered = tuple(f"action_{i}" for i in range(shape.action))
        actions = shape.action_names or (joints if shape.action == shape.state else numbered)
        base = ("linear", "angular")
        names: dict[str, Sequence[str]] = {
            "qpos": joints, "action": actions, "qvel": joints, "effort": joints, "base_vel": base, "base_action": base,
            "skew_ns": shape.streams, "flags": shape.streams, "arrival_ns": shape.streams,
            "policy_action": actions, "human_action": actions,
        }  # fmt: skip
        found: dict[str, dict[str, Any]] = {}
        for name in self._columns:
            size = len(names[name]) if name in names else 1
            found[FEATURES[name]] = feature(DTYPES.get(name, "float32"), [size], names.get(name))
        if shape.success:
            found[SUCCESS] = feature("int8", [1])
        kind = "image" if self._codec == "png" else "video"
        for camera, size2 in shape.cameras.items():
            found[IMAGES + camera] = feature(kind, [*size2, 3], ("height", "width", "channels"))
        return {**found, **{key: feature(dtype, [1]) for key, dtype in INDEX.items()}}

    @property
    def info(self) -> dict[str, Any]:
        """What does not depend on the episodes' number of `info.json`."""
        shape = self._shape
        about = {
            "joint_names": shape.joint_names, "streams": shape.streams or None, "contract": shape.contract,
        }  # fmt: skip
        own = {
            "software": f"vgil_ros {vgil_ros.__version__}",
            "camera_names": list(shape.cameras),
            "attributes": {key: value for key, value in about.items() if value is not None},
        }
        return {"robot_type": shape.robot, "fps": self._fps, "features": self._features, "vgil": own}

    # ---- one episode

    def make(self, episode: Episode, folder: Path) -> dict[str, Any]:
        """Write the table and videos of an episode, one image of each camera in memory at a time."""
        values = self._values(episode)
        found = {key: stats.of_rows(one, self._version) for key, one in values.items()}
        images = {name: stats.ImageStats() for name in self._shape.cameras}
        encodings = self._encodings(episode, folder)
        with _Table(folder / DATA, values, self._features) as table:
            self._write_images(episode, folder, table, images, encodings)
        found |= {IMAGES + name: one.result(self._version) for name, one in images.items()}
        own = self._shape.told(episode)
        own.pop("success", None)  # a feature
        videos = {name: self._settle(episode, folder, name, one) for name, one in encodings.items()}
        return {"stats": stats.as_lists(found), "own": own, "videos": videos if self._bound.least_db else {}}

    def _encodings(self, episode: Episode, folder: Path) -> dict[str, Encoding]:
        """How each camera's video is encoded to begin with; {} where there is none."""
        if self._codec == "png":
            return {}
        reads = {name: partial(episode.image, name) for name in self._shape.cameras}
        return {
            name: first_encoding(read, episode.rows, folder / f"{name}.mp4", self._usual, self._bound)
            for name, read in reads.items()
        }

    def _settle(self, episode: Episode, folder: Path, name: str, encoding: Encoding) -> dict[str, Any]:
        """Make a camera's video good enough; gives what it is, for the manifest."""
        if not self._bound.least_db:
            return {}
        read, file = partial(episode.image, name), folder / f"{name}.mp4"
        encoding, found = settle(read, episode.rows, file, float(self._fps), encoding, self._bound)
        return {"psnr_db": found.as_dict(), "crf": encoding.crf, "pixels": encoding.pixels}

    def _write_images(
        self,
        episode: Episode,
        folder: Path,
        table: _Table,
        images: Mapping[str, stats.ImageStats],
        encodings: Mapping[str, Encoding],
    ) -> None:
        chosen = set(stats.sampled_rows(episode.rows))
        fps = float(self._fps)
        videos = {name: VideoWriter(folder / f"{name}.mp4", fps, one) for name, one in encodings.items()}
        try:
            for row in range(episode.rows):
                pictures = {}
                for name, size in self._shape.cameras.items():
                    image = episode.image(name, row)
                    if image.shape != (*size, 3):
                        raise DatasetError(
                            f"{episode.path}: {name} row {row} is {image.shape}; the others are {(*size, 3)}"
                        )
                    if row in chosen:
                        images[name].add(image)
                    if name in videos:
                        videos[name].add(image)
                    else:
                        pictures[IMAGES + name] = _picture(episode, name, row, image)
                table.add(pictures)
        finally:
            for video in videos.values():
                video.close()

    def _values(self, episode: Episode) -> dict[str, np.ndarray]:
        """(T, ...) of each feature, in its type; numbers that this episode lacks are NaN."""
        rows, values = episode.rows, {}
        for name in self._columns:
            key = FEATURES[name]
            size, dtype = self._features[key]["shape"][0], self._features[key]["dtype"]
            stored = column(episode, name)
            if stored is None:
                stored = np.full((rows, size), 0 if name in FLAGS else np.nan)
            if name == "skew_ns":
                stored = stored / NS_A_MS
            values[key] = np.ascontiguousarray(stored, dtype)
        if self._shape.success:
            said = -1 if episode.success is None else int(episode.success)
            values[SUCCESS] = np.full(rows, said, np.int8)
        return values

    def open_piece(self, folder: Path, facts: Mapping[str, Any]) -> Episode:
        """Open the files of a piece by the reader of LeRobotDatasets."""
        info = Info(
            root=folder,
            major=3,
            fps=float(self._fps),
            robot=self._shape.robot,
            features={key: {**one, "shape": tuple(one["shape"])} for key, one in self._features.items()},
            data_path=DATA,
            video_path=None,
            chunks_size=1,
            own=self.info["vgil"],
        )
        videos = {IMAGES + name: (folder / f"{name}.mp4", 0) for name in self._shape.cameras}
        rows = EpisodeRows(folder / DATA, None)
        tasks = tasks_of(facts["tasks"], rows.rows)
        place = Place(folder / DATA, videos, None, tasks[:1], facts.get("own", {}))
        return open_episode(folder, "lerobot", info, rows, place, {}, tasks)

    # ---- the data set

    def assemble(self, pieces: Sequence[Piece], out: Path) -> list[str]:
        """Number the episodes and bring them into the layout's files."""
        return assemble(pieces, out, self._version, self.info)


class _Table:
    """A piece's parquet file; pictures come row by row, numbers are there before."""

    def __init__(self, path: Path, values: Mapping[str, np.ndarray], features: Mapping[str, Mapping[str, Any]]) -> None:
        with needed_by("writing parquet"):
            import pyarrow as pa
            import pyarrow.parquet as pq
        self._pa, self._values = pa, dict(values)
        self._pictures = [key for key, one in features.items() if one["dtype"] == "image"]
        self._schema = arrow_schema({key: features[key] for key in (*values, *self._pictures)})
        plain = list(values)
        self._writer = pq.ParquetWriter(
            str(path), self._schema, compression={**dict.fromkeys(plain, "snappy")} if plain else "snappy",
            use_dictionary=False,
        )  # fmt: skip
        self._rows: list[dict[str, bytes]] = []
        self._bytes = self._done = 0

    def add(self, pictures: dict[str, bytes]) -> None:
        """Add a row's pictures."""
        self._rows.append(pictures)
        self._bytes += sum(map(len, pictures.values()))
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        start, stop = self._done, self._done + len(self._rows)
        arrays = [arrow_array(one[start:stop], self._schema.field(key).type) for key, one in self._values.items()]
        for key in self._pictures:
            cells = [
                {
                    "bytes": row[key],
                    "path": f"frame-{start + i:06d}.{'jpg' if row[key].startswith(JPEG_START) else 'png'}",
                }
                for i, row in enumerate(self._rows)
            ]
            arrays.append(self._pa.array(cells, self._schema.field(key).type))
        table = self._pa.Table.from_arrays(arrays, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(table))
        self._rows, self._bytes, self._done = [], 0, stop

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def arrow_schema(features: Mapping[str, Mapping[str, Any]]) -> Any:
    """The columns of a table, with what the library `datasets` wants to be told of them."""
    import pyarrow as pa

    fields: list[tuple[str, Any]] = []
    told: dict[str, Any] = {}
    for key, one in features.items():
        if one["dtype"] == "video":
            continue
        value = {"dtype": one["dtype"], "_type": "Value"}
        if one["dtype"] == "image":
            fields.append((key, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
            told[key] = {"_type": "Image"}
            continue
        kind, size = pa.from_numpy_dtype(np.dtype(one["dtype"])), one["shape"][0]
        fields.append((key, kind if size == 1 else pa.list_(kind, size)))
        told[key] = value if size == 1 else {"feature": value, "length": size, "_type": "Sequence"}
    about = json.dumps({"info": {"features": told}})
    return pa.schema([pa.field(*field) for field in fields], metadata={"huggingface": about})


def arrow_array(values: np.ndarray, kind: Any) -> Any:
    """(T,) or (T, D) as a column."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, kind.list_size) if pa.types.is_fixed_size_list(kind) else flat


def _picture(episode: Episode, camera: str, row: int, image: np.ndarray) -> bytes:
    """An ordinary JPEG of colours as it is stored; anything else as PNG, whose pixels are the same."""
    if episode.is_jpeg(camera) and episode.jpeg_order(camera) == "rgb":
        data = episode.jpeg(camera, row)
        if data and _components(data) == 3:
            return data
    done, png = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not done:
        raise VgilError(
            f"{episode.path}: {camera} row {row}: {image.shape} cannot be encoded as PNG; allowed: (H, W, 3) uint8"
        )
    return png.tobytes()


def _components(jpeg: bytes) -> int | None:
    """How many channels the frame header names: 1 of a grey image, which LeRobot reads as (H, W).

    None where there is no such header. Source: ITU-T T.81, B.2.2.
    """
    at = len(JPEG_START)
    while at + 9 < len(jpeg) and jpeg[at] == 0xFF:
        if jpeg[at + 1] in FRAME_HEADERS:
            return jpeg[at + 9]
        at += 1 if jpeg[at + 1] == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return None
