"""Studies that the paper computes from times: speedup by lengths (Fig. 8), overheads (Fig. 7), ten runs (App. E.1).

Here they come from plans, from the times of prepare, and from a device profile; nothing is trained.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from tdbs.analysis.speedup import StrategyEstimate, estimate_speedup
from tdbs.analysis.statistics import split_statistics
from tdbs.analysis.studies.paper import SPEEDUP, SPEEDUP_OVER_10_SEEDS, SPEEDUPS, PaperStudy
from tdbs.analysis.studies.study import Cell, Datasets, StudyResult, StudyTable, StudyTerms, shown_times
from tdbs.arrays import FloatArray
from tdbs.numerics import rank_correlation
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.train.feed import TRAIN, make_feed, open_training_data
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import Strategy, resolve_strategy

RUNS_OF_E1 = 10
_SAME_DROPOUT = 0.1  # of Fig. 8, so that padding alone makes the difference


def spread_and_speedup(
    of_paper: PaperStudy, datasets: Datasets, terms: StudyTerms, *, profile: Profile | None
) -> StudyResult:
    """Figure 8: the predicted speedup of `reach` against padding_fraction_est, with rank correlations."""
    rows, points, over_maximum = [], [], []
    dropout = None if profile is None else _SAME_DROPOUT
    for task, dataset in datasets.items():
        statistics_of = split_statistics(split_info(dataset, TRAIN))
        spread = statistics_of.padding_fraction_estimate
        found = _estimates(dataset, ("random_max", "reach"), terms, profile=profile, dropout=dropout)
        over_random = found["reach"].speedup
        over_max = over_random / found["random_max"].speedup
        points.append((task, spread, over_random))
        over_maximum.append(over_max)
        rows.append(
            (
                task,
                statistics_of.rows,
                f"{statistics_of.average_length:.1f}",
                statistics_of.percentile_length,
                f"{spread:.3f}",
                f"{statistics_of.expected_random_padding:.3f}",
                shown_times(over_random),
                shown_times(over_max),
                shown_times(SPEEDUPS.get(task)),
            )
        )
    spreads = np.array([spread for _, spread, _ in points])
    predicted = np.array([speedup for _, _, speedup in points])
    of_the_paper = np.array([SPEEDUPS.get(task, math.nan) for task in datasets])
    columns = ("task", "rows", "L_avg", "L_87.5", "padding_fraction_est", "random padding",
               "reach over random", "reach over random_max", "the paper's speedup")  # fmt: skip
    by = "tokens alone"
    if profile is not None:
        by = f"seconds of {_model_and_device(profile)}, all with dropout {dropout:g}"
    return StudyResult(
        study="fig8",
        title=of_paper.title,
        caption=f"Predicted before training, by {by}; the paper's are measured, roberta-base on an RTX 2080 Ti.",
        tables=(StudyTable(title="Tasks", columns=columns, rows=tuple(rows)),),
        findings=(
            f"Rank correlation over {len(points)} tasks of padding_fraction_est with the predicted speedup over "
            f"random: {_correlated(spreads, predicted)}, over random_max: "
            f"{_correlated(spreads, np.array(over_maximum))}; with the paper's own speedups: "
            f"{_correlated(spreads, of_the_paper)}.",
            f"Rank correlation of the paper's speedups with the predicted ones over random: "
            f"{_correlated(of_the_paper, predicted)}, over random_max: "
            f"{_correlated(of_the_paper, np.array(over_maximum))}. Where the second is the larger one, the "
            "paper's baseline looks like padding to the maximum.",
        ),
        points=tuple(points),
    )


def overheads(of_paper: PaperStudy, datasets: Datasets, terms: StudyTerms, profile: Profile) -> StudyResult:
    """Figure 7: what is paid once for a dataset, and what in every epoch, beside the predicted training."""
    rows: list[tuple[Cell, ...]] = []
    for task, dataset in datasets.items():
        seconds = dataset.manifest.seconds
        strategy = _at_the_papers_caps("tdbs_paper", dataset)
        data = open_training_data(dataset)
        clock = time.perf_counter()
        feed = make_feed(data, strategy, seed=terms.seeds[0], epochs=1)
        deque(feed.batches(feed.plans[0]), maxlen=0)  # makes them all and keeps none
        batches = time.perf_counter() - clock
        run = _estimates(dataset, ("tdbs_paper",), terms, profile=profile)["tdbs_paper"].seconds or 0.0
        once = seconds.get("total", 0.0)
        stages = (f"{seconds.get(stage, 0.0):.2f}" for stage in ("read", "tokenize", "annotate", "write"))
        rows.append(
            (
                task,
                split_info(dataset, TRAIN).rows,
                *stages,
                f"{once:.2f}",
                f"{batches:.3f}",
                f"{run / terms.epochs:.1f}",
                f"{100 * once / (once + run):.2f}",
                f"{100 * terms.epochs * batches / (once + run):.2f}",
            )
        )
    columns = ("task", "rows", "read, s", "tokenize, s", "find words, s", "write, s", "prepare in all, s (once)",
               "batches, s (every epoch)", "an epoch of tdbs_paper, s", "preparing, % of one run",
               "batches, % of one run")  # fmt: skip
    return StudyResult(
        study="fig7",
        title=of_paper.title,
        caption="Rows count the local train split; stages cover all splits, and overlap. Planning and "
        "making the batches of an epoch is measured; training is predicted: "
        f"{_model_and_device(profile)}, {terms.epochs} epochs.",
        tables=(StudyTable(title="Overheads", columns=columns, rows=tuple(rows)),),
        findings=(),
    )


def ten_runs(of_paper: PaperStudy, datasets: Datasets, terms: StudyTerms, profile: Profile) -> StudyResult:
    """App. E.1: speedups if preparing is paid once for ten runs, and if every run pays it."""
    rows: list[tuple[Cell, ...]] = []
    once, always = [], []
    for task, dataset in datasets.items():
        own = _estimates(dataset, ("random", "tdbs_paper", "reach"), terms, profile=profile)
        base = own.pop("random")
        prepare = dataset.manifest.seconds.get("total", 0.0)
        each = {name: (base.seconds or 0.0) / (prepare + (found.seconds or 0.0)) for name, found in own.items()}
        shared = {
            name: RUNS_OF_E1 * (base.seconds or 0.0) / (prepare + RUNS_OF_E1 * (found.seconds or 0.0))
            for name, found in own.items()
        }
        once.append(shared["tdbs_paper"])
        always.append(each["tdbs_paper"])
        shown = (shown_times(value) for name in own for value in (each[name], shared[name]))
        rows.append((task, split_info(dataset, TRAIN).rows, *shown))
    columns = ("task", "rows", "tdbs_paper, paid in each run", "tdbs_paper, paid once", "reach, paid in each run",
               "reach, paid once")  # fmt: skip
    return StudyResult(
        study="e1",
        title=of_paper.title,
        caption=f"Over random, {RUNS_OF_E1} runs; seconds of training are predicted, {_model_and_device(profile)}. "
        "Preparing is counted for ours alone. Dropout goes with the batches: 0.1 of random ones, less of ours.",
        tables=(StudyTable(title="Speedups", columns=columns, rows=tuple(rows)),),
        findings=(
            f"tdbs_paper, mean over {len(rows)} tasks: {statistics.mean(always):.2f}x paid in each run, "
            f"{statistics.mean(once):.2f}x paid once; the paper, over ten: {SPEEDUP}x and {SPEEDUP_OVER_10_SEEDS}x.",
        ),
    )


def _estimates(
    dataset: PreparedDataset,
    strategies: Sequence[str],
    terms: StudyTerms,
    *,
    profile: Profile | None,
    dropout: float | None = None,
) -> dict[str, StrategyEstimate]:
    """Return the estimates of strategies by name; speedups are over random."""
    found = estimate_speedup(
        dataset,
        [_at_the_papers_caps(name, dataset) for name in strategies],
        model=terms.model,
        seed=terms.seeds[0],
        epochs=terms.epochs,
        profile=profile,
        dropout=dropout,
    )
    return {estimate.strategy: estimate for estimate in found}


def _at_the_papers_caps(name: str, dataset: PreparedDataset) -> Strategy:
    """Return one of the padded strategies that these studies are of: any model can run them."""
    return resolve_strategy(name, dataset.manifest.task, {"caps": "paper"}, in_rows=False)


def _correlated(a: FloatArray, b: FloatArray) -> str:
    found = rank_correlation(a, b)
    return "undefined" if found is None else f"{found:.2f}"


def _model_and_device(profile: Profile) -> str:
    return f"{profile.model.get('name')} on {profile.device.get('name')}"
