"""`vgil dataset check` as a person types it: exit codes, the page, the clean set, and what is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from support.episodes import made_sets as made
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import open_source

SEED = 31


def vgil(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["dataset", "check", *map(str, words), "--chunk", "25", "--workers", "1"])
    return done.exit_code, done.output


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.hdf5"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clean episodes, one with a jump, and one with NaN."""
    where = tmp_path_factory.mktemp("cli") / "data"
    demos = made.demonstrations(11, SEED)
    for i, demo in enumerate(demos):
        one = made.make(replace(demo, rows=np.maximum(demo.rows // 2, 2)), SEED)  # half as long
        if i == 9:
            one.qpos[30:34, 1] += 0.3
        if i == 10:
            one.qpos[20, 0] = np.nan
        made.write(one, where, i)
    return where


class Page(HTMLParser):
    """What a page holds: its tags' counts, ids, and images that lie elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.elsewhere: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        source = given.get("src")
        if source is not None and not source.startswith("data:"):
            self.elsewhere.append(source)


def test_a_check_from_beginning_to_end(folder: Path, tmp_path: Path) -> None:
    before = hashes(folder)
    page, report, good = tmp_path / "page.html", tmp_path / "report.json", tmp_path / "good"
    code, said = vgil(folder, "--fail-on", "warn", "--report", page, "--json", report, "--keep-good", good)
    assert code == 1, said
    assert "episode_9: " in said
    assert "warning: arm/shoulder: qpos jumps by 0.3" in said
    assert "    -> look for lost rows" in said
    assert "9 of 11 episodes in" in said
    assert hashes(folder) == before, "the source stays as it is"
    assert hashes(good) == {name: digest for name, digest in before.items() if name[8:-5] not in ("9", "10")}
    told = json.loads(report.read_text())
    assert [one["name"] for one in told["episodes"]] == [f"episode_{i}" for i in range(11)]
    assert any(finding["check"] == "jump" and finding["advice"] for finding in told["episodes"][9]["findings"])
    text = page.read_text()
    shown = Page(text)
    assert shown.elsewhere == []
    assert {"e9", "e10"} <= set(shown.ids)
    assert shown.tags.count("img") == 1 + 2 * 2, "distributions, and two cameras of each flagged episode"
    assert "Worst first" in text


def test_exit_codes(folder: Path, tmp_path: Path) -> None:
    assert vgil(folder)[0] == 1, "NaN is an error"
    good = tmp_path / "good"
    code, said = vgil(folder, "--keep-good", good)
    assert code == 1
    assert "10 of 11 episodes in" in said, "a warning alone leaves an episode in, unless it is asked for"
    assert vgil(good)[0] == 0
    assert vgil(good, "--fail-on", "warn")[0] == 1


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for words, told in (
        ((tmp_path / "none",), "no such file or folder"),
        ((tmp_path / "full",), "holds no data set"),
        ((folder, "--fail-on", "bad"), "--fail-on is 'bad'; allowed: ['error', 'warn']"),
        ((folder, "--keep-good", tmp_path / "full"), "is there already"),
        ((folder, "--keep-good", folder / "good"), "lies within the data set"),
        ((folder, "--layout", "nonsense"), "--layout is 'nonsense'"),
        ((folder, "--validation", "2"), "--validation"),
    ):
        code, said = vgil(*words)
        assert code == 2, said
        assert told in " ".join(said.split()), said
        assert "Traceback" not in said


@pytest.mark.parametrize("to", ["lerobot_v3", "zarr", "mobile_aloha"])
def test_every_kind_of_source(folder: Path, tmp_path: Path, to: str) -> None:
    for module in ("pyarrow", "av", "zarr"):
        pytest.importorskip(module)
    names = tuple(f"episode_{i}" for i in range(10))  # without the one that has NaN
    images = "png" if to.startswith("lerobot") else None
    convert_dataset(Plan(source=folder, to=to, images=images, only=names), tmp_path / "set")
    good = tmp_path / "good"
    code, said = vgil(tmp_path / "set", "--fail-on", "warn", "--keep-good", good)
    assert code == 1, said
    assert "episode_9: " in said
    assert "qpos jumps by 0.3" in said
    assert "10 episodes, 1 with findings" in said
    kept = open_source(good)
    assert len(kept.names()) == 9
    with kept.open(4) as ours, open_source(tmp_path / "set").open(4) as theirs:
        np.testing.assert_array_equal(ours.qpos, theirs.qpos)
        np.testing.assert_array_equal(ours.image("top", 3), theirs.image("top", 3))
