"""The number format of a training: what a device is fast at, where nothing is asked for."""

from __future__ import annotations

from pathlib import Path

import torch

from vgil_ros.training.config import Precision

# what /proc/cpuinfo calls instructions that multiply bfloat16 (x86: AVX-512, AMX; Arm: bf16)
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
AMPERE = (8, 0)  # the first GPUs that compute in bfloat16
CPUINFO = Path("/proc/cpuinfo")


def choose_precision(wanted: Precision, device: torch.device) -> tuple[Precision, str]:
    """Give the precision to train in, "fp32" or "bf16", and a line that says which and why.

    Args:
        wanted: "auto" takes bf16 where the device multiplies it in hardware, and fp32 elsewhere: a CPU without such
            instructions is several times slower in bf16 than in fp32.
    """
    fast, why = _fast_in_bf16(device)
    chosen: Precision = ("bf16" if fast else "fp32") if wanted == "auto" else wanted
    line = f"precision: {chosen} on {device}"
    if wanted == "auto":
        return chosen, f"{line} ({why})"
    if chosen == "bf16" and not fast:
        return chosen, f"warning: {line}, and {why}; precision=auto takes fp32"
    return chosen, line


def _fast_in_bf16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        fast = (major, minor) >= AMPERE
        return fast, f"compute capability {major}.{minor}" + ("" if fast else ", which lacks bf16")
    found = sorted(BF16_FLAGS & cpu_flags())
    if found:
        return True, f"this CPU has {', '.join(found)}"
    return False, "this CPU has neither avx512_bf16 nor amx_bf16, bf16 would be slower"


def cpu_flags(path: Path = CPUINFO) -> frozenset[str]:
    """Names of what this machine's CPU can do; none where the system does not tell."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()
