"""Tiny trainings: golden episodes and made-up ones, a small ACT, and caches of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.training import TINY

LAYOUTS = ("act_plus_plus", "act_sim", "aloha", "cobot_magic", "mobile_aloha", "vgil_single_arm")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., dict]:
    """Makes a configuration's tree: `tree(folder, **changes)` with dotted keys as `a__b`."""

    def make(folder: Path | list[Path], **changes: Any) -> dict:
        out: dict[str, Any] = {
            "policy": dict(TINY),
            "data": {"folders": [str(f) for f in (folder if isinstance(folder, list) else [folder])], "workers": 0},
            "out": str(tmp_path / "run"),
            "steps": 4,
            "precision": "fp32",  # the same figures on every machine
            "batch_size": 4,
            "schedule": {"warmup_steps": 2},
            "checkpoint": {"every": 2},
            "log": {"every": 1, "tensorboard": False},
        }
        for key, value in changes.items():
            inner: dict[str, Any] = out
            *parents, name = key.split("__")
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[name] = value
        return out

    return make


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    """Three episodes of ours, JPEG, of 7, 9 and 11 rows."""
    from support.episodes import made_episodes as demo

    folder = tmp_path / "episodes"
    for rows in (7, 9, 11):
        demo.write(folder, demo.meta(), rows)
    return folder


@pytest.fixture
def environment() -> dict[str, str]:
    """For processes started by tests."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
