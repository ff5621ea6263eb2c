"""What a bug report needs: versions, processor, memory, devices. Loads torch only to ask it for devices."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    *("tdbs", "torch", "transformers", "tokenizers", "datasets", "accelerate", "pyarrow", "numpy", "safetensors"),
    *("torchmetrics", "typer", "rich", "matplotlib", "jinja2"),
)


def environment() -> dict[str, Any]:
    """Return versions and devices; None for a package that is not installed."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "devices": _devices(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "offline": os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"),
    }


def device_name() -> str:
    """Return the name of the device that models run on: the first GPU, or else the processor."""
    first = _devices()[0]
    return _processor() if first == "cpu" else first


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _devices() -> list[str]:
    try:
        import torch
    except ImportError:
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["cpu"]
