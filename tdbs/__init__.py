"""Prepare text datasets for fine-tuning once, report what padding costs, and train without it.

Public functions: `tdbs.prepare`, `tdbs.load`, `tdbs.verify`, `tdbs.audit`, `tdbs.plan_epoch`, `tdbs.measure_profile`,
`tdbs.read_profile`, `tdbs.estimate_speedup`, `tdbs.train`, `tdbs.compare`, `tdbs.evaluate`, `tdbs.score`,
`tdbs.learn_words` and `tdbs.predict`; `tdbs.Predictor` is a model in memory, and `tdbs.TdbsError` the base of all
errors. Each is imported when it is first used, so planning never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tdbs import drawings
from tdbs.errors import TdbsError

if TYPE_CHECKING:
    from tdbs.analysis.audit.audit import audit
    from tdbs.analysis.compare.compare import compare
    from tdbs.analysis.learned_words import learn_words
    from tdbs.analysis.profile.measure import measure_profile
    from tdbs.analysis.samples.score import score
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

__version__ = "0.2.0"  # the one place; pyproject.toml reads it
__all__ = [
    "Predictor",
    "TdbsError",
    "audit",
    "compare",
    "estimate_speedup",
    "evaluate",
    "learn_words",
    "load",
    "measure_profile",
    "plan_epoch",
    "predict",
    "prepare",
    "read_profile",
    "score",
    "train",
    "verify",
]

_HOMES = {
    "Predictor": "tdbs.inference.predictor",
    "audit": "tdbs.analysis.audit.audit",
    "compare": "tdbs.analysis.compare.compare",
    "estimate_speedup": "tdbs.analysis.speedup",
    "evaluate": "tdbs.train.evaluate",
    "learn_words": "tdbs.analysis.learned_words",
    "load": "tdbs.pipeline.dataset",
    "measure_profile": "tdbs.analysis.profile.measure",
    "plan_epoch": "tdbs.train.planning.plan",
    "predict": "tdbs.inference.predict",
    "prepare": "tdbs.pipeline.prepare",
    "read_profile": "tdbs.train.planning.profile_file",
    "score": "tdbs.analysis.samples.score",
    "verify": "tdbs.pipeline.verify",
}


def _draw_lengths(counts_L1: Any, edges_E: Any) -> str:
    """Draw a histogram of lengths for a notebook; figures are imported with the first one."""
    return import_module("tdbs.reports.figures.lengths").length_histogram_svg(counts_L1, edges_E)


drawings.lengths = _draw_lengths


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # to a type checker every name would be there

    def __getattr__(name: str) -> Any:
        if name == "train":  # a package that can be called
            return import_module("tdbs.train")
        if name not in _HOMES:
            raise AttributeError(f"module 'tdbs' has no attribute '{name}'")
        return getattr(import_module(_HOMES[name]), name)
