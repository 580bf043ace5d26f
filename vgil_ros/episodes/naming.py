"""Numbers and names of episodes in a folder. A number is claimed by making its `.part`; nothing is ever overwritten.

An episode that could not be recorded to its end lies apart, as `aborted/episode_N.hdf5.aborted`: a name that no
reader's pattern takes, neither `episode_*.hdf5` nor a search for `*.hdf5` through all folders (act-plus-plus, RDT).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from vgil_ros.episodes.errors import EpisodeError, WriteFailed

EPISODE = re.compile(r"^episode_(\d+)\.hdf5(\.part|\.aborted)?$")
PART = ".part"
KEPT = ".kept"  # behind a `.part` whose whole rows are in another file, for who wants to look for more in it
ABORTED = ".aborted"
ABORTED_FOLDER = "aborted"
LOG = ".mcap"  # a raw log's; it has the name of its episode
HALF = ".half"  # behind the hidden name of what is being made, and is no episode before it has its own name
_NUMBERED = re.compile(r"^episode_(\d+)\.(hdf5|mcap)(\.part(\.kept)?|\.aborted)?$")
HOLD_TRIES, HOLD_PAUSE_S = 20, 0.002
# file systems without hard links (FAT, some network shares) answer with one of these
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def number_of(path: Path) -> int | None:
    """Return N of `episode_N.hdf5`, `.part` or `.aborted` behind it or not, or None."""
    match = EPISODE.match(path.name)
    return int(match[1]) if match else None


def log_of(episode: Path) -> Path:
    """Return where an episode's raw log lies, if it has one: `episode_N.mcap`, with `.part` or `.aborted` behind it as
    the episode's own name has."""
    stem, _, rest = episode.name.partition(".hdf5")
    return episode.with_name(f"{stem}{LOG}{rest}")


def taken_numbers(folder: Path) -> Iterator[int]:
    """The numbers that episodes of a folder have, or logs of ones that are gone."""
    for path in folder.iterdir():
        if match := _NUMBERED.match(path.name):
            yield int(match[1])


def episodes_in(folder: Path) -> list[Path]:
    """Return the saved episodes of a folder by their number, then any other `.hdf5` by name.

    Hidden files are left out: macOS puts a `._NAME` beside each file on disks of other systems.
    """
    return _sorted(path for path in folder.iterdir() if path.suffix == ".hdf5" and is_visible(path) and path.is_file())


def aborted_in(folder: Path) -> list[Path]:
    """Return the episodes of a folder that were not recorded to their end and lie apart."""
    apart = folder / ABORTED_FOLDER
    return _sorted(filter(is_visible, apart.glob(f"*{ABORTED}"))) if apart.is_dir() else []


def newest_in(folder: Path) -> Path | None:
    """Return the saved episode with the highest number, or None."""
    numbered = [path for path in episodes_in(folder) if number_of(path) is not None] if folder.is_dir() else []
    return numbered[-1] if numbered else None


def parts_in(folder: Path) -> list[Path]:
    """Return what is being recorded in a folder, or was left by a recorder that was killed."""
    return _sorted(filter(is_visible, folder.glob(f"*.hdf5{PART}")))


def logs_left_in(folder: Path) -> list[Path]:
    """Return the raw logs of a folder that are not finished, though their episodes are."""
    logs = (path for path in filter(is_visible, folder.glob(f"*{LOG}{PART}")) if path.is_file())
    episodes = ((path, path.with_name(f"{path.name[: -len(LOG + PART)]}.hdf5")) for path in logs)
    return _sorted(
        log for log, episode in episodes if episode.exists() and not episode.with_name(episode.name + PART).exists()
    )


def left_behind(folder: Path) -> list[Path]:
    """Return the parts of a folder that no living recorder holds."""
    left = []
    for part in parts_in(folder):
        with contextlib.suppress(EpisodeError, OSError), not_being_written(part):
            left.append(part)
    return left


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (number_of(path) is None, number_of(path) or 0, path.name))


def logs_in(folder: Path) -> list[Path]:
    """Return the MCAPs of a folder by their number, then any other by name."""

    def key(path: Path) -> tuple[bool, int, str]:
        match = _NUMBERED.match(path.name)
        return match is None, int(match[1]) if match else 0, path.name

    return sorted((path for path in folder.glob(f"*{LOG}") if is_visible(path) and path.is_file()), key=key)


def is_gone(path: Path) -> bool:
    """Whether nothing lies there any more; False too where the disk does not say, as a network folder that is away."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def is_visible(path: Path) -> bool:
    """Whether a file's name does not begin with a dot."""
    return not path.name.startswith(".")


def claim(folder: Path) -> Path:
    """Make the `.part` of the next free number in a folder, and the folder where it is missing.

    Two recorders on one folder never get the same number: the file is made with O_EXCL.

    Raises:
        WriteFailed: where the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max(taken_numbers(folder), default=-1)
        while True:
            part = folder / f"episode_{number}.hdf5{PART}"
            number += 1
            try:
                os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                continue
            if not final_of(part).exists():
                return part
            part.unlink()  # another recorder saved this number since the folder was listed
    except OSError as error:
        raise WriteFailed(f"{folder}: cannot be written ({error.strerror}); allowed: a folder one may write") from error


def final_of(part: Path) -> Path:
    """Return the name that a `.part` gets when it is saved."""
    return part.with_name(part.name[: -len(PART)])


def aborted_of(part: Path) -> Path:
    """Return the name that a `.part` gets when it is kept apart, and make the folder.

    Raises:
        OSError: where that cannot be made.
    """
    folder = part.parent / ABORTED_FOLDER
    folder.mkdir(exist_ok=True)
    return next_free(folder / f"episode_0.hdf5{ABORTED}")


def next_free(final: Path) -> Path:
    """Return the name after every episode, `.part` and raw log of a file's folder, for another of its kind."""
    return with_number(final, 1 + max(taken_numbers(final.parent), default=-1))


def with_number(path: Path, number: int) -> Path:
    """Return the name beside a file that one of its kind has with a number."""
    kind = LOG if LOG in path.suffixes else ".hdf5"
    state = next((state for state in (ABORTED, PART) if path.name.endswith(state)), "")
    return path.with_name(f"episode_{number}{kind}{state}")


def put_aside(part: Path) -> Path:
    """Give a `.part` a name under which nobody repairs it again; return where it lies now."""
    kept = part.with_name(part.name + KEPT)
    try:
        publish(part, kept)
    except OSError:  # it stays where it was: nothing of it is lost
        return part
    return kept


def publish(part: Path, final: Path) -> None:
    """Give a finished file its name, in one step, never over another file.

    Raises:
        FileExistsError: when the name is taken; the part stays as it is.
    """
    try:
        os.link(part, final)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        os.replace(part, final)  # over our own empty claim
    else:
        part.unlink()
    sync_folder(final.parent)


def publish_free(part: Path, wanted: Path) -> Path:
    """Publish under a name, or under the next free one where it is taken; return it."""
    while True:
        try:
            publish(part, wanted)
            return wanted
        except FileExistsError:
            wanted = next_free(wanted)


def hold(part: Path) -> int:
    """Mark a `.part` as being written as long as this process lives, or the handle that is returned is open."""
    handle = os.open(part, os.O_RDONLY)
    for _ in range(HOLD_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody looks whether it is being written, which takes a moment
            time.sleep(HOLD_PAUSE_S)
        except OSError:  # a file system without locks
            break
        else:
            break
    return handle


def lock(path: Path) -> int:
    """Open a file, made where it is missing, and lock it until the handle is closed or this process ends.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be made.
    """
    return _locked(os.open(path, os.O_RDWR | os.O_CREAT, 0o644))


def lock_folder(folder: Path) -> int:
    """As `lock`, of a folder that is there."""
    return _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


def _locked(handle: int) -> int:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without locks
        pass
    return handle


@contextlib.contextmanager
def not_being_written(part: Path) -> Iterator[None]:
    """Hold a file that nobody records to.

    Raises:
        EpisodeError: when it is missing, or a living recorder holds it.
    """
    if not part.is_file():
        raise EpisodeError(f"{part}: no such file")
    handle = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise EpisodeError(
            f"{part}: is still being recorded, or open in another program; stop the recorder first"
        ) from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Bring a file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, so that a saved name survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems sync no folders; the name is there all the same
            os.fsync(handle)
    finally:
        os.close(handle)
