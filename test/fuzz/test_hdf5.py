"""Episode files whose bytes are damaged, or whose structure is none of ours: every command answers, none breaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import fuzz, hostile_hdf5
from support.episodes import made_episodes as demo
from support.paths import EPISODE_GOLDENS as GOLDEN
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeReader
from vgil_ros.training.data.episode_stats import read_episode_stats

SECRET = b"this line of another file must not be copied"
SHORT = 30  # inputs, with a command each; the long run gives each to three
COMMANDS = (
    ("list", "."),
    ("check", "."),
    ("show", "episode_0.hdf5"),
    ("check", "episode_0.hdf5", "--layout", "cobot_magic"),
    ("repair", "episode_0.hdf5"),
    ("convert", "episode_0.hdf5", "out.hdf5", "--rate", "50"),
    ("convert", ".", "out", "--to", "aloha"),
    ("convert", "episode_0.hdf5", "out.hdf5", "--to", "mobile_aloha"),
    ("convert", "episode_0.hdf5", "out.hdf5", "--to", "cobot_magic"),
)
PLOT = ("plot", "episode_0.hdf5", "--out", "plots", "--no-video")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the folder that may be written to."""
    path = tmp_path / "secret.hdf5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["values"] = np.frombuffer(SECRET.ljust(8 * 64, b"."), np.uint8).reshape(8, 64)
        file["group/values"] = file["values"][()]
    with path.open("r+b") as raw:
        raw.write(SECRET)
    return path


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Load here what commands load when they are first used: the workers are forks of this process."""
    pytest.importorskip("matplotlib")
    place = tmp_path_factory.mktemp("warm")
    path = demo.write(place, demo.meta(), 3)
    for command in (("plot", path, "--out", place, "--no-video"), ("check", path), ("list", place)):
        assert CliRunner().invoke(app, ["episodes", *map(str, command)]).exit_code == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The only place that may be written to."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


def try_commands(seed: int, count: int = 3) -> None:
    """Run some commands on `episode_0.hdf5` of the working directory, and read it as training does."""
    rng = np.random.RandomState(seed)
    chosen = [COMMANDS[i] for i in rng.choice(len(COMMANDS), count, replace=False)]
    for command in [*chosen, *([PLOT] if count > 1 and seed % 25 == 0 else [])]:
        result = CliRunner().invoke(app, ["episodes", *command])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in (0, 1, 2), (command, result.exit_code)
    for path in Path().rglob("*"):
        if path.is_file() and path.name not in ("episode_0.hdf5",):
            assert SECRET not in path.read_bytes(), path
    read_episode_stats(Path("episode_0.hdf5"))
    with EpisodeReader(Path("episode_0.hdf5")) as episode:
        for step in episode.timesteps()[-2:]:
            for images in (step.observation.get("images", {}), step.observation.get("depth", {})):
                for name in images:
                    assert images[name].ndim in (2, 3)


def try_bytes(case: tuple[int, bytes], count: int = 3) -> None:
    seed, data = case
    _fresh()
    Path("episode_0.hdf5").write_bytes(data)
    try_commands(seed, count)


def try_structure(case: tuple[int, Path], count: int = 3) -> None:
    seed, secret = case
    _fresh()
    hostile_hdf5.make(Path("episode_0.hdf5"), seed, secret)
    try_commands(seed, count)


def _fresh() -> None:
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def damaged(count: int, made: Path) -> Iterator[tuple[str, tuple[int, bytes]]]:
    """Our own episodes and the peers', with bytes changed; half of the changes lie in the file's own bookkeeping."""
    sources = [demo.write(made, demo.meta(), 12), demo.write(made, demo.meta(storage="raw", has_base=True), 5)]
    sources += sorted(GOLDEN.glob("*.hdf5"))
    for seed in range(count):
        rng = np.random.RandomState(seed)
        source = sources[seed % len(sources)]
        data = source.read_bytes()
        if rng.randint(2):
            cut = min(len(data), 6000)
            data = fuzz.flipped(data[:cut], rng) + data[cut:]
        else:
            data = fuzz.flipped(data, rng)
        yield f"{source.name} seed {seed}", (seed, data)


def _bytes(count: int, folder: Path, secret: Path, commands: int) -> list[fuzz.Outcome]:
    outcomes = fuzz.run(partial(try_bytes, count=commands), damaged(count, folder.parent / "made"), folder=folder)
    _untouched(folder.parent, secret)
    return outcomes


def _structure(count: int, folder: Path, secret: Path, commands: int) -> list[fuzz.Outcome]:
    inputs = [(f"seed {seed}", (seed, secret)) for seed in range(count)]
    outcomes = fuzz.run(partial(try_structure, count=commands), inputs, folder=folder)
    _untouched(folder.parent, secret)
    return outcomes


def _untouched(place: Path, secret: Path) -> None:
    assert {path.name for path in place.iterdir()} <= {"folder", "made", secret.name}
    assert secret.read_bytes().startswith(SECRET)


def test_some_damaged_files(folder: Path, secret: Path) -> None:
    assert not fuzz.failures(_bytes(SHORT, folder, secret, 1))


def test_some_odd_structures(folder: Path, secret: Path) -> None:
    assert not fuzz.failures(_structure(SHORT, folder, secret, 1))


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["bytes", "structure"])
def test_a_thousand(folder: Path, secret: Path, kind: str) -> None:
    outcomes = {"bytes": _bytes, "structure": _structure}[kind](1000, folder, secret, 3)
    print(f"\n{kind}: {fuzz.summary(outcomes)}")
    assert not fuzz.failures(outcomes)
