"""Write the small episode files in episodes/: one per HDF5 layout that is met in the field.

Layouts as their writers leave them on disk (reference/episode_formats.md). Needs numpy, h5py and
opencv. Every array follows from SEED, so a test can recompute what a reader must return.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import cv2
import h5py
import numpy as np

SEED, T, H, W = 3, 6, 48, 64
ALOHA_CAMS = ["cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist"]
MOBILE_CAMS = ["cam_high", "cam_left_wrist", "cam_right_wrist"]


def image(rs: np.random.RandomState) -> np.ndarray:
    """A smooth RGB image (H, W, 3) uint8 whose channels differ, so that a swap shows."""
    im = cv2.GaussianBlur(rs.randint(0, 256, (H, W, 3)).astype(np.uint8), (0, 0), 6)
    im = cv2.normalize(im, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return (im * np.array([1.0, 0.6, 0.3])).astype(np.uint8)


def arrays(cams: list[str], dim: int = 14, base: bool = False) -> dict:
    rs = np.random.RandomState(SEED)
    out: dict[str, Any] = {
        k: rs.standard_normal((T, dim)).astype(np.float32) for k in ("qpos", "qvel", "effort", "action")
    }
    out["images"] = {c: np.stack([image(rs) for _ in range(T)]) for c in cams}
    if base:
        out["base_action"] = rs.standard_normal((T, 2)).astype(np.float32)
    return out


def write(
    path: pathlib.Path,
    a: dict,
    attrs: dict,
    *,
    compress: str | None = None,
    effort: bool = True,
    depth: bool = False,
    f8: bool = False,
) -> None:
    with h5py.File(path, "w", rdcc_nbytes=2 * 1024**2) as root:
        root.attrs.update(attrs)
        obs = root.create_group("observations")
        images = obs.create_group("images")
        names = list(a["images"])
        if compress is None:
            for c in names:
                images.create_dataset(c, data=a["images"][c], chunks=(1, H, W, 3))
        else:
            # the writers hand an RGB array to imencode, which takes it for BGR
            jpeg = {
                c: [cv2.imencode(".jpg", im, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].ravel() for im in a["images"][c]]
                for c in names
            }
            longest = max(len(j) for js in jpeg.values() for j in js)
            rows = sorted(names) if compress == "own_width" else names
            lengths = np.array([[len(j) for j in jpeg[c]] for c in rows], np.float32)
            for c in names:
                width = max(map(len, jpeg[c])) if compress == "own_width" else longest
                images.create_dataset(c, data=np.stack([np.pad(j, (0, width - len(j))) for j in jpeg[c]]))
            root.create_dataset("compress_len", data=lengths)
        if depth:
            group = obs.create_group("images_depth")
            for i, c in enumerate(names):
                group.create_dataset(c, data=np.full((T, H, W), 500 + i, np.uint16), chunks=(1, H, W))
        cast = (lambda x: x.astype(np.float64)) if f8 else (lambda x: x)
        for k in ("qpos", "qvel", "effort"):
            if (k == "effort" and not effort) or (k != "qpos" and f8):
                continue
            obs.create_dataset(k, data=cast(a[k]))
        root.create_dataset("action", data=cast(a["action"]))
        if "base_action" in a:
            root.create_dataset("base_action", data=a["base_action"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path, nargs="?", default=pathlib.Path(__file__).parent / "episodes")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    write(out / "aloha.hdf5", arrays(ALOHA_CAMS), {"sim": False})
    write(out / "act_sim.hdf5", arrays(["top"]), {"sim": True}, effort=False)
    write(
        out / "mobile_aloha.hdf5",
        arrays(MOBILE_CAMS, base=True),
        {"sim": False, "compress": True},
        compress="common_width",
    )
    write(
        out / "act_plus_plus.hdf5",
        arrays(MOBILE_CAMS, base=True),
        {"sim": False, "compress": True},
        compress="own_width",
    )
    write(out / "cobot_magic.hdf5", arrays(MOBILE_CAMS, base=True), {"sim": False, "compress": False}, depth=True)
    write(out / "vgil_single_arm.hdf5", arrays(["top"], dim=8), {"sim": True}, f8=True)


if __name__ == "__main__":
    main()
