"""Where the gain ends: the default beside padded random batches, by spread, model, batch size, dropout and precision.

    python -m benchmarks.bench_map [--models 6x384] [--out map.json]

Each point times whole updates (forward, backward, weights) in one process, the strategies in turns. Texts are
synthetic: their lengths are log-normal around one mean, cut at 128 tokens. A spread is the sigma of the logarithm; 0 is
texts of one length. Plans and batches are those of training, models have random weights. Updates of a point are all
different, as in training: each round runs some of every strategy, spread over an epoch; all have run once before. A
row's figures are medians over rounds: tokens and seconds of an update, and both over those of `random`.

`share` is how much of the saved tokens becomes saved seconds. The last table is MAP of tdbs/analysis/worth.py: what an
update of random costs beyond its tokens (`fixed`), what one of the strategy costs more (`more`), both in tokens, and
what a token of the strategy costs more (`rate`). Least squares over the points of a model and a precision find them:
share of seconds saved x (tokens of random + fixed) = tokens of random - (1 + rate) x tokens of the strategy - more.
Texts of one length are left out there: batches without padding have no mask, so random is faster with them.
Points with a padded update of more than --most TFLOP are left out.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForSequenceClassification, BertConfig

import tdbs
from benchmarks.common import markdown_table, provenance
from tdbs.cli.common import quiet_libraries
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.numerics import non_negative_least_squares
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.batches import Batch
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import Learner, make_learner, share_weights
from tdbs.train.loop import update
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings
from tdbs.train.rows.sequences import laid_out

BASE, DEFAULT = "random", "unpadded"
STRATEGIES = (BASE, DEFAULT, "sorted", "length_grouped")
MEAN, LONGEST, SPECIAL = 32, 128, 2  # tokens of a text
ROWS = 6_400  # of a dataset
GOLDEN = 0.618034  # its multiples, modulo 1, are spread evenly
VOCABULARY = 30_522
MODELS: Mapping[str, dict[str, int]] = {  # layers, width, heads
    "4x128": {"num_hidden_layers": 4, "hidden_size": 128, "num_attention_heads": 2},
    "6x384": {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12},
    "12x768": {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One strategy at one point of the map."""

    model: str
    precision: str
    dropout: float
    batch_size: int
    spread: float
    strategy: str
    tokens: int  # of an update, padding included
    seconds: float  # of an update
    fewer_tokens: float  # tokens of random / of this strategy
    speedup: float  # seconds of random / of this strategy


def saved_model(name: str, folder: Path) -> Path:
    """Save a model of a shape with random weights."""
    sizes = MODELS[name]
    config = BertConfig(vocab_size=VOCABULARY, intermediate_size=4 * sizes["hidden_size"], **sizes)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def texts_of_spread(spread: float, place: Path) -> PreparedDataset:
    """Prepare texts whose lengths in tokens have a log-normal spread around the mean."""
    chance = np.random.default_rng(1)
    lengths_N = chance.lognormal(np.log(MEAN) - spread**2 / 2, spread, ROWS)
    words_N = np.clip(np.rint(lengths_N), SPECIAL + 1, LONGEST).astype(int) - SPECIAL
    table = pa.table({"text": ["the " * words for words in words_N], "label": chance.integers(0, 2, ROWS)})
    source = place / f"{spread}.parquet"
    pq.write_table(table, source)
    made = tdbs.prepare(
        str(source), tokenizer=str(TOKENIZER_FOLDER), max_length=LONGEST, validation="0.01", out=place / str(spread)
    )
    return made.dataset


def updates_of(dataset: PreparedDataset, *, batch_size: int, count: int) -> dict[str, list[Sequence[Batch]]]:
    """Return updates by strategy, spread over an epoch; `length_grouped` goes from long to short again and again."""
    data, task = open_training_data(dataset), dataset.manifest.task
    found: dict[str, list[Sequence[Batch]]] = {}
    for name in STRATEGIES:
        feed = make_feed(data, resolve_strategy(name, task, {"base_batch_size": batch_size}), seed=1, epochs=1)
        places = np.modf(GOLDEN * np.arange(count))[0] * feed.plans[0].steps
        steps = (next(feed.steps(feed.plans[0], first=int(place))) for place in places)
        found[name] = [list(map(laid_out, batches)) for batches in steps]
    return found


def seconds_in_turns(
    learners: Mapping[str, Learner], updates: Mapping[str, Sequence[Sequence[Batch]]], *, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return the seconds of each update; strategies take turns.

    All updates have run before: in a long run shapes recur, and preparing new ones is a matter of its first steps.
    """
    count = min(map(len, updates.values()))
    seconds: dict[str, list[float]] = {name: [] for name in updates}
    for turn, (name, own) in itertools.product(range(2 * count), updates.items()):
        started = clock()
        update(learners[name], own[turn % count], rate=0.0)
        seconds[name].append(clock() - started)
    return {name: taken[count:] for name, taken in seconds.items()}


def measured_point(
    learners: Mapping[str, Learner], dataset: PreparedDataset, options: argparse.Namespace, *, batch_size: int
) -> Iterator[dict[str, Any]]:
    """Yield tokens, seconds and ratios of each strategy."""
    rounds, updates = options.rounds, options.updates
    found = updates_of(dataset, batch_size=batch_size, count=rounds * updates)
    clock = time.process_time if options.cpu_time else time.perf_counter
    taken = seconds_in_turns(learners, found, clock=clock)
    sums = {  # of a round
        name: [[sum(values[turn::rounds]) for turn in range(rounds)] for values in (taken[name], tokens_of(own))]
        for name, own in found.items()
    }
    for seconds, tokens in sums.values():
        of_base, base_tokens = sums[BASE]
        yield {
            "tokens": round(float(np.median(tokens)) / updates),
            "seconds": float(np.median(seconds)) / updates,
            "fewer_tokens": float(np.median(np.divide(base_tokens, tokens))),
            "speedup": float(np.median(np.divide(of_base, seconds))),
        }


def tokens_of(updates: Sequence[Sequence[Batch]]) -> list[int]:
    """Return the tokens of each update, padding included."""
    return [sum(batch.input_ids_RW.size for batch in batches) for batches in updates]


def tera_operations(name: str, dataset: PreparedDataset, *, batch_size: int) -> float:
    """Return the operations of a padded update, in 10^12."""
    [tokens] = tokens_of(updates_of(dataset, batch_size=batch_size, count=1)[BASE])
    sizes = MODELS[name]
    return 72e-12 * sizes["num_hidden_layers"] * sizes["hidden_size"] ** 2 * tokens


def measured_map(options: argparse.Namespace, place: Path) -> Iterator[Row]:
    """Yield the rows of the map, point by point."""
    datasets = {spread: texts_of_spread(spread, place) for spread in options.spreads}
    some = next(iter(datasets.values()))
    for name in options.models:
        model = saved_model(name, place / name)
        for precision, dropout in itertools.product(options.precisions, options.dropouts):
            settings = resolve_settings(TrainSettings(model=str(model), precision=precision), some.manifest)
            padded, in_rows = (
                make_learner(some, settings, seed=1, dropout=dropout, in_rows=each) for each in (False, True)
            )
            in_rows = share_weights(padded, in_rows)
            for learner in (padded, in_rows):
                learner.prepared.train()
            learners = {each: in_rows if each == DEFAULT else padded for each in STRATEGIES}
            for batch_size, (spread, dataset) in itertools.product(options.batch_sizes, datasets.items()):
                if tera_operations(name, dataset, batch_size=batch_size) > options.most:
                    continue
                point = measured_point(learners, dataset, options, batch_size=batch_size)
                rows = [
                    Row(
                        model=name,
                        precision=precision,
                        dropout=dropout,
                        batch_size=batch_size,
                        spread=spread,
                        strategy=strategy,
                        **found,
                    )
                    for strategy, found in zip(STRATEGIES, point, strict=True)
                ]
                print("  ".join(map_table(rows)[0].values()), file=sys.stderr, flush=True)
                yield from rows


def share_of(row: Row) -> float | None:
    """Return how much of the saved tokens became saved seconds; None if hardly any token was saved."""
    saved = 1 - 1 / row.fewer_tokens
    return None if saved < 0.1 else (1 - 1 / row.speedup) / saved


def update_cost(rows: Sequence[Row], points: Sequence[Row]) -> tuple[float, float, float]:
    """Return `fixed`, `more` and `rate` from rows of a strategy and those of random at the same points."""
    left_P = np.array([1 / row.fewer_tokens for row in rows])
    gained_P = np.array([1 - 1 / row.speedup for row in rows])
    tokens_P = np.array([row.tokens for row in points])
    counts_P3 = np.column_stack([gained_P / tokens_P, 1 / tokens_P, left_P])
    fixed, more, rate = non_negative_least_squares(counts_P3, 1 - left_P - gained_P)
    return float(fixed), float(more), float(rate)


def map_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return a line for each point."""
    lines = []
    for first in range(0, len(rows), len(STRATEGIES)):
        base, *others = rows[first : first + len(STRATEGIES)]
        line = {
            "model": base.model,
            "precision": base.precision,
            "dropout": f"{base.dropout:g}",
            "batch": str(base.batch_size),
            "spread": f"{base.spread:g}",
            "tokens": f"{base.tokens:,}",
            "random, ms": f"{1e3 * base.seconds:,.0f}",
        }
        for row in others:
            line[row.strategy] = f"{row.speedup:.2f} x of {row.fewer_tokens:.2f} x"
        share = share_of(others[0])
        lines.append({**line, "share": "" if share is None else f"{share:.2f}"})
    return lines


def cost_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return what updates cost beyond their tokens, by model and precision, for the default and for `sorted`."""
    lines = []
    for model, precision in dict.fromkeys((row.model, row.precision) for row in rows):
        line = {"model": model, "precision": precision}
        own = [row for row in rows if (row.model, row.precision) == (model, precision) and row.spread]
        points = [row for row in own if row.strategy == BASE]
        for name in STRATEGIES[1:3]:
            fixed, more, rate = update_cost([row for row in own if row.strategy == name], points)
            line[f"{name}: fixed, more, rate"] = f"{fixed:,.0f}, {more:,.0f}, {rate:.2f}"
        lines.append(line)
    return lines


def names(text: str) -> list[str]:
    """Read a list of an option."""
    return text.split(",")


def numbers(text: str) -> list[float]:
    """Read a list of numbers."""
    return list(map(float, names(text)))


def whole_numbers(text: str) -> list[int]:
    """Read a list of whole numbers."""
    return list(map(int, names(text)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=names, default=list(MODELS))
    parser.add_argument("--spreads", type=numbers, default=[0.0, 0.2, 0.8])
    parser.add_argument("--batch-sizes", type=whole_numbers, default=[8, 64])
    parser.add_argument("--dropouts", type=numbers, default=[0.0, 0.1])
    parser.add_argument("--precisions", type=names, default=["fp32", "bf16"])
    parser.add_argument("--most", type=float, default=0.6, help="TFLOP of a padded update; larger points are left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=1, help="of a strategy in a round")
    parser.add_argument("--cpu-time", action="store_true", help="one thread, seconds of the CPU: for a busy machine")
    parser.add_argument("--out", type=Path, help="file for the rows as JSON")
    options = parser.parse_args()
    quiet_libraries()
    if options.cpu_time:
        torch.set_num_threads(1)
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        rows = list(measured_map(options, Path(place)))
    facts = {**provenance(), "minutes": f"{(time.perf_counter() - clock) / 60:.1f}", "rounds": options.rounds}
    if options.out is not None:
        options.out.write_text(json.dumps({**facts, "rows": list(map(asdict, rows))}, indent=1), encoding="utf-8")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print(markdown_table(map_table(rows)), markdown_table(cost_table(rows)), sep="\n\n")


if __name__ == "__main__":
    main()
