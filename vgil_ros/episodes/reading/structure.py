"""The structure of an HDF5 file: its groups and datasets, walked once, and nothing in it that leads to another file.

HDF5 lets a file name other files of the computer as its own content: external links, virtual datasets, raw data in
external storage. Whoever converts or repairs such a file would copy what those hold. No episode needs them, so none is
ever followed: a file that has one is refused. Groups that hold themselves would be walked for ever, and a shape may
claim any number of rows: both are held against what is really there.

Source: HDF5 File Format Specification 3.0, IV.A.2.g (links), i (data layout), h (external data files).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np

from vgil_ros.episodes.errors import EpisodeError

MOST_OBJECTS, DEEPEST = 2048, 16
UNCOUNTED_BYTES = 1 << 18  # counting the chunks of small arrays would be most of the work of opening a file
FEW_CHUNKS = 1024  # counted in any case; to count walks all of the index, a microsecond a chunk
IMAGES = "observations/images"
LEAST_JPEG = 100  # bytes; no JPEG is shorter
OUR_NAMES = {"action", "base_action", "compress_len", "final_observation", "observations", "sync", "timesteps"}
OUR_NAMES |= {"intervention", "actor", "policy_action", "human_action"}
GLIMPSED = ("action", "observations/qpos")  # with the images, what a list is made of
FREE_BYTES = 64 << 20  # an array up to this size is read, whatever the file's length


@dataclass(frozen=True)
class Stored:
    """A dataset as the file describes it; none of its content has been read.

    Attributes:
        shape: as claimed; () for a scalar or an empty dataset.
        dtype: numpy's type of its values.
        chunk: shape of a chunk, or None where it is stored in one piece.
        chunks: how many chunks are in the file; None where nobody counted, since it is small or in one piece, or has
            many and the file is long enough for all of them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, ...] | None = None
    chunks: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes that all of it would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        """Return type and shape."""
        return f"{self.dtype} {self.shape}"


@dataclass(frozen=True)
class Structure:
    """What is in a file, by path without a leading "/".

    Attributes:
        datasets: every dataset, also behind a soft link within the file.
        groups: every group but the root.
        broken: what cannot be opened, with the reason.
        length: bytes of the file.
    """

    length: int
    datasets: dict[str, Stored] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)

    def children(self, group: str) -> dict[str, Stored | None]:
        """Return what lies directly in a group, by name, in the alphabet's order: a dataset, or None for a group."""
        found: dict[str, Stored | None] = {}
        for path in (*self.groups, *self.datasets):
            above, _, name = path.rpartition("/")
            if above == group:
                found[name] = self.datasets.get(path)
        return dict(sorted(found.items()))

    def disbelief(self, path: str, *, by_row: bool = False, cut: bool = False) -> str | None:
        """Return why a dataset's claimed size is not believed, or None.

        Args:
            path: the dataset.
            by_row: whether it is read row by row; then its rows must be in the file, and a row may not be too large.
            cut: whether rows may be missing, as in a file that was cut off.
        """
        stored = self.datasets[path]
        axis = 1 if path == "compress_len" and len(stored.shape) == 2 else 0
        row = math.prod(stored.shape[1:]) * stored.dtype.itemsize
        most = max(FREE_BYTES, self.length)
        claimed = row if by_row else stored.bytes
        chunk = math.prod(stored.chunk or ()) * stored.dtype.itemsize if stored.chunk else 0
        if max(claimed, chunk) > most:
            return f"claims {max(claimed, chunk)} bytes{' a row' if by_row else ''}; the file has {self.length}"
        if cut or not stored.shape or stored.shape[axis] == 0:
            return None
        if math.prod(stored.shape) == 0:
            return f"has rows without a value, {stored}; allowed: at least one"
        if stored.chunk is None:
            return (
                None
                if stored.bytes <= self.length
                else f"claims {stored.shape[axis]} rows of {row} bytes; the file has {self.length}"
            )
        if stored.chunks is None:
            return None
        held = stored.chunks * stored.chunk[axis]
        if stored.shape[axis] > held:
            return f"claims {stored.shape[axis]} rows; the file holds {min(held, stored.shape[axis])} of them"
        return None


def survey(file: h5py.File, path: Path, length: int) -> Structure:
    """Walk a file.

    Args:
        file: open for reading.
        path: what to call it in errors.
        length: its bytes.

    Raises:
        EpisodeError: where it names other files, has groups that hold themselves, or is nested or filled without end.
    """
    walk = _Walk(path, Structure(length))
    walk.group(file.id, "", ())
    if walk.leads_out:
        raise EpisodeError(
            f"{path}: {'; '.join(walk.leads_out[:4])}; allowed: data in the file itself (other files are never read)"
        )
    for name, target in walk.soft.items():
        walk.follow(file.id, name, target)
    walk.count_where_implausible()
    return walk.structure


def glimpse(file: h5py.File, path: Path, length: int) -> Structure:
    """Look at positions, actions and images alone, for who lists a thousand files; arguments as of `survey`.

    Raises:
        EpisodeError: they are not as our writer leaves them; `survey` finds out what they are.
    """
    walk = _Walk(path, Structure(length))
    for name in _links_of_ours(file, path):
        if name in GLIMPSED or name.startswith((f"{IMAGES}/", f"{IMAGES}_depth/")):
            walk.item(h5py.h5o.open(file.id, name.encode("utf-8", "surrogateescape")), name)
    if walk.leads_out:
        raise EpisodeError(f"{path}: has data in other files; allowed: data in the file itself")
    walk.count_where_implausible()
    return walk.structure


def _links_of_ours(file: h5py.File, path: Path) -> list[str]:
    """All that the file's groups hold, by path, in one pass of HDF5's own; none of it is opened here.

    Raises:
        EpisodeError: there is what our writer makes none of: a link of another kind than to data of its own, another
            name beside ours, or one thing under two names.
    """
    found: dict[int, str] = {}

    def look(raw: bytes, info: h5py.h5l.LinkInfo) -> None:  # HDF5 gives the same `info` each time
        name = _text(raw)
        plain = info.type == h5py.h5l.TYPE_HARD and name.isprintable() and ("/" in name or name in OUR_NAMES)
        if not plain or int(info.u) in found or len(found) >= MOST_OBJECTS:
            raise EpisodeError(f"{path}: found '{name}'; allowed: groups and data of our writer's, each once")
        found[int(info.u)] = name

    file.id.links.visit(look, info=True)
    return list(found.values())


class _Walk:
    """One pass over the links of a file; soft links wait until it is known that none can leave the file."""

    def __init__(self, path: Path, structure: Structure) -> None:
        self.path, self.structure = path, structure
        self.leads_out: list[str] = []
        self.soft: dict[str, str] = {}
        self._many: dict[str, h5py.h5d.DatasetID] = {}
        self._seen: dict[int, str] = {}
        self._objects = 0

    def group(self, group: h5py.h5g.GroupID, at: str, above: tuple[int, ...]) -> None:
        """Look at each link of a group; `above` are the addresses from below the root to it."""
        if len(above) > DEEPEST:
            raise EpisodeError(f"{self.path}: '{at}' is nested deeper than {DEEPEST}; allowed: groups within groups")
        self._objects += group.get_num_objs()
        if self._objects > MOST_OBJECTS:
            raise EpisodeError(f"{self.path}: holds {self._objects} objects; allowed: up to {MOST_OBJECTS}")
        for raw in list(group):
            name = f"{at}/{_text(raw)}" if at else _text(raw)
            if not name.isprintable():
                raise EpisodeError(f"{self.path}: holds the name {name!a}; allowed: names that can be printed")
            self._or_broken(name, lambda raw=raw, name=name: self._link(group, raw, name, above))  # type: ignore[misc]

    def item(self, item: object, name: str) -> None:
        """Look at a dataset; of a group its name alone is taken down."""
        if isinstance(item, h5py.h5d.DatasetID):
            self._dataset(item, name)
        elif isinstance(item, h5py.h5g.GroupID):
            self.structure.groups.append(name)

    def _or_broken(self, name: str, look: Callable[[], None]) -> None:
        try:
            look()
        except EpisodeError:
            raise
        except Exception as error:  # whatever HDF5 or h5py stumbles over in a damaged file
            self.structure.broken[name] = f"cannot be opened, the file is damaged there ({error})"

    def _link(self, group: h5py.h5g.GroupID, raw: bytes, name: str, above: tuple[int, ...]) -> None:
        info = group.links.get_info(raw)
        kind = info.type
        if kind == h5py.h5l.TYPE_SOFT:
            self.soft[name] = _text(group.links.get_val(raw))
        elif kind == h5py.h5l.TYPE_EXTERNAL:
            other, inside = group.links.get_val(raw)
            self.leads_out.append(f"'{name}' is a link to '{_text(inside)}' in the file '{_text(other)}'")
        elif kind == h5py.h5l.TYPE_HARD:
            self._object(h5py.h5o.open(group, raw), int(info.u), name, above)
        else:
            self.leads_out.append(f"'{name}' is a link of the unknown kind {kind}")

    def _object(self, item: object, address: int, name: str, above: tuple[int, ...]) -> None:
        if isinstance(item, h5py.h5d.DatasetID):
            self._dataset(item, name)
        elif isinstance(item, h5py.h5g.GroupID):
            if address in above:
                raise EpisodeError(f"{self.path}: the group '{name}' holds itself; allowed: groups within groups")
            if address in self._seen:
                raise EpisodeError(
                    f"{self.path}: '{name}' and '{self._seen[address]}' are one group; allowed: each group once"
                )
            self._seen[address] = name
            self.structure.groups.append(name)
            self.group(item, name, (*above, address))

    def _dataset(self, item: h5py.h5d.DatasetID, name: str) -> None:
        made = item.get_create_plist()
        layout = made.get_layout()
        if layout == h5py.h5d.VIRTUAL:
            self.leads_out.append(f"'{name}' is a virtual dataset, whose values lie in other files")
        elif made.get_external_count():
            other = _text(made.get_external(0)[0])
            self.leads_out.append(f"'{name}' has its values in the file '{other}'")
        else:
            shape = item.shape  # each time h5py asks anew
            shape = () if shape is None else tuple(map(int, shape))
            chunk = tuple(map(int, made.get_chunk())) if layout == h5py.h5d.CHUNKED else None
            self.structure.datasets[name] = self._counted(item, name, Stored(shape, item.dtype, chunk))

    def _counted(self, item: h5py.h5d.DatasetID, name: str, stored: Stored) -> Stored:
        if stored.chunk is None or (stored.bytes <= UNCOUNTED_BYTES and not name.startswith(IMAGES)):
            return stored
        parts = zip(stored.shape, stored.chunk, strict=True)
        if math.prod(-(-long // part) for long, part in parts) <= FEW_CHUNKS:
            return Stored(stored.shape, stored.dtype, stored.chunk, _chunks(item))
        self._many[name] = item
        return stored

    def count_where_implausible(self) -> None:
        """Count the chunks of long datasets too, where the file is too short for all that its datasets claim."""
        datasets = self.structure.datasets
        if sum(_least(name, stored) for name, stored in datasets.items()) <= self.structure.length:
            return
        for name, item in self._many.items():
            datasets[name] = replace(datasets[name], chunks=_chunks(item))

    def follow(self, root: h5py.h5g.GroupID, name: str, target: str) -> None:
        """Take a soft link to a dataset of the file as that dataset."""

        def look() -> None:
            item = h5py.h5o.open(root, name.encode("utf-8", "surrogateescape"))
            if not isinstance(item, h5py.h5d.DatasetID):
                raise EpisodeError(f"{self.path}: '{name}' is a link to the group '{target}'; allowed: to a dataset")
            self._dataset(item, name)

        self._or_broken(name, look)
        if name in self.structure.broken:
            self.structure.broken[name] = f"is a link to '{target}', which the file does not have"


def _least(name: str, stored: Stored) -> int:
    """Bytes that a dataset takes at least; what lies behind a JPEG in its row is never written."""
    if name.startswith(f"{IMAGES}/") and stored.dtype == np.uint8 and len(stored.shape) == 2:
        return stored.shape[0] * LEAST_JPEG
    return stored.bytes


def _chunks(item: h5py.h5d.DatasetID) -> int:
    """Return how many chunks are in the file: none where their index is damaged or cut off."""
    try:
        return int(item.get_num_chunks())
    except (OSError, RuntimeError, ValueError):
        return 0


def _text(raw: bytes | str) -> str:
    """A name as h5py itself gives it: what is no UTF-8 is kept by surrogates, and shown escaped."""
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
