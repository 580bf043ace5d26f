"""Statistics of features against their plain definitions, and images' against NumPy over all sampled pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.datasets.lerobot import stats


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_columns(rows: int, width: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    made = stats.of_rows(values, "v3.0")
    assert made["count"].tolist() == [rows]
    np.testing.assert_array_equal(made["min"], values.min(0))
    np.testing.assert_array_equal(made["max"], values.max(0))
    np.testing.assert_allclose(made["mean"], values.mean(0, dtype=np.float64), atol=1e-6)
    np.testing.assert_allclose(made["std"], values.std(0, dtype=np.float64), atol=2e-3)
    if rows > 1:
        quantiles = np.stack([made[key] for key in stats.QUANTILES])
        assert np.all(np.diff(quantiles, axis=0) >= 0)
        assert np.all(quantiles >= values.min(0) - 1e-6)
        assert np.all(quantiles <= values.max(0) + 1e-6)


def test_v21_is_numpy() -> None:
    values = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    made = stats.of_rows(values, "v2.1")
    assert set(made) == {"min", "max", "mean", "std", "count"}
    np.testing.assert_array_equal(made["std"], values.std(0))


@pytest.mark.parametrize("size", [(16, 24), (301, 200), (240, 320)])
def test_images(size: tuple[int, int]) -> None:
    images = np.random.default_rng(2).integers(3, 250, (5, *size, 3), np.uint8)
    made = stats.ImageStats()
    for image in images:
        made.add(image)
    step = 1 if max(size) < 300 else int(size[1] / 150) if size[1] > size[0] else int(size[0] / 150)
    seen = images[:, ::step, ::step].reshape(-1, 3).astype(np.float64) / 255
    result = made.result("v3.0")
    assert result["mean"].shape == (3, 1, 1)
    for key, wanted in (("min", seen.min(0)), ("max", seen.max(0)), ("mean", seen.mean(0)), ("std", seen.std(0))):
        np.testing.assert_allclose(result[key].ravel(), wanted, atol=1e-9)
    np.testing.assert_allclose(result["q50"].ravel(), np.quantile(seen, 0.5, axis=0), atol=0.01)


def test_merged_is_of_all_rows() -> None:
    random = np.random.default_rng(3)
    parts = [random.normal(size=(rows, 2)) for rows in (5, 9, 30)]
    whole = stats.merge({"x": stats.of_rows(part, "v3.0")} for part in parts)["x"]
    assert list(whole) == list(stats.of_rows(parts[0], "v3.0")), "in one order, whatever strings hash to"
    rows = np.concatenate(parts)
    np.testing.assert_allclose(whole["mean"], rows.mean(0), atol=1e-12)
    np.testing.assert_allclose(whole["std"], rows.std(0), atol=1e-9)
    assert whole["count"].tolist() == [44]
