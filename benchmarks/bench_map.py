"""Where the gain ends: the default beside padded random batches, over spread, model, batch size, dropout and precision.

    python -m benchmarks.bench_map [--few] [--out map.json]

Each point times whole updates (forward, backward, weights) in one process, the strategies in turns. Texts are synthetic:
their lengths are log-normal around one mean, cut at 128 tokens; a spread is the sigma of the logarithm, and 0 is texts
of one length. Plans and batches are those of training. Models have random weights. Updates of a point are all different,
as in training: in each round every strategy runs some, evenly spaced over an epoch; those before the first are left out.
A row's figures are medians over rounds: seconds of an update, and the ratio to `random`.

`share` is how much of the saved tokens becomes saved seconds. The last table is the fixed cost of an update in tokens
(FIXED_TOKENS in tdbs/analysis/worth.py), by least squares over the points of a model and a precision:
seconds(random) - seconds(unpadded) = (tokens(random) - tokens(unpadded)) x seconds(random) / (tokens(random) + fixed).
Points with a padded update of more than --most TFLOP are left out.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoModelForSequenceClassification, BertConfig

import tdbs
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.profile.timing import timed_step
from tdbs.cli.common import quiet_libraries
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.batches import Batch
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import Learner, make_learner, share_weights
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings

BASE, DEFAULT = "random", "unpadded"
STRATEGIES = (BASE, DEFAULT, "sorted", "length_grouped")
MEAN, LONGEST, SPECIAL = 32, 128, 2  # tokens of a text
ROWS = 6_400  # of a dataset: two megabatches of `length_grouped` with 64 samples an update
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
    """Return updates by strategy, evenly spaced over an epoch."""
    data, found = open_training_data(dataset), {}
    for name in STRATEGIES:
        feed = make_feed(
            data, resolve_strategy(name, dataset.manifest.task, {"base_batch_size": batch_size}), seed=1, epochs=1
        )
        places = np.linspace(0, feed.plans[0].steps - 1, count, dtype=int)
        found[name] = [next(feed.steps(feed.plans[0], first=int(place))) for place in places]
    return found


def seconds_in_turns(
    learners: Mapping[str, Learner], updates: Mapping[str, Sequence[Sequence[Batch]]]
) -> dict[str, list[float]]:
    """Return the seconds of each update; strategies take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in updates}
    for place in range(min(map(len, updates.values()))):
        for name, own in updates.items():
            seconds[name].append(timed_step(learners[name], own[place]))
    return seconds


def measured_point(
    learners: Mapping[str, Learner], dataset: PreparedDataset, *, batch_size: int, rounds: int, updates: int
) -> Iterator[dict[str, float]]:
    """Yield tokens, seconds and ratios of each strategy."""
    found = updates_of(dataset, batch_size=batch_size, count=1 + rounds * updates)
    taken = seconds_in_turns(learners, found)
    sums = {  # of a round; a round's updates lie far apart
        name: [[sum(values[1 + turn :: rounds]) for turn in range(rounds)] for values in (taken[name], tokens_of(own))]
        for name, own in found.items()
    }
    for seconds, tokens in sums.values():
        of_base, base_tokens = sums[BASE]
        yield {
            "tokens": round(float(np.mean(tokens)) / updates),
            "seconds": float(np.median(seconds)) / updates,
            "fewer_tokens": float(np.sum(base_tokens) / np.sum(tokens)),
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
                point = measured_point(
                    learners, dataset, batch_size=batch_size, rounds=options.rounds, updates=options.updates
                )
                for strategy, found in zip(STRATEGIES, point, strict=True):
                    yield Row(
                        model=name,
                        precision=precision,
                        dropout=dropout,
                        batch_size=batch_size,
                        spread=spread,
                        strategy=strategy,
                        **found,
                    )


def share_of(row: Row) -> float | None:
    """Return how much of the saved tokens became saved seconds; None if hardly any token was saved."""
    saved = 1 - 1 / row.fewer_tokens
    return None if saved < 0.1 else (1 - 1 / row.speedup) / saved


def fixed_tokens(rows: Sequence[Row], points: Sequence[Row]) -> float:
    """Return the fixed cost of an update in tokens, from rows of a strategy and those of random beside them.

    Least squares of saved tokens / saved seconds, in shares, over 1 + fixed / tokens.
    """
    saved_P = np.array([1 - 1 / row.fewer_tokens for row in rows])
    gained_P = np.array([1 - 1 / row.speedup for row in rows])
    tokens_P = np.array([row.tokens for row in points])
    # gained x (1 + fixed / tokens) = saved
    over_P = gained_P / tokens_P
    return float(np.sum(over_P * (saved_P - gained_P)) / np.sum(over_P**2))


def map_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return a line for each point."""
    lines = []
    for point in itertools.batched(rows, len(STRATEGIES)):
        base, *others = point
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


def fixed_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return the fixed cost of an update by model and precision, from the default and from `sorted`."""
    lines = []
    for model, precision in dict.fromkeys((row.model, row.precision) for row in rows):
        line = {"model": model, "precision": precision}
        own = [row for row in rows if (row.model, row.precision) == (model, precision)]
        points = [row for row in own if row.strategy == BASE]
        for name in STRATEGIES[1:3]:
            line[f"fixed tokens, {name}"] = f"{fixed_tokens([row for row in own if row.strategy == name], points):,.0f}"
        lines.append(line)
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers, names = (lambda text: [float(each) for each in text.split(",")]), (lambda text: text.split(","))
    parser.add_argument("--models", type=names, default=list(MODELS))
    parser.add_argument("--spreads", type=numbers, default=[0.0, 0.1, 0.3, 0.6, 0.9])
    parser.add_argument("--batch-sizes", type=lambda text: list(map(int, numbers(text))), default=[8, 32, 64])
    parser.add_argument("--dropouts", type=numbers, default=[0.0, 0.1])
    parser.add_argument("--precisions", type=names, default=["fp32", "bf16"])
    parser.add_argument("--most", type=float, default=0.6, help="TFLOP of a padded update; larger points are left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=1, help="of a strategy in a round")
    parser.add_argument("--out", type=Path, help="file for the rows as JSON")
    options = parser.parse_args()
    quiet_libraries()
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        rows = list(measured_map(options, Path(place)))
    facts = {**provenance(), "minutes": f"{(time.perf_counter() - clock) / 60:.1f}", "rounds": options.rounds}
    if options.out is not None:
        options.out.write_text(json.dumps({**facts, "rows": list(map(asdict, rows))}, indent=1), encoding="utf-8")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print(markdown_table(map_table(rows)), markdown_table(fixed_table(rows)), sep="\n\n")


if __name__ == "__main__":
    main()
