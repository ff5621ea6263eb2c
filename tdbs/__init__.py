"""Prepare text datasets for fine-tuning once, report what padding costs, and train without it.

One function per command: `tdbs.prepare`, `tdbs.load`, `tdbs.plan_epoch`, `tdbs.measure_profile`, `tdbs.read_profile`,
`tdbs.estimate_speedup`, `tdbs.train`, `tdbs.compare`, `tdbs.evaluate`, `tdbs.predict`, `tdbs.verify`; and
`tdbs.Predictor`, a model in memory. Each is imported when it is first used, so planning never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tdbs.errors import TdbsError

if TYPE_CHECKING:
    from tdbs.analysis.compare.compare import compare
    from tdbs.analysis.profile.measure import measure_profile
    from tdbs.analysis.speedup import estimate_speedup
    from tdbs.inference.predict import predict
    from tdbs.inference.predictor import Predictor
    from tdbs.pipeline.dataset import load
    from tdbs.pipeline.prepare import prepare
    from tdbs.pipeline.verify import verify
    from tdbs.train.evaluate import evaluate
    from tdbs.train.planning.plan import plan_epoch
    from tdbs.train.planning.profile_file import read_profile
    from tdbs.train.trainer import train

__version__ = "0.1.0"
__all__ = [
    "Predictor",
    "TdbsError",
    "compare",
    "estimate_speedup",
    "evaluate",
    "load",
    "measure_profile",
    "plan_epoch",
    "predict",
    "prepare",
    "read_profile",
    "train",
    "verify",
]

_HOMES = {
    "Predictor": "tdbs.inference.predictor",
    "compare": "tdbs.analysis.compare.compare",
    "estimate_speedup": "tdbs.analysis.speedup",
    "evaluate": "tdbs.train.evaluate",
    "load": "tdbs.pipeline.dataset",
    "measure_profile": "tdbs.analysis.profile.measure",
    "plan_epoch": "tdbs.train.planning.plan",
    "predict": "tdbs.inference.predict",
    "prepare": "tdbs.pipeline.prepare",
    "read_profile": "tdbs.train.planning.profile_file",
    "verify": "tdbs.pipeline.verify",
}


def __getattr__(name: str) -> Any:
    if name == "train":  # a package that can be called
        return import_module("tdbs.train")
    if name not in _HOMES:
        raise AttributeError(f"module 'tdbs' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
