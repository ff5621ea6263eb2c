"""Tell whether training will run on a CUDA device, without loading torch: planning needs to know, and stays fast."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def has_cuda() -> bool:
    """Return True where an NVIDIA driver, a visible device and a torch that is not a CPU build are at hand."""
    try:
        cpu_build = "+cpu" in version("torch")
    except PackageNotFoundError:
        return False
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return Path("/dev/nvidiactl").exists() and not hidden and not cpu_build
