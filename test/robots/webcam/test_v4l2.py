"""The structures and calls are the kernel's: sizes, places and numbers as the C compiler has them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from vgil_ros.robots.webcam import v4l2

STRUCTURES = {
    "v4l2_capability": (v4l2.Capability, {"device_caps": "device_caps"}),
    "v4l2_fmtdesc": (v4l2.FormatDescription, {"pixelformat": "pixelformat"}),
    "v4l2_frmsizeenum": (v4l2.FrameSize, {"values": "discrete"}),
    "v4l2_frmivalenum": (v4l2.FrameInterval, {"values": "discrete"}),
    "v4l2_format": (v4l2.Format, {"fmt": "fmt"}),
    "v4l2_streamparm": (v4l2.StreamParameters, {"numerator": "parm.capture.timeperframe.numerator"}),
    "v4l2_requestbuffers": (v4l2.RequestBuffers, {"memory": "memory"}),
    "v4l2_buffer": (
        v4l2.Buffer,
        {"seconds": "timestamp", "sequence": "sequence", "m": "m", "length": "length", "bytesused": "bytesused"},
    ),
    "v4l2_queryctrl": (v4l2.QueryControl, {"minimum": "minimum", "flags": "flags"}),
    "v4l2_querymenu": (v4l2.QueryMenu, {"item": "name"}),
    "v4l2_control": (v4l2.ControlValue, {"value": "value"}),
    "v4l2_pix_format": (v4l2.PixelFormat, {"bytesperline": "bytesperline", "sizeimage": "sizeimage"}),
}
CALLS = (
    *("QUERYCAP", "ENUM_FMT", "G_FMT", "S_FMT", "REQBUFS", "QUERYBUF", "QBUF", "DQBUF", "STREAMON", "STREAMOFF"),
    *("G_PARM", "S_PARM", "G_CTRL", "S_CTRL", "QUERYCTRL", "QUERYMENU", "ENUM_FRAMESIZES", "ENUM_FRAMEINTERVALS"),
)


def test_the_compiler_agrees(tmp_path: Path) -> None:
    lines, ours = [], []
    for name, (kind, fields) in STRUCTURES.items():
        lines.append(f'printf("%zu\\n", sizeof(struct {name}));')
        ours.append(ctypes.sizeof(kind))
        for field, theirs in fields.items():
            lines.append(f'printf("%zu\\n", offsetof(struct {name}, {theirs}));')
            ours.append(getattr(kind, field).offset)
    for name in CALLS:
        lines.append(f'printf("%lu\\n", (unsigned long)VIDIOC_{name});')
        ours.append(getattr(v4l2, name))
    source = tmp_path / "sizes.c"
    headers = "".join(f"#include <{one}>\n" for one in ("stddef.h", "stdio.h", "linux/videodev2.h"))
    source.write_text(headers + "int main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n")
    subprocess.run(["cc", "-o", str(tmp_path / "sizes"), str(source)], check=True, timeout=120)
    said = subprocess.run([str(tmp_path / "sizes")], capture_output=True, text=True, check=True, timeout=60).stdout
    assert [int(line) for line in said.split()] == ours


def test_letters_and_numbers_of_a_format() -> None:
    assert v4l2.fourcc("MJPG") == 0x47504A4D
    assert v4l2.letters(v4l2.fourcc("Y16")) == "Y16"
