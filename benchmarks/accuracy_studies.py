"""What the accuracy study trains: variants of strategies, and studies that are made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TASKS = ("stsb", "mrpc", "cola", "sst2-8000")  # where this encoder learns, and runs are short
EPOCHS = 3
RATES = (5e-5, 1e-4, 2e-4)
KNEE = "benchmarks/results/profile_minilm_cpu_2026-11-21.json"  # memory was not searched: its caps are the knee's


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A strategy with parts of its own and the dropout it is trained with; None: by the paper's rule."""

    name: str
    strategy: str
    dropout: float | None = 0.0
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """Variants x tasks x seeds; differences are to each variant of plain random batches."""

    title: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...] = TASKS
    epochs: int = EPOCHS
    rates: Mapping[str, tuple[float, ...]] | None = None  # by task; None: the rate that the study of rates chose


def _dropped(rate: float) -> Variant:
    parts = {"drop": "rate", "drop_rate": rate}
    return Variant(name=f"random, drop {rate:g}", strategy="unpadded", parts=parts)


# Random batches run unpadded: the same function of the same batches (tests/train/test_sequence_models.py).
RANDOM = Variant(name="random, dropout 0.1", strategy="unpadded", dropout=0.1)
RANDOM_0 = Variant(name="random", strategy="unpadded")
REACH = Variant(name="reach", strategy="reach")
REACH_1 = Variant(name="reach, dropout 0.1", strategy="reach", dropout=0.1)
WIDER_REACH = Variant(name="reach, 3 grid lengths", strategy="reach", parts={"grid_lengths": 3})
PAPER = Variant(name="paper, caps 64", strategy="tdbs_paper", parts={"caps": "base"})

STUDIES = {
    "rates": Study(
        title="The rate of each task, chosen on random batches with the model's dropout",
        variants=(RANDOM,),
        seeds=(1, 2),
        # the grid, and beyond where its best rate is at its edge
        rates={"stsb": (*RATES, 4e-4), "mrpc": RATES, "cola": (2.5e-5, *RATES), "sst2-8000": RATES},
    ),
    "screening": Study(
        title="Screening: which strategies are as accurate as random batches",
        variants=(
            RANDOM,
            RANDOM_0,
            Variant(name="random, dropout 0.05", strategy="unpadded", dropout=0.05),
            _dropped(0.3),
            REACH,
            Variant(name="reach, dropout 0.05", strategy="reach", dropout=0.05),
            REACH_1,
            WIDER_REACH,
        ),
        seeds=(1, 2, 3, 4, 5),
    ),
    "causes": Study(
        title="Causes and cures, one factor at a time",
        variants=(
            RANDOM_0,
            Variant(name="buckets of width 1", strategy="bucket"),
            Variant(name="buckets of width 5", strategy="bucket", parts={"bucket_width": 5}),
            REACH,
            Variant(name="reach, 4 micro-batches", strategy="reach", parts={"micro_batches": 4}),
            WIDER_REACH,
            Variant(name="reach, caps of the paper", strategy="reach", parts={"caps": "paper"}),
            Variant(name="reach, caps at the knee", strategy="reach", parts={"caps": KNEE}),
            Variant(name="reach, caps of the paper, no LRM", strategy="reach", parts={"caps": "paper", "lrm": False}),
            REACH_1,
            RANDOM,
            _dropped(0.1),
            _dropped(0.2),
            _dropped(0.3),
            PAPER,
            Variant(name="paper", strategy="tdbs_paper"),
        ),
        seeds=(1, 2, 3),
        tasks=("stsb", "mrpc"),
    ),
    "stratified": Study(
        title="Stratified updates beside random ones",
        variants=(
            RANDOM,
            RANDOM_0,
            Variant(name="stratified, dropout 0.1", strategy="stratified", dropout=0.1),
            Variant(name="stratified", strategy="stratified"),
        ),
        seeds=(1, 2, 3, 4, 5),
    ),
    # Predicted from `tdbs inspect --strategy` of each task, seed 0, before any of its runs: label means of
    # length_grouped's updates deviate 1.97, 1.16, 1.13 and 1.23 times as far as chance (stsb, mrpc, cola, sst2-8000),
    # those of batch_rebalance 1.08, 0.93, 0.94 and 1.10. So length_grouped loses a point or more on STS-B, where labels
    # go with lengths, and neither loses more than a deviation of random's scores anywhere else.
    "customary": Study(
        title="What people use today: batches of similar length, with the model's dropout",
        variants=(
            RANDOM,
            Variant(name="length_grouped, dropout 0.1", strategy="length_grouped", dropout=0.1),
            Variant(name="batch_rebalance, dropout 0.1", strategy="batch_rebalance", dropout=0.1),
        ),
        seeds=(1, 2, 3, 4, 5),
    ),
    "beside": Study(
        title="Beside: tasks where this encoder learns little, or a whole train split",
        variants=(RANDOM, Variant(name="reach, dropout by the rule", strategy="reach", dropout=None)),
        seeds=(1, 2, 3),
        tasks=("rte", "wnli", "qnli"),
        rates={"rte": (1e-4,), "wnli": (1e-4,), "qnli": (1e-4,)},
    ),
    "whole": Study(
        title="Beside: SST-2 whole, one epoch, where the paper's rule has a dropout of 0.025",
        variants=(RANDOM, RANDOM_0, REACH, Variant(name="reach, dropout 0.025", strategy="reach", dropout=None)),
        seeds=(1, 2, 3),
        tasks=("sst2",),
        epochs=1,
        rates={"sst2": (1e-4,)},
    ),
}
