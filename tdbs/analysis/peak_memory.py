"""The most memory that a step took: CUDA's allocator, or on a CPU the peak of the whole process."""

import ctypes
import gc
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # as proc(5) says


def reset_peak(device: torch.device) -> None:
    """Begin anew to watch for the peak; memory that is free already is given back first."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # glibc keeps what was freed, and the peak would never fall
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return  # another system: the peak is that of the process so far


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak since it was reset; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def device_memory(device: torch.device) -> int | None:
    """Return all memory of a CUDA device; None on a CPU, whose budget the user sets."""
    return int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else None
