"""An OpenGL context that needs no display, and a plain message where the machine cannot give one."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "0")  # the software renderer's own threads only get in each other's way here


class GraphicsError(VgilError):
    """No OpenGL context can be made."""


def _load_triton_first() -> None:
    """Bind Triton's own LLVM before Mesa brings another one into the process.

    torch imports Triton late, with the first backbone or compiled function. Its LLVM then binds to symbols of the LLVM
    that Mesa draws with, and the process dies of a segmentation fault (torch 2.14, Triton 3.8, Mesa 22.3). Loading the
    library beforehand takes 0.1 s.
    """
    if "triton" in sys.modules or (spec := find_spec("triton")) is None or spec.origin is None:
        return
    for library in Path(spec.origin).parent.glob("_C/libtriton*.so"):
        try:
            ctypes.CDLL(str(library))
        except OSError:  # built for another Python: then torch cannot load it either
            continue


def make_context(width: int, height: int) -> Any:
    """Return a MuJoCo GLContext for off-screen images up to this size; it belongs to the calling thread.

    Raises:
        GraphicsError: where the machine has no usable OpenGL; it says what to install.
    """
    backend = os.environ.get("MUJOCO_GL", "")
    _load_triton_first()
    try:
        if backend == "egl":  # asked for by name: MuJoCo itself looks at the variable only when it is first loaded
            from mujoco.egl import GLContext
        else:
            from mujoco import GLContext
        context = GLContext(width, height)
        context.make_current()
    except Exception as error:  # PyOpenGL and MuJoCo raise many kinds where the libraries are missing
        raise GraphicsError(
            f"no OpenGL for the simulated cameras (MUJOCO_GL is '{backend}'): {type(error).__name__}: {error}."
            " On Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri, then run with MUJOCO_GL=egl"
        ) from error
    return context
