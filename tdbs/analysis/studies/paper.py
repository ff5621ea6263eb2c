"""The tables and figures of the paper as data: rows, the strategy that makes each of them, and the paper's own numbers.

Numbers are those of roberta-base on an RTX 2080 Ti, over GLUE and SQuAD (T5-small for Table 2). Scores in percent.
Where the paper's text and ours differ on what a row is, docs/paper-map.md says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Study = Literal[
    "table1", "table2", "table3", "table4", "table5", "table8",
    "fig4", "fig5", "fig6", "fig7", "fig8", "e1", "resilience",
]  # fmt: skip

GLUE = ("mrpc", "stsb", "sst2", "cola", "qqp", "qnli", "rte", "mnli", "wnli")
# Table 1: speedup of TokenDrop + BucketSampler over random batches, mean of Roberta-base and Electra-base.
SPEEDUPS = {
    "squad": 9.87,
    "mrpc": 2.75,
    "stsb": 7.73,
    "sst2": 10.61,
    "cola": 9.39,
    "qqp": 5.51,
    "qnli": 3.18,
    "rte": 2.05,
    "mnli": 4.09,
    "wnli": 3.8,
}
SPEEDUP = 5.9  # mean of these, where everything is paid in every run
SPEEDUP_OVER_10_SEEDS = 6.8  # App. E.1, paid once
_SQUAD_AND_GLUE = ("squad", *GLUE)
_LOOSE_GRAMMAR = tuple(task for task in _SQUAD_AND_GLUE if task != "cola")
_RANDOM_SCORES = dict(
    zip(_SQUAD_AND_GLUE, (90.46, 88.09, 89.85, 94.15, 59.35, 91.36, 92.58, 69.31, 87.56, 53.51), strict=True)
)
_BOTH_SCORES = dict(
    zip(_SQUAD_AND_GLUE, (90.59, 88.63, 90.06, 94.33, 59.49, 91.48, 92.64, 70.4, 87.66, 54.57), strict=True)
)

# Fig. 4, what its text says: speedups of a call for one sample with models that were trained with TokenDrop.
FREE_SPEEDUP, FULL_SPEEDUP = 1.5, 2.2  # without a loss; all words dropped, with a loss of less than:
FULL_LOSS = 1.0  # points
FREE_RATE = 0.4  # negligible loss
# Section 3.1: points that are lost without articles and punctuation.
LOST_WITHOUT, LOST_WITH = -5.2, -0.3
_BUCKET = {"caps": "paper"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperRow:
    """A row of a table, or a curve of a figure: what runs for it here, and what the paper has."""

    name: str  # name of the run's folder
    title: str  # name in the paper
    strategy: str
    parts: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None  # the paper's mean over its tasks
    speedup: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)  # the paper's, by task
    speedups: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperBatches:
    """A row of Table 3: a way to make batches at inference, and the paper's numbers."""

    batches: str  # value of `tdbs evaluate --batches`
    title: str
    without: float  # score of models trained without TokenDrop
    with_drop: float
    padding: float  # percent
    speedup: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperStudy:
    """A table or figure of the paper; one without rows is computed from plans, a profile and the times of prepare."""

    title: str
    tasks: tuple[str, ...]
    rows: tuple[PaperRow, ...] = ()
    curves: bool = False  # the loss over the run is drawn
    stepwise: bool = False  # each row adds to the one before; else all are compared with the first
    note: str = ""


TABLE3 = (
    PaperBatches(batches="random", title="RandomSampler", without=81.62, with_drop=82.02, padding=40.1, speedup=1.0),
    PaperBatches(batches="bucket", title="BucketSampler", without=81.64, with_drop=81.98, padding=9.3, speedup=4.5),
    PaperBatches(
        batches="tdbs_paper", title="TokenDrop+BucketSampler", without=80.21, with_drop=82.01, padding=0.3, speedup=4.9
    ),
)

_RANDOM = PaperRow(
    name="random", title="RandomSampler", strategy="random", score=81.62, speedup=1.0, scores=_RANDOM_SCORES
)
_BOTH = PaperRow(
    name="tdbs_paper",
    title="TokenDrop+BucketSampler",
    strategy="tdbs_paper",
    score=81.98,
    speedup=SPEEDUP,
    scores=_BOTH_SCORES,
    speedups=SPEEDUPS,
)
_REACH = PaperRow(name="reach", title="reach-aware (not in the paper)", strategy="reach")
_STEPWISE = (
    PaperRow(
        name="bucket_none",
        title="None",
        strategy="bucket",
        parts={**_BUCKET, "rbm": False, "batch_cap": False, "lrm": False},
        score=76.9,
        speedup=5.3,
    ),
    PaperRow(
        name="bucket_rbm",
        title="RBM",
        strategy="bucket",
        parts={**_BUCKET, "batch_cap": False, "lrm": False},
        score=78.42,
        speedup=5.8,
    ),
    PaperRow(
        name="bucket_rbm_batchcap",
        title="RBM + BatchCap",
        strategy="bucket",
        parts={**_BUCKET, "lrm": False},
        score=81.29,
        speedup=5.2,
    ),
    PaperRow(name="bucket", title="RBM + BatchCap + LRM", strategy="bucket", parts=_BUCKET, score=81.64, speedup=5.2),
)

STUDIES: dict[Study, PaperStudy] = {
    "table1": PaperStudy(
        title="Table 1: fine-tuning GLUE and SQuAD",
        tasks=_SQUAD_AND_GLUE,
        rows=(_RANDOM, _BOTH, _REACH),
        note="The paper's speedups are means of Roberta-base and Electra-base.",
    ),
    "table2": PaperStudy(
        title="Table 2: summarization with T5-small",
        tasks=("xsum", "cnn_dailymail"),
        rows=(
            PaperRow(
                name="random",
                title="RandomSampler",
                strategy="random",
                speedup=1.0,
                scores={"xsum": 32.58, "cnn_dailymail": 24.51},
            ),
            PaperRow(
                name="tdbs_paper",
                title="TokenDrop+BucketSampler",
                strategy="tdbs_paper",
                scores={"xsum": 32.84, "cnn_dailymail": 24.81},
                speedups={"xsum": 8.62, "cnn_dailymail": 7.77},
            ),
            _REACH,
        ),
        note="Scores are ROUGE-1.",
    ),
    "table3": PaperStudy(
        title="Table 3: batches at inference",
        tasks=_SQUAD_AND_GLUE,
        note="Its batches are as large as HWCap allows; here too, of the paper's table.",
    ),
    "table4": PaperStudy(
        title="Table 4: BucketSampler's optimizations, one after the other",
        tasks=_SQUAD_AND_GLUE,
        rows=(_RANDOM, *_STEPWISE),
        stepwise=True,
        note="Buckets of width 1 without TokenDrop (App. A). Speedups are over RandomSampler, padded to the longest.",
    ),
    "table5": PaperStudy(
        title="Table 5: batching strategies",
        tasks=_SQUAD_AND_GLUE,
        rows=(
            _RANDOM,
            PaperRow(
                name="length_grouped",
                title="LengthGroupedSampler",
                strategy="length_grouped",
                score=81.65,
                speedup=3.8,
            ),
            PaperRow(name="packed", title="Packing", strategy="packed", score=80.69, speedup=4.2),
            PaperRow(
                name="tf_bucket",
                title="tf.bucket_by_sequence_length",
                strategy="tf_bucket",
                score=76.9,
                speedup=5.3,
            ),
            PaperRow(name="bucket", title="BucketSampler", strategy="bucket", parts=_BUCKET, score=81.67, speedup=5.1),
            _BOTH,
            _REACH,
        ),
    ),
    "table8": PaperStudy(
        title="Table 8: which words to drop",
        tasks=GLUE,  # without SQuAD: any token could be one of an answer
        rows=(
            PaperRow(name="random", title="Dropout 0.1, random batches", strategy="random"),
            PaperRow(name="bucket", title="No words dropped (not in the paper)", strategy="bucket", parts=_BUCKET),
            PaperRow(
                name="any",
                title="Drop any random token (0.3)",
                strategy="bucket",
                parts={**_BUCKET, "drop": "any", "drop_rate": 0.3},
                score=78.44,
            ),
            PaperRow(
                name="stopwords",
                title="TokenDrop: stopwords only (0.3)",
                strategy="bucket",
                parts={**_BUCKET, "drop": "rate", "drop_rate": 0.3},
                score=81.98,
            ),
            PaperRow(
                name="all",
                title="Drop all stopwords (1.0)",
                strategy="bucket",
                parts={**_BUCKET, "drop": "all"},
                score=79.97,
            ),
        ),
        stepwise=True,
        note="The paper does not say how these batches are made: here by BucketSampler, but for the first row, whose "
        "score its text lacks.",
    ),
    "fig4": PaperStudy(
        title="Figure 4: words dropped at inference, one sample a call",
        tasks=_LOOSE_GRAMMAR,
        note="Its means are over CoLA too, which is left out here: it judges grammar.",
    ),
    "fig5": PaperStudy(
        title="Figure 5: training loss without and with RBM, BatchCap, LRM",
        tasks=_SQUAD_AND_GLUE,
        rows=(_RANDOM, *_STEPWISE),
        curves=True,
        stepwise=True,
    ),
    "fig6": PaperStudy(
        title="Figure 6: training loss without and with TokenDrop",
        tasks=("rte", "sst2", "mnli"),
        rows=(
            PaperRow(name="random", title="dropout 0.1, no TokenDrop", strategy="random"),
            PaperRow(name="tdbs_paper", title="TokenDrop+BucketSampler", strategy="tdbs_paper"),
        ),
        curves=True,
    ),
    "fig7": PaperStudy(title="Figure 7: overheads, once and in every epoch", tasks=("rte", "sst2", "mnli")),
    "fig8": PaperStudy(title="Figure 8: spread of lengths and speedup", tasks=GLUE),
    "e1": PaperStudy(title="Appendix E.1: one prepared dataset for ten runs", tasks=_SQUAD_AND_GLUE),
    "resilience": PaperStudy(
        title="Section 3.1: articles and punctuation removed",
        tasks=_LOOSE_GRAMMAR,
        note="Without CoLA, as in the paper.",
    ),
}
