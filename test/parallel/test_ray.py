"""Work over episodes on a cluster of two Ray nodes, both on this machine: the same results in the same order."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.episodes import made_episodes as made
from support.episodes.comparing import differences
from support.evaluation.sources import tiny_act
from support.spread_work import Squares
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.verify import verify
from vgil_ros.parallel import WorkerKilled, executor
from vgil_ros.policies.optical_flow import FlowField, FlowSettings
from vgil_ros.training.data.flow_cache import flow_dir, make_flow_cache
from vgil_ros.training.data.scan import scan_folder

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed (pip install 'vgil_ros[ray]')"
)
HERE = Path(__file__).resolve().parents[2]


def _ray(*words: str, **environment: str) -> None:
    path = os.pathsep.join([str(HERE), str(HERE / "test"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", *words],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path, **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a head and a second node, with one CPU each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="vr"))  # sockets' paths are short
    address = f"127.0.0.1:{port}"
    usual = ("--num-cpus", "1", "--num-gpus", "0", "--object-store-memory", "100000000", "--disable-usage-stats")
    head = ("start", "--head", "--port", str(port), "--node-ip-address", "127.0.0.1", "--temp-dir", str(folder))
    try:
        _ray(*head, "--include-dashboard", "false", *usual)
        _ray("start", "--address", address, *usual)
        yield address
    finally:
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _stop(folder: Path) -> None:
    """End the processes of this cluster alone, which all name its folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            try:
                os.kill(int(process.name), 9)
            except OSError:
                continue


def vgil(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.stdout


def test_results_come_in_order_from_both_nodes_and_the_killed_are_named(cluster: str, tmp_path: Path) -> None:
    work = Squares(tmp_path, slow=(0,), bad=(3,), deadly=(5,), seconds=0.05)
    with executor(ray=cluster) as pool:
        assert pool.workers == 2
        outcomes = list(pool.map(work, range(9)))
    assert [outcome.item for outcome in outcomes] == list(range(9))
    assert [outcome.result()[0] for outcome in outcomes if outcome.error is None] == [0, 1, 4, 16, 36, 49, 64]
    assert str(outcomes[3].error) == "3: cannot be squared"
    killed = outcomes[5].error
    assert isinstance(killed, WorkerKilled)
    assert str(killed).startswith("number 5: the process ")
    with executor(ray=cluster) as pool, pytest.raises(ZeroDivisionError, match="2 is a fault"):
        list(pool.map(Squares(tmp_path, fault=(2,)), range(4)))
    with executor(ray=cluster) as pool, pytest.raises(VgilError, match="nothing can be squared"):
        list(pool.map(Squares(tmp_path, broken=True), range(4)))


def test_a_cluster_that_is_too_small_or_not_there_is_named(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(VgilError, match=r"--workers is 9; the cluster at \S+ has 2 CPUs"), executor(9, cluster):
        pass
    with (
        pytest.raises(VgilError, match=r"--ray 127\.0\.0\.1:1: no cluster answers there"),
        executor(2, "127.0.0.1:1"),
    ):
        pass


def test_check_and_convert_say_and_write_what_one_process_does(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (6, 8, 4):
        made.write(tmp_path / "data", made.meta(), rows)
    monkeypatch.chdir(tmp_path)
    assert vgil("episodes", "check", "data") == vgil("episodes", "check", "data", "--ray", cluster)
    vgil("dataset", "convert", "data", "here", "--to", "lerobot_v2.1", "--workers", 1)
    vgil("dataset", "convert", "data", "there", "--to", "lerobot_v2.1", "--ray", cluster)
    assert verify(Path("there")) == []
    tables = [
        sorted(path.relative_to(out).as_posix() for path in Path(out).rglob("*.parquet")) for out in ("here", "there")
    ]
    assert tables[0] == tables[1]
    assert [(Path("here") / one).read_bytes() for one in tables[0]] == [
        (Path("there") / one).read_bytes() for one in tables[0]
    ]
    assert "3 of 3 converted" in vgil("episodes", "convert", "data", "peers", "--to", "aloha", "--ray", cluster)


def test_demonstrations_and_rollouts_are_those_of_one_process(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out, more in (("one", ()), ("two", ("--ray", cluster))):
        vgil("episodes", "generate", "--out", out, "--episodes", 3, "--seed", 4, "--episode-len", 30, *more)
    for number in range(3):
        assert differences(Path(f"one/episode_{number}.hdf5"), Path(f"two/episode_{number}.hdf5")) == []
    checkpoint = tiny_act(tmp_path / "tiny")
    reports = []
    for name, more in (("one", ()), ("two", ("--ray", cluster))):
        file = tmp_path / f"{name}.json"
        vgil("eval", "--checkpoint", checkpoint, "--episodes", 3, "--episode-len", 30, "--json", file, *more)
        report = json.loads(file.read_text())
        del report["machine"]
        reports.append(report)
    assert reports[0] == reports[1]


def test_flow_is_that_of_one_process(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (6, 8):
        made.write(tmp_path / "data", made.meta(), rows)
    found = []
    for name, ray in (("one", None), ("two", cluster)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        stats = scan_folder(tmp_path / "data")
        cameras = tuple(stats[0].cameras)
        assert make_flow_cache(stats, cameras, (1,), FlowField(FlowSettings()), limit=1 << 30, ray=ray) is not None
        found.append({file.name: np.load(file) for file in sorted(flow_dir().glob("*.npy"))})
    assert list(found[0]) == list(found[1])
    for file, flow in found[0].items():
        np.testing.assert_array_equal(flow, found[1][file])
