"""Whatever goes in comes out: any number of rows, joints, cameras, image sizes and repeated frames."""

from __future__ import annotations

import tempfile

import dm_env
import made_episodes as demo
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeReader, EpisodeWriter
from vgil_ros.episodes.checks.check import check_episode

SIZES = st.tuples(st.integers(8, 40), st.integers(8, 40))


@st.composite
def episodes(draw):
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=3))
    cameras = tuple(CameraMeta(n, *draw(SIZES), draw(st.sampled_from(["jpeg", "raw"]))) for n in names)
    streams = tuple(f"s{i}" for i in range(draw(st.integers(0, 3))))
    joints = tuple(f"j{i}" for i in range(draw(st.integers(1, 4))))
    velocity, effort = draw(st.booleans()), draw(st.booleans())
    meta = EpisodeMeta("r", "", 50.0, streams, joints, cameras, has_velocity=velocity, has_effort=effort)
    return meta, draw(st.integers(1, 12)), draw(st.integers(1, 3)), draw(st.integers(0, 2**32 - 1)), draw(st.booleans())


@settings(max_examples=25, deadline=None)
@given(episodes())
def test_round_trip(case):
    meta, rows, hold, seed, with_last = case
    rng = np.random.RandomState(seed)
    numbers = rng.standard_normal((rows + 1, 4, meta.dim)).astype(np.float32)
    skew, flags = rng.randint(-9, 9, (rows, len(meta.streams))), rng.randint(0, 16, (rows, len(meta.streams)))
    frames = {
        c.name: [demo.frame(rng.randint(0, 255, (c.height, c.width, 3)).astype(np.uint8), "rgb8") for _ in range(rows)]
        for c in meta.cameras
    }
    with tempfile.TemporaryDirectory() as folder:
        writer = EpisodeWriter(folder, meta, min_free_bytes=0)
        for t in range(rows + with_last):
            seen = {"qpos": numbers[t, 0]}
            seen.update({"qvel": numbers[t, 1]} if meta.has_velocity else {})
            seen.update({"effort": numbers[t, 2]} if meta.has_effort else {})
            seen["images"] = {name: images[min(t, rows - 1) // hold] for name, images in frames.items()}
            last, row = t == rows, min(t, rows - 1)
            kind = dm_env.StepType.LAST if last else dm_env.StepType.MID if t else dm_env.StepType.FIRST
            writer.append(
                dm_env.TimeStep(kind, None, None, seen),
                None if last else numbers[t, 3],
                stamp_ns=t * 20_000_000,
                skew_ns=skew[row],
                flags=flags[row],
            )
        path = writer.close()
        with EpisodeReader(path) as episode:
            assert episode.camera_names == meta.camera_names
            np.testing.assert_array_equal(episode.qpos, numbers[:rows, 0])
            np.testing.assert_array_equal(episode.action, numbers[:rows, 3])
            for key, i, there in (("qvel", 1, meta.has_velocity), ("effort", 2, meta.has_effort)):
                values = getattr(episode, key)
                assert (values is not None) == there
                assert values is None or np.array_equal(values, numbers[:rows, i])
            if meta.streams:
                np.testing.assert_array_equal(episode.skew_ns, skew)
                np.testing.assert_array_equal(episode.flags, flags)
            steps = episode.timesteps()
            assert len(steps) == rows + with_last
            for t, step in enumerate(steps):
                for camera in meta.cameras:
                    wanted = frames[camera.name][min(t, rows - 1) // hold].array()
                    found = step.observation["images"][camera.name]
                    assert found.shape == wanted.shape
                    if camera.storage == "raw":
                        np.testing.assert_array_equal(found, wanted)
        assert not [f for f in check_episode(path).errors if f.check in ("lengths", "numbers", "jpegs", "colour")]
