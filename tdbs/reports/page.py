"""One self-contained HTML page: what padding costs on a dataset, what each strategy saves, how a run went.

The page asks for nothing from outside and runs no script. Texts may come from users: jinja2 escapes all of them; only
our own figures, whose texts matplotlib escapes, are put in as they are.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

import tdbs
from tdbs.analysis.padding import split_statistics
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.errors import ConfigError
from tdbs.files import write_text
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.reports.figures import (
    DARK,
    LIGHT,
    NARROW,
    WIDE,
    length_histogram_svg,
    padding_by_strategy_svg,
    run_svgs,
)

if TYPE_CHECKING:  # its module loads transformers
    from tdbs.train.run_folder import Run

DEFAULT_NAME = "report.html"
_BASE_BATCH_SIZE = 64  # of the exact padding where no estimate tells the planned one
_NOTHING = "–"
_SPACE = "\N{NO-BREAK SPACE}"


def write_report(
    out: Path, *, dataset: PreparedDataset, run: "Run | None", estimates: Sequence[StrategyEstimate]
) -> Path:
    """Write the page and return its path: `out` itself, or report.html in it where `out` is a folder.

    Without a run the page is about the dataset alone; a run that did not finish is shown as far as it came.
    """
    path = out / DEFAULT_NAME if out.is_dir() else out
    try:
        write_text(path, render_page(dataset=dataset, run=run, estimates=estimates))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}.", next_step="Pass another --out.") from error
    return path


def render_page(*, dataset: PreparedDataset, run: "Run | None", estimates: Sequence[StrategyEstimate]) -> str:
    """Return the page as HTML. Same arguments, same page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tdbs", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=lambda value: f"{value:,}", percent=percent, times=times, figure=figure, duration=duration
    )
    manifest = dataset.manifest
    return environment.get_template("page.html.j2").render(
        version=tdbs.__version__,
        light=LIGHT,
        dark=DARK,
        path=str(dataset.path),
        manifest=manifest,
        splits=[
            (name, split_statistics(info, batch_size=_BASE_BATCH_SIZE))
            for name, info in manifest.splits.items()
            if info.rows
        ],
        summary=_summary(manifest, estimates),
        estimates=estimates,
        row_targets=any(estimate.target_tokens for estimate in estimates),
        lengths=_length_figures(manifest),
        padding=[padding_by_strategy_svg(estimates, width=width) for width in (WIDE, NARROW)] if estimates else [],
        run=_run_parts(run, manifest) if run else None,
        prepared=list(_flat({"key": manifest.key, "key of": manifest.key_parts, "seconds": manifest.seconds})),
    )


def percent(share: float) -> str:
    """Return 0.698 as 69.8 %."""
    return f"{100 * share:.1f}{_SPACE}%"


def times(ratio: float) -> str:
    """Return 3.627 as 3.63 ×."""
    return f"{ratio:.2f}{_SPACE}×"


def figure(value: float | None) -> str:
    """Return a loss or a score with four decimals, or a dash where there is none."""
    return _NOTHING if value is None else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as a reader says them: 31.4 s, 12 min 5 s, 3 h 2 min."""
    if seconds < 59.95:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def _summary(manifest: Manifest, estimates: Sequence[StrategyEstimate]) -> dict[str, Any]:
    """Return the numbers that the page opens with: padding of random batches, and the strategy of fewest tokens."""
    random = next((estimate for estimate in estimates if estimate.strategy == "random"), None)
    train = manifest.splits.get("train")
    expected = split_statistics(train, batch_size=_BASE_BATCH_SIZE) if train and train.rows else None
    exactly_one = [e for e in estimates if e.speedup == e.speedup_low == e.speedup_high == 1.0]
    baseline = random if random in exactly_one else next(iter(exactly_one), None)
    return {
        "planned": random is not None,
        "batch_size": _BASE_BATCH_SIZE,
        "random_padding": random.padding_fraction if random else expected and expected.expected_random_padding,
        "baseline": baseline,
        "best": max(estimates, key=lambda estimate: estimate.speedup, default=None),
        "train": train,
        "droppable": expected and expected.droppable_fraction,
    }


def _length_figures(manifest: Manifest) -> list[str]:
    train = manifest.splits.get("train")
    if train is None or not train.rows:
        return []
    return [
        length_histogram_svg(train.lengths_L1, np.array(manifest.bucket_edges), width=width) for width in (WIDE, NARROW)
    ]


def _run_parts(run: "Run", manifest: Manifest) -> dict[str, Any]:
    """Return what the page says of a run; of an unfinished one, what its logged steps tell."""
    config, result, last = run.config, run.result, run.steps[-1] if run.steps else None
    strategy = config.get("strategy", {})
    wide, narrow = (run_svgs(run.steps, width=width) if run.steps else {} for width in (WIDE, NARROW))
    return {
        "path": str(run.path),
        "strategy": strategy.get("name", _NOTHING) if isinstance(strategy, Mapping) else strategy,
        "model": config.get("model", _NOTHING),
        "seed": config.get("seed", _NOTHING),
        "epochs": config.get("epochs", _NOTHING),
        "foreign": config.get("dataset", {}).get("key") not in (None, manifest.key),
        "result": result,
        "metric": manifest.task.metrics[0],
        "steps": len(run.steps),
        "stopped_at": last,
        "not_finite": last is not None and not math.isfinite(_loss(last)),
        "history": result["epochs"] if result else _logged_epochs(run.steps),
        "curves": {name: (svg, narrow[name]) for name, svg in wide.items()},
        "config": list(_flat(config)),
    }


def _logged_epochs(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, float | int | None]]:
    """Return the mean finite loss of each epoch so far, over all it predicts, as the trainer reports it."""
    epochs = []
    for epoch in sorted({step["epoch"] for step in steps}):
        logged = [(_loss(step), step["predicted"]) for step in steps if step["epoch"] == epoch]
        finite = [(loss, predicted) for loss, predicted in logged if math.isfinite(loss)]
        in_all = sum(predicted for _, predicted in finite)
        mean = sum(loss * predicted for loss, predicted in finite) / in_all if in_all else None
        epochs.append({"epoch": epoch, "loss": mean, "score": None})
    return epochs


def _loss(step: Mapping[str, Any]) -> float:
    """Return a step's loss; the log has None where it was not finite, JSON having no NaN."""
    return math.nan if step["loss"] is None else float(step["loss"])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value of nested tables with its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)
