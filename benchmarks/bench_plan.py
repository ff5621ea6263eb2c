"""Planning one epoch against transformers' own length-grouped sampler, same lengths, same process.

    python -m benchmarks.bench_plan DATASET --samples 392702          (as many as MNLI has, drawn from those of DATASET)

Ours plans `reach` with residual batch merging and shuffles; no digest. Theirs is the order of its indices, with the
mega batches that Trainer's `group_by_length` uses. What is made once for a run, whatever the epoch (which totals the
droppable words make), is measured beside it. Median of the repeats.
"""

import argparse
import statistics

import numpy as np
import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from benchmarks.common import print_rows, timed
from tdbs.arrays import ragged_positions
from tdbs.pipeline.dataset import load, read_split
from tdbs.train.planning.droppable_words import DroppableWords, droppable_words_of
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.planning.tokendrop import words_of_split

BATCH_SIZE = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--samples", type=int, default=392_702)
    parser.add_argument("--strategy", default="reach", choices=list(STRATEGIES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    dataset = load(arguments.dataset)
    split, strategy = read_split(dataset, "train"), STRATEGIES[arguments.strategy]
    drawn = np.random.default_rng(0).integers(0, len(split.lengths_N), arguments.samples)
    lengths_N, lengths = split.lengths_N[drawn], split.lengths_N[drawn].tolist()
    of_split = words_of_split(split, strategy, dataset.manifest.tokenizer)
    counts = np.diff(of_split.offsets_N1)[drawn]
    sizes_W = of_split.sizes_W[ragged_positions(of_split.offsets_N1[drawn], counts)]
    special = dataset.manifest.tokenizer.special_tokens

    def make_words() -> DroppableWords:
        return droppable_words_of(
            "train",
            lengths_N=lengths_N,
            offsets_N1=np.concatenate([[0], np.cumsum(counts)]),
            sizes_W=sizes_W,
            special_N=np.full(len(lengths), special),
        )

    words = make_words()

    def ours(seed: int) -> None:
        plan_epoch(lengths_N, words, strategy, max_length=dataset.manifest.max_length, seed=seed, epoch=0)

    def theirs(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        list(LengthGroupedSampler(batch_size=BATCH_SIZE, lengths=lengths, generator=generator))

    seconds = {"ours": [], "theirs": [], "words": []}
    for seed in range(arguments.repeats):
        seconds["ours"].append(timed(lambda seed=seed: ours(seed)))
        seconds["theirs"].append(timed(lambda seed=seed: theirs(seed)))
        seconds["words"].append(timed(make_words))
    median = {key: statistics.median(values) for key, values in seconds.items()}
    row = {
        "samples": len(lengths),
        "plan_epoch (s)": median["ours"],
        "LengthGroupedSampler (s)": median["theirs"],
        "ratio": median["theirs"] / median["ours"],
        "once a run (s)": median["words"],
    }
    print_rows([row], as_json=arguments.json, strategy=strategy.name)


if __name__ == "__main__":
    main()
