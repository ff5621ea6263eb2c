"""Prepare text datasets for fine-tuning once, tell what padding costs, and train without it.

One function per command: `tdbs.prepare`, `tdbs.load`, `tdbs.plan_epoch`, `tdbs.estimate_speedup`, `tdbs.train`,
`tdbs.evaluate`, `tdbs.verify`. Each is imported when it is first used, so planning never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tdbs.errors import TdbsError

if TYPE_CHECKING:
    from tdbs.analysis.speedup import estimate_speedup
    from tdbs.pipeline.dataset import load
    from tdbs.pipeline.prepare import prepare
    from tdbs.pipeline.verify import verify
    from tdbs.train.evaluate import evaluate
    from tdbs.train.plan import plan_epoch
    from tdbs.train.trainer import train

__version__ = "0.1.0"
__all__ = ["TdbsError", "estimate_speedup", "evaluate", "load", "plan_epoch", "prepare", "train", "verify"]

_HOMES = {
    "estimate_speedup": "tdbs.analysis.speedup",
    "evaluate": "tdbs.train.evaluate",
    "load": "tdbs.pipeline.dataset",
    "plan_epoch": "tdbs.train.plan",
    "prepare": "tdbs.pipeline.prepare",
    "verify": "tdbs.pipeline.verify",
}


def __getattr__(name: str) -> Any:
    if name == "train":  # a package that can be called
        return import_module("tdbs.train")
    if name not in _HOMES:
        raise AttributeError(f"module 'tdbs' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
