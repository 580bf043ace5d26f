"""Checkpoints by name: those that come with the package, and how a path wins over a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgil_ros import assets


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one checkpoint, and an empty folder to stand in."""
    folder = tmp_path / "share" / "models" / "picker"
    folder.mkdir(parents=True)
    (folder / "policy.json").write_text("{}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(assets, "share_dir", lambda: tmp_path / "share")
    return folder


def test_a_name_is_looked_up_in_models(shipped: Path) -> None:
    assert assets.checkpoint_path("picker") == shipped
    assert assets.checkpoint_path(Path("picker")) == shipped


def test_a_folder_of_that_path_wins(shipped: Path) -> None:
    Path("picker").mkdir()
    assert assets.checkpoint_path("picker") == Path("picker")


@pytest.mark.parametrize("given", ["nobody", "notes", "runs/picker", "/nowhere/picker"])
def test_anything_else_stays_as_it_is(shipped: Path, given: str) -> None:
    """So that the error of loading it names what was asked for."""
    assert assets.checkpoint_path(given) == Path(given)


def test_home_is_expanded(shipped: Path) -> None:
    assert assets.checkpoint_path("~/picker") == Path.home() / "picker"
