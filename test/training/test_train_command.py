"""`vgil train`: from folders to a checkpoint, and on with it."""

from __future__ import annotations

import json
from pathlib import Path

import typer
import yaml
from support.training import Tree
from typer.testing import CliRunner, Result

from vgil_ros.cli.train import train
from vgil_ros.core.errors import VgilError


def _call(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(train)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_train_then_resume(tree: Tree, episodes: Path, tmp_path: Path) -> None:
    values = tree(episodes, steps=2)
    del values["data"], values["out"]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    out, report = tmp_path / "out", tmp_path / "report.json"
    done = _call(
        "--config", tmp_path / "tiny.yaml", "--data", episodes, "--out", out, "--json", report,
        "data.workers=0", "optimizer.lr=2e-4",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "of the time waiting for data" in done.output
    assert json.loads(report.read_text())["steps"] == 2
    assert yaml.safe_load((out / "config.yaml").read_text())["optimizer"]["lr"] == 2e-4
    again = _call("--resume", out, "data.workers=0")
    assert again.exit_code == 0, again.output
    refused = _call("--resume", out, "--batch-size", 9)
    assert isinstance(refused.exception, VgilError)
    assert "batch_size cannot be given" in str(refused.exception)
    longer = _call("--resume", out, "--steps", 4, "--json", report, "data.workers=0")
    assert longer.exit_code == 0, longer.output
    assert json.loads(report.read_text())["steps"] == 4
    assert yaml.safe_load((out / "config.yaml").read_text())["steps"] == 4
    shorter = _call("--resume", out, "--steps", 3)
    assert "steps is 3; allowed: 4" in str(shorter.exception)
    nowhere = _call("--resume", tmp_path)
    assert "holds no config.yaml" in str(nowhere.exception)
